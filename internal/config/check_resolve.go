package config

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/regex"
)

// Defaults of all kinds of checkers.
const (
	defaultDelayLoop      = time.Minute
	defaultConnectTimeout = 5 * time.Second
	defaultHELO           = "smtpchecker.keepalived.org"
)

// checker resolves one checker of the server rs; false: it is not run, and the server has one checker fewer.
func (res *resolver) checker(v *VirtualServer, s *RealServer, rs *model.RealServer, c *Checker) (out model.Check, ok bool) {
	kind := checkerKinds[c.Kind]
	out = model.Check{
		Kind:           c.Kind,
		Alpha:          first(c.Alpha, opt[bool]{V: rs.Alpha}),
		DelayLoop:      inherit(defaultDelayLoop, c.DelayLoop, s.DelayLoop, v.DelayLoop),
		LogAllFailures: first(c.LogAllFailures, res.c.Global.LogAllFailures),
		Retry:          uint32(inherit(kind.retry, c.Retry, s.Retry, v.Retry)),
	}
	out.DelayBeforeRetry = inherit(cmp.Or(kind.delayBeforeRetry, out.DelayLoop), c.DelayBeforeRetry, s.DelayBeforeRetry, v.DelayBeforeRetry)
	out.Warmup = inherit(out.DelayLoop, c.Warmup, s.Warmup, v.Warmup)
	if kind.connects && !res.connection(v, s, rs, c, &out.Conn) {
		return out, false
	}
	res.needProbe(c)
	switch c.Kind {
	case model.HTTPGet, model.SSLGet:
		out.HTTP = new(model.HTTPOpts)
		ok = res.web(v, rs, c, out.HTTP)
		out.TLS = res.tls(c)
	case model.GRPCCheck:
		out.GRPC, ok = &model.GRPCOpts{Service: c.GRPCService.V, TLS: c.GRPCTLS.V,
			Host: first(c.Web.VirtualHost, opt[string]{V: rs.VirtualHost})}, true
		out.TLS = res.tls(c)
	case model.MiscCheck:
		out.Misc = new(model.MiscOpts)
		ok = res.misc(v, c, out.Misc)
	case model.FileCheck:
		f, ok := res.fileCheck(c)
		return model.Check{Kind: c.Kind, File: &f}, ok // it has no rhythm, and is never alpha
	case model.BFDCheck:
		out.BFD.Name = c.BFDName.V
		res.trackedBy(c, c.BFDName, "name", trackBFD, "bfd_instance")
	case model.SMTPCheck:
		out.SMTP.HELO, ok = first(c.HELO, opt[string]{V: defaultHELO}), true
	case model.DNSCheck:
		out.DNS, ok = model.DNSOpts{Type: c.DNSType.V, Name: c.DNSName.V}, true
	case model.UDPCheck:
		if c.MinReply.V > c.MaxReply.V {
			res.r.Errorf(c.End, "UDP_CHECK: min_reply_length %d is above max_reply_length %d", c.MinReply.V, c.MaxReply.V)
		}
		out.UDP = &model.UDPOpts{Payload: c.Payload.V.bytes, NeedReply: c.Reply.IsSet(), Reply: c.Reply.V.bytes, Mask: c.Reply.V.mask,
			Least: c.MinReply.V, Most: c.MaxReply.V}
		ok = true
	default:
		ok = true
	}
	return out, ok && !kind.pending
}

// checkers are those that a block stands for: itself, or in an SMTP_CHECK one for each of its host blocks. What a host block leaves
// out is as the block around it has it.
func (c *Checker) checkers() []*Checker {
	if len(c.Hosts) == 0 {
		return []*Checker{c}
	}
	var all []*Checker
	for _, h := range c.Hosts {
		m := *c
		m.At, m.End, m.Hosts = h.At, h.End, nil
		override(&m.ConnectIP, h.ConnectIP)
		override(&m.BindTo, h.BindTo)
		override(&m.ConnectPort, h.ConnectPort)
		override(&m.BindPort, h.BindPort)
		override(&m.BindIf, h.BindIf)
		override(&m.FWMark, h.FWMark)
		override(&m.ConnectTimeout, h.ConnectTimeout)
		override(&m.DelayLoop, h.DelayLoop)
		override(&m.Retry, h.Retry)
		override(&m.DelayBeforeRetry, h.DelayBeforeRetry)
		override(&m.Warmup, h.Warmup)
		override(&m.Alpha, h.Alpha)
		override(&m.LogAllFailures, h.LogAllFailures)
		all = append(all, &m)
	}
	return all
}

func override[V any](o *opt[V], by opt[V]) {
	if by.IsSet() {
		*o = by
	}
}

// inherit returns the first setting that was made, from the innermost block outwards.
func inherit[V any](def V, settings ...opt[V]) V {
	for _, s := range settings {
		if s.IsSet() {
			return s.V
		}
	}
	return def
}

// connection resolves where a checker connects to. The port of the server is the one written, even where forwarding needs another:
// with a firewall mark it is the only one there is.
func (res *resolver) connection(v *VirtualServer, s *RealServer, rs *model.RealServer, c *Checker, out *model.Connect) bool {
	ip, bind := c.ConnectIP, c.BindTo
	// Each is compared with the other as it is by then; without connect_ip that is the server's address, but for SMTP_CHECK.
	if to := ip; bind.IsSet() {
		if c.Kind != model.SMTPCheck && (!c.ConnectSeen.IsSet() || bind.At.Before(c.ConnectSeen)) {
			to.V = s.Addr.Addr()
		}
		if to.V.IsValid() && to.V.Is4() != bind.V.Is4() {
			res.r.Errorf(bind.At, "bindto: %v is of another family than the address to connect to - ignoring", bind.V)
			bind = opt[netip.Addr]{}
		}
	}
	if ip.IsSet() && bind.IsSet() && ip.V.Is4() != bind.V.Is4() {
		res.r.Errorf(ip.At, "connect_ip: %v is of another family than bindto - ignoring", ip.V)
		ip = opt[netip.Addr]{}
	}
	if to := first(ip, opt[netip.Addr]{V: s.Addr.Addr()}); c.Kind != model.SMTPCheck && bind.IsSet() && to.Is4() != bind.V.Is4() {
		res.r.Notef(bind.At, "bindto: %v cannot be used for connections to %v", bind.V, to) // connect_ip above it was refused
		bind = opt[netip.Addr]{}
	}
	*out = model.Connect{
		Dst: netip.AddrPortFrom(first(ip, opt[netip.Addr]{V: s.Addr.Addr()}),
			cmp.Or(uint16(c.ConnectPort.V), s.Addr.Port(), rs.Port)),
		BindIf:  c.BindIf.V,
		Mark:    uint32(c.FWMark.V),
		Timeout: inherit(defaultConnectTimeout, c.ConnectTimeout, s.ConnectTimeout, v.ConnectTimeout),
	}
	if bind.IsSet() {
		out.Bind = netip.AddrPortFrom(bind.V, uint16(c.BindPort.V))
	}
	if dst := out.Dst.Addr(); dst.Is6() && dst.IsLinkLocalUnicast() && out.BindIf == "" {
		res.r.Errorf(c.End, "Checker link local address %s requires a bind_if", dst)
		return false
	}
	return true
}

func (res *resolver) web(v *VirtualServer, rs *model.RealServer, c *Checker, out *model.HTTPOpts) bool {
	w := &c.Web
	out.Protocol, out.FastRecovery = w.Protocol.V, w.FastRecovery.V
	for _, u := range w.URLs {
		if !u.Path.IsSet() {
			res.r.Errorf(u.End, "url has no path - ignoring it")
			continue
		}
		if u.RegexMax.IsSet() && u.RegexMax.V <= u.RegexMin.V {
			res.r.Notef(u.RegexMax.At, "regex_max_offset %d is not above regex_min_offset %d - ignoring both", u.RegexMax.V, u.RegexMin.V)
			u.RegexMin, u.RegexMax = opt[int]{}, opt[int]{}
		}
		if u.Regex.IsSet() {
			// Differs from keepalived: it logs a bad pattern, passes it in a configuration test and crashes at its end.
			p, err := regex.Compile(u.Regex.V, u.RegexOptions)
			if err != nil {
				res.r.Errorf(u.Regex.At, "Invalid regex: '%s' %v - ignoring the url", u.Regex.V, err)
				continue
			}
			p.Close()
		}
		m := model.URL{
			Path:        u.Path.V,
			VirtualHost: first(u.VirtualHost, opt[string]{V: first(w.VirtualHost, opt[string]{V: rs.VirtualHost})}),
			Digest:      u.Digest.V,
			Status:      u.Status,
			TLSClose:    first(u.TLSCompliant, w.TLSCompliant),
			Regex:       u.Regex.V, RegexNot: u.RegexNot.V, RegexOpts: u.RegexOptions,
			RegexMin: u.RegexMin.V, RegexMax: u.RegexMax.V,
			Method: u.Request.Method.V, Headers: u.Request.Headers, Body: u.Request.Body.V,
			JSON: u.Request.JSONPath.IsSet(), JSONPath: u.Request.JSONPath.V.steps, JSONValue: u.Request.JSONPath.V.value, JSONExact: u.Request.JSONPath.V.exact,
		}
		if len(m.Status) == 0 {
			m.Status = []model.StatusRange{{First: 200, Last: 299}}
		}
		if c.Kind == model.SSLGet && (w.EnableSNI.V || w.SNIName.IsSet()) {
			// The virtualhost of the real server is not used here, as in keepalived.
			m.SNI = cmp.Or(w.SNIName.V, u.VirtualHost.V, w.VirtualHost.V, v.VirtualHost.V)
		}
		out.URLs = append(out.URLs, m)
	}
	if len(out.URLs) == 0 {
		res.r.Errorf(c.End, "%s has no url - ignoring it", c.Kind)
	}
	return len(out.URLs) > 0
}

// misc resolves the script of a MISC_CHECK. A checker whose script cannot run is left out.
func (res *resolver) misc(v *VirtualServer, c *Checker, out *model.MiscOpts) bool {
	m := &c.Misc
	if len(m.Path.V.Args) == 0 {
		res.r.Errorf(c.End, "MISC_CHECK has no misc_path - ignoring it")
		return false
	}
	out.Dynamic = m.Dynamic.V
	out.Timeout = cmp.Or(m.Timeout.V, inherit(defaultDelayLoop, v.DelayLoop))
	path := m.Path.V.Args[0]
	script, fail, why := res.command(m.Path.V, m.User.V, m.Path.At)
	switch fail {
	case scriptFine:
		out.Script = script
		res.needUser(&script, m.Path.At)
		return true
	case scriptNoUser:
		at := c.End
		if m.User.IsSet() {
			at = m.User.At
		}
		res.r.Errorf(at, "MISC_CHECK: %s - ignoring it", why).Hint = "name a user that exists, in user or in script_user above"
	case scriptInsecure:
		res.r.Errorf(m.Path.At, "Disabling misc script %s due to insecure", path).Hint = why
	default:
		res.r.Notef(m.Path.At, "Disabling misc script %s since not found/accessible", path).Hint = why
	}
	return false
}

// fileCheck looks up the file of a FILE_CHECK.
func (res *resolver) fileCheck(c *Checker) (out model.FileOpts, ok bool) {
	if !res.trackedBy(c, c.TrackFile, "track_file", trackFile, "track_file") {
		return out, false
	}
	t := res.files.find(trackFile, opt[trackEntry]{V: trackEntry{Name: c.TrackFile.V}, At: c.TrackFile.At})
	if t == nil {
		res.r.Errorf(c.TrackFile.At, "FILE_CHECK: the track_file %s cannot be used", c.TrackFile.V)
		res.r.Errorf(c.End, "FILE_CHECK has no track_file - ignoring it")
		return out, false
	}
	t.fileCheck = true
	w := first(c.FileWeight, opt[weight]{V: t.defaultWeight()})
	return model.FileOpts{Name: t.Name, Path: filepath.Clean(t.path.V), Weight: w.W, Reverse: w.Reverse}, true
}

// trackedBy checks that a checker names something that a block of the kind defines above it.
func (res *resolver) trackedBy(c *Checker, name opt[string], keyword string, kind trackKind, block string) bool {
	if name.IsSet() {
		for _, t := range res.c.Trackers {
			if t.Kind == kind && t.Name == name.V && t.At.Before(name.At) {
				return true
			}
		}
		res.undefined(res.r.Errorf(name.At, "%s: no %s %s is defined above - ignoring it", c.Kind, block, name.V), name.V, res.trackerBlocks(kind))
		if kind == trackBFD {
			return false
		}
	}
	res.r.Errorf(c.End, "%s has no %s - ignoring it", c.Kind, keyword)
	return false
}
