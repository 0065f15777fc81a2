package netns

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// onLab runs a test on a network of its own, beside others.
func onLab(t *testing.T, name string, plan lab.Plan, run func(t *testing.T, l *lab.Lab)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		run(t, newLab(t, plan))
	})
}

// without is the text of an instance without one of its lines.
func without(i instance, line string) string {
	return strings.Replace(i.String(), "  "+line+"\n", "", 1)
}

func TestStart(t *testing.T) {
	second := time.Second
	onLab(t, "V-A01 V-D01 a lone router with the defaults", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		i := instance{Version: 2, Interval: second, Priority: 100}
		start := time.Now()
		l.Node("a").Start(lab.Ours(), config(i))
		first := l.WaitFrame(soon+i.Down(), "advert", lab.Adverts("a"))
		l.Took("the first advert", start, first.At, i.Down()-2*time.Millisecond, i.Down()+starting)
		said := l.WaitFrames(8*second, 10, "announcement", lab.Announcements("a", vip))
		l.Took("the first announcement", first.At, said[0].At, 0, slack)
		l.Took("the first block", said[0].At, said[4].At, 0, 50*time.Millisecond)
		l.Took("the second block", said[0].At, said[5].At, 5*second-10*time.Millisecond, 5*second+slack)
		adverts := l.WaitFrames(8*second, 8, "advert", lab.Adverts("a"))
		for k, f := range adverts[1:] {
			l.Took(fmt.Sprint("advert ", k+1), adverts[k].At, f.At, second-slack, second+slack) // of which either may be late
		}
		l.Took("7 adverts", first.At, adverts[7].At, 7*second-slack, 7*second+slack)
		if n := len(l.Frames(lab.Announcements("a", vip))); n != 10 {
			t.Errorf("%d announcements, want 10", n)
		}
	})
	onLab(t, "V-A04 state MASTER without a priority is an owner", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		l.Node("a").Start(lab.Ours(), config(without(instance{Version: 2, Interval: second, Priority: 150, Lines: "state MASTER"}, "priority 150")))
		if f := l.WaitFrame(soon, "advert", lab.Adverts("a")); f.Priority != 255 {
			t.Errorf("priority %d", f.Priority)
		}
	})
	onLab(t, "V-A08 nopreempt with state MASTER preempts", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		master, backup := instance{Priority: 150, Lines: "state MASTER\nnopreempt"}, instance{Priority: 100}
		l.Node("b").Start(lab.Ours(), config(backup))
		l.WaitHolder(soon+backup.Down(), vip, "b")
		a := l.Node("a").Start(lab.Ours(), config(master))
		a.WaitLog(soon, `\(VI_1\) Warning - nopreempt will not work with initial state MASTER - clearing`)
		l.WaitHolder(soon+master.Down(), vip, "a")
	})
	for name, reload := range map[string]string{"V-A16 start-up delay": "", "V-A16 start-up delay, made longer": "2", "V-A16 start-up delay, made shorter": "0.1"} {
		onLab(t, name, lab.Plan{}, func(t *testing.T, l *lab.Lab) {
			delayed := func(d string) string { return "global_defs {\n  vrrp_startup_delay " + d + "\n}\n" }
			i := instance{Priority: 150}
			start := time.Now()
			a := l.Node("a").Start(lab.Ours(), config(delayed("1"), i))
			a.WaitLog(soon, `^Delaying startup for 1 seconds$`)
			a.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE \(init\)`)
			over, ended := second, `^Delayed start completed$`
			switch reload {
			case "2":
				a.Reload(config(delayed(reload), i))
				a.WaitLog(soon, `^Delaying startup for a further \d`)
				over = 2 * second
			case "0.1":
				l.Until(200*time.Millisecond, func() bool { return false }) // so that it has passed
				at := a.Reload(config(delayed(reload), i))
				over, ended = at.Sub(start), `^Reduced delayed start passed$`
			}
			a.WaitLog(soon, ended)
			first := l.WaitFrame(2*soon, "advert", lab.Adverts("a"))
			l.Took("the first advert", start, first.At, over+i.Down()-10*time.Millisecond, over+i.Down()+starting+slack)
		})
	}
	onLab(t, "V-A17 start-up delay beside a master", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		b := l.Node("b").Start(lab.Ours(), config(backup))
		l.WaitHolder(soon+backup.Down(), vip, "b")
		start := time.Now()
		a := l.Node("a").Start(lab.Ours(), config("global_defs {\n  vrrp_startup_delay 1\n}\n", master))
		first := l.WaitFrame(2*soon, "advert", lab.Adverts("a"))
		l.Took("the takeover", start, first.At, second+master.Down()-10*time.Millisecond, second+master.Down()+starting+slack)
		l.WaitHolder(soon, vip, "a")
		if a.Logged(`received lower priority`) {
			end := a.WaitLog(soon, `^Delayed start completed$`).At
			for _, e := range a.Log() {
				if strings.Contains(e.Line, "received lower priority") && e.At.Before(end) {
					t.Errorf("looked at an advert within the delay: %s", e.Line)
				}
			}
		}
		b.WaitLog(soon, `Entering BACKUP STATE$`)
	})
	onLab(t, "V-A22 wrong values are put right", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		a := l.Node("a").Start(lab.Ours(), config(instance{Priority: 300, Lines: "bogus_keyword"}))
		a.WaitLog(soon, `Line \d+\).*[Uu]nknown keyword 'bogus_keyword'`)
		if f := l.WaitFrame(soon+instance{Priority: 100}.Down(), "advert", lab.Adverts("a")); f.Priority != 100 {
			t.Errorf("priority %d, want 100", f.Priority)
		}
		a.Stop()
		d := l.Node("a").Start(lab.Ours(), config(instance{Priority: 100, VRID: 300}))
		if code := d.WaitExit(2 * soon); code != 2 {
			t.Errorf("VRID 300: exit code %d", code)
		}
	})
	onLab(t, "V-C33 more addresses than an advert holds", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		var vips []string
		for k := range 400 {
			vips = append(vips, fmt.Sprintf("10.77.%d.%d", k/200, k%200+1))
		}
		a := l.Node("a").Start(lab.Ours(), config(instance{Priority: 255, VIPs: strings.Join(vips, " ")}))
		a.WaitLog(soon, `\(VI_1\) Number of VIPs \(400\) exceeds maximum/space available in packet \(max 255 addresses\) - excess moved to eVIPs`)
		f := l.WaitFrame(soon, "advert", lab.Adverts("a"))
		if len(f.VIPs) != 255 || f.VIPs[254] != netip.MustParseAddr(vips[254]) || len(f.Payload) != 8+255*4 {
			t.Errorf("advert of %d bytes with %d addresses", len(f.Payload), len(f.VIPs))
		}
		for _, v := range vips {
			l.WaitHolder(soon, netip.MustParseAddr(v), "a")
		}
	})
	onLab(t, "V-C34 the group is joined and left", lab.Plan{Nodes: []string{"a"}}, func(t *testing.T, l *lab.Lab) {
		member := func() bool {
			out, err := l.Node("a").Command("cat", "/proc/net/igmp").Output()
			return err == nil && strings.Contains(string(out), "120000E0") // 224.0.0.18
		}
		a := l.Node("a").Start(lab.Ours(), config(instance{Priority: 150}))
		l.Wait(soon, "joined", member)
		a.Stop()
		l.Wait(soon, "left", func() bool { return !member() })
	})
}

// A pair in which nobody is better than the other, or one that is.
func TestStartTogether(t *testing.T) {
	const second = time.Second
	onLab(t, "V-A02 together", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		// Far apart, so that it matters little which of them the machine starts first.
		l.Node("a").Start(lab.Ours(), config(instance{Priority: 254, Interval: second}))
		b := l.Node("b").Start(lab.Ours(), config(instance{Priority: 1, Interval: second}))
		l.WaitHolder(3*soon, vip, "a")
		b.WaitLog(soon, `\(VI_1\) master set to 10\.1\.0\.1`)
		l.WaitFrames(2*soon, 4, "advert", lab.Adverts("a"))
		noAdvert(t, l, "b", time.Time{})
	})
	onLab(t, "V-A11 equal priorities", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		i := instance{Priority: 100}
		// One after the other: two whose timers fire in the same instant are both masters until the next advert.
		l.Node("a").Start(lab.Ours(), config(i)).WaitLog(soon, `Entering BACKUP STATE \(init\)`)
		l.Node("b").Start(lab.Ours(), config(i))
		l.Wait(soon+i.Down(), "one holder", func() bool { return len(l.Holders(vip)) == 1 })
		settled := time.Now()
		holder := l.Holders(vip)
		l.WaitFrames(2*soon, 10, "advert", lab.Adverts(holder), lab.After(settled))
		if now := l.Holders(vip); now != holder {
			t.Errorf("the holder changed from %s to %q", holder, now)
		}
		other := map[string]string{"a": "b", "b": "a"}[holder]
		noAdvert(t, l, other, settled.Add(instance{}.WithDefaults().Interval))
	})
}

// What becomes of an owner whose link flapped, and of addresses that go with the first one.
func TestLinks(t *testing.T) {
	onLab(t, "V-A13b an owner comes back through BACKUP", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		i := instance{Priority: 255}
		a := lone(t, l, i)
		l.Node("a").Unplug(0)
		a.WaitLog(soon, `Entering FAULT STATE`)
		plugged := time.Now()
		l.Node("a").Plug(0)
		up := a.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE$`).At // read later than it was written, on a busy machine
		back := l.WaitFrame(soon+i.Down(), "advert", lab.Adverts("a"), lab.After(plugged))
		l.Took("the return, from the link's", plugged, back.At, i.Down()-10*time.Millisecond, soon+i.Down())
		l.Took("the return, from BACKUP", up, back.At, 0, i.Down()+slack)
	})
	onLab(t, "V-B08 the link is set down", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		a, _ := pair(t, l, master, backup)
		at := time.Now()
		l.Node("a").IP("link set eth0 down")
		a.WaitLogAfter(at, soon, `Netlink reports eth0 down`)
		a.WaitLogAfter(at, soon, `\(VI_1\) Entering FAULT STATE`)
		l.Wait(soon, "a gave the address up", func() bool { return !l.Has("a", vip) })
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", l.LastFrame(lab.Adverts("a")).At, first.At, backup.Down()-2*time.Millisecond, backup.Down()+slack)
		noAdvert(t, l, "a", at.Add(50*time.Millisecond))
	})
	for name, line := range map[string]string{"V-B11 the first address is removed": "", "V-B12 the first address is removed, with promote_secondaries": "promote_secondaries"} {
		onLab(t, name, lab.Plan{}, func(t *testing.T, l *lab.Lab) {
			master, backup := instance{Priority: 150, Lines: line}, instance{Priority: 100}
			a, _ := pair(t, l, master, backup)
			at := time.Now()
			l.Node("a").IP("addr del 10.1.0.1/24 dev eth0")
			a.WaitLogAfter(at, soon, `\(VI_1\) Entering FAULT STATE`)
			zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0), lab.After(at))
			first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
			l.Took("takeover", zero.At, first.At, backup.Skew()-5*time.Millisecond, backup.Skew()+slack)
			l.WaitHolder(soon, vip, "b")
			again := time.Now()
			l.Node("a").IP("addr add 10.1.0.1/24 brd + dev eth0")
			a.WaitLogAfter(again, soon, `\(VI_1\) Entering BACKUP STATE`)
			l.WaitHolder(soon+master.Down(), vip, "a")
		})
	}
	onLab(t, "V-B15 an address added by hand on a backup", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		_, b := pair(t, l, instance{Priority: 150}, instance{Priority: 100})
		at := time.Now()
		l.Node("b").IP("addr add 10.1.0.100/24 dev eth0")
		l.WaitFrames(soon, 6, "advert", lab.Adverts("a"), lab.After(at))
		if !l.Has("b", vip) {
			t.Error("the address was removed")
		}
		if got := logged(b, at, "STATE"); len(got) > 0 {
			t.Errorf("the state changed: %q", got)
		}
		noAdvert(t, l, "b", time.Time{})
	})
	onLab(t, "V-B26 dont_track_primary", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		i := instance{Priority: 150, Lines: "dont_track_primary"}
		a := lone(t, l, i)
		at := time.Now()
		l.Node("a").IP("link set eth0 down")
		l.Hold(i.Down(), "a holds the address", func() bool { return l.Holders(vip) == "a" })
		if got := logged(a, at, "STATE"); len(got) > 0 {
			t.Errorf("the state changed: %q", got)
		}
		up := time.Now()
		l.Node("a").IP("link set eth0 up")
		l.WaitFrame(soon, "advert", lab.Adverts("a"), lab.After(up))
	})
	onLab(t, "V-F23 dont_track_primary with an address elsewhere", lab.Plan{LANs: 2}, func(t *testing.T, l *lab.Lab) {
		elsewhere := netip.MustParseAddr("10.2.0.100")
		i := instance{Priority: 150, VIPs: "10.1.0.100/24", Lines: "dont_track_primary\nvirtual_ipaddress_excluded {\n  10.2.0.100/24 dev eth1\n}"}
		a := lone(t, l, i)
		l.WaitHolder(soon, elsewhere, "a")
		l.Node("a").Unplug(1)
		a.WaitLog(soon, `\(VI_1\) Entering FAULT STATE`)
		l.WaitHolder(soon, vip, "")
		l.Node("a").Plug(1)
		l.WaitHolder(soon+i.Down(), vip, "a")
	})
}

// The takeover at the shortest interval; alone, since an interval is less than what other tests can hold a process up.
func TestFastFailover(t *testing.T) {
	t.Run("V-B03 v3 0.01 s", func(t *testing.T) {
		l := newLab(t, lab.Plan{})
		base := instance{Interval: 10 * time.Millisecond}
		master, backup := base, base
		master.Priority, backup.Priority = 150, 100
		a := l.Node("a").Start(lab.Ours(), config(master))
		l.WaitHolder(soon, vip, "a")
		l.Node("b").Start(lab.Ours(), config(backup)).WaitLog(soon, `Entering BACKUP STATE \(init\)`)
		l.WaitFrames(soon, 50, "advert", lab.Adverts("a"), lab.After(time.Now()))
		killed := a.Kill()
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"), lab.After(killed))
		l.Took("takeover", l.LastFrame(lab.Adverts("a")).At, first.At, backup.Down()-2*time.Millisecond, backup.Down()+slack)
	})
}

// A worker that dies again and again is started after 0, 1, 2 s and so on.
func TestRespawnDelay(t *testing.T) {
	onLab(t, "V-B07 back-off", lab.Plan{Nodes: []string{"a"}}, func(t *testing.T, l *lab.Lab) {
		a := lone(t, l, instance{Priority: 255})
		for _, delay := range []int{0, 1, 2} {
			pid := a.Worker()
			killed := time.Now()
			syscall.Kill(pid, syscall.SIGKILL)
			a.WaitLogAfter(killed, soon, fmt.Sprintf("Restart of VRRP process delayed %d seconds to limit respawn rate", delay))
			l.Wait(2*soon, "a new worker", func() bool { return a.Worker() != pid && lab.Running(a.Worker()) })
			back := a.WaitLogAfter(killed.Add(time.Duration(delay)*time.Second), 2*soon, `\(VI_1\) Entering MASTER STATE`).At
			l.Took("the new worker", killed, back, time.Duration(delay)*time.Second, time.Duration(delay)*time.Second+2*time.Second)
		}
	})
}

// Both nodes are stopped and started in turn, as in an upgrade: the address is never away for longer than a goodbye takes, and two have
// it only for a moment.
func TestRolling(t *testing.T) {
	onLab(t, "V-B27 rolling restart", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		a, b := pair(t, l, master, backup)
		begin := time.Now()
		a.Stop()
		l.WaitHolder(soon, vip, "b")
		l.Node("a").Start(lab.Ours(), config(master))
		l.WaitHolder(soon+master.Down(), vip, "a")
		b.Stop()
		l.Node("b").Start(lab.Ours(), config(backup)).WaitLog(soon, `Entering BACKUP STATE \(init\)`)
		l.WaitFrames(soon, 3, "advert", lab.Adverts("a"), lab.After(time.Now()))
		holders, since := map[string]bool{"a": true}, begin
		for _, e := range l.Entries(func(e lab.Entry) bool { return e.Addr != nil && e.Addr.Prefix.Addr() == vip && e.At.After(begin) }) {
			state, most := "nobody", backup.Skew()+slack
			if len(holders) > 1 {
				state, most = "two", slack
			}
			if len(holders) != 1 && e.At.Sub(since) > most+lab.Starved(since, e.At) {
				t.Errorf("%s had the address for %v", state, e.At.Sub(since))
			}
			since = e.At
			if holders[e.Node] = true; e.Addr.Gone {
				delete(holders, e.Node)
			}
		}
		if len(holders) != 1 || !holders["a"] {
			t.Errorf("holders in the end: %v", holders)
		}
	})
}
