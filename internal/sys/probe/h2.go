package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http2"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Bounds of what an HTTP/2 server can make us keep.
const (
	maxH2Header = 64 << 10
	maxH2Frame  = 64 << 10
)

// exchange sends one HTTP/2 request over a connection whose deadline is set, and returns the head of the answer.
func exchange(ctx context.Context, conn net.Conn, r *http.Request) (*http.Response, func(), error) {
	//lint:ignore SA1019 a check has its connection already, with its options; net/http dials itself
	t := &http2.Transport{DisableCompression: true, MaxHeaderListSize: maxH2Header, MaxReadFrameSize: maxH2Frame, AllowHTTP: true}
	//lint:ignore SA1019 as above
	client, err := t.NewClientConn(conn)
	if err != nil {
		return nil, nil, err
	}
	answer, err := client.RoundTrip(r.WithContext(ctx))
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return answer, func() {
		answer.Body.Close()
		client.Close()
	}, nil
}

// fetchH2 is fetch over HTTP/2 once the connection stands; the answer as a whole has connect_timeout.
func fetchH2(ctx context.Context, s *Spec, conn net.Conn, a *answer) check.Result {
	step := startClock(ctx, s.Conn.Timeout)
	conn.SetDeadline(step.deadline())
	path, err := url.ParseRequestURI(s.URL.Path)
	if err != nil {
		path = &url.URL{Opaque: s.URL.Path}
	}
	r := &http.Request{Method: method(&s.URL), URL: path, Host: host(s), Header: http.Header{"User-Agent": {"KeepAliveClient"}}}
	if r.URL.Scheme = "http"; s.Kind == model.SSLGet {
		r.URL.Scheme = "https"
	}
	for _, h := range s.URL.Headers {
		name, value, _ := strings.Cut(string(h), ": ")
		r.Header.Add(name, value)
	}
	if len(s.URL.Body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(s.URL.Body)), int64(len(s.URL.Body))
	}
	answer, done, err := exchange(ctx, conn, r)
	if err != nil {
		return h2Failed(s, step, err)
	}
	defer done()
	a.begin(fmt.Sprintf("HTTP/2 %03d ", answer.StatusCode))
	buf := buffers.Get().(*[16 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := answer.Body.Read(buf[:])
		a.body(buf[:n])
		switch {
		case a.received > maxBody:
			return check.Result{Reason: check.WebReadError}
		case errors.Is(err, io.EOF):
			return check.Result{OK: true}
		case err != nil:
			return h2Failed(s, step, err)
		}
	}
}

func h2Failed(s *Spec, step *clock, err error) check.Result {
	if isTimeout(err) || !step.left() {
		return step.late(check.WebHTTPTimeout)
	}
	return check.Result{Reason: check.WebH2}
}
