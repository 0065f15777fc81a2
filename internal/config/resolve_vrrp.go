package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

var (
	defaultGroup4 = netip.MustParseAddr("224.0.0.18")
	defaultGroup6 = netip.MustParseAddr("ff02::12")
)

// instanceInterfaces reports the interfaces of an instance that are not there.
func (res *resolver) instanceInterfaces(i *Instance) {
	if i.Interface.IsSet() {
		var last opt[string]
		for _, name := range append(i.OldInterfaces, i.Interface) {
			if f, ok := res.iface(name.V, name.At); ok && f.Loopback {
				res.r.Errorf(name.At, "(%s) cannot use a loopback interface (%s) for vrrp - ignoring", i.Name, f.Name)
				continue
			}
			last = name
		}
		i.Interface = last
	}
	for _, l := range [][]opt[Address]{i.VIPs, i.Excluded} {
		for _, a := range l {
			if a.V.Dev.IsSet() {
				res.iface(a.V.Dev.V, a.V.Dev.At)
			}
		}
	}
	res.virtual[i] = virtualRouting{res.routes(i.Routes), res.rules(i.Rules)}
	for _, t := range i.Track.Interfaces {
		res.iface(t.V.Name, t.At)
	}
}

// complete refuses an instance without a router id, or without an interface where one is needed.
func (res *resolver) complete(i *Instance) {
	if !i.VRID.IsSet() {
		res.refuse(i.At, "(%s) the virtual router id must be set", i.Name)
	}
	unicastSource := i.Source.IsSet() && (i.Unicast.IsSet() || len(i.Peers) > 0)
	switch {
	case i.Interface.IsSet():
	case !unicastSource:
		res.refuse(i.At, "(%s) Unknown interface!", i.Name)
	case i.Source.V.IsLinkLocalUnicast():
		res.refuse(i.Source.At, "(%s) a link-local source address needs an interface", i.Name)
	}
}

// refuse reports what a daemon cannot run with; keepalived leaves out the checks after it.
func (res *resolver) refuse(at source.Pos, format string, args ...any) {
	res.stopped = true
	res.r.Refuse(source.Error, at, format, args...)
}

// instance resolves one instance in the order of keepalived's checks (language.md §11, vrrp.md §15 and §20).
func (res *resolver) instance(i *Instance, grp *SyncGroup, scripts scriptSet, trackers trackerSet) (model.Instance, bool) {
	g := &res.c.Global
	out := model.Instance{
		Name: i.Name, Interface: i.Interface.V, NetNamespace: i.NetNamespace.V, VRID: uint8(i.VRID.V), Strict: first(i.Strict, g.Strict),
		SourceAddr: i.Source.V, TrackSourceAddr: i.TrackSource.V, Peers: values(i.Peers), UnicastTTL: i.UnicastTTL.V,
		OldUnicastSum: i.OldChecksum.V, V3ChecksumV2: first(i.V3ChecksumV2, g.V3ChecksumAsV2),
		PromoteSecondary: i.PromoteSecondaries.V, DontTrackPrimary: i.DontTrackPrimary.V,
		SkipCheckAdvAddr: first(i.SkipCheckAdvAddr, g.SkipCheckAdvAddr),
		RxBufSize:        i.RxBufSize.V,
		ExtraIf:          first(i.ExtraIf, g.ExtraIf),
		NotifyPriority:   first(i.NotifyPriority, g.NotifyPriority),
		SMTPAlert:        first(i.SMTPAlert, opt[bool]{V: first(g.SMTPAlertVRRP, g.SMTPAlert)}),
	}
	if grp != nil && !i.NotifyPriority.IsSet() && grp.NotifyPriority.IsSet() {
		out.NotifyPriority = grp.NotifyPriority.V
	}
	say := func(at source.Pos, format string, args ...any) {
		res.r.Errorf(at, "(%s) "+format, append([]any{i.Name}, args...)...)
	}
	res.election(i, &out, say)
	res.authentication(i, &out, say)
	if !res.peers(i, &out, say) {
		return out, false
	}
	res.vrf(i, &out, say)
	res.vlink(i, &out, say)
	if !res.addresses(i, &out, say) {
		return out, false
	}
	out.Routes, out.Rules = res.virtual[i].routes, res.virtual[i].rules
	res.preemption(i, &out, say)
	res.garp(i, &out, say)
	res.safety(i, &out)
	res.interval(i, &out, say)
	res.tracking(i, grp, &out, scripts, trackers, say)
	out.RxBuf = res.rxBuf(&out)
	if i.PromoteSecondaries.V && (i.VMAC.IsSet() || i.IPVLAN.IsSet()) {
		say(i.PromoteSecondaries.At, "promote_secondaries is automatic on a virtual MAC interface - ignoring")
		out.PromoteSecondary = false
	}

	out.NotifyDeletedState = i.DeletedState.V
	return out, true
}

// notifyScripts are the notify scripts of an instance or group that can be run.
type notifyScripts struct{ master, backup, fault, stop, any, deleted, lowerPrio *model.Script }

func (res *resolver) notifyScripts(s *Scripts) notifyScripts {
	of := func(c opt[Command]) *model.Script { return res.script("notify", c) }
	return notifyScripts{of(s.Master), of(s.Backup), of(s.Fault), of(s.Stop), of(s.Any), of(s.Deleted), of(s.LowerPrio)}
}

func (n notifyScripts) instance(i *model.Instance) {
	i.NotifyMaster, i.NotifyBackup, i.NotifyFault, i.NotifyStop, i.Notify = n.master, n.backup, n.fault, n.stop, n.any
	i.NotifyDeleted, i.NotifyLowerPrio = n.deleted, n.lowerPrio
}

func (n notifyScripts) group(g *model.SyncGroup) {
	g.NotifyMaster, g.NotifyBackup, g.NotifyFault, g.NotifyStop, g.Notify = n.master, n.backup, n.fault, n.stop, n.any
}

type sayer func(at source.Pos, format string, args ...any)

// election settles family, version, priority and initial state.
func (res *resolver) election(i *Instance, out *model.Instance, say sayer) {
	g := &res.c.Global
	if out.Family = model.IPv4; i.Family.IsSet() {
		out.Family = i.Family.V
	}
	switch {
	case i.Version.IsSet():
		out.Version = i.Version.V
	case out.Family == model.IPv6:
		out.Version = 3
	default:
		out.Version = g.Version.V
	}
	if out.Strict && out.Family == model.IPv6 && out.Version == 2 {
		say(i.Version.At, "cannot use IPv6 with VRRP version 2; setting version 3")
		out.Version = 3
	}
	out.Priority, out.Initial = uint8(i.Priority.V), i.State.V
	if !i.Priority.IsSet() && i.State.V == model.Master {
		out.Priority = 255
	}
	owner := out.Priority == 255
	byPriority := model.Backup
	if owner {
		byPriority = model.Master
	}
	switch {
	case !i.State.IsSet():
		out.Initial = byPriority
	case out.Strict && out.Initial != byPriority:
		say(i.State.At, "State MASTER must match being address owner - using %v", byPriority)
		out.Initial = byPriority
	}
}

func (res *resolver) authentication(i *Instance, out *model.Instance, say sayer) {
	res.hmac(i, out, say)
	if !i.AuthType.IsSet() && !i.AuthPass.IsSet() {
		return
	}
	at := i.AuthType.At
	switch {
	case out.HMAC.On():
		say(at, "auth_hmac replaces authentication - ignoring it")
	case out.Strict:
		say(at, "Strict mode does not support authentication. Ignoring.")
	case out.Version == 3:
		say(at, "VRRP version 3 does not support authentication. Ignoring.")
	case !i.AuthType.IsSet(): // a password alone is not used
	case i.AuthPass.V == "":
		say(at, "Authentication specified but no password given. Ignoring")
	case i.AuthType.V == model.AuthAH && out.Family == model.IPv6:
		say(at, "cannot use AH authentication with IPv6 - ignoring")
	default:
		out.AuthType, out.AuthPass = i.AuthType.V, model.Secret(i.AuthPass.V)
		if out.AuthType == model.AuthAH {
			if out.Initial == model.Master && out.Priority != 255 {
				say(i.State.At, "Initial state master is incompatible with AH authentication - clearing")
				out.Initial = model.Backup
			}
		}
	}
}

// peers settles where adverts go; it returns false if the instance is refused.
func (res *resolver) peers(i *Instance, out *model.Instance, say sayer) bool {
	g := &res.c.Global
	iface, here := res.net.found[i.Interface.V]
	out.CheckUnicastSrc = first(i.CheckSrc, g.CheckUnicastSrc)
	for _, p := range out.Peers {
		if p.MinTTL != 0 || p.MaxTTL != 255 {
			out.CheckUnicastSrc = true
		}
	}
	if len(out.Peers) > 0 {
		if out.Strict && here && iface.Multicast {
			res.refuse(i.Unicast.At, "(%s) Unicast peers are not supported in strict mode", i.Name)
			return false
		}
		if i.Group.IsSet() {
			say(i.Group.At, "mcast_dst_ip has no effect with unicast peers - ignoring it")
		}
	} else {
		if i.Unicast.IsSet() {
			if i.NoPeerFault.V {
				say(i.Unicast.At, "Cannot use unicast without any peers - going to fault state")
				out.ConfigFault = "no unicast peers"
			} else {
				res.r.Add(source.Deprecated, i.Unicast.At,
					"(%s) A unicast keyword has been specified without any unicast peers. Defaulting to multicast.", i.Name)
			}
		}
		out.UnicastTTL = 0
		if i.Interface.V == "" {
			res.refuse(i.At, "(%s) Unknown interface!", i.Name)
			return false
		}
		if here && !iface.Multicast && out.ConfigFault == "" {
			say(i.Interface.At, "interface %s does not support multicast and there are no peers - going to fault state", iface.Name)
			out.ConfigFault = "interface does not support multicast"
		}
		out.CheckUnicastSrc = false
	}
	switch {
	case i.Group.IsSet() && len(out.Peers) == 0:
		out.Group = i.Group.V
	case out.Family == model.IPv6:
		out.Group = orAddr(g.McastGroup6, defaultGroup6)
	default:
		out.Group = orAddr(g.McastGroup4, defaultGroup4)
	}
	return true
}

func orAddr(o opt[netip.Addr], def netip.Addr) netip.Addr {
	if o.IsSet() {
		return o.V
	}
	return def
}

// addresses settles the virtual addresses; it returns false if the instance is refused.
func (res *resolver) addresses(i *Instance, out *model.Instance, say sayer) bool {
	place := func(l []opt[Address]) (list []model.Address) {
		list = slices.Grow(list, len(l))
		for k := range l {
			a := &l[k]
			m, dev := a.V.Address, i.Interface.V
			if a.V.Dev.IsSet() {
				dev = a.V.Dev.V
			}
			if dev == "" {
				say(a.At, "no interface for vip %s - removing", m.Prefix)
				continue
			}
			m.Interface = res.placeOn(i, out, a, dev, say)
			m.UseVMAC = a.V.UseVMAC
			list = append(list, m)
		}
		return list
	}
	out.VIPs, out.ExcludedVIPs = place(i.VIPs), place(i.Excluded)
	out.NoVIP = i.NoVIP.V && !out.Strict
	if len(out.VIPs) == 0 {
		switch {
		case out.NoVIP:
		case out.Version == 3 || out.Strict:
			res.refuse(i.At, "(%s) No VIP specified; at least one is required", i.Name)
			return false
		default:
			res.r.Add(source.Warning, i.At, "(%s) No VIP specified; at least one is sensible", i.Name)
		}
	}
	if i.NoVIP.V && out.Strict {
		res.r.Add(source.Warning, i.NoVIP.At, "(%s) no_virtual_ipaddress is not possible in strict mode - resetting", i.Name)
	}
	if out.Family == model.IPv6 && len(out.VIPs) > 0 && len(out.Peers) == 0 && !out.VIPs[0].Prefix.Addr().IsLinkLocalUnicast() {
		if out.Strict {
			say(i.VIPs[0].At, "the first IPv6 VIP address must be link local")
		} else {
			res.r.Notef(i.VIPs[0].At, "(%s) the first IPv6 VIP address should be link local", i.Name)
		}
	}
	if room := res.room(out); len(out.VIPs) > room {
		say(i.VIPs[room].At, "Number of VIPs (%d) exceeds maximum/space available in packet (max %d addresses) - excess moved to eVIPs",
			len(out.VIPs), room)
		out.ExcludedVIPs = append(slices.Clone(out.VIPs[room:]), out.ExcludedVIPs...)
		out.VIPs = out.VIPs[:room]
	}
	return true
}

// room is the number of addresses that an advert can carry (vrrp.md §1.5).
func (res *resolver) room(out *model.Instance) int {
	mtu, header, size := 1500, 20, 4
	if f, ok := res.net.found[out.Interface]; ok && f.MTU > 0 {
		mtu = f.MTU
	}
	if out.Family == model.IPv6 {
		header, size = 40, 16
	}
	left := mtu - 14 - header - 8
	if out.Version == 2 {
		left -= 8
	}
	if out.AuthType == model.AuthAH {
		left -= 24
	}
	if out.HMAC.On() {
		left -= 28
	}
	return max(0, min(255, left/size))
}

// rxBuf is what an instance adds to the receive buffer of its socket (kernel_rx_buf_size, vrrp_rx_bufs_policy).
func (res *resolver) rxBuf(out *model.Instance) int {
	p := res.rxBufs
	switch {
	case out.RxBufSize != 0:
		return out.RxBufSize
	case p.MTU:
		if f, ok := res.net.found[out.Interface]; ok && f.MTU > 0 {
			return p.Multiplier * f.MTU
		}
		return p.Multiplier * 1500
	case p.Advert:
		size := 20 + 8 + 4*len(out.VIPs)
		if out.Family == model.IPv6 {
			size = 40 + 8 + 16*len(out.VIPs)
		}
		if out.Version == 2 {
			size += 8
		}
		if out.AuthType == model.AuthAH {
			size += 24
		}
		return p.Multiplier * size
	}
	return p.Bytes
}

func (res *resolver) preemption(i *Instance, out *model.Instance, say sayer) {
	g := &res.c.Global
	owner := out.Priority == 255
	master := out.Initial == model.Master
	out.NoPreempt, out.PreemptDelay = i.NoPreempt.V, i.PreemptDelay.V
	switch {
	case !out.NoPreempt:
	case owner:
		say(i.NoPreempt.At, "nopreempt is incompatible with priority 255. resetting nopreempt")
		out.NoPreempt = false
	case master:
		say(i.NoPreempt.At, "Warning - nopreempt will not work with initial state MASTER - clearing")
		out.NoPreempt = false
	}
	useless := ""
	switch {
	case out.PreemptDelay == 0:
	case out.Strict:
		useless = "preempt_delay is incompatible with strict mode - resetting"
	case master:
		useless = "Warning - preempt delay will not work with initial state MASTER - clearing"
	case out.NoPreempt:
		useless = "preempt_delay is incompatible with nopreempt - resetting"
	}
	if useless != "" {
		say(i.PreemptDelay.At, "%s", useless)
		out.PreemptDelay = 0
	}
	if i.TimerExpired.IsSet() {
		if out.TimerExpired = i.TimerExpired.V; !out.NoPreempt {
			say(i.TimerExpired.At, "timer_expired_backup needs nopreempt - resetting")
			out.TimerExpired = 0
		}
	}
	down := pick(i.DownTimer, g.DownTimerAdverts)
	if out.DownTimerAdverts = down.V; out.Strict && out.DownTimerAdverts != 3 {
		say(down.At, "down_timer_adverts is incompatible with strict mode - resetting")
		out.DownTimerAdverts = 3
	}
	lower := pick(i.LowerPrioNo, g.LowerPrioNoAdvert)
	if out.LowerPrioNoAdvert = lower.V; out.Strict && !lower.V {
		if lower.IsSet() {
			say(lower.At, "Strict mode requires no lower priority advert. resetting")
		}
		out.LowerPrioNoAdvert = true
	}
	higher := pick(i.HigherPrioSend, g.HigherPrioAdvert)
	if out.HigherPrioAdvert = higher.V; out.Strict && higher.V {
		say(higher.At, "strict mode requires higher_prio_send_advert to be clear. resetting")
		out.HigherPrioAdvert = false
	}
	switch {
	case i.Accept.IsSet():
		if out.Accept = i.Accept.V; out.Accept && out.Strict && out.Version == 2 {
			say(i.Accept.At, "warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting")
			out.Accept = false
		}
	default:
		out.Accept = !out.Strict
	}
	out.Accept = out.Accept || owner
	out.OwnerIgnoreAdvert = first(i.OwnerIgnore, g.OwnerIgnore)
	switch {
	case owner && out.Strict && !i.OwnerIgnore.IsSet():
		out.OwnerIgnoreAdvert = true
	case owner && i.OwnerIgnore.IsSet() && !i.OwnerIgnore.V:
		// Differs from keepalived, which says this too, but switches it on.
		say(i.OwnerIgnore.At, "an address owner should ignore adverts - keeping owner_ignore_adverts off")
	case !owner && out.OwnerIgnoreAdvert:
		if i.OwnerIgnore.IsSet() {
			say(i.OwnerIgnore.At, "ignoring owner_ignore_adverts since priority is not 255")
		}
		out.OwnerIgnoreAdvert = false
	}
}

func (res *resolver) garp(i *Instance, out *model.Instance, say sayer) {
	g := &res.c.Global
	delay, repeat, refresh, refreshRepeat := g.GARPMasterDelay, g.GARPMasterRepeat, g.GARPMasterRefresh, g.GARPRefreshRepeat
	if g.MinGARP.V {
		least(&delay, 0)
		least(&repeat, 1)
		least(&refresh, 0)
		least(&refreshRepeat, 0)
	}
	out.GARP = model.GARP{
		MasterDelay:     first(i.GARPMasterDelay, delay),
		MasterRepeat:    first(i.GARPMasterRepeat, repeat),
		MasterRefresh:   first(i.GARPMasterRefresh, refresh),
		RefreshRepeat:   first(i.GARPRefreshRepeat, refreshRepeat),
		LowerPrioDelay:  first(i.GARPLowerPrioDelay, opt[time.Duration]{V: first(g.GARPLowerPrioDelay, delay)}),
		LowerPrioRepeat: first(i.GARPLowerPrioCount, opt[int]{V: first(g.GARPLowerPrioRepeat, repeat)}),
	}
	if !out.Strict {
		return
	}
	if n := pick(i.GARPLowerPrioCount, g.GARPLowerPrioRepeat); n.V != 0 {
		say(n.At, "Strict mode requires no repeat garps. resetting")
	}
	if d := pick(i.GARPLowerPrioDelay, g.GARPLowerPrioDelay); d.V != 0 {
		say(d.At, "Strict mode requires no repeat garps. resetting")
	}
	out.GARP.LowerPrioRepeat, out.GARP.LowerPrioDelay = 0, 0
}

// least is what vrrp_min_garp does to a setting that was not written.
func least[V any](o *opt[V], v V) {
	if !o.IsSet() {
		o.V = v
	}
}

// interval fits the advert interval to what the protocol version can carry.
func (res *resolver) interval(i *Instance, out *model.Instance, say sayer) {
	const most = 4095 * 10 * time.Millisecond
	out.AdvertInt = i.AdvertInt.V
	switch fits := roundTo(out.AdvertInt, 10*time.Millisecond); {
	case out.Version == 2:
		if whole := max(roundTo(out.AdvertInt, time.Second), time.Second); whole != out.AdvertInt {
			say(i.AdvertInt.At, "VRRPv2 advertisement interval %v must be an integer. rounding to %v", out.AdvertInt, whole)
			out.AdvertInt = whole
		}
	case fits > most:
		say(i.AdvertInt.At, "VRRPv3 advertisement interval %v is out of range. Using %v", out.AdvertInt, most)
		out.AdvertInt = most
	case fits != out.AdvertInt:
		say(i.AdvertInt.At, "VRRPv3 advertisement interval %v must be a multiple of 10ms. rounding to %v", out.AdvertInt, fits)
		out.AdvertInt = fits
	}
	if h := &out.HMAC; h.On() && h.Window == 0 {
		h.Window = min(max(5*time.Second, roundTo(3*out.AdvertInt, time.Second)), 300*time.Second)
	}
}

// tracking settles what the instance tracks besides what its group does.
func (res *resolver) tracking(i *Instance, grp *SyncGroup, out *model.Instance, scripts scriptSet, trackers trackerSet, say sayer) {
	owner := out.Priority == 255
	plainGroup := grp != nil && !grp.TrackingWeight.V
	inGroup := func(name string) bool { return grp != nil && grp.Track.names.has(name) }
	for _, t := range i.Track.Interfaces {
		w := t.V.Weight.V
		switch {
		case t.V.Name == i.Interface.V:
			say(t.At, "Ignoring track_interface %s since own interface", t.V.Name)
			continue
		case inGroup("track_interface " + t.V.Name):
			say(t.At, "track_interface %s is tracked by the sync group already - ignoring it", t.V.Name)
			continue
		case w.W != 0 && owner:
			say(t.At, "ignoring %s tracked interface due to address owner", t.V.Name)
			continue
		case w.W != 0 && plainGroup:
			// As in keepalived the weight stays effective in spite of the message (vrrp.md §14).
			say(t.At, "ignoring %s tracked interface weight due to SYNC group", t.V.Name)
		}
		out.TrackInterfaces = append(out.TrackInterfaces, model.Track{Name: t.V.Name, Weight: w.W, Reverse: w.Reverse})
	}
	for _, t := range i.Track.Scripts {
		s, w := res.trackedScript(t, scripts)
		switch {
		case s == nil:
			continue
		case inGroup("track_script " + t.V.Name):
			say(t.At, "track_script %s is tracked by the sync group already - ignoring it", t.V.Name)
			continue
		case w.W != 0 && owner:
			say(t.At, "ignoring tracked script %s with weights due to address_owner", t.V.Name)
			continue
		case w.W != 0 && plainGroup:
			say(t.At, "ignoring tracked script %s with weights due to SYNC group", t.V.Name)
			continue
		}
		if s.usable {
			s.used = true
			out.TrackScripts = append(out.TrackScripts, model.Track{Name: t.V.Name, Weight: w.W, Reverse: w.Reverse})
		}
	}
	why := ""
	switch {
	case owner:
		why = "address_owner"
	case plainGroup:
		why = "SYNC group"
	}
	out.TrackScripts = append(out.TrackScripts, res.tracked(i.Track.Checks, why)...)
	out.TrackFiles = res.memberTracks(i.Track.Files, trackers, trackFile, inGroup, why, say)
	out.TrackProcesses = res.memberTracks(i.Track.Processes, trackers, trackProcess, inGroup, why, say)
	res.groupTracks(i.Track.BFD, trackers, trackBFD, func(_ opt[trackEntry], w weight) weight { return w })
}

// trackScript is a vrrp_script on its way into the model.
type trackScript struct {
	def    *VRRPScript
	script model.Script
	usable bool // there is something to run
	named  bool // a track_script entry has its name
	used   bool // an instance or group tracks it
}

// scriptSet has the scripts by name.
type scriptSet map[string]*trackScript

// find returns what an entry of a track_script block names; it has to be defined above.
func (set scriptSet) find(e opt[trackEntry]) *trackScript {
	if s := set[e.V.Name]; s != nil && !e.At.Before(s.def.At) {
		return s
	}
	return nil
}

// trackScripts resolves all vrrp_script blocks; of two with the same name the first counts.
func (res *resolver) trackScripts() scriptSet {
	out := make(scriptSet, len(res.c.Scripts))
	for _, d := range res.c.Scripts {
		if !d.Script.IsSet() {
			res.r.Errorf(d.End, "No script set for vrrp_script %s - removing", d.Name)
			continue
		}
		if d.User.IsSet() {
			if _, ok := res.account(d.User.V, d.User.At); !ok {
				res.r.Errorf(d.User.At, "vrrp_script %s: there is no user or group %s - removing the script", d.Name, d.User.V)
				continue
			}
		}
		s, fail, why := res.command(Command{Args: d.Script.V}, d.User.V, orPos(d.End, d.At))
		if fail == scriptNoUser {
			res.r.Errorf(d.End, "vrrp_script %s: %s - removing it", d.Name, why)
			continue
		}
		if _, dup := out[d.Name]; dup {
			continue
		}
		t := &trackScript{def: d, script: s, usable: fail == scriptFine}
		class := source.Error
		if len(res.c.Instances) == 0 {
			class = source.Note // keepalived does not look further without instances
		}
		switch fail {
		case scriptInsecure:
			res.r.Add(class, d.Script.At, "Disabling track script %s due to insecure", d.Name).Hint = why
		case scriptNotFound:
			res.r.Add(class, d.Script.At, "Disabling track script %s since not found/accessible", d.Name).Hint = why
		case scriptNotExec, scriptNotCalled:
			res.r.Notef(d.Script.At, "vrrp_script %s: %s - disabling", d.Name, why)
		}
		out[d.Name] = t
	}
	return out
}

// trackedScript returns the script of a track_script entry and the weight it has there.
func (res *resolver) trackedScript(t opt[trackEntry], scripts scriptSet) (*trackScript, weight) {
	s := scripts.find(t)
	if s == nil {
		return nil, weight{}
	}
	s.named = true
	return s, t.V.weight(s.def.Weight.V)
}

// usedScripts returns the scripts that something tracks, in the order of the configuration.
func (res *resolver) usedScripts(scripts scriptSet) (out []model.TrackScript) {
	for _, d := range res.c.Scripts {
		s := scripts[d.Name]
		switch {
		case s == nil || s.def != d:
		case !s.named:
			res.r.Notef(d.At, "Warning - script %s is not used", d.Name)
		case s.used:
			res.needUser(&s.script, d.Script.At)
			out = append(out, model.TrackScript{
				Name: d.Name, Script: s.script, Interval: d.Interval.V, Timeout: first(d.Timeout, d.Interval),
				Rise: d.Rise.V, Fall: d.Fall.V, InitFail: d.InitFail.V,
				Weight: d.Weight.V.W, Reverse: d.Weight.V.Reverse, DefaultTimeout: !d.Timeout.IsSet(),
			})
		}
	}
	for _, name := range res.probeOrder {
		out = append(out, res.probes[name])
	}
	return out
}

// groupSet is the sync groups that are left after their members were looked up.
type groupSet struct {
	list []*SyncGroup
	of   map[string]*SyncGroup // by member
}

func (res *resolver) groups() groupSet {
	set := groupSet{of: map[string]*SyncGroup{}}
	for _, g := range res.c.Groups {
		var members []opt[string]
		for _, m := range g.Members {
			switch {
			case !res.c.names.has("vrrp_instance " + m.V):
				res.meant(res.r.Errorf(m.At, "Virtual router %s specified in sync group %s doesn't exist - ignoring", m.V, g.Name), m.V, res.instanceNames, "")
			case set.of[m.V] != nil:
				res.r.Errorf(m.At, "Virtual router %s cannot exist in more than one sync group; ignoring %s", m.V, g.Name).
					With("the other is at", set.of[m.V].At)
			default:
				set.of[m.V] = g
				members = append(members, m)
			}
		}
		if len(members) == 0 {
			if len(g.Members) > 0 {
				res.r.Errorf(g.End, "Sync group %s has no members - removing", g.Name)
			}
			continue
		}
		g.Members = members
		if len(members) == 1 {
			res.r.Errorf(g.At, "Sync group %s has only 1 virtual router(s) - this probably isn't what you want", g.Name)
		}
		set.list = append(set.list, g)
	}
	return set
}

func (res *resolver) group(g *SyncGroup, owner bool, scripts scriptSet, trackers trackerSet) model.SyncGroup {
	gl := &res.c.Global
	out := model.SyncGroup{
		Name: g.Name, Members: values(g.Members), TrackingWeight: g.TrackingWeight.V,
		NotifyPriority: first(g.NotifyPriority, gl.NotifyPriority),
		SMTPAlert:      first(g.SMTPAlert, opt[bool]{V: first(gl.SMTPAlertVRRP, gl.SMTPAlert)}),
	}
	// The priority of an address owner does not change.
	ownerless := func(t opt[trackEntry], w weight) weight {
		if w.W != 0 && owner {
			res.r.Errorf(t.At, "Sync group %s has a member of priority 255, so the weight of %s cannot be used - clearing it", g.Name, t.V.Name)
			return weight{}
		}
		return w
	}
	for _, t := range g.Track.Interfaces {
		for _, m := range g.Members {
			i, ok := res.index[m.V]
			if ok && res.c.Instances[i].Interface.V == t.V.Name && !res.c.Instances[i].DontTrackPrimary.V {
				res.r.Errorf(source.Pos{}, "(%s) track_interface %s is configured on VRRP instance and sync group. Remove vrrp instance or sync group config",
					m.V, t.V.Name).With("in the group at", t.At)
			}
		}
		w := ownerless(t, t.V.Weight.V)
		out.TrackInterfaces = append(out.TrackInterfaces, model.Track{Name: t.V.Name, Weight: w.W, Reverse: w.Reverse})
	}
	for _, t := range g.Track.Scripts {
		s, w := res.trackedScript(t, scripts)
		if s == nil {
			continue
		}
		if w = ownerless(t, w); s.usable {
			s.used = true
			out.TrackScripts = append(out.TrackScripts, model.Track{Name: t.V.Name, Weight: w.W, Reverse: w.Reverse})
		}
	}
	why := "SYNC group"
	if out.TrackingWeight {
		why = ""
	}
	out.TrackScripts = append(out.TrackScripts, res.tracked(g.Track.Checks, why)...)
	// As in keepalived the weights of the group's own trackers are effective without sync_group_tracking_weight.
	out.TrackFiles = res.groupTracks(g.Track.Files, trackers, trackFile, ownerless)
	out.TrackProcesses = res.groupTracks(g.Track.Processes, trackers, trackProcess, ownerless)
	res.groupTracks(g.Track.BFD, trackers, trackBFD, ownerless)
	return out
}

// conflicts refuses two instances that could not be told apart on the wire.
func (res *resolver) conflicts(list []model.Instance) {
	type multicastKey struct {
		vrid      uint8
		family    model.Family
		namespace string
		iface     string
		group     netip.Addr
	}
	type unicastKey struct {
		vrid         uint8
		source, peer netip.Addr
		namespace    string
		iface        string
	}
	multi, uni := map[multicastKey]string{}, map[unicastKey]string{}
	placeOf := func(name string) source.Pos { return res.c.Instances[res.index[name]].At }
	for i := range list {
		in := &list[i]
		at := res.c.Instances[i].At
		if len(in.Peers) == 0 {
			k := multicastKey{in.VRID, in.Family, in.NetNamespace, in.Interface, in.Group}
			if other, dup := multi[k]; dup {
				res.r.Refuse(source.Error, at, "%s and %s both use VRID %d with %v on interface %s", other, in.Name, in.VRID, in.Family, in.Interface).
					With("the other is at", placeOf(other))
			}
			multi[k] = in.Name
			continue
		}
		for _, p := range in.Peers {
			k := unicastKey{in.VRID, in.SourceAddr, p.Addr, in.NetNamespace, in.Interface}
			if other, dup := uni[k]; dup {
				res.r.Refuse(source.Error, at, "(%s) duplicate VRID conflict with %s VRID %d", in.Name, other, in.VRID).
					With("the other is at", placeOf(other))
				break
			}
			uni[k] = in.Name
		}
	}
}

// values drops the places.
func values[V any](list []opt[V]) (out []V) {
	for _, o := range list {
		out = append(out, o.V)
	}
	return out
}
