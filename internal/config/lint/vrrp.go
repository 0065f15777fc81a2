package lint

import (
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

func nopreemptMaster(s *subject) {
	for _, i := range s.instances {
		if i.written.NoPreempt.V && i.written.State.V == model.Master {
			s.say(i.written.NoPreempt.At, "(%s) nopreempt with state MASTER", i.Name)
		}
	}
}

// swing is the lowest and the highest that a tracker adds to the priority (vrrp.md §14): a negative weight counts while the tracker is
// down, a positive one while it is up; reversed the other way round.
func swing(t model.Track) (low, high int) { return min(0, t.Weight), max(0, t.Weight) }

func clamp(p int) int { return min(254, max(1, p)) }

func weightWithoutEffect(s *subject) {
	for _, i := range s.instances {
		base := int(i.Priority)
		for _, t := range i.tracks() {
			if low, high := swing(t); t.Weight != 0 && clamp(base+low) == clamp(base+high) {
				s.say(i.trackAt(t.Name), "(%s) weight %d of %s cannot change the priority of %d", i.Name, t.Weight, t.Name, base)
			}
		}
	}
}

// weightNoPreempt takes it that the other routers have nopreempt too, as they should.
func weightNoPreempt(s *subject) {
	for _, i := range s.instances {
		for _, t := range i.tracks() {
			if t.Weight != 0 && i.NoPreempt {
				s.say(i.trackAt(t.Name), "(%s) weight %d of %s with nopreempt", i.Name, t.Weight, t.Name)
			}
		}
	}
}

func weightBeyondRange(s *subject) {
	for _, i := range s.instances {
		low, high, n := int(i.Priority), int(i.Priority), 0
		for _, t := range i.tracks() {
			l, h := swing(t)
			low, high = low+l, high+h
			if t.Weight != 0 {
				n++
			}
		}
		if n > 1 && (low < 1 || high > 254) {
			s.say(i.written.At, "(%s) the weights make a priority between %d and %d", i.Name, low, high)
		}
	}
}

func vridTwice(s *subject) {
	for n, a := range s.instances {
		for _, b := range s.instances[:n] {
			if a.VRID == b.VRID && a.Family == b.Family && a.NetNamespace == b.NetNamespace && a.Interface == b.Interface && a.Interface != "" {
				s.say(or(a.written.VRID.At, a.written.At), "(%s) virtual_router_id %d on %s is that of %s too", a.Name, a.VRID, a.Interface, b.Name)
			}
		}
	}
}

func vridOfSamples(s *subject) {
	for _, i := range s.instances {
		if i.VRID == 51 && len(i.Peers) == 0 {
			s.say(i.written.VRID.At, "(%s) virtual_router_id 51", i.Name)
		}
	}
}

func vipOutside(s *subject) {
	for _, i := range s.instances {
		host := s.host
		if i.NetNamespace != "" {
			var err error
			if host, _, err = s.host.Namespace(i.NetNamespace); err != nil {
				continue
			}
		}
		for _, a := range append(slices.Clone(i.VIPs), i.ExcludedVIPs...) {
			addr := a.Prefix.Addr()
			f, ok := host.Interface(a.Interface)
			same := slices.DeleteFunc(slices.Clone(f.Addrs), func(p netip.Prefix) bool {
				return p.Addr().Is4() != addr.Is4() || p.Addr().IsLinkLocalUnicast() || p.Addr() == addr
			})
			inside := slices.ContainsFunc(same, func(p netip.Prefix) bool { return p.Masked().Contains(addr) })
			if ok && len(same) > 0 && !inside && !addr.IsLinkLocalUnicast() {
				s.say(i.vipAt(a.Prefix), "(%s) %s is in no network of %s", i.Name, addr, a.Interface)
			}
		}
	}
}

func vipTwice(s *subject) {
	type place struct {
		namespace string
		addr      netip.Addr
	}
	first := map[place]string{}
	for _, i := range s.instances {
		for _, a := range append(slices.Clone(i.VIPs), i.ExcludedVIPs...) {
			addr := a.Prefix.Addr()
			at := place{i.NetNamespace, addr}
			if other, dup := first[at]; dup && other != i.Name {
				s.say(i.vipAt(a.Prefix), "(%s) %s is an address of %s too", i.Name, addr, other)
			} else if !addr.IsLinkLocalUnicast() {
				first[at] = i.Name
			}
		}
	}
}

func lists(i instance, a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(i.Peers, func(p model.Peer) bool { return p.Addr == a })
}

func advertMismatch(s *subject) {
	for n, a := range s.instances {
		for _, b := range s.instances[:n] {
			if a.VRID == b.VRID && lists(a, b.SourceAddr) && lists(b, a.SourceAddr) && a.AdvertInt != b.AdvertInt {
				s.say(or(a.written.AdvertInt.At, a.written.At), "(%s) advert_int is %v, that of its peer %s %v", a.Name, a.AdvertInt, b.Name, b.AdvertInt)
			}
		}
	}
}

func advertShort(s *subject) {
	for _, i := range s.instances {
		if i.AdvertInt < 100*time.Millisecond && s.model.Process.VRRPSched.RTPriority == 0 {
			s.say(i.written.AdvertInt.At, "(%s) advert_int of %v", i.Name, i.AdvertInt)
		}
	}
}

func slowTakeover(s *subject) {
	for _, i := range s.instances {
		if d := time.Duration(i.DownTimerAdverts) * i.AdvertInt; d > 10*time.Second {
			s.say(or(i.written.AdvertInt.At, i.written.DownTimer.At, i.written.At), "(%s) %d adverts of %v have to be missed", i.Name, i.DownTimerAdverts, i.AdvertInt)
		}
	}
}

// members calls f for each member of a sync group but its first, with the first.
func (s *subject) members(f func(g model.SyncGroup, first, other instance)) {
	for _, g := range s.model.VRRP.Groups {
		var list []instance
		for _, name := range g.Members {
			for _, i := range s.instances {
				if i.Name == name {
					list = append(list, i)
				}
			}
		}
		for _, other := range list[min(1, len(list)):] {
			f(g, list[0], other)
		}
	}
}

func groupAdvert(s *subject) {
	s.members(func(g model.SyncGroup, a, b instance) {
		if a.AdvertInt != b.AdvertInt {
			s.say(or(b.written.AdvertInt.At, b.written.At), "(%s) advert_int is %v, that of %s in sync group %s %v", b.Name, b.AdvertInt, a.Name, g.Name, a.AdvertInt)
		}
	})
}

func groupPriority(s *subject) {
	s.members(func(g model.SyncGroup, a, b instance) {
		if a.Priority != b.Priority {
			s.say(or(b.written.Priority.At, b.written.At), "(%s) priority is %d, that of %s in sync group %s %d", b.Name, b.Priority, a.Name, g.Name, a.Priority)
		}
	})
}

func groupState(s *subject) {
	s.members(func(g model.SyncGroup, a, b instance) {
		if a.Initial != b.Initial {
			s.say(or(b.written.State.At, b.written.At), "(%s) starts as %v, %s in sync group %s as %v", b.Name, b.Initial, a.Name, g.Name, a.Initial)
		}
	})
}

func strictDisables(s *subject) {
	for _, i := range s.instances {
		if !i.Strict {
			continue
		}
		w := i.written
		for _, k := range []struct {
			at   source.Pos
			name string
		}{
			{or(w.AuthType.At, w.AuthPass.At), "authentication"}, {w.Unicast.At, w.Unicast.V}, {w.PreemptDelay.At, "preempt_delay"},
			{w.DownTimer.At, "down_timer_adverts"}, {w.HigherPrioSend.At, "higher_prio_send_advert"},
			{w.GARPLowerPrioDelay.At, "garp_lower_prio_delay"}, {w.GARPLowerPrioCount.At, "garp_lower_prio_repeat"},
			{w.NoVIP.At, "no_virtual_ipaddress"},
		} {
			if k.at.IsSet() {
				s.say(k.at, "(%s) strict mode disables %s", i.Name, k.name)
			}
		}
	}
}

func strictNotAccepting(s *subject) {
	for _, i := range s.instances {
		if i.Strict && !i.Accept {
			s.say(or(i.written.Strict.At, s.config.Global.Strict.At, i.written.At), "(%s) does not accept packets to its addresses", i.Name)
		}
	}
}

func unicastWithout(s *subject) {
	for _, i := range s.instances {
		limited := !slices.ContainsFunc(i.Peers, func(p model.Peer) bool { return p.MinTTL == 0 })
		if len(i.Peers) > 0 && i.AuthType == model.AuthNone && !limited && !i.CheckUnicastSrc {
			s.say(or(i.written.Unicast.At, i.written.At), "(%s) unicast without authentication", i.Name)
		}
	}
}

func unicastSource(s *subject) {
	for _, i := range s.instances {
		if len(i.Peers) > 0 && !i.written.Source.IsSet() {
			s.say(or(i.written.Unicast.At, i.written.At), "(%s) unicast_peer without unicast_src_ip", i.Name)
		}
	}
}

func peerIsSelf(s *subject) {
	for _, i := range s.instances {
		for _, p := range i.written.Peers {
			if i.SourceAddr.IsValid() && p.V.Addr == i.SourceAddr {
				s.say(p.At, "(%s) %s is the instance itself", i.Name, p.V.Addr)
			}
		}
	}
}

// samplePasswords are those of keepalived's samples, manuals and of blogs.
var samplePasswords = []string{"1111", "1234", "12345", "12345678", "1066", "password", "passwd", "secret", "keepalive", "k33p@liv", "PASSWORD", "changeme"}

func passOfSamples(s *subject) {
	for _, i := range s.instances {
		if i.AuthType != model.AuthNone && slices.Contains(samplePasswords, string(i.AuthPass)) {
			s.say(i.written.AuthPass.At, "(%s) the password is a well-known one", i.Name)
		}
	}
}

func secretsReadable(s *subject) {
	told := map[string]bool{}
	look := func(at source.Pos) {
		if !at.IsSet() {
			return
		}
		name := s.report.Place(at).File
		if f, err := s.host.Stat(name); !told[name] && err == nil && f.Mode&fs.ModeSymlink == 0 && f.Mode.Perm()&0o044 != 0 {
			told[name] = true
			s.say(at, "%s has mode %04o", name, f.Mode.Perm())
		}
	}
	for _, i := range s.instances {
		look(i.written.AuthPass.At)
	}
	if ssl := s.config.LVS.SSL; ssl != nil {
		look(ssl.Password.At)
	}
}

func masterLow(s *subject) {
	for _, i := range s.instances {
		if i.Initial == model.Master && i.Priority < 100 {
			s.say(or(i.written.State.At, i.written.At), "(%s) state MASTER with priority %d", i.Name, i.Priority)
		}
	}
}

func notifyMissing(s *subject) {
	type script struct {
		at      source.Pos
		name    string
		resolve *model.Script
	}
	look := func(owner string, list ...script) {
		for _, c := range list {
			if c.at.IsSet() && c.resolve == nil {
				s.say(c.at, "(%s) %s cannot be run", owner, c.name)
			}
		}
	}
	for _, i := range s.instances {
		w := &i.written.Scripts
		look(i.Name, script{w.Master.At, "notify_master", i.NotifyMaster}, script{w.Backup.At, "notify_backup", i.NotifyBackup},
			script{w.Fault.At, "notify_fault", i.NotifyFault}, script{w.Stop.At, "notify_stop", i.NotifyStop},
			script{w.Any.At, "notify", i.Notify}, script{w.Deleted.At, "notify_deleted", i.NotifyDeleted},
			script{w.LowerPrio.At, "notify_master_rx_lower_pri", i.NotifyLowerPrio})
	}
	for _, g := range s.model.VRRP.Groups {
		at := slices.IndexFunc(s.config.Groups, func(w *config.SyncGroup) bool { return w.Name == g.Name })
		if at < 0 {
			continue
		}
		w := &s.config.Groups[at].Scripts
		look(g.Name, script{w.Master.At, "notify_master", g.NotifyMaster}, script{w.Backup.At, "notify_backup", g.NotifyBackup},
			script{w.Fault.At, "notify_fault", g.NotifyFault}, script{w.Stop.At, "notify_stop", g.NotifyStop}, script{w.Any.At, "notify", g.Notify})
	}
	for _, v := range s.services {
		look(v.String(), script{v.written.QuorumUp.At, "quorum_up", v.QuorumUp}, script{v.written.QuorumDown.At, "quorum_down", v.QuorumDown})
	}
}

// scripts calls f for each vrrp_script in use.
func (s *subject) scripts(f func(model.TrackScript, *config.VRRPScript)) {
	for _, t := range s.model.VRRP.Scripts {
		for _, w := range s.config.Scripts {
			if w.Name == t.Name {
				f(t, w)
				break
			}
		}
	}
}

func scriptRoot(s *subject) {
	s.scripts(func(t model.TrackScript, w *config.VRRPScript) {
		if t.Script.UID == 0 && !w.User.IsSet() && len(s.config.Global.ScriptUsers) == 0 {
			s.say(w.Script.At, "vrrp_script %s runs as root", t.Name)
		}
	})
}

func scriptTimeout(s *subject) {
	s.scripts(func(t model.TrackScript, w *config.VRRPScript) {
		if t.Timeout > t.Interval {
			s.say(or(w.Timeout.At, w.At), "vrrp_script %s has an interval of %v and a timeout of %v", t.Name, t.Interval, t.Timeout)
		}
	})
}

func scriptHysteresis(s *subject) {
	s.scripts(func(t model.TrackScript, w *config.VRRPScript) {
		if t.Rise == 1 && t.Fall == 1 {
			s.say(w.At, "vrrp_script %s has rise 1 and fall 1", t.Name)
		}
	})
}

func primaryNotTracked(s *subject) {
	for _, i := range s.instances {
		if i.DontTrackPrimary && len(i.tracks()) == 0 {
			s.say(i.written.DontTrackPrimary.At, "(%s) tracks nothing", i.Name)
		}
	}
}

func garpOff(s *subject) {
	for _, i := range s.instances {
		g := i.GARP
		if g.MasterRefresh == 0 && (g.MasterRepeat == 0 || g.MasterRepeat == 1 && g.MasterDelay == 0) {
			s.say(or(i.written.GARPMasterRepeat.At, s.config.Global.GARPMasterRepeat.At, i.written.At), "(%s) sends at most one gratuitous ARP", i.Name)
		}
	}
}

func mailWithout(s *subject) {
	if len(s.config.Global.MailTo) > 0 {
		return
	}
	for _, at := range []source.Pos{s.config.Global.SMTPAlert.At, s.config.Global.SMTPAlertVRRP.At, s.config.Global.SMTPAlertChecker.At} {
		if at.IsSet() {
			s.say(at, "there is no notification_email")
			return
		}
	}
	for _, i := range s.instances {
		if i.SMTPAlert {
			s.say(or(i.written.SMTPAlert.At, i.written.At), "(%s) there is no notification_email", i.Name)
			return
		}
	}
}
