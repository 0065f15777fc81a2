// Package plan tells what a reload from one model to another would do: what it adds, removes, changes and keeps.
package plan

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Sign says what happens to a thing.
type Sign byte

const (
	Keep   Sign = '='
	Add    Sign = '+'
	Remove Sign = '-'
	Change Sign = '~'
	Move   Sign = '>' // between instances, or between the lists of one: told at both ends
)

// Item is one thing that exists before or after the reload: an instance, an address, a server …
type Item struct {
	Sign   Sign
	Kind   string   // keyword: "vrrp_instance"
	Name   string   // what tells it from others of its kind
	Fields []string // of a changed thing: "priority: 100 -> 90"
	Items  []Item   // the things inside

	leaves bool // of a moved thing: this is its old place
}

// Plan is all of a reload, in the order of the new configuration, what is removed after what stays.
type Plan []Item

// Compare makes the plan of a reload. Identity is that of the running daemon: instances by model.Instance.Key, services by
// model.VirtualServer.Key, servers by address and port, checks by model.Check.SameProbe; the things of an instance by what they name.
func Compare(old, new *model.Model) Plan {
	var p Plan
	p = settings(p, "global_defs", "process", old.Process, new.Process)
	p = settings(p, "global_defs", "VRRP", old.VRRP, new.VRRP, "Instances", "Groups", "Scripts", "Files", "Processes", "Statics")
	p = settings(p, "global_defs", "LVS", old.LVS, new.LVS, "Services", "Groups")
	p = append(p, compare("static_ipaddress", old.VRRP.Statics.Addresses, new.VRRP.Statics.Addresses, (*model.Address).String, (*model.Address).String, nil)...)
	p = append(p, routing("static", old.VRRP.Statics, new.VRRP.Statics)...)
	p = append(p, compare("vrrp_script", old.VRRP.Scripts, new.VRRP.Scripts,
		func(s *model.TrackScript) string { return s.Name }, func(s *model.TrackScript) string { return s.Name }, nil)...)
	p = append(p, compare("track_file", old.VRRP.Files, new.VRRP.Files,
		func(f *model.TrackFile) string { return f.Name }, func(f *model.TrackFile) string { return f.Name }, nil)...)
	p = append(p, compare("vrrp_track_process", old.VRRP.Processes, new.VRRP.Processes,
		func(t *model.TrackProcess) string { return t.Name }, func(t *model.TrackProcess) string { return t.Name }, nil)...)
	p = append(p, compare("vrrp_instance", old.VRRP.Instances, new.VRRP.Instances, (*model.Instance).Key, instanceName, instanceItems,
		"VIPs", "ExcludedVIPs", "Routes", "Rules", "Peers", "TrackInterfaces", "TrackScripts", "TrackFiles", "TrackProcesses")...)
	p.moves()
	p = append(p, compare("vrrp_sync_group", old.VRRP.Groups, new.VRRP.Groups,
		func(g *model.SyncGroup) string { return g.Name }, func(g *model.SyncGroup) string { return g.Name }, groupItems,
		"Members", "TrackInterfaces", "TrackScripts", "TrackFiles", "TrackProcesses")...)
	p = append(p, compare("virtual_server_group", old.LVS.Groups, new.LVS.Groups,
		func(g *model.ServerGroup) string { return g.Name }, func(g *model.ServerGroup) string { return g.Name }, entryItems, "Entries")...)
	p = append(p, compare("virtual_server", old.LVS.Services, new.LVS.Services, (*model.VirtualServer).Key,
		func(v *model.VirtualServer) string { return v.String() }, serviceItems, "Real", "Sorry", "Seq")...)
	return p
}

// moves pairs each address that one instance loses with an instance that gets it, or with another list of its own: the daemon does not
// take such an address away in between where both are master.
func (p Plan) moves() {
	type end struct {
		instance string
		item     *Item
	}
	lost := map[string][]end{}
	each := func(sign Sign, f func(end)) {
		for i := range p {
			for j := range p[i].Items {
				it := &p[i].Items[j]
				if p[i].Kind == "vrrp_instance" && it.Sign == sign && (it.Kind == "virtual_ipaddress" || it.Kind == "virtual_ipaddress_excluded") {
					f(end{p[i].Kind + " " + p[i].Name, it})
				}
			}
		}
	}
	each(Remove, func(e end) { lost[e.item.Name] = append(lost[e.item.Name], e) })
	each(Add, func(e end) {
		from := lost[e.item.Name]
		if len(from) == 0 {
			return
		}
		lost[e.item.Name] = from[1:]
		was := from[0]
		e.item.Sign, e.item.Fields = Move, []string{"from " + was.item.Kind + " of " + was.instance}
		was.item.Sign, was.item.leaves, was.item.Fields = Move, true, []string{"to " + e.item.Kind + " of " + e.instance}
	})
}

// settings appends an item for settings that belong to no named thing, if any changed.
func settings(p Plan, kind, name string, old, new any, without ...string) Plan {
	if f := fields("", reflect.ValueOf(old), reflect.ValueOf(new), without); len(f) > 0 {
		p = append(p, Item{Sign: Change, Kind: kind, Name: name, Fields: f})
	}
	return p
}

// compare pairs the things of two lists by their identity, one to one in order. inside makes the items within a pair, of which one side
// may be nil; without are the fields that it stands for.
func compare[V any, K comparable](kind string, old, new []V, key func(*V) K, name func(*V) string,
	inside func(old, new *V) []Item, without ...string) (out []Item) {
	was := map[K][]*V{}
	for i := range old {
		k := key(&old[i])
		was[k] = append(was[k], &old[i])
	}
	kept := map[*V]bool{}
	item := func(sign Sign, o, n *V) Item {
		named := n
		if n == nil {
			named = o
		}
		it := Item{Sign: sign, Kind: kind, Name: name(named)}
		if inside != nil {
			it.Items = inside(o, n)
		}
		if o != nil && n != nil {
			it.Fields = fields("", reflect.ValueOf(*o), reflect.ValueOf(*n), without)
			if len(it.Fields) > 0 || slices.ContainsFunc(it.Items, func(i Item) bool { return i.Sign != Keep }) {
				it.Sign = Change
			} else if !reflect.DeepEqual(*o, *n) {
				it.Sign, it.Fields = Change, []string{"order: changed"}
			}
		}
		return it
	}
	for i := range new {
		k := key(&new[i])
		if before := was[k]; len(before) > 0 {
			was[k] = before[1:]
			kept[before[0]] = true
			out = append(out, item(Keep, before[0], &new[i]))
		} else {
			out = append(out, item(Add, nil, &new[i]))
		}
	}
	for i := range old {
		if !kept[&old[i]] {
			out = append(out, item(Remove, &old[i], nil))
		}
	}
	return out
}

// of returns a list of v, or none if v is nil.
func of[V, E any](v *V, list func(*V) []E) []E {
	if v == nil {
		return nil
	}
	return list(v)
}

func instanceName(i *model.Instance) string {
	name := fmt.Sprintf("%s (virtual_router_id %d, %v", i.Name, i.VRID, i.Family)
	if i.Interface != "" {
		name += ", " + i.Interface
	}
	name += inNamespace(i)
	return name + ")"
}

// inNamespace says where an interface is that is not in the process's network namespace.
func inNamespace(i *model.Instance) string {
	if i.NetNamespace == "" {
		return ""
	}
	return " in namespace " + i.NetNamespace
}

func instanceItems(old, new *model.Instance) []Item {
	type addressKey struct{ prefix, dev string }
	key := func(a *model.Address) addressKey { return addressKey{a.Prefix.String(), a.Interface} }
	name := func(a *model.Address) string {
		return a.Prefix.String() + " dev " + a.Interface + inNamespace(cmp.Or(new, old))
	}
	addresses := func(kind string, list func(*model.Instance) []model.Address) []Item {
		return compare(kind, of(old, list), of(new, list), key, name, nil)
	}
	out := addresses("virtual_ipaddress", func(i *model.Instance) []model.Address { return i.VIPs })
	out = append(out, addresses("virtual_ipaddress_excluded", func(i *model.Instance) []model.Address { return i.ExcludedVIPs })...)
	objects := func(i *model.Instance) (o model.Objects) {
		if i != nil {
			o = i.Objects()
		}
		return o
	}
	out = append(out, routing("virtual", objects(old), objects(new))...)
	peers := func(i *model.Instance) []model.Peer { return i.Peers }
	out = append(out, compare("unicast_peer", of(old, peers), of(new, peers), func(p *model.Peer) string { return p.Addr.String() },
		func(p *model.Peer) string { return p.Addr.String() }, nil)...)
	out = append(out, tracks("track_interface", old, new, func(i *model.Instance) []model.Track { return i.TrackInterfaces })...)
	out = append(out, tracks("track_script", old, new, func(i *model.Instance) []model.Track { return i.TrackScripts })...)
	out = append(out, tracks("track_file", old, new, func(i *model.Instance) []model.Track { return i.TrackFiles })...)
	return append(out, tracks("track_process", old, new, func(i *model.Instance) []model.Track { return i.TrackProcesses })...)
}

// routing are the routes and rules of a kind ("static", "virtual"); one that changes is another.
func routing(kind string, old, new model.Objects) []Item {
	return append(compare(kind+"_routes", old.Routes, new.Routes, (*model.Route).String, (*model.Route).String, nil),
		compare(kind+"_rules", old.Rules, new.Rules, (*model.Rule).String, (*model.Rule).String, nil)...)
}

func groupItems(old, new *model.SyncGroup) []Item {
	members := func(g *model.SyncGroup) []string { return g.Members }
	self := func(s *string) string { return *s }
	out := compare("group", of(old, members), of(new, members), self, self, nil)
	out = append(out, tracks("track_interface", old, new, func(g *model.SyncGroup) []model.Track { return g.TrackInterfaces })...)
	out = append(out, tracks("track_script", old, new, func(g *model.SyncGroup) []model.Track { return g.TrackScripts })...)
	out = append(out, tracks("track_file", old, new, func(g *model.SyncGroup) []model.Track { return g.TrackFiles })...)
	return append(out, tracks("track_process", old, new, func(g *model.SyncGroup) []model.Track { return g.TrackProcesses })...)
}

func tracks[V any](kind string, old, new *V, list func(*V) []model.Track) []Item {
	name := func(t *model.Track) string { return t.Name }
	return compare(kind, of(old, list), of(new, list), name, name, nil)
}

func entryItems(old, new *model.ServerGroup) []Item {
	list := func(g *model.ServerGroup) []model.GroupEntry { return g.Entries }
	name := func(e *model.GroupEntry) string {
		switch {
		case e.IsFWMark:
			return fmt.Sprintf("fwmark %d", e.FWMark)
		case e.First == e.Last:
			return fmt.Sprintf("%s port %d", e.First, e.Port)
		}
		return fmt.Sprintf("%s-%s port %d", e.First, e.Last, e.Port)
	}
	return compare("entry", of(old, list), of(new, list), func(e *model.GroupEntry) model.GroupEntry { return *e }, name, nil)
}

func serviceItems(old, new *model.VirtualServer) []Item {
	v := new
	if v == nil {
		v = old
	}
	key := func(r *model.RealServer) string { return r.Name(v) }
	out := compare("real_server", of(old, func(v *model.VirtualServer) []model.RealServer { return v.Real }),
		of(new, func(v *model.VirtualServer) []model.RealServer { return v.Real }), key, key, checkItems, "Checks")
	sorry := func(v *model.VirtualServer) []model.RealServer {
		if v.Sorry == nil {
			return nil
		}
		return []model.RealServer{*v.Sorry}
	}
	return append(out, compare("sorry_server", of(old, sorry), of(new, sorry), key, key, nil)...)
}

// checkItems pairs checks as the running daemon does: the first free one of which the probe is the same goes on.
func checkItems(old, new *model.RealServer) []Item {
	list := func(r *model.RealServer) []model.Check { return r.Checks }
	was, is := of(old, list), of(new, list)
	taken := make([]bool, len(was))
	var out []Item
	for i := range is {
		it := Item{Sign: Add, Kind: string(is[i].Kind), Name: checkName(&is[i])}
		for j := range was {
			if taken[j] || !was[j].SameProbe(&is[i]) {
				continue
			}
			taken[j] = true
			it.Sign = Keep
			if it.Fields = fields("", reflect.ValueOf(was[j]), reflect.ValueOf(is[i]), nil); len(it.Fields) > 0 {
				it.Sign = Change
			}
			break
		}
		out = append(out, it)
	}
	for j := range was {
		if !taken[j] {
			out = append(out, Item{Sign: Remove, Kind: string(was[j].Kind), Name: checkName(&was[j])})
		}
	}
	return out
}

func checkName(c *model.Check) string {
	if c.Kind == model.MiscCheck {
		return value(reflect.ValueOf(c.Misc.Script))
	}
	name := c.Conn.Dst.String()
	if c.HTTP != nil {
		for _, u := range c.HTTP.URLs {
			name += " " + u.Path
		}
	}
	return name
}

// Empty reports whether the reload would change nothing.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p, func(i Item) bool { return i.Sign != Keep })
}

// Count returns how many things of all levels have each sign; what is told at both ends counts once.
func (p Plan) Count() map[Sign]int {
	n := map[Sign]int{}
	for _, i := range p {
		if !i.leaves {
			n[i.Sign]++
		}
		for s, more := range Plan(i.Items).Count() {
			n[s] += more
		}
	}
	return n
}

// Write prints the plan, one thing or changed setting a line, and a sum at the end.
func (p Plan) Write(w io.Writer) error {
	var b strings.Builder
	p.write(&b, "")
	n := p.Count()
	fmt.Fprintf(&b, "%d to add, %d to remove, %d to change, %d to move, %d to keep\n", n[Add], n[Remove], n[Change], n[Move], n[Keep])
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

func (p Plan) write(b *strings.Builder, margin string) {
	for _, i := range p {
		fmt.Fprintf(b, "%s%c %s %s\n", margin, i.Sign, i.Kind, i.Name)
		for _, f := range i.Fields {
			fmt.Fprintf(b, "%s    %s\n", margin, f)
		}
		Plan(i.Items).write(b, margin+"    ")
	}
}
