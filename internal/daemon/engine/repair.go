package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
)

// judgeDelay is how long something of ours may be away before somebody is said to have removed it: the kernel removes with the first
// address of a subnet all others in it, and routes with addresses, and the lane sets them again.
const judgeDelay = 10 * time.Millisecond

// lost is when something of ours went, and by whom, if it can be told.
type lost struct {
	at time.Time
	by string
}

// lostRouting is a route or rule that went.
type lostRouting struct {
	lost
	ev hostnet.RoutingEvent
}

// miss has it looked into, a little later, that an address of ours went.
func (ns *namespace) miss(now time.Time, a hostnet.Addr, by string) {
	if ns.missing == nil {
		ns.missing = map[hostnet.Addr]lost{}
	}
	ns.missing[a] = lost{now, by}
	ns.judgeSoon(now)
}

func (v *vrrpPart) judgeSoon(now time.Time) {
	if v.judgeAt.IsZero() {
		v.judgeAt = now.Add(judgeDelay)
	}
}

// routed takes over what the kernel reports of routes and rules.
func (ns *namespace) routed(now time.Time, events []hostnet.RoutingEvent) {
	for _, ev := range events {
		if ev.Gone {
			ns.gone = append(ns.gone, lostRouting{lost{now, ev.By}, ev})
			ns.judgeSoon(now)
			continue
		}
		ns.gone = slices.DeleteFunc(ns.gone, func(l lostRouting) bool {
			was := l.ev
			was.Gone, was.By = false, ""
			return was == ev
		})
	}
}

// judgeMissing tells the masters that somebody else has removed something of theirs, and puts static entries back. While an Own or Disown has
// not settled it cannot be told who it was.
func (v *vrrpPart) judgeMissing(now time.Time) {
	if v.judgeAt.IsZero() || now.Before(v.judgeAt) {
		return
	}
	v.judgeAt = time.Time{}
	for _, ns := range v.nets {
		ns.judge(now)
	}
}

func (ns *namespace) judge(now time.Time) {
	for a, l := range ns.missing {
		if now.Sub(l.at) < judgeDelay {
			ns.judgeSoon(now)
			continue
		}
		if ns.stopping || ns.host.Has(a.IfIndex, a.Prefix.Addr()) || ns.hasIPv6(a) {
			delete(ns.missing, a)
			continue
		}
		if ns.restoreAddress(a) {
			ns.blame(l, a.Prefix.String())
		}
		if ns.rob(now, ns.owners(a), l, a.Prefix.Addr().String(), &vrrp.Event{Kind: vrrp.Stolen, Addr: a.Prefix.Addr()}) {
			delete(ns.missing, a)
		} else {
			ns.judgeSoon(now)
		}
	}
	gone := ns.gone
	ns.gone = nil
	for _, l := range gone {
		done := ns.stopping
		if !done && now.Sub(l.at) >= judgeDelay {
			if what, ok := ns.restoreRouting(&l.ev); ok {
				ns.blame(l.lost, what)
			}
			routers, what := ns.victims(&l.ev)
			done = ns.rob(now, routers, l.lost, what, &vrrp.Event{Kind: vrrp.Stolen})
		}
		if !done {
			ns.gone = append(ns.gone, l)
			ns.judgeSoon(now)
		}
	}
}

// rob tells routers what was taken from them, unless one of them has a wish under way, and reports whether it has told them.
func (ns *namespace) rob(now time.Time, routers []*router, l lost, what string, ev *vrrp.Event) bool {
	if slices.ContainsFunc(routers, func(r *router) bool { return r.waits }) {
		return false
	}
	if len(routers) > 0 {
		ns.blame(l, what)
	}
	for _, r := range routers {
		ns.step(now, r, ev)
	}
	return true
}

// blame logs who removed something of ours.
//
// Differs from keepalived: it tells of no routes and rules, and never who it was.
func (ns *namespace) blame(l lost, what string) {
	if l.by != "" {
		ns.log.Info(fmt.Sprintf("%s was removed by %s", what, l.by))
	}
}

// hasIPv6 asks the kernel itself.
func (ns *namespace) hasIPv6(a hostnet.Addr) (has bool) {
	_ = ns.space.Do(func() error { has = netlink.HasIPv6(a.IfIndex, a.Prefix.Addr()); return nil })
	return has
}

// owners returns the masters that have a as an address which they watch.
func (ns *namespace) owners(a hostnet.Addr) (out []*router) {
	l, _ := ns.host.LinkAt(a.IfIndex)
	key := a.Key(l.Name)
	for _, n := range ns.vips[a.Prefix.Addr()] {
		r := ns.routers[n]
		if r.m.State() == model.Master && slices.ContainsFunc(addresses(r.m.Instance()), func(vip model.Address) bool {
			return !vip.NoTrack && hostnet.KeyOf(vip) == key
		}) {
			out = append(out, r)
		}
	}
	return out
}

// victims returns the masters that have the route or rule of an event as one which they watch, and its name.
func (ns *namespace) victims(ev *hostnet.RoutingEvent) (out []*router, what string) {
	for _, r := range ns.routers {
		if r.m.State() != model.Master {
			continue
		}
		i := r.m.Instance()
		if o, ok := ns.tracked(model.Objects{Routes: i.Routes, Rules: i.Rules}, ev); ok {
			out, what = append(out, r), name(o)
		}
	}
	return out, what
}

// tracked looks for the route or rule of an event among those that are watched.
func (ns *namespace) tracked(o model.Objects, ev *hostnet.RoutingEvent) (hostnet.Routing, bool) {
	index := func(name string) int {
		l, _ := ns.host.Link(name)
		return l.Index
	}
	for i := range o.Routes {
		if r := (hostnet.Routing{Route: &o.Routes[i]}); !ev.Rule && !r.Route.NoTrack && ev.Is(r, index) {
			return r, true
		}
	}
	for i := range o.Rules {
		if r := (hostnet.Routing{Rule: &o.Rules[i]}); ev.Rule && !r.Rule.NoTrack && ev.Is(r, index) {
			return r, true
		}
	}
	return hostnet.Routing{}, false
}

// name says what of ours it is.
func name(o hostnet.Routing) string {
	if o.Rule != nil {
		return "rule " + o.String()
	}
	return "route " + o.String()
}
