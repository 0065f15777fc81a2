package netns

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// TestSoak has a daemon reload and its link flap many times, and looks at its memory and descriptors: what is over leaves nothing behind.
// SOAK says how often; `make soak` has thousands. The protocol alone does 100 000 in internal/daemon/engine.TestSoakVRRP.
func TestSoak(t *testing.T) {
	t.Parallel()
	turns := 60
	if n, _ := strconv.Atoi(os.Getenv("SOAK")); n > 0 {
		turns = n
	}
	l := newLab(t, lab.Plan{Nodes: []string{"a"}, LANs: 2})
	quick := instance{Version: 3, Interval: 10 * time.Millisecond, Priority: 150}
	far := netip.MustParseAddr("10.2.0.100")
	conf := func(n int) string {
		one, other := quick, quick
		one.Lines = "track_interface {\n  eth1\n}\ntrack_script {\n  s\n}"
		one.Priority += n % 7
		other.Name, other.VRID, other.Interface, other.VIPs = "VI_2", 52, "eth1", far.String()+"/24"
		script := fmt.Sprintf("vrrp_script s {\n  script \"/bin/true %d\"\n  interval 1\n  weight 2\n}\n", n%3)
		if n%2 == 0 {
			return config(script, one)
		}
		group := "vrrp_sync_group G {\n  group {\n    VI_1\n    VI_2\n  }\n}\n"
		if n%4 == 1 {
			group = ""
		}
		return config(script, group, one, other)
	}
	a := l.Node("a").Start(lab.Ours(), conf(0))
	l.Wait(soon, "a holds the address", func() bool { return l.Has("a", vip) })
	var before use
	for n := 1; n <= turns; n++ {
		if n == max(turns/5, 10) {
			before = useOf(t, a)
		}
		a.Reload(conf(n))
		l.Wait(soon, fmt.Sprintf("reload %d has effect", n), func() bool { return l.Has("a", far) == (n%2 == 1) && l.Has("a", vip) })
		if n%5 == 0 {
			l.Node("a").Unplug(1)
			l.Wait(soon, "a gives the address up", func() bool { return !l.Has("a", vip) })
			l.Node("a").Plug(1)
			l.Wait(soon, "a holds the address again", func() bool { return l.Has("a", vip) })
		}
		l.Forget()
	}
	after := useOf(t, a)
	t.Logf("%d reloads: %+v, then %+v", turns, before, after)
	if after.descriptors > before.descriptors {
		t.Errorf("%d descriptors were open, now %d", before.descriptors, after.descriptors)
	}
	if after.memory > before.memory+before.memory/4+4<<10 {
		t.Errorf("memory grew from %d to %d KiB", before.memory, after.memory)
	}
}

// use is what the parent and the worker of a daemon hold.
type use struct {
	descriptors int
	memory      int // anonymous pages, KiB
}

// useOf returns the least of a second, in which scripts come and go.
func useOf(t *testing.T, d *lab.Daemon) use {
	t.Helper()
	var least use
	for n := range 20 {
		var u use
		for _, pid := range []int{d.Pid(), d.Worker()} {
			fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
			if err != nil {
				t.Fatal(err)
			}
			u.descriptors += len(fds)
			rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(rollup)) {
				if f := strings.Fields(line); len(f) > 1 && f[0] == "Anonymous:" {
					kib, _ := strconv.Atoi(f[1])
					u.memory += kib
				}
			}
		}
		if n == 0 {
			least = u
		}
		least.descriptors, least.memory = min(least.descriptors, u.descriptors), min(least.memory, u.memory)
		time.Sleep(50 * time.Millisecond)
	}
	return least
}
