package lvs

import (
	"fmt"
	"math"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Cluster is all virtual servers with the health of their real servers.
//
// Its life is New, Start, any number of Step and Reload, Stop. Each of them appends to out what is to be done at once and
// returns it; after each, Delta tells what the kernel table should become. Models handed in are kept and must not change.
type Cluster struct {
	l        *model.LVS
	services []*service
	owners   map[ServiceKey][]*service // in file order
	dirty    map[ServiceKey]struct{}
	checks   map[CheckID]*check
	lastID   CheckID
	marks    map[markKey]uint32 // those given for nftables_ipvs, for as long as the cluster lives
	lastMark uint32
	files    map[string]int       // what tracked files hold, by path
	ramps    map[*server]*service // those that start slowly
	masters  map[string]bool      // VRRP instances that are master
	begun    bool                 // Start has been called: changes are told
}

type service struct {
	v           *model.VirtualServer
	name        string
	entries     []model.GroupEntry // of its group
	keys        []ServiceKey
	up          bool // has quorum
	sorryActive bool
	real        []*server
}

type server struct {
	r      *model.RealServer
	name   string
	alive  bool // no checker failed; in the pool if no sorry server stands in
	checks []*check

	oldWeight int64 // effective, before a reload
	ramp      ramp
}

type check struct {
	id      CheckID
	spec    *model.Check
	service *service
	server  *server
	failed  bool
	hasRun  bool
	asks    bool // for the weight below
	wanted  int64
	offset  int64 // FILE_CHECK: added to the weight
}

// New returns the virtual servers of l as they are before any check: real servers with an alpha checker down, others alive.
func New(l *model.LVS) *Cluster {
	c := &Cluster{dirty: map[ServiceKey]struct{}{}, checks: map[CheckID]*check{}, marks: map[markKey]uint32{}}
	c.load(l)
	for _, s := range c.services {
		for i := range s.v.Real {
			s.real[i] = c.newServer(s, &s.v.Real[i])
		}
		c.mark(s)
	}
	return c
}

// load makes c's services those of l, the real servers left to be filled in, and their keys owned.
func (c *Cluster) load(l *model.LVS) {
	groups := map[string][]model.GroupEntry{}
	for _, g := range l.Groups {
		if _, dup := groups[g.Name]; !dup {
			groups[g.Name] = g.Entries
		}
	}
	c.l = l
	c.services = make([]*service, len(l.Services))
	c.owners = map[ServiceKey][]*service{}
	for i := range l.Services {
		v := &l.Services[i]
		s := &service{v: v, name: v.String(), entries: groups[v.Group], real: make([]*server, len(v.Real))}
		s.keys = c.keys(s)
		c.services[i] = s
		for _, k := range s.keys {
			c.owners[k] = append(c.owners[k], s)
		}
	}
}

func (c *Cluster) newServer(s *service, r *model.RealServer) *server {
	n := &server{r: r, name: r.Name(s.v)}
	for i := range r.Checks {
		n.checks = append(n.checks, c.newCheck(s, n, &r.Checks[i], r.Checks[i].Alpha))
	}
	n.alive = !n.anyFailed()
	return n
}

func (c *Cluster) newCheck(s *service, r *server, spec *model.Check, failed bool) *check {
	c.lastID++
	k := &check{id: c.lastID, spec: spec, service: s, server: r, failed: failed}
	c.checks[k.id] = k
	if spec.Kind == model.FileCheck {
		c.judgeFile(k)
	}
	return k
}

func (r *server) anyFailed() bool {
	return slices.ContainsFunc(r.checks, func(k *check) bool { return k.failed })
}

// weight is the effective weight: the configured one, moved by how much each dynamic checker wants it to differ.
func (r *server) weight() int64 {
	w := r.r.Weight
	for _, k := range r.checks {
		if w += k.offset; k.asks {
			w += k.wanted - r.r.Weight
		}
	}
	return min(max(w, 0), math.MaxInt32)
}

// sum is the weight of the living real servers; one with weight 0 counts as nothing.
func (s *service) sum() (sum int64) {
	for _, r := range s.real {
		if r.alive {
			sum += r.weight()
		}
	}
	return sum
}

// Checks lists the checkers to run, in file order.
func (c *Cluster) Checks() []Check {
	var out []Check
	for _, s := range c.services {
		for _, r := range s.real {
			for _, k := range r.checks {
				out = append(out, Check{k.id, s.v, r.r, k.spec, !k.failed, k.hasRun, k.offset})
			}
		}
	}
	return out
}

// ServerStatus is the state of one real server.
type ServerStatus struct {
	Server *model.RealServer
	Alive  bool
	Weight int64 // effective, 0..2147483647
}

// ServiceStatus is the state of one virtual server.
type ServiceStatus struct {
	Service     *model.VirtualServer
	Up          bool // has quorum
	SorryActive bool
	Real        []ServerStatus
}

// Status lists the virtual servers in file order.
func (c *Cluster) Status() []ServiceStatus {
	out := make([]ServiceStatus, len(c.services))
	for i, s := range c.services {
		out[i] = ServiceStatus{Service: s.v, Up: s.up, SorryActive: s.sorryActive}
		for _, r := range s.real {
			out[i].Real = append(out[i].Real, ServerStatus{r.r, r.alive, r.weight()})
		}
	}
	return out
}

// Start announces the initial state of every virtual server, in file order (ipvs.md §4).
func (c *Cluster) Start(out []Action) []Action {
	c.begun = true
	if c.l.Flush {
		out = append(out, Action{Kind: Flush})
	}
	for _, s := range c.services {
		for _, r := range s.real {
			out = c.greet(s, r, out)
		}
		out = c.settle(s, true, out)
	}
	return out
}

// greet announces a real server that starts alive, which is silent unless rs_init_notifies asks for it.
func (c *Cluster) greet(s *service, r *server, out []Action) []Action {
	if r.alive && c.l.RSInitNotifies {
		out = s.notifyReal(r, true, out)
	}
	return out
}

// Step takes a checker's result in. One of a checker that is gone is ignored.
func (c *Cluster) Step(ev Event, out []Action) []Action {
	k := c.checks[ev.Check]
	if k == nil {
		return out
	}
	switch ev.Kind {
	case CheckUp, CheckDown:
		return c.checked(k, ev, out)
	case CheckWeight, CheckWeightOff:
		was := k.server.weight()
		k.asks, k.wanted = ev.Kind == CheckWeight, ev.Weight
		return c.reweighed(k.service, k.server, was, ev.Quiet, out)
	}
	return out
}

func (c *Cluster) checked(k *check, ev Event, out []Action) []Action {
	s, r, failed := k.service, k.server, ev.Kind == CheckDown
	first, changed := !k.hasRun, k.failed != failed
	k.hasRun, k.failed = true, failed
	alive := !r.anyFailed()
	turned := changed && alive != r.alive
	switch {
	case turned:
		out = c.turn(s, r, alive, out)
		out = c.settle(s, false, out)
	case !changed && first && failed && k.spec.Kind != model.HTTPGet && k.spec.Kind != model.SSLGet:
		// An alpha checker whose first run fails announces a server down that never was up, once per checker.
		out = s.notifyReal(r, false, out)
	}
	if changed && (turned || !c.l.NoCheckerEmails) && ev.Mail != "" && r.r.SMTPAlert {
		out = append(out, s.realAlert(r, alive, ev.Mail)) // the subject is the server's state, the body the checker's
	}
	return out
}

// turn makes r alive or dead, with its log line and notification.
func (c *Cluster) turn(s *service, r *server, alive bool, out []Action) []Action {
	r.alive = alive
	if alive {
		c.slowStart(s, r)
	}
	c.mark(s)
	switch {
	case alive && r.r.Inhibit:
		out = say(out, "Enabling service %s of VS %s", r.name, s.name)
	case alive:
		out = say(out, "Adding service %s to VS %s", r.name, s.name)
	case r.r.Inhibit:
		out = say(out, "Disabling service %s of VS %s", r.name, s.name)
	default:
		out = say(out, "Removing service %s from VS %s", r.name, s.name)
	}
	return s.notifyReal(r, alive, out)
}

// reweighed follows a change of the effective weight, which was was.
func (c *Cluster) reweighed(s *service, r *server, was int64, quiet bool, out []Action) []Action {
	if r.weight() == was {
		return out
	}
	c.mark(s)
	if !quiet {
		out = c.sayWeight(s, r, was, out)
	}
	return c.settle(s, false, out)
}

func (c *Cluster) sayWeight(s *service, r *server, was int64, out []Action) []Action {
	word := "active"
	if !r.alive {
		word = "inactive"
	}
	return say(out, "Changing weight from %d to %d for %s service %s of VS %s", was, r.weight(), word, r.name, s.name)
}

// settle evaluates the quorum of s (ipvs.md §6); init is true at start and reload.
//
// A sum of 0 is never a quorum, even of 0, which stands for real servers that all have weight 0.
func (c *Cluster) settle(s *service, init bool, out []Action) []Action {
	sum, q, h := s.sum(), int64(s.v.Quorum), int64(s.v.Hysteresis)
	mail := "Gained quorum"
	if init {
		mail = "Starting with quorum up"
	}
	switch {
	case !s.up && sum >= q+h && sum > 0:
		s.up = true
		out = say(out, "Gained quorum %d+%d=%d <= %d for VS %s", q, h, q+h, sum, s.name)
		if s.sorryActive {
			s.sorryActive = false
			c.mark(s)
			out = say(out, "%s sorry server %s from VS %s", verb(s.v.Sorry, "Disabling", "Removing"), s.v.Sorry.Name(s.v), s.name)
			out = say(out, "Adding alive servers to the pool for VS %s", s.name)
		}
		return s.notify(true, fmt.Sprintf("=> %s %d+%d=%d <= %d <=", mail, q, h, q+h, sum), out)
	case s.up && (sum == 0 || sum < q-h):
		s.up, mail = false, "Lost quorum"
		out = say(out, "Lost quorum %d-%d=%d > %d for VS %s", q, h, q-h, sum, s.name)
	case !s.up && init && s.v.Sorry != nil && !s.sorryActive:
		mail = "Starting with quorum down"
		out = say(out, "Starting with quorum down %d-%d=%d > %d for VS %s", q, h, q+h, sum, s.name) // the total is keepalived's
	default:
		return out
	}
	if s.v.Sorry != nil && !s.sorryActive {
		s.sorryActive = true
		c.mark(s)
		out = say(out, "%s sorry server %s to VS %s", verb(s.v.Sorry, "Enabling", "Adding"), s.v.Sorry.Name(s.v), s.name)
		out = say(out, "Removing alive servers from the pool for VS %s", s.name)
	}
	return s.notify(false, fmt.Sprintf("=> %s %d+%d=%d <= %d <=", mail, q, h, q+h, sum), out)
}

func verb(r *model.RealServer, inhibit, other string) string {
	if r.Inhibit {
		return inhibit
	}
	return other
}

// Stop announces the end as omega and lvs_flush_on_stop ask (ipvs.md §4); nothing is desired after it, unless the table is to
// be left behind.
func (c *Cluster) Stop(out []Action) []Action {
	if c.l.DontReleaseAtEnd {
		return out
	}
	if c.l.FlushOnStop == model.FlushAll {
		out = append(out, Action{Kind: Flush})
	}
	for _, s := range c.services {
		if c.l.FlushOnStop == model.FlushNone {
			for _, r := range s.real {
				word := ""
				if r.r.Inhibit && !r.alive {
					word = "(inhibited) "
				}
				out = say(out, "Shutting down %sservice %s from VS %s", word, r.name, s.name)
				if s.v.Omega && r.alive {
					out = s.leaveReal(r, "=> Shutting down <=", out)
				}
			}
		}
		if s.v.Omega {
			out = s.notify(false, "=> Shutting down <=", out)
		}
		c.mark(s)
	}
	c.services, c.owners, c.checks, c.ramps = nil, nil, nil, nil
	return out
}

// leaveReal announces the end of a living real server.
func (s *service) leaveReal(r *server, mail string, out []Action) []Action {
	out = s.notifyReal(r, false, out)
	if r.r.SMTPAlert {
		out = append(out, s.realAlert(r, false, mail))
	}
	return out
}

func (s *service) notify(up bool, mail string, out []Action) []Action {
	script := s.v.QuorumDown
	if up {
		script = s.v.QuorumUp
	}
	out = append(out, Action{Kind: Notify, Line: fmt.Sprintf("VS %s %s", s.name, upDown(up)), Script: script, Service: s.v, Up: up})
	if s.v.SMTPAlert {
		out = append(out, Action{Kind: Alert, Line: fmt.Sprintf("Virtualserver %s - %s", s.name, upDown(up)), Body: mail, Service: s.v, Up: up})
	}
	return out
}

func (s *service) notifyReal(r *server, up bool, out []Action) []Action {
	script := r.r.NotifyDown
	if up {
		script = r.r.NotifyUp
	}
	return append(out, Action{Kind: Notify, Line: fmt.Sprintf("RS %s %s %s", r.name, s.name, upDown(up)), Script: script,
		Service: s.v, Server: r.r, Up: up})
}

func (s *service) realAlert(r *server, up bool, mail string) Action {
	return Action{Kind: Alert, Line: fmt.Sprintf("Realserver %s of virtual server %s - %s", r.name, s.name, upDown(up)), Body: mail,
		Service: s.v, Server: r.r, Up: up}
}

func upDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}

func say(out []Action, format string, args ...any) []Action {
	return append(out, Action{Kind: Say, Line: fmt.Sprintf(format, args...)})
}
