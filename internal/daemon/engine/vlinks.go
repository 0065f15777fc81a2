package engine

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/announce"
	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
	"github.com/keepalived-go/keepalived-go/internal/sys/nftables"
)

const (
	// linkPatience is how long a start or a reload waits for the interfaces that it needs made.
	linkPatience = 2 * time.Second
	// leaveDelay lets the kernel's leaving of groups out before the interfaces on which they were joined go.
	leaveDelay = 100 * time.Millisecond
)

// vlinks is what is known of the interfaces that the daemon makes, and of the packet filter.
type vlinks struct {
	links  *netlink.Links
	filter *nftables.Filter

	asked    bool                     // something was ever wanted of links
	wish     netlink.LinkWish         // the last one
	instance map[string]string        // by link: the name of its instance
	failed   map[string]bool          // links that could not be made
	local    map[string]model.Address // by link: the address for adverts that was asked for
	filtered struct {                 // the last wish
		conf model.Filter
		hostnet.Filter
	}
	blocked map[hostnet.FilteredVIP]bool // what the kernel is known to block
	end     ending                       // of links and filter
}

// ending is how far the end of something has come.
type ending uint8

const (
	unended ending = iota
	closing        // its sockets are closed, and it waits for that to be known
	leaving
	ended
)

// pending is a start or a reload that waits for its interfaces.
type pending struct {
	then  func(now time.Time)
	until time.Time
	waits int // namespaces whose links are neither made nor known to be impossible
}

func (ns *namespace) openVLinks() error {
	links, err := netlink.OpenLinks(ns.log, ns.poster(), ns.space)
	if err != nil {
		return err
	}
	ns.vl = vlinks{links: links, filter: nftables.OpenFilter(ns.log, ns.poster(), ns.space), instance: map[string]string{}, failed: map[string]bool{},
		local: map[string]model.Address{}}
	return nil
}

func (ns *namespace) runVLinks() {
	links := ns.vl.links
	ns.serve("link lane", func(ctx context.Context) error { return links.Run(ctx, ns.linkOutcome) }, links.Close)
	ns.serve("filter lane", ns.vl.filter.Run, func() error { return nil })
}

// prepare has the interfaces of conf made, those in use kept, and then calls then: at once if nothing has to be made.
func (v *vrrpPart) prepare(now time.Time, conf *model.VRRP, then func(now time.Time)) {
	if p := v.pending; p != nil { // an earlier one that still waits
		v.pending = nil
		p.then(now)
	}
	p := &pending{then: then, until: now.Add(linkPatience)}
	v.pending = p
	v.planNamespaces(conf)
	for _, ns := range v.nets {
		if ns.open {
			p.ask(ns)
		}
	}
	v.prepared(now)
}

// ask asks for the interfaces that are needed in a namespace.
func (p *pending) ask(ns *namespace) {
	if ns.askLinks(ns.plan(), func() { p.waits--; ns.prepared(time.Now()) }) {
		p.waits++
	}
}

// prepared goes on with what waits if the namespaces that there are are known, their links there and the traffic of those filtered.
func (v *vrrpPart) prepared(now time.Time) {
	p := v.pending
	if p == nil {
		return
	}
	if now.Before(p.until) && (p.waits+len(v.entering) > 0 || slices.ContainsFunc(v.nets, func(ns *namespace) bool { return ns.open && !(ns.known && ns.linksThere(ns.plan())) })) {
		return
	}
	v.pending = nil
	p.then(now)
	v.maybeEnd(now)
}

// pendingDeadline is when a start or a reload has waited long enough, or the end.
func (v *vrrpPart) pendingDeadline() time.Time {
	d := v.endAt
	if p := v.pending; p != nil && (d.IsZero() || p.until.Before(d)) {
		d = p.until
	}
	return d
}

func (v *vrrpPart) expirePending(now time.Time) {
	if p := v.pending; p != nil && !now.Before(p.until) {
		v.prepared(now)
	}
	if !v.endAt.IsZero() && !now.Before(v.endAt) {
		v.endAt = time.Time{}
		for _, ns := range v.nets {
			ns.removeLinks()
		}
	}
}

// askLinks asks for the interfaces of conf, those in use kept, and reports whether there is anything to ask for; done is called then when they
// are made, or known to be impossible.
func (ns *namespace) askLinks(conf *model.VRRP, done func()) bool {
	want := conf.VLinks()
	settings := settings(conf)
	if conf.Filter.Implied && !ns.vl.filtered.conf.Wanted {
		ns.log.Info("use_vmac or no_accept/strict specified, but no firewall configured - using nftables")
	}
	if len(want) == 0 && len(settings) == 0 && !ns.vl.asked && !conf.Filter.Wanted {
		return false
	}
	ns.vl.asked = true
	for i := range conf.Instances {
		in := &conf.Instances[i]
		for _, l := range append(slices.Clone(in.AddrVLinks), in.VLink) {
			ns.vl.instance[l.Name] = in.Name
		}
	}
	if ns.running {
		for _, old := range ns.vl.wish.Links { // unless it is in the way of a new one
			if !slices.ContainsFunc(want, func(n model.VLink) bool {
				return n.Name == old.Name || n.Base == old.Base && n.Kind == old.Kind && n.MAC == old.MAC
			}) {
				want = append(want, old)
			}
		}
	}
	ns.wishLinks(conf, want, func(netlink.LinkOutcome) {
		if done != nil {
			done()
		}
	})
	return true
}

// wishLinks asks for links, and the settings of a configuration.
func (ns *namespace) wishLinks(conf *model.VRRP, want []model.VLink, done func(netlink.LinkOutcome)) {
	ns.vl.wish = netlink.LinkWish{Links: want, Settings: settings(conf), Up: ns.vl.wish.Up}
	if !conf.Filter.Wanted {
		ns.vl.wish.Up = nil
	} else if ns.vl.wish.Up == nil {
		ns.vl.wish.Up = map[string]int{}
	}
	ns.vl.links.Want(ns.vl.wish, done)
}

// settings are the kernel settings that a configuration asks for besides those of its links.
func settings(conf *model.VRRP) (out []hostnet.Setting) {
	if conf.DisableLocalIGMP {
		out = append(out, hostnet.Setting{Path: "net/ipv4/igmp_link_local_mcast_reports", Value: "0"})
	}
	for i := range conf.Instances {
		if in := &conf.Instances[i]; in.PromoteSecondary && in.Interface != "" {
			out = append(out, hostnet.Setting{Path: "net/ipv4/conf/" + in.Interface + "/promote_secondaries", Value: "1"})
		}
	}
	return out
}

// linksThere reports whether all links of conf that can be made are known to be there and up, with their addresses.
func (ns *namespace) linksThere(conf *model.VRRP) bool {
	for i := range conf.Instances {
		in := &conf.Instances[i]
		if in.VLink.Exists() && !ns.linkThere(&in.VLink, in) {
			return false
		}
		for k := range in.AddrVLinks {
			if !ns.linkThere(&in.AddrVLinks[k], in) {
				return false
			}
		}
	}
	return true
}

func (ns *namespace) linkThere(l *model.VLink, in *model.Instance) bool {
	base, ok := ns.host.Link(l.Base)
	if !ok || ns.vl.failed[l.Name] {
		return true // there is nothing to wait for
	}
	link, ok := ns.host.Link(l.Name)
	if !ok || !ns.host.Fits(link, l, base) || base.Up() && !link.Up() {
		return false
	}
	a, ok := hostnet.LinkLocal(l, ns.localSource(l, in))
	return !ok || ns.host.Has(link.Index, a.Prefix.Addr())
}

// localSource is the IPv6 address that a link borrows from its base for adverts.
func (ns *namespace) localSource(l *model.VLink, in *model.Instance) netip.Addr {
	if l.Name == in.VLink.Name && in.SourceAddr.IsValid() {
		return in.SourceAddr
	}
	base, _ := ns.host.Link(l.Base)
	src, _ := ns.host.Source(base.Index, model.IPv6, ns.virtual)
	return src
}

// linkOutcome logs what was done, and takes note of what could not be done.
func (ns *namespace) linkOutcome(out netlink.LinkOutcome) {
	for _, l := range []struct {
		names  []string
		format string
	}{
		{out.Made, "(%s): Success creating VMAC interface %s"},
		{out.Taken, "(%s) Found matching interface %s"},
		{out.Removed, "(%s) Success removing VMAC interface %s"},
	} {
		for _, name := range l.names {
			line := fmt.Sprintf(l.format, ns.vl.instance[name], name)
			if slices.ContainsFunc(ns.vl.wish.Links, func(w model.VLink) bool { return w.Name == name && w.Kind == model.IPVLAN }) {
				line = strings.Replace(line, "VMAC", "ipvlan", 1)
			}
			ns.log.Info(line)
		}
	}
	clear(ns.vl.failed)
	for name := range out.Failed {
		ns.vl.failed[name] = true
	}
}

// virtualLink reports whether an interface is one that the daemon makes.
func (ns *namespace) virtualLink(name string) bool { return ns.vl.instance[name] != "" }

// linksChanged follows a change of the host: links that went are made again, their addresses set, the filter fitted.
func (ns *namespace) linksChanged(now time.Time, touched map[string]bool) {
	if !ns.vl.asked || ns.stopping {
		return
	}
	conf := ns.plan()
	if slices.ContainsFunc(ns.vl.wish.Links, func(l model.VLink) bool { return touched[l.Name] || touched[l.Base] }) {
		ns.vl.links.Poke()
	}
	for i := range conf.Instances {
		in := &conf.Instances[i]
		for _, l := range append(slices.Clone(in.AddrVLinks), in.VLink) {
			if l.Exists() {
				ns.ownLocal(&l, in)
			}
		}
	}
	ns.refilter(conf, nil)
	ns.prepared(now)
}

// ownLocal asks for the address that a link needs for its adverts.
func (ns *namespace) ownLocal(l *model.VLink, in *model.Instance) {
	link, there := ns.host.Link(l.Name)
	a, ok := hostnet.LinkLocal(l, ns.localSource(l, in))
	was, asked := ns.vl.local[l.Name]
	switch {
	case !there || !ok:
		if asked {
			delete(ns.vl.local, l.Name)
			ns.lane.Own("link "+l.Name, model.Objects{}, nil)
		}
	case !asked || was != a || !ns.host.Has(link.Index, a.Prefix.Addr()):
		ns.vl.local[l.Name] = a
		ns.lane.Own("link "+l.Name, model.Objects{Addresses: []model.Address{a}}, nil)
	}
}

// refilter asks for what has to be filtered now; done, if there is one, is called when it is.
func (ns *namespace) refilter(conf *model.VRRP, done func()) {
	if !ns.open || !conf.Filter.Wanted && !ns.vl.filtered.conf.Wanted {
		if done != nil {
			done()
		}
		return
	}
	f := hostnet.Filter{}
	if conf.Filter.Wanted {
		f.VMACs = ns.filteredVMACs(conf)
	}
	index := func(name string) int {
		l, _ := ns.host.Link(name)
		return l.Index
	}
	for _, r := range ns.slots {
		if r != nil && r.ns == ns && len(r.held) > 0 && !r.m.Instance().Accept {
			f.VIPs = append(f.VIPs, hostnet.DropVIPs(r.held, index)...)
		}
	}
	if done == nil && ns.vl.filtered.conf == conf.Filter && reflect.DeepEqual(ns.vl.filtered.Filter, f) {
		return
	}
	ns.vl.filtered.conf, ns.vl.filtered.Filter = conf.Filter, f
	report := func(err error) {
		ns.vl.blocked = map[hostnet.FilteredVIP]bool{}
		if err == nil {
			for _, vip := range f.VIPs {
				ns.vl.blocked[vip] = true
			}
		}
		ns.raise(f.VMACs)
		if done != nil {
			done()
		}
	}
	if !conf.Filter.Wanted {
		ns.vl.filter.Remove(report)
		return
	}
	ns.vl.filter.Want(conf.Filter, f, report)
}

// raise lets the links be set up of which the filter knows, even if it cannot filter.
func (ns *namespace) raise(known []hostnet.FilteredVMAC) {
	if ns.vl.wish.Up == nil || ns.stopping {
		return
	}
	up := map[string]int{}
	for _, l := range known {
		up[l.Name] = l.Index
	}
	if !maps.Equal(up, ns.vl.wish.Up) {
		ns.vl.wish.Up = up
		ns.vl.links.Want(ns.vl.wish, nil)
	}
}

func (ns *namespace) filteredVMACs(conf *model.VRRP) (out []hostnet.FilteredVMAC) {
	for i := range conf.Instances {
		in := &conf.Instances[i]
		for _, l := range append(slices.Clone(in.AddrVLinks), in.VLink) {
			base, ok := ns.host.Link(l.Base)
			link, there := ns.host.Link(l.Name)
			if l.Kind != model.Macvlan || !ok || !there {
				continue
			}
			n := hostnet.FilteredVMAC{Name: l.Name, Index: link.Index, Base: ns.host.Beneath(base).Index,
				IGMP: l.Family == model.IPv4 && conf.Filter.LocalIGMP, IPv6: l.IPv6}
			if a, ok := hostnet.LinkLocal(&l, ns.localSource(&l, in)); ok {
				n.LinkLocal = a.Prefix.Addr()
			}
			out = append(out, n)
		}
	}
	return out
}

// block has the addresses of a router without accept blocked before then, which sets them; it calls then at once if they are
// blocked already, or need not be.
//
// If the kernel cannot filter the addresses are set all the same, and the filter is tried again: no service is worse than one that
// answers too much.
func (ns *namespace) block(r *router, then func()) {
	index := func(name string) int {
		l, _ := ns.host.Link(name)
		return l.Index
	}
	missing := func(vip hostnet.FilteredVIP) bool { return !ns.vl.blocked[vip] }
	if r.m.Instance().Accept || !slices.ContainsFunc(hostnet.DropVIPs(r.held, index), missing) {
		then()
		return
	}
	seq := r.seq
	ns.refilter(ns.conf, func() {
		if ns.slots[r.slot] == r && r.seq == seq {
			then()
		}
	})
}

// endAllVLinks takes away what the daemon has made and reports whether that is done. The sockets are closed before, so that the groups
// are left from the right interface.
func (v *vrrpPart) endAllVLinks() bool {
	if v.flags.KeepVRRP {
		return true
	}
	done := true
	for _, ns := range v.nets {
		done = ns.endVLinks() && done
	}
	return done
}

func (ns *namespace) endVLinks() bool {
	if !ns.vl.asked {
		return true
	}
	if ns.vl.end == unended {
		ns.vl.end = closing
		for _, r := range ns.slots {
			if r != nil && r.ns == ns {
				ns.release(r)
			}
		}
		if ns.endAt.IsZero() {
			ns.endAt = time.Now().Add(leaveDelay)
		}
	}
	return ns.vl.end == ended
}

// removeLinks removes the links whose sockets are closed.
func (ns *namespace) removeLinks() {
	vl := &ns.vl
	if vl.end != closing {
		return
	}
	vl.end = leaving
	vl.wish = netlink.LinkWish{}
	vl.links.Want(vl.wish, func(netlink.LinkOutcome) {
		vl.filter.Remove(func(error) { // not before: a link that goes still has something to say
			vl.end = ended
			ns.leave(time.Now())
			ns.maybeEnd(time.Now())
		})
	})
}

// extraDeadline is when garp_extra_if has something to announce.
func (v *vrrpPart) extraDeadline() (d time.Time) {
	for _, at := range v.extraDue {
		if d.IsZero() || at.Before(d) {
			d = at
		}
	}
	return d
}

func (v *vrrpPart) expireExtra(now time.Time) {
	for r, at := range maps.Clone(v.extraDue) {
		if now.Before(at) {
			continue
		}
		every := r.m.Instance().ExtraIf.Interval
		if v.extraDue[r] = at.Add(every); v.extraDue[r].Before(now) {
			v.extraDue[r] = now.Add(every)
		}
		v.queue.Add(now, r.slot, r.ns.extraTargets(r.m.Instance()), 1)
	}
}

// armExtra starts or stops the announcing on interfaces without adverts.
func (v *vrrpPart) armExtra(now time.Time, r *router, master bool) {
	if every := r.m.Instance().ExtraIf.Interval; master && every > 0 {
		if v.extraDue[r].IsZero() {
			v.extraDue[r] = now.Add(every)
		}
		return
	}
	delete(v.extraDue, r)
}

// extraTargets is one address of each interface that has addresses of the instance but none of its adverts: a switch has to be told
// now and then where its MAC address is.
func (ns *namespace) extraTargets(i *model.Instance) (out []announce.Target) {
	all := addresses(i)
	for _, name := range i.ExtraInterfaces() {
		first := slices.IndexFunc(all, func(a model.Address) bool { return a.Interface == name })
		if t, ok := ns.target(name, all[first].Prefix.Addr()); ok {
			out = append(out, t)
		}
	}
	return out
}
