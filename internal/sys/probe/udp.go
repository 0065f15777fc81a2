package probe

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// udpCheck is UDP_CHECK: one datagram that is not refused, or, with require_reply, is answered (checkers.md §7).
//
// Differs from keepalived: any ICMP error is a failure, not only "destination unreachable".
type udpCheck struct{}

// defaultPayload is sent unless the configuration has another.
const defaultPayload = "keepalived check - keepalived ch"

func (udpCheck) Probe(ctx context.Context, s *Spec) check.Result {
	failed := check.Result{Reason: check.UDPFailed}
	step := startClock(ctx, s.Conn.Timeout)
	// With its error queue on, the kernel tells the socket of "no route to host" as well, not just of a closed port.
	conn, err := dialUDP(&s.Conn, func(fd int) error {
		if s.Conn.Dst.Addr().Is6() {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	})
	if err != nil {
		return failed // even an error of our own side, as in keepalived
	}
	defer conn.Close()
	conn.SetDeadline(step.deadline())
	payload := s.UDP.Payload
	if payload == nil {
		payload = []byte(defaultPayload)
	}
	if _, err := conn.Write(payload); err != nil {
		return failed
	}
	answer := make([]byte, max(s.UDP.Most, len(s.UDP.Reply))+1) // a longer datagram is cut off, but still seen to be too long
	n, err := conn.Read(answer)
	switch {
	case isTimeout(err):
		if r := step.late(check.UDPFailed); r.Unable || s.UDP.NeedReply {
			return r
		}
		return check.Result{OK: true}
	case err != nil:
		return failed
	case !matches(&s.UDP, answer[:n]):
		return check.Result{Reason: check.UDPMismatch}
	}
	return check.Result{OK: true}
}

// matches compares an answer with the wanted one as far as both go.
func matches(o *model.UDPOpts, answer []byte) bool {
	if o.Reply == nil {
		return true
	}
	if len(answer) < o.Least || len(answer) > o.Most {
		return false
	}
	for i := range min(len(answer), len(o.Reply)) {
		if (answer[i]^o.Reply[i])&o.Mask[i] != 0 {
			return false
		}
	}
	return true
}
