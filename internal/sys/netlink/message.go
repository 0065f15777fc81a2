package netlink

import (
	"bytes"
	"encoding/binary"
	"iter"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

var native = binary.NativeEndian

const (
	ifaProto        = 11 // IFA_PROTO of linux/if_addr.h, Linux 5.18; older kernels pass over it
	protoKeepalived = 18 // RTPROT_KEEPALIVED of linux/rtnetlink.h
)

// encode returns the request for op on the interface index. The library's own AddrAdd cannot say who set the address, nor set
// many in one system call.
func encode(op hostnet.Op, index int, seq uint32) []byte {
	a := &op.Addr
	ip := a.Prefix.Addr()
	typ, flags := unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK
	switch {
	case op.Remove:
		typ, flags = unix.RTM_DELADDR, unix.NLM_F_ACK
	case op.Replace:
		flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE | unix.NLM_F_ACK
	}
	req := &nl.NetlinkRequest{NlMsghdr: unix.NlMsghdr{Type: uint16(typ), Flags: unix.NLM_F_REQUEST | uint16(flags), Seq: seq}}
	family := unix.AF_INET
	if ip.Is6() {
		family = unix.AF_INET6
	}
	msg := nl.NewIfAddrmsg(family)
	msg.Prefixlen = uint8(a.Prefix.Bits())
	msg.Index = uint32(index)
	other := ip
	if a.Peer.IsValid() {
		other = a.Peer.Addr()
		msg.Prefixlen = uint8(a.Peer.Bits())
	}
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip.AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, other.AsSlice()))
	if op.Remove {
		return req.Serialize()
	}

	msg.Scope = a.Scope
	if f := flagsOf(a); f != 0 {
		req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(f)))
	}
	req.AddData(nl.NewRtAttr(ifaProto, nl.Uint8Attr(protoKeepalived)))
	if ip.Is4() {
		if a.Label != "" {
			req.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(a.Label)))
		}
		if a.Broadcast.IsValid() {
			req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, a.Broadcast.AsSlice()))
		}
	}
	if preferred, valid := lifetimes(a); op.Replace || preferred != model.LifetimeForever {
		ci := &nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Prefered: preferred, Valid: valid}}
		req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, ci.Serialize()))
	}
	return req.Serialize()
}

// lifetimes are those of IFA_CACHEINFO, in seconds; the preferred one must not be the longer.
func lifetimes(a *model.Address) (preferred, valid uint32) {
	preferred, valid = model.LifetimeForever, model.LifetimeForever
	if a.Prefix.Addr().Is6() {
		preferred = a.PreferredLft
	}
	if a.Lease > 0 {
		preferred, valid = min(preferred, a.Lease), a.Lease
	}
	return preferred, valid
}

func flagsOf(a *model.Address) uint32 {
	var f uint32
	for _, o := range []struct {
		set  bool
		flag uint32
		only model.Family // 0: both
	}{
		{a.NoDAD, unix.IFA_F_NODAD, model.IPv6},
		{a.Home, unix.IFA_F_HOMEADDRESS, model.IPv6},
		{a.MngTmpAddr, unix.IFA_F_MANAGETEMPADDR, model.IPv6},
		{a.NoPrefixRt, unix.IFA_F_NOPREFIXROUTE, 0},
		{a.AutoJoin, unix.IFA_F_MCAUTOJOIN, 0},
	} {
		if o.set && (o.only == 0 || o.only == model.FamilyOf(a.Prefix.Addr())) {
			f |= o.flag
		}
	}
	return f
}

// decode returns what a message of the link and address groups, or of their dumps, says; ok is false for other messages, and for
// those which make no sense.
func decode(m *syscall.NetlinkMessage) (e hostnet.Event, ok bool) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		e.Kind = hostnet.LinkNew
		if m.Header.Type == unix.RTM_DELLINK {
			e.Kind = hostnet.LinkDel
		}
		e.Link, ok = decodeLink(m.Data)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		e.Kind = hostnet.AddrNew
		if m.Header.Type == unix.RTM_DELADDR {
			e.Kind = hostnet.AddrDel
		}
		e.Addr, ok = decodeAddr(m.Data)
	}
	return e, ok
}

func decodeLink(b []byte) (hostnet.Link, bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return hostnet.Link{}, false
	}
	msg := nl.DeserializeIfInfomsg(b)
	if msg.Family != unix.AF_UNSPEC { // a bridge speaks of its ports in the same groups, and of leaving it as of a removal
		return hostnet.Link{}, false
	}
	l := hostnet.Link{Index: int(msg.Index), Flags: msg.Flags, Type: msg.Type}
	elsewhere := false
	for typ, v := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch typ {
		case unix.IFLA_IFNAME:
			l.Name = text(v)
		case unix.IFLA_MTU:
			if len(v) == 4 {
				l.MTU = int(native.Uint32(v))
			}
		case unix.IFLA_ADDRESS:
			if len(v) == len(l.MAC) {
				l.MAC = [6]byte(v)
			}
		case unix.IFLA_GROUP:
			l.Group = number(v)
		case unix.IFLA_MASTER:
			l.Master = int(number(v))
		case unix.IFLA_LINK:
			l.Parent = int(number(v))
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_LINKINFO:
			decodeInfo(&l, v)
		}
	}
	if elsewhere {
		l.Parent = 0
	}
	return l, l.Index > 0 && l.Name != ""
}

// decodeInfo reads what a link of a certain kind has besides.
func decodeInfo(l *hostnet.Link, b []byte) {
	var data []byte
	for typ, v := range attributes(b) {
		switch typ {
		case nl.IFLA_INFO_KIND:
			l.Kind = text(v)
		case nl.IFLA_INFO_DATA:
			data = v
		}
	}
	for typ, v := range attributes(data) {
		switch {
		case l.Kind == "macvlan" && typ == nl.IFLA_MACVLAN_MODE:
			l.Mode = number(v)
		case l.Kind == "ipvlan" && typ == nl.IFLA_IPVLAN_MODE && len(v) == 2:
			l.Mode = uint32(native.Uint16(v))
		case l.Kind == "ipvlan" && typ == nl.IFLA_IPVLAN_FLAG && len(v) == 2:
			l.IPVLANFlags = native.Uint16(v)
		}
	}
}

// number is a 32-bit attribute; 0 if it is none.
func number(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return native.Uint32(b)
}

func decodeAddr(b []byte) (hostnet.Addr, bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return hostnet.Addr{}, false
	}
	msg := nl.DeserializeIfAddrmsg(b)
	a := hostnet.Addr{IfIndex: int(msg.Index), Scope: msg.Scope, Flags: uint32(msg.Flags)}
	var local, other netip.Addr
	for typ, v := range attributes(b[unix.SizeofIfAddrmsg:]) {
		switch typ {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case unix.IFA_ADDRESS:
			other, _ = netip.AddrFromSlice(v)
		case unix.IFA_LABEL:
			a.Label = text(v)
		case unix.IFA_FLAGS:
			if len(v) == 4 {
				a.Flags = native.Uint32(v)
			}
		case ifaProto:
			if len(v) == 1 {
				a.Proto = v[0]
			}
		}
	}
	switch {
	case !local.IsValid(): // IPv6 without a peer has IFA_ADDRESS alone
		local = other
	case local != other:
		a.Peer = other
	}
	if msg.Family == unix.AF_INET && !local.Is4() || msg.Family == unix.AF_INET6 && !local.Is6() {
		return hostnet.Addr{}, false
	}
	a.Prefix = netip.PrefixFrom(local, int(msg.Prefixlen))
	return a, a.Prefix.IsValid() && a.IfIndex > 0
}

// attributes yields type and value of the attributes that b holds, up to the first that makes no sense. (The library's parser panics
// on a last one that is not padded.)
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			n := int(native.Uint16(b))
			if n < unix.SizeofRtAttr || n > len(b) {
				return
			}
			const typeMask = ^uint16(unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(native.Uint16(b[2:])&typeMask, b[unix.SizeofRtAttr:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
