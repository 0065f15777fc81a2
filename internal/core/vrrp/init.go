package vrrp

import (
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// INIT: nothing has been decided yet; everything but Start is only taken note of.

// start leaves INIT, for the whole group when m is its last member to start.
func (m *Machine) start(s *step, until time.Time) {
	if m.started || m.state != model.Init {
		return
	}
	m.started, m.until = true, until
	if m.group != nil {
		m.group.start(s, m)
		return
	}
	if !m.faulty() && !m.init && m.ownerStarts(s.now) {
		m.change(s, model.Master, WhyStart)
		return
	}
	m.begin(s, m.faulty(), m.init)
}

// begin takes the first state of all but owners; faulty and pending may be those of the group.
func (m *Machine) begin(s *step, faulty, pending bool) {
	m.disown(s)
	switch {
	case faulty:
		m.change(s, model.Fault, WhyStart)
	case pending:
		m.state, m.want, m.since, m.quiet = model.Fault, model.Fault, s.now, true
	default:
		m.change(s, model.Backup, WhyStart)
	}
}

// ownerStarts reports whether m becomes MASTER without waiting (RFC 9568 §6.4.1 (110)): the configured state counts too, as in keepalived.
func (m *Machine) ownerStarts(now time.Time) bool {
	return m.inst.Priority == Owner && m.inst.Initial == model.Master && !now.Before(m.until)
}
