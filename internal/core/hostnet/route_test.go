package hostnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func route(dst, via string, metric uint32) Routing {
	r := &model.Route{Type: 1, Table: 254, Dst: netip.MustParsePrefix(dst), Metric: metric, Protocol: model.KeepalivedProto}
	if r.Family = model.FamilyOf(r.Dst.Addr()); via != "" {
		r.Via = netip.MustParseAddr(via)
	}
	return Routing{Route: r}
}

func rule(priority uint32, from string) Routing {
	r := &model.Rule{Action: model.RuleTable, Table: 100, Priority: priority, SuppressPrefix: -1, SuppressGroup: -1}
	if r.Family = model.IPv4; from != "" {
		r.From = netip.MustParsePrefix(from)
		r.Family = model.FamilyOf(r.From.Addr())
	}
	return Routing{Rule: r}
}

func tell(ops []RoutingOp) string {
	var out []string
	for _, o := range ops {
		sign := "+"
		if o.Remove {
			sign = "-"
		}
		if o.Rule != nil {
			out = append(out, fmt.Sprintf("%s%d:%s", sign, o.Rule.Priority, o.Rule.From))
		} else {
			out = append(out, fmt.Sprintf("%s%s>%s", sign, o.Route.Dst, o.Route.Via))
		}
	}
	return strings.ReplaceAll(strings.Join(out, " "), "invalid IP", "")
}

func TestPlanRouting(t *testing.T) {
	untracked := route("10.0.0.0/8", "10.1.0.9", 0)
	untracked.Route.NoTrack = true
	for _, c := range []struct {
		name          string
		have, want    []Routing
		before, after string
	}{
		{"routes come before rules, each in its order", nil, []Routing{rule(5, ""), route("10.0.0.0/8", "", 0), rule(4, ""), route("10.1.0.0/16", "", 0)},
			"", "+10.0.0.0/8> +10.1.0.0/16> +5:invalid Prefix +4:invalid Prefix"},
		{"they go the other way round, before the addresses", []Routing{route("10.0.0.0/8", "", 0), rule(5, ""), route("10.1.0.0/16", "", 0)}, nil,
			"-5:invalid Prefix -10.0.0.0/8> -10.1.0.0/16>", ""},
		{"what stays is made sure of", []Routing{route("10.0.0.0/8", "10.1.0.9", 0)}, []Routing{untracked, untracked}, "", "+10.0.0.0/8>10.1.0.9"},
		{"another gateway: the old one goes last, and the new one is made sure of", []Routing{route("10.0.0.0/8", "10.1.0.9", 0)},
			[]Routing{route("10.0.0.0/8", "10.1.0.8", 0)}, "", "+10.0.0.0/8>10.1.0.8 -10.0.0.0/8>10.1.0.9 +10.0.0.0/8>10.1.0.8"},
		{"the same of IPv6", []Routing{route("fd00::/64", "fd01::9", 0)}, []Routing{route("fd00::/64", "fd01::8", 0)},
			"", "+fd00::/64>fd01::8 -fd00::/64>fd01::9 +fd00::/64>fd01::8"},
		{"another rule: the old one goes last", []Routing{rule(5, "10.0.0.0/8")}, []Routing{rule(6, "10.0.0.0/8")},
			"", "+6:10.0.0.0/8 -5:10.0.0.0/8"},
		{"with its priority it may be taken for it", []Routing{rule(5, "10.0.0.0/8")}, []Routing{rule(5, "10.1.0.0/16")},
			"", "+5:10.1.0.0/16 -5:10.0.0.0/8 +5:10.1.0.0/16"},
		{"one of another family is no successor", []Routing{rule(5, "10.0.0.0/8")}, []Routing{rule(5, "fd00::/64")},
			"-5:10.0.0.0/8", "+5:fd00::/64"},
	} {
		before, after := PlanRouting(c.have, c.want)
		if b, a := tell(before), tell(after); b != c.before || a != c.after {
			t.Errorf("%s:\n got %q, %q\nwant %q, %q", c.name, b, a, c.before, c.after)
		}
	}
	metrics := route("fd00::/64", "fd01::9", 0)
	metrics.Route.PutMetric(model.MetricMTU, 1400, false)
	if before, _ := PlanRouting([]Routing{route("fd00::/64", "fd01::9", 0)}, []Routing{metrics}); len(before) != 1 {
		t.Error("an IPv6 route that only its MTU tells from its successor cannot stand beside it, and does not go first")
	}
}

// TestPlanRoutingOnKernel carries random plans out on a kernel that takes a removal for any of the same place: what is wanted is there in
// the end, and nothing else of ours.
func TestPlanRoutingOnKernel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pool := []Routing{route("10.0.0.0/8", "10.1.0.9", 0), route("10.0.0.0/8", "10.1.0.8", 0), route("10.0.0.0/8", "10.1.0.8", 7), route("10.1.0.0/16", "", 0),
		route("fd00::/64", "fd01::9", 0), route("fd00::/64", "fd01::8", 0), rule(5, "10.0.0.0/8"), rule(5, "10.1.0.0/16"), rule(6, "10.0.0.0/8"), rule(5, "fd00::/64")}
	random := func() (out []Routing) {
		for _, o := range pool {
			if r.IntN(2) == 0 {
				out = append(out, o)
			}
		}
		return out
	}
	for range 1000 {
		have, want := random(), random()
		var kernel []Routing
		for _, o := range have {
			if r.IntN(5) > 0 { // the rest has been stolen
				kernel = append(kernel, o)
			}
		}
		find := func(o Routing) int {
			return slices.IndexFunc(kernel, func(k Routing) bool { return k.ID() == o.ID() })
		}
		before, after := PlanRouting(have, want)
		for _, op := range append(before, after...) {
			i := find(op.Routing)
			switch {
			case !op.Remove && i < 0:
				kernel = append(kernel, op.Routing)
			case op.Remove && i < 0:
				// It removes another one of the place, if there is one.
				if i = slices.IndexFunc(kernel, func(k Routing) bool { return k.place() == op.place() }); i >= 0 {
					kernel = slices.Delete(kernel, i, i+1)
				}
			case op.Remove:
				kernel = slices.Delete(kernel, i, i+1)
			}
		}
		ids := func(list []Routing) (out []string) {
			for _, o := range list {
				out = append(out, o.ID())
			}
			slices.Sort(out)
			return out
		}
		if got, want := ids(kernel), ids(want); !slices.Equal(got, want) {
			t.Fatalf("have %v, want %v: ends with %v", ids(have), want, got)
		}
	}
}

func TestRoutingEvent(t *testing.T) {
	index := func(name string) int { return map[string]int{"eth0": 2, "eth1": 3}[name] }
	ev := func(change func(*RoutingEvent)) RoutingEvent {
		e := RoutingEvent{Gone: true, Family: model.IPv4, Table: 254, Type: 1, Dst: netip.MustParsePrefix("10.0.0.0/8"),
			Via: netip.MustParseAddr("10.1.0.9"), IfIndex: 2}
		change(&e)
		return e
	}
	r := route("10.0.0.0/8", "10.1.0.9", 0)
	r.Route.Dev = "eth0"
	v6 := route("fd00::/64", "", 0)
	many := route("10.0.0.0/8", "", 0)
	many.Route.Hops = []model.NextHop{{Dev: "eth0"}, {Dev: "eth1"}}
	for _, c := range []struct {
		name string
		ev   RoutingEvent
		of   Routing
		want bool
	}{
		{"itself", ev(func(*RoutingEvent) {}), r, true},
		{"by another interface", ev(func(e *RoutingEvent) { e.IfIndex = 3 }), r, false},
		{"by another gateway", ev(func(e *RoutingEvent) { e.Via = netip.MustParseAddr("10.1.0.8") }), r, false},
		{"of another table", ev(func(e *RoutingEvent) { e.Table = 7 }), r, false},
		{"of another metric", ev(func(e *RoutingEvent) { e.Metric = 7 }), r, false},
		{"of another type", ev(func(e *RoutingEvent) { e.Type = 6 }), r, false},
		{"a rule", ev(func(e *RoutingEvent) { e.Rule = true }), r, false},
		{"of several hops", ev(func(e *RoutingEvent) { e.Via, e.IfIndex = netip.Addr{}, 0 }), many, true},
		{"one hop of several", ev(func(*RoutingEvent) {}), many, false},
		{"IPv6 has a metric without one", RoutingEvent{Family: model.IPv6, Table: 254, Type: 1, Dst: netip.MustParsePrefix("fd00::/64"), Metric: 1024}, v6, true},
		{"a rule from all", RoutingEvent{Rule: true, Family: model.IPv4, Table: 100, Action: 1, Priority: 5}, rule(5, "0.0.0.0/0"), true},
		{"a rule of another source", RoutingEvent{Rule: true, Family: model.IPv4, Table: 100, Action: 1, Priority: 5}, rule(5, "10.0.0.0/8"), false},
		{"a rule of another priority", RoutingEvent{Rule: true, Family: model.IPv4, Table: 100, Action: 1, Priority: 6}, rule(5, ""), false},
	} {
		if got := c.ev.Is(c.of, index); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestRoutingID: what a reload has decoded anew is the same object, down to what it points to, unless something is different.
func TestRoutingID(t *testing.T) {
	build := func(change func(*model.Route, *model.Rule)) (string, string) {
		route := model.Route{Dst: netip.MustParsePrefix("10.0.0.0/8"), Table: 254, NextHop: model.NextHop{Encap: &model.Encap{Kind: model.EncapIP, ID: 5}},
			Hops: []model.NextHop{{Dev: "eth0"}, {Dev: "eth1", Encap: &model.Encap{Kind: model.EncapIP, Dst: netip.MustParseAddr("1.2.3.4")}}}}
		route.PutMetric(model.MetricMTU, 1400, false)
		rule := model.Rule{Priority: 5, OIF: "eth0"}
		change(&route, &rule)
		return Routing{Route: &route}.ID(), Routing{Rule: &rule}.ID()
	}
	route, rule := build(func(*model.Route, *model.Rule) {})
	same := func(what string, change func(*model.Route, *model.Rule)) {
		if a, b := build(change); a != route || b != rule {
			t.Errorf("%s: %s, %s instead of %s, %s", what, a, b, route, rule)
		}
	}
	same("a copy", func(*model.Route, *model.Rule) {})
	same("what the kernel does not know", func(o *model.Route, u *model.Rule) {
		o.NoTrack, u.NoTrack, o.TrackGroup, u.TrackGroup = true, true, "g", "g"
	})
	for what, change := range map[string]func(*model.Route){
		"metric": func(o *model.Route) { o.Metrics.Value[model.MetricMTU]++ }, "tunnel": func(o *model.Route) { o.Encap.ID++ },
		"tunnel of a hop": func(o *model.Route) { o.Hops[1].Encap.Dst = netip.MustParseAddr("1.2.3.5") }, "device": func(o *model.Route) { o.Hops[0].Dev = "eth2" },
	} {
		if other, _ := build(func(o *model.Route, _ *model.Rule) { change(o) }); other == route {
			t.Errorf("another %s makes no other route", what)
		}
	}
	if _, other := build(func(_ *model.Route, u *model.Rule) { u.OIF = "eth1" }); other == rule {
		t.Error("another interface makes no other rule")
	}
}
