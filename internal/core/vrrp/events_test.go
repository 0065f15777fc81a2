package vrrp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// FuzzEvents throws any sequence of events at three routers, of which two are in a sync group, and checks after each what always holds.
func FuzzEvents(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, script []byte) { storm(t, script) })
}

// observed is what the outside knows of a router from the actions alone.
type observed struct {
	owns, settled, stopped bool
	told                   model.State
	sent                   time.Time
}

func storm(t *testing.T, script []byte) {
	names := []string{"A", "B", "C"}
	var routers []*Machine
	seen := map[*Machine]*observed{}
	next := func() int {
		if len(script) == 0 {
			return 0
		}
		b := script[0]
		script = script[1:]
		return int(b)
	}
	now := epoch
	options := [][]string{{}, {"prio=255", "state=MASTER"}, {"nopreempt", "timer_expired=200"}, {"stall_guard", "garp_contention=1"}, {"preempt_delay=2s"}, {"v=3", "prio=254"}, {"peers=10.0.0.9"}, {"int=2s", "prio=1"}, {"evips=10.0.0.101/32", "garp_refresh=1s"}}
	for i, n := range names {
		inst, err := instance(n, i+1, options[next()%len(options)])
		if err != nil {
			t.Fatal(err)
		}
		m := New(inst)
		routers = append(routers, m)
		seen[m] = &observed{settled: true}
		Step(now, m, &Event{Kind: Source, Addr: ownAddr(inst, i+1)}, nil)
	}
	g := NewGroup(&model.SyncGroup{Name: "G", Members: names[:2]}, routers[:2])
	groupTold := model.Init
	var log []string
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(log, "\n"))
	}
	for len(script) > 0 {
		m := routers[next()%3]
		i := m.inst
		ev := Event{}
		switch k := next() % 24; k {
		case 0, 1, 2:
			ev.Kind = Start
		case 3, 4, 5, 6, 7:
			ev.Kind = Received
			p, err := packet(m, []string{fmt.Sprintf("from=10.0.0.%d", next()%12+1), fmt.Sprintf("prio=%d", next())})
			if err != nil {
				t.Fatal(err)
			}
			ev.Packet = p
		case 8, 9, 10, 11, 12, 13:
			if d := m.Deadline(); !d.IsZero() && d.After(now) {
				now = d
			}
			now = now.Add(time.Duration(next()*next()) * time.Millisecond * time.Duration(k%2))
			ev.Kind = Timeout
		case 14, 15:
			ev = Event{Kind: Faults, Count: max(next()%4-2, 0), Init: next()%8 == 0}
		case 16:
			ev = Event{Kind: Priority, Total: next() - 50}
		case 17:
			ev.Kind = Source
			if next()%2 == 0 {
				ev.Addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(next()%12) + 1})
			}
		case 18, 19, 20:
			ev = Event{Kind: Settled, Gen: m.gen - uint32(next()%2)}
		case 21:
			ev = Event{Kind: Stolen, Addr: i.VIPs[0].Prefix.Addr()}
		case 22:
			changed := *i
			changed.Priority, changed.VIPs = uint8(max(next(), 1)), vips("10.0.0.100/24", "10.0.0.102/24")[:1+next()%2]
			ev = Event{Kind: Reconfigured, Instance: &changed}
		case 23:
			if next()%4 == 0 {
				ev = Event{Kind: Stop, Keep: next()%2 == 0}
			}
		}
		if ev.Kind == 0 {
			continue
		}
		before := *m.Stats()
		log = append(log, fmt.Sprintf("%v %s event %d %+v", now.Sub(epoch), i.Name, ev.Kind, ev.Count))
		if ev.Kind == Settled && ev.Gen == m.gen {
			seen[m].settled = true
		}
		for _, a := range Step(now, m, &ev, nil) {
			log = append(log, "    "+a.String())
			if a.G != nil {
				if a.Kind == Changed {
					if a.From != groupTold || a.To == a.From {
						fail("the group was told as %v before %v -> %v", groupTold, a.From, a.To)
					}
					groupTold = a.To
				}
				continue
			}
			o := seen[a.M]
			switch a.Kind {
			case Own:
				o.owns, o.settled = true, false
			case Disown:
				o.owns, o.settled = false, false
			case Announce:
				if !o.owns || !o.settled || a.Repeat == 0 {
					fail("announces what it has not")
				}
			case Send:
				if a.Priority != 0 && a.M.state != model.Master && ev.Kind != Received {
					fail("sends as %v", a.M.state)
				}
				if !a.M.src.IsValid() {
					fail("sends without an address")
				}
				a.M.AppendPacket(nil, a.Priority, groupIPv4, 1, now)
				o.sent = now
			case Changed:
				if a.From != o.told || a.To == a.From {
					fail("told as %v before %v -> %v", o.told, a.From, a.To)
				}
				o.told = a.To
			}
		}
		for _, m := range routers {
			o := seen[m]
			o.stopped = m.state == model.Stop
			if o.owns != (m.state == model.Master) && !o.stopped {
				fail("%s is %v, owns addresses: %v", m.inst.Name, m.state, o.owns)
			}
			if (m.state == model.Backup || m.state == model.Master) == m.deadline.IsZero() {
				fail("%s is %v with deadline %v", m.inst.Name, m.state, m.deadline)
			}
			if m.state == model.Master && m.deadline.After(now.Add(m.inst.AdvertInt)) {
				fail("%s will be silent for %v", m.inst.Name, m.deadline.Sub(now))
			}
			if m.state == model.Master && m.faulty() || m.state == model.Backup && m.faulty() {
				fail("%s is %v with a fault", m.inst.Name, m.state)
			}
			if m.settled && m.pending.Kind != 0 && m.group == nil {
				fail("%s has not told of %v", m.inst.Name, m.pending.To)
			}
			if m.EffectivePriority() == 0 {
				fail("%s has priority 0", m.inst.Name)
			}
		}
		if a, b := routers[0], routers[1]; a.running() && b.running() && a.state != b.state {
			fail("the group %v is divided: %v and %v", g.state, a.state, b.state)
		}
		if after := m.Stats(); after.AdvertRcvd < before.AdvertRcvd || after.AdvertSent < before.AdvertSent {
			fail("counters run backwards")
		}
	}
}
