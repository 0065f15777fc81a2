package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

func TestOwnRequest(t *testing.T) {
	s := webSpec(model.HTTPGet, netip.MustParseAddrPort("10.0.0.2:80"), model.URL{Path: "/x", Method: "POST",
		Headers: []model.Secret{model.Secret("Accept: text/plain"), model.Secret("X-A: b c")}, Body: model.Secret("hello")})
	s.Protocol = model.HTTP11
	want := "POST /x HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: 10.0.0.2:80\r\n" +
		"Accept: text/plain\r\nX-A: b c\r\nContent-Length: 5\r\n\r\nhello"
	if got := string(request(s)); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	s.URL.Headers, s.URL.Body, s.URL.Method = nil, nil, "HEAD"
	if got := string(request(s)); !strings.HasPrefix(got, "HEAD /x HTTP/1.1\r\n") || !strings.HasSuffix(got, "Host: 10.0.0.2:80\r\n\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestJSONPath(t *testing.T) {
	const page = `{"status": "UP", "n": 1.50, "ok": true, "no": false, "nil": null, "list": [{"a b": "x"}, 7]}`
	for _, tt := range []struct {
		page  string
		path  string // steps, separated by blanks
		value string // "-": none
		want  bool
	}{
		{page, "status", "UP", true},
		{page, "status", "DOWN", false},
		{page, "status", "-", true},
		{page, "n", "1.50", true}, // as it is written
		{page, "n", "1.5", false},
		{page, "ok", "true", true},
		{page, "no", "-", false},
		{page, "no", "false", true},
		{page, "nil", "-", false},
		{page, "nil", "null", true},
		{page, "list 0", "-", true},
		{page, "list 1", "7", true},
		{page, "list 2", "-", false},
		{page, "list 0", "x", false},
		{page, "status x", "-", false},
		{page, "absent", "-", false},
		{page + "x", "status", "UP", false},
		{`"UP"`, "", "UP", true},
		{"", "", "-", false},
		{strings.Repeat("[", 100000), "", "-", false},
		{`"` + strings.Repeat("x", maxJSON) + `"`, "", "-", false},
	} {
		u := &model.URL{JSON: true, JSONPath: strings.Fields(tt.path), JSONValue: tt.value, JSONExact: tt.value != "-"}
		if got := jsonMatches([]byte(tt.page), u); got != tt.want {
			t.Errorf("%.60s at %q is %q: got %v", tt.page, tt.path, tt.value, got)
		}
	}
}

// site is a web server that speaks HTTP/2, in the clear or over TLS.
func site(t *testing.T, secure bool, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = nil
	s.Config.Protocols = new(http.Protocols)
	if secure {
		s.Config.Protocols.SetHTTP2(true)
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func TestHTTP2(t *testing.T) {
	page := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"proto": %q, "method": %q, "path": %q, "host": %q, "x": %q, "body": %q}`, r.Proto, r.Method, r.RequestURI, r.Host, r.Header.Get("X-A"), body)
	}
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			kind := model.HTTPGet
			if secure {
				kind = model.SSLGet
			}
			dst := site(t, secure, page)
			for path, want := range map[string]string{"proto": "HTTP/2.0", "method": "PUT", "path": "/a?b=c", "host": "www.example.org", "x": "y", "body": "hi"} {
				s := webSpec(kind, dst, model.URL{Path: "/a?b=c", VirtualHost: "www.example.org", Method: "PUT", Headers: []model.Secret{model.Secret("X-A: y")}, Body: model.Secret("hi"),
					JSON: true, JSONPath: []string{path}, JSONValue: want, JSONExact: true})
				s.Protocol = model.HTTP2
				if got := runFor(s, ample); !got.OK {
					t.Errorf("%s: got %+v", path, got)
				}
			}
		})
	}
	t.Run("status and digest", func(t *testing.T) {
		dst := site(t, false, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "hello")
		})
		s := webSpec(model.HTTPGet, dst, model.URL{})
		s.Protocol = model.HTTP2
		if got := runFor(s, ample); got.Reason != check.WebStatus {
			t.Errorf("got %+v", got)
		}
		s.URL.Status, s.URL.Digest = []model.StatusRange{{First: 418, Last: 418}}, sum("hello")
		if got := runFor(s, ample); !got.OK {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a server without it", func(t *testing.T) {
		secure := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(secure.Close)
		s := webSpec(model.SSLGet, netip.MustParseAddrPort(secure.Listener.Addr().String()), model.URL{})
		s.Protocol = model.HTTP2
		if got := runFor(s, ample); got.Reason != check.WebTLS {
			t.Errorf("over TLS: got %+v", got)
		}
		s = webSpec(model.HTTPGet, server(t, reply("HTTP/1.0 200 OK\r\n\r\nhello")), model.URL{})
		s.Protocol = model.HTTP2
		if got := runFor(s, ample); got.Reason != check.WebH2 {
			t.Errorf("in the clear: got %+v", got)
		}
	})
}

func TestGRPC(t *testing.T) {
	message := func(b ...byte) string { return string(append([]byte{0, 0, 0, 0, byte(len(b))}, b...)) }
	answer := func(body, status string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			asked, _ := io.ReadAll(r.Body)
			if want := message(append([]byte{10, 3}, "api"...)...); string(asked) != want || r.URL.Path != "/grpc.health.v1.Health/Check" ||
				r.Method != "POST" || r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" {
				status = "99"
			}
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			io.WriteString(w, body)
			w.Header().Set("Grpc-Status", status)
		}
	}
	for _, tt := range []struct {
		name   string
		secure bool
		h      http.HandlerFunc
		want   string
	}{
		{"serving", false, answer(message(8, 1), "0"), ""},
		{"serving over TLS", true, answer(message(8, 1), "0"), ""},
		{"fields that are not known", false, answer(message(26, 1, 'x', 8, 1), "0"), ""},
		{"not serving", false, answer(message(8, 2), "0"), "Health NOT_SERVING of"},
		{"status left out", false, answer(message(), "0"), "Health UNKNOWN of"},
		{"a number of tomorrow", false, answer(message(8, 9), "0"), "Health 9 of"},
		{"service not known", false, answer("", "5"), `grpc-status "5" from`},
		{"no status", false, answer(message(8, 1), ""), `grpc-status "" from`},
		{"no message", false, answer("", "0"), "No message of grpc.health.v1 from"},
		{"cut message", false, answer("\x00\x00\x00\x00\x09\x08\x01", "0"), "No message of grpc.health.v1 from"},
		{"length beyond the message", false, answer(message(26, 200, 1, 'x'), "0"), "No message of grpc.health.v1 from"},
		{"compressed", false, answer("\x01\x00\x00\x00\x02\x08\x01", "0"), "No message of grpc.health.v1 from"},
		{"too long", false, answer(strings.Repeat("x", maxGRPC+1), "0"), "Too long an answer from"},
		{"no gRPC", false, http.NotFound, "HTTP status 404 from"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Spec{Kind: model.GRPCCheck, GRPC: model.GRPCOpts{Service: "api", TLS: tt.secure},
				Conn: model.Connect{Dst: site(t, tt.secure, tt.h), Timeout: ample}}
			if got := runFor(s, ample); got.Reason != tt.want || got.OK != (tt.want == "") {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

// authority makes certificates that a file of authorities is good for.
func authority(t *testing.T) (ca string, issue func(name string, ends time.Duration) tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca = t.TempDir() + "/ca.pem"
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca, func(name string, ends time.Duration) tls.Certificate {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(ends)}
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = []net.IP{ip}
		} else {
			leaf.DNSNames = []string{name}
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
}

func TestTLSVerify(t *testing.T) {
	ca, issue := authority(t)
	const day = 24 * time.Hour
	serve := func(c tls.Certificate, newest uint16) netip.AddrPort {
		config := &tls.Config{Certificates: []tls.Certificate{c}, MaxVersion: newest, MinVersion: tls.VersionTLS10}
		return server(t, func(raw net.Conn) { reply("HTTP/1.0 200 OK\r\n\r\n")(tls.Server(raw, config)) })
	}
	for _, tt := range []struct {
		name    string
		cert    tls.Certificate
		newest  uint16
		url     model.URL
		opts    model.TLSOpts
		want    string // beginning of the reason
		expires bool
	}{
		{name: "right", cert: issue("www.example.org", day), url: model.URL{SNI: "www.example.org"}, opts: model.TLSOpts{Verify: true, CA: ca}},
		{name: "name from the virtual host", cert: issue("www.example.org", day), url: model.URL{VirtualHost: "www.example.org:8443"}, opts: model.TLSOpts{Verify: true, CA: ca}},
		{name: "address", cert: issue("127.0.0.1", day), opts: model.TLSOpts{Verify: true, CA: ca}},
		{name: "another name", cert: issue("www.example.org", day), url: model.URL{SNI: "x.example.org"}, opts: model.TLSOpts{Verify: true, CA: ca}, want: check.WebCertificate},
		{name: "another authority", cert: selfSigned(t), opts: model.TLSOpts{Verify: true, CA: ca}, want: check.WebCertificate},
		{name: "the system's authorities", cert: issue("127.0.0.1", day), opts: model.TLSOpts{Verify: true}, want: check.WebCertificate},
		{name: "expired", cert: issue("127.0.0.1", -time.Minute), opts: model.TLSOpts{Verify: true, CA: ca}, want: check.WebCertificate},
		{name: "TLS 1.1", cert: issue("127.0.0.1", day), newest: tls.VersionTLS11, opts: model.TLSOpts{Verify: true, CA: ca}, want: check.WebTLS},
		{name: "not asked for", cert: issue("x", -time.Minute)},
		{name: "ends soon", cert: issue("x", day), opts: model.TLSOpts{ExpiryWarning: 2 * day}, expires: true},
		{name: "ends later", cert: issue("x", 3*day), opts: model.TLSOpts{ExpiryWarning: 2 * day}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := webSpec(model.SSLGet, serve(tt.cert, tt.newest), tt.url)
			s.Secure = tt.opts
			got := runFor(s, ample)
			if got.OK != (tt.want == "") || !strings.HasPrefix(got.Reason, tt.want) || got.Unable {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
			if (got.Expires != 0) != tt.expires {
				t.Errorf("end of the certificate told: %d", got.Expires)
			}
		})
	}
	t.Run("no such file", func(t *testing.T) {
		s := webSpec(model.SSLGet, serve(issue("x", day), 0), model.URL{})
		s.Secure = model.TLSOpts{Verify: true, CA: "/nonexistent"}
		if got := runFor(s, ample); !got.Unable {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("client certificate of the checker", func(t *testing.T) {
		files := [2]string{t.TempDir() + "/cert.pem", t.TempDir() + "/key.pem"}
		serial := writeCert(t, files, nil, time.Now())
		got := make(chan *big.Int, 1)
		config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, ClientAuth: tls.RequireAnyClientCert}
		dst := server(t, func(raw net.Conn) {
			c := tls.Server(raw, config)
			if c.Handshake() == nil {
				got <- c.ConnectionState().PeerCertificates[0].SerialNumber
				reply("HTTP/1.0 200 OK\r\n\r\n")(c)
			}
		})
		s := webSpec(model.SSLGet, dst, model.URL{})
		s.Secure = model.TLSOpts{Cert: files[0], Key: files[1]}
		if r := runFor(s, ample); !r.OK {
			t.Fatalf("got %+v", r)
		}
		if g := <-got; g.Cmp(serial) != 0 {
			t.Errorf("serial number %v, want %v", g, serial)
		}
	})
}

func FuzzHealthStatus(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x08\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x05\x1a\x01x\x08\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := healthStatus(b); ok && len(b) < grpcPrefix {
			t.Error("too short")
		}
	})
}
