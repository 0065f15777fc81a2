package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// socketAddr is a in the kernel's form; link is the interface of a link-local address.
func socketAddr(a netip.AddrPort, link string) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	to := &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	if a.Addr().IsLinkLocalUnicast() {
		if l, err := net.InterfaceByName(link); err == nil {
			to.ZoneId = uint32(l.Index)
		}
	}
	return to
}

// dialUDP connects a datagram socket, so that ICMP errors reach it; extra, if any, sets further options.
func dialUDP(c *model.Connect, extra func(fd int) error) (net.Conn, error) {
	d := net.Dialer{
		Control: func(_, _ string, raw syscall.RawConn) error {
			var err error
			if e := raw.Control(func(fd uintptr) {
				if err = setOptions(int(fd), c); err == nil && extra != nil {
					err = extra(int(fd))
				}
			}); e != nil {
				return e
			}
			return err
		},
	}
	dst := c.Dst
	if dst.Addr().IsLinkLocalUnicast() && dst.Addr().Is6() {
		dst = netip.AddrPortFrom(dst.Addr().WithZone(c.BindIf), dst.Port())
	}
	if c.Bind.Addr().IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(c.Bind)
	}
	return d.Dial("udp", dst.String())
}

func setOptions(fd int, c *model.Connect) error {
	if c.BindIf != "" {
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, c.BindIf); err != nil {
			return &optionError{"can't bind to device " + c.BindIf, err}
		}
	}
	if c.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(c.Mark)); err != nil {
			return &optionError{"can't set fwmark", err}
		}
	}
	return nil
}

// optionError is a refused socket option.
type optionError struct {
	what string
	err  error
}

func (e *optionError) Error() string { return e.what + ": " + e.err.Error() }
func (e *optionError) Unwrap() error { return e.err }

// serversFault are the errors of connect(2) that the network or the server caused; all others are our own, and say nothing about
// the server (checkers.md §1.4).
var serversFault = []syscall.Errno{
	unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ECONNREFUSED, unix.EHOSTDOWN, unix.ENETDOWN, unix.ECONNRESET, unix.ECONNABORTED,
	unix.ETIMEDOUT,
	// These can only be answers by ICMP.
	unix.ENOPROTOOPT, unix.EPROTO, unix.EOPNOTSUPP,
}

// unable tells whether a failed dial is no fault of the server, and makes its result.
func unable(err error) (check.Result, bool) {
	if isTimeout(err) {
		return check.Result{}, false
	}
	reason := "Checker bind failed: " + strerror(err)
	var sys *os.SyscallError
	var option *optionError
	switch {
	case errors.As(err, &option):
		reason = "Checker " + option.what + ": " + strerror(err)
	case errors.As(err, &sys) && sys.Syscall == "connect":
		for _, errno := range serversFault {
			if errors.Is(err, errno) {
				return check.Result{}, false
			}
		}
		if errno, ok := sys.Err.(syscall.Errno); ok {
			reason = fmt.Sprintf("socket connect error %d - %s", int(errno), strerror(err))
		}
	}
	return check.Result{Unable: true, Reason: reason}, true
}

// strerror is the text of the innermost system error, capitalised as in the C library.
func strerror(err error) string {
	text := err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text = errno.Error()
	}
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &n) && n.Timeout() && !errors.Is(err, unix.ETIMEDOUT)
}

// clock is the time limit of one step of a probe. It runs from the first look at it, which is when something has to wait: a probe of a quick
// server does without.
type clock struct {
	ctx   context.Context
	limit time.Duration
	end   time.Time // zero: nobody has looked
}

// startClock begins a step of at most d, but not beyond the deadline of ctx.
func startClock(ctx context.Context, d time.Duration) *clock { return &clock{ctx: ctx, limit: d} }

// restart gives the step its whole time again.
func (c *clock) restart() { c.end = time.Time{} }

// deadline is the end of the step.
func (c *clock) deadline() time.Time {
	if c.end.IsZero() {
		c.end = time.Now().Add(c.limit)
		if limit, ok := c.ctx.Deadline(); ok && limit.Before(c.end) {
			c.end = limit
		}
	}
	return c.end
}

// left reports whether there is time left.
func (c *clock) left() bool { return time.Now().Before(c.deadline()) }

// late makes the result of a step that timed out: not the server's failure if this process itself noticed too late.
func (c *clock) late(reason string) check.Result {
	if by := time.Since(c.deadline()); by > starved {
		return check.Result{Unable: true, Reason: "Checker process was not run for " + by.Round(time.Millisecond).String()}
	}
	return check.Result{Reason: reason}
}
