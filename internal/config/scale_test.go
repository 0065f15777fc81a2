package config

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// farm is a configuration of many real servers, each with a TCP_CHECK.
func farm(services, servers int) string {
	var c strings.Builder
	next := 0
	for i := range services {
		fmt.Fprintf(&c, "virtual_server 10.32.%d.%d 80 {\n delay_loop 60\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n", i>>8, i&255)
		for range (servers - next) / (services - i) {
			fmt.Fprintf(&c, " real_server 10.%d.%d.%d 8080 {\n  weight 1\n  TCP_CHECK {\n   connect_timeout 2\n  }\n }\n", 48+next>>16, next>>8&255, next&255)
			next++
		}
		c.WriteString("}\n")
	}
	return c.String()
}

// The largest shape that keepalived's release notes speak of is read whole.
func TestLargeFarm(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	const services, servers = 2277, 37205
	m, r := Load(oneFile(farm(services, servers)), "/etc/farm.conf", Options{}, newFakeHost())
	if m == nil || r.ExitCode() != 0 {
		t.Fatalf("exit code %d: %v", r.ExitCode(), r.All())
	}
	real := 0
	for i := range m.LVS.Services {
		real += len(m.LVS.Services[i].Real)
	}
	if len(m.LVS.Services) != services || real != servers {
		t.Errorf("%d virtual and %d real servers, want %d and %d", len(m.LVS.Services), real, services, servers)
	}
}

// Blocks that refer to each other, and names that nothing has, cost in proportion to their number.
func TestGrowsLinearly(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	host := newFakeHost()
	for i := range 100 {
		host.interfaces[fmt.Sprint("v", i)] = Interface{Name: fmt.Sprint("v", i), Index: 100 + i, MTU: 1500, Up: true, Multicast: true, Ethernet: true,
			Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}}
	}
	instance := func(i int, more string) string {
		return fmt.Sprintf("vrrp_instance I%d {\n interface v%d\n virtual_router_id %d\n virtual_ipaddress {\n  10.%d.%d.1\n }\n%s}\n", i, i/250, i%250+1, i>>8, i&255, more)
	}
	for _, c := range []struct {
		name string
		of   func(i int) string
	}{
		{"sync groups", func(i int) string {
			return instance(i, "") + fmt.Sprintf("vrrp_sync_group G%d {\n group {\n  I%d\n }\n}\n", i, i)
		}},
		{"track groups", func(i int) string {
			return instance(i, "") + fmt.Sprintf("track_group T%d {\n group {\n  I%d\n }\n}\nstatic_routes {\n 11.%d.%d.1/32 dev eth0 track_group T%d\n}\n", i, i, i>>8, i&255, i)
		}},
		{"tracked files", func(i int) string {
			return fmt.Sprintf("track_file F%d {\n file /etc/f%d\n}\n", i, i) + instance(i, fmt.Sprintf(" track_file {\n  F%d\n }\n", i))
		}},
		{"unknown scripts", func(i int) string {
			return fmt.Sprintf("vrrp_script S%d {\n script /usr/bin/true\n}\n", i) + instance(i, fmt.Sprintf(" track_script {\n  X%d\n }\n", i))
		}},
		{"unknown members", func(i int) string {
			return instance(i, "") + fmt.Sprintf("vrrp_sync_group G%d {\n group {\n  J%d\n  I%d\n }\n}\n", i, i, i)
		}},
	} {
		cost := func(n, runs int) time.Duration { // the least
			var text strings.Builder
			for i := range n {
				text.WriteString(c.of(i))
			}
			least := time.Duration(math.MaxInt64)
			for range runs {
				begin := processorTime(t)
				Judge(oneFile(text.String()), "k", Options{}, host)
				least = min(least, processorTime(t)-begin)
			}
			return least
		}
		few, many := cost(1000, 5), cost(10000, 1)
		t.Logf("%s: %v for 1000 of them, %v for 10 000", c.name, few, many)
		if many > 50*few { // 100 were it the square
			t.Errorf("%s: 10 000 of them take %d times as long as 1000", c.name, many/few)
		}
	}
}

// processorTime is that of the whole process; while a test that is not parallel runs nothing else does in it.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoad reads what test/bench compares with keepalived as a whole program.
func BenchmarkLoad(b *testing.B) {
	instance := func(i, addresses int) string {
		var c strings.Builder
		fmt.Fprintf(&c, "vrrp_instance I%d {\n state BACKUP\n interface e%d\n virtual_router_id %d\n priority 100\n virtual_ipaddress {\n  10.255.%d.%d\n }\n virtual_ipaddress_excluded {\n", i, i/250, i%250+1, i>>8, i&255)
		for v := range addresses {
			fmt.Fprintf(&c, "  10.%d.%d.%d/32 dev lo\n", i%250, v>>8&255, v&255)
		}
		return c.String() + " }\n}\n"
	}
	repeat := func(n int, line func(i int) string) string {
		var c strings.Builder
		for i := range n {
			c.WriteString(line(i))
		}
		return c.String()
	}
	host := newFakeHost()
	for i := range 4 {
		e := host.interfaces["eth0"]
		e.Name, e.Index = fmt.Sprintf("e%d", i), 100+i
		host.interfaces[e.Name] = e
	}
	route := func(i int) string {
		return fmt.Sprintf(" 11.%d.%d.%d/32 via 192.0.2.254 dev eth0\n", i>>16, i>>8&255, i&255)
	}
	script := func(i int) string {
		return fmt.Sprintf("vrrp_script S%d {\n script \"/usr/bin/true %d\"\n interval 2\n weight 2\n}\n", i, i)
	}
	for _, c := range []struct{ name, text string }{
		{"farm", farm(2277, 37205)},
		{"instances", repeat(1000, func(i int) string { return instance(i, 20) })},
		{"addresses", instance(0, 50000)},
		{"routes", "static_routes {\n" + repeat(100000, route) + "}\n"},
		{"scripts", "global_defs {\n enable_script_security\n script_user root\n}\n" + instance(0, 1) + repeat(20000, script)},
		{"group", "virtual_server_group G {\n" + repeat(100000, func(i int) string { return fmt.Sprintf(" 11.%d.%d.%d 80\n", i>>16, i>>8&255, i&255) }) + "}\n"},
		{"comments", repeat(100000, func(i int) string { return fmt.Sprintf("# comment number %d, which says nothing { at all }\n", i) })},
		{"definitions", repeat(50000, func(i int) string { return fmt.Sprintf("$R%d=11.0.%d.%d/32\n", i, i>>8, i&255) }) + "static_routes {\n" +
			repeat(50000, func(i int) string { return fmt.Sprintf(" $R%d via 192.0.2.254 dev eth0\n", i) }) + "}\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if m, r := Load(oneFile(c.text), "/etc/k.conf", Options{}, host); m == nil {
					b.Fatal(r.All()[0])
				}
			}
		})
	}
}
