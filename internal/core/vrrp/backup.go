package vrrp

import (
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// BACKUP: waits for the master to fall silent (RFC 9568 §6.4.2).

func (m *Machine) sayBackup(s *step) {
	if m.state == model.Init {
		m.say(s, lineBackupInit)
	} else {
		m.say(s, lineBackup)
	}
}

func (m *Machine) enterBackup(s *step, why Why) {
	m.want, m.preempt, m.logged, m.listened = model.Backup, false, 0, false
	if why != WhyOutranked {
		m.forget(s)
	}
	wait := m.masterDown()
	switch {
	case why == WhyStolen:
		wait = m.skew(m.EffectivePriority())
	case why == WhyStart && m.inst.Priority == Owner && m.inst.Initial == model.Master && m.group == nil:
		wait = 0 // held back by the start-up delay alone
	}
	m.deadline = m.after(s.now, wait)
}

// after returns the instant d from now, or from the end of the start-up delay.
func (m *Machine) after(now time.Time, d time.Duration) time.Time {
	if now.Before(m.until) {
		now = m.until
	}
	return now.Add(d)
}

// masterSilent: Master_Down_Timer fired.
func (m *Machine) masterSilent(s *step) {
	if m.listen(s) {
		return
	}
	m.sayDetail(s, lineTimeout)
	m.want = model.Master
	if m.group != nil {
		m.group.memberWantsMaster(s, m)
		return
	}
	m.change(s, model.Master, WhyTimeout)
}

// backupReceived: an advert that passed validation.
func (m *Machine) backupReceived(s *step, a *Advert) {
	if a.Priority == 0 {
		m.stats.PriZeroRcvd++
		m.sayDetail(s, lineBackupZero)
		m.deadline = a.At.Add(m.skew(m.EffectivePriority()))
		return
	}
	if !m.accepts(s, a) {
		m.say(s, lineDiscard, a.Priority, a.Src)
		return
	}
	m.heard(s, a)
	m.want, m.listened = model.Backup, false
	m.deadline = a.At.Add(m.masterDown())
	if m.group != nil {
		m.group.memberHeardMaster(s, m)
	}
}

// accepts reports whether the sender is our master: it is unless we preempt it. Equal priority is accepted whatever the address.
func (m *Machine) accepts(s *step, a *Advert) bool {
	if a.Priority >= m.EffectivePriority() {
		if m.preempt {
			m.preempt = false
			m.sayDetail(s, linePreemptStop)
		}
		return true
	}
	if m.inst.NoPreempt {
		return true
	}
	if m.inst.PreemptDelay == 0 {
		return false
	}
	if !m.preempt {
		m.preempt, m.preemptAt = true, s.now.Add(m.inst.PreemptDelay)
		m.sayDetail(s, linePreemptStart, seconds(m.inst.PreemptDelay))
	}
	return s.now.Before(m.preemptAt)
}
