package config

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Route is an entry of a list of routes.
type Route struct {
	model.Route
	TrackGroup opt[string]
	VRF        opt[string] // whose table it is
	references
}

// Rule is an entry of a list of rules.
type Rule struct {
	model.Rule
	TrackGroup  opt[string]
	PrioritySet bool
	references
}

// references are what an entry names that must be looked up on the host.
type references struct {
	devs  []opt[string] // interfaces
	names []nameRef
}

// nameRef is a name out of a table of iproute2; without it the entry is dropped.
type nameRef struct {
	table, name string
	at          source.Pos
	set         func(uint32)
	judge       func(*source.Report) // in place of all that: what is to be said when the names before it are known
}

// routeOptions are the words of a route, in the form of iproute2.
var routeOptions = append(strings.Fields(`<DESTINATION> to unicast local broadcast brd anycast multicast nat blackhole unreachable prohibit
	throw xresolve inet inet6 src as via gw or from tos dsfield table protocol scope metric priority preference dev oif onlink encap
	expires mtu hoplimit advmss rtt rttvar reordering window cwnd ssthresh realms rto_min initcwnd initrwnd features ecn quickack
	congctl pref ttl-propagate fastopen_no_cookie add prepend append nexthop no_track vrf lock nexthop/via nexthop/dev
	nexthop/weight nexthop/onlink nexthop/encap nexthop/realms nexthop/as`),
	"encap ip/id", "encap ip/dst", "encap ip/src", "encap ip/tos", "encap ip/ttl", "encap ip/flags",
	"encap ip6/id", "encap ip6/dst", "encap ip6/src", "encap ip6/tc", "encap ip6/hoplimit", "encap ip6/flags",
	"encap mpls/<LABELS>", "encap ila/<LOCATOR>")

// ruleOptions are the words of a rule.
var ruleOptions = strings.Fields(`inet inet6 from to table lookup not preference order priority tos dsfield fwmark realms
	suppress_prefixlength sup_pl suppress_ifgroup sup_group dev iif oif tunnel-id uidrange l3mdev protocol ipproto sport dport
	no_track type goto nop blackhole unreachable prohibit <other>`)

// Names of rtnetlink numbers that do not need iproute2's tables.
var (
	routeTypes = strings.Fields("unicast local broadcast brd anycast multicast nat blackhole unreachable prohibit throw xresolve")
	// routeTypeNumbers are RTN_* of routeTypes, in the same order.
	routeTypeNumbers = []uint8{1, 2, 3, 3, 4, 5, 10, 6, 7, 8, 9, 11}

	tableNames = map[string]int{"main": 254, "local": 255, "default": 253}
	protoNames = map[string]int{"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "ra": 9, "dhcp": 16, "keepalived": 18}
	tosNames   = map[string]int{"default": 0}
	groupNames = map[string]int{"default": 0}
	ipProtos   = map[string]int{"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132, "ah": 51, "esp": 50, "gre": 47, "vrrp": 112, "ipv6-icmp": 58}
	scopeNames = map[string]int{"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
)

// entry reads the words of a route or rule one by one.
type entry struct {
	references
	group  opt[string] // track_group
	node   *syntax.Node
	i      int        // of the next word; 0: the keyword
	at     source.Pos // of the word last taken
	family model.Family
	// addressed: an address has said what the family is
	addressed bool
	err       error
	r         *source.Report
	what      string
}

func newEntry(what string, n *syntax.Node, r *source.Report) *entry {
	return &entry{node: n, at: n.At(), r: r, what: what}
}

func (e *entry) more() bool { return e.err == nil && !e.ended() }

// ended reports whether there is no further word.
func (e *entry) ended() bool { return e.i > len(e.node.Args) }

// word returns a word of the entry.
func (e *entry) word(i int) source.Word {
	if i == 0 {
		return e.node.Key
	}
	return e.node.Args[i-1]
}

func (e *entry) peek() string {
	if !e.ended() {
		return e.word(e.i).Text
	}
	return ""
}

func (e *entry) next() string {
	if e.ended() {
		if e.err == nil {
			e.r.Add(source.MissingWord, e.at, "'%s' is missing a required parameter", e.word(e.i-1).Text)
		}
		e.fail("a value is missing")
		return ""
	}
	w := e.word(e.i)
	e.i, e.at = e.i+1, w.At
	return w.Text
}

// skip takes the next word if it is one of words, and reports whether it did.
func (e *entry) skip(words ...string) bool {
	if !slices.Contains(words, e.peek()) {
		return false
	}
	e.next()
	return true
}

// fail ends the entry, which is dropped.
func (e *entry) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

// complain reports a mistake after which the entry is kept.
func (e *entry) complain(format string, args ...any) {
	e.r.Errorf(e.at, "%s: %s", e.what, fmt.Sprintf(format, args...))
}

// done reports what ended the entry, and whether it is kept.
func (e *entry) done() bool {
	if e.err != nil {
		e.r.Errorf(e.at, "%s: %v - ignoring it", e.what, e.err)
	}
	return e.err == nil
}

func (e *entry) number(low, high int) int {
	n, err := schema.ParseInt(e.next(), low, high)
	if err != nil {
		e.fail("%w", err)
	}
	return n
}

// cNumber takes C notation.
func (e *entry) cNumber() uint32 {
	s := e.next()
	n, err := cNumber(s, 32)
	if err != nil {
		e.fail("%q is not a number", s)
	}
	return uint32(n)
}

// cNumber reads a number in C notation as strtoul does: a plus is fine, and an empty word is 0.
func cNumber(s string, bits int) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	if s = strings.TrimPrefix(s, "+"); strings.ContainsAny(s, "_oO") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 0, bits)
}

// named takes a number in C notation or a name: one that is always known, or one out of a table of iproute2.
func (e *entry) named(table string, names map[string]int, high uint64, set func(uint32)) {
	w := e.next()
	if n, ok := names[w]; ok {
		set(uint32(n))
		return
	}
	switch n, err := cNumber(w, 64); {
	case e.err != nil:
	case w != "" && (w[0] < '0' || w[0] > '9') && w[0] != '+' && w[0] != '-':
		e.names = append(e.names, nameRef{table: table, name: w, at: e.at, set: set})
	case err != nil || w == "":
		e.fail("%q is neither a number nor a name", w)
	case n > high:
		e.fail("%q is not within 0 and %d", w, high)
	default:
		set(uint32(n))
	}
}

// tos takes a TOS, as a number, in hexadecimal, or by name.
func (e *entry) tos(set func(uint8)) {
	e.named("rt_dsfield", tosNames, 255, func(n uint32) { set(uint8(n)) })
}

// is fixes the family of the entry.
func (e *entry) is(f model.Family) {
	if e.family != 0 && e.family != f {
		e.fail("IPv4 and IPv6 are mixed")
	}
	e.family = f
}

func (e *entry) address() netip.Addr {
	e.skip("inet", "inet6")
	s := e.next()
	a, err := netip.ParseAddr(s)
	if err != nil {
		e.fail("%q is not an address", s)
		return a
	}
	e.is(model.FamilyOf(a))
	e.addressed = true
	return a
}

func (e *entry) prefix() netip.Prefix {
	s := e.next()
	p, err := parsePrefix(s)
	switch {
	case !p.IsValid():
		e.fail("%w", err)
		return p
	case err != nil:
		e.complain("%v - using the full length", err)
	}
	e.is(model.FamilyOf(p.Addr()))
	e.addressed = true
	return p
}

func (e *entry) device() string {
	name := e.next()
	if e.err == nil {
		e.devs = append(e.devs, opt[string]{V: name, At: e.at})
	}
	return name
}

// realms takes [FROM/]TO, which add up to one number in *v.
func (e *entry) realms(v func(*model.Route) *uint32, of *model.Route) {
	parts := strings.SplitN(e.next(), "/", 2)
	for i, part := range parts {
		shift := 16 * (len(parts) - 1 - i)
		n, err := strconv.ParseUint(part, 0, 8)
		switch {
		case err == nil:
			*v(of) |= uint32(n) << shift
		case part == "" || part[0] >= '0' && part[0] <= '9':
			e.fail("%q is not a realm", part)
		default:
			e.names = append(e.names, nameRef{table: "rt_realms", name: part, at: e.at, set: func(n uint32) { *v(of) |= n << shift }})
		}
	}
}

// trackGroup takes the group of a static entry.
func (e *entry) trackGroup() {
	if e.group.IsSet() {
		e.complain("a second track_group - ignoring it")
	}
	e.group = opt[string]{V: e.next(), At: e.at}
}

// Limits of a time that a route starts TCP's estimates with.
const (
	leastRTT = 200 * time.Millisecond
	mostRTT  = 120 * time.Second
)

// duration takes a round-trip time: a decimal with a unit, or a number of the kernel's unit, a fraction of a millisecond.
func (e *entry) duration(fraction time.Duration) uint32 {
	s := strings.ToLower(e.next())
	unit, number := time.Millisecond/fraction, s
	for suffix, u := range map[string]time.Duration{"s": time.Second, "sec": time.Second, "secs": time.Second,
		"ms": time.Millisecond, "msec": time.Millisecond, "msecs": time.Millisecond} {
		if t, ok := strings.CutSuffix(s, suffix); ok && t != "" && ('0' <= t[len(t)-1] && t[len(t)-1] <= '9' || t[len(t)-1] == '.') {
			number, unit = t, u
			break
		}
	}
	d, err := schema.Decimal(unit, 0, 1<<31*time.Millisecond, 6).Parse([]source.Word{{Text: number}})
	if err != nil {
		e.fail("%w", err)
	}
	if d < leastRTT && e.err == nil {
		e.complain("%s is below %v - using that", s, leastRTT)
	}
	if d > mostRTT {
		e.complain("%s is above %v - using that", s, mostRTT)
	}
	return uint32(min(max(d, leastRTT), mostRTT) * fraction / time.Millisecond)
}

// encap takes a lightweight tunnel; its mistakes leave the route as it is.
func (e *entry) encap() (out *model.Encap) {
	if e.ended() {
		e.complain("encap has no type")
		return out
	}
	kind := e.next()
	if e.ended() && (kind == "mpls" || kind == "ila") {
		e.complain("encap %s has no value", kind)
		return out
	}
	switch kind {
	case "ip":
		out = e.encapIP(kind, model.EncapIP, []string{"id", "dst", "src", "tos", "ttl", "flags"})
	case "ip6":
		out = e.encapIP(kind, model.EncapIP6, []string{"id", "dst", "src", "tc", "hoplimit", "flags"})
	case "mpls":
		text := e.next()
		labels := strings.Split(text, "/")
		if len(labels) > maxLabels {
			e.complain("encap mpls: %q has more than %d labels", text, maxLabels)
			return nil
		}
		for _, label := range labels {
			if _, err := schema.ParseInt(label, 0, 1<<20-1); err != nil || label == "" {
				e.complain("encap mpls: %q is not a label", label)
				return nil
			}
		}
		out = &model.Encap{Kind: model.EncapMPLS, Labels: text}
	case "ila":
		text := e.next()
		locator, ok := parseLocator(text)
		if !ok {
			e.complain("encap ila: %q is not a locator", text)
			return nil
		}
		out = &model.Encap{Kind: model.EncapILA, Locator: locator}
	default:
		e.fail("unknown encap type %q", kind)
	}
	return out
}

// maxLabels is how many labels keepalived reads (MAX_MPLS_LABELS of its own, 2.3.4).
const maxLabels = 2

func (e *entry) encapIP(kind string, number model.EncapKind, fields []string) *model.Encap {
	out := &model.Encap{Kind: number}
	good, id := true, false
	for slices.Contains(fields, e.peek()) {
		name := e.next()
		if e.ended() && !slices.Contains([]string{"ip src", "ip tos", "ip6 src", "ip6 hoplimit"}, kind+" "+name) {
			e.fail("encap %s: %s has no value", kind, name)
			return out
		}
		if name == "tos" || name == "tc" {
			e.tos(func(n uint8) { out.TOS = n })
			continue
		}
		value := e.next()
		if name == "dst" || name == "src" {
			a, err := netip.ParseAddr(value)
			if err != nil || a.Is4() != (number == model.EncapIP) || a.Zone() != "" {
				e.fail("encap %s: %q is not an address of that family", kind, value)
				return out
			}
			if name == "dst" {
				out.Dst = a
			} else {
				out.Src = a
			}
			continue
		}
		n, err := parseUint(value, map[string]int{"id": 64, "ttl": 8, "hoplimit": 8, "flags": 16}[name])
		if err != nil {
			e.fail("encap %s %s: %w", kind, name, err)
			return out
		}
		switch name {
		case "id":
			out.ID, id = n, true
		case "flags":
			out.Flags = uint16(n)
		default:
			out.TTL = uint8(n)
		}
	}
	if good && !out.Dst.IsValid() && !id {
		e.complain("encap %s needs dst or id", kind)
		good = false
	}
	if !good {
		return nil
	}
	return out
}

// parseUint reads a decimal of so many bits by the rules of schema.ParseInt, which has none of 64.
func parseUint(s string, bits int) (uint64, error) {
	digits := strings.TrimPrefix(s, "+")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(digits, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of %d bits", s, bits)
	}
	return n, nil
}

// parseLocator reads the four groups of an ILA locator.
func parseLocator(s string) (v uint64, ok bool) {
	groups := strings.Split(s, ":")
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 16, 16)
		if err != nil {
			return 0, false
		}
		v = v<<16 | n
	}
	return v, len(groups) == 4
}

// nexthops takes the hops of a multipath route, which come last.
func (e *entry) nexthops(of *model.Route) {
	of.Hops = []model.NextHop{{}}
	for e.more() {
		i := len(of.Hops) - 1
		h := &of.Hops[i]
		switch w := e.next(); w {
		case "nexthop":
			of.Hops = append(of.Hops, model.NextHop{})
		case "onlink":
			h.OnLink = true
		case "via":
			h.Via = e.address()
		case "dev":
			h.Dev = e.device()
		case "weight":
			h.Weight = e.number(1, 256)
		case "encap":
			h.Encap = e.encap()
		case "realms":
			e.realms(func(r *model.Route) *uint32 { return &r.Hops[i].Realms }, of)
		case "as":
			e.complain("as is not supported - ignoring it")
			e.skip("to")
			e.next()
		default:
			e.fail("unknown nexthop option %q", w)
		}
	}
}

// metrics are the words of a route that set one of its metrics to a number.
var metrics = map[string]int{"mtu": model.MetricMTU, "advmss": model.MetricAdvMSS, "reordering": model.MetricReordering,
	"cwnd": model.MetricCWnd, "ssthresh": model.MetricSSThresh, "window": model.MetricWindow, "initcwnd": model.MetricInitCWnd,
	"initrwnd": model.MetricInitRWnd, "quickack": model.MetricQuickAck, "fastopen_no_cookie": model.MetricFastOpen,
	"hoplimit": model.MetricHopLimit, "rtt": model.MetricRTT, "rttvar": model.MetricRTTVar, "rto_min": model.MetricRTOMin}

// metric takes the value of one.
func (e *entry) metric(word string, out *model.Route) {
	lock := false
	switch word {
	case "mtu", "advmss", "reordering", "cwnd", "ssthresh", "rtt", "rttvar", "rto_min":
		lock = e.skip("lock")
	}
	var v uint32
	switch word {
	case "rtt":
		v = e.duration(8)
	case "rttvar":
		v = e.duration(4)
	case "rto_min":
		v = e.duration(1)
	case "quickack", "fastopen_no_cookie":
		v = uint32(e.number(0, 1))
	case "hoplimit":
		v = uint32(e.number(0, 255))
	default:
		v = uint32(e.number(0, math.MaxUint32))
	}
	out.PutMetric(metrics[word], v, lock)
}

// featureECN is RTAX_FEATURE_ECN.
const featureECN = 1

// readRoute reads a route (keywords.tsv, virtual_routes).
func readRoute(static bool, n *syntax.Node, r *source.Report) (*Route, bool) {
	e := newEntry("route", n, r)
	out := &Route{Route: model.Route{Type: unicast, Table: mainTable}}
	destination, protocol := false, false
	var only model.Family // what an option demands
	var second netip.Addr // of or
	for e.more() {
		switch w := e.next(); w {
		case "inet":
			e.is(model.IPv4)
		case "inet6":
			e.is(model.IPv6)
		case "via":
			out.Via = e.address()
		case "gw":
			e.r.Add(source.Deprecated, e.at, "route: gw is deprecated").Hint = "use via"
			out.Via = e.address()
		case "or":
			e.r.Add(source.Deprecated, e.at, "route: or is deprecated").Hint = "use nexthop"
			if a := e.address(); second.IsValid() {
				e.complain("a second or - ignoring it")
			} else {
				second = a
			}
		case "src":
			out.PrefSrc = e.address()
		case "as":
			e.complain("as is not supported - ignoring it")
			e.skip("to")
			e.next()
		case "from":
			if out.From = e.prefix(); e.family == model.IPv4 {
				e.fail("from is for IPv6 only")
			}
			only = model.IPv6
		case "tos", "dsfield":
			e.tos(func(n uint8) { out.TOS = n })
		case "table":
			e.named("rt_tables", tableNames, math.MaxUint32, func(n uint32) { out.Table = cmp.Or(n, mainTable) })
		case "protocol":
			protocol = true
			e.named("rt_protos", protoNames, 255, func(n uint32) { out.Protocol = uint8(n) })
		case "scope":
			e.named("rt_scopes", scopeNames, 255, func(n uint32) { out.Scope = uint8(n) })
		case "metric", "priority", "preference":
			out.Metric = uint32(e.number(0, math.MaxUint32))
		case "dev", "oif":
			out.Dev = e.device()
		case "vrf":
			out.VRF = opt[string]{V: e.next(), At: e.at}
		case "encap":
			out.Encap = e.encap()
		case "expires", "pref":
			if only = model.IPv6; e.family == model.IPv4 {
				e.fail("%s is for IPv6 only", w)
				continue
			}
			if w == "pref" {
				out.PrefSet = true
				e.named("", map[string]int{"low": 3, "medium": 0, "high": 1}, 255, func(n uint32) { out.Pref = uint8(n) })
				continue
			}
			out.Expires = uint32(e.number(0, math.MaxUint32))
		case "mtu", "advmss", "reordering", "cwnd", "ssthresh", "hoplimit", "rtt", "rttvar", "rto_min", "window", "initcwnd", "initrwnd",
			"quickack", "fastopen_no_cookie":
			e.metric(w, &out.Route)
		case "realms":
			e.realms(func(r *model.Route) *uint32 { return &r.Realms }, &out.Route)
			only = model.IPv4
		case "features":
			if f := e.next(); f != "ecn" {
				e.complain("unknown feature %q - ignoring it", f)
			} else {
				out.PutMetric(model.MetricFeatures, featureECN, false)
			}
		case "congctl":
			lock := e.skip("lock")
			name := e.next()
			out.PutMetric(model.MetricCongCtl, 0, lock)
			out.Metrics.CongCtl = name
		case "ttl-propagate":
			switch v := e.next(); v {
			case "enabled":
				out.TTLProp = model.TTLPropagate
			default:
				e.complain("unknown value %q of ttl-propagate - using disabled", v)
				fallthrough
			case "disabled":
				out.TTLProp = model.TTLUniform
			}
		case "onlink":
			out.OnLink = true
		case "no_track":
			out.NoTrack = true
		case "add":
			out.Mode = model.RouteAdd
		case "prepend":
			out.Mode = model.RoutePrepend
		case "append":
			out.Mode = model.RouteAppend
		case "nexthop":
			if e.nexthops(&out.Route); second.IsValid() {
				e.complain("or and nexthop cannot both be given - ignoring or")
				second = netip.Addr{}
			}
		default:
			switch {
			case w == "track_group" && static:
				e.trackGroup()
				continue
			case w == "to":
				w = e.next()
			default:
				if t, ok := routeType(w); ok {
					out.Type = t
					w = e.next()
				} else if destination && !looksLikePrefix(w) {
					e.fail("unknown option %q", w)
					continue
				}
			}
			destination = true // a second one replaces the first
			switch w {
			case "default", "any", "all":
				if e.addressed { // as in keepalived, for which these have no family yet
					e.fail("%s must come before addresses", w)
				}
			case "default6":
				e.is(model.IPv6)
			default:
				if e.err == nil {
					e.i--
					out.Dst = e.prefix()
				}
			}
		}
	}
	switch {
	case e.err != nil:
	case !destination:
		e.fail("it has no destination")
	case only != 0 && e.family != 0 && e.family != only:
		e.fail("an option is for %v only", only)
	}
	if second.IsValid() {
		out.Hops = []model.NextHop{out.NextHop, {Via: second}}
		out.NextHop = model.NextHop{}
	}
	out.Family = cmp.Or(e.family, only, model.IPv4)
	if !out.Dst.IsValid() {
		out.Dst = netip.PrefixFrom(unspecified(out.Family), 0)
	}
	out.references, out.TrackGroup = e.references, e.group
	if out.TrackGroup.IsSet() && len(out.Devs()) == 0 {
		e.complain("track_group needs a dev - ignoring it")
		out.TrackGroup = opt[string]{}
	}
	if protocol {
		out.names = append(out.names, nameRef{judge: func(r *source.Report) {
			if out.Protocol != model.KeepalivedProto && !out.NoTrack {
				r.Errorf(n.At(), "Route cannot be tracked if protocol is not RTPROT_KEEPALIVED(18), resetting protocol")
				out.Protocol = model.KeepalivedProto
			}
		}})
	} else {
		out.Protocol = model.KeepalivedProto
	}
	return out, e.done()
}

// Numbers of rtnetlink.h.
const (
	unicast   = 1   // RTN_UNICAST
	mainTable = 254 // RT_TABLE_MAIN
)

// looksLikePrefix tells an address, right or wrong, from a misspelt option.
func looksLikePrefix(word string) bool {
	return word != "" && (strings.Contains(word, ":") || word[0] >= '0' && word[0] <= '9' || slices.Contains([]string{"default", "any", "all", "default6"}, word))
}

// routeType returns the number of a type of route, given as its name or a number.
func routeType(word string) (uint8, bool) {
	n := slices.Index(routeTypes, word)
	switch {
	case n >= 0:
		return routeTypeNumbers[n], true
	case word == "":
		return 0, true
	}
	v, err := cNumber(word, 8)
	return uint8(v), err == nil
}

func unspecified(f model.Family) netip.Addr {
	if f == model.IPv6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// readRule reads a rule (keywords.tsv, virtual_rules).
func readRule(static bool, n *syntax.Node, r *source.Report) (*Rule, bool) {
	e := newEntry("rule", n, r)
	out := &Rule{Rule: model.Rule{SuppressPrefix: -1, SuppressGroup: -1}}
	tableOnly, protocol := false, false
	act := func(what model.RuleAction) {
		if out.Action != 0 {
			e.fail("it has two actions")
		}
		out.Action = what
	}
	var all []*netip.Prefix // said to be of any address
	selector := func(p *netip.Prefix) {
		if w := e.peek(); e.skip("all", "any", "default") {
			if e.addressed { // as in keepalived, for which these have no family yet
				e.fail("%s must come before addresses", w)
			}
			all = append(all, p)
		} else {
			*p = e.prefix()
		}
	}
	for e.more() {
		switch w := e.next(); w {
		case "inet":
			e.is(model.IPv4)
		case "inet6":
			e.is(model.IPv6)
		case "not":
			out.Not = true
		case "no_track":
			out.NoTrack = true
		case "type": // the action follows, which is a word of its own
			if e.ended() {
				e.next()
			}
		case "from":
			selector(&out.From)
		case "to":
			selector(&out.To)
		case "table", "lookup":
			e.named("rt_tables", tableNames, math.MaxUint32, func(n uint32) { out.Table = n })
			if e.err == nil && len(e.names) == 0 && out.Table == 0 {
				e.fail("a rule cannot lead to table 0")
			}
			act(model.RuleTable)
		case "preference", "order", "priority":
			out.Priority, out.PrioritySet = e.cNumber(), true
		case "tos", "dsfield":
			e.tos(func(n uint8) { out.TOS = n })
		case "fwmark":
			mark, mask, has := strings.Cut(e.next(), "/")
			m, err := cNumber(mark, 32)
			out.Mark, out.MarkSet = uint32(m), true
			if err == nil && has {
				m, err = cNumber(mask, 32)
				out.Mask, out.MaskSet = uint32(m), true
			}
			if err != nil {
				e.fail("%q is not a mark", mark)
			}
		case "realms":
			e.realms(func(*model.Route) *uint32 { return &out.Realms }, nil)
			tableOnly = true
		case "suppress_prefixlength", "sup_pl":
			out.SuppressPrefix = int64(e.number(0, math.MaxInt32))
			tableOnly = true
		case "suppress_ifgroup", "sup_group":
			e.named("group", groupNames, math.MaxInt32, func(n uint32) { out.SuppressGroup = int64(n) })
			tableOnly = true
		case "dev", "iif":
			out.IIF = e.device()
		case "oif":
			out.OIF = e.device()
		case "tunnel-id":
			s := e.next()
			id, err := parseUint(s, 64)
			if err != nil {
				e.fail("tunnel-id: %w", err)
			}
			out.TunnelID = id
		case "uidrange":
			s := e.next()
			low, high, ok := numberRange(s, math.MaxUint32)
			if !ok {
				e.fail("%q is not a range of user ids", s)
			}
			out.UIDs, out.UIDSet = [2]uint32{uint32(low), uint32(high)}, true
		case "l3mdev":
			act(model.RuleL3MDev)
		case "protocol":
			protocol = true
			e.named("rt_protos", protoNames, 255, func(n uint32) { out.Protocol = uint8(n) })
		case "ipproto":
			if n, ok := ipProtos[e.peek()]; ok {
				e.next()
				out.IPProto = uint8(n)
			} else if s := e.next(); s == "" {
				e.fail("ipproto is empty")
			} else if n, err := schema.ParseInt(s, 0, 254); err != nil {
				e.fail("ipproto: %w", err)
			} else {
				out.IPProto = uint8(n)
			}
		case "sport", "dport":
			s := e.next()
			low, high, ok := numberRange(s, 65535)
			switch {
			case e.err != nil:
			case !ok:
				e.complain("%s %q is not a range of ports - ignoring it", w, s)
			case w == "sport":
				out.SPort = [2]uint16{uint16(low), uint16(high)}
			default:
				out.DPort = [2]uint16{uint16(low), uint16(high)}
			}
		case "goto":
			out.Goto = e.cNumber()
			act(model.RuleGoto)
		case "nop":
			act(model.RuleNop)
		case "blackhole":
			act(model.RuleBlackhole)
		case "unreachable":
			act(model.RuleUnreachable)
		case "prohibit":
			act(model.RuleProhibit)
		default:
			if w == "track_group" && static {
				e.trackGroup()
				continue
			}
			e.fail("unknown option %q", w)
		}
	}
	switch {
	case e.err != nil:
	case out.Action == 0:
		e.fail("it has no action")
	case tableOnly && out.Action != model.RuleTable:
		e.fail("realms and suppressors need a table")
	case out.Action == model.RuleGoto && !out.PrioritySet:
		e.fail("goto needs a preference")
	case out.Action == model.RuleGoto && out.Priority >= out.Goto:
		e.fail("goto %d does not lead beyond the rule's own preference %d", out.Goto, out.Priority)
	}
	out.Family = cmp.Or(e.family, model.IPv4)
	for _, p := range all {
		*p = netip.PrefixFrom(unspecified(out.Family), 0)
	}
	out.references, out.TrackGroup = e.references, e.group
	if out.TrackGroup.IsSet() && out.IIF == "" {
		e.complain("track_group needs an iif - ignoring it")
		out.TrackGroup = opt[string]{}
	}
	switch {
	case protocol:
		out.names = append(out.names, nameRef{judge: func(r *source.Report) {
			if out.Protocol != model.KeepalivedProto && !out.NoTrack {
				r.Errorf(n.At(), "Rule cannot be tracked if protocol is not RTPROT_KEEPALIVED(18), resetting protocol")
				out.Protocol = model.KeepalivedProto
			}
		}})
	case !out.NoTrack:
		out.Protocol = model.KeepalivedProto
	}
	return out, e.done()
}

func numberRange(s string, most int) (low, high int, ok bool) {
	l, h, ok := strings.Cut(s, "-")
	low, err1 := schema.ParseInt(l, 0, most)
	high, err2 := schema.ParseInt(h, 0, most)
	return low, high, ok && err1 == nil && err2 == nil && l != "" && h != "" && low <= high
}
