package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// frr is FRRouting's VRRP with the daemon that gives it the interfaces, on one node.
type frr struct {
	start func()               // vrrpd anew, after stop
	stop  func(syscall.Signal) // end vrrpd
}

// startFRR runs version 3 for VRID 51 in the node, IPv4 and IPv6, each on the macvlan that FRR wants to be there.
func startFRR(t *testing.T, n *lab.Node, priority int, interval time.Duration, vip, vip6 string) *frr {
	t.Helper()
	dir := "/usr/lib/frr"
	if _, err := os.Stat(dir + "/vrrpd"); err != nil {
		t.Skip("FRR is not installed: apt-get install frr")
	}
	n.IP("link add vrrp4-2-51 link eth0 address 00:00:5e:00:01:33 type macvlan mode bridge",
		"addr add "+vip+"/24 dev vrrp4-2-51", "link set vrrp4-2-51 up",
		"link add vrrp6-2-51 link eth0 address 00:00:5e:00:02:33 type macvlan mode bridge",
		"addr add "+vip6+"/64 dev vrrp6-2-51", "link set vrrp6-2-51 up")
	work, err := os.MkdirTemp("", "kgo-frr") // FRR runs as a user of its own, who cannot enter the node's directory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	if err := os.Chmod(work, 0o777); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(work, "frr.conf")
	text := fmt.Sprintf("interface eth0\n vrrp 51 version 3\n vrrp 51 priority %d\n vrrp 51 advertisement-interval %d\n vrrp 51 ip %s\n vrrp 51 ipv6 %s\n",
		priority, interval.Milliseconds(), vip, vip6)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	log := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(work, name+".log"))
		return string(b)
	}
	run := func(name string) (stop func(syscall.Signal)) {
		cmd := n.Command(filepath.Join(dir, name), "-f", conf, "-i", filepath.Join(work, name+".pid"), "-z", filepath.Join(work, "zserv.api"),
			"--vty_socket", work, "-P", "0", "--log", "file:"+filepath.Join(work, name+".log"), "--log-level", "debug")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }()
		return func(s syscall.Signal) {
			cmd.Process.Signal(s) // an ended one does not mind
			select {
			case <-done:
			case <-time.After(soon):
				cmd.Process.Kill()
				<-done
			}
		}
	}
	zebra := run("zebra")
	f := &frr{stop: func(syscall.Signal) {}}
	t.Cleanup(func() {
		f.stop(syscall.SIGTERM)
		zebra(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("zebra:\n%s\nvrrpd:\n%s", log("zebra"), log("vrrpd"))
		}
	})
	for deadline := time.Now().Add(soon); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(work, "zserv.api")); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("zebra does not listen")
		}
	}
	f.start = func() { f.stop = run("vrrpd") }
	f.start()
	return f
}

// Both understand FRRouting's version 3 over IPv4 and IPv6 through elections, goodbyes and crashes, whichever is the master.
func TestFRR(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	const vip, vip6 = "10.1.0.100", "fd00:1::100"
	ours := func(priority int) (four lab.Instance, config string) {
		four = lab.Instance{Priority: priority}
		return four, lab.Config(four, lab.Instance{Name: "VI_6", Priority: priority, VIPs: vip6 + "/64"})
	}
	interval := lab.Instance{}.WithDefaults().Interval
	families := map[string]lab.Match{"IPv4": func(f *lab.Frame) bool { return f.Src.Is4() }, "IPv6": func(f *lab.Frame) bool { return f.Src.Is6() }}
	// takes waits for the node's first adverts after a moment, and checks when they came, counted from the last of the other.
	takes := func(l *lab.Lab, node, from string, after time.Time, least, most time.Duration) {
		t.Helper()
		for name, family := range families {
			first := l.WaitFrame(soon+most, "advert of "+node+" over "+name, lab.Adverts(node), family, lab.After(after))
			last := l.LastFrame(lab.Adverts(from), family, lab.Before(first.At))
			l.Took(name+": "+node+" takes over", last.At, first.At, least, most)
		}
	}
	// alone waits for adverts of the node and fails if the other sends any after that.
	alone := func(t *testing.T, l *lab.Lab, node, other string, after time.Time) {
		t.Helper()
		for name, family := range families {
			first := l.WaitFrame(2*soon, "advert of "+node+" over "+name, lab.Adverts(node), family, lab.After(after))
			since := first.At.Add(interval / 2)
			l.WaitFrames(soon, 5, "adverts of "+node+" over "+name, lab.Adverts(node), family, lab.After(since))
			if f := l.Frames(lab.Adverts(other), family, lab.After(since), lab.Not(lab.Priority(0))); len(f) > 0 {
				t.Errorf("%s speaks beside the master: %v", other, f[0])
			}
		}
	}

	t.Run("master ours, backup FRR", func(t *testing.T) {
		t.Parallel()
		l := lab.New(t, lab.Plan{})
		low := lab.Instance{Priority: 100}
		_, config := ours(200)
		a := l.Node("a").Start(lab.Ours(), config)
		l.WaitHolder(2*soon, netip.MustParseAddr(vip6), "a")
		startFRR(t, l.Node("b"), low.Priority, interval, vip, vip6)
		alone(t, l, "a", "b", time.Now().Add(low.Down()))
		killed := a.Kill()
		takes(l, "b", "a", killed, low.Down()-20*time.Millisecond, low.Down()+slack)
		again := time.Now()
		a = l.Node("a").Start(lab.Ours(), config)
		alone(t, l, "a", "b", again)
		clean(t, l, a)
		stopped := a.Signal(syscall.SIGTERM)
		takes(l, "b", "a", stopped, low.Skew()-20*time.Millisecond, low.Skew()+slack)
	})
	t.Run("master FRR, backup ours", func(t *testing.T) {
		t.Parallel()
		l := lab.New(t, lab.Plan{})
		low, config := ours(100)
		f := startFRR(t, l.Node("a"), 200, interval, vip, vip6)
		for name, family := range families {
			l.WaitFrames(2*soon, 2, "advert of FRR over "+name, lab.Adverts("a"), family)
		}
		b := l.Node("b").Start(lab.Ours(), config)
		b.WaitLog(soon, `\(VI_6\) Entering BACKUP STATE \(init\)`)
		alone(t, l, "a", "b", time.Now())
		clean(t, l, b)
		stopped := time.Now()
		f.stop(syscall.SIGTERM)
		takes(l, "b", "a", stopped, low.Skew()-20*time.Millisecond, low.Skew()+slack)
		again := time.Now()
		f.start()
		alone(t, l, "a", "b", again)
		clean(t, l, b)
		killed := time.Now()
		f.stop(syscall.SIGKILL)
		takes(l, "b", "a", killed, low.Down()-20*time.Millisecond, low.Down()+slack)
	})
}
