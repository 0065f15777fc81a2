package effective

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// value is what the model has of a keyword.
type value struct {
	text     string
	off      bool     // the keyword would not stand in a configuration that says this
	verbatim bool     // shown as it was written
	notes    []string // what cannot be seen in the configuration
	from     []string // "BLOCK/KEYWORD": where it comes from if it is not written, in this order; BLOCK . is its own
	origin   string   // the same, where no keyword says it
}

// values are those of one block.
type values func(keyword string) (value, bool)

func (v values) of(keyword string) (value, bool) {
	if v == nil {
		return value{}, false
	}
	return v(keyword)
}

// field is a keyword of which the model has the value.
type field[M any] struct {
	keyword string
	get     func(*M) value
	from    []string
}

func valuesOf[M any](fields []field[M], m *M) values {
	return func(keyword string) (value, bool) {
		for _, f := range fields {
			if f.keyword == keyword {
				v := f.get(m)
				if v.from == nil {
					v.from = f.from
				}
				return v, true
			}
		}
		return value{}, false
	}
}

// Forms of values. A zero number or an empty text says that the keyword does not stand there, where that is said by the name.

func present(on bool) value                                     { return value{off: !on} }
func number[N int | int64 | uint8 | uint16 | uint32](n N) value { return value{text: fmt.Sprint(n)} }
func secs(d time.Duration) value                                { return value{text: seconds(d)} }

func onOff(on bool) value {
	if on {
		return value{text: "on"}
	}
	return value{text: "off"}
}

func unlessZero[N int | uint8 | uint16 | uint32](n N) value {
	return value{text: fmt.Sprint(n), off: n == 0}
}

func secsUnlessZero(d time.Duration) value { return value{text: seconds(d), off: d == 0} }
func text(s string) value                  { return value{text: quoted(s), off: s == ""} }

func addr(a netip.Addr) value {
	if !a.IsValid() {
		return value{off: true}
	}
	return value{text: a.String()}
}

// script tells what is run, and by whom.
func script(s *model.Script) value {
	if s == nil {
		return value{off: true, verbatim: true}
	}
	words := make([]string, len(s.Args))
	for i, a := range s.Args {
		words[i] = quoted(a)
	}
	return value{verbatim: true, notes: []string{fmt.Sprintf("runs %s as user %d, group %d", strings.Join(words, " "), s.UID, s.GID)}}
}

// when is a value that is told only if it is what the keyword is for: several keywords fill one field.
func when(ok bool, v value) value {
	v.off = v.off || !ok
	return v
}

var globalFields = []field[model.Model]{
	{"router_id", func(m *model.Model) value { return text(m.Process.RouterID) }, nil},
	{"json_version", func(m *model.Model) value { return number(m.Process.JSONVersion) }, nil},
	{"smtp_helo_name", func(m *model.Model) value { return text(m.Process.Mail.HELO) }, nil},
	{"smtp_tls_name", func(m *model.Model) value { return text(m.Process.Mail.TLSName) }, nil},
	{"startup_script", func(m *model.Model) value { return script(m.Process.StartupScript) }, nil},
	{"shutdown_script", func(m *model.Model) value { return script(m.Process.ShutdownScript) }, nil},
	{"notify_fifo_script", func(m *model.Model) value { return script(m.Process.NotifyFIFO.Script) }, nil},
	{"vrrp_notify_fifo_script", func(m *model.Model) value { return script(m.Process.VRRPNotifyFIFO.Script) }, nil},
	{"lvs_notify_fifo_script", func(m *model.Model) value { return script(m.Process.LVSNotifyFIFO.Script) }, nil},
}

type instance = model.Instance

// byStrict is a value that strict mode decides.
func byStrict(i *instance, v value) value {
	if i.Strict {
		v.origin = "strict mode"
	}
	return v
}

var smtpVRRP = []string{"global_defs/smtp_alert_vrrp", "global_defs/smtp_alert"}
var smtpChecker = []string{"global_defs/smtp_alert_checker", "global_defs/smtp_alert"}

func global(keyword string) []string { return []string{"global_defs/" + keyword} }

var instanceFields = []field[instance]{
	{"state", func(i *instance) value { return value{text: i.Initial.String()} }, nil},
	{"interface", func(i *instance) value { return text(i.Interface) }, nil},
	{"net_namespace", func(i *instance) value { return text(i.NetNamespace) }, nil},
	{"virtual_router_id", func(i *instance) value { return number(i.VRID) }, nil},
	{"version", func(i *instance) value {
		v := number(i.Version)
		if i.Family == model.IPv4 {
			v.from = global("vrrp_version")
		}
		return v
	}, nil},
	{"priority", func(i *instance) value { return number(i.Priority) }, nil},
	{"advert_int", func(i *instance) value { return secs(i.AdvertInt) }, nil},
	{"down_timer_adverts", func(i *instance) value { return byStrict(i, number(i.DownTimerAdverts)) }, global("vrrp_down_timer_adverts")},
	{"mcast_src_ip", func(i *instance) value { return when(len(i.Peers) == 0, addr(i.SourceAddr)) }, nil},
	{"unicast_src_ip", func(i *instance) value { return when(len(i.Peers) > 0, addr(i.SourceAddr)) }, nil},
	{"mcast_dst_ip", func(i *instance) value {
		v := when(len(i.Peers) == 0, addr(i.Group))
		if v.from = global("vrrp_mcast_group4"); i.Family == model.IPv6 {
			v.from = global("vrrp_mcast_group6")
		}
		return v
	}, nil},
	{"track_src_ip", func(i *instance) value { return present(i.TrackSourceAddr) }, nil},
	{"unicast_ttl", func(i *instance) value { return unlessZero(i.UnicastTTL) }, nil},
	{"check_unicast_src", func(i *instance) value {
		v := present(i.CheckUnicastSrc)
		if slices.ContainsFunc(i.Peers, func(p model.Peer) bool { return p.MinTTL != 0 || p.MaxTTL != 255 }) {
			v.origin = "a peer has min_ttl or max_ttl"
		}
		return v
	}, global("vrrp_check_unicast_src")},
	{"v3_checksum_as_v2", func(i *instance) value { return onOff(i.V3ChecksumV2) }, global("v3_checksum_as_v2")},
	{"strict_mode", func(i *instance) value { return onOff(i.Strict) }, global("vrrp_strict")},
	{"accept", func(i *instance) value { return byStrict(i, present(i.Accept)) }, nil},
	{"no_accept", func(i *instance) value { return byStrict(i, present(!i.Accept)) }, nil},
	{"promote_secondaries", func(i *instance) value { return present(i.PromoteSecondary) }, nil},
	{"nopreempt", func(i *instance) value { return present(i.NoPreempt) }, nil},
	{"preempt", func(i *instance) value { return present(!i.NoPreempt) }, nil},
	{"preempt_delay", func(i *instance) value { return secsUnlessZero(i.PreemptDelay) }, nil},
	{"skip_check_adv_addr", func(i *instance) value { return onOff(i.SkipCheckAdvAddr) }, global("vrrp_skip_check_adv_addr")},
	{"lower_prio_no_advert", func(i *instance) value { return byStrict(i, onOff(i.LowerPrioNoAdvert)) }, global("vrrp_lower_prio_no_advert")},
	{"higher_prio_send_advert", func(i *instance) value { return byStrict(i, onOff(i.HigherPrioAdvert)) }, global("vrrp_higher_prio_send_advert")},
	{"owner_ignore_adverts", func(i *instance) value { return when(i.Priority == 255, onOff(i.OwnerIgnoreAdvert)) }, global("vrrp_owner_ignore_adverts")},
	{"timer_expired_backup", func(i *instance) value { return unlessZero(i.TimerExpired) }, nil},
	{"garp_master_delay", func(i *instance) value { return secs(i.GARP.MasterDelay) }, global("vrrp_garp_master_delay")},
	{"garp_master_repeat", func(i *instance) value { return number(i.GARP.MasterRepeat) }, global("vrrp_garp_master_repeat")},
	{"garp_master_refresh", func(i *instance) value { return secs(i.GARP.MasterRefresh) }, global("vrrp_garp_master_refresh")},
	{"garp_master_refresh_repeat", func(i *instance) value { return number(i.GARP.RefreshRepeat) }, global("vrrp_garp_master_refresh_repeat")},
	{"garp_lower_prio_delay", func(i *instance) value { return byStrict(i, secs(i.GARP.LowerPrioDelay)) },
		[]string{"global_defs/vrrp_garp_lower_prio_delay", "global_defs/vrrp_garp_master_delay"}},
	{"garp_lower_prio_repeat", func(i *instance) value { return byStrict(i, number(i.GARP.LowerPrioRepeat)) },
		[]string{"global_defs/vrrp_garp_lower_prio_repeat", "global_defs/vrrp_garp_master_repeat"}},
	{"garp_contention_repeat", func(i *instance) value { return unlessZero(i.GARP.ContentionRepeat) }, global("vrrp_garp_contention_repeat")},
	{"vip_lease", func(i *instance) value { return secsUnlessZero(i.Lease) }, global("vrrp_vip_lease")},
	{"stall_guard", func(i *instance) value {
		v := onOff(i.StallGuard)
		if i.Lease > 0 {
			v.origin = "vip_lease implies it"
		}
		return v
	}, global("vrrp_stall_guard")},
	{"dont_track_primary", func(i *instance) value { return present(i.DontTrackPrimary) }, nil},
	{"notify_master", func(i *instance) value { return script(i.NotifyMaster) }, nil},
	{"notify_backup", func(i *instance) value { return script(i.NotifyBackup) }, nil},
	{"notify_fault", func(i *instance) value { return script(i.NotifyFault) }, nil},
	{"notify_stop", func(i *instance) value { return script(i.NotifyStop) }, nil},
	{"notify", func(i *instance) value { return script(i.Notify) }, nil},
	{"notify_master_rx_lower_pri", func(i *instance) value { return script(i.NotifyLowerPrio) }, nil},
	{"notify_priority_changes", func(i *instance) value { return onOff(i.NotifyPriority) },
		[]string{"vrrp_sync_group/notify_priority_changes", "global_defs/vrrp_notify_priority_changes"}},
	{"smtp_alert", func(i *instance) value { return onOff(i.SMTPAlert) }, smtpVRRP},
	{"kernel_rx_buf_size", func(i *instance) value { return unlessZero(i.RxBufSize) }, nil},
	{"auth_type", func(i *instance) value {
		return value{text: map[model.AuthType]string{model.AuthPass: "PASS", model.AuthAH: "AH"}[i.AuthType], off: i.AuthType == model.AuthNone}
	}, nil},
	{"auth_pass", func(i *instance) value { return value{text: quoted(string(i.AuthPass)), off: len(i.AuthPass) == 0} }, nil},
}

var groupFields = []field[model.SyncGroup]{
	{"smtp_alert", func(g *model.SyncGroup) value { return onOff(g.SMTPAlert) }, smtpVRRP},
	{"notify_priority_changes", func(g *model.SyncGroup) value { return onOff(g.NotifyPriority) }, global("vrrp_notify_priority_changes")},
	{"notify_master", func(g *model.SyncGroup) value { return script(g.NotifyMaster) }, nil},
	{"notify_backup", func(g *model.SyncGroup) value { return script(g.NotifyBackup) }, nil},
	{"notify_fault", func(g *model.SyncGroup) value { return script(g.NotifyFault) }, nil},
	{"notify_stop", func(g *model.SyncGroup) value { return script(g.NotifyStop) }, nil},
	{"notify", func(g *model.SyncGroup) value { return script(g.Notify) }, nil},
}

var scriptFields = []field[model.TrackScript]{
	{"script", func(s *model.TrackScript) value { return script(&s.Script) }, nil},
	{"interval", func(s *model.TrackScript) value { return secs(s.Interval) }, nil},
	{"timeout", func(s *model.TrackScript) value { return secs(s.Timeout) }, []string{"./interval"}},
	{"rise", func(s *model.TrackScript) value { return number(s.Rise) }, nil},
	{"fall", func(s *model.TrackScript) value { return number(s.Fall) }, nil},
}

type service = model.VirtualServer

var serviceFields = []field[service]{
	{"ip_family", func(v *service) value {
		return when(!v.Addr.IsValid() && v.Family != 0, value{text: map[model.Family]string{model.IPv4: "inet", model.IPv6: "inet6"}[v.Family]})
	}, nil},
	{"lb_algo", func(v *service) value { return text(v.Scheduler) }, nil},
	{"ops", func(v *service) value { return present(v.Flags&model.FlagOnePacket != 0) }, nil},
	{"protocol", func(v *service) value {
		return when(v.Protocol != 0, value{text: strings.ToUpper(v.Protocol.String())})
	}, nil},
	{"persistence_engine", func(v *service) value { return text(v.Engine) }, nil},
	{"persistence_timeout", func(v *service) value { return secsUnlessZero(v.Persistence) }, []string{"./persistence_granularity"}},
	{"persistence_granularity", func(v *service) value {
		if v.Family == model.IPv6 && v.Prefix6 != 0 {
			return number(v.Prefix6)
		}
		return addr(v.Mask4)
	}, nil},
	{"ha_suspend", func(v *service) value { return present(v.HASuspend) }, nil},
	{"smtp_alert", func(v *service) value { return onOff(v.SMTPAlert) }, smtpChecker},
	{"virtualhost", func(v *service) value { return text(v.VirtualHost) }, nil},
	{"alpha", func(v *service) value { return present(v.Alpha) }, nil},
	{"omega", func(v *service) value { return present(v.Omega) }, nil},
	{"quorum", func(v *service) value { return number(v.Quorum) }, nil},
	{"hysteresis", func(v *service) value { return number(v.Hysteresis) }, nil},
	{"quorum_up", func(v *service) value { return script(v.QuorumUp) }, nil},
	{"quorum_down", func(v *service) value { return script(v.QuorumDown) }, nil},
	{"sorry_server", func(v *service) value {
		if v.Sorry == nil {
			return value{off: true}
		}
		return value{text: strings.TrimSuffix(fmt.Sprintf("%s %d", v.Sorry.Addr, v.Sorry.Port), " 0")}
	}, nil},
	{"sorry_server_inhibit", func(v *service) value { return present(v.Sorry != nil && v.Sorry.Inhibit) }, nil},
}

type server = model.RealServer

var serverFields = []field[server]{
	{"weight", func(s *server) value { return number(s.Weight) }, []string{"virtual_server/weight"}},
	{"lvs_method", func(s *server) value { return value{text: method(s.Method)} }, []string{"virtual_server/lb_kind", "virtual_server/lvs_method"}},
	{"uthreshold", func(s *server) value { return number(s.UThreshold) }, nil},
	{"lthreshold", func(s *server) value { return number(s.LThreshold) }, nil},
	{"inhibit_on_failure", func(s *server) value { return onOff(s.Inhibit) }, []string{"virtual_server/inhibit_on_failure"}},
	{"alpha", func(s *server) value { return onOff(s.Alpha) }, []string{"virtual_server/alpha"}},
	{"smtp_alert", func(s *server) value { return onOff(s.SMTPAlert) }, smtpChecker},
	{"virtualhost", func(s *server) value { return text(s.VirtualHost) }, []string{"virtual_server/virtualhost"}},
	{"notify_up", func(s *server) value { return script(s.NotifyUp) }, nil},
	{"notify_down", func(s *server) value { return script(s.NotifyDown) }, nil},
}

func method(m model.Method) string {
	out := map[model.Forward]string{model.NAT: "NAT", model.TUN: "TUN", model.DR: "DR"}[m.Forward]
	t := m.Tunnel
	if t == (model.Tunnel{}) {
		return out
	}
	out += " type " + map[model.TunnelType]string{model.IPIP: "ipip", model.GUE: "gue", model.GRE: "gre"}[t.Type]
	if t.Port != 0 {
		out += " port " + strconv.Itoa(int(t.Port))
	}
	return out + [...]string{"", " csum", " remcsum"}[min(t.Flags, 2)]
}

type check = model.Check

// around is where a setting of a checker comes from if its block does not have it.
func around(keyword string) []string {
	return []string{"real_server/" + keyword, "virtual_server/" + keyword}
}

var checkFields = []field[check]{
	{"delay_loop", func(c *check) value { return secs(c.DelayLoop) }, around("delay_loop")},
	{"retry", func(c *check) value { return number(c.Retry) }, around("retry")},
	{"delay_before_retry", func(c *check) value { return secs(c.DelayBeforeRetry) }, around("delay_before_retry")},
	{"warmup", func(c *check) value { return secs(c.Warmup) }, append(append(around("warmup"), "./delay_loop"), around("delay_loop")...)},
	{"alpha", func(c *check) value { return onOff(c.Alpha) }, around("alpha")},
	{"log_all_failures", func(c *check) value { return onOff(c.LogAllFailures) }, global("checker_log_all_failures")},
	{"connect_ip", func(c *check) value {
		// One of another family than that of bindto is not written, but that of the server.
		same := !c.Conn.Bind.IsValid() || c.Conn.Bind.Addr().Is4() == c.Conn.Dst.Addr().Is4()
		return when(same, addr(c.Conn.Dst.Addr()))
	}, nil},
	{"connect_port", func(c *check) value { return unlessZero(c.Conn.Dst.Port()) }, nil},
	{"bindto", func(c *check) value { return addr(c.Conn.Bind.Addr()) }, nil},
	{"bind_port", func(c *check) value { return unlessZero(c.Conn.Bind.Port()) }, nil},
	{"bind_if", func(c *check) value { return text(c.Conn.BindIf) }, nil},
	{"connect_timeout", func(c *check) value { return secs(c.Conn.Timeout) }, around("connect_timeout")},
	{"fwmark", func(c *check) value { return number(c.Conn.Mark) }, nil},
	{"http_protocol", ofKind(func(c *check) *model.HTTPOpts { return c.HTTP }, func(o *model.HTTPOpts) value { return text(string(o.Protocol)) }), nil},
	{"fast_recovery", ofKind(func(c *check) *model.HTTPOpts { return c.HTTP }, func(o *model.HTTPOpts) value { return onOff(o.FastRecovery) }), nil},
	{"misc_path", ofKind(func(c *check) *model.MiscOpts { return c.Misc }, func(o *model.MiscOpts) value { return script(&o.Script) }), nil},
	{"misc_timeout", ofKind(func(c *check) *model.MiscOpts { return c.Misc }, func(o *model.MiscOpts) value { return secs(o.Timeout) }), []string{"virtual_server/delay_loop"}},
	{"misc_dynamic", ofKind(func(c *check) *model.MiscOpts { return c.Misc }, func(o *model.MiscOpts) value { return present(o.Dynamic) }), nil},
	{"helo_name", func(c *check) value { return text(c.SMTP.HELO) }, nil},
	{"type", func(c *check) value { return value{text: c.DNS.Type.String()} }, nil},
	{"min_reply_length", ofKind(func(c *check) *model.UDPOpts { return c.UDP }, func(o *model.UDPOpts) value { return number(o.Least) }), nil},
	{"max_reply_length", ofKind(func(c *check) *model.UDPOpts { return c.UDP }, func(o *model.UDPOpts) value { return number(o.Most) }), nil},
}

// ofKind is a value of options that only checkers of some kinds have.
func ofKind[O any](options func(*check) *O, of func(*O) value) func(*check) value {
	return func(c *check) (v value) {
		if o := options(c); o != nil {
			v = of(o)
		}
		return v
	}
}

// outcome is what became of a block that was read.
type outcome struct {
	value   values
	tracked map[string][]string // the entries of track_* lists that the model has
}

// mayBeDropped are the blocks that a daemon may have to run without although they were read.
var mayBeDropped = map[string]bool{"vrrp_instance": true, "vrrp_sync_group": true, "virtual_server": true, "virtual_server/real_server": true}

// pair gives a block what became of it. It reports whether a daemon runs without the block.
func (e *explainer) pair(s *scope, n *syntax.Node) (dropped bool) {
	if s.block == "vrrp_instance/authentication" {
		s.outcome = s.outer.outcome
		return false
	}
	o, ok := e.outcomes[s.at]
	s.outcome = o
	if s.block == "vrrp_instance" && len(n.Args) > 0 {
		if g := e.groups[n.Args[0].Text]; g != nil { // some settings are inherited from the sync group
			s.outer = &scope{block: "vrrp_sync_group", key: "vrrp_sync_group", at: g.At, nodes: e.bodies[g.At], outer: s.outer}
		}
	}
	return e.m != nil && !ok && mayBeDropped[s.block]
}

// pairAll finds what became of all blocks, by their places.
func (e *explainer) pairAll() {
	for _, g := range e.c.Groups {
		for _, m := range g.Members {
			e.groups[m.V] = g
		}
	}
	v := &e.m.VRRP
	instances, groups, scripts := map[string]*instance{}, map[string]*model.SyncGroup{}, map[string]*model.TrackScript{}
	for i := range v.Instances {
		instances[v.Instances[i].Name] = &v.Instances[i]
	}
	for i := range v.Groups {
		groups[v.Groups[i].Name] = &v.Groups[i]
	}
	for i := range v.Scripts {
		scripts[v.Scripts[i].Name] = &v.Scripts[i]
	}
	for _, w := range e.c.Instances {
		if m := instances[w.Name]; m != nil {
			e.outcomes[w.At] = outcome{valuesOf(instanceFields, m), tracked(m.TrackInterfaces, m.TrackScripts, m.TrackFiles, m.TrackProcesses)}
		}
	}
	for _, w := range e.c.Groups {
		if m := groups[w.Name]; m != nil {
			e.outcomes[w.At] = outcome{valuesOf(groupFields, m), tracked(m.TrackInterfaces, m.TrackScripts, m.TrackFiles, m.TrackProcesses)}
		}
	}
	for _, w := range e.c.Scripts {
		if m := scripts[w.Name]; m != nil {
			e.outcomes[w.At] = outcome{value: valuesOf(scriptFields, m)}
			delete(scripts, w.Name) // of two with one name the first counts
		}
	}
	for _, w := range e.c.LVS.Services {
		if w.Run == 0 {
			continue
		}
		v := &e.m.LVS.Services[w.Run-1]
		e.outcomes[w.At] = outcome{value: valuesOf(serviceFields, v)}
		for _, w := range w.Real {
			if w.Run == 0 {
				continue
			}
			r := &v.Real[w.Run-1]
			e.outcomes[w.At] = outcome{value: valuesOf(serverFields, r)}
			for _, w := range w.Checkers {
				if w.Run > 0 && len(w.Hosts) == 0 {
					e.outcomes[w.At] = outcome{value: valuesOf(checkFields, &r.Checks[w.Run-1])}
				}
			}
		}
	}
}

// tracked lists what a thing tracks, by the keyword.
func tracked(interfaces, scripts, files, processes []model.Track) map[string][]string {
	out := map[string][]string{}
	for keyword, list := range map[string][]model.Track{"track_interface": interfaces, "track_script": scripts, "track_file": files,
		"track_process": processes} {
		out[keyword] = []string{}
		for _, t := range list {
			out[keyword] = append(out[keyword], t.Name)
		}
	}
	return out
}
