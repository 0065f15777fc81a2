package probe

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/regex"
)

// webGet is HTTP_GET and SSL_GET: one url fetched over a connection of its own, its status and digest compared and its pattern
// looked for. The reader is
// keepalived's, not an HTTP implementation: only the end of the connection ends an answer, and no transfer coding is undone
// (checkers.md §3.3).
type webGet struct{}

const (
	maxRequest = 2047
	maxHeader  = 4095 // the blank line must come within

	// maxBody bounds what a server can make us read. Differs from keepalived: it has no bound.
	maxBody = 256 << 20
)

func (webGet) Probe(ctx context.Context, s *Spec) check.Result {
	var pattern *regex.Pattern
	if s.URL.Regex != "" {
		var err error
		if pattern, err = regex.Compile(s.URL.Regex, s.URL.RegexOpts); err != nil {
			return check.Result{Unable: true, Reason: "Invalid regex: '" + s.URL.Regex + "' " + err.Error()}
		}
		defer pattern.Close()
	}
	a := newAnswer(&s.URL, pattern)
	r := fetch(ctx, s, a)
	if !r.OK {
		return r
	}
	verdict := a.judge(&s.URL)
	verdict.Expires = r.Expires
	return verdict
}

// Page is an answer as genhash shows it.
type Page struct {
	Head   []byte // status line and header fields, without the blank line
	Digest []byte // MD5 of the body
}

// Get fetches the url of s as a checker does, writes the digested part of the body to body, and returns the rest of the answer. The
// result tells why there is none; a page that a checker would not be satisfied with is fine.
func Get(ctx context.Context, s *Spec, body io.Writer) (Page, check.Result) {
	a := newAnswer(&s.URL, nil)
	a.copy, a.sum = body, md5.New()
	r := fetch(ctx, s, a)
	if r.OK && !a.ended {
		r = check.Result{Reason: check.WebNoData}
	}
	return Page{Head: a.head, Digest: a.sum.Sum(nil)}, r
}

// fetch reads the answer to the end; OK means no more than that.
func fetch(ctx context.Context, s *Spec, a *answer) check.Result {
	var protocols []string
	if s.Protocol == model.HTTP2 {
		protocols = []string{"h2"}
	}
	conn, expires, r := connect(ctx, s, protocols)
	if conn == nil {
		return r
	}
	defer conn.Close()
	if s.Protocol == model.HTTP2 {
		r = fetchH2(ctx, s, conn, a)
	} else {
		r = fetchH1(ctx, s, conn, a)
	}
	r.Expires = expires
	return r
}

// stream is a connection, or TLS over one.
type stream struct {
	net.Conn
	under *conn
	quiet bool // TLS that ends without a word
}

func (s *stream) Close() error {
	if s.quiet {
		return s.under.Close()
	}
	return s.Conn.Close()
}

// connect makes the connection, and the handshake if TLS is spoken; protocols are offered there, and one has to be taken. If it is nil
// the result says why. expires is not 0 if the server's certificate does within tls_expiry_warning.
func connect(ctx context.Context, s *Spec, protocols []string) (_ *stream, expires int64, _ check.Result) {
	config, err := tlsConfig(s)
	if err != nil {
		return nil, 0, check.Result{Unable: true, Reason: "SSL client setup failed: " + err.Error()}
	}
	step := startClock(ctx, s.Conn.Timeout)
	conn, err := dial(step, &s.Conn)
	if err != nil {
		return nil, 0, webDialFailed(step, err)
	}
	if protocols != nil {
		if err := conn.shareOut(); err != nil {
			conn.Close()
			return nil, 0, check.Result{Unable: true, Reason: "socket failed: " + strerror(err)}
		}
	}
	if config == nil {
		return &stream{Conn: conn, under: conn}, 0, check.Result{}
	}
	config.NextProtos = protocols
	step = startClock(ctx, s.Conn.Timeout)
	conn.within(step)
	secure := tls.Client(conn, config)
	err = secure.HandshakeContext(ctx)
	state := secure.ConnectionState()
	var invalid *tls.CertificateVerificationError
	switch {
	case err == nil && protocols != nil && state.NegotiatedProtocol == "":
		err = errors.New("the server does not speak HTTP/2")
		fallthrough
	case err != nil:
		conn.Close()
		switch {
		case isTimeout(err):
			return nil, 0, step.late(check.WebConnectTimeout)
		case errors.As(err, &invalid):
			return nil, 0, check.Result{Reason: check.WebCertificate + " (" + printable(invalid.Err.Error()) + ") of"}
		}
		return nil, 0, check.Result{Reason: check.WebTLS}
	}
	return &stream{secure, conn, !s.URL.TLSClose}, expiring(s, &state), check.Result{}
}

// printable bounds a text that the server has a hand in.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, s[:min(len(s), 200)])
}

// fetchH1 asks and reads to the end of the connection.
func fetchH1(ctx context.Context, s *Spec, stream *stream, a *answer) check.Result {
	step := startClock(ctx, s.Conn.Timeout)
	stream.under.within(step)
	if _, err := stream.Write(request(s)); err != nil {
		if isTimeout(err) {
			return step.late(check.WebSend)
		}
		return check.Result{Reason: check.WebSend}
	}

	buf := buffers.Get().(*[16 << 10]byte)
	defer buffers.Put(buf)
	for first := true; ; first = false {
		// In HTTP each read has the whole time; in TLS the answer has, as keepalived does.
		if s.Kind != model.SSLGet {
			step.restart()
		}
		n, err := stream.Read(buf[:])
		if !a.take(buf[:n]) {
			return check.Result{Reason: check.WebNoData}
		}
		if a.received > maxBody {
			return check.Result{Reason: check.WebReadError}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return check.Result{OK: true}
		default:
			return webReadFailed(s.Kind, step, first && n == 0, err)
		}
	}
}

var buffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

func webDialFailed(step *clock, err error) check.Result {
	if r, is := unable(err); is {
		return r
	}
	switch {
	case isTimeout(err):
		return step.late(check.WebConnectTimeout)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EHOSTUNREACH):
		return check.Result{Reason: check.WebUnreachable}
	}
	return check.Result{Reason: check.WebConnectFailed}
}

func webReadFailed(k model.CheckKind, step *clock, first bool, err error) check.Result {
	secure := k == model.SSLGet
	switch {
	case isTimeout(err) && first:
		return step.late(check.WebTimeout)
	case isTimeout(err) && secure:
		return step.late(check.WebTLSTimeout)
	case isTimeout(err):
		return step.late(check.WebHTTPTimeout)
	case secure:
		return check.Result{Reason: check.WebTLSReadError}
	}
	return check.Result{Reason: check.WebReadError}
}

// request is the exact request of keepalived.
func request(s *Spec) []byte {
	version, extra := "1.0", ""
	switch s.Protocol {
	case model.HTTP10C:
		extra = "Connection: close\r\n"
	case model.HTTP11:
		version, extra = "1.1", "Connection: close\r\n"
	}
	b := []byte(method(&s.URL) + " " + s.URL.Path + " HTTP/" + version + "\r\nUser-Agent: KeepAliveClient\r\n" + extra + "Host: " + host(s) + "\r\n\r\n")
	b = b[:min(len(b), maxRequest)]
	if u := &s.URL; len(u.Headers) > 0 || len(u.Body) > 0 { // our own keywords: nothing is cut
		b = bytes.TrimSuffix(b, []byte("\r\n"))
		for _, h := range u.Headers {
			b = append(append(b, h...), "\r\n"...)
		}
		if len(u.Body) > 0 {
			b = fmt.Appendf(b, "Content-Length: %d\r\n", len(u.Body))
		}
		b = append(append(b, "\r\n"...), u.Body...)
	}
	return b
}

func method(u *model.URL) string { return cmp.Or(u.Method, http.MethodGet) }

// host is the server's name in the request.
func host(s *Spec) string {
	name := s.URL.VirtualHost
	if s.Kind == model.GRPCCheck {
		name = s.GRPC.Host
	}
	return cmp.Or(name, netip.AddrPortFrom(s.Conn.Dst.Addr().WithZone(""), s.Conn.Dst.Port()).String())
}
