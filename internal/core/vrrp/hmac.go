package vrrp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// auth_hmac: a trailer behind the advert, with a key id, a freshness value and a truncated HMAC-SHA-256 (keepalived 2.4.2).

const (
	trailerLen   = 28
	trailerType  = 1
	trailerFresh = 4  // where the freshness value begins,
	trailerMAC   = 12 // and where the MAC
	macLen       = trailerLen - trailerMAC

	// known is how many senders a multicast router remembers.
	known = 4
)

// trailers is what auth_hmac needs between adverts.
type trailers struct {
	keys   map[uint8]hash.Hash // nil: no auth_hmac
	sum    [sha256.Size]byte
	last   uint64   // freshness of the last advert sent; 0: none
	heard  []sender // the most recent first
	pseudo [20]byte
}

// sender is a router whose signed advert was accepted.
type sender struct {
	addr  netip.Addr
	fresh uint64 // the highest value accepted from it,
	at    time.Time
}

func (t *trailers) configure(i *model.Instance) {
	t.keys = nil
	if !i.HMAC.On() {
		return
	}
	t.keys = make(map[uint8]hash.Hash, len(i.HMAC.Keys))
	for _, k := range i.HMAC.Keys {
		t.keys[k.ID] = hmac.New(sha256.New, k.Key)
	}
}

// signs reports whether adverts of i carry a trailer.
func signs(i *model.Instance) bool { return i.HMAC.On() && i.HMAC.Mode != model.HMACReceiveOnly }

// appendTrailer appends the trailer of the advert pdu, the end of buf.
func (m *Machine) appendTrailer(buf, pdu []byte, wall time.Time) []byte {
	h := &m.inst.HMAC
	at := len(buf)
	buf = append(buf, trailerType, h.Active, 0, 0)
	buf = binary.BigEndian.AppendUint64(buf, m.trailers.stamp(wall, h))
	return append(buf, m.trailers.mac(m.inst, h.Active, m.src, pdu, buf[at:])...)
}

// clock writes a wall clock as a freshness value: seconds, 1/65536 s, and room to count.
func clock(wall time.Time) uint64 {
	return uint64(uint32(wall.Unix()))<<32 | uint64(wall.Nanosecond())<<16/uint64(time.Second)<<16
}

// stamp returns the freshness value of the next advert: the clock, but always more than the last one.
//
// Differs from keepalived: when the clock was set back by more than the window, the values follow it. Those of before are ones that
// no peer with the right time accepts, and to count on from them would make two masters until the clock is there again.
func (t *trailers) stamp(wall time.Time, h *model.HMAC) uint64 {
	is := clock(wall)
	ahead := int64(t.last + 1 - is)
	if t.last != 0 && ahead > 0 && (h.Monotonic || ahead <= seconds32(h.Window)) {
		is = t.last + 1
	}
	t.last = is
	return is
}

// seconds32 is a duration as a difference of freshness values.
func seconds32(d time.Duration) int64 { return int64(d/time.Second) << 32 }

// mac returns the MAC of an advert whose checksum counts as 0, with head as the begin of its trailer.
func (t *trailers) mac(i *model.Instance, key uint8, src netip.Addr, pdu, head []byte) []byte {
	clear(t.pseudo[:])
	t.pseudo[0], t.pseudo[1], t.pseudo[2] = 6, byte(i.Version), i.VRID
	if src.Is4() {
		t.pseudo[0] = 4
	}
	copy(t.pseudo[4:], src.AsSlice())
	k := t.keys[key]
	k.Reset()
	k.Write(t.pseudo[:])
	k.Write(pdu[:6])
	k.Write(zeros[:2])
	k.Write(pdu[8:])
	k.Write(head[:trailerMAC])
	k.Write(zeros[:macLen])
	return k.Sum(t.sum[:0])[:macLen]
}

// checkTrailer checks the trailer b of the advert pdu; b is empty if there is none.
func (m *Machine) checkTrailer(s *step, p *Packet, src netip.Addr, pdu, b []byte) Reject {
	t, h := &m.trailers, &m.inst.HMAC
	failed := func(r Reject, counter *uint64, format string, args ...any) Reject {
		_, r = m.drop(s, r, counter, format, args...)
		return r
	}
	if len(b) == 0 {
		if h.Mode == model.HMACEnforce {
			return failed(RejectUnsigned, &m.stats.AuthExtMissing, lineUnsigned, src)
		}
		return Accepted
	}
	if b[0] != trailerType || b[2] != 0 || b[3] != 0 {
		return failed(RejectTrailer, &m.stats.AuthExtMalformed, lineTrailer, src)
	}
	wall := p.Wall
	if wall.IsZero() {
		wall = s.now
	}
	fresh := binary.BigEndian.Uint64(b[trailerFresh:])
	skew := time.Duration(int32(uint32(fresh>>32)-uint32(wall.Unix()))) * time.Second
	if !h.Monotonic && skew.Abs() > h.Window {
		return failed(RejectStale, &m.stats.AuthExtStale, lineStale, src, skew.Abs()/time.Second, h.Window/time.Second)
	}
	key := b[1]
	if t.keys[key] == nil {
		return failed(RejectKey, &m.stats.AuthExtUnknownKey, lineKey, key, src)
	}
	if !hmac.Equal(t.mac(m.inst, key, src, pdu, b), b[trailerMAC:]) {
		return failed(RejectHMAC, &m.stats.AuthExtInvalidHMAC, lineHMAC, src)
	}
	if len(m.inst.Peers) > 0 && !isPeer(m.inst, src) {
		return failed(RejectSource, nil, lineNotPeer, src)
	}
	if !t.note(s.now, clock(wall), src, fresh, m.inst) {
		return failed(RejectReplay, &m.stats.AuthExtReplay, lineReplay, src)
	}
	if !h.Monotonic && skew.Abs() > h.Window/2 {
		m.complain(s, complainSkew, nil, lineSkew, skew.Abs()/time.Second, src, h.Window/time.Second)
	}
	return Accepted
}

func isPeer(i *model.Instance, a netip.Addr) bool {
	for k := range i.Peers {
		if i.Peers[k].Addr == a {
			return true
		}
	}
	return false
}

// note reports whether the value is higher than all that were accepted from the sender, and keeps it. wall is our clock.
//
// Differs from keepalived: what would keep a sender out whose clock was set back is forgotten as soon as the window protects from
// replay by itself: a value that is ahead of our own clock by more than the window, and one that was accepted longer ago.
func (t *trailers) note(now time.Time, wall uint64, src netip.Addr, fresh uint64, i *model.Instance) bool {
	at := len(t.heard)
	for k := range t.heard {
		if t.heard[k].addr == src {
			at = k
			break
		}
	}
	if at < len(t.heard) {
		o := &t.heard[at]
		outdated := !i.HMAC.Monotonic && (int64(o.fresh-wall) > seconds32(i.HMAC.Window+time.Second) || now.Sub(o.at) > i.HMAC.Window)
		if !outdated && int64(fresh-o.fresh) <= 0 {
			return false
		}
	} else if len(t.heard) < max(known, len(i.Peers)) {
		t.heard = append(t.heard, sender{})
	} else {
		at--
	}
	copy(t.heard[1:at+1], t.heard[:at])
	t.heard[0] = sender{src, fresh, now}
	return true
}
