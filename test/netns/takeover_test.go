package netns

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// The master dies without a word: the backup takes over when its master down interval has passed since the last
// advert. The old master comes back, removes the address it left behind, and preempts.
func TestFailover(t *testing.T) {
	for name, base := range map[string]instance{
		"V-A05 V-A06 V-A23 V-B01 v2 1 s": {Version: 2, Interval: time.Second},
		"v3 0.2 s":                       {},
		"V-A24 V-B02 v3 0.1 s":           {Interval: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, lab.Plan{})
			master, backup := base, base
			master.Priority, backup.Priority = 150, 100
			a, _ := pair(t, l, master, backup)
			reachedAt(t, l, vip, "a")
			noAdvert(t, l, "b", time.Time{})

			killed := a.Kill()
			first := l.WaitFrame(backup.Down()+2*time.Second, "advert of b", lab.Adverts("b"))
			l.Took("takeover", l.LastFrame(lab.Adverts("a")).At, first.At, backup.Down()-2*time.Millisecond, backup.Down()+slack)
			l.WaitFrames(soon, 5, "announcement of b", lab.Announcements("b", vip))
			l.Wait(soon, "b holds the address", func() bool { return l.Has("b", vip) })
			reachedAt(t, l, vip, "b")

			if !l.Has("a", vip) {
				t.Error("the dead daemon's address is gone: not killed")
			}
			restarted := time.Now()
			again := l.Node("a").Start(lab.Ours(), config(master))
			again.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE \(init\)`)
			l.Wait(soon, "a removed the address left behind", func() bool { return !l.Has("a", vip) })
			back := l.WaitFrame(soon+master.Down(), "advert of a", lab.Adverts("a"), lab.After(killed))
			l.Took("return", restarted, back.At, master.Down(), master.Down()+starting+slack)
			l.WaitHolder(soon, vip, "a")
			reachedAt(t, l, vip, "a")
			if z := l.Frames(lab.Adverts("b"), lab.Priority(0)); len(z) > 0 {
				t.Errorf("b said goodbye though it yielded: %v", z[0])
			}
			if late := l.Frames(lab.Adverts("b"), lab.After(back.At.Add(50*time.Millisecond))); len(late) > 0 {
				t.Errorf("b still advertises: %v", late[0])
			}
		})
	}
}

// A master asked to stop says so with one advert of priority 0, and the backup takes over after its skew time alone.
func TestGracefulStop(t *testing.T) {
	t.Run("V-B04 graceful stop", func(t *testing.T) {
		l := newLab(t, lab.Plan{})
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		a, _ := pair(t, l, master, backup)
		asked := a.Signal(syscall.SIGTERM)
		zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		l.Took("goodbye", asked, zero.At, 0, 100*time.Millisecond)
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", zero.At, first.At, backup.Skew()-2*time.Millisecond, backup.Skew()+60*time.Millisecond)
		if code := a.WaitExit(soon); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if l.Has("a", vip) {
			t.Error("the stopped daemon left its address")
		}
		if n := len(l.Frames(lab.Adverts("a"), lab.Priority(0))); n != 1 {
			t.Errorf("%d goodbyes", n)
		}
		noAdvert(t, l, "a", zero.At)
		reachedAt(t, l, vip, "b")
	})
}

// With nopreempt a returning router of higher priority stays backup as long as there is a master.
func TestNopreempt(t *testing.T) {
	t.Run("V-A07 nopreempt", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		master, backup := instance{Priority: 150, Lines: "nopreempt"}, instance{Priority: 100, Lines: "nopreempt"}
		b := l.Node("b").Start(lab.Ours(), config(backup))
		l.WaitHolder(soon+backup.Down(), vip, "b")
		a := l.Node("a").Start(lab.Ours(), config(master))
		a.WaitLog(soon, `Entering BACKUP STATE \(init\)`)
		l.Hold(2*master.Down(), "b holds the address", func() bool { return l.Holders(vip) == "b" })
		noAdvert(t, l, "a", time.Time{})
		asked := b.Signal(syscall.SIGTERM)
		l.WaitFrame(soon, "advert of a", lab.Adverts("a"), lab.After(asked))
		l.WaitHolder(soon, vip, "a")
	})
}

// An owner (priority 255) does not wait for the master down interval.
func TestOwner(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{})
	start := time.Now()
	l.Node("a").Start(lab.Ours(), config(instance{Version: 2, Interval: time.Second, Priority: 255}))
	first := l.WaitFrame(soon, "advert of the owner", lab.Adverts("a"))
	if took := first.At.Sub(start); took > 2500*time.Millisecond { // well below the 3 s of a master down interval
		t.Errorf("the owner's first advert came after %v", took)
	}
	if first.Priority != 255 {
		t.Errorf("the owner advertises priority %d", first.Priority)
	}
	l.WaitHolder(soon, vip, "a")
}

// Without carrier the master is in fault: no address, no advert; with it again it comes back by way of backup.
func TestLinkLoss(t *testing.T) {
	t.Run("V-B09 V-B10 link loss", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		master, backup := instance{Priority: 150}, instance{Priority: 100}
		a, _ := pair(t, l, master, backup)
		cut := time.Now()
		l.Node("a").Unplug(0)
		a.WaitLog(soon, `\(VI_1\) Entering FAULT STATE`)
		l.WaitHolder(soon+backup.Down(), vip, "b")
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", l.LastFrame(lab.Adverts("a"), lab.Before(first.At)).At, first.At,
			backup.Down()-2*time.Millisecond, backup.Down()+slack)
		plugged := time.Now()
		noAdvert(t, l, "a", cut.Add(slack))
		l.Node("a").Plug(0)
		a.WaitLogAfter(plugged, soon, `\(VI_1\) Entering BACKUP STATE`)
		back := l.WaitFrame(soon+master.Down(), "advert of a", lab.Adverts("a"), lab.After(plugged))
		l.Took("return", plugged, back.At, master.Down()-2*time.Millisecond, master.Down()+2*slack)
		l.WaitHolder(soon, vip, "a")
	})
}

// A backup that was not scheduled for longer than its master down interval must read the adverts that waited before it
// believes its timer.
func TestStalledBackup(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{})
	_, b := pair(t, l, instance{Priority: 150}, instance{Priority: 100})
	for round := range 3 {
		for _, pid := range b.Pids() {
			syscall.Kill(pid, syscall.SIGSTOP)
		}
		stopped := time.Now()
		l.WaitFrames(soon, 6, "adverts that wait for b", lab.Adverts("a"), lab.After(stopped))
		for _, pid := range b.Pids() {
			syscall.Kill(pid, syscall.SIGCONT)
		}
		resumed := time.Now()
		l.WaitFrames(soon, 3, "adverts after it", lab.Adverts("a"), lab.After(resumed))
		if f := l.Frames(lab.Adverts("b")); len(f) > 0 {
			t.Fatalf("round %d: false takeover: %v", round, f[0])
		}
	}
	if got := l.Holders(vip); got != "a" {
		t.Errorf("holders %q", got)
	}
}

// A sync group moves as one: a fault on one LAN gives up the address on the other.
func TestSyncGroup(t *testing.T) {
	t.Run("V-G02 V-G03 link loss", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{LANs: 2})
		vip2 := netip.MustParseAddr("10.2.0.100")
		group := "vrrp_sync_group G1 {\n  group {\n    VI_1\n    VI_2\n  }\n}\n"
		instances := func(priority int) (instance, instance) {
			return instance{Priority: priority}, instance{Priority: priority, Name: "VI_2", Interface: "eth1", VRID: 52, VIPs: "10.2.0.100/24"}
		}
		m1, m2 := instances(150)
		b1, b2 := instances(100)
		a := l.Node("a").Start(lab.Ours(), config(group, m1, m2))
		l.WaitHolder(soon+m1.Down(), vip, "a")
		l.WaitHolder(soon, vip2, "a")
		b := l.Node("b").Start(lab.Ours(), config(group, b1, b2))
		b.WaitLog(soon, `\(VI_2\) Entering BACKUP STATE \(init\)`)
		l.WaitFrames(soon, 2, "advert", lab.Adverts("a"), lab.After(time.Now()))

		l.Node("a").Unplug(1)
		a.WaitLog(soon, `VRRP_Group\(G1\) Syncing instances to FAULT state`)
		l.WaitHolder(soon+2*b1.Down(), vip, "b")
		l.WaitHolder(soon+2*b1.Down(), vip2, "b")
		b.WaitLog(soon, `VRRP_Group\(G1\) Syncing instances to MASTER state`)
		if z := l.Frames(lab.Adverts("a"), lab.Priority(0), lab.OnLAN(0)); len(z) != 1 {
			t.Errorf("%d goodbyes on the healthy LAN, want 1", len(z))
		}

		l.Node("a").Plug(1)
		l.WaitHolder(soon+2*m1.Down(), vip, "a")
		l.WaitHolder(soon+2*m1.Down(), vip2, "a")
	})
}

func TestIPv6(t *testing.T) {
	t.Run("V-C06 V-C32 IPv6", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		vip6, global6 := netip.MustParseAddr("fe80::100"), netip.MustParseAddr("fd00:1::100")
		base := instance{VIPs: "fe80::100/64 fd00:1::100/64"}
		master, backup := base, base
		master.Priority, backup.Priority = 150, 100
		a := l.Node("a").Start(lab.Ours(), config(master))
		l.WaitHolder(soon+master.Down(), global6, "a")
		b := l.Node("b").Start(lab.Ours(), config(backup))
		at := b.WaitLog(soon, `Entering BACKUP STATE \(init\)`).At
		f := l.WaitFrame(soon, "advert that b hears", lab.Adverts("a"), lab.After(at))
		if f.Src != l.Node("a").LinkLocal(0) || f.Dst != netip.MustParseAddr("ff02::12") || f.TTL != 255 || f.TOS != 0xc0 ||
			len(f.VIPs) != 2 || f.VIPs[0] != vip6 || f.VIPs[1] != global6 {
			t.Errorf("advert: %v, hop limit %d, class %#x", f, f.TTL, f.TOS)
		}
		na := l.WaitFrame(soon, "neighbour advertisement", lab.Announcements("a", global6))
		if na.Src != global6 || na.Dst != netip.MustParseAddr("ff02::1") || na.TTL != 255 || na.Flags&0x20 == 0 {
			t.Errorf("announcement: %v from %s to %s, hop limit %d", na, na.Src, na.Dst, na.TTL)
		}
		reachedAt(t, l, global6, "a")
		a.Kill()
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", l.LastFrame(lab.Adverts("a")).At, first.At, backup.Down()-2*time.Millisecond, backup.Down()+slack)
		l.Wait(soon, "b holds the address", func() bool { return l.Has("b", global6) && l.Has("b", vip6) })
		reachedAt(t, l, global6, "b")
	})
}

func TestUnicast(t *testing.T) {
	t.Run("V-C08 unicast", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		peers := func(self, peer string) string {
			return "unicast_src_ip " + l.Node(self).Addr(0).String() + "\nunicast_peer {\n  " + l.Node(peer).Addr(0).String() + "\n}"
		}
		master := instance{Priority: 150, Lines: peers("a", "b")}
		backup := instance{Priority: 100, Lines: peers("b", "a")}
		a, _ := pair(t, l, master, backup)
		for _, f := range l.Frames(lab.Adverts("a")) {
			if f.Dst != l.Node("b").Addr(0) {
				t.Fatalf("advert not to the peer: %v", f)
			}
		}
		a.Kill()
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", l.LastFrame(lab.Adverts("a")).At, first.At, backup.Down()-2*time.Millisecond, backup.Down()+slack)
	})
}

// Adverts with another password are not believed: the backup becomes a second master.
func TestPassword(t *testing.T) {
	t.Run("V-C02 wrong password", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		with := func(priority int, password string) instance {
			return instance{Version: 2, Interval: time.Second, Priority: priority,
				Lines: "authentication {\n  auth_type PASS\n  auth_pass " + password + "\n}"}
		}
		_, b := pair(t, l, with(150, "secret"), with(100, "secret"))
		if f := l.WaitFrame(soon, "advert", lab.Adverts("a")); f.AuthType != 1 || f.Auth != "secret" {
			t.Errorf("advert: %v", f)
		}
		wrong := with(100, "other")
		at := b.Reload(config(wrong))
		b.WaitLogAfter(at, soon, `received an invalid passwd`)
		l.WaitHolder(soon+wrong.Down(), vip, "a b")
	})
}

// Excluded addresses are held and announced, and not in the advert.
func TestExcluded(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{})
	more := netip.MustParseAddr("10.1.0.101")
	l.Node("a").Start(lab.Ours(), config(instance{Priority: 150, Lines: "virtual_ipaddress_excluded {\n  10.1.0.101/24\n}"}))
	f := l.WaitFrame(soon, "advert", lab.Adverts("a"))
	if len(f.VIPs) != 1 || f.VIPs[0] != vip {
		t.Errorf("advert: %v", f)
	}
	l.WaitHolder(soon, vip, "a")
	l.WaitHolder(soon, more, "a")
	l.WaitFrames(soon, 5, "announcement of the excluded address", lab.Announcements("a", more))
}

// Each block announces every address in turn, garp_master_repeat times; the second block follows after garp_master_delay.
func TestAnnouncements(t *testing.T) {
	t.Run("V-D02 V-C31 order", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, lab.Plan{})
		second := netip.MustParseAddr("10.1.0.101")
		i := instance{Priority: 150, VIPs: "10.1.0.100/24 10.1.0.101/24", Lines: "garp_master_delay 1\ngarp_master_repeat 3"}
		l.Node("a").Start(lab.Ours(), config(i))
		ours := func(f *lab.Frame) bool { return f.Kind == lab.GARP && f.Node == "a" }
		got := l.WaitFrames(soon+time.Second, 12, "announcement", ours)
		advert := l.WaitFrame(soon, "advert", lab.Adverts("a"))
		if got[0].At.Before(advert.At) {
			t.Error("announced before the first advert: the old master still answers")
		}
		for k, f := range got {
			want := []netip.Addr{vip, second}[k%2]
			if f.Target != want || f.Opcode != 1 || f.SrcMAC.String() != l.Node("a").MAC(0) || f.DstMAC.String() != "ff:ff:ff:ff:ff:ff" {
				t.Errorf("announcement %d: %v, want %v", k, f, want)
			}
		}
		l.Took("first block", got[0].At, got[5].At, 0, 50*time.Millisecond)
		l.Took("second block", got[0].At, got[6].At, time.Second-10*time.Millisecond, time.Second+150*time.Millisecond)
		adverts := len(l.Frames(lab.Adverts("a")))
		l.WaitFrames(soon, adverts+6, "advert", lab.Adverts("a"))
		if n := len(l.Frames(ours)); n != 12 {
			t.Errorf("%d announcements, want 12", n)
		}
	})
}
