package netns

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// A daemon that is not root says at its start which capability it lacks, for which line, and what does not work therefore; with exactly
// those capabilities everything works, and it has nothing to say.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("keepalived says nothing")
	}
	if os.Getenv("KEEPALIVED_GO") != "" {
		t.Skip("others may not be able to execute the daemon")
	}
	l := newLab(t, lab.Plan{})
	n := l.Node("a")
	const nobody, script = 65534, 1 // daemon
	open := func(path string, uid int) {
		t.Helper()
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	for dir := filepath.Dir(n.Dir); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	open(n.Dir, nobody)
	open(filepath.Join(n.Dir, "tmp"), nobody)
	if err := os.Mkdir(filepath.Join(n.Dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	open(filepath.Join(n.Dir, "out"), script)
	notify := n.File("notify.sh", "#!/bin/sh\nid -u >"+n.Dir+"/out/notified\n")
	slow := n.File("slow.sh", "#!/bin/sh\necho run >>"+n.Dir+"/out/runs\nexec sleep 20\n")
	fifo := filepath.Join(n.Dir, "fifo")
	conf := lab.Config("global_defs {\n  script_user daemon\n  vrrp_rt_priority 10\n  vrrp_no_swap\n  vrrp_notify_fifo " + fifo + " daemon\n}\n" +
		"vrrp_script slow {\n  script " + slow + "\n  interval 1\n  timeout 1\n  weight 1\n}\n" +
		instance{Priority: 200, Lines: "track_script {\n    slow\n  }\n  track_ping {\n    connect_ip 10.1.0.3\n    weight 1\n  }\n  notify_master " + notify}.String())
	file := filepath.Join(n.Dir, "keepalived.conf")
	line := func(text string) int {
		before, _, ok := strings.Cut(conf, text)
		if !ok {
			t.Fatalf("no %q", text)
		}
		return strings.Count(before, "\n") + 1
	}
	say := func(text, needs string) string { return fmt.Sprintf("(%s: Line %d) %s", file, line(text), needs) }
	const lacks, vi = ", which the daemon does not have: ", "vrrp_instance VI_1 needs "
	sleep, at := "script "+slow+" needs ", "script "+slow
	needs := map[string][]string{
		"SYS_NICE":     {say("vrrp_rt_priority", "vrrp_rt_priority needs CAP_SYS_NICE"+lacks+"the priority stays as it is")},
		"IPC_LOCK":     {say("vrrp_no_swap", "vrrp_no_swap needs CAP_IPC_LOCK"+lacks+"memory can be swapped out")},
		"CHOWN":        {say("vrrp_notify_fifo", "vrrp_notify_fifo needs CAP_CHOWN"+lacks+"the pipe cannot be given to its user, and is not used")},
		"DAC_OVERRIDE": {say("vrrp_notify_fifo", "vrrp_notify_fifo needs CAP_DAC_OVERRIDE"+lacks+"the pipe cannot be opened once it is its user's, as after a crash")},
		"SETUID":       {say(at, sleep+"CAP_SETUID (so do 1 more)"+lacks+"scripts cannot run as their users, and do not run")},
		"KILL":         {say(at, sleep+"CAP_KILL (so do 1 more)"+lacks+"scripts of other users cannot be ended")},
		"SETGID":       {say(at, sleep+"CAP_SETGID (so do 1 more)"+lacks+"scripts cannot have their groups, and do not run")},
		"NET_RAW": {say("vrrp_instance", vi+"CAP_NET_RAW"+lacks+"adverts are neither sent nor received"),
			say("track_ping", "PING_CHECK needs CAP_NET_RAW"+lacks+"hosts cannot be pinged")},
		"NET_ADMIN": {say("vrrp_instance", vi+"CAP_NET_ADMIN"+lacks+"addresses, routes, rules and interfaces cannot be set")},
	}
	all := slices.Sorted(maps.Keys(needs))

	// run starts the daemon with some capabilities and returns it with what it says of those it lacks.
	run := func(have []string) (*lab.Daemon, []string) {
		list := "-all"
		for _, c := range have {
			list += ",+" + strings.ToLower(c)
		}
		n.Wrapper = []string{"prlimit", "--memlock=8388608", "setpriv", "--reuid", fmt.Sprint(nobody), "--regid", fmt.Sprint(nobody), "--clear-groups",
			"--inh-caps", list, "--ambient-caps", list, "--bounding-set", list}
		d := n.Start(lab.Ours(), conf)
		d.WaitLog(soon, `^Starting VRRP child process`)
		var said []string
		for _, e := range d.Log() {
			if strings.Contains(e.Line, " CAP_") {
				said = append(said, e.Line)
			}
		}
		slices.Sort(said)
		return d, said
	}
	lacking := func(names ...string) (want []string) {
		for _, c := range names {
			want = append(want, needs[c]...)
		}
		slices.Sort(want)
		return want
	}
	d, said := run(nil)
	if diff := cmp.Diff(lacking(all...), said); diff != "" {
		t.Errorf("without any (-want +got)\n%s", diff)
	}
	d.Kill()
	for i, c := range all {
		d, said := run(slices.Concat(all[:i], all[i+1:]))
		if diff := cmp.Diff(lacking(c), said); diff != "" {
			t.Errorf("without %s (-want +got)\n%s", c, diff)
		}
		d.Kill()
	}

	os.Remove(fifo)
	d, said = run(all)
	if len(said) > 0 {
		t.Errorf("with all: %q", said)
	}
	l.WaitHolder(soon, vip, "a")
	l.Wait(soon, "the script runs as its user", func() bool { return n.ReadFile("out/notified") == fmt.Sprintln(script) })
	var st unix.Stat_t
	if err := unix.Stat(fifo, &st); err != nil || st.Uid != script {
		t.Errorf("the pipe is of user %d, %v", st.Uid, err)
	}
	if attr, err := unix.SchedGetAttr(d.Worker(), 0); err != nil || attr.Policy != unix.SCHED_RR || attr.Priority != 10 {
		t.Errorf("scheduled as %+v, %v", attr, err)
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Worker()))
	if !regexp.MustCompile(`(?m)^VmLck:\s+[1-9]`).Match(status) {
		t.Errorf("no memory is locked:\n%s", status)
	}
	if !regexp.MustCompile(fmt.Sprintf(`(?m)^Uid:\s+%d\s+%d\s`, nobody, nobody)).Match(status) {
		t.Errorf("not that user:\n%s", status)
	}
	d.WaitLog(soon, `VRRP_Script\(slow\) timed_out`)
	l.Wait(soon, "the script that was late is ended, and runs again", func() bool { return strings.Count(n.ReadFile("out/runs"), "run\n") > 1 })
	d.WaitLog(soon, `VRRP_Check\(ping 10\.1\.0\.3\) succeeded`)
	// A worker that follows one that was killed finds the pipe as that one left it.
	reader, err := os.OpenFile(fifo, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	drained := make([]byte, 4096)
	reader.Read(drained) // what the first has written
	killed := time.Now()
	unix.Kill(d.Worker(), unix.SIGKILL)
	d.WaitLogAfter(killed, soon, `\(VI_1\) Entering BACKUP STATE`)
	reader.SetReadDeadline(killed.Add(soon))
	if k, err := reader.Read(drained); err != nil || !strings.HasPrefix(string(drained[:k]), `INSTANCE "VI_1" BACKUP`) {
		t.Errorf("the next worker writes %q to the pipe, %v", drained[:max(k, 0)], err)
	}
	for _, e := range d.Log() {
		if regexp.MustCompile(`(?i)permitted|denied|cannot|failed`).MatchString(e.Line) {
			t.Errorf("logged %q", e.Line)
		}
	}
	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	l.WaitHolder(soon, vip, "")
}
