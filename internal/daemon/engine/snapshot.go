package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/daemon/status"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// dump writes the status files that are asked for, on a goroutine: rendering is not for the loop.
func (c *control) dump(now time.Time, what link.What) {
	s := c.snapshot(now)
	p := &s.Process
	usual := func(name string) string { return filepath.Join(c.tempDir(), name) }
	var files []file
	state := func(part string, render func(io.Writer, *status.Snapshot) error) {
		files = append(files, file{c.statePath(part), 0o666, render})
	}
	pid := os.Getpid()
	switch what {
	case link.Data:
		// In the name of the parent, which has no part in what the files say.
		c.Log.Role(logging.Parent).Info(fmt.Sprintf("Printing parent data for process(%d) on signal", os.Getppid()))
		state("_parent", status.WriteGlobal)
		if c.vrrp != nil {
			c.vrrp.log.Info(fmt.Sprintf("Printing VRRP data for process(%d) on signal", pid))
			state("", status.WriteData)
		}
		if c.checkers != nil {
			c.checkers.log.Info(fmt.Sprintf("Printing checker data for process(%d) on signal", pid))
			state("_check", status.WriteCheckData)
		}
	case link.Stats, link.StatsClear:
		if c.vrrp == nil {
			return
		}
		if what == link.Stats {
			c.vrrp.log.Info(fmt.Sprintf("Printing VRRP stats for process(%d) on signal", pid))
		} else {
			c.vrrp.log.Info(fmt.Sprintf("Printing and clearing VRRP stats for process(%d) on signal", pid))
			for _, r := range c.vrrp.routers {
				*r.m.Stats() = vrrp.Stats{}
			}
		}
		files = append(files, file{usual("keepalived.stats"), 0o666, status.WriteStats})
		if p.Dump.Stats != "" {
			files = append(files, file{c.dumpPath(p.Dump.Stats, "keepalived.stats"), 0o666, status.WriteStats})
		}
	case link.JSON:
		if c.vrrp == nil || len(s.Instances) == 0 {
			return
		}
		render := func(w io.Writer, s *status.Snapshot) error { return status.WriteJSON(w, s, max(p.JSONVersion, 1)) }
		files = append(files, file{usual("keepalived.json"), 0o600, render}) // whatever the umask
		if p.Dump.JSON != "" {
			files = append(files, file{c.dumpPath(p.Dump.JSON, "keepalived.json"), 0o600, render})
		}
	}
	c.write(files, s)
}

// write has the files rendered on a goroutine, for that is nothing for the loop. Batches are written one after the other, so that what
// is there in the end is the newest. One that has not begun when another of the same files is asked for is left out: a flood of signals
// costs no memory.
func (c *control) write(files []file, s *status.Snapshot) {
	b := batch{files, s}
	for i := 1; i < len(c.batches); i++ {
		if c.batches[i].same(b) {
			c.batches = slices.Delete(c.batches, i, i+1)
			break
		}
	}
	if c.batches = append(c.batches, b); len(c.batches) == 1 {
		c.writeNext()
	}
}

func (c *control) writeNext() {
	b := c.batches[0]
	c.part.Go("status files", func() error {
		var errs []error
		for _, f := range b.files {
			errs = append(errs, status.WriteFile(f.path, f.mode, func(w io.Writer) error { return f.render(w, b.of) }))
		}
		return errors.Join(errs...)
	}, func(_ time.Time, err error) {
		if err != nil {
			c.log.Error(err.Error())
		}
		if c.batches = c.batches[1:]; len(c.batches) > 0 {
			c.writeNext()
		}
	})
}

// batch is what one request wants written.
type batch struct {
	files []file
	of    *status.Snapshot
}

func (b batch) same(o batch) bool {
	return slices.EqualFunc(b.files, o.files, func(x, y file) bool { return x.path == y.path })
}

type file struct {
	path   string
	mode   os.FileMode
	render func(io.Writer, *status.Snapshot) error
}

// statePath is where a state dump goes: part is "" for VRRP, else what tells it from that.
func (c *control) statePath(part string) string {
	p := &c.model.Process
	path := c.dumpPath(p.Dump.State, "keepalived.data")
	ext := filepath.Ext(path)
	name := strings.TrimSuffix(path, ext) + part
	if p.Dump.UseInstance {
		var words []string
		for _, w := range []string{c.flags.Namespace, p.Instance} {
			if w != "" {
				words = append(words, w)
			}
		}
		if len(words) > 0 {
			name += "." + strings.Join(words, "_")
		}
	}
	return name + ext
}

// Differs from keepalived: stats_dump_file and json_dump_file have no effect there.

// dumpPath is the path that a *_dump_file keyword means: relative to the temp directory, a directory if it ends in a slash.
func (c *control) dumpPath(path, name string) string {
	if path == "" || strings.HasSuffix(path, "/") {
		path += name
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.tempDir(), path)
	}
	return path
}

func (c *control) tempDir() string {
	if c.flags.TempDir != "" {
		return c.flags.TempDir
	}
	return status.Directory()
}

// snapshot copies the state of everything. Configuration is shared: models never change.
func (e *engine) snapshot(now time.Time) *status.Snapshot {
	s := &status.Snapshot{Process: e.model.Process, VRRP: e.model.VRRP, LVS: e.model.LVS, Realtime: e.late.priority}
	if e.vrrp != nil && e.vrrp.running {
		e.vrrp.snapshot(s)
	}
	if e.checkers != nil && e.checkers.running {
		e.checkers.snapshot(s)
	}
	return s
}

func (v *vrrpPart) snapshot(s *status.Snapshot) {
	s.GARP = v.garp()
	pool := map[*socket]int{}
	for _, r := range v.routers {
		i := r.ns.instance(r)
		s.Instances = append(s.Instances, i)
		if i.Socket == (status.FDs{}) {
			continue
		}
		n, ok := pool[r.sock]
		if !ok {
			n = len(s.Sockets)
			pool[r.sock] = n
			s.Sockets = append(s.Sockets, status.Socket{FDs: i.Socket, Namespace: i.NetNamespace, Interface: i.Interface, Family: i.Family, Unicast: r.sock.spec.Source, RxBuf: r.sock.rxBuf})
		}
		s.Sockets[n].Users = append(s.Sockets[n].Users, fmt.Sprintf("%s vrid %d", i.Name, i.VRID))
	}
	for _, sg := range v.conf.Groups {
		g := v.groups[sg.Name]
		n := status.Group{SyncGroup: sg, State: g.State()}
		for _, m := range g.Members() {
			if m.State() == model.Fault {
				n.Faults++
			}
			if r := v.byMachine[m]; r != nil && r.faults.Init {
				n.Inits++
			}
		}
		s.Groups = append(s.Groups, n)
	}
	for _, t := range v.scripts {
		n := status.Script{TrackScript: *t.s.Config()}
		n.Result = t.s.Count()
		_, n.Known = t.s.OK()
		switch running, ending := t.s.Running(); {
		case ending:
			n.Run = status.Terminating
		case running:
			n.Run = status.Running
		}
		s.Scripts = append(s.Scripts, n)
	}
	for _, f := range v.conf.Files {
		s.Files = append(s.Files, status.File{TrackFile: f, Value: v.track.Value(f.Name)})
	}
	for _, q := range v.processes.quorums {
		n := status.Process{TrackProcess: *q.Config(), Current: q.Count(), Quorum: q.Have()}
		n.ForkTimer, n.TerminateTimer = q.Waiting()
		s.Processes = append(s.Processes, n)
	}
	s.StaticsSet = v.home.set(v.conf.Statics.Addresses)
	for _, ns := range v.nets {
		for _, l := range ns.host.Links() {
			s.Interfaces = append(s.Interfaces, ns.iface(l))
		}
	}
}

// garp lists the limits of announcements with the interfaces that they concern.
func (v *vrrpPart) garp() (out []status.GARP) {
	add := func(d model.GARPDelay, namespace string, names []string) {
		d.Interfaces = names
		out = append(out, status.GARP{Namespace: namespace, GARPDelay: d,
			NextARP: wall(v.queue.Free(namespace, names[0], model.IPv4)), NextNA: wall(v.queue.Free(namespace, names[0], model.IPv6))})
	}
	for _, d := range v.conf.GARPDelay {
		if len(d.Interfaces) > 0 {
			add(d, "", d.Interfaces)
			continue
		}
		for _, ns := range v.nets {
			for _, name := range ns.ungrouped() {
				add(d, ns.name, []string{name})
			}
		}
	}
	return out
}

// ungrouped are the interfaces of instances and addresses that are in no GARP group of their own.
func (ns *namespace) ungrouped() (used []string) {
	use := func(name string) {
		grouped := slices.ContainsFunc(ns.conf.GARPDelay, func(d model.GARPDelay) bool { return slices.Contains(d.Interfaces, name) })
		if name != "" && !grouped && !slices.Contains(used, name) {
			used = append(used, name)
		}
	}
	for _, r := range ns.routers {
		i := r.m.Instance()
		use(i.Interface)
		for _, a := range addresses(i) {
			use(a.Interface)
		}
	}
	return used
}

func (ns *namespace) instance(r *router) status.Instance {
	m, i := r.m, r.m.Instance()
	n := status.Instance{
		Instance: *i, State: m.State(), Want: m.Want(), Effective: m.EffectivePriority(), Total: m.TotalPriority(),
		Faults: r.faults.Count - r.faults.Links, LastTransition: wall(m.LastTransition()), Deadline: wall(m.Deadline()),
		MasterDown: m.MasterDown(), Source: m.SourceAddr(), LastSent: wall(m.LastSent()),
		Master: status.Master{Addr: m.MasterAddr(), Priority: m.MasterPriority(), AdvertInt: m.MasterAdvInt()},
		Stats:  stats(m.Stats()),
	}
	if r.sock != nil && r.sock.conn != nil {
		n.Socket.In, n.Socket.Out = r.sock.conn.FDs()
	}
	if g := m.Group(); g != nil {
		n.SyncGroup = g.Model().Name
	}
	if r.faults.Init {
		n.ScriptsInit = 1
	}
	if r.faults.Links > 0 || i.Interface != "" && !ns.debounce.Up(i.Interface) {
		n.InterfaceFaults = append(n.InterfaceFaults, "i/f down")
	}
	if !n.Source.IsValid() {
		n.InterfaceFaults = append(n.InterfaceFaults, "no source IP address")
	}
	n.VIPsSet, n.ExcludedSet = ns.set(i.VIPs), ns.set(i.ExcludedVIPs)
	for _, t := range m.Transitions() {
		n.Transitions = append(n.Transitions, status.Transition{
			At: wall(t.At), From: t.From, To: t.To, Why: t.Why.String(), Reason: t.Reason, Priority: t.Priority,
			Master: status.Master{Addr: t.Peer, Priority: t.PeerPrio}, Silence: t.Silence, Gaps: t.Gaps, Late: t.Late,
		})
	}
	return n
}

// set says which of the addresses the kernel has.
func (ns *namespace) set(list []model.Address) []bool {
	out := make([]bool, len(list))
	for k, a := range list {
		if l, ok := ns.host.Link(a.Interface); ok {
			key := hostnet.KeyOf(a)
			out[k] = slices.ContainsFunc(ns.host.Addrs(l.Index), func(h hostnet.Addr) bool { return h.Key(l.Name) == key })
		}
	}
	return out
}

// wall makes a moment one that may be printed: zero stays zero.
func wall(t time.Time) time.Time { return t.Round(0) }

func stats(s *vrrp.Stats) status.Stats {
	return status.Stats{
		AdvertRcvd: s.AdvertRcvd, AdvertSent: s.AdvertSent, BecomeMaster: s.BecomeMaster, ReleaseMaster: s.ReleaseMaster,
		PacketLenErr: s.PacketLenErr, AdvertIntervalErr: s.AdvertIntervalErr, IPTTLErr: s.IPTTLErr,
		InvalidTypeRcvd: s.InvalidTypeRcvd, AddrListErr: s.AddrListErr, InvalidAuthType: s.InvalidAuthType,
		AuthTypeMismatch: s.AuthTypeMismatch, AuthFailure: s.AuthFailure, PriZeroRcvd: s.PriZeroRcvd, PriZeroSent: s.PriZeroSent,
		AuthExtMissing: s.AuthExtMissing, AuthExtMalformed: s.AuthExtMalformed, AuthExtUnknownKey: s.AuthExtUnknownKey,
		AuthExtInvalidHMAC: s.AuthExtInvalidHMAC, AuthExtStale: s.AuthExtStale, AuthExtReplay: s.AuthExtReplay,
	}
}

// arphrd names the hardware types of linux/if_arp.h that keepalived names.
var arphrd = map[uint16]string{1: "ETHERNET", 772: "LOOPBACK"}

func (ns *namespace) iface(l hostnet.Link) status.Interface {
	n := status.Interface{
		Name: l.Name, Namespace: ns.name, Index: l.Index, MAC: net.HardwareAddr(l.MAC[:]), MTU: l.MTU, Flags: flags(l), SeenUp: l.Up(), HWType: "UNKNOWN",
	}
	if t, ok := arphrd[l.Type]; ok {
		n.HWType = t
	}
	if n.Flags&net.FlagBroadcast != 0 {
		n.Broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	d := ns.debounce.Delays(l.Name)
	n.DebounceUp, n.DebounceDown, n.DelayedChange = d.Up, d.Down, ns.debounce.Waiting(l.Name)
	_, n.Polled = ns.beats.up[l.Name]
	n.Method = ns.beats.used[l.Name]
	none := func(netip.Addr) bool { return false }
	n.Group = l.Group
	if under, ok := ns.host.LinkAt(l.Parent); ok && (l.Kind == "macvlan" || l.Kind == "ipvlan") {
		n.Kind, n.Mode, n.Under, n.UnderFlags = l.Kind, l.ModeName(), under.Name, flags(under)
	}
	ours := none
	if n.Made = ns.virtualLink(l.Name); n.Made { // it has no addresses but virtual ones
		ours = ns.virtual
	}
	n.IPv4, _ = ns.host.Source(l.Index, model.IPv4, ours)
	n.IPv6, _ = ns.host.Source(l.Index, model.IPv6, ours)
	return n
}

// flags translates the kernel's interface flags (linux/if.h).
func flags(l hostnet.Link) net.Flags {
	var f net.Flags
	for bit, flag := range map[uint32]net.Flags{0x1: net.FlagUp, 0x2: net.FlagBroadcast, 0x8: net.FlagLoopback,
		0x10: net.FlagPointToPoint, 0x40: net.FlagRunning, 0x1000: net.FlagMulticast} {
		if l.Flags&bit != 0 {
			f |= flag
		}
	}
	return f
}

func (c *checkers) snapshot(s *status.Snapshot) {
	checks := map[*model.RealServer][]status.Check{}
	for _, k := range c.cluster.Checks() {
		n := status.Check{Up: k.Up, HasRun: k.HasRun, Offset: k.Offset}
		if o := c.byID[k.ID]; o != nil {
			n.Retries, n.Offset = o.m.Failures(), o.m.Offset()
			if k.Spec.Kind == model.MiscCheck {
				n.LastRun, n.LastExit = wall(o.m.Began()), o.m.LastExit()
			}
		}
		checks[k.Server] = append(checks[k.Server], n)
	}
	for _, st := range c.cluster.Status() {
		n := status.Service{VirtualServer: *st.Service, Up: st.Up, SorryUp: st.SorryActive}
		for _, r := range st.Real {
			n.State = append(n.State, status.Real{
				Up: r.Alive, Weight: r.Weight, InKernel: r.Alive && !st.SorryActive || r.Server.Inhibit, Checks: checks[r.Server],
			})
		}
		s.Services = append(s.Services, n)
	}
	for _, f := range c.model.LVS.Files {
		s.CheckFiles = append(s.CheckFiles, status.File{TrackFile: f, Value: c.cluster.File(f.Path)})
	}
}
