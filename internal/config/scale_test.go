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

func BenchmarkFarm(b *testing.B) {
	text := farm(2277, 37205)
	for b.Loop() {
		Load(oneFile(text), "/etc/farm.conf", Options{}, newFakeHost())
	}
}
