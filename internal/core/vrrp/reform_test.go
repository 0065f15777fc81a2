package vrrp

import (
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// member is a machine that has been told its source, and with started has become MASTER, its addresses not yet settled.
func member(t *testing.T, name string, started bool) (*Machine, time.Time) {
	t.Helper()
	inst, err := instance(name, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, now := New(inst), epoch
	Step(now, m, &Event{Kind: Source, Addr: ownAddr(inst, 1)}, nil)
	if started {
		Step(now, m, &Event{Kind: Start}, nil)
		Step(now, m, &Event{Kind: Settled, Gen: m.gen}, nil)
		now = m.Deadline()
		Step(now, m, &Event{Kind: Timeout}, nil)
		if m.State() != model.Master || m.settled {
			t.Fatalf("%s is %v, settled %v; want MASTER, not settled", name, m.State(), m.settled)
		}
	}
	return m, now
}

// told counts the Changed actions of m to MASTER; any action must be somebody's.
func told(t *testing.T, m *Machine, out []Action) (n int) {
	t.Helper()
	for _, a := range out {
		if a.Kind == 0 || a.M == nil && a.G == nil {
			t.Errorf("an action of nobody: %+v", a)
		}
		if a.Kind == Changed && a.M == m && a.To == model.Master {
			n++
		}
	}
	return n
}

func group(name string, members ...string) *model.SyncGroup {
	return &model.SyncGroup{Name: name, Members: members}
}

// TestReloadAddsSeveralMembers: all of those that a reload adds to a running group leave INIT.
func TestReloadAddsSeveralMembers(t *testing.T) {
	a, _ := member(t, "A", true)
	g := NewGroup(group("G", "A"), []*Machine{a})
	now := a.since
	Reform(now, g, g.Model(), []*Machine{a}, nil)
	b, _ := member(t, "B", false)
	c, _ := member(t, "C", false)
	Reform(now, g, group("G", "A", "B", "C"), []*Machine{a, b, c}, nil)
	Step(now, b, &Event{Kind: Start}, nil)
	Step(now, c, &Event{Kind: Start}, nil)
	for _, m := range []*Machine{b, c} {
		if m.State() != model.Backup || m.Deadline().IsZero() {
			t.Errorf("%s is %v with deadline %v, want BACKUP that waits", m.Instance().Name, m.State(), m.Deadline())
		}
	}
}

// TestReloadGroupsWhilePending: a change that waits for the kernel when a reload puts its router into a group, or into another one,
// is told once, by its new group.
func TestReloadGroupsWhilePending(t *testing.T) {
	t.Run("into a group", func(t *testing.T) {
		a, now := member(t, "A", true)
		g := NewGroup(group("G", "A"), []*Machine{a})
		out := Reform(now, g, g.Model(), []*Machine{a}, nil)
		out = Step(now, a, &Event{Kind: Settled, Gen: a.gen}, out)
		if n := told(t, a, out); n != 1 {
			t.Errorf("MASTER is told %d times, want once", n)
		}
	})
	t.Run("into another group", func(t *testing.T) {
		a, now := member(t, "A", true)
		one := NewGroup(group("G1", "A"), []*Machine{a})
		two := NewGroup(group("G2", "A"), []*Machine{a})
		out := Reform(now, two, two.Model(), []*Machine{a}, nil)
		out = Reform(now, one, one.Model(), nil, out)
		out = Step(now, a, &Event{Kind: Settled, Gen: a.gen}, out)
		if n := told(t, a, out); n != 1 {
			t.Errorf("MASTER is told %d times, want once", n)
		}
	})
	t.Run("out of its group", func(t *testing.T) {
		a, now := member(t, "A", true)
		g := NewGroup(group("G", "A"), []*Machine{a})
		out := Reform(now, g, g.Model(), nil, nil)
		out = Step(now, a, &Event{Kind: Settled, Gen: a.gen}, out)
		if n := told(t, a, out); n != 1 {
			t.Errorf("MASTER is told %d times, want once", n)
		}
	})
}
