package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
)

// grpcCheck is GRPC_CHECK: the server, or one of its services, says SERVING to grpc.health.v1.Health/Check.
type grpcCheck struct{}

// The health protocol (grpc/health/v1/health.proto): a request has the service as field 1, an answer the status as field 1.
const (
	grpcMethod  = "/grpc.health.v1.Health/Check"
	grpcServing = 1
	grpcPrefix  = 5       // of a message: not compressed, and its length
	maxGRPC     = 4 << 10 // an answer is 7 bytes long
)

var grpcStatus = map[uint64]string{0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

func (grpcCheck) Probe(ctx context.Context, s *Spec) check.Result {
	conn, expires, r := connect(ctx, s, []string{"h2"})
	if conn == nil {
		return r
	}
	defer conn.Close()
	step := startClock(ctx, s.Conn.Timeout)
	conn.SetDeadline(step.deadline())
	r = askHealth(ctx, s, step, conn)
	r.Expires = expires
	return r
}

func askHealth(ctx context.Context, s *Spec, step *clock, conn net.Conn) check.Result {
	scheme := "http"
	if s.GRPC.TLS {
		scheme = "https"
	}
	answer, done, err := exchange(ctx, conn, &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: scheme, Path: grpcMethod}, Host: host(s),
		Header: http.Header{"User-Agent": {"KeepAliveClient"}, "Content-Type": {"application/grpc"}, "Te": {"trailers"}},
		Body:   io.NopCloser(bytes.NewReader(healthRequest(s.GRPC.Service))),
	})
	failed := func(err error) check.Result {
		if isTimeout(err) || !step.left() {
			return step.late(check.WebHTTPTimeout)
		}
		return check.Result{Reason: check.WebH2}
	}
	if err != nil {
		return failed(err)
	}
	defer done()
	message, err := io.ReadAll(io.LimitReader(answer.Body, maxGRPC+1))
	switch {
	case err != nil:
		return failed(err)
	case len(message) > maxGRPC:
		return check.Result{Reason: "Too long an answer from"}
	case answer.StatusCode != http.StatusOK:
		return check.Result{Reason: fmt.Sprintf("HTTP status %d from", answer.StatusCode)}
	}
	status := answer.Trailer.Get("grpc-status")
	if status == "" {
		status = answer.Header.Get("grpc-status") // an error may come without a message
	}
	if status != "0" {
		return check.Result{Reason: fmt.Sprintf("grpc-status %.20q from", status)}
	}
	health, ok := healthStatus(message)
	switch name := grpcStatus[health]; {
	case !ok:
		return check.Result{Reason: "No message of grpc.health.v1 from"}
	case health == grpcServing:
		return check.Result{OK: true}
	case name != "":
		return check.Result{Reason: "Health " + name + " of"}
	}
	return check.Result{Reason: fmt.Sprintf("Health %d of", health)}
}

// healthRequest is the one message of the request with its prefix.
func healthRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = append(message, 1<<3|2)
		message = binary.AppendUvarint(message, uint64(len(service)))
		message = append(message, service...)
	}
	out := make([]byte, grpcPrefix, grpcPrefix+len(message))
	binary.BigEndian.PutUint32(out[1:], uint32(len(message)))
	return append(out, message...)
}

// healthStatus takes field 1 out of the one message of an answer; a message without it means 0.
func healthStatus(b []byte) (status uint64, ok bool) {
	if len(b) < grpcPrefix || b[0] != 0 || int64(binary.BigEndian.Uint32(b[1:])) != int64(len(b)-grpcPrefix) {
		return 0, false
	}
	for b = b[grpcPrefix:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, false
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return 0, false
			}
			if b = b[n:]; tag>>3 == 1 {
				status = v
			}
		case 2:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return 0, false
			}
			b = b[n+int(size):]
		default:
			return 0, false
		}
	}
	return status, true
}
