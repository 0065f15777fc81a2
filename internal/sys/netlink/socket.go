package netlink

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// socket is one NETLINK_ROUTE socket, used by one goroutine at a time.
type socket struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
	seq  uint32
	size int    // of buf to begin with
	buf  []byte // made when it is first needed: not every socket is read
}

// Sizes of buf. What is longer is lost, once; then it is made long enough.
const (
	minBuf  = 4 << 10  // acknowledgements
	noteBuf = 16 << 10 // notifications, each of one object
	dumpBuf = 64 << 10 // the kernel makes parts of a dump half as long
)

// orElse returns the size that is meant where the configuration names none: as many bytes, if that is allowed.
func orElse(b model.RxBuf, bytes int) model.RxBuf {
	if b.Bytes == 0 {
		return model.RxBuf{Bytes: bytes, Force: true}
	}
	return b
}

// open opens a socket in the calling thread's network namespace that hears groups (a mask of RTMGRP_*). rxBuf of 0 is the kernel's default.
func open(groups uint32, rxBuf model.RxBuf) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups})
	if err == nil && rxBuf.Bytes > 0 {
		err = unix.EPERM
		if rxBuf.Force {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, rxBuf.Bytes)
		}
		if err == unix.EPERM {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, rxBuf.Bytes)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	// Without these an error comes without its text, and with the whole request: both options are younger than the oldest kernels.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	s := &socket{fd: fd, file: os.NewFile(uintptr(fd), "netlink")}
	s.raw, err = s.file.SyscallConn()
	return s, err
}

// filter has the kernel drop what a program returns 0 for.
func (s *socket) filter(program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

// port is the address of the socket, by which notifications name who caused them.
func (s *socket) port() uint32 {
	if a, err := unix.Getsockname(s.fd); err == nil {
		if n, ok := a.(*unix.SockaddrNetlink); ok {
			return n.Pid
		}
	}
	return 0
}

func (s *socket) close() error { return s.file.Close() }

func (s *socket) nextSeq() uint32 {
	s.seq++
	return s.seq
}

// send hands whole messages to the kernel, which has worked them off when send returns.
func (s *socket) send(b []byte) error {
	for {
		err := unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if err != unix.EINTR {
			return err
		}
	}
}

// receive waits for messages of the kernel, which are valid until the next receive. After interrupt it returns an error.
func (s *socket) receive() ([]syscall.NetlinkMessage, error) {
	s.room()
	for {
		var (
			n    int
			from unix.Sockaddr
			rerr error
		)
		err := s.raw.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), s.buf, unix.MSG_TRUNC)
			return rerr != unix.EAGAIN
		})
		if err == nil {
			err = rerr
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // only the kernel is believed
		}
		if n > len(s.buf) {
			s.buf = make([]byte, 2*n)
			return nil, unix.ENOBUFS // what was cut off is as lost as what did not fit the socket
		}
		return syscall.ParseNetlinkMessage(s.buf[:n])
	}
}

// room makes the buffer.
func (s *socket) room() {
	if s.buf == nil {
		s.buf = make([]byte, max(s.size, minBuf))
	}
}

// discard drops everything that was received up to now.
func (s *socket) discard() error {
	s.room()
	for {
		_, _, err := unix.Recvfrom(s.fd, s.buf, 0)
		switch err {
		case nil, unix.ENOBUFS, unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return err
		}
	}
}

// interrupt makes a waiting receive, and all later ones, return.
func (s *socket) interrupt() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

// ifIndex returns the index of the interface called name; ENODEV: there is none.
func (s *socket) ifIndex(name string) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, unix.ENODEV // too long for any
	}
	if err := unix.IoctlIfreq(s.fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, err
	}
	return int(req.Uint32()), nil
}

// Error is the kernel's answer to a request that it refused.
type Error struct {
	Errno syscall.Errno
	Text  string // the kernel's own explanation; usually empty
	Type  uint16 // RTM_* of the request
	Seq   uint32
}

func (e *Error) Error() string {
	if e.Text != "" {
		return fmt.Sprintf("%s (%s)", e.Errno, e.Text)
	}
	return e.Errno.Error()
}

func (e *Error) Unwrap() error { return e.Errno }

// decodeError reads the NLMSG_ERROR message m; nil: it acknowledges.
func decodeError(m *syscall.NetlinkMessage) (*Error, bool) {
	const fixed = 4 + unix.SizeofNlMsghdr
	if len(m.Data) < fixed {
		return &Error{Errno: unix.EBADMSG, Seq: m.Header.Seq}, false
	}
	code := -int32(native.Uint32(m.Data))
	if code == 0 {
		return nil, true
	}
	e := &Error{Errno: syscall.Errno(code), Type: native.Uint16(m.Data[8:]), Seq: m.Header.Seq}
	tlvs := m.Header.Flags&unix.NLM_F_ACK_TLVS != 0
	if tlvs && m.Header.Flags&unix.NLM_F_CAPPED != 0 {
		for typ, v := range attributes(m.Data[fixed:]) {
			if typ == unix.NLMSGERR_ATTR_MSG {
				e.Text = text(v)
			}
		}
	}
	return e, false
}
