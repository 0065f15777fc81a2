package engine

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/notify"
	"github.com/keepalived-go/keepalived-go/internal/loop"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/script"
)

// scripts runs programs for all components and delivers notifications.
type scripts struct {
	e      *engine
	log    *slog.Logger
	part   *loop.Part
	runner *script.Runner
	lastID uint64
	waits  map[uint64]wait

	patience int      // passes that resultsDue has asked for
	fifos    [3]*fifo // global, VRRP, LVS
	serial   notify.Serial
}

// wait is who wants to hear of a job's end.
type wait struct {
	part *loop.Part
	f    func(now time.Time, r script.Result)
}

// fifo is one notify FIFO and the job that reads it.
type fifo struct {
	conf model.FIFO
	name string
	pipe *script.FIFO // nil if it cannot be used
	job  uint64
}

func newScripts(e *engine) (*scripts, error) {
	s := &scripts{e: e, log: e.log, waits: map[uint64]wait{}}
	s.part = e.loop.Add("scripts", s)
	var err error
	s.runner, err = script.Open(script.Options{Log: e.log, HideEnv: e.HideEnv, Report: func(r script.Result) {
		s.part.Post(func(now time.Time) { s.ended(now, r) })
	}})
	if err != nil {
		return nil, err
	}
	p := &e.model.Process
	s.fifos = [3]*fifo{s.openFIFO("", p.NotifyFIFO), s.openFIFO("vrrp ", p.VRRPNotifyFIFO), s.openFIFO("lvs ", p.LVSNotifyFIFO)}
	return s, nil
}

// openFIFO opens a pipe and starts its reader.
//
// Differs from keepalived: it starts the reader first, so that the pipe may not exist yet when the reader opens it.
func (s *scripts) openFIFO(name string, conf model.FIFO) *fifo {
	f := &fifo{conf: conf, name: name}
	if conf.Path == "" {
		return f
	}
	var err error
	if f.pipe, err = script.OpenFIFO(s.log, conf); err != nil {
		s.log.Error(err.Error())
		return f
	}
	if conf.Script != nil {
		f.job = s.run(s.part, script.Job{Script: *conf.Script, Extra: []string{conf.Path}}, func(time.Time, script.Result) {
			f.job = 0
			s.log.Info(f.name + "notify fifo script terminated")
		})
	}
	return f
}

func (f *fifo) close(s *scripts) {
	if f.job != 0 {
		delete(s.waits, f.job)
		s.runner.Kill(f.job, sigTerm)
	}
	if f.pipe != nil {
		if err := f.pipe.Close(); err != nil {
			s.log.Warn(err.Error())
		}
	}
}

// reload opens anew the pipes whose configuration changed.
//
// Differs from keepalived: it closes and reopens all of them, so that lines written meanwhile are lost and readers see an end.
func (s *scripts) reload(old, next *model.Model) {
	for i, conf := range []model.FIFO{next.Process.NotifyFIFO, next.Process.VRRPNotifyFIFO, next.Process.LVSNotifyFIFO} {
		f := s.fifos[i]
		if !sameFIFO(f.conf, conf) {
			f.close(s)
			s.fifos[i] = s.openFIFO(f.name, conf)
		}
	}
}

func sameFIFO(a, b model.FIFO) bool {
	x, y := a.Script, b.Script
	a.Script, b.Script = nil, nil
	if a != b || (x == nil) != (y == nil) {
		return false
	}
	return x == nil || x.UID == y.UID && x.GID == y.GID && slices.Equal(x.Args, y.Args) && slices.Equal(x.Groups, y.Groups)
}

// run starts a job and has done called as part p when it ended; done may be nil. The returned number names it for Kill.
func (s *scripts) run(p *loop.Part, j script.Job, done func(now time.Time, r script.Result)) uint64 {
	s.lastID++
	j.ID = s.lastID
	if done != nil {
		s.waits[j.ID] = wait{p, done}
	}
	if err := s.runner.Start(j); err != nil {
		s.part.Post(func(now time.Time) { s.ended(now, script.Result{ID: j.ID, Exit: -1, Err: err}) })
	}
	return j.ID
}

func (s *scripts) ended(now time.Time, r script.Result) {
	if r.Err != nil {
		s.log.Error(r.Err.Error())
	}
	if w, ok := s.waits[r.ID]; ok {
		delete(s.waits, r.ID)
		w.part.Post(func(now time.Time) { w.f(now, r) })
	}
}

// maxPatience is how many passes a late script is waited for, in case that others keep on posting.
const maxPatience = 8

// resultsDue reports whether the results of programs that have ended may still be on their way. A daemon that was paused must not
// find a script late that ended long ago. (As with sockets, what has happened comes before the time-out.)
func (s *scripts) resultsDue() bool {
	s.runner.Reap()
	if s.patience < maxPatience && s.part.Waiting() {
		s.patience++
		return true
	}
	s.patience = 0
	return false
}

// notify delivers what a change causes, the mail last.
func (s *scripts) notify(c notify.Change) {
	object, state, serial := notify.Object(c)
	serial = serial && s.e.model.Process.NotifySerialize
	var programs []notify.Delivery
	for _, d := range notify.Plan(c) {
		switch {
		case d.Script != nil && serial:
			programs = append(programs, d)
			continue
		case d.Script != nil:
			s.start(d, nil)
			continue
		}
		s.write(0, d.Line)
		switch d.Stream {
		case notify.VRRP:
			s.write(1, d.Line)
		case notify.LVS:
			s.write(2, d.Line)
		}
	}
	if serial {
		s.next(object, s.serial.Add(object, programs, state))
		if s.e.stopping { // there is no time to wait for others
			for _, d := range s.serial.Rest(object) {
				s.start(d, nil)
			}
		}
	}
	s.e.mails.changed(c)
}

func (s *scripts) start(d notify.Delivery, done func(time.Time, script.Result)) {
	s.run(s.part, script.Job{Script: *d.Script, Extra: d.Extra, Tracked: d.Tracked}, done)
}

// next starts a program of an object whose programs run one at a time, and after it the one that follows.
func (s *scripts) next(object string, d *notify.Delivery) {
	if d != nil {
		s.start(*d, func(time.Time, script.Result) { s.next(object, s.serial.Done(object)) })
	}
}

func (s *scripts) write(i int, line string) {
	if f := s.fifos[i]; f.pipe != nil {
		f.pipe.Write(line)
	}
}

// close waits a moment for the scripts of the stop (notify.md §2.3) and closes the pipes.
func (s *scripts) close() {
	s.runner.Stop()
	for _, f := range s.fifos {
		f.job = 0 // ended by Stop
		f.close(s)
	}
}

func (s *scripts) Deadline() time.Time { return time.Time{} }
func (s *scripts) Expire(time.Time)    {}

// Recover only reports: a job whose end got lost is started again by whoever waits for it, or was not waited for.
func (s *scripts) Recover(_ time.Time, cause error) {
	s.log.Error(fmt.Sprintf("deliver notifications: %v", cause))
}
