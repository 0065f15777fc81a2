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
	spec   rawnet.Spec
	conn   *rawnet.Conn // nil: could not be opened, or has failed
	users  []*router
	found  int    // the place in users of the router that the last advert was for
	pass   uint64 // the last Expire that drained it
	rxBuf  int    // configured size of the receive buffer, all users together; 0: none
	bufSet int    // what the kernel was told
}

// net takes over what the kernel reports.
func (ns *namespace) net(now time.Time, events []hostnet.Event) {
	synced, waked := false, ns.known
	touched := map[string]bool{} // interfaces whose routers have to look again
	for _, ev := range events {
		switch ev.Kind {
		case hostnet.Synced:
			synced = true
		case hostnet.LinkNew, hostnet.LinkDel:
			ns.link(now, ev, touched)
		case hostnet.AddrNew, hostnet.AddrDel:
			if ns.addr(ev, touched) && ev.Kind == hostnet.AddrDel && !ev.Ours && ns.running && (ns.virtual(ev.Addr.Prefix.Addr()) || ns.static(ev.Addr)) {
				ns.miss(now, ev.Addr, ev.By)
			}
		}
	}
	ns.known = ns.known || synced
	switch {
	case ns.stopping:
	case !ns.running && ns == ns.home && synced && ns.pending == nil:
		ns.prepare(now, &ns.model.VRRP, ns.begin)
	case ns.running && ns.known && !waked:
		ns.arrive(now)
	case ns.running && ns.known:
		ns.refresh(now, func(name string) bool { return touched[name] })
		ns.flush(now)
	}
	ns.linksChanged(now, touched)
	ns.prepared(now)
}

func (ns *namespace) link(now time.Time, ev hostnet.Event, touched map[string]bool) {
	was, known := ns.host.LinkAt(ev.Link.Index)
	if !ns.host.Apply(ev) {
		return
	}
	touched[was.Name], touched[ev.Link.Name] = true, true
	if !ns.running || ns.stopping || !ns.known {
		return
	}
	is, exists := ns.host.LinkAt(ev.Link.Index)
	if known && (!exists || was.Name != is.Name) {
		if ns.used(was.Name) {
			ns.log.Info(fmt.Sprintf("Interface %s deleted", was.Name))
		}
		ns.debounce.Gone(was.Name)
		ns.fact(now, ns.linkFact(was.Name))
		known = false
	}
	if !exists {
		return
	}
	if is.Up() && (!known || !was.Up()) {
		// Differs from keepalived: IPv4 routes go with their link without a word; it sets only those again that name the interface.
		ns.lane.Refresh()
		ns.linkStatics(is.Name)
	}
	ns.linkState(now, is, known)
}

// linkState takes over whether a link is up; known is false for a new one.
func (ns *namespace) linkState(now time.Time, is hostnet.Link, known bool) {
	changed, delayed := ns.debounce.Link(now, is.Name, ns.linkUp(is), is.Flags)
	switch {
	case !ns.used(is.Name):
	case !known && !ns.virtualLink(is.Name):
		ns.log.Info(fmt.Sprintf("Interface %s added", is.Name))
	case !known:
		if ns.debounce.Up(is.Name) {
			ns.sayLink(is.Name)
		}
	case changed:
		ns.sayLink(is.Name)
	case delayed != "":
		logging.Detail(ns.log, delayed)
	}
	// A link that comes back may have got its addresses while it was away.
	ns.refresh(now, func(name string) bool { return name == is.Name })
	ns.fact(now, ns.linkFact(is.Name))
}

func (ns *namespace) sayLink(name string) {
	state := "down"
	if ns.debounce.Up(name) {
		state = "up"
	}
	who := "Netlink"
	if _, polled := ns.beats.up[name]; polled {
		who = "Linkbeat"
	}
	ns.log.Info(fmt.Sprintf("%s reports %s %s", who, name, state))
}

// expireLinks acts on changes of links that have lasted long enough.
func (ns *namespace) expireLinks(now time.Time) {
	for name, ok := ns.debounce.Due(now); ok; name, ok = ns.debounce.Due(now) {
		if ns.used(name) {
			ns.sayLink(name)
		}
		ns.fact(now, ns.linkFact(name))
	}
}

// used reports whether a router has something to do with an interface.
func (ns *namespace) used(name string) bool {
	if slices.Contains(ns.track.Links(ns.name), name) {
		return true
	}
	return slices.ContainsFunc(ns.routers, func(r *router) bool { return r.m.Instance().Interface == name || r.m.Instance().VRF == name })
}

// linkFact is what the trackers have to know of a link.
func (ns *namespace) linkFact(name string) track.Fact {
	_, ok := ns.host.Link(name)
	return track.Fact{Kind: track.Link, Namespace: ns.name, Name: name, Exists: ok, Up: ok && ns.debounce.Up(name)}
}

// linkFacts tells the trackers of the links that they need to know; what that has for effects is to be told.
func (ns *namespace) linkFacts() {
	for _, name := range ns.track.Links(ns.name) {
		ns.effects = ns.track.Step(ns.linkFact(name), ns.effects)
	}
}

// addr reports whether the event is news.
func (ns *namespace) addr(ev hostnet.Event, touched map[string]bool) bool {
	if !ns.host.Apply(ev) {
		return false
	}
	// Virtual addresses come and go by the thousand, and matter to none but an owner who has no other.
	if l, ok := ns.host.LinkAt(ev.Addr.IfIndex); ok && (!ns.virtual(ev.Addr.Prefix.Addr()) || ns.poor(l.Name)) {
		touched[l.Name] = true
	}
	if ns.flags.AddressMonitoring {
		ns.sayAddress(ev)
	}
	return true
}

func (ns *namespace) sayAddress(ev hostnet.Event) {
	l, _ := ns.host.LinkAt(ev.Addr.IfIndex)
	verb := "added to"
	if ev.Kind == hostnet.AddrDel {
		verb = "removed from"
	}
	ns.log.Info(fmt.Sprintf("Netlink reflector reports IP %s %s %s", ev.Addr.Prefix.Addr(), verb, l.Name))
}

// poor reports whether a router on the interface has no source address, or one that is virtual.
func (ns *namespace) poor(ifName string) bool {
	return slices.ContainsFunc(ns.routers, func(r *router) bool {
		return r.m.Instance().SourceInterface() == ifName && (!r.source.IsValid() || ns.virtual(r.source))
	})
}

// all is every interface.
func all(string) bool { return true }

// refresh gives the routers on the interfaces the source address and the socket that fit the host as it is.
func (ns *namespace) refresh(now time.Time, on func(ifName string) bool) {
	ns.saySources(on)
	for _, r := range ns.routers {
		i := r.m.Instance()
		if !on(i.Interface) && !on(i.AdvertInterface()) && (i.VRF == "" || !on(i.VRF)) {
			continue
		}
		ns.resource(now, r)
		ns.resocket(now, r)
	}
}

// sourceKey is an interface and an address family.
type sourceKey struct {
	ifName string
	family model.Family
}

// saySources logs which address of each interface that a router uses is the one to send from.
func (ns *namespace) saySources(on func(ifName string) bool) {
	done := map[string]bool{}
	for _, r := range ns.routers {
		name := r.m.Instance().SourceInterface()
		l, ok := ns.host.Link(name)
		if name == "" || done[name] || !on(name) {
			continue
		}
		done[name] = true
		for _, f := range []model.Family{model.IPv4, model.IPv6} {
			k := sourceKey{name, f}
			var is netip.Addr
			if ok {
				is, _ = ns.host.Source(l.Index, f, ns.virtual)
			}
			if was := ns.sources[k]; is != was {
				ns.sources[k] = is
				if was.IsValid() {
					logging.Detail(ns.log, fmt.Sprintf("Deassigned address %s from interface %s", was, name))
				}
				if is.IsValid() {
					logging.Detail(ns.log, fmt.Sprintf("Assigned address %s for interface %s", is, name))
				}
			}
		}
	}
}

// collectVirtual notes all addresses of the configuration, which nobody sends adverts from.
func (ns *namespace) collectVirtual() {
	ns.vips = map[netip.Addr][]int{}
	for i := range ns.conf.Instances {
		for _, a := range addresses(&ns.conf.Instances[i]) {
			ip := a.Prefix.Addr()
			ns.vips[ip] = append(ns.vips[ip], i)
		}
	}
}

func (ns *namespace) virtual(a netip.Addr) bool { return len(ns.vips[a]) > 0 }

// resource tells a router its source address if that has changed.
func (ns *namespace) resource(now time.Time, r *router) {
	i := r.m.Instance()
	src := ns.sourceOf(i)
	if src == r.source {
		return
	}
	r.source = src
	// The socket comes first: unicast ones are bound to the source.
	if src.IsValid() {
		ns.resocket(now, r)
	}
	ns.step(now, r, &vrrp.Event{Kind: vrrp.Source, Addr: src})
}

func (ns *namespace) sourceOf(i *model.Instance) netip.Addr {
	l, ok := ns.host.Link(i.SourceInterface())
	if i.SourceAddr.IsValid() {
		if i.TrackSourceAddr && ok && !ns.host.Has(l.Index, i.SourceAddr) {
			return netip.Addr{}
		}
		return i.SourceAddr
	}
	if !ok {
		return netip.Addr{}
	}
	src, ok := ns.host.Source(l.Index, i.Family, ns.virtual)
	if !ok && i.Priority == vrrp.Owner {
		// The owner proper: its virtual address is the one that the interface has.
		src, _ = ns.host.Source(l.Index, i.Family, func(netip.Addr) bool { return false })
	}
	return src
}

// resocket gives a router the socket that it needs.
func (ns *namespace) resocket(now time.Time, r *router) {
	spec, ok := ns.spec(r)
	if !ok {
		ns.release(r)
	} else if r.sock == nil || r.sock.spec != spec {
		ns.release(r)
		ns.acquire(r, spec)
	} else {
		r.sock.size(r)
		if r.sock.conn == nil {
			ns.openSocket(r.sock)
		}
	}
	if r.sock != nil && r.sock.conn == nil && ns.reopen.IsZero() {
		ns.reopen = now.Add(reopenDelay)
	}
	if deaf := ok && r.sock.conn == nil; deaf != r.noSock {
		r.noSock = deaf
		ns.tellFaults(now, r)
	}
}

// spec is what socket a router needs; none while its interface or its unicast source is missing, which is a fault anyway.
func (ns *namespace) spec(r *router) (rawnet.Spec, bool) {
	i := r.m.Instance()
	s := rawnet.Spec{Family: i.Family, AH: i.AuthType == model.AuthAH}
	if name := cmp.Or(i.AdvertInterface(), i.VRF); name != "" {
		l, ok := ns.host.Link(name)
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

func (ns *namespace) acquire(r *router, spec rawnet.Spec) {
	s := ns.sockets[spec]
	if s == nil {
		s = &socket{spec: spec}
		ns.sockets[spec] = s
	}
	s.users = append(s.users, r)
	r.sock = s
	s.size(r)
	if len(s.users) == 1 {
		ns.openSocket(s)
	}
}

// size gives the socket's receive buffer the room that r adds to it.
func (s *socket) size(r *router) {
	need := r.m.Instance().RxBuf
	s.rxBuf += need - r.rxBuf
	r.rxBuf = need
	if b := s.receiveBuffer(); s.conn != nil && b > 0 && b != s.bufSet {
		s.bufSet = b
		s.conn.SetReceiveBuffer(b)
	}
}

// A router's adverts are given advertRoom; the kernel gives a socket defaultRoom. It doubles both, and counts a packet as 0.8 to 2.3 KiB.
const (
	advertRoom  = 4 << 10
	defaultRoom = 104 << 10
)

// receiveBuffer is the size of the receive buffer, as configured or else what holds some adverts of each router: a master of many sends them all at once. 0: the
// kernel's default.
//
// Differs from keepalived: without vrrp_rx_bufs_policy a socket of more than 26 routers is given more than the kernel's default.
func (s *socket) receiveBuffer() int {
	if need := advertRoom * len(s.users); s.rxBuf == 0 && need > defaultRoom {
		return need
	}
	return s.rxBuf
}

func (ns *namespace) release(r *router) {
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
	delete(ns.sockets, s.spec)
	ns.closeSocket(s)
}

func (ns *namespace) openSocket(s *socket) {
	var conn *rawnet.Conn
	err := ns.space.Do(func() (err error) {
		s.bufSet = s.receiveBuffer()
		conn, err = rawnet.Open(s.spec, s.bufSet)
		return err
	})
	if err == nil {
		in, _ := conn.FDs()
		if err = ns.part.Watch(in, func(now time.Time) { ns.read(now, s); ns.flush(now) }); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		ns.log.Error(err.Error())
		return
	}
	s.conn = conn
	kind, addr := "multicast", s.spec.Group
	if !addr.IsValid() {
		kind, addr = "unicast", s.spec.Source
	}
	logging.Detail(ns.log, fmt.Sprintf("VRRP sockpool: [ifindex(%3d), family(%s), proto(%d), %s, address(%s)]",
		s.spec.IfIndex, s.spec.Family, s.spec.Protocol(), kind, addr))
}

func (ns *namespace) closeSocket(s *socket) {
	if s.conn == nil {
		return
	}
	in, _ := s.conn.FDs()
	ns.part.Unwatch(in)
	s.conn.Close()
	s.conn = nil
}

// read gives the routers what has arrived on a socket.
func (ns *namespace) read(now time.Time, s *socket) {
	if s.conn == nil {
		return
	}
	packets, err := s.conn.Take()
	for i := range packets {
		p := &packets[i]
		vrid, ok := p.VRID()
		if !ok {
			continue
		}
		if r := s.find(vrid, p.Src); r != nil {
			ns.step(now, r, &vrrp.Event{Kind: vrrp.Received, Packet: *p})
		} else if ns.conf.LogUnknownVRIDs {
			ns.log.Info(fmt.Sprintf("Unknown VRID(%d) received on interface(%s). ignoring...", vrid, s.spec.IfName))
		}
	}
	if err == nil || s.conn == nil {
		return
	}
	ns.log.Error(err.Error())
	ns.closeSocket(s)
	ns.reopen = now.Add(reopenDelay)
	for _, r := range s.users {
		r.noSock = true
		ns.tellFaults(now, r)
	}
}

// find returns the router that an advert is for. Of several unicast ones with the VRID it is that with the sender as a peer. A master of many routers mostly
// sends in the order that they have here too, so the search begins behind the last that was found.
func (s *socket) find(vrid uint8, src netip.Addr) (found *router) {
	for k := range s.users {
		at := (s.found + 1 + k) % len(s.users)
		r := s.users[at]
		i := r.m.Instance()
		if i.VRID != vrid {
			continue
		}
		if len(i.Peers) == 0 || slices.ContainsFunc(i.Peers, func(p model.Peer) bool { return p.Addr == src }) {
			s.found = at
			return r
		}
		if found == nil {
			found = r
		}
	}
	return found
}
