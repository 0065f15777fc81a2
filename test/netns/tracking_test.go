package netns

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// checked is a vrrp_script that fails while the returned file exists, and the line that tracks it.
func checked(n *lab.Node, weight string) (definition, track, file string) {
	file = filepath.Join(n.Dir, "down")
	script := n.File("check.sh", "#!/bin/sh\ntest ! -e "+file+"\n")
	definition = "vrrp_script check {\n  script " + script + "\n  interval 1\n  rise 1\n  fall 1\n  weight " + weight + "\n}\n"
	return definition, "track_script {\n  check\n}", file
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// A failing script with a weight lowers the master's priority below the backup's, who takes over without a goodbye;
// when it succeeds again the old master is back.
func TestScriptWeight(t *testing.T) {
	t.Run("V-F05 V-F06 weight", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		check, track, down := checked(l.Node("a"), "-60")
		master, backup := instance{Priority: 150, Lines: track}, instance{Priority: 100}
		a := l.Node("a").Start(lab.Ours(), config(check, master))
		l.WaitHolder(soon+master.Down(), vip, "a")
		b := l.Node("b").Start(lab.Ours(), config(backup))
		b.WaitLog(soon, `Entering BACKUP STATE \(init\)`)

		touch(t, down)
		a.WaitLog(soon, `VRRP_Script\(check\) failed \(exited with status 1\)`)
		a.WaitLog(soon, `\(VI_1\) Changing effective priority from 150 to 90`)
		lowered := l.WaitFrame(soon, "advert with the lowered priority", lab.Adverts("a"), lab.Priority(90))
		l.WaitHolder(soon+backup.Down(), vip, "b")
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", lowered.At, first.At, backup.Down()-backup.WithDefaults().Interval-slack, backup.Down()+slack)
		if z := l.Frames(lab.Adverts("a"), lab.Priority(0)); len(z) > 0 {
			t.Errorf("goodbye: %v", z[0])
		}

		remove(t, down)
		a.WaitLog(soon, `VRRP_Script\(check\) succeeded`)
		a.WaitLog(soon, `\(VI_1\) Changing effective priority from 90 to 150`)
		l.WaitHolder(soon+master.Down(), vip, "a")
	})
}

// A failing script without weight is a fault.
func TestScriptFault(t *testing.T) {
	t.Run("V-F03 V-F04 fault", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		check, track, down := checked(l.Node("a"), "0")
		master, backup := instance{Priority: 150, Lines: track}, instance{Priority: 100}
		a := l.Node("a").Start(lab.Ours(), config(check, master))
		l.WaitHolder(soon+master.Down(), vip, "a")
		b := l.Node("b").Start(lab.Ours(), config(backup))
		b.WaitLog(soon, `Entering BACKUP STATE \(init\)`)

		touch(t, down)
		a.WaitLog(soon, `\(VI_1\) Entering FAULT STATE`)
		zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		l.WaitHolder(soon, vip, "b")
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", zero.At, first.At, backup.Skew()-2e6, backup.Skew()+slack)

		remove(t, down)
		a.WaitLogAfter(first.At, soon, `\(VI_1\) Entering BACKUP STATE`)
		l.WaitHolder(soon+master.Down(), vip, "a")
	})
}

// Every change of state calls the state's own script and the general one, with keepalived's arguments, and writes a
// line to the FIFO. The lines are in the order of the changes; the scripts are started in it, but nobody waits for them.
func TestNotify(t *testing.T) {
	t.Run("V-I01 V-I02 scripts", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		n := l.Node("a")
		all := n.Recorder("notify")
		own := n.Recorder("own", "ip -o addr show to 10.1.0.100 | wc -l")
		fifo := n.FIFO("fifo")
		var lines strings.Builder
		lines.WriteString("notify " + all.Path + "\n")
		for _, state := range []string{"master", "backup", "fault", "stop"} {
			lines.WriteString("notify_" + state + " \"" + own.Path + " to " + state + "\"\n")
		}
		i := instance{Priority: 150, Lines: lines.String()}
		a := n.Start(lab.Ours(), config("global_defs {\n  vrrp_notify_fifo "+fifo.Path+"\n}\n", i))
		states := func(n int) {
			t.Helper()
			l.Wait(soon+i.Down(), "notified", func() bool { return len(fifo.Lines()) >= n && len(all.Calls()) >= n && len(own.Calls()) >= n })
		}
		states(2)
		n.Unplug(0)
		states(3)
		n.Plug(0)
		states(5)
		if code := a.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		states(6)

		var wantFIFO, wantAll, wantOwn []string
		for _, state := range []string{"BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"} {
			wantFIFO = append(wantFIFO, `INSTANCE "VI_1" `+state+` 150`)
			wantAll = append(wantAll, "INSTANCE VI_1 "+state+" 150")
			held := "0" // when the script runs, the addresses are set or removed already
			if state == "MASTER" {
				held = "1"
			}
			wantOwn = append(wantOwn, "to "+strings.ToLower(state)+" "+held)
		}
		for _, c := range []struct {
			what      string
			got, want []string
		}{{"FIFO", fifo.Lines(), wantFIFO}, {"notify", all.Calls(), wantAll}, {"state scripts", own.Calls(), wantOwn}} {
			if c.what != "FIFO" {
				slices.Sort(c.got)
				slices.Sort(c.want)
			}
			if !slices.Equal(c.got, c.want) {
				t.Errorf("%s:\n got %q\nwant %q", c.what, c.got, c.want)
			}
		}
		if _, err := os.Stat(fifo.Path); !os.IsNotExist(err) {
			t.Errorf("the FIFO is still there after the end: %v", err)
		}
	})
}

// A group notifies after its members, with priority 0; at the start before them.
func TestGroupNotify(t *testing.T) {
	t.Run("V-G01 V-I03 order", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{LANs: 2})
		n := l.Node("a")
		fifo := n.FIFO("fifo")
		group := "vrrp_sync_group G1 {\n  group {\n    VI_1\n    VI_2\n  }\n}\n"
		a := n.Start(lab.Ours(), config("global_defs {\n  vrrp_notify_fifo "+fifo.Path+"\n}\n", group, instance{Priority: 150},
			instance{Priority: 150, Name: "VI_2", Interface: "eth1", VRID: 52, VIPs: "10.2.0.100/24"}))
		l.Wait(2*soon, "notified", func() bool { return len(fifo.Lines()) >= 6 })
		a.Signal(syscall.SIGTERM)
		a.WaitExit(soon)
		l.Wait(soon, "notified", func() bool { return len(fifo.Lines()) >= 9 })
		got := fifo.Lines()
		// Which member's timer expires last, and so leads, is chance.
		slices.Sort(got[3:5])
		want := []string{`GROUP "G1" BACKUP 0`, `INSTANCE "VI_1" BACKUP 150`, `INSTANCE "VI_2" BACKUP 150`,
			`INSTANCE "VI_1" MASTER 150`, `INSTANCE "VI_2" MASTER 150`, `GROUP "G1" MASTER 0`,
			`INSTANCE "VI_1" STOP 150`, `INSTANCE "VI_2" STOP 150`, `GROUP "G1" STOP 0`}
		if !slices.Equal(got, want) {
			t.Errorf("FIFO:\n got %q\nwant %q", got, want)
		}
	})
}
