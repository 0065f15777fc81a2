package netns

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// A master that was killed with nothing to clean up after it loses its addresses all the same; until then they stay as they are, over reloads too.
func TestLease(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{})
	leased := instance{Priority: 150, Lines: "vip_lease 2\nvirtual_ipaddress_excluded {\n  fd00:1::100/64\n}"}
	a := l.Node("a").Start(lab.Ours(), config(leased))
	l.WaitHolder(soon+leased.Down(), vip, "a")
	began := time.Now()
	steady(t, l, began, 30, leased.WithDefaults().Interval) // six seconds: three leases
	lifetime := func() string {
		out, err := l.Node("a").Command("ip", "addr", "show", "dev", "eth0").CombinedOutput()
		if err != nil {
			t.Fatalf("ip addr: %v: %s", err, out)
		}
		return string(out)
	}
	if is := lifetime(); strings.Count(is, "valid_lft 2sec")+strings.Count(is, "valid_lft 1sec") != 2 {
		t.Errorf("two addresses with a lease, got %s", is)
	}
	forever := leased
	forever.Lines = strings.Replace(leased.Lines, "vip_lease 2", "", 1)
	a.Reload(config(forever))
	l.Wait(soon, "no lease any more", func() bool {
		return !strings.Contains(lifetime(), "valid_lft 2sec") && !strings.Contains(lifetime(), "valid_lft 1sec")
	})
	at := a.Reload(config(leased))
	l.Wait(soon, "a lease again", func() bool { return strings.Contains(lifetime(), "sec") })
	steady(t, l, at, 5, leased.WithDefaults().Interval)
	if f := l.Frames(lab.Announcements("a", vip), lab.After(at)); len(f) > 0 {
		t.Errorf("a lease is no news for the neighbours: %v", f[0])
	}
	if !l.Has("a", vip) {
		t.Fatal("the address went")
	}
	killed := a.Kill()
	l.Wait(soon+4*time.Second, "the kernel takes the addresses away", func() bool { return !strings.Contains(lifetime(), ":100/") && !l.Has("a", vip) })
	if took := time.Since(killed); took > 4*time.Second+lab.Starved(killed, time.Now()) {
		t.Errorf("the addresses went after %v", took)
	}
}

// A master that was paused for longer than the others are patient does not speak before it has listened; one that has a lease has lost
// its addresses meanwhile.
func TestPausedMaster(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{})
	master, backup := instance{Priority: 150, Lines: "vip_lease 2"}, instance{Priority: 100}
	recorded := "global_defs {\n  vrrp_flight_recorder\n}\n"
	a := l.Node("a").Start(lab.Ours(), config(recorded, master))
	l.WaitHolder(soon+master.Down(), vip, "a")
	l.Node("b").Start(lab.Ours(), config(backup)).WaitLog(soon, `\(VI_1\) Entering BACKUP STATE \(init\)`)
	for _, pid := range a.Pids() {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	l.WaitFrame(soon+backup.Down(), "advert of b", lab.Adverts("b"))
	l.Wait(soon+4*time.Second, "the lease has run out", func() bool { return !l.Has("a", vip) })
	resumed := time.Now() // before the worker can be
	for _, pid := range a.Pids() {
		syscall.Kill(pid, syscall.SIGCONT)
	}
	a.WaitLogAfter(resumed, soon, `VRRP thread timer expired \d+\.\d+ seconds ago`)
	a.WaitLogAfter(resumed, soon, `\(VI_1\) Entering BACKUP STATE`)
	first := l.WaitFrame(soon+master.Down(), "advert of a", lab.Adverts("a"), lab.After(resumed))
	l.Took("listening", resumed, first.At, master.Down()-5*time.Millisecond, master.Down()+2*slack)
	if first.Priority != 150 {
		t.Errorf("first advert: %v", first)
	}
	l.WaitHolder(soon, vip, "a")
	data := a.Dump(syscall.SIGUSR1, "keepalived.data")
	for _, want := range []string{`MASTER to BACKUP \(overrun\), priority 150\n +own timers late by at most \d`,
		`BACKUP to MASTER \(timeout\), priority 150\n`} {
		if !regexp.MustCompile(want).MatchString(data) {
			t.Errorf("the flight recorder tells nothing of %q:\n%s", want, data[max(0, strings.Index(data, "Flight recorder")):])
		}
	}
}
