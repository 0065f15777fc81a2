package engine

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// TestSoak lets the checkers of 1000 servers flap, with reloads in between, and looks at the memory: what is over leaves nothing behind.
// SOAK says how often each flaps; `make soak` has 10 000 flaps of each.
func TestSoak(t *testing.T) {
	const servers = 1000
	flaps := max(soak(t), 40)
	config := func(n int) *model.LVS {
		v := model.VirtualServer{Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Protocol: model.TCP, Family: model.IPv4, Scheduler: "rr", Quorum: 1}
		for i := range servers {
			a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
			v.Real = append(v.Real, model.RealServer{Addr: a, Port: 80, Weight: int64(1 + n%3), SlowStart: 3 * time.Second, Checks: []model.Check{{
				Kind: model.TCPCheck, DelayLoop: time.Second, Retry: uint32(n / 10 % 2), DelayBeforeRetry: time.Second, Conn: model.Connect{Dst: netip.AddrPortFrom(a, 80)}}}})
		}
		return &model.LVS{Services: []model.VirtualServer{v}}
	}
	cluster := lvs.New(config(0))
	cluster.Start(nil)
	monitors := map[lvs.CheckID]*check.Monitor{}
	now := time.Unix(0, 0)
	adopt := func() {
		old := monitors
		monitors = map[lvs.CheckID]*check.Monitor{}
		for _, k := range cluster.Checks() {
			m := check.New(k.Spec, check.Subject{Server: "R", Service: "V", Weight: k.Server.Weight}, 0)
			if o := old[k.ID]; o == nil || !m.Adopt(now, o) {
				m.Step(now, &check.Event{Kind: check.Started}, nil)
			}
			monitors[k.ID] = m
		}
	}
	adopt()
	var out []lvs.Action
	var acts []check.Action
	turns := 0
	var before uint64
	warm := max(flaps/10, 5)
	for n := range flaps {
		if n == warm {
			before = heapInUse()
		}
		for _, ok := range []bool{false, true} {
			for turned := 0; turned < servers; now = now.Add(time.Second) {
				for id, m := range monitors {
					acts = m.Step(now, &check.Event{Kind: check.Expired}, acts[:0])
					if run, open := m.Open(); open {
						acts = m.Step(now, &check.Event{Kind: check.Finished, Run: run, Result: check.Result{OK: ok, Reason: check.TCPFailed}}, acts)
					}
					for _, a := range acts {
						switch a.Kind {
						case check.Up:
							out = cluster.Step(lvs.Event{Check: id, Kind: lvs.CheckUp}, out[:0])
							turned++
						case check.Down:
							out = cluster.Step(lvs.Event{Check: id, Kind: lvs.CheckDown}, out[:0])
							turned++
						}
					}
				}
				out = cluster.Ramp(now, out[:0])
				cluster.Delta()
			}
			turns += servers
		}
		if n%10 == 9 {
			cluster.Reload(config(n), nil)
			cluster.Delta()
			adopt()
		}
	}
	after := heapInUse()
	runtime.KeepAlive(cluster)
	runtime.KeepAlive(monitors)
	t.Logf("%d turns, heap %d KiB, then %d KiB", turns, before>>10, after>>10)
	if after > before+before/4+256<<10 {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, after>>10)
	}
}
