// Package interop runs the daemon with the original keepalived: each as master in turn, with the release that is
// installed and with the newest that is packaged; and compares what both send, byte for byte.
package interop

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

const (
	soon  = 3 * time.Second
	slack = 300 * time.Millisecond
)

// originals are the programs to compare with, by name.
func originals(t *testing.T) map[string]string {
	t.Helper()
	lab.NeedRoot(t)
	out := map[string]string{}
	for name, find := range map[string]func() (string, error){"installed": oracle.Installed, "newest": oracle.Newest} {
		path, err := find()
		if err != nil {
			t.Fatalf("nothing to compare with: %v", err)
		}
		out[name] = path
	}
	return out
}

// scenario is a pair of configurations, for a of higher priority and b.
type scenario struct {
	name string
	a, b lab.Instance
	vip  string
}

func scenarios() []scenario {
	pass := "authentication {\n  auth_type PASS\n  auth_pass 12345\n}"
	ah := "authentication {\n  auth_type AH\n  auth_pass 12345\n}"
	both := func(name, vip string, base lab.Instance, a, b string) scenario {
		s := scenario{name: name, a: base, b: base, vip: vip}
		s.a.Priority, s.b.Priority = 150, 100
		s.a.Lines, s.b.Lines = a, b
		return s
	}
	unicast := func(self, peer string) string {
		return "unicast_src_ip " + self + "\nunicast_peer {\n  " + peer + "\n}"
	}
	return []scenario{
		both("v2 PASS", "10.1.0.100", lab.Instance{Version: 2, Interval: time.Second}, pass, pass),
		both("V-C03 v2 AH", "10.1.0.100", lab.Instance{Version: 2, Interval: time.Second}, ah, ah),
		both("V-C03 v2 AH unicast", "10.1.0.100", lab.Instance{Version: 2, Interval: time.Second}, ah+"\n"+unicast("10.1.0.1", "10.1.0.2"), ah+"\n"+unicast("10.1.0.2", "10.1.0.1")),
		both("v3 IPv4", "10.1.0.100", lab.Instance{}, "", ""),
		both("v3 IPv6", "fd00:1::100", lab.Instance{VIPs: "fe80::100/64 fd00:1::100/64"}, "", ""),
		both("v3 unicast", "10.1.0.100", lab.Instance{}, unicast("10.1.0.1", "10.1.0.2"), unicast("10.1.0.2", "10.1.0.1")),
		both("v3 unicast IPv6", "fd00:1::100", lab.Instance{VIPs: "fd00:1::100/64"}, unicast("fd00:1::1", "fd00:1::2"), unicast("fd00:1::2", "fd00:1::1")),
		both("v2 unicast", "10.1.0.100", lab.Instance{Version: 2, Interval: time.Second}, unicast("10.1.0.1", "10.1.0.2"), unicast("10.1.0.2", "10.1.0.1")),
	}
}

// Both understand each other through an election, a graceful stop, a return and a crash, whichever is the master.
func TestPairs(t *testing.T) {
	t.Parallel()
	for name, original := range originals(t) {
		for _, s := range scenarios() {
			t.Run("V-A06 V-B01 V-B04 "+s.name+", master ours, backup "+name, func(t *testing.T) {
				t.Parallel()
				s.run(t, lab.Ours(), original)
			})
			t.Run("V-A06 V-B01 V-B04 "+s.name+", master "+name+", backup ours", func(t *testing.T) {
				t.Parallel()
				s.run(t, original, lab.Ours())
			})
		}
	}
}

func (s scenario) run(t *testing.T, programA, programB string) {
	l := lab.New(t, lab.Plan{})
	vip := netip.MustParseAddr(s.vip)
	confA, confB := lab.Config(s.a), lab.Config(s.b)
	b := l.Node("b").Start(programB, confB)
	l.WaitHolder(soon+s.b.Down(), vip, "b")

	// a preempts, and b yields without a goodbye.
	a := l.Node("a").Start(programA, confA)
	l.WaitHolder(soon+s.a.Down(), vip, "a")
	l.WaitFrames(soon, 3, "advert of a", lab.Adverts("a"))
	reached(t, l, vip, "a")
	yielded := l.WaitFrame(soon, "advert of a", lab.Adverts("a")).At
	if f := l.Frames(lab.Adverts("b"), lab.Priority(0)); len(f) > 0 {
		t.Errorf("b said goodbye: %v", f[0])
	}
	clean(t, l, a, b)

	// a is stopped: b takes over after its skew time.
	stopped := a.Signal(syscall.SIGTERM)
	zero := l.WaitFrame(soon, "goodbye of a", lab.Adverts("a"), lab.Priority(0))
	first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"), lab.After(stopped))
	l.Took("takeover after the goodbye", zero.At, first.At, s.b.Skew()-2*time.Millisecond, s.b.Skew()+slack)
	l.WaitHolder(soon, vip, "b")
	if f := l.Frames(lab.Adverts("b"), lab.After(yielded.Add(50*time.Millisecond)), lab.Before(stopped)); len(f) > 0 {
		t.Errorf("b advertised beside the master: %v", f[0])
	}
	if code := a.WaitExit(soon); code != 0 {
		t.Errorf("exit code of a: %d", code)
	}

	// a returns and dies: b takes over after its master down interval.
	a = l.Node("a").Start(programA, confA)
	l.WaitHolder(soon+s.a.Down(), vip, "a")
	l.WaitFrames(soon, 2, "advert of a", lab.Adverts("a"), lab.After(zero.At))
	killed := a.Kill()
	first = l.WaitFrame(soon+s.b.Down(), "advert of b", lab.Adverts("b"), lab.After(killed))
	l.Took("takeover after the crash", l.LastFrame(lab.Adverts("a")).At, first.At, s.b.Down()-2*time.Millisecond, s.b.Down()+slack)
	l.WaitFrames(soon, 5, "announcement of b", lab.Announcements("b", vip), lab.After(killed))
	reached(t, l, vip, "b")
	clean(t, l, b)
	if code := b.Stop(); code != 0 {
		t.Errorf("exit code of b: %d", code)
	}
}

// The pair of configurations that guides print: priorities 255 and 254, state MASTER and BACKUP, a password.
func TestPrintedPair(t *testing.T) {
	t.Run("V-A13 printed pair", func(t *testing.T) {
		t.Parallel()
		confA, confB := testdata(t, "pair-server1.conf"), testdata(t, "pair-server2.conf")
		vip := netip.MustParseAddr("10.100.1.20")
		run := func(t *testing.T, programA, programB string) {
			t.Parallel()
			l := lab.New(t, lab.Plan{})
			l.Node("c").IP("addr add 10.100.1.9/24 dev eth0")
			b := l.Node("b").Start(programB, confB)
			l.WaitHolder(5*time.Second, vip, "b")
			at := time.Now()
			a := l.Node("a").Start(programA, confA)
			first := l.WaitFrame(soon, "advert of a", lab.Adverts("a"))
			l.Took("start of the owner", at, first.At, 0, time.Second)
			l.WaitHolder(soon, vip, "a")
			reached(t, l, vip, "a")
			clean(t, l, a, b)
			killed := a.Kill()
			next := l.WaitFrame(5*time.Second, "advert of b", lab.Adverts("b"), lab.After(killed))
			down := 3*time.Second + 2*time.Second/256
			l.Took("takeover", l.LastFrame(lab.Adverts("a")).At, next.At, down-2*time.Millisecond, down+slack)
			reached(t, l, vip, "b")
			clean(t, l, b)
		}
		for name, original := range originals(t) {
			t.Run("owner ours, other "+name, func(t *testing.T) { run(t, lab.Ours(), original) })
			t.Run("owner "+name+", other ours", func(t *testing.T) { run(t, original, lab.Ours()) })
		}
	})
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// complaint matches log lines about a peer's adverts.
var complaint = regexp.MustCompile(`(?i)invalid|mismatch|expect|not present|too (long|short)|unknown|wrong|discarding .*cast|not a unicast peer|error`)

// errorCounter is a line of the statistics that counts adverts found bad.
var errorCounter = regexp.MustCompile(`(?m)^    (Length|TTL|Invalid Type|Advertisement Interval|Address List|Type Mismatch|Failure): [1-9]`)

// clean fails the test if a daemon found fault with what it received.
func clean(t *testing.T, l *lab.Lab, daemons ...*lab.Daemon) {
	t.Helper()
	for _, d := range daemons {
		for _, e := range d.Log() {
			if complaint.MatchString(e.Line) && strings.HasPrefix(e.Line, "(VI_1)") {
				t.Errorf("%s complains: %s", d.Node.Name, e.Line)
			}
		}
		if bad := errorCounter.FindAllString(d.Dump(syscall.SIGUSR2, "keepalived.stats"), -1); bad != nil {
			t.Errorf("%s counts %q", d.Node.Name, bad)
		}
	}
}

func reached(t *testing.T, l *lab.Lab, addr netip.Addr, node string) {
	t.Helper()
	l.Wait(soon, fmt.Sprintf("the client reaches %s at %s", addr, node), func() bool {
		got, _ := l.Node("c").Who(addr, 200*time.Millisecond)
		return got == node
	})
}
