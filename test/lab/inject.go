package lab

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Packet is an IPv4 advert to inject, well-formed unless asked otherwise. Its zero value, but for VRID and Priority, is
// a version 3 advert to the group, for 10.1.0.100, with the interval 0.2 s.
type Packet struct {
	VRID, Priority          uint8
	Version, Type, AuthType uint8
	Interval                uint16 // as on the wire: v2 seconds, v3 hundredths
	VIPs                    []netip.Addr
	Auth                    string // v2
	AHKey                   string // not empty: behind an authentication header, with Sequence
	Sequence                uint32
	SPI                     netip.Addr // of that, if not Src
	Src, Dst                netip.Addr
	TTL                     uint8

	Count    int    // stated number of addresses, if not 0
	Checksum uint16 // added to the right checksum
	NoPseudo bool   // v3: checksum without the pseudo header

	OldChecksum bool   // v3 unicast: checksum as if sent to 224.0.0.18
	Extra       []byte // appended to the message, in the IP length
	Cut         int    // bytes missing at the end
}

func (p Packet) withDefaults() Packet {
	setByte := func(b *uint8, v uint8) {
		if *b == 0 {
			*b = v
		}
	}
	setByte(&p.Version, 3)
	setByte(&p.Type, 1)
	setByte(&p.TTL, 255)
	if p.Interval == 0 {
		p.Interval = 20
		if p.Version == 2 {
			p.Interval = 1
		}
	}
	if p.VIPs == nil {
		p.VIPs = []netip.Addr{netip.MustParseAddr("10.1.0.100")}
	}
	if !p.Dst.IsValid() {
		p.Dst = netip.MustParseAddr("224.0.0.18")
	}
	return p
}

// message is the VRRP message with its checksum.
func (p Packet) message() []byte {
	count := len(p.VIPs)
	if p.Count != 0 {
		count = p.Count
	}
	b := []byte{p.Version<<4 | p.Type, p.VRID, p.Priority, uint8(count), 0, 0, 0, 0}
	if p.Version == 2 {
		b[4], b[5] = p.AuthType, uint8(p.Interval)
	} else {
		binary.BigEndian.PutUint16(b[4:], p.Interval)
	}
	for _, a := range p.VIPs {
		b = append(b, a.AsSlice()...)
	}
	if p.Version == 2 {
		b = append(b, make([]byte, 8)...)
		copy(b[len(b)-8:], p.Auth)
	}
	b = append(b, p.Extra...)
	b = b[:len(b)-p.Cut]
	var pseudo []byte
	if p.Version == 3 && !p.NoPseudo {
		dst := p.Dst
		if p.OldChecksum {
			dst = netip.AddrFrom4([4]byte{224, 0, 0, 18})
		}
		pseudo = append(append(p.Src.AsSlice(), dst.AsSlice()...), 0, 112, 0, uint8(len(b)))
	}
	if sum := checksum(append(pseudo, b...)) + p.Checksum; len(b) >= 8 {
		binary.BigEndian.PutUint16(b[6:], sum)
	}
	return b
}

// authenticated is the message behind an authentication header (RFC 2402) for the IPv4 header, as keepalived's is.
func (p Packet) authenticated(head, message []byte) []byte {
	fixed := bytes.Clone(head)
	fixed[1], fixed[10], fixed[11] = 0, 0, 0
	if !p.Dst.IsMulticast() {
		fixed[8] = 0
	}
	spi := p.Src
	if p.SPI.IsValid() {
		spi = p.SPI
	}
	ah := append([]byte{112, 4, 0, 0}, spi.AsSlice()...)
	ah = append(binary.BigEndian.AppendUint32(ah, p.Sequence), make([]byte, 12)...)
	key := make([]byte, 8)
	copy(key, p.AHKey)
	mac := hmac.New(md5.New, key)
	mac.Write(slices.Concat(fixed, ah, message))
	copy(ah[12:], mac.Sum(nil))
	return append(ah, message...)
}

// checksum is the Internet checksum (RFC 1071) of b.
func checksum(b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Inject sends the packet from the node, to the hardware address of its group or, for a unicast destination, of to. It
// returns when it did.
func (n *Node) Inject(lan int, p Packet, to *Node) time.Time {
	n.lab.t.Helper()
	if !p.Src.IsValid() {
		p.Src = n.Addr(lan)
	}
	p = p.withDefaults()
	message := p.message()
	head := make([]byte, 20)
	head[0], head[1], head[8], head[9] = 0x45, 0xc0, p.TTL, 112
	binary.BigEndian.PutUint16(head[2:], uint16(len(head)+len(message)))
	copy(head[12:], p.Src.AsSlice())
	copy(head[16:], p.Dst.AsSlice())
	if p.AHKey != "" {
		head[9] = 51
		binary.BigEndian.PutUint16(head[2:], uint16(len(head)+24+len(message)))
		message = p.authenticated(head, message)
	}
	binary.BigEndian.PutUint16(head[10:], checksum(head))

	dst := net.HardwareAddr{0x01, 0x00, 0x5e, head[17] & 0x7f, head[18], head[19]}
	if !p.Dst.IsMulticast() {
		dst, _ = net.ParseMAC(to.MAC(lan))
	}
	src, _ := net.ParseMAC(n.MAC(lan))
	frame := append(append(append([]byte{}, dst...), src...), 0x08, 0x00)
	frame = append(append(frame, head...), message...)
	return n.Replay(lan, frame)
}

// Replay sends a frame from the node as it is, and returns when it did.
func (n *Node) Replay(lan int, frame []byte) time.Time {
	n.lab.t.Helper()
	at := time.Now()
	n.lab.in(n.ns, func() error {
		link, err := net.InterfaceByName("eth" + string(rune('0'+lan)))
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index})
	})
	return at
}
