package netns

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// held are the routes and rules of keepalived's protocol in a node, each as ip prints it.
func held(n *lab.Node) (out []string) {
	for _, f := range []string{"-4", "-6"} {
		for _, what := range []string{"route show table all", "rule show"} {
			_, text := n.Output(soon, "ip", append([]string{f}, strings.Fields(what)...)...)
			for _, line := range strings.Split(text, "\n") {
				if strings.Contains(line, "proto keepalived") {
					out = append(out, strings.Join(strings.Fields(line), " "))
				}
			}
		}
	}
	return out
}

// has tells whether one of the node's routes and rules begins so.
func has(n *lab.Node, begin string) bool {
	return slices.ContainsFunc(held(n), func(s string) bool { return strings.HasPrefix(s, begin) })
}

func waitHeld(l *lab.Lab, n *lab.Node, begin string, there bool) {
	l.Wait(soon, fmt.Sprintf("%q: %v", begin, there), func() bool { return has(n, begin) == there })
}

// probe is the destination of a route by which a story finds out that it is told of changes.
const probe = "10.99.0.0"

// story follows the kernel's notifications of a node: "+addr 10.1.0.100", "-route 10.30.0.0/24", "+rule 500".
type story struct {
	mu  sync.Mutex
	got []string
}

func follow(t *testing.T, l *lab.Lab, n *lab.Node) *story {
	t.Helper()
	s := &story{}
	cmd := n.Command("ip", "-o", "monitor", "label", "address", "route", "rule")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			w := strings.Fields(strings.NewReplacer("[ADDR]", "addr ", "[ROUTE]", "route ", "[RULE]", "rule ").Replace(in.Text()))
			sign := "+"
			if i := slices.Index(w, "Deleted"); i >= 0 {
				sign, w = "-", slices.Delete(w, i, i+1)
			}
			i := map[string]int{"addr": 4, "route": 1, "rule": 1}[w[0]]
			if i == 0 || i >= len(w) || w[1] == "local" || w[1] == "broadcast" || slices.Contains(w, "kernel") && w[0] == "route" {
				continue
			}
			s.mu.Lock()
			s.got = append(s.got, sign+w[0]+" "+strings.TrimSuffix(strings.SplitN(w[i], "/", 2)[0], ":"))
			s.mu.Unlock()
		}
	}()
	// It listens when it tells of a change.
	l.Wait(soon, "notifications", func() bool {
		n.IP("route add "+probe+"/24 dev eth0", "route del "+probe+"/24 dev eth0")
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Contains(s.got, "-route "+probe)
	})
	s.since()
	return s
}

// since returns what happened since the last call.
func (s *story) since() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.DeleteFunc(s.got, func(e string) bool { return strings.Contains(e, probe) })
	s.got = nil
	return out
}

const routing = `virtual_routes {
  10.30.0.0/24 dev eth0
  10.31.0.0/24 via 10.1.0.9 src 10.1.0.100
  10.32.0.0/24 dev eth0 no_track
  fd00:30::/64 dev eth0 metric 5
}
virtual_rules {
  from 10.30.0.0/24 lookup 100 priority 500
  from fd00:30::/64 lookup 100 priority 501
}`

// A tracked route or rule that somebody removes costs the mastership for the skew time, like an address; another one costs nothing.
func TestRoutingStolen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, command, begin string
		tracked              bool
	}{
		{"V-B16 tracked virtual route deleted", "route del 10.30.0.0/24", "10.30.0.0/24", true},
		{"V-B16 the same with a gateway and a source", "route del 10.31.0.0/24", "10.31.0.0/24", true},
		{"V-B16 the same of IPv6", "-6 route del fd00:30::/64", "fd00:30::/64", true},
		{"V-B17 no_track route deleted", "route del 10.32.0.0/24", "10.32.0.0/24", false},
		{"V-B18 virtual rule deleted", "rule del priority 500", "500:", true},
		{"V-B18 the same of IPv6", "-6 rule del priority 501", "501:", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, lab.Plan{Nodes: []string{"a"}})
			i := instance{Priority: 150, Lines: routing}
			a := lone(t, l, i)
			n := l.Node("a")
			waitHeld(l, n, "500:", true)
			waitHeld(l, n, "10.31.0.0/24", true)
			gone := time.Now()
			if code, out := n.Output(soon, "ip", strings.Fields(c.command)...); code != 0 {
				t.Fatal(out)
			}
			if !c.tracked {
				steady(t, l, gone, 4, i.WithDefaults().Interval)
				if has(n, c.begin) || a.Logged("BACKUP STATE$") {
					t.Error("it was put back, or mastership was lost")
				}
				return
			}
			zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
			l.Took("goodbye", gone, zero.At, 0, slack)
			a.WaitLogAfter(gone, soon, `\(VI_1\) Entering BACKUP STATE$`)
			back := l.WaitFrame(soon, "advert", lab.Adverts("a"), lab.After(zero.At))
			l.Took("return", zero.At, back.At, i.Skew()-5*time.Millisecond, i.Skew()+30*time.Millisecond)
			waitHeld(l, n, c.begin, true)
			if f := l.Frames(lab.Adverts("a"), lab.Priority(0)); len(f) != 1 {
				t.Errorf("%d goodbyes, want 1", len(f))
			}
			if !lab.IsKeepalived(lab.Ours()) {
				a.WaitLog(soon, `was removed by (ip \(process \d+\)|process \d+, which has ended)$`)
			}
		})
	}
}

const statics = `static_ipaddress {
  10.5.0.1/24 dev eth1
}
static_routes {
  10.20.0.0/24 via 10.5.0.9 dev eth1
  10.21.0.0/24 dev eth1 no_track
  fd00:20::/64 dev eth1 metric 5
}
static_rules {
  from 10.20.0.0/24 lookup 100 priority 700
}
`

// Static entries are there from the start to the end, come back when somebody removes them or their interface was down, and change with a
// reload; mastership has nothing to do with them.
func TestStatics(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}, LANs: 2})
	n := l.Node("a")
	i := instance{Priority: 150, Lines: "virtual_routes {\n10.30.0.0/24 dev eth0\n}\n" +
		"virtual_rules {\nfrom 10.30.0.0/24 lookup 100 priority 500\n}"} // without them the original watches none
	a := n.Start(lab.Ours(), config(statics, i))
	all := []string{"10.20.0.0/24", "10.21.0.0/24", "fd00:20::/64", "700:"}
	for _, begin := range all {
		waitHeld(l, n, begin, true)
	}
	l.WaitHolder(soon+i.Down(), vip, "a")
	for _, c := range []struct{ name, command, begin, line string }{
		{"V-B19 static route", "route del 10.20.0.0/24", "10.20.0.0/24", "route prepend 10.20.0.0/24 via inet 10.5.0.9 dev eth1 proto 18"},
		{"V-B19 static rule", "rule del priority 700", "700:", "rule from 10.20.0.0/24 priority 700 tos 0x0 protocol 18 lookup 100"},
		{"V-B19 static address", "addr del 10.5.0.1/24 dev eth1", "", "address 10.5.0.1/24 dev eth1 scope global set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			gone := time.Now()
			n.IP(c.command)
			line := a.WaitLogAfter(gone, soon, "^Restoring deleted static "+strings.NewReplacer("(", `\(`, ")", `\)`).Replace(c.line)+"$")
			l.Took("restoring", gone, line.At, 0, 100*time.Millisecond)
			l.Wait(soon, "restored", func() bool {
				_, out := n.Output(soon, "ip", "addr", "show", "dev", "eth1")
				return strings.Contains(out, "10.5.0.1/24") && (c.begin == "" || has(n, c.begin))
			})
		})
	}
	n.IP("link set eth1 down")
	waitHeld(l, n, "10.20.0.0/24", false)
	n.IP("link set eth1 up")
	waitHeld(l, n, "10.20.0.0/24", true)

	a.Reload(config(strings.Replace(statics, "10.20.0.0/24 via", "10.29.0.0/24 via", 1), i))
	waitHeld(l, n, "10.29.0.0/24", true)
	waitHeld(l, n, "10.20.0.0/24", false)
	a.Stop()
	l.Wait(soon, "nothing left", func() bool { return len(held(n)) == 0 })
}

// A master's routes come after its addresses and its rules after those, and they go in the opposite order.
func TestRoutingOrder(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	s := follow(t, l, n)
	a := lone(t, l, instance{Priority: 150, Lines: routing})
	waitHeld(l, n, "501:", true)
	a.WaitLog(soon, "queueing gratuitous")
	order := func(events []string, sign string) string {
		var kinds []string
		for _, e := range events {
			kind := strings.Fields(e)[0]
			if strings.HasPrefix(kind, sign) && !strings.Contains(e, "fe80") && (len(kinds) == 0 || kinds[len(kinds)-1] != kind) {
				kinds = append(kinds, kind)
			}
		}
		return strings.Join(kinds, " ")
	}
	if got := order(s.since(), "+"); got != "+addr +route +rule" {
		t.Errorf("on becoming master: %s", got)
	}
	a.Stop()
	l.Wait(soon, "nothing left", func() bool { return len(held(n)) == 0 })
	got := ""
	l.Until(soon, func() bool { got += " " + order(s.since(), "-"); return strings.Contains(got, "addr") })
	if strings.TrimSpace(got) != "-rule -route -addr" {
		t.Errorf("at the end: %s", got)
	}
}

// What a killed daemon left is removed at the next start, before the first advert could be heard; what is static stays and is its own.
func TestRoutingLeftovers(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}, LANs: 2})
	n := l.Node("a")
	i := instance{Priority: 150, Lines: routing}
	a := lone(t, l, i)
	a.Stop()
	a = n.Start(lab.Ours(), config(statics, i))
	l.WaitHolder(soon+i.Down(), vip, "a")
	waitHeld(l, n, "500:", true)
	waitHeld(l, n, "10.20.0.0/24", true)
	a.Kill()
	if !has(n, "500:") {
		t.Fatal("a killed daemon took its rules with it")
	}
	i.Interval = time.Second // long enough to look before it is master
	a = n.Start(lab.Ours(), config(statics, i))
	a.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE \(init\)`)
	waitHeld(l, n, "500:", false)
	waitHeld(l, n, "10.30.0.0/24", false)
	for _, begin := range []string{"10.20.0.0/24", "fd00:20::/64", "700:"} {
		if !has(n, begin) {
			t.Errorf("static %s went", begin)
		}
	}
	a.Stop()
	if lab.IsKeepalived(lab.Ours()) {
		return // it leaves its routes
	}
	l.Wait(soon, "nothing left", func() bool { return len(held(n)) == 0 })
}

// A reload touches only what changes: a route that moves to another instance is never away, and one that gets another gateway goes when the
// new one is there.
func TestRoutingReload(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	one := func(routes string) instance {
		return instance{Priority: 255, Lines: "state MASTER\nvirtual_routes {\n" + routes + "\n}\nvirtual_rules {\nfrom 10.30.0.0/24 lookup 100 priority 500\n}"}
	}
	two := func(routes string) instance {
		return instance{Name: "VI_2", VRID: 52, Priority: 255, VIPs: "10.1.0.101/24", Lines: "state MASTER\nvirtual_routes {\n" + routes + "\n}"}
	}
	a := n.Start(lab.Ours(), config(one("10.30.0.0/24 dev eth0\n10.31.0.0/24 via 10.1.0.9"), two("10.32.0.0/24 dev eth0")))
	waitHeld(l, n, "10.32.0.0/24", true)
	waitHeld(l, n, "500:", true)
	s := follow(t, l, n)
	a.Reload(config(one("10.31.0.0/24 via 10.1.0.8"), two("10.32.0.0/24 dev eth0\n10.30.0.0/24 dev eth0\n10.33.0.0/24 dev eth0")))
	waitHeld(l, n, "10.33.0.0/24", true)
	waitHeld(l, n, "10.31.0.0/24 via 10.1.0.9", false)
	if !has(n, "10.31.0.0/24 via 10.1.0.8") || !has(n, "10.30.0.0/24") {
		t.Errorf("missing after the reload: %q", held(n))
	}
	if lab.IsKeepalived(lab.Ours()) {
		return // it sets all routes again
	}
	var got []string
	l.Wait(soon, "the end of the changes", func() bool {
		got = append(got, s.since()...)
		return slices.Contains(got, "-route 10.31.0.0")
	})
	slices.Sort(got[:len(got)-1])
	if want := []string{"+route 10.31.0.0", "+route 10.33.0.0", "-route 10.31.0.0"}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
}

// With promote_secondaries the first address of the subnet can go without the virtual one; at the end the setting is as before.
func TestPromoteSecondaries(t *testing.T) {
	t.Parallel()
	t.Run("V-B12 primary removed with promote_secondaries", func(t *testing.T) {
		l := newLab(t, lab.Plan{})
		master, backup := instance{Priority: 150, Lines: "promote_secondaries"}, instance{Priority: 100}
		setting := func() string {
			_, out := l.Node("a").Output(soon, "cat", "/proc/sys/net/ipv4/conf/eth0/promote_secondaries")
			return strings.TrimSpace(out)
		}
		if setting() != "0" {
			t.Skip("the kernel promotes anyway")
		}
		a, _ := pair(t, l, master, backup)
		if got := setting(); got != "1" {
			t.Fatalf("promote_secondaries is %s", got)
		}
		gone := time.Now()
		l.Node("a").IP("addr del 10.1.0.1/24 dev eth0")
		zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		l.Took("goodbye", gone, zero.At, 0, slack)
		a.WaitLogAfter(gone, soon, `\(VI_1\) Entering FAULT STATE`)
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", zero.At, first.At, backup.Skew()-5*time.Millisecond, backup.Skew()+slack)
		if a.Logged("IP 10.1.0.100 removed") {
			t.Error("the virtual address went with the first one")
		}
		a.Stop()
		if got := setting(); got != "0" {
			t.Errorf("promote_secondaries is %s after the end", got)
		}
	})
}

// A polled link is looked at once a second, whatever the kernel tells.
func TestLinkbeat(t *testing.T) {
	t.Parallel()
	t.Run("V-F22 linkbeat polling", func(t *testing.T) {
		l := newLab(t, lab.Plan{Nodes: []string{"a"}, LANs: 2})
		i := instance{Priority: 150, Lines: "track_interface {\neth1\n}"}
		n := l.Node("a")
		a := n.Start(lab.Ours(), config("linkbeat_interfaces {\neth1 MII\n}\n", i))
		a.WaitLog(soon, `^\(eth1\): Configured linkbeat type MII not supported, using ETHTOOL$`)
		l.WaitHolder(soon+i.Down(), vip, "a")
		for _, c := range []struct {
			act         func(int)
			line, state string
		}{{n.Unplug, "down", "FAULT"}, {n.Plug, "up", "BACKUP"}} {
			at := time.Now()
			c.act(1)
			l.Took("notice", at, a.WaitLogAfter(at, soon, "^Linkbeat reports eth1 "+c.line+"$").At, 0, 1100*time.Millisecond)
			a.WaitLogAfter(at, soon, `\(VI_1\) Entering `+c.state+` STATE$`)
		}
		if a.Logged("Netlink reports eth1") {
			t.Error("the kernel was believed")
		}
	})
}
