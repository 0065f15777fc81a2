package model

import (
	"reflect"
	"slices"
	"strings"
)

// Changes is what a reload would do, by identity: what is only in the new model, only in the old, and in both with other values.
// The zero Changes means that nothing has to be done.
type Changes struct {
	Process        bool // any process setting changed
	VRRPGlobal     bool // settings of VRRP outside instances, groups and scripts
	LVSGlobal      bool // settings of LVS outside services
	Instances      Set[InstanceKey]
	SyncGroups     Set[string]
	TrackScripts   Set[string]
	VirtualServers Set[ServiceKey]
}

// Set is the change of one keyed collection. Order: Added and Changed as in the new model, Removed as in the old.
type Set[K comparable] struct {
	Added, Removed, Changed []K
}

// Empty reports whether nothing changed.
func (s Set[K]) Empty() bool { return len(s.Added)+len(s.Removed)+len(s.Changed) == 0 }

// Empty reports whether nothing changed.
func (c Changes) Empty() bool {
	return !c.Process && !c.VRRPGlobal && !c.LVSGlobal && c.Instances.Empty() && c.SyncGroups.Empty() &&
		c.TrackScripts.Empty() && c.VirtualServers.Empty()
}

// Match says which instance of old each of new is, by index, -1 for none: that with the same Key, or else the only one
// left that differs in its unicast peers alone.
func Match(old, new []Instance) []int {
	out := make([]int, len(new))
	taken := make([]bool, len(old))
	pair := func(key func(*Instance) InstanceKey, alone bool) {
		was := map[InstanceKey][]int{}
		for i := range old {
			if !taken[i] {
				was[key(&old[i])] = append(was[key(&old[i])], i)
			}
		}
		is := map[InstanceKey]int{}
		for n := range new {
			if out[n] < 0 {
				is[key(&new[n])]++
			}
		}
		for n := range new {
			k := key(&new[n])
			if c := was[k]; out[n] < 0 && len(c) > 0 && (!alone || len(c) == 1 && is[k] == 1) {
				out[n], was[k], taken[c[0]] = c[0], c[1:], true
			}
		}
	}
	for n := range out {
		out[n] = -1
	}
	pair((*Instance).Key, false)
	pair(func(i *Instance) InstanceKey { k := i.Key(); k.Peers = ""; return k }, true)
	return out
}

// Diff compares two models. Diff(m, m) is empty. A service that uses a server group counts as changed when the group does.
func Diff(old, new *Model) Changes {
	oldV, newV := old.VRRP, new.VRRP
	oldL, newL := old.LVS, new.LVS
	c := Changes{
		Process:      !reflect.DeepEqual(old.Process, new.Process),
		Instances:    diffInstances(oldV.Instances, newV.Instances),
		SyncGroups:   diff(oldV.Groups, newV.Groups, func(g *SyncGroup) string { return g.Name }),
		TrackScripts: diff(oldV.Scripts, newV.Scripts, func(s *TrackScript) string { return s.Name }),
		VirtualServers: diff(withGroups(oldL), withGroups(newL),
			func(v *serviceAndGroup) ServiceKey { return v.Key() }),
	}
	oldV.Instances, oldV.Groups, oldV.Scripts = nil, nil, nil
	newV.Instances, newV.Groups, newV.Scripts = nil, nil, nil
	oldL.Services, oldL.Groups, newL.Services, newL.Groups = nil, nil, nil, nil
	c.VRRPGlobal = !reflect.DeepEqual(oldV, newV)
	c.LVSGlobal = !reflect.DeepEqual(oldL, newL)
	return c
}

// serviceAndGroup compares a service together with the group entries it stands for.
type serviceAndGroup struct {
	VirtualServer
	entries []GroupEntry
}

func withGroups(l LVS) []serviceAndGroup {
	entries := map[string][]GroupEntry{}
	for _, g := range l.Groups {
		if _, dup := entries[g.Name]; !dup {
			entries[g.Name] = g.Entries
		}
	}
	out := make([]serviceAndGroup, len(l.Services))
	for i, s := range l.Services {
		out[i] = serviceAndGroup{s, entries[s.Group]}
	}
	return out
}

// diffInstances calls one that is the same but for its peers changed, under its new key.
func diffInstances(old, new []Instance) (s Set[InstanceKey]) {
	kept := make([]bool, len(old))
	for n, o := range Match(old, new) {
		switch {
		case o < 0:
			s.Added = append(s.Added, new[n].Key())
			continue
		case !reflect.DeepEqual(old[o], new[n]):
			s.Changed = append(s.Changed, new[n].Key())
		}
		kept[o] = true
	}
	for o := range old {
		if !kept[o] {
			s.Removed = append(s.Removed, old[o].Key())
		}
	}
	return s
}

func diff[V any, K comparable](old, new []V, key func(*V) K) Set[K] {
	var s Set[K]
	was := make(map[K]*V, len(old))
	for i := range old {
		was[key(&old[i])] = &old[i]
	}
	is := make(map[K]bool, len(new))
	for i := range new {
		k := key(&new[i])
		is[k] = true
		if o, ok := was[k]; !ok {
			s.Added = append(s.Added, k)
		} else if !reflect.DeepEqual(*o, new[i]) {
			s.Changed = append(s.Changed, k)
		}
	}
	for i := range old {
		if k := key(&old[i]); !is[k] {
			s.Removed = append(s.Removed, k)
		}
	}
	return s
}

func peerKey(peers []Peer) string {
	addrs := make([]string, len(peers))
	for i, p := range peers {
		addrs[i] = p.Addr.String()
	}
	slices.Sort(addrs)
	return strings.Join(addrs, ",")
}
