package track

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func vip(dev string, noTrack bool) model.Address {
	return model.Address{Prefix: netip.MustParsePrefix("10.0.0.100/24"), Interface: dev, NoTrack: noTrack}
}

func linkUp(name string) Fact   { return Fact{Kind: Link, Name: name, Exists: true, Up: true} }
func linkDown(name string) Fact { return Fact{Kind: Link, Name: name, Exists: true} }
func script(name string, ok bool) Fact {
	return Fact{Kind: ScriptDone, Name: name, OK: ok}
}

// state is what the effects add up to.
type state struct {
	Faults int
	Reason string
	Init   bool
	Total  int
}

func apply(states map[int]state, effects []Effect) {
	for _, e := range effects {
		s := states[e.Instance]
		if e.Kind == Faults {
			s.Faults, s.Reason, s.Init = e.Count, e.Reason, e.Init
		} else {
			s.Total = e.Total
		}
		states[e.Instance] = s
	}
}

// TestSet: one instance of priority 100 on eth0, changed by setup; want is its state after the facts.
func TestSet(t *testing.T) {
	const base = 100
	tests := []struct {
		name  string
		setup func(*model.VRRP, *model.Instance)
		facts []Fact
		want  state
	}{
		{"own interface is unknown", nil, nil, state{1, "interface eth0 down", false, base}},
		{"own interface up", nil, []Fact{linkUp("eth0")}, state{Total: base}},
		{"own interface down", nil, []Fact{linkUp("eth0"), linkDown("eth0")}, state{1, "interface eth0 down", false, base}},
		{"own interface exists no more", nil, []Fact{linkUp("eth0"), {Kind: Link, Name: "eth0"}}, state{1, "interface eth0 down", false, base}},
		{"no interface at all", func(_ *model.VRRP, i *model.Instance) { i.Interface = "" }, nil, state{Total: base}},
		{"dont_track_primary, with an address there", func(_ *model.VRRP, i *model.Instance) {
			i.DontTrackPrimary, i.VIPs = true, []model.Address{vip("eth0", false)}
		}, nil, state{Total: base}},
		{"dont_track_primary, but an address elsewhere", func(_ *model.VRRP, i *model.Instance) {
			i.DontTrackPrimary, i.VIPs = true, []model.Address{vip("eth1", false)}
		}, nil, state{1, "interface eth1 down", false, base}},
		{"address on another interface", func(_ *model.VRRP, i *model.Instance) { i.ExcludedVIPs = []model.Address{vip("eth1", false)} },
			[]Fact{linkUp("eth0")}, state{1, "interface eth1 down", false, base}},
		{"address with no_track", func(_ *model.VRRP, i *model.Instance) { i.VIPs = []model.Address{vip("eth1", true)} },
			[]Fact{linkUp("eth0")}, state{Total: base}},
		{"each thing counts", func(_ *model.VRRP, i *model.Instance) {
			i.TrackInterfaces = []model.Track{{Name: "eth1"}, {Name: "eth2"}}
		},
			[]Fact{linkUp("eth0")}, state{2, "interface eth1 down", false, base}},
		{"own interface cannot be weighted", func(_ *model.VRRP, i *model.Instance) {
			i.TrackInterfaces = []model.Track{{Name: "eth0", Weight: 20}}
		}, []Fact{linkUp("eth0")}, state{Total: base}},

		{"interface weight +20, up", links("eth1", 20, false), []Fact{linkUp("eth0"), linkUp("eth1")}, state{Total: base + 20}},
		{"interface weight +20, down", links("eth1", 20, false), []Fact{linkUp("eth0")}, state{Total: base}},
		{"interface weight -30, up", links("eth1", -30, false), []Fact{linkUp("eth0"), linkUp("eth1")}, state{Total: base}},
		{"interface weight -30, down", links("eth1", -30, false), []Fact{linkUp("eth0")}, state{Total: base - 30}},
		{"interface weight -30 reverse, down", links("eth1", -30, true), []Fact{linkUp("eth0")}, state{Total: base + 30}},
		{"interface weight +30 reverse, up", links("eth1", 30, true), []Fact{linkUp("eth0"), linkUp("eth1")}, state{Total: base - 30}},
		{"interface weight 0 reverse, up", links("eth1", 0, true), []Fact{linkUp("eth0"), linkUp("eth1")}, state{1, "interface eth1 up", false, base}},
		{"interface weight 0 reverse, down", links("eth1", 0, true), []Fact{linkUp("eth0")}, state{Total: base}},
		{"the sum is not clamped", links("eth1", 253, false), []Fact{linkUp("eth0"), linkUp("eth1")}, state{Total: base + 253}},

		{"script of weight 0 has not run", scripts(0), []Fact{linkUp("eth0")}, state{Init: true, Total: base}},
		{"script of weight 0, good", scripts(0), []Fact{linkUp("eth0"), script("chk", true)}, state{Total: base}},
		{"script of weight 0, bad", scripts(0), []Fact{linkUp("eth0"), script("chk", false)}, state{1, "", false, base}},
		{"weighted script has not run", scripts(-20), []Fact{linkUp("eth0")}, state{Total: base}},
		{"weighted script, bad", scripts(-20), []Fact{linkUp("eth0"), script("chk", false)}, state{Total: base - 20}},
		{"positive script, good", scripts(20), []Fact{linkUp("eth0"), script("chk", true)}, state{Total: base + 20}},

		{"group tracks for its member", func(v *model.VRRP, _ *model.Instance) {
			v.Groups = []model.SyncGroup{{Name: "G", Members: []string{"VI_1"}, TrackInterfaces: []model.Track{{Name: "eth1"}}}}
		}, []Fact{linkUp("eth0")}, state{1, "interface eth1 down", false, base}},
		{"group: weighted script of a member is left out", func(v *model.VRRP, i *model.Instance) {
			scripts(-20)(v, i)
			v.Groups = []model.SyncGroup{{Name: "G", Members: []string{"VI_1"}}}
		}, []Fact{linkUp("eth0"), script("chk", false)}, state{Total: base}},
		{"group with sync_group_tracking_weight", func(v *model.VRRP, i *model.Instance) {
			scripts(-20)(v, i)
			v.Groups = []model.SyncGroup{{Name: "G", Members: []string{"VI_1"}, TrackingWeight: true}}
		}, []Fact{linkUp("eth0"), script("chk", false)}, state{Total: base - 20}},
		{"group: weighted interface stays in force", func(v *model.VRRP, i *model.Instance) {
			links("eth1", -20, false)(v, i)
			v.Groups = []model.SyncGroup{{Name: "G", Members: []string{"VI_1"}}}
		}, []Fact{linkUp("eth0")}, state{Total: base - 20}},
		{"group and member track the same: the group's counts", func(v *model.VRRP, i *model.Instance) {
			links("eth1", -20, false)(v, i)
			v.Groups = []model.SyncGroup{{Name: "G", Members: []string{"VI_1"}, TrackInterfaces: []model.Track{{Name: "eth1"}}}}
		}, []Fact{linkUp("eth0")}, state{1, "interface eth1 down", false, base}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &model.VRRP{Instances: []model.Instance{{Name: "VI_1", Interface: "eth0", Priority: base}},
				Scripts: []model.TrackScript{{Name: "chk"}}}
			if tt.setup != nil {
				tt.setup(v, &v.Instances[0])
			}
			// Facts before the first All and after it must lead to the same.
			for _, early := range []bool{true, false} {
				s, states := New(v, nil), map[int]state{}
				if !early {
					apply(states, s.All(nil))
				}
				for _, f := range tt.facts {
					apply(states, s.Step(f, nil))
				}
				if early {
					apply(states, s.All(nil))
				}
				if diff := cmp.Diff(tt.want, states[0]); diff != "" {
					t.Errorf("facts before All: %v (-want +got):\n%s", early, diff)
				}
			}
		})
	}
}

func links(name string, weight int, reverse bool) func(*model.VRRP, *model.Instance) {
	return func(_ *model.VRRP, i *model.Instance) {
		i.TrackInterfaces = []model.Track{{Name: name, Weight: weight, Reverse: reverse}}
	}
}

func scripts(weight int) func(*model.VRRP, *model.Instance) {
	return func(_ *model.VRRP, i *model.Instance) { i.TrackScripts = []model.Track{{Name: "chk", Weight: weight}} }
}

// Only who is concerned is told, and only of what changed.
func TestEffects(t *testing.T) {
	v := &model.VRRP{
		Instances: []model.Instance{
			{Name: "A", Interface: "eth0", Priority: 100},
			{Name: "B", Interface: "eth1", Priority: 100, TrackInterfaces: []model.Track{{Name: "eth0", Weight: -10}}},
			{Name: "C", Interface: "eth1", Priority: 100},
		},
	}
	s := New(v, nil)
	s.Step(linkUp("eth0"), nil)
	s.Step(linkUp("eth1"), nil)
	if n := len(s.All(nil)); n != 6 {
		t.Errorf("All has %d effects, want 2 for each of 3 instances", n)
	}
	want := []Effect{{Kind: Faults, Instance: 0, Count: 1, Reason: "interface eth0 down"}, {Kind: Priority, Instance: 1, Total: 90}}
	if diff := cmp.Diff(want, s.Step(linkDown("eth0"), nil)); diff != "" {
		t.Errorf("eth0 down (-want +got):\n%s", diff)
	}
	for _, f := range []Fact{linkDown("eth0"), {Kind: Link, Name: "eth0"}, linkUp("eth9")} {
		if got := s.Step(f, nil); got != nil {
			t.Errorf("%+v, which changes nothing: %+v", f, got)
		}
	}
	if diff := cmp.Diff([]string{"eth0", "eth1"}, s.Links()); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestReload(t *testing.T) {
	config := func(command string) *model.VRRP {
		v := &model.VRRP{Instances: []model.Instance{{Name: "VI_1", Interface: "eth0", Priority: 100}},
			Scripts: []model.TrackScript{{Name: "chk", Script: model.Script{Args: []string{command}}}, {Name: "other"}}}
		v.Instances[0].TrackScripts = []model.Track{{Name: "chk"}, {Name: "other", Weight: 5}}
		return v
	}
	tests := []struct {
		name  string
		facts []Fact
		next  *model.VRRP
		want  state
	}{
		{"facts stay", []Fact{linkUp("eth0"), script("chk", false), script("other", true)}, config("/a"), state{1, "", false, 105}},
		{"a script without a result still blocks", []Fact{linkUp("eth0")}, config("/a"), state{Init: true, Total: 100}},
		{"another command neither blocks nor fails", []Fact{linkUp("eth0"), script("chk", false)}, config("/b"), state{Total: 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old := New(config("/a"), nil)
			for _, f := range tt.facts {
				old.Step(f, nil)
			}
			states := map[int]state{}
			s := New(tt.next, old)
			apply(states, s.All(nil))
			if diff := cmp.Diff(tt.want, states[0]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			apply(states, s.Step(script("chk", false), nil))
			if states[0].Faults != 1 {
				t.Errorf("after a failure: %+v", states[0])
			}
		})
	}
}
