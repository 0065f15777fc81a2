// Package notify says which scripts, FIFO lines and mails a change of state causes.
package notify

import (
	"fmt"
	"strconv"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Change is something that happened and that the outside may want to know.
type Change interface {
	deliveries() []Delivery
}

// Instance: a VRRP instance entered a state. The kernel has been told everything that follows from it before.
type Instance struct {
	Of       *model.Instance
	From, To model.State // To Deleted: a reload removed the instance
	Priority uint8       // effective
}

// Group: a sync group entered a state, after all its members.
type Group struct {
	Of *model.SyncGroup
	To model.State
}

// LowerPriority: a master heard an advert of lower priority. Each one is told.
type LowerPriority struct {
	Of       *model.Instance
	Priority uint8 // our own, effective
}

// Priority: the effective priority of an instance changed.
type Priority struct {
	Of       *model.Instance
	State    model.State
	Priority uint8 // the new one
}

// RealServer: a real server came up or went down.
type RealServer struct {
	Of      *model.RealServer
	Service *model.VirtualServer
	Up      bool
}

// VirtualServer: a virtual server gained or lost its quorum.
type VirtualServer struct {
	Of *model.VirtualServer
	Up bool
}

// InstanceNow and GroupNow tell the FIFOs, and nobody else, what has not changed: fifo_write_vrrp_states_on_reload.
type (
	InstanceNow struct {
		Of       *model.Instance
		State    model.State
		Priority uint8
	}
	GroupNow struct {
		Of    *model.SyncGroup
		State model.State
	}
)

// Delivery is one notification: a program to run or a line to write.
type Delivery struct {
	Script  *model.Script // nil: Line counts
	Extra   []string      // words after those of Script
	Tracked bool          // the daemon does not end before the program, within reason

	Line   string // without line feed
	Stream Stream // the global FIFO comes first, then that of the stream
}

// Stream says which FIFO, besides the global one, a line goes to.
type Stream uint8

const (
	VRRP Stream = iota + 1
	LVS
)

// Plan returns what is to be delivered for c, in the order in which it is to be started and written. Programs are not waited
// for; only the lines of a FIFO arrive in the order of the changes.
func Plan(c Change) []Delivery { return c.deliveries() }

func (c Instance) deliveries() []Delivery {
	i := c.Of
	to, told := c.told()
	if !told {
		return nil
	}
	var out []Delivery
	tracked := to == model.Stop
	// Of an instance that a reload removed keepalived 2.3.4 runs the general script only, as FAULT, and not notify_fault.
	if s := stateScript(c.To, i.NotifyMaster, i.NotifyBackup, i.NotifyFault, i.NotifyStop, i.NotifyDeleted); s != nil {
		out = append(out, Delivery{Script: s, Tracked: tracked})
	}
	if i.Notify != nil {
		out = append(out, Delivery{Script: i.Notify, Tracked: tracked,
			Extra: []string{"INSTANCE", i.Name, to.String(), strconv.Itoa(int(c.Priority))}})
	}
	return append(out, instanceLine(i, to.String(), c.Priority))
}

// told is the state that the outside hears of, if it hears of the change: that of an instance which has gone is FAULT, unless the
// configuration asks for more.
func (c Instance) told() (to model.State, ok bool) {
	if c.To == model.Deleted && !c.Of.NotifyDeletedState {
		return model.Fault, c.From == model.Master || c.From == model.Backup
	}
	return c.To, true
}

func (c Group) deliveries() []Delivery {
	g := c.Of
	var out []Delivery
	if s := stateScript(c.To, g.NotifyMaster, g.NotifyBackup, g.NotifyFault, g.NotifyStop, nil); s != nil {
		// Differs from keepalived: that does not wait for notify_stop of a group.
		out = append(out, Delivery{Script: s, Tracked: c.To == model.Stop})
	}
	if g.Notify != nil {
		out = append(out, Delivery{Script: g.Notify, Tracked: c.To == model.Stop,
			Extra: []string{"GROUP", g.Name, c.To.String(), "0"}})
	}
	return append(out, groupLine(g, c.To))
}

func (c LowerPriority) deliveries() []Delivery {
	var out []Delivery
	if s := c.Of.NotifyLowerPrio; s != nil {
		out = append(out, Delivery{Script: s})
	}
	return append(out, instanceLine(c.Of, "MASTER_RX_LOWER_PRI", c.Priority))
}

func (c Priority) deliveries() []Delivery {
	if !c.Of.NotifyPriority {
		return nil
	}
	event := "BACKUP_PRIORITY"
	if c.State == model.Master {
		event = "MASTER_PRIORITY"
	}
	return []Delivery{instanceLine(c.Of, event, c.Priority)}
}

func (c RealServer) deliveries() []Delivery {
	s := c.Of.NotifyDown
	if c.Up {
		s = c.Of.NotifyUp
	}
	return service(s, fmt.Sprintf("RS %s %s %s", c.Of.Name(c.Service), c.Service, upDown(c.Up)))
}

func (c VirtualServer) deliveries() []Delivery {
	s := c.Of.QuorumDown
	if c.Up {
		s = c.Of.QuorumUp
	}
	return service(s, fmt.Sprintf("VS %s %s", c.Of, upDown(c.Up)))
}

func (c InstanceNow) deliveries() []Delivery {
	return []Delivery{instanceLine(c.Of, c.State.String(), c.Priority)}
}

func (c GroupNow) deliveries() []Delivery { return []Delivery{groupLine(c.Of, c.State)} }

func stateScript(to model.State, master, backup, fault, stop, deleted *model.Script) *model.Script {
	switch to {
	case model.Master:
		return master
	case model.Backup:
		return backup
	case model.Fault:
		return fault
	case model.Stop:
		return stop
	case model.Deleted:
		return deleted
	}
	return nil
}

func instanceLine(i *model.Instance, event string, priority uint8) Delivery {
	return Delivery{Line: fmt.Sprintf("INSTANCE \"%s\" %s %d", i.Name, event, priority), Stream: VRRP}
}

// groupLine always says priority 0: that of the members may differ.
func groupLine(g *model.SyncGroup, s model.State) Delivery {
	return Delivery{Line: fmt.Sprintf("GROUP \"%s\" %s 0", g.Name, s), Stream: VRRP}
}

// Differs from keepalived: 2.4.3 writes a NUL after the line feed of LVS lines, by mistake.
func service(s *model.Script, line string) []Delivery {
	var out []Delivery
	if s != nil {
		out = append(out, Delivery{Script: s})
	}
	return append(out, Delivery{Line: line, Stream: LVS})
}

func upDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}
