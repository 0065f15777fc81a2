package netns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// What global_defs say of names, files and reloads is done.
func TestProcessSurface(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	i := instance{Priority: 255}
	conf := func(more string) string {
		return lab.Config("instance one\nglobal_defs {\n  process_names\n  process_name theparent\n  data_use_instance\n  state_dump_file "+n.Dir+"/state.txt\n"+
			"  stats_dump_file stats.more\n  json_dump_file "+n.Dir+"/\n  config_save_dir "+n.Dir+"/saved\n  reload_check_config "+n.Dir+"/findings\n"+
			"  reload_file "+n.Dir+"/reloading\n  reload_time_file "+n.Dir+"/when\n  umask 027\n  min_auto_priority_delay 1000\n"+more+"}\n", i)
	}
	a := n.Start(lab.Ours(), conf(""))
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("differs in places: docs/compatibility.md")
	}
	l.WaitHolder(soon, vip, "a")
	names := func(parent, worker string) {
		t.Helper()
		for pid, want := range map[int]string{a.Pid(): parent, a.Worker(): worker} {
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(b) != want+"\n" {
				t.Errorf("process is called %q, want %q", b, want)
			}
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); !strings.HasPrefix(string(b), lab.Ours()+"\x00") {
				t.Errorf("command line %q", b)
			}
		}
	}
	names("theparent", "keepalived_vrrp")
	umask := func(want string) {
		t.Helper()
		for _, pid := range []int{a.Pid(), a.Worker()} {
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); !regexp.MustCompile(`(?m)^Umask:\s+` + want + `$`).Match(b) {
				t.Errorf("umask is not %s: %s", want, b)
			}
		}
	}
	umask("0027")

	appears := func(names ...string) {
		t.Helper()
		for _, name := range names {
			l.Wait(soon, name+" is written", func() bool { return n.ReadFile(name) != "" })
		}
	}
	a.Signal(syscall.SIGUSR1)
	appears("state.one.txt", "state_parent.one.txt")
	a.Signal(syscall.SIGUSR2)
	appears("tmp/keepalived.stats", "tmp/stats.more")
	a.Signal(syscall.Signal(36))
	appears("tmp/keepalived.json", "keepalived.json")
	appears(fmt.Sprintf("saved/keepalived.conf.%d.0", a.Pid()))
	for name, want := range map[string]os.FileMode{"state.one.txt": 0o640, "keepalived.json": 0o600, fmt.Sprintf("saved/keepalived.conf.%d.0", a.Pid()): 0o600} {
		if st, err := os.Stat(filepath.Join(n.Dir, name)); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	// The copy is a configuration, and the same one.
	if code, out := n.Output(soon, lab.Ours(), "-t", "-f", filepath.Join(n.Dir, fmt.Sprintf("saved/keepalived.conf.%d.0", a.Pid()))); code != 0 {
		t.Errorf("-t of the copy: %d %s", code, out)
	}

	// A reload has its file meanwhile, changes the umask, and leaves copies.
	made, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC) // the file is soon gone
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(made)
	if _, err := unix.InotifyAddWatch(made, n.Dir, unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	at := a.Reload(strings.Replace(conf(""), "umask 027", "umask 077", 1))
	a.WaitLogAfter(at, soon, `^validate conf before Reload`)
	a.WaitLogAfter(at, soon, `^Reload complete`)
	events := make([]byte, 64<<10)
	got, err := unix.Read(made, events)
	if err != nil || !bytes.Contains(events[:got], []byte("reloading\x00")) {
		t.Error("there was no file during the reload")
	}
	if _, err := os.Stat(filepath.Join(n.Dir, "reloading")); !os.IsNotExist(err) {
		t.Errorf("its file is still there: %v", err)
	}
	umask("0077")
	appears(fmt.Sprintf("saved/keepalived.conf.%d.1", a.Pid()), fmt.Sprintf("saved/keepalived_vrrp.%d.1.pre", a.Worker()),
		fmt.Sprintf("saved/keepalived_vrrp.%d.1.post", a.Worker()))

	// What -t does not like is refused, and said in the file.
	at = a.Reload(conf("  no_such_keyword\n"))
	a.WaitLogAfter(at, soon, `New config failed validation, see .*/findings for details`)
	if text := n.ReadFile("findings"); !strings.Contains(text, "Unknown keyword 'no_such_keyword'") {
		t.Errorf("V-E13 reload_check_config: findings %q", text)
	}

	// The file says when.
	a.Reconfigure(conf(""))
	at = time.Now()
	n.File("when", at.Add(2*time.Second).Format(time.DateTime)+"\n")
	a.WaitLogAfter(at, soon, `^Scheduling reload for`)
	a.WaitLogAfter(at, soon, `^Reload complete`)
	if _, err := os.Stat(filepath.Join(n.Dir, "when")); !os.IsNotExist(err) {
		t.Errorf("the file of the time is still there: %v", err)
	}
	if l.Holders(vip) != "a" {
		t.Error("the reloads cost the address")
	}
}

// -d logs what a state dump says, at start and at a reload.
func TestDumpConf(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	i := instance{Priority: 255}
	a := lone(t, l, i, "-d")
	a.WaitLog(soon, `^ VRRP Instance = VI_1$`)
	if !lab.IsKeepalived(lab.Ours()) {
		a.WaitLog(soon, `^------< Interfaces >------$`)
		i.Priority = 100
		at := a.Reload(config(i))
		a.WaitLogAfter(at, soon, `^   Priority = 100$`)
	}
	if slices.ContainsFunc(a.Log(), func(e lab.Entry) bool { return strings.Contains(e.Line, "no effect") }) {
		t.Error("it is said to have no effect")
	}
}

// A configured place is that of every thread.
func TestPlace(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	i := instance{Priority: 255}
	a := l.Node("a").Start(lab.Ours(), config("global_defs {\n  vrrp_rt_priority 5\n  vrrp_cpu_affinity 0\n  vrrp_no_swap\n  vrrp_rlimit_rttime 1000000\n}\n", i))
	l.WaitHolder(soon, vip, "a")
	if lab.IsKeepalived(lab.Ours()) {
		return
	}
	pid := a.Worker()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	normal := 0
	for _, task := range tasks {
		stat, _ := os.ReadFile(task + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 15 && f[15] != "-6" { // field 18: priority, -1-RT
			normal++
		}
		if status, _ := os.ReadFile(task + "/status"); !strings.Contains(string(status), "\nCpus_allowed_list:\t0\n") {
			t.Errorf("%s may run elsewhere", task)
		}
	}
	if normal != 1 || len(tasks) < 3 { // that which scripts are started from
		t.Errorf("%d of %d threads are not scheduled as configured", normal, len(tasks))
	}
	limits, _ := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if !regexp.MustCompile(`(?m)^Max realtime timeout\s+1000000\s+1000000\s`).Match(limits) {
		t.Errorf("limits:\n%s", limits)
	}
	if status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); regexp.MustCompile(`(?m)^VmLck:\s+0 kB$`).Match(status) {
		t.Error("nothing is locked into memory")
	}
}

// With notify_serialize scripts of an instance never overlap, and the last one to run tells of the last state.
func TestNotifySerialize(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a", "c"}})
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("an own keyword")
	}
	n := l.Node("a")
	calls, gate := filepath.Join(n.Dir, "calls"), filepath.Join(n.Dir, "gate")
	// The first waits until all states have come.
	slow := n.File("slow.sh", "#!/bin/sh\necho \"begin $3\" >>"+calls+"\nwhile [ ! -e "+gate+" ]; do sleep 0.05; done\necho \"end $3\" >>"+calls+"\n")
	if err := os.Chmod(slow, 0o755); err != nil {
		t.Fatal(err)
	}
	fifo := n.FIFO("fifo")
	i := instance{Priority: 150, Lines: "notify " + slow}
	a := n.Start(lab.Ours(), config("global_defs {\n  notify_serialize\n  vrrp_notify_fifo "+fifo.Path+"\n}\n", i))
	told := func(k int) {
		t.Helper()
		l.Wait(soon+i.Down(), "told", func() bool { return len(fifo.Lines()) >= k })
	}
	told(2) // BACKUP, MASTER
	n.Unplug(0)
	told(3)
	n.Plug(0)
	told(5)
	n.File("gate", "open")
	l.Wait(soon, "the last state", func() bool { return strings.Contains(n.ReadFile("calls"), "end MASTER") })
	if got, want := n.ReadFile("calls"), "begin BACKUP\nend BACKUP\nbegin MASTER\nend MASTER\n"; got != want {
		t.Errorf("calls:\n%s", got)
	}
	a.Stop()
	if got := n.ReadFile("calls"); !strings.HasSuffix(got, "begin STOP\nend STOP\n") {
		t.Errorf("calls at the end:\n%s", got)
	}
}

// A flood of ten thousand signals loses nothing: every kind is answered after it, memory and descriptors are what they were. SIGNAL_STORM=N
// makes it another number.
func TestSignalStorm(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("its reloads interrupt it")
	}
	i := instance{Priority: 255}
	a := lone(t, l, i)
	n := l.Node("a")
	count := 10_000
	if s := os.Getenv("SIGNAL_STORM"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	kinds := []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.Signal(36), syscall.Signal(63)}
	size := func() (rss, fds int) {
		for _, pid := range []int{a.Pid(), a.Worker()} {
			list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
			fds += len(list)
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
			if f := strings.Fields(string(b)); len(f) > 1 {
				pages, _ := strconv.Atoi(f[1])
				rss += pages * os.Getpagesize()
			}
		}
		return rss, fds
	}
	worker := a.Worker()
	storm := func(seed uint64, count int) {
		r := rand.New(rand.NewPCG(seed, 0))
		for range count {
			pid := a.Pid()
			kind := kinds[r.IntN(len(kinds))]
			if kind != syscall.SIGHUP && r.IntN(4) == 0 {
				pid = worker
			}
			if err := syscall.Kill(pid, kind); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Microsecond)
		}
	}
	// settled waits until all that was asked for is done: a reload that comes after is, and leaves its trace.
	settled := func(priority int) {
		t.Helper()
		next := i
		next.Lines = fmt.Sprintf("garp_master_repeat %d", priority)
		a.Reload(config(next))
		l.Wait(4*soon, "the last reload", func() bool {
			return strings.Contains(a.Dump(syscall.SIGUSR1, "keepalived.data"), fmt.Sprintf("Gratuitous ARP repeat = %d\n", priority))
		})
	}
	storm(1, count/3) // what memory a storm needs at all
	settled(2)
	rss, fds := size()
	storm(2, count)
	settled(3)
	// Files of the last dumps may still be open for a moment.
	l.Wait(soon, "as few descriptors as before", func() bool { _, is := size(); return is <= fds+2 })
	if after, _ := size(); after > rss+32<<20 {
		t.Errorf("memory %d, before %d", after, rss)
	}
	if a.Worker() != worker || l.Holders(vip) != "a" {
		t.Error("the worker is another one, or the address is gone")
	}
	for _, f := range l.Frames(lab.Adverts("a"), lab.Priority(0)) {
		t.Errorf("it gave up: %v", f)
	}
	for sig, name := range map[syscall.Signal]string{syscall.SIGUSR2: "keepalived.stats", syscall.Signal(36): "keepalived.json", syscall.Signal(63): "keepalived.stats"} {
		if text := a.Dump(sig, name); !strings.Contains(text, "VI_1") {
			t.Errorf("%s: %q", name, text)
		}
	}
	if rest, _ := filepath.Glob(filepath.Join(n.Dir, "tmp", ".*")); len(rest) > 0 {
		t.Errorf("left behind: %q", rest)
	}
}

// Whoever reads a dump while it is written again and again finds a whole one.
func TestDumpsNeverTear(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("it writes them in place")
	}
	a := lone(t, l, instance{Priority: 255})
	n := l.Node("a")
	whole := map[string]func(string) bool{
		"keepalived.data": func(s string) bool {
			return strings.HasPrefix(s, "------< Global") && strings.Contains(s, "------< Interfaces") && strings.HasSuffix(s, "VI_1, weight 0\n")
		},
		"keepalived.stats": func(s string) bool {
			return strings.HasPrefix(s, "VRRP Instance: VI_1\n") && strings.HasSuffix(s, "  Priority Zero:\n    Received: 0\n    Sent: 0\n")
		},
		"keepalived.json": func(s string) bool { return json.Valid([]byte(s)) },
	}
	signals := []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.Signal(36)}
	a.Dump(syscall.SIGUSR1, "keepalived.data")
	a.Dump(syscall.SIGUSR2, "keepalived.stats")
	a.Dump(syscall.Signal(36), "keepalived.json")
	reads := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		syscall.Kill(a.Pid(), signals[reads%len(signals)])
		for name, ok := range whole {
			reads++
			if text := n.ReadFile("tmp/" + name); !ok(text) {
				t.Fatalf("%s after %d reads:\n%s", name, reads, text)
			}
		}
	}
}
