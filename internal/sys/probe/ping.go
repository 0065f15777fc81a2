package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// pingCheck is PING_CHECK: one ICMP echo that is answered (checkers.md §8).
//
// Differs from keepalived: net.ipv4.ping_group_range is left alone, and where it forbids ping sockets a raw socket is used; each echo
// has a socket of its own, so its sequence number is always 1; packets that are not its reply are not looked at, where keepalived
// takes them for a failure; fwmark applies.
type pingCheck struct{}

// Types of messages (RFC 792, RFC 4443 §4).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129

	echoHeader   = 8
	echoText     = 128 // bytes after the header
	echoSequence = 1
)

func (pingCheck) Probe(ctx context.Context, s *Spec) check.Result {
	step := startClock(ctx, s.Conn.Timeout)
	failed := check.Result{Reason: check.PingFailed}
	p, err := openPing(&s.Conn)
	if err != nil {
		var sys *os.SyscallError
		if errors.As(err, &sys) && sys.Syscall == "connect" {
			for _, errno := range serversFault {
				if errors.Is(err, errno) {
					return failed
				}
			}
		}
		return check.Result{Unable: true, Reason: "Checker " + pingError(err)}
	}
	defer p.Close()
	p.SetDeadline(step.deadline())
	if _, err := p.Write(p.request()); err != nil {
		return failed
	}
	buf := make([]byte, 512) // a longer packet is cut off
	for {
		n, err := p.Read(buf)
		switch {
		case isTimeout(err):
			return step.late(check.PingTimeout)
		case err != nil:
			return failed
		case p.answers(buf[:n]):
			return check.Result{OK: true}
		}
	}
}

func pingError(err error) string {
	var option *optionError
	var sys *os.SyscallError
	what := "ping"
	if errors.As(err, &option) {
		what = option.what
	} else if errors.As(err, &sys) {
		what = sys.Syscall
	}
	return what + " failed: " + strerror(err)
}

// pinger is a socket that sees echo replies of one host.
type pinger struct {
	*os.File
	ip6, raw bool
	id       uint16 // of a raw socket; a ping socket gets one of the kernel
}

func openPing(c *model.Connect) (*pinger, error) {
	p := &pinger{ip6: c.Dst.Addr().Is6()}
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if p.ip6 {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	const flags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|flags, protocol)
	if errors.Is(err, unix.EACCES) {
		p.raw, p.id = true, uint16(rand.Uint32())
		fd, err = unix.Socket(family, unix.SOCK_RAW|flags, protocol)
	}
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := p.prepare(fd, c); err != nil {
		unix.Close(fd)
		return nil, err
	}
	p.File = os.NewFile(uintptr(fd), "ping")
	return p, nil
}

func (p *pinger) prepare(fd int, c *model.Connect) error {
	if err := setOptions(fd, c); err != nil {
		return err
	}
	if c.Bind.Addr().IsValid() {
		if err := unix.Bind(fd, pingAddr(c.Bind, c.BindIf)); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	// Connected, it sees packets of that host only, and ICMP errors about it.
	return os.NewSyscallError("connect", unix.Connect(fd, pingAddr(c.Dst, c.BindIf)))
}

func pingAddr(a netip.AddrPort, link string) unix.Sockaddr {
	return socketAddr(netip.AddrPortFrom(a.Addr(), 0), link)
}

func (p *pinger) request() []byte {
	b := make([]byte, echoHeader, echoHeader+echoText)
	if b[0] = echoRequest4; p.ip6 {
		b[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint16(b[6:], echoSequence)
	b = append(b, strings.Repeat("keepalived check - ", 7)[:echoText]...)
	if !p.ip6 { // the kernel does it for ICMPv6
		binary.BigEndian.PutUint16(b[2:], internetChecksum(b))
	}
	return b
}

// answers reports whether a packet is the reply to the request.
func (p *pinger) answers(b []byte) bool {
	reply := byte(echoReply4)
	if p.ip6 {
		reply = echoReply6
	} else if p.raw { // comes with its IP header
		if len(b) < 20 || len(b) < int(b[0]&0xf)*4 {
			return false
		}
		b = b[int(b[0]&0xf)*4:]
	}
	return len(b) >= echoHeader && b[0] == reply && b[1] == 0 && binary.BigEndian.Uint16(b[6:]) == echoSequence &&
		(!p.raw || binary.BigEndian.Uint16(b[4:]) == p.id)
}

// internetChecksum is that of RFC 1071, over an even number of bytes.
func internetChecksum(b []byte) uint16 {
	var sum uint32
	for pair := range slices.Chunk(b, 2) {
		sum += uint32(binary.BigEndian.Uint16(pair))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
