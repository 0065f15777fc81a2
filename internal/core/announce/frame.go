package announce

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

var (
	broadcast   = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodesMAC = [6]byte{0x33, 0x33, 0, 0, 0, 1} // RFC 2464 §7 for ff02::1
	allNodes    = netip.MustParseAddr("ff02::1")
)

const (
	protoICMPv6 = 58
	maxHops     = 255 // RFC 4861 §7.1.2: anything else is discarded
)

// encode returns the frame that announces t.
func encode(t *Target) []byte {
	if t.Addr.Is4() {
		return gratuitousARP(t)
	}
	return unsolicitedNA(t)
}

// gratuitousARP is an ARP request for the own address, sent to everybody (RFC 5227 §3), with keepalived's target hardware address
// of all ones.
func gratuitousARP(t *Target) []byte {
	p, err := arp.NewPacket(arp.OperationRequest, t.MAC[:], t.Addr, broadcast[:], t.Addr)
	if err != nil {
		panic("encode gratuitous ARP: " + err.Error()) // only a wrong family can fail
	}
	body, _ := p.MarshalBinary()
	return frame(broadcast, t.MAC, ethernet.EtherTypeARP, body)
}

// unsolicitedNA is a neighbour advertisement to all nodes (RFC 4861 §7.2.6), which overrides what they know.
func unsolicitedNA(t *Target) []byte {
	icmp, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router:        t.Router,
		Override:      true,
		TargetAddress: t.Addr.WithZone(""),
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: t.MAC[:]}},
	}, t.Addr, allNodes)
	if err != nil {
		panic("encode neighbour advertisement: " + err.Error()) // only a wrong family can fail
	}
	ip := make([]byte, 40, 40+len(icmp))
	ip[0] = 6 << 4
	binary.BigEndian.PutUint16(ip[4:], uint16(len(icmp)))
	ip[6], ip[7] = protoICMPv6, maxHops
	src, dst := t.Addr.As16(), allNodes.As16()
	copy(ip[8:], src[:])
	copy(ip[24:], dst[:])
	return frame(allNodesMAC, t.MAC, ethernet.EtherTypeIPv6, append(ip, icmp...))
}

// frame puts the Ethernet header in front. It does not pad to 60 bytes, as the ethernet package would: the device does that, and
// keepalived's frames are not padded either.
func frame(dst, src [6]byte, typ ethernet.EtherType, payload []byte) []byte {
	b := make([]byte, 0, 14+len(payload))
	b = append(b, dst[:]...)
	b = append(b, src[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(typ))
	return append(b, payload...)
}
