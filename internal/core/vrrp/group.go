package vrrp

import (
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Group is a sync group: its members are MASTER together, BACKUP together and FAULT together. Members say what they want and the
// group decides, within the Step of the member that gave the occasion.
type Group struct {
	model   *model.SyncGroup
	members []*Machine
	state   model.State

	queue   []*Machine // members whose Changed waits, in the order of the changes
	pending Action     // Changed of the group, told after those of its members; Kind 0: none
}

// NewGroup puts the machines into a group. Those that run already are brought to agree by Reform.
func NewGroup(g *model.SyncGroup, members []*Machine) *Group {
	n := &Group{state: model.Init}
	n.attach(g, members)
	return n
}

func (g *Group) attach(sg *model.SyncGroup, members []*Machine) {
	g.model, g.members = sg, members
	g.queue = make([]*Machine, 0, len(members))
	for _, m := range members {
		if m.group == g {
			continue
		}
		if old := m.group; old != nil { // what m still has to tell, it tells here
			old.queue = slices.DeleteFunc(old.queue, func(o *Machine) bool { return o == m })
		}
		m.group = g
		if m.pending.Kind != 0 {
			g.queue = append(g.queue, m)
		}
	}
}

// Reform changes configuration and members of a group at a reload, and lets the members agree: FAULT if one is faulty. No
// members dissolve the group. Machines that left it go their own way.
func Reform(now time.Time, g *Group, sg *model.SyncGroup, members []*Machine, out []Action) []Action {
	s := step{now, out}
	if n := len(g.queue); n > 0 {
		g.drain(&s, g.queue[n-1])
	}
	left := g.members
	g.attach(sg, members)
	for _, m := range left {
		if m.group == g && !slices.Contains(members, m) {
			m.group = nil
			m.judge(&s)
		}
	}
	if !slices.ContainsFunc(members, (*Machine).running) {
		return s.out
	}
	if g.state == model.Init {
		g.state = model.Backup
		if !g.any(func(m *Machine) bool { return m.running() && m.state != model.Master }) {
			g.state = model.Master
		}
	}
	for _, m := range g.members {
		if m.running() {
			g.judge(&s, m)
		}
	}
	return s.out
}

// Model returns the configuration of the group.
func (g *Group) Model() *model.SyncGroup { return g.model }

// Members returns the machines of the group, in configuration order.
func (g *Group) Members() []*Machine { return g.members }

// State returns the common state.
func (g *Group) State() model.State { return g.state }

func (g *Group) any(f func(*Machine) bool) bool { return slices.ContainsFunc(g.members, f) }

func failing(m *Machine) bool { return m.running() && m.faulty() }
func waiting(m *Machine) bool { return m.running() && m.init }

// start: member m has started. The first state is that of all, so an owner among others waits for the slowest of them; the
// group tells of it before its members do.
func (g *Group) start(s *step, m *Machine) {
	if g.any(func(m *Machine) bool { return !m.started && m.state == model.Init }) {
		return
	}
	starting := slices.DeleteFunc(slices.Clone(g.members), func(m *Machine) bool { return m.state != model.Init })
	if g.state != model.Init { // m, and perhaps others that started before it, join a group that runs
		for _, m := range starting {
			if g.any(failing) && !m.faulty() {
				g.say(s, lineGroupStartFault, g.model.Name, m.inst.Name)
			}
			m.begin(s, g.any(failing) || m.faulty(), g.any(waiting) || m.init)
			g.judge(s, m)
		}
		return
	}
	faulty := slices.ContainsFunc(starting, (*Machine).faulty)
	pending := slices.ContainsFunc(starting, func(m *Machine) bool { return m.init })
	switch {
	case faulty:
		g.become(s, model.Fault, WhyStart)
	case pending:
	case !g.any(func(m *Machine) bool { return !m.ownerStarts(s.now) }):
		for _, m := range starting {
			m.change(s, model.Master, WhyStart)
		}
		g.become(s, model.Master, WhyStart)
		return
	default:
		g.become(s, model.Backup, WhyStart)
	}
	for _, m := range starting {
		if faulty && !m.faulty() {
			g.say(s, lineGroupStartFault, g.model.Name, m.inst.Name)
		}
		m.begin(s, faulty, pending)
	}
}

// judge: the faults of member m, or its presence, changed.
func (g *Group) judge(s *step, m *Machine) {
	switch {
	case g.any(failing):
		if m.faulty() {
			m.fail(s, WhyFault)
		}
		g.follow(s, model.Fault, func(m *Machine) bool { return m.state != model.Fault || m.quiet },
			func(m *Machine) { m.fail(s, WhyGroup) })
	case g.any(waiting) || m.state != model.Fault:
	default:
		m.change(s, model.Backup, WhyRecovered)
		g.follow(s, model.Backup, func(m *Machine) bool { return m.state == model.Fault },
			func(m *Machine) { m.change(s, model.Backup, WhyGroup) })
	}
}

// follow takes the members that are not there yet to the state, after the one that led the way, and the group last.
func (g *Group) follow(s *step, to model.State, absent func(*Machine) bool, move func(*Machine)) {
	if g.state != to {
		g.say(s, lineGroupSync, g.model.Name, to)
	}
	for _, m := range g.members {
		if m.running() && absent(m) {
			move(m)
		}
	}
	g.become(s, to, WhyGroup)
}

// memberWantsMaster: the timer of m fired. It waits until all are of the same opinion.
func (g *Group) memberWantsMaster(s *step, m *Machine) {
	if g.any(func(o *Machine) bool { return o.running() && o.want != model.Master }) {
		m.deadline = s.now.Add(m.masterDown())
		return
	}
	m.change(s, model.Master, WhyTimeout)
	g.follow(s, model.Master, func(m *Machine) bool { return m.state == model.Backup },
		func(m *Machine) { m.change(s, model.Master, WhyGroup) })
}

// memberYielded: m gave up mastership. For a stolen address every member says goodbye, since none was outranked.
func (g *Group) memberYielded(s *step, m *Machine, why Why) {
	if why == WhyStolen {
		for _, o := range g.members {
			if o.state == model.Master {
				o.change(s, model.Backup, WhyStolen)
			}
		}
		g.become(s, model.Backup, WhyStolen)
		return
	}
	g.follow(s, model.Backup, func(m *Machine) bool { return m.state == model.Master },
		func(m *Machine) { m.change(s, model.Backup, WhyGroup) })
}

// memberHeardMaster: m, as BACKUP, has a master. Usually so have the others; only after a reload can one of them be MASTER.
func (g *Group) memberHeardMaster(s *step, m *Machine) {
	for _, o := range g.members {
		if o.state == model.Master {
			g.memberYielded(s, m, WhyGroup)
			return
		}
	}
}

// memberOutranks: m heard a lower router; the neighbours of the other members may be misled as well.
func (g *Group) memberOutranks(s *step, m *Machine) {
	for _, o := range g.members {
		if o != m && o.state == model.Master {
			o.reannounce(s)
		}
	}
}

// stopped: a member has stopped; the group has when all have.
func (g *Group) stopped(s *step) {
	if !g.any(func(m *Machine) bool { return m.state != model.Stop }) {
		g.become(s, model.Stop, WhyStop)
	}
}

// become takes the group to the state, which is told when all its members have told theirs.
func (g *Group) become(s *step, to model.State, why Why) {
	if g.state == to {
		return
	}
	g.pending = Action{Kind: Changed, G: g, From: g.state, To: to, Why: why}
	g.state = to
	g.drain(s, nil)
}

// drain tells what may be told: the waiting changes of members in their order as far as the kernel has settled them, or with
// those up to and including through at any rate, and the group's when none is left.
func (g *Group) drain(s *step, through *Machine) {
	for len(g.queue) > 0 {
		m := g.queue[0]
		if through == nil && !m.settled {
			return
		}
		m.release(s)
		g.queue = slices.Delete(g.queue, 0, 1)
		if m == through {
			through = nil
		}
	}
	g.flush(s)
}

// flush tells of the group's own change.
func (g *Group) flush(s *step) {
	if g.pending.Kind != 0 {
		s.do(g.pending)
		g.pending = Action{}
	}
}

// force tells of what waits before m, which is about to change, may change: its own last change and those before it; and all, if
// the group itself waits.
func (g *Group) force(s *step, m *Machine) {
	n := len(g.queue)
	switch {
	case g.pending.Kind != 0 && n > 0:
		g.drain(s, g.queue[n-1])
	case m.pending.Kind != 0:
		g.drain(s, m)
	}
}
