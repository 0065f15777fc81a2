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

// Reloads that leave the state alone.
func TestReloadKeeps(t *testing.T) {
	onLab(t, "V-E09 an unknown keyword is skipped, the rest applied", lab.Plan{Nodes: []string{"a", "c"}}, func(t *testing.T, l *lab.Lab) {
		i := instance{Priority: 150}
		a := lone(t, l, i)
		l.WaitFrames(soon, 2, "advert", lab.Adverts("a"))
		more := instance{Priority: 150, VIPs: "10.1.0.100/24 10.1.0.101/24", Lines: "bogus_keyword"}
		at := a.Reload(config(more))
		a.WaitLogAfter(at, soon, `Line \d+\).*[Uu]nknown keyword 'bogus_keyword'`)
		l.WaitHolder(soon, other, "a")
		steady(t, l, at, 5, i.WithDefaults().Interval)
	})
	onLab(t, "V-E16 what a script said", lab.Plan{Nodes: []string{"a"}}, func(t *testing.T, l *lab.Lab) {
		check, track, _ := checked(l.Node("a"), "20")
		i := instance{Priority: 100, Lines: track}
		a := l.Node("a").Start(lab.Ours(), config(check, i))
		l.WaitFrame(2*soon, "advert with the script's weight", lab.Adverts("a"), lab.Priority(120))
		i.Lines += "\nnotify_priority_changes true"
		at := a.Reload(config(check, i))
		a.WaitLogAfter(at, soon, `VRRP_Script\(check\) considered successful on reload`)
		steady(t, l, at, 8, i.WithDefaults().Interval)
		if f := l.Frames(lab.Adverts("a"), lab.Not(lab.Priority(120)), lab.After(at)); len(f) > 0 {
			t.Errorf("the priority was another meanwhile: %v", f[0])
		}
	})
	onLab(t, "V-E20 ten in a second", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		i := instance{Priority: 150}
		a, b := pair(t, l, i, instance{Priority: 100})
		begin := time.Now()
		for k := range 10 {
			a.Signal(syscall.SIGHUP)
			l.Until(time.Until(begin.Add(time.Duration(k+1)*100*time.Millisecond)), func() bool { return false })
		}
		steady(t, l, begin, 12, i.WithDefaults().Interval)
		if got := append(logged(a, begin, "STATE"), logged(b, begin, "VI_1")...); len(got) > 0 {
			t.Errorf("the reloads were noticed: %q", got)
		}
		noAdvert(t, l, "b", time.Time{})
	})
	onLab(t, "V-E21 counters", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		i := instance{Priority: 150}
		a := lone(t, l, i)
		l.Node("c").Inject(0, lab.Packet{VRID: 51, Priority: 50, TTL: 254}, l.Node("a"))
		a.WaitLog(soon, `invalid TTL/HL`)
		at := a.Reload(config(instance{Priority: 160}))
		l.WaitFrame(soon, "advert with the new priority", lab.Adverts("a"), lab.Priority(160), lab.After(at))
		if s := a.Dump(syscall.SIGUSR2, "keepalived.stats"); !strings.Contains(s, "Became master: 1\n") || !strings.Contains(s, "TTL: 1\n") {
			t.Errorf("statistics:\n%s", s)
		}
	})
}

// What is said, and in which order, when the daemon ends.
func TestStop(t *testing.T) {
	onLab(t, "V-E17 V-E18 two instances", lab.Plan{LANs: 2}, func(t *testing.T, l *lab.Lab) {
		n := l.Node("a")
		record := n.Recorder("notify")
		notify := "notify " + record.Path
		i := instance{Priority: 150, Lines: notify}
		second := instance{Name: "VI_2", VRID: 52, Priority: 150, VIPs: "10.1.0.101/24", Lines: notify}
		broken := instance{Name: "VI_3", Interface: "eth1", VRID: 53, Priority: 150, VIPs: "10.2.0.100/24", Lines: notify}
		n.Unplug(1)
		a := n.Start(lab.Ours(), config(i, second, broken))
		l.WaitHolder(soon+i.Down(), vip, "a")
		l.WaitHolder(soon, other, "a")
		asked := a.Signal(syscall.SIGTERM)
		a.WaitExit(soon)
		l.Took("the end", asked, a.Exited(), 0, 1500*time.Millisecond)
		said := l.Frames(lab.Adverts("a"), lab.Priority(0))
		if len(said) != 2 || said[0].VRID != 51 || said[1].VRID != 52 {
			t.Errorf("goodbyes: %v", said)
		}
		for _, name := range []string{"VI_1", "VI_2", "VI_3"} {
			l.Wait(soon, name+" notified", func() bool { return slices.Contains(record.Calls(), "INSTANCE "+name+" STOP 150") })
		}
	})
	onLab(t, "V-G05 V-G01 sync groups", lab.Plan{LANs: 2}, func(t *testing.T, l *lab.Lab) {
		vip2 := netip.MustParseAddr("10.2.0.100")
		master, backup := grouped(150, ""), grouped(100, "")
		a := l.Node("a").Start(lab.Ours(), master)
		l.WaitHolder(2*soon, vip2, "a")
		b := l.Node("b").Start(lab.Ours(), backup)
		b.WaitLog(soon, `\(VI_2\) Entering BACKUP STATE \(init\)`)
		for lan := range 2 {
			l.WaitFrames(soon, 2, "advert", lab.Adverts("a"), lab.OnLAN(lan), lab.After(time.Now()))
		}
		asked := a.Signal(syscall.SIGTERM)
		for lan := range 2 {
			zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0), lab.OnLAN(lan))
			first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"), lab.OnLAN(lan), lab.After(asked))
			l.Took("takeover", zero.At, first.At, instance{Priority: 100}.Skew()-5*time.Millisecond, instance{Priority: 100}.Skew()+slack)
		}
		a.WaitExit(soon)
		l.WaitHolder(soon, vip, "b")
		l.WaitHolder(soon, vip2, "b")
	})
}
