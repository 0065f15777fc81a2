package interop

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// Under the same configuration a master makes the same links with the same addresses and settings, and the same packet filter; and
// when it has ended nothing of it is left, but that the originals do not restore all settings.
func TestHost(t *testing.T) {
	t.Parallel()
	v4 := func(lines string, vips ...string) string {
		return lab.Config(lab.Instance{Priority: 200, VIPs: strings.Join(vips, " "), Lines: lines})
	}
	global := func(lines, config string) string { return "global_defs {\n" + lines + "\n}\n" + config }
	for _, c := range []struct{ name, config string }{
		{"V-H01 VMAC", v4("use_vmac", "10.1.0.100/24", "10.1.0.101")},
		{"V-H02 VMAC IPv6", lab.Config(lab.Instance{Priority: 200, Lines: "use_vmac"},
			lab.Instance{Name: "VI_6", Priority: 200, VIPs: "fe80::100/64 fd00:1::100/64", Lines: "use_vmac"})},
		{"V-H06 VMAC vmac_xmit_base", v4("use_vmac\nvmac_xmit_base", "10.1.0.100/24")},
		{"V-H08 named VMAC with its own MAC and group", v4("use_vmac vr51 02:11:22:33:44 group 7", "10.1.0.100/24")},
		{"V-H10 no_accept", v4("no_accept", "10.1.0.100/24", "10.1.0.101")},
		{"V-H11 no_accept IPv6", v4("no_accept", "fe80::100/64", "fd00:1::100/64")},
		{"no_accept IPv6 without a link-local address", v4("no_accept", "fd00:1::100/64")},
		{"no_accept on VMACs", lab.Config(lab.Instance{Priority: 200, Lines: "use_vmac\nno_accept"},
			lab.Instance{Name: "VI_6", Priority: 200, VIPs: "fe80::100/64 fd00:1::100/64", Lines: "use_vmac\nno_accept"})},
		{"owner with no_accept", lab.Config(lab.Instance{Priority: 255, Lines: "no_accept"})},
		{"V-H14 use_vmac_addr", v4("use_vmac\nuse_vmac_addr\nvirtual_ipaddress_excluded {\n  10.2.0.100/24 dev eth1\n  10.2.0.101 dev eth1\n"+
			"  fd00:1::100/64\n  fd00:2::100/64 dev eth1\n}", "10.1.0.100/24")},
		{"use_vmac_addr alone", v4("use_vmac_addr\nvirtual_ipaddress_excluded {\n  10.2.0.100/24 dev eth1\n}", "10.1.0.100/24")},
		{"use_vmac of an address", v4("use_vmac\nvirtual_ipaddress_excluded {\n  10.2.0.100/24 dev eth1 use_vmac\n  10.2.0.101/24 dev eth1\n}", "10.1.0.100/24")},
		{"nftables options", global("nftables mine\nnftables_priority -300\nnftables_ifindex\nnftables_counters",
			v4("use_vmac\nno_accept", "fe80::100/64", "fd00:1::100/64"))},
		{"names and IGMP", global("vmac_prefix vm\nvmac_addr_prefix va\ndisable_local_igmp",
			v4("use_vmac\nuse_vmac_addr\nvirtual_ipaddress_excluded {\n  10.2.0.100/24 dev eth1\n}", "10.1.0.100/24"))},
		{"V-H13 VMAC unicast", v4("use_vmac\nno_accept\nunicast_src_ip 10.1.0.1\nunicast_peer {\n  10.1.0.2\n}", "10.1.0.100/24")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			programs := map[string]string{"original": originals(t)["newest"], "ours": lab.Ours()} // 2.2.7 lacks some rules and settings
			var mu sync.Mutex
			got := map[string]host{}
			t.Run("run", func(t *testing.T) {
				for name, program := range programs {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						h := hostOf(t, program, c.config)
						mu.Lock()
						defer mu.Unlock()
						got[name] = h
					})
				}
			})
			if diff := cmp.Diff(got["original"], got["ours"]); diff != "" {
				t.Errorf("differs from the original (-original +ours):\n%s", diff)
			}
		})
	}
}

// host is what a master has made of its host.
type host struct {
	Links    string
	Addrs    string
	Settings []string
	Filter   string
	After    string // links and filter after its end
}

// changed are the settings that a daemon may change.
var changed = regexp.MustCompile(`\.(arp_ignore|arp_filter|accept_local|rp_filter|promote_secondaries|disable_ipv6|addr_gen_mode)|igmp_link_local`)

func hostOf(t *testing.T, program, config string) host {
	l := lab.New(t, lab.Plan{Nodes: []string{"a"}, LANs: 2})
	a := l.Node("a")
	run := func(words ...string) string {
		code, out := a.Output(5*time.Second, words[0], words[1:]...)
		if code != 0 {
			t.Fatalf("%v: %d %s", words, code, out)
		}
		// Of a neighbouring test whose namespace goes while iproute2 asks for the other end of a veth.
		return strings.ReplaceAll(out, "Error: Peer netns reference is invalid.\n", "")
	}
	settings := func() (out []string) {
		for _, s := range strings.Split(run("sysctl", "-a", "--pattern", `net.ipv[46].(conf|igmp)`), "\n") {
			if changed.MatchString(s) {
				out = append(out, s)
			}
		}
		slices.Sort(out)
		return out
	}
	before := settings()
	d := a.Start(program, config)
	for _, i := range strings.Split(config, "vrrp_instance ")[1:] {
		name, _, _ := strings.Cut(i, " ")
		d.WaitLog(10*time.Second, fmt.Sprintf(`\(%s\) (Sending/queueing|Entering MASTER)`, name))
	}
	var h host
	l.Wait(soon, "the last address", func() bool { h.Addrs = addrs(run("ip", "addr")); return addressesSettled(config, h.Addrs) })
	h.Links = plainLinks(run("ip", "-d", "link"))
	for _, s := range settings() {
		if !slices.Contains(before, s) {
			h.Settings = append(h.Settings, s)
		}
	}
	h.Filter = plainFilter(run("nft", "-n", "list", "ruleset"))
	d.Stop()
	h.After = plainLinks(run("ip", "-d", "link")) + run("nft", "list", "ruleset")
	if program == lab.Ours() {
		if diff := cmp.Diff(before, settings()); diff != "" {
			t.Errorf("settings that were not restored (-before +after):\n%s", diff)
		}
	}
	return h
}

var vipLine = regexp.MustCompile(`(?m)^\s+([0-9a-f.:]+)(/\d+)?( dev \S+)?( use_vmac)?$`)

// addressesSettled reports whether all addresses of a configuration are there.
func addressesSettled(config, addrs string) bool {
	_, list, _ := strings.Cut(config, "virtual_ipaddress")
	for _, m := range vipLine.FindAllStringSubmatch(list, -1) {
		if m[1] != "10.1.0.2" && !strings.Contains(addrs, " "+m[1]+"/") {
			return false
		}
	}
	return true
}

// plainLinks leaves out what differs from run to run.
func plainLinks(s string) string {
	for _, r := range []string{`link-netns \S+ `, ` numtxqueues.*`, `@if\d+`, ` usedbcqueuelen \d+`} {
		s = regexp.MustCompile(r).ReplaceAllString(s, "")
	}
	return s
}

// addrs are the addresses by interface, sorted: the order of setting them is seen elsewhere.
func addrs(s string) string {
	var out []string
	dev := ""
	for _, line := range strings.Split(s, "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasSuffix(f[0], ":") {
			dev = f[1]
		} else if len(f) > 1 && strings.HasPrefix(f[0], "inet") {
			out = append(out, fmt.Sprintf("%s %s", regexp.MustCompile(`@.*`).ReplaceAllString(dev, ""), strings.Join(f[1:], " ")))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// plainFilter leaves out what is known to differ: the element of the original's rule for the base's link-local address, which has the
// unspecified address; and the right side of a map, which nft prints as a number if it does not know its byte order.
func plainFilter(s string) string {
	for from, to := range map[string]string{
		`(set parent_link_local \{\s+type [^\n]+\n)\s+elements = \{[^}]*\}\n`: "$1",
		`("[\w.]+") : ("\w+"|\d+)`: "$1",
		`packets \d+ bytes \d+`:    "",
	} {
		s = regexp.MustCompile(from).ReplaceAllString(s, to)
	}
	// The elements of a hashed set come in any order.
	return regexp.MustCompile(`elements = \{[^}]*\}`).ReplaceAllStringFunc(s, func(e string) string {
		f := strings.FieldsFunc(strings.Trim(strings.TrimPrefix(e, "elements = "), "{}"), func(r rune) bool { return r == ',' || r == '\n' || r == '\t' })
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		slices.Sort(f)
		return strings.Join(f, ", ")
	})
}
