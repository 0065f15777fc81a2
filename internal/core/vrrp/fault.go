package vrrp

import "github.com/keepalived-go/keepalived-go/internal/model"

// FAULT: cannot take part; waits for the last fault to go. Received adverts are ignored.

// faulty reports whether m has a fault of its own.
func (m *Machine) faulty() bool {
	return m.faults > 0 || m.noSrc || m.inst.ConfigFault != ""
}

// judge compares the faults with the state.
func (m *Machine) judge(s *step) {
	switch {
	case !m.running():
	case m.group != nil:
		m.group.judge(s, m)
	case m.faulty():
		m.fail(s, WhyFault)
	case !m.init && m.state == model.Fault:
		m.change(s, model.Backup, WhyRecovered)
	}
}

// fail enters FAULT unless it is there; if nobody was told that it is, they are now.
func (m *Machine) fail(s *step, why Why) {
	switch {
	case m.state != model.Fault:
		m.change(s, model.Fault, why)
	case m.quiet:
		m.quiet = false
		m.tell(s, Action{Kind: Changed, M: m, From: model.Init, To: model.Fault, Why: why, Priority: m.EffectivePriority()})
	}
}

// sayFault logs the reason at start, as keepalived does; later the tracker has logged it.
func (m *Machine) sayFault(s *step, why Why) {
	switch {
	case why != WhyStart:
		m.say(s, lineFault)
	case m.faults > 0 && m.reason != "":
		m.say(s, lineFaultLink, m.reason)
	case m.faults == 0 && m.inst.ConfigFault == "" && m.noSrc:
		m.say(s, lineFaultSource, m.inst.Family)
	case m.faulty():
		m.say(s, lineFaultStart)
	}
}

// leaveFault: in unicast mode the master's neighbour entry for us may be stale.
func (m *Machine) leaveFault(s *step, to model.State) {
	if to == model.Backup && len(m.inst.Peers) > 0 {
		m.sayDetail(s, lineSelf, m.src)
		s.do(Action{Kind: AnnounceSelf, M: m})
	}
}
