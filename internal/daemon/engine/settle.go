package engine

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/daemon/status"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/process"
)

// settle gives the worker the name of what it does and keeps it in memory. Its place among the processes it has from the parent.
func settle(log *slog.Logger, p *model.Process, f link.Flags) {
	name, sched := p.Names.BFD, p.Sched(f.VRRP)
	switch {
	case f.VRRP:
		name = p.Names.VRRP
	case f.Checkers:
		name = p.Names.Checker
	}
	if err := process.Rename(name); err != nil {
		log.Warn(err.Error())
	}
	if sched.NoSwap {
		if err := process.KeepInMemory(); err != nil {
			log.Warn(err.Error())
		}
	}
}

// lateness raises the worker's real-time priority, one step at a time, while its timers are late: max_auto_priority.
type lateness struct {
	log      *slog.Logger
	priority int
	max      int
	limit    time.Duration
	set      func(priority int) error
}

func newLateness(log *slog.Logger, p *model.Process, sched model.Scheduling) *lateness {
	return &lateness{log: log, priority: sched.RTPriority, max: p.MaxAutoPriority, limit: p.AutoPriorityDelay, set: process.Realtime}
}

// timer is told how late a deadline was met.
func (l *lateness) timer(late time.Duration) {
	if late < l.limit || l.limit == 0 {
		return
	}
	l.log.Info(fmt.Sprintf("A thread timer expired %d.%06d seconds ago", late/time.Second, late%time.Second/time.Microsecond))
	if l.priority >= l.max {
		return
	}
	if err := l.set(l.priority + 1); err != nil {
		l.log.Warn(err.Error())
		l.max = 0 // it will not be otherwise next time
		return
	}
	l.priority++
	l.log.Info(fmt.Sprintf("Set realtime priority %d", l.priority))
}

// save writes the state dump before and after a reload into config_save_dir, as keepalived_vrrp.PID.N.pre and .post.
func (e *engine) save(now time.Time, when string, n int) {
	dir := e.model.Process.ConfigSaveDir
	if dir == "" || e.vrrp == nil {
		return
	}
	s := e.snapshot(now)
	path := filepath.Join(dir, fmt.Sprintf("keepalived_vrrp.%d.%d.%s", os.Getpid(), n, when))
	e.control.write([]file{{path, 0o600, status.WriteData}}, s)
}

// logConfig is -d: the state dump, line by line in the log.
func (e *engine) logConfig(now time.Time) {
	if !e.flags.DumpConf {
		return
	}
	s := e.snapshot(now)
	for _, d := range []struct {
		on     bool
		role   logging.Role
		render func(io.Writer, *status.Snapshot) error
	}{
		{true, logging.Parent, status.WriteGlobal},
		{e.vrrp != nil, logging.VRRP, status.WriteData},
		{e.checkers != nil, logging.Checkers, status.WriteCheckData},
	} {
		if d.on {
			_ = d.render(&lines{log: e.Log.Role(d.role)}, s) // a log does not fail
		}
	}
}

// lines logs what is written to it, line by line.
type lines struct {
	log  *slog.Logger
	rest []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		l.log.Info(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
}
