// Package rawnet moves VRRP packets and Ethernet frames between the loop and raw sockets.
package rawnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	protoVRRP       = 112
	protoAH         = 51
	tosControl      = 0xc0 // CS6, of every advert
	priorityControl = 7    // TC_PRIO_CONTROL of linux/pkt_sched.h: first through a full queue
	multicastHops   = 255
	checksumOffset  = 6 // of the VRRP header, versions 2 and 3
)

// Spec says which packets a Conn carries; it is comparable, and all virtual routers with equal Specs share one Conn.
type Spec struct {
	Family  model.Family
	IfIndex int    // 0: any interface (unicast only)
	IfName  string // of IfIndex
	Group   netip.Addr
	Source  netip.Addr // set instead of Group for unicast: the local address
	AH      bool       // protocol 51, which VRRP is behind, instead of 112
}

// Protocol is the IP protocol number of the packets.
func (s Spec) Protocol() int {
	if s.AH {
		return protoAH
	}
	return protoVRRP
}

// FDs returns the descriptors that adverts come in, which does not block, and go out by.
func (c *Conn) FDs() (in, out int) { return c.rx, c.tx }

func (s Spec) multicast() bool { return s.Group.IsValid() }

func (s Spec) String() string {
	a := s.Source
	if s.multicast() {
		a = s.Group
	}
	return fmt.Sprintf("%s on %q", a, s.IfName)
}

// Conn is a pair of sockets, one to receive and one to send, so that what is sent never competes with what waits to be read. It is used on the loop only.
type Conn struct {
	spec   Spec
	closed bool

	rx    int
	lost  uint32    // packets that the kernel has dropped
	empty time.Time // when the kernel's socket was last found empty
	queue queue

	tx  int
	out writer
}

// Open opens the sockets in the calling thread's network namespace, joined and bound. rxBuf is the size of the
// kernel's receive buffer in bytes, 0: the kernel's default.
// The error is that of the system call that failed; ENODEV: the interface is gone, EADDRNOTAVAIL: the source is not there.
func Open(spec Spec, rxBuf int) (*Conn, error) {
	c := &Conn{spec: spec, rx: -1, tx: -1, empty: time.Now()}
	if err := c.openReceive(rxBuf); err != nil {
		return nil, fmt.Errorf("open VRRP receive socket for %s: %w", spec, err)
	}
	if err := c.openSend(); err != nil {
		c.Close()
		return nil, fmt.Errorf("open VRRP send socket for %s: %w", spec, err)
	}
	return c, nil
}

// SetReceiveBuffer changes the size of the kernel's receive buffer in bytes, as far as it allows it.
func (c *Conn) SetReceiveBuffer(bytes int) {
	o := options{fd: c.rx}
	o.receiveBuffer(bytes)
}

func (c *Conn) openReceive(rxBuf int) error {
	s := c.spec
	fd, err := socket(s)
	if err != nil {
		return err
	}
	o := options{fd: fd}
	if s.IfName != "" {
		o.device(s.IfName)
	}
	if rxBuf > 0 {
		o.receiveBuffer(rxBuf)
	}
	o.set(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	o.try(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	var local unix.Sockaddr
	if s.Family == model.IPv4 {
		o.set(unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		a := s.Source
		if s.multicast() {
			a = s.Group
			o.set(unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
			o.do("join group", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
				&unix.IPMreqn{Multiaddr: a.As4(), Ifindex: int32(s.IfIndex)}))
		} else {
			o.set(unix.IPPROTO_IP, unix.IP_FREEBIND, 1)
		}
		local = &unix.SockaddrInet4{Addr: a.As4()}
	} else {
		o.set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		o.set(unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1)
		o.set(unix.IPPROTO_IPV6, unix.IPV6_CHECKSUM, checksumOffset) // the kernel drops what does not sum up
		a := s.Source
		if s.multicast() {
			a = s.Group
			o.try(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0) // Linux 4.20; before it, binding to the group has to do
			o.do("join group", unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
				&unix.IPv6Mreq{Multiaddr: a.As16(), Interface: uint32(s.IfIndex)}))
		} else {
			o.set(unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
		}
		local = &unix.SockaddrInet6{Addr: a.As16(), ZoneId: uint32(s.IfIndex)}
	}
	if o.err == nil {
		o.do("bind", unix.Bind(fd, local))
	}
	if o.err != nil {
		unix.Close(fd)
		return o.err
	}
	c.rx = fd
	return nil
}

func (c *Conn) openSend() error {
	s := c.spec
	fd, err := socket(s)
	if err != nil {
		return err
	}
	c.tx = fd
	o := options{fd: fd}
	o.discardInput()
	if s.IfName != "" {
		o.device(s.IfName)
	}
	o.set(unix.SOL_SOCKET, unix.SO_PRIORITY, priorityControl)
	if s.Family == model.IPv4 {
		o.set(unix.IPPROTO_IP, unix.IP_HDRINCL, 1)
		if s.multicast() {
			o.do("set multicast interface", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF,
				&unix.IPMreqn{Ifindex: int32(s.IfIndex)}))
			o.set(unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0)
			o.set(unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, multicastHops)
		}
	} else {
		o.set(unix.IPPROTO_IPV6, unix.IPV6_CHECKSUM, checksumOffset)
		o.set(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tosControl)
		if s.multicast() {
			o.set(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, s.IfIndex)
			o.set(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0)
			o.set(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, multicastHops)
		}
	}
	c.out.init(s)
	return o.err
}

// Take drains the kernel's socket without waiting and returns everything that has arrived, in order: a timer that looks here first never
// fires over an advert that was already there. The packets are valid until the next Take. Under a flood it stops at about queueLimit packets, and the
// socket stays readable. An error means that the receive socket is of no use any more.
func (c *Conn) Take() ([]vrrp.Packet, error) {
	c.queue.reset()
	if c.closed {
		return nil, nil
	}
	if err := c.drain(); err != nil {
		return c.queue.packets, fmt.Errorf("read VRRP socket for %s: %w", c.spec, err)
	}
	return c.queue.packets, nil
}

// Dropped returns how many packets the kernel has dropped on this Conn because nobody read them in time, as of the last packet
// received.
func (c *Conn) Dropped() uint32 { return c.lost }

// Send sends one packet without waiting. For IPv4 pkt begins with the IP header, and src and hopLimit are not looked at; for IPv6
// it is the VRRP message, the kernel filling in the checksum, and hopLimit 0 means the kernel's default. The error is a
// syscall.Errno: EAGAIN when the device's queue is full, ENETUNREACH, ENETDOWN, ENODEV and so on as in raw(7).
func (c *Conn) Send(pkt []byte, src, dst netip.Addr, hopLimit int) error {
	if c.closed {
		return unix.EBADF
	}
	return c.out.send(c.tx, pkt, src, dst, hopLimit)
}

// Close leaves the group. What was not taken is lost.
func (c *Conn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	var err error
	for _, fd := range []int{c.rx, c.tx} {
		if fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	return err
}

func socket(s Spec) (int, error) {
	domain := unix.AF_INET
	if s.Family == model.IPv6 {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, s.Protocol())
	return fd, os.NewSyscallError("socket", err)
}

// options sets socket options until one fails.
type options struct {
	fd  int
	err error
}

func (o *options) do(what string, err error) {
	if o.err == nil && err != nil {
		o.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (o *options) set(level, name, value int) {
	if o.err == nil {
		o.do("set socket option "+fmt.Sprint(name), unix.SetsockoptInt(o.fd, level, name, value))
	}
}

// try sets an option that older kernels lack.
func (o *options) try(level, name, value int) {
	if o.err == nil {
		if err := unix.SetsockoptInt(o.fd, level, name, value); err != unix.ENOPROTOOPT {
			o.do("set socket option "+fmt.Sprint(name), err)
		}
	}
}

func (o *options) device(name string) {
	if o.err == nil {
		o.do("bind to device", unix.BindToDevice(o.fd, name))
	}
}

func (o *options) receiveBuffer(bytes int) {
	if o.err != nil {
		return
	}
	err := unix.SetsockoptInt(o.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	if errors.Is(err, syscall.EPERM) {
		err = unix.SetsockoptInt(o.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
	o.do("set receive buffer", err)
}

// discardInput keeps a socket that only sends from holding a copy of every packet of its protocol.
func (o *options) discardInput() {
	prog, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		panic(err)
	}
	filter := []unix.SockFilter{{Code: prog[0].Op, Jt: prog[0].Jt, Jf: prog[0].Jf, K: prog[0].K}}
	if o.err == nil {
		o.do("attach filter", unix.SetsockoptSockFprog(o.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: 1, Filter: &filter[0]}))
	}
}
