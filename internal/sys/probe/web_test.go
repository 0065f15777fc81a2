package probe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	short = 150 * time.Millisecond // connect_timeout of probes that are to run into it
	ample = 5 * time.Second        // of all others
)

// server answers every connection with serve, and returns its address.
func server(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// readRequest reads up to the end of a request.
func readRequest(c net.Conn) string {
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, []byte("\r\n\r\n")); {
		if _, err := c.Read(b); err != nil {
			return string(got)
		}
		got = append(got, b...)
	}
	return string(got)
}

// reply makes a server that sends the parts, each in a segment of its own, and closes.
func reply(parts ...string) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		for _, p := range parts {
			io.WriteString(c, p)
		}
	}
}

func sum(body string) []byte {
	s := md5.Sum([]byte(body))
	return s[:]
}

var ok200 = []model.StatusRange{{First: 200, Last: 299}}

func TestWebAnswers(t *testing.T) {
	const head = "HTTP/1.0 200 OK\r\n"
	tests := []struct {
		name  string
		serve func(net.Conn)
		url   model.URL // Path and Status have defaults
		time  time.Duration
		want  check.Result
	}{
		{name: "plain", serve: reply(head + "\r\nhello"), want: check.Result{OK: true}},
		{name: "right digest", serve: reply(head+"\r\nhe", "llo"), url: model.URL{Digest: sum("hello")}, want: check.Result{OK: true}},
		{name: "wrong digest", serve: reply(head + "\r\nhello!"), url: model.URL{Digest: sum("hello")},
			want: check.Result{Reason: check.WebDigest}},
		{name: "digest of nothing", serve: reply(head + "\r\n"), url: model.URL{Digest: sum("")}, want: check.Result{OK: true}},
		{name: "L-F12 bytes beyond Content-Length are not digested", serve: reply(head+"Content-Length: 5\r\n\r\nhel", "lo and more"),
			url: model.URL{Digest: sum("hello")}, want: check.Result{OK: true, Claimed: 5, Received: 14}},
		{name: "L-F14 body shorter than Content-Length", serve: reply(head + "Content-Length: 9\r\n\r\nhello"),
			url: model.URL{Digest: sum("hello")}, want: check.Result{OK: true, Claimed: 9, Received: 5}},
		{name: "L-F13 lower-case content-length is not seen", serve: reply(head + "content-length: 5\r\n\r\nhello and more"),
			url: model.URL{Digest: sum("hello")}, want: check.Result{Reason: check.WebDigest}},
		{name: "Content-Length in the body is not seen", serve: reply(head + "\r\nContent-Length: 3"),
			url: model.URL{Digest: sum("Content-Length: 3")}, want: check.Result{OK: true}},
		{name: "Content-Length without a number", serve: reply(head + "Content-Length: much\r\n\r\nx"),
			url: model.URL{Digest: sum("x")}, want: check.Result{OK: true}},
		{name: "L-F15 chunks are not undone", serve: reply(head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
			url: model.URL{Digest: sum("5\r\nhello\r\n0\r\n\r\n")}, want: check.Result{OK: true}},
		{name: "pattern", serve: reply(head + "\r\nhello\nworld"), url: model.URL{Regex: "^WORLD$", RegexOpts: []string{"caseless", "multiline"}},
			want: check.Result{OK: true}},
		{name: "pattern that is not there", serve: reply(head + "\r\nhello"), url: model.URL{Regex: "world"},
			want: check.Result{Reason: check.WebRegex}},
		{name: "pattern that must not be there", serve: reply(head + "\r\nhello"), url: model.URL{Regex: "ell", RegexNot: true},
			want: check.Result{Reason: check.WebRegex}},
		{name: "L-F24 pattern in the header does not count", serve: reply(head + "X-Word: world\r\n\r\nhello"), url: model.URL{Regex: "world", RegexNot: true},
			want: check.Result{OK: true}},
		{name: "pattern begins with the body", serve: reply(head+"\r\nhe", "llo"), url: model.URL{Regex: "^hello", RegexMin: 0, RegexMax: 1},
			want: check.Result{OK: true}},
		{name: "L-F23 pattern at its last place", serve: reply(head + "\r\n0123456789xy"), url: model.URL{Regex: "xy", RegexMax: 10},
			want: check.Result{OK: true}},
		{name: "L-F23 pattern after its last place, in two segments", serve: reply(head+"\r\n", "0123456789xy"), url: model.URL{Regex: "xy", RegexMax: 9},
			want: check.Result{Reason: check.WebRegex}},
		{name: "L-F23 pattern at its first place, in two segments", serve: reply(head+"\r\n0123456789", "xy"), url: model.URL{Regex: "xy", RegexMin: 10},
			want: check.Result{OK: true}},
		{name: "L-F23 pattern before its first place", serve: reply(head + "\r\n0123456789xy"), url: model.URL{Regex: "xy", RegexMin: 11},
			want: check.Result{Reason: check.WebRegex}},
		{name: "pattern beyond its last place", serve: reply(head + "\r\nhello"), url: model.URL{Regex: "llo", RegexMax: 1},
			want: check.Result{Reason: check.WebRegex}},
		{name: "pattern that backtracks without end", serve: reply(head + "\r\n" + strings.Repeat("a", 200)), url: model.URL{Regex: "^(a+)+b", RegexNot: true,
			RegexOpts: []string{"no_start_optimize"}}, want: check.Result{Reason: check.WebRegex}},
		{name: "digest before pattern", serve: reply(head + "\r\nx"), url: model.URL{Digest: sum("hello"), Regex: "y"},
			want: check.Result{Reason: check.WebDigest}},
		{name: "status before digest", serve: reply("HTTP/1.0 404 Not Found\r\n\r\nx"), url: model.URL{Digest: sum("hello")},
			want: check.Result{Reason: check.WebStatus}},
		{name: "L-F19 status in the second range", serve: reply("HTTP/1.0 302 Found\r\n\r\n"),
			url:  model.URL{Status: []model.StatusRange{{First: 200, Last: 200}, {First: 301, Last: 303}}},
			want: check.Result{OK: true}},
		{name: "L-F10 no reason phrase and no blank", serve: reply("HTTP/1.1 200\r\n\r\n"), want: check.Result{Reason: check.WebStatus}},
		{name: "L-F19 status outside the ranges", serve: reply("HTTP/1.0 204 No Content\r\n\r\n"),
			url:  model.URL{Status: []model.StatusRange{{First: 200, Last: 200}, {First: 301, Last: 303}}},
			want: check.Result{Reason: check.WebStatus}},
		{name: "no reason phrase but a blank", serve: reply("HTTP/1.1 200 \r\n\r\n"), want: check.Result{OK: true}},
		{name: "four digits", serve: reply("HTTP/1.1 2000 OK\r\n\r\n"), want: check.Result{Reason: check.WebStatus}},
		{name: "any protocol name", serve: reply("SPDY 200 OK\r\n\r\n"), want: check.Result{OK: true}},
		{name: "L-F17 byte by byte", serve: reply(strings.Split(head+"Content-Length: 5\r\n\r\nhello", "")...),
			url: model.URL{Digest: sum("hello")}, want: check.Result{OK: true, Claimed: 5, Received: 5}},
		{name: "close at once", serve: func(c net.Conn) { readRequest(c) }, want: check.Result{Reason: check.WebNoData}},
		{name: "close within the header", serve: reply(head + "Server: x\r\n"), want: check.Result{Reason: check.WebNoData}},
		{name: "header of 4095 bytes", serve: reply(head + "X: " + strings.Repeat("x", 4095-len(head)-3-4) + "\r\n\r\nbody"),
			url: model.URL{Digest: sum("body")}, want: check.Result{OK: true}},
		{name: "L-F16 header of 4096 bytes", serve: reply(head + "X: " + strings.Repeat("x", 4096-len(head)-3-4) + "\r\n\r\nbody"),
			want: check.Result{Reason: check.WebNoData}},
		{name: "endless header", want: check.Result{Reason: check.WebNoData}, serve: func(c net.Conn) {
			readRequest(c)
			for {
				if _, err := io.WriteString(c, "X-Header: and so on\r\n"); err != nil {
					return
				}
			}
		}},
		{name: "L-F18 reset after the body", want: check.Result{Reason: check.WebReadError}, serve: func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, head+"\r\nhello")
			c.(*net.TCPConn).SetLinger(0)
		}},
		{name: "silence", time: short, serve: hold(""), want: check.Result{Reason: check.WebTimeout}},
		{name: "L-F11 kept open after a complete answer", time: short, serve: hold(head + "Content-Length: 5\r\n\r\nhello"),
			want: check.Result{Reason: check.WebHTTPTimeout}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := webSpec(model.HTTPGet, server(t, tt.serve), tt.url)
			if tt.time != 0 {
				s.Conn.Timeout = tt.time
			}
			if got := runFor(s, time.Minute); got != withLength(tt.want, got) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// withLength lets a case leave out the lengths where they agree.
func withLength(want, got check.Result) check.Result {
	if want.Claimed == 0 && got.Claimed == got.Received {
		want.Claimed, want.Received = got.Claimed, got.Received
	}
	return want
}

// runFor probes once, at most for limit.
func runFor(s *Spec, limit time.Duration) check.Result { return run(s, time.Now().Add(limit)) }

// hold sends text and then keeps the connection until the other side closes it.
func hold(text string) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, text)
		io.Copy(io.Discard, c)
	}
}

func webSpec(kind model.CheckKind, dst netip.AddrPort, u model.URL) *Spec {
	if u.Path == "" {
		u.Path = "/"
	}
	if u.Status == nil {
		u.Status = ok200
	}
	return &Spec{Kind: kind, Conn: model.Connect{Dst: dst, Timeout: ample}, Protocol: model.HTTP10, URL: u}
}

// A server that sends a byte now and then never exceeds the time of one read: the limit of the whole probe ends it.
func TestWebDrip(t *testing.T) {
	dst := server(t, func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
		}
	})
	s := webSpec(model.HTTPGet, dst, model.URL{})
	s.Conn.Timeout = short
	begin := time.Now()
	if got := runFor(s, 3*short); got.Reason != check.WebHTTPTimeout {
		t.Errorf("got %+v", got)
	}
	if took := time.Since(begin); took < 3*short || took > ample {
		t.Errorf("took %s", took)
	}
}

// L-F8 in the language of the list; the same is compared with keepalived's own requests in test/vm.
func TestRequestBytes(t *testing.T) {
	long := strings.Repeat("x", 3000)
	v4, v6 := netip.MustParseAddrPort("10.0.0.2:8080"), netip.MustParseAddrPort("[2001:db8::2]:80")
	for _, tt := range []struct {
		dst      netip.AddrPort
		protocol model.HTTPProtocol
		url      model.URL
		want     string
	}{
		{v4, model.HTTP10, model.URL{Path: "/a?b=c"},
			"GET /a?b=c HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.0.0.2:8080\r\n\r\n"},
		{v6, model.HTTP10C, model.URL{Path: "/"},
			"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: [2001:db8::2]:80\r\n\r\n"},
		{v6, model.HTTP11, model.URL{Path: "/", VirtualHost: "www.example.org"},
			"GET / HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.org\r\n\r\n"},
		{v4, model.HTTP10, model.URL{Path: "/" + long}, "GET /" + long[:2047-5]},
	} {
		s := webSpec(model.HTTPGet, tt.dst, tt.url)
		s.Protocol = tt.protocol
		if got := string(request(s)); got != tt.want {
			t.Errorf("got %q\nwant %q", got, tt.want)
		}
	}
}

// What a server gets is the request and nothing else.
func TestRequestOnTheWire(t *testing.T) {
	got := make(chan string, 1)
	dst := server(t, func(c net.Conn) {
		got <- readRequest(c)
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
	})
	s := webSpec(model.HTTPGet, dst, model.URL{Path: "/x"})
	if r := runFor(s, ample); !r.OK {
		t.Fatalf("got %+v", r)
	}
	want := fmt.Sprintf("GET /x HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: %s\r\n\r\n", dst)
	if g := <-got; g != want {
		t.Errorf("got %q\nwant %q", g, want)
	}
}

func TestTLS(t *testing.T) {
	const answer = "HTTP/1.0 200 OK\r\n\r\nhello"
	secure := func(c *tls.Config, serve func(*tls.Conn)) func(net.Conn) {
		c.Certificates = []tls.Certificate{selfSigned(t)}
		return func(raw net.Conn) {
			conn := tls.Server(raw, c)
			if conn.Handshake() == nil {
				serve(conn)
			}
		}
	}
	answerAndClose := func(c *tls.Conn) {
		readRequest(c)
		io.WriteString(c, answer)
		c.Close()
	}
	tests := []struct {
		name  string
		serve func(net.Conn)
		time  time.Duration
		want  check.Result
	}{
		{name: "L-F27 self-signed with another name", serve: secure(&tls.Config{}, answerAndClose), want: check.Result{OK: true}},
		{name: "L-F30 TLS 1.0 only", serve: secure(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, answerAndClose),
			want: check.Result{OK: true}},
		{name: "CBC cipher only", serve: secure(&tls.Config{MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256}}, answerAndClose), want: check.Result{OK: true}},
		{name: "L-F29 end without close_notify", want: check.Result{OK: true}, serve: secure(&tls.Config{}, func(c *tls.Conn) {
			readRequest(c)
			io.WriteString(c, answer)
			c.NetConn().Close()
		})},
		{name: "end within a record", want: check.Result{Reason: check.WebTLSReadError}, serve: secure(&tls.Config{}, func(c *tls.Conn) {
			readRequest(c)
			io.WriteString(c, answer)
			c.NetConn().Write([]byte{23, 3, 3, 1, 0, 'x'})
		})},
		{name: "garbage", serve: func(c net.Conn) { io.WriteString(c, "220 smtp.example.org ready\r\n") },
			want: check.Result{Reason: check.WebTLS}},
		{name: "close before the handshake", serve: func(net.Conn) {}, want: check.Result{Reason: check.WebTLS}},
		{name: "silence before the handshake", time: short, serve: func(c net.Conn) { io.Copy(io.Discard, c) },
			want: check.Result{Reason: check.WebConnectTimeout}},
		{name: "silence after the request", time: short, want: check.Result{Reason: check.WebTimeout},
			serve: secure(&tls.Config{}, func(c *tls.Conn) { hold("")(c) })},
		{name: "kept open", time: short, want: check.Result{Reason: check.WebTLSTimeout},
			serve: secure(&tls.Config{}, func(c *tls.Conn) { hold(answer)(c) })},
		{name: "drip", time: short, want: check.Result{Reason: check.WebTLSTimeout}, serve: secure(&tls.Config{}, func(c *tls.Conn) {
			readRequest(c)
			for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := webSpec(model.SSLGet, server(t, tt.serve), model.URL{Digest: sum("hello")})
			if tt.time != 0 {
				s.Conn.Timeout = tt.time
			}
			if got := runFor(s, time.Minute); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// The server name is sent only if configured, and close_notify only with tls_compliant.
func TestTLSOptions(t *testing.T) {
	type seen struct {
		name string
		end  error
	}
	for _, tt := range []struct {
		url    model.URL
		name   string
		notify bool
	}{
		{url: model.URL{VirtualHost: "host.example.org"}}, // L-F28 has the rest in the configuration goldens
		{url: model.URL{SNI: "sni.example.org"}, name: "sni.example.org"},
		{url: model.URL{TLSClose: true}, notify: true},
	} {
		got := make(chan seen, 1)
		config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
		dst := server(t, func(raw net.Conn) {
			c := tls.Server(raw, config)
			readRequest(c)
			io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
			c.CloseWrite()
			// crypto/tls does not tell an end without close_notify: look at the bytes on the wire.
			rest, err := io.ReadAll(raw)
			if len(rest) > 0 {
				err = io.EOF
			}
			got <- seen{c.ConnectionState().ServerName, err}
		})
		if r := runFor(webSpec(model.SSLGet, dst, tt.url), ample); !r.OK {
			t.Fatalf("%+v: got %+v", tt.url, r)
		}
		g := <-got
		if g.name != tt.name {
			t.Errorf("%+v: server name %q, want %q", tt.url, g.name, tt.name)
		}
		if notified := g.end == io.EOF; notified != tt.notify {
			t.Errorf("%+v: close_notify %v, want %v", tt.url, notified, tt.notify)
		}
	}
}

// The client certificate is presented, and read anew when its file changes.
func TestTLSClientCertificate(t *testing.T) {
	files := [2]string{t.TempDir() + "/cert.pem", t.TempDir() + "/key.pem"}
	serials := make(chan *big.Int, 1)
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, ClientAuth: tls.RequireAnyClientCert}
	dst := server(t, func(raw net.Conn) {
		c := tls.Server(raw, config)
		if c.Handshake() != nil {
			return
		}
		serials <- c.ConnectionState().PeerCertificates[0].SerialNumber
		readRequest(c)
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
		c.Close()
	})
	s := webSpec(model.SSLGet, dst, model.URL{})
	s.TLS = model.TLSClient{Certificate: files[0], Key: files[1], Password: model.Secret("secret")}
	for round := range 2 {
		want := writeCert(t, files, s.TLS.Password, time.Unix(int64(1000+round), 0))
		if r := runFor(s, ample); !r.OK {
			t.Fatalf("got %+v", r)
		}
		if got := <-serials; got.Cmp(want) != 0 {
			t.Errorf("round %d: certificate %v, want %v", round, got, want)
		}
	}
	s.TLS.Password = model.Secret("wrong")
	os.Chtimes(files[0], time.Time{}, time.Unix(2000, 0))
	if r := runFor(s, ample); !r.Unable || strings.Contains(r.Reason, "wrong") {
		t.Errorf("wrong password: got %+v", r)
	}
	s.TLS.Certificate = "/nonexistent/cert.pem"
	if r := runFor(s, ample); !r.Unable || !strings.Contains(r.Reason, "/nonexistent/cert.pem") {
		t.Errorf("no file: got %+v", r)
	}
}

// writeCert writes a certificate and its key, encrypted in the traditional form.
func writeCert(t *testing.T, files [2]string, password model.Secret, at time.Time) (serial *big.Int) {
	t.Helper()
	c := selfSigned(t)
	der, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 it is the form under test
	key, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, password, x509.PEMCipherAES128)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key} {
		if err := os.WriteFile(files[i], pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(files[i], time.Time{}, at); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return parsed.SerialNumber
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, NotAfter: time.Unix(1, 0), DNSNames: []string{"other.example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestConnect(t *testing.T) {
	alive := server(t, func(c net.Conn) { readRequest(c) })
	dead := netip.AddrPortFrom(alive.Addr(), unusedPort(t))
	with := func(c model.Connect) model.Connect {
		if c.Timeout == 0 {
			c.Timeout = ample
		}
		return c
	}
	tests := []struct {
		name string
		conn model.Connect
		tcp  check.Result
		web  string
	}{
		{"alive", model.Connect{Dst: alive}, check.Result{OK: true}, check.WebNoData},
		{"refused", model.Connect{Dst: dead}, check.Result{Reason: check.TCPFailed}, check.WebConnectFailed},
		{"bound to an address that is not here", model.Connect{Dst: alive, Bind: netip.MustParseAddrPort("192.0.2.1:0")},
			check.Result{Unable: true, Reason: "Checker bind failed: Cannot assign requested address"}, ""},
		{"bound", model.Connect{Dst: alive, Bind: netip.MustParseAddrPort("127.0.0.9:0")}, check.Result{OK: true}, check.WebNoData},
		{"bind_port alone has no effect", model.Connect{Dst: alive, Bind: netip.AddrPortFrom(netip.Addr{}, 1)},
			check.Result{OK: true}, check.WebNoData},
		{"no such interface", model.Connect{Dst: alive, BindIf: "no-such-if0"},
			check.Result{Unable: true, Reason: "Checker can't bind to device no-such-if0: No such device"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Spec{Kind: model.TCPCheck, Conn: with(tt.conn)}
			if got := runFor(s, ample); got != tt.tcp {
				t.Errorf("TCP_CHECK: got %+v, want %+v", got, tt.tcp)
			}
			w := webSpec(model.HTTPGet, tt.conn.Dst, model.URL{})
			w.Conn = with(tt.conn)
			got := runFor(w, ample)
			if got.Unable != tt.tcp.Unable || !got.Unable && got.Reason != tt.web {
				t.Errorf("HTTP_GET: got %+v, want %q", got, tt.web)
			}
		})
	}
}

// A listener whose queue is full drops further handshakes.
func TestConnectTimeout(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, _ := unix.Getsockname(fd)
	dst := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sa.(*unix.SockaddrInet4).Port))
	for range 2 {
		if c, err := net.DialTimeout("tcp", dst.String(), short); err == nil {
			t.Cleanup(func() { c.Close() })
		}
	}
	s := &Spec{Kind: model.TCPCheck, Conn: model.Connect{Dst: dst, Timeout: short}}
	if got, want := runFor(s, ample), (check.Result{Reason: check.TCPTimeout}); got != want {
		t.Errorf("TCP_CHECK: got %+v, want %+v", got, want)
	}
	w := webSpec(model.HTTPGet, dst, model.URL{})
	w.Conn.Timeout = short
	if got := runFor(w, ample); got.Reason != check.WebConnectTimeout {
		t.Errorf("HTTP_GET: got %+v", got)
	}
}

// A step that this process noticed too late is not held against the server.
func TestStarved(t *testing.T) {
	onTime, late := clock{end: time.Now()}, clock{end: time.Now().Add(-2 * starved)}
	if r := onTime.late("x"); r.Unable || r.Reason != "x" {
		t.Errorf("on time: %+v", r)
	}
	if r := late.late("x"); !r.Unable || !strings.HasPrefix(r.Reason, "Checker process was not run for 2") {
		t.Errorf("late: %+v", r)
	}
}

func TestClassify(t *testing.T) {
	failed := func(call string, errno unix.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError(call, errno)}
	}
	for _, tt := range []struct {
		err    error
		reason string // empty: the server's fault
	}{
		{failed("connect", unix.ECONNREFUSED), ""},
		{failed("connect", unix.EHOSTUNREACH), ""},
		{failed("connect", unix.ETIMEDOUT), ""},
		{failed("connect", unix.ENETDOWN), ""},
		{failed("connect", unix.EADDRNOTAVAIL), "socket connect error 99 - Cannot assign requested address"},
		{failed("connect", unix.EPERM), "socket connect error 1 - Operation not permitted"},
		{failed("connect", unix.EINVAL), "socket connect error 22 - Invalid argument"},
		{failed("bind", unix.ECONNREFUSED), "Checker bind failed: Connection refused"},
		{failed("socket", unix.EMFILE), "Checker bind failed: Too many open files"},
		{&net.OpError{Op: "dial", Err: &optionError{"can't set fwmark", unix.EPERM}}, "Checker can't set fwmark: Operation not permitted"},
		{context.DeadlineExceeded, ""},
	} {
		if r, is := unable(tt.err); r.Reason != tt.reason || is != (tt.reason != "") {
			t.Errorf("%v: got %v %+v, want %q", tt.err, is, r, tt.reason)
		}
	}
}

func unusedPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 7)
	f.Add([]byte("HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		feed := func(parts ...[]byte) (check.Result, bool) {
			u := &model.URL{Status: ok200, Digest: sum("hello")}
			a := newAnswer(u, nil)
			for _, p := range parts {
				if !a.take(p) {
					return check.Result{}, false
				}
			}
			return a.judge(u), true
		}
		at = max(0, min(at, len(in)))
		whole, fits := feed(in)
		cut, fitsCut := feed(in[:at], in[at:])
		if whole != cut || fits != fitsCut {
			t.Errorf("cut at %d: %+v %v, whole: %+v %v", at, cut, fitsCut, whole, fits)
		}
	})
}
