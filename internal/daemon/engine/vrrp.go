package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/announce"
	"github.com/keepalived-go/keepalived-go/internal/core/notify"
	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/loop"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
	"github.com/keepalived-go/keepalived-go/internal/sys/probe"
	"github.com/keepalived-go/keepalived-go/internal/sys/watch"
)

// vrrpPart is the component of VRRP: virtual routers, sync groups, what they track and what they announce.
type vrrpPart struct {
	*engine
	log  *slog.Logger
	part *loop.Part
	conf *model.VRRP

	home *namespace      // the one that the process runs in
	nets []*namespace    // all, home first
	ctx  context.Context // of the goroutines

	routers    []*router // in configuration order
	byMachine  map[*vrrp.Machine]*router
	made       int       // routers so far
	unreleased int       // routers lost to a panic whose addresses are still there
	judgeAt    time.Time // when it is to be judged who took something of ours away
	pending    *pending
	endAt      time.Time             // when the interfaces that the daemon has made may go
	departAt   time.Time             // when a namespace that is being left has to be closed
	entering   []*namespace          // to be opened
	closing    []func()              // what is to be closed, the first by now
	names      *netns.Watch          // of the namespaces but home; nil until there is one
	extraDue   map[*router]time.Time // garp_extra_if
	slots      []*router             // by the number that due knows them by; nil: free
	due        loop.Deadlines        // of the routers, by slot
	leases     loop.Deadlines        // by slot: when the lifetimes of its addresses are set anew
	scriptDue  loop.Deadlines
	groups     map[string]*vrrp.Group
	track      *track.Set
	scripts    []*trackScript
	prober     *probe.Client // of track_tcp and the like; nil until one needs it
	lastProbe  uint64
	files      *watch.Files // nil until there is one to watch
	processes  processWatch
	queue      *announce.Queue
	pass       uint64    // of Expire
	reopen     time.Time // when sockets that failed are tried again
	delay      time.Time // end of the start-up delay, to be logged; zero: over
	began      time.Time // what vrrp_startup_delay counts from

	running     bool // machines are started
	initialised bool // track files have been made

	later   []pendingEvent
	actions []vrrp.Action
	frames  []announce.Frame
	queued  []queued // lines to be logged
	effects []track.Effect
	busy    bool           // actions are being carried out
	stopped []notify.Group // groups that have stopped: all instances are told of first
}

// router is one virtual router and what it uses.
type router struct {
	m     *vrrp.Machine
	ns    *namespace
	slot  int
	owner string // its name with the address lane
	sock  *socket
	rxBuf int // what it adds to the receive buffer of sock

	faults  faults     // last told by the trackers
	noSock  bool       // no socket can be opened: a fault
	source  netip.Addr // last told
	ident   uint16     // IP identification of the next advert
	buf     []byte
	sendErr error // last error of sending, logged once
	lines   allowance
	waits   bool            // the last Own or Disown has not settled
	owned   bool            // the lane knows of a wish
	seq     int             // of the last Own or Disown
	gen     uint32          // the same, as the machine counts
	held    []model.Address // asked for by Own, until a Disown has settled
	leaving bool            // a reload removed it: it goes when the kernel has let go of its addresses
}

// faults is what a Faults event tells.
type faults struct {
	Count  int
	Links  int // of these, interfaces that are down
	Reason string
	Init   bool
}

// pendingEvent is an event that came up while actions were carried out.
type pendingEvent struct {
	r  *router
	ev vrrp.Event
}

func newVRRP(e *engine) (*vrrpPart, error) {
	v := &vrrpPart{engine: e, log: e.Log.Role(logging.VRRP), conf: &e.model.VRRP, groups: map[string]*vrrp.Group{},
		byMachine: map[*vrrp.Machine]*router{}, extraDue: map[*router]time.Time{}, ctx: context.Background()}
	v.home = v.namespace("")
	if err := v.open(); err != nil {
		return nil, err
	}
	return v, nil
}

// open connects to the kernel. Everything else begins when the kernel has told what it has.
func (v *vrrpPart) open() error {
	if err := v.home.connect(); err != nil {
		return err
	}
	v.home.id, _ = netns.Current()
	v.part = v.loop.Add("vrrp", v)
	v.home.run()
	v.planNamespaces(v.conf)
	return nil
}

// begin starts everything from the model; the host is known.
func (v *vrrpPart) begin(now time.Time) {
	v.running = true
	v.configure(&v.model.VRRP)
	v.queue = announce.New(v.conf.GARPDelay)
	v.track = track.New(v.conf, nil)
	for _, ns := range v.nets {
		if ns.known {
			ns.start(now)
		}
	}
	v.initFiles()
	v.watchFiles()
	v.startProcesses(now)
	v.together(v.removeResidual)
	routers := make([]*router, len(v.conf.Instances))
	for i := range v.conf.Instances {
		routers[i] = v.newRouter(&v.conf.Instances[i])
	}
	v.setRouters(routers)
	for i := range v.conf.Groups {
		v.newGroup(&v.conf.Groups[i])
	}
	v.refreshAll(now)
	v.effects = v.track.All(v.effects[:0])
	v.tell(now)
	until := v.startDelay(now)
	for _, r := range v.routers {
		v.step(now, r, &vrrp.Event{Kind: vrrp.Start, Until: until})
	}
	for i := range v.conf.Scripts {
		v.addScript(now, &v.conf.Scripts[i])
	}
	v.flush(now)
	v.started()
}

// startDelay is when the timers begin to count; zero: at once.
func (v *vrrpPart) startDelay(now time.Time) time.Time {
	v.began = now
	if v.delay = v.delayEnd(now); !v.delay.IsZero() {
		v.log.Info(fmt.Sprintf("Delaying startup for %g seconds", v.delay.Sub(now).Seconds()))
	}
	return v.delay
}

// delayEnd is the end of the start-up delay as configured, zero if that has passed.
func (v *vrrpPart) delayEnd(now time.Time) time.Time {
	var up unix.Sysinfo_t
	if err := unix.Sysinfo(&up); err != nil {
		return delayEnd(v.conf, v.began, now, now)
	}
	return delayEnd(v.conf, v.began, now.Add(-time.Duration(up.Uptime)*time.Second), now)
}

// delayEnd is the end of vrrp_startup_delay since the daemon began, or of vrrp_delay_after_boot if that is later; zero if it has passed.
func delayEnd(conf *model.VRRP, began, boot, now time.Time) time.Time {
	end := began.Add(conf.StartupDelay)
	if after := boot.Add(conf.DelayAfterBoot); conf.DelayAfterBoot > 0 && after.After(end) {
		end = after
	}
	if !end.After(now) {
		return time.Time{}
	}
	return end
}

// redelay lets a reload change the start-up delay while it lasts.
func (v *vrrpPart) redelay(now time.Time) {
	if v.delay.IsZero() {
		return
	}
	was := v.delay
	// To the second, which is all that the time since boot is known by.
	if v.delay = v.delayEnd(now); v.delay.Sub(was).Abs() < time.Second && !v.delay.IsZero() {
		v.delay = was
		return
	}
	if v.delay.IsZero() {
		v.log.Info("Reduced delayed start passed")
	} else {
		v.log.Info(fmt.Sprintf("Delaying startup for a further %g seconds", v.delay.Sub(now).Round(time.Millisecond).Seconds()))
	}
	for _, r := range v.routers {
		v.step(now, r, &vrrp.Event{Kind: vrrp.Delayed, Until: v.delay})
	}
}

// removeResidual takes from the interfaces what a daemon that did not end well has left there.
func (v *vrrpPart) removeResidual() {
	for _, ns := range v.nets {
		if ns.known {
			ns.removeStale()
		}
	}
}

// addresses are all that an instance owns as master, in the order of setting them.
func addresses(i *model.Instance) []model.Address { return slices.Concat(i.VIPs, i.ExcludedVIPs) }

func (v *vrrpPart) newRouter(i *model.Instance) *router {
	r := &router{m: vrrp.New(i), ns: v.namespace(i.NetNamespace), owner: v.ownerName(i)}
	r.slot = slices.Index(v.slots, nil)
	if r.slot < 0 {
		r.slot = len(v.slots)
		v.slots = append(v.slots, nil)
	}
	r.m.Keep(v.conf.FlightRecorder)
	v.slots[r.slot] = r
	v.byMachine[r.m] = r
	return r
}

// ownerName is the lane's name of a new router; one that is removed and comes back is another.
func (v *vrrpPart) ownerName(i *model.Instance) string {
	v.made++
	return fmt.Sprintf("%s#%d", i.Name, v.made)
}

// drop forgets a router that has been removed.
func (v *vrrpPart) drop(r *router) {
	r.ns.release(r)
	v.due.Set(r.slot, time.Time{})
	v.leases.Set(r.slot, time.Time{})
	v.queue.Drop(r.slot)
	delete(v.extraDue, r)
	v.slots[r.slot] = nil
	delete(v.byMachine, r.m)
}

func (v *vrrpPart) members(g *model.SyncGroup) []*vrrp.Machine {
	var out []*vrrp.Machine
	for _, name := range g.Members {
		for _, r := range v.routers {
			if r.m.Instance().Name == name {
				out = append(out, r.m)
			}
		}
	}
	return out
}

func (v *vrrpPart) newGroup(g *model.SyncGroup) *vrrp.Group {
	n := vrrp.NewGroup(g, v.members(g))
	v.groups[g.Name] = n
	return n
}

// step gives an event to a router and carries out what follows from it.
func (v *vrrpPart) step(now time.Time, r *router, ev *vrrp.Event) {
	if v.busy {
		v.later = append(v.later, pendingEvent{r, *ev})
		return
	}
	v.act(now, vrrp.Step(now, r.m, ev, v.actions[:0]))
	v.schedule(r)
	v.catchUp(now)
}

// catchUp gives the routers what came up while actions were carried out.
func (v *vrrpPart) catchUp(now time.Time) {
	for len(v.later) > 0 {
		p := v.later[0]
		v.later = v.later[1:]
		v.act(now, vrrp.Step(now, p.r.m, &p.ev, v.actions[:0]))
		v.schedule(p.r)
	}
}

// schedule takes over the deadlines of a router and of those that change with it.
func (v *vrrpPart) schedule(r *router) {
	g := r.m.Group()
	if g == nil {
		v.due.Set(r.slot, r.m.Deadline())
		return
	}
	for _, m := range g.Members() {
		if o := v.byMachine[m]; o != nil {
			v.due.Set(o.slot, m.Deadline())
		}
	}
}

func (v *vrrpPart) act(now time.Time, actions []vrrp.Action) {
	v.actions, v.busy = actions, true
	for i := range actions {
		a := &actions[i]
		if a.Kind == vrrp.Say {
			v.say(now, a)
			continue
		}
		if a.M == nil {
			if told := (notify.Group{Of: a.G.Model(), To: a.To}); a.To == model.Stop {
				v.stopped = append(v.stopped, told)
			} else {
				v.engine.scripts.notify(told)
			}
			continue
		}
		r := v.byMachine[a.M]
		if r == nil {
			continue
		}
		switch a.Kind {
		case vrrp.Send:
			v.send(r, a.Priority)
		case vrrp.Own:
			v.own(now, r, a.Gen, a.M.Instance().Objects())
		case vrrp.Disown:
			v.own(now, r, a.Gen, model.Objects{})
		case vrrp.Announce:
			v.announce(now, r, a.Repeat)
			v.armExtra(now, r, true)
		case vrrp.Unannounce:
			v.queue.Drop(r.slot)
			v.armExtra(now, r, false)
		case vrrp.AnnounceSelf:
			v.announceSelf(now, r)
		case vrrp.Changed:
			v.engine.scripts.notify(notify.Instance{Of: a.M.Instance(), From: a.From, To: a.To, Priority: a.Priority})
			v.sync.apply()
			if c := v.engine.checkers; c != nil && c.running && (a.From == model.Master) != (a.To == model.Master) {
				c.follow(a.M.Instance().Name, a.To == model.Master)
			}
		case vrrp.LowerPrioSeen:
			v.engine.scripts.notify(notify.LowerPriority{Of: a.M.Instance(), Priority: a.Priority})
		case vrrp.PriorityChanged:
			v.engine.scripts.notify(notify.Priority{Of: a.M.Instance(), State: a.M.State(), Priority: a.Priority})
		}
	}
	v.busy = false
	if !slices.ContainsFunc(v.routers, func(r *router) bool { return r.waits || r.m.State() != model.Stop }) {
		v.tellStopped()
	}
}

// say logs a line of a router. What others send must not fill the disk: beyond a burst each router has so many lines a second, and how many
// were left out is told by the next.
//
// Differs from keepalived: it logs a line for each of any number of packets.
func (v *vrrpPart) say(now time.Time, a *vrrp.Action) {
	if r := v.byMachine[a.M]; r != nil {
		ok, left := r.lines.take(now)
		if !ok {
			return
		}
		if left > 0 {
			v.log.Info(fmt.Sprintf("(%s) %d log lines left out", a.M.Instance().Name, left))
		}
	}
	if a.Detail {
		logging.Detail(v.log, a.Line)
	} else {
		v.log.Info(a.Line)
	}
}

const (
	linesBurst  = 200
	linesPerSec = 20
)

// allowance limits a rate. The zero value has the whole burst.
type allowance struct {
	used float64 // of the burst
	at   time.Time
	left int // refused since the last that was not
}

// take reports whether one more may be, and if so how many were refused since the last.
func (l *allowance) take(now time.Time) (ok bool, left int) {
	l.used = max(0, l.used-now.Sub(l.at).Seconds()*linesPerSec)
	l.at = now
	if l.used+1 > linesBurst {
		l.left++
		return false, 0
	}
	l.used++
	left, l.left = l.left, 0
	return true, left
}

// own asks the lane for all that a master has, or for nothing, and tells the router when the kernel has done it.
func (v *vrrpPart) own(now time.Time, r *router, gen uint32, objects model.Objects) {
	if r.gen = gen; !r.ns.open || !r.owned && objects.Empty() {
		v.step(now, r, &vrrp.Event{Kind: vrrp.Settled, Gen: gen})
		return
	}
	r.owned = true
	r.waits = true
	r.seq++
	v.armLease(now, r, len(objects.Addresses) > 0)
	set := func() {
		r.ns.lane.Own(r.owner, objects, func(err error) {
			if v.slots[r.slot] != r {
				return // overtaken
			}
			v.settled(time.Now(), r, objects.Addresses)
		})
	}
	if len(objects.Addresses) == 0 {
		set()
		return
	}
	r.held = append(slices.Clone(objects.Addresses), r.held...) // until they are gone the old ones stay blocked
	r.ns.block(r, set)
}

// settled tells a router that the kernel has done what it asked for last.
func (v *vrrpPart) settled(now time.Time, r *router, held []model.Address) {
	r.waits = false
	r.held = held
	r.ns.refilter(r.ns.conf, nil)
	v.step(now, r, &vrrp.Event{Kind: vrrp.Settled, Gen: r.gen})
	if r.leaving {
		v.drop(r)
	}
	v.flush(now)
	r.ns.leave(now)
	v.maybeEnd(now)
}

// send sends one advert to the group, or to every peer.
func (v *vrrpPart) send(r *router, priority uint8) {
	if r.sock == nil || r.sock.conn == nil {
		return
	}
	i := r.m.Instance()
	if r.ident++; r.ident == 0 {
		r.ident = 1
	}
	if len(i.Peers) == 0 {
		v.sendTo(r, priority, i.Group, 255)
		return
	}
	for k := range i.Peers {
		v.sendTo(r, priority, i.Peers[k].Addr, i.UnicastTTL)
	}
}

func (v *vrrpPart) sendTo(r *router, priority uint8, dst netip.Addr, hopLimit int) {
	r.buf = r.m.AppendPacket(r.buf[:0], priority, dst, r.ident, time.Now())
	err := r.sock.conn.Send(r.buf, r.m.SourceAddr(), dst, hopLimit)
	if err == r.sendErr {
		return
	}
	r.sendErr = err
	if errno, ok := err.(unix.Errno); ok {
		v.log.Info(fmt.Sprintf("(%s): send advert error %d (%s)", r.m.Instance().Name, int(errno), errno))
	} else if err != nil {
		v.log.Info(fmt.Sprintf("(%s): send advert error %v", r.m.Instance().Name, err))
	}
}

// announce queues gratuitous ARP and NA for all addresses of a router.
func (v *vrrpPart) announce(now time.Time, r *router, repeat int) {
	i := r.m.Instance()
	detailed := logging.Detailed(v.log)
	var targets []announce.Target
	for _, a := range addresses(i) {
		t, ok := r.ns.target(a.Interface, a.Prefix.Addr())
		if !ok {
			continue
		}
		targets = append(targets, t)
		if !detailed {
			continue
		}
		what := "gratuitous ARPs"
		if t.Addr.Is6() {
			what = "Unsolicited Neighbour Adverts"
		}
		v.queued = append(v.queued, queued{t.Addr, fmt.Sprintf("(%s) Sending/queueing %s on %s for %s", i.Name, what, t.IfName, t.Addr)})
	}
	v.queue.Add(now, r.slot, targets, repeat)
	v.flush(now)
}

// queued is the line that tells of an address in the queue; it is due before the line of the first frame.
type queued struct {
	addr netip.Addr
	line string
}

// announceSelf refreshes what the neighbours know of the address that our unicast adverts come from.
func (v *vrrpPart) announceSelf(now time.Time, r *router) {
	i := r.m.Instance()
	t, ok := r.ns.target(i.SourceInterface(), r.m.SourceAddr())
	if !ok {
		return
	}
	v.queue.Add(now, r.slot, []announce.Target{t}, 1)
}

// flush sends the announcements that are due, but repeats none: that is for the end of the pass.
func (v *vrrpPart) flush(now time.Time) {
	if v.queue != nil {
		v.transmit(v.queue.First(now, v.frames[:0]))
	}
}

func (v *vrrpPart) transmit(frames []announce.Frame) {
	v.frames = frames
	detailed := logging.Detailed(v.log)
	for i := range v.frames {
		f := &v.frames[i]
		what := "gratuitous ARP"
		if f.Addr.Is6() {
			what = "unsolicited Neighbour Advert"
		}
		r := v.slots[f.Owner]
		if r == nil || !r.ns.open {
			continue
		}
		if err := r.ns.frame.Send(f.IfIndex, f.Data); err != nil {
			r.ns.log.Info(fmt.Sprintf("Error sending %s on %s for %s: %v", what, f.IfName, f.Addr, err))
			continue
		}
		if !detailed {
			continue
		}
		if k := slices.IndexFunc(v.queued, func(q queued) bool { return q.addr == f.Addr }); k >= 0 {
			logging.Detail(v.log, v.queued[k].line)
			v.queued = slices.Delete(v.queued, k, k+1)
		}
		logging.Detail(r.ns.log, fmt.Sprintf("Sending %s on %s for %s", what, f.IfName, f.Addr))
	}
	for _, q := range v.queued {
		logging.Detail(v.log, q.line)
	}
	v.queued = v.queued[:0]
}

// tell passes the trackers' effects on to the routers.
func (v *vrrpPart) tell(now time.Time) {
	for _, e := range v.effects {
		if e.Kind == track.Tell {
			v.log.Info(e.Line)
			continue
		}
		r := v.routers[e.Instance]
		if e.Kind == track.Priority {
			v.step(now, r, &vrrp.Event{Kind: vrrp.Priority, Total: e.Total})
			continue
		}
		r.faults = faults{e.Count, e.Links, e.Reason, e.Init}
		v.tellFaults(now, r)
	}
	v.effects = v.effects[:0]
}

// tellFaults adds what the trackers do not know: a router without a socket is deaf, and must not take itself for alone; nor must one whose
// network namespace is missing.
func (v *vrrpPart) tellFaults(now time.Time, r *router) {
	ev := vrrp.Event{Kind: vrrp.Faults, Count: r.faults.Count, Reason: r.faults.Reason, Init: r.faults.Init}
	if !r.ns.works() {
		ev.Count++
		ev.Reason = "network namespace " + r.ns.name + " is missing"
	}
	if r.noSock {
		if ev.Count++; ev.Reason == "" {
			ev.Reason = "no socket"
		}
	}
	v.step(now, r, &ev)
}

func (v *vrrpPart) fact(now time.Time, f track.Fact) {
	v.effects = v.track.Step(f, v.effects[:0])
	v.tell(now)
}

func (v *vrrpPart) Deadline() time.Time {
	if !v.running {
		return v.pendingDeadline()
	}
	d := v.due.Next()
	for _, t := range []time.Time{v.queue.Deadline(), v.reopen, v.delay, v.scriptDeadline(), v.home.debounce.Deadline(), v.processes.deadline(), v.judgeAt, v.pendingDeadline(), v.departAt, v.extraDeadline(), v.leases.Next()} {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	return d
}

// Expire lets the due routers act, but not before each has seen what has arrived for it: a daemon that was stopped or starved must
// not take over from a master whose adverts wait in the socket.
func (v *vrrpPart) Expire(now time.Time) {
	v.expirePending(now)
	if !v.running {
		return
	}
	v.pass++
	for slot, ok := v.due.Due(now); ok; slot, ok = v.due.Due(now) {
		r := v.slots[slot]
		if s := r.sock; s != nil && s.conn != nil && s.pass != v.pass {
			s.pass = v.pass
			r.ns.read(now, s)
			continue
		}
		v.step(now, r, &vrrp.Event{Kind: vrrp.Timeout})
	}
	if !v.delay.IsZero() && !now.Before(v.delay) {
		v.delay = time.Time{}
		v.log.Info("Delayed start completed")
	}
	if !v.reopen.IsZero() && !now.Before(v.reopen) {
		v.reopen = time.Time{}
		v.refreshAll(now)
		v.reenter(now)
	}
	v.expireDepartures(now)
	v.expireLeases(now)
	v.expireExtra(now)
	v.home.expireLinks(now)
	v.judgeMissing(now)
	v.expireScripts(now)
	v.expireProcesses(now)
	v.transmit(v.queue.Due(now, v.frames[:0]))
}

// reload takes the new configuration over: what is kept is told, then the new is started, then the old goes.
func (v *vrrpPart) reload(now time.Time, next *model.VRRP, changes model.Changes) {
	v.prepare(now, next, func(now time.Time) {
		v.configure(next)
		v.change(now, next, changes)
		for _, ns := range v.nets {
			if ns.vl.asked {
				ns.wishLinks(ns.conf, ns.conf.VLinks(), nil)
				ns.linksChanged(now, nil)
			}
		}
		v.tidy(now)
	})
}

// change carries a reload out: the interfaces that it needs are there.
func (v *vrrpPart) change(now time.Time, next *model.VRRP, changes model.Changes) {
	if v.model.Process.FIFOStatesOnReload {
		defer v.writeStates()
	}
	if changes.Instances.Empty() && changes.SyncGroups.Empty() && changes.TrackScripts.Empty() && !changes.VRRPGlobal {
		return
	}
	v.reloadScripts(now, next)
	// As one wish, so that an address which moves between instances is never missing.
	v.together(func() { v.reconfigure(now, next) })
	v.flush(now)
}

func (v *vrrpPart) reconfigure(now time.Time, next *model.VRRP) {
	v.redelay(now)
	v.queue.SetDelays(next.GARPDelay)
	v.track = track.New(next, v.track)
	for _, ns := range v.nets {
		ns.follow(now)
	}
	v.watchFiles()
	v.reloadProcesses(now)

	old := v.routers
	was := make([]model.Instance, len(old))
	for i, r := range old {
		was[i] = *r.m.Instance()
	}
	var fresh, changed []*router
	kept := map[*router]bool{}
	routers := make([]*router, len(next.Instances))
	for i, o := range model.Match(was, next.Instances) {
		n := &next.Instances[i]
		if o < 0 {
			routers[i] = v.newRouter(n)
			fresh = append(fresh, routers[i])
			continue
		}
		routers[i] = old[o]
		kept[old[o]] = true
		if !reflect.DeepEqual(&was[o], n) {
			changed = append(changed, old[o])
		}
	}
	v.setRouters(routers)
	for _, r := range routers {
		r.m.Keep(next.FlightRecorder)
	}
	for i, r := range routers {
		if slices.Contains(changed, r) {
			v.step(now, r, &vrrp.Event{Kind: vrrp.Reconfigured, Instance: &next.Instances[i]})
		}
	}
	v.reloadGroups(now, next)
	v.refreshAll(now)
	v.effects = v.track.All(v.effects[:0])
	v.tell(now)
	for _, r := range fresh {
		if r.ns.open {
			r.ns.lane.RemoveStale(r.m.Instance().Objects())
		}
		v.step(now, r, &vrrp.Event{Kind: vrrp.Start, Until: v.delay})
	}
	for _, r := range old {
		if kept[r] {
			continue
		}
		v.step(now, r, &vrrp.Event{Kind: vrrp.Removed})
		if r.leaving = r.waits; !r.leaving {
			v.drop(r)
		}
	}
}

func (v *vrrpPart) reloadGroups(now time.Time, next *model.VRRP) {
	old := v.groups
	v.groups = map[string]*vrrp.Group{}
	for i := range next.Groups {
		sg := &next.Groups[i]
		members := v.members(sg)
		g := old[sg.Name]
		delete(old, sg.Name)
		switch {
		case g == nil:
			g = v.newGroup(sg)
		case reflect.DeepEqual(g.Model(), sg) && slices.Equal(g.Members(), members):
			v.groups[sg.Name] = g
			continue
		}
		v.groups[sg.Name] = g
		v.reform(now, g, sg, members)
	}
	for _, g := range old {
		v.reform(now, g, g.Model(), nil)
	}
}

func (v *vrrpPart) reform(now time.Time, g *vrrp.Group, sg *model.SyncGroup, members []*vrrp.Machine) {
	v.act(now, vrrp.Reform(now, g, sg, members, v.actions[:0]))
	v.catchUp(now)
	for _, r := range v.routers {
		v.due.Set(r.slot, r.m.Deadline())
	}
}

// writeStates tells the pipes all states, for fifo_write_vrrp_states_on_reload.
//
// Differs from keepalived: 2.3.4 leaves out the instances that are MASTER.
func (v *vrrpPart) writeStates() {
	for _, sg := range v.conf.Groups {
		if g := v.groups[sg.Name]; g != nil {
			v.engine.scripts.notify(notify.GroupNow{Of: g.Model(), State: g.State()})
		}
	}
	for _, r := range v.routers {
		v.engine.scripts.notify(notify.InstanceNow{Of: r.m.Instance(), State: r.m.State(), Priority: r.m.EffectivePriority()})
	}
}

// stop says goodbye for every router, in configuration order, and asks for the release of the addresses.
func (v *vrrpPart) stop(now time.Time) {
	v.pending = nil // nothing begins any more
	for _, s := range v.scripts {
		v.stepScript(now, s, track.ScriptEvent{Kind: track.End})
	}
	for _, r := range v.routers {
		v.step(now, r, &vrrp.Event{Kind: vrrp.Stop, Keep: v.flags.KeepVRRP})
	}
	if !v.flags.KeepVRRP {
		v.home.ownStatics(model.Objects{})
	}
}

// tellStopped tells of the groups that have stopped.
func (v *vrrpPart) tellStopped() {
	for _, g := range v.stopped {
		v.engine.scripts.notify(g)
	}
	v.stopped = nil
}

// released reports whether the kernel has let go of everything.
func (v *vrrpPart) released() bool {
	return v.unreleased == 0 && !v.home.statics.waits && !slices.ContainsFunc(v.slots, func(r *router) bool { return r != nil && r.waits }) && v.endAllVLinks()
}

// Recover lets go of everything without the machines, whose state is not to be trusted any more, and starts anew.
func (v *vrrpPart) Recover(now time.Time, cause error) {
	v.log.Error(cause.Error())
	v.busy, v.later = false, nil
	for _, r := range v.slots {
		if r == nil {
			continue
		}
		v.due.Set(r.slot, time.Time{})
		v.leases.Set(r.slot, time.Time{})
		if !r.ns.open {
			continue
		}
		v.unreleased++
		r.ns.lane.Own(r.owner, model.Objects{}, func(error) {
			v.unreleased--
			v.maybeEnd(time.Now())
		})
		r.ns.release(r)
	}
	for _, s := range v.scripts {
		s.gone = true
		v.scriptDue.Set(s.slot, time.Time{})
		v.engine.scripts.runner.Kill(s.job, sigKill)
	}
	v.setRouters(nil)
	v.slots, v.scripts, v.groups = nil, nil, map[string]*vrrp.Group{}
	clear(v.byMachine)
	if v.running && !v.stopping {
		v.begin(now)
	}
	v.sync.apply()
}
