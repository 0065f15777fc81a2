// Package script runs the programs that the configuration names, and feeds the pipes that it names.
package script

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/guard"
)

const (
	// stopWait is how long Stop waits for tracked programs: keepalived's second, and its tenth for stragglers.
	stopWait = 1100 * time.Millisecond
	// maxWaiting bounds the programs that wait to be started; only a file system that hangs makes them more than a few.
	maxWaiting = 4096
)

// Errors of Start.
var (
	ErrStopped = errors.New("the script runner is stopped")
	ErrBusy    = errors.New("too many scripts wait to be started")
)

// Job is one run of a program.
type Job struct {
	ID      uint64 // the caller's; unique among the jobs without a result
	Script  model.Script
	Extra   []string // words after the configured ones
	Tracked bool     // Stop waits for it, and kills it when it does not end
}

// Result is the end of a job.
type Result struct {
	ID     uint64
	Exit   int            // exit status 0..255; -1: none, see Signal and Err
	Signal syscall.Signal // the signal that ended the program; 0: none
	Err    error          // why the program could not be started
}

// Options of a Runner.
type Options struct {
	Log *slog.Logger
	// HideEnv names variables that no program gets, besides IFS, LD_PRELOAD and LD_LIBRARY_PATH.
	HideEnv []string
	// Report takes the result of every job that Start accepted and that ended before Stop did. It is called on goroutines of the
	// runner, and must not block.
	Report func(Result)
}

// Runner starts programs in the order of Start and reports how they end. They run concurrently: none is waited for.
//
// Each gets its own process group, the user, group and supplementary groups of its model.Script, /dev/null as standard
// descriptors and no others, the directory of the daemon (/, unless it is in the foreground), normal scheduling, default signal actions, the environment of the daemon
// minus a few variables, and SIGTERM when the daemon dies.
//
// A guarded script (enable_script_security) is checked anew each time, on the object that is then executed: it does not start if others
// than root could have altered it.
//
// A first word "</path" is not a program: the job succeeds if its user can open /path for reading.
type Runner struct {
	log    *slog.Logger
	env    []string
	null   *os.File
	report func(Result)

	reaping sync.Mutex // held until what was reaped is reported
	mu      sync.Mutex
	changed sync.Cond // of everything below
	jobs    map[uint64]*job
	waiting []*job
	stage   stage
	late    bool // Stop has waited long enough

	checked func() // tests: called between the checks of a program and its start

	sigchld chan os.Signal // capacity 1: some child may have ended
	ended   chan struct{}  // closed at the end of Stop
}

type job struct {
	Job
	pid  int            // 0: not started
	kill syscall.Signal // to be sent once it has started
}

type stage uint8

const (
	open     stage = iota
	stopping       // no new jobs
	stopped        // the starter's thread ends, which sends SIGTERM to what still runs
)

// Open starts a runner. It marks every descriptor from 3 up that the process has inherited as close-on-exec, so that no
// program gets one.
func Open(opt Options) (*Runner, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start script runner: %w", err)
	}
	if err := closeOnExec(); err != nil {
		null.Close()
		return nil, fmt.Errorf("mark descriptors close-on-exec: %w", err)
	}
	r := &Runner{
		log:     opt.Log,
		env:     environment(os.Environ(), opt.HideEnv),
		null:    null,
		report:  opt.Report,
		checked: func() {},
		jobs:    map[uint64]*job{},
		sigchld: make(chan os.Signal, 1),
		ended:   make(chan struct{}),
	}
	r.changed.L = &r.mu
	signal.Notify(r.sigchld, unix.SIGCHLD)
	catchIgnored()
	locked := make(chan struct{})
	go r.startAll(locked)
	<-locked
	go r.reapAll()
	return r, nil
}

// Start has j run as soon as all jobs before it have been started. It never blocks.
func (r *Runner) Start(j Job) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stage != open:
		return ErrStopped
	case len(r.waiting) >= maxWaiting:
		return ErrBusy
	case len(j.Script.Args) == 0:
		return errors.New("start script: no program named")
	case r.jobs[j.ID] != nil:
		return fmt.Errorf("start script: job %d runs already", j.ID)
	}
	n := &job{Job: j}
	r.jobs[j.ID] = n
	r.waiting = append(r.waiting, n)
	r.changed.Broadcast()
	return nil
}

// Kill sends sig to the process group of job id. A job that has not been started yet is not started then, and its result is
// that signal. It does nothing when the job has ended.
func (r *Runner) Kill(id uint64, sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch j := r.jobs[id]; {
	case j == nil:
	case j.pid == 0:
		j.kill = sig
	default:
		j.signal(sig)
	}
}

// Stop refuses new jobs, starts those accepted before, waits up to 1.1 s for the tracked ones to end, and kills the process
// groups of those that do not. Other programs get SIGTERM. Nothing is reported after Stop.
func (r *Runner) Stop() {
	r.mu.Lock()
	if r.stage != open {
		r.mu.Unlock()
		return
	}
	r.stage = stopping
	timer := time.AfterFunc(stopWait, func() {
		r.mu.Lock()
		r.late = true
		r.changed.Broadcast()
		r.mu.Unlock()
	})
	defer timer.Stop()
	for !r.late && r.anyPending() {
		r.changed.Wait()
	}
	for _, j := range r.jobs {
		if j.Tracked && j.pid != 0 {
			r.log.Info("killing script that does not end", "script", j.Script.Args[0])
			j.signal(unix.SIGKILL)
		}
	}
	r.stage = stopped
	r.changed.Broadcast()
	r.mu.Unlock()
	signal.Stop(r.sigchld)
	close(r.ended)
}

// Reap collects the programs that have ended by now. When it returns, Report has been called for each of them: who finds that a
// program is late asks first, since the daemon itself may have been stopped meanwhile.
func (r *Runner) Reap() {
	r.reaping.Lock()
	defer r.reaping.Unlock()
	for r.reapOne() {
	}
}

// anyPending reports whether Stop has something to wait for: a program not yet started, or a tracked one.
func (r *Runner) anyPending() bool {
	for _, j := range r.jobs {
		if j.pid == 0 || j.Tracked {
			return true
		}
	}
	return false
}

// signal is called with the lock held: a process is reaped under it too, so its number cannot be another's.
func (j *job) signal(sig syscall.Signal) { _ = unix.Kill(-j.pid, sig) }

// startAll starts programs until the runner is stopped. All come from one thread that lives until then, because the kernel
// sends the parent-death signal when the thread ends that started the child. It closes locked when that thread is found.
func (r *Runner) startAll(locked chan<- struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() { // the main thread does not end with its goroutine
		other := make(chan struct{})
		go r.startAll(other)
		<-other
		runtime.UnlockOSThread()
		close(locked)
		return
	}
	if err := normal(); err != nil {
		r.log.Warn("scripts run at the priority of the daemon", "err", err)
	}
	close(locked)
	defer r.null.Close()

	for {
		j := r.next()
		if j == nil {
			return
		}
		_ = normal() // max_auto_priority may have raised all threads
		pid, err := r.exec(j.Job)
		r.mu.Lock()
		if err != nil {
			r.end(j, Result{Exit: -1, Err: fmt.Errorf("start script %q: %w", j.Script.Args[0], err)})
			continue
		}
		j.pid = pid
		if j.kill != 0 {
			j.signal(j.kill)
		}
		r.mu.Unlock()
		select { // it may have ended before the reaper knew it
		case r.sigchld <- unix.SIGCHLD:
		default:
		}
	}
}

// normal makes the thread's scheduling that of an ordinary process, which its children inherit.
func normal() error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
}

// next waits for a job to be started; nil: the runner has stopped.
func (r *Runner) next() *job {
	for {
		r.mu.Lock()
		for len(r.waiting) == 0 && r.stage != stopped {
			r.changed.Wait()
		}
		if r.stage == stopped {
			r.mu.Unlock()
			return nil
		}
		j := r.waiting[0]
		r.waiting = slices.Delete(r.waiting, 0, 1)
		if j.kill == 0 {
			r.mu.Unlock()
			return j
		}
		r.end(j, Result{Exit: -1, Signal: j.kill})
	}
}

// end forgets j and reports res. It is called with the lock held, and releases it.
func (r *Runner) end(j *job, res Result) {
	res.ID = j.ID
	delete(r.jobs, j.ID)
	tell := r.stage != stopped
	r.changed.Broadcast()
	r.mu.Unlock()
	if tell {
		r.report(res)
	}
}

// reapAll collects the children of this runner, and only those.
func (r *Runner) reapAll() {
	for {
		select {
		case <-r.sigchld:
		case <-r.ended:
			return
		}
		r.Reap()
	}
}

func (r *Runner) reapOne() bool {
	r.mu.Lock()
	for _, j := range r.jobs {
		if j.pid == 0 {
			continue
		}
		var status unix.WaitStatus
		pid, err := unix.Wait4(j.pid, &status, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR || err == nil && pid == 0:
			continue
		case err != nil:
			r.end(j, Result{Exit: -1, Err: fmt.Errorf("wait for script %q: %w", j.Script.Args[0], err)})
		case status.Signaled():
			r.end(j, Result{Exit: -1, Signal: syscall.Signal(status.Signal())})
		default:
			r.end(j, Result{Exit: status.ExitStatus()})
		}
		return true
	}
	r.mu.Unlock()
	return false
}

// exec starts j's program and returns its process number.
func (r *Runner) exec(j Job) (int, error) {
	args := slices.Concat(j.Script.Args, j.Extra)
	if path, ok := strings.CutPrefix(args[0], "<"); ok {
		args = []string{"/bin/sh", "-c", `: <"$0"`, strings.TrimSpace(path)}
	}
	fd := r.null.Fd()
	attr := &syscall.ProcAttr{
		Env:   r.env,
		Files: []uintptr{fd, fd, fd},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM, Credential: credential(&j.Script)},
	}
	path := args[0]
	if j.Script.Guarded {
		p, err := guard.Open(path)
		if err != nil {
			return 0, err
		}
		defer p.Close()
		path = p.Path()
	}
	r.checked()
	pid, err := syscall.ForkExec(path, args, attr)
	if err == unix.ENOEXEC { // a script without #!
		pid, err = syscall.ForkExec("/bin/sh", append([]string{"/bin/sh"}, args...), attr)
	}
	return pid, err
}

// credential is nil when an unprivileged daemon runs a script as itself, which needs no change and may make none.
func credential(s *model.Script) *syscall.Credential {
	if uid := os.Geteuid(); uid != 0 && int(s.UID) == uid && int(s.GID) == os.Getegid() {
		return nil
	}
	return &syscall.Credential{Uid: s.UID, Gid: s.GID, Groups: s.Groups}
}

// environment is what programs get of env.
func environment(env, hide []string) []string {
	hide = append([]string{"IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"}, hide...)
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(hide, name)
	})
}

// catchIgnored gives every signal that this process ignores (nohup, a background job of a shell) a handler that does nothing: an
// ignored signal would be ignored by the programs too, a handled one has its default action in them.
func catchIgnored() {
	nobody := make(chan os.Signal, 1)
	for s := syscall.Signal(1); s < 32; s++ {
		if signal.Ignored(s) {
			signal.Notify(nobody, s)
		}
	}
}

// closeOnExec marks all descriptors but the standard ones.
func closeOnExec() error {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	list, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return err
	}
	for _, e := range list {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
