package hostnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func have(index int, prefix string, flags uint32) Event {
	return Event{Kind: AddrNew, Addr: Addr{IfIndex: index, Prefix: netip.MustParsePrefix(prefix), Flags: flags}}
}

func TestSource(t *testing.T) {
	vip := netip.MustParseAddr("10.0.0.100")
	vip6 := netip.MustParseAddr("fe80::100")
	ours := func(a netip.Addr) bool { return a == vip || a == vip6 }
	for _, c := range []struct {
		name   string
		events []Event
		family model.Family
		want   string
	}{
		{"none", nil, model.IPv4, ""},
		{"the first", []Event{have(1, "10.0.0.1/24", 0), have(1, "10.0.0.2/24", 0)}, model.IPv4, "10.0.0.1"},
		{"not a virtual one", []Event{have(1, "10.0.0.100/24", 0), have(1, "10.0.0.2/24", 0)}, model.IPv4, "10.0.0.2"},
		{"only virtual ones", []Event{have(1, "10.0.0.100/24", 0)}, model.IPv4, ""},
		{"not of another interface", []Event{have(2, "10.0.0.1/24", 0)}, model.IPv4, ""},
		{"the next when the first goes", []Event{have(1, "10.0.0.1/24", 0), have(1, "10.0.0.2/24", 0),
			{Kind: AddrDel, Addr: have(1, "10.0.0.1/24", 0).Addr}}, model.IPv4, "10.0.0.2"},
		{"IPv6 is link-local", []Event{have(1, "fd00::1/64", 0), have(1, "fe80::1/64", 0)}, model.IPv6, "fe80::1"},
		{"IPv6 has no other", []Event{have(1, "fd00::1/64", 0), have(1, "fe80::100/64", 0)}, model.IPv6, ""},
		{"not while tentative", []Event{have(1, "fe80::1/64", 0x40)}, model.IPv6, ""},
		{"after duplicate address detection", []Event{have(1, "fe80::1/64", 0x40), have(1, "fe80::1/64", 0)}, model.IPv6, "fe80::1"},
		{"not a duplicate", []Event{have(1, "fe80::1/64", 0x08)}, model.IPv6, ""},
	} {
		var h Host
		h.Apply(Event{Kind: LinkNew, Link: Link{Index: 1, Name: "eth0"}})
		for _, e := range c.events {
			h.Apply(e)
		}
		got, ok := h.Source(1, c.family, ours)
		if want := c.want; ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %v, %v; want %q", c.name, got, ok, want)
		}
	}
}

func TestApply(t *testing.T) {
	var h Host
	eth0 := Link{Index: 1, Name: "eth0", Flags: iffUp | iffRunning}
	step := func(e Event, changed bool) {
		t.Helper()
		if got := h.Apply(e); got != changed {
			t.Errorf("Apply(%+v) = %v, want %v", e, got, changed)
		}
	}
	step(have(1, "10.0.0.1/24", 0), true) // an address heard of before its link
	if _, ok := h.LinkAt(1); ok {
		t.Error("a link is known by its address alone")
	}
	step(Event{Kind: LinkNew, Link: eth0}, true)
	step(Event{Kind: LinkNew, Link: eth0}, false)
	step(have(1, "10.0.0.1/24", 0), false)
	step(have(1, "10.0.0.1/32", 0), true) // another one for IPv4
	step(have(1, "fd00::1/64", 0), true)
	step(have(1, "fd00::1/128", 0), true) // the same one for IPv6, changed
	if got := len(h.Addrs(1)); got != 3 {
		t.Errorf("%d addresses, want 3: %v", got, h.Addrs(1))
	}
	if l, ok := h.Link("eth0"); !ok || !l.Up() {
		t.Errorf("Link(eth0) = %+v, %v", l, ok)
	}

	renamed := eth0
	renamed.Name = "wan"
	step(Event{Kind: LinkNew, Link: renamed}, true)
	if _, ok := h.Link("eth0"); ok {
		t.Error("the old name still stands")
	}
	step(Event{Kind: LinkNew, Link: Link{Index: 2, Name: "eth0"}}, true)
	if l, _ := h.Link("eth0"); l.Index != 2 {
		t.Errorf("eth0 has index %d, want 2", l.Index)
	}
	step(Event{Kind: LinkDel, Link: renamed}, true)
	step(Event{Kind: LinkDel, Link: renamed}, false)
	step(Event{Kind: AddrDel, Addr: have(1, "10.0.0.1/24", 0).Addr}, false)
	if got := h.Addrs(1); len(got) != 0 {
		t.Errorf("addresses of a removed link: %v", got)
	}
	if _, ok := h.Link("eth0"); !ok {
		t.Error("removing wan took eth0 with it")
	}
}

// TestDiff: whatever two states are, the differences lead from one to the other, and there are none from a state to itself.
func TestDiff(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	random := func() *Host {
		var h Host
		for range r.IntN(12) {
			i := r.IntN(3) + 1
			if _, ok := h.LinkAt(i); !ok || r.IntN(4) == 0 {
				h.Apply(Event{Kind: LinkNew, Link: Link{Index: i, Name: fmt.Sprint("eth", i), Flags: uint32(r.IntN(2))}})
			} else {
				h.Apply(have(i, []string{"10.0.0.1/24", "10.0.0.2/24", "fd00::1/64", "fd00::1/128"}[r.IntN(4)], uint32(r.IntN(2))))
			}
		}
		return &h
	}
	// content is what a Host says, without the order of addresses.
	content := func(h *Host) map[string]bool {
		out := map[string]bool{}
		for i := 1; i <= 3; i++ {
			if l, ok := h.LinkAt(i); ok {
				out[fmt.Sprintf("%+v", l)] = true
			}
			for _, a := range h.Addrs(i) {
				out[fmt.Sprintf("%+v", a)] = true
			}
		}
		return out
	}
	for range 5000 {
		was, now := random(), random()
		if d := was.Diff(was); len(d) != 0 {
			t.Fatalf("Diff to itself = %+v", d)
		}
		want := content(now)
		events := was.Diff(now)
		for _, e := range events {
			if !was.Apply(e) && e.Kind != AddrDel {
				t.Fatalf("%+v changes nothing, of %+v", e, events)
			}
		}
		if got := content(was); !reflect.DeepEqual(got, want) {
			t.Fatalf("after %+v: %v, want %v", events, got, want)
		}
	}
}
