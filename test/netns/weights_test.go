package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// script is a vrrp_script of this text, and the line that tracks it.
func script(n *lab.Node, name, text, options string) (definition, track string) {
	path := n.File(name+".sh", "#!/bin/sh\n"+text+"\n")
	return "vrrp_script " + name + " {\n  script " + path + "\n  interval 1\n  " + options + "\n}\n", "track_script {\n  " + name + "\n}"
}

func TestScripts(t *testing.T) {
	alone := lab.Plan{Nodes: []string{"a"}}
	onLab(t, "V-F01 good from the start", alone, func(t *testing.T, l *lab.Lab) {
		check, track := script(l.Node("a"), "check", "exit 0", "")
		a := l.Node("a").Start(lab.Ours(), config(check, instance{Priority: 150, Lines: track}))
		a.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE`)
		l.WaitHolder(soon, vip, "a")
		if a.Logged("FAULT") {
			t.Error("the wait for the script was told as a fault")
		}
	})
	onLab(t, "V-F02 bad at the start", alone, func(t *testing.T, l *lab.Lab) {
		n := l.Node("a")
		record := n.Recorder("notify")
		check, track, down := checked(n, "0")
		touch(t, down)
		a := n.Start(lab.Ours(), config(check, instance{Priority: 150, Lines: track + "\nnotify " + record.Path}))
		a.WaitLog(soon, `failed \(exited with status 1\)`)
		l.Wait(soon, "the fault is told", func() bool { return slices.Contains(record.Calls(), "INSTANCE VI_1 FAULT 150") })
		remove(t, down)
		a.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE`)
		l.WaitHolder(soon, vip, "a")
	})
	onLab(t, "V-F07 rise and fall", alone, func(t *testing.T, l *lab.Lab) {
		// One result a second decides at the start; then three bad ones in a row count, and two good ones.
		down := filepath.Join(l.Node("a").Dir, "down")
		check, track := script(l.Node("a"), "check", "test ! -e "+down, "rise 2\n  fall 3\n  weight -60")
		a := l.Node("a").Start(lab.Ours(), config(check, instance{Priority: 150, Lines: track}))
		l.WaitHolder(2*soon, vip, "a")
		touch(t, down)
		at := time.Now()
		fell := a.WaitLogAfter(at, 2*soon, `from 150 to 90`).At
		l.Took("the fall", at, fell, 2*time.Second, 3*time.Second+2*slack)
		remove(t, down)
		at = time.Now()
		rose := a.WaitLogAfter(at, 2*soon, `from 90 to 150`).At
		l.Took("the rise", at, rose, time.Second, 2*time.Second+2*slack)
	})
	onLab(t, "V-F08 init_fail has no effect", alone, func(t *testing.T, l *lab.Lab) {
		check, track := script(l.Node("a"), "check", "exit 0", "weight -20\n  init_fail")
		l.Node("a").Start(lab.Ours(), config(check, instance{Priority: 150, Lines: track}))
		if f := l.WaitFrames(2*soon, 3, "advert", lab.Adverts("a")); f[0].Priority != 150 || f[2].Priority != 150 {
			t.Errorf("adverts %v", f)
		}
	})
	onLab(t, "V-F09 a script hangs", alone, func(t *testing.T, l *lab.Lab) {
		hang := filepath.Join(l.Node("a").Dir, "hang")
		check, track := script(l.Node("a"), "check", "test ! -e "+hang+" || exec sleep 100", "fall 2")
		a := l.Node("a").Start(lab.Ours(), config(check, instance{Priority: 150, Lines: track}))
		l.WaitHolder(2*soon, vip, "a")
		touch(t, hang)
		a.WaitLog(2*soon, `already running, expect idle - skipping run`)
		a.WaitLog(3*soon, `VRRP_Script\(check\) timed_out`)
		a.WaitLog(soon, `\(VI_1\) Entering FAULT STATE`)
		a.Stop()
		if out, _ := l.Node("a").Command("pgrep", "-f", "^sleep 100$").Output(); len(out) > 0 {
			for pid := range strings.FieldsSeq(string(out)) {
				if dir, _ := os.Readlink("/proc/" + pid + "/cwd"); strings.HasPrefix(dir, l.Node("a").Dir) {
					t.Errorf("process %s is left", pid)
				}
			}
		}
	})
	onLab(t, "V-F10 a script is killed", alone, func(t *testing.T, l *lab.Lab) {
		check, track := script(l.Node("a"), "check", "kill -9 $$", "weight -20")
		a := l.Node("a").Start(lab.Ours(), config(check, instance{Priority: 150, Lines: track}))
		a.WaitLog(soon, `VRRP_Script\(check\) failed \(due to signal 9\)`)
	})
	for _, c := range []struct {
		name, weight string
		exit         int
		want         uint8
	}{
		{"V-F11 reversed, good", "-30 reverse", 0, 100}, {"V-F11 reversed, bad", "-30 reverse", 1, 130},
		{"V-F12 no more than 254", "200", 0, 254}, {"V-F12 no less than 1", "-200", 1, 1},
	} {
		onLab(t, c.name, alone, func(t *testing.T, l *lab.Lab) {
			check, track := script(l.Node("a"), "check", fmt.Sprint("exit ", c.exit), "weight "+c.weight)
			l.Node("a").Start(lab.Ours(), config(check, instance{Priority: 100, Lines: track}))
			if f := l.WaitFrames(2*soon, 3, "advert", lab.Adverts("a")); f[2].Priority != c.want {
				t.Errorf("priority %d, want %d", f[2].Priority, c.want)
			}
		})
	}
}

func TestTrackInterface(t *testing.T) {
	two := lab.Plan{LANs: 2}
	onLab(t, "V-F13 without a weight", two, func(t *testing.T, l *lab.Lab) {
		master, backup := instance{Priority: 150, Lines: "track_interface {\n  eth1\n}"}, instance{Priority: 100}
		a, _ := pair(t, l, master, backup)
		at := time.Now()
		l.Node("a").Unplug(1)
		a.WaitLogAfter(at, soon, `\(VI_1\) Entering FAULT STATE`)
		zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", zero.At, first.At, backup.Skew()-5*time.Millisecond, backup.Skew()+slack)
		l.Node("a").Plug(1)
		l.WaitHolder(soon+master.Down(), vip, "a")
	})
	for name, c := range map[string]struct {
		weight   string
		up, down uint8
	}{"V-F14 a negative weight": {"-30", 100, 70}, "V-F14 a positive weight": {"20", 120, 100}} {
		onLab(t, name, lab.Plan{Nodes: []string{"a"}, LANs: 2}, func(t *testing.T, l *lab.Lab) {
			l.Node("a").Start(lab.Ours(), config(instance{Priority: 100, Lines: "track_interface {\n  eth1 weight " + c.weight + "\n}"}))
			l.WaitFrame(soon, "advert", lab.Adverts("a"), lab.Priority(c.up))
			at := time.Now()
			l.Node("a").Unplug(1)
			l.WaitFrame(soon, "advert", lab.Adverts("a"), lab.Priority(c.down), lab.After(at))
			at = time.Now()
			l.Node("a").Plug(1)
			l.WaitFrame(soon, "advert", lab.Adverts("a"), lab.Priority(c.up), lab.After(at))
		})
	}
	onLab(t, "V-F15 the own interface", lab.Plan{Nodes: []string{"a"}}, func(t *testing.T, l *lab.Lab) {
		a := l.Node("a").Start(lab.Ours(), config(instance{Priority: 150, Lines: "track_interface {\n  eth0 weight -30\n}"}))
		a.WaitLog(soon, `\(VI_1\) Ignoring track_interface eth0 since own interface`)
		if f := l.WaitFrame(soon, "advert", lab.Adverts("a")); f.Priority != 150 {
			t.Errorf("priority %d", f.Priority)
		}
	})
}
