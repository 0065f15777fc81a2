// Package vm tests what needs a kernel with IPVS. Its tests run inside a virtual machine:
//
//	go test -exec "$PWD/test/vm/run" ./test/vm
package vm

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netns"
)

// The tests wait more than they work, while the machine has one CPU.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "4")
	m.Run()
}

// needVM skips a test outside of the virtual machine.
func needVM(t *testing.T) {
	t.Helper()
	if os.Getenv("VMRUN") == "" {
		t.Skip(`needs IPVS: go test -exec "$PWD/test/vm/run" ./test/vm`)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

var sites atomic.Int32

// site is a network namespace, and so an IPVS table, of its own.
type site struct {
	t  *testing.T
	ns string // empty: the initial one
}

func newSite(t *testing.T) *site {
	t.Helper()
	needVM(t)
	s := &site{t, fmt.Sprintf("site%d", sites.Add(1))}
	command(t, "ip", "netns", "add", s.ns)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", s.ns).Run() })
	s.ip("link set lo up")
	return s
}

// ip runs the ip command with the words of args in the site.
func (s *site) ip(args string) { s.run("ip " + args) }

func (s *site) run(line string) string {
	s.t.Helper()
	return command(s.t, "ip", append([]string{"netns", "exec", s.ns}, strings.Fields(line)...)...)
}

// in runs f on a thread that is in the site; sockets that f opens stay there.
func (s *site) in(f func() error) {
	s.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := netns.GetFromName(s.ns)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		s.t.Fatalf("in %s: %v", s.ns, err)
	}
}

// serve accepts connections on addr, writes greeting and closes, until stop is called or the test ends.
func (s *site) serve(addr, greeting string) (stop func()) {
	s.t.Helper()
	var l net.Listener
	s.in(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte(greeting))
			c.Close()
		}
	}()
	stop = func() { l.Close() }
	s.t.Cleanup(stop)
	return stop
}

// dial connects to addr and returns what the other side says; the error's text if there is nobody.
func (s *site) dial(addr string) (said string) {
	s.t.Helper()
	s.in(func() error {
		c, err := net.DialTimeout("tcp", addr, 2*time.Second)
		if err != nil {
			said = err.Error()
			return nil
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * time.Second))
		b := make([]byte, 100)
		n, err := c.Read(b)
		if said = string(b[:n]); n == 0 && err != nil {
			said = err.Error()
		}
		return nil
	})
	return said
}

// table is what ipvsadm -Sn says, sorted.
func (s *site) table() []string {
	s.t.Helper()
	var lines []string
	for line := range strings.Lines(s.run("ipvsadm -Sn")) {
		lines = append(lines, strings.TrimSpace(line))
	}
	slices.Sort(lines)
	return lines
}

// expect compares the table with want, a line each.
func (s *site) expect(want string) {
	s.t.Helper()
	if d := cmp.Diff(sorted(want), s.table()); d != "" {
		s.t.Fatalf("ipvsadm -Sn (-want +got):\n%s", d)
	}
}

// sorted are the lines of text without indentation and empty ones.
func sorted(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// wait polls ok until it holds.
func wait(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-tick.C
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// path is where the site's network namespace can be opened; empty: the initial one.
func (s *site) path() string {
	if s.ns == "" {
		return ""
	}
	return "/run/netns/" + s.ns
}
