package track

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Lines that are logged of a script, letter for letter keepalived's.
const (
	lineSkip      = "Track script %s is already running, expect idle - skipping run"
	lineReturning = "Script `%s` now returning %d"
	lineSucceeded = "VRRP_Script(%s) succeeded"
	lineFailed    = "VRRP_Script(%s) failed (exited with status %d)"
	lineSignalled = "VRRP_Script(%s) failed (due to signal %d)"
	lineProbe     = "VRRP_Script(%s) failed (%s)"
	lineTimedOut  = "VRRP_Script(%s) timed_out"
	lineKeptGood  = "VRRP_Script(%s) considered successful on reload"
	lineKeptBad   = "VRRP_Script(%s) considered unsuccessful on reload"
	lineUnstarted = "VRRP_Script(%s) failed (could not be run)"
)

// killDelay is how long a script that timed out has between SIGTERM and SIGKILL.
const killDelay = 2 * time.Second

// ScriptEventKind says what happened to a script.
type ScriptEventKind uint8

const (
	Begin     ScriptEventKind = iota + 1 // start to run it
	Expired                              // Deadline has come
	Exited                               // the run ended with Status, or by Signal
	Unstarted                            // the run could not be started: counts as a failure
	Probed                               // a probe in the script's place ended: OK, or failed for Reason
	Unable                               // it ended without having learnt anything
	Reloaded                             // the configuration is now Script
	End                                  // run it no more
)

// ScriptEvent is something that happened to a script.
type ScriptEvent struct {
	Kind   ScriptEventKind
	Status int    // Exited: exit status, if Signal is 0
	Signal int    // Exited
	OK     bool   // Probed
	Reason string // Probed
	Script *model.TrackScript
}

// ScriptActionKind says what is to be done.
type ScriptActionKind uint8

const (
	Run    ScriptActionKind = iota + 1 // start the script; answered by Exited or Unstarted
	Kill                               // send the process group SIGKILL if Hard, else SIGTERM
	Report                             // give Fact to the Set
	Say                                // log Line
)

// ScriptAction is one thing to do.
type ScriptAction struct {
	Kind ScriptActionKind
	Hard bool
	Fact Fact
	Line string
}

// Script is the schedule of one vrrp_script, and the judgement on its results.
type Script struct {
	cfg     *model.TrackScript
	next    time.Time // of the next run
	limit   time.Time // of the current run: SIGTERM
	kill    time.Time // SIGKILL
	running bool
	overdue bool // the current run has been counted as failed
	stale   bool // the current run is of a former command
	ended   bool

	status int  // last exit status
	known  bool // there has been a result
	count  int  // 0..rise+fall-1; good from rise on
}

// NewScript returns the schedule of a script that has never run: its first result decides alone.
func NewScript(cfg *model.TrackScript) *Script {
	return &Script{cfg: cfg, count: cfg.Rise - 1}
}

// Config returns the configuration.
func (s *Script) Config() *model.TrackScript { return s.cfg }

// OK reports the judgement; known is false before the first result.
func (s *Script) OK() (ok, known bool) { return s.count >= s.cfg.Rise, s.known }

// Count returns the counter that Rise and Fall work on: 0..rise+fall-1, good from rise on.
func (s *Script) Count() int { return s.count }

// Running reports whether a run is under way, and whether it has been told to end.
func (s *Script) Running() (running, ending bool) { return s.running, !s.kill.IsZero() }

// Deadline returns when Expired is due; zero: never.
func (s *Script) Deadline() time.Time {
	d := s.next
	for _, t := range [...]time.Time{s.limit, s.kill} {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	return d
}

// Step appends to out what has to be done.
func (s *Script) Step(now time.Time, ev ScriptEvent, out []ScriptAction) []ScriptAction {
	switch ev.Kind {
	case Begin:
		if s.next.IsZero() {
			s.next = now
			out = s.expired(now, out)
		}
	case Expired:
		out = s.expired(now, out)
	case Exited, Unstarted, Probed, Unable:
		out = s.ran(now, ev, out)
	case Reloaded:
		out = s.reloaded(now, ev.Script, out)
	case End:
		s.next, s.ended = time.Time{}, true
		out = s.terminate(now, out)
	}
	return out
}

func (s *Script) line(format string, args ...any) string {
	if s.cfg.Check != nil {
		format = strings.Replace(format, "VRRP_Script", "VRRP_Check", 1)
	}
	return fmt.Sprintf(format, append([]any{s.cfg.Name}, args...)...)
}

// expired runs the script at a fixed rate, and ends runs that take too long.
func (s *Script) expired(now time.Time, out []ScriptAction) []ScriptAction {
	if due(now, s.next) {
		if s.next = s.next.Add(s.cfg.Interval); !s.next.After(now) {
			s.next = now.Add(s.cfg.Interval)
		}
		if s.running {
			out = append(out, ScriptAction{Kind: Say, Line: s.line(lineSkip)})
		} else {
			s.running, s.overdue, s.stale = true, false, false
			s.limit = now.Add(s.cfg.Timeout)
			out = append(out, ScriptAction{Kind: Run})
		}
	}
	if due(now, s.limit) {
		out = s.terminate(now, out)
		if !s.stale {
			s.overdue = true
			out = s.result(false, s.line(lineTimedOut), out)
		}
	}
	if due(now, s.kill) {
		s.kill = time.Time{}
		out = append(out, ScriptAction{Kind: Kill, Hard: true})
	}
	return out
}

func due(now, t time.Time) bool { return !t.IsZero() && !now.Before(t) }

// terminate ends the current run; a hung one is killed later.
func (s *Script) terminate(now time.Time, out []ScriptAction) []ScriptAction {
	s.limit = time.Time{}
	if !s.running || !s.kill.IsZero() {
		return out
	}
	s.kill = now.Add(killDelay)
	return append(out, ScriptAction{Kind: Kill})
}

// ran: the current run is over.
func (s *Script) ran(now time.Time, ev ScriptEvent, out []ScriptAction) []ScriptAction {
	if !s.running {
		return out
	}
	s.running, s.limit, s.kill = false, time.Time{}, time.Time{}
	if s.stale && !s.ended {
		s.next = now
		return s.expired(now, out)
	}
	if s.overdue || s.ended {
		return out
	}
	switch {
	case ev.Kind == Unable:
		return out
	case ev.Kind == Probed:
		return s.result(ev.OK, s.line(lineProbe, ev.Reason), out)
	case ev.Kind == Unstarted:
		return s.result(false, s.line(lineUnstarted), out)
	case ev.Signal != 0:
		return s.result(false, s.line(lineSignalled, ev.Signal), out)
	}
	if ev.Status != s.status {
		s.status = ev.Status
		out = append(out, ScriptAction{Kind: Say, Line: s.line(lineReturning, ev.Status)})
	}
	return s.result(ev.Status == 0, s.line(lineFailed, ev.Status), out)
}

// result counts a result: rise good ones in a row make it good, fall bad ones bad. The first decides alone.
func (s *Script) result(ok bool, failure string, out []ScriptAction) []ScriptAction {
	rise, first := s.cfg.Rise, !s.known
	was := s.count >= rise
	s.known = true
	switch {
	case ok && s.count >= rise-1:
		s.count = rise + s.cfg.Fall - 1
	case ok:
		s.count++
	case s.count > rise:
		s.count--
	default:
		s.count = 0
	}
	is := s.count >= rise
	if is == was && !first {
		return out
	}
	line := failure
	if is {
		line = s.line(lineSucceeded)
	}
	return append(out, ScriptAction{Kind: Say, Line: line},
		ScriptAction{Kind: Report, Fact: Fact{Kind: ScriptDone, Name: s.cfg.Name, OK: is}})
}

// reloaded keeps judgement and schedule of a script whose command is the same; another command begins anew.
//
// Differs from keepalived: a run under way is not ended.
func (s *Script) reloaded(now time.Time, cfg *model.TrackScript, out []ScriptAction) []ScriptAction {
	old := s.cfg
	s.cfg = cfg
	if !reflect.DeepEqual(program{old.Script, old.Check}, program{cfg.Script, cfg.Check}) {
		s.known, s.status, s.count = false, 0, cfg.Rise-1
		if s.running {
			s.stale, s.next = true, now.Add(cfg.Interval)
			return s.terminate(now, out)
		}
		s.next = now
		return s.expired(now, out)
	}
	if soon := now.Add(cfg.Interval); soon.Before(s.next) {
		s.next = soon
	}
	if !s.known {
		s.count = cfg.Rise - 1
		return out
	}
	line := lineKeptBad
	if s.count >= old.Rise {
		s.count, line = cfg.Rise+cfg.Fall-1, lineKeptGood
	} else {
		s.count = 0
	}
	return append(out, ScriptAction{Kind: Say, Line: s.line(line)})
}
