package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/announce"
	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/loop"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// TestSoakVRRP reloads forty virtual routers, of which some come, go and change each time, and lets their link flap in between, and looks
// at the memory. SOAK says how often; `make soak` does it 100 000 times. The daemon around them has test/netns.TestSoak.
func TestSoakVRRP(t *testing.T) {
	turns := max(10*soak(t), 300)
	s := &vrrpSoak{now: time.Unix(0, 0), queue: announce.New(nil), machines: map[model.InstanceKey]*vrrp.Machine{}, slots: map[*vrrp.Machine]int{},
		groups: map[string]*vrrp.Group{}, masters: map[*vrrp.Machine]bool{}}
	var before uint64
	for n := range turns {
		if n == max(turns/10, 100) {
			before = heapInUse()
		}
		s.reload(n)
		for _, up := range []bool{false, true} {
			s.fact(track.Fact{Kind: track.Link, Name: "eth0", Exists: true, Up: up})
			s.pass(5 * time.Second)
			if masters := len(s.masters); up != (masters == len(s.conf.Instances)) || !up && masters > 0 {
				t.Fatalf("turn %d: %d of %d are master with the link up: %v", n, masters, len(s.conf.Instances), up)
			}
		}
	}
	after := heapInUse()
	runtime.KeepAlive(s)
	t.Logf("%d reloads and flaps, %d changes of state, heap %d KiB, then %d KiB", turns, s.changes, before>>10, after>>10)
	if after > before+before/4+64<<10 {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, after>>10)
	}
}

// soak is how long the environment wants the tests of endurance to be; 0: as short as may be.
func soak(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("SOAK"))
	if err != nil && os.Getenv("SOAK") != "" {
		t.Fatal(err)
	}
	return n
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// vrrpSoak drives the cores as vrrpPart does, in virtual time and with a kernel that settles at once.
type vrrpSoak struct {
	now      time.Time
	conf     *model.VRRP
	track    *track.Set
	queue    *announce.Queue
	due      loop.Deadlines
	machines map[model.InstanceKey]*vrrp.Machine
	slots    map[*vrrp.Machine]int
	order    []*vrrp.Machine
	groups   map[string]*vrrp.Group
	masters  map[*vrrp.Machine]bool
	changes  int
}

// config is the n-th configuration: one instance of each ten is absent, some priorities, addresses and groups differ.
func (s *vrrpSoak) config(n int) *model.VRRP {
	v := &model.VRRP{}
	for i := range 40 {
		if i%10 == n%10 {
			continue
		}
		inst := model.Instance{Name: fmt.Sprintf("I%d", i), Interface: "eth0", Family: model.IPv4, VRID: uint8(i + 1), Version: 3, Initial: model.Backup,
			Priority: uint8(100 + n%7), AdvertInt: time.Second, DownTimerAdverts: 3, Group: netip.MustParseAddr("224.0.0.18"), Accept: true,
			GARP: model.GARP{MasterDelay: time.Second, MasterRepeat: 5, RefreshRepeat: 1}}
		for a := range 1 + (n+i)%3 {
			inst.VIPs = append(inst.VIPs, model.Address{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(a)}), 32), Interface: "eth0"})
		}
		v.Instances = append(v.Instances, inst)
	}
	for g := range 3 + n%2 {
		group := model.SyncGroup{Name: fmt.Sprintf("G%d", g)}
		for i := range v.Instances {
			if i%5 == g {
				group.Members = append(group.Members, v.Instances[i].Name)
			}
		}
		v.Groups = append(v.Groups, group)
	}
	return v
}

func (s *vrrpSoak) reload(n int) {
	s.conf = s.config(n)
	s.track = track.New(s.conf, s.track)
	old := s.machines
	s.machines, s.order = map[model.InstanceKey]*vrrp.Machine{}, nil
	var fresh []*vrrp.Machine
	for i := range s.conf.Instances {
		inst := &s.conf.Instances[i]
		m := old[inst.Key()]
		if m == nil {
			m = vrrp.New(inst)
			m.Keep(20)
			for slot := 0; ; slot++ {
				if !slices.Contains(slices.Collect(maps.Values(s.slots)), slot) {
					s.slots[m] = slot
					break
				}
			}
			s.step(m, &vrrp.Event{Kind: vrrp.Source, Addr: netip.MustParseAddr("10.1.0.1")})
			fresh = append(fresh, m)
		} else {
			s.step(m, &vrrp.Event{Kind: vrrp.Reconfigured, Instance: inst})
		}
		s.machines[inst.Key()] = m
		s.order = append(s.order, m)
	}
	s.regroup()
	s.tell(s.track.All(nil))
	for _, m := range fresh {
		s.step(m, &vrrp.Event{Kind: vrrp.Start})
	}
	for key, m := range old {
		if s.machines[key] == nil {
			s.step(m, &vrrp.Event{Kind: vrrp.Removed})
			s.due.Set(s.slots[m], time.Time{})
			s.queue.Drop(s.slots[m])
			delete(s.slots, m)
			delete(s.masters, m)
		}
	}
}

func (s *vrrpSoak) regroup() {
	old := s.groups
	s.groups = map[string]*vrrp.Group{}
	for i := range s.conf.Groups {
		sg := &s.conf.Groups[i]
		var members []*vrrp.Machine
		for _, m := range s.order {
			if slices.Contains(sg.Members, m.Instance().Name) {
				members = append(members, m)
			}
		}
		g := old[sg.Name]
		if delete(old, sg.Name); g == nil {
			g = vrrp.NewGroup(sg, members)
		}
		s.groups[sg.Name] = g
		s.act(vrrp.Reform(s.now, g, sg, members, nil))
	}
	for _, g := range old {
		s.act(vrrp.Reform(s.now, g, g.Model(), nil, nil))
	}
	for _, m := range s.order {
		s.due.Set(s.slots[m], m.Deadline())
	}
}

func (s *vrrpSoak) fact(f track.Fact) { s.tell(s.track.Step(f, nil)) }

func (s *vrrpSoak) tell(effects []track.Effect) {
	for _, e := range effects {
		switch e.Kind {
		case track.Priority:
			s.step(s.order[e.Instance], &vrrp.Event{Kind: vrrp.Priority, Total: e.Total})
		case track.Faults:
			s.step(s.order[e.Instance], &vrrp.Event{Kind: vrrp.Faults, Count: e.Count, Reason: e.Reason, Init: e.Init})
		}
	}
}

// pass lets time pass.
func (s *vrrpSoak) pass(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		if s.now = end; !s.due.Next().IsZero() && s.due.Next().Before(end) {
			s.now = s.due.Next()
		}
		for slot, ok := s.due.Due(s.now); ok; slot, ok = s.due.Due(s.now) {
			for m, at := range s.slots {
				if at == slot {
					s.step(m, &vrrp.Event{Kind: vrrp.Timeout})
				}
			}
		}
		s.queue.Due(s.now, nil)
	}
}

func (s *vrrpSoak) step(m *vrrp.Machine, ev *vrrp.Event) {
	s.act(vrrp.Step(s.now, m, ev, nil))
	s.schedule(m)
}

func (s *vrrpSoak) schedule(m *vrrp.Machine) {
	members := []*vrrp.Machine{m}
	if g := m.Group(); g != nil {
		members = g.Members()
	}
	for _, m := range members {
		if slot, ok := s.slots[m]; ok {
			s.due.Set(slot, m.Deadline())
		}
	}
}

func (s *vrrpSoak) act(actions []vrrp.Action) {
	for i := range actions {
		a := &actions[i]
		switch a.Kind {
		case vrrp.Own, vrrp.Disown:
			s.step(a.M, &vrrp.Event{Kind: vrrp.Settled, Gen: a.Gen})
		case vrrp.Announce:
			var targets []announce.Target
			for _, vip := range a.M.Instance().VIPs {
				targets = append(targets, announce.Target{Addr: vip.Prefix.Addr(), IfIndex: 2, IfName: "eth0", MAC: [6]byte{2}})
			}
			s.queue.Add(s.now, s.slots[a.M], targets, a.Repeat)
		case vrrp.Unannounce:
			s.queue.Drop(s.slots[a.M])
		case vrrp.Changed:
			if a.M == nil {
				continue
			}
			s.changes++
			if delete(s.masters, a.M); a.To == model.Master {
				s.masters[a.M] = true
			}
		}
	}
}
