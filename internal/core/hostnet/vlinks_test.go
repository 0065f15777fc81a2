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

func vmac(name, base string, vrid byte) model.VLink {
	return model.VLink{Kind: model.Macvlan, Name: name, Base: base, Family: model.IPv4, MAC: model.MAC{0, 0, 0x5e, 0, 1, vrid}}
}

func always(string, int) bool { return true }

func never(string, int) bool { return false }

func TestPlanLinks(t *testing.T) {
	eth0 := Link{Index: 2, Name: "eth0", Flags: iffUp | iffRunning, Group: 3}
	is := Link{Index: 4, Name: "vrrp.51", Flags: iffUp | iffRunning, Kind: "macvlan", Mode: macvlanPrivate, Parent: 2, MAC: [6]byte{0, 0, 0x5e, 0, 1, 51}}
	change := func(f func(*Link)) Link {
		l := is
		f(&l)
		return l
	}
	down := change(func(l *Link) { l.Flags = 0 })
	for _, c := range []struct {
		name  string
		links []Link
		want  []model.VLink
		mine  string
		up    func(string, int) bool
		ops   string
	}{
		{"is made", []Link{eth0}, []model.VLink{vmac("vrrp.51", "eth0", 51)}, "", always, "make vrrp.51"},
		{"waits for its base", nil, []model.VLink{vmac("vrrp.51", "eth0", 51)}, "vrrp.51", always, ""},
		{"is there", []Link{eth0, is}, []model.VLink{vmac("vrrp.51", "eth0", 51)}, "vrrp.51", always, ""},
		{"was left behind", []Link{eth0, is}, []model.VLink{vmac("vrrp.51", "eth0", 51)}, "", always, "take over vrrp.51"},
		{"is down", []Link{eth0, down}, []model.VLink{vmac("vrrp.51", "eth0", 51)}, "vrrp.51", always, "set up vrrp.51"},
		{"is down and not filtered yet", []Link{eth0, down}, []model.VLink{vmac("vrrp.51", "eth0", 51)}, "vrrp.51", never, ""},
		{"is not wanted", []Link{eth0, is}, nil, "vrrp.51", always, "remove vrrp.51"},
		{"is not wanted and not ours", []Link{eth0, is}, nil, "", always, ""},
		{"its name went to something else", []Link{eth0, change(func(l *Link) { l.Kind = "veth" })}, nil, "vrrp.51", always, ""},
		{"renamed, removed first", []Link{eth0, is}, []model.VLink{vmac("a", "eth0", 51)}, "vrrp.51", always, "remove vrrp.51, make a"},
		{"another MAC address", []Link{eth0, is}, []model.VLink{vmac("vrrp.51", "eth0", 52)}, "vrrp.51", always, "remove vrrp.51, make vrrp.51"},
		{"of another interface", []Link{eth0, {Index: 3, Name: "eth1"}, is}, []model.VLink{vmac("vrrp.51", "eth1", 51)}, "vrrp.51", always,
			"remove vrrp.51, make vrrp.51"},
		{"a foreign one has the name", []Link{eth0, change(func(l *Link) { l.Kind = "veth" })}, []model.VLink{vmac("vrrp.51", "eth0", 51)}, "", always,
			"conflict vrrp.51"},
		{"a macvlan of another mode has the name", []Link{eth0, change(func(l *Link) { l.Mode = 4 })}, []model.VLink{vmac("vrrp.51", "eth0", 51)}, "", always,
			"conflict vrrp.51"},
		{"on a macvlan, which the kernel puts beside it", []Link{eth0, {Index: 3, Name: "mv0", Kind: "macvlan", Parent: 2}, is},
			[]model.VLink{vmac("vrrp.51", "mv0", 51)}, "vrrp.51", always, ""},
		{"its base went into a VRF", []Link{change(func(l *Link) { *l = eth0; l.Master = 9 }), {Index: 9, Name: "red", Kind: "vrf"}, is},
			[]model.VLink{vmac("vrrp.51", "eth0", 51)}, "vrrp.51", always, "set the VRF of vrrp.51"},
		{"a bridge is no VRF", []Link{change(func(l *Link) { *l = eth0; l.Master = 9 }), {Index: 9, Name: "br0", Kind: "bridge"}, is},
			[]model.VLink{vmac("vrrp.51", "eth0", 51)}, "vrrp.51", always, ""},
	} {
		var h Host
		for _, l := range c.links {
			h.Apply(Event{Kind: LinkNew, Link: l})
		}
		mine := map[string]bool{}
		for _, name := range strings.Fields(c.mine) {
			mine[name] = true
		}
		ops, conflicts := PlanLinks(&h, c.want, mine, c.up)
		var got []string
		for _, o := range ops {
			got = append(got, o.String())
			if o.Kind == LinkAdd && o.Group != eth0.Group && o.Base == eth0.Index {
				t.Errorf("%s: interface group %d, want that of the base", c.name, o.Group)
			}
		}
		for _, n := range conflicts {
			got = append(got, "conflict "+n)
		}
		if s := strings.Join(got, ", "); s != c.ops {
			t.Errorf("%s: %q, want %q", c.name, s, c.ops)
		}
	}
}

// TestPlanLinksOnKernel carries plans out on a host on which anything may be; after one of them there is nothing left to do, and
// nothing foreign is gone.
func TestPlanLinksOnKernel(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		var h Host
		next := 1
		add := func(l Link) {
			l.Index = next
			next++
			h.Apply(Event{Kind: LinkNew, Link: l})
		}
		for _, n := range []string{"eth0", "eth1"} {
			if r.IntN(4) > 0 {
				add(Link{Name: n})
			}
		}
		foreign := map[string]bool{}
		mine := map[string]bool{}
		var want []model.VLink
		for i := range 3 {
			name := fmt.Sprint("v", i)
			if r.IntN(2) == 0 {
				want = append(want, vmac(name, []string{"eth0", "eth1"}[r.IntN(2)], byte(r.IntN(2))))
			}
			switch r.IntN(4) {
			case 0:
				add(Link{Name: name, Kind: "veth"})
				foreign[name] = true
			case 1, 2:
				add(Link{Name: name, Kind: "macvlan", Mode: macvlanPrivate, Parent: 1 + r.IntN(2), MAC: [6]byte{0, 0, 0x5e, 0, 1, byte(r.IntN(2))}})
				if mine[name] = r.IntN(3) > 0; !mine[name] {
					foreign[name] = true
				}
			}
		}
		ops, _ := PlanLinks(&h, want, mine, always)
		for _, o := range ops {
			switch o.Kind {
			case LinkRemove:
				if foreign[o.Link.Name] {
					t.Fatalf("%v removed, which is not ours", o)
				}
				l, _ := h.LinkAt(o.Index)
				h.Apply(Event{Kind: LinkDel, Link: l})
				delete(mine, l.Name)
			case LinkAdd:
				if _, dup := h.Link(o.Link.Name); dup {
					t.Fatalf("%v made twice, by %v", o, ops)
				}
				base, _ := h.LinkAt(o.Base)
				add(Link{Name: o.Link.Name, Kind: "macvlan", Mode: macvlanPrivate, Parent: h.Beneath(base).Index, MAC: [6]byte(o.Link.MAC), Flags: iffUp})
				mine[o.Link.Name] = true
			case LinkTake:
				mine[o.Link.Name] = true
				fallthrough
			case LinkRaise:
				l, _ := h.LinkAt(o.Index)
				l.Flags |= iffUp
				h.Apply(Event{Kind: LinkNew, Link: l})
			}
		}
		if again, _ := PlanLinks(&h, want, mine, always); len(again) > 0 {
			t.Fatalf("want %+v: after %v there is still %v", want, ops, again)
		}
	}
}

func TestDropVIPs(t *testing.T) {
	index := func(name string) int { return map[string]int{"eth0": 2}[name] }
	addrs := []model.Address{addr("10.0.0.1/24", "eth0"), addr("10.0.0.1/32", "eth1"), addr("fe80::1/64", "eth0"), addr("fe80::1/64", "gone"),
		addr("fd00::1/64", "gone")}
	want := []FilteredVIP{{Addr: netip.MustParseAddr("10.0.0.1")}, {Addr: netip.MustParseAddr("fe80::1"), Index: 2}, {Addr: netip.MustParseAddr("fd00::1")}}
	if got := DropVIPs(addrs, index); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
