package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// dial makes the handshake with the server of c, within c.Timeout. It spends as few system calls as can be, for checks are what a
// prober does by the thousand (net.Dialer needs half as many again, and a goroutine for each connection).
func dial(ctx context.Context, c *model.Connect) (*conn, error) {
	to := socketAddr(c.Dst, c.BindIf)
	family := unix.AF_INET
	if _, ip6 := to.(*unix.SockaddrInet6); ip6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err = setOptions(fd, c); err == nil && c.Bind.Addr().IsValid() {
		err = os.NewSyscallError("bind", unix.Bind(fd, socketAddr(c.Bind, c.BindIf)))
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	n := &conn{fd: fd}
	done, err := n.connect(to)
	if !done {
		// A server nearby has often answered by the time that the other probes of this instant have asked.
		runtime.Gosched()
		done, err = n.connect(to)
	}
	if !done {
		n.SetDeadline(startClock(ctx, c.Timeout).end)
		var raw syscall.RawConn
		if raw, err = n.wait().SyscallConn(); err == nil {
			if e := raw.Write(func(uintptr) bool { done, err = n.connect(to); return done }); e != nil {
				err = e
			}
		}
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// conn is a TCP connection. The runtime's poller hears of it only when it has to wait, which beside a quick server it never has to.
type conn struct {
	fd   int
	file *os.File  // nil until something has to wait
	end  time.Time // deadline of both directions
}

// connect begins the handshake, and later tells whether it is done.
func (c *conn) connect(to unix.Sockaddr) (done bool, err error) {
	switch err = unix.Connect(c.fd, to); err {
	case nil, unix.EISCONN:
		return true, nil
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		return false, nil
	}
	return true, os.NewSyscallError("connect", err)
}

// wait returns the connection as the poller knows it.
func (c *conn) wait() *os.File {
	if c.file == nil {
		c.file = os.NewFile(uintptr(c.fd), "connection")
		c.file.SetDeadline(c.end)
	}
	return c.file
}

func (c *conn) Read(p []byte) (int, error) {
	if c.file == nil {
		runtime.Gosched()
		if err := c.late(); err != nil {
			return 0, err
		}
		switch n, err := unix.Read(c.fd, p); {
		case err == nil && n == 0 && len(p) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err != unix.EAGAIN && err != unix.EINTR:
			return 0, os.NewSyscallError("read", err)
		}
	}
	return c.wait().Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	if c.file == nil {
		if err := c.late(); err != nil {
			return 0, err
		}
		switch n, err := unix.Write(c.fd, p); {
		case err == nil && n == len(p):
			return n, nil
		case err == nil:
			more, err := c.wait().Write(p[n:])
			return n + more, err
		case err != unix.EAGAIN && err != unix.EINTR:
			return 0, os.NewSyscallError("write", err)
		}
	}
	return c.wait().Write(p)
}

func (c *conn) late() error {
	if !c.end.IsZero() && !time.Now().Before(c.end) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.end = t
	if c.file == nil {
		return nil
	}
	return c.file.SetDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }

func (c *conn) Close() error {
	if c.file != nil {
		return c.file.Close()
	}
	if c.fd < 0 {
		return os.ErrClosed
	}
	fd := c.fd
	c.fd = -1
	return unix.Close(fd)
}

// LocalAddr and RemoteAddr make it a net.Conn; nobody asks for them.
func (c *conn) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (c *conn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

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

// clock is the time limit of one step of a probe.
type clock struct{ end time.Time }

// startClock begins a step of at most d, but not beyond the deadline of ctx.
func startClock(ctx context.Context, d time.Duration) clock {
	end := time.Now().Add(d)
	if limit, ok := ctx.Deadline(); ok && limit.Before(end) {
		end = limit
	}
	return clock{end}
}

// left reports whether there is time left.
func (c clock) left() bool { return time.Now().Before(c.end) }

// late makes the result of a step that timed out: not the server's failure if this process itself noticed too late.
func (c clock) late(reason string) check.Result {
	if by := time.Since(c.end); by > starved {
		return check.Result{Unable: true, Reason: "Checker process was not run for " + by.Round(time.Millisecond).String()}
	}
	return check.Result{Reason: reason}
}
