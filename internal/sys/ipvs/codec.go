package ipvs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Numbers of linux/ip_vs.h.
const (
	cmdNewService = 1
	cmdSetService = 2
	cmdDelService = 3
	cmdGetService = 4
	cmdNewDest    = 5
	cmdSetDest    = 6
	cmdDelDest    = 7
	cmdGetDest    = 8
	cmdNewDaemon  = 9
	cmdDelDaemon  = 10
	cmdGetDaemon  = 11
	cmdGetInfo    = 15

	attrService = 1
	attrDest    = 2
	attrDaemon  = 3

	svcFamily    = 1
	svcProtocol  = 2
	svcAddr      = 3
	svcPort      = 4
	svcFWMark    = 5
	svcScheduler = 6
	svcFlags     = 7
	svcTimeout   = 8
	svcNetmask   = 9
	svcStats     = 10
	svcEngine    = 11
	svcStats64   = 12

	destAddr     = 1
	destPort     = 2
	destForward  = 3
	destWeight   = 4
	destUpper    = 5
	destLower    = 6
	destActive   = 7
	destInactive = 8
	destPersist  = 9
	destStats    = 10
	destFamily   = 11
	destStats64  = 12
	destTunType  = 13
	destTunPort  = 14
	destTunFlags = 15

	daemonState     = 1
	daemonInterface = 2
	daemonID        = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8

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

// key adds the attributes that name a service.
func (r *request) key(k lvs.ServiceKey) {
	r.u16(svcFamily, familyNumber(k.Family))
	if !k.Addr.IsValid() {
		r.u32(svcFWMark, k.FWMark)
		return
	}
	r.u16(svcProtocol, uint16(k.Protocol))
	r.addr(svcAddr, k.Addr)
	r.be16(svcPort, k.Port)
}

// service adds the service attribute of a command; a is nil where the key is enough.
func (r *request) service(k lvs.ServiceKey, a *lvs.Attributes) {
	r.nested(attrService, func() {
		r.key(k)
		if a == nil {
			return
		}
		r.text(svcScheduler, a.Scheduler)
		if a.Engine != "" {
			r.text(svcEngine, a.Engine)
		}
		var flags [8]byte
		native.PutUint32(flags[:], a.Flags)
		native.PutUint32(flags[4:], math.MaxUint32) // mask
		r.attr(svcFlags, flags[:]...)
		r.u32(svcTimeout, a.Timeout)
		r.u32(svcNetmask, netmaskNumber(k.Family, a.Netmask))
	})
}

// dest adds the destination attribute of a command; d is nil where the key is enough. Tunnel attributes go with tunnels only,
// since older kernels do not know them.
func (r *request) dest(k lvs.DestKey, d *lvs.Dest) {
	r.nested(attrDest, func() {
		r.u16(destFamily, familyNumber(model.FamilyOf(k.Addr)))
		r.addr(destAddr, k.Addr)
		r.be16(destPort, k.Port)
		if d == nil {
			return
		}
		r.u32(destForward, uint32(d.Method.Forward))
		r.u32(destWeight, d.Weight)
		r.u32(destUpper, d.Upper)
		r.u32(destLower, d.Lower)
		if d.Method.Forward != model.TUN {
			return
		}
		tun := d.Method.Tunnel
		r.attr(destTunType, byte(tun.Type))
		if tun.Type == model.GUE {
			r.be16(destTunPort, tun.Port)
		}
		if tun.Type != model.IPIP {
			r.u16(destTunFlags, tun.Flags)
		}
	})
}

// daemon adds the daemon attribute of a command. The port is in host order, unlike all others.
func (r *request) daemon(d Daemon) {
	r.nested(attrDaemon, func() {
		r.u32(daemonState, uint32(d.State))
		r.text(daemonInterface, d.Interface)
		r.u32(daemonID, d.ID)
		if d.MaxLen != 0 {
			r.u16(daemonMaxLen, d.MaxLen)
		}
		switch g := d.Group; {
		case g.Is4():
			r.attr(daemonGroup, g.AsSlice()...)
		case g.Is6():
			r.attr(daemonGroup6, g.AsSlice()...)
		}
		if d.Port != 0 {
			r.u16(daemonPort, d.Port)
		}
		if d.TTL != 0 {
			r.attr(daemonTTL, d.TTL)
		}
	})
}

// addr adds a union nf_inet_addr.
func (r *request) addr(kind uint16, a netip.Addr) {
	var b [16]byte
	if a.Is4() {
		v := a.As4()
		copy(b[:], v[:])
	} else {
		b = a.As16()
	}
	r.attr(kind, b[:]...)
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
	var family uint16
	var marked bool
	var addr []byte
	err := inside(b, attrService, func(a attr) {
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
	})
	if err != nil {
		return k, s, err
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
	family := familyNumber(f)
	var addr []byte
	err := inside(b, attrDest, func(a attr) {
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
	})
	if err != nil {
		return k, d, err
	}
	d.Method = lvs.Encapsulation(d.Method)
	k.Addr, err = parseAddr(family, addr)
	return k, d, err
}

// decodeDaemon reads one answer to GET_DAEMON.
func decodeDaemon(b []byte) (d Daemon, err error) {
	err = inside(b, attrDaemon, func(a attr) {
		switch a.kind {
		case daemonState:
			d.State = DaemonState(a.u32())
		case daemonInterface:
			d.Interface = a.text()
		case daemonID:
			d.ID = a.u32()
		case daemonMaxLen:
			d.MaxLen = a.u16()
		case daemonGroup:
			d.Group, _ = parseAddr(unix.AF_INET, a.value)
		case daemonGroup6:
			d.Group, _ = parseAddr(unix.AF_INET6, a.value)
		case daemonPort:
			d.Port = a.u16()
		case daemonTTL:
			d.TTL = a.u8()
		}
	})
	return d, err
}

// decodeCounters reads the counters of one answer to GET_SERVICE or GET_DEST, of which kind is attrService or attrDest. Kernels
// before 4.2 have no 64-bit statistics; theirs have 32 bits, but for the bytes.
func decodeCounters(b []byte, kind uint16) (c Counters, err error) {
	wide := false
	stats := func(a attr) {
		n := a.u64()
		switch a.kind {
		case 1:
			c.Connections = n
		case 2:
			c.InPackets = n
		case 3:
			c.OutPackets = n
		case 4:
			c.InBytes = n
		case 5:
			c.OutBytes = n
		}
	}
	err = inside(b, kind, func(a attr) {
		switch {
		case kind == attrService && a.kind == svcStats64, kind == attrDest && a.kind == destStats64:
			wide = true
			_ = eachAttr(a.value, stats)
		case !wide && (kind == attrService && a.kind == svcStats || kind == attrDest && a.kind == destStats):
			_ = eachAttr(a.value, stats)
		case kind == attrDest && a.kind == destActive:
			c.Active = a.u32()
		case kind == attrDest && a.kind == destInactive:
			c.Inactive = a.u32()
		case kind == attrDest && a.kind == destPersist:
			c.Persistent = a.u32()
		}
	})
	return c, err
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

// u64 reads a number of 4 or 8 bytes.
func (a attr) u64() uint64 {
	if len(a.value) < 8 {
		return uint64(a.u32())
	}
	return native.Uint64(a.value)
}

// text is a string up to its NUL.
func (a attr) text() string {
	text, _, _ := bytes.Cut(a.value, []byte{0})
	return string(text)
}

var errNoAttr = errors.New("answer without the attribute asked for")

// inside calls f with the attributes in the attribute kind of a generic netlink message.
func inside(b []byte, kind uint16, f func(attr)) error {
	const genlHeader = 4
	if len(b) < genlHeader {
		return errNoAttr
	}
	found := false
	var inner error
	err := eachAttr(b[genlHeader:], func(a attr) {
		if a.kind == kind && !found {
			found = true
			inner = eachAttr(a.value, f)
		}
	})
	switch {
	case err != nil:
		return err
	case !found:
		return errNoAttr
	}
	return inner
}

// eachAttr splits b, which need not come from the kernel.
func eachAttr(b []byte, f func(attr)) error {
	const header, typeMask = 4, 0x3fff
	for len(b) >= header {
		n := int(native.Uint16(b))
		if n < header || n > len(b) {
			return fmt.Errorf("netlink attribute of %d bytes in %d", n, len(b))
		}
		f(attr{native.Uint16(b[2:]) & typeMask, b[header:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}
