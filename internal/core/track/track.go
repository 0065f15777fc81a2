// Package track turns facts about tracked things (links, script results) into the faults and the priority of each VRRP instance.
package track

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Kind is a kind of tracked thing.
type Kind uint8

const (
	Link       Kind = iota + 1 // a network interface: Up means that it exists, is up and running
	ScriptDone                 // a vrrp_script has finished: OK
)

// Fact is the newest state of a tracked thing.
type Fact struct {
	Kind       Kind
	Name       string
	Exists, Up bool // Link
	OK         bool // ScriptDone
}

// EffectKind says what an Effect changes.
type EffectKind uint8

const (
	Faults   EffectKind = iota + 1 // Count, Reason, Init
	Priority                       // Total
)

// Effect is what an instance has to be told.
type Effect struct {
	Kind     EffectKind
	Instance int    // index into model.VRRP.Instances
	Count    int    // tracked things that are down
	Reason   string // the first of them, in keepalived's words; may be empty
	Init     bool   // a script of weight 0 has never finished
	Total    int    // base priority and all weights, not clamped
}

// health is what is known of a tracked thing.
type health uint8

const (
	unknown  health = iota // a script that has not finished yet: blocks at weight 0
	deferred               // the same after a reload: does not block
	down
	up
)

type key struct {
	kind Kind
	name string
}

// tracker is one tracked thing as one instance sees it.
type tracker struct {
	key
	weight  int
	reverse bool
}

type instance struct {
	base     int
	trackers []tracker
	told     [2]Effect // last effects, by kind
}

// Set is all trackers of a configuration and what is known of the tracked things.
type Set struct {
	instances []instance
	users     map[key][]int // instances by tracked thing
	health    map[key]health
	scripts   map[string]model.Script // what health of a script is about
}

// New builds the trackers of a configuration, keeping what old, which may be nil, knows. An interface that nobody told of
// is down. Scripts that are new in a reload, or run another command, do not block before their first result.
func New(v *model.VRRP, old *Set) *Set {
	s := &Set{users: map[key][]int{}, health: map[key]health{}, scripts: map[string]model.Script{}}
	if old != nil {
		for k, h := range old.health {
			if k.kind == Link {
				s.health[k] = h
			}
		}
	}
	for i := range v.Scripts {
		t := &v.Scripts[i]
		k := key{ScriptDone, t.Name}
		s.scripts[t.Name] = t.Script
		if old == nil {
			continue
		}
		s.health[k] = deferred
		if was, ok := old.scripts[t.Name]; ok && reflect.DeepEqual(was, t.Script) {
			s.health[k] = old.health[k]
		}
	}
	groups := map[string]*model.SyncGroup{}
	for i := range v.Groups {
		for _, m := range v.Groups[i].Members {
			groups[m] = &v.Groups[i]
		}
	}
	s.instances = make([]instance, len(v.Instances))
	for n := range v.Instances {
		i := &v.Instances[n]
		s.instances[n] = instance{base: int(i.Priority), trackers: trackers(i, groups[i.Name])}
		for _, t := range s.instances[n].trackers {
			if !slices.Contains(s.users[t.key], n) {
				s.users[t.key] = append(s.users[t.key], n)
			}
		}
	}
	return s
}

// trackers lists what an instance tracks (vrrp_instance, its sync group, and the interfaces that it needs).
//
// Weights within a sync group without sync_group_tracking_weight: scripts of a weight are left out; interfaces keep theirs, as
// keepalived does, although it logs that it ignores them. What the group tracks, a member cannot track differently.
func trackers(i *model.Instance, g *model.SyncGroup) []tracker {
	var list []tracker
	add := func(kind Kind, tracks []model.Track) {
		for _, t := range tracks {
			k := key{kind, t.Name}
			switch {
			case kind == Link && t.Name == i.Interface:
			case kind == ScriptDone && t.Weight != 0 && g != nil && !g.TrackingWeight:
			case slices.ContainsFunc(list, func(o tracker) bool { return o.key == k }):
			default:
				list = append(list, tracker{k, t.Weight, t.Reverse})
			}
		}
	}
	if !i.DontTrackPrimary && i.Interface != "" {
		list = append(list, tracker{key: key{Link, i.Interface}})
	}
	if g != nil {
		add(Link, g.TrackInterfaces)
		add(ScriptDone, g.TrackScripts)
	}
	add(Link, i.TrackInterfaces)
	add(ScriptDone, i.TrackScripts)
	for _, vips := range [...][]model.Address{i.VIPs, i.ExcludedVIPs} {
		for k := range vips {
			if a := &vips[k]; !a.NoTrack && a.Interface != "" {
				add(Link, []model.Track{{Name: a.Interface}})
			}
		}
	}
	return list
}

// Links returns the names of all interfaces that something depends on, sorted.
func (s *Set) Links() []string {
	var names []string
	for k := range s.users {
		if k.kind == Link {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	return names
}

// Step takes a fact and appends to out what changes for whom.
func (s *Set) Step(f Fact, out []Effect) []Effect {
	k, h := key{f.Kind, f.Name}, down
	if f.OK || f.Exists && f.Up {
		h = up
	}
	if s.health[k] == h || s.users[k] == nil {
		return out
	}
	s.health[k] = h
	for _, n := range s.users[k] {
		faults, priority := s.effects(n)
		for _, e := range [...]Effect{faults, priority} {
			if told := &s.instances[n].told[e.Kind-Faults]; *told != e {
				*told = e
				out = append(out, e)
			}
		}
	}
	return out
}

// All appends the effects on every instance: the state to begin with, or to go on with after New.
func (s *Set) All(out []Effect) []Effect {
	for n := range s.instances {
		i := &s.instances[n]
		i.told[0], i.told[1] = s.effects(n)
		out = append(out, i.told[:]...)
	}
	return out
}

// effects is keepalived's arithmetic: weight 0 makes a failure a fault; a positive weight is added while the thing is
// healthy, a negative one while it is not; reverse turns the sign of what is added, and the sense of a fault.
func (s *Set) effects(n int) (faults, priority Effect) {
	i := &s.instances[n]
	faults = Effect{Kind: Faults, Instance: n}
	priority = Effect{Kind: Priority, Instance: n, Total: i.base}
	for _, t := range i.trackers {
		h := s.health[t.key]
		if t.kind == Link && h != up {
			h = down
		}
		switch {
		case h == unknown:
			faults.Init = faults.Init || t.weight == 0
		case h == deferred:
		case t.weight == 0:
			if (h == up) == t.reverse {
				if faults.Count++; faults.Reason == "" && t.kind == Link {
					faults.Reason = fmt.Sprintf("interface %s %v", t.name, h)
				}
			}
		default:
			switch counts := (h == up) == (t.weight > 0); {
			case counts && t.reverse:
				priority.Total -= t.weight
			case counts:
				priority.Total += t.weight
			}
		}
	}
	return faults, priority
}

func (h health) String() string {
	if h == up {
		return "up"
	}
	return "down"
}
