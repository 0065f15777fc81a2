package lvs

import (
	"slices"
	"time"
)

// A server with slow_start that its checks bring up begins with a share of its weight, which grows in equal steps to the whole of it. No
// step is shorter than slowStep, and there are at most slowSteps. Quorum and log go by the whole weight all the while: the server is well.
const (
	slowStep  = time.Second
	slowSteps = 20
)

// ramp is how far a server has got; the zero ramp is over.
type ramp struct {
	step, steps int // 1..steps-1 of the weight's parts are given
	every       time.Duration
	next        time.Time // of the next step; zero: the clock has not been looked at yet
}

// slowStart begins the ramp of a server that has just come up, unless it has none.
func (c *Cluster) slowStart(s *service, r *server) {
	r.ramp = ramp{}
	if d := r.r.SlowStart; d > 0 {
		every := max(d/slowSteps, slowStep)
		if steps := int((d + every - 1) / every); steps > 1 {
			r.ramp = ramp{step: 1, steps: steps, every: every}
			c.keepRamp(s, r)
		}
	}
}

func (c *Cluster) keepRamp(s *service, r *server) {
	if c.ramps == nil {
		c.ramps = map[*server]*service{}
	}
	c.ramps[r] = s
}

// share is the part of a server's weight that the kernel gets: all of it, but for servers that start slowly.
func (r *server) share() int64 {
	w := r.weight()
	if r.ramp.steps == 0 || w == 0 {
		return w
	}
	return max(1, w*int64(r.ramp.step)/int64(r.ramp.steps))
}

// Ramp lets the weights of servers that start slowly grow. It is to be called after each Step and Reload, and when RampDeadline has come.
func (c *Cluster) Ramp(now time.Time, out []Action) []Action {
	for r, s := range c.ramps {
		m := &r.ramp
		switch {
		case !r.alive || m.steps == 0:
			*m = ramp{}
			delete(c.ramps, r)
			continue
		case m.next.IsZero():
			m.next = now.Add(m.every)
			continue
		}
		before := r.share()
		for m.step < m.steps && !now.Before(m.next) {
			m.step++
			m.next = m.next.Add(m.every)
		}
		if m.step == m.steps {
			*m = ramp{}
			delete(c.ramps, r)
			out = say(out, "Service %s of VS %s has its whole weight %d", r.name, s.name, r.weight())
		}
		if r.share() != before {
			c.mark(s)
		}
	}
	return out
}

// RampDeadline is when Ramp is wanted; zero: never.
func (c *Cluster) RampDeadline() (next time.Time) {
	for r := range c.ramps {
		if t := r.ramp.next; !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// Follow tells which VRRP instances are master. A virtual server with track_vrrp is in the table only while its instance is; its checks
// go on all the same, so that it comes with what is known.
func (c *Cluster) Follow(instance string, master bool, out []Action) []Action {
	if c.masters == nil {
		c.masters = map[string]bool{}
	}
	if c.masters[instance] == master {
		return out
	}
	c.masters[instance] = master
	for _, s := range c.services {
		if s.v.TrackVRRP != instance {
			continue
		}
		c.mark(s)
		if c.begun {
			verb := "Withdrawing"
			if master {
				verb = "Installing"
			}
			out = say(out, "%s VS %s, %s is %s", verb, s.name, instance, map[bool]string{true: "MASTER", false: "not MASTER"}[master])
		}
	}
	return out
}

// installed drops the virtual servers whose VRRP instance is not master.
func (c *Cluster) installed(owners []*service) []*service {
	withheld := func(s *service) bool { return s.v.TrackVRRP != "" && !c.masters[s.v.TrackVRRP] }
	if !slices.ContainsFunc(owners, withheld) {
		return owners
	}
	return slices.DeleteFunc(slices.Clone(owners), withheld)
}
