package probe

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// flood sends b until the other side has enough.
func flood(c net.Conn, b []byte) {
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// drip sends b byte by byte.
func drip(c net.Conn, b string) {
	for i := 0; ; i = (i + 1) % len(b) {
		if _, err := io.WriteString(c, b[i:i+1]); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Whatever a server does, a probe ends within its limit, takes no more than a few MiB, and says what was wrong.
func TestHostileServers(t *testing.T) {
	const limit = 600 * time.Millisecond // of a probe as a whole
	const head = "HTTP/1.1 200 OK\r\n"
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(make([]byte, 64<<20))
	z.Close()
	noise := make([]byte, 16<<10)
	rand.Read(noise)
	after := func(f func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(c)
			f(c)
		}
	}
	secure := func(f func(net.Conn)) func(net.Conn) {
		config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, NextProtos: []string{"h2"}}
		return func(raw net.Conn) { f(tls.Server(raw, config)) }
	}
	// h2 speaks just enough HTTP/2 to be listened to.
	h2 := func(f func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
			go io.Copy(io.Discard, c)
			c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS
			f(c)
		}
	}
	frame := func(kind, flags byte, stream byte, payload []byte) []byte {
		return append([]byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, stream}, payload...)
	}
	web := func(s *Spec) {
		s.URL = model.URL{Path: "/", Status: ok200, Digest: sum("hello"), Regex: "x+y", JSON: true}
	}
	kind := func(k model.CheckKind) func(*Spec) {
		return func(s *Spec) {
			if s.Kind = k; k == model.HTTPGet || k == model.SSLGet {
				web(s)
			}
		}
	}
	two := func(k model.CheckKind) func(*Spec) {
		return func(s *Spec) {
			kind(k)(s)
			s.Protocol = model.HTTP2
		}
	}
	for _, tt := range []struct {
		name  string
		spec  func(*Spec)
		serve func(net.Conn)
		want  string
	}{
		{"endless header line", kind(model.HTTPGet), after(func(c net.Conn) { flood(c, []byte("X")) }), check.WebNoData},
		{"endless header lines", kind(model.HTTPGet), after(func(c net.Conn) { io.WriteString(c, head); flood(c, []byte("X: y\r\n")) }), check.WebNoData},
		{"header that drips", kind(model.HTTPGet), after(func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\nX: ") }), check.WebHTTPTimeout},
		{"body that drips", kind(model.HTTPGet), after(func(c net.Conn) { io.WriteString(c, head+"\r\n"); drip(c, "x") }), check.WebHTTPTimeout},
		{"gzip bomb", kind(model.HTTPGet), after(func(c net.Conn) {
			fmt.Fprintf(c, "%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", head, bomb.Len())
			c.Write(bomb.Bytes())
		}), check.WebDigest},
		{"length beyond all bounds", kind(model.HTTPGet), after(func(c net.Conn) { io.WriteString(c, head+"Content-Length: 99999999999999999999999\r\n\r\nhello?") }), check.WebDigest},
		{"huge chunk", kind(model.HTTPGet), after(func(c net.Conn) {
			io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello")
		}), check.WebDigest},
		{"redirect to itself", kind(model.HTTPGet), after(func(c net.Conn) { io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n") }), check.WebStatus},
		{"endless body", kind(model.HTTPGet), after(func(c net.Conn) { io.WriteString(c, head+"\r\n"); flood(c, noise) }), check.WebHTTPTimeout + "|" + check.WebReadError},
		{"endless JSON", kind(model.HTTPGet), after(func(c net.Conn) { io.WriteString(c, head+"\r\n"); flood(c, bytes.Repeat([]byte("["), 4<<10)) }), check.WebHTTPTimeout + "|" + check.WebReadError},
		{"a match that never ends", kind(model.HTTPGet), after(func(c net.Conn) { io.WriteString(c, head+"\r\n"); flood(c, bytes.Repeat([]byte("x"), 4<<10)) }), check.WebHTTPTimeout + "|" + check.WebReadError},
		{"answer before the request", kind(model.HTTPGet), func(c net.Conn) { flood(c, noise) }, check.WebNoData},
		{"reset", kind(model.HTTPGet), after(func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }), check.WebReadError},
		{"close", kind(model.HTTPGet), func(net.Conn) {}, "Read error with|" + check.WebNoData},
		{"garbage for TLS", kind(model.SSLGet), func(c net.Conn) { flood(c, noise) }, check.WebTLS},
		{"TLS that drips", kind(model.SSLGet), func(c net.Conn) { drip(c, "\x16\x03\x03\x40\x00") }, check.WebConnectTimeout},
		{"endless body over TLS", kind(model.SSLGet), secure(after(func(c net.Conn) { io.WriteString(c, head+"\r\n"); flood(c, noise) })), check.WebTLSTimeout},
		{"endless banner", kind(model.SMTPCheck), func(c net.Conn) { flood(c, []byte("2")) }, check.SMTPReadFailed},
		{"endless greeting", kind(model.SMTPCheck), func(c net.Conn) { flood(c, []byte("220-and more\r\n")) }, check.SMTPBadGreeting},
		{"banner that drips", kind(model.SMTPCheck), func(c net.Conn) { drip(c, "220 ") }, check.SMTPReadTimeout},
		{"endless settings", two(model.HTTPGet), h2(func(c net.Conn) { flood(c, frame(4, 0, 0, nil)) }), check.WebHTTPTimeout + "|" + check.WebH2},
		{"endless HTTP/2 header", two(model.HTTPGet), h2(func(c net.Conn) {
			c.Write(frame(1, 0, 1, nil))
			flood(c, frame(9, 0, 1, noise[:8<<10]))
		}), check.WebH2},
		{"HTTP/2 header bomb", two(model.HTTPGet), h2(func(c net.Conn) {
			c.Write(frame(1, 0, 1, append([]byte{0x88, 0x40, 1, 'x', 0x7f, 0xa1, 0x1e}, bytes.Repeat([]byte("v"), 4000)...)))
			flood(c, frame(9, 0, 1, bytes.Repeat([]byte{0xbe}, 4<<10)))
		}), check.WebH2},
		{"a frame that is too long", two(model.HTTPGet), h2(func(c net.Conn) { flood(c, append([]byte{255, 255, 255, 0, 0, 0, 0, 0, 1}, noise...)) }), check.WebH2},
		{"silence after the settings", two(model.SSLGet), secure(h2(func(c net.Conn) { io.Copy(io.Discard, c) })), check.WebHTTPTimeout},
		{"gRPC of another world", kind(model.GRPCCheck), func(c net.Conn) { flood(c, noise) }, check.WebH2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Spec{Conn: model.Connect{Dst: server(t, tt.serve), Timeout: limit / 4}, Protocol: model.HTTP11}
			tt.spec(s)
			var before, behind runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			got := runFor(s, limit)
			took := time.Since(begin)
			runtime.GC()
			runtime.ReadMemStats(&behind)
			if !strings.Contains("|"+tt.want+"|", "|"+got.Reason+"|") || got.OK || got.Unable {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
			if took > limit+5*time.Second {
				t.Errorf("took %v", took)
			}
			if grown := int64(behind.HeapInuse) - int64(before.HeapInuse); grown > 16<<20 {
				t.Errorf("%d MiB are kept", grown>>20)
			}
		})
	}
}
