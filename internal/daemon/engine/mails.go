package engine

import (
	"fmt"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/core/notify"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/loop"
	"github.com/keepalived-go/keepalived-go/internal/sys/mail"
)

// mails sends the alerts of all components.
type mails struct {
	*engine
	part *loop.Part
	plan notify.Mails
	box  *mail.Outbox
}

func newMails(e *engine) *mails {
	m := &mails{engine: e}
	m.part = e.loop.Add("mails", m)
	m.open()
	return m
}

func (m *mails) open() { m.box = mail.NewOutbox(m.part, m.log, logging.LevelDetail, m.maybeEnd) }

// changed mails what is to be mailed of a change of VRRP.
func (m *mails) changed(c notify.Change) {
	if a, ok := m.plan.Plan(c, &m.model.Process); ok {
		m.send(logging.VRRP, a.Subject, a.Body)
	}
}

// alert mails about a real or virtual server.
func (m *mails) alert(a *lvs.Action) {
	m.send(logging.Checkers, fmt.Sprintf("[%s] %s", m.model.Process.RouterID, a.Line), a.Body)
}

func (m *mails) send(from logging.Role, subject, body string) {
	m.box.Put(&m.model.Process.Mail, mail.Message{Subject: subject, Body: body, Date: time.Now()}, m.Log.Role(from))
}

func (m *mails) Deadline() time.Time { return time.Time{} }
func (m *mails) Expire(time.Time)    {}

// Recover gives up what was under way, and tells which alerts that were.
func (m *mails) Recover(_ time.Time, cause error) {
	m.log.Error(fmt.Sprintf("send alerts: %v", cause))
	m.box.Close()
	m.open()
}
