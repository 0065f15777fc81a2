package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Kind tells what a Frame is.
type Kind int

// The kinds of frame that a lab records; others are dropped.
const (
	Advert Kind = iota + 1 // VRRP, IP protocol 112, or 51 with 112 in it
	GARP                   // ARP whose sender and target are the same address
	NA                     // unsolicited neighbour advertisement
)

// Frame is a frame that a node sent, as it entered the switch. Which fields are set depends on Kind.
type Frame struct {
	At   time.Time // the kernel's receive stamp
	Node string    // that sent it
	LAN  int
	Kind Kind
	Raw  []byte // from the Ethernet header on

	SrcMAC, DstMAC net.HardwareAddr
	Src, Dst       netip.Addr // IP addresses; of ARP sender and target
	TTL, TOS       uint8      // or hop limit and traffic class
	ID             uint16     // IPv4 identification

	Version, VRID, Priority, AuthType uint8
	Interval                          time.Duration
	Auth                              string // v2 authentication data without trailing NULs
	VIPs                              []netip.Addr
	Payload                           []byte // the VRRP message
	AH                                []byte // the authentication header before it, nil if there is none

	Target netip.Addr // GARP, NA: the announced address
	Opcode uint16     // GARP
	Flags  uint8      // NA: router 0x80, solicited 0x40, override 0x20
}

// decode fills the frame from raw; false for what is not recorded. It trusts no length field, so that a test never
// panics on what a daemon sent.
func (f *Frame) decode(raw []byte) bool {
	if len(raw) < 14 {
		return false
	}
	f.Raw, f.DstMAC, f.SrcMAC = raw, raw[0:6], raw[6:12]
	body := raw[14:]
	switch binary.BigEndian.Uint16(raw[12:]) {
	case 0x0806:
		return f.arp(body)
	case 0x0800:
		if len(body) < 20 || body[9] != 112 && body[9] != 51 {
			return false
		}
		hlen, total := int(body[0]&15)*4, int(binary.BigEndian.Uint16(body[2:]))
		if hlen < 20 || total < hlen || total > len(body) {
			return false
		}
		f.TOS, f.ID, f.TTL = body[1], binary.BigEndian.Uint16(body[4:]), body[8]
		f.Src, f.Dst = netip.AddrFrom4([4]byte(body[12:])), netip.AddrFrom4([4]byte(body[16:]))
		message := body[hlen:total]
		if body[9] == 51 {
			if len(message) < 24 || message[0] != 112 {
				return false
			}
			f.AH, message = message[:24], message[24:]
		}
		return f.advert(message, 4)
	case 0x86dd:
		if len(body) < 40 {
			return false
		}
		total := 40 + int(binary.BigEndian.Uint16(body[4:]))
		if total > len(body) {
			return false
		}
		f.TOS, f.TTL = uint8(binary.BigEndian.Uint16(body)>>4), body[7]
		f.Src, f.Dst = netip.AddrFrom16([16]byte(body[8:])), netip.AddrFrom16([16]byte(body[24:]))
		switch body[6] {
		case 112:
			return f.advert(body[40:total], 16)
		case 58:
			return f.na(body[40:total])
		}
	}
	return false
}

func (f *Frame) arp(b []byte) bool {
	if len(b) < 28 || string(b[14:18]) != string(b[24:28]) {
		return false
	}
	f.Kind, f.Opcode = GARP, binary.BigEndian.Uint16(b[6:])
	f.Target = netip.AddrFrom4([4]byte(b[14:]))
	f.Src, f.Dst = f.Target, f.Target
	return true
}

func (f *Frame) na(b []byte) bool {
	if len(b) < 24 || b[0] != 136 || b[4]&0x40 != 0 {
		return false
	}
	f.Kind, f.Flags, f.Target = NA, b[4], netip.AddrFrom16([16]byte(b[8:]))
	return true
}

func (f *Frame) advert(b []byte, size int) bool {
	if len(b) < 8 {
		return false
	}
	f.Kind, f.Payload = Advert, b
	f.Version, f.VRID, f.Priority = b[0]>>4, b[1], b[2]
	if f.Version == 2 {
		f.AuthType, f.Interval = b[4], time.Duration(b[5])*time.Second
	} else {
		f.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0xfff) * 10 * time.Millisecond
	}
	rest := b[8:]
	for range int(b[3]) {
		if len(rest) < size {
			break
		}
		a, _ := netip.AddrFromSlice(rest[:size])
		f.VIPs, rest = append(f.VIPs, a), rest[size:]
	}
	if f.Version == 2 && len(rest) >= 8 {
		f.Auth = strings.TrimRight(string(rest[:8]), "\x00")
	}
	return true
}

// Sequence is the number in the authentication header.
func (f *Frame) Sequence() uint32 { return binary.BigEndian.Uint32(f.AH[8:]) }

func (f *Frame) String() string {
	switch f.Kind {
	case Advert:
		s := fmt.Sprintf("advert v%d %s > %s vrid %d prio %d int %v %v", f.Version, f.Src, f.Dst, f.VRID, f.Priority, f.Interval, f.VIPs)
		if f.Version == 2 {
			s += fmt.Sprintf(" auth %d %q", f.AuthType, f.Auth)
		}
		if f.AH != nil {
			s += fmt.Sprintf(" sequence %d", f.Sequence())
		}
		return s
	case GARP:
		return fmt.Sprintf("garp op %d %s is at %s", f.Opcode, f.Target, f.SrcMAC)
	}
	return fmt.Sprintf("na flags %#x %s is at %s", f.Flags, f.Target, f.SrcMAC)
}

// Adverts matches VRRP adverts that the node sent.
func Adverts(node string) Match {
	return func(f *Frame) bool { return f.Kind == Advert && f.Node == node }
}

// Announcements matches the node's gratuitous ARPs and unsolicited neighbour advertisements for an address.
func Announcements(node string, addr netip.Addr) Match {
	return func(f *Frame) bool { return f.Kind != Advert && f.Node == node && f.Target == addr }
}

// After matches frames sent after the moment, Before those sent before it.
func After(at time.Time) Match { return func(f *Frame) bool { return f.At.After(at) } }

// Before matches frames sent before the moment.
func Before(at time.Time) Match { return func(f *Frame) bool { return f.At.Before(at) } }

// VRID matches adverts with the virtual router id.
func VRID(id uint8) Match { return func(f *Frame) bool { return f.VRID == id } }

// Priority matches adverts with the priority.
func Priority(p uint8) Match { return func(f *Frame) bool { return f.Priority == p } }

// Not inverts a match.
func Not(m Match) Match { return func(f *Frame) bool { return !m(f) } }

// OnLAN matches frames of one LAN.
func OnLAN(lan int) Match { return func(f *Frame) bool { return f.LAN == lan } }
