package config

import (
	"cmp"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// resolver turns one Config into a Model.
type resolver struct {
	c        *Config
	services iter.Seq[*VirtualServer]
	keep     bool // in the model
	served   bool // there is one
	host     Host
	r        *source.Report
	absent   bool                // an interface that is not there was reported
	nets     map[string]*network // by network namespace, as of model.Instance
	net      *network            // that of what is being resolved
	index    map[string]int      // of instances by name, in the configuration and in the model

	files trackerSet // set by vrrp

	probes     map[string]model.TrackScript // of track_tcp and the like, by name
	probeOrder []string

	flaws       map[runs]string     // what insecurity says, as thousands of scripts may be one program
	badUsers    map[source.Pos]bool // script_user lines, by their order, whose user is not known
	part        part                // being resolved
	scripts     part                // has a script to run
	early       bool                // what is resolved stands in global_defs, so that only what is above it counts
	rxBufs      model.RxBufPolicy
	virtual     map[*Instance]virtualRouting
	trackGroups map[string]*TrackGroup // by name; set by trackGroup
	guesses     int                    // names looked at to find out what was meant
	stopped     bool                   // an instance was refused: the checks after it are left out
}

// Resolve applies defaults, inheritance and corrections. Findings that keepalived makes after parsing have no place of their own in its
// messages; here they point at the block or keyword they are about.
func Resolve(c *Config, host Host, r *source.Report) *model.Model {
	return resolve(c, slices.Values(c.LVS.Services), true, host, r)
}

// resolve asks for the virtual servers one by one, when all else is resolved. The model has them if they are to be kept.
func resolve(c *Config, services iter.Seq[*VirtualServer], keep bool, host Host, r *source.Report) *model.Model {
	c.needs = nil
	host = Remember(host)
	res := &resolver{c: c, services: services, keep: keep, host: host, r: r, net: newNetwork(host), virtual: map[*Instance]virtualRouting{}, flaws: map[runs]string{}}
	m := &model.Model{}
	res.checkScriptUsers()
	res.process(&m.Process)
	res.part = 0
	res.needProcess(&m.Process)
	res.part = vrrpScripts
	res.vrrp(&m.VRRP)
	res.needVRRP(&m.VRRP)
	res.part = checkScripts
	res.lvsGlobal(&m.LVS, m.VRRP.Instances)
	resolveLVS(res, &m.LVS)
	res.scriptSecurity()
	return m
}

// pick returns a block's own setting if it is set, else the inherited one.
func pick[V any](own, inherited opt[V]) opt[V] {
	if own.IsSet() {
		return own
	}
	return inherited
}

// first is the value of pick.
func first[V any](own, inherited opt[V]) V { return pick(own, inherited).V }

func (res *resolver) process(p *model.Process) {
	c, g := res.c, &res.c.Global
	*p = model.Process{
		RouterID:              g.RouterID.V,
		Instance:              c.InstanceName.V,
		NetNamespace:          c.NetNamespace.V,
		NetNamespaceIPVS:      ipvsNamespace(c.NetNamespaceIPVS),
		UsePIDDir:             c.UsePIDDir.V || c.InstanceName.IsSet() || c.NetNamespace.IsSet(),
		ChildWaitTime:         c.ChildWaitTime.V,
		Umask:                 g.Umask.V,
		DynamicInterface:      g.DynamicIf.V != 0,
		FIFOStatesOnReload:    g.FIFOStatesOnReload.V,
		StartupScriptTimeout:  g.StartupTimeout.V,
		ShutdownScriptTimeout: g.ShutdownTimeout.V,
		VRRPSched:             g.Sched.model(),
		CheckerSched:          g.CheckerSched.model(),
		BFDSched:              g.BFDSched.model(),
		JSONVersion:           g.JSONVersion.V,
		NotifySerialize:       g.NotifySerialize.V,
		MaxAutoPriority:       g.MaxAutoPriority.V,
		AutoPriorityDelay:     time.Duration(g.AutoPriorityDelay.V) * time.Microsecond,
		Names:                 g.names(),
		Reload: model.Reload{Check: g.ReloadCheck.IsSet(), CheckLog: g.ReloadCheck.V, TimeFile: g.ReloadTimeFile.V, Repeat: g.ReloadRepeat.V,
			Mark: g.ReloadFile.IsSet(), MarkFile: g.ReloadFile.V},
		Dump:          model.Dump{UseInstance: g.DataUseInstance.V, State: g.StateDump.V, Stats: g.StatsDump.V, JSON: g.JSONDump.V},
		ConfigSaveDir: res.saveDir(g.ConfigSaveDir),
		RandomSeed:    -1,
		Defaults:      res.defaults(),
		SNMP: model.SNMP{VRRP: g.SNMPVRRP.V, Checker: g.SNMPChecker.V, RFCv2: g.SNMPRFC.V || g.SNMPRFCv2.V, RFCv3: g.SNMPRFC.V || g.SNMPRFCv3.V,
			Traps: g.SNMPTraps.V, Socket: g.SNMPSocket.V, ServiceAge: g.SNMPServiceAge.V, ServerAge: cmp.Or(g.SNMPServerAge.V, g.SNMPServiceAge.V)},
		DBus: model.DBus{Enabled: g.DBus.V, Name: g.DBusName.V, NoInterface: g.DBusNoInterface.V},
	}
	if g.RandomSeed.IsSet() {
		p.RandomSeed = g.RandomSeed.V
	}
	if p.RouterID == "" {
		p.RouterID = res.host.Hostname()
	}
	res.early = true
	defer func() { res.early = false }()
	res.part = startScripts
	p.StartupScript = res.script("startup_script", g.Startup)
	p.ShutdownScript = res.script("shutdown_script", g.Shutdown)
	res.part = vrrpScripts | checkScripts
	p.NotifyFIFO = res.fifo("notify_fifo", g.NotifyFIFO, g.NotifyFIFOScript)
	res.part = vrrpScripts
	p.VRRPNotifyFIFO = res.fifo("vrrp_notify_fifo", g.VRRPNotifyFIFO, g.VRRPNotifyFIFOScript)
	res.part = checkScripts
	p.LVSNotifyFIFO = res.fifo("lvs_notify_fifo", g.LVSNotifyFIFO, g.LVSNotifyFIFOScript)
	for _, f := range []*model.FIFO{&p.VRRPNotifyFIFO, &p.LVSNotifyFIFO} {
		if f.Path != "" && f.Path == p.NotifyFIFO.Path {
			res.r.Errorf(source.Pos{}, "notify fifo %q is the global one already - ignoring it", f.Path)
			*f = model.FIFO{}
		}
	}
	p.Mail = res.mail()
	for _, s := range []struct {
		role string
		cpus opt[[]int]
		to   *model.Scheduling
	}{{"vrrp", g.Sched.CPUs, &p.VRRPSched}, {"checker", g.CheckerSched.CPUs, &p.CheckerSched}, {"bfd", g.BFDSched.CPUs, &p.BFDSched}} {
		for _, n := range s.cpus.V {
			if n >= res.host.NumCPU() {
				res.r.Errorf(s.cpus.At, "%s_cpu_affinity: there is no processor %d - using all", s.role, n)
				s.to.CPUs = nil
				break
			}
		}
	}
}

// saveDir settles config_save_dir, which is made if only its last part is missing.
func (res *resolver) saveDir(dir opt[string]) string {
	if !dir.IsSet() {
		return ""
	}
	why := ""
	if real, err := res.host.RealPath(dir.V); err == nil && dir.V != "" {
		if f, err := res.host.Stat(real); err == nil && !f.Mode.IsDir() {
			why = "it exists and is not a directory"
		}
	} else if _, err := res.host.RealPath(filepath.Dir(dir.V)); err != nil || dir.V == "" {
		why = "the directory that it is to be made in does not exist"
	}
	if why != "" {
		res.r.Errorf(dir.At, "config_save_dir %q: %s - ignoring", dir.V, why)
		return ""
	}
	return dir.V
}

// ipvsNamespace is where IPVS is; without a word that is the system's first namespace, wherever the daemon was started.
func ipvsNamespace(o opt[string]) string {
	if o.IsSet() && o.V == "" {
		return model.DefaultNamespace
	}
	return o.V
}

// names are those given to processes, of which process_names gives those that have none of their own.
func (g *Global) names() model.Names {
	n := model.Names{Parent: g.ProcessName.V, VRRP: g.VRRPProcess.V, Checker: g.CheckerProcess.V, BFD: g.BFDProcess.V}
	if g.ProcessNames.V {
		n.VRRP, n.Checker, n.BFD = cmp.Or(n.VRRP, "keepalived_vrrp"), cmp.Or(n.Checker, "keepalived_ipvs"), cmp.Or(n.BFD, "keepalived_bfd")
	}
	return n
}

// defaults collects what the state dump shows of global_defs although it acts through other settings.
func (res *resolver) defaults() model.Defaults {
	g := &res.c.Global
	d := model.Defaults{
		SMTPAlert: triState(g.SMTPAlert), SMTPAlertVRRP: triState(g.SMTPAlertVRRP), SMTPAlertChecker: triState(g.SMTPAlertChecker),
		SymlinkPaths: g.SymlinkPaths.V, AllowIfChanges: g.DynamicIf.V == changingInterfaces, ScriptSecurity: g.ScriptSecurity.V, Interface: g.DefaultInterface.V,
		V3ChecksumAsV2: g.V3ChecksumAsV2.V, NotifyPriority: g.NotifyPriority.V,
		McastGroup4: orAddr(g.McastGroup4, defaultGroup4), McastGroup6: orAddr(g.McastGroup6, defaultGroup6),
		GARP: model.GARP{MasterDelay: g.GARPMasterDelay.V, MasterRepeat: g.GARPMasterRepeat.V, MasterRefresh: g.GARPMasterRefresh.V,
			RefreshRepeat: g.GARPRefreshRepeat.V, LowerPrioDelay: g.GARPMasterDelay.V, LowerPrioRepeat: g.GARPMasterRepeat.V},
		GARPInterval: g.GARPInterval.V, NAInterval: g.GNAInterval.V, DownTimerAdverts: g.DownTimerAdverts.V, Version: g.Version.V,
		LowerPrioNoAdvert: g.LowerPrioNoAdvert.V, HigherPrioAdvert: g.HigherPrioAdvert.V, CheckUnicastSrc: g.CheckUnicastSrc.V,
		SkipCheckAdvAddr: g.SkipCheckAdvAddr.V, Strict: g.Strict.V, OwnerIgnoreAdverts: g.OwnerIgnore.V,
	}
	if g.GARPLowerPrioDelay.IsSet() {
		d.GARP.LowerPrioDelay = g.GARPLowerPrioDelay.V
	}
	if g.GARPLowerPrioRepeat.IsSet() {
		d.GARP.LowerPrioRepeat = g.GARPLowerPrioRepeat.V
	}
	user := res.host.Self()
	if users := g.ScriptUsers; len(users) > 0 {
		last := users[len(users)-1]
		if u, ok := res.account(last.V, last.At); ok {
			user = u
		}
	} else if u, ok := res.host.LookupUser("keepalived_script"); ok {
		user = u
	}
	d.ScriptUID, d.ScriptGID = user.UID, user.GID
	return d
}

func triState(o opt[bool]) string {
	switch {
	case !o.IsSet():
		return "unset"
	case o.V:
		return "on"
	}
	return "off"
}

func (s *sched) model() model.Scheduling {
	return model.Scheduling{Nice: s.Nice.V, RTPriority: s.RTPriority.V, RLimitRT: s.RLimitRT.V, CPUs: s.CPUs.V, NoSwap: s.NoSwap.V}
}

// fifo settles a pipe. Who owns it by default is who would run a script at that place.
func (res *resolver) fifo(name string, f opt[fifo], script opt[Command]) model.FIFO {
	out := model.FIFO{Path: f.V.Path}
	usable := f.V.Path != ""
	if usable {
		var u User
		if u, usable = res.scriptUser(f.V.account, f.At); !usable {
			res.r.Notef(f.At, "%s: its owner is not known - ignoring", name)
		}
		out.UID, out.GID = u.UID, u.GID
	}
	program := res.script(name+"_script", script) // which counts as a script even if nothing starts it
	if !usable {
		if script.IsSet() {
			res.r.Notef(script.At, "%s_script has no effect without %s", name, name)
		}
		return model.FIFO{}
	}
	out.Script = program
	return out
}

func (res *resolver) lvsGlobal(l *model.LVS, instances []model.Instance) {
	g := &res.c.Global
	l.TimeoutTCP, l.TimeoutTCPFin, l.TimeoutUDP = g.LVSTimeouts.TCP, g.LVSTimeouts.TCPFin, g.LVSTimeouts.UDP
	l.Flush, l.FlushOnStop = g.LVSFlush.V, g.LVSFlushOnStop.V
	l.RSInitNotifies, l.LogAllFailures = g.RSInitNotifies.V, g.LogAllFailures.V
	l.NoCheckerEmails = g.NoCheckerEmails.V
	l.Sync = res.syncDaemon(instances)
	l.NoRepair = g.NoRepair.V
	l.CommandBuffer, l.MonitorBuffer = g.LVSCommandBuf.model(), g.LVSMonitorBuf.model()
	if g.NFTablesIPVS.V != "" {
		l.NFTables = model.NFTables{Table: g.NFTablesIPVS.V, Priority: g.NFTablesIPVSPriority.V, Mark: uint32(g.NFTablesIPVSMark.V),
			Counters: g.NFTablesCounters.V}
	}
}

// iface looks an interface up and reports one that is not there, unless interfaces may come later.
func (res *resolver) iface(name string, at source.Pos) (Interface, bool) {
	n := res.net
	i, ok := n.found[name]
	if !ok && !n.missing[name] {
		if i, ok = n.Interface(name); ok {
			n.found[name] = i
		} else {
			n.missing[name] = true
		}
	}
	if ok || res.dynamic() || n.absent {
		return i, ok
	}
	res.absent = true
	res.noInterface(res.r.Refuse(source.Error, at, "WARNING - interface %s doesn't exist", name), name, n,
		"dynamic_interfaces in global_defs allows it to come later")
	return i, false
}

// dynamic reports whether interfaces may come later, wherever dynamic_interfaces stands: keepalived's subsystems have the global
// definitions when they begin to read.
func (res *resolver) dynamic() bool { return res.c.Global.DynamicIf.V != 0 }

// vrrp resolves in the order of keepalived's checks: an absent interface stops them, since what they say would depend on it.
func (res *resolver) vrrp(v *model.VRRP) {
	c, g := res.c, &res.c.Global
	v.LogUnknownVRIDs, v.StartupDelay, v.DelayAfterBoot = g.LogUnknownVRIDs.V, g.StartupDelay.V, g.DelayAfterBoot.V
	v.FlightRecorder = g.FlightRecorder.V
	res.index = make(map[string]int, len(c.Instances))
	for n, i := range c.Instances {
		res.index[i.Name] = n
	}
	res.namespaces()
	scripts := res.trackScripts()
	res.statics(v)
	trackers := res.trackers()
	res.files = trackers
	res.alone(scripts, trackers)
	v.GARPDelay = res.garpGroups()
	v.IfDebounce = res.upDown(v)
	res.buffers(v)
	for _, i := range c.Instances {
		res.in(i.NetNamespace.V)
		res.instanceInterfaces(i)
	}
	for _, grp := range c.Groups {
		res.in("")
		res.groupNetwork(grp)
		for _, t := range grp.Track.Interfaces {
			res.iface(t.V.Name, t.At)
		}
	}
	if res.absent {
		res.r.Refuse(source.BadInterface, source.Pos{}, "Non-existent interface specified in configuration")
		return
	}
	// Scripts first: that they run unchecked is told even if an instance is refused.
	notify := map[*Scripts]notifyScripts{}
	for _, i := range c.Instances {
		notify[&i.Scripts] = res.notifyScripts(&i.Scripts)
	}
	for _, grp := range c.Groups {
		if len(grp.Members) == 0 {
			continue
		}
		notify[&grp.Scripts] = res.notifyScripts(&grp.Scripts)
	}
	for _, i := range c.Instances {
		res.complete(i)
	}
	if res.stopped {
		return
	}
	groups, owned := res.groups(), map[*SyncGroup]bool{}
	res.vlinkNames()
	for _, i := range c.Instances {
		res.in(i.NetNamespace.V)
		out, ok := res.instance(i, groups.of[i.Name], scripts, trackers)
		if !ok {
			return
		}
		notify[&i.Scripts].instance(&out)
		v.Instances = append(v.Instances, out)
		if out.Priority == 255 {
			owned[groups.of[i.Name]] = true
		}
	}
	res.in("")
	for _, grp := range groups.list {
		out := res.group(grp, owned[grp], scripts, trackers)
		notify[&grp.Scripts].group(&out)
		v.Groups = append(v.Groups, out)
	}
	res.followers(v)
	res.debounceLimits(v)
	inheritDelays(v)
	res.filter(v)
	res.conflicts(v.Instances)
	v.Scripts = res.usedScripts(scripts)
	v.Files, v.Processes = trackers.used()
}

// alone tells what is wrong with instances and groups by themselves. keepalived sees that while it reads, so it does not depend on whether
// an interface is missing or an instance refused.
func (res *resolver) alone(scripts scriptSet, trackers trackerSet) {
	for _, i := range res.c.Instances {
		res.undefinedTracks(&i.Track, scripts, trackers)
		switch {
		case len(i.Peers) == 0:
			if i.UnicastTTL.IsSet() {
				res.r.Errorf(i.End, "(%s) unicast_ttl has no effect without unicast peers - resetting", i.Name)
			}
		case i.VMAC.IsSet():
			if !i.VMACXmitBase.V {
				res.r.Errorf(i.End, "(%s) unicast with use_vmac requires vmac_xmit_base - setting", i.Name)
			}
		case i.IPVLAN.IsSet():
			// keepalived asks for vmac_xmit_base, sets it, and says that it is only valid with a vmac: -t gives 5 for each of these.
			res.r.Errorf(i.End, "(%s) unicast with use_ipvlan: keepalived takes this for a mistake, but it works", i.Name)
		}
	}
	for _, g := range res.c.Groups {
		res.undefinedTracks(&g.Track, scripts, trackers)
		if len(g.Members) == 0 {
			res.r.Errorf(g.End, "Sync group %s has no members - removing", g.Name)
		}
	}
}

// garpGroups returns the rate limits; the global one comes last and is for every interface in no group.
func (res *resolver) garpGroups() (out []model.GARPDelay) {
	g := &res.c.Global
	taken := map[string]source.Pos{}
	for _, grp := range res.c.GARPGroups {
		d := model.GARPDelay{ARPInterval: grp.ARP.V, NAInterval: grp.NA.V}
		for _, name := range grp.Interfaces {
			at := name.At
			for _, list := range grp.Lists {
				if list[0].Before(at) && !list[1].Before(at) {
					at = list[1] // keepalived judges a list at its end
				}
			}
			switch _, ok := res.iface(name.V, at); {
			case !ok && !res.dynamic():
			case taken[name.V].IsSet():
				res.r.Errorf(name.At, "garp_group already specified for %s - ignoring", name.V).With("the first one counts, at", taken[name.V])
			default:
				taken[name.V] = name.At
				d.Interfaces = append(d.Interfaces, name.V)
			}
		}
		if !grp.Delayed {
			res.r.Errorf(grp.End, "garp group does not have any delay set - removing")
			continue
		}
		if len(d.Interfaces) > 0 && (grp.ARP.V > 0 || grp.NA.V > 0) {
			out = append(out, d)
		}
	}
	if g.GARPInterval.V != 0 || g.GNAInterval.V != 0 {
		out = append(out, model.GARPDelay{ARPInterval: g.GARPInterval.V, NAInterval: g.GNAInterval.V})
	}
	return out
}

// buffers takes the sizes of receive buffers.
func (res *resolver) buffers(v *model.VRRP) {
	g := &res.c.Global
	v.CommandRxBuf, v.MonitorRxBuf, v.ProcessRxBuf = g.CommandRxBuf.model(), g.MonitorRxBuf.model(), g.ProcessRxBuf.model()
	v.RxBufs = g.RxBufs
	v.RxBufs.Multiplier = g.RxBufsMultiplier.V
	if res.rxBufs = v.RxBufs; v.RxBufs.Multiplier == 0 {
		res.rxBufs.Multiplier = defaultRxMultiplier
	}
}

// defaultRxMultiplier is vrrp_rx_bufs_multiplier unless it is given.
const defaultRxMultiplier = 3

// upDown returns the debounce delays. Their interfaces, and those of linkbeat_interfaces, must be there (class FATAL).
func (res *resolver) upDown(v *model.VRRP) (out []model.Debounce) {
	fatal := func(name string, at source.Pos, what string) bool {
		if _, ok := res.host.Interface(name); ok || res.dynamic() {
			return true
		}
		res.noInterface(res.r.Add(source.Fatal, at, "%s: unknown interface %s - ignoring it", what, name), name, res.host, "")
		return false
	}
	for _, l := range res.c.Linkbeat {
		if !fatal(l.V.Interface, l.At, "linkbeat_interfaces") {
			continue
		}
		method := model.LinkAuto
		for i, w := range l.V.Methods {
			m, ok := map[string]model.LinkMethod{"MII": model.LinkMII, "ETHTOOL": model.LinkEthtool, "IOCTL": model.LinkIoctl}[w.Text]
			if i > 0 || !ok {
				res.r.Errorf(w.At, "linkbeat_interfaces %s: unknown method %q - ignoring it", l.V.Interface, w.Text)
			} else {
				method = m
			}
		}
		v.Linkbeat = append(v.Linkbeat, model.Linkbeat{Interface: l.V.Interface, By: method})
	}
	v.LinkbeatAll = res.c.LinkbeatAll.V
	for _, i := range res.c.Instances {
		polled := func(l model.Linkbeat) bool { return l.Interface == i.Interface.V && l.Namespace == i.NetNamespace.V }
		if i.Linkbeat.V && i.Interface.V != "" && !slices.ContainsFunc(v.Linkbeat, polled) {
			v.Linkbeat = append(v.Linkbeat, model.Linkbeat{Interface: i.Interface.V, Namespace: i.NetNamespace.V})
		}
	}
	for _, d := range res.c.UpDown {
		usable := fatal(d.V.Interface, d.At, "interface_up_down_delays")
		for _, f := range d.V.bad {
			switch {
			case !usable:
			case f.err == errNoDelay:
				res.r.Notef(f.at, "interface_up_down_delays %s: %v - ignoring", d.V.Interface, f.err)
			default:
				res.r.Errorf(f.at, "interface_up_down_delays %s: %v", d.V.Interface, f.err)
			}
			usable = usable && schema.IsCorrected(f.err)
		}
		if usable {
			out = append(out, model.Debounce{Interface: d.V.Interface, Down: d.V.Down, Up: d.V.Up})
		}
	}
	return out
}

// debounceLimits shortens delays that would outlast the master's silence: a link failure would come after the takeover (vrrp.md §5).
// What is left is what keepalived leaves: one skew time of an owner less than the limit.
func (res *resolver) debounceLimits(v *model.VRRP) {
	for i := range v.IfDebounce {
		d := &v.IfDebounce[i]
		for j := range v.Instances {
			in := &v.Instances[j]
			limit := time.Duration(in.DownTimerAdverts-1) * in.AdvertInt
			if in.NetNamespace != "" || in.Interface != d.Interface || max(d.Down, d.Up) < limit {
				continue
			}
			res.r.Notef(source.Pos{}, "%s: interface %s debounce timer(s) not less that %d * advert_int - resetting",
				in.Name, d.Interface, in.DownTimerAdverts-1)
			limit = max(limit-(in.AdvertInt/256).Truncate(time.Microsecond), 0)
			d.Down, d.Up = min(d.Down, limit), min(d.Up, limit)
		}
	}
	v.IfDebounce = slices.DeleteFunc(v.IfDebounce, func(d model.Debounce) bool { return d.Down == 0 && d.Up == 0 })
}

// roundTo rounds half up.
func roundTo(d, step time.Duration) time.Duration { return (d + step/2) / step * step }
