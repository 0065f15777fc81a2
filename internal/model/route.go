package model

import (
	"net/netip"
	"slices"
)

// KeepalivedProto is RTPROT_KEEPALIVED of linux/rtnetlink.h: the origin that our routes, rules and addresses have in the kernel.
const KeepalivedProto = 18

// Objects are addresses, routes and rules that the kernel is to have on our behalf: those of an instance that is master, or those that
// the daemon holds as long as it runs (static_ipaddress, static_routes, static_rules).
type Objects struct {
	Addresses []Address
	Routes    []Route
	Rules     []Rule
}

// Empty reports whether there is none.
func (o Objects) Empty() bool { return len(o.Addresses)+len(o.Routes)+len(o.Rules) == 0 }

// Add appends those of p to o.
func (o *Objects) Add(p Objects) {
	o.Addresses = append(o.Addresses, p.Addresses...)
	o.Routes = append(o.Routes, p.Routes...)
	o.Rules = append(o.Rules, p.Rules...)
}

// Needs are the interfaces, besides its own, that an instance cannot be without: those of its virtual addresses, routes and rules that
// are tracked, and of static entries whose track_group has it. Some may be there twice.
func (i *Instance) Needs() []string {
	out := slices.Clone(i.StaticInterfaces)
	for k := range i.Routes {
		if r := &i.Routes[k]; !r.NoTrack {
			out = append(out, r.Devs()...)
		}
	}
	for k := range i.Rules {
		if r := &i.Rules[k]; !r.NoTrack {
			out = append(out, r.Devs()...)
		}
	}
	for _, list := range [...][]Address{i.VIPs, i.ExcludedVIPs} {
		for k := range list {
			if a := &list[k]; !a.NoTrack && a.Interface != "" {
				out = append(out, a.Interface)
			}
		}
	}
	return out
}

// Objects are all that an instance has as master, in the order of setting them.
func (i *Instance) Objects() Objects {
	return Objects{slices.Concat(i.VIPs, i.ExcludedVIPs), i.Routes, i.Rules}
}

// Route is one entry of virtual_routes or static_routes. Numbers are rtnetlink's (linux/rtnetlink.h); what is zero is left to the kernel
// unless said otherwise.
type Route struct {
	Family   Family
	Mode     RouteMode
	Type     uint8        // RTN_*
	Dst      netip.Prefix // host bits cleared; of length 0: the default route
	From     netip.Prefix // source-specific route, IPv6
	PrefSrc  netip.Addr
	TOS      uint8
	Table    uint32
	Protocol uint8
	Scope    uint8 // 0: global
	Metric   uint32
	NextHop            // of a route with one hop, or none
	Hops     []NextHop // of a multipath route
	Metrics  *Metrics  // nil: none
	Expires  uint32    // seconds, IPv6
	Pref     uint8     // ICMPV6_ROUTER_PREF_*: 0 medium, 1 high, 3 low
	PrefSet  bool
	TTLProp  uint8 // ttl-propagate: TTLPropagate or TTLUniform

	NoTrack    bool
	TrackGroup string // of static ones
}

// RouteMode says where a new route goes among those of the same destination and metric.
type RouteMode uint8

const (
	RoutePrepend RouteMode = iota
	RouteAdd               // there must be none yet
	RouteAppend
)

// Values of Route.TTLProp.
const (
	TTLPropagate uint8 = 1
	TTLUniform   uint8 = 2 // disabled
)

// NextHop is where a route leads.
type NextHop struct {
	Via    netip.Addr // may be of the other family
	Dev    string
	Weight int // 1..256, of a multipath route; 0: none given
	OnLink bool
	Realms uint32 // from<<16 | to
	Encap  *Encap // nil: none
}

// EncapKind is the kind of a lightweight tunnel with the kernel's number (linux/lwtunnel.h).
type EncapKind uint8

const (
	EncapMPLS EncapKind = 1
	EncapIP   EncapKind = 2
	EncapILA  EncapKind = 3
	EncapIP6  EncapKind = 4
)

// Encap is the lightweight tunnel of a next hop; zero fields are not given.
type Encap struct {
	Kind     EncapKind
	ID       uint64 // IP, IP6
	Dst, Src netip.Addr
	TOS, TTL uint8 // of IP6 traffic class and hop limit
	Flags    uint16
	Labels   string // MPLS: numbers separated by slashes
	Locator  uint64 // ILA
}

// Metrics are the RTAX_* attributes of a route by their number.
type Metrics struct {
	Value   [MetricCount]uint32
	Set     uint32 // bits by number
	Lock    uint32 // bits by number: the kernel must not adapt it
	CongCtl string
}

// Numbers of route metrics (RTAX_*, linux/rtnetlink.h).
const (
	MetricMTU        = 2
	MetricWindow     = 3
	MetricRTT        = 4 // 1/8 ms
	MetricRTTVar     = 5 // 1/4 ms
	MetricSSThresh   = 6
	MetricCWnd       = 7
	MetricAdvMSS     = 8
	MetricReordering = 9
	MetricHopLimit   = 10
	MetricInitCWnd   = 11
	MetricFeatures   = 12
	MetricRTOMin     = 13 // ms
	MetricInitRWnd   = 14
	MetricQuickAck   = 15
	MetricCongCtl    = 16
	MetricFastOpen   = 17
	MetricCount      = 18
)

// PutMetric sets a metric.
func (r *Route) PutMetric(number int, value uint32, lock bool) {
	if r.Metrics == nil {
		r.Metrics = &Metrics{}
	}
	m := r.Metrics
	m.Value[number] = value
	m.Set |= 1 << number
	if lock {
		m.Lock |= 1 << number
	}
}

// Devs are the interfaces that the route leads through.
func (r *Route) Devs() (out []string) {
	if r.Dev != "" {
		out = append(out, r.Dev)
	}
	for i := range r.Hops {
		if r.Hops[i].Dev != "" {
			out = append(out, r.Hops[i].Dev)
		}
	}
	return out
}

// Rule is one entry of virtual_rules or static_rules. It is comparable; zero selectors match everything.
type Rule struct {
	Family         Family
	Action         RuleAction
	Table          uint32 // ToTable
	Goto           uint32 // priority of the rule to go on with
	Priority       uint32
	Not            bool
	From, To       netip.Prefix
	TOS            uint8
	Mark, Mask     uint32
	MarkSet        bool
	MaskSet        bool
	Realms         uint32 // from<<16 | to
	SuppressPrefix int64  // suppress_prefixlength; -1: none
	SuppressGroup  int64  // suppress_ifgroup; -1: none
	IIF, OIF       string
	TunnelID       uint64
	UIDs           [2]uint32
	UIDSet         bool
	Protocol       uint8 // 0: none given, of rules that are not tracked
	IPProto        uint8
	SPort, DPort   [2]uint16 // 0: any

	NoTrack    bool
	TrackGroup string // of static ones
}

// RuleAction is what a rule does, with the kernel's number where it has one (FR_ACT_*, linux/fib_rules.h).
type RuleAction uint8

const (
	RuleTable       RuleAction = 1
	RuleGoto        RuleAction = 2
	RuleNop         RuleAction = 3
	RuleBlackhole   RuleAction = 6
	RuleUnreachable RuleAction = 7
	RuleProhibit    RuleAction = 8
	RuleL3MDev      RuleAction = 255 // the table of the packet's VRF; for the kernel a RuleTable without a table
)

// Devs are the interfaces that the rule names.
func (r *Rule) Devs() (out []string) {
	for _, name := range [...]string{r.IIF, r.OIF} {
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}
