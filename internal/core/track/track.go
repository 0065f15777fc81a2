// Package track turns facts about tracked things (links, scripts, files, processes) into the faults and the priority of each VRRP instance.
package track

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Lines that are logged of what a tracked thing does to an instance, letter for letter keepalived's.
const (
	lineFileStart    = "(%s): entering FAULT state (tracked file %s has status %d)"
	lineFileFault    = "(%s): tracked file %s now FAULT state"
	lineFileGood     = "(%s): tracked file %s leaving FAULT state"
	lineProcessStart = "(%s) entering FAULT state (tracked process %s quorum not achieved)"
)

// Kind is a kind of tracked thing.
type Kind uint8

const (
	Link       Kind = iota + 1 // a network interface: Up means that it exists, is up and running
	ScriptDone                 // a vrrp_script has finished: OK
	File                       // a track_file holds Value
	Process                    // a vrrp_track_process: OK means that it has its quorum
)

// Fact is the newest state of a tracked thing.
type Fact struct {
	Kind       Kind
	Name       string
	Namespace  string // Link: the network namespace, as of model.Instance
	Exists, Up bool   // Link
	OK         bool   // ScriptDone, Process
	Value      int    // File
}

// EffectKind says what an Effect changes.
type EffectKind uint8

const (
	Faults   EffectKind = iota + 1 // Count, Links, Reason, Init
	Priority                       // Total
	Tell                           // log Line
)

// Effect is what an instance has to be told.
type Effect struct {
	Kind     EffectKind
	Instance int    // index into model.VRRP.Instances
	Count    int    // tracked things that are down
	Links    int    // interfaces among them
	Reason   string // the first of them, in keepalived's words; may be empty
	Init     bool   // a script of weight 0 has never finished
	Total    int    // base priority and all weights, not clamped
	Line     string
}

// health is what is known of a tracked thing.
type health uint8

const (
	unknown  health = iota // a script that has not finished yet: blocks at weight 0
	deferred               // what is new since a reload, and not known yet: does not block
	down
	up
)

type key struct {
	kind      Kind
	name      string
	namespace string // of a Link
}

// tracker is one tracked thing as one instance sees it.
type tracker struct {
	key
	weight  int
	reverse bool
}

type instance struct {
	name     string
	base     int
	trackers []tracker
	told     [2]Effect // last effects, by kind
}

// Set is all trackers of a configuration and what is known of the tracked things.
type Set struct {
	instances []instance
	users     map[key][]int // instances by tracked thing
	health    map[key]health
	scripts   map[string]program // what health of a script is about
	paths     map[string]string  // the same of a file
	values    map[string]int     // of files
	blamed    map[blame]bool     // faults that have been logged
	begun     bool               // All has been called: from now on changes are logged as such
}

// program is what a script runs.
type program struct {
	script model.Script
	check  *model.Check
}

// blame is a tracked thing that is a fault for an instance.
type blame struct {
	instance string
	key
}

// New builds the trackers of a configuration, keeping what old, which may be nil, knows. An interface that nobody told of
// is down. Scripts, files and processes that are
// new in a reload, or have become others, neither block nor count before their first fact.
//
// Differs from keepalived: faults that are known already are not told anew.
func New(v *model.VRRP, old *Set) *Set {
	s := &Set{users: map[key][]int{}, health: map[key]health{}, scripts: map[string]program{},
		paths: map[string]string{}, values: map[string]int{}, blamed: map[blame]bool{}}
	if old != nil {
		for k, h := range old.health {
			if k.kind == Link {
				s.health[k] = h
			}
		}
	}
	for i := range v.Scripts {
		t := &v.Scripts[i]
		k := key{kind: ScriptDone, name: t.Name}
		s.scripts[t.Name] = program{t.Script, t.Check}
		if old == nil {
			continue
		}
		s.health[k] = deferred
		if was, ok := old.scripts[t.Name]; ok && reflect.DeepEqual(was, program{t.Script, t.Check}) {
			s.health[k] = old.health[k]
		}
	}
	for _, f := range v.Files {
		s.paths[f.Name] = f.Path
		if old != nil && old.paths[f.Name] == f.Path {
			s.values[f.Name] = old.values[f.Name]
		}
	}
	for _, p := range v.Processes {
		k := key{kind: Process, name: p.Name}
		if s.health[k] = deferred; old != nil && old.health[k] != unknown {
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
		s.instances[n] = instance{name: i.Name, base: int(i.Priority), trackers: trackers(i, groups[i.Name])}
		for _, t := range s.instances[n].trackers {
			if b := (blame{i.Name, t.key}); old != nil && old.blamed[b] {
				s.blamed[b] = true
			}
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
			k := key{kind: kind, name: t.Name}
			if kind == Link { // a group whose members are in several namespaces tracks none
				k.namespace = i.NetNamespace
			}
			switch {
			case kind == Link && (t.Name == i.Interface || t.Name == i.VLink.Name):
			case kind == ScriptDone && t.Weight != 0 && g != nil && !g.TrackingWeight:
			case slices.ContainsFunc(list, func(o tracker) bool { return o.key == k }):
			default:
				list = append(list, tracker{k, t.Weight, t.Reverse})
			}
		}
	}
	for _, name := range [...]string{i.VLink.Name, i.Interface} {
		if !i.DontTrackPrimary && name != "" {
			list = append(list, tracker{key: key{Link, name, i.NetNamespace}})
		}
	}
	if g != nil {
		add(Link, g.TrackInterfaces)
		add(ScriptDone, g.TrackScripts)
		add(File, g.TrackFiles)
		add(Process, g.TrackProcesses)
	}
	add(Link, i.TrackInterfaces)
	add(ScriptDone, i.TrackScripts)
	add(File, i.TrackFiles)
	add(Process, i.TrackProcesses)
	for _, name := range i.Needs() {
		add(Link, []model.Track{{Name: name}})
	}
	return list
}

// Links returns the names of all interfaces of a network namespace that something depends on, sorted.
func (s *Set) Links(namespace string) []string {
	var names []string
	for k := range s.users {
		if k.kind == Link && k.namespace == namespace {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	return names
}

// Value returns what a track_file holds, 0 if nobody told.
func (s *Set) Value(file string) int { return s.values[file] }

// Step takes a fact and appends to out what changes for whom.
func (s *Set) Step(f Fact, out []Effect) []Effect {
	k, h := key{f.Kind, f.Name, f.Namespace}, down
	if f.OK || f.Exists && f.Up {
		h = up
	}
	if s.users[k] == nil {
		return out
	}
	if f.Kind == File {
		if s.values[f.Name] == f.Value {
			return out
		}
		s.values[f.Name] = f.Value
	} else {
		if s.health[k] == h {
			return out
		}
		s.health[k] = h
	}
	for _, n := range s.users[k] {
		if s.begun {
			out = s.judge(n, k, false, out)
		}
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
	s.begun = true
	for n := range s.instances {
		i := &s.instances[n]
		for _, t := range i.trackers {
			out = s.judge(n, t.key, true, out)
		}
		i.told[0], i.told[1] = s.effects(n)
		out = append(out, i.told[:]...)
	}
	return out
}

// judge appends what keepalived logs when a file or a process begins or ceases to be a fault; anew says that Set takes up its work.
func (s *Set) judge(n int, k key, anew bool, out []Effect) []Effect {
	i := &s.instances[n]
	t := i.trackers[slices.IndexFunc(i.trackers, func(t tracker) bool { return t.key == k })]
	b := blame{i.name, k}
	is, was := s.fault(&t), s.blamed[b]
	s.blamed[b] = is
	var line string
	switch {
	case is == was || k.kind != File && k.kind != Process:
	case anew && is && k.kind == File:
		line = fmt.Sprintf(lineFileStart, i.name, t.name, min(s.offset(&t), faultOffset))
	case anew && is:
		line = fmt.Sprintf(lineProcessStart, i.name, t.name)
	case k.kind == Process: // its own line tells
	case is:
		line = fmt.Sprintf(lineFileFault, i.name, t.name)
	default:
		line = fmt.Sprintf(lineFileGood, i.name, t.name)
	}
	if line != "" {
		out = append(out, Effect{Kind: Tell, Instance: n, Line: line})
	}
	return out
}

// fault reports whether the thing keeps its instance from taking part.
func (s *Set) fault(t *tracker) bool {
	switch h := s.known(t.key); {
	case t.kind == File:
		return s.offset(t) <= faultOffset
	case h == unknown || h == deferred:
		return false
	default:
		return t.weight == 0 && (h == up) == t.reverse
	}
}

func (s *Set) known(k key) health {
	h := s.health[k]
	if k.kind == Link && h != up {
		h = down
	}
	return h
}

// faultOffset is the change of the priority from which on a file is a fault; maxOffset is the greatest change.
const (
	faultOffset = -254
	maxOffset   = 253
)

// offset is what a file adds to the priority: its number times the weight. With weight 0 any number but 0 is a fault; reversed, 0 is.
func (s *Set) offset(t *tracker) int {
	v, w := s.values[t.name], t.weight
	if w == 0 {
		if (v != 0) != t.reverse {
			return faultOffset
		}
		return 0
	}
	if t.reverse {
		w = -w
	}
	return min(v*w, maxOffset) // at most 2³¹ times 254
}

// effects is keepalived's arithmetic: weight 0 makes a failure a fault; a positive weight is added while the thing is
// healthy, a negative one while it is not; reverse turns the sign of what is added, and the sense of a fault.
func (s *Set) effects(n int) (faults, priority Effect) {
	i := &s.instances[n]
	faults = Effect{Kind: Faults, Instance: n}
	priority = Effect{Kind: Priority, Instance: n, Total: i.base}
	for _, t := range i.trackers {
		h := s.known(t.key)
		switch {
		case s.fault(&t):
			if faults.Count++; t.kind != Link {
				break
			}
			if faults.Links++; faults.Reason == "" {
				faults.Reason = fmt.Sprintf("interface %s %v", t.name, h)
			}
		case t.kind == File:
			priority.Total += s.offset(&t)
		case h == unknown:
			faults.Init = faults.Init || t.weight == 0
		case h == deferred, t.weight == 0:
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
