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
	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
	"github.com/keepalived-go/keepalived-go/internal/sys/nftables"
)

// cleanPatience is how long a cleaner may take.
const cleanPatience = 800 * time.Millisecond

// cleaner is the worker of a daemon whose worker died and is not, or not yet, replaced: it removes what that one left.
type cleaner struct {
	loop *loop.Loop
	part *loop.Part
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
	c.part = c.loop.Add("cleaner", c)
	log := o.Log.Role(speaker(f))
	if f.Stale == nil {
		f.Stale = map[string]model.Objects{}
	}
	for _, name := range append([]string{""}, m.VRRP.Namespaces()...) {
		if _, ok := f.Stale[name]; !ok {
			f.Stale[name] = model.Objects{}
		}
	}
	for name, stale := range f.Stale {
		var space *netns.Space
		if name != "" {
			if space, err = netns.Open(name); err != nil {
				continue // what was in it has gone with it
			}
		}
		if err := space.Do(func() error { return c.clean(ctx, o, m.VRRP.In(name), f, stale, space) }); err != nil {
			log.Error(err.Error())
			return exitFatal
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
		lane.Then(func() { c.part.Post(c.done) })
		if table := m.LVS.NFTables.Table; table != "" {
			marks := nftables.OpenMarks(ipvsNamespace(m), table, log)
			c.left++
			marks.Then(func() { c.part.Post(c.done) })
			supervise(ctx, c.part, log, "nftables lane", func() error { marks.Run(ctx); return nil })
		}
		supervise(ctx, c.part, log, "IPVS lane", func() error { lane.Run(ctx); return nil })
	}
	if c.left > 0 {
		_ = c.loop.Run(ctx)
	}
	return exitOK
}

// clean removes what is left of VRRP in the calling thread's network namespace, which is space.
func (c *cleaner) clean(ctx context.Context, o Options, m *model.VRRP, f link.Flags, stale model.Objects, space *netns.Space) error {
	log := o.Log.Role(logging.VRRP)
	post := func(f func()) { c.part.Post(func(time.Time) { f() }) }
	if !stale.Empty() {
		lane, err := netlink.OpenLane(log, post, m.CommandRxBuf)
		if err != nil {
			return err
		}
		c.left++
		lane.Together(func() {
			lane.RemoveStale(stale)
			lane.Own("cleaner", model.Objects{}, func(error) { c.done(time.Now()) })
		})
		supervise(ctx, c.part, log, "address lane", func() error { return lane.Run(ctx) })
	}
	if f.VRRP && !f.KeepVRRP && len(m.VLinks()) > 0 {
		links, err := netlink.OpenLinks(log, post, space)
		if err != nil {
			return err
		}
		c.left++
		links.Want(netlink.LinkWish{Links: m.VLinks()}, func(netlink.LinkOutcome) { // taken over, and then given up
			links.Want(netlink.LinkWish{}, func(netlink.LinkOutcome) { c.done(time.Now()) })
		})
		supervise(ctx, c.part, log, "link lane", func() error { return links.Run(ctx, func(netlink.LinkOutcome) {}) })
	}
	if f.VRRP && !f.KeepVRRP && m.Filter.Wanted {
		if err := nftables.RemoveTables(m.Filter.Table); err != nil {
			log.Error("nftables: " + err.Error())
		}
	}
	return nil
}

// done takes note that one thing is removed.
func (c *cleaner) done(time.Time) {
	if c.left--; c.left == 0 {
		c.loop.Stop(nil)
	}
}

func (c *cleaner) Deadline() time.Time            { return c.end }
func (c *cleaner) Expire(time.Time)               { c.end = time.Time{}; c.loop.Stop(nil) }
func (c *cleaner) Recover(_ time.Time, err error) { c.loop.Stop(err) }
