package engine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/rawnet"
)

// reopenDelay is how long a socket that failed rests.
const reopenDelay = time.Second

// socket is one pair of protocol-112 sockets and the routers that share it.
type socket struct {
	spec  rawnet.Spec
	conn  *rawnet.Conn // nil: could not be opened, or has failed
	users []*router
	pass  uint64 // the last Expire that drained it
	rxBuf int    // size of the receive buffer, all users together; 0: the kernel's default
}

// net takes over what the kernel reports.
func (v *vrrpPart) net(now time.Time, events []hostnet.Event) {
	synced := false
	touched := map[string]bool{} // interfaces whose routers have to look again
	for _, ev := range events {
		switch ev.Kind {
		case hostnet.Synced:
			synced = true
		case hostnet.LinkNew, hostnet.LinkDel:
			v.link(now, ev, touched)
		case hostnet.AddrNew, hostnet.AddrDel:
			if v.addr(ev, touched) && ev.Kind == hostnet.AddrDel && !ev.Ours && v.running && (v.virtual(ev.Addr.Prefix.Addr()) || v.static(ev.Addr)) {
				v.miss(now, ev.Addr, ev.By)
			}
		}
	}
	switch {
	case synced && !v.running && !v.stopping && v.vl.pending == nil:
		v.prepare(now, &v.model.VRRP, v.begin)
	case v.running && !v.stopping:
		v.refresh(now, func(name string) bool { return touched[name] })
		v.flush(now)
	}
	v.linksChanged(now, touched)
}

func (v *vrrpPart) link(now time.Time, ev hostnet.Event, touched map[string]bool) {
	was, known := v.host.LinkAt(ev.Link.Index)
	if !v.host.Apply(ev) {
		return
	}
	touched[was.Name], touched[ev.Link.Name] = true, true
	if !v.running || v.stopping {
		return
	}
	is, exists := v.host.LinkAt(ev.Link.Index)
	if known && (!exists || was.Name != is.Name) {
		if v.used(was.Name) {
			v.log.Info(fmt.Sprintf("Interface %s deleted", was.Name))
		}
		v.debounce.Gone(was.Name)
		v.fact(now, track.Fact{Kind: track.Link, Name: was.Name})
		known = false
	}
	if !exists {
		return
	}
	if is.Up() && (!known || !was.Up()) {
		// Differs from keepalived: IPv4 routes go with their link without a word; it sets only those again that name the interface.
		v.lane.Refresh()
		v.linkStatics(is.Name)
	}
	v.linkState(now, is, known)
}

// linkState takes over whether a link is up; known is false for a new one.
func (v *vrrpPart) linkState(now time.Time, is hostnet.Link, known bool) {
	changed, delayed := v.debounce.Link(now, is.Name, v.linkUp(is), is.Flags)
	switch {
	case !v.used(is.Name):
	case !known && !v.virtualLink(is.Name):
		v.log.Info(fmt.Sprintf("Interface %s added", is.Name))
	case !known:
		if v.debounce.Up(is.Name) {
			v.sayLink(is.Name)
		}
	case changed:
		v.sayLink(is.Name)
	case delayed != "":
		logging.Detail(v.log, delayed)
	}
	// A link that comes back may have got its addresses while it was away.
	v.refresh(now, func(name string) bool { return name == is.Name })
	v.fact(now, track.Fact{Kind: track.Link, Name: is.Name, Exists: true, Up: v.debounce.Up(is.Name)})
}

func (v *vrrpPart) sayLink(name string) {
	state := "down"
	if v.debounce.Up(name) {
		state = "up"
	}
	who := "Netlink"
	if _, polled := v.beats.up[name]; polled {
		who = "Linkbeat"
	}
	v.log.Info(fmt.Sprintf("%s reports %s %s", who, name, state))
}

// expireLinks acts on changes of links that have lasted long enough.
func (v *vrrpPart) expireLinks(now time.Time) {
	for name, ok := v.debounce.Due(now); ok; name, ok = v.debounce.Due(now) {
		if v.used(name) {
			v.sayLink(name)
		}
		v.fact(now, track.Fact{Kind: track.Link, Name: name, Exists: true, Up: v.debounce.Up(name)})
	}
}

// used reports whether a router has something to do with an interface.
func (v *vrrpPart) used(name string) bool {
	if slices.Contains(v.track.Links(), name) {
		return true
	}
	return slices.ContainsFunc(v.routers, func(r *router) bool { return r.m.Instance().Interface == name || r.m.Instance().VRF == name })
}

// linkFacts tells the trackers of the links that they need to know.
func (v *vrrpPart) linkFacts() {
	for _, name := range v.track.Links() {
		_, ok := v.host.Link(name)
		v.effects = v.track.Step(track.Fact{Kind: track.Link, Name: name, Exists: ok, Up: ok && v.debounce.Up(name)}, v.effects[:0])
	}
}

// addr reports whether the event is news.
func (v *vrrpPart) addr(ev hostnet.Event, touched map[string]bool) bool {
	if !v.host.Apply(ev) {
		return false
	}
	// Virtual addresses come and go by the thousand, and matter to none but an owner who has no other.
	if l, ok := v.host.LinkAt(ev.Addr.IfIndex); ok && (!v.virtual(ev.Addr.Prefix.Addr()) || v.poor(l.Name)) {
		touched[l.Name] = true
	}
	if v.flags.AddressMonitoring {
		v.sayAddress(ev)
	}
	return true
}

func (v *vrrpPart) sayAddress(ev hostnet.Event) {
	l, _ := v.host.LinkAt(ev.Addr.IfIndex)
	verb := "added to"
	if ev.Kind == hostnet.AddrDel {
		verb = "removed from"
	}
	v.log.Info(fmt.Sprintf("Netlink reflector reports IP %s %s %s", ev.Addr.Prefix.Addr(), verb, l.Name))
}

// poor reports whether a router on the interface has no source address, or one that is virtual.
func (v *vrrpPart) poor(ifName string) bool {
	return slices.ContainsFunc(v.routers, func(r *router) bool {
		return r.m.Instance().SourceInterface() == ifName && (!r.source.IsValid() || v.virtual(r.source))
	})
}

// all is every interface.
func all(string) bool { return true }

// refresh gives the routers on the interfaces the source address and the socket that fit the host as it is.
func (v *vrrpPart) refresh(now time.Time, on func(ifName string) bool) {
	v.saySources(on)
	for _, r := range v.routers {
		i := r.m.Instance()
		if !on(i.Interface) && !on(i.AdvertInterface()) && (i.VRF == "" || !on(i.VRF)) {
			continue
		}
		v.resource(now, r)
		v.resocket(now, r)
	}
}

// sourceKey is an interface and an address family.
type sourceKey struct {
	ifName string
	family model.Family
}

// saySources logs which address of each interface that a router uses is the one to send from.
func (v *vrrpPart) saySources(on func(ifName string) bool) {
	done := map[string]bool{}
	for _, r := range v.routers {
		name := r.m.Instance().SourceInterface()
		l, ok := v.host.Link(name)
		if name == "" || done[name] || !on(name) {
			continue
		}
		done[name] = true
		for _, f := range []model.Family{model.IPv4, model.IPv6} {
			k := sourceKey{name, f}
			var is netip.Addr
			if ok {
				is, _ = v.host.Source(l.Index, f, v.virtual)
			}
			if was := v.sources[k]; is != was {
				v.sources[k] = is
				if was.IsValid() {
					logging.Detail(v.log, fmt.Sprintf("Deassigned address %s from interface %s", was, name))
				}
				if is.IsValid() {
					logging.Detail(v.log, fmt.Sprintf("Assigned address %s for interface %s", is, name))
				}
			}
		}
	}
}

// collectVirtual notes all addresses of the configuration, which nobody sends adverts from.
func (v *vrrpPart) collectVirtual() {
	v.vips = map[netip.Addr][]int{}
	for i := range v.conf.Instances {
		for _, a := range addresses(&v.conf.Instances[i]) {
			ip := a.Prefix.Addr()
			v.vips[ip] = append(v.vips[ip], i)
		}
	}
}

func (v *vrrpPart) virtual(a netip.Addr) bool { return len(v.vips[a]) > 0 }

// resource tells a router its source address if that has changed.
func (v *vrrpPart) resource(now time.Time, r *router) {
	i := r.m.Instance()
	src := v.sourceOf(i)
	if src == r.source {
		return
	}
	r.source = src
	// The socket comes first: unicast ones are bound to the source.
	if src.IsValid() {
		v.resocket(now, r)
	}
	v.step(now, r, &vrrp.Event{Kind: vrrp.Source, Addr: src})
}

func (v *vrrpPart) sourceOf(i *model.Instance) netip.Addr {
	l, ok := v.host.Link(i.SourceInterface())
	if i.SourceAddr.IsValid() {
		if i.TrackSourceAddr && ok && !v.host.Has(l.Index, i.SourceAddr) {
			return netip.Addr{}
		}
		return i.SourceAddr
	}
	if !ok {
		return netip.Addr{}
	}
	src, ok := v.host.Source(l.Index, i.Family, v.virtual)
	if !ok && i.Priority == vrrp.Owner {
		// The owner proper: its virtual address is the one that the interface has.
		src, _ = v.host.Source(l.Index, i.Family, func(netip.Addr) bool { return false })
	}
	return src
}

// resocket gives a router the socket that it needs.
func (v *vrrpPart) resocket(now time.Time, r *router) {
	spec, ok := v.spec(r)
	if !ok {
		v.release(r)
	} else if r.sock == nil || r.sock.spec != spec {
		v.release(r)
		v.acquire(r, spec)
	} else {
		r.sock.size(r)
		if r.sock.conn == nil {
			v.openSocket(r.sock)
		}
	}
	if r.sock != nil && r.sock.conn == nil && v.reopen.IsZero() {
		v.reopen = now.Add(reopenDelay)
	}
	if deaf := ok && r.sock.conn == nil; deaf != r.noSock {
		r.noSock = deaf
		v.tellFaults(now, r)
	}
}

// spec is what socket a router needs; none while its interface or its unicast source is missing, which is a fault anyway.
func (v *vrrpPart) spec(r *router) (rawnet.Spec, bool) {
	i := r.m.Instance()
	s := rawnet.Spec{Family: i.Family, AH: i.AuthType == model.AuthAH}
	if name := cmp.Or(i.AdvertInterface(), i.VRF); name != "" {
		l, ok := v.host.Link(name)
		if !ok {
			return s, false
		}
		s.IfIndex, s.IfName = l.Index, l.Name
	}
	if len(i.Peers) > 0 {
		s.Source = r.source
		return s, s.Source.IsValid()
	}
	s.Group = i.Group
	return s, true
}

func (v *vrrpPart) acquire(r *router, spec rawnet.Spec) {
	s := v.sockets[spec]
	if s == nil {
		s = &socket{spec: spec}
		v.sockets[spec] = s
	}
	s.users = append(s.users, r)
	r.sock = s
	s.size(r)
	if len(s.users) == 1 {
		v.openSocket(s)
	}
}

// size gives the socket's receive buffer room for what r needs now.
func (s *socket) size(r *router) {
	need := r.m.Instance().RxBuf
	if need == r.rxBuf {
		return
	}
	s.rxBuf += need - r.rxBuf
	r.rxBuf = need
	if s.conn != nil && s.rxBuf > 0 {
		s.conn.SetReceiveBuffer(s.rxBuf)
	}
}

func (v *vrrpPart) release(r *router) {
	s := r.sock
	if s == nil {
		return
	}
	r.sock = nil
	s.rxBuf -= r.rxBuf
	r.rxBuf = 0
	s.users = slices.DeleteFunc(s.users, func(o *router) bool { return o == r })
	if len(s.users) > 0 {
		return
	}
	delete(v.sockets, s.spec)
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

func (v *vrrpPart) openSocket(s *socket) {
	read := func(now time.Time) {
		v.read(now, s)
		v.flush(now)
	}
	conn, err := rawnet.Open(s.spec, s.rxBuf, func() { v.part.Post(read) })
	if err != nil {
		v.log.Error(err.Error())
		return
	}
	s.conn = conn
	kind, addr := "multicast", s.spec.Group
	if !addr.IsValid() {
		kind, addr = "unicast", s.spec.Source
	}
	logging.Detail(v.log, fmt.Sprintf("VRRP sockpool: [ifindex(%3d), family(%s), proto(%d), %s, address(%s)]",
		s.spec.IfIndex, s.spec.Family, s.spec.Protocol(), kind, addr))
	v.part.Go("reader of "+s.spec.IfName, conn.Run, func(now time.Time, err error) {
		if err == nil || s.conn != conn {
			return
		}
		v.log.Error(err.Error())
		conn.Close()
		s.conn = nil
		v.reopen = now.Add(reopenDelay)
		for _, r := range s.users {
			r.noSock = true
			v.tellFaults(now, r)
		}
	})
}

// read gives the routers what has arrived on a socket.
func (v *vrrpPart) read(now time.Time, s *socket) {
	if s.conn == nil {
		return
	}
	packets := s.conn.Take()
	for i := range packets {
		p := &packets[i]
		vrid, ok := p.VRID()
		if !ok {
			continue
		}
		if r := s.find(vrid, p.Src); r != nil {
			v.step(now, r, &vrrp.Event{Kind: vrrp.Received, Packet: *p})
		} else if v.conf.LogUnknownVRIDs {
			v.log.Info(fmt.Sprintf("Unknown VRID(%d) received on interface(%s). ignoring...", vrid, s.spec.IfName))
		}
	}
}

// find returns the router that an advert is for. Of several unicast ones with the VRID it is that with the sender as a peer.
func (s *socket) find(vrid uint8, src netip.Addr) *router {
	var found *router
	for _, r := range s.users {
		i := r.m.Instance()
		if i.VRID != vrid {
			continue
		}
		if len(i.Peers) == 0 || slices.ContainsFunc(i.Peers, func(p model.Peer) bool { return p.Addr == src }) {
			return r
		}
		if found == nil {
			found = r
		}
	}
	return found
}
