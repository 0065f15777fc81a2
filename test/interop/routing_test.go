package interop

import (
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/test/lab"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// objects is a configuration of addresses, routes and rules.
type objects struct {
	name    string
	top     string // before the instance
	more    string // of the virtual addresses; the last on eth0
	exclude string // virtual_ipaddress_excluded
	routes  string
	rules   string
}

// The words of every kind, so that each stands at least once where the kernel takes it and, for a route without an effect on the kernel, in
// the dump. mpls, ila and vrf need modules that this kernel may lack: what it refuses is refused to both.
var words = []objects{
	{name: "addresses", more: `10.1.0.101/24 dev eth0 label eth0:vip
		10.1.0.102/24 brd +
		10.1.0.103/24 broadcast 10.1.0.200
		10.1.0.104/24 brd -
		10.9.0.1/24 dev eth1 scope link
		10.9.1.1/24 dev eth1 scope site noprefixroute
		10.9.2.1/24 dev eth1 scope 77
		10.1.0.105 peer 10.8.0.1
		10.1.0.106/24 preferred_lft 100 no_track
		10.1.0.107`,
		exclude: `fd00:1::100/64
		fd00:1::101
		fd00:1::102/64 -nodad
		fd00:1::103/64 mngtmpaddr
		fd00:1::104/64 home noprefixroute
		fd00:1::105/64 preferred_lft 1000
		fd00:1::106 preferred_lft forever
		fd00:2::107/64 dev eth1 preferred_lft 0
		fd00:1::108/64 dev eth0 no_track`},
	{name: "IPv4 routes", routes: `10.30.0.0/24 dev eth0
		to 10.31.0.0/24 via 10.1.0.9
		src 10.1.0.100 10.32.0.0/24 via 10.1.0.9 dev eth0 metric 5
		10.33.0.0/24 via inet 10.1.0.9 oif eth0 priority 6 tos 0x10
		10.33.0.0/24 via 10.1.0.9 preference 7 dsfield 8
		10.34.0.0/24 dev eth0 scope link table 100
		10.35.0.0/24 dev eth0 scope 200 table main
		10.36.0.0/24 dev eth0 protocol 77 no_track
		10.37.0.0/24 dev eth0 protocol 78
		10.38.0.0/24 via 10.2.0.9 dev eth0 onlink
		blackhole 10.40.0.0/24
		unreachable 10.41.0.0/24 metric 9
		prohibit 10.42.0.0/24
		throw 10.43.0.0/24 table 100
		local 10.44.0.0/24 dev eth0 table 100 scope host
		broadcast 10.45.0.0/24 dev eth0 scope link table 100
		unicast 10.46.0.0/24 dev eth0 add
		10.47.0.0/24 dev eth0 append
		10.47.0.0/24 dev eth1 append
		10.48.0.0/24 dev eth0 prepend
		10.49.0.0/24 via 10.1.0.9 or 10.1.0.8
		10.50.0.0/24 nexthop via 10.1.0.9 weight 3 nexthop via 10.2.0.9 dev eth1 onlink nexthop dev eth1 weight 256
		10.51.0.0/24 via 10.1.0.9 realms 3/4
		10.52.0.0/24 via 10.1.0.9 realms 5
		10.53.0.0/24 dev eth0 table 4000000000
		any via 10.1.0.9
		default via 10.1.0.9 table 101`},
	{name: "metrics", routes: `10.30.0.0/24 via 10.1.0.9 mtu 1400 advmss 1300 window 100 cwnd 10 ssthresh 20 reordering 5
		10.31.0.0/24 via 10.1.0.9 mtu lock 1400 advmss lock 1300 cwnd lock 10 ssthresh lock 20 reordering lock 5
		10.32.0.0/24 via 10.1.0.9 rtt 2s rttvar 300ms rto_min 1.5sec
		10.33.0.0/24 via 10.1.0.9 rtt lock 2000 rttvar lock 1500 rto_min lock 250
		10.34.0.0/24 via 10.1.0.9 rtt 1 rttvar 1 rto_min 1
		10.35.0.0/24 via 10.1.0.9 hoplimit 33 initcwnd 11 initrwnd 12 quickack 1 fastopen_no_cookie 1
		10.36.0.0/24 via 10.1.0.9 congctl cubic features ecn
		10.37.0.0/24 via 10.1.0.9 congctl lock reno quickack 0
		fd00:30::/64 via fd00:1::9 mtu 1400 hoplimit 7 congctl reno`},
	{name: "IPv6 routes", routes: `fd00:30::/64 dev eth0
		fd00:31::/64 via fd00:1::9
		fd00:32::/64 via inet6 fd00:1::9 dev eth0 metric 55
		fd00:33::/64 via fd00:1::9 expires 1000
		fd00:34::/64 via fd00:1::9 pref high
		fd00:35::/64 via fd00:1::9 pref low table 100
		fd00:36::/64 dev eth0 pref medium
		fd00:37::/64 from fd00:77::/64 dev eth0
		fd00:38::/64 src fd00:1::1 via fd00:1::9
		blackhole fd00:40::/64
		unreachable fd00:41::/64
		prohibit fd00:42::/64 metric 3
		fd00:50::/64 nexthop via fd00:1::9 dev eth0 weight 2 nexthop via fd00:2::9 dev eth1
		fd00:51::1 dev eth0
		default6 via fd00:1::9`},
	{name: "encap", routes: `10.30.0.0/24 via 10.1.0.9 encap ip dst 1.2.3.4
		10.31.0.0/24 via 10.1.0.9 encap ip id 77 dst 1.2.3.4 src 10.1.0.1 tos 8 ttl 9
		10.32.0.0/24 via 10.1.0.9 encap ip id 5
		10.34.0.0/24 via 10.1.0.9 encap mpls 100/200
		10.35.0.0/24 via 10.1.0.9 ttl-propagate enabled
		10.36.0.0/24 via 10.1.0.9 ttl-propagate disabled
		fd00:30::/64 via fd00:1::9 encap ip6 dst fd00::4
		fd00:31::/64 via fd00:1::9 encap ip6 id 77 dst fd00::4 tc 8 hoplimit 9
		fd00:32::/64 dev eth0 encap ila 1:2:3:4`},
	{name: "rules", rules: `from 10.50.0.0/16 lookup 100 priority 500
		to 10.51.0.0/16 table main preference 501
		from 10.52.0.0/16 to 10.53.0.0/16 iif eth0 oif eth1 lookup 100 order 502
		not from 10.54.0.0/16 tos 0x10 dev eth0 lookup 100 priority 503
		fwmark 7 lookup 100 priority 504
		fwmark 0x10/0xff lookup 100 priority 505
		from 10.55.0.0/16 realms 3/4 lookup 100 priority 506
		from 10.56.0.0/16 suppress_prefixlength 3 lookup 100 priority 507
		from 10.57.0.0/16 sup_group 4 sup_pl 0 lookup 4000000000 priority 508
		from 10.58.0.0/16 goto 600 priority 509
		from 10.58.0.0/16 nop priority 600
		from 10.59.0.0/16 type blackhole priority 510
		from 10.60.0.0/16 unreachable priority 511
		from 10.61.0.0/16 prohibit priority 512
		from 10.62.0.0/16 tunnel-id 77 lookup 100 priority 513
		uidrange 5-10 lookup 100 priority 514
		ipproto tcp sport 1-2 dport 80-80 lookup 100 priority 515
		ipproto 17 dport 53-54 lookup 100 priority 516
		l3mdev priority 517
		from 10.63.0.0/16 lookup 100 priority 518 protocol 77 no_track
		from 10.64.0.0/16 lookup 100 priority 519 no_track
		from 10.65.0.0/16 lookup 100 priority 520 protocol 77
		from all to 10.66.0.0/16 dsfield 8 lookup default priority 521
		from fd00:1::/64 lookup 100 priority 522
		to fd00:2::/64 iif eth0 unreachable priority 523
		from fd00:3::/64 fwmark 3 ipproto ipv6-icmp suppress_prefixlength 0 lookup main priority 524
		from 10.67.0.0/16 lookup 100
		from 10.68.0.0/16 lookup 100`},
	{name: "static", top: `track_group G {
  group {
    VI_1
  }
}
static_ipaddress {
  10.5.0.1/24 dev eth1 track_group G
  10.5.1.1/24 dev eth1 label eth1:s brd + no_track
  fd00:5::1/64 dev eth1 track_group G
}
static_routes {
  10.20.0.0/16 via 10.5.0.9 dev eth1 track_group G
  10.21.0.0/16 via 10.1.0.9
  10.22.0.0/16 dev eth1 no_track
  fd00:20::/64 via fd00:5::9 dev eth1
}
static_rules {
  from 10.20.0.0/16 lookup 100 priority 1000
  from 10.21.0.0/16 iif eth1 lookup 100 priority 1001 track_group G
  from 10.22.0.0/16 lookup 100 priority 1002 no_track
  from 10.23.0.0/16 lookup 100
}
`, rules: "from 10.24.0.0/16 lookup 100", routes: "10.24.0.0/16 via 10.20.0.1 dev eth1 onlink"},
	{name: "names", top: `global_defs {
  iproute_etc_dir NAMES
}
`, routes: `10.30.0.0/24 dev eth0 table blue scope near protocol routed no_track
		10.31.0.0/24 via 10.1.0.9 tos gold realms home/away
		10.32.0.0/24 dev eth0 table green`, rules: `from 10.30.0.0/24 lookup green priority 400 sup_group lan tos gold realms away`},
}

// names are iproute2's tables in a directory of the test's own.
var names = map[string]string{"rt_tables": "# comment\n255\tlocal\n77 blue # sky\n", "rt_scopes": "9 near\n", "rt_protos": "0x50 routed\n",
	"rt_dsfield": "0x10 gold\n", "rt_realms": "3 home\n4 away\n", "group": "6 lan\n", "rt_tables.d/x.conf": "88 green\n"}

func (o *objects) config(namesDir string) string {
	block := func(name, content string) string {
		if content == "" {
			return ""
		}
		return name + " {\n" + content + "\n}\n"
	}
	return strings.ReplaceAll(o.top, "NAMES", namesDir) + config(lab.Instance{Priority: 255, VIPs: "10.1.0.100/24\n" + o.more, Lines: "state MASTER\n" +
		block("virtual_ipaddress_excluded", o.exclude) + block("virtual_routes", o.routes) + block("virtual_rules", o.rules)})
}

func config(i lab.Instance) string {
	// Blanks part addresses in a lab's instance: options keep theirs.
	s := i.WithDefaults()
	vips := s.VIPs
	s.VIPs = "VIPS"
	return strings.ReplaceAll(lab.Config(s), "VIPS", vips)
}

// held is what the kernel has and what the dump shows.
type held struct {
	Addresses, Routes, Rules, Dump []string
	Left                           string // after the end
}

var (
	changing  = regexp.MustCompile(`(expires |preferred_lft )\d+sec`)
	title     = regexp.MustCompile(`^(------< Static (Addresses|Routes|Rules)|   Virtual (IP|Routes|Rules)| Static Track Group|   VRRP member inst)`)
	locked    = regexp.MustCompile(`congctl (reno|cubic)lock `)
	unwritten = regexp.MustCompile(` \[dev \w+\]|encap (ila|mpls) \S+`)
)

// hold runs a program with the configuration as master and as ended.
func hold(t *testing.T, program string, o *objects) (h held) {
	t.Helper()
	l := lab.New(t, lab.Plan{Nodes: []string{"a"}, LANs: 2})
	n := l.Node("a")
	dir := n.Dir + "/names"
	if code, out := n.Output(soon, "mkdir", "-p", dir+"/rt_tables.d"); code != 0 {
		t.Fatal(out)
	}
	for name, text := range names {
		n.File("names/"+name, text)
	}
	ip := func(args ...string) string {
		_, out := n.Output(soon, "ip", args...)
		return changing.ReplaceAllString(out, "$1")
	}
	d := n.Start(program, o.config(dir))
	read := func() held {
		h := held{}
		for _, dev := range []string{"eth0", "eth1"} {
			for _, line := range strings.Split(ip("-d", "addr", "show", "dev", dev), "\n") {
				// Which names the other end's namespace; ip complains when it looks for that while another test removes one.
				if !strings.Contains(line, "link/ether") && line != "Error: Peer netns reference is invalid." {
					h.Addresses = append(h.Addresses, line)
				}
			}
		}
		for _, f := range []string{"-4", "-6"} {
			for _, line := range strings.Split(ip(f, "-d", "route", "show", "table", "all"), "\n") {
				if !strings.Contains(line, "proto kernel") {
					h.Routes = append(h.Routes, line)
				}
			}
			h.Rules = append(h.Rules, both(ip(f, "-d", "rule", "show"))...)
		}
		return h
	}
	d.WaitLog(soon, `\(VI_1\) Sending/queueing gratuitous ARPs on eth0 for 10\.1\.0\.100`)
	h = read()
	data := d.Dump(syscall.SIGUSR1, "keepalived.data")
	listed := false
	for _, line := range strings.Split(data, "\n") {
		if title.MatchString(line) {
			listed = true
		} else if !strings.HasPrefix(line, "     ") {
			listed = false
		}
		if listed {
			line = locked.ReplaceAllString(line, "congctl lock $1")
			h.Dump = append(h.Dump, unwritten.ReplaceAllString(line, ""))
		}
	}
	d.Stop()
	for _, what := range []string{"route show table all", "rule show"} {
		for _, f := range []string{"-4", "-6"} {
			for _, line := range strings.Split(ip(append([]string{f}, strings.Fields(what)...)...), "\n") {
				if strings.Contains(line, "proto keepalived") {
					h.Left += line + "\n"
				}
			}
		}
	}
	return h
}

func both(texts ...string) (lines []string) {
	for _, s := range texts {
		lines = append(lines, strings.Split(s, "\n")...)
	}
	return lines
}

// With every option word the kernel holds the same addresses, routes and rules as with keepalived, and the dump shows the same.
func TestObjects(t *testing.T) {
	lab.NeedRoot(t)
	newest, err := oracle.Newest()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range words {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			want, got := hold(t, newest, &o), hold(t, lab.Ours(), &o)
			want.Left = "" // it leaves IPv6 routes without a metric
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-keepalived +ours:\n%s", d)
			}
		})
	}
}
