package config

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// resolveLVS fills the LVS part of the model; its global settings are already there. The corrections are made in keepalived's order.
func resolveLVS(res *resolver, l *model.LVS) {
	if s := res.c.LVS.SSL; s != nil {
		l.TLS = model.TLSClient{Password: model.Secret(s.Password.V), CA: s.CA.V, Certificate: s.Certificate.V, Key: s.Key.V}
	}
	for _, g := range res.c.LVS.Groups {
		if out, ok := res.serverGroup(g, l.Groups); ok {
			l.Groups = append(l.Groups, out)
		}
	}
	seq := map[string]int{}
	seen := map[model.ServiceKey]source.Pos{}
	for v := range res.services {
		res.served = true
		out, ok := res.service(v, l, seq[v.Group])
		if !ok {
			continue
		}
		if out.Group != "" {
			seq[out.Group]++
		}
		if first, dup := seen[out.Key()]; dup {
			// Differs from keepalived: it runs both, and they share one service of the kernel.
			res.r.Notef(v.At, "Virtual server %s is defined twice - ignoring this one", &out).With("first defined at", first)
			continue
		}
		seen[out.Key()] = v.At
		res.needService(v)
		if res.keep {
			l.Services = append(l.Services, out)
			v.Run = len(l.Services)
		}
	}
	l.Files = res.files.checked()
}

// serverGroup checks a group as a whole. Of two with the same name only the first can be referred to.
func (res *resolver) serverGroup(g *ServerGroup, known []model.ServerGroup) (out model.ServerGroup, ok bool) {
	out.Name = g.Name
	if slices.ContainsFunc(known, func(k model.ServerGroup) bool { return k.Name == g.Name }) {
		res.r.Notef(g.At, "virtual_server_group %s is defined twice - ignoring this one", g.Name)
		return out, false
	}
	out.Entries = make([]model.GroupEntry, 0, len(g.Entries))
	families := map[model.Family]bool{}
	loose := false // a mark without a family
	for _, e := range g.Entries {
		out.Entries = append(out.Entries, e.V)
		if f := entryFamily(e.V); f != 0 {
			families[f] = true
		} else {
			loose = true
		}
	}
	switch {
	case len(out.Entries) == 0:
		res.r.Errorf(g.End, "virtual server group %s has no entries - removing", g.Name)
		return out, false
	case loose && len(families) > 1:
		res.r.Errorf(g.End, "virtual server group %s cannot have IPv4, IPv6 and fwmark without family - removing", g.Name)
		return out, false
	}
	return out, true
}

// foreign reports whether an entry of a group is of another family than the service. A service of both families, which has none, is only
// possible where all servers are reached through tunnels.
func foreign(family model.Family, entries []model.GroupEntry) bool {
	return slices.ContainsFunc(entries, func(e model.GroupEntry) bool {
		f := entryFamily(e)
		return f != 0 && family != 0 && f != family
	})
}

// entryFamily is the family of an entry; 0 for a mark that has none.
func entryFamily(e model.GroupEntry) model.Family {
	if e.IsFWMark {
		return e.Family
	}
	return model.FamilyOf(e.First)
}

// service resolves one virtual server, which is number seq of its group if it has one; false: it is not run.
func (res *resolver) service(v *VirtualServer, l *model.LVS, seq int) (out model.VirtualServer, ok bool) {
	g := &res.c.Global
	out = model.VirtualServer{
		Addr: v.Addr.Addr(), Port: v.Addr.Port(), FWMark: v.FWMark, IsFWMark: v.IsFWMark, Group: v.Group,
		Protocol: v.Protocol.V, Scheduler: v.Scheduler.V, Flags: v.Flags, Engine: v.Engine.V,
		Persistence: time.Duration(v.Persistence.V) * time.Second, Mask4: v.Mask4.V, Prefix6: v.Prefix6.V,
		Quorum: uint32(v.Quorum.V), Hysteresis: uint32(v.Hysteresis.V),
		Alpha: v.Alpha.V, Omega: v.Omega.V, HASuspend: v.HASuspend.V,
		SMTPAlert:   first(v.SMTPAlert, opt[bool]{V: first(g.SMTPAlertChecker, g.SMTPAlert)}),
		VirtualHost: v.VirtualHost.V, SNMPName: v.SNMPName.V,
	}
	if len(v.Real) == 0 {
		res.r.Errorf(v.End, "Virtual server %s has no real servers - ignoring", &out)
		return out, false
	}
	var entries []model.GroupEntry
	if v.Group != "" {
		out.Seq = seq
		i := slices.IndexFunc(l.Groups, func(g model.ServerGroup) bool { return g.Name == v.Group })
		if i < 0 {
			res.meant(res.r.Notef(v.At, "Virtual server group %s specified but not configured - ignoring virtual server", v.Group), v.Group,
				func() (known []string) {
					for _, g := range l.Groups {
						known = append(known, g.Name)
					}
					return known
				}, "")
			out.Family = serviceFamily(v, nil)
			servers := res.ofFamily(v, &out)
			if len(servers) == 0 {
				res.r.Errorf(v.End, "Virtual server %s has no real servers - ignoring", &out)
			}
			for _, s := range servers {
				res.unused(v, s)
			}
			return out, false
		}
		entries = l.Groups[i].Entries
	}
	out.Family = serviceFamily(v, entries)
	servers := res.ofFamily(v, &out)
	if len(servers) == 0 {
		res.r.Errorf(v.End, "Virtual server %s has no real servers - ignoring", &out)
		return out, false
	}
	res.serviceKind(v, &out, entries)
	out.Real = res.realServers(v, servers, &out, entries)
	res.sorry(v, &out, entries)
	if foreign(out.Family, entries) {
		res.r.Notef(v.At, "Virtual server %s: its family is not that of group %s - ignoring virtual server", &out, v.Group)
		return out, false
	}
	res.quorum(v, &out)
	if t := v.TrackVRRP; t.IsSet() {
		if out.TrackVRRP = t.V; !res.c.names.has("vrrp_instance " + t.V) {
			res.meant(res.r.Errorf(t.At, "Virtual server %s: there is no vrrp_instance %s - ignoring track_vrrp", &out, t.V), t.V, res.instanceNames, "")
			out.TrackVRRP = ""
		}
	}
	out.QuorumUp = res.script("quorum_up", v.QuorumUp)
	out.QuorumDown = res.script("quorum_down", v.QuorumDown)
	return out, true
}

// serviceFamily decides the family of a service: that of its address, or ip_family, or that of its first server that is not reached
// through a tunnel, or that of its group, or that of all servers. It is 0 where the group has both families and nothing speaks for
// one of them.
func serviceFamily(v *VirtualServer, entries []model.GroupEntry) model.Family {
	if v.Addr.IsValid() {
		return model.FamilyOf(v.Addr.Addr())
	}
	if v.IPFamily.IsSet() {
		return v.IPFamily.V
	}
	if f := untunnelledFamily(v); f != 0 {
		return f
	}
	families := map[model.Family]bool{}
	for _, e := range entries {
		if f := entryFamily(e); f != 0 {
			families[f] = true
		}
	}
	if len(families) == 0 {
		for _, s := range v.Real {
			families[model.FamilyOf(s.Addr.Addr())] = true
		}
		if len(families) > 1 {
			return model.IPv4
		}
	}
	switch {
	case len(families) > 1:
		return 0
	case families[model.IPv6]:
		return model.IPv6
	}
	return model.IPv4
}

// untunnelledFamily is the family of the first server that is not reached through a tunnel, which must be that of the service; 0: there
// is none.
func untunnelledFamily(v *VirtualServer) model.Family {
	for _, s := range v.Real {
		if first(s.Method, v.Method).Forward != model.TUN {
			return model.FamilyOf(s.Addr.Addr())
		}
	}
	if v.Sorry.IsSet() && first(v.SorryMethod, v.Method).Forward != model.TUN {
		return model.FamilyOf(v.Sorry.V.Addr())
	}
	return 0
}

// serviceKind corrects what does not fit the kind of the service. A group of firewall marks alone is like a single one.
func (res *resolver) serviceKind(v *VirtualServer, out *model.VirtualServer, entries []model.GroupEntry) {
	marked := v.IsFWMark || v.Group != "" && !slices.ContainsFunc(entries, func(e model.GroupEntry) bool { return !e.IsFWMark })
	zeroPort := v.Addr.IsValid() && out.Port == 0 ||
		slices.ContainsFunc(entries, func(e model.GroupEntry) bool { return !e.IsFWMark && e.Port == 0 })
	if marked && out.HASuspend {
		res.r.Errorf(v.HASuspend.At, "Virtual server %s: cannot use ha_suspend with fwmarks - clearing ha_suspend", out)
		out.HASuspend = false
	}
	if !marked && out.Protocol == 0 {
		res.r.Errorf(v.At, "Virtual server %s: no protocol set - defaulting to UDP", out)
		out.Protocol = model.UDP
	}
	if v.OPS.V && !marked && out.Protocol != model.UDP {
		res.r.Errorf(v.OPS.At, "Virtual server %s: one packet scheduling requires UDP - resetting", out)
	} else if v.OPS.V {
		out.Flags |= model.FlagOnePacket
	}
	if zeroPort && out.Persistence == 0 && !foreign(out.Family, entries) {
		res.r.Errorf(v.At, "Virtual server %s: zero port only valid for persistent services - setting", out)
		out.Persistence = defaultPersistence * time.Second
	}
	if marked && out.Protocol != 0 {
		res.r.Errorf(v.Protocol.At, "Warning: Virtual server %s: protocol specified for fwmark - protocol will be ignored", out)
		out.Protocol = 0
	}
	if out.Scheduler == "" {
		res.r.Errorf(v.At, "Virtual server %s: no scheduler set, setting default 'wlc'", out)
		out.Scheduler = "wlc"
	}
	if out.Persistence != 0 {
		out.Flags |= model.FlagPersistent
	}
	switch out.Family {
	case model.IPv4:
		out.Prefix6 = 0
	case model.IPv6:
		out.Mask4 = netip.Addr{}
	}
}

// ofFamily returns the servers that are of the family of the service, or reached through a tunnel.
func (res *resolver) ofFamily(v *VirtualServer, out *model.VirtualServer) []*RealServer {
	wrong := func(s *RealServer) bool {
		return out.Family != 0 && first(s.Method, v.Method).Forward != model.TUN && model.FamilyOf(s.Addr.Addr()) != out.Family
	}
	if !slices.ContainsFunc(v.Real, wrong) {
		return v.Real
	}
	var servers []*RealServer
	for _, s := range v.Real {
		if !wrong(s) {
			servers = append(servers, s)
			continue
		}
		res.r.Errorf(s.End, "Address family of virtual server and real server %s don't match - skipping real server.", s.Addr.Addr())
		res.unused(v, s)
	}
	return servers
}

// unused tells what is wrong with the checkers of a server that is not run, as keepalived does, which sees it before.
func (res *resolver) unused(v *VirtualServer, s *RealServer) {
	rs := model.RealServer{Addr: s.Addr.Addr(), Port: s.Addr.Port()}
	for _, written := range s.Checkers {
		for _, c := range written.checkers() {
			res.checker(v, s, &rs, c)
		}
	}
}

// realServers resolves the servers of a service, without those that cannot be.
func (res *resolver) realServers(v *VirtualServer, of []*RealServer, out *model.VirtualServer, entries []model.GroupEntry) (servers []model.RealServer) {
	seen := map[netip.AddrPort]source.Pos{}
	told := false
	servers = make([]model.RealServer, 0, len(of))
	for _, s := range of {
		m := first(s.Method, v.Method)
		name := (&model.RealServer{Addr: s.Addr.Addr(), Port: s.Addr.Port()}).Name(out)
		if first, dup := seen[s.Addr]; dup {
			res.r.Errorf(s.At, "VS %s: real server %s is duplicated - removing second rs", out, name).With("the first one is at", first)
			res.unused(v, s)
			continue
		}
		seen[s.Addr] = s.At
		if !s.Method.IsSet() && !v.Method.IsSet() && !told {
			told = true
			res.r.Errorf(v.At, "Virtual server %s: no forwarding method set, setting default NAT", out)
		}
		servers = append(servers, res.realServer(v, out, entries, s, m))
		s.Run = len(servers)
	}
	return servers
}

func (res *resolver) realServer(v *VirtualServer, out *model.VirtualServer, entries []model.GroupEntry, s *RealServer,
	m model.Method) model.RealServer {
	g := &res.c.Global
	rs := model.RealServer{
		Addr: s.Addr.Addr(), Port: s.Addr.Port(), Method: m,
		Weight:     int64(first(s.Weight, v.Weight)),
		UThreshold: uint32(s.UThreshold.V), LThreshold: uint32(s.LThreshold.V),
		Inhibit:     first(s.Inhibit, v.Inhibit),
		SlowStart:   s.SlowStart.V,
		Alpha:       first(s.Alpha, v.Alpha),
		SMTPAlert:   smtpAlert(s.SMTPAlert, g.SMTPAlertChecker, g.SMTPAlert),
		VirtualHost: first(s.VirtualHost, v.VirtualHost), SNMPName: s.SNMPName.V,
	}
	if m.Forward != model.NAT {
		res.realPort(out, entries, &rs, s.At)
	}
	rs.Port = port(out, &rs)
	rs.NotifyUp = res.script("notify_up", s.NotifyUp)
	rs.NotifyDown = res.script("notify_down", s.NotifyDown)
	for _, written := range s.Checkers {
		for _, c := range written.checkers() {
			if check, ok := res.checker(v, s, &rs, c); ok {
				rs.Checks = append(rs.Checks, check)
				written.Run = len(rs.Checks)
			}
		}
	}
	return rs
}

// smtpAlert is the first setting made, else yes. That of the service is not among them: it is about the quorum.
func smtpAlert(settings ...opt[bool]) bool {
	for _, s := range settings {
		if s.IsSet() {
			return s.V
		}
	}
	return true
}

// port is the port of a server in the service: its own or else the service's with NAT, always the service's otherwise. In a group each
// entry has its own, so that the one written only names the server.
func port(out *model.VirtualServer, rs *model.RealServer) uint16 {
	switch {
	case rs.Method.Forward == model.NAT:
		return cmp.Or(rs.Port, out.Port)
	case out.Group != "":
		return rs.Port
	}
	return out.Port
}

// realPort tells that the port of a server is not used: only NAT can change ports, a firewall mark has none, and in a group each entry
// has its own.
func (res *resolver) realPort(out *model.VirtualServer, entries []model.GroupEntry, rs *model.RealServer, at source.Pos) {
	switch {
	case rs.Port == 0:
	case out.IsFWMark:
		res.r.Errorf(at, "WARNING - fwmark virtual server %s, real server %s has port specified - clearing", out, rs.Name(out))
	case out.Group == "" && rs.Port != out.Port:
		res.r.Errorf(at, "WARNING - virtual server %s and real server %s ports don't match - resetting", out, rs.Name(out))
	case out.Group != "":
		if slices.ContainsFunc(entries, func(e model.GroupEntry) bool { return e.IsFWMark }) {
			res.r.Errorf(at, "WARNING - fwmark virtual server %s, real server %s has port specified - port will be ignored", out, rs.Name(out))
		}
		for _, e := range entries {
			if !e.IsFWMark && e.Port != rs.Port {
				res.r.Errorf(at, "virtual server %s:[%s,%d] and real server %s ports don't match", out, addresses(e), e.Port, rs.Name(out))
			}
		}
	}
}

// sorryPort is realPort for the sorry server.
func (res *resolver) sorryPort(out *model.VirtualServer, entries []model.GroupEntry, s *model.RealServer, at source.Pos) {
	switch {
	case s.Port == 0:
	case out.IsFWMark:
		res.r.Errorf(at, "WARNING - virtual server %s, sorry server has port specified - clearing", out)
	case out.Group == "" && s.Port != out.Port:
		res.r.Errorf(at, "WARNING - virtual server %s and sorry server ports don't match - resetting", out)
	case slices.ContainsFunc(entries, func(e model.GroupEntry) bool { return e.IsFWMark }):
		res.r.Errorf(at, "WARNING - fwmark virtual server %s, sorry server has port specified - port will be ignored", out)
	case slices.ContainsFunc(entries, func(e model.GroupEntry) bool { return e.Port != s.Port }):
		res.r.Errorf(at, "WARNING - virtual server %s, sorry server has port specified - port will be ignored", out)
	}
}

func addresses(e model.GroupEntry) string {
	if e.First == e.Last {
		return e.First.String()
	}
	return e.First.String() + "-" + e.Last.String()
}

// sorry resolves the sorry server. One that is also a real server is the same entry of the kernel's table, so it behaves as that does.
func (res *resolver) sorry(v *VirtualServer, out *model.VirtualServer, entries []model.GroupEntry) {
	if !v.Sorry.IsSet() {
		return
	}
	m := first(v.SorryMethod, v.Method)
	s := &model.RealServer{Addr: v.Sorry.V.Addr(), Port: v.Sorry.V.Port(), Method: m, Weight: 1, Inhibit: v.SorryInhibit.V}
	if out.Family != 0 && m.Forward != model.TUN && model.FamilyOf(s.Addr) != out.Family {
		res.r.Errorf(v.End, "Address family of virtual server and sorry server %s don't match - skipping sorry server.", s.Addr)
		return
	}
	if m.Forward != model.NAT {
		res.sorryPort(out, entries, s, v.Sorry.At)
	}
	if m.Forward != model.NAT {
		s.Port = port(out, s) // without one of its own, IPVS keeps that of the packet
	}
	for i := range out.Real {
		if rs := &out.Real[i]; rs.Addr == s.Addr && rs.Port == s.Port && rs.Inhibit != s.Inhibit {
			res.r.Errorf(v.Sorry.At, "Virtual server %s: real server %s matches sorry server, but inhibit setting differs, setting on sorry server",
				out, rs.Name(out))
			s.Inhibit = rs.Inhibit
		}
	}
	out.Sorry = s
}

// quorum keeps the quorum within what the servers can reach.
func (res *resolver) quorum(v *VirtualServer, out *model.VirtualServer) {
	sum := int64(0)
	for i := range out.Real {
		sum += out.Real[i].Weight
	}
	at := func(p source.Pos) source.Pos {
		if p.IsSet() {
			return p
		}
		return v.At
	}
	if int64(out.Quorum) > sum {
		res.r.Errorf(at(v.Quorum.At), "Warning - quorum %d for %s exceeds total weight of real servers %d, reducing quorum to %d",
			out.Quorum, out, sum, sum)
		out.Quorum = uint32(sum)
	}
	if out.Hysteresis < out.Quorum || out.Hysteresis == 0 {
		return
	}
	// Differs from keepalived: with a quorum of 0 it computes -1, that is 4294967295.
	h := max(out.Quorum, 1) - 1
	res.r.Errorf(at(v.Hysteresis.At), "Virtual server %s: hysteresis %d >= quorum %d; setting hysteresis to %d",
		out, out.Hysteresis, out.Quorum, h)
	out.Hysteresis = h
}
