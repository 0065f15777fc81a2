package script

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

const patience = 20 * time.Second

// TestMain is also the daemon of the tests that need one of their own: it runs its first argument as a script and waits.
func TestMain(m *testing.M) {
	if os.Getenv("SCRIPT_TEST_DAEMON") == "" {
		os.Exit(m.Run())
	}
	done := make(chan Result)
	r, err := Open(Options{Log: slog.New(slog.DiscardHandler), Report: func(res Result) { done <- res }})
	if err == nil {
		err = r.Start(Job{ID: 1, Script: shell(os.Args[1])})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit((<-done).Exit)
}

func daemon(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SCRIPT_TEST_DAEMON=1")
	return cmd
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func openRunner(t *testing.T, hide ...string) (*Runner, chan Result) {
	t.Helper()
	results := make(chan Result, 1000)
	r, err := Open(Options{Log: slog.New(slog.DiscardHandler), HideEnv: hide, Report: func(res Result) { results <- res }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r, results
}

func program(args ...string) model.Script {
	return model.Script{Args: args, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

func shell(text string) model.Script { return program("/bin/sh", "-c", text) }

func start(t *testing.T, r *Runner, j Job) {
	t.Helper()
	if err := r.Start(j); err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, results chan Result) Result {
	t.Helper()
	select {
	case res := <-results:
		return res
	case <-time.After(patience):
		t.Fatal("no result")
		panic("unreachable")
	}
}

// until waits for cond.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("waited in vain until " + what)
		}
	}
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

func gone(pid int) func() bool {
	return func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}
}

func readPID(t *testing.T, path string) int {
	t.Helper()
	var pid int
	until(t, "there is a number in "+path, func() bool {
		text, _ := os.ReadFile(path)
		line, whole := strings.CutSuffix(string(text), "\n")
		pid, _ = strconv.Atoi(line)
		return whole && pid > 0
	})
	return pid
}

func TestResults(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "no-shebang")
	if err := os.WriteFile(plain, []byte("exit $(($1 + $2))\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	readable := filepath.Join(dir, "with space")
	if err := os.WriteFile(readable, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		script model.Script
		extra  []string
		want   Result
	}{
		{"success", shell("exit 0"), nil, Result{}},
		{"exit status", shell("exit 255"), nil, Result{Exit: 255}},
		{"signal", shell("kill -KILL $$"), nil, Result{Exit: -1, Signal: unix.SIGKILL}},
		{"extra words", program("/bin/sh", "-c", `exit "$#$2"`, "0", "a"), []string{"3"}, Result{Exit: 23}},
		{"file without #!", program(plain, "4"), []string{"5"}, Result{Exit: 9}},
		{"readable", program("<" + readable), nil, Result{}},
		{"not readable", program("<" + readable + "x"), nil, Result{Exit: 2}},
		{"missing", program(filepath.Join(dir, "none")), nil, Result{Exit: -1, Err: fs.ErrNotExist}},
		{"not executable", program(readable), nil, Result{Exit: -1, Err: fs.ErrPermission}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, results := openRunner(t)
			start(t, r, Job{ID: 7, Script: c.script, Extra: c.extra})
			got := wait(t, results)
			if !errors.Is(got.Err, c.want.Err) {
				t.Errorf("error %v, want %v", got.Err, c.want.Err)
			}
			if c.name == "not readable" && got.Exit != 0 { // dash says 2, bash 1
				got.Exit = c.want.Exit
			}
			if got.ID != 7 || got.Exit != c.want.Exit || got.Signal != c.want.Signal {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestEveryJobHasOneResult(t *testing.T) {
	r, results := openRunner(t)
	const n = 100
	for id := range uint64(n) {
		start(t, r, Job{ID: id, Script: shell("exit " + strconv.FormatUint(id, 10))})
	}
	seen := map[uint64]bool{}
	for range n {
		res := wait(t, results)
		if seen[res.ID] || res.Exit != int(res.ID) {
			t.Fatalf("unexpected %+v", res)
		}
		seen[res.ID] = true
	}
}

func TestSurroundings(t *testing.T) {
	for name, value := range map[string]string{"LD_LIBRARY_PATH": "/x", "IFS": "-", "OUR_ROLE": "worker", "KEPT": "yes"} {
		t.Setenv(name, value)
	}
	inherited, err := unix.Open("/dev/zero", unix.O_RDONLY, 0) // no O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	pidFile := filepath.Join(t.TempDir(), "pid")
	r, results := openRunner(t, "OUR_ROLE")
	start(t, r, Job{Script: shell("echo $$ >" + pidFile + "; exec sleep 1000")})
	pid := readPID(t, pidFile)
	defer func() { r.Kill(0, unix.SIGKILL); wait(t, results) }()
	proc := func(name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
	read := func(name string) string {
		text, err := os.ReadFile(proc(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	until(t, "the shell has become sleep", func() bool { return read("comm") == "sleep\n" })

	// The program itself opens files for a moment while it starts; what it was given stays.
	until(t, "/dev/null as descriptors 0 to 2 and nothing else", func() bool {
		fds, err := os.ReadDir(proc("fd"))
		if err != nil || len(fds) != 3 {
			return false
		}
		return !slices.ContainsFunc(fds, func(fd os.DirEntry) bool {
			to, err := os.Readlink(proc("fd/" + fd.Name()))
			return err != nil || to != "/dev/null"
		})
	})
	if here, _ := os.Getwd(); here == "" {
		t.Error("no directory to compare with")
	} else if dir, err := os.Readlink(proc("cwd")); dir != here {
		t.Errorf("directory %s (%v)", dir, err)
	}
	if group, err := unix.Getpgid(pid); group != pid {
		t.Errorf("process group %d of process %d (%v)", group, pid, err)
	}
	env := "\x00" + read("environ")
	for name, want := range map[string]bool{"LD_LIBRARY_PATH": false, "IFS": false, "OUR_ROLE": false, "KEPT": true} {
		if strings.Contains(env, "\x00"+name+"=") != want {
			t.Errorf("%s in the environment: %v", name, !want)
		}
	}
	for _, mask := range []string{"SigBlk", "SigIgn"} {
		_, rest, _ := strings.Cut(read("status"), mask+":\t")
		set, err := strconv.ParseUint(strings.SplitN(rest, "\n", 2)[0], 16, 64)
		// Signals 32 and 33 are the C library's own, which neither Go nor a program can touch; make(1) starts its children without them.
		if set &^= 3 << 31; err != nil || set != 0 {
			t.Errorf("%s is %x (%v), want nothing", mask, set, err)
		}
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	r, results := openRunner(t)
	start(t, r, Job{Script: model.Script{Args: []string{"/bin/sh", "-c", `test "$(id -u):$(id -g):$(id -G)" = "1234:1235:1235 77"`},
		UID: 1234, GID: 1235, Groups: []uint32{77}}})
	if res := wait(t, results); res.Exit != 0 {
		t.Errorf("wrong identity: %+v", res)
	}
}

func TestNiceDaemonRunsScriptsNormally(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if out, err := daemon("/usr/bin/nice", "-n", "7", self(t), `test "$(nice)" = 0`).CombinedOutput(); err != nil {
		t.Errorf("the script is not at nice 0: %v %s", err, out)
	}
}

func TestDeathOfDaemonTerminatesScripts(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	cmd := daemon(self(t), "echo $$ >"+pidFile+"; exec sleep 1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := readPID(t, pidFile)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	until(t, "the script has gone", gone(pid))
}

func TestKillReachesDescendants(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	r, results := openRunner(t)
	start(t, r, Job{ID: 5, Script: shell("sleep 1000 & echo $! >" + pidFile + "; wait")})
	pid := readPID(t, pidFile)
	r.Kill(6, unix.SIGTERM) // of nobody
	r.Kill(5, unix.SIGTERM)
	if res := wait(t, results); res.Signal != unix.SIGTERM {
		t.Errorf("got %+v", res)
	}
	until(t, "the descendant has gone", gone(pid))
	r.Kill(5, unix.SIGTERM)
}

// A kill is not lost, whether it comes before, during or after the start of the program.
func TestKillAnyTime(t *testing.T) {
	r, results := openRunner(t)
	for id := range uint64(100) {
		start(t, r, Job{ID: id, Script: program("/bin/sleep", "1000")})
		for began := time.Now(); time.Since(began) < time.Duration(id)*10*time.Microsecond; { // up to about what a start takes
		}
		r.Kill(id, unix.SIGKILL)
		if res := wait(t, results); res.Signal != unix.SIGKILL {
			t.Fatalf("got %+v", res)
		}
	}
}

func TestStop(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }

	t.Run("waits for what is tracked", func(t *testing.T) {
		r, _ := openRunner(t)
		start(t, r, Job{ID: 1, Tracked: true, Script: shell("sleep 0.2; touch " + file("done"))})
		r.Stop()
		if !exists(file("done"))() {
			t.Error("Stop did not wait")
		}
		if err := r.Start(Job{ID: 2, Script: shell("true")}); !errors.Is(err, ErrStopped) {
			t.Errorf("Start after Stop: %v", err)
		}
		r.Stop()
	})
	t.Run("kills what does not end", func(t *testing.T) {
		r, _ := openRunner(t)
		start(t, r, Job{ID: 1, Tracked: true, Script: shell("trap '' TERM; echo $$ >" + file("pid") + "; while :; do sleep 1; done")})
		pid := readPID(t, file("pid"))
		before := time.Now()
		r.Stop()
		if d := time.Since(before); d < stopWait {
			t.Errorf("Stop waited only %v", d)
		}
		until(t, "the script has gone", gone(pid))
	})
	t.Run("terminates the rest at once", func(t *testing.T) {
		// A busy machine may take as long as Stop waits, but not time after time.
		for try := 1; ; try++ {
			r, _ := openRunner(t)
			term, pid := file(fmt.Sprint("term", try)), file(fmt.Sprint("pid2.", try))
			start(t, r, Job{ID: 1, Script: shell("trap 'touch " + term + "; exit' TERM; echo $$ >" + pid + "; while :; do sleep 0.01; done")})
			readPID(t, pid)
			before := time.Now()
			r.Stop()
			d := time.Since(before)
			if d < stopWait {
				until(t, "the script was terminated", exists(term))
				break
			}
			if try == 3 {
				t.Fatalf("Stop took %v, three times", d)
			}
		}
	})
	t.Run("starts what was accepted", func(t *testing.T) {
		r, _ := openRunner(t)
		for id := range uint64(20) {
			start(t, r, Job{ID: id, Tracked: true, Script: shell("touch " + file("a") + strconv.Itoa(int(id)))})
		}
		r.Stop()
		for id := range 20 {
			if !exists(file("a") + strconv.Itoa(id))() {
				t.Errorf("job %d did not run", id)
			}
		}
	})
}

func TestStartRefuses(t *testing.T) {
	r, results := openRunner(t)
	start(t, r, Job{ID: 1, Script: shell("read x </dev/zero")})
	if err := r.Start(Job{ID: 1, Script: shell("true")}); err == nil {
		t.Error("the same job twice")
	}
	if err := r.Start(Job{ID: 2}); err == nil {
		t.Error("a job without a program")
	}
	r.Kill(1, unix.SIGKILL)
	wait(t, results)
	start(t, r, Job{ID: 1, Script: shell("true")})
	wait(t, results)
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"A=1", "IFS=x", "LD_PRELOAD=y", "ROLE=z", "ROLES=kept", "LD_LIBRARY_PATH="}, []string{"ROLE"})
	if fmt.Sprint(got) != "[A=1 ROLES=kept]" {
		t.Errorf("got %q", got)
	}
}
