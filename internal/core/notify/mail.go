package notify

import (
	"fmt"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Mail is one alert.
type Mail struct {
	Subject string
	Body    string // one line
}

// Mails decides which changes of VRRP are mailed. The zero value is ready.
type Mails struct {
	last map[any]model.State // of each instance (by key) and group (by name), the one last mailed about
}

// Forget lets the next change of everything be mailed: a reload has taken place.
func (m *Mails) Forget() { clear(m.last) }

// Plan returns the mail about c, if there is to be one: none repeats what the last mail about the same object said.
func (m *Mails) Plan(c Change, p *model.Process) (Mail, bool) {
	switch c := c.(type) {
	case Instance:
		to, told := c.told()
		if !told || !c.Of.SMTPAlert || !m.news(c.Of.Key(), to, p.Mail.NoFaults) {
			return Mail{}, false
		}
		return instanceMail(c.Of.Name, to, p.RouterID), true
	case Group:
		if !c.Of.SMTPAlert || !m.news(c.Of.Name, c.To, p.Mail.NoFaults) {
			return Mail{}, false
		}
		return groupMail(c.Of.Name, c.To, p.RouterID), true
	}
	return Mail{}, false
}

// news notes the state as mailed and reports whether it is worth a mail. A FAULT that is not mailed leaves no trace: what came
// before it is not mailed again.
func (m *Mails) news(object any, to model.State, noFaults bool) bool {
	if to == model.Fault && noFaults || m.last[object] == to {
		return false
	}
	if m.last == nil {
		m.last = map[any]model.State{}
	}
	m.last[object] = to
	return true
}

func instanceMail(name string, to model.State, router string) Mail {
	m := Mail{fmt.Sprintf("[%s] VRRP Instance %s - Entering %s state", router, name, to), "=> VRRP Instance is no longer owning VRRP VIPs <="}
	switch to {
	case model.Master:
		m.Body = "=> VRRP Instance is now owning VRRP VIPs <="
	case model.Stop:
		m = Mail{fmt.Sprintf("[%s] VRRP Instance %s - Stopping", router, name), "=> VRRP Instance stopping <="}
	case model.Deleted:
		m = Mail{fmt.Sprintf("[%s] VRRP Instance %s - Deleted", router, name), "=> VRRP Deleted at reload <="}
	}
	return m
}

func groupMail(name string, to model.State, router string) Mail {
	if to == model.Stop {
		return Mail{fmt.Sprintf("[%s] VRRP Group %s - Stopping", router, name), "=> All VRRP group instances are now stopping <="}
	}
	return Mail{fmt.Sprintf("[%s] VRRP Group %s - Entering %s state", router, name, to),
		fmt.Sprintf("=> All VRRP group instances are now in %s state <=", to)}
}
