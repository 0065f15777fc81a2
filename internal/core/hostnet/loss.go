package hostnet

import (
	"net/netip"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// RoutingEvent is one fact about a route or rule that has keepalived's protocol in the kernel. Fields as in model.Route and model.Rule.
type RoutingEvent struct {
	Gone bool // otherwise it is there
	Rule bool // otherwise it is a route
	By   string

	Family model.Family
	Table  uint32
	TOS    uint8

	Type    uint8 // of a route
	Dst     netip.Prefix
	Metric  uint32
	Via     netip.Addr // of a route with one hop
	IfIndex int        // the same; 0: none, or several

	Action   uint8 // of a rule
	Priority uint32
	From, To netip.Prefix // zero: any
	Mark     uint32
	IIF, OIF string
}

// metricIPv6 is what the kernel gives an IPv6 route without a metric.
const metricIPv6 = 1024

// Is reports whether the event is about o. index returns the index of an interface, 0 if there is none.
func (e *RoutingEvent) Is(o Routing, index func(name string) int) bool {
	if o.Rule != nil {
		r := o.Rule
		action := r.Action
		if action == model.RuleL3MDev {
			action = model.RuleTable
		}
		return e.Rule && e.Family == r.Family && e.Priority == r.Priority && e.Action == uint8(action) && e.Table == r.Table && e.TOS == r.TOS &&
			samePrefix(e.From, r.From) && samePrefix(e.To, r.To) && e.Mark == r.Mark && e.IIF == r.IIF && e.OIF == r.OIF
	}
	r := o.Route
	metric := r.Metric
	if metric == 0 && r.Family == model.IPv6 {
		metric = metricIPv6
	}
	if e.Rule || e.Family != r.Family || e.Table != r.Table || e.Dst != r.Dst || e.TOS != r.TOS || e.Metric != metric || e.Type != r.Type {
		return false
	}
	if len(r.Hops) > 0 {
		return !e.Via.IsValid()
	}
	return e.Via == r.Via && (r.Dev == "" || e.IfIndex == 0 || e.IfIndex == index(r.Dev))
}

func samePrefix(a, b netip.Prefix) bool { return a == b || a.Bits() <= 0 && b.Bits() <= 0 }
