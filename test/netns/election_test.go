package netns

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// Two routers of the same priority that could not hear each other are both master; when they can, the one with the
// higher address stays.
func TestSplitHeals(t *testing.T) {
	t.Run("V-A12 equal priorities", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		i := instance{Priority: 100}
		l.Node("a").Isolate(0)
		a := l.Node("a").Start(lab.Ours(), config(i))
		b := l.Node("b").Start(lab.Ours(), config(i))
		l.WaitHolder(soon+i.Down(), vip, "a b")
		healed := time.Now()
		l.Node("a").Join(0)
		l.WaitHolder(soon, vip, "b")
		a.WaitLog(soon, `\(VI_1\) Master received advert from 10\.1\.0\.2 with same priority 100 but higher IP address than ours`)
		l.WaitFrames(soon, 4, "adverts of b", lab.Adverts("b"), lab.After(healed))
		if f := l.Frames(lab.Adverts("a"), lab.Priority(0)); len(f) > 0 {
			t.Errorf("a said goodbye: %v", f[0])
		}
		if b.Logged(`Entering BACKUP STATE$`) {
			t.Error("b yielded")
		}
		reachedAt(t, l, vip, "b")
	})
}

// A master that was stalled for longer than the others wait finds another master: the higher priority keeps the
// address, and there is one holder in the end.
func TestStalledMaster(t *testing.T) {
	t.Run("V-B20 stalled", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		a, _ := pair(t, l, master, backup)
		pids := a.Pids()
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGSTOP)
		}
		l.WaitFrames(soon+backup.Down(), 3, "advert of b", lab.Adverts("b"))
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGCONT)
		}
		resumed := time.Now()
		l.WaitHolder(soon+master.Down(), vip, "a")
		l.WaitFrames(soon, 3, "advert of a", lab.Adverts("a"), lab.After(resumed))
		reachedAt(t, l, vip, "a")
		noAdvert(t, l, "b", l.LastFrame(lab.Adverts("a")).At)
	})
}

// The same with timer_expired_backup: a master that comes back too late steps down without a word.
func TestStalledMasterStepsDown(t *testing.T) {
	onLab(t, "V-B21 timer_expired_backup", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		if lab.IsKeepalived(lab.Ours()) {
			t.Skip("releases before 2.4 do not have it")
		}
		master, backup := instance{Priority: 150, Lines: "nopreempt\ntimer_expired_backup"}, instance{Priority: 100}
		a, b := pair(t, l, master, backup)
		pids := a.Pids()
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGSTOP)
		}
		l.WaitFrames(soon+backup.Down(), 3, "advert of b", lab.Adverts("b"))
		resumed := time.Now()
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGCONT)
		}
		a.WaitLogAfter(resumed, soon, `VRRP thread timer expired \d+\.\d{6} seconds ago`)
		l.WaitHolder(soon, vip, "b")
		l.WaitFrames(soon, 8, "advert of b", lab.Adverts("b"), lab.After(resumed))
		noAdvert(t, l, "a", resumed)
		if b.Logged(`Entering BACKUP STATE$`) {
			t.Error("b was disturbed")
		}
	})
}

// An address that somebody takes from the master's interface is set again: the master gives up with a goodbye and is
// back after its skew time, before its backup.
func TestAddressStolen(t *testing.T) {
	t.Run("V-B13 removed address", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		a, _ := pair(t, l, master, backup)
		l.WaitFrames(soon, 5, "announcement", lab.Announcements("a", vip))
		stolen := time.Now()
		l.Node("a").IP("addr del 10.1.0.100/24 dev eth0")
		zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		l.Took("goodbye", stolen, zero.At, 0, slack)
		back := l.WaitFrame(soon, "advert of a", lab.Adverts("a"), lab.After(zero.At))
		l.Took("return", zero.At, back.At, master.Skew()-5*time.Millisecond, master.Skew()+30*time.Millisecond)
		l.WaitHolder(soon, vip, "a")
		l.WaitFrames(soon, 5, "announcement", lab.Announcements("a", vip), lab.After(back.At))
		a.WaitLog(soon, `Netlink reflector reports IP 10\.1\.0\.100 removed from eth0`)
		noAdvert(t, l, "b", time.Time{})
	})
}

// The same beside a peer that is quicker: it takes over.
func TestAddressStolenBeside(t *testing.T) {
	onLab(t, "V-B14 a peer of smaller skew", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		master, quick := instance{Priority: 100}, instance{Priority: 200, Lines: "nopreempt"}
		a, b := pair(t, l, master, quick)
		l.Node("a").IP("addr del 10.1.0.100/24 dev eth0")
		zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", zero.At, first.At, quick.Skew()-5*time.Millisecond, quick.Skew()+slack)
		b.WaitLog(soon, `Backup received priority 0 advertisement`)
		l.WaitHolder(soon, vip, "b")
		l.WaitFrames(soon, 5, "advert of b", lab.Adverts("b"), lab.After(first.At.Add(master.Down())))
		if got := l.Holders(vip); got != "b" {
			t.Errorf("holders %q", got)
		}
		a.WaitLog(soon, `Entering BACKUP STATE$`)
	})
}

// A returning router waits preempt_delay before it preempts.
func TestPreemptDelay(t *testing.T) {
	t.Run("V-A09 preempt_delay", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		master, backup := instance{Priority: 150, Lines: "preempt_delay 2"}, instance{Priority: 100}
		l.Node("b").Start(lab.Ours(), config(backup))
		l.WaitHolder(soon+backup.Down(), vip, "b")
		a := l.Node("a").Start(lab.Ours(), config(master))
		begin := a.WaitLog(soon, `\(VI_1\) start preempt delay \(2\.000000\)`).At
		first := l.WaitFrame(soon+2*time.Second+master.Down(), "advert of a", lab.Adverts("a"))
		// From the last advert that it accepted on; releases before 2.4 accept one more.
		l.Took("preemption", begin, first.At, 2*time.Second+master.Down()-300*time.Millisecond, 2*time.Second+master.Down()+slack)
		l.WaitHolder(soon, vip, "a")
	})
}

// Priorities change by reload: a lowered master stays until the backup preempts it, a raised one preempts.
func TestReloadPriority(t *testing.T) {
	t.Run("V-E04 V-E05 priority", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		a, _ := pair(t, l, master, backup)
		at := a.Reload(config(instance{Priority: 50}))
		l.WaitFrame(soon, "advert with the lowered priority", lab.Adverts("a"), lab.Priority(50), lab.After(at))
		first := l.WaitFrame(soon+backup.Down(), "advert of b", lab.Adverts("b"))
		l.Took("takeover", at, first.At, backup.Down()-200*time.Millisecond, backup.Down()+2*slack)
		l.WaitHolder(soon, vip, "b")
		at = a.Reload(config(instance{Priority: 200}))
		l.WaitFrame(soon+master.Down(), "advert of a", lab.Adverts("a"), lab.Priority(200), lab.After(at))
		l.WaitHolder(soon, vip, "a")
		if f := l.Frames(lab.Priority(0), func(f *lab.Frame) bool { return f.Kind == lab.Advert }); len(f) > 0 {
			t.Errorf("goodbye: %v", f[0])
		}
	})
}

// An instance is what it does, not what it is called: renamed it stays master; with another VRID it is another one.
func TestReloadIdentity(t *testing.T) {
	t.Run("V-E06 V-E07 name and VRID", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		n := l.Node("a")
		fifo := n.FIFO("fifo")
		notify := "global_defs {\n  vrrp_notify_fifo " + fifo.Path + "\n}\n"
		i := instance{Priority: 150}
		a := n.Start(lab.Ours(), config(notify, i))
		l.WaitHolder(soon+i.Down(), vip, "a")

		renamed := i
		renamed.Name = "VI_new"
		at := a.Reload(config(notify, renamed))
		steady(t, l, at, 5, i.WithDefaults().Interval)
		l.Wait(soon, "notified", func() bool { return len(fifo.Lines()) >= 2 })
		if got, want := fifo.Lines(), []string{`INSTANCE "VI_1" BACKUP 150`, `INSTANCE "VI_1" MASTER 150`}; !slices.Equal(got, want) {
			t.Errorf("FIFO %q, want %q", got, want)
		}

		moved := i
		moved.VRID = 52
		at = a.Reload(config(notify, moved))
		l.WaitFrame(soon, "goodbye on the old VRID", lab.Adverts("a"), lab.VRID(51), lab.Priority(0), lab.After(at))
		first := l.WaitFrame(soon+i.Down(), "advert on the new VRID", lab.Adverts("a"), lab.VRID(52))
		l.Took("start on the new VRID", at, first.At, i.Down(), i.Down()+starting+slack)
		l.WaitHolder(soon, vip, "a")
	})
}

// An instance that a reload removes says goodbye and gives up its address; the others do not notice.
func TestReloadRemoves(t *testing.T) {
	t.Run("V-E08 removed", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		n := l.Node("a")
		record := n.Recorder("notify")
		i := instance{Priority: 150}
		second := instance{Priority: 150, Name: "VI_2", VRID: 52, VIPs: "10.1.0.101/24", Lines: "notify " + record.Path + "\nnotify_deleted"}
		a := n.Start(lab.Ours(), config(i, second))
		l.WaitHolder(soon+i.Down(), vip2, "a")
		l.WaitFrames(soon, 2, "advert", lab.Adverts("a"), lab.VRID(51))
		at := a.Reload(config(i))
		l.WaitFrame(soon, "goodbye of the removed one", lab.Adverts("a"), lab.VRID(52), lab.Priority(0), lab.After(at))
		l.WaitHolder(soon, vip2, "")
		l.Wait(soon, "notified", func() bool { return slices.Contains(record.Calls(), "INSTANCE VI_2 DELETED 150") })
		l.WaitFrames(soon, 4, "advert of the other", lab.Adverts("a"), lab.VRID(51), lab.After(at))
		if f := l.Frames(lab.Adverts("a"), lab.VRID(51), lab.Priority(0)); len(f) > 0 {
			t.Errorf("the other said goodbye: %v", f[0])
		}
		if f := l.Frames(lab.Adverts("a"), lab.VRID(52), lab.After(l.LastFrame(lab.VRID(52), lab.Priority(0)).At)); len(f) > 0 {
			t.Errorf("the removed one goes on: %v", f[0])
		}
	})
}

// The number in a tracked file, times its weight, is added to the priority.
func TestTrackFile(t *testing.T) {
	t.Run("V-F16 weighted file", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{Nodes: []string{"a"}})
		n := l.Node("a")
		path := n.File("level", "0\n")
		file := "track_file level {\n  file " + path + "\n  weight 2\n}\n"
		n.Start(lab.Ours(), config(file, instance{Priority: 100, Lines: "track_file {\n  level\n}"}))
		l.WaitHolder(soon+instance{Priority: 100}.Down(), vip, "a")
		for _, step := range []struct {
			content  string
			priority uint8
		}{{"10\n", 120}, {"-20\n", 60}, {"200\n", 254}, {"0\n", 100}} {
			at := time.Now()
			n.File("level", step.content)
			l.WaitFrame(soon, "advert with the priority for "+strings.TrimSpace(step.content), lab.Adverts("a"), lab.Priority(step.priority), lab.After(at))
		}
		n.File("level", "-200\n")
		l.WaitHolder(soon, vip, "")
		n.File("level", "1\n")
		l.WaitFrame(soon+2*time.Second, "advert with the priority for 1", lab.Adverts("a"), lab.Priority(102))
	})
}

// A configuration that cannot run ends the daemon at the start with code 2, as systemd and scripts expect.
func TestFatalStart(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	for name, bad := range map[string]string{
		"V-A21 duplicate VRID":    config(instance{Priority: 150}, instance{Priority: 150, Name: "VI_2", VIPs: "10.1.0.101/24"}),
		"V-A19 absent interface":  config(instance{Priority: 150, Interface: "nope0"}),
		"V-J03 strict and no VIP": config("global_defs {\n  vrrp_strict\n}\n", strings.Replace(instance{Priority: 150}.String(), "    10.1.0.100/24\n", "", 1)),
	} {
		d := l.Node("a").Start(lab.Ours(), bad)
		if code := d.WaitExit(2 * soon); code != 2 {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}

// Without its interface an instance waits in fault when interfaces may come and go, and works when it appears.
func TestDynamicInterface(t *testing.T) {
	t.Run("V-A19 V-A20 dynamic interface", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		n := l.Node("a")
		i := instance{Priority: 150, Interface: "late0", VIPs: "10.9.0.100/24"}
		a := n.Start(lab.Ours(), config("global_defs {\n  dynamic_interfaces\n}\n", i))
		a.WaitLog(soon, `\(VI_1\):? entering FAULT state`)
		n.IP("link add late0 type veth peer name late1", "addr add 10.9.0.1/24 dev late0", "link set late1 up", "link set late0 up")
		a.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE`)
		l.WaitHolder(soon+i.Down(), netip.MustParseAddr("10.9.0.100"), "a")
		gone := time.Now()
		n.IP("link del late0")
		a.WaitLogAfter(gone, soon, `\(VI_1\) Entering FAULT STATE`)
	})
}
