package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/announce"
	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
	"github.com/keepalived-go/keepalived-go/internal/sys/rawnet"
)

// namespace is one network namespace: what is known of it, and what is open in it. Names and indexes of interfaces mean something within
// one only. In its methods conf, routers, log and ctx are its own, not those of all.
type namespace struct {
	*vrrpPart
	name    string
	log     *slog.Logger
	conf    *model.VRRP // what concerns it
	routers []*router   // those of conf, in its order

	ctx   context.Context // of the goroutines
	watch *netlink.Watch
	lane  *netlink.Lane
	frame *rawnet.Sender
	vl    vlinks

	host     hostnet.Host          // what the kernel is known to have
	missing  map[hostnet.Addr]lost // addresses of ours that went
	gone     []lostRouting         // routes and rules of ours that went
	routing  *netlink.RoutingWatch // nil until there is one to watch
	statics  statics
	beats    linkbeats
	debounce *track.Debounce
	sockets  map[rawnet.Spec]*socket
	sources  map[sourceKey]netip.Addr // addresses that were said to be assigned
	vips     map[netip.Addr][]int     // all virtual addresses, and the places in routers that have them
}

func (v *vrrpPart) newNamespace(name string) *namespace {
	ns := &namespace{vrrpPart: v, name: name, log: v.log, conf: v.conf, ctx: v.ctx, sockets: map[rawnet.Spec]*socket{}, sources: map[sourceKey]netip.Addr{}}
	v.nets = append(v.nets, ns)
	return ns
}

// open connects to the kernel.
func (ns *namespace) open() error {
	ns.log.Info("Registering Kernel netlink reflector")
	var err error
	if ns.watch, err = netlink.OpenWatch(ns.conf.MonitorRxBuf); err != nil {
		return fmt.Errorf("watch the kernel's links and addresses: %w", err)
	}
	ns.log.Info("Registering Kernel netlink command channel")
	if ns.lane, err = netlink.OpenLane(ns.log, ns.post, ns.conf.CommandRxBuf); err != nil {
		ns.watch.Close()
		return fmt.Errorf("open address lane: %w", err)
	}
	ns.watch.Own(ns.lane)
	ns.log.Info("Registering gratuitous ARP shared channel")
	if ns.frame, err = rawnet.OpenSender(); err != nil {
		ns.watch.Close()
		ns.lane.Close()
		return fmt.Errorf("open frame socket: %w", err)
	}
	if err := ns.openVLinks(); err != nil {
		ns.watch.Close()
		ns.lane.Close()
		ns.frame.Close()
		return err
	}
	return nil
}

// post runs f on the loop.
func (ns *namespace) post(f func()) { ns.part.Post(func(time.Time) { f() }) }

// run starts what serves the connections.
func (ns *namespace) run() {
	ns.runVLinks()
	supervise(ns.ctx, ns.part, ns.log, "address lane", func() error { return ns.lane.Run(ns.ctx) })
	supervise(ns.ctx, ns.part, ns.log, "netlink watch", func() error {
		return ns.watch.Run(ns.ctx, func(events []hostnet.Event) {
			ns.part.Post(func(now time.Time) { ns.net(now, events) })
		})
	})
}

// configure takes over what is to run.
func (v *vrrpPart) configure(conf *model.VRRP) {
	v.conf = conf
	for _, ns := range v.nets {
		ns.conf = conf
	}
}

// setRouters takes over which routers there are, in the order of the configuration.
func (v *vrrpPart) setRouters(routers []*router) {
	v.routers = routers
	for _, ns := range v.nets {
		ns.routers = nil
	}
	for _, r := range routers {
		r.ns.routers = append(r.ns.routers, r)
	}
}

// start begins with the configuration; the host is known.
func (ns *namespace) start(now time.Time) {
	ns.collectVirtual()
	ns.debounce = track.NewDebounce(ns.conf.IfDebounce)
	ns.pollLinks()
	for _, l := range ns.host.Links() {
		ns.debounce.Link(now, l.Name, ns.linkUp(l), l.Flags)
	}
	ns.linkFacts()
	ns.watchRouting()
}

// follow takes over the configuration of a reload.
func (ns *namespace) follow(now time.Time) {
	ns.collectVirtual()
	ns.watchRouting()
	ns.reloadStatics()
	ns.debounce.Reconfigure(now, ns.conf.IfDebounce)
	ns.pollLinks()
	ns.linkFacts()
}

// removeStale takes from the interfaces what a daemon that did not end well has left there.
func (ns *namespace) removeStale() {
	list := ns.flags.Stale
	for k := range ns.conf.Instances {
		i := &ns.conf.Instances[k]
		list.Add(i.Objects())
		for _, line := range vrrp.Removing(i) {
			logging.Detail(ns.log, line)
		}
	}
	ns.lane.RemoveStale(list)
	ns.lane.RemoveStale(ns.conf.Statics)
	ns.ownStatics(ns.conf.Statics)
}

// together has all wishes that f makes carried out as one, so that an address which moves between instances is never missing.
func (v *vrrpPart) together(f func()) {
	for _, ns := range v.nets {
		inner := f
		f = func() { ns.lane.Together(inner) }
	}
	f()
}

// refreshAll gives all routers the source address and the socket that fit the host as it is.
func (v *vrrpPart) refreshAll(now time.Time) {
	for _, ns := range v.nets {
		ns.refresh(now, all)
	}
}

func (ns *namespace) target(ifName string, a netip.Addr) (announce.Target, bool) {
	l, ok := ns.host.Link(ifName)
	if !ok || !a.IsValid() {
		return announce.Target{}, false
	}
	t := announce.Target{Addr: a, IfIndex: l.Index, IfName: l.Name, MAC: l.MAC, NoARP: l.NoARP()}
	if base, ok := ns.host.LinkAt(l.Parent); ok && ns.virtualLink(l.Name) {
		t.Base = base.Name
	}
	if a.Is6() {
		t.Router = netlink.Forwarding(l.Name)
	}
	return t, true
}
