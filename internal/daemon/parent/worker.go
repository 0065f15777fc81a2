package parent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// worker is a running worker.
type worker struct {
	cmd     *exec.Cmd
	conn    *link.Conn
	started time.Time
	ready   bool
	silent  int  // ticks since the last message
	aborted bool // for being silent
}

func (w *worker) pid() int { return w.cmd.Process.Pid }

// spawn starts a worker with the configuration in force. One that cannot be started counts as one that died.
func (p *Parent) spawn() {
	w, err := p.startWorker()
	if err != nil {
		if p.released && !p.o.NoRespawn {
			p.log.Error("Cannot start the worker", "err", err)
			p.delayRestart(0)
			return
		}
		if p.namespace != "" {
			p.log.Error(fmt.Sprintf("Unable to set network namespace %s - exiting", p.namespace), "err", err)
		} else {
			p.log.Error("Cannot start the worker", "err", err)
		}
		p.exit(ExitFatal)
		return
	}
	p.worker = w
	p.setRoles(w.pid())
	for _, s := range p.roles() {
		p.log.Info(fmt.Sprintf("Starting %s child process, pid=%d", s, w.pid()))
	}
	p.o.Log.Flush()
	go func() {
		for {
			m, err := w.conn.Receive()
			if err != nil {
				p.post(event{worker: w, lost: err})
				return
			}
			p.post(event{worker: w, message: &m})
		}
	}()
	flags := p.flags
	flags.Respawned, flags.Stale = p.bereaved, p.stale
	if err := w.conn.Send(link.Message{Kind: link.Load, Flags: flags, Model: p.encoded}); err != nil {
		p.log.Error("Cannot send the configuration to the worker", "err", err) // its link is closed: it will exit
	}
	go func() {
		w.cmd.Wait()
		w.conn.Close()
		p.post(event{worker: w, exited: true})
	}()
}

func (p *Parent) startWorker() (*worker, error) {
	conn, theirs, err := link.Pair()
	if err != nil {
		return nil, err
	}
	cmd := p.role(context.Background(), RoleWorker)
	cmd.ExtraFiles = []*os.File{theirs}
	if p.o.Detached {
		cmd.Dir = "/"
		cmd.Stderr = &crashLog{log: p.log} // what the Go runtime says about a crash
		cmd.WaitDelay = time.Second
	} else {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	}
	sched := p.process.Sched(p.flags.VRRP)
	err = shape{p.namespace, sched, p.log}.start(cmd)
	theirs.Close()
	if err != nil {
		conn.Close()
		return nil, err
	}
	p.limit(cmd.Process.Pid, sched)
	return &worker{cmd: cmd, conn: conn, started: time.Now()}, nil
}

// minRealtime is the least limit of processor time that a worker gets. The kernel counts what a thread uses without ever waiting, and a
// garbage collection does that: a limit of keepalived's 10 ms would kill a worker that is well.
const minRealtime = 500 * time.Millisecond

// limit bounds the processor time that a worker which has just started may use without a wait; it binds real-time threads only.
//
// Differs from keepalived: without *_rlimit_rttime there is no limit of the former, instead of 10 ms, and 0.5 s is the least; a worker that
// does not turn is noticed by its silence.
func (p *Parent) limit(pid int, s model.Scheduling) {
	if s.RLimitRT > 0 {
		us := uint64(max(s.RLimitRT, minRealtime) / time.Microsecond)
		if err := unix.Prlimit(pid, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: us, Max: us}, nil); err != nil {
			p.log.Warn("Cannot limit processor time", "err", err)
		}
	}
}

// roles returns the names of the subsystems that the worker runs.
func (p *Parent) roles() []string {
	var names []string
	for _, s := range subsystems {
		if s.on(p.flags) {
			names = append(names, s.name)
		}
	}
	if names == nil {
		names = []string{"Worker"}
	}
	return names
}

// watch is called at every tick and ends a worker whose loop does not turn.
func (p *Parent) watch() {
	w := p.worker
	if w == nil || p.stopping {
		return
	}
	// Ticks are counted, not time: a machine that slept does not blame its worker.
	w.silent++
	limit := stallTicks
	if !w.ready {
		limit = startTicks
	}
	switch {
	case w.silent == limit && !w.aborted:
		p.log.Log(context.Background(), logging.LevelAlert,
			fmt.Sprintf("Worker process(%d) has been stalled for %d seconds: aborting it", w.pid(), limit))
		w.aborted = true
		w.silent = 0
		w.cmd.Process.Signal(syscall.SIGABRT)
	case w.aborted && w.silent == abortTicks:
		w.cmd.Process.Kill()
	}
}

// died decides what follows the end of the worker.
func (p *Parent) died() {
	w := p.worker
	p.worker, p.killAt = nil, nil
	p.setRoles(0)
	if p.stopping {
		if len(p.stale) > 0 { // it was stopped before it could remove what an earlier one has left
			p.clean(true)
		}
		return
	}
	st := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if st.Signaled() {
		hint := ""
		if st.Signal() == syscall.SIGKILL || st.Signal() == syscall.SIGXCPU {
			hint = " - has rlimit_rttime been exceeded?"
		}
		p.log.Info(fmt.Sprintf("pid %d exited due to signal %d (%s)%s", w.pid(), st.Signal(), signalText(st.Signal()), hint))
	}
	if name, errno, ok := permanent(st); ok {
		p.log.Info(fmt.Sprintf("pid %d exited with permanent error %s. Terminating", w.pid(), name))
		if errno != 0 {
			notify(fmt.Sprintf("ERRNO=%d", errno))
		}
		if w.ready {
			p.bereaved = true
			p.bury()
			p.clean(true)
		}
		p.exit(st.ExitStatus())
		return
	}
	p.bereaved = true
	p.bury()
	what := "Respawning"
	if p.o.NoRespawn {
		what = "Exiting"
	}
	for _, s := range p.roles() {
		p.log.Log(context.Background(), logging.LevelAlert, fmt.Sprintf("%s child process(%d) died: %s", s, w.pid(), what))
	}
	if p.o.NoRespawn {
		p.clean(true)
		p.exit(ExitFatal)
		return
	}
	for _, line := range pleaseReport {
		p.log.Info(line)
	}
	if p.pending != nil {
		p.reloadFailed("the worker died of it")
	}
	p.release()
	if p.delayRestart(time.Since(w.started)) > 0 {
		p.clean(false)
	}
}

// cleanPatience bounds clean. It is less than the shortest delay of a restart, whose worker may own again what is removed here.
const cleanPatience = 900 * time.Millisecond

// bury notes what the worker that died may have left. The next worker removes it, or clean does.
func (p *Parent) bury() {
	if p.stale == nil {
		p.stale = map[string]model.Objects{}
	}
	for _, encoded := range []link.Encoded{p.encoded, p.pendingModel()} {
		m, err := encoded.Decode()
		if err != nil {
			continue // none
		}
		add := func(namespace string, o model.Objects) {
			all := p.stale[namespace]
			if all.Add(o); !all.Empty() {
				p.stale[namespace] = all
			}
		}
		for i := range m.VRRP.Instances {
			add(m.VRRP.Instances[i].NetNamespace, m.VRRP.Instances[i].Objects())
		}
		add("", m.VRRP.Statics)
	}
}

func (p *Parent) pendingModel() link.Encoded {
	if p.pending == nil {
		return nil
	}
	return p.pending.encoded
}

// clean removes what a worker that died has left, now that none is there that would: a peer has taken over its addresses by now.
// At the end of the daemon the IPVS table goes too.
//
// Differs from keepalived: it leaves everything to the next start, up to a minute later or never.
func (p *Parent) clean(end bool) {
	if p.flags.KeepVRRP {
		p.stale = nil
	}
	if len(p.stale) == 0 && !(end && p.bereaved && p.flags.Checkers) {
		return
	}
	w, err := p.startWorker()
	if err != nil {
		p.log.Error("Cannot remove what the worker has left", "err", err)
		return
	}
	kill := time.AfterFunc(cleanPatience, func() { w.cmd.Process.Kill() })
	defer kill.Stop()
	f := p.flags
	f.Clean, f.Stale, f.Checkers = true, p.stale, f.Checkers && end
	if err := w.conn.Send(link.Message{Kind: link.Load, Flags: f, Model: p.encoded}); err != nil {
		p.log.Error("Cannot remove what the worker has left", "err", err)
	}
	if err := w.cmd.Wait(); err == nil {
		p.stale = nil
	}
	w.conn.Close()
}

var pleaseReport = []string{
	"  Please log an issue at https://github.com/keepalived-go/keepalived-go/issues/",
	"  and include a full copy of your keepalived configuration files, and",
	"  copies of the keepalived system log entries around the time this happened",
}

func (p *Parent) delayRestart(ran time.Duration) time.Duration {
	d := p.respawn.delay(ran)
	for _, s := range p.roles() {
		p.log.Info(fmt.Sprintf("Restart of %s process delayed %d seconds to limit respawn rate", s, d/time.Second))
	}
	p.restart = time.After(d)
	return d
}

// permanent says whether a worker that ended like this would end so again, and what to call that.
func permanent(st syscall.WaitStatus) (name string, errno syscall.Errno, ok bool) {
	if !st.Exited() {
		return "", 0, false
	}
	switch st.ExitStatus() {
	case ExitFatal:
		return "FATAL", 0, true
	case ExitConfig:
		return "CONFIG", syscall.EINVAL, true
	case ExitPermission:
		return "MISSING PERMISSION", syscall.EPERM, true
	}
	return "", 0, false
}

// signalText returns the C library's description of s.
func signalText(s syscall.Signal) string {
	t := s.String()
	return strings.ToUpper(t[:1]) + t[1:]
}

// crashLog logs what a worker without a terminal writes to standard error.
type crashLog struct {
	log  *slog.Logger
	rest string
	n    int
}

const maxCrashLines = 500

func (c *crashLog) Write(b []byte) (int, error) {
	c.rest += string(b)
	for {
		line, rest, ok := strings.Cut(c.rest, "\n")
		if !ok {
			if len(c.rest) > 4096 {
				c.rest = ""
			}
			return len(b), nil
		}
		c.rest = rest
		if c.n++; c.n <= maxCrashLines {
			c.log.Error("worker: " + line)
		}
	}
}
