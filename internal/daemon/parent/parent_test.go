package parent

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// The test binary plays all the processes: RoleVariable or testRole says which, and the argument is the directory of the test, where
// "config" (JSON) says how loader and worker behave and "log" and "worker" receive what they say.
const testRole = "PARENT_TEST_ROLE"

type config struct {
	Instances, Services int
	Instance            string
	ChildWait           time.Duration
	Startup, Shutdown   []string

	LoaderExit   int    // without a model
	LoaderCrash  bool   //
	OnLoad       string // of the worker: "", "exit N", "silent", "mute" (not ready) if it takes the place of another
	VIPs         bool   // instances have some
	OnReload     string // "", "refuse", "exit N"
	IgnoreStop   bool
	Tick         time.Duration
	NoRespawn    bool
	All, NoVRRP  bool
	IgnoreSIGINT bool
}

func TestMain(m *testing.M) {
	role := os.Getenv(RoleVariable)
	os.Unsetenv(RoleVariable)
	if role == "" {
		role = os.Getenv(testRole)
	}
	switch role {
	case "":
		syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // some tests crash their worker
		os.Exit(m.Run())
	case RoleLoader:
		os.Exit(fakeLoader(os.Args[1]))
	case RoleWorker:
		os.Exit(fakeWorker(os.Args[1]))
	case "run", "detach", RoleDetached:
		os.Exit(runParent(role, os.Args[1]))
	}
	panic("unknown role " + role)
}

func readConfig(dir string) (c config) {
	b, err := os.ReadFile(filepath.Join(dir, "config"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		panic(err)
	}
	return c
}

func runParent(role, dir string) int {
	c := readConfig(dir)
	out, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	o := Options{Args: os.Args, Version: "v0 (test)", Umask: -1, RunDir: filepath.Join(dir, "run"), All: c.All, NoRespawn: c.NoRespawn,
		Flags: link.Flags{VRRP: !c.NoVRRP, Checkers: true, BFD: true, IgnoreInterrupt: c.IgnoreSIGINT}, tick: c.Tick}
	if role == "detach" {
		return Detach(o)
	}
	o.Detached = role == RoleDetached
	if o.Log, err = logging.Open(logging.Options{Console: out}); err != nil {
		panic(err)
	}
	defer o.Log.Close()
	return Run(o)
}

func fakeLoader(dir string) int {
	c := readConfig(dir)
	fmt.Println("loader speaks")
	if c.LoaderCrash {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if c.LoaderExit != 0 {
		return c.LoaderExit
	}
	b, _ := json.Marshal(c)
	m := &model.Model{Process: model.Process{RouterID: string(b), Instance: c.Instance, ChildWaitTime: c.ChildWait, Umask: -1}}
	m.VRRP.Instances = make([]model.Instance, c.Instances)
	for i := range m.VRRP.Instances {
		if c.VIPs {
			m.VRRP.Instances[i].NetNamespace = strconv.Itoa(i)
			m.VRRP.Instances[i].VIPs = []model.Address{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}}
		}
	}
	m.LVS.Services = make([]model.VirtualServer, c.Services)
	for p, args := range map[**model.Script][]string{&m.Process.StartupScript: c.Startup, &m.Process.ShutdownScript: c.Shutdown} {
		if args != nil {
			*p = &model.Script{Args: args, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
		}
	}
	if err := WriteModel(m); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func fakeWorker(dir string) int {
	conn, err := link.Inherited(LinkFD)
	if err != nil {
		panic(err)
	}
	out, _ := os.OpenFile(filepath.Join(dir, "worker"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for range hup {
			conn.Send(link.Message{Kind: link.ReloadRequested})
		}
	}()
	stubborn := false
	for {
		m, err := conn.Receive()
		if err != nil {
			fmt.Fprintln(out, "end", err)
			return 0
		}
		if m.Flags.Clean {
			fmt.Fprintf(out, "clean %d namespaces\n", len(m.Flags.Stale))
			return 0
		}
		var c config
		if m.Model != nil {
			mod, err := m.Model.Decode()
			if err != nil {
				panic(err)
			}
			json.Unmarshal([]byte(mod.Process.RouterID), &c)
			stubborn = c.IgnoreStop
			fmt.Fprintf(out, "%v vrrp=%v checkers=%v bfd=%v respawned=%v instance=%q instances=%d\n", m.Kind, m.Flags.VRRP, m.Flags.Checkers,
				m.Flags.BFD, m.Flags.Respawned, mod.Process.Instance, len(mod.VRRP.Instances))
		} else {
			fmt.Fprintln(out, m.Kind, m.Dump)
		}
		does := map[link.Kind]string{link.Load: c.OnLoad, link.Reload: c.OnReload}[m.Kind]
		if does == "panic" {
			panic("on purpose")
		}
		if code, ok := strings.CutPrefix(does, "exit "); ok {
			n, _ := strconv.Atoi(code)
			return n
		}
		switch {
		case m.Kind == link.Load && does == "mute" && m.Flags.Respawned:
		case m.Kind == link.Load:
			conn.Send(link.Message{Kind: link.Ready})
			if does != "silent" {
				go func() {
					for range time.Tick(20 * time.Millisecond) {
						conn.TrySend(link.Message{Kind: link.Heartbeat})
					}
				}()
			}
		case m.Kind == link.Reload && does == "refuse":
			conn.Send(link.Message{Kind: link.Refused, Text: "worker says no"})
		case m.Kind == link.Reload:
			conn.Send(link.Message{Kind: link.Reloaded})
		case m.Kind == link.Stop && !stubborn:
			return 0
		}
	}
}

// subject is a parent under test.
type subject struct {
	*testing.T
	dir string
	cmd *exec.Cmd
}

func start(t *testing.T, role string, c config, env ...string) *subject {
	t.Helper()
	d := &subject{T: t, dir: t.TempDir()}
	d.configure(c)
	d.cmd = d.command(role, env...)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.cmd.Process.Kill()
		d.cmd.Process.Wait()
		for _, f := range []string{"keepalived", "vrrp", "checkers"} {
			if pid, err := strconv.Atoi(strings.TrimSpace(d.read("run/" + f + ".pid"))); err == nil {
				syscall.Kill(pid, syscall.SIGKILL) // what a failed test leaves behind
			}
		}
		if t.Failed() {
			t.Logf("log:\n%sworker:\n%s", d.read("log"), d.read("worker"))
		}
	})
	return d
}

func (d *subject) command(role string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", d.dir)
	cmd.Env = append(append(os.Environ(), testRole+"="+role), env...)
	return cmd
}

func (d *subject) configure(c config) {
	d.Helper()
	b, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.dir, "config.new"), b, 0o600)
	}
	if err == nil {
		err = os.Rename(filepath.Join(d.dir, "config.new"), filepath.Join(d.dir, "config"))
	}
	if err != nil {
		d.Fatal(err)
	}
}

func (d *subject) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(d.dir, name))
	return string(b)
}

// until waits for a condition.
func (d *subject) until(what string, ok func() bool) {
	d.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			d.Fatalf("timed out waiting for %s", what)
		}
	}
}

// says waits until a file holds a text so many times.
func (d *subject) says(name, text string, times int) {
	d.Helper()
	d.until(fmt.Sprintf("%q %d times in %s", text, times, name), func() bool { return strings.Count(d.read(name), text) >= times })
}

func (d *subject) pid(name string) int {
	d.Helper()
	var pid int
	d.until("a pid in "+name, func() bool {
		var err error
		pid, err = strconv.Atoi(strings.TrimSuffix(d.read("run/"+name), "\n"))
		return err == nil
	})
	return pid
}

func (d *subject) kill(pid int, s syscall.Signal) {
	d.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		d.Fatal(err)
	}
}

func (d *subject) signal(s syscall.Signal) { d.Helper(); d.kill(d.cmd.Process.Pid, s) }

// ends waits for the parent's exit code and says whether pid files are left.
func (d *subject) ends(code int) {
	d.Helper()
	done := make(chan error, 1)
	go func() { done <- d.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		d.Fatal("the parent does not end")
	}
	if got := d.cmd.ProcessState.ExitCode(); got != code {
		d.Errorf("exit code %d, want %d", got, code)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "run", "*.pid")); len(left) > 0 {
		d.Errorf("pid files left: %v", left)
	}
}

// lines checks that the log holds these lines in this order, among others. PID stands for any number.
func (d *subject) lines(want ...string) {
	d.Helper()
	i := 0
	for line := range strings.Lines(d.read("log")) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "2026: ")
		if text == "" {
			_, text, _ = strings.Cut(strings.TrimSuffix(line, "\n"), fmt.Sprint(time.Now().Year(), ": "))
		}
		if i < len(want) && matches(want[i], text) {
			i++
		}
	}
	if i < len(want) {
		d.Errorf("log lacks, or has out of order: %q", want[i])
	}
}

func matches(pattern, text string) bool {
	for i, part := range strings.Split(pattern, "PID") {
		if i > 0 {
			text = strings.TrimLeft(text, "0123456789")
		}
		var ok bool
		if text, ok = strings.CutPrefix(text, part); !ok {
			return false
		}
	}
	return text == ""
}

func TestStartAndStop(t *testing.T) {
	d := start(t, "run", config{Instances: 1})
	d.says("log", "Startup complete", 1)
	if got := d.pid("keepalived.pid"); got != d.cmd.Process.Pid {
		t.Errorf("keepalived.pid holds %d, want %d", got, d.cmd.Process.Pid)
	}
	worker := d.pid("vrrp.pid")
	if worker == d.cmd.Process.Pid {
		t.Error("vrrp.pid holds the parent's pid")
	}
	for _, name := range []string{"checkers.pid", "bfd.pid"} {
		if d.read("run/"+name) != "" {
			t.Errorf("%s exists without that role", name)
		}
	}
	for i, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, sigStatsClear, sigJSON, sigJSONMusl} {
		d.signal(s)
		d.says("worker", "dump", i+1) // signals are not ordered, so one at a time
	}
	d.says("worker", "dump 1\ndump 2\ndump 3\ndump 4\ndump 4\n", 1)
	d.signal(syscall.SIGTERM)
	d.ends(0)
	d.lines("Starting Keepalived v0 (test)", "loader speaks", "Starting VRRP child process, pid=PID", "Startup complete", "Stopping",
		"Stopped Keepalived v0 (test)")
	d.says("worker", "stop", 1)
}

func TestSecondDaemonLeaves(t *testing.T) {
	d := start(t, "run", config{Instances: 1})
	d.says("log", "Startup complete", 1)
	second := d.command("run")
	if err := second.Run(); err != nil {
		t.Errorf("second daemon: %v, want exit code 0", err)
	}
	d.lines("Another process has pid file "+d.dir+"/run/keepalived.pid locked", "daemon is already running")
	if got := d.pid("keepalived.pid"); got != d.cmd.Process.Pid {
		t.Errorf("keepalived.pid holds %d, want %d", got, d.cmd.Process.Pid)
	}
	d.signal(syscall.SIGINT)
	d.ends(0)
}

func TestIgnoreInterrupt(t *testing.T) {
	d := start(t, "run", config{Instances: 1, IgnoreSIGINT: true})
	d.says("log", "Startup complete", 1)
	d.signal(syscall.SIGINT)
	d.signal(syscall.SIGUSR1)
	d.says("worker", "dump", 1)
	d.signal(syscall.SIGTERM)
	d.ends(0)
}

func TestAllRolesWithoutConfiguration(t *testing.T) {
	d := start(t, "run", config{All: true, NoVRRP: true})
	d.says("worker", "load vrrp=false checkers=true bfd=true", 1)
	if a, b := d.pid("checkers.pid"), d.pid("bfd.pid"); a != b {
		t.Errorf("checkers.pid %d, bfd.pid %d: one worker has both roles", a, b)
	}
	d.signal(syscall.SIGTERM)
	d.ends(0)
	d.lines("Starting Healthcheck child process, pid=PID", "Starting BFD child process, pid=PID")
}

func TestStartFails(t *testing.T) {
	for name, c := range map[string]struct {
		config
		code int
	}{
		"no file":         {config{LoaderExit: 6}, 6},
		"refused":         {config{LoaderExit: 4}, 2},
		"loader dies":     {config{LoaderCrash: true}, 1},
		"worker refuses":  {config{OnLoad: "exit 2"}, 2},
		"no permission":   {config{OnLoad: "exit 4"}, 4},
		"worker is fatal": {config{OnLoad: "exit 1"}, 1},
		"no respawn":      {config{OnLoad: "exit 70", NoRespawn: true}, 1},
	} {
		for _, role := range []string{"run", "detach"} {
			t.Run(name+" "+role, func(t *testing.T) { start(t, role, c.config).ends(c.code) })
		}
	}
}

func TestDetach(t *testing.T) {
	d := start(t, "detach", config{Instances: 1})
	if err := d.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	// All must be in place when the first process ends.
	pid, err := strconv.Atoi(strings.TrimSpace(d.read("run/keepalived.pid")))
	if err != nil || pid == d.cmd.Process.Pid {
		t.Fatalf("keepalived.pid: %d, %v", pid, err)
	}
	d.says("log", "Startup complete", 1)
	if sid, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); int(sid) != pid {
		t.Errorf("the daemon %d is in session %d", pid, sid)
	}
	if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); cwd != "/" {
		t.Errorf("working directory %q, want /", cwd)
	}
	for fd := range 3 {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); to != "/dev/null" {
			t.Errorf("descriptor %d is %q", fd, to)
		}
	}
	d.kill(pid, syscall.SIGHUP) // reads "config" by the path in its arguments
	d.says("log", "Reload complete", 1)
	d.kill(pid, syscall.SIGTERM)
	d.until("the end of the daemon", func() bool { return d.read("run/keepalived.pid") == "" && syscall.Kill(pid, 0) != nil })
}

func TestRespawn(t *testing.T) {
	d := start(t, "run", config{Instances: 1, Services: 1})
	d.says("log", "Startup complete", 1)
	for i := 1; i <= 2; i++ {
		worker := d.pid("vrrp.pid")
		d.kill(worker, syscall.SIGKILL)
		d.says("worker", "respawned=true", i)
		if again := d.pid("vrrp.pid"); again == worker || again != d.pid("checkers.pid") {
			t.Errorf("vrrp.pid holds %d, before %d", again, worker)
		}
	}
	d.signal(syscall.SIGTERM)
	d.ends(0)
	d.lines("pid PID exited due to signal 9 (Killed) - has rlimit_rttime been exceeded?",
		"Healthcheck child process(PID) died: Respawning", "VRRP child process(PID) died: Respawning",
		"  Please log an issue at https://github.com/keepalived-go/keepalived-go/issues/",
		"Restart of VRRP process delayed 0 seconds to limit respawn rate", "Starting VRRP child process, pid=PID",
		"Restart of VRRP process delayed 1 seconds to limit respawn rate", "Starting VRRP child process, pid=PID", "Stopping")
}

// The exit code of a panic is also that of a refused configuration, which would end the daemon.
func TestPanicIsNoVerdict(t *testing.T) {
	d := start(t, "run", config{Instances: 1, OnLoad: "panic"})
	d.says("log", "VRRP child process", 3)
	d.signal(syscall.SIGTERM)
	d.ends(0)
	d.lines("pid PID exited due to signal 6 (Aborted)", "VRRP child process(PID) died: Respawning")
}

func TestStopWhileWaitingToRespawn(t *testing.T) {
	d := start(t, "run", config{Instances: 1, OnLoad: "exit 70"})
	d.says("log", "delayed 1 seconds", 1)
	d.signal(syscall.SIGTERM)
	d.ends(0)
}

// What a worker that died has left goes even if the next one is stopped before it could remove it.
func TestStopOfAnUnreadyWorker(t *testing.T) {
	d := start(t, "run", config{Instances: 2, VIPs: true, OnLoad: "mute"})
	d.says("log", "Startup complete", 1)
	d.kill(d.pid("vrrp.pid"), syscall.SIGKILL)
	d.says("worker", "respawned=true", 1)
	d.signal(syscall.SIGTERM)
	d.ends(0)
	d.says("worker", "clean 2 namespaces", 1)
}

func TestStalledWorkerIsAborted(t *testing.T) {
	d := start(t, "run", config{Instances: 1, OnLoad: "silent", Tick: 10 * time.Millisecond})
	d.says("worker", "respawned=true", 1)
	d.signal(syscall.SIGTERM)
	d.ends(0)
	d.lines("Worker process(PID) has been stalled for 10 seconds: aborting it", "pid PID exited due to signal 6 (Aborted)",
		"VRRP child process(PID) died: Respawning")
}

func TestStubbornWorkerIsKilled(t *testing.T) {
	d := start(t, "run", config{Instances: 1, IgnoreStop: true, ChildWait: 50 * time.Millisecond})
	d.says("log", "Startup complete", 1)
	d.signal(syscall.SIGTERM)
	d.ends(0)
	d.lines("Stopping", "Worker process(PID) did not stop in time: killing it")
}

func TestWorkerSeesParentDie(t *testing.T) {
	d := start(t, "run", config{Instances: 1})
	d.says("log", "Startup complete", 1)
	d.signal(syscall.SIGKILL)
	d.says("worker", "end EOF", 1)
}

func TestReload(t *testing.T) {
	d := start(t, "run", config{Instances: 1, Instance: ""})
	d.says("log", "Startup complete", 1)
	worker := d.pid("vrrp.pid")

	d.configure(config{Instances: 2, Services: 1})
	d.signal(syscall.SIGHUP)
	d.says("log", "Reload complete", 1)
	d.says("worker", `reload vrrp=true checkers=true bfd=false respawned=false instance="" instances=2`, 1)
	if got := d.pid("checkers.pid"); got != worker {
		t.Errorf("checkers.pid holds %d, want %d", got, worker)
	}

	t.Run("errors", func(t *testing.T) {
		d.configure(config{LoaderExit: 4})
		d.signal(syscall.SIGHUP)
		d.says("log", "Reload failed, the configuration in force stays: the new configuration has errors", 1)
		d.configure(config{LoaderCrash: true})
		d.signal(syscall.SIGHUP)
		d.says("log", "Reload failed", 2)
		d.configure(config{OnReload: "refuse"})
		d.signal(syscall.SIGHUP)
		d.says("log", "Reload failed, the configuration in force stays: worker says no", 1)
	})
	t.Run("fixed", func(t *testing.T) {
		d.configure(config{Instances: 3, Instance: "blue"})
		d.signal(syscall.SIGHUP)
		d.says("worker", `instance="" instances=3`, 1)
		d.lines(`Cannot change instance from "" to "blue" at a reload - please restart keepalived`)
	})
	t.Run("asked by the worker", func(t *testing.T) {
		d.says("log", "Reload complete", 2)
		d.kill(worker, syscall.SIGHUP)
		d.says("log", "Reload complete", 3)
	})
	t.Run("worker dies of it", func(t *testing.T) {
		d.configure(config{Instances: 4, OnReload: "exit 70"})
		d.signal(syscall.SIGHUP)
		d.says("log", "Reload failed, the configuration in force stays: the worker died of it", 1)
		d.says("worker", `load vrrp=true checkers=true bfd=false respawned=true instance="" instances=3`, 1)
	})
	if again := d.pid("vrrp.pid"); again == worker {
		t.Error("vrrp.pid still holds the first worker")
	}
	d.signal(syscall.SIGTERM)
	d.ends(0)
}

// Signals that arrive during a reload ask for one more, and no more.
func TestReloadsAreQueued(t *testing.T) {
	d := start(t, "run", config{Instances: 1})
	d.says("log", "Startup complete", 1)
	p := &Parent{started: true, reloading: true}
	for range 5 {
		p.reload()
	}
	if !p.again {
		t.Error("no further reload is noted")
	}
	d.signal(syscall.SIGHUP)
	d.says("log", "Reloading ...", 1)
	d.signal(syscall.SIGHUP)
	d.says("log", "Reload complete", 2)
	d.signal(syscall.SIGTERM)
	d.ends(0)
}

func TestScripts(t *testing.T) {
	dir := t.TempDir()
	touch := func(name string) []string {
		return []string{"/bin/sh", "-c", "echo $KEEPALIVED_GO_ROLE >>" + dir + "/" + name}
	}
	d := start(t, "run", config{Instances: 1, Startup: touch("up"), Shutdown: touch("down")})
	d.says("log", "Startup complete", 1)
	if b, err := os.ReadFile(dir + "/up"); err != nil || string(b) != "\n" {
		t.Errorf("startup script wrote %q, %v", b, err)
	}
	if _, err := os.Stat(dir + "/down"); err == nil {
		t.Error("shutdown script ran at start")
	}
	d.signal(syscall.SIGTERM)
	d.ends(0)
	if _, err := os.Stat(dir + "/down"); err != nil {
		t.Error("shutdown script did not run")
	}
	d.lines("Running startup script /bin/sh", "startup script script succeeded", "Starting VRRP child process, pid=PID", "Stopping",
		"Running shutdown script /bin/sh", "shutdown script script succeeded", "Stopped Keepalived v0 (test)")
}

func TestScriptsThatFail(t *testing.T) {
	var out strings.Builder
	log, err := logging.Open(logging.Options{Console: &out})
	if err != nil {
		t.Fatal(err)
	}
	p := &Parent{log: log.Role(logging.Parent)}
	script := func(s string) *model.Script {
		return &model.Script{Args: []string{"/bin/sh", "-c", s}, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	}
	p.runScript("startup", script("exit 3"), time.Minute, nil)
	p.runScript("startup", script("kill -9 $$"), time.Minute, nil)
	p.runScript("shutdown", script("trap : TERM; while :; do sleep 60; done"), 50*time.Millisecond, nil)
	p.runScript("startup", &model.Script{Args: []string{"/nonexistent"}, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}, 0, nil)
	if os.Geteuid() == 0 {
		path := t.TempDir() + "/x"
		if err := errors.Join(os.WriteFile(path, nil, 0o755), os.Chmod(path, 0o757)); err != nil {
			t.Fatal(err)
		}
		p.runScript("startup", &model.Script{Args: []string{path}, Guarded: true}, 0, nil)
	}
	log.Close()
	if want := "is writable by all"; os.Geteuid() == 0 && !strings.Contains(out.String(), want) {
		t.Errorf("no %q in %s", want, out.String())
	}
	for _, want := range []string{"startup script script failed, status 3", "startup script script failed, signal 9",
		"shutdown script timed out", "startup script failed: fork/exec /nonexistent: no such file or directory"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, out.String())
		}
	}
}

func TestSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	next := func(want ...string) {
		t.Helper()
		sock.SetReadDeadline(time.Now().Add(15 * time.Second))
		b := make([]byte, 4096)
		n, err := sock.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains("\n"+string(b[:n]), "\n"+w) {
				t.Errorf("systemd got %q, want %q in it", b[:n], w)
			}
		}
	}
	d := start(t, "run", config{Instances: 1}, "NOTIFY_SOCKET="+path)
	next("READY=1", fmt.Sprintf("MAINPID=%d", d.cmd.Process.Pid), "STATUS=Running")
	d.signal(syscall.SIGHUP)
	next("RELOADING=1", "MONOTONIC_USEC=")
	next("READY=1", "STATUS=Running")
	d.configure(config{LoaderExit: 5})
	d.signal(syscall.SIGHUP)
	next("RELOADING=1")
	next("READY=1", "STATUS=Reload failed")
	d.configure(config{Instances: 1})
	d.kill(d.pid("vrrp.pid"), syscall.SIGKILL)
	next("READY=1", "STATUS=Running") // the next worker
	d.signal(syscall.SIGTERM)
	next("STOPPING=1")
	d.ends(0)
}

// With WatchdogSec= systemd hears at every tick that the parent's loop turns, and not without it.
func TestWatchdog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	d := start(t, "run", config{Instances: 1}, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=30000000")
	sock.SetReadDeadline(time.Now().Add(15 * time.Second))
	for alive := 0; alive < 3; {
		b := make([]byte, 4096)
		n, err := sock.Read(b)
		if err != nil {
			t.Fatalf("after %d signs of life: %v", alive, err)
		}
		if string(b[:n]) == "WATCHDOG=1" {
			alive++
		}
	}
	d.signal(syscall.SIGTERM)
	d.ends(0)
}

func TestCrashLog(t *testing.T) {
	var out strings.Builder
	log, err := logging.Open(logging.Options{Console: &out})
	if err != nil {
		t.Fatal(err)
	}
	c := &crashLog{log: slog.New(log.Role(logging.Parent).Handler())}
	fmt.Fprint(c, "panic: a")
	fmt.Fprint(c, "b\ngoroutine 1\nrest")
	log.Close()
	if got := out.String(); !strings.Contains(got, ": worker: panic: ab\n") || !strings.Contains(got, ": worker: goroutine 1\n") {
		t.Errorf("got %q", got)
	}
}

// Two instances run beside each other, each with its own files.
func TestInstance(t *testing.T) {
	d := start(t, "run", config{Instances: 1, Instance: "blue"})
	if got := d.pid("keepalived/keepalived_blue.pid"); got != d.cmd.Process.Pid {
		t.Errorf("keepalived_blue.pid holds %d, want %d", got, d.cmd.Process.Pid)
	}
	d.pid("keepalived/vrrp_blue.pid")
	d.says("log", "Startup complete", 1)
	d.signal(syscall.SIGTERM)
	d.ends(0)
	d.lines("Changing syslog ident to Keepalived_blue", "Starting VRRP child process, pid=PID")
	if left, _ := filepath.Glob(filepath.Join(d.dir, "run/keepalived/*")); len(left) > 0 {
		t.Errorf("pid files left: %v", left)
	}
}
