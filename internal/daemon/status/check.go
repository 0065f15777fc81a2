package status

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// WriteCheckData writes keepalived_check.data: the global definitions, the virtual servers and their checkers.
func WriteCheckData(w io.Writer, s *Snapshot) error {
	p := newPage(w)
	p.global(s, inChecker)
	p.tls(&s.LVS.TLS)
	p.section(0, "LVS Topology")
	for i := range s.LVS.Groups {
		p.section(1, "Virtual server group")
		p.serverGroup(&s.LVS.Groups[i])
	}
	for i := range s.Services {
		p.section(1, "Virtual server")
		p.service(&s.Services[i])
	}
	checkers := false
	for i := range s.Services {
		v := &s.Services[i]
		for j := range v.Real {
			for k := range v.Real[j].Checks {
				if !checkers {
					p.section(0, "Health checkers")
					checkers = true
				}
				p.checker(v, j, k)
			}
		}
	}
	p.checkFiles(s)
	return p.close()
}

// checkFiles lists the tracked files of FILE_CHECKs with the real servers that they are about.
func (p page) checkFiles(s *Snapshot) {
	if len(s.CheckFiles) > 0 {
		p.section(0, "Checker track files")
	}
	for i := range s.CheckFiles {
		f := &s.CheckFiles[i]
		p.line(1, "Track file = %s", f.Name)
		p.line(3, "File = %s", f.Path)
		p.line(3, "Status = %d", f.Value)
		p.line(3, "Weight = %d%s", f.Weight, choose(f.Reverse, " reverse", ""))
		p.line(3, "Tracking instances :")
		for j := range s.Services {
			v := &s.Services[j]
			for k := range v.Real {
				for _, c := range v.Real[k].Checks {
					if c.Kind == model.FileCheck && c.File.Name == f.Name {
						p.line(5, "%s -> %s, weight %s", &v.VirtualServer, v.Real[k].Name(&v.VirtualServer), fileWeight(c.File))
					}
				}
			}
		}
	}
}

func fileWeight(f *model.FileOpts) string {
	return fmt.Sprintf("%d%s", f.Weight, choose(f.Reverse, " reverse", ""))
}

func (p page) tls(c *model.TLSClient) {
	p.section(0, "SSL definitions")
	if c.CA == "" && c.Certificate == "" && c.Key == "" {
		p.line(1, "Using autogen SSL context")
		return
	}
	if len(c.Password) > 0 {
		p.line(1, "Password : %s", c.Password)
	}
	p.line(1, "CA-file : %s", c.CA)
	p.line(1, "Certificate file : %s", c.Certificate)
	p.line(1, "Key file : %s", c.Key)
}

func (p page) serverGroup(g *model.ServerGroup) {
	has := func(f model.Family) string {
		return yesNo(slices.ContainsFunc(g.Entries, func(e model.GroupEntry) bool {
			return e.Family == f || !e.IsFWMark && model.FamilyOf(e.First) == f
		}))
	}
	p.line(1, "Virtual Server Group = %s, IPv4 = %s, IPv6 = %s", g.Name, has(model.IPv4), has(model.IPv6))
	for _, e := range g.Entries {
		switch {
		case e.IsFWMark:
			p.line(3, "FWMARK = %d", e.FWMark)
		case e.First == e.Last || !e.Last.IsValid():
			p.line(3, "VIP = %s, VPORT = %d", e.First, e.Port)
		default:
			p.line(3, "VIP Range = %s-%s, VPORT = %d", e.First, e.Last, e.Port)
		}
	}
}

func (p page) service(v *Service) {
	switch {
	case v.Group != "":
		p.line(1, "VS GROUP = %s", &v.VirtualServer)
	case v.IsFWMark:
		p.line(1, "VS FWMARK = %d", v.FWMark)
	default:
		p.line(1, "VS VIP = %s, VPORT = %d", v.Addr, v.Port)
	}
	if v.VirtualHost != "" {
		p.line(3, "VirtualHost = %s", v.VirtualHost)
	}
	p.line(3, "Address family = %s", choose(v.Family == model.IPv6, "inet6", "inet"))
	p.line(3, "lvs_sched = %s", v.Scheduler)
	for _, f := range schedulerFlags(v.Scheduler) {
		p.line(3, "%s = %s", f.name, enabled(v.Flags&f.bit != 0))
	}
	onePacket := v.Flags&model.FlagOnePacket != 0
	p.line(3, "One packet scheduling = %s%s", enabled(onePacket), choose(onePacket && v.Protocol != model.UDP, " (inactive due to not UDP)", ""))
	if v.Persistence != 0 {
		p.line(3, "persistence timeout = %s", secs(v.Persistence))
		if v.Mask4.IsValid() {
			p.line(3, "persistence granularity = %s", v.Mask4)
		} else if v.Prefix6 != 0 {
			p.line(3, "persistence granularity = %d", v.Prefix6)
		}
		if v.Engine != "" {
			p.line(3, "persistence engine = %s", v.Engine)
		}
	}
	p.line(3, "protocol = %s", protocol(v.Protocol))
	p.line(3, "alpha is %s", onOff(v.Alpha))
	p.line(3, "omega is %s", onOff(v.Omega))
	p.line(3, "quorum = %d, hysteresis = %d", v.Quorum, v.Hysteresis)
	p.script(3, "Quorum up notify script", v.QuorumUp)
	p.script(3, "Quorum down notify script", v.QuorumDown)
	if v.HASuspend {
		p.line(3, "Using HA suspend")
	}
	p.line(3, "Using smtp notification = %s", yesNo(v.SMTPAlert))
	if r := v.Sorry; r != nil {
		p.line(3, "sorry server = %s", r.Name(&v.VirtualServer))
		p.line(5, "forwarding method = %s", method(r.Method))
		p.line(5, "Inhibit on failure is %s", onOff(r.Inhibit))
		p.line(5, "set = %d", bit(v.SorryUp))
	}
	p.line(3, "quorum_state_up = %d", bit(v.Up))
	for i := range v.Real {
		p.section(3, "Real server")
		p.real(&v.Real[i], v.state(i))
	}
}

func (p page) real(r *model.RealServer, is Real) {
	p.line(3, "RIP = %s, RPORT = %d, WEIGHT = %d EFF WEIGHT = %d", r.Addr, r.Port, r.Weight, is.Weight)
	p.line(3, "forwarding method = %s", method(r.Method))
	p.line(3, "Alpha is %s", onOff(r.Alpha))
	p.line(3, "connection limit range = %d -> %d", r.LThreshold, r.UThreshold)
	p.line(3, "Inhibit on failure is %s", onOff(r.Inhibit))
	p.script(3, "RS up notify script", r.NotifyUp)
	p.script(3, "RS down notify script", r.NotifyDown)
	p.line(3, "Using smtp notification = %s", yesNo(r.SMTPAlert))
	p.line(3, "initial weight = %d", r.Weight)
	p.line(3, "effective weight = %d", is.Weight)
	p.line(3, "alive = %d", bit(is.Up))
	failed := 0
	for _, c := range is.Checks {
		failed += bit(!c.Up)
	}
	p.line(3, "num failed checkers = %d", failed)
	p.line(3, "RS set = %d", bit(is.InKernel))
	first := true
	for _, c := range r.Checks {
		if c.Kind == model.FileCheck {
			if first {
				p.line(3, "Tracked Files")
			}
			p.line(5, "%s, weight %s", c.File.Name, fileWeight(c.File))
			first = false
		}
	}
}

func (p page) checker(v *Service, real, check int) {
	r := &v.Real[real]
	c := &r.Checks[check]
	var is Check
	if s := v.state(real); check < len(s.Checks) {
		is = s.Checks[check]
	}
	p.line(1, "%s -> %s", &v.VirtualServer, r.Name(&v.VirtualServer))
	p.line(3, "Up = %s", yesNo(is.Up))
	p.line(3, "Has run = %s", yesNo(is.HasRun))
	p.line(3, "Current weight = %d", is.Offset)
	if c.Kind == model.FileCheck {
		p.line(3, "Log all failures = %s", yesNo(c.LogAllFailures))
		p.line(3, "Keepalive method = %s", c.Kind)
		p.line(5, "Tracked file = %s", c.File.Name)
		return
	}
	p.line(3, "Alpha = %s", yesNo(c.Alpha))
	p.line(3, "Delay loop = %d us", c.DelayLoop.Microseconds())
	p.line(3, "Warmup = %d us", c.Warmup.Microseconds())
	p.line(3, "Retries = %d", c.Retry)
	if c.Retry > 0 {
		p.line(3, "Delay before retry = %d us", c.DelayBeforeRetry.Microseconds())
		p.line(3, "Retries iterations = %d", is.Retries)
	}
	p.line(3, "Log all failures = %s", yesNo(c.LogAllFailures))
	if c.Kind == model.MiscCheck {
		p.line(3, "Keepalive method = %s", c.Kind)
		p.line(3, "script = %s", command(&c.Misc.Script))
		p.line(3, "timeout = %s", plain(c.Misc.Timeout))
		p.line(3, "dynamic = %s", choose(c.Misc.Dynamic, "YES", "NO"))
		p.line(3, "uid:gid = %d:%d", c.Misc.Script.UID, c.Misc.Script.GID)
		p.line(3, "Last ran = %s", lastRan(is.LastRun))
		p.line(3, "Last status = %d", is.LastExit)
		return
	}
	p.line(3, "Connection")
	p.line(5, "Dest = %s", endpoint(c.Conn.Dst))
	if c.Conn.Bind.IsValid() {
		p.line(5, "Bind to = %s", endpoint(c.Conn.Bind))
	}
	if c.Conn.BindIf != "" {
		p.line(5, "Bind i/f = %s", c.Conn.BindIf)
	}
	if c.Conn.Mark != 0 {
		p.line(5, "Mark = %d", c.Conn.Mark)
	}
	p.line(5, "Timeout = %f", c.Conn.Timeout.Seconds())
	if c.Kind != model.HTTPGet && c.Kind != model.SSLGet {
		p.line(3, "Keepalive method = %s", c.Kind)
		p.options(c)
		return
	}
	p.line(3, "Keepalive method = %s, http protocol %s", c.Kind, c.HTTP.Protocol)
	p.line(3, "Fast recovery %s", choose(c.HTTP.FastRecovery, "set", "unset"))
	p.verify(c.TLS)
	for i := range c.HTTP.URLs {
		p.url(&c.HTTP.URLs[i])
	}
}

// options are what only one kind of checker has.
func (p page) options(c *model.Check) {
	switch c.Kind {
	case model.SMTPCheck:
		p.line(3, "helo = %s", c.SMTP.HELO)
	case model.GRPCCheck:
		p.line(3, "Service = %s", c.GRPC.Service)
		p.line(3, "TLS %s", choose(c.GRPC.TLS, "set", "unset"))
		p.verify(c.TLS)
	case model.DNSCheck:
		p.line(3, "Type = %s", c.DNS.Type)
		p.line(3, "Name = %s", c.DNS.Name)
	case model.UDPCheck:
		if u := c.UDP; u.Payload != nil {
			p.line(3, "Payload len = %d", len(u.Payload))
		} else {
			p.line(3, "Payload specified = no")
		}
		p.line(3, "Require reply = %s", yesNo(c.UDP.NeedReply))
		if u := c.UDP; u.NeedReply {
			p.line(5, "Min reply length = %d", u.Least)
			p.line(5, "Max reply length = %d", u.Most)
			p.line(5, "Reply data len = %d", len(u.Reply))
			if slices.ContainsFunc(u.Mask, func(m byte) bool { return m != 0xff }) {
				p.line(5, "Reply data mask = yes")
			}
		}
	}
}

// verify prints what keepalived does not have, if it is set.
func (p page) verify(t *model.TLSOpts) {
	if t == nil {
		return
	}
	if t.Verify {
		p.line(3, "Certificate verified by %s", cmp.Or(t.CA, "the authorities of the system"))
	}
	if t.Cert != "" {
		p.line(3, "Client certificate = %s", t.Cert)
	}
	if t.ExpiryWarning != 0 {
		p.line(3, "Certificate expiry warning = %d days", int(t.ExpiryWarning.Hours()/24))
	}
}

// request prints what keepalived does not have, if it is set; headers and body may hold secrets.
func (p page) request(u *model.URL) {
	if u.Method != "" {
		p.line(5, "Method = %s", u.Method)
	}
	for _, h := range u.Headers {
		name, _, _ := strings.Cut(string(h), ":")
		p.line(5, "Header %s", name)
	}
	if len(u.Body) > 0 {
		p.line(5, "Body of %d bytes", len(u.Body))
	}
	if u.JSON {
		p.line(5, "JSON path = %q%s", u.JSONPath, choose(u.JSONExact, fmt.Sprintf(" is %q", u.JSONValue), ""))
	}
}

func (p page) url(u *model.URL) {
	p.line(3, "Checked url = %s", u.Path)
	p.request(u)
	if u.Digest != nil {
		p.line(5, "digest = %x", u.Digest)
	}
	p.line(5, "tls_compliant %s", choose(u.TLSClose, "set", "unset"))
	if len(u.Status) > 0 {
		p.line(5, "HTTP Status Code(s)")
		for _, r := range u.Status {
			if r.First == r.Last {
				p.line(7, "%d", r.First)
			} else {
				p.line(7, "%d-%d", r.First, r.Last)
			}
		}
	}
	if u.VirtualHost != "" {
		p.line(5, "Virtual host = %s", u.VirtualHost)
	}
	if u.SNI != "" {
		p.line(5, "SNI = %s", u.SNI)
	}
	if u.Regex != "" {
		p.line(5, "Regex = \"%s\"", u.Regex)
		if u.RegexNot {
			p.line(5, "Regex no match")
		}
		if u.RegexMin != 0 || u.RegexMax != 0 {
			p.line(5, "Regex min offset = %d, max_offset = %d", u.RegexMin, u.RegexMax)
		}
		p.line(5, "Regex options:%s", strings.Join(append([]string{""}, u.RegexOpts...), " "))
	}
}

// state is that of real server i; the zero value if the snapshot has none.
func (v *Service) state(i int) Real {
	if i < len(v.State) {
		return v.State[i]
	}
	return Real{}
}

type schedulerFlag struct {
	name string
	bit  uint32
}

// schedulerFlags are the names that the scheduler gives to its three bits.
func schedulerFlags(scheduler string) []schedulerFlag {
	switch scheduler {
	case "sh":
		return []schedulerFlag{{"sh-port", model.FlagSched2}, {"sh-fallback", model.FlagSched1}}
	case "mh":
		return []schedulerFlag{{"mh-port", model.FlagSched2}, {"mh-fallback", model.FlagSched1}}
	}
	return []schedulerFlag{{"flag-1", model.FlagSched1}, {"flag-2", model.FlagSched2}, {"flag-3", model.FlagSched3}}
}

func method(m model.Method) string {
	switch m.Forward {
	case model.NAT:
		return "NAT"
	case model.DR:
		return "DR"
	}
	switch m.Tunnel.Type {
	case model.GUE:
		return fmt.Sprintf("TUN, type = GUE, port = %d%s", m.Tunnel.Port, checksum(m.Tunnel.Flags))
	case model.GRE:
		return "TUN, type = GRE" + checksum(m.Tunnel.Flags)
	}
	return "TUN, type = IPIP"
}

func checksum(flags uint16) string {
	switch flags {
	case 1:
		return ", checksum"
	case 2:
		return ", remote checksum"
	}
	return ", no checksum"
}

func protocol(p model.Protocol) string {
	if p == 0 {
		return p.String()
	}
	return strings.ToUpper(p.String())
}

func endpoint(a netip.AddrPort) string { return fmt.Sprintf("[%s]:%d", a.Addr(), a.Port()) }

func lastRan(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return moment(t)
}
