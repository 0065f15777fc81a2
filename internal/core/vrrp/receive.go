package vrrp

import (
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Reject is why a received advert was dropped. The order is that of the checks: the first that fails counts.
type Reject uint8

const (
	Accepted           Reject = iota
	RejectVRID                // for another virtual router, or family
	RejectCast                // IPv6: multicast on a unicast instance, or the reverse
	RejectAuthHeader          // AH header and auth_type do not go together
	RejectLength              // not the length that version and address count make
	RejectTTL                 // not 255
	RejectVersion             // not ours
	RejectAuthType            // v2: unknown
	RejectAuthMismatch        // v2: not ours
	RejectPassword            // v2: not ours
	RejectInterval            // v2: not ours; v3: 0
	RejectType                // not an advert
	RejectTotalLength         // the IP header tells another length
	RejectChecksum            // IPv4; the kernel checks that of IPv6
	RejectDestination         // IPv4: as RejectCast
	RejectOwner               // we own the addresses and do not listen
	RejectSource              // not a unicast peer
	RejectPeerTTL             // outside the range of that peer
	RejectICV                 // auth_type AH: the check value is wrong
	RejectSPI                 // auth_type AH: the SPI is not the source address
	RejectSequence            // auth_type AH: the number is not above the last one
	RejectUnsigned            // auth_hmac: no trailer
	RejectTrailer             // auth_hmac: not a trailer that we know
	RejectStale               // auth_hmac: the sender's clock is not ours
	RejectKey                 // auth_hmac: unknown key
	RejectHMAC                // auth_hmac: the MAC is wrong
	RejectReplay              // auth_hmac: not above the last one

	// Those below are complaints about adverts that are accepted.
	complainSkew
	complainInterval
	complainCount
	complainAddress
)

var rejectNames = [...]string{"accepted", "VRID", "cast", "auth header", "length", "TTL", "version", "auth type", "auth mismatch",
	"password", "interval", "type", "total length", "checksum", "destination", "owner", "source", "peer TTL",
	"ICV", "SPI", "sequence", "unsigned", "trailer", "stale", "key", "HMAC", "replay"}

func (r Reject) String() string { return rejectNames[r] }

// minFrame is the smallest Ethernet payload: what is shorter arrives padded to it.
const minFrame = 46

// check validates a received advert in keepalived's order, counts it, and logs the first of each kind of error.
func (m *Machine) check(s *step, p *Packet) (Advert, Reject) {
	i, b := m.inst, p.message()
	src := p.Src.WithZone("")
	unicast := len(i.Peers) > 0
	if vrid, ok := p.VRID(); ok && vrid != i.VRID || !of(p.Src, i.Family) || !of(p.Dst, i.Family) {
		return Advert{}, RejectVRID
	}
	if i.Family == model.IPv6 && p.Multicast == unicast {
		return m.drop(s, RejectCast, nil, lineCast, cast(p.Multicast), cast(!unicast))
	}
	if isAH(p) && i.AuthType != model.AuthAH {
		return m.drop(s, RejectAuthHeader, &m.stats.AuthTypeMismatch, lineAHReceived, src)
	}
	if i.AuthType == model.AuthAH && !isAH(p) {
		return m.drop(s, RejectAuthHeader, &m.stats.AuthTypeMismatch, lineAHMissing, src)
	}

	got := len(p.IPHeader) + len(p.Payload)
	before := got - len(b)
	if len(b) < headerLen {
		if isAH(p) {
			before = len(p.IPHeader) + ahLen
		}
		return m.drop(s, RejectLength, &m.stats.PacketLenErr, lineLength, src, "short", got, before+headerLen)
	}
	version, count := int(b[0]>>4), int(b[3])
	message := m.messageLen(version, count)
	want := before + message
	var trailer []byte
	if i.HMAC.On() && got == want+trailerLen {
		trailer, want = b[message:], got
	}
	if got < want {
		return m.drop(s, RejectLength, &m.stats.PacketLenErr, lineLength, src, "short", got, want)
	}
	if !fits(got, want) {
		return m.drop(s, RejectLength, &m.stats.PacketLenErr, lineLength, src, "long", got, want)
	}
	b = b[:message]
	if !unicast && p.TTL != 255 {
		return m.drop(s, RejectTTL, &m.stats.IPTTLErr, lineTTL, src, p.TTL)
	}
	if version != i.Version {
		return m.drop(s, RejectVersion, &m.stats.VersionErr, lineVersion, src, version, i.Version)
	}
	if i.HMAC.On() {
		if r := m.checkTrailer(s, p, src, b, trailer); r != Accepted {
			return Advert{}, r
		}
	}

	var interval time.Duration
	if version == 2 {
		switch auth := model.AuthType(b[4]); {
		case auth > model.AuthAH:
			return m.drop(s, RejectAuthType, &m.stats.InvalidAuthType, lineAuthType, src, b[4])
		case auth != i.AuthType:
			return m.drop(s, RejectAuthMismatch, &m.stats.AuthTypeMismatch, lineAuthMismatch, b[4], src, i.AuthType)
		case auth == model.AuthPass && i.Family == model.IPv4 && !m.passwordFits(b[message-passwordLen:]):
			return m.drop(s, RejectPassword, &m.stats.AuthFailure, linePassword, src)
		case auth == model.AuthAH && i.Family == model.IPv4:
			if r := m.checkAH(s, p, p.Payload[:ahLen+message]); r != Accepted {
				return Advert{}, r
			}
		}
		if interval = time.Duration(b[5]) * time.Second; interval != i.AdvertInt {
			return m.drop(s, RejectInterval, &m.stats.AdvertIntervalErr, lineIntervalV2, src, i.AdvertInt/time.Second, b[5])
		}
	}
	if b[0]&0xf != typeAdvert {
		return m.drop(s, RejectType, &m.stats.InvalidTypeRcvd, lineType, src, b[0]&0xf)
	}
	if len(p.IPHeader) >= ipHeaderLen {
		if total := int(binary.BigEndian.Uint16(p.IPHeader[2:])); total < want || !fits(got, total) {
			return m.drop(s, RejectTotalLength, &m.stats.PacketLenErr, lineTotalLength, src, total, got)
		}
	}
	if version == 3 {
		cs := binary.BigEndian.Uint16(b[4:]) & maxIntervalV3
		interval = time.Duration(cs) * centisecond
		if interval != i.AdvertInt && m.logged&(1<<complainInterval) == 0 {
			m.complain(s, complainInterval, nil, lineIntervalV3, i.AdvertInt/centisecond, cs)
		}
		// Differs from keepalived: an interval outside of RFC 9568 §5.2.7 is not learnt; the timer would fire at once.
		if interval == 0 {
			m.stats.AdvertIntervalErr++
			return Advert{}, RejectInterval
		}
	}
	if i.Family == model.IPv4 && !m.checksumFits(s, p, b) {
		return m.drop(s, RejectChecksum, &m.stats.ChecksumErr, lineChecksum, version, src)
	}
	if i.Family == model.IPv4 && p.Multicast == unicast {
		return m.drop(s, RejectDestination, &m.stats.AddrListErr, lineUnexpected, cast(!unicast), cast(p.Multicast), src)
	}
	if i.Priority == Owner && i.OwnerIgnoreAdvert {
		return m.drop(s, RejectOwner, nil, lineOwner, src)
	}
	m.stats.AdvertRcvd++
	m.checkAddresses(s, src, b[headerLen:], count)
	if r := m.checkPeer(s, src, p.TTL); r != Accepted {
		return Advert{}, r
	}
	return Advert{Src: src, Priority: b[2], Interval: interval}, Accepted
}

func of(a netip.Addr, f model.Family) bool { return a.IsValid() && model.FamilyOf(a) == f }

// isAH reports whether the message is behind an authentication header.
func isAH(p *Packet) bool { return len(p.IPHeader) >= ipHeaderLen && p.IPHeader[9] == protocolAH }

// fits reports whether got bytes may be a message of want bytes: that, or padded to the smallest frame.
func fits(got, want int) bool { return got == want || got == minFrame && want < minFrame }

// messageLen returns how long an advert of the version with so many addresses is.
func (m *Machine) messageLen(version, count int) int {
	if m.inst.Family == model.IPv6 {
		return headerLen + 16*count
	}
	n := headerLen + 4*count
	if version == 2 {
		n += passwordLen
	}
	return n
}

func (m *Machine) passwordFits(got []byte) bool {
	var ours [passwordLen]byte
	copy(ours[:], m.inst.AuthPass)
	return subtle.ConstantTimeCompare(got, ours[:]) == 1
}

// checksumFits checks the sum of an IPv4 advert, and finds out whether a unicast peer is so old that it takes the
// group for the destination; from then on we do too.
//
// Differs from keepalived: it takes the right sum for wrong once it knows, or is told, of an old peer; and 2.3.4 goes on sending just that.
func (m *Machine) checksumFits(s *step, p *Packet, b []byte) bool {
	i := m.inst
	if i.Version == 2 {
		return checksum(0, b) == 0
	}
	if i.V3ChecksumV2 {
		return true // keepalived accepts any
	}
	sums := func(dst netip.Addr) bool { return checksum(pseudoHeader(p.Src, dst, len(b)), b) == 0 }
	switch {
	case sums(p.Dst):
		return true
	case len(i.Peers) == 0 || i.OldUnicastSum == model.ChecksumNever || !sums(groupIPv4):
		return false
	case i.OldUnicastSum == model.ChecksumDetect && !m.oldSum:
		m.oldSum = true
		m.say(s, lineOldChecksum)
	}
	return true
}

// checkAddresses complains about an address list that is not ours; the advert counts all the same, or a rolling change
// of addresses would make two masters.
func (m *Machine) checkAddresses(s *step, src netip.Addr, list []byte, count int) {
	vips := m.inst.VIPs
	if count != len(vips) {
		m.complain(s, complainCount, &m.stats.AddrListErr, lineCount, len(vips), count)
		return
	}
	if m.inst.SkipCheckAdvAddr && src == m.masterAddr {
		return
	}
	for k := range vips {
		if a := vips[k].Prefix.Addr(); a != listed(list, k, m.inst.Family) && !contains(list, count, a) {
			m.complain(s, complainAddress, &m.stats.AddrListErr, lineMissing, m.inst.VRID, src, a)
			return
		}
	}
}

// listed returns the k-th address of an advert's list.
func listed(list []byte, k int, f model.Family) netip.Addr {
	if f == model.IPv4 {
		return netip.AddrFrom4([4]byte(list[4*k:]))
	}
	return netip.AddrFrom16([16]byte(list[16*k:]))
}

func contains(list []byte, count int, a netip.Addr) bool {
	for k := range count {
		if listed(list, k, model.FamilyOf(a)) == a {
			return true
		}
	}
	return false
}

// checkPeer lets only the configured peers speak, if that was asked for.
func (m *Machine) checkPeer(s *step, src netip.Addr, ttl int) Reject {
	peers, check := m.inst.Peers, m.inst.CheckUnicastSrc
	for k := range peers {
		p := &peers[k]
		limited := p.MinTTL > 0 || p.MaxTTL < 255
		check = check || limited
		if p.Addr != src {
			continue
		}
		if limited && (ttl < p.MinTTL || ttl > p.MaxTTL) {
			_, r := m.drop(s, RejectPeerTTL, nil, linePeerTTL, ttl, src, p.MinTTL, p.MaxTTL)
			return r
		}
		return Accepted
	}
	if !check {
		return Accepted
	}
	_, r := m.drop(s, RejectSource, nil, lineNotPeer, src)
	return r
}

// drop counts the error and logs the first of its kind.
func (m *Machine) drop(s *step, r Reject, counter *uint64, format string, args ...any) (Advert, Reject) {
	m.complain(s, r, counter, format, args...)
	return Advert{}, r
}

func (m *Machine) complain(s *step, r Reject, counter *uint64, format string, args ...any) {
	if counter != nil {
		*counter++
	}
	if m.logged&(1<<r) != 0 {
		return
	}
	m.logged |= 1 << r
	if r == RejectCast {
		m.sayDetail(s, format, args...)
		return
	}
	m.say(s, format, args...)
}

func cast(multicast bool) string {
	if multicast {
		return "multi"
	}
	return "uni"
}
