package config

import (
	"fmt"
	"strings"
	"testing"
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
