package vrrp

import "time"

// The stall guard (stall_guard, our own): a router that was paused for longer than the others are patient (a suspended virtual
// machine, a stopped process, a storm of interrupts) knows nothing of what they did meanwhile. It listens before it speaks: a master
// becomes BACKUP without a word (overrun), a backup waits for one more advert before it takes over (listen).

const (
	// A backup's timer this part of the master's interval late tells of a pause of our own; so does minLate at the least, for short
	// intervals are missed by healthy machines too.
	lateParts = 8
	minLate   = 20 * time.Millisecond
)

// rivalDown is how long a master may be silent before a backup must have taken over; 0: nobody asked. Of what others may have as
// their priority timer_expired_backup knows the highest; without it the highest there is counts.
func (m *Machine) rivalDown() time.Duration {
	switch {
	case m.inst.TimerExpired != 0:
		return 3*m.inst.AdvertInt + m.skew(uint8(m.inst.TimerExpired))
	case m.inst.StallGuard && m.inst.Priority != Owner:
		return time.Duration(m.inst.DownTimerAdverts)*m.inst.AdvertInt + m.skew(Owner-1)
	}
	return 0
}

// listen reports whether a backup whose timer fired late goes on waiting: long enough for a living master to be heard. It does so once
// for each silence, for a machine that is always late must take over some time.
func (m *Machine) listen(s *step) bool {
	late := s.now.Sub(m.deadline)
	if !m.inst.StallGuard || m.listened || late < max(m.masterInt/lateParts, minLate) {
		return false
	}
	m.listened = true
	m.deadline = s.now.Add(m.masterInt + m.skew(m.EffectivePriority()))
	m.say(s, lineListen, seconds(late))
	return true
}

// contend takes note of a rival master. When it has been silent for as long as it would have been patient itself, the neighbours are
// told again (garp_contention_repeat, our own): what it told them last may have come after all that we said.
func (m *Machine) contend(s *step, a *Advert) {
	if m.inst.GARP.ContentionRepeat > 0 {
		m.contested = s.now.Add(time.Duration(m.inst.DownTimerAdverts+1) * max(a.Interval, m.inst.AdvertInt))
	}
}
