package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
)

// presence knows which addresses this host has, for ha_suspend: the checkers of a virtual server run only while its address is here,
// on whatever interface.
//
// Differs from keepalived: the addresses of a group count too, any of them; there such a virtual server is never checked.
type presence struct {
	host    hostnet.Host
	watched bool
	known   bool // the host has been read
}

// watchAddresses begins to watch the host's addresses if a virtual server needs it.
func (c *checkers) watchAddresses() {
	needed := slices.ContainsFunc(c.model.LVS.Services, func(v model.VirtualServer) bool { return v.HASuspend })
	if !needed || c.presence.watched {
		return
	}
	w, err := netlink.OpenWatch(c.model.LVS.MonitorBuffer, nil)
	if err != nil {
		c.log.Error(fmt.Sprintf("ha_suspend: watch the addresses: %v", err))
		return
	}
	c.presence.watched = true
	ctx := c.ctx
	supervise(ctx, c.part, c.log, "address watch", func() error {
		err := w.Run(ctx, func(events []hostnet.Event) { c.part.Post(func(now time.Time) { c.addresses(now, events) }) })
		if ctx.Err() != nil {
			w.Close()
		}
		return err
	})
}

// addresses takes over what the kernel reports.
func (c *checkers) addresses(now time.Time, events []hostnet.Event) {
	synced := c.presence.known
	vips := c.suspendable()
	for _, ev := range events {
		if ev.Kind == hostnet.Synced {
			synced = true
			continue
		}
		if !c.presence.host.Apply(ev) || !c.presence.known {
			continue
		}
		if a := ev.Addr.Prefix.Addr(); ev.Kind == hostnet.AddrNew && vips[a] {
			c.log.Info(fmt.Sprintf("Netlink reflector reports IP %s added", a))
		} else if ev.Kind == hostnet.AddrDel && vips[a] {
			c.log.Info(fmt.Sprintf("Netlink reflector reports IP %s removed", a))
		}
	}
	if synced && !c.presence.known {
		c.presence.known = true
		c.monitors(now) // those that waited for it
		return
	}
	for _, n := range c.byID {
		if n.of.Service.HASuspend {
			c.suspend(now, n)
		}
	}
}

// suspendable are the addresses that decide about checks.
func (c *checkers) suspendable() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for i := range c.model.LVS.Services {
		if v := &c.model.LVS.Services[i]; v.HASuspend && v.Addr.IsValid() {
			out[v.Addr] = true
		}
	}
	return out
}

// suspend tells a checker whether it has to rest.
func (c *checkers) suspend(now time.Time, n *checker) {
	ev := check.Event{Kind: check.Resumed}
	if v := n.of.Service; v.HASuspend && !c.presence.has(v, c.model.LVS.Groups) {
		ev.Kind = check.Suspended
	}
	c.step(now, n, &ev)
}

// has reports whether the address of v, or one of its group's, is on this host.
func (p *presence) has(v *model.VirtualServer, groups []model.ServerGroup) bool {
	ours := func(in func(netip.Addr) bool) bool {
		return slices.ContainsFunc(p.host.Links(), func(l hostnet.Link) bool {
			return slices.ContainsFunc(p.host.Addrs(l.Index), func(a hostnet.Addr) bool { return in(a.Prefix.Addr()) })
		})
	}
	if v.Group == "" {
		return ours(func(a netip.Addr) bool { return a == v.Addr })
	}
	i := slices.IndexFunc(groups, func(g model.ServerGroup) bool { return g.Name == v.Group })
	return i >= 0 && ours(func(a netip.Addr) bool {
		return slices.ContainsFunc(groups[i].Entries, func(e model.GroupEntry) bool {
			return !e.IsFWMark && e.First.Compare(a) <= 0 && a.Compare(e.Last) <= 0
		})
	})
}
