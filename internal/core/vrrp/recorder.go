package vrrp

import (
	"net/netip"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// arrivalsKept is how many gaps between accepted adverts a Transition can tell of.
const arrivalsKept = 8

// Transition is one change of state as the flight recorder (vrrp_flight_recorder, our own) keeps it.
type Transition struct {
	At       time.Time
	From, To model.State
	Why      Why
	Reason   string          // of a fault
	Priority uint8           // ours, effective
	Peer     netip.Addr      // who was heard last, itself excluded; zero: nobody
	PeerPrio uint8           // its priority
	Silence  time.Duration   // since its last advert
	Gaps     []time.Duration // between its last adverts, the oldest first
	Late     time.Duration   // how late our own timers fired, the worst since the last transition
}

// recorder keeps the last transitions of a machine and what led to them.
type recorder struct {
	keep int
	list []Transition // the oldest first

	peer  netip.Addr
	prio  uint8
	last  time.Time // arrival of its last advert
	gaps  [arrivalsKept]time.Duration
	heard int // gaps so far
	late  time.Duration
}

// Keep has the flight recorder keep the last n transitions, at most; 0 switches it off.
func (m *Machine) Keep(n int) {
	switch {
	case n == 0:
		m.rec = nil
	case m.rec == nil:
		m.rec = &recorder{keep: n}
	default:
		m.rec.keep = n
		m.rec.trim()
	}
}

// Transitions returns a copy of what the flight recorder has, the oldest first.
func (m *Machine) Transitions() []Transition {
	if m.rec == nil {
		return nil
	}
	return slices.Clone(m.rec.list)
}

func (r *recorder) trim() {
	if n := len(r.list) - r.keep; n > 0 {
		r.list = slices.Delete(r.list, 0, n)
	}
}

func (m *Machine) record(now time.Time, to model.State, why Why) {
	r := m.rec
	if r == nil {
		return
	}
	t := Transition{At: now, From: m.state, To: to, Why: why, Priority: m.EffectivePriority(), Peer: r.peer, PeerPrio: r.prio, Late: r.late}
	if to == model.Fault {
		t.Reason = m.reason
	}
	if !r.last.IsZero() {
		t.Silence = now.Sub(r.last)
	}
	n := min(r.heard, arrivalsKept)
	for i := range n {
		t.Gaps = append(t.Gaps, r.gaps[(r.heard-n+i)%arrivalsKept])
	}
	r.late = 0
	r.list = append(r.list, t)
	r.trim()
}

// recordAdvert notes an accepted advert; it allocates nothing.
func (m *Machine) recordAdvert(a *Advert) {
	r := m.rec
	if r == nil {
		return
	}
	if a.Src == r.peer {
		r.gaps[r.heard%arrivalsKept] = a.At.Sub(r.last)
		r.heard++
	} else {
		r.heard = 0
	}
	r.peer, r.prio, r.last = a.Src, a.Priority, a.At
}

// recordLateness notes how late a timer of m fired.
func (m *Machine) recordLateness(now time.Time) {
	if m.rec == nil {
		return
	}
	if d := m.Deadline(); !d.IsZero() {
		m.rec.late = max(m.rec.late, now.Sub(d))
	}
}
