package netns

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

var vip2 = netip.MustParseAddr("10.1.0.101")

// lone starts one router and returns when it holds the address.
func lone(t *testing.T, l *lab.Lab, i instance, args ...string) *lab.Daemon {
	t.Helper()
	d := l.Node("a").Start(lab.Ours(), config(i), args...)
	d.WaitLog(soon+i.Down(), `Entering MASTER STATE`)
	l.WaitHolder(soon, vip, "a")
	return d
}

// steady fails the test if a's adverts since the moment, n at least, have a gap of more than 1.5 intervals, or if one
// gave up mastership.
func steady(t *testing.T, l *lab.Lab, since time.Time, n int, interval time.Duration) {
	t.Helper()
	after := l.WaitFrames(soon+time.Duration(n)*interval, n, "advert", lab.Adverts("a"), lab.After(since))
	last := l.LastFrame(lab.Adverts("a"), lab.Before(since)) // asked for last: a capture tells of frames in order, but late
	for _, f := range after {
		if gap := f.At.Sub(last.At); gap > interval*3/2+lab.Starved(last.At, f.At) {
			t.Errorf("gap of %v between adverts", gap)
		}
		last = f
		if f.Priority == 0 {
			t.Errorf("gave up: %v", f)
		}
	}
}

// A reload that changes nothing is not noticed by the peer; addresses come and go without a change of master.
func TestReload(t *testing.T) {
	t.Run("V-E01 V-E02 V-E03 V-D09 addresses", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		interval := instance{}.WithDefaults().Interval
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		a, b := pair(t, l, master, backup)

		at := a.Reload(config(master))
		steady(t, l, at, 8, interval)
		noAdvert(t, l, "b", time.Time{})
		if f := l.Frames(lab.Announcements("a", vip), lab.After(at)); len(f) > 0 {
			t.Errorf("an unchanged address was announced again: %v", f[0])
		}

		// The backup first: releases before 2.4 reject adverts with another list of addresses than their own.
		more := func(i instance) instance { i.VIPs = "10.1.0.100/24 10.1.0.101/24"; return i }
		b.Reload(config(more(backup)))
		at = a.Reload(config(more(master)))
		l.WaitHolder(soon, vip2, "a")
		if f := l.WaitFrame(soon, "advert with both", lab.Adverts("a"), func(f *lab.Frame) bool { return len(f.VIPs) == 2 }); f.VIPs[1] != vip2 {
			t.Errorf("advert: %v", f)
		}
		l.WaitFrames(soon, 5, "announcement of the new address", lab.Announcements("a", vip2))
		steady(t, l, at, 8, interval)
		reachedAt(t, l, vip2, "a")

		b.Reload(config(backup))
		at = a.Reload(config(master))
		l.WaitHolder(soon, vip2, "")
		steady(t, l, at, 8, interval)
		if got := l.Holders(vip); got != "a" {
			t.Errorf("holders %q", got)
		}
		noAdvert(t, l, "b", time.Time{})
		if a.Logged(`Entering BACKUP STATE$`) || b.Logged(`Entering MASTER STATE`) {
			t.Error("the master changed")
		}
	})
}

// A configuration that cannot be applied changes nothing: the running one stays in force, and a later good one is taken.
func TestRefusedReload(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("the original ends, or drops its addresses, on a reload with such errors (a documented difference)")
	}
	good := instance{Priority: 150}
	for name, bad := range map[string]string{
		"V-E12 duplicate VRID": config(good, instance{Priority: 100, Name: "VI_2", VIPs: "10.1.0.102/24"}),
		"no interface":         config(instance{Priority: 150, Interface: "nope0"}),
		"V-E10 missing brace":  strings.TrimSuffix(config(good), "}\n"),
		"no address":           config(strings.Replace(good.String(), "    10.1.0.100/24\n", "", 1)),
		"V-E11 no file at all": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, lab.Plan{Nodes: []string{"a", "c"}})
			interval := good.WithDefaults().Interval
			a := lone(t, l, good)
			l.WaitFrames(soon, 2, "advert", lab.Adverts("a"))
			a.Reconfigure(bad)
			if bad == "" {
				remove(t, a.Conf)
			}
			at := a.Signal(syscall.SIGHUP)
			steady(t, l, at, 10, interval)
			if !a.Alive() || l.Holders(vip) != "a" {
				t.Fatal("the running configuration is not in force any more")
			}
			reachedAt(t, l, vip, "a")

			more := good
			more.VIPs = "10.1.0.100/24 10.1.0.101/24"
			at = a.Reload(config(more))
			l.WaitHolder(soon, vip2, "a")
			steady(t, l, at, 5, interval)
		})
	}
}

// The pid files name the running processes, guard against a second daemon, and go at the end.
func TestPidFiles(t *testing.T) {
	t.Run("V-A18 second daemon", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{Nodes: []string{"a"}})
		i := instance{Priority: 150}
		a := lone(t, l, i)
		n := l.Node("a")
		if got := n.ReadFile("keepalived.pid"); got != strconv.Itoa(a.Pid())+"\n" {
			t.Errorf("keepalived.pid %q, parent %d", got, a.Pid())
		}
		if !lab.Running(a.Worker()) {
			t.Errorf("vrrp.pid names %d, which does not run", a.Worker())
		}
		for _, name := range []string{"keepalived.pid", "vrrp.pid"} {
			if st, err := os.Stat(filepath.Join(n.Dir, name)); err != nil || st.Mode() != 0o644 {
				t.Errorf("%s: %v, %v", name, st, err)
			}
		}

		at := time.Now()
		code, out := n.Output(soon, lab.Ours(), append(n.Args(), "-n", "-l", "-G", "-P")...)
		if code != 0 || !strings.Contains(out, "daemon is already running") {
			t.Errorf("second daemon: exit code %d, %s", code, out)
		}
		steady(t, l, at, 3, i.WithDefaults().Interval)

		worker := a.Worker()
		if code := a.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if lab.Running(worker) {
			t.Error("the worker still runs")
		}
		for _, name := range []string{"keepalived.pid", "vrrp.pid"} {
			if _, err := os.Stat(filepath.Join(n.Dir, name)); !os.IsNotExist(err) {
				t.Errorf("%s after the end: %v", name, err)
			}
		}
	})
}

// SIGTERM and SIGINT end the daemon in order, whichever of its processes gets it first.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	a := lone(t, l, instance{Priority: 150})
	a.Signal(syscall.SIGINT)
	if code := a.WaitExit(soon); code != 0 {
		t.Errorf("exit code %d", code)
	}
	l.Wait(soon, "the address is gone", func() bool { return !l.Has("a", vip) }) // the news of it may come after the daemon's end
	l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
}

// A killed worker is replaced at once; the new one removes what was left and starts as backup.
func TestWorkerKilled(t *testing.T) {
	t.Run("V-B06 replaced", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{Nodes: []string{"a"}})
		i := instance{Priority: 150}
		a := lone(t, l, i)
		old := a.Worker()
		killed := time.Now()
		syscall.Kill(old, syscall.SIGKILL)
		a.WaitLog(soon, `died: Respawning`)
		a.WaitLogAfter(killed, soon, `\(VI_1\) Entering BACKUP STATE \(init\)`)
		l.Wait(soon, "the address left behind is removed", func() bool {
			return len(l.Entries(func(e lab.Entry) bool {
				return e.Addr != nil && e.Addr.Gone && e.Addr.Prefix.Addr() == vip && e.At.After(killed)
			})) > 0
		})
		first := l.WaitFrame(soon+i.Down(), "advert", lab.Adverts("a"), lab.After(killed.Add(50*time.Millisecond)))
		l.Took("return", killed, first.At, i.Down(), i.Down()+soon)
		l.WaitHolder(soon, vip, "a")
		if now := a.Worker(); now == old || !lab.Running(now) {
			t.Errorf("vrrp.pid names %d, before %d", now, old)
		}
		if code := a.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}

// What a worker that died has left must not wait for the next one, which may be a minute away: a peer has the addresses by then. Nor
// for one that never comes, or that has another configuration.
func TestWorkerKilledTwice(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	keep := instance{Priority: 255}
	drop := instance{Name: "VI_2", VRID: 52, Priority: 255, VIPs: "10.1.0.101/24"}
	a := l.Node("a").Start(lab.Ours(), lab.Config(keep, drop))
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("the original leaves them")
	}
	l.WaitHolder(soon, vip, "a")
	l.WaitHolder(soon, other, "a")

	kill := func() {
		t.Helper()
		killed := time.Now()
		syscall.Kill(a.Worker(), syscall.SIGKILL)
		a.WaitLogAfter(killed, soon, "Restart of VRRP process delayed")
	}
	kill() // the first is replaced at once
	l.Wait(soon, "a new worker", func() bool { return a.Worker() > 0 })
	l.WaitHolder(soon, other, "a")
	kill()
	l.WaitHolder(soon, vip, "")
	l.WaitHolder(soon, other, "")
	back := time.Now()
	a.Reload(lab.Config(keep))
	l.WaitHolder(soon, vip, "a")
	kill()
	a.Stop()
	l.WaitHolder(soon, vip, "")
	for _, e := range l.Entries(func(e lab.Entry) bool { return e.Addr != nil && e.At.After(back) }) {
		if e.Addr.Prefix.Addr() == other && !e.Addr.Gone {
			t.Errorf("the address that a reload dropped came back: %v", e)
		}
	}
}

// A reload that leaves an instance no address takes those that it had.
func TestReloadToNoAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	i := instance{Priority: 255}
	a := lone(t, l, i)
	a.Reload("vrrp_instance VI_1 {\n  interface eth0\n  virtual_router_id 51\n  priority 255\n  state MASTER\n}\n")
	l.WaitHolder(soon, vip, "")
	a.Stop()
}

// When the parent is killed the worker must not go on alone: it stops in order.
func TestParentKilled(t *testing.T) {
	t.Run("V-B05 orderly stop", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{Nodes: []string{"a"}})
		a := lone(t, l, instance{Priority: 150})
		pids := a.Pids()
		at := a.Signal(syscall.SIGKILL)
		l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0), lab.After(at))
		l.WaitHolder(soon, vip, "")
		for _, pid := range pids {
			l.Wait(soon, "process ended", func() bool { return !lab.Running(pid) })
		}
	})
}

// The dumps of USR1, USR2 and the JSON signal.
func TestDumps(t *testing.T) {
	t.Run("V-I11 V-I12 dumps", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{Nodes: []string{"a"}})
		n := l.Node("a")
		a := lone(t, l, instance{Priority: 150})
		for name, want := range map[string]string{"STOP": "15", "RELOAD": "1", "DATA": "10", "STATS": "12", "STATS_CLEAR": "63", "JSON": "36"} {
			if code, out := n.Output(soon, lab.Ours(), "--signum="+name); code != 0 || strings.TrimSpace(out) != want {
				t.Errorf("--signum=%s: exit code %d, %q", name, code, out)
			}
		}
		contains := func(name, text string, wants ...string) {
			t.Helper()
			for _, w := range wants {
				if !strings.Contains(text, w) {
					t.Errorf("%s has no %q:\n%s", name, w, text)
				}
			}
		}
		contains("keepalived.data", a.Dump(syscall.SIGUSR1, "keepalived.data"),
			"------< VRRP Topology >------\n", " VRRP Instance = VI_1\n", "   VRRP Version = 3\n", "   State = MASTER\n",
			"   Interface = eth0\n", "   Virtual Router ID = 51\n", "   Priority = 150\n", "   Effective priority = 150\n", "10.1.0.100/24 dev eth0")
		contains("keepalived_parent.data", a.Dump(syscall.SIGUSR1, "keepalived_parent.data"), "------< Global definitions >------\n")
		contains("keepalived.stats", a.Dump(syscall.SIGUSR2, "keepalived.stats"),
			"VRRP Instance: VI_1\n  Advertisements:\n    Received: 0\n    Sent: ", "\n  Became master: 1\n  Released master: 0\n  Packet Errors:\n    Length: 0\n",
			"  Priority Zero:\n    Received: 0\n    Sent: 0\n")

		var got []struct {
			Data struct {
				Iname string
				State int
				VIPs  []string
			}
			Stats struct {
				Advert_sent   int //nolint:revive // the field's name in the file
				Become_master int
			}
		}
		text := a.Dump(syscall.Signal(36), "keepalived.json")
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != 1 {
			t.Fatalf("keepalived.json: %v: %s", err, text)
		}
		if d, s := got[0].Data, got[0].Stats; d.Iname != "VI_1" || d.State != 2 || len(d.VIPs) != 1 || !strings.HasPrefix(d.VIPs[0], "10.1.0.100/24 dev eth0") ||
			s.Advert_sent == 0 || s.Become_master != 1 {
			t.Errorf("keepalived.json: %s", text)
		}
		if st, err := os.Stat(filepath.Join(n.Dir, "tmp", "keepalived.stats")); err != nil || st.Mode() != 0o600 {
			t.Errorf("keepalived.stats: %v %v", st, err)
		}

		cleared := a.Dump(syscall.Signal(63), "keepalived.stats")
		contains("keepalived.stats", cleared, "Became master: 1\n")
		contains("keepalived.stats after clearing", a.Dump(syscall.SIGUSR2, "keepalived.stats"), "Became master: 0\n")
	})
}

// The verdicts of -t.
func TestConfigTest(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	good := instance{Priority: 150}
	for _, c := range []struct {
		name, config string
		code         int
	}{
		{"good", config(good), 0},
		{"unknown keyword", config(instance{Priority: 150, Lines: "bogus_keyword"}), 5},
		{"priority out of range", config(instance{Priority: 300}), 5},
		{"duplicate VRID", config(good, instance{Priority: 100, Name: "VI_2", VIPs: "10.1.0.102/24"}), 5},
		{"missing brace", strings.TrimSuffix(config(good), "}\n"), 5},
		{"absent interface", config(instance{Priority: 150, Interface: "nope0"}), 5},
		{"missing include", config("include /nonexistent.conf\n", good), 0},
	} {
		path := n.File("test.conf", c.config)
		if code, out := n.Output(soon, lab.Ours(), "-t", "-f", path); code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s", c.name, code, c.code, out)
		}
	}
	missing := 4
	if lab.IsKeepalived(lab.Ours()) {
		missing = 0 // and only a message: a documented difference
	}
	if code, out := n.Output(soon, lab.Ours(), "-t", "-f", "/nonexistent.conf"); code != missing || !strings.Contains(out, "/nonexistent.conf") {
		t.Errorf("missing file: exit code %d, want %d\n%s", code, missing, out)
	}
	if code, out := n.Output(soon, lab.Ours(), "--no-such-option"); code != 1 {
		t.Errorf("unknown option: exit code %d\n%s", code, out)
	}
}

// With nopreempt a respawned worker leaves the addresses to who took them over meanwhile, whatever state the configuration begins with.
func TestRespawnDoesNotPreempt(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{})
	strong, weak := instance{Priority: 150, Lines: "nopreempt"}, instance{Priority: 100}
	a := l.Node("a").Start(lab.Ours(), lab.Config(strong))
	l.WaitHolder(soon, vip, "a")
	b := l.Node("b").Start(lab.Ours(), lab.Config(weak))
	b.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE`)
	for range 2 { // the second is replaced after a second, in which b takes over
		killed := time.Now()
		worker := a.Worker()
		syscall.Kill(worker, syscall.SIGKILL)
		a.WaitLogAfter(killed, soon, `child process\(\d+\) died: Respawning`)
		a.WaitLogAfter(killed, soon, `\(VI_1\) Entering BACKUP STATE`)
	}
	l.WaitHolder(soon+weak.Down(), vip, "b")
	quiet := time.Now()
	time.Sleep(5 * strong.Down()) // in which a must not take it back
	for _, f := range l.Frames(lab.Adverts("a"), lab.VRID(51)) {
		if f.At.After(quiet) {
			t.Fatalf("it speaks up: %v", f)
		}
	}
	if got := l.Holders(vip); got != "b" {
		t.Errorf("the address is at %q", got)
	}
}

// A daemon in another network namespace than it was started in works there, and its files say where it is.
func TestNamespaceOption(t *testing.T) {
	for name, keyword := range map[string]bool{"-s": false, "net_namespace": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, lab.Plan{})
			if lab.IsKeepalived(lab.Ours()) {
				t.Skip("its pid files are behind a mount")
			}
			n := l.Node("a")
			i := instance{Priority: 150}
			conf, args := lab.Config(i), []string{"-s", n.Namespace()}
			if keyword {
				conf, args = "net_namespace "+n.Namespace()+"\n"+conf, nil
			}
			// It is started in c's; the paths of the pid files are left to it.
			path := n.File("keepalived.conf", conf)
			cmd := l.Node("c").Command(lab.Ours(), append([]string{"-n", "-l", "-G", "-D", "-P", "-f", path}, args...)...)
			log := &strings.Builder{}
			cmd.Stdout, cmd.Stderr = log, log
			cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(n.Dir, "tmp"))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			stopped := false
			stop := func() {
				if stopped {
					return
				}
				stopped = true
				cmd.Process.Signal(syscall.SIGTERM)
				if err := <-ended; err != nil {
					t.Errorf("%v, log:\n%s", err, log)
				}
			}
			t.Cleanup(stop)
			l.WaitHolder(soon+i.Down(), vip, "a")
			run := filepath.Join("/run/keepalived", n.Namespace())
			for _, file := range []string{"keepalived.pid", "vrrp.pid"} {
				text, err := os.ReadFile(filepath.Join(run, file))
				pid, nerr := strconv.Atoi(strings.TrimSpace(string(text)))
				if err != nil || nerr != nil || syscall.Kill(pid, 0) != nil {
					t.Errorf("%s: %q, %v", file, text, err)
				}
			}
			stop()
			l.WaitHolder(soon, vip, "")
			if left, _ := filepath.Glob(run + "/*"); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			os.Remove(run)
			if said := "Changing syslog ident to Keepalived_" + n.Namespace(); !strings.Contains(log.String(), said) {
				t.Errorf("the log has no %q:\n%s", said, log)
			}
		})
	}
}
