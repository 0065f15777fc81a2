package hostnet

import (
	"encoding/json"
	"net/netip"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Routing is a route or a rule.
type Routing struct {
	Route *model.Route // either
	Rule  *model.Rule  // or
}

// RoutingOf returns the routes and rules of o, in the order of setting them.
func RoutingOf(o model.Objects) []Routing {
	out := make([]Routing, 0, len(o.Routes)+len(o.Rules))
	for i := range o.Routes {
		out = append(out, Routing{Route: &o.Routes[i]})
	}
	for i := range o.Rules {
		out = append(out, Routing{Rule: &o.Rules[i]})
	}
	return out
}

// String is in keepalived's words.
func (o Routing) String() string {
	if o.Rule != nil {
		return o.Rule.String()
	}
	return o.Route.String()
}

// ID says which of ours is which: two with the same one are the same for the kernel, whoever wants them, and whichever configuration they are of.
func (o Routing) ID() string {
	var all any
	if o.Rule != nil {
		r := *o.Rule
		r.NoTrack, r.TrackGroup = false, ""
		all = r
	} else {
		r := *o.Route
		r.NoTrack, r.TrackGroup = false, ""
		all = r
	}
	id, err := json.Marshal(all) // what it points to as well
	if err != nil {
		panic(err) // numbers, strings and addresses
	}
	return string(id)
}

// place is what those have in common of which the kernel may take one for another when it is to remove one, as a removal names what is
// set of it and no more.
type place struct {
	rule   bool
	family model.Family
	number uint32 // table of a route, priority of a rule
	dst    netip.Prefix
}

func (o Routing) place() place {
	if o.Rule != nil {
		return place{rule: true, family: o.Rule.Family, number: o.Rule.Priority}
	}
	return place{family: o.Route.Family, number: o.Route.Table, dst: o.Route.Dst.Masked()}
}

// replaceable reports whether o may go only when its successor is there. An IPv6 route that differs in what the kernel does not
// tell routes apart by cannot be beside its successor.
func (o Routing) replaceable(by []Routing) bool {
	return slices.ContainsFunc(by, func(n Routing) bool {
		switch {
		case o.Rule != nil:
			return n.Rule != nil && n.Rule.Family == o.Rule.Family
		case n.Route == nil || n.place() != o.place():
			return false
		}
		same := n.Route.Metric == o.Route.Metric && n.Route.Via == o.Route.Via && n.Route.Dev == o.Route.Dev
		return o.Route.Family == model.IPv4 || !same
	})
}

// RoutingOp is one change of the kernel's routes and rules.
type RoutingOp struct {
	Remove bool // otherwise: add
	Routing
}

// PlanRouting returns what to do so that the kernel has want and nothing else of have: before, in the order of doing, comes before the
// changes of addresses, after after them.
//
// have is what we set earlier; it may be gone since, so all of want is added and "exists" is a success. Rules go before routes and come
// after them. What has a successor (a route to the same destination, any other rule) goes when that is there, so that packets always find
// their way; then those which the kernel may have taken it for are added once more.
func PlanRouting(have, want []Routing) (before, after []RoutingOp) {
	wanted := make(map[string]bool, len(want))
	for _, o := range want {
		wanted[o.ID()] = true
	}
	var late []Routing
	for _, rules := range [...]bool{true, false} {
		for _, o := range have {
			switch {
			case o.Rule != nil != rules || wanted[o.ID()]:
			case o.replaceable(want):
				late = append(late, o)
			default:
				before = append(before, RoutingOp{Remove: true, Routing: o})
			}
		}
	}
	seen := map[string]bool{}
	for _, rules := range [...]bool{false, true} {
		for _, o := range want {
			if id := o.ID(); o.Rule != nil == rules && !seen[id] {
				seen[id] = true
				after = append(after, RoutingOp{Routing: o})
			}
		}
		lost := map[place]bool{}
		for _, o := range late {
			if o.Rule != nil == rules {
				after = append(after, RoutingOp{Remove: true, Routing: o})
				lost[o.place()] = true
			}
		}
		for _, o := range want {
			if lost[o.place()] {
				after = append(after, RoutingOp{Routing: o})
			}
		}
	}
	return before, after
}
