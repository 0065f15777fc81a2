package model

import (
	"slices"
	"testing"
	"time"
)

// Each instance is in the part of one network namespace; the rest is in that of the process, but for what fits everywhere.
func TestIn(t *testing.T) {
	v := &VRRP{
		Instances: []Instance{
			{Name: "HERE", Interface: "eth0", VRID: 1, Accept: true},
			{Name: "RED", Interface: "eth0", VRID: 1, NetNamespace: "red", Accept: true, VLink: VLink{Kind: Macvlan, Name: "vrrp.1"}},
			{Name: "BLUE", Interface: "eth0", VRID: 1, NetNamespace: "blue", Accept: true},
			{Name: "RED_TOO", Interface: "eth1", VRID: 1, NetNamespace: "red"},
		},
		Statics:      Objects{Addresses: []Address{{Interface: "eth0"}}},
		IfDebounce:   []Debounce{{Interface: "eth0", Down: time.Second}},
		Linkbeat:     []Linkbeat{{Interface: "eth0"}, {Interface: "eth0", Namespace: "blue"}},
		Filter:       Filter{Wanted: true, Table: "keepalived"},
		CommandRxBuf: RxBuf{Bytes: 4096},
	}
	if got := v.Namespaces(); !slices.Equal(got, []string{"red", "blue"}) {
		t.Errorf("namespaces %q", got)
	}
	for name, want := range map[string]struct {
		instances                 []string
		statics, filtered         bool
		debounced, polled, vlinks int
	}{
		"":      {[]string{"HERE"}, true, false, 1, 1, 0},
		"red":   {[]string{"RED", "RED_TOO"}, false, true, 0, 0, 1},
		"blue":  {[]string{"BLUE"}, false, false, 0, 1, 0},
		"green": {nil, false, false, 0, 0, 0},
	} {
		p := v.In(name)
		var names []string
		for i := range p.Instances {
			names = append(names, p.Instances[i].Name)
		}
		if !slices.Equal(names, want.instances) || p.Statics.Empty() == want.statics || (p.Filter != Filter{}) != want.filtered ||
			len(p.IfDebounce) != want.debounced || len(p.Linkbeat) != want.polled || len(p.VLinks()) != want.vlinks || p.CommandRxBuf != v.CommandRxBuf {
			t.Errorf("%q: instances %q of %+v", name, names, p)
		}
	}
	alone := &VRRP{Instances: v.Instances[:1]}
	if alone.In("") != alone {
		t.Error("the whole is not its own part")
	}
}

// An instance that goes to another network namespace is another.
func TestDiffOfNamespaces(t *testing.T) {
	old, next := sample(), sample()
	next.VRRP.Instances[0].NetNamespace = "red"
	c := Diff(old, next)
	if len(c.Instances.Added) != 1 || len(c.Instances.Removed) != 1 || len(c.Instances.Changed) != 0 {
		t.Errorf("%+v", c.Instances)
	}
}
