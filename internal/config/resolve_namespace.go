package config

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

// readNamespace reads an instance's net_namespace: a name as `ip netns` has it, or a path. One below its directory is as good as the name.
func readNamespace(i *Instance, n *syntax.Node, r *source.Report) {
	name := ""
	if len(n.Args) > 0 {
		name = n.Args[0].Text
	}
	for _, dir := range []string{"/run/netns/", "/var/run/netns/"} {
		if short, ok := strings.CutPrefix(name, dir); ok && !strings.Contains(short, "/") {
			name = short
		}
	}
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") && !strings.HasPrefix(name, "/") {
		// The daemon's own would be the wrong one.
		r.Refuse(source.Error, n.At(), "(%s) net_namespace needs the name of a network namespace, or an absolute path", i.Name)
		return
	}
	i.NetNamespace = opt[string]{V: name, At: n.At()}
}

// network is the host as seen from one network namespace, with what has been learned of it.
type network struct {
	Host
	absent  bool            // the namespace is not there
	missing map[string]bool // interfaces that are not there, so that each place is reported but names are looked up once
	found   map[string]Interface
	vlinks  vlinks
}

func newNetwork(h Host) *network {
	return &network{Host: h, missing: map[string]bool{}, found: map[string]Interface{}}
}

// nowhere is a host as seen from a network namespace that is not there.
type nowhere struct{ Host }

func (nowhere) Interface(string) (Interface, bool) { return Interface{}, false }
func (nowhere) Links() []Link                      { return nil }
func (nowhere) VRFTable(string) (uint32, bool)     { return 0, false }

// namespaces looks the network namespaces of the instances up. One namespace has one name.
func (res *resolver) namespaces() {
	names := map[string]string{} // by identity
	if _, id, err := res.host.Namespace(""); err == nil && id != "" {
		names[id] = ""
	}
	res.nets = map[string]*network{"": res.net}
	for _, i := range res.c.Instances {
		o := &i.NetNamespace
		if !o.IsSet() {
			continue
		}
		name, at := o.V, o.At
		h, id, err := res.host.Namespace(name)
		if other, known := names[id]; err == nil && known && id != "" {
			if other != name {
				o.V = other
				res.r.Errorf(at, "(%s) net_namespace %s is %s - using that", i.Name, name, orDefault(other, "the one that the daemon runs in"))
			}
			continue
		}
		if err == nil {
			names[id] = name
			res.nets[name] = newNetwork(h)
			continue
		}
		if res.nets[name] == nil {
			res.nets[name] = newNetwork(nowhere{res.host})
			res.nets[name].absent = true
		}
		if !errors.Is(err, fs.ErrNotExist) {
			res.r.Errorf(at, "(%s) net_namespace %s: %v", i.Name, name, err)
		} else if !res.dynamic() {
			res.absent = true
			res.r.Refuse(source.Error, at, "WARNING - network namespace %s doesn't exist", name).Hint = "dynamic_interfaces in global_defs allows it to come later"
		}
	}
}

// in makes a network namespace the one that interfaces are looked for in.
func (res *resolver) in(namespace string) { res.net = res.nets[namespace] }

// groupNetwork makes the network namespace of a sync group's members the one that interfaces are looked for in; there is none if they are in
// several, and then the interfaces of the group are dropped.
func (res *resolver) groupNetwork(g *SyncGroup) {
	first := true
	for _, m := range g.Members {
		n, ok := res.index[m.V]
		if !ok {
			continue
		}
		i := res.c.Instances[n]
		if next := res.nets[i.NetNamespace.V]; !first && next != res.net {
			for _, t := range g.Track.Interfaces {
				res.r.Errorf(t.At, "Sync group %s: its members are in several network namespaces, so it cannot track interface %s - ignoring it", g.Name, t.V.Name)
			}
			g.Track.Interfaces = nil
			return
		}
		res.in(i.NetNamespace.V)
		first = false
	}
}
