// Package parent is the process that users see: it reads the configuration through a loader, runs the worker and restarts it,
// takes signals, keeps the pid files and talks to systemd. It holds no protocol state, so it has nothing to lose.
package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/process"
)

// RoleVariable is the environment variable that tells a re-executed copy of the binary what it is. Every role reads it, removes
// it from its environment and sees the same arguments as the first process.
const RoleVariable = "KEEPALIVED_GO_ROLE"

// InternalEnv names the environment variables that are between the processes of the daemon, or between it and systemd: scripts do not
// see them.
var InternalEnv = []string{RoleVariable, "GOTRACEBACK", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}

// Values of RoleVariable. Without it the process is what the user started.
const (
	RoleDetached = "parent" // the parent after it left its terminal; its ready pipe is descriptor 3
	RoleLoader   = "loader" // writes the model to ModelFD, diagnostics to standard output; its exit code is the verdict
	RoleWorker   = "worker" // finds its end of the link at LinkFD
)

// Exit codes of the daemon.
const (
	ExitOK         = 0
	ExitFatal      = 1
	ExitConfig     = 2 // the configuration is refused
	ExitPermission = 4
	ExitNoConfig   = 6 // there is no usable configuration file
)

// PIDFiles are paths that the command line gave instead of the default ones; empty: the default.
type PIDFiles struct {
	Parent   string // -p
	VRRP     string // -r
	Checkers string // -c
	BFD      string // -b
}

// Options is what the command line says.
type Options struct {
	Args       []string // the command line, Args[0] included: every role is started with the same
	Executable string   // the binary to re-execute; empty: /proc/self/exe, which is ours even after an upgrade
	Detached   bool     // this process is RoleDetached; otherwise it stays in the foreground
	Version    string   // "v2.4.3 (08/13,2026)"
	Revision   string   // of our own

	Log *logging.Log

	Flags     link.Flags // VRRP, Checkers and BFD say here what may run
	All       bool       // --all: run these even without configuration
	NoRespawn bool       // -R
	PIDFiles  PIDFiles
	Namespace string   // -s
	Umask     int      // -u; -1: not given
	RunDir    string   // empty: /run
	NoMeaning []string // options that were given and do nothing here; said once

	tick time.Duration // tests: instead of a second
}

const (
	tickInterval = time.Second
	stallTicks   = 10 // silent ticks of a worker before it is aborted
	startTicks   = 30 // the same before its first Ready
	abortTicks   = 5  // between abort and kill

	defaultUmask     = 0o177
	defaultChildWait = 5 * time.Second
)

// Parent is the state of Run; everything but load and runScript happens on Run's goroutine.
type Parent struct {
	o   Options
	log *slog.Logger
	dir string // the working directory at start

	events  chan event
	over    chan struct{}   // closed when Run returns
	ctx     context.Context // of loaders and scripts
	cancel  context.CancelFunc
	running int // loaders and scripts

	namespace string
	process   model.Process
	encoded   link.Encoded // the configuration in force
	flags     link.Flags
	own       *pidFile
	roleFiles map[*subsystem]*pidFile

	worker   *worker
	respawn  respawn
	restart  <-chan time.Time
	killAt   <-chan time.Time
	complete bool                     // a worker has been ready
	bereaved bool                     // a worker has died
	stale    map[string]model.Objects // what those that died may have left, by network namespace
	started  bool                     // past the startup script
	released bool                     // the process that waits for a daemon was told

	loads     int        // reloads so far
	schedule  reloadTime // reload_time_file
	mark      string     // reload_file while there is one
	reloading bool
	again     bool    // another reload was asked for meanwhile
	pending   *loaded // sent to the worker, not yet acknowledged

	tidy     *time.Timer // clears away what the last configuration left behind
	stopping bool
	idle     bool // nothing was done, since another daemon runs
	quit     bool
	code     int
}

// event is something that a goroutine reports to Run; one field is set, besides worker.
type event struct {
	worker  *worker
	message *link.Message
	lost    error // the link of worker ended
	exited  bool  // worker ended
	loaded  *loaded
	script  bool // the startup script ended
}

// subsystem is a part of the worker that was a process of its own in keepalived, and still is in its pid file and in the log.
type subsystem struct {
	name string // in log lines
	file string // of the default pid file
	on   func(link.Flags) bool
	path func(PIDFiles) string
}

var subsystems = []*subsystem{
	{"Healthcheck", "checkers", func(f link.Flags) bool { return f.Checkers }, func(p PIDFiles) string { return p.Checkers }},
	{"VRRP", "vrrp", func(f link.Flags) bool { return f.VRRP }, func(p PIDFiles) string { return p.VRRP }},
	{"BFD", "bfd", func(f link.Flags) bool { return f.BFD }, func(p PIDFiles) string { return p.BFD }},
}

// Run is the daemon's parent from start to stop. It returns the exit code.
func Run(o Options) int {
	// A panic, or the SIGABRT of systemd's watchdog, ends the process by that signal: exit code 2 would say that the configuration is refused,
	// and nobody would start us again.
	debug.SetTraceback("crash")
	o.Executable = cmp.Or(o.Executable, "/proc/self/exe")
	o.RunDir = cmp.Or(o.RunDir, "/run")
	p := &Parent{o: o, log: o.Log.Role(logging.Parent), events: make(chan event), over: make(chan struct{}),
		roleFiles: map[*subsystem]*pidFile{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	defer p.cancel()
	defer close(p.over)
	p.dir, _ = os.Getwd()
	if o.Detached {
		syscall.CloseOnExec(readyFD)
	}

	signals := make(chan os.Signal, 16)
	signal.Notify(signals, caught...)
	defer signal.Stop(signals)
	unix.Umask(p.umask(&model.Process{Umask: -1}))

	p.banner()
	p.background(func() event { l := p.load(p.ctx); return event{loaded: &l} })
	watchdog := watchdogAsked()
	tick := time.NewTicker(cmp.Or(o.tick, tickInterval))
	defer tick.Stop()
	for !p.quit {
		select {
		case e := <-p.events:
			p.handle(e)
		case s := <-signals:
			p.signal(s)
		case <-tick.C:
			if watchdog {
				notifyAlive()
			}
			p.watch()
			p.lookAtClock(time.Now())
		case <-p.restart:
			p.restart = nil
			p.spawn()
		case <-p.killAt:
			p.killAt = nil
			p.log.Info(fmt.Sprintf("Worker process(%d) did not stop in time: killing it", p.worker.pid()))
			p.worker.cmd.Process.Kill()
		}
		if p.stopping && p.worker == nil && p.running == 0 {
			p.quit = true
		}
	}
	p.finish()
	return p.code
}

// background runs f, which reports with its event.
func (p *Parent) background(f func() event) {
	p.running++
	go func() { p.post(f()) }()
}

func (p *Parent) post(e event) {
	select {
	case p.events <- e:
	case <-p.over:
	}
}

func (p *Parent) handle(e event) {
	switch {
	case e.loaded != nil:
		p.running--
		for _, line := range e.loaded.lines {
			p.log.Info(line)
		}
		switch {
		case p.stopping:
		case p.started:
			p.reloadWith(e.loaded)
		default:
			p.start(e.loaded)
		}
	case e.script:
		p.running--
		if !p.stopping {
			p.started = true
			p.spawn()
		}
	case e.worker != p.worker: // of one that is gone
	case e.message != nil:
		p.receive(*e.message)
	case e.lost != nil:
		// A worker without a link cannot be told anything; it stops by itself, and is replaced when it has.
		if !errors.Is(e.lost, io.EOF) && !errors.Is(e.lost, net.ErrClosed) {
			p.log.Error(fmt.Sprintf("Link to worker process(%d) failed", p.worker.pid()), "err", e.lost)
			p.worker.conn.Close()
		}
		if p.killAt == nil {
			p.killAt = time.After(p.childWait())
		}
	case e.exited:
		p.died()
	}
}

// start goes on with the first configuration: pid files, the startup script, the worker.
func (p *Parent) start(l *loaded) {
	if l.head == nil {
		if l.err != nil {
			p.log.Error("Cannot read the configuration", "err", l.err)
			l.code = ExitFatal
		} else if l.code != ExitNoConfig {
			l.code = ExitConfig
		}
		p.exit(l.code)
		return
	}
	p.adopt(l)
	p.namespace = cmp.Or(p.o.Namespace, p.process.NetNamespace)
	p.flags.Namespace = p.namespace
	if err := process.Rename(p.process.Names.Parent); err != nil {
		p.log.Warn(err.Error())
	}
	if p.namespace != "" || p.process.Instance != "" {
		p.log.Info("Changing syslog ident to " + logging.Ident(logging.Parent, p.namespace, p.process.Instance))
		p.o.Log.Rename(p.namespace, p.process.Instance)
	}

	var err error
	if p.own, err = p.lock(p.o.PIDFiles.Parent, "keepalived"); err == nil {
		err = p.own.set(os.Getpid())
	}
	if err == nil {
		err = p.lockRoles()
	}
	if errors.Is(err, errLocked) {
		p.log.Info("daemon is already running")
		p.idle = true
		p.exit(ExitOK)
		return
	}
	if err != nil {
		p.log.Error("Cannot create pid file", "err", err)
		p.exit(ExitFatal)
		return
	}
	if !anyRole(p.flags) {
		p.log.Info("Warning - keepalived has no configuration to run")
	}
	p.background(func() event {
		if s := p.process.StartupScript; s != nil {
			p.runScript("startup", s, p.process.StartupScriptTimeout, p.ctx.Done())
		}
		return event{script: true}
	})
}

// adopt makes l the configuration in force.
func (p *Parent) adopt(l *loaded) {
	p.process, p.encoded = l.head.Process, l.encoded
	p.flags = p.wanted(l.head)
	unix.Umask(p.flags.Umask)
	if len(l.encoded) > 1<<20 {
		go debug.FreeOSMemory() // what the transfer took
	}
}

// umask is the one in force with a configuration: that of the command line, else that of the configuration, else keepalived's.
func (p *Parent) umask(c *model.Process) int {
	switch {
	case p.o.Umask >= 0:
		return p.o.Umask
	case c.Umask >= 0:
		return c.Umask
	}
	return defaultUmask
}

// wanted returns the flags for a worker with a model. A subsystem that runs is not stopped by a reload that empties it.
func (p *Parent) wanted(m *link.Head) link.Flags {
	f := p.o.Flags
	f.VRRP = f.VRRP && (p.o.All || p.flags.VRRP || m.VRRP)
	f.Checkers = f.Checkers && (p.o.All || p.flags.Checkers || m.Checkers)
	f.BFD = f.BFD && (p.o.All || p.flags.BFD)
	f.Namespace = p.namespace
	f.TempDir = TempDir()
	f.Umask = p.umask(&m.Process)
	f.Loads = p.loads
	return f
}

func anyRole(f link.Flags) bool { return f.VRRP || f.Checkers || f.BFD }

// lock takes a pid file at the path that the command line gave, or else at the default one.
func (p *Parent) lock(path, name string) (*pidFile, error) {
	if path == "" {
		path = defaultPIDFile(p.o.RunDir, name, p.namespace, p.process.Instance, p.process.UsePIDDir)
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	f, err := lockPIDFile(path)
	if errors.Is(err, errLocked) {
		p.log.Info(fmt.Sprintf("Another process has pid file %s locked", path))
	}
	return f, err
}

// defaultPIDFile returns the path of a pid file. keepalived mounts RUN/keepalived/NAMESPACE over RUN/keepalived for itself; seen
// from outside its files are where ours are.
func defaultPIDFile(run, name, namespace, instance string, dir bool) string {
	if dir || namespace != "" || instance != "" {
		run = filepath.Join(run, "keepalived", namespace)
	}
	if instance != "" {
		name += "_" + instance
	}
	return filepath.Join(run, name+".pid")
}

// lockRoles takes the pid files of the subsystems that run and have none yet.
func (p *Parent) lockRoles() error {
	for _, s := range subsystems {
		if !s.on(p.flags) || p.roleFiles[s] != nil {
			continue
		}
		f, err := p.lock(s.path(p.o.PIDFiles), s.file)
		if err != nil {
			return err
		}
		p.roleFiles[s] = f
	}
	return nil
}

func (p *Parent) setRoles(pid int) {
	for _, f := range p.roleFiles {
		if err := f.set(pid); err != nil {
			p.log.Error("Cannot write pid file", "err", err)
		}
	}
}

func (p *Parent) receive(m link.Message) {
	p.worker.silent = 0
	switch m.Kind {
	case link.Ready:
		p.worker.ready = true
		p.stale = nil
		if anyRole(p.flags) && !p.complete {
			p.log.Info("Startup complete")
		}
		p.complete = true
		p.tidyLater()
		p.release()
		notifyReady("Running")
		p.reloadAgain()
	case link.Reloaded:
		if p.pending != nil {
			p.commit(p.pending)
		}
	case link.Refused:
		if p.pending != nil {
			p.reloadFailed(m.Text)
		}
	case link.ReloadRequested:
		p.reload()
	case link.Fatal:
		notify("STATUS=" + oneLine(m.Text))
	}
}

func (p *Parent) signal(s os.Signal) {
	switch s {
	case syscall.SIGPIPE:
	case syscall.SIGTERM:
		p.stop()
	case syscall.SIGINT:
		if !p.o.Flags.IgnoreInterrupt {
			p.stop()
		}
	case syscall.SIGHUP:
		p.reload()
	default:
		if p.worker == nil || p.stopping {
			return
		}
		if err := p.worker.conn.TrySend(link.Message{Kind: link.Dump, Dump: dumps[s]}); err != nil {
			p.log.Error("Cannot ask the worker for a status file", "err", err)
		}
	}
}

// stop begins the end of the daemon.
func (p *Parent) stop() {
	if p.stopping {
		return
	}
	p.stopping = true
	notify("STOPPING=1\nSTATUS=Stopping")
	p.log.Info("Stopping")
	p.o.Log.Flush()
	p.restart = nil
	p.unmark()
	p.cancel()
	if p.worker == nil {
		p.clean(true)
		return
	}
	if err := p.worker.conn.TrySend(link.Message{Kind: link.Stop}); err != nil {
		p.worker.cmd.Process.Signal(syscall.SIGTERM)
	}
	p.killAt = time.After(p.childWait())
}

func (p *Parent) childWait() time.Duration { return cmp.Or(p.process.ChildWaitTime, defaultChildWait) }

// exit ends Run with this code as soon as nothing runs any more.
func (p *Parent) exit(code int) {
	p.stopping, p.code = true, code
	p.cancel()
}

// finish does what is left when no child runs any more.
func (p *Parent) finish() {
	if s := p.process.ShutdownScript; s != nil && p.started {
		p.runScript("shutdown", s, p.process.ShutdownScriptTimeout, nil)
	}
	for _, f := range p.roleFiles {
		f.remove()
	}
	if p.own != nil {
		p.own.remove()
	}
	if p.idle {
		return
	}
	var self, children unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &self)
	unix.Getrusage(unix.RUSAGE_CHILDREN, &children)
	p.log.Info(fmt.Sprintf("CPU usage (self/children) user: %s/%s system: %s/%s",
		seconds(self.Utime), seconds(children.Utime), seconds(self.Stime), seconds(children.Stime)))
	p.log.Info("Stopped Keepalived " + p.o.Version)
}

func seconds(t unix.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }

func (p *Parent) banner() {
	p.log.Info("Starting Keepalived " + p.o.Version)
	var u unix.Utsname
	unix.Uname(&u)
	p.log.Info(fmt.Sprintf("Running on %s %s %s (keepalived-go %s, %s)", unix.ByteSliceToString(u.Sysname[:]),
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), p.o.Revision, runtime.Version()))
	for _, line := range commandLine(p.o.Args) {
		p.log.Info(line)
	}
	if len(p.o.NoMeaning) > 0 {
		p.log.Info("Options without effect in keepalived-go: " + strings.Join(p.o.NoMeaning, " "))
	}
}

// commandLine returns the lines that log the command line, wrapped at 100 columns.
func commandLine(args []string) []string {
	const title, width = "Command line:", 100
	lines := []string{title}
	for _, a := range args {
		word := " '" + a + "'"
		last := &lines[len(lines)-1]
		if len(*last) > len(title) && len(*last)+len(word) > width {
			lines = append(lines, strings.Repeat(" ", len(title)))
			last = &lines[len(lines)-1]
		}
		*last += word
	}
	return lines
}

// role returns the command that starts this binary in another role. It is not killed with its parent: it sees its descriptors
// close.
func (p *Parent) role(ctx context.Context, role string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.o.Executable)
	cmd.Args = p.o.Args
	// A Go program that panics exits with code 2, which would be taken for a verdict: let it die by a signal instead.
	cmd.Env = append(environ(InternalEnv...), RoleVariable+"="+role, "GOTRACEBACK=crash")
	// A group of its own, so that ^C at the terminal reaches the parent only, which stops the rest in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// TempDir is where status files go: $TMPDIR if that is an absolute existing directory, else /tmp.
func TempDir() string {
	if d := os.Getenv("TMPDIR"); filepath.IsAbs(d) {
		if st, err := os.Stat(d); err == nil && st.IsDir() {
			return d
		}
	}
	return "/tmp"
}
