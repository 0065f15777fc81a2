package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/announce"
	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
	"github.com/keepalived-go/keepalived-go/internal/sys/rawnet"
)

// departPatience is how long a namespace that is to be left may take to let go of what is ours in it.
const departPatience = time.Second

// namespace is one network namespace: what is known of it, and what is open in it. Names and indexes of interfaces mean something within
// one only. In its methods conf, routers, log and ctx are its own, not those of all.
//
// That which the process runs in is there from the start to the end. Another is opened when there is one of its name, and its host read;
// from then on it is known, and its routers can work. When its name goes, means another, or is no longer configured, its routers go to FAULT
// and let go of everything, as the namespace itself may live on; then it is closed. Its routers stay in FAULT while it is not known.
type namespace struct {
	*vrrpPart
	name    string
	log     *slog.Logger
	conf    *model.VRRP // what concerns it
	next    *model.VRRP // the same of a reload under way; nil: none
	routers []*router   // those of conf, in its order
	stale   model.Objects
	blamed  string // why it is not open, as logged

	open     bool
	known    bool      // the host has been read
	departs  time.Time // when it is closed at the latest; zero: it is not being left
	id       netns.ID
	space    *netns.Space    // nil: that which the process runs in
	ctx      context.Context // of the goroutines
	cancel   context.CancelFunc
	watch    *netlink.Watch
	lane     *netlink.Lane
	frame    *rawnet.Sender
	routing  *netlink.RoutingWatch // nil until there is something to watch
	vl       vlinks
	host     hostnet.Host          // what the kernel is known to have
	missing  map[hostnet.Addr]lost // addresses of ours that went
	gone     []lostRouting         // routes and rules of ours that went
	statics  statics
	beats    linkbeats
	debounce *track.Debounce
	sockets  map[rawnet.Spec]*socket
	sources  map[sourceKey]netip.Addr // addresses that were said to be assigned
	vips     map[netip.Addr][]int     // all virtual addresses, and the places in routers that have them
}

// namespace returns the namespace of a name, which may not be open.
func (v *vrrpPart) namespace(name string) *namespace {
	if i := slices.IndexFunc(v.nets, func(ns *namespace) bool { return ns.name == name }); i >= 0 {
		return v.nets[i]
	}
	ns := &namespace{vrrpPart: v, name: name, log: v.log, conf: v.conf.In(name), stale: v.flags.Stale[name], cancel: func() {}}
	if name != "" {
		ns.log = v.log.With("netns", name)
	}
	ns.forget()
	v.nets = append(v.nets, ns)
	return ns
}

// forget is what is known of a namespace that is not open.
func (ns *namespace) forget() {
	ns.open, ns.known, ns.departs, ns.id = false, false, time.Time{}, netns.ID{}
	ns.space, ns.watch, ns.lane, ns.frame, ns.routing = nil, nil, nil, nil, nil
	ns.vl, ns.host, ns.missing, ns.gone, ns.statics, ns.beats = vlinks{}, hostnet.Host{}, nil, nil, statics{}, linkbeats{}
	ns.debounce = track.NewDebounce(nil)
	ns.sockets, ns.sources, ns.vips = map[rawnet.Spec]*socket{}, map[sourceKey]netip.Addr{}, nil
}

// plan is the configuration that is wanted, be it in force or not.
func (ns *namespace) plan() *model.VRRP {
	if ns.next != nil {
		return ns.next
	}
	return ns.conf
}

// works reports whether the routers can work as far as it depends on the namespace.
func (ns *namespace) works() bool { return ns.known && ns.departs.IsZero() }

// connect opens what is needed of the kernel, in the calling thread's network namespace.
func (ns *namespace) connect() (err error) {
	ns.ctx, ns.cancel = context.WithCancel(ns.vrrpPart.ctx)
	say := func(line string) {
		if ns == ns.home {
			ns.log.Info(line)
		}
	}
	say("Registering Kernel netlink reflector")
	if ns.watch, err = netlink.OpenWatch(ns.conf.MonitorRxBuf, ns.space); err != nil {
		return fmt.Errorf("watch the kernel's links and addresses: %w", err)
	}
	say("Registering Kernel netlink command channel")
	if ns.lane, err = netlink.OpenLane(ns.log, ns.poster(), ns.conf.CommandRxBuf); err != nil {
		ns.watch.Close()
		return fmt.Errorf("open address lane: %w", err)
	}
	ns.watch.Own(ns.lane)
	say("Registering gratuitous ARP shared channel")
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
	ns.open = true
	return nil
}

// poster returns what runs a function on the loop, unless the namespace has been closed by then.
func (ns *namespace) poster() func(func()) {
	ctx := ns.ctx
	return func(f func()) {
		ns.part.Post(func(time.Time) {
			if ctx.Err() == nil {
				f()
			}
		})
	}
}

// serve keeps run running until the namespace is closed, and closes what it served then.
func (ns *namespace) serve(name string, run func(context.Context) error, closeIt func() error) {
	ctx := ns.ctx
	supervise(ctx, ns.part, ns.log, name, func() error {
		err := run(ctx)
		if ctx.Err() != nil {
			_ = closeIt()
		}
		return err
	})
}

// run starts what serves the connections.
func (ns *namespace) run() {
	ns.runVLinks()
	ns.serve("address lane", ns.lane.Run, ns.lane.Close)
	post, watch := ns.poster(), ns.watch
	ns.serve("netlink watch", func(ctx context.Context) error {
		return watch.Run(ctx, func(events []hostnet.Event) { post(func() { ns.net(time.Now(), events) }) })
	}, watch.Close)
}

// enter opens the namespace if there is one of its name.
func (ns *namespace) enter() {
	space, err := netns.Open(ns.name)
	if err == nil {
		ns.space, ns.id = space, space.ID()
		if i := slices.IndexFunc(ns.nets, func(o *namespace) bool { return o != ns && o.id == ns.id }); i >= 0 {
			err = fmt.Errorf("it is that of %s", called(ns.nets[i].name))
		} else {
			err = space.Do(ns.connect)
		}
		if err != nil {
			space.Close()
			ns.forget()
			ns.cancel()
		}
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		ns.complain("Network namespace %s does not exist", ns.name)
	case err != nil:
		ns.complain("Network namespace %s cannot be used: %v", ns.name, err)
		if ns.reopen.IsZero() {
			ns.reopen = time.Now().Add(reopenDelay)
		}
	default:
		ns.blamed = ""
		ns.vrrpPart.log.Info(fmt.Sprintf("Network namespace %s opened", ns.name))
		ns.run()
	}
}

// reenter tries again to open the namespaces that could not be used. Of those that do not exist the watch tells.
func (v *vrrpPart) reenter(now time.Time) {
	for _, ns := range v.nets {
		if ns.blamed != "" {
			ns.look(now)
		}
	}
}

// called is what a namespace is called in the log.
func called(namespace string) string {
	if namespace == "" {
		return "the process"
	}
	return namespace
}

// complain logs why the namespace cannot be used, once.
func (ns *namespace) complain(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); line != ns.blamed {
		ns.blamed = line
		ns.vrrpPart.log.Error(line)
	}
}

// look follows what has become of the namespace's name, and of the wish for it.
func (ns *namespace) look(now time.Time) {
	wanted := len(ns.conf.Instances) > 0 || len(ns.plan().Instances) > 0
	switch {
	case ns.name == "" || ns.stopping || !ns.departs.IsZero():
	case !ns.open && wanted:
		ns.enter()
	case !ns.open:
		if !ns.inUse() {
			ns.vrrpPart.nets = slices.DeleteFunc(slices.Clone(ns.nets), func(o *namespace) bool { return o == ns })
		}
	case !wanted:
		ns.depart(now)
	default:
		if id, err := netns.Lookup(ns.name); err != nil || id != ns.id {
			ns.vrrpPart.log.Error(fmt.Sprintf("Network namespace %s is gone", ns.name))
			ns.depart(now)
		}
	}
}

// inUse reports whether there are routers, even leaving ones.
func (ns *namespace) inUse() bool {
	return slices.ContainsFunc(ns.slots, func(r *router) bool { return r != nil && r.ns == ns })
}

// arrive has the routers work in a namespace that has become known.
func (ns *namespace) arrive(now time.Time) {
	ns.start(now)
	ns.removeStale()
	ns.askLinks(ns.plan(), nil)
	ns.tell(now)
	ns.tellRouters(now)
	ns.refresh(now, all)
	ns.flush(now)
}

// tellRouters tells the routers whether their namespace works.
func (ns *namespace) tellRouters(now time.Time) {
	for _, r := range ns.routers {
		ns.tellFaults(now, r)
	}
}

// depart has everything given up that is ours in the namespace, and then closes it.
func (ns *namespace) depart(now time.Time) {
	ns.departs = now.Add(departPatience)
	if ns.departAt.IsZero() {
		ns.departAt = ns.departs
	}
	ns.tellRouters(now)
	ns.flush(now)
	ns.leave(now)
}

// leave closes a namespace that is being left if nothing is ours in it any more, or the time for that is over.
func (ns *namespace) leave(now time.Time) {
	if ns.departs.IsZero() {
		return
	}
	busy := slices.ContainsFunc(ns.slots, func(r *router) bool { return r != nil && r.ns == ns && r.waits })
	if now.Before(ns.departs) && (busy || !ns.endVLinks()) {
		return
	}
	ns.shut(now)
	ns.look(now)
}

// shut closes everything that is open in the namespace.
func (ns *namespace) shut(now time.Time) {
	ns.cancel()
	var waiting []*router
	for _, r := range ns.slots {
		if r == nil || r.ns != ns {
			continue
		}
		ns.release(r)
		if r.owned = false; r.waits {
			waiting = append(waiting, r)
		}
	}
	frame, space := ns.frame, ns.space
	ns.closeLater(func() { frame.Close(); space.Close() })
	ns.forget()
	if ns.running {
		ns.linkFacts()
		ns.tell(now)
	}
	for _, r := range waiting {
		ns.settled(now, r, nil)
	}
	ns.tellRouters(now)
	ns.vrrpPart.log.Info(fmt.Sprintf("Network namespace %s closed", ns.name))
	ns.maybeEnd(now)
}

// closeLater has f, which closes something, called on a goroutine: a packet socket takes the kernel some 10 ms.
func (v *vrrpPart) closeLater(f func()) {
	if v.closing = append(v.closing, f); len(v.closing) == 1 {
		v.closeNext()
	}
}

func (v *vrrpPart) closeNext() {
	f := v.closing[0]
	v.part.Go("close of sockets", func() error { f(); return nil }, func(time.Time, error) {
		if v.closing = v.closing[1:]; len(v.closing) > 0 {
			v.closeNext()
		}
	})
}

// planNamespaces has the namespaces opened that a configuration needs.
func (v *vrrpPart) planNamespaces(conf *model.VRRP) {
	names := conf.Namespaces()
	if len(names) == 0 && len(v.nets) == 1 {
		v.home.next = conf.In("")
		if v.names != nil {
			v.names.Set(nil)
		}
		return
	}
	for _, name := range names {
		v.namespace(name)
	}
	all := make([]string, len(v.nets))
	for i, ns := range v.nets {
		ns.next = conf.In(ns.name)
		all[i] = ns.name
	}
	first := v.names == nil
	if first {
		v.names = &netns.Watch{}
	}
	v.names.Set(all[1:])
	if first {
		supervise(v.ctx, v.part, v.log, "watch of network namespaces", func() error {
			return v.names.Run(v.ctx, func(name string) {
				v.part.Post(func(now time.Time) { v.look(now, name) })
			})
		})
	}
	idle := len(v.entering) == 0
	v.entering = nil
	for _, ns := range v.nets {
		if !ns.open {
			v.entering = append(v.entering, ns)
		}
	}
	if idle && len(v.entering) > 0 {
		v.part.Post(v.enterNext)
	}
}

// enterNext opens the namespaces that a configuration needs, one in each pass of the loop, so that the adverts of others are on time.
func (v *vrrpPart) enterNext(now time.Time) {
	if len(v.entering) == 0 {
		return
	}
	ns := v.entering[0]
	v.entering = v.entering[1:]
	if ns.look(now); ns.open && v.pending != nil {
		v.pending.ask(ns)
	}
	v.prepared(now)
	if len(v.entering) > 0 {
		v.part.Post(v.enterNext)
	}
}

// look follows what has become of a namespace's name.
func (v *vrrpPart) look(now time.Time, name string) {
	if i := slices.IndexFunc(v.nets, func(ns *namespace) bool { return ns.name == name }); i >= 0 {
		v.nets[i].look(now)
	}
}

// configure takes over what is to run.
func (v *vrrpPart) configure(conf *model.VRRP) {
	v.conf = conf
	for _, ns := range v.nets {
		ns.conf, ns.next = conf.In(ns.name), nil
	}
}

// tidy leaves the namespaces that are not configured any more.
func (v *vrrpPart) tidy(now time.Time) {
	for _, ns := range v.nets { // a copy, as look may shorten it
		if len(ns.conf.Instances) == 0 {
			ns.look(now)
		}
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
	if !ns.known {
		return // it will, when it starts
	}
	ns.collectVirtual()
	ns.watchRouting()
	ns.reloadStatics()
	ns.debounce.Reconfigure(now, ns.conf.IfDebounce)
	ns.pollLinks()
	ns.linkFacts()
}

// removeStale takes from the interfaces what a daemon that did not end well has left there.
func (ns *namespace) removeStale() {
	list := ns.stale
	ns.stale = model.Objects{}
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
		if inner := f; ns.open {
			f = func() { ns.lane.Together(inner) }
		}
	}
	f()
}

// refreshAll gives all routers the source address and the socket that fit the host as it is.
func (v *vrrpPart) refreshAll(now time.Time) {
	for _, ns := range v.nets {
		ns.refresh(now, all)
	}
}

// expireDepartures closes the namespaces that are being left for too long.
func (v *vrrpPart) expireDepartures(now time.Time) {
	if v.departAt.IsZero() || now.Before(v.departAt) {
		return
	}
	v.departAt = time.Time{}
	for _, ns := range v.nets {
		if at := ns.departs; !at.IsZero() && !now.Before(at) {
			ns.leave(now)
		} else if !at.IsZero() && (v.departAt.IsZero() || at.Before(v.departAt)) {
			v.departAt = at
		}
	}
}

func (ns *namespace) target(ifName string, a netip.Addr) (announce.Target, bool) {
	l, ok := ns.host.Link(ifName)
	if !ok || !a.IsValid() {
		return announce.Target{}, false
	}
	t := announce.Target{Addr: a, Namespace: ns.name, IfIndex: l.Index, IfName: l.Name, MAC: l.MAC, NoARP: l.NoARP()}
	if base, ok := ns.host.LinkAt(l.Parent); ok && ns.virtualLink(l.Name) {
		t.Base = base.Name
	}
	if a.Is6() {
		_ = ns.space.Do(func() error { t.Router = netlink.Forwarding(l.Name); return nil })
	}
	return t, true
}
