package config

import (
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

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

// readRoute accepts a route without looking at it.
func readRoute[T any](_ *T, n *syntax.Node, r *source.Report) (bool, bool) { return true, true }

// readRule accepts a rule without looking at it.
func readRule[T any](_ *T, n *syntax.Node, r *source.Report) (bool, bool) { return true, true }
