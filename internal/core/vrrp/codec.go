package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Protocol is VRRP's IP protocol number.
const Protocol = 112

const (
	protocolAH    = 51
	ipHeaderLen   = 20
	headerLen     = 8
	passwordLen   = 8
	typeAdvert    = 1
	tos           = 0xc0 // CS6
	maxIntervalV3 = 0xfff
	centisecond   = 10 * time.Millisecond
)

// groupIPv4 is the group that old releases took for the destination in the checksum of unicast v3 adverts.
var groupIPv4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})

// Packet is a datagram of protocol 112 or 51. IPHeader and Payload are read during the Step only.
type Packet struct {
	Src, Dst  netip.Addr
	TTL       int    // or hop limit
	IPHeader  []byte // IPv4 only
	Payload   []byte // what follows the IP header
	IfIndex   int
	Multicast bool      // Dst is a multicast address
	At        time.Time // of its arrival in the kernel; zero, or after the Step: that of the Step
	Wall      time.Time // what the wall clock, which may be set at any time, said when it was read; zero: the instant of the Step
}

// VRID returns the virtual router that an advert is for, which may be forged or damaged; ok is false if it is too short to tell.
func (p *Packet) VRID() (vrid uint8, ok bool) {
	b := p.message()
	if len(b) < headerLen {
		return 0, false
	}
	return b[1], true
}

// message returns the payload without an authentication header before it; empty if it is too short for that.
func (p *Packet) message() []byte {
	if isAH(p) {
		return p.Payload[min(ahLen, len(p.Payload)):]
	}
	return p.Payload
}

// Advert is what a received advert says.
type Advert struct {
	Src      netip.Addr
	Priority uint8
	Interval time.Duration
	At       time.Time // of its arrival
}

// AppendPacket appends to buf what a raw socket sends as an advert from SourceAddr to dst: with IPv4 the whole packet, in which the
// kernel fills the IP checksum; with IPv6 the VRRP message, in which the kernel fills the checksum. It
// allocates nothing if buf has the room. All peers of one advert get the same id. wall is the wall clock, for auth_hmac.
func (m *Machine) AppendPacket(buf []byte, priority uint8, dst netip.Addr, id uint16, wall time.Time) []byte {
	i := m.inst
	start := len(buf)
	if i.Family == model.IPv4 {
		buf = appendIPv4(buf, i, m.src, dst, id)
	}
	if i.AuthType == model.AuthAH {
		buf = m.appendAH(buf)
	}
	at := len(buf)
	buf = append(buf, byte(i.Version)<<4|typeAdvert, i.VRID, priority, byte(len(i.VIPs)))
	if i.Version == 3 {
		buf = binary.BigEndian.AppendUint16(buf, uint16(i.AdvertInt/centisecond)&maxIntervalV3)
	} else {
		buf = append(buf, byte(i.AuthType), byte(i.AdvertInt/time.Second))
	}
	buf = append(buf, 0, 0) // checksum
	for k := range i.VIPs {
		a := i.VIPs[k].Prefix.Addr()
		if i.Family == model.IPv4 {
			b := a.As4()
			buf = append(buf, b[:]...)
		} else {
			b := a.As16()
			buf = append(buf, b[:]...)
		}
	}
	if i.Family == model.IPv6 {
		return m.sign(buf, at, wall)
	}
	if i.Version == 2 {
		buf = append(buf, 0, 0, 0, 0, 0, 0, 0, 0)
		if i.AuthType == model.AuthPass {
			copy(buf[len(buf)-passwordLen:], i.AuthPass)
		}
	}
	sum := uint16(0)
	if i.Version == 3 && !i.V3ChecksumV2 {
		if len(i.Peers) > 0 && (m.oldSum || i.OldUnicastSum == model.ChecksumOld) {
			dst = groupIPv4
		}
		sum = pseudoHeader(m.src, dst, len(buf)-at)
	}
	binary.BigEndian.PutUint16(buf[at+6:], checksum(sum, buf[at:]))
	buf = m.sign(buf, at, wall)
	binary.BigEndian.PutUint16(buf[start+2:], uint16(len(buf)-start))
	if i.AuthType == model.AuthAH {
		m.signAH(buf[start:])
	}
	return buf
}

// sign appends the trailer of auth_hmac to the advert that begins at at, if it is to have one. The checksum of IPv4 does not cover it.
func (m *Machine) sign(buf []byte, at int, wall time.Time) []byte {
	if !signs(m.inst) {
		return buf
	}
	return m.appendTrailer(buf, buf[at:], wall)
}

// appendIPv4 appends an IPv4 header whose length is filled in later.
func appendIPv4(buf []byte, i *model.Instance, src, dst netip.Addr, id uint16) []byte {
	ttl := 255
	if len(i.Peers) > 0 && i.UnicastTTL != 0 {
		ttl = i.UnicastTTL
	}
	s, d := src.As4(), dst.As4()
	protocol := byte(Protocol)
	if i.AuthType == model.AuthAH {
		protocol = protocolAH
	}
	buf = append(buf, 0x45, tos, 0, 0, byte(id>>8), byte(id), 0, 0, byte(ttl), protocol, 0, 0)
	buf = append(buf, s[:]...)
	return append(buf, d[:]...)
}

// pseudoHeader returns the sum of the IPv4 pseudo header of a message of n bytes (RFC 9568 §5.2.8).
func pseudoHeader(src, dst netip.Addr, n int) uint16 {
	var h [12]byte
	s, d := src.As4(), dst.As4()
	copy(h[:], s[:])
	copy(h[4:], d[:])
	h[9] = Protocol
	binary.BigEndian.PutUint16(h[10:], uint16(n))
	return ^checksum(0, h[:])
}

// checksum returns the one's complement of the one's complement sum of init and b (RFC 1071); 0 over a message with a right checksum.
func checksum(init uint16, b []byte) uint16 {
	sum := uint32(init)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
