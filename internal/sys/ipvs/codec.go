package ipvs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Numbers of linux/ip_vs.h.
const (
	cmdGetService = 4
	cmdNewDest    = 5
	cmdSetDest    = 6
	cmdDelDest    = 7
	cmdGetDest    = 8
	cmdGetInfo    = 15

	attrService = 1
	attrDest    = 2

	svcFamily    = 1
	svcProtocol  = 2
	svcAddr      = 3
	svcPort      = 4
	svcFWMark    = 5
	svcScheduler = 6
	svcFlags     = 7
	svcTimeout   = 8
	svcNetmask   = 9
	svcEngine    = 11

	destAddr     = 1
	destPort     = 2
	destForward  = 3
	destWeight   = 4
	destUpper    = 5
	destLower    = 6
	destFamily   = 11
	destTunType  = 13
	destTunPort  = 14
	destTunFlags = 15

	forwardMask = 0x7
	flagHashed  = 0x2 // the kernel's own
)

var native = binary.NativeEndian

// netmaskNumber is what the kernel reads as a u32 in host order: the mask's bytes as they are on the wire, or a prefix length.
func netmaskNumber(f model.Family, mask uint32) uint32 {
	if f == model.IPv6 {
		return mask
	}
	return native.Uint32(binary.BigEndian.AppendUint32(nil, mask))
}

// keyAttr is the service attribute of a command about a destination.
func keyAttr(k lvs.ServiceKey) *nl.RtAttr {
	a := nl.NewRtAttr(attrService, nil)
	a.AddRtAttr(svcFamily, nl.Uint16Attr(familyNumber(k.Family)))
	if !k.Addr.IsValid() {
		a.AddRtAttr(svcFWMark, nl.Uint32Attr(k.FWMark))
		return a
	}
	a.AddRtAttr(svcProtocol, nl.Uint16Attr(uint16(k.Protocol)))
	a.AddRtAttr(svcAddr, rawAddr(k.Addr))
	a.AddRtAttr(svcPort, binary.BigEndian.AppendUint16(nil, k.Port))
	return a
}

// destAttr is the destination attribute of a command; d is nil where the key is enough. Tunnel attributes go with tunnels only,
// since older kernels do not know them.
func destAttr(k lvs.DestKey, d *lvs.Dest) *nl.RtAttr {
	a := nl.NewRtAttr(attrDest, nil)
	a.AddRtAttr(destFamily, nl.Uint16Attr(familyNumber(model.FamilyOf(k.Addr))))
	a.AddRtAttr(destAddr, rawAddr(k.Addr))
	a.AddRtAttr(destPort, binary.BigEndian.AppendUint16(nil, k.Port))
	if d == nil {
		return a
	}
	a.AddRtAttr(destForward, nl.Uint32Attr(uint32(d.Method.Forward)))
	a.AddRtAttr(destWeight, nl.Uint32Attr(d.Weight))
	a.AddRtAttr(destUpper, nl.Uint32Attr(d.Upper))
	a.AddRtAttr(destLower, nl.Uint32Attr(d.Lower))
	if d.Method.Forward != model.TUN {
		return a
	}
	tun := d.Method.Tunnel
	a.AddRtAttr(destTunType, []byte{byte(tun.Type)})
	if tun.Type == model.GUE {
		a.AddRtAttr(destTunPort, binary.BigEndian.AppendUint16(nil, tun.Port))
	}
	if tun.Type != model.IPIP {
		a.AddRtAttr(destTunFlags, nl.Uint16Attr(tun.Flags))
	}
	return a
}

// rawAddr is a union nf_inet_addr.
func rawAddr(a netip.Addr) []byte {
	b := make([]byte, 16)
	copy(b, a.AsSlice())
	return b
}

func parseAddr(family uint16, b []byte) (netip.Addr, error) {
	switch {
	case family == unix.AF_INET && len(b) >= 4:
		return netip.AddrFrom4([4]byte(b)), nil
	case family == unix.AF_INET6 && len(b) >= 16:
		return netip.AddrFrom16([16]byte(b)), nil
	}
	return netip.Addr{}, fmt.Errorf("address of %d bytes in family %d", len(b), family)
}

// decodeService reads one answer to GET_SERVICE.
func decodeService(b []byte) (lvs.ServiceKey, lvs.Service, error) {
	var k lvs.ServiceKey
	s := lvs.Service{Dests: map[lvs.DestKey]lvs.Dest{}}
	attrs, err := nested(b, attrService)
	if err != nil {
		return k, s, err
	}
	var family uint16
	var marked bool
	var addr []byte
	for _, a := range attrs {
		switch a.kind {
		case svcFamily:
			family = a.u16()
		case svcProtocol:
			k.Protocol = model.Protocol(a.u16())
		case svcAddr:
			addr = a.value
		case svcPort:
			k.Port = a.be16()
		case svcFWMark:
			k.FWMark, marked = a.u32(), true
		case svcScheduler:
			s.Scheduler = a.text()
		case svcFlags:
			s.Flags = a.u32() &^ flagHashed // the mask follows
		case svcTimeout:
			s.Timeout = a.u32()
		case svcNetmask:
			s.Netmask = a.u32()
		case svcEngine:
			s.Engine = a.text()
		}
	}
	switch family {
	case unix.AF_INET:
		k.Family = model.IPv4
		s.Netmask = binary.BigEndian.Uint32(native.AppendUint32(nil, s.Netmask))
	case unix.AF_INET6:
		k.Family = model.IPv6
	default:
		return k, s, fmt.Errorf("service of family %d", family)
	}
	if marked {
		return lvs.ServiceKey{Family: k.Family, FWMark: k.FWMark}, s, nil
	}
	k.Addr, err = parseAddr(family, addr)
	return k, s, err
}

// decodeDest reads one answer to GET_DEST, of a service of family f: kernels before 3.18 do not tell a destination's own.
func decodeDest(b []byte, f model.Family) (lvs.DestKey, lvs.Dest, error) {
	var k lvs.DestKey
	var d lvs.Dest
	attrs, err := nested(b, attrDest)
	if err != nil {
		return k, d, err
	}
	family := familyNumber(f)
	var addr []byte
	for _, a := range attrs {
		switch a.kind {
		case destFamily:
			family = a.u16()
		case destAddr:
			addr = a.value
		case destPort:
			k.Port = a.be16()
		case destForward:
			d.Method.Forward = model.Forward(a.u32() & forwardMask)
		case destWeight:
			d.Weight = a.u32()
		case destUpper:
			d.Upper = a.u32()
		case destLower:
			d.Lower = a.u32()
		case destTunType:
			d.Method.Tunnel.Type = model.TunnelType(a.u8())
		case destTunPort:
			d.Method.Tunnel.Port = a.be16()
		case destTunFlags:
			d.Method.Tunnel.Flags = a.u16()
		}
	}
	d.Method = lvs.Encapsulation(d.Method)
	k.Addr, err = parseAddr(family, addr)
	return k, d, err
}

// attr is one netlink attribute; a value that is too short reads as 0.
type attr struct {
	kind  uint16
	value []byte
}

func (a attr) u8() uint8 {
	if len(a.value) < 1 {
		return 0
	}
	return a.value[0]
}

func (a attr) u16() uint16 {
	if len(a.value) < 2 {
		return 0
	}
	return native.Uint16(a.value)
}

func (a attr) be16() uint16 {
	if len(a.value) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(a.value)
}

func (a attr) u32() uint32 {
	if len(a.value) < 4 {
		return 0
	}
	return native.Uint32(a.value)
}

// text is a string up to its NUL.
func (a attr) text() string {
	text, _, _ := bytes.Cut(a.value, []byte{0})
	return string(text)
}

var errNoAttr = errors.New("answer without the attribute asked for")

// nested returns the attributes inside the attribute kind of a generic netlink message.
func nested(b []byte, kind uint16) ([]attr, error) {
	if len(b) < nl.SizeofGenlmsg {
		return nil, errNoAttr
	}
	outer, err := parseAttrs(b[nl.SizeofGenlmsg:])
	if err != nil {
		return nil, err
	}
	for _, a := range outer {
		if a.kind == kind {
			return parseAttrs(a.value)
		}
	}
	return nil, errNoAttr
}

// parseAttrs splits b, which need not come from the kernel.
func parseAttrs(b []byte) ([]attr, error) {
	const header, typeMask = 4, 0x3fff
	var attrs []attr
	for len(b) >= header {
		n := int(native.Uint16(b))
		if n < header || n > len(b) {
			return nil, fmt.Errorf("netlink attribute of %d bytes in %d", n, len(b))
		}
		attrs = append(attrs, attr{native.Uint16(b[2:]) & typeMask, b[header:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return attrs, nil
}
