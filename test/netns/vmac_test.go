package netns

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// output runs a command in a node; it has to succeed.
func output(t *testing.T, n *lab.Node, words ...string) string {
	t.Helper()
	code, out := n.Output(soon, words[0], words[1:]...)
	if code != 0 {
		t.Fatalf("%v: %d %s", words, code, out)
	}
	return out
}

func hasLink(n *lab.Node, name string) bool {
	return exec.Command("ip", "netns", "exec", n.Namespace(), "ip", "link", "show", name).Run() == nil
}

// virtualMAC is that of VRID 51 and IPv4 (RFC 9568 section 7.3).
const virtualMAC = "00:00:5e:00:01:33"

// A pair on VMACs: the link is there in every state and has the address in one; adverts and announcements have one MAC address whoever
// the master is; and nothing is left at the end.
func TestVMACPair(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{})
	master, backup := instance{Priority: 150, Lines: "use_vmac"}, instance{Priority: 100, Lines: "use_vmac"}
	a, b := pair(t, l, master, backup)
	t.Run("V-H03 backup", func(t *testing.T) {
		if !hasLink(b.Node, "vrrp.51") || l.Has("b", vip) {
			t.Error("the backup has no VMAC, or has the address")
		}
	})
	advert := l.LastFrame(lab.Adverts("a"))
	if advert.SrcMAC.String() != virtualMAC || advert.Src != l.Node("a").Addr(0) {
		t.Errorf("%s sent from %s", advert, advert.SrcMAC)
	}
	reachedAt(t, l, vip, "a")
	announced := func(node string) {
		t.Helper()
		for _, f := range l.WaitFrames(soon, 5, "announcement", lab.Announcements(node, vip)) {
			if f.SrcMAC.String() != virtualMAC {
				t.Errorf("%s from %s", f, f.SrcMAC)
			}
		}
	}
	announced("a")
	t.Run("V-H04 stop", func(t *testing.T) {
		asked := a.Signal(syscall.SIGTERM)
		zero := l.WaitFrame(soon, "goodbye", lab.Adverts("a"), lab.Priority(0))
		if zero.SrcMAC.String() != virtualMAC {
			t.Errorf("the goodbye came from %s", zero.SrcMAC)
		}
		first := l.WaitFrame(soon, "advert of b", lab.Adverts("b"))
		l.Took("takeover", zero.At, first.At, backup.Skew()-2*time.Millisecond, backup.Skew()+60*time.Millisecond)
		a.WaitExit(soon)
		l.Took("end", asked, a.Exited(), 0, time.Second)
		if hasLink(a.Node, "vrrp.51") {
			t.Error("the VMAC was left behind")
		}
		if rules := output(t, a.Node, "nft", "list", "ruleset"); rules != "" {
			t.Errorf("packet filter left behind:\n%s", rules)
		}
		reachedAt(t, l, vip, "b")
		announced("b")
	})
}

// Whatever happens to a VMAC, it is put back.
func TestVMACRestored(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	conf := "global_defs {\n  dynamic_interfaces allow_if_changes\n}\n" + config(instance{Priority: 200, Lines: "use_vmac\nno_accept"})
	d := n.Start(lab.Ours(), conf)
	l.WaitHolder(soon, vip, "a")
	settings := func() string {
		return output(t, n, "sysctl", "net.ipv4.conf.vrrp/51.arp_ignore", "net.ipv4.conf.vrrp/51.accept_local", "net.ipv4.conf.vrrp/51.rp_filter",
			"net.ipv4.conf.eth0.arp_ignore", "net.ipv4.conf.eth0.arp_filter", "net.ipv6.conf.vrrp/51.disable_ipv6")
	}
	t.Run("V-H05 sysctls", func(t *testing.T) {
		if got := regexp.MustCompile(`= (\d)`).FindAllString(settings(), -1); fmt.Sprint(got) != "[= 1 = 1 = 0 = 1 = 1 = 1]" {
			t.Errorf("settings:\n%s", settings())
		}
	})
	want := settings()
	back := func(at time.Time) {
		t.Helper()
		d.WaitLogAfter(at, soon, `\(VI_1\): Success creating VMAC interface vrrp\.51`)
		d.WaitLogAfter(at, soon, `\(VI_1\) Entering BACKUP STATE`)
		d.WaitLogAfter(at, soon+instance{Priority: 200}.Down(), `\(VI_1\) Entering MASTER STATE`)
		l.WaitHolder(soon, vip, "a")
		if got := settings(); got != want {
			t.Errorf("settings:\n%s\nbefore:\n%s", got, want)
		}
		rules := output(t, n, "nft", "list", "ruleset")
		if !strings.Contains(rules, `"vrrp.51" :`) || !strings.Contains(rules, "elements = { 10.1.0.100 }") {
			t.Errorf("packet filter:\n%s", rules)
		}
		l.WaitFrame(soon, "advert from the VMAC", lab.Adverts("a"), lab.After(at), func(f *lab.Frame) bool { return f.SrcMAC.String() == virtualMAC })
	}
	t.Run("V-H07 VMAC deleted", func(t *testing.T) {
		at := time.Now()
		n.IP("link del vrrp.51")
		back(at)
		l.Took("return to BACKUP", d.WaitLogAfter(at, soon, "Entering FAULT STATE").At, d.WaitLogAfter(at, soon, "Entering BACKUP STATE").At, 0, 500*time.Millisecond)
	})
	t.Run("base deleted and made again", func(t *testing.T) {
		n.IP("link del eth0")
		d.WaitLog(soon, "Interface eth0 deleted")
		at := time.Now()
		l.Reattach("a", 0)
		back(at)
	})
	t.Run("renamed base", func(t *testing.T) {
		at := time.Now()
		n.IP("link set eth0 down", "link set eth0 name wan", "link set wan up")
		d.WaitLogAfter(at, soon, `\(VI_1\) Entering FAULT STATE`)
		l.Wait(soon, "the VMAC of the renamed base goes", func() bool { return !l.Has("a", vip) })
		at = time.Now()
		n.IP("link set wan down", "link set wan name eth0", "link set eth0 up", "addr replace 10.1.0.1/24 dev eth0")
		d.WaitLogAfter(at, soon+time.Second, `\(VI_1\) Entering MASTER STATE`)
		l.WaitHolder(soon, vip, "a")
	})
	t.Run("filter taken away", func(t *testing.T) {
		output(t, n, "nft", "flush", "ruleset")
		at := d.Reload(strings.ReplaceAll(conf, "10.1.0.100/24", "10.1.0.100/24\n    10.1.0.101"))
		l.WaitHolder(soon, other, "a")
		d.WaitLogAfter(at, soon, "Reload complete")
		l.Wait(soon, "the filter is whole again", func() bool {
			rules := output(t, n, "nft", "list", "ruleset")
			return strings.Contains(rules, "10.1.0.100, 10.1.0.101") && strings.Contains(rules, `"vrrp.51" :`)
		})
	})
	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := output(t, n, "sysctl", "-n", "net.ipv4.conf.eth0.arp_filter"); got != "0\n" {
		t.Errorf("arp_filter after the end: %s", got)
	}
}

// What a killed daemon has left is taken over by the next, and by a respawned worker, and nothing is made twice.
func TestVMACAdopted(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	conf := config(instance{Priority: 200, Lines: "use_vmac\nno_accept"})
	d := n.Start(lab.Ours(), conf)
	l.WaitHolder(soon, vip, "a")
	index := func() string { return output(t, n, "cat", "/sys/class/net/vrrp.51/ifindex") }
	was := index()
	d.Kill()
	if !hasLink(n, "vrrp.51") {
		t.Fatal("the VMAC is gone: not killed")
	}
	d = n.Start(lab.Ours(), conf)
	d.WaitLog(soon, `\(VI_1\) Found matching interface vrrp\.51`)
	d.WaitLog(soon, `\(VI_1\) Entering MASTER STATE`)
	l.WaitHolder(soon, vip, "a")
	if now := index(); now != was {
		t.Errorf("the VMAC is another one: index %s, was %s", now, was)
	}
	at := time.Now()
	syscall.Kill(d.Worker(), syscall.SIGKILL)
	d.WaitLogAfter(at, soon, `\(VI_1\) Found matching interface vrrp\.51`)
	d.WaitLogAfter(at, soon, `\(VI_1\) Entering MASTER STATE`)
	if rules := output(t, n, "nft", "list", "ruleset"); strings.Count(rules, "table ip keepalived") != 1 {
		t.Errorf("packet filter:\n%s", rules)
	}
	d.Stop()
	if hasLink(n, "vrrp.51") {
		t.Error("the VMAC was left behind")
	}
}

// A VMAC leaves alone what has its name, and a filter what is not its own.
func TestVMACBesideOthers(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	n.IP("link add vrrp.51 type veth peer name other0", "link add zz type veth peer name other1")
	const foreign = "table inet mine {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n"
	rules := n.File("mine.nft", foreign)
	output(t, n, "nft", "-f", rules)
	d := n.Start(lab.Ours(), config(instance{Priority: 200, Lines: "use_vmac\nno_accept"},
		instance{Name: "VI_2", VRID: 52, Priority: 200, VIPs: "10.1.0.101/24", Lines: "use_vmac zz"}))
	t.Run("V-H09 name clash", func(t *testing.T) {
		l.WaitHolder(soon, vip, "a")
		l.WaitHolder(soon, other, "a")
		d.WaitLog(soon, `\(VI_2\) interface zz already exists and is not a private macvlan; ignoring vmac if_name`)
		if !hasLink(n, "vrrp1.51") || !hasLink(n, "vrrp.52") {
			t.Errorf("links:\n%s", output(t, n, "ip", "-br", "link"))
		}
	})
	d.Stop()
	if got := output(t, n, "nft", "list", "ruleset"); got != foreign {
		t.Errorf("packet filter after the end:\n%s", got)
	}
	for _, name := range []string{"vrrp.51", "zz"} {
		if !hasLink(n, name) {
			t.Errorf("%s is gone", name)
		}
	}
}

// Reloads: an unchanged VMAC is the same link, with no gap; accept and no_accept take effect; a removed one goes.
func TestVMACReload(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{})
	n := l.Node("a")
	conf := func(lines string) string { return config(instance{Priority: 200, Lines: "use_vmac\n" + lines}) }
	d := n.Start(lab.Ours(), conf("accept"))
	l.WaitHolder(soon, vip, "a")
	reachedAt(t, l, vip, "a")
	index := output(t, n, "cat", "/sys/class/net/vrrp.51/ifindex")
	reload := func(conf string) time.Time {
		t.Helper()
		at := d.Reload(conf)
		d.WaitLogAfter(at, soon, "Reload complete")
		return at
	}
	blocked := func() bool {
		_, err := l.Node("c").Who(vip, 100*time.Millisecond)
		return err != nil
	}
	t.Run("V-H12 accept and no_accept by a reload", func(t *testing.T) {
		at := reload(conf("no_accept"))
		l.Wait(soon, "the address is blocked", blocked)
		reload(conf("accept")) // Differs from keepalived, whose rules stay.
		reachedAt(t, l, vip, "a")
		if d.Logged("Entering BACKUP STATE$") {
			t.Error("the reload ended the mastership")
		}
		frames := l.WaitFrames(soon, 8, "advert", lab.Adverts("a"), lab.After(at))
		for i := range frames[1:] {
			if gap := frames[i+1].At.Sub(frames[i].At); gap > 300*time.Millisecond {
				t.Errorf("%v between two adverts", gap)
			}
		}
		if now := output(t, n, "cat", "/sys/class/net/vrrp.51/ifindex"); now != index {
			t.Errorf("the VMAC is another one: index %s, was %s", now, index)
		}
	})
	t.Run("a second one", func(t *testing.T) {
		at := reload(conf("accept") + fmt.Sprint(instance{Name: "VI_2", VRID: 52, Priority: 200, VIPs: "10.1.0.101/24", Lines: "use_vmac"}))
		l.WaitHolder(soon+instance{Priority: 200}.Down(), other, "a")
		if d.Logged(`\(VI_2\).*FAULT`) {
			t.Error("the new instance was in FAULT until its VMAC was there")
		}
		reload(conf("accept"))
		l.WaitHolder(soon, other, "")
		l.Wait(soon, "its VMAC goes", func() bool { return !hasLink(n, "vrrp.52") })
		if !l.Has("a", vip) || len(l.Frames(lab.Adverts("a"), lab.VRID(51), lab.Priority(0), lab.After(at))) > 0 {
			t.Error("the first one was disturbed")
		}
	})
	t.Run("without", func(t *testing.T) {
		at := reload(config(instance{Priority: 200}))
		l.WaitFrame(soon+instance{Priority: 200}.Down(), "advert from the interface", lab.Adverts("a"), lab.After(at),
			func(f *lab.Frame) bool { return f.SrcMAC.String() == n.MAC(0) })
		l.Wait(soon, "the VMAC goes", func() bool { return !hasLink(n, "vrrp.51") })
		reachedAt(t, l, vip, "a")
	})
}

// No packet reaches an address of a master with no_accept, and it can reach nobody; it is found by ARP and neighbour discovery.
func TestNoAcceptBlocks(t *testing.T) {
	t.Parallel()
	for name, i := range map[string]instance{
		"IPv4":         {VIPs: "10.1.0.100/24", Lines: "no_accept"},
		"IPv6":         {VIPs: "fe80::100/64 fd00:1::100/64", Lines: "no_accept"},
		"V-J05 strict": {VIPs: "10.1.0.100/24", Lines: "strict_mode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, lab.Plan{})
			addr := netip.MustParsePrefix(strings.Fields(i.VIPs)[strings.Count(i.VIPs, " ")]).Addr()
			master, backup := i, i
			master.Priority, backup.Priority = 200, 100
			a := l.Node("a").Start(lab.Ours(), config(master))
			l.WaitHolder(soon, addr, "a")
			if rule, set := a.WaitLog(soon, "setting firewall drop rule"), a.WaitLog(soon, `setting VIPs\.`); rule.At.After(set.At) {
				t.Error("the addresses are set before their packets are dropped")
			}
			client := l.Node("c")
			if _, err := client.Who(addr, 300*time.Millisecond); err == nil {
				t.Error("the address answers")
			}
			if got := output(t, client, "ip", "neigh", "show", addr.String()); !strings.Contains(got, a.Node.MAC(0)) {
				t.Errorf("the client knows the address as %q", got)
			}
			if got, err := client.Who(a.Node.Addr(0), time.Second); got != "a" {
				t.Errorf("the node's own address: %q, %v", got, err)
			}
			b := l.Node("b").Start(lab.Ours(), config(backup))
			b.WaitLog(soon, "Entering BACKUP STATE")
			if rules := output(t, b.Node, "nft", "list", "ruleset"); rules != "" {
				t.Errorf("a backup filters:\n%s", rules)
			}
			a.Stop()
			if rules := output(t, a.Node, "nft", "list", "ruleset"); rules != "" {
				t.Errorf("packet filter left behind:\n%s", rules)
			}
		})
	}
}

// VMACs come by the hundred, some of them go at a reload, and the rest at the stop, which does not run out of time.
func TestManyVMACs(t *testing.T) {
	t.Parallel()
	const most, least = 240, 200
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	conf := func(n int) string {
		var all []any
		for i := range n {
			all = append(all, instance{Name: fmt.Sprintf("I%d", i), VRID: i + 1, Priority: 255, Interval: time.Second,
				VIPs: fmt.Sprintf("10.1.1.%d/32", i+1), Lines: "state MASTER\nuse_vmac"})
		}
		return config(all...)
	}
	vmacs := func() int {
		_, out := l.Node("a").Output(soon, "ip", "-o", "link", "show", "type", "macvlan")
		return strings.Count(out, "\n")
	}
	held := func() (n int) {
		for i := range most {
			if l.Has("a", netip.AddrFrom4([4]byte{10, 1, 1, byte(i + 1)})) {
				n++
			}
		}
		return n
	}
	a := l.Node("a").Start(lab.Ours(), conf(most))
	l.Wait(3*soon, "all addresses", func() bool { return held() == most })
	if n := vmacs(); n != most {
		t.Errorf("%d VMACs", n)
	}
	a.Reload(conf(least))
	l.Wait(2*soon, "the rest of the addresses", func() bool { return held() == least })
	l.Wait(2*soon, "the rest of the VMACs", func() bool { return vmacs() == least })
	a.Stop()
	if n := vmacs(); n > 0 || held() > 0 {
		t.Errorf("%d VMACs and %d addresses are left", n, held())
	}
}
