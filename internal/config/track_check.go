package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// trackCheck is a track_tcp, track_http … block: a probe of the checkers that is tracked as a script is, without a fork.
type trackCheck struct {
	Checker
	Keyword, Name string

	Interval, Timeout opt[time.Duration]
	Weight            opt[weight]
	Rise, Fall        opt[int]
}

type prows = schema.Rows[trackCheck]

// checkRows lets a table of checkers fill the checker within.
func checkRows(tables ...func() crows) (out prows) {
	for _, table := range tables {
		for _, row := range table() {
			out = append(out, schema.Within(row, func(t *trackCheck) *Checker { return &t.Checker }))
		}
	}
	return out
}

func probeRows() prows {
	return prows{
		schema.Value("interval", scriptTime, time.Second, func(t *trackCheck) *opt[time.Duration] { return &t.Interval }, "How often it is probed.").Ours(),
		schema.Inherited("timeout", scriptTime, func(t *trackCheck) *opt[time.Duration] { return &t.Timeout },
			"How long a probe may take as a whole; default the interval. Each of its steps has connect_timeout, default the same.").Ours(),
		schema.Inherited("weight", weightKind(253), func(t *trackCheck) *opt[weight] { return &t.Weight },
			"What success or failure adds to the priority; 0: failure is a fault.").Ours(),
		schema.Value("rise", count, 1, func(t *trackCheck) *opt[int] { return &t.Rise }, "Successes after which it counts as up.").Ours(),
		schema.Value("fall", count, 1, func(t *trackCheck) *opt[int] { return &t.Fall }, "Failures after which it counts as down.").Ours(),
		schema.Inherited("connect_timeout", schema.Seconds(time.Microsecond, 4294*time.Second),
			func(t *trackCheck) *opt[time.Duration] { return &t.ConnectTimeout }, "How long a connection, and each read from it, may take.").Ours(),
	}
}

// trackedProbes are the keywords with the port that is meant if none is given; 0: one has to be.
var trackedProbes = []struct {
	keyword string
	kind    model.CheckKind
	port    uint16
	rows    []func() crows
	doc     string
}{
	{"track_tcp", model.TCPCheck, 0, nil, "A connection that can be made."},
	{"track_http", model.HTTPGet, 80, []func() crows{webRows, urlRow}, "A page that comes as wanted."},
	{"track_ssl", model.SSLGet, 443, []func() crows{webRows, tlsRows, urlRow}, "The same over TLS."},
	{"track_smtp", model.SMTPCheck, 25, []func() crows{heloRow}, "A mail server that greets."},
	{"track_dns", model.DNSCheck, 53, []func() crows{dnsRows}, "A name server that answers."},
	{"track_udp", model.UDPCheck, 0, []func() crows{udpRows}, "A datagram that is answered, or at least not refused."},
	{"track_ping", model.PingCheck, 0, nil, "A host that answers ICMP echo."},
	{"track_grpc", model.GRPCCheck, 0, []func() crows{grpcRows, tlsRows}, "A gRPC server that says that it serves."},
}

func trackCheckRows[T any](of func(*T) *trackLists) (out schema.Rows[T]) {
	for _, p := range trackedProbes {
		table := schema.TableOf(probeRows, func() prows { return checkRows(p.rows...) }, func() prows {
			return slices.DeleteFunc(checkRows(connectionRows), func(k *schema.Keyword[trackCheck]) bool { return k.Name == "connect_timeout" })
		})
		out = append(out, schema.Block(p.keyword, "[NAME] ", func(t *T, n *syntax.Node, _ *source.Report) *trackCheck {
			c := &trackCheck{Keyword: p.keyword}
			c.Kind, c.At, c.End = p.kind, n.At(), n.End
			if len(n.Args) > 0 {
				c.Name = n.Args[0].Text
			}
			table.Init(c)
			l := of(t)
			l.Checks = append(l.Checks, c)
			return c
		}, table, p.doc+" Probed and judged as a vrrp_script is, without a fork.").Ours())
	}
	return out
}

// tracked resolves the probes of an instance or group; their names begin with their keyword, so that no script has the same. Where the
// priority is not its own affair (why), one with a weight is left out, as a script is.
func (res *resolver) tracked(list []*trackCheck, why string) (out []model.Track) {
	for _, c := range list {
		w := c.Weight.V
		if why != "" && w.W != 0 {
			res.r.Notef(c.Weight.At, "ignoring %s with weights due to %s", c.Keyword, why)
			continue
		}
		if t, ok := res.probe(c); ok {
			out = append(out, model.Track{Name: res.register(t), Weight: w.W, Reverse: w.Reverse})
		}
	}
	return out
}

// register adds a probe to those that run, unless the same is there already, and returns its name.
func (res *resolver) register(t model.TrackScript) string {
	name := t.Name
	for n := 2; ; n++ {
		known, ok := res.probes[t.Name]
		if !ok {
			break
		}
		if reflect.DeepEqual(known, t) {
			return t.Name
		}
		t.Name = fmt.Sprintf("%s #%d", name, n)
	}
	if res.probes == nil {
		res.probes = map[string]model.TrackScript{}
	}
	res.probes[t.Name] = t
	res.probeOrder = append(res.probeOrder, t.Name)
	return t.Name
}

func (res *resolver) probe(c *trackCheck) (t model.TrackScript, ok bool) {
	var port uint16
	for _, p := range trackedProbes {
		if p.keyword == c.Keyword {
			port = p.port
		}
	}
	switch {
	case !c.ConnectIP.IsSet():
		res.r.Errorf(c.End, "%s has no connect_ip - ignoring it", c.Keyword)
		return t, false
	case !c.ConnectPort.IsSet() && port == 0 && c.Kind != model.PingCheck:
		res.r.Errorf(c.End, "%s has no connect_port - ignoring it", c.Keyword)
		return t, false
	case len(c.Web.URLs) > 1:
		res.r.Errorf(c.Web.URLs[1].At, "%s has more than one url - taking the first", c.Keyword).Hint = "use a block for each"
		c.Web.URLs = c.Web.URLs[:1]
	}
	timeout := first(c.Timeout, c.Interval)
	c.ConnectTimeout = opt[time.Duration]{V: min(first(c.ConnectTimeout, opt[time.Duration]{V: timeout}), timeout), At: c.At}
	// The checker of a real server at that address, but for its rhythm.
	rs := &RealServer{Addr: netip.AddrPortFrom(c.ConnectIP.V, port)}
	check, ok := res.checker(&VirtualServer{}, rs, &model.RealServer{}, &c.Checker)
	if !ok {
		return t, false
	}
	check.Alpha, check.Retry, check.DelayLoop, check.DelayBeforeRetry, check.Warmup, check.LogAllFailures = false, 0, 0, 0, 0, false
	name := c.Name
	if name == "" {
		if name = check.Conn.Dst.String(); c.Kind == model.PingCheck {
			name = check.Conn.Dst.Addr().String()
		}
	}
	return model.TrackScript{Name: strings.TrimPrefix(c.Keyword, "track_") + " " + name, Check: &check, Interval: c.Interval.V,
		Timeout: timeout + probeGrace, Rise: c.Rise.V, Fall: c.Fall.V}, true
}

// probeGrace is added to the time-out of a probe: it ends by itself, and only a prober that hangs does not.
const probeGrace = 2 * time.Second
