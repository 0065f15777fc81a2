package vrrp

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// MASTER: owns the addresses and says so (RFC 9568 §6.4.3).

// conflict is what an owner knows about another router that claims to be the owner as well.
type conflict struct {
	rival netip.Addr
	left  int       // own adverts that the rival may still miss
	until time.Time // when left is 0: how long its adverts are forgiven
	lost  bool      // we use 254 instead of 255
}

// proclaim comes before everything else of a new master.
func (m *Machine) proclaim(s *step) {
	m.forget(s)
	m.ah.promoted()
	m.send(s, m.EffectivePriority())
	m.say(s, lineMaster)
}

func (m *Machine) enterMaster(s *step) {
	m.stats.BecomeMaster++
	m.want, m.logged, m.conflict = model.Master, 0, conflict{}
	m.deadline = s.now.Add(m.inst.AdvertInt)
	m.announce = true
	m.own(s)
}

// leaveMaster releases what a master has; farewell sends priority 0, so that a backup need not wait.
//
// Differs from keepalived: it sends priority 0 twice for a fault of its own, and lets the second block of announcements wait,
// so that it comes early if m is master again by then.
func (m *Machine) leaveMaster(s *step, farewell bool) {
	if farewell && !m.keep {
		m.send(s, 0)
		m.sayDetail(s, lineSentZero)
	}
	s.do(Action{Kind: Unannounce, M: m})
	if !m.keep {
		m.disown(s)
	}
	m.stats.ReleaseMaster++
	m.announce, m.logged = false, 0
	m.again, m.refresh, m.contested, m.reannounceAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
}

// send emits one logical advert.
func (m *Machine) send(s *step, priority uint8) {
	if m.ah.mac != nil {
		m.ah.next()
	}
	s.do(Action{Kind: Send, M: m, Priority: priority})
	m.lastSent = s.now
	m.stats.AdvertSent++
	if priority == 0 {
		m.stats.PriZeroSent++
	}
	if m.conflict.left > 0 {
		if m.conflict.left--; m.conflict.left == 0 {
			m.conflict.until = s.now.Add(max(m.inst.AdvertInt, m.masterInt) * 6 / 5)
		}
	}
}

// advertDue: Adver_Timer fired.
func (m *Machine) advertDue(s *step) {
	if m.overrun(s) {
		return
	}
	m.send(s, m.EffectivePriority())
	m.deadline = advance(s.now, m.deadline, m.inst.AdvertInt)
}

// answer sends an advert out of turn; the next one is due an interval later. Answers are never closer than 1/answerRest of an interval:
// one that would be comes at the end of that time, for all that asked meanwhile.
//
// Differs from keepalived: it re-arms the timer for every packet it receives, sent or not, so that a stream of bad packets
// silences it; and it answers each of any number of packets.
func (m *Machine) answer(s *step) {
	if m.lastSent.Equal(s.now) {
		return
	}
	if next := m.answered.Add(m.inst.AdvertInt / answerRest); s.now.Before(next) {
		if next.Before(m.deadline) {
			m.answered, m.deadline = next, next
		}
		return
	}
	m.answered = s.now
	m.send(s, m.EffectivePriority())
	m.deadline = s.now.Add(m.inst.AdvertInt)
}

const (
	answerRest = 16
	// announceRest is how long re-announcements are apart.
	announceRest = time.Second
)

// overrun steps down if we have been silent for so long that a backup must have taken over (timer_expired_backup, stall_guard).
func (m *Machine) overrun(s *step) bool {
	rival := m.rivalDown()
	if rival == 0 {
		return false
	}
	if s.now.Before(m.lastSent.Add(rival)) {
		return false
	}
	late := s.now.Sub(m.deadline)
	s.do(Action{Kind: Say, M: m, Line: fmt.Sprintf(lineOverrun, late/time.Second, late%time.Second/time.Microsecond)})
	m.yield(s, WhyOverrun)
	return true
}

// masterReceived: an advert that passed validation.
func (m *Machine) masterReceived(s *step, a *Advert) {
	if a.Priority == 0 {
		m.stats.PriZeroRcvd++
		m.answer(s)
		m.sayDetail(s, lineMasterZero)
		return
	}
	if a.Priority == Owner && m.inst.Priority == Owner {
		m.rivalOwner(s, a)
	}
	ours := m.EffectivePriority()
	switch byAddr := a.Src.Compare(m.src); cmp.Or(cmp.Compare(a.Priority, ours), byAddr) {
	case 0:
		m.say(s, lineEqual)
	case 1:
		if m.inst.HigherPrioAdvert {
			m.answer(s)
		}
		if a.Priority > ours {
			m.say(s, lineHigher, a.Src, a.Priority, ours)
		} else {
			m.say(s, lineHigherAddr, a.Src, ours)
		}
		m.heard(s, a)
		m.yield(s, WhyOutranked)
	default:
		m.outrank(s, a, ours)
	}
}

// outrank: the sender is below us and has to be told.
func (m *Machine) outrank(s *step, a *Advert, ours uint8) {
	if m.inst.LowerPrioNoAdvert {
		m.say(s, lineLower, a.Src, a.Priority, ours)
		m.outrankAH(s)
	} else {
		m.say(s, lineLowerElection, a.Src, a.Priority, ours)
		m.outrankAH(s)
		m.answer(s)
	}
	m.reannounce(s)
	m.contend(s, a)
	if m.group != nil {
		m.group.memberOutranks(s, m)
	}
	if !s.now.Before(m.lowerTold.Add(m.inst.AdvertInt / 2)) {
		m.lowerTold = s.now
		if m.pending.Kind != 0 { // nobody knows yet that we are master
			m.lower = ours
		} else {
			s.do(Action{Kind: LowerPrioSeen, M: m, Priority: ours})
		}
	}
}

// reannounce tells the neighbours again after a lower router may have told them otherwise: at once, but not more than once in
// announceRest; what was heard meanwhile is answered at its end.
//
// Differs from keepalived: it announces all addresses, and calls notify_master_rx_lower_pri, for each of any number of packets.
func (m *Machine) reannounce(s *step) {
	g := &m.inst.GARP
	if g.LowerPrioRepeat == 0 {
		return
	}
	if next := m.reannounced.Add(announceRest); s.now.Before(next) {
		m.reannounceAt = next
		return
	}
	m.reannounced, m.reannounceAt = s.now, time.Time{}
	if m.announceBlock(s, g.LowerPrioRepeat); g.LowerPrioDelay > 0 {
		m.again, m.repeat = s.now.Add(g.LowerPrioDelay), g.LowerPrioRepeat
	}
}

// rivalOwner: two routers claim to own the addresses. The one with the lower address yields as in any election. The other gives the
// rival time to hear it, and if that does not help, steps back to 254 itself, so that there is one master.
func (m *Machine) rivalOwner(s *step, a *Advert) {
	c := &m.conflict
	if c.rival != a.Src {
		*c = conflict{rival: a.Src, left: 2}
		m.masterInt = a.Interval
		m.say(s, lineTwoOwners, a.Src)
		return
	}
	if !c.lost && c.left == 0 && !s.now.Before(c.until) {
		c.lost = true
		m.say(s, lineStillOwner, a.Src)
	}
}

// stolen: somebody removed one of our addresses, or a route or rule. Everything is given up, with priority 0, and tried again after the skew
// time.
func (m *Machine) stolen(s *step, addr netip.Addr) {
	if m.state != model.Master {
		return
	}
	if !addr.IsValid() {
		m.yield(s, WhyStolen)
		return
	}
	dev, tracked := "", false
	for _, list := range [...][]model.Address{m.inst.VIPs, m.inst.ExcludedVIPs} {
		for i := range list {
			if list[i].Prefix.Addr() == addr {
				dev, tracked = list[i].Interface, !list[i].NoTrack
			}
		}
	}
	if tracked {
		s.do(Action{Kind: Say, M: m, Line: fmt.Sprintf(lineStolen, addr, dev)})
		m.yield(s, WhyStolen)
	}
}

// yield becomes BACKUP, the group with it.
func (m *Machine) yield(s *step, why Why) {
	m.change(s, model.Backup, why)
	if m.group != nil {
		m.group.memberYielded(s, m, why)
	}
}

// announceAll is the announcing of a new master, or of new addresses.
func (m *Machine) announceAll(s *step) {
	g := &m.inst.GARP
	if g.MasterRepeat > 0 {
		m.announceBlock(s, g.MasterRepeat)
		if g.MasterDelay > 0 {
			m.again, m.repeat = s.now.Add(g.MasterDelay), g.MasterRepeat
		}
	}
	m.armRefresh(s)
}

// announceBlock announces all addresses, which must be up: until they are, it is left to settle.
func (m *Machine) announceBlock(s *step, repeat int) {
	if !m.settled {
		m.announce = true
		return
	}
	s.do(Action{Kind: Announce, M: m, Repeat: repeat})
}

// armRefresh starts the periodic announcements unless they run.
func (m *Machine) armRefresh(s *step) {
	g := &m.inst.GARP
	switch {
	case g.MasterRefresh == 0 || g.RefreshRepeat == 0:
		m.refresh = time.Time{}
	case m.refresh.IsZero():
		m.refresh = s.now.Add(g.MasterDelay + g.MasterRefresh)
	}
}

// masterReconfigured: a pending second block of announcements stays.
//
// Differs from keepalived: it loses that block, announces all addresses at every reload if a refresh is configured, and sends
// two adverts for every reload.
func (m *Machine) masterReconfigured(s *step, old *model.Instance) {
	if next := s.now.Add(m.inst.AdvertInt); next.Before(m.deadline) {
		m.deadline = next
	}
	m.armRefresh(s)
	same := func(a, b []model.Address) bool { return slices.Equal(a, b) }
	if same(old.VIPs, m.inst.VIPs) && same(old.ExcludedVIPs, m.inst.ExcludedVIPs) {
		if !reflect.DeepEqual(old.Routes, m.inst.Routes) || !slices.Equal(old.Rules, m.inst.Rules) {
			m.own(s)
		}
		return
	}
	had, has := unleased(addresses(old)), unleased(addresses(m.inst))
	for _, a := range had {
		if !slices.Contains(has, a) {
			m.say(s, lineGone, a.Prefix, a.Interface)
		}
	}
	for _, a := range has {
		m.announce = m.announce || !slices.Contains(had, a)
	}
	m.own(s)
}

func addresses(i *model.Instance) []model.Address {
	return append(slices.Clone(i.VIPs), i.ExcludedVIPs...)
}

// unleased leaves out of list, which it changes, what neighbours need not be told of.
func unleased(list []model.Address) []model.Address {
	for i := range list {
		list[i].Lease = 0
	}
	return list
}
