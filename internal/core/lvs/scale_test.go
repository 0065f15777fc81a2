package lvs

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// shape is a configuration of the given numbers of virtual and real servers, each real server with a TCP_CHECK.
func shape(services, servers int) *model.LVS {
	l := &model.LVS{Services: make([]model.VirtualServer, services)}
	left := servers
	for i := range l.Services {
		n := left / (services - i)
		left -= n
		v := webService()
		v.Addr = netip.AddrFrom4([4]byte{10, 32, byte(i >> 8), byte(i)})
		v.Real = make([]model.RealServer, n)
		for j := range v.Real {
			a := netip.AddrFrom4([4]byte{10, 48 + byte((left+j)>>16), byte((left + j) >> 8), byte(left + j)})
			v.Real[j] = model.RealServer{Addr: a, Port: 8080, Weight: 1, Checks: []model.Check{tcpCheck(a)}}
		}
		l.Services[i] = v
	}
	return l
}

// The largest shape that keepalived's release notes speak of.
const manyServices, manyServers = 2277, 37205

// plan is what the planner does after the cluster was asked something.
func plan(c *Cluster, have Table) []Op {
	delta := c.Delta()
	part := Table{}
	for k := range delta {
		part[k] = have[k]
	}
	return Plan(part, delta)
}

// A reload costs the kernel what changed, and nothing else.
func TestReloadTouchesWhatChanged(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(v *model.VirtualServer)
		ops    int
	}{
		{"L-G12 nothing", func(*model.VirtualServer) {}, 0},
		{"a weight", func(v *model.VirtualServer) { v.Real[0].Weight = 2 }, 1},
		{"a method", func(v *model.VirtualServer) { v.Real[0].Method.Forward = model.DR }, 1},
		{"an address", func(v *model.VirtualServer) { v.Real[0].Addr = netip.MustParseAddr("10.99.0.1") }, 2},
		{"a scheduler", func(v *model.VirtualServer) { v.Scheduler = "wlc" }, 1},
		{"a server more", func(v *model.VirtualServer) { v.Real = append(v.Real, real("10.99.0.1", unchecked)) }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := New(shape(500, 2000))
			c.Start(nil)
			have := c.Delta()
			next := shape(500, 2000)
			test.change(&next.Services[50])
			c.Reload(next, nil)
			if ops := plan(c, have); len(ops) != test.ops {
				t.Errorf("%d commands, want %d: %v", len(ops), test.ops, ops)
			}
		})
	}
}

// Twice as much takes about twice as long, from the smallest shape to the largest.
func TestReloadGrowsLinearly(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	per := func(services, servers int) time.Duration {
		a, b := shape(services, servers), shape(services, servers)
		best := time.Hour
		for range 2 {
			c := New(a)
			c.Start(nil)
			have := c.Delta()
			begin := time.Now()
			c.Reload(b, nil)
			plan(c, have)
			best = min(best, time.Since(begin))
		}
		return best * 1000 / time.Duration(servers)
	}
	// Quadratic growth would give a factor of 11 more, and of 200 where one service has them all; caches and a busy machine some.
	for attempt := 0; ; attempt++ {
		small, large, one := per(200, 4000), per(manyServices, manyServers), per(1, manyServers)
		if large < 6*small && one < 6*small {
			return
		}
		if attempt == 2 {
			t.Fatalf("1000 real servers take %v of 4000, %v of %d, and %v where one service has all of those", small, large, manyServers, one)
		}
	}
}

func BenchmarkPlanner(b *testing.B) {
	for _, size := range [][2]int{{10, 10}, {100, 1000}, {1000, 10000}, {manyServices, manyServers}} {
		l, same := shape(size[0], size[1]), shape(size[0], size[1])
		b.Run(fmt.Sprintf("start/%dx%d", size[0], size[1]), func(b *testing.B) {
			for b.Loop() {
				c := New(l)
				c.Start(nil)
				plan(c, nil)
			}
		})
		c := New(l)
		c.Start(nil)
		have := c.Delta()
		b.Run(fmt.Sprintf("reload/%dx%d", size[0], size[1]), func(b *testing.B) {
			for b.Loop() {
				c.Reload(same, nil)
				if ops := plan(c, have); len(ops) != 0 {
					b.Fatal(ops)
				}
			}
		})
	}
}
