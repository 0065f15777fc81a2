package track

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Links of the same name in different network namespaces are different links; a sync group tracks those of its members' namespace.
func TestNamespaces(t *testing.T) {
	v := &model.VRRP{
		Instances: []model.Instance{
			{Name: "HERE", Interface: "eth0", Priority: 100},
			{Name: "RED", Interface: "eth0", NetNamespace: "red", Priority: 100, TrackInterfaces: []model.Track{{Name: "eth1", Weight: -10}}},
		},
		Groups: []model.SyncGroup{{Name: "G", Members: []string{"RED"}, TrackInterfaces: []model.Track{{Name: "eth2"}}}},
	}
	s := New(v, nil)
	in := func(namespace string, f Fact) Fact { f.Namespace = namespace; return f }
	for _, name := range []string{"eth0", "eth1", "eth2"} {
		s.Step(in("red", linkUp(name)), nil)
	}
	s.Step(linkUp("eth0"), nil)
	s.All(nil)
	for _, c := range []struct {
		fact Fact
		want []Effect
	}{
		{linkDown("eth1"), nil},
		{linkDown("eth2"), nil},
		{in("red", linkDown("eth1")), []Effect{{Kind: Priority, Instance: 1, Total: 90}}},
		{in("red", linkDown("eth2")), []Effect{{Kind: Faults, Instance: 1, Count: 1, Links: 1, Reason: "interface eth2 down"}}},
		{in("red", linkDown("eth0")), []Effect{{Kind: Faults, Instance: 1, Count: 2, Links: 2, Reason: "interface eth0 down"}}},
		{linkDown("eth0"), []Effect{{Kind: Faults, Instance: 0, Count: 1, Links: 1, Reason: "interface eth0 down"}}},
	} {
		if diff := cmp.Diff(c.want, s.Step(c.fact, nil)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.fact, diff)
		}
	}
	for namespace, want := range map[string][]string{"": {"eth0"}, "red": {"eth0", "eth1", "eth2"}, "blue": nil} {
		if diff := cmp.Diff(want, s.Links(namespace)); diff != "" {
			t.Errorf("links of %q (-want +got):\n%s", namespace, diff)
		}
	}
	if got := New(v, s).All(nil)[0]; got.Count != 1 {
		t.Errorf("after a reload: %+v", got)
	}
}
