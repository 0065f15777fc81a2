package sys

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
	"github.com/keepalived-go/keepalived-go/internal/sys/watch"
)

func prefix(s string) *net.IPNet {
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		panic(err)
	}
	return n
}

func route(dst, via, dev string) model.Route {
	r := model.Route{Type: 1, Table: 254, Dst: netip.MustParsePrefix(dst), Protocol: model.KeepalivedProto, NextHop: model.NextHop{Dev: dev}}
	if r.Family = model.FamilyOf(r.Dst.Addr()); via != "" {
		r.Via = netip.MustParseAddr(via)
	}
	return r
}

func rule(priority uint32, from string) model.Rule {
	r := model.Rule{Action: model.RuleTable, Table: 100, Priority: priority, From: netip.MustParsePrefix(from), Protocol: model.KeepalivedProto,
		SuppressPrefix: -1, SuppressGroup: -1}
	r.Family = model.FamilyOf(r.From.Addr())
	return r
}

// routes returns the destinations of the routes of keepalived's protocol, with their gateways.
func (h *host) routes() map[string]bool {
	h.t.Helper()
	out := map[string]bool{}
	var list []vnl.Route
	h.dump("the routes", func() (err error) {
		list, err = h.RouteListFiltered(unix.AF_UNSPEC, &vnl.Route{Table: unix.RT_TABLE_UNSPEC, Protocol: model.KeepalivedProto},
			vnl.RT_FILTER_PROTOCOL|vnl.RT_FILTER_TABLE)
		return err
	})
	for _, r := range list {
		dst := "default"
		if r.Dst != nil {
			dst = r.Dst.String()
		}
		if r.Gw != nil {
			dst += " via " + r.Gw.String()
		}
		out[dst] = true
	}
	return out
}

func (h *host) rules() map[int]bool {
	h.t.Helper()
	out := map[int]bool{}
	var list []vnl.Rule
	h.dump("the rules", func() (err error) { list, err = h.RuleList(unix.AF_UNSPEC); return err })
	for _, r := range list {
		if r.Priority > 0 && r.Priority < 30000 {
			out[r.Priority] = true
		}
	}
	return out
}

func (l *lane) ownAll(owner string, o model.Objects) error {
	l.t.Helper()
	done := make(chan error, 1)
	l.Own(owner, o, func(err error) { done <- err })
	return receive(l.t, "settled wish of "+owner, done)
}

func (l *lane) mustOwnAll(owner string, o model.Objects) {
	l.t.Helper()
	if err := l.ownAll(owner, o); err != nil {
		l.t.Fatal(err)
	}
}

func TestLaneRouting(t *testing.T) {
	a, _ := pair(t)
	a.addr("eth0", "10.1.0.1/24")
	l := a.lane()
	shared := route("10.30.0.0/24", "", "eth0")
	all := model.Objects{Addresses: []model.Address{vip("10.1.0.100/24", "eth0")},
		Routes: []model.Route{shared, route("10.31.0.0/24", "10.1.0.9", ""), route("fd00:30::/64", "", "eth0")},
		Rules:  []model.Rule{rule(500, "10.30.0.0/24"), rule(501, "fd00:30::/64")}}
	all.Routes[1].PrefSrc = netip.MustParseAddr("10.1.0.100") // which needs the address first
	l.mustOwnAll("A", all)
	if r, u := a.routes(), a.rules(); len(r) != 3 || !r["10.31.0.0/24 via 10.1.0.9"] || len(u) != 2 {
		t.Fatalf("routes %v, rules %v", r, u)
	}

	// What two want stays until neither does; what one wants anew is set again.
	l.mustOwnAll("B", model.Objects{Routes: []model.Route{shared}})
	l.mustOwnAll("A", model.Objects{})
	if r, u := a.routes(), a.rules(); len(r) != 1 || !r["10.30.0.0/24"] || len(u) != 0 {
		t.Errorf("after A's end: routes %v, rules %v", r, u)
	}
	l.mustOwnAll("B", model.Objects{})
	if r := a.routes(); len(r) != 0 {
		t.Errorf("after the end of both: %v", r)
	}

	// Another gateway; a route that the kernel refuses is an error, and leaves the others alone.
	l.mustOwnAll("A", model.Objects{Routes: []model.Route{route("10.31.0.0/24", "10.1.0.9", "")}})
	err := l.ownAll("A", model.Objects{Routes: []model.Route{route("10.32.0.0/24", "10.77.0.9", ""), route("10.31.0.0/24", "10.1.0.8", "")}})
	if err == nil || !strings.Contains(err.Error(), "10.32.0.0/24") {
		t.Errorf("an unreachable gateway gives %v", err)
	}
	if r := a.routes(); len(r) != 1 || !r["10.31.0.0/24 via 10.1.0.8"] {
		t.Errorf("with another gateway: %v", r)
	}
	l.mustOwnAll("A", model.Objects{Rules: []model.Rule{rule(500, "10.30.0.0/24")}})

	// What somebody removed comes back on demand; what is left of an earlier process goes, or is ours if it is wanted.
	if err := a.RuleDel(&vnl.Rule{Priority: 500, Table: 100, Src: prefix("10.30.0.0/24"), Goto: -1, Flow: -1, SuppressIfgroup: -1, SuppressPrefixlen: -1}); err != nil {
		t.Fatal(err)
	}
	l.Recheck(model.Objects{Rules: []model.Rule{rule(500, "10.30.0.0/24")}})
	waitFor(t, "the rule", func() bool { return a.rules()[500] })

	left := a.lane()
	left.mustOwnAll("old", model.Objects{Routes: []model.Route{shared, route("10.33.0.0/24", "", "eth0")}, Rules: []model.Rule{rule(502, "10.0.0.0/8")}})
	l.Together(func() {
		l.RemoveStale(model.Objects{Routes: []model.Route{shared, route("10.33.0.0/24", "", "eth0"), route("10.39.0.0/24", "", "eth0")},
			Rules: []model.Rule{rule(502, "10.0.0.0/8"), rule(509, "10.0.0.0/8")}})
		l.Own("A", model.Objects{Routes: []model.Route{shared}}, nil)
	})
	waitFor(t, "the end of what was left", func() bool { r, u := a.routes(), a.rules(); return len(r) == 1 && r["10.30.0.0/24"] && len(u) == 0 })
	l.mustOwnAll("A", model.Objects{})
	if r := a.routes(); len(r) != 0 {
		t.Errorf("an adopted route stays: %v", r)
	}
}

// IPv4 routes go with their link without a word.
func TestLaneRefresh(t *testing.T) {
	a, _ := pair(t)
	a.addr("eth0", "10.1.0.1/24")
	l := a.lane()
	l.mustOwnAll("A", model.Objects{Routes: []model.Route{route("10.30.0.0/24", "", "eth0")}})
	link, err := a.LinkByName("eth0")
	if err == nil {
		err = a.LinkSetDown(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r := a.routes(); len(r) != 0 {
		t.Fatalf("the kernel keeps %v", r)
	}
	a.up("eth0")
	l.Refresh()
	waitFor(t, "the route", func() bool { return a.routes()["10.30.0.0/24"] })
}

func TestRoutingWatch(t *testing.T) {
	a, _ := pair(t)
	a.addr("eth0", "10.1.0.1/24")
	l := a.lane()
	var rw *netlink.RoutingWatch
	a.in(func() (err error) { rw, err = netlink.OpenRoutingWatch(l.Lane, model.RxBuf{}, nil); return err })
	var mu sync.Mutex
	var gone []hostnet.RoutingEvent
	there := 0
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- rw.Run(ctx, func(events []hostnet.RoutingEvent) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				if e.Gone {
					gone = append(gone, e)
				} else {
					there++
				}
			}
		}, func() {})
	}()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, "the end of RoutingWatch.Run", ended); err != nil {
			t.Errorf("RoutingWatch.Run = %v", err)
		}
		rw.Close()
	})
	o := model.Objects{Routes: []model.Route{route("10.30.0.0/24", "", "eth0"), route("fd00:30::/64", "", "eth0")}, Rules: []model.Rule{rule(500, "10.30.0.0/24")}}
	l.mustOwnAll("A", o)
	l.mustOwnAll("A", model.Objects{Routes: o.Routes[:1], Rules: o.Rules}) // our own removal is no news
	a.ip("route add 10.40.0.0/24 dev eth0", "route del 10.40.0.0/24 dev eth0", "rule add priority 7 lookup 5", "rule del priority 7")
	a.ip("route del 10.30.0.0/24 dev eth0")
	// A process that stays can be found by its socket, whatever its port.
	if err := a.RuleDel(&vnl.Rule{Priority: 500, Table: 100, Src: prefix("10.30.0.0/24"), Goto: -1, Flow: -1, SuppressIfgroup: -1, SuppressPrefixlen: -1}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "two removals", func() bool { mu.Lock(); defer mu.Unlock(); return len(gone) >= 2 })
	mu.Lock()
	defer mu.Unlock()
	if len(gone) != 2 || there != 3 {
		t.Fatalf("%d additions, removals %+v", there, gone)
	}
	if e := gone[0]; !e.Is(hostnet.Routing{Route: &o.Routes[0]}, a.index) || !strings.Contains(e.By, "process") {
		t.Errorf("removed by ip: %+v", e)
	}
	if e := gone[1]; !e.Is(hostnet.Routing{Rule: &o.Rules[0]}, a.index) || !strings.Contains(e.By, "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("removed by this process: %+v", e)
	}
}

func TestBeat(t *testing.T) {
	a, b := pair(t)
	var beats *watch.Beats
	a.in(func() (err error) { beats, err = watch.OpenBeats(); return err })
	defer beats.Close()
	ask := beats.Ask
	for _, m := range []model.LinkMethod{model.LinkAuto, model.LinkEthtool, model.LinkIoctl} {
		up, used, err := ask("eth0", m)
		if !up || err != nil || m != model.LinkAuto && used != m {
			t.Errorf("%v: %v by %v, %v", m, up, used, err)
		}
	}
	if _, _, err := ask("eth0", model.LinkMII); err == nil {
		t.Error("a veth has a transceiver")
	}
	if _, _, err := ask("gone0", model.LinkAuto); err != unix.ENODEV {
		t.Errorf("an interface that is not there gives %v", err)
	}
	link, err := b.LinkByName("eth0")
	if err == nil {
		err = b.LinkSetDown(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []model.LinkMethod{model.LinkEthtool, model.LinkIoctl} {
		if up, _, _ := ask("eth0", m); up {
			t.Errorf("%v: up without a carrier", m)
		}
	}
}

// ip runs ip(8) in the host, a process for each line.
func (h *host) ip(lines ...string) {
	h.t.Helper()
	for _, line := range lines {
		h.in(func() error {
			out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
			if err != nil {
				h.t.Errorf("ip %s: %s", line, out)
			}
			return err
		})
	}
}

// A removal by the lane is told as ours, by another process as its.
func TestWatchTellsWho(t *testing.T) {
	a, _ := pair(t)
	l := a.lane()
	w := a.watch(0, l)
	eth0 := a.index("eth0")
	has := func(addr string) (there bool) {
		a.in(func() error { there = netlink.HasIPv6(eth0, netip.MustParseAddr(addr)); return nil })
		return there
	}
	l.mustOwn("A", vip("10.1.0.100/32", "eth0"), vip("fd01::100/128", "eth0"))
	w.waitAddr(eth0, "fd01::100", true)
	if !has("fd01::100") || has("fd01::101") || has("10.1.0.100") {
		t.Error("HasIPv6 is wrong")
	}
	l.mustOwn("A")
	w.waitAddr(eth0, "fd01::100", false)
	if has("fd01::100") {
		t.Error("HasIPv6 sees what is gone")
	}
	l.mustOwn("A", vip("10.1.0.100/32", "eth0"))
	w.waitAddr(eth0, "10.1.0.100", true)
	a.ip("addr del 10.1.0.100/32 dev eth0")
	w.waitAddr(eth0, "10.1.0.100", false)
	w.wait("both removals", func(events []hostnet.Event, _ *hostnet.Host) bool {
		var told []string
		for _, e := range events {
			if e.Kind == hostnet.AddrDel && e.Addr.Prefix.String() == "10.1.0.100/32" {
				told = append(told, strconv.FormatBool(e.Ours)+" "+e.By)
			}
		}
		return len(told) == 2 && told[0] == "true " && strings.Contains(told[1], "false ") && strings.Contains(told[1], "process")
	})
}
