package netns

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

func TestNotifyDetails(t *testing.T) {
	alone := lab.Plan{Nodes: []string{"a"}}
	onLab(t, "V-I04 a FIFO is for its owner", alone, func(t *testing.T, l *lab.Lab) {
		path := filepath.Join(l.Node("a").Dir, "fifo")
		a := l.Node("a").Start(lab.Ours(), config("global_defs {\n  vrrp_notify_fifo "+path+"\n}\n", instance{Priority: 150}))
		a.WaitLog(soon, `Entering BACKUP STATE`)
		if st, err := os.Stat(path); err != nil || st.Mode() != os.ModeNamedPipe|0o600 {
			t.Errorf("the FIFO: %v %v", st.Mode(), err)
		}
	})
	onLab(t, "V-I05 priority changes", alone, func(t *testing.T, l *lab.Lab) {
		n := l.Node("a")
		fifo := n.FIFO("fifo")
		path := n.File("level", "0\n")
		n.Start(lab.Ours(), config("global_defs {\n  vrrp_notify_fifo "+fifo.Path+"\n  vrrp_notify_priority_changes true\n}\n",
			"track_file level {\n  file "+path+"\n  weight 1\n}\n", instance{Priority: 100, Lines: "track_file {\n  level\n}"}))
		l.WaitHolder(2*soon, vip, "a")
		for level, want := range map[string]string{"-30": "70", "200": "254"} {
			n.File("level", level+"\n")
			l.Wait(soon, "told of priority "+want, func() bool {
				return slices.Contains(fifo.Lines(), `INSTANCE "VI_1" MASTER_PRIORITY `+want)
			})
		}
		n.Unplug(0)
	})
	onLab(t, "V-I06 a lower router", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		n := l.Node("a")
		fifo := n.FIFO("fifo")
		record := n.Recorder("lower", "echo ran") // it gets no arguments
		i := instance{Priority: 150, Lines: "notify_master_rx_lower_pri " + record.Path}
		n.Start(lab.Ours(), config("global_defs {\n  vrrp_notify_fifo "+fifo.Path+"\n}\n", i))
		l.WaitHolder(2*soon, vip, "a")
		for k := range 3 {
			l.Node("c").Inject(0, lab.Packet{VRID: 51, Priority: 50}, n)
			l.Wait(soon, "told of the lower router", func() bool {
				return len(record.Calls()) > k && len(fifo.Lines()) >= 3+k && fifo.Lines()[2+k] == `INSTANCE "VI_1" MASTER_RX_LOWER_PRI 150`
			})
			at := time.Now()
			l.WaitFrame(soon, "the next regular advert", lab.Adverts("a"), lab.After(at))
		}
	})
	onLab(t, "V-I13 an insecure script is not run", alone, func(t *testing.T, l *lab.Lab) {
		n := l.Node("a")
		out := filepath.Join(n.Dir, "ran")
		path := n.File("open.sh", "#!/bin/sh\ntouch "+out+"\n")
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
		a := n.Start(lab.Ours(), config(instance{Priority: 150, Lines: "notify " + path}))
		l.WaitHolder(2*soon, vip, "a")
		if !a.Logged(`open\.sh`) {
			t.Error("nothing is said of it")
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("it was run")
		}
	})
	onLab(t, "V-I15 slow scripts overlap, FIFO lines are in order", alone, func(t *testing.T, l *lab.Lab) {
		n := l.Node("a")
		fifo := n.FIFO("fifo")
		begun := filepath.Join(n.Dir, "begun")
		slow := n.File("slow.sh", "#!/bin/sh\necho $3 >>"+begun+"\nexec sleep 20\n")
		a := n.Start(lab.Ours(), config("global_defs {\n  vrrp_notify_fifo "+fifo.Path+"\n}\n", instance{Priority: 255, Lines: "notify " + slow}))
		l.WaitHolder(soon, vip, "a")
		n.Unplug(0)
		a.WaitLog(soon, `Entering FAULT STATE`)
		n.Plug(0)
		a.WaitLog(soon, `Entering BACKUP STATE$`)
		l.Wait(soon, "three scripts run at once", func() bool { return len(strings.Fields(n.ReadFile("begun"))) >= 3 })
		l.Wait(soon, "three lines", func() bool { return len(fifo.Lines()) >= 3 })
		want := []string{`INSTANCE "VI_1" MASTER 255`, `INSTANCE "VI_1" FAULT 255`, `INSTANCE "VI_1" BACKUP 255`}
		if got := fifo.Lines(); len(got) < 3 || !slices.Equal(got[:3], want) {
			t.Errorf("FIFO %q, want %q", got, want)
		}
	})
}

// One frame for each address and interval, in turn; all that are asked for come.
func TestAnnouncementThrottle(t *testing.T) {
	onLab(t, "V-D05 vrrp_garp_interval", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		const gap = 100 * time.Millisecond
		l.Node("a").Start(lab.Ours(), config("global_defs {\n  vrrp_garp_interval 0.1\n}\n",
			instance{Priority: 255, VIPs: "10.1.0.100/24 10.1.0.101/24 10.1.0.102/24", Lines: "garp_master_repeat 3\ngarp_master_delay 0"}))
		ours := func(f *lab.Frame) bool { return f.Kind == lab.GARP && f.Node == "a" }
		got := l.WaitFrames(2*soon, 9, "announcement", ours)
		for k, f := range got {
			if want := got[k%3].Target; f.Target != want {
				t.Errorf("announcement %d is of %s, want %s", k, f.Target, want)
			}
			l.Took("the announcement", got[0].At, f.At, time.Duration(k)*gap-10*time.Millisecond, time.Duration(k)*gap+slack)
		}
		at := time.Now()
		l.WaitFrames(soon, 5, "advert", lab.Adverts("a"), lab.After(at))
		if n := len(l.Frames(ours)); n != 9 {
			t.Errorf("%d announcements, want 9", n)
		}
	})
}
