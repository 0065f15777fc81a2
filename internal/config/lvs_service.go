package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// VirtualServer is a virtual_server block.
type VirtualServer struct {
	At, End source.Pos
	Run     int // its number in the model, from 1, once that is made; 0: it is not run

	// One of these three.
	Addr     netip.AddrPort
	FWMark   uint32
	IsFWMark bool
	Group    string

	IPFamily    opt[model.Family]
	Protocol    opt[model.Protocol]
	Scheduler   opt[string]
	Flags       uint32 // but not ops
	OPS         opt[bool]
	Method      opt[model.Method]
	Engine      opt[string]
	Persistence opt[int] // seconds
	Mask4       opt[netip.Addr]
	Prefix6     opt[int]

	timing
	Weight                opt[int]
	Inhibit               opt[bool]
	Alpha, Omega          opt[bool]
	HASuspend             opt[bool]
	SMTPAlert             opt[bool]
	VirtualHost, SNMPName opt[string]
	Quorum, Hysteresis    opt[int]
	QuorumUp, QuorumDown  opt[Command]
	TrackVRRP             opt[string]
	Sorry                 opt[netip.AddrPort]
	SorryInhibit          opt[bool]
	SorryMethod           opt[model.Method]
	Real                  []*RealServer
}

// timing is when and how often a check is made; the blocks inside a block inherit it.
type timing struct {
	DelayLoop, DelayBeforeRetry, Warmup, ConnectTimeout opt[time.Duration]
	Retry                                               opt[int]
}

// longest is more than any sensible time and less than time.Duration holds.
const longest = 9 * 365 * 24 * time.Hour

// timingRows are the keywords of timing that every block has; least is the lowest retry.
func timingRows[T any](least int, of func(*T) *timing) schema.Rows[T] {
	return schema.Rows[T]{
		schema.Inherited("delay_loop", schema.Seconds(time.Microsecond, longest),
			func(t *T) *opt[time.Duration] { return &of(t).DelayLoop }, "Time between two checks; default 60."),
		schema.Inherited("retry", schema.Int(least, math.MaxUint32), func(t *T) *opt[int] { return &of(t).Retry },
			"Failures beyond the first before a server counts as failed; default 1, DNS_CHECK 3, MISC_CHECK 0."),
		schema.Inherited("delay_before_retry", schema.Seconds(0, longest),
			func(t *T) *opt[time.Duration] { return &of(t).DelayBeforeRetry },
			"Wait before a failed check is repeated; default 1, HTTP_GET and SSL_GET 3, DNS_CHECK delay_loop."),
		schema.Inherited("warmup", schema.Seconds(0, longest), func(t *T) *opt[time.Duration] { return &of(t).Warmup },
			"The first check comes at a random time up to this; default delay_loop."),
	}
}

func connectTimeoutRow[T any](of func(*T) *timing) *schema.Keyword[T] {
	return schema.Inherited("connect_timeout", schema.Seconds(time.Microsecond, 4294967295*time.Microsecond),
		func(t *T) *opt[time.Duration] { return &of(t).ConnectTimeout }, "How long a connection, and each read from it, may take; default 5.")
}

var schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos"}

var scheduler = schema.One(strings.Join(schedulers, "|"), func(s string) (string, error) {
	if !slices.Contains(schedulers, s) {
		return "", fmt.Errorf("unknown scheduler %q", s)
	}
	return s, nil
})

// methodKind reads NAT|DR|TUN [type ipip|gue|gre] [port N] [nocsum|csum|remcsum]. Tunnel options are checked whatever the method is;
// those that cannot be leave a plain tunnel.
var methodKind = schema.Kind[model.Method]{
	Usage: "NAT|DR|TUN [type ipip|gue|gre] [port <1-65535>] [nocsum|csum|remcsum]",
	Parse: func(w []source.Word) (m model.Method, err error) {
		if len(w) == 0 {
			return m, schema.ErrNoWord
		}
		forwards := map[string]model.Forward{"NAT": model.NAT, "DR": model.DR, "TUN": model.TUN}
		forward, ok := forwards[w[0].Text]
		if !ok {
			return m, fmt.Errorf("unknown forwarding method %q", w[0].Text)
		}
		m.Forward = forward
		t, err := tunnel(w[1:])
		if err != nil {
			return m, schema.Corrected("%w - using %s without options", err, w[0].Text)
		}
		if forward == model.TUN {
			m.Tunnel = t
		}
		return m, nil
	},
}

func tunnel(w []source.Word) (t model.Tunnel, err error) {
	sum := ""
	for i := 0; i < len(w); i++ {
		switch word := w[i].Text; word {
		case "type", "port":
			if i++; i == len(w) {
				return t, fmt.Errorf("%s: no value given", word)
			}
			if word == "port" {
				n, err := schema.ParseInt(w[i].Text, 1, math.MaxUint16)
				if err != nil {
					return t, fmt.Errorf("port: %w", err)
				}
				t.Port = uint16(n)
				continue
			}
			types := map[string]model.TunnelType{"ipip": model.IPIP, "gue": model.GUE, "gre": model.GRE}
			typ, ok := types[w[i].Text]
			if !ok {
				return t, fmt.Errorf("unknown tunnel type %q", w[i].Text)
			}
			t.Type = typ
		case "nocsum", "csum", "remcsum":
			sum = word
			t.Flags = map[string]uint16{"nocsum": 0, "csum": 1, "remcsum": 2}[word]
		default:
			return t, fmt.Errorf("unknown tunnel option %q", word)
		}
	}
	switch {
	case (t.Type == model.GUE) != (t.Port != 0):
		return t, errors.New("gue needs a port, other tunnels must not have one")
	case t.Type == model.IPIP && sum != "" && sum != "nocsum":
		return t, errors.New("ipip has no checksum options")
	case t.Type == model.GRE && sum == "remcsum":
		return t, errors.New("gre has no remcsum")
	}
	return t, nil
}

var virtualServer = schema.TableOf(func() schema.Rows[VirtualServer] {
	return concat(schema.Rows[VirtualServer]{
		schema.Line("ip_family", "inet|inet6", readIPFamily, "Family of a service by firewall mark."),
	}, timingRows(1, func(v *VirtualServer) *timing { return &v.timing }), schema.Rows[VirtualServer]{
		connectTimeoutRow(func(v *VirtualServer) *timing { return &v.timing }),
		schema.Flag("inhibit_on_failure", true, func(v *VirtualServer) *opt[bool] { return &v.Inhibit },
			"Failed servers get weight 0 instead of being removed."),
		schema.Inherited("lb_algo", scheduler, func(v *VirtualServer) *opt[string] { return &v.Scheduler },
			"Scheduler; default wlc, with a message.").Alias("lvs_sched"),
		schema.Line("hashed", "", func(v *VirtualServer, n *syntax.Node, r *source.Report) {
			if s := v.Scheduler.V; s != "sh" && s != "mh" {
				r.Errorf(n.At(), "hashed only applies to sh scheduler - ignoring")
			}
		}, "No effect; kept for old configurations."),
		schema.Flag("ops", true, func(v *VirtualServer) *opt[bool] { return &v.OPS },
			"Schedule each datagram by itself; UDP or firewall mark only."),
		schedulerFlag("flag-1", "", model.FlagSched1, "Scheduler flag 1."),
		schedulerFlag("flag-2", "", model.FlagSched2, "Scheduler flag 2."),
		schedulerFlag("flag-3", "", model.FlagSched3, "Scheduler flag 3."),
		schedulerFlag("sh-port", "sh", model.FlagSched2, "The sh scheduler takes the port into account; lb_algo must come first."),
		schedulerFlag("sh-fallback", "sh", model.FlagSched1, "The sh scheduler goes on to another server; lb_algo must come first."),
		schedulerFlag("mh-port", "mh", model.FlagSched2, "The mh scheduler takes the port into account; lb_algo must come first."),
		schedulerFlag("mh-fallback", "mh", model.FlagSched1, "The mh scheduler goes on to another server; lb_algo must come first."),
		schema.Inherited("lb_kind", methodKind, func(v *VirtualServer) *opt[model.Method] { return &v.Method },
			"Forwarding method of servers that have none of their own; default NAT, with a message.").
			Options("NAT", "DR", "TUN", "type", "ipip", "gue", "gre", "port", "nocsum", "csum", "remcsum"),
		schema.Inherited("lvs_method", methodKind, func(v *VirtualServer) *opt[model.Method] { return &v.Method },
			"The same as lb_kind."),
		schema.Inherited("persistence_engine", schema.ShortWord(15), func(v *VirtualServer) *opt[string] { return &v.Engine },
			"Persistence engine of the kernel, such as sip."),
		schema.Inherited("persistence_timeout", schema.Kind[int]{Usage: "[<1-2678400 seconds>]", Parse: func(w []source.Word) (int, error) {
			if len(w) == 0 {
				return defaultPersistence, nil
			}
			return schema.ParseInt(w[0].Text, 1, 2678400)
		}}, func(v *VirtualServer) *opt[int] { return &v.Persistence }, "Clients keep their server for this long; without a number 360."),
		schema.Line("persistence_granularity", "NETMASK|<1-128>", readGranularity,
			"Clients of one network keep the same server; switches persistence on."),
		schema.Line("protocol", "TCP|UDP|SCTP", readProtocol, "Protocol of the service; default UDP, with a message."),
		schema.Flag("ha_suspend", true, func(v *VirtualServer) *opt[bool] { return &v.HASuspend },
			"Check only while the address of the service is on this node."),
		schema.Inherited("smtp_alert", schema.Bool, func(v *VirtualServer) *opt[bool] { return &v.SMTPAlert },
			"Mails about the quorum."),
		replaced("virtualhost", true, false, func(v *VirtualServer) *opt[string] { return &v.VirtualHost }, "Host name of HTTP_GET and SSL_GET."),
		schema.Inherited("track_vrrp", schema.Word, func(v *VirtualServer) *opt[string] { return &v.TrackVRRP },
			"In the table only while this vrrp_instance is master.").Ours(),
		replaced("snmp_name", true, true, func(v *VirtualServer) *opt[string] { return &v.SNMPName }, "Name of the service in SNMP.").Pending(noSNMP),
		schema.Flag("alpha", true, func(v *VirtualServer) *opt[bool] { return &v.Alpha },
			"Servers are down until their first successful check."),
		schema.Flag("omega", true, func(v *VirtualServer) *opt[bool] { return &v.Omega },
			"Run the scripts of a failure when the daemon stops."),
		schema.Inherited("quorum_up", command, func(v *VirtualServer) *opt[Command] { return &v.QuorumUp },
			"Run when the quorum is gained.").Quoted().FirstWins(),
		schema.Inherited("quorum_down", command, func(v *VirtualServer) *opt[Command] { return &v.QuorumDown },
			"Run when the quorum is lost.").Quoted().FirstWins(),
		schema.Value("quorum", schema.Fallback(schema.Int(1, math.MaxUint32), 1), 1, func(v *VirtualServer) *opt[int] { return &v.Quorum },
			"Sum of weights of live servers that the service needs."),
		schema.Value("hysteresis", schema.Int(0, math.MaxUint32), 0, func(v *VirtualServer) *opt[int] { return &v.Hysteresis },
			"The quorum is gained this much above, and lost this much below its number."),
		schema.Value("weight", schema.Int(1, math.MaxInt32), 1, func(v *VirtualServer) *opt[int] { return &v.Weight },
			"Weight of servers that have none of their own."),
		schema.Line("sorry_server", "IPADDR [PORT]", func(v *VirtualServer, n *syntax.Node, r *source.Report) {
			if a, ok := readServerAddr(n, n.Args, r); ok {
				v.Sorry = opt[netip.AddrPort]{V: a, At: n.At()}
			}
		}, "Serves while the quorum is not there."),
		schema.Line("sorry_server_inhibit", "", func(v *VirtualServer, n *syntax.Node, r *source.Report) {
			if afterSorry(v, n, r) {
				v.SorryInhibit = opt[bool]{V: true, At: n.At()}
			}
		}, "The sorry server stays in the table with weight 0 while it is not needed."),
		schema.Line("sorry_server_lvs_method", methodKind.Usage, func(v *VirtualServer, n *syntax.Node, r *source.Report) {
			if !afterSorry(v, n, r) {
				return
			}
			if m, ok := readKind(methodKind, n, r); ok {
				v.SorryMethod = opt[model.Method]{V: m, At: n.At()}
			}
		}, "Forwarding method of the sorry server."),
		schema.Block("real_server", "IPADDR [PORT] ", openRealServer, realServer, "One server."),
	})
})

const defaultPersistence = 360

func schedulerFlag(name, scheduler string, flag uint32, doc string) *schema.Keyword[VirtualServer] {
	return schema.Line(name, "", func(v *VirtualServer, n *syntax.Node, r *source.Report) {
		switch s := v.Scheduler.V; {
		case scheduler == "" || s == scheduler:
			v.Flags |= flag
		case s != "sh" && s != "mh":
			r.Errorf(n.At(), "%s only applies to the %s scheduler - ignoring", name, scheduler).Hint = "lb_algo must come first"
		}
	}, doc)
}

func openVirtualServer(c *Config, n *syntax.Node, r *source.Report) *VirtualServer {
	v := &VirtualServer{At: n.At(), End: n.End}
	if len(n.Args) == 0 {
		missing(n, r)
		return nil
	}
	switch kind := n.Args[0].Text; {
	case (kind == "fwmark" || kind == "group") && len(n.Args) == 1:
		// Differs from keepalived: it crashes.
		r.Errorf(n.Args[0].At, "virtual_server %s: no value given - ignoring the block", kind)
		return nil
	case kind == "group":
		v.Group = n.Args[1].Text
	case kind == "fwmark":
		mark, err := schema.ParseInt(n.Args[1].Text, 0, math.MaxUint32)
		if err != nil {
			r.Errorf(n.Args[1].At, "virtual_server fwmark: %v - ignoring the block", err)
			return nil
		}
		v.FWMark, v.IsFWMark = uint32(mark), true
	default:
		addr, err := addrPort(n.Args)
		if err != nil {
			r.Errorf(n.Args[0].At, "virtual_server: %v - ignoring the block", err)
			return nil
		}
		v.Addr = addr
	}
	virtualServer.Init(v)
	c.LVS.Services = append(c.LVS.Services, v)
	return v
}

// addrPort reads IPADDR [PORT]; a port of zeros is none.
func addrPort(w []source.Word) (netip.AddrPort, error) {
	a, err := schema.ParseAddr(w[0].Text)
	if err != nil || len(w) == 1 {
		return netip.AddrPortFrom(a, 0), err
	}
	if p := w[1].Text; p != "" && strings.Trim(p, "0") == "" {
		return netip.AddrPortFrom(a, 0), nil
	}
	port, err := schema.ParseInt(w[1].Text, 1, math.MaxUint16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port: %w", err)
	}
	return netip.AddrPortFrom(a, uint16(port)), nil
}

func readServerAddr(n *syntax.Node, w []source.Word, r *source.Report) (netip.AddrPort, bool) {
	if len(w) == 0 {
		missing(n, r)
		return netip.AddrPort{}, false
	}
	a, err := addrPort(w)
	if err != nil {
		r.Errorf(w[0].At, "%s: %v - ignoring", n.Key.Text, err)
	}
	return a, err == nil
}

func afterSorry(v *VirtualServer, n *syntax.Node, r *source.Report) bool {
	if !v.Sorry.IsSet() {
		r.Errorf(n.At(), "%s: there is no sorry_server yet - ignoring", n.Key.Text)
	}
	return v.Sorry.IsSet()
}

func readIPFamily(v *VirtualServer, n *syntax.Node, r *source.Report) {
	f, ok := readKind(schema.Choice("inet|inet6", map[string]model.Family{"inet": model.IPv4, "inet6": model.IPv6}), n, r)
	known := untunnelledFamily(v)
	switch {
	case v.Addr.IsValid():
		known = model.FamilyOf(v.Addr.Addr())
	case v.IPFamily.IsSet():
		known = v.IPFamily.V
	}
	switch {
	case !ok:
	case known != 0 && known != f:
		r.Errorf(n.At(), "Virtual server specified family %s conflicts with server family - ignoring", n.Args[0].Text)
	default:
		v.IPFamily = opt[model.Family]{V: f, At: n.At()}
	}
}

func readProtocol(v *VirtualServer, n *syntax.Node, r *source.Report) {
	p, ok := readKind(schema.One("TCP|UDP|SCTP", func(s string) (model.Protocol, error) {
		switch strings.ToUpper(s) {
		case "TCP":
			return model.TCP, nil
		case "UDP":
			return model.UDP, nil
		case "SCTP":
			return model.SCTP, nil
		}
		return 0, fmt.Errorf("unknown protocol %q", s)
	}), n, r)
	if ok {
		v.Protocol = opt[model.Protocol]{V: p, At: n.At()}
	}
}

// readGranularity takes a mask for IPv4, or a prefix length for IPv6. Which of them fits the service is known at the end only.
func readGranularity(v *VirtualServer, n *syntax.Node, r *source.Report) {
	if len(n.Args) == 0 {
		missing(n, r)
		return
	}
	w := n.Args[0]
	ipv6 := v.Addr.IsValid() && v.Addr.Addr().Is6() || v.IPFamily.V == model.IPv6
	if mask, err := netip.ParseAddr(w.Text); err == nil && mask.Is4() && !ipv6 {
		v.Mask4 = opt[netip.Addr]{V: mask, At: n.At()}
	} else if bits, err := schema.ParseInt(w.Text, 1, 128); err == nil && (ipv6 || !v.Addr.IsValid()) {
		v.Prefix6 = opt[int]{V: bits, At: n.At()}
	} else if mask, ok := parseNumbers(w.Text); ok && !ipv6 {
		r.Notef(w.At, "persistence_granularity: %q is the mask %v", w.Text, mask).Hint = "write the mask with four numbers"
		v.Mask4 = opt[netip.Addr]{V: mask, At: n.At()}
	} else {
		r.Errorf(w.At, "persistence_granularity: %q is neither an IPv4 mask nor an IPv6 prefix length of the service - ignoring", w.Text)
		return
	}
	if !v.Persistence.IsSet() {
		v.Persistence = opt[int]{V: defaultPersistence, At: n.At()}
	}
}

// replaced declares a word of which a second occurrence is an error, but counts.
func replaced[T any](name string, lenient, alone bool, field func(*T) *opt[string], doc string) *schema.Keyword[T] {
	return schema.Line(name, schema.Word.Usage, func(t *T, n *syntax.Node, r *source.Report) {
		f := field(t)
		switch {
		case len(n.Args) == 0 && lenient:
			r.Errorf(n.At(), "%s: no value given - ignoring", name)
			return
		case len(n.Args) == 0:
			missing(n, r)
			return
		case alone && len(n.Args) > 1:
			r.Errorf(n.Args[1].At, "%s: unexpected %q - ignoring", name, n.Args[1].Text)
			return
		case f.IsSet():
			r.Errorf(n.At(), "%s is already specified - replacing the first", name).With("which is at", f.At)
		}
		*f = opt[string]{V: n.Args[0].Text, At: n.At()}
	}, doc)
}

// readKind reads the value of a row that decides for itself what to do with it.
func readKind[V any](k schema.Kind[V], n *syntax.Node, r *source.Report) (v V, ok bool) {
	var got opt[V]
	row := schema.Inherited(n.Key.Text, k, func(o *opt[V]) *opt[V] { return o }, "")
	row.Read(&got, n, r)
	return got.V, got.IsSet()
}

// missing reports that the word after a keyword is not there, which ends keepalived's test with exit code 2.
func missing(n *syntax.Node, r *source.Report) {
	r.Add(source.MissingWord, n.At(), "'%s' is missing a required parameter (word 2)", n.Key.Text).Hint =
		"keepalived ends the test here"
}
