package netns

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// home, red and blue are the LANs of the daemons' own namespaces and of two others, in each of which the interface is eth0.
const home, red, blue = 0, 1, 2

// in returns an instance that is in an inner namespace, and is called after it.
func in(n *lab.Inner, i instance) instance {
	i.Name = "VI_" + n.Name[1:]
	i.Lines = "net_namespace " + n.Namespace() + "\n" + i.Lines
	return i
}

// inners are the namespaces of a node, called after it and their colour.
func inners(l *lab.Lab, node string) (r, b *lab.Inner) {
	n := l.Node(node)
	return n.Inner(node+"r", red), n.Inner(node+"b", blue)
}

// three is a configuration of the same virtual router in the daemon's own namespace and in two others.
func three(r, b *lab.Inner, i instance) string {
	return "global_defs {\n  dynamic_interfaces\n}\n" + config(i, in(r, i), in(b, i))
}

// threePairs are two daemons of three routers each, those of a master.
func threePairs(t *testing.T) (l *lab.Lab, a, b *lab.Daemon, ar, ab *lab.Inner) {
	t.Helper()
	l = newLab(t, lab.Plan{LANs: 3, Nodes: []string{"a", "b"}})
	ar, ab = inners(l, "a")
	br, bb := inners(l, "b")
	a = l.Node("a").Start(lab.Ours(), three(ar, ab, instance{Priority: 150}))
	l.WaitHolder(soon+instance{Priority: 150}.Down(), vip, "a ab ar")
	b = l.Node("b").Start(lab.Ours(), three(br, bb, instance{Priority: 100}))
	b.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE`)
	b.WaitLog(soon, `\(VI_r\) Entering BACKUP STATE`)
	b.WaitLog(soon, `\(VI_b\) Entering BACKUP STATE`)
	return l, a, b, ar, ab
}

// undisturbed fails the test if a has not gone on as the master of a LAN since the moment.
func undisturbed(t *testing.T, l *lab.Lab, lan int, since time.Time) {
	t.Helper()
	interval := instance{}.WithDefaults().Interval
	last := time.Time{}
	for _, f := range l.WaitFrames(soon, 4, "advert", lab.Adverts("a"), lab.OnLAN(lan), lab.After(since)) {
		if f.Priority == 0 {
			t.Errorf("LAN %d: %v", lan, f)
		}
		if gap := f.At.Sub(last); !last.IsZero() && gap > interval*3/2+lab.Starved(last, f.At) {
			t.Errorf("LAN %d: gap of %v between adverts", lan, gap)
		}
		last = f.At
	}
	if f := l.Frames(lab.Adverts("b"), lab.OnLAN(lan), lab.After(since)); len(f) > 0 {
		t.Errorf("LAN %d: %v", lan, f[0])
	}
}

// descriptors counts what the process that runs VRRP has open.
func descriptors(t *testing.T, d *lab.Daemon) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Worker()))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// Virtual routers with the same number, interface and address, but in different network namespaces, have nothing to do with each other.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	l, a, b, ar, ab := threePairs(t)
	for _, lan := range []int{home, red, blue} {
		l.WaitFrame(soon, "announcement", lab.Announcements("a", vip), lab.OnLAN(lan))
	}
	t.Run("link down in one", func(t *testing.T) {
		at := time.Now()
		l.Node("a").Unplug(red)
		a.WaitLogAfter(at, soon, `Netlink reports eth0 down netns=`+ar.Namespace())
		a.WaitLogAfter(at, soon, `\(VI_r\) Entering FAULT STATE`)
		l.WaitHolder(soon, vip, "a ab br")
		undisturbed(t, l, home, at)
		undisturbed(t, l, blue, at)
		l.Node("a").Plug(red)
		l.WaitHolder(soon, vip, "a ab ar")
	})
	t.Run("address deleted in one", func(t *testing.T) {
		at := time.Now()
		ab.IP("addr del " + vip.String() + "/24 dev eth0")
		a.WaitLogAfter(at, soon, vip.String()+` was removed by .*netns=`+ab.Namespace())
		a.WaitLogAfter(at, soon, `\(VI_b\) Entering BACKUP STATE`)
		l.WaitHolder(soon, vip, "a ab ar") // once it has taken over again
		undisturbed(t, l, home, at)
		undisturbed(t, l, red, at)
	})
	t.Run("dumps", func(t *testing.T) {
		data := a.Dump(syscall.SIGUSR1, "keepalived.data")
		for _, n := range []*lab.Inner{ar, ab} {
			if got := strings.Count(data, "   Network namespace = "+n.Namespace()+"\n"); got < 4 { // instance, socket, lo, eth0
				t.Errorf("%s is named %d times in\n%s", n.Namespace(), got, data)
			}
		}
		if json := a.Dump(syscall.Signal(36), "keepalived.json"); !strings.Contains(json, `"net_namespace":"`+ar.Namespace()) {
			t.Errorf("no namespace in %s", json)
		}
	})
	t.Run("stop", func(t *testing.T) {
		a.Stop()
		l.WaitHolder(soon, vip, "b bb br")
		for _, lan := range []int{home, red, blue} {
			l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0), lab.OnLAN(lan))
		}
		ar.IP("route add " + vip.String() + " dev eth0")
		for from, holder := range map[*lab.Node]string{ar.Node: "br", l.Node("a"): "b"} {
			l.Wait(soon, holder+" answers at the address", func() bool {
				got, _ := from.Who(vip, 200*time.Millisecond)
				return got == holder
			})
		}
	})
	b.Stop()
	l.WaitHolder(soon, vip, "")
}

// A namespace that loses its name is let go of, even if it lives on; one that comes back is taken up again; the others are not disturbed, and
// nothing stays open.
func TestNamespaceGone(t *testing.T) {
	t.Parallel()
	l, a, _, ar, _ := threePairs(t)
	open := descriptors(t, a)
	for _, atOnce := range []bool{false, true} { // there is a new one of the name
		at := time.Now()
		ar.Unname()
		if atOnce {
			ar.Appear()
		}
		a.WaitLogAfter(at, soon, "Network namespace "+ar.Namespace()+" is gone")
		a.WaitLogAfter(at, soon, `\(VI_r\) Entering FAULT STATE`)
		l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.OnLAN(red), lab.Priority(0), lab.After(at))
		l.WaitHolder(soon, vip, "a ab br")
		ar.Release()
		l.Wait(soon, "the namespace is free", ar.Freed)
		if !atOnce {
			l.Wait(soon, "descriptors closed", func() bool { return descriptors(t, a) < open-5 })
			ar.Appear()
		}
		undisturbed(t, l, home, at)
		undisturbed(t, l, blue, at)
		ar.Attach()
		a.WaitLogAfter(at, soon, "Network namespace "+ar.Namespace()+" opened")
		l.WaitHolder(soon+instance{Priority: 150}.Down(), vip, "a ab ar")
		l.Wait(soon, "as many descriptors as before", func() bool { return descriptors(t, a) == open })
		undisturbed(t, l, home, at)
	}
	a.Stop()
	l.WaitHolder(soon, vip, "b bb br")
}

// A name that means another namespace from one moment to the next means another; two names of one namespace are not two of them.
func TestNamespaceReplaced(t *testing.T) {
	t.Parallel()
	l, a, _, ar, ab := threePairs(t)
	path := func(n *lab.Inner) string { return "/run/netns/" + n.Namespace() }
	at := time.Now()
	if err := syscall.Mount(path(ab), path(ar), "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	restore := sync.OnceFunc(func() { syscall.Unmount(path(ar), syscall.MNT_DETACH) })
	t.Cleanup(restore)
	a.WaitLogAfter(at, soon, "Network namespace "+ar.Namespace()+" is gone")
	a.WaitLogAfter(at, soon, "Network namespace "+ar.Namespace()+" cannot be used: it is that of "+ab.Namespace())
	l.WaitHolder(soon, vip, "a ab br")
	undisturbed(t, l, blue, at)
	at = time.Now()
	restore()
	a.WaitLogAfter(at, soon, "Network namespace "+ar.Namespace()+" opened")
	l.WaitHolder(soon+instance{Priority: 150}.Down(), vip, "a ab ar")
	undisturbed(t, l, blue, at)
}

// A namespace may come later than the daemon where interfaces may.
func TestNamespaceLater(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{LANs: 3, Nodes: []string{"a"}})
	ar, ab := inners(l, "a")
	ar.Unname()
	ar.Release()
	l.Wait(soon, "the namespace is free", ar.Freed)
	n := l.Node("a")
	conf := config(instance{Priority: 150}, in(ar, instance{Priority: 150}))
	n.File("keepalived.conf", conf)
	if code, out := n.Output(soon, lab.Ours(), "-t", "-f", n.Dir+"/keepalived.conf"); code == 0 || !strings.Contains(out, "network namespace "+ar.Namespace()+" doesn't exist") {
		t.Errorf("-t: %d %s", code, out)
	}
	a := n.Start(lab.Ours(), three(ar, ab, instance{Priority: 150}))
	l.WaitHolder(soon+instance{Priority: 150}.Down(), vip, "a ab")
	a.WaitLog(soon, "Network namespace "+ar.Namespace()+" does not exist")
	a.WaitLog(soon, `\(VI_r\): entering FAULT state \(network namespace \S+ is missing\)`)
	ar.Appear()
	ar.Attach()
	l.WaitHolder(soon+instance{Priority: 150}.Down(), vip, "a ab ar")
}

// A reload adds, moves and removes namespaces.
func TestNamespaceReload(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{LANs: 3, Nodes: []string{"a"}})
	ar, ab := inners(l, "a")
	i := instance{Priority: 150}
	a := lone(t, l, i)
	open := descriptors(t, a)

	at := a.Reload(config(i, in(ar, i)))
	l.WaitHolder(soon+i.Down(), vip, "a ar")
	if got := logged(a, at, "FAULT"); len(got) > 0 { // its interface is known before it starts
		t.Errorf("added: %q", got)
	}
	undisturbed(t, l, home, at)

	moved := in(ar, i)
	moved.Lines = in(ab, i).Lines
	at = a.Reload(config(i, moved))
	l.WaitHolder(soon+i.Down(), vip, "a ab")
	l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.OnLAN(red), lab.Priority(0), lab.After(at))
	a.WaitLogAfter(at, soon, "Network namespace "+ar.Namespace()+" closed")
	undisturbed(t, l, home, at)

	at = a.Reload(config(i))
	l.WaitHolder(soon, vip, "a")
	a.WaitLogAfter(at, soon, "Network namespace "+ab.Namespace()+" closed")
	l.Wait(soon, "only the watch of namespaces is left", func() bool { return descriptors(t, a) <= open+1 })
	undisturbed(t, l, home, at)

	// The daemon's own namespace has no second name.
	own := i
	own.Name, own.VRID, own.VIPs, own.Lines = "VI_own", 52, "10.1.0.101/24", "net_namespace /run/netns/"+l.Node("a").Namespace()
	at = a.Reload(config(i, own))
	a.WaitLogAfter(at, soon, `net_namespace \S+ is the one that the daemon runs in`)
	l.WaitHolder(soon+i.Down(), other, "a")
}

// VMACs, kernel settings, packet filter, routes and tracked interfaces are those of the namespace; nothing is left there at the end.
func TestNamespaceObjects(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{LANs: 2, Nodes: []string{"a"}})
	n := l.Node("a")
	ar := n.Inner("ar", red)
	ar.IP("link add side0 type veth peer name side1", "link set side0 up", "link set side1 up")
	i := in(ar, instance{Priority: 150, Lines: "use_vmac\nno_accept\nvirtual_routes {\n  192.0.2.0/24 dev eth0\n}\ntrack_interface {\n  side0\n}"})
	a := n.Start(lab.Ours(), config(i))
	l.WaitHolder(soon+i.Down(), vip, "ar")
	if !hasLink(ar.Node, "vrrp.51") || hasLink(n, "vrrp.51") {
		t.Error("the VMAC is not there, or in the daemon's own namespace")
	}
	if got := output(t, ar.Node, "sysctl", "-n", "net.ipv4.conf.vrrp/51.arp_ignore", "net.ipv4.conf.eth0.arp_ignore"); got != "1\n1\n" {
		t.Errorf("arp_ignore of vrrp.51 and eth0: %q", got)
	}
	if got := output(t, n, "sysctl", "-n", "net.ipv4.conf.eth0.arp_ignore"); got != "0\n" {
		t.Errorf("arp_ignore in the daemon's own namespace: %q", got)
	}
	if rules := output(t, ar.Node, "nft", "list", "ruleset"); !strings.Contains(rules, vip.String()) {
		t.Errorf("packet filter:\n%s", rules)
	}
	if rules := output(t, n, "nft", "list", "ruleset"); rules != "" {
		t.Errorf("packet filter in the daemon's own namespace:\n%s", rules)
	}
	if f := l.WaitFrame(soon, "advert", lab.Adverts("a"), lab.OnLAN(red)); f.SrcMAC.String() != virtualMAC {
		t.Errorf("%v from %s", f, f.SrcMAC)
	}
	at := time.Now()
	ar.IP("route del 192.0.2.0/24 dev eth0")
	a.WaitLogAfter(at, soon, `route .*192\.0\.2\.0/24.* was removed by`)
	l.Wait(soon+i.Down(), "the route is back", func() bool {
		_, out := ar.Output(soon, "ip", "route", "show", "192.0.2.0/24")
		return out != ""
	})
	ar.IP("link set side1 down")
	a.WaitLogAfter(at, soon, `\(VI_r\) Entering FAULT STATE`)
	l.WaitHolder(soon, vip, "")
	ar.IP("link set side1 up")
	l.WaitHolder(soon+i.Down(), vip, "ar")

	// Somebody else lives on in it, under no name.
	lives := ar.Command("sleep", "60")
	if err := lives.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lives.Process.Kill(); lives.Wait() })
	inside := func(words ...string) string {
		out, _ := exec.Command("nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", lives.Process.Pid)}, words...)...).CombinedOutput()
		return string(out)
	}
	l.Wait(soon, "the process is in the namespace", func() bool { return strings.Contains(inside("ip", "link"), "vrrp.51") })
	at = time.Now()
	ar.Unname()
	a.WaitLogAfter(at, soon, "Network namespace "+ar.Namespace()+" closed")
	l.WaitHolder(soon, vip, "")
	if got := inside("ip", "link"); strings.Contains(got, "vrrp.51") {
		t.Errorf("the VMAC was left behind:\n%s", got)
	}
	if got := inside("nft", "list", "ruleset"); got != "" {
		t.Errorf("packet filter left behind:\n%s", got)
	}
	if got := inside("ip", "route", "show", "192.0.2.0/24"); got != "" {
		t.Errorf("route left behind: %s", got)
	}
	if got := inside("sysctl", "-n", "net.ipv4.conf.eth0.arp_ignore"); got != "0\n" {
		t.Errorf("arp_ignore at the end: %q", got)
	}
}

// A worker that is killed leaves its addresses in no namespace.
func TestNamespaceWorkerKilled(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{LANs: 2, Nodes: []string{"a"}})
	ar := l.Node("a").Inner("ar", red)
	i := in(ar, instance{Priority: 150})
	vmac := in(ar, instance{Priority: 150, VRID: 52, VIPs: "10.1.0.101/24", Lines: "use_vmac"})
	vmac.Name = "VI_vmac"
	a := l.Node("a").Start(lab.Ours(), config(i, vmac), "-R")
	l.WaitHolder(soon+i.Down(), vip, "ar")
	l.WaitHolder(soon, other, "ar")
	syscall.Kill(a.Worker(), syscall.SIGKILL)
	l.WaitHolder(soon, vip, "")
	l.Wait(soon, "the VMAC is gone", func() bool { return !hasLink(ar.Node, "vrrp.52") })
	a.WaitExit(soon)

	a = l.Node("a").Start(lab.Ours(), config(i, vmac))
	l.WaitHolder(soon+i.Down(), vip, "ar")
	gone := func() int {
		return len(l.Entries(func(e lab.Entry) bool { return e.Addr != nil && e.Addr.Gone && e.Addr.Prefix.Addr() == vip }))
	}
	before := gone()
	syscall.Kill(a.Worker(), syscall.SIGKILL)
	l.Wait(soon+i.Down(), "the address is gone and back", func() bool { return gone() > before && l.Has("ar", vip) })
	a.Stop()
	l.WaitHolder(soon, vip, "")
	l.Wait(soon, "the VMAC is gone", func() bool { return !hasLink(ar.Node, "vrrp.52") })
}

// Fifty namespaces are one process's work.
func TestManyNamespaces(t *testing.T) {
	t.Parallel()
	const many = 50
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	name := func(k int) string { return fmt.Sprintf("%sn%d", n.Namespace(), k) }
	run := func(words ...string) string {
		t.Helper()
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", words, err, out)
		}
		return string(out)
	}
	var parts []any
	for k := range many {
		run("ip", "netns", "add", name(k))
		t.Cleanup(func() { exec.Command("ip", "netns", "del", name(k)).Run() })
		run("ip", "-n", name(k), "link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
		run("ip", "-n", name(k), "link", "set", "peer0", "up")
		run("ip", "-n", name(k), "link", "set", "eth0", "up")
		run("ip", "-n", name(k), "addr", "add", "10.1.0.1/24", "dev", "eth0")
		parts = append(parts, instance{Name: fmt.Sprintf("VI_n%d", k), Priority: 255, Lines: "net_namespace " + name(k)})
	}
	alone := instance{Priority: 255}
	a := lone(t, l, alone)
	open := descriptors(t, a)
	held := func() (n int) {
		for k := range many {
			if strings.Contains(run("ip", "-n", name(k), "-o", "addr", "show", "dev", "eth0"), " "+vip.String()+"/") {
				n++
			}
		}
		return n
	}
	come := func() {
		t.Helper()
		at := a.Reload(config(append(parts, alone)...))
		l.Wait(2*soon, "all are master", func() bool { return len(logged(a, at, "Entering MASTER STATE")) == many })
		l.Wait(soon, "all have the address", func() bool { return held() == many })
		if got := logged(a, at, "FAULT"); len(got) > 0 {
			t.Errorf("%q", got)
		}
		undisturbed(t, l, home, at)
	}
	come()
	if tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", a.Worker())); len(tasks) > 2*many {
		t.Errorf("%d threads", len(tasks)) // one each at most, of those that wait for the kernel's lock of addresses at once
	}
	at := a.Reload(config(alone))
	l.Wait(soon, "none has the address", func() bool { return held() == 0 })
	undisturbed(t, l, home, at)
	l.Wait(2*soon, "all are closed but the watch", func() bool { return descriptors(t, a) <= open+1 }) // a packet socket takes the kernel 10 ms
	come()
	a.Stop()
	if got := held(); got != 0 {
		t.Errorf("%d have the address after the end", got)
	}
}

// The namespace of the daemon as a whole is one thing, those of instances another.
func TestNamespaceOfBoth(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{LANs: 3, Nodes: []string{"a"}})
	ar, ab := inners(l, "a")
	n := l.Node("a")
	i := instance{Priority: 150}
	script := n.Recorder("notify", "readlink /proc/self/ns/net")
	inner := in(ar, instance{Priority: 150, Lines: "use_vmac\nnotify " + script.Path})
	group := "vrrp_sync_group G {\n  group {\n    VI_1\n    VI_r\n  }\n}\n"
	a := n.Start(lab.Ours(), "net_namespace "+ab.Namespace()+"\n"+config(group, i, inner))
	l.WaitHolder(soon+i.Down(), vip, "ab ar")
	where := strings.TrimSpace(output(t, ab.Node, "readlink", "/proc/self/ns/net"))
	l.Wait(soon, "scripts run where the daemon does", func() bool {
		return slices.Contains(script.Calls(), "INSTANCE VI_r MASTER 150 "+where)
	})
	t.Run("a sync group spans both", func(t *testing.T) {
		n.Unplug(red)
		l.WaitHolder(soon, vip, "")
		n.Plug(red)
		l.WaitHolder(soon+i.Down(), vip, "ab ar")
	})
	a.Stop()
	l.WaitHolder(soon, vip, "")
	if hasLink(ar.Node, "vrrp.51") {
		t.Error("the VMAC was left behind")
	}
}

// What the kernel is asked about IPv6 is asked in the namespace: whether it forwards, and whether an address is really gone.
func TestNamespaceIPv6(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{LANs: 2, Nodes: []string{"a"}})
	n := l.Node("a")
	ar := n.Inner("ar", red)
	vip6 := netip.MustParseAddr("fe80::100")
	output(t, ar.Node, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.eth0.forwarding=1")
	i := instance{Priority: 150, VIPs: "fe80::100/64"}
	a := n.Start(lab.Ours(), config(i, in(ar, i)))
	l.WaitHolder(soon+i.Down(), vip6, "a ar")
	for lan, want := range map[int]uint8{home: 0, red: 0x80} {
		if f := l.WaitFrame(soon, "announcement", lab.Announcements("a", vip6), lab.OnLAN(lan)); f.Flags&0x80 != want {
			t.Errorf("LAN %d: router flag %#x, want %#x", lan, f.Flags, want)
		}
	}
	at := time.Now()
	ar.IP("addr del fe80::100/64 dev eth0")
	a.WaitLogAfter(at, soon, `\(VI_r\) Entering BACKUP STATE`)
	l.WaitHolder(soon+i.Down(), vip6, "a ar")
	undisturbed(t, l, home, at)
}
