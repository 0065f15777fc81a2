package netns

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// F17: a number but 0 in a file of weight 0 is a fault; reversed, 0 is. Removing, replacing and not finishing to write it count as they should.
func TestTrackFileFault(t *testing.T) {
	t.Run("V-F17 fault", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{Nodes: []string{"a"}})
		n := l.Node("a")
		path := n.File("level", "0\n")
		i := instance{Priority: 100, Lines: "track_file {\n  level\n}"}
		a := n.Start(lab.Ours(), config("track_file level {\n  file "+path+"\n  weight 0\n}\n", i))
		l.WaitHolder(soon+i.Down(), vip, "a")

		at := time.Now()
		n.File("level", "7\n")
		a.WaitLogAfter(at, soon, `^\(VI_1\): tracked file level now FAULT state$`)
		a.WaitLogAfter(at, soon, `^\(VI_1\) Entering FAULT STATE$`)
		l.WaitHolder(soon, vip, "")
		at = time.Now()
		remove(t, path)
		a.WaitLogAfter(at, soon, `^\(VI_1\): tracked file level leaving FAULT state$`)
		l.WaitHolder(soon+i.Down(), vip, "a")

		// A file that is moved there counts, one that is open for writing does not until it is closed.
		at = time.Now()
		if err := os.Rename(n.File("next", "1"), path); err != nil {
			t.Fatal(err)
		}
		a.WaitLogAfter(at, soon, `now FAULT state`)
		at = time.Now()
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		n.File("other", "0") // in the same directory: what came before it has been seen once this has
		if _, err := f.WriteString("5"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		n.File("level", "99999999999\n")
		a.WaitLogAfter(at, soon, `^Invalid number 99999999999 read from .*/level - ignoring$`)
		if got := logged(a, at, "leaving FAULT"); len(got) > 0 {
			t.Errorf("a truncated file was read before it was written: %q", got)
		}
	})
}

// logged returns the lines after the moment that hold the text.
func logged(d *lab.Daemon, after time.Time, text string) (out []string) {
	for _, e := range d.Log() {
		if e.At.After(after) && strings.Contains(e.Line, text) {
			out = append(out, e.Line)
		}
	}
	return out
}

// What a file says at the start decides the first state; init_file says it if there is no file, with overwrite in any case, and only once.
func TestTrackFileInit(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	there := n.File("there", "5\n")
	kept := n.File("kept", "0\n")
	absent := filepath.Join(n.Dir, "absent")
	files := "track_file there {\n  file " + there + "\n  init_file 20 overwrite\n}\n" +
		"track_file kept {\n  file " + kept + "\n  init_file 30\n}\n" +
		"vrrp_track_file absent {\n  file " + absent + "\n  init_file 3\n  weight 2 reverse\n}\n"
	i := instance{Priority: 100, Lines: "track_file {\n  there\n  kept\n  absent\n}"}
	a := n.Start(lab.Ours(), config(files, i))
	a.WaitLog(soon, `\(VI_1\) Changing effective priority from 100 to 114`)
	l.WaitHolder(soon+i.Down(), vip, "a")
	for name, want := range map[string]string{"there": "20", "kept": "0", "absent": "3"} {
		if got := strings.TrimSpace(n.ReadFile(name)); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	n.File("there", "0\n")
	a.WaitLog(soon, `\(VI_1\) Changing effective priority from 114 to 94`)
	at := a.Reload(config(files, instance{Priority: 101, Lines: i.Lines}))
	a.WaitLogAfter(at, soon, `Reload complete`)
	l.WaitFrame(soon, "advert after the reload", lab.Adverts("a"), lab.Priority(95), lab.After(at))
	if got := strings.TrimSpace(n.ReadFile("there")); got != "0" {
		t.Errorf("the reload made the file anew: %q", got)
	}
}

// A group's file counts for every member. Another path in a reload is another file.
func TestTrackFileGroup(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}, LANs: 2})
	n := l.Node("a")
	one, two := n.File("one", "0\n"), n.File("two", "-30\n")
	group := "vrrp_sync_group G1 {\n  group {\n    VI_1\n    VI_2\n  }\n  track_file {\n    level weight 2\n  }\n}\n"
	first := instance{Priority: 100}
	second := instance{Priority: 100, Name: "VI_2", Interface: "eth1", VRID: 52, VIPs: "10.2.0.100/24"}
	file := func(path string) string { return "track_file level {\n  file " + path + "\n}\n" }
	a := n.Start(lab.Ours(), config(file(one), group, first, second))
	l.WaitHolder(soon+first.Down(), vip, "a")
	n.File("one", "10\n")
	a.WaitLog(soon, `\(VI_1\) Changing effective priority from 100 to 120`)
	a.WaitLog(soon, `\(VI_2\) Changing effective priority from 100 to 120`)
	at := a.Reload(config(file(two), group, first, second))
	for range 2 {
		l.WaitFrame(soon, "advert with the priority of the other file", lab.Adverts("a"), lab.Priority(40), lab.After(at))
	}
	// Another name of the same file.
	renamed := strings.NewReplacer("level", "other")
	at = a.Reload(renamed.Replace(config(file(two), group, instance{Priority: 110}, second)))
	l.WaitFrame(soon, "advert with the priority of the file by its other name", lab.Adverts("a"), lab.Priority(50), lab.After(at))
	at = a.Reload(config(file(two), group, first, second))
	l.WaitFrame(soon, "advert with the former priority", lab.Adverts("a"), lab.Priority(40), lab.VRID(51), lab.After(at))
	at = time.Now()
	n.File("two", "0\n")
	l.WaitFrame(soon, "advert with the priority of the other file, written", lab.Adverts("a"), lab.Priority(100), lab.After(at))
	if s := logged(a, at, "STATE"); len(s) > 0 {
		t.Errorf("a change of priority changed the state: %q", s)
	}
}

// A link that is away for less than its delay is not missed; longer, it is, and it counts again when it has been there for the other delay.
func TestDebounce(t *testing.T) {
	t.Run("V-F21 delays", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{Nodes: []string{"a"}, LANs: 2})
		n := l.Node("a")
		i := instance{Priority: 100, Lines: "track_interface {\n  eth1 weight -20\n}"}
		a := n.Start(lab.Ours(), config("interface_up_down_delays {\n  eth1 0.8 0.4\n}\n", i))
		l.WaitHolder(soon+i.Down(), vip, "a")

		at := time.Now()
		n.Unplug(1)
		a.WaitLogAfter(at, soon, `^eth1: Adding flags change from 0x[0-9a-f]+ to 0x[0-9a-f]+ delay by 800000$`)
		n.Plug(1)
		// Long after the delay nothing has come of it.
		l.WaitFrames(soon, 6, "adverts after the flap", lab.Adverts("a"), lab.After(time.Now().Add(300*time.Millisecond)))
		if got := logged(a, at, "Netlink reports eth1"); len(got) > 0 {
			t.Errorf("a short flap was acted on: %q", got)
		}

		n.Unplug(1)
		down := time.Now()
		e := a.WaitLogAfter(down, soon, `^Netlink reports eth1 down$`)
		l.Took("acting on the loss", down, e.At, 700*time.Millisecond, 800*time.Millisecond+slack)
		a.WaitLogAfter(down, soon, `\(VI_1\) Changing effective priority from 100 to 80`)
		n.Plug(1)
		up := time.Now()
		e = a.WaitLogAfter(up, soon, `^Netlink reports eth1 up$`)
		l.Took("acting on the return", up, e.At, 300*time.Millisecond, 400*time.Millisecond+slack)
		a.WaitLogAfter(up, soon, `\(VI_1\) Changing effective priority from 80 to 100`)
	})
}

// F18: outside of the initial network namespace the kernel tells nothing of processes: there are none.
func TestTrackProcessElsewhere(t *testing.T) {
	t.Run("V-F18 processes", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{Nodes: []string{"a"}})
		n := l.Node("a")
		processes := "vrrp_track_process none {\n  process ka-none\n  quorum_max 0\n  weight 30\n}\n" +
			"vrrp_track_process test {\n  process " + os.Args[0] + "\n  full_command\n  weight 10\n}\n" +
			"vrrp_track_process need {\n  process ka-none\n}\n"
		a := n.Start(lab.Ours(), config(processes,
			instance{Priority: 100, Lines: "track_process {\n  none\n  test weight 7\n}"},
			instance{Priority: 100, Name: "VI_2", VRID: 52, VIPs: "10.1.0.101/24", Lines: "track_process {\n  need\n}"}))
		a.WaitLog(soon, `^Failed to set process event listen - errno 111 - Connection refused$`)
		a.WaitLog(soon, `^\(VI_2\) entering FAULT state \(tracked process need quorum not achieved\)$`)
		a.WaitLog(soon, `^\(VI_1\) Changing effective priority from 100 to 130$`)
		l.WaitHolder(2*soon, vip, "a")
		data := a.Dump(syscall.SIGUSR1, "keepalived.data")
		for _, want := range []string{" VRRP Track process = none\n", "   Current processes = 0\n   Have quorum = true\n", "     VI_1, weight 7\n"} {
			if !strings.Contains(data, want) {
				t.Errorf("the dump lacks %q", want)
			}
		}
	})
}
