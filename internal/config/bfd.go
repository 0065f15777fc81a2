package config

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// bfdSession is what a bfd_instance block says of its session (bfd.md §2).
type bfdSession struct {
	neighbor, source          opt[netip.Addr]
	malformed                 bool // the neighbour's address, which was reported and drops the instance
	minRx, minTx, idleTx      opt[time.Duration]
	multiplier, ttl, maxHops  opt[int]
	passive, multihop         opt[bool]
	sendToVRRP, sendToChecker opt[bool] // neither: to both
}

func bfdTime(low int) schema.Kind[time.Duration] {
	return schema.Decimal(time.Millisecond, time.Duration(low)*time.Millisecond, 4294967*time.Millisecond, 3)
}

var bfdTable = schema.TableOf(func() schema.Rows[Tracker] {
	return schema.Rows[Tracker]{
		schema.Line("neighbor_ip", "IPADDR", func(t *Tracker, n *syntax.Node, r *source.Report) {
			if len(n.Args) == 0 {
				missing(n, r)
				return
			}
			a, err := schema.ParseAddr(n.Args[0].Text)
			if err != nil {
				r.Errorf(n.Args[0].At, "%s: %v - ignoring the instance", n.Key.Text, err)
				t.bfd.malformed = true
				return
			}
			t.bfd.neighbor = opt[netip.Addr]{V: a, At: n.At()}
		}, "The peer.").Alias("neighbour_ip"),
		schema.Inherited("source_ip", schema.Addr, func(t *Tracker) *opt[netip.Addr] { return &t.bfd.source }, "The local address."),
		schema.Value("min_rx", bfdTime(1), 10*time.Millisecond, func(t *Tracker) *opt[time.Duration] { return &t.bfd.minRx }, "Least receive interval."),
		schema.Value("min_tx", bfdTime(1), 10*time.Millisecond, func(t *Tracker) *opt[time.Duration] { return &t.bfd.minTx }, "Least transmit interval."),
		schema.Value("idle_tx", bfdTime(1000), time.Second, func(t *Tracker) *opt[time.Duration] { return &t.bfd.idleTx },
			"Transmit interval while down."),
		schema.Value("multiplier", schema.Int(1, 255), 5, func(t *Tracker) *opt[int] { return &t.bfd.multiplier }, "Missed packets before down."),
		schema.Flag("passive", true, func(t *Tracker) *opt[bool] { return &t.bfd.passive }, "Do not send before the peer does."),
		schema.Inherited("ttl", schema.Int(1, 255), func(t *Tracker) *opt[int] { return &t.bfd.ttl },
			"TTL sent; default 255, with IPv6 64.").Alias("hoplimit"),
		schema.Inherited("max_hops", schema.Int(-1, 255), func(t *Tracker) *opt[int] { return &t.bfd.maxHops },
			"Accepted distance, at most the TTL; -1: any."),
		schema.Inherited("multihop", schema.Bool, func(t *Tracker) *opt[bool] { return &t.bfd.multihop }, "Use the multihop port."),
		schema.Inherited("weight", weightKind(253), func(t *Tracker) *opt[weight] { return &t.weight }, "What it adds to the priority."),
		schema.Flag("vrrp", true, func(t *Tracker) *opt[bool] { return &t.bfd.sendToVRRP }, "Events go to VRRP, and nowhere else that is not named."),
		schema.Flag("checker", true, func(t *Tracker) *opt[bool] { return &t.bfd.sendToChecker },
			"Events go to the checkers, and nowhere else that is not named."),
	}
})

// openBFD makes a bfd_instance, unless its name cannot be used.
func openBFD(c *Config, n *syntax.Node, r *source.Report) *Tracker {
	if len(n.Args) == 0 {
		// Differs from keepalived: it crashes.
		r.Errorf(n.At(), "bfd_instance must have a name - ignoring the block")
		return nil
	}
	name := n.Args[0].Text
	if len(name) > 31 {
		r.Errorf(n.At(), "bfd_instance name %q is longer than 31 bytes - ignoring the block", name)
		return nil
	}
	if !c.names.block("bfd_instance", name, n, r) {
		return nil
	}
	t := &Tracker{Kind: trackBFD, Name: name, At: n.At(), End: n.End}
	bfdTable.Init(t)
	c.Trackers = append(c.Trackers, t)
	return t
}

// bfdKey is what no two sessions may have in common.
type bfdKey struct {
	neighbor, source netip.Addr
	multihop         bool
}

// bfdProblem settles a session. It returns why the instance is dropped, and whether that has been told; at the end of the block, as in
// keepalived.
func (res *resolver) bfdProblem(t *Tracker, taken map[bfdKey]bool) (problem string, told bool) {
	s := &t.bfd
	key := bfdKey{s.neighbor.V, s.source.V, s.multihop.V}
	switch {
	case s.malformed:
		return "", true
	case !s.neighbor.IsSet():
		return "has no neighbor_ip", false
	case s.source.IsSet() && model.FamilyOf(s.source.V) != model.FamilyOf(s.neighbor.V):
		return fmt.Sprintf("has a source_ip %v of another family than its neighbor_ip %v", s.source.V, s.neighbor.V), false
	case taken[key]:
		return fmt.Sprintf("has the same neighbor_ip %v and source_ip as another one", s.neighbor.V), false
	}
	taken[key] = true
	if !s.ttl.IsSet() {
		if s.ttl.V = 255; s.neighbor.V.Is6() {
			s.ttl.V = 64
		}
	}
	if s.maxHops.V > s.ttl.V {
		res.r.Errorf(t.End, "bfd_instance %s: max_hops %d is above the ttl - using %d", t.Name, s.maxHops.V, s.ttl.V)
		s.maxHops.V = s.ttl.V
	}
	return "", false
}
