package model

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// words puts a line of options together.
type words []string

func (w *words) add(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

func (w *words) flag(on bool, word string) {
	if on {
		*w = append(*w, word)
	}
}

func (w *words) tail(noTrack bool, group string) {
	w.flag(noTrack, "no_track")
	if group != "" {
		w.add("track_group %s", group)
	}
}

func via(a netip.Addr) string {
	if a.Is6() {
		return "via inet6 " + a.String()
	}
	return "via inet " + a.String()
}

// hostOf leaves out the length of a host prefix.
func hostOf(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// RouteTypes are the names of RTN_* by their number.
var RouteTypes = [...]string{"unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw",
	"nat", "xresolve"}

// String is a route in keepalived's words: its .data file has them.
//
// Differs from keepalived: the labels of MPLS and the locator of ILA are printed as they are configured, not as they are sent; the lock of congctl
// stands before its value; the interface that the kernel found for a route without one is not added.
func (r *Route) String() string {
	w := words{[...]string{"prepend", "add", "append"}[r.Mode]}
	if r.Type != 1 && int(r.Type) < len(RouteTypes) {
		w.add("%s", RouteTypes[r.Type])
	}
	if w.add("%s", hostOf(r.Dst)); r.From.IsValid() {
		w.add("from %s", hostOf(r.From))
	}
	if r.PrefSrc.IsValid() {
		w.add("src %s", r.PrefSrc)
	}
	if r.TOS != 0 {
		w.add("tos %d", r.TOS)
	}
	w.encap(r.Encap)
	if r.Via.IsValid() {
		w.add("%s", via(r.Via))
	}
	if r.Dev != "" {
		w.add("dev %s", r.Dev)
	}
	if r.Table != 254 {
		w.add("table %d", r.Table)
	}
	if !r.NoTrack || r.Protocol != KeepalivedProto {
		w.add("proto %d", r.Protocol)
	}
	if r.Scope != 0 {
		w.add("scope %d", r.Scope)
	}
	if r.Metric != 0 {
		w.add("metric %d", r.Metric)
	}
	w.flag(r.OnLink, "onlink")
	w.realms(r.Realms)
	w.metrics(r)
	if r.PrefSet {
		w.add("pref %s", pref(r.Pref))
	}
	switch r.TTLProp {
	case TTLPropagate:
		w.add("ttl-propagate enabled")
	case TTLUniform:
		w.add("ttl-propagate disabled")
	}
	for i := range r.Hops {
		h := &r.Hops[i]
		if w.add("nexthop"); h.Via.IsValid() {
			w.add("%s", via(h.Via))
		}
		if h.Dev != "" {
			w.add("dev %s", h.Dev)
		}
		if h.Weight != 0 {
			w.add("weight %d", h.Weight)
		}
		w.flag(h.OnLink, "onlink")
		w.realms(h.Realms)
		w.encap(h.Encap)
	}
	w.tail(r.NoTrack, r.TrackGroup)
	return strings.Join(w, " ")
}

func pref(p uint8) string {
	switch p {
	case 0:
		return "medium"
	case 1:
		return "high"
	case 3:
		return "low"
	}
	return strconv.Itoa(int(p))
}

func (w *words) realms(r uint32) {
	switch {
	case r>>16 != 0:
		w.add("realms %d/%d", r>>16, r&0xffff)
	case r != 0:
		w.add("realm %d", r)
	}
}

func (w *words) encap(e *Encap) {
	if e == nil {
		return
	}
	tos, ttl := "tos", "ttl"
	switch e.Kind {
	case EncapMPLS:
		w.add("encap mpls %s", e.Labels)
		return
	case EncapILA:
		w.add("encap ila %x:%x:%x:%x", e.Locator>>48, e.Locator>>32&0xffff, e.Locator>>16&0xffff, e.Locator&0xffff)
		return
	case EncapIP:
		w.add("encap ip")
	case EncapIP6:
		w.add("encap ip6")
		tos, ttl = "tc", "hoplimit"
	}
	if e.ID != 0 {
		w.add("id %d", e.ID)
	}
	if e.Dst.IsValid() {
		w.add("dst %s", e.Dst)
	}
	if e.Src.IsValid() {
		w.add("src %s", e.Src)
	}
	if e.TOS != 0 {
		w.add("%s %d", tos, e.TOS)
	}
	if e.TTL != 0 {
		w.add("%s %d", ttl, e.TTL)
	}
	if e.Flags != 0 {
		w.add("flags %#x", e.Flags)
	}
}

// metrics are in keepalived's order.
func (w *words) metrics(r *Route) {
	m := r.Metrics
	if m == nil {
		m = &Metrics{}
	}
	has := func(n int) bool { return m.Set&(1<<n) != 0 }
	lock := func(n int) string {
		if m.Lock&(1<<n) != 0 {
			return "lock "
		}
		return ""
	}
	number := func(name string, n int) {
		if has(n) {
			w.add("%s %s%d", name, lock(n), m.Value[n])
		}
	}
	rtt := func(name string, n int, fraction time.Duration) {
		if has(n) {
			w.add("%s %s%s", name, lock(n), ms(time.Duration(m.Value[n])*time.Millisecond/fraction))
		}
	}
	if r.Expires != 0 {
		w.add("expires %dsec", r.Expires)
	}
	if has(MetricCongCtl) {
		w.add("congctl %s%s", lock(MetricCongCtl), m.CongCtl)
	}
	rtt("rtt", MetricRTT, 8)
	rtt("rttvar", MetricRTTVar, 4)
	rtt("rto_min", MetricRTOMin, 1)
	if has(MetricFeatures) {
		w.add("features ecn")
	}
	number("mtu", MetricMTU)
	number("window", MetricWindow)
	number("ssthresh", MetricSSThresh)
	number("cwnd", MetricCWnd)
	number("advmss", MetricAdvMSS)
	number("reordering", MetricReordering)
	number("hoplimit", MetricHopLimit)
	number("initcwnd", MetricInitCWnd)
	number("initrwnd", MetricInitRWnd)
	number("quickack", MetricQuickAck)
	number("fastopen_no_cookie", MetricFastOpen)
}

// ms prints a time in seconds from one second on, else in milliseconds.
func ms(d time.Duration) string {
	if d >= time.Second {
		return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) + "s"
	}
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'g', -1, 64) + "ms"
}

// String is a rule in keepalived's words.
func (r *Rule) String() string {
	w := words{}
	if r.Family == IPv6 && !r.From.IsValid() && !r.To.IsValid() {
		w.add("inet6")
	}
	w.flag(r.Not, "not")
	if r.From.IsValid() {
		w.add("from %s", hostOf(r.From))
	} else {
		w.add("from all")
	}
	if r.To.IsValid() {
		w.add("to %s", hostOf(r.To))
	}
	w.add("priority %d", r.Priority)
	w.add("tos %#x", r.TOS)
	if r.MarkSet {
		mark := "fwmark 0x" + strconv.FormatUint(uint64(r.Mark), 16)
		if r.MaskSet {
			mark += "/0x" + strconv.FormatUint(uint64(r.Mask), 16)
		}
		w.add("%s", mark)
	}
	if r.IIF != "" {
		w.add("iif %s", r.IIF)
	}
	if r.OIF != "" {
		w.add("oif %s", r.OIF)
	}
	if r.SuppressPrefix >= 0 {
		w.add("suppress_prefixlen %d", r.SuppressPrefix)
	}
	if r.SuppressGroup >= 0 {
		w.add("suppress_ifgroup %d", r.SuppressGroup)
	}
	if r.TunnelID != 0 {
		w.add("tunnel-id %d", r.TunnelID)
	}
	if r.UIDSet {
		w.add("uidrange %d-%d", r.UIDs[0], r.UIDs[1])
	}
	w.flag(r.Action == RuleL3MDev, "l3mdev")
	if r.Protocol != 0 {
		w.add("protocol %d", r.Protocol)
	}
	if r.IPProto != 0 {
		w.add("ipproto %d", r.IPProto)
	}
	if r.SPort[1] != 0 {
		w.add("sport %d-%d", r.SPort[0], r.SPort[1])
	}
	if r.DPort[1] != 0 {
		w.add("dport %d-%d", r.DPort[0], r.DPort[1])
	}
	if r.Realms != 0 {
		w.add("realms %d/%d", r.Realms>>16, r.Realms&0xffff)
	}
	switch r.Action {
	case RuleTable, RuleL3MDev:
		w.add("lookup %d", r.Table)
	case RuleGoto:
		w.add("goto %d", r.Goto)
	case RuleNop:
		w.add("nop")
	case RuleBlackhole:
		w.add("type blackhole")
	case RuleUnreachable:
		w.add("type unreachable")
	case RuleProhibit:
		w.add("type prohibit")
	}
	w.tail(r.NoTrack, r.TrackGroup)
	return strings.Join(w, " ")
}
