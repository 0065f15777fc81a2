package config

import (
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

// routing is an entry of a list of routes or rules. Entries are checked, but only what other checks need is kept, since they are not
// installed yet.
type routing struct {
	Devs       []opt[string] // interfaces that must be there
	TrackGroup opt[string]
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
	tableNames = map[string]int{"main": 254, "local": 255, "default": 253}
	protoNames = map[string]int{"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "ra": 9, "dhcp": 16, "keepalived": 18}
	tosNames   = map[string]int{"default": 0}
	ipProtos   = map[string]int{"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132, "ah": 51, "esp": 50, "gre": 47, "vrrp": 112, "ipv6-icmp": 58}
	scopeNames = map[string]int{"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
)

// entry reads the words of a route or rule one by one.
type entry struct {
	routing
	words  []source.Word
	i      int
	at     source.Pos // of the word last taken
	family model.Family
	err    error
	r      *source.Report
	what   string
}

func newEntry(what string, n *syntax.Node, r *source.Report) *entry {
	return &entry{words: n.Words(), at: n.At(), r: r, what: what}
}

func (e *entry) more() bool { return e.err == nil && e.i < len(e.words) }

func (e *entry) peek() string {
	if e.i < len(e.words) {
		return e.words[e.i].Text
	}
	return ""
}

func (e *entry) next() string {
	if e.i >= len(e.words) {
		if e.err == nil {
			e.r.Add(source.MissingWord, e.at, "'%s' is missing a required parameter", e.words[e.i-1].Text)
		}
		e.fail("a value is missing")
		return ""
	}
	w := e.words[e.i]
	e.i, e.at = e.i+1, w.At
	return w.Text
}

func (e *entry) skip(words ...string) {
	if slices.Contains(words, e.peek()) {
		e.next()
	}
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

// done reports what ended the entry.
func (e *entry) done() (routing, bool) {
	if e.err != nil {
		e.r.Errorf(e.at, "%s: %v - ignoring it", e.what, e.err)
	}
	return e.routing, e.err == nil
}

func (e *entry) number(low, high int) int {
	n, err := schema.ParseInt(e.next(), low, high)
	if err != nil {
		e.fail("%w", err)
	}
	return n
}

// cNumber takes C notation.
func (e *entry) cNumber() uint64 {
	s := e.next()
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		e.fail("%q is not a number", s)
	}
	return n
}

func (e *entry) named(names map[string]int, low, high int) int {
	if n, ok := names[e.peek()]; ok {
		e.next()
		return n
	}
	return e.number(low, high)
}

// is fixes the family of the entry.
func (e *entry) is(f model.Family) {
	if e.family != 0 && e.family != f {
		e.fail("IPv4 and IPv6 are mixed")
	}
	e.family = f
}

func (e *entry) address() {
	if f := e.peek(); f == "inet" || f == "inet6" {
		e.next()
	}
	s := e.next()
	a, err := netip.ParseAddr(s)
	if err != nil {
		e.fail("%q is not an address", s)
		return
	}
	e.is(model.FamilyOf(a))
}

func (e *entry) prefix() {
	s := e.next()
	p, err := parsePrefix(s)
	switch {
	case !p.IsValid():
		e.fail("%w", err)
		return
	case err != nil:
		e.complain("%v - using the full length", err)
	}
	e.is(model.FamilyOf(p.Addr()))
}

func (e *entry) device() {
	name := e.next()
	if e.err == nil {
		e.Devs = append(e.Devs, opt[string]{V: name, At: e.at})
	}
}

func (e *entry) realms() {
	s := e.next()
	for _, part := range strings.SplitN(s, "/", 2) {
		if _, err := strconv.ParseUint(part, 0, 16); err != nil {
			e.fail("%q is not a realm", s)
		}
	}
}

// trackGroup takes the group of a static entry.
func (e *entry) trackGroup() {
	if e.TrackGroup.IsSet() {
		e.complain("a second track_group - ignoring it")
	}
	e.TrackGroup = opt[string]{V: e.next(), At: e.at}
}

// duration takes a round-trip time: kernel units, or a decimal with a unit.
func (e *entry) duration() {
	s := strings.ToLower(e.next())
	unit := time.Millisecond
	for suffix, u := range map[string]time.Duration{"s": time.Second, "sec": time.Second, "secs": time.Second,
		"ms": time.Millisecond, "msec": time.Millisecond, "msecs": time.Millisecond} {
		if t, ok := strings.CutSuffix(s, suffix); ok && t != "" && ('0' <= t[len(t)-1] && t[len(t)-1] <= '9' || t[len(t)-1] == '.') {
			s, unit = t, u
			break
		}
	}
	if _, err := schema.Decimal(unit, 0, 1<<31*time.Millisecond, 6).Parse([]source.Word{{Text: s}}); err != nil {
		e.fail("%w", err)
	}
}

// encap takes a lightweight tunnel; its mistakes leave the route as it is.
func (e *entry) encap() {
	kind := e.next()
	fields := map[string][]string{"ip": {"id", "dst", "src", "tos", "ttl", "flags"}, "ip6": {"id", "dst", "src", "tc", "hoplimit", "flags"}}
	switch kind {
	case "ip", "ip6":
		found := false
		for slices.Contains(fields[kind], e.peek()) {
			name := e.next()
			value := e.next()
			found = found || name == "dst" || name == "id"
			if name == "dst" || name == "src" {
				if _, err := netip.ParseAddr(value); err != nil {
					e.complain("encap %s: %q is not an address", kind, value)
				}
			} else if _, err := strconv.ParseUint(value, 0, 64); err != nil {
				e.complain("encap %s %s: %q is not a number", kind, name, value)
			}
		}
		if !found {
			e.complain("encap %s needs dst or id", kind)
		}
	case "mpls":
		for _, label := range strings.Split(e.next(), "/") {
			if _, err := schema.ParseInt(label, 0, 1<<20-1); err != nil || label == "" {
				e.complain("encap mpls: %q is not a label", label)
			}
		}
	case "ila":
		e.next()
	default:
		e.complain("unknown encap type %q", kind)
	}
}

// nexthops takes the hops of a multipath route, which come last.
func (e *entry) nexthops() {
	for e.more() {
		switch w := e.next(); w {
		case "nexthop", "onlink":
		case "via":
			e.address()
		case "dev":
			e.device()
		case "weight":
			e.number(1, 256)
		case "encap":
			e.encap()
		case "realms":
			e.realms()
		case "as":
			e.complain("as is not supported - ignoring it")
			e.skip("to")
			e.next()
		default:
			e.fail("unknown nexthop option %q", w)
		}
	}
}

// readRoute checks a route (keywords.tsv, virtual_routes).
func readRoute(static bool, n *syntax.Node, r *source.Report) (routing, bool) {
	e := newEntry("route", n, r)
	destination, or := false, false
	var only model.Family // what an option demands
	for e.more() {
		switch w := e.next(); w {
		case "inet":
			e.is(model.IPv4)
		case "inet6":
			e.is(model.IPv6)
		case "via":
			e.address()
		case "gw":
			e.r.Add(source.Deprecated, e.at, "route: gw is deprecated").Hint = "use via"
			e.address()
		case "or":
			e.r.Add(source.Deprecated, e.at, "route: or is deprecated").Hint = "use nexthop"
			if e.address(); or {
				e.complain("a second or - ignoring it")
			}
			or = true
		case "src":
			e.address()
		case "as":
			e.complain("as is not supported - ignoring it")
			e.skip("to")
			e.next()
		case "from":
			e.prefix()
			only = model.IPv6
		case "tos", "dsfield":
			if strings.HasPrefix(e.peek(), "0x") {
				e.cNumber()
				continue
			}
			e.named(tosNames, 0, 255)
		case "table":
			e.named(tableNames, 1, math.MaxUint32)
		case "protocol":
			e.named(protoNames, 0, 255)
		case "scope":
			e.named(scopeNames, 0, 255)
		case "metric", "priority", "preference":
			e.number(0, math.MaxUint32)
		case "dev", "oif", "vrf":
			e.device()
		case "encap":
			e.encap()
		case "expires":
			e.number(0, math.MaxUint32)
			only = model.IPv6
		case "mtu", "advmss", "reordering", "cwnd", "ssthresh":
			e.skip("lock")
			e.number(0, math.MaxUint32)
		case "hoplimit":
			e.number(0, 255)
		case "rtt", "rttvar", "rto_min":
			e.skip("lock")
			e.duration()
		case "window", "initcwnd", "initrwnd":
			e.number(0, math.MaxUint32)
		case "realms":
			e.realms()
			only = model.IPv4
		case "features":
			if f := e.next(); f != "ecn" {
				e.complain("unknown feature %q - ignoring it", f)
			}
		case "quickack", "fastopen_no_cookie":
			e.number(0, 1)
		case "congctl":
			e.skip("lock")
			e.next()
		case "pref":
			e.named(map[string]int{"low": 3, "medium": 0, "high": 1}, 0, 255)
			only = model.IPv6
		case "ttl-propagate":
			if v := e.next(); v != "enabled" && v != "disabled" {
				e.complain("unknown value %q of ttl-propagate - using disabled", v)
			}
		case "onlink", "add", "prepend", "append", "no_track":
		case "nexthop":
			e.nexthops()
		default:
			switch {
			case w == "track_group" && static:
				e.trackGroup()
				continue
			case destination:
				e.fail("unknown option %q", w)
				continue
			case w == "to":
				w = e.next()
			case slices.Contains(routeTypes, w):
				w = e.next()
			}
			destination = true
			switch w {
			case "default", "any", "all":
			case "default6":
				e.is(model.IPv6)
			default:
				e.i--
				e.prefix()
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
	return e.done()
}

// readRule checks a rule (keywords.tsv, virtual_rules).
func readRule(static bool, n *syntax.Node, r *source.Report) (routing, bool) {
	e := newEntry("rule", n, r)
	action, table, tableOnly, target, preference := "", false, false, -1, -1
	act := func(what string) {
		if action != "" {
			e.fail("it has two actions, %s and %s", action, what)
		}
		action = what
	}
	for e.more() {
		switch w := e.next(); w {
		case "inet":
			e.is(model.IPv4)
		case "inet6":
			e.is(model.IPv6)
		case "not", "no_track", "type":
		case "from", "to":
			if p := e.peek(); p == "all" || p == "any" || p == "default" {
				e.next()
				continue
			}
			e.prefix()
		case "table", "lookup":
			act("table")
			table = true
			e.named(tableNames, 1, math.MaxUint32)
		case "preference", "order", "priority":
			preference = int(e.cNumber())
		case "tos", "dsfield":
			if strings.HasPrefix(e.peek(), "0x") {
				e.cNumber()
				continue
			}
			e.named(tosNames, 0, 255)
		case "fwmark":
			mark, mask, has := strings.Cut(e.next(), "/")
			_, err := strconv.ParseUint(mark, 0, 32)
			if err == nil && has {
				_, err = strconv.ParseUint(mask, 0, 32)
			}
			if err != nil {
				e.fail("%q is not a mark", mark)
			}
		case "realms":
			e.realms()
			tableOnly = true
		case "suppress_prefixlength", "sup_pl":
			e.number(0, math.MaxInt32)
			tableOnly = true
		case "suppress_ifgroup", "sup_group":
			e.next()
			tableOnly = true
		case "dev", "iif", "oif":
			e.device()
		case "tunnel-id":
			s := e.next()
			if _, err := strconv.ParseUint(s, 0, 64); err != nil {
				e.fail("%q is not a tunnel id", s)
			}
		case "uidrange":
			if s := e.next(); !numberRange(s, math.MaxUint32) {
				e.fail("%q is not a range of user ids", s)
			}
		case "l3mdev":
			act(w)
		case "protocol":
			e.named(protoNames, 0, 255)
		case "ipproto":
			e.named(ipProtos, 0, 255)
		case "sport", "dport":
			if s := e.next(); e.err == nil && !numberRange(s, 65535) {
				e.complain("%s %q is not a range of ports - ignoring it", w, s)
			}
		case "goto":
			act(w)
			target = int(e.cNumber())
		case "nop", "blackhole", "unreachable", "prohibit":
			act(w)
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
	case action == "":
		e.fail("it has no action")
	case tableOnly && !table:
		e.fail("realms and suppressors need a table")
	case target >= 0 && preference < 0:
		e.fail("goto needs a preference")
	case target >= 0 && preference >= target:
		e.fail("goto %d does not lead beyond the rule's own preference %d", target, preference)
	case preference < 0:
		e.complain("Rule has no preference specified. This is probably not what you want.")
	}
	return e.done()
}

func numberRange(s string, most int) bool {
	low, high, ok := strings.Cut(s, "-")
	a, err1 := schema.ParseInt(low, 0, most)
	b, err2 := schema.ParseInt(high, 0, most)
	return ok && err1 == nil && err2 == nil && low != "" && high != "" && a <= b
}
