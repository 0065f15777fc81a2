package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/core/notify"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/loop"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
	"github.com/keepalived-go/keepalived-go/internal/sys/nftables"
	"github.com/keepalived-go/keepalived-go/internal/sys/probe"
	"github.com/keepalived-go/keepalived-go/internal/sys/process"
	"github.com/keepalived-go/keepalived-go/internal/sys/script"
	"github.com/keepalived-go/keepalived-go/internal/sys/watch"
)

const sigTerm, sigKill = syscall.SIGTERM, syscall.SIGKILL

// paused is how late the end of a script's time may be noticed before the daemon itself counts as having been stopped.
const paused = time.Second

// killAfter is how long a script may take to end after SIGTERM (checkers.md §6).
const killAfter = 2 * time.Second

// checkers is the component of IPVS and the health checkers.
type checkers struct {
	*engine
	random  *rand.Rand // of first delays
	log     *slog.Logger
	part    *loop.Part
	cluster *lvs.Cluster
	byID    map[lvs.CheckID]*checker
	due     loop.Deadlines // of the monitors, by CheckID
	kills   loop.Deadlines // of the scripts of MISC_CHECK, by CheckID
	prober  *probe.Client  // nil until a checker needs it
	lane    *ipvs.Lane
	marks   *nftables.Marks    // nil until nftables_ipvs asks for some
	files   *watch.Files       // nil until a checker needs it
	ctx     context.Context    // of the goroutines
	end     context.CancelFunc // of it

	presence presence

	epoch    time.Time // the times at which checks are begun are whole grains after it
	running  bool
	released bool
	holding  int // what a stop waits for

	out  []lvs.Action
	acts []check.Action
}

// checker is one health checker that runs.
type checker struct {
	id   lvs.CheckID
	of   lvs.Check
	m    *check.Monitor
	job  uint64 // script that runs; 0: none
	late bool   // it was told to end because its time was over
}

func newCheckers(e *engine) *checkers {
	c := &checkers{engine: e, log: e.Log.Role(logging.Checkers), epoch: time.Now(), byID: map[lvs.CheckID]*checker{}}
	c.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	if seed := e.model.Process.RandomSeed; seed >= 0 {
		c.random = rand.New(rand.NewPCG(uint64(seed), 0))
	}
	c.part = e.loop.Add("checkers", c)
	c.part.Post(c.start)
	return c
}

func (c *checkers) start(now time.Time) {
	l := &c.model.LVS
	c.ctx, c.end = context.WithCancel(context.Background())
	c.cluster = lvs.New(l)
	c.initFiles()
	c.watchFiles(l, c.assumes)
	c.openLane()
	c.masters(l)
	c.act(c.cluster.Start(c.out[:0]))
	c.mark()
	c.settings(l)
	c.watchAddresses()
	c.monitors(now)
	c.running = true
	c.started()
}

// openLane prepares the way to the kernel, which is not touched before there is something to be done.
//
// Differs from keepalived: without IPVS in the kernel VRRP goes on, the log says what is missing, and it is tried again.
func (c *checkers) openLane() {
	c.lane = ipvs.OpenLane(openIPVS(c.model), c.log)
	ctx := c.ctx
	supervise(ctx, c.part, c.log, "IPVS lane", func() error { c.lane.Run(ctx); return nil })
}

// mark has nftables mark what groups are served by.
func (c *checkers) mark() {
	marks := c.cluster.Marks()
	if c.marks == nil {
		if len(marks) == 0 {
			return
		}
		m, ctx := nftables.OpenMarks(ipvsNamespace(c.model), c.model.LVS.NFTables.Table, c.log), c.ctx
		c.marks = m
		supervise(ctx, c.part, c.log, "nftables lane", func() error { m.Run(ctx); return nil })
	}
	c.marks.Want(c.model.LVS.NFTables, marks)
}

func (c *checkers) settings(l *model.LVS) {
	c.lane.Trust(l.NoRepair)
	if len(l.Services) > 0 { // without any, IPVS is not touched
		c.lane.WantTimeouts(ipvs.Timeouts{TCP: l.TimeoutTCP, TCPFin: l.TimeoutTCPFin, UDP: l.TimeoutUDP})
	}
}

// monitors makes the running checkers those of the cluster; one that is kept goes on where it is.
func (c *checkers) monitors(now time.Time) {
	old := c.byID
	c.byID = map[lvs.CheckID]*checker{}
	for _, k := range c.cluster.Checks() {
		if k.Spec.Kind == model.FileCheck {
			continue // the file is watched, see watchFiles
		}
		if k.Service.HASuspend && !c.presence.known {
			continue // until the addresses are known
		}
		n := &checker{id: k.ID, of: k}
		n.m = check.New(k.Spec, check.Subject{Server: k.Server.Name(k.Service), Service: k.Service.String(), Weight: k.Server.Weight},
			c.random.Float64())
		c.byID[k.ID] = n
		if o := old[k.ID]; o != nil && n.m.Adopt(now, o.m) {
			delete(old, k.ID)
			n.job, n.late = o.job, o.late
			if run, open := o.m.Open(); open {
				if still, ok := n.m.Open(); !ok || still != run {
					c.abandon(n, run)
				}
			}
			c.suspend(now, n)
			continue
		}
		c.suspend(now, n)
		c.step(now, n, &check.Event{Kind: check.Started})
	}
	for _, o := range old {
		if run, open := o.m.Open(); open {
			c.abandon(o, run)
		}
		c.due.Set(int(o.id), time.Time{})
	}
}

// abandon gives up a probe whose result is not wanted any more.
func (c *checkers) abandon(n *checker, run uint32) {
	if n.job != 0 {
		c.scripts.runner.Kill(n.job, sigTerm)
		n.job = 0
		c.kills.Set(int(n.id), time.Time{})
		return
	}
	if c.prober != nil {
		c.prober.Cancel(probeID(n.id, run))
	}
}

func probeID(id lvs.CheckID, run uint32) uint64 { return uint64(id)<<32 | uint64(run) }

func (c *checkers) step(now time.Time, n *checker, ev *check.Event) {
	c.acts = n.m.Step(now, ev, c.acts[:0])
	for i := range c.acts {
		a := &c.acts[i]
		switch a.Kind {
		case check.Probe:
			c.probe(now, n, a)
		case check.Cancel:
			c.abandon(n, a.Run)
		case check.Say:
			c.log.Info(a.Line)
		case check.Up:
			c.health(lvs.Event{Check: n.id, Kind: lvs.CheckUp, Mail: mailAfter(c.acts[i+1:])})
		case check.Down:
			c.health(lvs.Event{Check: n.id, Kind: lvs.CheckDown, Mail: mailAfter(c.acts[i+1:])})
		case check.Weight:
			ev := lvs.Event{Check: n.id, Kind: lvs.CheckWeightOff, Quiet: a.Quiet}
			if exit := n.m.LastExit(); exit != 0 {
				ev.Kind, ev.Weight = lvs.CheckWeight, int64(exit)-2
			}
			c.health(ev)
		}
	}
	c.due.Set(int(n.id), n.m.Deadline())
}

// mailAfter is the body of the mail that follows a change.
func mailAfter(rest []check.Action) string {
	for _, a := range rest {
		if a.Kind == check.Alert {
			return a.Line
		}
	}
	return ""
}

// health takes a checker's finding to the cluster.
func (c *checkers) health(ev lvs.Event) { c.act(c.cluster.Step(ev, c.out[:0])) }

func (c *checkers) act(out []lvs.Action) {
	out = c.cluster.Ramp(time.Now(), out)
	c.out = out
	for i := range out {
		switch a := &out[i]; a.Kind {
		case lvs.Say:
			if a.Detail {
				logging.Detail(c.log, a.Line)
			} else {
				c.log.Info(a.Line)
			}
		case lvs.Flush:
			c.lane.Flush()
		case lvs.Notify:
			if a.Server != nil {
				c.scripts.notify(notify.RealServer{Of: a.Server, Service: a.Service, Up: a.Up})
			} else {
				c.scripts.notify(notify.VirtualServer{Of: a.Service, Up: a.Up})
			}
		case lvs.Alert:
			c.mails.alert(a)
		}
	}
	if t := c.cluster.Delta(); t != nil {
		c.lane.Want(t)
	}
}

func (c *checkers) probe(now time.Time, n *checker, a *check.Action) {
	spec := n.m.Spec()
	if spec.Kind == model.MiscCheck {
		c.runScript(now, n, a.Run)
		return
	}
	if c.prober == nil {
		c.spawn()
	}
	c.prober.Start(probeID(n.id, a.Run), probe.NewSpec(spec, a.URL, c.model.LVS.TLS), a.Deadline.Sub(now))
}

func (c *checkers) spawn() {
	p := &c.model.Process
	handed := process.Setting{Name: p.Names.Checker, Place: p.CheckerSched}
	c.prober = probe.Spawn(probe.Options{
		Exe: c.Exe, Args: c.ProberArgs, Env: append(slices.Clip(c.ProberEnv), handed.Environment()), Log: c.log,
		OnResults: func(batch []probe.Answer) {
			c.part.Post(func(now time.Time) {
				for i := range batch {
					if n := c.byID[lvs.CheckID(batch[i].ID>>32)]; n != nil {
						c.step(now, n, &check.Event{Kind: check.Finished, Run: uint32(batch[i].ID), Result: batch[i].Result})
					}
				}
			})
		},
		OnDied: func(err error) { c.log.Warn(fmt.Sprintf("%v - starting another", err)) },
	})
}

func (c *checkers) runScript(now time.Time, n *checker, run uint32) {
	misc := n.m.Spec().Misc
	n.late = false
	var job uint64
	job = c.scripts.run(c.part, script.Job{Script: misc.Script}, func(now time.Time, r script.Result) {
		// A reload may have put another checker in n's place; the job is then that one's.
		n := c.byID[n.id]
		if n == nil || n.job != job {
			return
		}
		n.job = 0
		c.kills.Set(int(n.id), time.Time{})
		res := check.Result{Exit: r.Exit, Signal: int(r.Signal), TimedOut: n.late}
		if r.Err != nil {
			res.Exit, res.Signal = 127, 0
		}
		c.step(now, n, &check.Event{Kind: check.Finished, Run: run, Result: res})
	})
	n.job = job
	if misc.Timeout > 0 {
		c.kills.Set(int(n.id), now.Add(misc.Timeout))
	}
}

// grain is how late a check may come: those that are due within one grain share a wake-up of this process and of the prober, which is
// most of what a check costs.
//
// Differs from keepalived: it begins each check at its own microsecond.
const grain = 10 * time.Millisecond

func (c *checkers) Deadline() time.Time {
	d := c.due.Next()
	if !d.IsZero() {
		d = c.epoch.Add((d.Sub(c.epoch) + grain - 1).Truncate(grain))
	}
	next := []time.Time{c.kills.Next()}
	if c.cluster != nil {
		next = append(next, c.cluster.RampDeadline())
	}
	for _, t := range next {
		if d.IsZero() || !t.IsZero() && t.Before(d) {
			d = t
		}
	}
	return d
}

func (c *checkers) Expire(now time.Time) {
	if c.cluster != nil {
		if r := c.cluster.RampDeadline(); !r.IsZero() && !now.Before(r) {
			c.act(c.out[:0])
		}
	}
	for range perPass {
		id, ok := c.due.Due(now)
		if !ok {
			break
		}
		n := c.byID[lvs.CheckID(id)]
		if n == nil {
			c.due.Set(id, time.Time{})
			continue
		}
		c.step(now, n, &check.Event{Kind: check.Expired})
	}
	if _, ok := c.kills.Due(now); ok && c.scripts.resultsDue() {
		return
	}
	for id, ok := c.kills.Due(now); ok; id, ok = c.kills.Due(now) {
		n := c.byID[lvs.CheckID(id)]
		late := now.Sub(c.kills.Next())
		switch {
		case n == nil || n.job == 0:
			c.kills.Set(id, time.Time{})
		case !n.late && late > paused:
			// We were stopped meanwhile, perhaps before the script was started: its time begins now.
			c.kills.Set(id, now.Add(n.m.Spec().Misc.Timeout))
		case !n.late:
			n.late = true
			c.scripts.runner.Kill(n.job, sigTerm)
			c.kills.Set(id, now.Add(killAfter))
		default:
			c.scripts.runner.Kill(n.job, sigKill)
			c.kills.Set(id, time.Time{})
		}
	}
}

func (c *checkers) reload(now time.Time, was, l *model.LVS, changes model.Changes) {
	if !changes.LVSGlobal && changes.VirtualServers.Empty() {
		return
	}
	if was.CommandBuffer != l.CommandBuffer {
		c.lane.Use(openIPVS(c.model))
	}
	c.watchFiles(l, c.holds)
	c.masters(l)
	c.act(c.cluster.Reload(l, c.out[:0]))
	c.mark()
	c.settings(l)
	c.watchAddresses()
	c.monitors(now)
}

// stop announces the end and empties the table, unless it is to be left.
func (c *checkers) stop(now time.Time) {
	for _, n := range c.byID {
		if run, open := n.m.Open(); open {
			c.abandon(n, run)
		}
		c.due.Set(int(n.id), time.Time{})
	}
	c.byID = map[lvs.CheckID]*checker{}
	if c.cluster == nil {
		c.released = true
		return
	}
	if c.flags.KeepIPVS {
		c.released = true
		return
	}
	c.act(c.cluster.Stop(c.out[:0]))
	c.lane.WantTimeouts(ipvs.Timeouts{})
	done := func() {
		c.part.Post(func(now time.Time) {
			c.holding--
			c.released = c.holding == 0
			c.maybeEnd(now)
		})
	}
	c.holding = 1
	if c.marks != nil {
		c.holding++
		c.mark()
		c.marks.Then(done)
	}
	c.lane.Then(done)
}

// close ends what runs beside the loop.
func (c *checkers) close() {
	c.end()
	c.files = nil
	if c.prober != nil {
		c.prober.Close()
	}
}

// Recover starts the checkers anew on what the kernel holds: the table is adopted, so nothing is lost but the checks' memory.
func (c *checkers) Recover(now time.Time, cause error) {
	c.log.Error(cause.Error())
	c.close()
	c.prober, c.marks, c.presence = nil, nil, presence{}
	for id := range c.byID {
		c.due.Set(int(id), time.Time{})
		c.kills.Set(int(id), time.Time{})
	}
	c.byID = map[lvs.CheckID]*checker{}
	c.part.Post(c.start)
}
