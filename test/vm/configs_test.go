package vm

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// service is a virtual server with the lines of one real server unless it has some of its own.
func service(vip string, lines ...string) string {
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "real_server") }) {
		lines = append(lines, "real_server 127.0.0.11 8080 {\n}")
	}
	return "virtual_server " + vip + " {\n " + strings.Join(lines, "\n ") + "\n}\n"
}

// tcp is a service with what others need to be warned about.
func tcp(vip string, lines ...string) string {
	return service(vip, append([]string{"lvs_sched rr", "lvs_method NAT", "protocol TCP"}, lines...)...)
}

// configurations are the attributes of the reference (ipvs.md §2 and §3), each in a configuration of its own.
func configurations() map[string]string {
	list := map[string]string{
		"flags 1 2 3":              tcp("127.0.0.10 80", "flag-1", "flag-2", "flag-3"),
		"flag 2":                   tcp("127.0.0.10 80", "flag-2"),
		"sh-port sh-fallback":      service("127.0.0.10 80", "lvs_sched sh", "sh-port", "sh-fallback", "lvs_method NAT", "protocol TCP"),
		"mh-port mh-fallback":      service("127.0.0.10 80", "lb_algo mh", "mh-port", "mh-fallback", "lb_kind NAT", "protocol TCP"),
		"L-B06 mh-port too early":  service("127.0.0.10 80", "mh-port", "lvs_sched mh", "lvs_method NAT", "protocol TCP"),
		"L-B07 hashed":             service("127.0.0.10 80", "lvs_sched sh", "hashed", "lvs_method NAT", "protocol TCP"),
		"L-B05 ops":                service("127.0.0.10 53", "lvs_sched sh", "sh-port", "sh-fallback", "ops", "lvs_method NAT", "protocol UDP"),
		"ops of a mark":            service("fwmark 9", "lvs_sched rr", "ops", "lvs_method NAT"),
		"L-B17 ops with TCP":       tcp("127.0.0.10 80", "ops"),
		"persistence":              tcp("127.0.0.10 80", "persistence_timeout 50"),
		"persistence, no time":     tcp("127.0.0.10 80", "persistence_timeout"),
		"longest persistence":      tcp("127.0.0.10 80", "persistence_timeout 2678400"),
		"granularity":              tcp("127.0.0.10 80", "persistence_timeout 50", "persistence_granularity 255.255.255.0"),
		"granularity alone":        tcp("127.0.0.10 80", "persistence_granularity 255.0.255.0"),
		"granularity of IPv6":      tcp("fd00::10 80", "persistence_granularity 64", "real_server fd00::11 80 {\n}"),
		"engine":                   service("127.0.0.10 5060", "lvs_sched rr", "lvs_method NAT", "protocol UDP", "persistence_timeout 60", "persistence_engine sip"),
		"engine, no persistence":   service("127.0.0.10 5060", "lvs_sched rr", "lvs_method NAT", "protocol UDP", "persistence_engine sip"),
		"protocol SCTP":            service("127.0.0.10 9", "lvs_sched rr", "lvs_method NAT", "protocol sctp"),
		"L-B09 no protocol":        service("127.0.0.10 80", "lvs_sched rr", "lvs_method NAT"),
		"L-B10 nothing said":       service("127.0.0.10 80", "protocol TCP"),
		"L-B08 no port":            service("127.0.0.77", "lvs_sched rr", "lvs_method NAT", "protocol SCTP"),
		"no port, DR":              service("127.0.0.77", "lvs_sched rr", "lvs_method DR", "protocol TCP", "persistence_timeout 7"),
		"L-B01 mark":               service("fwmark 100", "lvs_sched wrr", "lvs_method DR", "persistence_timeout 300", "persistence_granularity 255.255.255.0"),
		"L-B02 mark of IPv6":       service("fwmark 101", "ip_family inet6", "lvs_sched wrr", "lvs_method TUN", "real_server 127.0.0.11 {\n}"),
		"mark by its servers":      service("fwmark 101", "lvs_sched wrr", "lvs_method DR", "real_server fd00::11 {\n}"),
		"mark with a protocol":     service("fwmark 102", "lvs_sched wrr", "lvs_method NAT", "protocol TCP", "real_server 127.0.0.11 80 {\n}"),
		"largest mark":             service("fwmark 4294967295", "lvs_sched rr", "lvs_method NAT"),
		"DR":                       service("127.0.0.10 80", "lvs_sched rr", "lvs_method DR", "protocol TCP", "real_server 127.0.0.11 80 {\n}"),
		"L-B12 DR, other port":     service("127.0.0.10 80", "lvs_sched rr", "lvs_method DR", "protocol TCP"),
		"L-B13 NAT, no port":       tcp("127.0.0.10 80", "real_server 127.0.0.11 {\n}"),
		"tunnel":                   service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN", "protocol TCP"),
		"tunnel ipip":              service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN type ipip", "protocol TCP"),
		"tunnel gue":               service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN type gue port 6080", "protocol TCP"),
		"tunnel gue csum":          service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN type gue port 6080 csum", "protocol TCP"),
		"tunnel gue remcsum":       service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN type gue port 6080 remcsum", "protocol TCP"),
		"tunnel gue nocsum":        service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN type gue port 65535 nocsum", "protocol TCP"),
		"tunnel gre":               service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN type gre", "protocol TCP"),
		"tunnel gre csum":          service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN type gre csum", "protocol TCP"),
		"tunnel gue, no port":      service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN type gue", "protocol TCP"),
		"methods of servers":       tcp("127.0.0.10 80", "real_server 127.0.0.11 80 {\n lvs_method DR\n}", "real_server 127.0.0.12 81 {\n lvs_method TUN type gre\n}", "real_server 127.0.0.13 82 {\n}"),
		"L-B03 IPv6, gue, sip":     service("::1 80", "lvs_sched wrr", "lvs_method TUN type gue port 6080 csum", "protocol UDP", "persistence_timeout 60", "persistence_granularity 64", "persistence_engine sip", "real_server 127.0.0.11 80 {\n}"),
		"L-B04 gre of IPv6":        service("::1 80", "lvs_sched wrr", "lvs_method TUN type gue port 6080", "protocol UDP", "real_server ::11 80 {\n lvs_method TUN type gre\n}"),
		"tunnel to the other IP":   service("127.0.0.10 80", "lvs_sched rr", "lvs_method TUN", "protocol TCP", "real_server fd00::11 80 {\n}", "real_server 127.0.0.11 80 {\n}"),
		"L-B14 other family":       tcp("127.0.0.10 80", "real_server fd00::11 80 {\n}", "real_server 127.0.0.11 80 {\n}"),
		"L-B15 weights":            tcp("127.0.0.10 80", "real_server 127.0.0.11 80 {\n weight 2147483647\n}", "real_server 127.0.0.12 80 {\n weight 0\n}"),
		"weight of the service":    tcp("127.0.0.10 80", "weight 7", "real_server 127.0.0.11 80 {\n}", "real_server 127.0.0.12 80 {\n weight 3\n}"),
		"L-B11 thresholds":         tcp("127.0.0.10 80", "real_server 127.0.0.11 80 {\n uthreshold 100\n lthreshold 20\n}"),
		"upper threshold":          tcp("127.0.0.10 80", "real_server 127.0.0.11 80 {\n uthreshold 4000000\n}"),
		"L-B18 quorum too high":    tcp("127.0.0.10 80", "quorum 5", "hysteresis 9", "real_server 127.0.0.11 80 {\n weight 2\n}", "real_server 127.0.0.12 80 {\n weight 0\n}"),
		"L-B19 no weight, sorry":   tcp("127.0.0.10 80", "sorry_server 127.0.0.99 80", "real_server 127.0.0.11 80 {\n weight 0\n}"),
		"sorry server at rest":     tcp("127.0.0.10 80", "sorry_server 127.0.0.99 80", "sorry_server_inhibit"),
		"sorry server by DR":       tcp("127.0.0.10 80", "alpha", "sorry_server 127.0.0.99 80", "sorry_server_lvs_method DR", rs("127.0.0.11")),
		"sorry server, no port":    tcp("127.0.0.10 80", "alpha", "sorry_server 127.0.0.99", rs("127.0.0.11")),
		"inhibit, alpha":           tcp("127.0.0.10 80", "alpha", "inhibit_on_failure", rs("127.0.0.11", "weight 3")),
		"server twice":             tcp("127.0.0.10 80", "real_server 127.0.0.11 80 {\n}", "real_server 127.0.0.11 80 {\n weight 2\n}"),
		"L-D01 group":              "virtual_server_group G {\n 127.0.1.1 80\n 127.0.1.10-12 81\n 127.0.2.0/30 82\n fwmark 5\n}\n" + tcp("group G"),
		"L-D04 group, DR":          "virtual_server_group G {\n 127.0.1.1 80\n 127.0.1.2 90\n}\n" + service("group G", "lvs_sched rr", "lvs_method DR", "protocol TCP", "real_server 127.0.0.11 80 {\n}"),
		"L-D05 group, 2 protocols": "virtual_server_group G {\n 127.0.1.1 80\n}\n" + tcp("group G") + service("group G", "lvs_sched wlc", "lvs_method NAT", "protocol UDP"),
		"L-D10 group, 2 families":  "virtual_server_group G {\n 127.0.1.1 80\n fd00::1 80\n fwmark 5 inet6\n}\n" + service("group G", "lvs_sched rr", "lvs_method TUN", "protocol TCP"),
		"L-D11 group not there":    tcp("127.0.0.10 80") + tcp("group absent"),
		"group, IPv6 range":        "virtual_server_group G {\n fd00::1:fe-ff 80\n}\n" + tcp("group G", "real_server fd00::11 80 {\n}"),
		"group, server, no port":   "virtual_server_group G {\n 127.0.1.1 80\n 127.0.1.2 90\n fwmark 5\n}\n" + tcp("group G", "real_server 127.0.0.11 {\n}"),
		"group of marks":           "virtual_server_group G {\n fwmark 5\n fwmark 6 inet6\n}\n" + service("group G", "lvs_sched rr", "lvs_method TUN"),
		"L-B16 timeouts":           globals("lvs_timeouts tcp 100 udp 50") + tcp("127.0.0.10 80"),
		"timeout of FIN":           globals("lvs_timeouts tcpfin 33") + tcp("127.0.0.10 80"),
		"sync daemons":             globals("lvs_sync_daemon eth0 id 7 maxlen 1400 port 9000 ttl 3 group 224.0.0.99") + tcp("127.0.0.10 80"),
		"sync daemons, defaults":   globals("lvs_sync_daemon eth0") + tcp("127.0.0.10 80"),
		"sync daemons, IPv6":       globals("lvs_sync_daemon eth0 id 255 group ff05::81") + tcp("127.0.0.10 80"),
		"sync daemon of instance":  globals("lvs_sync_daemon eth0 inst VI_1 ttl 9") + tcp("127.0.0.10 80") + strings.Replace(vrrpInstance, "advert_int 0.1", "advert_int 40", 1),
	}
	for i, s := range []string{"rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq"} {
		list["schedulers"] += service(fmt.Sprintf("127.0.0.%d 80", 10+i), "lvs_sched "+s, "lvs_method NAT", "protocol TCP")
	}
	return list
}

// Whatever a configuration asks of IPVS, the kernel has afterwards what the original would have given it.
func TestConfigurations(t *testing.T) {
	needVM(t)
	ours := os.Getenv("KEEPALIVED_GO")
	if ours == "" {
		t.Skip("no daemon to test: KEEPALIVED_GO is not set")
	}
	theirs, err := oracle.Newest()
	if err != nil {
		t.Logf("%v: comparing with %s", err, original)
		theirs = original
	}
	t.Parallel()
	all := configurations()
	// Those that have nothing but services by address go into one file, each with an address of its own.
	together, vips := "", map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if conf := all[name]; strings.Count(conf, "virtual_server 127.0.0.10 ") == strings.Count(conf, "virtual_server") && !strings.Contains(conf, "global_defs") && !strings.Contains(conf, "threshold") {
			vips[name] = fmt.Sprintf("127.0.3.%d:", 1+i)
			together += strings.ReplaceAll(conf, "virtual_server 127.0.0.10 ", "virtual_server "+strings.TrimSuffix(vips[name], ":")+" ")
			delete(all, name)
		}
	}
	if len(vips)+len(all) < 60 {
		t.Errorf("%d configurations", len(vips)+len(all))
	}
	compare := func(t *testing.T, conf string) (theirTable, ourTable []string) {
		a, b := newRig(newSite(t), false), newRig(newSite(t), true)
		for r, program := range map[*rig]string{a: theirs, b: ours} {
			r.router()
			r.config(conf)
			r.start(program)
		}
		a.logged("Startup complete")
		if strings.Contains(conf, "inst VI_1") {
			wait(t, soon, "the original's sync daemon", func() bool { return a.run("ipvsadm -l --daemon") != "" })
		}
		want := a.everything()
		if len(want) < 5 {
			t.Errorf("that is hardly anything: %q", want)
		}
		deadline := time.Now().Add(3 * soon)
		got := b.everything()
		for tick := time.Tick(100 * time.Millisecond); !slices.Equal(got, want) && time.Now().Before(deadline); <-tick {
			got = b.everything()
		}
		a.stop()
		b.stop()
		if d := cmp.Diff(a.everything(), b.everything()); d != "" {
			t.Errorf("at the end (-original +ours):\n%s", d)
		}
		return want, got
	}
	t.Run("by address", func(t *testing.T) {
		want, got := compare(t, together)
		for name, vip := range vips {
			t.Run(name, func(t *testing.T) {
				of := func(lines []string) []string {
					return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.Contains(line, vip) })
				}
				if len(of(want)) == 0 {
					t.Error("the original has nothing")
				}
				if d := cmp.Diff(of(want), of(got)); d != "" {
					t.Errorf("(-original +ours):\n%s", d)
				}
			})
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("as a whole (-original +ours):\n%s", d)
		}
	})
	for name, conf := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, got := compare(t, conf)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-original +ours):\n%s", d)
			}
		})
	}
}

// everything is all that ipvsadm knows.
func (r *rig) everything() []string {
	r.t.Helper()
	return sorted(r.run("ipvsadm -Sn") + r.run("ipvsadm -Ln --thresholds") + r.run("ipvsadm -l --timeout") + r.run("ipvsadm -l --daemon"))
}
