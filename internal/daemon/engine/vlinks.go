package engine

import (
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
	pending  *pending
	filtered struct { // the last wish
		conf model.Filter
		hostnet.Filter
	}
	blocked  map[hostnet.FilteredVIP]bool // what the kernel is known to block
	ended    int                          // of the end: -1 not begun, 1 under way, 0 done
	endAt    time.Time
	extraDue map[*router]time.Time // garp_extra_if
}

// pending is a start or a reload that waits for its interfaces.
type pending struct {
	conf    *model.VRRP
	then    func(now time.Time)
	until   time.Time
	settled bool // the links are made, or cannot be made
}

func (v *vrrpPart) openVLinks() error {
	post := func(f func()) { v.part.Post(func(time.Time) { f() }) }
	links, err := netlink.OpenLinks(v.log, post)
	if err != nil {
		return err
	}
	v.vl = vlinks{links: links, filter: nftables.OpenFilter(v.log, post), instance: map[string]string{}, failed: map[string]bool{},
		local: map[string]model.Address{}, ended: -1, extraDue: map[*router]time.Time{}}
	return nil
}

func (v *vrrpPart) runVLinks() {
	supervise(v.ctx, v.part, v.log, "link lane", func() error { return v.vl.links.Run(v.ctx, v.linkOutcome) })
	supervise(v.ctx, v.part, v.log, "filter lane", func() error { return v.vl.filter.Run(v.ctx) })
}

// prepare has the interfaces of conf made, those in use kept, and then calls then: at once if nothing has to be made.
func (v *vrrpPart) prepare(now time.Time, conf *model.VRRP, then func(now time.Time)) {
	if p := v.vl.pending; p != nil { // an earlier one that still waits
		v.vl.pending = nil
		p.then(now)
	}
	want := conf.VLinks()
	settings := settings(conf)
	if conf.Filter.Implied && !v.vl.filtered.conf.Wanted {
		v.log.Info("use_vmac or no_accept/strict specified, but no firewall configured - using nftables")
	}
	if len(want) == 0 && len(settings) == 0 && !v.vl.asked && !conf.Filter.Wanted {
		then(now)
		return
	}
	v.vl.asked = true
	for i := range conf.Instances {
		in := &conf.Instances[i]
		for _, l := range append(slices.Clone(in.AddrVLinks), in.VLink) {
			v.vl.instance[l.Name] = in.Name
		}
	}
	if v.running {
		for _, old := range v.vl.wish.Links { // unless it is in the way of a new one
			if !slices.ContainsFunc(want, func(n model.VLink) bool {
				return n.Name == old.Name || n.Base == old.Base && n.Kind == old.Kind && n.MAC == old.MAC
			}) {
				want = append(want, old)
			}
		}
	}
	p := &pending{conf: conf, then: then, until: now.Add(linkPatience)}
	v.vl.pending = p
	v.wishLinks(conf, want, func(netlink.LinkOutcome) {
		p.settled = true
		v.prepared(time.Now())
	})
}

// wishLinks asks for links, and the settings of a configuration.
func (v *vrrpPart) wishLinks(conf *model.VRRP, want []model.VLink, done func(netlink.LinkOutcome)) {
	v.vl.wish = netlink.LinkWish{Links: want, Settings: settings(conf), Up: v.vl.wish.Up}
	if !conf.Filter.Wanted {
		v.vl.wish.Up = nil
	} else if v.vl.wish.Up == nil {
		v.vl.wish.Up = map[string]int{}
	}
	v.vl.links.Want(v.vl.wish, done)
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

// prepared goes on with what waits if its links are there and their traffic is filtered.
func (v *vrrpPart) prepared(now time.Time) {
	p := v.vl.pending
	if p == nil {
		return
	}
	if now.Before(p.until) {
		if !p.settled || !v.linksThere(p.conf) {
			return
		}
	}
	v.vl.pending = nil
	p.then(now)
	v.maybeEnd(now)
}

// linksThere reports whether all links of conf that can be made are known to be there and up, with their addresses.
func (v *vrrpPart) linksThere(conf *model.VRRP) bool {
	for i := range conf.Instances {
		in := &conf.Instances[i]
		if in.VLink.Exists() && !v.linkThere(&in.VLink, in) {
			return false
		}
		for k := range in.AddrVLinks {
			if !v.linkThere(&in.AddrVLinks[k], in) {
				return false
			}
		}
	}
	return true
}

func (v *vrrpPart) linkThere(l *model.VLink, in *model.Instance) bool {
	base, ok := v.host.Link(l.Base)
	if !ok || v.vl.failed[l.Name] {
		return true // there is nothing to wait for
	}
	link, ok := v.host.Link(l.Name)
	if !ok || !v.host.Fits(link, l, base) || base.Up() && !link.Up() {
		return false
	}
	a, ok := hostnet.LinkLocal(l, v.localSource(l, in))
	return !ok || v.host.Has(link.Index, a.Prefix.Addr())
}

// localSource is the IPv6 address that a link borrows from its base for adverts.
func (v *vrrpPart) localSource(l *model.VLink, in *model.Instance) netip.Addr {
	if l.Name == in.VLink.Name && in.SourceAddr.IsValid() {
		return in.SourceAddr
	}
	base, _ := v.host.Link(l.Base)
	src, _ := v.host.Source(base.Index, model.IPv6, v.virtual)
	return src
}

// linkOutcome logs what was done, and takes note of what could not be done.
func (v *vrrpPart) linkOutcome(out netlink.LinkOutcome) {
	for _, l := range []struct {
		names  []string
		format string
	}{
		{out.Made, "(%s): Success creating VMAC interface %s"},
		{out.Taken, "(%s) Found matching interface %s"},
		{out.Removed, "(%s) Success removing VMAC interface %s"},
	} {
		for _, name := range l.names {
			line := fmt.Sprintf(l.format, v.vl.instance[name], name)
			if slices.ContainsFunc(v.vl.wish.Links, func(w model.VLink) bool { return w.Name == name && w.Kind == model.IPVLAN }) {
				line = strings.Replace(line, "VMAC", "ipvlan", 1)
			}
			v.log.Info(line)
		}
	}
	clear(v.vl.failed)
	for name := range out.Failed {
		v.vl.failed[name] = true
	}
}

// virtualLink reports whether an interface is one that the daemon makes.
func (v *vrrpPart) virtualLink(name string) bool { return v.vl.instance[name] != "" }

// linksChanged follows a change of the host: links that went are made again, their addresses set, the filter fitted.
func (v *vrrpPart) linksChanged(now time.Time, touched map[string]bool) {
	if !v.vl.asked || v.stopping {
		return
	}
	conf := v.conf
	if p := v.vl.pending; p != nil {
		conf = p.conf
	}
	if slices.ContainsFunc(v.vl.wish.Links, func(l model.VLink) bool { return touched[l.Name] || touched[l.Base] }) {
		v.vl.links.Poke()
	}
	for i := range conf.Instances {
		in := &conf.Instances[i]
		for _, l := range append(slices.Clone(in.AddrVLinks), in.VLink) {
			if l.Exists() {
				v.ownLocal(&l, in)
			}
		}
	}
	v.refilter(conf, nil)
	v.prepared(now)
}

// ownLocal asks for the address that a link needs for its adverts.
func (v *vrrpPart) ownLocal(l *model.VLink, in *model.Instance) {
	link, there := v.host.Link(l.Name)
	a, ok := hostnet.LinkLocal(l, v.localSource(l, in))
	was, asked := v.vl.local[l.Name]
	switch {
	case !there || !ok:
		if asked {
			delete(v.vl.local, l.Name)
			v.lane.Own("link "+l.Name, model.Objects{}, nil)
		}
	case !asked || was != a || !v.host.Has(link.Index, a.Prefix.Addr()):
		v.vl.local[l.Name] = a
		v.lane.Own("link "+l.Name, model.Objects{Addresses: []model.Address{a}}, nil)
	}
}

// refilter asks for what has to be filtered now; done, if there is one, is called when it is.
func (v *vrrpPart) refilter(conf *model.VRRP, done func()) {
	if !conf.Filter.Wanted && !v.vl.filtered.conf.Wanted {
		if done != nil {
			done()
		}
		return
	}
	f := hostnet.Filter{}
	if conf.Filter.Wanted {
		f.VMACs = v.filteredVMACs(conf)
	}
	index := func(name string) int {
		l, _ := v.host.Link(name)
		return l.Index
	}
	for _, r := range v.slots {
		if r != nil && len(r.held) > 0 && !r.m.Instance().Accept {
			f.VIPs = append(f.VIPs, hostnet.DropVIPs(r.held, index)...)
		}
	}
	if done == nil && v.vl.filtered.conf == conf.Filter && reflect.DeepEqual(v.vl.filtered.Filter, f) {
		return
	}
	v.vl.filtered.conf, v.vl.filtered.Filter = conf.Filter, f
	report := func(err error) {
		v.vl.blocked = map[hostnet.FilteredVIP]bool{}
		if err == nil {
			for _, vip := range f.VIPs {
				v.vl.blocked[vip] = true
			}
		}
		v.raise(f.VMACs)
		if done != nil {
			done()
		}
	}
	if !conf.Filter.Wanted {
		v.vl.filter.Remove(report)
		return
	}
	v.vl.filter.Want(conf.Filter, f, report)
}

// raise lets the links be set up of which the filter knows, even if it cannot filter.
func (v *vrrpPart) raise(known []hostnet.FilteredVMAC) {
	if v.vl.wish.Up == nil || v.stopping {
		return
	}
	up := map[string]int{}
	for _, l := range known {
		up[l.Name] = l.Index
	}
	if !maps.Equal(up, v.vl.wish.Up) {
		v.vl.wish.Up = up
		v.vl.links.Want(v.vl.wish, nil)
	}
}

func (v *vrrpPart) filteredVMACs(conf *model.VRRP) (out []hostnet.FilteredVMAC) {
	for i := range conf.Instances {
		in := &conf.Instances[i]
		for _, l := range append(slices.Clone(in.AddrVLinks), in.VLink) {
			base, ok := v.host.Link(l.Base)
			link, there := v.host.Link(l.Name)
			if l.Kind != model.Macvlan || !ok || !there {
				continue
			}
			n := hostnet.FilteredVMAC{Name: l.Name, Index: link.Index, Base: v.host.Beneath(base).Index,
				IGMP: l.Family == model.IPv4 && conf.Filter.LocalIGMP, IPv6: l.IPv6}
			if a, ok := hostnet.LinkLocal(&l, v.localSource(&l, in)); ok {
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
func (v *vrrpPart) block(r *router, then func()) {
	index := func(name string) int {
		l, _ := v.host.Link(name)
		return l.Index
	}
	missing := func(vip hostnet.FilteredVIP) bool { return !v.vl.blocked[vip] }
	if r.m.Instance().Accept || !slices.ContainsFunc(hostnet.DropVIPs(r.held, index), missing) {
		then()
		return
	}
	seq := r.seq
	v.refilter(v.conf, func() {
		if v.slots[r.slot] == r && r.seq == seq {
			then()
		}
	})
}

// endVLinks takes away what the daemon has made and reports whether that is done. The sockets are closed before, so that the groups
// are left from the right interface.
func (v *vrrpPart) endVLinks() bool {
	vl := &v.vl
	if v.flags.KeepVRRP || !vl.asked {
		return true
	}
	if vl.ended < 0 {
		vl.ended = 1
		for _, r := range v.slots {
			if r != nil {
				v.release(r)
			}
		}
		vl.endAt = time.Now().Add(leaveDelay)
	}
	return vl.ended == 0
}

func (v *vrrpPart) expireVLinks(now time.Time) {
	vl := &v.vl
	if p := vl.pending; p != nil && !now.Before(p.until) {
		v.prepared(now)
	}
	if !vl.endAt.IsZero() && !now.Before(vl.endAt) {
		vl.endAt = time.Time{}
		vl.wish = netlink.LinkWish{}
		vl.links.Want(vl.wish, func(netlink.LinkOutcome) {
			vl.filter.Remove(func(error) { // not before: a link that goes still has something to say
				vl.ended = 0
				v.maybeEnd(time.Now())
			})
		})
	}
	for r, at := range maps.Clone(vl.extraDue) {
		if now.Before(at) {
			continue
		}
		vl.extraDue[r] = at.Add(r.m.Instance().ExtraIf.Interval)
		if vl.extraDue[r].Before(now) {
			vl.extraDue[r] = now.Add(r.m.Instance().ExtraIf.Interval)
		}
		v.queue.Add(now, r.slot, v.extraTargets(r.m.Instance()), 1)
	}
}

func (v *vrrpPart) vlinksDeadline() time.Time {
	d := v.vl.endAt
	if p := v.vl.pending; p != nil {
		d = p.until
	}
	for _, at := range v.vl.extraDue {
		if d.IsZero() || at.Before(d) {
			d = at
		}
	}
	return d
}

// armExtra starts or stops the announcing on interfaces without adverts.
func (v *vrrpPart) armExtra(now time.Time, r *router, master bool) {
	if every := r.m.Instance().ExtraIf.Interval; master && every > 0 {
		if v.vl.extraDue[r].IsZero() {
			v.vl.extraDue[r] = now.Add(every)
		}
		return
	}
	delete(v.vl.extraDue, r)
}

// extraTargets is one address of each interface that has addresses of the instance but none of its adverts: a switch has to be told
// now and then where its MAC address is.
func (v *vrrpPart) extraTargets(i *model.Instance) (out []announce.Target) {
	all := addresses(i)
	for _, name := range i.ExtraInterfaces() {
		first := slices.IndexFunc(all, func(a model.Address) bool { return a.Interface == name })
		if t, ok := v.target(name, all[first].Prefix.Addr()); ok {
			out = append(out, t)
		}
	}
	return out
}
