package config

import (
	"fmt"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// need is a capability that a place of the configuration cannot do without.
type need struct {
	capability string // as in capabilities(7)
	orElse     string // what does as well; empty: nothing
	effect     string // of its absence
	what       string // keyword and name
	at         source.Pos
	more       int  // further places of the same capability and effect
	part       part // whose it is; 0: the daemon's as a whole
}

// What does as well as a capability.
const (
	PingSockets = "ping_group_range" // net.ipv4.ping_group_range has our group
	LockLimit   = "RLIMIT_MEMLOCK"   // is infinite
)

// need takes note of one. Places but the first are counted only.
func (res *resolver) need(n need) {
	n.part = res.part
	for i := range res.c.needs {
		if o := &res.c.needs[i]; o.capability == n.capability && o.effect == n.effect && o.part == n.part {
			if o.more++; n.at.Before(o.at) {
				o.at, o.what = n.at, n.what
			}
			return
		}
	}
	res.c.needs = append(res.c.needs, n)
}

// TellMissing adds a note for each capability that the configuration needs and that has denies, with what does not work therefore and the first
// line that needs it. A subsystem that does not run needs nothing.
//
// Differs from keepalived: it says nothing, and then that something failed.
func (c *Config) TellMissing(has func(string) bool, vrrp, checkers bool, r *source.Report) {
	for _, n := range c.needs {
		runs := n.part&(vrrpScripts|checkScripts) == 0 || n.part&startScripts != 0 || vrrp && n.part&vrrpScripts != 0 || checkers && n.part&checkScripts != 0
		if !runs || has(n.capability) || n.orElse != "" && has(n.orElse) {
			continue
		}
		also := ""
		if n.more > 0 {
			also = fmt.Sprintf(" (so do %d more)", n.more)
		}
		r.Notef(n.at, "%s needs %s%s, which the daemon does not have: %s", n.what, n.capability, also, n.effect)
	}
}

// TellMissing is that of the Config. If Options.Enter has refused, it speaks of net_namespace alone.
func (t *Text) TellMissing(has func(string) bool, vrrp, checkers bool, r *source.Report) {
	t.config.TellMissing(has, vrrp, checkers, r)
}

func needNamespace(what string, at source.Pos) need {
	return need{capability: "CAP_SYS_ADMIN", effect: "the network namespace cannot be entered", what: what, at: at}
}

// needProcess is what the daemon as a whole needs.
func (res *resolver) needProcess(p *model.Process) {
	c, g := res.c, &res.c.Global
	if c.NetNamespace.IsSet() {
		res.need(needNamespace("net_namespace", c.NetNamespace.At))
	}
	res.part = vrrpScripts
	res.needPlace("vrrp", &g.Sched)
	if g.MaxAutoPriority.V > 0 {
		res.need(need{capability: "CAP_SYS_NICE", effect: "the priority stays as it is", what: "max_auto_priority", at: g.MaxAutoPriority.At})
	}
	res.part = checkScripts
	res.needPlace("checker", &g.CheckerSched)
	if c.NetNamespaceIPVS.IsSet() {
		res.need(needNamespace("net_namespace_ipvs", c.NetNamespaceIPVS.At))
	}
	if g.SyncDaemon.IsSet() {
		res.need(need{capability: "CAP_NET_ADMIN", effect: "the sync daemons are not run", what: "lvs_sync_daemon", at: g.SyncDaemon.At})
	}
	for _, f := range []struct {
		name string
		part part
		opt  opt[fifo]
		conf *model.FIFO
	}{
		{"notify_fifo", vrrpScripts | checkScripts, g.NotifyFIFO, &p.NotifyFIFO},
		{"vrrp_notify_fifo", vrrpScripts, g.VRRPNotifyFIFO, &p.VRRPNotifyFIFO},
		{"lvs_notify_fifo", checkScripts, g.LVSNotifyFIFO, &p.LVSNotifyFIFO},
	} {
		if self := res.host.Self(); f.conf.Path != "" && (f.conf.UID != self.UID || f.conf.GID != self.GID) {
			res.part = f.part
			res.need(need{capability: "CAP_CHOWN", effect: "the pipe cannot be given to its user, and is not used", what: f.name, at: f.opt.At})
			res.need(need{capability: "CAP_DAC_OVERRIDE", effect: "the pipe cannot be opened once it is its user's, as after a crash", what: f.name, at: f.opt.At})
		}
	}
}

func (res *resolver) needPlace(role string, s *sched) {
	const effect = "the priority stays as it is"
	if s.Nice.V < 0 {
		res.need(need{capability: "CAP_SYS_NICE", effect: effect, what: role + "_priority", at: s.Nice.At})
	}
	if s.RTPriority.V > 0 {
		res.need(need{capability: "CAP_SYS_NICE", effect: effect, what: role + "_rt_priority", at: s.RTPriority.At})
	}
	if s.NoSwap.V {
		res.need(need{capability: "CAP_IPC_LOCK", orElse: LockLimit, effect: "memory can be swapped out", what: role + "_no_swap", at: s.NoSwap.At})
	}
}

// needVRRP is what instances and static entries need.
func (res *resolver) needVRRP(v *model.VRRP) {
	const unset = "addresses, routes, rules and interfaces cannot be set"
	for _, i := range res.c.Instances[:min(len(res.c.Instances), len(v.Instances))] {
		what := "vrrp_instance " + i.Name
		res.need(need{capability: "CAP_NET_RAW", effect: "adverts are neither sent nor received", what: what, at: i.At})
		res.need(need{capability: "CAP_NET_ADMIN", effect: unset, what: what, at: i.At})
		if n := i.NetNamespace; n.V != "" {
			res.need(needNamespace(what+" net_namespace", n.At))
		}
	}
	c := res.c
	for _, a := range c.Static {
		res.need(need{capability: "CAP_NET_ADMIN", effect: unset, what: "static_ipaddress", at: a.At})
	}
	for _, a := range c.StaticRoutes {
		res.need(need{capability: "CAP_NET_ADMIN", effect: unset, what: "static_routes", at: a.At})
	}
	for _, a := range c.StaticRules {
		res.need(need{capability: "CAP_NET_ADMIN", effect: unset, what: "static_rules", at: a.At})
	}
	for _, t := range c.Trackers {
		if t.Kind == trackProcess {
			res.need(need{capability: "CAP_NET_ADMIN", effect: "processes cannot be watched", what: "vrrp_track_process " + t.Name, at: t.At})
		}
	}
}

func (res *resolver) needService(v *VirtualServer) {
	res.need(need{capability: "CAP_NET_ADMIN", effect: "services cannot be set in IPVS", what: "virtual_server", at: v.At})
}

func (res *resolver) needProbe(c *Checker) {
	what := string(c.Kind)
	if c.FWMark.V != 0 {
		res.need(need{capability: "CAP_NET_ADMIN", effect: "fwmark cannot be set, and says nothing about the server", what: what + " fwmark", at: c.FWMark.At})
	}
	if p := c.BindPort.V; p > 0 && p < 1024 {
		res.need(need{capability: "CAP_NET_BIND_SERVICE", effect: "bind_port cannot be had, and says nothing about the server", what: what + " bind_port", at: c.BindPort.At})
	}
	if c.Kind == model.PingCheck {
		res.need(need{capability: "CAP_NET_RAW", orElse: PingSockets, effect: "hosts cannot be pinged", what: what, at: c.At})
	}
}

// needUser is what a script needs to run as its user and be ended.
func (res *resolver) needUser(s *model.Script, at source.Pos) {
	self := res.host.Self()
	other := s.UID != self.UID
	if other {
		res.need(need{capability: "CAP_SETUID", effect: "scripts cannot run as their users, and do not run", what: "script " + s.Args[0], at: at})
		res.need(need{capability: "CAP_KILL", effect: "scripts of other users cannot be ended", what: "script " + s.Args[0], at: at})
	}
	if other || s.GID != self.GID || self.UID == 0 { // root clears the supplementary groups too
		res.need(need{capability: "CAP_SETGID", effect: "scripts cannot have their groups, and do not run", what: "script " + s.Args[0], at: at})
	}
}
