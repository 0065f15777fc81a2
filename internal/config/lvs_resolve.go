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
	seen := map[model.ServiceKey]bool{}
	for _, v := range res.c.LVS.Services {
		out, ok := res.service(v, l)
		if !ok {
			continue
		}
		if out.Group != "" {
			out.Seq = seq[out.Group]
			seq[out.Group]++
		}
		if seen[out.Key()] {
			// Differs from keepalived: it runs both, and they share one service of the kernel.
			res.r.Notef(v.At, "Virtual server %s is defined twice - ignoring this one", &out)
			continue
		}
		seen[out.Key()] = true
		l.Services = append(l.Services, out)
	}
}

// serverGroup checks a group as a whole. Of two with the same name only the first can be referred to.
func (res *resolver) serverGroup(g *ServerGroup, known []model.ServerGroup) (out model.ServerGroup, ok bool) {
	out.Name = g.Name
	if slices.ContainsFunc(known, func(k model.ServerGroup) bool { return k.Name == g.Name }) {
		res.r.Notef(g.At, "virtual_server_group %s is defined twice - ignoring this one", g.Name)
		return out, false
	}
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
		res.r.Errorf(g.End, "virtual_server_group %s has no entries - ignoring it", g.Name)
		return out, false
	case loose && len(families) > 1:
		res.r.Errorf(g.End, "virtual_server_group %s has IPv4 and IPv6 entries and a fwmark without a family - ignoring it", g.Name)
		return out, false
	}
	return out, true
}

// entryFamily is the family of an entry; 0 for a mark that has none.
func entryFamily(e model.GroupEntry) model.Family {
	if e.IsFWMark {
		return e.Family
	}
	return model.FamilyOf(e.First)
}

// service resolves one virtual server; false: it is not run.
func (res *resolver) service(v *VirtualServer, l *model.LVS) (out model.VirtualServer, ok bool) {
	g := &res.c.Global
	out = model.VirtualServer{
		Addr: v.Addr.Addr(), Port: v.Addr.Port(), FWMark: v.FWMark, IsFWMark: v.IsFWMark, Group: v.Group,
		Protocol: v.Protocol.V, Scheduler: v.Scheduler.V, Flags: v.Flags, Engine: v.Engine.V,
		Persistence: time.Duration(v.Persistence.V) * time.Second, Mask4: v.Mask4.V, Prefix6: v.Prefix6.V,
		Quorum: uint32(v.Quorum.V), Hysteresis: uint32(v.Hysteresis.V),
		Alpha: v.Alpha.V, Omega: v.Omega.V, HASuspend: v.HASuspend.V,
		SMTPAlert:   first(v.SMTPAlert, opt[bool]{V: first(g.SMTPAlertChecker, g.SMTPAlert)}),
		VirtualHost: v.VirtualHost.V,
	}
	var entries []model.GroupEntry
	if v.Group != "" {
		i := slices.IndexFunc(l.Groups, func(g model.ServerGroup) bool { return g.Name == v.Group })
		if i < 0 {
			res.r.Notef(v.At, "Virtual server group %s does not exist - ignoring the virtual server", v.Group)
			return out, false
		}
		entries = l.Groups[i].Entries
	}
	if len(v.Real) == 0 {
		res.r.Errorf(v.End, "Virtual server %s has no real servers - ignoring", &out)
		return out, false
	}
	if ok := res.family(v, &out, entries); !ok {
		return out, false
	}
	res.serviceKind(v, &out)
	if out.Real = res.realServers(v, &out); len(out.Real) == 0 {
		res.r.Errorf(v.End, "Virtual server %s has no real servers - ignoring", &out)
		return out, false
	}
	res.sorry(v, &out)
	res.quorum(v, &out)
	out.QuorumUp = res.script("quorum_up", v.QuorumUp)
	out.QuorumDown = res.script("quorum_down", v.QuorumDown)
	return out, true
}

// family decides the family of a service: that of its address or group, or ip_family, or that of its servers, of which those
// reached through a tunnel may have another one.
func (res *resolver) family(v *VirtualServer, out *model.VirtualServer, entries []model.GroupEntry) bool {
	if !v.IsFWMark && v.Group == "" {
		out.Family = model.FamilyOf(out.Addr)
		return true
	}
	out.Family = v.IPFamily.V
	families := map[model.Family]bool{}
	for _, e := range entries {
		if f := entryFamily(e); f != 0 {
			families[f] = true
		}
	}
	if out.Family == 0 && len(families) == 1 {
		for out.Family = range families {
		}
	}
	if out.Family == 0 {
		out.Family = serversFamily(v, len(families) > 1)
	}
	for f := range families {
		// A service of both families is only possible where all servers are reached through tunnels; out.Family stays 0 then.
		if out.Family != 0 && f != out.Family {
			res.r.Errorf(v.At, "Virtual server %s: the address family of group %s does not match - ignoring", out, v.Group)
			return false
		}
	}
	return true
}

// serversFamily is the family of the first server without a tunnel, else that of all if they are alike. Where both is set, the group
// has both families, and 0 says that nothing speaks for one of them.
func serversFamily(v *VirtualServer, both bool) model.Family {
	tunnelled := map[model.Family]bool{}
	look := func(a netip.AddrPort, m model.Method) model.Family {
		f := model.FamilyOf(a.Addr())
		if m.Forward != model.TUN {
			return f
		}
		tunnelled[f] = true
		return 0
	}
	for _, s := range v.Real {
		if f := look(s.Addr, first(s.Method, v.Method)); f != 0 {
			return f
		}
	}
	if v.Sorry.IsSet() {
		if f := look(v.Sorry.V, first(v.SorryMethod, v.Method)); f != 0 {
			return f
		}
	}
	switch {
	case both:
		return 0
	case len(tunnelled) == 1 && tunnelled[model.IPv6]:
		return model.IPv6
	}
	return model.IPv4
}

// serviceKind corrects what does not fit the kind of the service.
func (res *resolver) serviceKind(v *VirtualServer, out *model.VirtualServer) {
	if v.IsFWMark && out.HASuspend {
		res.r.Errorf(v.HASuspend.At, "Virtual server %s: ha_suspend is not possible with fwmark - ignoring", out)
		out.HASuspend = false
	}
	if !v.IsFWMark && out.Protocol == 0 {
		res.r.Errorf(v.At, "Virtual server %s: no protocol set - defaulting to UDP", out)
		out.Protocol = model.UDP
	}
	if v.OPS.V && !v.IsFWMark && out.Protocol != model.UDP {
		res.r.Errorf(v.OPS.At, "Virtual server %s: one packet scheduling requires UDP - resetting", out)
	} else if v.OPS.V {
		out.Flags |= model.FlagOnePacket
	}
	if !v.IsFWMark && v.Group == "" && out.Port == 0 && out.Persistence == 0 {
		res.r.Errorf(v.At, "Virtual server %s: zero port only valid for persistent services - setting", out)
		out.Persistence = defaultPersistence * time.Second
	}
	if v.IsFWMark && out.Protocol != 0 {
		res.r.Errorf(v.Protocol.At, "Virtual server %s: protocol is meaningless with fwmark - ignoring", out)
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

// realServers resolves the servers of a service, without those that cannot be.
func (res *resolver) realServers(v *VirtualServer, out *model.VirtualServer) (servers []model.RealServer) {
	seen := map[netip.AddrPort]bool{}
	told := false
	for _, s := range v.Real {
		m := first(s.Method, v.Method)
		name := (&model.RealServer{Addr: s.Addr.Addr(), Port: s.Addr.Port()}).Name(out)
		if out.Family != 0 && m.Forward != model.TUN && model.FamilyOf(s.Addr.Addr()) != out.Family {
			res.r.Errorf(s.At, "Address family of virtual server and real server %s don't match - skipping real server.", name)
			continue
		}
		if seen[s.Addr] {
			res.r.Errorf(s.At, "Virtual server %s: real server %s is duplicated - removing second rs", out, name)
			continue
		}
		seen[s.Addr] = true
		if !s.Method.IsSet() && !v.Method.IsSet() && !told {
			told = true
			res.r.Errorf(v.At, "Virtual server %s: no forwarding method set, setting default NAT", out)
		}
		servers = append(servers, res.realServer(v, out, s, m))
	}
	return servers
}

func (res *resolver) realServer(v *VirtualServer, out *model.VirtualServer, s *RealServer, m model.Method) model.RealServer {
	g := &res.c.Global
	rs := model.RealServer{
		Addr: s.Addr.Addr(), Port: s.Addr.Port(), Method: m,
		Weight:     int64(first(s.Weight, v.Weight)),
		UThreshold: uint32(s.UThreshold.V), LThreshold: uint32(s.LThreshold.V),
		Inhibit:     first(s.Inhibit, v.Inhibit),
		Alpha:       first(s.Alpha, v.Alpha),
		SMTPAlert:   smtpAlert(s.SMTPAlert, v.SMTPAlert, g.SMTPAlertChecker, g.SMTPAlert),
		VirtualHost: first(s.VirtualHost, v.VirtualHost),
	}
	rs.Port = res.port(s.Addr.Port(), m, v, out, s.At, rs.Name(out), "real server")
	rs.NotifyUp = res.script("notify_up", s.NotifyUp)
	rs.NotifyDown = res.script("notify_down", s.NotifyDown)
	for _, c := range s.Checkers {
		if check, ok := res.checker(v, s, &rs, c); ok {
			rs.Checks = append(rs.Checks, check)
		}
	}
	return rs
}

// smtpAlert is the first setting made, else yes.
func smtpAlert(settings ...opt[bool]) bool {
	for _, s := range settings {
		if s.IsSet() {
			return s.V
		}
	}
	return true
}

// port corrects the port of a server: only NAT can change ports, and a firewall mark has none. In a group each entry has its own, which
// is taken when the table is made.
func (res *resolver) port(port uint16, m model.Method, v *VirtualServer, out *model.VirtualServer, at source.Pos, name, what string) uint16 {
	switch {
	case m.Forward == model.NAT:
		return cmp.Or(port, out.Port)
	case v.Group != "":
		return port
	case v.IsFWMark && port != 0:
		res.r.Errorf(at, "WARNING - %s %s of virtual server %s: port is meaningless with fwmark - clearing", what, name, out)
	case !v.IsFWMark && port != 0 && port != out.Port:
		res.r.Errorf(at, "WARNING - virtual server %s and %s %s ports don't match - resetting", out, what, name)
	}
	return out.Port
}

// sorry resolves the sorry server. One that is also a real server is the same entry of the kernel's table, so it behaves as that does.
func (res *resolver) sorry(v *VirtualServer, out *model.VirtualServer) {
	if !v.Sorry.IsSet() {
		return
	}
	m := first(v.SorryMethod, v.Method)
	s := &model.RealServer{Addr: v.Sorry.V.Addr(), Port: v.Sorry.V.Port(), Method: m, Weight: 1, Inhibit: v.SorryInhibit.V}
	if out.Family != 0 && m.Forward != model.TUN && model.FamilyOf(s.Addr) != out.Family {
		res.r.Errorf(v.Sorry.At, "Address family of virtual server and sorry server %s don't match - skipping sorry server.", s.Name(out))
		return
	}
	s.Port = res.port(s.Port, m, v, out, v.Sorry.At, s.Name(out), "sorry server")
	for i := range out.Real {
		if rs := &out.Real[i]; rs.Addr == s.Addr && rs.Port == s.Port && rs.Inhibit != s.Inhibit {
			res.r.Errorf(v.Sorry.At, "Virtual server %s: sorry server %s is a real server too - using its inhibit_on_failure", out, s.Name(out))
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
	res.r.Errorf(at(v.Hysteresis.At), "Virtual server %s: hysteresis %d is not below the quorum %d - reducing it to %d",
		out, out.Hysteresis, out.Quorum, h)
	out.Hysteresis = h
}
