package lvs

import (
	"reflect"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Reload makes l the configuration (ipvs.md §11). Virtual servers are the same by [model.VirtualServer.Key], real servers and
// sorry servers by address and port, checkers by [SameProbe]; what is the same keeps its state, and a checker its CheckID.
// A checker added to a real server that stays starts as up, even an alpha one, unless an old failure remains there.
//
// Differs from keepalived: a virtual server of a group is known by group, protocol and family, not by its number in the group;
// loss of quorum is announced once; thresholds take effect; a real server added while a sorry server stands in waits.
func (c *Cluster) Reload(l *model.LVS, out []Action) []Action {
	old := c.services
	for _, s := range old {
		c.mark(s)
	}
	c.load(l)
	was, is := pair(old, c.services)
	for _, o := range old {
		if s := is[o]; s != nil {
			out = c.removeServers(o, s, out)
		} else {
			out = c.removeService(o, out)
		}
	}
	for _, s := range c.services {
		o := was[s]
		for i := range s.v.Real {
			if r := &s.v.Real[i]; o.find(r) != nil {
				out = c.carry(s, o.find(r), r, out)
			} else {
				n := c.newServer(s, r)
				s.real = append(s.real, n)
				out = c.greet(s, n, out)
			}
		}
		if o != nil {
			s.up = o.up
			s.sorryActive = o.sorryActive && s.v.Sorry != nil && sameServer(o.v.Sorry, s.v.Sorry)
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

// find returns the server at r's address and port, nil if s is nil or has none.
func (s *service) find(r *model.RealServer) *server {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.real, func(o *server) bool { return sameServer(o.r, r) })
	if i < 0 {
		return nil
	}
	return s.real[i]
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
	return o.notify(false, "=> Removing <=", out)
}

func (c *Cluster) removeServers(o, s *service, out []Action) []Action {
	for _, r := range o.real {
		if !slices.ContainsFunc(s.v.Real, func(n model.RealServer) bool { return sameServer(&n, r.r) }) {
			out = say(out, "service %s no longer exist", r.name)
			out = c.removeServer(o, r, out)
		}
	}
	return out
}

func (c *Cluster) removeServer(o *service, r *server, out []Action) []Action {
	for _, k := range r.checks {
		delete(c.checks, k.id)
	}
	if !r.alive {
		return out
	}
	out = say(out, "Removing service %s from VS %s", r.name, o.name)
	return o.leaveReal(r, "=> Removing <=", out)
}

// carry makes r a server of s with the state of o, and settles what its changes mean for it.
func (c *Cluster) carry(s *service, o *server, r *model.RealServer, out []Action) []Action {
	n := &server{r: r, name: r.Name(s.v), alive: o.alive}
	s.real = append(s.real, n)
	rest := slices.Clone(o.checks)
	for i := range r.Checks {
		spec := &r.Checks[i]
		if at := slices.IndexFunc(rest, func(k *check) bool { return SameProbe(k.spec, spec) }); at >= 0 {
			k := rest[at]
			k.spec, k.service, k.server = spec, s, n
			n.checks = append(n.checks, k)
			rest = slices.Delete(rest, at, at+1)
		} else {
			n.checks = append(n.checks, nil)
		}
	}
	for _, k := range rest {
		delete(c.checks, k.id)
	}
	broken := slices.ContainsFunc(n.checks, func(k *check) bool { return k != nil && k.failed })
	for i := range n.checks {
		if n.checks[i] == nil {
			n.checks[i] = c.newCheck(s, n, &r.Checks[i], r.Checks[i].Alpha && broken)
		}
	}
	if was := o.weight(); was != n.weight() {
		out = c.sayWeight(s, n, was, out)
	}
	if alive := !n.anyFailed(); alive != n.alive {
		out = c.turn(s, n, alive, out)
	}
	return out
}

// SameProbe reports whether two checkers probe the same in the same way, so that what one found holds for the other: when and
// how often they probe does not matter, nor does HTTP against TLS (ipvs.md §11).
func SameProbe(a, b *model.Check) bool {
	if probe(a.Kind) != probe(b.Kind) || a.Conn != b.Conn || a.Misc.Dynamic != b.Misc.Dynamic ||
		!slices.Equal(a.Misc.Script.Args, b.Misc.Script.Args) {
		return false
	}
	return slices.EqualFunc(a.HTTP.URLs, b.HTTP.URLs, func(a, b model.URL) bool {
		a.TLSClose, b.TLSClose = false, false
		return reflect.DeepEqual(a, b)
	})
}

func probe(k model.CheckKind) model.CheckKind {
	if k == model.SSLGet {
		return model.HTTPGet
	}
	return k
}
