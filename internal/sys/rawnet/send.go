package rawnet

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// writer holds the arguments of sendmsg(2).
type writer struct {
	spec  Spec
	flags int
	hdr   unix.Msghdr
	iov   unix.Iovec
	to4   unix.RawSockaddrInet4
	to6   unix.RawSockaddrInet6
	oob   []byte // IPv6: packet info and, last, the hop limit
}

func (w *writer) init(s Spec) {
	w.spec, w.flags = s, unix.MSG_DONTWAIT
	if s.multicast() {
		w.flags |= unix.MSG_DONTROUTE
	}
	w.to4.Family, w.to6.Family = unix.AF_INET, unix.AF_INET6
	w.hdr.Name, w.hdr.Namelen = (*byte)(unsafe.Pointer(&w.to4)), unix.SizeofSockaddrInet4
	if s.Family == model.IPv6 {
		w.hdr.Name, w.hdr.Namelen = (*byte)(unsafe.Pointer(&w.to6)), unix.SizeofSockaddrInet6
		w.oob = newSendControl()
		w.hdr.Control = &w.oob[0]
	}
	w.hdr.Iov = &w.iov
	w.hdr.SetIovlen(1)
}

// send sends one packet as Conn.Send says.
func (w *writer) send(fd int, pkt []byte, src, dst netip.Addr, hopLimit int) error {
	if w.spec.Family == model.IPv4 {
		w.to4.Addr = dst.As4()
	} else {
		w.to6.Addr, w.to6.Scope_id = dst.As16(), 0
		if dst.IsLinkLocalUnicast() || dst.IsMulticast() {
			w.to6.Scope_id = uint32(w.spec.IfIndex)
		}
		w.hdr.SetControllen(len(setSendControl(w.oob, src, w.spec.IfIndex, hopLimit)))
	}
	w.iov.Base = unsafe.SliceData(pkt)
	w.iov.SetLen(len(pkt))
	return sendmsg(fd, &w.hdr, w.flags)
}

// sendmsg calls sendmsg(2), which must not wait (MSG_DONTWAIT): the Go scheduler is not told of it, for it would look after the thread all the
// time of a burst, and take its processor away from a call that is a little longer.
func sendmsg(fd int, hdr *unix.Msghdr, flags int) error {
	for {
		switch _, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(hdr)), uintptr(flags)); errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// newSendControl returns room for the ancillary data of an IPv6 send.
func newSendControl() []byte {
	oob := make([]byte, unix.CmsgSpace(unix.SizeofInet6Pktinfo)+unix.CmsgSpace(4))
	header(oob, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	header(oob[unix.CmsgSpace(unix.SizeofInet6Pktinfo):], unix.IPV6_HOPLIMIT, 4)
	return oob
}

func header(b []byte, typ int32, n int) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.IPPROTO_IPV6, typ
	h.SetLen(unix.CmsgLen(n))
}

// setSendControl fills oob in and returns what of it is to be sent.
func setSendControl(oob []byte, src netip.Addr, ifIndex, hopLimit int) []byte {
	a := src.As16()
	copy(oob[unix.CmsgLen(0):], a[:])
	binary.NativeEndian.PutUint32(oob[unix.CmsgLen(0)+16:], uint32(ifIndex))
	hops := unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	if hopLimit == 0 {
		return oob[:hops]
	}
	binary.NativeEndian.PutUint32(oob[hops+unix.CmsgLen(0):], uint32(hopLimit))
	return oob
}
