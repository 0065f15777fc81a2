package config

import (
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// virtualRouting is what an instance has of routes and rules.
type virtualRouting struct {
	routes []model.Route
	rules  []model.Rule
}

// references looks up what an entry names and reports whether all is there.
func (res *resolver) references(what string, refs references) bool {
	g := &res.c.Global
	for _, n := range refs.names {
		if n.judge != nil {
			n.judge(res.r)
			continue
		}
		if n.table == "" && n.name != "" {
			res.r.Errorf(n.at, "%s: %q is not a number - ignoring it", what, n.name)
			return false
		}
		var v uint32
		if n.name != "" {
			var ok bool
			if v, ok = res.host.IPRouteName(g.IPRouteUsr.V, g.IPRouteEtc.V, n.table, n.name); !ok {
				res.r.Errorf(n.at, "%s: there is no %q in %s - ignoring it", what, n.name, n.table)
				return false
			}
		}
		n.set(v)
	}
	good := true
	for _, d := range refs.devs {
		_, ok := res.iface(d.V, d.At)
		good = good && (ok || res.dynamic())
	}
	return good
}

// routes resolves a list of routes.
func (res *resolver) routes(list []opt[*Route]) (out []model.Route) {
	out = slices.Grow(out, len(list))
	for _, e := range list {
		if !res.references("route", e.V.references) {
			continue
		}
		if e.V.VRF.IsSet() {
			table, ok := res.net.VRFTable(e.V.VRF.V)
			if !ok {
				res.r.Errorf(e.V.VRF.At, "route: %s is not a VRF - ignoring it", e.V.VRF.V)
				continue
			}
			e.V.Table = table
		}
		e.V.Route.TrackGroup = res.trackGroup(e.V.TrackGroup)
		out = append(out, e.V.Route)
	}
	return out
}

// rules resolves a list of rules; priorities has those of the entries that give none.
func (res *resolver) rules(list []opt[*Rule]) (out []model.Rule) {
	out = slices.Grow(out, len(list))
	for _, e := range list {
		if !res.references("rule", e.V.references) {
			continue
		}
		e.V.Rule.TrackGroup = res.trackGroup(e.V.TrackGroup)
		out = append(out, e.V.Rule)
	}
	return out
}

// firstPriority is that of the first rule that names none; each further one gets one less, so that the first comes last.
const firstPriority = 0x4000

// rulePriorities gives a priority to every rule without one, in the order of the file.
func (res *resolver) rulePriorities() {
	all := slices.Clone(res.c.StaticRules)
	for _, i := range res.c.Instances {
		all = append(all, i.Rules...)
	}
	slices.SortStableFunc(all, func(a, b opt[*Rule]) int { return a.At.Compare(b.At) })
	next := uint32(firstPriority)
	for _, e := range all {
		if !e.V.PrioritySet {
			res.r.Errorf(e.At, "Rule has no preference specified - setting to %d. This is probably not what you want.", next)
			e.V.Priority = next
			next--
		}
	}
}

// trackGroup returns the name of a group if it is defined above.
func (res *resolver) trackGroup(t opt[string]) string {
	if !t.IsSet() {
		return ""
	}
	if res.trackGroups == nil {
		res.trackGroups = map[string]*TrackGroup{}
		for _, g := range res.c.TrackGroup {
			res.trackGroups[g.Name] = g
		}
	}
	if g := res.trackGroups[t.V]; g == nil || !g.At.Before(t.At) || len(g.Members) == 0 {
		res.undefined(res.r.Errorf(t.At, "track_group %s is not defined above - ignoring it", t.V), t.V, func() (groups []definition) {
			for _, g := range res.c.TrackGroup {
				if len(g.Members) > 0 {
					groups = append(groups, definition{g.Name, g.At})
				}
			}
			return groups
		})
		return ""
	}
	return t.V
}

// statics resolves what is held as long as the daemon runs.
func (res *resolver) statics(v *model.VRRP) {
	out, g := &v.Statics, &res.c.Global
	v.IPRouteUsr, v.IPRouteEtc = g.IPRouteUsr.V, g.IPRouteEtc.V
	res.rulePriorities()
	out.Addresses = slices.Grow(out.Addresses, len(res.c.Static))
	for _, e := range res.c.Static {
		a := e.V.Address
		a.TrackGroup = res.trackGroup(e.V.TrackGroup)
		if a.Interface = g.DefaultInterface.V; e.V.Dev.IsSet() {
			a.Interface = e.V.Dev.V
			res.iface(a.Interface, e.V.Dev.At)
		} else if _, ok := res.host.Interface(a.Interface); !ok && !res.dynamic() {
			res.noInterface(res.r.Add(source.Fatal, e.At, "static address %s: there is no interface %s - ignoring it", a.Prefix, a.Interface),
				a.Interface, res.host, "default_interface in global_defs names another one")
			continue
		}
		out.Addresses = append(out.Addresses, a)
	}
	out.Routes = res.routes(res.c.StaticRoutes)
	out.Rules = res.rules(res.c.StaticRules)
	for _, grp := range res.c.TrackGroup {
		if len(grp.Members) == 0 {
			res.r.Errorf(grp.End, "Static track group %s has no members - removing", grp.Name)
			continue
		}
		v.TrackGroups = append(v.TrackGroups, model.TrackGroup{Name: grp.Name, Members: values(grp.Members)})
		for _, m := range grp.Members {
			if !res.c.names.has("vrrp_instance " + m.V) {
				res.meant(res.r.Notef(m.At, "track_group %s: there is no vrrp_instance %s", grp.Name, m.V), m.V, res.instanceNames, "")
			}
		}
	}
}

// followers tells the instances of each track group the interfaces of its static entries.
func (res *resolver) followers(v *model.VRRP) {
	if len(res.c.TrackGroup) == 0 {
		return
	}
	members := map[string][]*model.Instance{}
	for _, g := range res.c.TrackGroup {
		for _, m := range g.Members {
			n, ok := res.index[m.V]
			if !ok || g.Name == "" {
				continue
			}
			i := &v.Instances[n]
			if i.NetNamespace != "" {
				res.r.Errorf(m.At, "track_group %s: %s is in network namespace %s, and static entries are not - ignoring it", g.Name, m.V, i.NetNamespace)
				continue
			}
			members[g.Name] = append(members[g.Name], i)
		}
	}
	follow := func(group string, devs ...string) {
		for _, i := range members[group] {
			for _, d := range devs {
				if !slices.Contains(i.StaticInterfaces, d) {
					i.StaticInterfaces = append(i.StaticInterfaces, d)
				}
			}
		}
	}
	for i := range v.Statics.Addresses {
		follow(v.Statics.Addresses[i].TrackGroup, v.Statics.Addresses[i].Interface)
	}
	for i := range v.Statics.Routes {
		follow(v.Statics.Routes[i].TrackGroup, v.Statics.Routes[i].Devs()...)
	}
	for i := range v.Statics.Rules {
		follow(v.Statics.Rules[i].TrackGroup, v.Statics.Rules[i].Devs()...)
	}
}
