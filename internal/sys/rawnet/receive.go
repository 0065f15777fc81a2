package rawnet

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	queueLimit = 4096 // packets; beyond it they stay in the kernel's buffer
	batch      = 16   // packets per system call
	// maxPacket holds the longest VRRP packet there is, 255 IPv6 addresses behind an IPv4 header with options and an authentication
	// header. Longer ones arrive cut, and are too long all the same.
	maxPacket  = 4608
	maxControl = 128
	keepData   = 1 << 20 // bytes of a queue that are kept for reuse after a burst
)

// queue is what was received; the packets' bytes lie in data or, if that had to grow, in what it was before.
type queue struct {
	packets []vrrp.Packet
	data    []byte
}

func (q *queue) reset() {
	clear(q.packets)
	q.packets, q.data = q.packets[:0], q.data[:0]
	if cap(q.data) > keepData {
		q.data = nil
	}
}

// keep copies b behind what the queue has.
func (q *queue) keep(b []byte) []byte {
	n := len(q.data)
	q.data = append(q.data, b...)
	return q.data[n:len(q.data):len(q.data)]
}

// reader holds the arguments of recvmmsg(2): everything that the kernel writes to. It is large, and all Conns of a family share a few.
type reader struct {
	family  model.Family
	msgs    [batch]mmsghdr
	iovs    [batch]unix.Iovec
	from4   [batch]unix.RawSockaddrInet4
	from6   [batch]unix.RawSockaddrInet6
	control [batch][maxControl]byte
	buf     [batch][maxPacket]byte

	// Of the packet in hand.
	stamp int64  // wall clock, in ns; 0: none
	lost  uint32 // as told with it; 0: none so far
}

var readers = map[model.Family]*sync.Pool{
	model.IPv4: {New: func() any { return newReader(model.IPv4) }},
	model.IPv6: {New: func() any { return newReader(model.IPv6) }},
}

// mmsghdr is struct mmsghdr of socket.h.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

func newReader(f model.Family) *reader {
	r := &reader{family: f}
	for i := range r.msgs {
		r.iovs[i].Base = &r.buf[i][0]
		r.iovs[i].SetLen(maxPacket)
		h := &r.msgs[i].hdr
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
		if f == model.IPv4 {
			h.Name = (*byte)(unsafe.Pointer(&r.from4[i]))
		} else {
			h.Name = (*byte)(unsafe.Pointer(&r.from6[i]))
		}
	}
	return r
}

// drain moves packets from the kernel to the queue until one of them is empty or full.
//
// The kernel's stamps are of the wall clock, which may be set at any time. What is read now has arrived since the queue was found
// empty, so an arrival is never put before that.
func (c *Conn) drain() error {
	pool := readers[c.spec.Family]
	rd := pool.Get().(*reader)
	defer pool.Put(rd)
	for len(c.queue.packets) < queueLimit {
		n, err := rd.recv(c.rx)
		now := time.Now()
		switch err {
		case 0:
		case unix.EAGAIN:
			c.empty = now
			return nil
		case unix.EINTR:
			continue
		default:
			return err
		}
		for i := range n {
			rd.packet(i, c.spec, now, c.empty, &c.queue)
			if rd.lost > 0 {
				c.lost = rd.lost
			}
		}
		if n < batch {
			c.empty = now
			return nil
		}
	}
	return nil
}

func (r *reader) recv(fd int) (int, unix.Errno) {
	for i := range r.msgs {
		h := &r.msgs[i].hdr
		h.SetControllen(maxControl)
		h.Namelen = unix.SizeofSockaddrInet4
		if r.family == model.IPv6 {
			h.Namelen = unix.SizeofSockaddrInet6
		}
	}
	n, _, err := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msgs[0])), batch, unix.MSG_DONTWAIT, 0, 0) // see send
	return int(n), err
}

// packet appends message i to q, unless it is too short to be a packet at all.
func (r *reader) packet(i int, s Spec, now, empty time.Time, q *queue) {
	b := r.buf[i][:min(int(r.msgs[i].len), maxPacket)]
	p := vrrp.Packet{IfIndex: s.IfIndex, Wall: now}
	if r.family == model.IPv4 {
		hdr, ok := headerLen(b)
		if !ok {
			return
		}
		b = q.keep(b)
		p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		p.TTL = int(b[8])
		p.IPHeader, p.Payload = b[:hdr:hdr], b[hdr:]
	} else {
		p.Src = netip.AddrFrom16(r.from6[i].Addr)
		p.Payload = q.keep(b)
	}
	r.ancillary(r.control[i][:min(int(r.msgs[i].hdr.Controllen), maxControl)], &p)
	p.Multicast = p.Dst.IsMulticast()
	if p.At = now; r.stamp != 0 {
		age := time.Duration(now.UnixNano() - r.stamp)
		p.At = now.Add(-min(max(age, 0), now.Sub(empty)))
	}
	q.packets = append(q.packets, p)
}

// headerLen returns the length of the IPv4 header in front of b.
func headerLen(b []byte) (int, bool) {
	if len(b) < 20 {
		return 0, false
	}
	n := int(b[0]&0x0f) * 4
	return n, n >= 20 && n <= len(b)
}

// ancillary takes over what the kernel says besides the packet.
func (r *reader) ancillary(oob []byte, p *vrrp.Packet) {
	r.stamp = 0
	for len(oob) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		n := int(h.Len)
		if n < unix.CmsgLen(0) || n > len(oob) {
			return
		}
		data := oob[unix.CmsgLen(0):n]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			r.lost = binary.NativeEndian.Uint32(data)
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			r.stamp = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			p.IfIndex = int(binary.NativeEndian.Uint32(data)) // ipi_ifindex
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			p.Dst = netip.AddrFrom16([16]byte(data[:16]))
			p.IfIndex = int(binary.NativeEndian.Uint32(data[16:]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			p.TTL = int(int32(binary.NativeEndian.Uint32(data)))
		}
		oob = oob[min(unix.CmsgSpace(len(data)), len(oob)):]
	}
}
