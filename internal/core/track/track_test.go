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
		switch e.Kind {
		case Faults:
			s.Faults, s.Reason, s.Init = e.Count, e.Reason, e.Init
		case Priority:
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

		{"file of the default weight", files(1, false), []Fact{linkUp("eth0"), file(10)}, state{Total: base + 10}},
		{"file, nothing heard", files(1, false), []Fact{linkUp("eth0")}, state{Total: base}},
		{"file times weight", files(-3, false), []Fact{linkUp("eth0"), file(10)}, state{Total: base - 30}},
		{"file reverse", files(3, true), []Fact{linkUp("eth0"), file(-10)}, state{Total: base + 30}},
		{"file, most that counts", files(2, false), []Fact{linkUp("eth0"), file(2147483647)}, state{Total: base + 253}},
		{"file, least that counts", files(1, false), []Fact{linkUp("eth0"), file(-253)}, state{Total: base - 253}},
		{"file, less is a fault", files(2, false), []Fact{linkUp("eth0"), file(-127)}, state{Faults: 1, Total: base}},
		{"file reverse, much is a fault", files(1, true), []Fact{linkUp("eth0"), file(254)}, state{Faults: 1, Total: base}},
		{"file of weight 0", files(0, false), []Fact{linkUp("eth0"), file(1)}, state{Faults: 1, Total: base}},
		{"file of weight 0 and number 0", files(0, false), []Fact{linkUp("eth0"), file(1), file(0)}, state{Total: base}},
		{"file of weight 0 reverse", files(0, true), []Fact{linkUp("eth0"), file(1)}, state{Total: base}},
		{"file of weight 0 reverse, nothing heard", files(0, true), []Fact{linkUp("eth0")}, state{Faults: 1, Total: base}},

		{"process, nothing heard", processes(0, false), []Fact{linkUp("eth0")}, state{Total: base}},
		{"process with its quorum", processes(0, false), []Fact{linkUp("eth0"), process(true)}, state{Total: base}},
		{"process without", processes(0, false), []Fact{linkUp("eth0"), process(false)}, state{Faults: 1, Total: base}},
		{"process weight 5", processes(5, false), []Fact{linkUp("eth0"), process(true)}, state{Total: base + 5}},
		{"process weight 5 reverse", processes(5, true), []Fact{linkUp("eth0"), process(true)}, state{Total: base - 5}},
		{"process weight -5, without quorum", processes(-5, false), []Fact{linkUp("eth0"), process(false)}, state{Total: base - 5}},
		{"group's file and process", func(v *model.VRRP, i *model.Instance) {
			files(1, false)(v, i)
			v.Groups = []model.SyncGroup{{Name: "G", Members: []string{"VI_1"}, TrackFiles: []model.Track{{Name: "f", Weight: 4}},
				TrackProcesses: []model.Track{{Name: "p", Weight: 7}}}}
		}, []Fact{linkUp("eth0"), file(2), process(true)}, state{Total: base + 15}},

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
				Scripts: []model.TrackScript{{Name: "chk"}}, Files: []model.TrackFile{{Name: "f", Path: "/f"}}, Processes: []model.TrackProcess{{Name: "p"}}}
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

func files(weight int, reverse bool) func(*model.VRRP, *model.Instance) {
	return func(_ *model.VRRP, i *model.Instance) {
		i.TrackFiles = []model.Track{{Name: "f", Weight: weight, Reverse: reverse}}
	}
}

func processes(weight int, reverse bool) func(*model.VRRP, *model.Instance) {
	return func(_ *model.VRRP, i *model.Instance) {
		i.TrackProcesses = []model.Track{{Name: "p", Weight: weight, Reverse: reverse}}
	}
}

func file(value int) Fact  { return Fact{Kind: File, Name: "f", Value: value} }
func process(ok bool) Fact { return Fact{Kind: Process, Name: "p", OK: ok} }

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
	want := []Effect{{Kind: Faults, Instance: 0, Count: 1, Links: 1, Reason: "interface eth0 down"}, {Kind: Priority, Instance: 1, Total: 90}}
	if diff := cmp.Diff(want, s.Step(linkDown("eth0"), nil)); diff != "" {
		t.Errorf("eth0 down (-want +got):\n%s", diff)
	}
	for _, f := range []Fact{linkDown("eth0"), {Kind: Link, Name: "eth0"}, linkUp("eth9")} {
		if got := s.Step(f, nil); got != nil {
			t.Errorf("%+v, which changes nothing: %+v", f, got)
		}
	}
	if diff := cmp.Diff([]string{"eth0", "eth1"}, s.Links("")); diff != "" {
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

// Files and processes have lines of their own: at the start and in a reload those of faults that are new, later those of changes.
func TestTrackerLines(t *testing.T) {
	config := func(path string) *model.VRRP {
		return &model.VRRP{Instances: []model.Instance{{Name: "A", Interface: "eth0", Priority: 100,
			TrackFiles: []model.Track{{Name: "f"}}, TrackProcesses: []model.Track{{Name: "p"}}}},
			Files: []model.TrackFile{{Name: "f", Path: path}}, Processes: []model.TrackProcess{{Name: "p"}}}
	}
	lines := func(effects []Effect) (out []string) {
		for _, e := range effects {
			if e.Kind == Tell {
				out = append(out, e.Line)
			}
		}
		return out
	}
	var s *Set
	expect := func(what string, effects []Effect, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, lines(effects)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	s = New(config("/a"), nil)
	expect("before the start", s.Step(file(3), nil))
	s.Step(process(false), nil)
	s.Step(linkUp("eth0"), nil)
	expect("start", s.All(nil), "(A): entering FAULT state (tracked file f has status -254)",
		"(A) entering FAULT state (tracked process p quorum not achieved)")
	expect("still a fault", s.Step(file(4), nil))
	s = New(config("/a"), s)
	expect("reload", s.All(nil))
	expect("good", s.Step(file(0), nil), "(A): tracked file f leaving FAULT state")
	expect("process", s.Step(process(true), nil))
	expect("bad", s.Step(file(1), nil), "(A): tracked file f now FAULT state")
	s = New(config("/b"), s)
	s.Step(file(0), nil)
	expect("another file", s.All(nil), "(A): tracked file f leaving FAULT state")
	if v := s.Value("f"); v != 0 {
		t.Errorf("the value of the other file is %d", v)
	}
}
