// Package engine is the worker: it builds the components from a model and carries their decisions to the outside and back.
//
// It is wiring. What is decided, is decided in core; what is done, is done in sys. Everything here runs on the loop.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/loop"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Exit codes of a worker (cli.md §4).
const (
	exitOK       = 0
	exitFatal    = 1
	exitSoftware = 70
)

// stopPatience is how long an orderly stop may wait for the kernel, for scripts and for alerts before the worker ends all the same.
const stopPatience = 3 * time.Second

// Options say what a worker works with.
type Options struct {
	Link *link.Conn
	Log  *logging.Log

	// How the prober is started: this binary, in that role.
	Exe                   string
	ProberArgs, ProberEnv []string
	// HideEnv names variables that no script gets to see.
	HideEnv []string
}

// engine is the worker's state: its components, and what they share.
type engine struct {
	Options
	loop  *loop.Loop
	log   *slog.Logger // of the role that speaks for the worker as a whole
	flags link.Flags
	model *model.Model

	control  *control
	scripts  *scripts
	mails    *mails
	vrrp     *vrrpPart // nil if the role does not run
	checkers *checkers // nil if the role does not run
	sync     *syncDaemon

	late     *lateness
	stopping bool
	ended    bool
	stopBy   time.Time
}

// Run is the worker's life. It takes its first model from the link and returns the process's exit code.
func Run(ctx context.Context, o Options) int { return run(ctx, o, func(*engine) {}) }

// run calls built when the components are made, before the loop turns.
func run(ctx context.Context, o Options, built func(*engine)) int {
	first, err := o.Link.Receive()
	if err != nil || first.Kind != link.Load {
		o.Log.Role(logging.Parent).Error(fmt.Sprintf("receive configuration: %v (%v)", err, first.Kind))
		return exitFatal
	}
	m, err := first.Model.Decode()
	if err != nil {
		o.Log.Role(logging.Parent).Error(err.Error())
		return exitFatal
	}
	o.Log.Rename(first.Flags.Namespace, m.Process.Instance)
	if first.Flags.Clean {
		return clean(ctx, o, m, first.Flags)
	}
	settle(o.Log.Role(speaker(first.Flags)), &m.Process, first.Flags)
	e := &engine{Options: o, flags: first.Flags, model: m, log: o.Log.Role(speaker(first.Flags))}
	if e.loop, err = loop.New(); err == nil {
		e.late = newLateness(e.log, &m.Process, m.Process.Sched(e.flags.VRRP))
		e.loop.Late = e.late.timer
		err = e.build()
	}
	if err != nil {
		e.log.Error(err.Error())
		_ = o.Link.Send(link.Message{Kind: link.Fatal, Text: err.Error()})
		return exitFatal
	}
	built(e)
	var broken *loop.Broken
	switch err := e.loop.Run(ctx); {
	case err == nil:
		return exitOK
	case errors.As(err, &broken):
		e.log.Error(err.Error())
		return exitSoftware
	default:
		e.log.Error(err.Error())
		return exitFatal
	}
}

// speaker is the role under whose ident the worker as a whole logs.
func speaker(f link.Flags) logging.Role {
	if f.VRRP {
		return logging.VRRP
	}
	return logging.Checkers
}

func (e *engine) build() error {
	e.control = newControl(e)
	var err error
	if e.scripts, err = newScripts(e); err != nil {
		return err
	}
	e.mails = newMails(e)
	e.sync = &syncDaemon{engine: e}
	if e.flags.VRRP {
		if e.vrrp, err = newVRRP(e); err != nil {
			return err
		}
	}
	if e.flags.Checkers {
		e.checkers = newCheckers(e)
	}
	e.control.start()
	e.control.part.Post(func(time.Time) { e.sync.apply() })
	return nil
}

// restDelay is how long a goroutine that ended rests before it is started again.
const restDelay = time.Second

// supervise keeps fn running on a goroutine of part p until ctx ends.
func supervise(ctx context.Context, p *loop.Part, log *slog.Logger, name string, fn func() error) {
	p.Go(name, fn, func(_ time.Time, err error) {
		if ctx.Err() != nil {
			return
		}
		log.Error(fmt.Sprintf("%s ended: %v - starting it again", name, err))
		supervise(ctx, p, log, name, func() error {
			select {
			case <-ctx.Done(): // fn has something to clean up then
			case <-time.After(restDelay):
			}
			return fn()
		})
	})
}

// control is the component that talks to the parent.
type control struct {
	*engine
	part *loop.Part
	beat time.Time // next heartbeat
	tidy time.Time // when what the last configuration left behind is cleared away; zero: it is

	batches []batch // of status files, to be written one after the other; the first is being written
	told    bool    // Ready has been sent
}

func newControl(e *engine) *control {
	c := &control{engine: e}
	c.part = e.loop.Add("control", c)
	return c
}

// start lets messages and signals come in.
func (c *control) start() {
	c.beat = time.Now()
	c.part.Post(func(time.Time) { c.started() }) // for a configuration without any role
	c.part.Go("link", func() error {
		for {
			m, err := c.Link.Receive()
			if err != nil {
				return err
			}
			c.part.Post(func(now time.Time) { c.message(now, m) })
		}
	}, func(now time.Time, err error) {
		// The parent is gone, or nonsense came from it: let go of everything in good order.
		if !errors.Is(err, io.EOF) {
			c.log.Error(err.Error())
		}
		c.stop(now)
	})

	// The signals are taken before the start is over, so that none of them ends the process.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2,
		sigJSON, sigJSONMusl, sigStatsClear, syscall.SIGPIPE) // SIGPIPE is not ignored, for scripts would inherit that
	c.part.Go("signals", func() error {
		for s := range signals {
			c.part.Post(func(now time.Time) { c.signal(now, s) })
		}
		return nil
	}, func(now time.Time, err error) { c.log.Error(err.Error()) })
}

// Numbers of glibc's SIGRTMIN+2 and musl's, and of SIGRTMAX-1 (cli.md §3).
const (
	sigJSON       = syscall.Signal(36)
	sigJSONMusl   = syscall.Signal(37)
	sigStatsClear = syscall.Signal(63)
)

func (c *control) signal(now time.Time, s os.Signal) {
	if c.stopping {
		return
	}
	switch s {
	case syscall.SIGHUP:
		c.tell(link.Message{Kind: link.ReloadRequested})
	case syscall.SIGTERM:
		c.stop(now)
	case syscall.SIGINT:
		if !c.flags.IgnoreInterrupt {
			c.stop(now)
		}
	case syscall.SIGUSR1:
		c.dump(now, link.Data)
	case syscall.SIGUSR2:
		c.dump(now, link.Stats)
	case sigStatsClear:
		c.dump(now, link.StatsClear)
	case sigJSON, sigJSONMusl:
		c.dump(now, link.JSON)
	}
}

func (c *control) message(now time.Time, m link.Message) {
	if c.stopping {
		return
	}
	switch m.Kind {
	case link.Reload:
		next, err := m.Model.Decode()
		if err != nil {
			c.tell(link.Message{Kind: link.Refused, Text: err.Error()})
			return
		}
		c.reload(now, next, m.Flags)
	case link.Dump:
		c.dump(now, m.Dump)
	case link.Stop:
		c.stop(now)
	}
}

// tell sends to the parent without waiting for it. A parent that does not read is as good as dead, and Receive will tell.
func (c *control) tell(m link.Message) {
	if err := c.Link.TrySend(m); err != nil && !c.stopping {
		c.log.Warn("tell the parent: " + err.Error())
	}
}

// reload makes next the configuration. Only a role that is new can fail: whatever could be wrong with the configuration was judged before.
func (e *engine) reload(now time.Time, next *model.Model, flags link.Flags) {
	e.log.Info("Reloading")
	e.save(now, "pre", flags.Loads)
	old := e.model
	e.model = next
	if err := e.enlarge(flags); err != nil {
		e.model = old
		e.log.Error(err.Error())
		e.control.tell(link.Message{Kind: link.Refused, Text: err.Error()})
		return
	}
	unix.Umask(flags.Umask) // Differs from keepalived: there it acts at start only.
	e.late.max, e.late.limit = next.Process.MaxAutoPriority, next.Process.AutoPriorityDelay
	changes := model.Diff(old, next)
	if changes.VirtualServers.Empty() && slices.EqualFunc(old.LVS.Services, next.LVS.Services, func(a, b model.VirtualServer) bool { return a.Key() == b.Key() }) {
		next.LVS.Services = old.LVS.Services // the cluster goes on with these: thousands need not be there twice
	}
	e.scripts.reload(old, next)
	e.mails.plan.Forget()
	if e.vrrp != nil && e.vrrp.running {
		e.vrrp.reload(now, &next.VRRP, changes)
	}
	if e.checkers != nil && e.checkers.running {
		e.checkers.reload(now, &old.LVS, &next.LVS, changes)
	}
	e.sync.apply()
	e.save(now, "post", flags.Loads)
	e.logConfig(now)
	e.control.tidy = now.Add(link.TidyDelay)
	e.control.tell(link.Message{Kind: link.Reloaded})
}

// enlarge starts the roles that have something to do only since this reload. One that has nothing left to do goes on idly.
func (e *engine) enlarge(flags link.Flags) error {
	if flags.VRRP && e.vrrp == nil {
		v, err := newVRRP(e)
		if err != nil {
			return err
		}
		e.vrrp, e.flags.VRRP = v, true
	}
	if flags.Checkers && e.checkers == nil {
		e.checkers, e.flags.Checkers = newCheckers(e), true
	}
	return nil
}

// started is called by the roles; when all have, the parent hears of it.
func (e *engine) started() {
	if e.control.told || e.vrrp != nil && !e.vrrp.running || e.checkers != nil && !e.checkers.running {
		return
	}
	e.control.told = true
	e.control.tidy = time.Now().Add(link.TidyDelay)
	e.logConfig(time.Now())
	e.control.tell(link.Message{Kind: link.Ready})
}

// stop releases everything and ends the loop when that is done.
func (e *engine) stop(now time.Time) {
	if e.stopping {
		return
	}
	e.log.Info("Stopping")
	e.stopping, e.stopBy = true, now.Add(stopPatience)
	if e.vrrp != nil {
		e.vrrp.stop(now)
	}
	if e.checkers != nil {
		e.checkers.stop(now)
	}
	e.sync.stop()
	e.maybeEnd(now)
}

// maybeEnd ends the loop if nothing more is expected of the stop, or its time is over.
func (e *engine) maybeEnd(now time.Time) {
	if !e.stopping || e.ended {
		return
	}
	released := (e.vrrp == nil || e.vrrp.released()) && (e.checkers == nil || e.checkers.released) && e.sync.released
	// Differs from keepalived: it leaves a second to the alerts about its end, which hardly ever arrive.
	if !(released && e.mails.box.Idle()) && now.Before(e.stopBy) {
		return
	}
	if !released {
		e.log.Warn("not everything was released in time")
		if e.vrrp != nil {
			e.vrrp.tellStopped()
		}
	}
	e.mails.box.Close()
	e.ended = true
	if e.checkers != nil {
		e.checkers.close()
	}
	if e.vrrp != nil && e.vrrp.prober != nil {
		e.vrrp.prober.Close()
	}
	e.sync.close()
	e.scripts.close()
	e.log.Info("Stopped")
	e.loop.Stop(nil)
}

func (c *control) Deadline() time.Time {
	d := c.beat
	for _, t := range [...]time.Time{c.stopBy, c.tidy} {
		if !t.IsZero() && t.Before(d) {
			d = t
		}
	}
	return d
}

func (c *control) Expire(now time.Time) {
	if !now.Before(c.beat) {
		c.beat = now.Add(link.HeartbeatInterval)
		c.tell(link.Message{Kind: link.Heartbeat})
	}
	if !c.tidy.IsZero() && !now.Before(c.tidy) {
		c.tidy = time.Time{}
		// The runtime gives the memory back bit by bit then. debug.FreeOSMemory does it at once, which held adverts up for 15 ms.
		c.part.Go("memory", func() error { runtime.GC(); return nil }, func(time.Time, error) {})
	}
	c.maybeEnd(now)
}

// Recover only reports: control keeps nothing that a panic could leave half done.
func (c *control) Recover(_ time.Time, cause error) { c.log.Error(cause.Error()) }
