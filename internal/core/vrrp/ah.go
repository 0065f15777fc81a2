package vrrp

import (
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"hash"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// auth_type AH: an IPsec authentication header (RFC 2402) between the IP header and an advert of version 2 over IPv4, as keepalived
// makes it: the SPI is the source address, and one sequence number per virtual router is shared by all its routers.

const (
	ahLen    = 24
	ahICV    = 12 // where the integrity check value begins, and its length
	ahLast   = 0xfffffffd
	ahWords  = ahLen/4 - 2
	ahKeyLen = passwordLen
)

// zeros stand for fields that are filled in later, or change on the way.
var zeros [macLen]byte

// ah is what authentication headers need between adverts.
type ah struct {
	mac    hash.Hash // nil: no auth_type AH
	sum    [md5.Size]byte
	fixed  [ipHeaderLen]byte // what of an IP header goes into the check value
	seq    uint32            // last number sent or accepted
	cycled bool              // the numbers are used up: the last one is sent over and over
}

func (h *ah) configure(i *model.Instance) {
	if h.mac = nil; i.AuthType == model.AuthAH {
		var key [ahKeyLen]byte
		copy(key[:], i.AuthPass)
		h.mac = hmac.New(md5.New, key[:])
	}
}

// next takes the number of the next advert.
func (h *ah) next() {
	if h.seq > ahLast {
		h.cycled = true
		return
	}
	h.seq++
}

// promoted begins anew what was used up.
func (h *ah) promoted() {
	if h.cycled {
		h.cycled, h.seq = false, 0
	}
}

// appendAH appends a header whose check value is filled in by signAH.
func (m *Machine) appendAH(buf []byte) []byte {
	spi := m.src.As4()
	buf = append(buf, Protocol, ahWords, 0, 0)
	buf = append(buf, spi[:]...)
	buf = binary.BigEndian.AppendUint32(buf, m.ah.seq)
	return append(buf, make([]byte, ahICV)...)
}

// signAH fills in the check value of a whole packet.
func (m *Machine) signAH(packet []byte) {
	body := packet[ipHeaderLen:]
	copy(body[ahICV:ahLen], m.ah.icv(packet[:ipHeaderLen], body, len(m.inst.Peers) > 0))
}

// icv returns the check value of a packet: over header and body with the fields that change on the way taken for 0. The TTL is such
// a field, but keepalived takes it for 0 in unicast mode only.
func (h *ah) icv(header, body []byte, unicast bool) []byte {
	f := &h.fixed
	copy(f[:], header)
	f[1], f[6], f[7], f[10], f[11] = 0, 0, 0, 0, 0
	if unicast {
		f[8] = 0
	}
	h.mac.Reset()
	h.mac.Write(f[:])
	h.mac.Write(body[:ahICV])
	h.mac.Write(zeros[:ahLen-ahICV])
	h.mac.Write(body[ahLen:])
	return h.mac.Sum(h.sum[:0])[:ahLen-ahICV]
}

// checkAH checks the header of an advert whose length is right; body is header and message without padding.
func (m *Machine) checkAH(s *step, p *Packet, body []byte) Reject {
	h := &m.ah
	failed := func(r Reject, format string, args ...any) Reject {
		_, r = m.drop(s, r, &m.stats.AuthFailure, format, args...)
		return r
	}
	if !hmac.Equal(h.icv(p.IPHeader, body, len(m.inst.Peers) > 0), body[ahICV:ahLen]) {
		return failed(RejectICV, lineICV)
	}
	src := p.Src.As4()
	if spi := body[4:8]; string(spi) != string(src[:]) {
		return failed(RejectSPI, lineSPI, binary.NativeEndian.Uint32(src[:]), binary.NativeEndian.Uint32(spi)) // as keepalived prints them
	}
	seq := binary.BigEndian.Uint32(body[8:])
	if seq <= h.seq {
		defer m.unlockAH(s, p, body[ahLen:], h.seq-seq)
		return failed(RejectSequence, lineSequence, seq, h.seq)
	}
	h.seq = seq
	if m.state == model.Backup {
		h.cycled = false
	}
	return Accepted
}

// unlockAH heals two masters whose numbers rise side by side, so that neither hears the other: both went on from the number of the same
// master at the same time. The other's advert is authentic, and behind our number by late only.
//
// Differs from keepalived: there they stay masters.
func (m *Machine) unlockAH(s *step, p *Packet, message []byte, late uint32) {
	if m.state != model.Master || late > 2 || m.ah.seq > ahLast {
		return
	}
	m.ah.seq++
	if cmp.Or(cmp.Compare(message[2], m.EffectivePriority()), p.Src.Compare(m.src)) < 0 {
		m.answer(s)
	}
}

// outrankAH goes beyond the number of a lower router, which will hear us only then.
func (m *Machine) outrankAH(s *step) {
	if m.ah.mac != nil && m.ah.seq <= ahLast {
		m.ah.seq++
		m.sayDetail(s, lineSequenceSync)
	}
}
