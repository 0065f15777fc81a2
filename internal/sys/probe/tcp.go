package probe

import (
	"context"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
)

// tcpCheck is TCP_CHECK: alive is who completes the handshake. Nothing is sent, and the connection is closed at once.
type tcpCheck struct{}

func (tcpCheck) Probe(ctx context.Context, s *Spec) check.Result {
	step := startClock(ctx, s.Conn.Timeout)
	conn, err := dial(step, &s.Conn)
	if err == nil {
		conn.Close()
		return check.Result{OK: true}
	}
	if r, is := unable(err); is {
		return r
	}
	if isTimeout(err) {
		return step.late(check.TCPTimeout)
	}
	return check.Result{Reason: check.TCPFailed}
}
