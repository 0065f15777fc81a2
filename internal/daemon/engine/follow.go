package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// masters tells the cluster which of the VRRP instances that virtual servers track are master.
func (c *checkers) masters(l *model.LVS) {
	for i := range l.Services {
		name := l.Services[i].TrackVRRP
		if name == "" {
			continue
		}
		if c.vrrp == nil {
			c.log.Warn(fmt.Sprintf("VS %s is not installed: VRRP, which it tracks, does not run here", &l.Services[i]))
			continue
		}
		master := slices.ContainsFunc(c.vrrp.routers, func(r *router) bool {
			return r.m.Instance().Name == name && r.m.State() == model.Master
		})
		c.cluster.Follow(name, master, nil)
	}
}

// follow is called by VRRP when an instance became master, or ceased to be.
func (c *checkers) follow(name string, master bool) {
	// Posted, so that a panic in it is not taken for one of VRRP.
	c.part.Post(func(time.Time) {
		if c.running {
			c.act(c.cluster.Follow(name, master, c.out[:0]))
		}
	})
}
