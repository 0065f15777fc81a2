package probe

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// conn is a TCP connection, for one goroutine at a time. A quick server's answer is often there before anything waits for it; only then the
// poller hears of the connection, and somebody asks for the time.
type conn struct {
	fd    int
	poll  *poller
	step  *clock // bounds what waits
	quick int    // reads so far
	wait  waiter
	share net.Conn // not nil: several goroutines use the connection, so the runtime's poller does for it
}

// maxQuick is how often a connection may read without a look at the clock: who always has something to say must not escape it.
const maxQuick = 16

// dial makes the handshake with the server of c within step. It spends as few system calls as can be, for checks are what a prober does by
// the thousand.
func dial(step *clock, c *model.Connect) (*conn, error) {
	poll, err := poll()
	if err != nil {
		return nil, err
	}
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
	n := &conn{fd: fd, poll: poll, step: step}
	if err := n.connect(to); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// within makes step bound what follows.
func (c *conn) within(step *clock) {
	if c.share != nil {
		c.share.SetDeadline(step.deadline())
	}
	c.step = step
}

func (c *conn) connect(to unix.Sockaddr) error {
	for first := true; ; first = false {
		switch errno := rawConnect(c.fd, to); errno {
		case 0, unix.EISCONN:
			return nil
		case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		default:
			return os.NewSyscallError("connect", errno)
		}
		if first { // A server nearby has answered by the time that the other probes of this instant have asked.
			runtime.Gosched()
		} else if err := c.poll.wait(c, unix.EPOLLIN|unix.EPOLLOUT); err != nil {
			return err
		}
	}
}

func (c *conn) Read(p []byte) (int, error) {
	if c.share != nil {
		return c.share.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if c.wait.events == 0 {
		runtime.Gosched() // as above
	}
	if c.quick++; c.quick > maxQuick && !c.step.left() {
		return 0, os.ErrDeadlineExceeded
	}
	for {
		switch n, errno := transfer(unix.SYS_READ, c.fd, p); errno {
		case 0:
			if n == 0 {
				return 0, io.EOF
			}
			return n, nil
		case unix.EAGAIN:
		default:
			return 0, os.NewSyscallError("read", errno)
		}
		if err := c.poll.wait(c, unix.EPOLLIN); err != nil {
			return 0, err
		}
	}
}

func (c *conn) Write(p []byte) (written int, _ error) {
	if c.share != nil {
		return c.share.Write(p)
	}
	for written < len(p) {
		switch n, errno := transfer(unix.SYS_WRITE, c.fd, p[written:]); errno {
		case 0:
			written += n
			continue
		case unix.EAGAIN:
		default:
			return written, os.NewSyscallError("write", errno)
		}
		if err := c.poll.wait(c, unix.EPOLLIN|unix.EPOLLOUT); err != nil {
			return written, err
		}
	}
	return written, nil
}

func (c *conn) Close() error {
	if c.share != nil {
		return c.share.Close()
	}
	if c.fd < 0 {
		return os.ErrClosed
	}
	c.poll.forget(c)
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(c.fd), 0, 0)
	if c.fd = -1; errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}

// shareOut allows several goroutines to use c from now on.
func (c *conn) shareOut() error {
	if c.wait.events != 0 {
		c.poll.forget(c)
		if err := c.poll.watch(unix.EPOLL_CTL_DEL, c.fd, 0); err != nil {
			return err
		}
	}
	f := os.NewFile(uintptr(c.fd), "connection")
	defer f.Close()
	c.fd = -1
	var err error
	c.share, err = net.FileConn(f)
	return err
}

// SetDeadline ends the step at t.
func (c *conn) SetDeadline(t time.Time) error {
	if c.share != nil {
		return c.share.SetDeadline(t)
	}
	c.step = &clock{end: t}
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }

// LocalAddr and RemoteAddr make it a net.Conn; nobody asks for them.
func (c *conn) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (c *conn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// The system calls of a prober do not tell the Go scheduler of themselves, since none of them waits: the scheduler's watchdog, which would be woken, looks
// at a process 50 times and more before it sleeps again, and that costs more than the probes that one wake-up brings.

// transfer reads or writes without waiting; errno is EAGAIN where it would have to.
func transfer(call uintptr, fd int, p []byte) (int, unix.Errno) {
	for {
		switch n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))); errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

func rawConnect(fd int, to unix.Sockaddr) unix.Errno {
	port := func(n int) (net uint16) {
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&net))[:], uint16(n))
		return net
	}
	var errno unix.Errno
	switch to := to.(type) {
	case *unix.SockaddrInet4:
		raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port(to.Port), Addr: to.Addr}
		_, _, errno = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4)
	case *unix.SockaddrInet6:
		raw := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port(to.Port), Addr: to.Addr, Scope_id: to.ZoneId}
		_, _, errno = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet6)
	}
	return errno
}
