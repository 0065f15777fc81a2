package lvs

import (
	"fmt"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Reload makes l the configuration (ipvs.md §11). Virtual servers are the same by [model.VirtualServer.Key], real servers and
// sorry servers by address and port, checkers by [model.Check.SameProbe]; what is the same keeps its state, and a checker its CheckID.
// A checker added to a real server that stays starts as up, even an alpha one, unless an old failure remains there.
//
// Differs from keepalived: a virtual server of a group is known by group, protocol and family, not by its number in the group;
// loss of quorum is decided and announced once, by the new configuration; thresholds take effect; a real server added while a
// sorry server stands in waits; a real server that is down never enters the table because its method changed.
func (c *Cluster) Reload(l *model.LVS, out []Action) []Action {
	old := c.services
	for _, s := range old {
		c.mark(s)
	}
	c.load(l)
	was, is := pair(old, c.services)
	for _, o := range old {
		if s := is[o]; s != nil {
			out = c.carry(o, s, out)
		} else {
			out = c.removeService(o, out)
		}
	}
	for _, s := range c.services {
		if o := was[s]; o != nil {
			out = sayEntries(out, s, o, "VS [%s] added into group %s")
		}
		for i := range s.v.Real {
			r := &s.v.Real[i]
			if n := s.real[i]; n == nil {
				s.real[i] = c.newServer(s, r)
				out = c.greet(s, s.real[i], out)
			} else if n.weight() != n.oldWeight {
				out = c.sayWeight(s, n, n.oldWeight, out)
			}
		}
		c.mark(s)
		out = c.settle(s, true, out)
	}
	return out
}

// pair finds the services that are the same, one to one.
func pair(old, new []*service) (was, is map[*service]*service) {
	was, is = map[*service]*service{}, map[*service]*service{}
	byKey := map[model.ServiceKey][]*service{}
	for _, o := range old {
		byKey[o.v.Key()] = append(byKey[o.v.Key()], o)
	}
	for _, s := range new {
		if os := byKey[s.v.Key()]; len(os) > 0 {
			was[s], is[os[0]] = os[0], s
			byKey[s.v.Key()] = os[1:]
		}
	}
	return was, is
}

func sameServer(a, b *model.RealServer) bool { return a.Addr == b.Addr && a.Port == b.Port }

func (c *Cluster) removeService(o *service, out []Action) []Action {
	if o.v.Group != "" {
		out = say(out, "Removing Virtual Server Group [%s]", o.v.Group)
	} else {
		out = say(out, "Removing Virtual Server %s", o.name)
	}
	for _, r := range o.real {
		out = c.removeServer(o, r, out)
	}
	if o.up {
		out = o.notify(false, "=> Removing <=", out)
	}
	return out
}

func (c *Cluster) removeServer(o *service, r *server, out []Action) []Action {
	for _, k := range r.checks {
		delete(c.checks, k.id)
	}
	switch {
	case r.alive:
		out = say(out, "Removing service %s from VS %s", r.name, o.name)
		out = o.leaveReal(r, "=> Removing <=", out)
	case r.r.Inhibit:
		out = say(out, "Removing (inhibited) service %s from VS %s", r.name, o.name)
	}
	return out
}

// carry gives s the state of o, and announces what of o is gone.
func (c *Cluster) carry(o, s *service, out []Action) []Action {
	s.up, s.sorryActive = o.up, o.sorryActive
	out = sayEntries(out, o, s, "VS [%s] in group %s no longer exists")
	places := make(map[DestKey]int, len(s.v.Real))
	for i := range s.v.Real {
		places[DestKey{s.v.Real[i].Addr, s.v.Real[i].Port}] = i
	}
	for _, r := range o.real {
		at, stays := places[DestKey{r.r.Addr, r.r.Port}]
		if !stays {
			out = say(out, "service %s no longer exist", r.name)
			out = c.removeServer(o, r, out)
			continue
		}
		n := c.carryServer(s, r, &s.v.Real[at])
		s.real[at] = n
		if alive := !n.anyFailed(); alive != n.alive {
			out = c.turn(s, n, alive, out)
		}
	}
	if o.sorryActive && (s.v.Sorry == nil || !sameServer(o.v.Sorry, s.v.Sorry)) {
		s.sorryActive = false
		out = say(out, "Removing sorry server %s from VS %s", o.v.Sorry.Name(o.v), o.name)
		if s.v.Sorry == nil {
			out = say(out, "Adding alive servers to the pool for VS %s", s.name)
		}
	}
	return out
}

// carryServer makes r a server of s with the state of o, and the checkers that are the same.
func (c *Cluster) carryServer(s *service, o *server, r *model.RealServer) *server {
	n := &server{r: r, name: r.Name(s.v), alive: o.alive, oldWeight: o.weight(), checks: make([]*check, len(r.Checks))}
	if delete(c.ramps, o); o.ramp.steps > 0 && o.r.SlowStart == r.SlowStart {
		n.ramp = o.ramp
		c.keepRamp(s, n)
	}
	rest := slices.Clone(o.checks)
	broken := false
	for i := range r.Checks {
		if at := slices.IndexFunc(rest, func(k *check) bool { return k.spec.SameProbe(&r.Checks[i]) }); at >= 0 {
			k := rest[at]
			rest = slices.Delete(rest, at, at+1)
			k.spec, k.service, k.server = &r.Checks[i], s, n
			n.checks[i] = k
			if k.spec.Kind == model.FileCheck {
				c.judgeFile(k)
			}
			broken = broken || k.failed
		}
	}
	for _, k := range rest {
		delete(c.checks, k.id)
	}
	for i := range n.checks {
		if n.checks[i] == nil {
			n.checks[i] = c.newCheck(s, n, &r.Checks[i], r.Checks[i].Alpha && broken)
		}
	}
	return n
}

// sayEntries says line of each group entry that s has and other lacks.
func sayEntries(out []Action, s, other *service, line string) []Action {
	for _, e := range s.entries {
		if !slices.Contains(other.entries, e) {
			out = say(out, line, entryName(e, s.v.Protocol), s.v.Group)
		}
	}
	return out
}

func entryName(e model.GroupEntry, p model.Protocol) string {
	switch {
	case e.IsFWMark:
		return fmt.Sprintf("FWM %d", e.FWMark)
	case e.First == e.Last:
		return fmt.Sprintf("[%s]:%s:%d", e.First, p, e.Port)
	}
	return fmt.Sprintf("[%s]:%s:%d-%s", e.First, p, e.Port, e.Last)
}
