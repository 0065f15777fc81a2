package vrrp

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

var (
	simSeed = flag.Uint64("sim.seed", 0, "run this one schedule of TestSimulation and print it")
	simRuns = flag.Int("sim.runs", 3000, "schedules that TestSimulation tries")
)

// TestSimulation runs routers on a bad network in virtual time, each seed another schedule: of links that fail, networks that
// split and lose and delay, routers that are killed, stopped, restarted, paused, reconfigured. After the last
// disturbance, and the time that the RFC allows, every connected part must have one master, the best router of that part if it
// preempts, and keep it.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		s := newSim(*simSeed)
		s.trace = true
		if err := s.run(); err != nil {
			t.Errorf("%v\n%s", err, strings.Join(s.log, "\n"))
		} else {
			t.Logf("no error\n%s", strings.Join(s.log, "\n"))
		}
		return
	}
	var masters, steps int
	for seed := uint64(1); seed <= uint64(*simRuns); seed++ {
		s := newSim(seed)
		if err := s.run(); err != nil {
			t.Fatalf("seed %d: %v\nrerun: go test ./internal/core/vrrp -run 'TestSimulation$' -v -sim.seed=%d", seed, err, seed)
		}
		masters += s.transitions
		steps += s.steps
	}
	// A simulation in which nothing happens shows nothing.
	if perRun := masters / *simRuns; perRun < 3 {
		t.Errorf("only %d changes to MASTER per schedule", perRun)
	}
	t.Logf("%d schedules, %d steps, %d changes to MASTER", *simRuns, steps, masters)
}

// A schedule is the same every time, or a seed would be worth nothing.
func TestSimulationIsDeterministic(t *testing.T) {
	var logs [2]string
	for i := range logs {
		s := newSim(42)
		s.trace = true
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		logs[i] = strings.Join(s.log, "\n")
	}
	if logs[0] != logs[1] {
		t.Error("two runs of one seed differ")
	}
	if len(logs[0]) < 1000 {
		t.Errorf("the log of a run is %q", logs[0])
	}
}

// simWindow is the time_window of signed adverts in a schedule.
const simWindow = 5 * time.Second

// sim is one schedule: N nodes, each with a router on every network; with several networks these are a sync group.
type sim struct {
	rng   *rand.Rand
	now   time.Time
	nodes []*node
	lans  int
	queue agenda
	seq   int

	loss    float64
	delay   time.Duration // of packets, at most
	kernel  time.Duration // of addresses, at most
	late    time.Duration // of timers, at most
	nopre   bool
	signed  bool
	preempt time.Duration // longest preempt delay
	bound   time.Duration

	trace              bool
	log                []string
	transitions, steps int
	broken             error // what must never be
}

type node struct {
	n       int
	insts   []*model.Instance
	routers []*Machine // nil when it does not run
	paused  bool
	inbox   []func()
	up      []bool // link, by network
	side    int    // of a partition of all networks
	owns    []bool
	id      uint16
	weight  int
	clock   time.Duration // of its wall clock, beyond the right time
}

// agenda is what will happen, in order of time and then of planning.
type agenda []item

type item struct {
	at  time.Time
	seq int
	do  func()
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(item)) }
func (a *agenda) Pop() any {
	x := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return x
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, item{s.now.Add(d), s.seq, do})
}

func (s *sim) logf(format string, args ...any) {
	if s.trace {
		s.log = append(s.log, fmt.Sprintf("%10.6f ", s.now.Sub(epoch).Seconds())+fmt.Sprintf(format, args...))
	}
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

// upTo returns a duration from 0 to d.
func (s *sim) upTo(d time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(d) + 1))
}

func newSim(seed uint64) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(seed, 0)), now: epoch, lans: 1}
	count := 2 + s.rng.IntN(4)
	if s.chance(0.3) {
		s.lans = 2
	}
	version, v6, unicast := 2+s.rng.IntN(2), s.chance(0.3), s.chance(0.3)
	auth := []string{"", "", "", "pass=secret", "ah=secret", "hmac=1:a", "hmac=1:a"}[s.rng.IntN(7)]
	intervals := []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}
	if v6 {
		version = 3
	}
	if version == 2 {
		intervals = []time.Duration{time.Second, 2 * time.Second}
	}
	common := intervals[s.rng.IntN(len(intervals))]
	mixed := version == 3 && s.chance(0.2)
	s.nopre = s.chance(0.3)
	delayed := !s.nopre && s.chance(0.2)
	guarded := s.chance(0.3)
	owner := -1
	if s.chance(0.2) {
		owner = s.rng.IntN(count)
	}
	var longest time.Duration
	shortest := time.Hour
	for n := range count {
		nd := &node{n: n}
		interval := common
		if mixed {
			interval = intervals[s.rng.IntN(len(intervals))]
		}
		longest, shortest = max(longest, interval), min(shortest, interval)
		prio := 1 + s.rng.IntN(254)
		if s.chance(0.3) {
			prio = 100
		}
		expired := s.nopre && s.chance(0.3)
		wait := s.upTo(3 * interval)
		for lan := range s.lans {
			options := []string{fmt.Sprintf("v=%d", version)}
			if v6 {
				options = []string{"v6"}
			}
			options = append(options, fmt.Sprintf("int=%v", interval), fmt.Sprintf("name=n%d.%d", n, lan))
			if n == owner {
				options = append(options, "prio=255", "state=MASTER")
			} else {
				options = append(options, fmt.Sprintf("prio=%d", prio))
				if s.nopre {
					options = append(options, "nopreempt")
				}
				if delayed {
					options = append(options, fmt.Sprintf("preempt_delay=%v", wait))
					s.preempt = max(s.preempt, wait)
				}
				if expired {
					options = append(options, "timer_expired=254")
				}
			}
			if guarded {
				options = append(options, "stall_guard", "garp_contention=1")
			}
			if s.signed = strings.HasPrefix(auth, "hmac"); s.signed || auth != "" && version == 2 {
				options = append(options, auth)
			}
			inst, err := instance("", lan+1, options)
			if err != nil {
				panic(err)
			}
			if unicast {
				for other := range count {
					if other != n {
						inst.Peers = append(inst.Peers, model.Peer{Addr: simAddr(inst.Family, lan, other), MaxTTL: 255})
					}
				}
			}
			nd.insts, nd.up, nd.owns = append(nd.insts, inst), append(nd.up, true), append(nd.owns, false)
		}
		s.nodes = append(s.nodes, nd)
	}
	s.delay, s.late, s.kernel = s.upTo(shortest/10), s.upTo(shortest/20), s.upTo(shortest)
	// Master_Down_Interval of the slowest, with the whole skew. A preempt delay begins when there is a lower master, and ends with another such interval.
	unit := time.Second
	if version == 3 {
		unit = longest
	}
	s.bound = 3*longest + unit
	if s.preempt > 0 {
		s.bound += s.bound + longest + s.preempt
	}
	if version == 2 && strings.HasPrefix(auth, "ah") {
		// Until a master's numbers are above those of a backup, that one does not hear it, and becomes master to be told.
		s.bound *= 3
	}
	if s.signed {
		s.bound += simWindow // a router that was started anew with a clock that was set back
	}
	s.bound += 2*s.delay + 4*s.late
	s.logf("%d nodes, %d networks, v%d, IPv6 %v, unicast %v, nopreempt %v, preempt_delay %v, owner n%d, delay %v, late %v, kernel %v, bound %v",
		count, s.lans, version, v6, unicast, s.nopre, s.preempt, owner, s.delay, s.late, s.kernel, s.bound)
	return s
}

func simAddr(f model.Family, lan, n int) netip.Addr {
	if f == model.IPv6 {
		return netip.MustParseAddr(fmt.Sprintf("fe80::%d:%d", lan+1, n+1))
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(lan), byte(n + 1)})
}

// run plays the schedule and reports what broke the promise.
func (s *sim) run() error {
	longest := s.bound
	s.loss = []float64{0, 0.05, 0.3}[s.rng.IntN(3)]
	for _, n := range s.nodes {
		s.after(s.upTo(longest), func() { s.start(n) })
	}
	end := longest
	for range 2 + s.rng.IntN(10) {
		s.after(end, s.disturb)
		end += s.upTo(longest)
	}
	s.after(end, s.calm)
	if err := s.until(epoch.Add(end), nil); err != nil {
		return err
	}
	s.logf("calm from here, bound %v", s.bound)
	if err := s.until(s.now.Add(s.bound), nil); err != nil {
		return err
	}
	s.logf("bound is over")
	if err := s.check(); err != nil {
		return err
	}
	if err := s.until(s.now.Add(2*s.bound), s.check); err != nil {
		return err
	}
	return s.addresses()
}

// calm ends what would go on to disturb; partitions, dead nodes and links that are down stay.
func (s *sim) calm() {
	s.loss = 0
	for _, n := range s.nodes {
		n.clock = 0
		s.resume(n)
	}
}

// until lets time pass; check is asked after everything that happened.
func (s *sim) until(end time.Time, check func() error) error {
	for {
		var first *Machine
		var at time.Time
		for _, n := range s.nodes {
			if n.paused {
				continue
			}
			for _, m := range n.routers {
				if d := m.Deadline(); !d.IsZero() && (first == nil || d.Before(at)) {
					first, at = m, d
				}
			}
		}
		timer := first != nil
		if timer {
			at = at.Add(s.upTo(s.late))
			if at.Before(s.now) {
				at = s.now
			}
		}
		if len(s.queue) > 0 && (!timer || !s.queue[0].at.After(at)) {
			timer, at = false, s.queue[0].at
		} else if !timer {
			s.now = end
			return nil
		}
		if at.After(end) {
			s.now = end
			return nil
		}
		if s.steps > 1e6 {
			return fmt.Errorf("at %v: time stands still", s.now.Sub(epoch))
		}
		s.now = at
		if timer {
			s.step(first, &Event{Kind: Timeout})
		} else {
			heap.Pop(&s.queue).(item).do()
		}
		if s.broken != nil {
			return s.broken
		}
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
	}
}

func (s *sim) start(n *node) {
	if n.routers != nil {
		return
	}
	s.logf("n%d starts", n.n)
	n.routers, n.paused, n.inbox = make([]*Machine, s.lans), false, nil
	for lan, inst := range n.insts {
		n.routers[lan] = New(inst)
		n.owns[lan] = false
	}
	if s.lans > 1 {
		NewGroup(&model.SyncGroup{Name: fmt.Sprintf("g%d", n.n)}, n.routers)
	}
	for lan, m := range n.routers {
		s.step(m, &Event{Kind: Source, Addr: simAddr(m.inst.Family, lan, n.n)})
		s.step(m, &Event{Kind: Priority, Total: int(m.inst.Priority) + n.weight})
		s.link(n, lan)
	}
	for _, m := range n.routers {
		s.step(m, &Event{Kind: Start})
	}
}

func (s *sim) link(n *node, lan int) {
	ev := Event{Kind: Faults}
	if !n.up[lan] {
		ev.Count, ev.Reason = 1, "interface down"
	}
	s.step(n.routers[lan], &ev)
}

func (s *sim) resume(n *node) {
	if !n.paused {
		return
	}
	s.logf("n%d goes on with %d packets waiting", n.n, len(n.inbox))
	n.paused = false
	inbox := n.inbox
	n.inbox = nil
	for _, do := range inbox {
		do()
	}
}

// disturb does one bad thing to one node, or to the networks.
func (s *sim) disturb() {
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	lan := s.rng.IntN(s.lans)
	switch k := s.rng.IntN(13); {
	case k == 12:
		n.clock = time.Duration(s.rng.NormFloat64() * float64(simWindow))
		if s.chance(0.3) {
			n.clock *= 1000
		}
		s.logf("n%d's clock is set, to %v beyond the right time", n.n, n.clock)
	case k == 0:
		for _, o := range s.nodes {
			o.side = s.rng.IntN(2)
		}
		s.logf("networks split")
	case k == 1:
		for _, o := range s.nodes {
			o.side = 0
		}
		s.logf("networks heal")
	case k == 2:
		s.loss = []float64{0, 0.1, 0.5}[s.rng.IntN(3)]
		s.logf("loss %v", s.loss)
	case n.routers == nil:
		s.start(n)
	case k == 3:
		s.logf("n%d is killed", n.n)
		n.routers, n.paused, n.inbox = nil, false, nil
	case n.paused:
		s.resume(n)
	case k == 4:
		s.logf("n%d is paused", n.n)
		n.paused = true
	case k == 5:
		s.logf("n%d is stopped", n.n)
		for _, m := range n.routers {
			s.step(m, &Event{Kind: Stop})
		}
		n.routers = nil
	case k == 6 || k == 7:
		n.up[lan] = !n.up[lan]
		s.logf("n%d link %d up: %v", n.n, lan, n.up[lan])
		s.link(n, lan)
	case k == 8:
		n.weight = s.rng.IntN(300) - 150
		for _, m := range n.routers {
			s.step(m, &Event{Kind: Priority, Total: int(m.inst.Priority) + n.weight})
		}
	case k == 9:
		s.step(n.routers[lan], &Event{Kind: Stolen, Addr: n.insts[lan].VIPs[0].Prefix.Addr()})
	case k == 10:
		s.logf("n%d reloads", n.n)
		for lan, m := range n.routers {
			inst := *n.insts[lan]
			if inst.Priority != Owner {
				inst.Priority = 1 + inst.Priority/2
			}
			n.insts[lan] = &inst
			s.step(m, &Event{Kind: Reconfigured, Instance: &inst})
		}
	default:
		// All at once: power comes back.
		s.logf("all are killed and start again")
		for _, o := range s.nodes {
			o.routers, o.paused, o.inbox = nil, false, nil
			s.start(o)
		}
	}
}

func (s *sim) step(m *Machine, ev *Event) {
	s.steps++
	n, lan := s.home(m)
	if n == nil {
		return
	}
	for _, a := range Step(s.now, m, ev, nil) {
		if s.trace {
			s.logf("%v", a)
		}
		if a.M == nil {
			continue
		}
		if a.M != m {
			_, lan = s.home(a.M)
		}
		switch a.Kind {
		case Send:
			if want := s.priority(n, lan); a.Priority != 0 && a.Priority != want && !(want == Owner && a.Priority == Owner-1) {
				s.broken = fmt.Errorf("at %v: n%d sends priority %d on network %d, want %d", s.now.Sub(epoch), n.n, a.Priority, lan, want)
			}
			s.send(n, lan, a.M, a.Priority)
		case Own, Disown:
			// The addresses come and go when the kernel gets to it.
			s.after(s.upTo(s.kernel), func() {
				if n, lan := s.home(a.M); n != nil && a.Gen == a.M.gen {
					n.owns[lan] = a.Kind == Own
					s.atNode(n, func() { s.step(a.M, &Event{Kind: Settled, Gen: a.Gen}) })
				}
			})
		case Changed:
			if a.To == model.Master {
				s.transitions++
			}
		}
		_, lan = s.home(m)
	}
}

// priority is what a node's adverts are to carry: base and weight, never that of an owner, nor of one that goes. An owner beside another
// may be the lower one.
func (s *sim) priority(n *node, lan int) uint8 {
	if base := n.insts[lan].Priority; base != Owner {
		return uint8(min(max(int(base)+n.weight, 1), Owner-1))
	}
	return Owner
}

// home finds the node and network of a router that runs.
func (s *sim) home(m *Machine) (*node, int) {
	for _, n := range s.nodes {
		for lan, o := range n.routers {
			if o == m {
				return n, lan
			}
		}
	}
	return nil, 0
}

// atNode does it, or when the node goes on.
func (s *sim) atNode(n *node, do func()) {
	if n.paused {
		n.inbox = append(n.inbox, do)
		return
	}
	do()
}

func (s *sim) hears(a, b *node, lan int) bool {
	return a != b && a.up[lan] && b.up[lan] && a.side == b.side && b.routers != nil
}

// send carries one advert to all, or to each peer.
func (s *sim) send(from *node, lan int, m *Machine, priority uint8) {
	from.id++
	for _, to := range s.nodes {
		if !s.hears(from, to, lan) || s.chance(s.loss) {
			continue
		}
		inst := m.inst
		dst := inst.Group
		if len(inst.Peers) > 0 {
			dst = simAddr(inst.Family, lan, to.n)
		}
		b := m.AppendPacket(nil, priority, dst, from.id, s.now.Add(from.clock))
		if s.loss > 0 && inst.Family == model.IPv4 && s.chance(0.02) {
			b[s.rng.IntN(len(b)-ipHeaderLen)+ipHeaderLen] ^= 1 << s.rng.IntN(8)
		}
		p := Packet{Src: m.src, Dst: dst, TTL: 255, Payload: b, Multicast: len(inst.Peers) == 0}
		if inst.Family == model.IPv4 {
			p.IPHeader, p.Payload = b[:ipHeaderLen], b[ipHeaderLen:]
		}
		for range 1 + s.rng.IntN(20)/19*btoi(s.loss > 0) { // sometimes twice
			s.after(s.upTo(s.delay), func() {
				if to.routers == nil || !to.up[lan] {
					return
				}
				r := to.routers[lan]
				s.atNode(to, func() {
					p.Wall = s.now.Add(to.clock)
					s.step(r, &Event{Kind: Received, Packet: p})
				})
			})
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// able reports whether the routers of a node can take part: all its links are up, for they are a group.
func (s *sim) able(n *node) bool {
	for _, up := range n.up {
		if !up {
			return false
		}
	}
	return n.routers != nil
}

// check asks for one master in each part of each network, of the best priority there if routers preempt.
func (s *sim) check() error {
	for lan := range s.lans {
		for side := range 2 {
			var best uint8
			var masters []string
			var last *Machine
			able := 0
			for _, n := range s.nodes {
				if n.side != side || n.routers == nil {
					continue
				}
				m := n.routers[lan]
				if m.State() == model.Master {
					masters, last = append(masters, fmt.Sprintf("n%d(%d)", n.n, m.EffectivePriority())), m
				}
				if s.able(n) {
					able++
					best = max(best, m.EffectivePriority())
				} else if m.State() != model.Fault {
					return fmt.Errorf("at %v: n%d is %v with a link down", s.now.Sub(epoch), n.n, m.State())
				}
			}
			switch {
			case able == 0 && len(masters) == 0:
			case len(masters) != 1:
				return fmt.Errorf("at %v: network %d, side %d: masters %v of %d routers", s.now.Sub(epoch), lan, side, masters, able)
			case !s.nopre && last.EffectivePriority() != best:
				return fmt.Errorf("at %v: network %d, side %d: master %v, but the best has %d", s.now.Sub(epoch), lan, side, masters, best)
			}
		}
	}
	return nil
}

// addresses asks that exactly the masters have them.
func (s *sim) addresses() error {
	for _, n := range s.nodes {
		for lan, m := range n.routers {
			if is := m.State() == model.Master; n.owns[lan] != is {
				return fmt.Errorf("n%d, network %d: %v, has the addresses: %v", n.n, lan, m.State(), n.owns[lan])
			}
		}
	}
	return nil
}
