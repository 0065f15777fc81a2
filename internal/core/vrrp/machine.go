package vrrp

import (
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Owner is the priority of the router that has the virtual addresses as its own (RFC 9568 §5.2.4).
const Owner = 255

// Machine is one virtual router on this node. It holds deadlines, not timers: whoever drives it sends Timeout when
// Deadline has come. The zero Machine is not usable.
type Machine struct {
	inst  *model.Instance
	group *Group

	state   model.State
	want    model.State // the state it would be in if its group did not hold it back
	started bool
	since   time.Time  // of the last change of state
	until   time.Time  // end of the start-up delay
	src     netip.Addr // the last one there was: the goodbye of a router that lost it needs it
	noSrc   bool

	faults int // tracked things that are down
	reason string
	init   bool // a script of weight 0 has not run yet
	quiet  bool // in FAULT for that alone, which is told to nobody

	weights  int // sum of the trackers' contributions to the priority
	conflict conflict

	deadline  time.Time // BACKUP: the master is down; MASTER: the next advert
	lastSent  time.Time
	again     time.Time // second block of announcements
	repeat    int       // its size
	refresh   time.Time // periodic announcements
	contested time.Time // a rival master has been heard, and is taken for gone then
	listened  bool      // the stall guard has prolonged this silence once

	// What others can make a master do, and when it did so last: answer, tell the neighbours again, tell of a lower router.
	answered, reannounced, lowerTold time.Time
	reannounceAt                     time.Time // when the neighbours are to be told again

	preempt   bool      // a preempt delay was started
	preemptAt time.Time // its end

	masterAddr netip.Addr
	masterPrio uint8
	masterInt  time.Duration // interval of the current master; own if there is none
	oldSum     bool          // a unicast peer was found to use the old checksum
	logged     uint64        // receive errors that have been logged, by Reject
	ah         ah
	trailers   trailers

	gen      uint32 // of the last Own or Disown
	settled  bool   // the kernel is as gen asked
	announce bool   // to be announced when it is
	pending  Action // Changed that waits for settled; Kind 0: none
	lower    uint8  // priority of a LowerPrioSeen that waits behind pending; 0: none
	keep     bool   // stopping without a word, the addresses stay

	stats Stats
	rec   *recorder // nil: off
}

// New returns the machine of a virtual router in state INIT.
func New(inst *model.Instance) *Machine {
	m := &Machine{inst: inst, state: model.Init, want: model.Init, noSrc: true, masterInt: inst.AdvertInt, settled: true}
	m.ah.configure(inst)
	m.trailers.configure(inst)
	return m
}

// Step gives the event to m and appends to out what has to be done, for m and for the other members of its sync group, whose
// deadlines may have changed too. It does not keep ev. A received advert that changes nothing, and the sending of one, allocate nothing.
func Step(now time.Time, m *Machine, ev *Event, out []Action) []Action {
	s := step{now, out}
	switch ev.Kind {
	case Start:
		m.start(&s, ev.Until)
	case Received:
		m.received(&s, &ev.Packet)
	case Timeout:
		m.timeout(&s)
	case Faults:
		m.faults, m.reason, m.init = ev.Count, ev.Reason, ev.Init
		m.judge(&s)
	case Priority:
		m.reprioritise(&s, func() { m.weights = ev.Total - int(m.inst.Priority) })
	case Source:
		if m.noSrc = !ev.Addr.IsValid(); !m.noSrc {
			m.src = ev.Addr.WithZone("")
		}
		m.judge(&s)
	case Settled:
		m.settle(&s, ev.Gen)
	case Stolen:
		m.stolen(&s, ev.Addr)
	case Delayed:
		m.delay(&s, ev.Until)
	case Reconfigured:
		m.reconfigure(&s, ev.Instance)
	case Stop:
		m.stop(&s, model.Stop, WhyStop, ev.Keep)
	case Removed:
		m.stop(&s, model.Deleted, WhyRemoved, false)
	}
	return s.out
}

// Deadline returns when Timeout is due; zero: never.
func (m *Machine) Deadline() time.Time {
	d := m.deadline
	for _, t := range [...]time.Time{m.again, m.refresh, m.contested, m.reannounceAt} {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	return d
}

// Instance returns the configuration that m runs on.
func (m *Machine) Instance() *model.Instance { return m.inst }

// Group returns the sync group of m, or nil.
func (m *Machine) Group() *Group { return m.group }

// State returns the state; FAULT while the first result of a script is awaited.
func (m *Machine) State() model.State { return m.state }

// Want returns the state that m would be in if its sync group did not hold it back.
func (m *Machine) Want() model.State { return m.want }

// EffectivePriority returns the priority that an advert carries: 1..254, or 255 for an owner.
func (m *Machine) EffectivePriority() uint8 {
	switch {
	case m.inst.Priority != Owner:
		return uint8(min(max(int(m.inst.Priority)+m.weights, 1), Owner-1))
	case m.conflict.lost:
		return Owner - 1
	}
	return Owner
}

// TotalPriority returns base priority and weights, not clamped.
func (m *Machine) TotalPriority() int { return int(m.inst.Priority) + m.weights }

// SourceAddr returns the address that adverts come from, or came from until it was lost; zero: there was none yet.
func (m *Machine) SourceAddr() netip.Addr { return m.src }

// MasterAddr returns the source of the last accepted advert; zero when there is no other master.
func (m *Machine) MasterAddr() netip.Addr { return m.masterAddr }

// MasterPriority returns the priority of the last accepted advert; 0 when there is no other master.
func (m *Machine) MasterPriority() uint8 { return m.masterPrio }

// MasterAdvInt returns the interval of the current master's adverts.
func (m *Machine) MasterAdvInt() time.Duration { return m.masterInt }

// MasterDown returns how long a BACKUP waits for the next advert.
func (m *Machine) MasterDown() time.Duration { return m.masterDown() }

// LastTransition returns when the state changed last.
func (m *Machine) LastTransition() time.Time { return m.since }

// LastSent returns when the last advert was sent; zero: never.
func (m *Machine) LastSent() time.Time { return m.lastSent }

// FaultCount returns how many tracked things are down.
func (m *Machine) FaultCount() int { return m.faults }

// Stats returns the counters, which the caller may reset.
func (m *Machine) Stats() *Stats { return &m.stats }

// running reports whether m has been started and not stopped.
func (m *Machine) running() bool {
	return m.state == model.Backup || m.state == model.Master || m.state == model.Fault
}

// skew returns Skew_Time for priority p (RFC 3768 §6.1, RFC 9568 §6.1): 1/256 of a second for each step of v2, 1/256 of the master's interval of v3.
func (m *Machine) skew(p uint8) time.Duration {
	unit := time.Second
	if m.inst.Version == 3 {
		unit = m.masterInt
	}
	return time.Duration(256-int(p)) * unit / 256
}

// masterDown returns Master_Down_Interval (RFC 9568: Active_Down_Interval).
func (m *Machine) masterDown() time.Duration {
	return time.Duration(m.inst.DownTimerAdverts)*m.masterInt + m.skew(m.EffectivePriority())
}

// change leaves one state and enters another. Order: what was still to be told of the last change, the line (for MASTER: the advert
// before it, so that an old master lets go of the addresses), leaving, entering, telling.
func (m *Machine) change(s *step, to model.State, why Why) {
	m.flush(s)
	from := m.state
	if m.quiet {
		m.quiet, from = false, model.Init
	}
	switch to {
	case model.Backup:
		m.sayBackup(s)
	case model.Master:
		m.proclaim(s)
	case model.Fault:
		m.sayFault(s, why)
	}
	switch m.state {
	case model.Master:
		m.leaveMaster(s, to == model.Fault || why == WhyStolen || why == WhyStop || why == WhyRemoved)
	case model.Fault:
		m.leaveFault(s, to)
	}
	m.record(s.now, to, why)
	m.state, m.since, m.deadline = to, s.now, time.Time{}
	switch to {
	case model.Backup:
		m.enterBackup(s, why)
	case model.Master:
		m.enterMaster(s)
	default:
		m.want = to
	}
	m.tell(s, Action{Kind: Changed, M: m, From: from, To: to, Why: why, Priority: m.EffectivePriority()})
}

// tell sends a Changed on its way: at once if the kernel has settled and nothing of the group stands before it.
func (m *Machine) tell(s *step, a Action) {
	m.pending = a
	if m.group != nil {
		m.group.queue = append(m.group.queue, m)
		m.group.drain(s, nil)
	} else if m.settled {
		m.flush(s)
	}
}

// flush sends a waiting Changed on its way although the kernel has not settled, with all of the group that stands before it.
func (m *Machine) flush(s *step) {
	switch {
	case m.group != nil:
		m.group.force(s, m)
	default:
		m.release(s)
	}
}

// release sends a waiting Changed on its way, and what waits behind it.
func (m *Machine) release(s *step) {
	if m.pending.Kind == 0 {
		return
	}
	s.do(m.pending)
	if m.lower != 0 {
		s.do(Action{Kind: LowerPrioSeen, M: m, Priority: m.lower})
	}
	m.pending, m.lower = Action{}, 0
}

func (m *Machine) own(s *step) {
	for _, line := range setting(m.inst) {
		s.do(Action{Kind: Say, M: m, Line: line, Detail: true})
	}
	m.gen++
	m.settled = false
	s.do(Action{Kind: Own, M: m, Gen: m.gen})
}

func (m *Machine) disown(s *step) {
	for _, line := range Removing(m.inst) {
		s.do(Action{Kind: Say, M: m, Line: line, Detail: true})
	}
	m.gen++
	m.settled = false
	s.do(Action{Kind: Disown, M: m, Gen: m.gen})
}

// settle takes note that the kernel is as asked: now the addresses can be announced, and then the change be told.
func (m *Machine) settle(s *step, gen uint32) {
	if gen != m.gen || m.settled {
		return
	}
	m.settled = true
	if m.announce {
		m.announce = false
		m.announceAll(s)
	}
	if m.group != nil {
		m.group.drain(s, nil)
	} else {
		m.flush(s)
	}
}

func (m *Machine) timeout(s *step) {
	m.recordLateness(s.now)
	if due(s.now, m.deadline) {
		switch m.state {
		case model.Backup:
			m.masterSilent(s)
		case model.Master:
			m.advertDue(s)
		}
	}
	if due(s.now, m.again) {
		m.again = time.Time{}
		m.announceBlock(s, m.repeat)
	}
	if due(s.now, m.reannounceAt) {
		m.reannounce(s)
	}
	if due(s.now, m.refresh) {
		m.announceBlock(s, m.inst.GARP.RefreshRepeat)
		m.refresh = advance(s.now, m.refresh, m.inst.GARP.MasterRefresh)
	}
	if due(s.now, m.contested) {
		m.contested = time.Time{}
		m.announceBlock(s, m.inst.GARP.ContentionRepeat)
	}
}

// due reports whether deadline t has come; a zero one never does.
func due(now, t time.Time) bool { return !t.IsZero() && !now.Before(t) }

// advance returns the deadline one interval after t, so that lateness does not add up; from now if that has passed too.
func advance(now, t time.Time, interval time.Duration) time.Time {
	if next := t.Add(interval); next.After(now) {
		return next
	}
	return now.Add(interval)
}

func (m *Machine) received(s *step, p *Packet) {
	if m.state != model.Backup && m.state != model.Master || s.now.Before(m.until) {
		return
	}
	if m.state == model.Master && m.overrun(s) {
		return
	}
	a, reject := m.check(s, p)
	if reject != Accepted {
		return
	}
	// The patience of a backup counts from the arrival: how long the packet waited to be read is not added to a takeover.
	if a.At = s.now; !p.At.IsZero() && p.At.Before(s.now) {
		a.At = p.At
	}
	m.recordAdvert(&a)
	if m.state == model.Backup {
		m.backupReceived(s, &a)
	} else {
		m.masterReceived(s, &a)
	}
}

// heard takes note of the router whose advert was accepted. v3 adopts its interval (RFC 9568 §6.4.2 (455)).
func (m *Machine) heard(s *step, a *Advert) {
	if a.Src != m.masterAddr {
		if m.state == model.Backup { // a master has said whom it yields to
			m.sayMaster(s, a.Src)
		}
		m.logged = 0
		m.conflict.lost = m.conflict.lost && a.Src == m.conflict.rival
	}
	if a.Priority < Owner {
		m.conflict.lost = false
	}
	m.masterAddr, m.masterPrio = a.Src, a.Priority
	if m.inst.Version == 3 && a.Interval != m.masterInt {
		m.sayDetail(s, lineIntervalLearnt, m.masterInt.Milliseconds(), a.Interval.Milliseconds())
		m.masterInt = a.Interval
	}
}

// forget goes back to our own interval because there is no other master.
//
// Differs from keepalived: it does so only when it logs in detail.
func (m *Machine) forget(s *step) {
	if m.masterInt != m.inst.AdvertInt {
		m.sayDetail(s, lineIntervalOwn, m.masterInt.Milliseconds(), m.inst.AdvertInt.Milliseconds())
	}
	m.masterAddr, m.masterPrio, m.masterInt = netip.Addr{}, 0, m.inst.AdvertInt
}

// reprioritise lets set change what the effective priority depends on. The next advert of a master carries it; the timer of a
// backup moves by the difference.
func (m *Machine) reprioritise(s *step, set func()) {
	was, down := m.EffectivePriority(), m.masterDown()
	set()
	if m.state == model.Backup {
		m.deadline = m.deadline.Add(m.masterDown() - down)
	}
	if is := m.EffectivePriority(); is != was {
		m.say(s, linePriority, was, is)
		s.do(Action{Kind: PriorityChanged, M: m, Priority: is})
	}
}

// reconfigure keeps state, timers and counters. The advert deadline of a master is not disturbed, unless the new interval
// is so short that the next advert would be late.
//
// Differs from keepalived: it starts the timer of a backup and a preempt delay anew.
func (m *Machine) reconfigure(s *step, inst *model.Instance) {
	old := m.inst
	m.reprioritise(s, func() {
		if inst.Version == 2 || m.masterInt == old.AdvertInt {
			m.masterInt = inst.AdvertInt
		}
		m.inst = inst
	})
	m.ah.configure(inst)
	m.trailers.configure(inst)
	m.oldSum = m.oldSum && inst.OldUnicastSum == model.ChecksumDetect
	if m.state == model.Master {
		m.masterReconfigured(s, old)
	}
	m.judge(s)
}

// delay changes the end of the start-up delay while it lasts.
func (m *Machine) delay(s *step, until time.Time) {
	if !s.now.Before(m.until) {
		return
	}
	if until.Before(s.now) {
		until = s.now
	}
	if m.state == model.Backup {
		m.deadline = m.deadline.Add(until.Sub(m.until))
	}
	m.until = until
}

// stop ends the protocol. Members of a group stop one by one; the group is told of when the last has.
func (m *Machine) stop(s *step, to model.State, why Why, keep bool) {
	if m.state == model.Stop || m.state == model.Deleted {
		return
	}
	m.keep = keep
	m.change(s, to, why)
	if m.group != nil {
		m.group.stopped(s)
	}
}
