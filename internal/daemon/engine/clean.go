package engine

import (
	"context"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/loop"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
	"github.com/keepalived-go/keepalived-go/internal/sys/nftables"
)

// cleanPatience is how long a cleaner may take.
const cleanPatience = 800 * time.Millisecond

// cleaner is the worker of a daemon whose worker died and is not, or not yet, replaced: it removes what that one left.
type cleaner struct {
	loop *loop.Loop
	left int // things not yet removed
	end  time.Time
}

func clean(ctx context.Context, o Options, m *model.Model, f link.Flags) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &cleaner{end: time.Now().Add(cleanPatience)}
	var err error
	if c.loop, err = loop.New(); err != nil {
		return exitFatal
	}
	part := c.loop.Add("cleaner", c)
	log := o.Log.Role(speaker(f))
	done := func(time.Time) {
		if c.left--; c.left == 0 {
			c.loop.Stop(nil)
		}
	}
	if !f.Stale.Empty() {
		lane, err := netlink.OpenLane(o.Log.Role(logging.VRRP), func(f func()) { part.Post(func(time.Time) { f() }) }, m.VRRP.CommandRxBuf)
		if err != nil {
			log.Error(err.Error())
			return exitFatal
		}
		c.left++
		lane.Together(func() {
			lane.RemoveStale(f.Stale)
			lane.Own("cleaner", model.Objects{}, func(error) { done(time.Now()) })
		})
		supervise(ctx, part, log, "address lane", func() error { return lane.Run(ctx) })
	}
	if f.VRRP && !f.KeepVRRP && len(m.VRRP.VLinks()) > 0 {
		links, err := netlink.OpenLinks(o.Log.Role(logging.VRRP), func(f func()) { part.Post(func(time.Time) { f() }) })
		if err != nil {
			log.Error(err.Error())
			return exitFatal
		}
		c.left++
		links.Want(netlink.LinkWish{Links: m.VRRP.VLinks()}, func(netlink.LinkOutcome) { // taken over, and then given up
			links.Want(netlink.LinkWish{}, func(netlink.LinkOutcome) { done(time.Now()) })
		})
		supervise(ctx, part, log, "link lane", func() error { return links.Run(ctx, func(netlink.LinkOutcome) {}) })
	}
	if f.VRRP && !f.KeepVRRP && m.VRRP.Filter.Wanted {
		if err := nftables.RemoveTables(m.VRRP.Filter.Table); err != nil {
			log.Error("nftables: " + err.Error())
		}
	}
	sync := m.LVS.Sync
	daemons := sync != nil && (sync.Instance == "" && f.Checkers || sync.Instance != "" && f.VRRP)
	if services := f.Checkers && len(m.LVS.Services) > 0; !f.KeepIPVS && (services || daemons) {
		lane := ipvs.OpenLane(openIPVS(m), log)
		c.left++
		cluster := lvs.New(&m.LVS)
		if services {
			cluster.Stop(nil)
			lane.Want(cluster.Delta())
		}
		if daemons {
			lane.WantDaemons(nil)
		}
		lane.Then(func() { part.Post(done) })
		if table := m.LVS.NFTables.Table; table != "" {
			marks := nftables.OpenMarks(ipvsNamespace(m), table, log)
			c.left++
			marks.Then(func() { part.Post(done) })
			supervise(ctx, part, log, "nftables lane", func() error { marks.Run(ctx); return nil })
		}
		supervise(ctx, part, log, "IPVS lane", func() error { lane.Run(ctx); return nil })
	}
	if c.left > 0 {
		_ = c.loop.Run(ctx)
	}
	return exitOK
}

func (c *cleaner) Deadline() time.Time            { return c.end }
func (c *cleaner) Expire(time.Time)               { c.end = time.Time{}; c.loop.Stop(nil) }
func (c *cleaner) Recover(_ time.Time, err error) { c.loop.Stop(err) }
