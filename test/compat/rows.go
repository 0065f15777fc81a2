package compat

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed rows.tsv
var rowsText string

// Row is a keyword, or an option word of one, as keepalived 2.4 has it.
type Row struct{ Block, Name, Args, Default, Since string }

// Rows are all of them.
func Rows() (rows []Row) {
	for line := range strings.Lines(rowsText) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 5 {
			rows = append(rows, Row{f[0], f[1], f[2], f[3], f[4]})
		}
	}
	return rows
}

// Probe is one use of a keyword, in a configuration with nothing else to find.
type Probe struct {
	Row
	Value string // what follows the keyword; " && " stands for the keyword once more
	Text  string // the configuration
	Line  int    // where the keyword stands
}

// instance is a router with nothing to say about; lines of its block go where %s is.
const instance = `vrrp_instance V {
  interface eth0
  virtual_router_id 51
  virtual_ipaddress {
    192.0.2.100
  }
%s}
`

const service = `virtual_server 192.0.2.100 80 {
  protocol TCP
  lb_algo rr
  lb_kind NAT
%s  real_server 192.0.2.3 80 {
  }
}
`

const server = `virtual_server 192.0.2.100 80 {
  protocol TCP
  lb_algo rr
  lb_kind NAT
  real_server 192.0.2.3 80 {
    weight 1
%s  }
}
`

// trackers are what track_… and *_CHECK may name.
const trackers = `vrrp_script s {
  script "/usr/bin/true"
}
vrrp_track_process p {
  process nginx
}
track_file f {
  file /tmp/f
}
bfd_instance b {
  neighbor_ip 192.0.2.66
}
`

const secure = "global_defs {\n  script_user root\n  enable_script_security\n}\n"

// place is where the keywords of a block are probed: the text around them, and what stands before them in their line.
type place struct{ around, before string }

func within(outer string, block string, more ...string) string {
	body := strings.Join(more, "")
	return fmt.Sprintf(outer, "  "+block+" {\n%s"+body+"  }\n")
}

var places = map[string]place{
	"(root)":                      {"%s" + instance0(), ""},
	"global_defs":                 {"global_defs {\n%s}\n" + instance0(), ""},
	"global_defs/lvs_sync_daemon": {"global_defs {\n%s}\n" + instance0(), "lvs_sync_daemon eth0 "},
	"global_defs/lvs_timeouts":    {"global_defs {\n%s}\n" + instance0(), "lvs_timeouts "},
	"linkbeat_interfaces":         {"linkbeat_interfaces {\n%s}\n" + instance0(), "eth0 "},
	"track_group":                 {instance0() + "track_group G {\n%s}\n", ""},
	"static_ipaddress":            {"track_group G {\n  group {\n    V\n  }\n}\nstatic_ipaddress {\n%s}\n" + instance0(), "192.0.2.77/24 "},
	"static_routes":               {"track_group G {\n  group {\n    V\n  }\n}\nstatic_routes {\n%s}\n" + instance0(), "10.5.0.0/16 via 192.0.2.1 "},
	"static_routes/encap ip":      {"static_routes {\n%s}\n" + instance0(), "10.5.0.0/16 via 192.0.2.1 encap ip "},
	"static_routes/encap ip6":     {"static_routes {\n%s}\n" + instance0(), "2001:db8:5::/48 via 2001:db8::1 encap ip6 "},
	"static_routes/encap mpls":    {"static_routes {\n%s}\n" + instance0(), "10.5.0.0/16 via 192.0.2.1 encap mpls "},
	"static_routes/encap ila":     {"static_routes {\n%s}\n" + instance0(), "2001:db8:5::/48 via 2001:db8::1 encap ila "},
	"static_routes/nexthop":       {"static_routes {\n%s}\n" + instance0(), "10.5.0.0/16 nexthop via 192.0.2.1 "},
	"static_rules":                {"track_group G {\n  group {\n    V\n  }\n}\nstatic_rules {\n%s}\n" + instance0(), "from 192.0.2.77 table 100 preference 1000 "},
	"bfd_instance":                {"bfd_instance B {\n  neighbor_ip 192.0.2.67\n%s}\n" + instance0(), ""},
	"vrrp_script":                 {secure + "vrrp_script s {\n  script /usr/bin/true\n%s}\n" + with("  track_script {\n    s\n  }\n"), ""},
	"vrrp_track_process":          {"vrrp_track_process p {\n  process nginx\n%s}\n" + with("  track_process {\n    p\n  }\n"), ""},
	"track_file":                  {"track_file f {\n  file /nonexistent/f\n%s}\n" + with("  track_file {\n    f\n  }\n"), ""},
	"garp_group":                  {"garp_group {\n%s  interface eth1\n}\n" + instance0(), ""},
	"interface_up_down_delays":    {"interface_up_down_delays {\n%s}\n" + instance0(), ""},
	"vrrp_sync_group":             {secure + trackers + instance0() + strings.NewReplacer("V {", "W {", "51", "52", ".100", ".101").Replace(instance0()) + "vrrp_sync_group S {\n  group {\n    V\n    W\n  }\n%s}\n", ""},
	"vrrp_instance":               {secure + trackers + instance, ""},
	"virtual_server_group":        {"virtual_server_group G {\n  192.0.2.100 80\n%s}\n" + strings.Replace(service0(), "192.0.2.100 80", "group G", 1), ""},
	"virtual_server":              {secure + service, ""},
	"virtual_server/lb_kind":      {secure + service, "lb_kind TUN "},
	"SSL":                         {"SSL {\n%s}\n" + service0(), ""},
	"virtual_server/real_server":  {secure + server, ""},
}

func instance0() string { return with("") }

func with(lines string) string { return fmt.Sprintf(instance, lines) }

func service0() string { return fmt.Sprintf(service, "") }

func init() {
	in := func(block, name, before string) {
		places[block+"/"+name] = place{within(places[block].around, name), before}
	}
	for _, a := range []string{"virtual_ipaddress", "virtual_ipaddress_excluded"} {
		in("vrrp_instance", a, "192.0.2.78/24 ")
	}
	in("vrrp_instance", "virtual_routes", "10.5.0.0/16 via 192.0.2.1 ")
	in("vrrp_instance", "virtual_rules", "from 192.0.2.77 table 100 preference 1000 ")
	for _, b := range []string{"encap ip", "encap ip6", "encap mpls", "encap ila", "nexthop"} {
		p := places["static_routes/"+b]
		places["vrrp_instance/virtual_routes/"+b] = place{places["vrrp_instance/virtual_routes"].around, p.before}
	}
	for _, b := range []string{"vrrp_instance", "vrrp_sync_group"} {
		for _, t := range []string{"interface eth1", "script s", "file f", "process p", "bfd b"} {
			kind, name, _ := strings.Cut(t, " ")
			in(b, "track_"+kind, name+" ")
		}
	}
	in("vrrp_instance", "unicast_peer", "192.0.2.3 ")
	places["vrrp_instance/use_vmac"] = place{places["vrrp_instance"].around, "use_vmac "}
	places["vrrp_instance/use_ipvlan"] = place{places["vrrp_instance"].around, "use_ipvlan "}
	places["vrrp_instance/authentication"] = place{within(places["vrrp_instance"].around, "authentication", "    auth_type PASS\n", "    auth_pass 12345\n"), ""}
	rs := "virtual_server/real_server"
	for _, c := range []string{"TCP_CHECK", "PING_CHECK", "UDP_CHECK", "SMTP_CHECK", "DNS_CHECK"} {
		in(rs, c, "")
	}
	places[rs+"/SMTP_CHECK/host"] = place{within(places[rs+"/SMTP_CHECK"].around, "host"), ""}
	places[rs+"/MISC_CHECK"] = place{within(places[rs].around, "MISC_CHECK", "      misc_path /usr/bin/true\n"), ""}
	places[rs+"/FILE_CHECK"] = place{trackers + within(places[rs].around, "FILE_CHECK", "      track_file f\n"), ""}
	places[rs+"/BFD_CHECK"] = place{trackers + within(places[rs].around, "BFD_CHECK", "      name b\n"), ""}
	for _, c := range []string{"HTTP_GET", "SSL_GET"} {
		places[rs+"/"+c] = place{within(places[rs].around, c, "    url {\n      path /\n      status_code 200\n    }\n"), ""}
		url := within(places[rs].around, c, "    url {\n      path /\n      status_code 200\n%s    }\n")
		url = strings.Replace(url, "%s    url", "    url", 1)
		places[rs+"/"+c+"/url"] = place{url, ""}
		places[rs+"/"+c+"/url/regex_options"] = place{strings.Replace(url, "%s", "      regex \"a\"\n%s", 1), "regex_options "}
	}
	places["vrrp_track_file"] = place{strings.Replace(places["track_file"].around, "track_file f {", "vrrp_track_file f {", 1), ""}
	for _, b := range []string{"track_file", "vrrp_track_file"} {
		places[b+"/init_file"] = place{places[b].around, "init_file 1 "}
	}
}

// Probes are uses of a keyword at and beyond the edges of what it takes. There are none of what is newer than version, or stands for no
// word.
func (r Row) Probes(version string) (probes []Probe) {
	p, ok := places[r.Block]
	if !ok || newer(r.Since, version) {
		return nil
	}
	name := r.Name + " "
	if strings.HasPrefix(r.Name, "<") {
		if name = ""; r.Name == "<other>" {
			return nil
		}
		if p.before = ""; strings.Contains(r.Block, "encap") {
			p.before = places[r.Block].before
		}
	}
	if l := required[r.Block+"/"+r.Name]; l != "" {
		p.around = strings.Replace(p.around, l, "", 1)
	}
	values := r.values()
	add := func(value string, uses ...string) {
		var lines string
		for _, u := range uses {
			lines += strings.TrimRight(p.before+name+u, " ") + "\n"
		}
		at := strings.Index(p.around, "%s")
		probes = append(probes, Probe{r, value, fmt.Sprintf(p.around, lines), 1 + strings.Count(p.around[:at], "\n")})
	}
	for _, v := range values {
		add(v, v)
	}
	if strings.Contains(r.Args, "{") {
		return probes
	}
	good := values[0]
	other := values[min(1, len(values)-1)]
	if p.before != "" || name == "" {
		add(good+" "+strings.TrimSpace(name+other), good+" "+name+other)
		return probes
	}
	add(good+" && "+good, good, good)
	if other != good {
		add(good+" && "+other, good, other)
	}
	return probes
}

// required are lines of the surroundings that the keyword itself takes the place of.
var required = map[string]string{
	"virtual_server/real_server/FILE_CHECK/track_file": "      track_file f\n",
	"virtual_server/real_server/BFD_CHECK/name":        "      name b\n",
	"virtual_server/real_server/MISC_CHECK/misc_path":  "      misc_path /usr/bin/true\n",
	"vrrp_script/script":                               "  script /usr/bin/true\n",
}

// newer reports whether what came with version since is not in version v.
func newer(since, v string) bool {
	if strings.HasPrefix(since, ">") {
		return true
	}
	a, b := strings.Split(strings.TrimPrefix(since, "≤"), "."), strings.Split(v, ".")
	for i := range min(len(a), len(b)) {
		x, _ := strconv.Atoi(a[i])
		y, _ := strconv.Atoi(b[i])
		if x != y {
			return x > y
		}
	}
	return false
}

var (
	numberRange = regexp.MustCompile(`(-?[0-9.]+)\.\.(-?[0-9.]*[0-9])`)
	lengthLimit = regexp.MustCompile(`≤([0-9]+)`)
	choice      = regexp.MustCompile(`[A-Za-z0-9.+_:-]+(?:\|[A-Za-z0-9.+_:-]+)+`)
)

// values are words for the arguments of the row. The first two are good ones, if there are any.
func (r Row) values() (out []string) {
	args := r.Args
	has := func(s ...string) bool {
		return slices.ContainsFunc(s, func(s string) bool { return strings.Contains(args, s) })
	}
	add := func(v ...string) {
		for _, v := range v {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	switch {
	case args == "":
		add("", "off", "xyz")
		return out
	case has("{"):
		if r.Block == "(root)" {
			return heads[r.Name]
		}
		if strings.HasSuffix(args, "}") && strings.HasPrefix(args, "{") {
			add("{\n}", "{ xyz\n}", "xyz {\n}", "{ }")
		}
		if out == nil {
			add("")
		}
		return out
	}
	switch m := numberRange.FindStringSubmatch(args); {
	case m != nil:
		add(edges(m[1], m[2])...)
		if has("decimal") {
			add(".5", "1.", "1.5", "1.2345", "1.1234567", "0.0000001")
		}
	case has("2^64"):
		add("1", "0", "18446744073709551615", "18446744073709551616", "-1", "0x10")
	case has("CPU"):
		add("0", "0 0", "1", "99999", "0 99999", "-1", "0 x")
	case has("decimal"):
		add("1", "2.5", "0", ".5", "1.", "0.000001", "0.0000001", "1.1234567", "4294.967295", "4294967.295", "99999999999")
	case has("SECS", "BYTES", "INT32", "N", "TIME", "START", "FROM", "MIN", "MS", "VALUE"):
		add("1", "2", "0", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296", "99999999999999999999",
			"-2147483648", "-2147483649", "1.5", "0x10", "010")
	}
	if has("true|on") {
		return append(out, "true", "false", "", "on", "off", "yes", "no", "TRUE", "0", "1", "maybe", "true off", `""`)
	}
	if has("IPADDR", "DESTINATION", "MCAST", "NETMASK", "HOP", "ADDRESS", "TO") {
		add("192.0.2.50", "192.0.2.51", "2001:db8::50", "192.0.2.50/24", "192.0.2.50/33", "192.0.2.50/", "192.0.2.50-x", "192.0.2.50-60", "192.0.2", "192.0.2.300",
			"2001:db8::50/64", "2001:db8::50/129", "2001:db8::z", "fe80::1", "fe80::1%eth0", "::ffff:192.0.2.1", "0.0.0.0", "::", "255.255.255.255", "224.0.0.18", "224.0.1.5",
			"ff02::12", "ff05::12", "default", "192.0.2.50 80", "192.0.2.50 0", "192.0.2.50 65536", "192.0.2.50 x")
	}
	if has("IFNAME") {
		add("eth0", "eth1", "lo", "nope0", "abcdefghijklmno", "abcdefghijklmnop", "eth0 eth1")
	}
	if has("CMD") {
		add("/usr/bin/true", `"/usr/bin/true a b"`, "/usr/bin/true root", "/usr/bin/true root root", "/usr/bin/true nosuchuser", "/usr/bin/true root nosuchgroup",
			"/usr/bin/true root root x", "/nonexistent/x", "/etc/passwd", "true", `"/usr/bin/true 'a b'"`, `'/usr/bin/true a'`, `"/usr/bin/true`, "/usr/bin", "xyz")
	} else if has("USER") {
		add("root", "root root", "nobody", "nosuchuser", "root nosuchgroup", "0", "root root root")
	}
	for _, c := range choice.FindAllString(args, -1) {
		for w := range strings.SplitSeq(c, "|") {
			add(w)
			if l := strings.ToLower(w); l != w {
				add(l)
			} else {
				add(strings.ToUpper(w))
			}
		}
	}
	if m := lengthLimit.FindStringSubmatch(args); m != nil && !has("IFNAME") {
		n, _ := strconv.Atoi(m[1])
		add(strings.Repeat("a", n), strings.Repeat("b", n-1), strings.Repeat("a", n+1))
	}
	if has("PATH", "DIR", "FILE") {
		add("/nonexistent/x", "/tmp", "x")
	}
	if has("HEX", "hex") {
		add("00ff", "00 ff", "0", "0g", "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeef", "00:11:22:33:44", "02:00:5e:00:01:02", "02:00:5e:00:01", "0x")
	}
	add(tried[r.Name]...)
	add("xyz", "abc", "", `""`, "-1", "1", "\"a b\"", "a b")
	return out
}

// edges are numbers at and beyond the ends of a range, and in other spellings.
func edges(low, high string) (out []string) {
	out = []string{low, high}
	for _, n := range []struct {
		s string
		d int64
	}{{low, -1}, {high, 1}} {
		if v, err := strconv.ParseInt(n.s, 10, 64); err == nil {
			out = append(out, strconv.FormatInt(v+n.d, 10))
		} else if f, err := strconv.ParseFloat(n.s, 64); err == nil {
			step := 1.0
			if i := strings.IndexByte(n.s, '.'); i >= 0 {
				step = 1 / float64([]int{1, 10, 100, 1000, 10000, 100000, 1000000}[len(n.s)-i-1])
			}
			out = append(out, strconv.FormatFloat(f+float64(n.d)*step, 'f', -1, 64))
		}
	}
	return append(out, "+"+high, "00"+high, `" `+high+` "`, `"`+high+` x"`, high+" x", high+"x", "0x1", "1e1", "1,5", "1.5", "99999999999999999999", "+", "-", "--1")
}

// tried are further words for single keywords.
var tried = map[string][]string{
	"umask":               {"022", "0777", "01000", "IRUSR|IXOTH", "IRUSR|x", "18"},
	"include_check":       {"read", "+read", "-read", "read match", "+read -match", "readable"},
	"vrrp_rx_bufs_policy": {"MTU", "ADVERT", "mtu", "MTU ADVERT", "1000", "1000 MTU", "MTU 1000", "-5"},
	"status_code":         {"200", "200-299", "200 301", "99", "600", "299-200", "200-", "-200", "200,201"},
	"lvs_timeouts":        {"tcp 5", "tcp 5 udp 6", "tcp", "tcp x", "xyz 5", "tcp 2678401", "tcpfin 0", "udp -1"},
	"lvs_sync_daemon":     {"eth0 V", "eth0 inst V id 3", "eth0", "eth0 V 3", "eth0 V id 256", "nope0 V", "eth0 W", "eth0 V port 0", "eth0 V group 224.0.0.81", "eth0 V group 10.0.0.1", "eth0 V xyz 3"},
	"smtp_server":         {"192.0.2.9", "192.0.2.9 25", "192.0.2.9 0", "192.0.2.9 x", "2001:db8::9 25", "192.0.2.9 65536"},
	"uidrange":            {"1-5", "5-1", "5", "1-", "0-4294967294", "0-4294967295", "1-5-7", "0-0"},
	"sport":               {"1-5", "5-1", "5", "0-65535", "1-65536", "5-5"},
	"dport":               {"1-5", "5-1", "5", "0-65535", "1-65536", "5-5"},
	"fwmark":              {"5/0xff", "5/", "/5", "5/x", "0x5/0xFF", "5/1/2"},
	"realms":              {"1", "1/2", "1/", "/2", "65535", "65536/1", "x/y"},
	"encap":               {"ip id 5 dst 192.0.2.9", "mpls 100", "mpls 100/200", "xyz", "ip", "ila 1:2:3:4", "ip6 id 4"},
	"<LABELS>":            {"100", "100/200", "1048575", "1048576", "0", "16/17/18", "/", "100/"},
	"<LOCATOR>":           {"1:2:3:4", "1:2:3", "1:2:3:4:5", "ffff:0:0:1", "1::4", "12345:0:0:0", "x"},
	"<NAME>":              {"eth0", "s", "f", "p", "b", "nosuch", "s weight 5", "s weight 5 reverse"},
	"init_file":           {"5 overwrite", "overwrite", "overwrite 5", "5 6"},
	"weight":              {"5 reverse", "5 noreverse", "5 x", "5 reverse x", "0", "-5"},
	"type":                {"unicast", "blackhole", "prohibit", "goto 2000"},
	"goto":                {"2000", "500", "1000"},
	"features":            {"ecn", "ecn ecn"},
	"mtu":                 {"lock 1500", "lock", "lock x"},
	"rtt":                 {"5ms", "5s", "lock 5", "5us", "5x", "0.5s", "5.5"},
	"rttvar":              {"5ms", "5s", "lock 5", "5us", "5x", "0.5s", "5.5"},
	"rto_min":             {"5ms", "5s", "lock 5", "5us", "5x", "0.5s", "5.5"},
	"expires":             {"5", "5x"},
	"name":                {"example.com", "a..b", ".", "vrrp9", "b", "nosuch"},
	"digest":              {"640205b7b0fc66c1ea91c463fac6334d", "640205B7B0FC66C1EA91C463FAC6334D", "640205b7b0fc66c1ea91c463fac6334", "640205b7b0fc66c1ea91c463fac6334z"},
	"track_file":          {"f", "nosuch"},
	"interface_up_down":   {"eth0 1 2"},
	"use_vmac":            {"", "vrrp9", "name vrrp9", "02:00:5e:00:01:02", "vrrp9 02:00:5e:00:01:02", "vrrp9 netlink_notify_msg", "group 5", "vrrp9 xyz", "abcdefghijklmnop", "eth0"},
	"use_ipvlan":          {"", "bridge", "private", "vepa", "ipv9", "name ipv9", "192.0.2.9", "192.0.2.9/24 bridge", "x y z"},
	"garp_extra_if":       {"all 5", "all", "5 all", "all x"},
	"vmac_garp_intvl":     {"all 5", "all", "5 all", "all x"},
	"vrrp_garp_extra_if":  {"all 5", "all", "5 all", "all x"},
	"auth_type":           {"PASS", "AH", "pass", "NONE", "PASSWORD"},
	"lb_kind":             {"TUN type gue port 666", "TUN type gue", "TUN type ipip", "TUN type gre csum", "NAT type gue", "TUN type gue port 0", "TUN x", "DR x"},
	"lvs_method":          {"TUN type gue port 666", "TUN type gue", "TUN type ipip", "TUN type gre csum", "NAT type gue", "TUN type gue port 0", "TUN x", "DR x"},
	"require_reply":       {"", "0x", "xx", "0"},
	"regex":               {`"a"`, `"a b"`, `"^x$"`, "'a'", `a b`},
	"regex_stack":         {"1 2", "2 1", "1", "0 1"},
	"<IFNAME>":            {"eth0", "eth0 MII", "eth0 XYZ", "eth0 MII ETHTOOL", "eth0 1 2", "eth0 1", "eth0 -1", "eth0 256", "eth0 1.5 2", "eth0 1 x", "nope0 1", "eth0 0"},
	"<MAC>":               {"02:00:5e:00:01:02", "02:00:5e:00:01", "02:00:5e:00", "03:00:5e:00:01:02", "2:0:5e:0:1:2", "02:00:5e:00:01:zz"},
	"<IPADDR>":            {"192.0.2.50 min_ttl 5", "192.0.2.50 min_ttl 255 max_ttl 3", "192.0.2.50 min_ttl", "192.0.2.50 xyz"},
	"<ADDRESS>":           {"192.0.2.50/24 dev eth0", "192.0.2.50/24 brd + scope global", "192.0.2.50/24 dev", "192.0.2.50 xyz", "dev eth0 192.0.2.50"},
	"<DESTINATION>":       {"10.9.0.0/16 via 192.0.2.1", "default via 192.0.2.1", "blackhole 10.9.0.0/16", "10.9.0.0/16", "10.9.0.0/33 via 192.0.2.1", "10.9.0.0/16 via", "10.9.0.0/16 dev eth0 xyz", "2001:db8:9::/48 via 2001:db8::1", "10.9.0.0/16 via 2001:db8::1"},
}

// heads are what follows the keyword of an outermost block.
var heads = map[string][]string{
	"global_defs":              {"{\n}", "x {\n}"},
	"linkbeat_interfaces":      {"{\n eth0\n}", "x {\n eth0\n}", "{\n}"},
	"track_group":              {"T {\n group {\n V\n }\n}", "{\n group {\n V\n }\n}", "T U {\n group {\n V\n }\n}", "T {\n}", "T {\n group {\n W\n }\n}", "T {\n group {\n V V\n }\n}"},
	"static_ipaddress":         {"{\n 192.0.2.77/24\n}", "x {\n 192.0.2.77/24\n}", "{\n}"},
	"static_routes":            {"{\n 10.9.0.0/16 via 192.0.2.1\n}", "x {\n 10.9.0.0/16 via 192.0.2.1\n}", "{\n}"},
	"static_rules":             {"{\n from 192.0.2.1 table 5 preference 7\n}", "{\n from 192.0.2.1 table 5\n}", "{\n}"},
	"bfd_instance":             {"B {\n neighbor_ip 192.0.2.9\n}", "B C {\n neighbor_ip 192.0.2.9\n}", "B {\n}", "abcdefghijklmnopqrstuvwxyz01234 {\n neighbor_ip 192.0.2.9\n}", "abcdefghijklmnopqrstuvwxyz012345 {\n neighbor_ip 192.0.2.9\n}", "B {\n neighbor_ip 192.0.2.9\n source_ip 2001:db8::1\n}"},
	"vrrp_script":              {"S {\n script /usr/bin/true\n}", "{\n script /usr/bin/true\n}", "S T {\n script /usr/bin/true\n}", "S {\n}"},
	"vrrp_track_process":       {"P {\n process x\n}", "{\n process x\n}", "P Q {\n process x\n}", "P {\n}"},
	"track_file":               {"F {\n file /nonexistent/f\n}", "{\n file /nonexistent/f\n}", "F G {\n file /nonexistent/f\n}", "F {\n}"},
	"vrrp_track_file":          {"F {\n file /nonexistent/f\n}", "{\n file /nonexistent/f\n}", "F {\n}"},
	"garp_group":               {"{\n garp_interval 1\n interface eth1\n}", "{\n garp_interval 1\n}", "{\n interface eth1\n}", "{\n}", "x {\n garp_interval 1\n interface eth1\n}"},
	"interface_up_down_delays": {"{\n eth0 1 2\n}", "{\n eth0 1\n}", "{\n eth0\n}", "{\n}", "{\n nope0 1\n}"},
	"vrrp_sync_group":          {"G {\n group {\n V\n }\n}", "{\n group {\n V\n }\n}", "G H {\n group {\n V\n }\n}", "G {\n}", "G {\n group {\n W\n }\n}", "G {\n group {\n }\n}", "G {\n group {\n V\n V\n }\n}"},
	"vrrp_instance": {"A {\n interface eth1\n virtual_router_id 1\n virtual_ipaddress {\n 192.0.2.9\n }\n}", "A {\n}", "{\n interface eth1\n}", "A B {\n interface eth1\n}", "A {\n interface eth1\n}",
		"A {\n virtual_router_id 9\n}", "V {\n interface eth1\n virtual_router_id 1\n virtual_ipaddress {\n 192.0.2.9\n }\n}", "A {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n 192.0.2.9\n }\n}"},
	"virtual_server_group": {"G {\n 192.0.2.9 80\n}", "{\n 192.0.2.9 80\n}", "G H {\n 192.0.2.9 80\n}", "G {\n}"},
	"virtual_server": {"192.0.2.9 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 192.0.2.3 80 {\n }\n}", "192.0.2.9 80 {\n}", "192.0.2.9 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 192.0.2.3 80 {\n }\n}",
		"192.0.2.9 65536 {\n}", "x 80 {\n}", "{\n}", "fwmark 5 {\n lb_algo rr\n lb_kind NAT\n real_server 192.0.2.3 80 {\n }\n}", "fwmark x {\n}", "group nosuch {\n lb_algo rr\n lb_kind NAT\n real_server 192.0.2.3 80 {\n }\n}",
		"192.0.2.9 80 x {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 192.0.2.3 80 {\n }\n}", "192.0.2.9:80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 192.0.2.3 80 {\n }\n}"},
	"SSL": {"{\n}", "x {\n}", "{\n password x\n}\nSSL {\n password y\n}"},
}
