package interop

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/test/lab"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// Through the same events both start the same scripts, with the same words, as the same users, in the same surroundings, and write the same
// lines to the pipes.
func TestNotifications(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	newest, err := oracle.Newest()
	if err != nil {
		t.Fatalf("nothing to compare with: %v", err)
	}
	var want, got told
	t.Run("live", func(t *testing.T) {
		t.Run("newest", func(t *testing.T) { t.Parallel(); want = notifications(t, newest) })
		t.Run("ours", func(t *testing.T) { t.Parallel(); got = notifications(t, lab.Ours()) })
	})
	if t.Failed() {
		return
	}
	compare := func(row, want, got string) {
		t.Run(row, func(t *testing.T) {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-original +ours):\n%s", diff)
			}
		})
	}
	compare("V-I01 arguments", text(want.words), text(got.words))
	compare("V-I03 FIFO order", text(want.fifos[0]), text(got.fifos[0]))
	compare("V-I03 VRRP FIFO order", text(want.fifos[1]), text(got.fifos[1]))
	compare("V-I04 FIFO permissions", want.modes, got.modes)
	stop := func(lines []string) string {
		return text(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, " STOP ") }))
	}
	compare("V-I03 FIFO order at the end", stop(want.raw), stop(got.raw))
	for row, event := range map[string]string{"V-I05 priority changes": "MASTER_PRIORITY 107", "V-I06 a lower router is heard": "MASTER_RX_LOWER_PRI 150"} {
		count := func(lines []string) string { return fmt.Sprint(strings.Count(text(lines), event)) }
		compare(row, count(want.raw), count(got.raw))
	}
	compare("V-I15 scripts may overlap", fmt.Sprint(want.overlap), fmt.Sprint(got.overlap))
	compare("surroundings", text(want.around), text(got.around))
}

// told is what the outside hears.
type told struct {
	words   []string    // of each script, sorted
	around  []string    // user, groups, directory, variables … of the scripts, without repetition
	fifos   [2][]string // global, VRRP
	raw     []string    // VRRP, as read
	modes   string
	overlap bool // a script that sleeps did not hold up the next
}

func notifications(t *testing.T, program string) told {
	l := lab.New(t, lab.Plan{LANs: 2})
	n := l.Node("a")
	// Where other users come too.
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	out := dir + "/calls"
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(out, nil, 0o666), os.Chmod(out, 0o666)); err != nil {
		t.Fatal(err)
	}
	calls := func() string {
		b, _ := os.ReadFile(out)
		return string(b)
	}
	file := func(name, text string) string {
		path := dir + "/" + name
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o755), os.Chmod(path, 0o755)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	light := file("light.sh", "#!/bin/sh\necho \"words $*\" >>"+out+"\n")
	// The descriptors: 0, 1, 2 and that of the directory which ls reads.
	heavy := file("heavy.sh", `#!/bin/sh
fds=$(ls /proc/self/fd | wc -l)
std=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 | sort -u | tr '\n' ' ')
sig=$(sed -n 's/^Sig\(Blk\|Ign\):\s*//p' /proc/$$/status | tr '\n' ' ')
read -r pid comm state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime priority nice rest </proc/$$/stat
[ "$pgrp" = "$$" ] && group=own || group=another
env=$(env | sed 's/=.*//' | grep -v -x -e _ -e PWD -e OLDPWD -e SHLVL | sort | tr '\n' ' ')
echo "words $*|uid=$(id -u) gid=$(id -g) groups=$(id -G) cwd=$PWD umask=$(umask) fds=$fds std=$std sig=$sig group=$group nice=$nice priority=$priority env=$env" >>`+out+`
`)
	slow := file("slow.sh", "#!/bin/sh\nsleep 60\n")
	every := func(kind, prefix string) string {
		var b strings.Builder
		for s, script := range map[string]string{"master": heavy, "backup": heavy, "fault": heavy, "stop": light} {
			fmt.Fprintf(&b, "  notify_%s \"%s %s %s 'two words'\"\n", s, script, prefix, s)
		}
		fmt.Fprintf(&b, "  notify \"%s %s generic\"\n", light, prefix)
		return b.String()
	}
	global, vrrp := n.FIFO("global.fifo"), n.FIFO("vrrp.fifo")
	// The original makes its FIFOs anew at a reload; one that was there it leaves.
	if err := syscall.Mkfifo(vrrp.Path, 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(instances ...any) string {
		return "global_defs {\n  script_user root\n  notify_fifo " + global.Path + "\n  notify_fifo_script \"" + heavy + " fifo reader\"\n  vrrp_notify_fifo " + vrrp.Path +
			"\n  vrrp_notify_priority_changes\n  vrrp_priority -3\n}\n" +
			"vrrp_track_process none {\n  process nothing-that-runs\n  weight 10\n}\n" +
			"vrrp_track_file file {\n  file " + n.Dir + "/tracked\n  weight 1\n}\n" +
			"vrrp_sync_group G1 {\n  group {\n    VI_1\n    VI_2\n  }\n" + every("GROUP", "group") + "}\n" + fmt.Sprint(instances...)
	}
	n.File("tracked", "0")
	one := lab.Instance{Priority: 150, Lines: every("INSTANCE", "one") + "  notify_master_rx_lower_pri \"" + heavy + " lower\"\n"}
	two := lab.Instance{Name: "VI_2", VRID: 52, Priority: 151, VIPs: "10.1.0.101/24"}
	three := lab.Instance{Name: "VI_3", Interface: "eth1", VRID: 53, Priority: 100, VIPs: "10.2.0.102/24", Lines: "notify \"" + light + " three\"\n  notify_master \"" + heavy + " nobody\" nobody nogroup\n  track_file {\n    file\n  }"}
	gone := lab.Instance{Name: "VI_4", Interface: "eth1", VRID: 54, Priority: 150, VIPs: "10.2.0.103/24", Lines: "notify_deleted \"" + light + " deleted\"\n  notify \"" + light + " four\""}
	lost := lab.Instance{Name: "VI_5", Interface: "eth1", VRID: 55, Priority: 150, VIPs: "10.2.0.104/24", Lines: "notify_fault \"" + light + " lost\"\n  notify_master " + slow + "\n  notify \"" + light + " five\""}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("calls:\n%s", regexp.MustCompile(`(?m)\|.*`).ReplaceAllString(calls(), ""))
		}
	})
	d := n.Start(program, config(one, two, three, gone, lost))
	var t0 told
	pause := func(what string, line string) {
		t.Helper()
		l.Wait(soon+one.Down(), what, func() bool { return slices.Contains(vrrp.Lines(), line) })
	}
	count := func(line string, k int) {
		t.Helper()
		l.Wait(soon+one.Down(), fmt.Sprintf("%d × %s", k, line), func() bool {
			got := 0
			for _, have := range vrrp.Lines() {
				if have == line {
					got++
				}
			}
			return got >= k
		})
	}
	pause("the group is master", `GROUP "G1" MASTER 0`)
	pause("the lost one is master", `INSTANCE "VI_5" MASTER 150`)
	pause("the lone one is master", `INSTANCE "VI_3" MASTER 100`)
	l.Wait(soon, "scripts ran beside one that sleeps", func() bool { return strings.Contains(calls(), "words five INSTANCE VI_5 MASTER 150") })
	t0.overlap = true
	if st, err := os.Stat(global.Path); err != nil {
		t.Error(err)
	} else {
		t0.modes = fmt.Sprintln(st.Mode(), st.Sys().(*syscall.Stat_t).Uid)
	}

	n.File("tracked", "7")
	pause("the priority changed", `INSTANCE "VI_3" MASTER_PRIORITY 107`)
	l.Node("c").Inject(0, lab.Packet{VRID: 51, Priority: 50}, n)
	pause("a lower one was heard", `INSTANCE "VI_1" MASTER_RX_LOWER_PRI 150`)
	n.Unplug(0)
	pause("the group is at fault", `GROUP "G1" FAULT 0`)
	n.Plug(0)
	count(`GROUP "G1" MASTER 0`, 2)
	l.Wait(soon, "the global FIFO has all", func() bool { return len(global.Lines()) == len(vrrp.Lines()) })
	t0.fifos[0] = settled(global.Lines())
	d.Reload(config(one, two, three))
	pause("one is deleted", `INSTANCE "VI_4" DELETED 150`)
	pause("one is lost", `INSTANCE "VI_5" FAULT 150`)
	l.Wait(soon, "the scripts of those", func() bool {
		return strings.Contains(calls(), "words five INSTANCE VI_5 FAULT 150") && strings.Contains(calls(), "words deleted")
	})
	l.Wait(soon, "all scripts so far", func() bool {
		for _, s := range []string{"backup", "fault", "master"} {
			if strings.Count(calls(), "words one "+s) < 1 || strings.Count(calls(), "words group "+s) < 1 {
				return false
			}
		}
		return strings.Count(calls(), "words one ")-strings.Count(calls(), "words one generic") == 5 &&
			strings.Count(calls(), "words group ")-strings.Count(calls(), "words group generic") == 5
	})
	d.WaitLog(soon, `^Reload complete`)
	d.Signal(syscall.SIGTERM)
	d.WaitExit(10 * time.Second)
	l.Wait(soon, "the last line", func() bool { return slices.Contains(vrrp.Lines(), `GROUP "G1" STOP 0`) })
	l.Wait(soon, "the last script", func() bool {
		return strings.Contains(calls(), "words one stop") && strings.Contains(calls(), "three INSTANCE VI_3 STOP")
	})

	dirs := regexp.MustCompile(`/tmp/[^' ]*/`)
	for _, line := range strings.Split(strings.TrimSpace(calls()), "\n") {
		if strings.Contains(line, "G1 STOP") || strings.Contains(line, "group stop") || strings.Contains(line, "fifo reader") && slices.ContainsFunc(t0.words, func(w string) bool { return strings.Contains(w, "fifo reader") }) {
			continue // the original ends before the former do, or not, and starts another reader at a reload
		}
		line = dirs.ReplaceAllString(line, "DIR/")
		words, around, heavy := strings.Cut(line, "|")
		t0.words = append(t0.words, words)
		if heavy {
			t0.around = append(t0.around, strings.TrimSpace(around))
		}
	}
	t0.raw, t0.fifos[1] = vrrp.Lines(), settled(vrrp.Lines())
	for _, list := range []*[]string{&t0.words, &t0.around} {
		slices.Sort(*list)
	}
	t0.around = slices.Compact(t0.around)
	return t0
}

// settled puts what chance orders into one order: instances that have nothing to do with each other.
func settled(lines []string) (out []string) {
	// The original reads a tracked file anew at a reload, as if it had changed.
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, "BACKUP_PRIORITY") })
	for _, about := range []string{`G1|VI_1|VI_2`, `VI_3`, `VI_4`, `VI_5`} {
		re := regexp.MustCompile(`"(` + about + `)"`)
		for _, line := range lines {
			if re.MatchString(line) {
				out = append(out, line)
			}
		}
	}
	return out
}

// A program whose path leads over a link in place of a directory (/bin, where /usr is merged) does not run with root's rights.
func TestInsecureScript(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	newest, err := oracle.Newest()
	if err != nil {
		t.Fatalf("nothing to compare with: %v", err)
	}
	l := lab.New(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	if err := os.Symlink("/usr/bin", n.Dir+"/bin"); err != nil {
		t.Fatal(err)
	}
	config := n.File("insecure.conf", "global_defs {\n  script_user root\n  enable_script_security\n}\nvrrp_script chk {\n  script "+n.Dir+"/bin/true\n  interval 1\n}\n"+
		lab.Instance{Priority: 150, Lines: "track_script {\n  chk\n}"}.String())
	t.Run("V-I13 insecure scripts", func(t *testing.T) {
		for _, program := range []string{newest, lab.Ours()} {
			code, out := n.Output(soon, program, "-t", "-f", config)
			if code != 5 {
				t.Errorf("%s: exit code %d", program, code)
			}
			if want := "Disabling track script chk due to insecure"; !strings.Contains(out, want) {
				t.Errorf("%s does not say %q:\n%s", program, want, out)
			}
		}
	})
}

// With fifo_write_vrrp_states_on_reload a reload tells the pipes every state, changed or not; the original leaves out masters.
func TestStatesOnReload(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	newest, err := oracle.Newest()
	if err != nil {
		t.Fatalf("nothing to compare with: %v", err)
	}
	lines := func(t *testing.T, program string) (without, with []string) {
		l := lab.New(t, lab.Plan{LANs: 2})
		n := l.Node("a")
		fifo := n.FIFO("vrrp.fifo")
		if err := syscall.Mkfifo(fifo.Path, 0o600); err != nil {
			t.Fatal(err)
		}
		first := lab.Instance{Priority: 150}
		second := lab.Instance{Name: "VI_2", VRID: 52, Priority: 150, VIPs: "10.1.0.101/24"}
		alone := lab.Instance{Name: "VI_3", Interface: "eth1", VRID: 53, Priority: 150, VIPs: "10.2.0.102/24"}
		config := func(more string) string {
			return "global_defs {\n  vrrp_notify_fifo " + fifo.Path + "\n" + more + "}\nvrrp_sync_group G1 {\n  group {\n    VI_1\n    VI_2\n  }\n}\n" + fmt.Sprint(first, second, alone)
		}
		d := n.Start(program, config(""))
		for _, vip := range []string{"10.1.0.100", "10.1.0.101", "10.2.0.102"} {
			l.WaitHolder(soon+first.Down(), netip.MustParseAddr(vip), "a")
		}
		// told waits for a state of VI_3, which is known to come, and returns what came before it and after the last such wait.
		seen := 0
		told := func(state string) []string {
			t.Helper()
			from, marker := seen, `INSTANCE "VI_3" `+state+" 150"
			l.Wait(soon+alone.Down(), marker, func() bool {
				k := slices.Index(fifo.Lines()[from:], marker)
				seen = from + k + 1
				return k >= 0
			})
			return fifo.Lines()[from : seen-1]
		}
		reload := func(config string) { d.WaitLogAfter(d.Reload(config), soon, `^(Reload complete|Reload finished)`) }
		told("MASTER")
		n.Unplug(1)
		told("FAULT")
		reload(config("") + " ")
		n.Plug(1)
		without = told("BACKUP")
		told("MASTER")
		n.Unplug(1)
		told("FAULT")
		reload(config("  fifo_write_vrrp_states_on_reload\n"))
		n.Plug(1)
		with = told("BACKUP")
		return without, with
	}
	var want, got [2][]string
	t.Run("live", func(t *testing.T) {
		t.Run("newest", func(t *testing.T) { t.Parallel(); want[0], want[1] = lines(t, newest) })
		t.Run("ours", func(t *testing.T) { t.Parallel(); got[0], got[1] = lines(t, lab.Ours()) })
	})
	master := func(line string) bool { return strings.HasPrefix(line, "INSTANCE") && strings.Contains(line, "MASTER") }
	if n := len(slices.DeleteFunc(slices.Clone(want[1]), master)); n != len(want[1]) || n != 2 {
		t.Errorf("the original tells %q: are masters left out no more?", want)
	}
	if n := len(slices.DeleteFunc(slices.Clone(got[1]), func(l string) bool { return !master(l) })); n != 2 {
		t.Errorf("of two masters we tell %q", got[1])
	}
	got[1] = slices.DeleteFunc(got[1], master)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("without and with, but for masters (-newest +ours)\n%s", diff)
	}
}
