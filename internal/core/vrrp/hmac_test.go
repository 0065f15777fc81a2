package vrrp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// A clock that is set wrong may make two masters; when it is right again there is one within two adverts, whatever was sent or
// accepted meanwhile.
func TestClockSteps(t *testing.T) {
	const wrong = 30 * time.Second
	for _, option := range []string{"time", "monotonic"} {
		for _, step := range []time.Duration{-time.Hour, -4 * time.Second, 4 * time.Second, 7 * time.Second, time.Hour} {
			for _, who := range []string{"the master", "the backup", "both"} {
				t.Run(fmt.Sprintf("%s, %s by %v", option, who, step), func(t *testing.T) {
					s := pairOf(t, "v=3", "hmac=1:a", option)
					run := func(d time.Duration) {
						t.Helper()
						if err := s.until(s.now.Add(d), nil); err != nil {
							t.Fatal(err)
						}
					}
					run(10 * time.Second)
					if got := s.masters(); got != "A" {
						t.Fatalf("masters before: %q", got)
					}
					set := func(d time.Duration) {
						for k, name := range []string{"the master", "the backup"} {
							if who == "both" || who == name {
								s.nodes[k].clock = d
							}
						}
					}
					set(step)
					run(wrong)
					if got := s.masters(); (who == "both" || option == "monotonic" || step.Abs() <= simWindow) && got != "A" {
						t.Errorf("masters with a wrong clock that should not matter: %q", got)
					} else if who != "both" && option == "time" && step.Abs() > simWindow && got != "A B" {
						t.Errorf("the schedule shows nothing: masters %q", got)
					}
					set(0)
					run(2*time.Second + s.delay)
					if got := s.masters(); got != "A" {
						t.Errorf("masters two adverts after the correction: %q", got)
					}
				})
			}
		}
	}
}

// pairOf is a pair of routers A and B, of priority 200 and 100, on a network without loss; both have started.
func pairOf(t *testing.T, options ...string) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(1, 1)), now: epoch, lans: 1, delay: time.Millisecond}
	for n, prio := range []string{"prio=200", "prio=100"} {
		var own []string
		for _, o := range append(options, prio) {
			if o != "time" {
				own = append(own, o)
			}
		}
		inst, err := instance(string(rune('A'+n)), 1, own)
		if err != nil {
			t.Fatal(err)
		}
		nd := &node{n: n, insts: []*model.Instance{inst}, up: []bool{true}, owns: []bool{false}}
		s.nodes = append(s.nodes, nd)
		s.start(nd)
	}
	return s
}

func (s *sim) masters() (names string) {
	for _, n := range s.nodes {
		if n.routers != nil && n.routers[0].State() == model.Master {
			if names != "" {
				names += " "
			}
			names += n.insts[0].Name
		}
	}
	return names
}

// What a signed advert says of the time: it rises from advert to advert, also when the clock stands, goes back, or passes the end of
// the 32 bits of seconds.
func TestFreshness(t *testing.T) {
	h := &model.HMAC{Window: simWindow}
	var s trailers
	at := func(d time.Duration) uint64 { return s.stamp(epoch.Add(d), h) }
	first := at(0)
	for _, d := range []time.Duration{0, -time.Second, -4 * time.Second, 0} {
		next := at(d)
		if next != first+1 {
			t.Errorf("at %v: %#x after %#x", d, next, first)
		}
		first = next
	}
	if back := at(-time.Minute); back != clock(epoch.Add(-time.Minute)) {
		t.Errorf("a minute back: %#x, want the clock's", back)
	}
	end := time.Unix(1<<32-1, 999_999_999)
	s = trailers{}
	if last, next := s.stamp(end, h), s.stamp(end.Add(time.Second), h); int64(next-last) <= 0 || next>>32 != 0 {
		t.Errorf("%#x follows %#x", next, last)
	}
	if late := (&trailers{}).stamp(time.Unix(1<<31+5, 0), &model.HMAC{Monotonic: true}); late>>32 != 1<<31+5 {
		t.Errorf("first value in 2038: %#x", late)
	}
}

// A multicast router remembers the senders that it heard last; what a forgotten one sends again is too old anyway.
func TestSendersAreBounded(t *testing.T) {
	m, now := runner(t, model.Backup, "hmac=1:a")
	for k := range 1000 {
		p, err := packet(m, []string{fmt.Sprintf("from=10.0.%d.%d", k/250, k%250+1), "prio=200"})
		if err != nil {
			t.Fatal(err)
		}
		p.Wall = epoch
		Step(now, m, &Event{Kind: Received, Packet: p}, nil)
	}
	if n := len(m.trailers.heard); n != known {
		t.Errorf("%d senders are remembered, want %d", n, known)
	}
	if m.stats.AdvertRcvd != 1000 {
		t.Errorf("%d adverts accepted, want 1000", m.stats.AdvertRcvd)
	}
}
