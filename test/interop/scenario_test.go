package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// inPairs runs a scenario of the routers a and b with ours as both, and with the newest original as each of them.
func inPairs(t *testing.T, name string, plan lab.Plan, run func(t *testing.T, l *lab.Lab, a, b string)) {
	t.Helper()
	lab.NeedRoot(t)
	newest, err := oracle.Newest()
	if err != nil {
		t.Fatalf("nothing to pair with: %v", err)
	}
	ours := lab.Ours()
	for who, pair := range map[string][2]string{"both ours": {ours, ours}, "a ours, b newest": {ours, newest}, "a newest, b ours": {newest, ours}} {
		t.Run(name+", "+who, func(t *testing.T) {
			t.Parallel()
			run(t, lab.New(t, plan), pair[0], pair[1])
		})
	}
}

// started starts a as master and then b as backup, and returns when b has heard a.
func started(t *testing.T, l *lab.Lab, programA, programB string, master, backup lab.Instance) (a, b *lab.Daemon) {
	t.Helper()
	a = l.Node("a").Start(programA, lab.Config(master))
	l.WaitHolder(2*soon+master.Down(), shared, "a")
	b = l.Node("b").Start(programB, lab.Config(backup))
	b.WaitLog(3*soon, `\(VI_1\) master set to `)
	return a, b
}

// silent fails the test if the node sends an advert while the other sends n.
func silent(t *testing.T, l *lab.Lab, node, other string, n int) {
	t.Helper()
	at := time.Now()
	l.WaitFrames(soon+time.Duration(n)*time.Second, n, "advert of "+other, lab.Adverts(other), lab.After(at))
	if f := l.Frames(lab.Adverts(node), lab.After(at.Add(slack))); len(f) > 0 {
		t.Errorf("%s speaks beside %s: %v", node, other, f[0])
	}
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	one := lab.Plan{}
	master, backup := lab.Instance{Priority: 150}, lab.Instance{Priority: 100}
	with := func(i lab.Instance, lines ...string) lab.Instance {
		i.Lines = strings.Join(lines, "\n")
		return i
	}
	inPairs(t, "V-A02 together", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		// Far apart, so that it matters little which of them the machine starts first.
		l.Node("a").Start(programA, lab.Config(lab.Instance{Priority: 254, Interval: time.Second}))
		b := l.Node("b").Start(programB, lab.Config(lab.Instance{Priority: 1, Interval: time.Second}))
		l.WaitHolder(3*soon, shared, "a")
		b.WaitLog(3*soon, `\(VI_1\) master set to 10\.1\.0\.1`)
		silent(t, l, "b", "a", 3)
		if f := l.Frames(lab.Adverts("b")); len(f) > 0 {
			t.Errorf("b sent %v", f[0])
		}
	})
	inPairs(t, "V-A05 V-A07 nopreempt", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		a, b := started(t, l, programA, programB, with(backup, "nopreempt"), with(master, "nopreempt"))
		silent(t, l, "b", "a", 8)
		a.Signal(syscall.SIGTERM)
		zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", zero.At, first.At, master.Skew()-2*time.Millisecond, master.Skew()+slack)
		clean(t, l, b)
	})
	inPairs(t, "V-A12 equal priorities, split and healed", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		l.Node("a").Isolate(0)
		a := l.Node("a").Start(programA, lab.Config(backup))
		l.Node("b").Start(programB, lab.Config(backup))
		l.WaitHolder(2*soon, shared, "a b")
		l.Node("a").Join(0)
		l.WaitHolder(soon, shared, "b")
		a.WaitLog(soon, `same priority 100 but higher IP address than ours`)
		silent(t, l, "a", "b", 6)
	})
	inPairs(t, "V-A14 two owners", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		owner := lab.Instance{Priority: 255}
		a := l.Node("a").Start(programA, lab.Config(owner))
		l.WaitHolder(2*soon, shared, "a")
		b := l.Node("b").Start(programB, lab.Config(owner))
		l.WaitHolder(2*soon, shared, "b")
		a.WaitLog(soon, `(?i)CONFIGURATION ERROR.*10\.1\.0\.2.*address owner`)
		b.WaitLog(soon, `Entering MASTER STATE`)
		silent(t, l, "a", "b", 6)
	})
	inPairs(t, "V-B13 V-B14 the address is removed", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		_, b := started(t, l, programA, programB, backup, with(lab.Instance{Priority: 200}, "nopreempt"))
		l.Node("a").IP("addr del 10.1.0.100/24 dev eth0")
		l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		b.WaitLog(soon, `Backup received priority 0 advertisement`)
		l.WaitHolder(soon, shared, "b")
		silent(t, l, "a", "b", 6)
	})
	inPairs(t, "V-B20 the master is stalled", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		a, _ := started(t, l, programA, programB, master, backup)
		pids := a.Pids()
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGSTOP)
		}
		l.WaitFrames(2*soon, 3, "advert of b", lab.Adverts("b"))
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGCONT)
		}
		l.WaitHolder(2*soon, shared, "a")
		silent(t, l, "b", "a", 6)
	})
	inPairs(t, "V-B22 two masters hear each other", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		l.Node("a").Isolate(0)
		a := l.Node("a").Start(programA, lab.Config(master))
		l.Node("b").Start(programB, lab.Config(backup))
		l.WaitHolder(2*soon, shared, "a b")
		l.WaitFrames(soon, 5, "announcement of b", lab.Announcements("b", shared))
		joined := time.Now()
		l.Node("a").Join(0)
		l.WaitHolder(soon, shared, "a")
		l.WaitFrame(soon, "advert of a", lab.Adverts("a"), lab.After(joined))
		if a.Logged(`lower priority 100, ours 150, forcing new election`) { // unless b heard a first
			l.WaitFrames(soon, 5, "announcement of a", lab.Announcements("a", shared), lab.After(joined))
		}
		silent(t, l, "b", "a", 6)
		if f := l.Frames(lab.Adverts("b"), lab.Priority(0)); len(f) > 0 {
			t.Errorf("goodbye: %v", f[0])
		}
	})
	inPairs(t, "V-C09 a peer with the old checksum is answered", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		unicast := func(self, peer string, more ...string) string {
			return strings.Join(append(more, "unicast_src_ip "+self, "unicast_peer {", "  "+peer, "}"), "\n")
		}
		b := l.Node("b").Start(programB, lab.Config(with(backup, unicast("10.1.0.2", "10.1.0.1", "old_unicast_checksum"))))
		l.WaitHolder(2*soon, shared, "b")
		a := l.Node("a").Start(programA, lab.Config(with(master, unicast("10.1.0.1", "10.1.0.2"))))
		a.WaitLog(soon, `\(VI_1\) Setting unicast VRRPv3 checksum to old version`)
		l.WaitHolder(2*soon, shared, "a")
		silent(t, l, "b", "a", 6)
		clean(t, l, a, b)
	})
	inPairs(t, "V-C18 another interval is learnt", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		slow := lab.Instance{Priority: 150, Interval: 500 * time.Millisecond}
		a, b := started(t, l, programA, programB, slow, backup)
		b.WaitLog(soon, `\(VI_1\) advertisement interval updated from 200ms to 500ms by master`)
		silent(t, l, "b", "a", 4)
		l.WaitFrames(soon, 2, "advert", lab.Adverts("a"))
		a.Kill()
		first := l.WaitFrame(2*soon, "advert of b", lab.Adverts("b"))
		down := lab.Instance{Priority: 100, Interval: slow.Interval}.Down()
		l.Took("takeover", l.LastFrame(lab.Adverts("a")).At, first.At, down-2*time.Millisecond, down+slack)
		if first.Interval != 200*time.Millisecond {
			t.Errorf("b advertises the interval %v, want its own", first.Interval)
		}
	})
	inPairs(t, "V-E02 another list of addresses", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		a, b := started(t, l, programA, programB, master, backup)
		more := master
		more.VIPs = "10.1.0.100/24 10.1.0.101/24"
		a.Reload(lab.Config(more))
		l.WaitHolder(soon, other101, "a")
		b.WaitLog(soon, `expected 1 VIPs but received 2`)
		silent(t, l, "b", "a", 8)
	})
	inPairs(t, "V-E04 V-E05 priorities change", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		a, _ := started(t, l, programA, programB, master, backup)
		a.Reload(lab.Config(lab.Instance{Priority: 50}))
		l.WaitHolder(2*soon, shared, "b")
		silent(t, l, "a", "b", 4)
		a.Reload(lab.Config(master))
		l.WaitHolder(2*soon, shared, "a")
		silent(t, l, "b", "a", 4)
	})
	inPairs(t, "V-E20 reloads are not noticed", one, func(t *testing.T, l *lab.Lab, programA, programB string) {
		a, b := started(t, l, programA, programB, lab.Instance{Priority: 150, Interval: time.Second}, lab.Instance{Priority: 100, Interval: time.Second})
		at := time.Now()
		for range 5 {
			a.Signal(syscall.SIGHUP)
			b.Signal(syscall.SIGHUP)
			l.Until(200*time.Millisecond, func() bool { return false })
		}
		silent(t, l, "b", "a", 4)
		if got := l.Holders(shared); got != "a" {
			t.Errorf("holders %q", got)
		}
		for _, e := range b.Log() {
			if e.At.After(at) && strings.Contains(e.Line, "Entering") {
				t.Errorf("b: %s", e.Line)
			}
		}
	})

	// A master that yields does not say who its master is now: a busy machine may have let it be one for a moment.
	hears := func(i int) string { return fmt.Sprintf(`\(VI_%d\) (master set to|Master received advert)`, i) }
	two := lab.Plan{LANs: 2}
	second := netip.MustParseAddr("10.2.0.100")
	group := func(priority int) string {
		i := lab.Instance{Priority: priority}
		return lab.Config("vrrp_sync_group G1 {\n  group {\n    VI_1\n    VI_2\n  }\n}\n", i,
			lab.Instance{Name: "VI_2", Interface: "eth1", VRID: 52, Priority: priority, VIPs: "10.2.0.100/24"})
	}
	inPairs(t, "V-G01 V-G02 V-G03 V-G05 a sync group loses a link, gets it back and stops", two, func(t *testing.T, l *lab.Lab, programA, programB string) {
		holds := func(node string) {
			t.Helper()
			l.WaitHolder(3*soon, shared, node)
			l.WaitHolder(3*soon, second, node)
		}
		a := l.Node("a").Start(programA, group(150))
		holds("a")
		b := l.Node("b").Start(programB, group(100))
		b.WaitLog(3*soon, hears(1))
		b.WaitLog(3*soon, hears(2))
		l.Node("a").Unplug(1)
		a.WaitLog(soon, `VRRP_Group\(G1\) Syncing instances to FAULT state`)
		holds("b")
		b.WaitLog(soon, `VRRP_Group\(G1\) Syncing instances to MASTER state`)
		l.Node("a").Plug(1)
		holds("a")
		a.Signal(syscall.SIGTERM)
		holds("b")
	})
	inPairs(t, "V-G04 one network of a sync group is cut", two, func(t *testing.T, l *lab.Lab, programA, programB string) {
		l.Node("a").Start(programA, group(150))
		l.WaitHolder(3*soon, shared, "a")
		l.WaitHolder(3*soon, second, "a")
		b := l.Node("b").Start(programB, group(100))
		b.WaitLog(3*soon, hears(1))
		b.WaitLog(3*soon, hears(2))
		l.Node("a").Isolate(1)
		cut := time.Now()
		b.WaitLogAfter(cut, soon, `\(VI_2\) Receive advertisement timeout`)
		l.WaitFrames(soon, 12, "advert of a", lab.Adverts("a"), lab.OnLAN(0), lab.After(cut))
		if got := l.Holders(shared) + " " + l.Holders(second); got != "a a" {
			t.Errorf("holders %q", got)
		}
	})
}
