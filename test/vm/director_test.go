package vm

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// router adds an interface that can carry VRRP to the site: a pair of which the other end stays in the site.
func (s *site) router() {
	s.ip("link add eth0 type veth peer name peer0")
	s.run("sysctl -qw net.ipv6.conf.eth0.accept_dad=0")
	for _, link := range []string{"eth0", "peer0"} {
		s.ip("link set " + link + " up")
	}
	s.ip("addr add 10.7.7.1/24 dev eth0")
}

const vrrpInstance = `vrrp_instance VI_1 {
 interface eth0
 virtual_router_id 51
 version 3
 advert_int 0.1
 priority 100
 virtual_ipaddress {
  10.7.7.9
 }
}
`

// daemons waits until ipvsadm lists these sync daemons, sorted, and no others.
func (r *rig) daemons(want ...string) {
	r.t.Helper()
	list := func() (got []string) {
		for line := range strings.Lines(r.run("ipvsadm -l --daemon")) {
			got = append(got, strings.TrimSpace(line))
		}
		slices.Sort(got)
		return got
	}
	wait(r.t, 2*soon, fmt.Sprintf("the sync daemons are %q", want), func() bool { return slices.Equal(list(), want) })
}

func globals(lines string) string { return "global_defs {\n" + lines + "\n}\n" }

func TestSyncDaemon(t *testing.T) {
	const options = ", maxlen=1400, group=224.0.0.99, port=9000, ttl=3)"
	t.Run("L-G09 without an instance", func(t *testing.T) {
		withDaemons(t, func(r *rig, program string) {
			r.router()
			service := vs(" real_server 127.0.0.11 80 {\n}")
			r.config(globals("lvs_sync_daemon eth0 id 7 maxlen 1400 port 9000 ttl 3 group 224.0.0.99") + service)
			r.start(program)
			r.daemons("backup sync daemon (mcast=eth0, syncid=7"+options, "master sync daemon (mcast=eth0, syncid=7"+options)
			r.reload(globals("lvs_sync_daemon eth0 id 8 maxlen 1400 port 9000 ttl 3 group 224.0.0.99") + service)
			r.daemons("backup sync daemon (mcast=eth0, syncid=8"+options, "master sync daemon (mcast=eth0, syncid=8"+options)
			r.reload(globals("lvs_sync_daemon eth0 id 8 maxlen 1400 port 9000 ttl 3 group 224.0.0.99") + service + "# nothing changed\n")
			r.daemons("backup sync daemon (mcast=eth0, syncid=8"+options, "master sync daemon (mcast=eth0, syncid=8"+options)
			if noise := strings.Count(r.log.String(), "Daemon has already run"); r.ours && noise > 0 {
				t.Errorf("%d lines about daemons that run already", noise)
			}
			if r.ours {
				r.run("ipvsadm --stop-daemon master")
				r.daemons("backup sync daemon (mcast=eth0, syncid=8"+options, "master sync daemon (mcast=eth0, syncid=8"+options)
			}
			r.stop()
			r.daemons()
		})
	})
	t.Run("L-G10 with an instance", func(t *testing.T) {
		withDaemons(t, func(r *rig, program string) {
			r.router()
			// No virtual server: the part of VRRP alone has to do it.
			r.config(globals("lvs_sync_daemon eth0 inst VI_1 maxlen 1400 port 9000 ttl 3 group 224.0.0.99") +
				strings.Replace(vrrpInstance, "advert_int 0.1", "advert_int 1", 1))
			r.start(program)
			r.daemons("backup sync daemon (mcast=eth0, syncid=51" + options)
			r.daemons("master sync daemon (mcast=eth0, syncid=51" + options)
			r.ip("link set peer0 down")
			r.daemons("backup sync daemon (mcast=eth0, syncid=51" + options)
			r.ip("link set peer0 up")
			r.daemons("master sync daemon (mcast=eth0, syncid=51" + options)
			if r.ours { // the original starts it without parameters
				r.reload(globals("lvs_sync_daemon eth0 inst VI_1 id 9") + strings.Replace(vrrpInstance, "advert_int 0.1", "advert_int 1", 1))
				r.daemons("master sync daemon (mcast=eth0, syncid=9, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)")
			}
			r.stop()
			r.daemons()
		})
	})
}

// What others do to the table is undone within a second; what is not ours stays as they want it.
func TestRepair(t *testing.T) {
	needVM(t)
	if os.Getenv("KEEPALIVED_GO") == "" {
		t.Skip("no daemon to test: KEEPALIVED_GO is not set")
	}
	t.Parallel()
	for _, test := range []struct{ name, meddle string }{
		{"L-G14 server deleted", "-d -t 127.0.0.10:80 -r 127.0.0.11:80"},
		{"L-G15 weight edited", "-e -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 77"},
		{"method edited", "-e -t 127.0.0.10:80 -r 127.0.0.11:80 -i -w 1 --tun-type gue --tun-port 99"},
		{"thresholds edited", "-e -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1 -x 5 -y 4"},
		{"server added", "-a -t 127.0.0.10:80 -r 127.0.0.77:80 -m"},
		{"service deleted", "-D -t 127.0.0.10:80"},
		{"service edited", "-E -t 127.0.0.10:80 -s sh -b sh-port -p 50"},
		{"everything deleted", "-C"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(newSite(t), true)
			r.config(vs(" real_server 127.0.0.11 80 {\n}"))
			r.start(os.Getenv("KEEPALIVED_GO"))
			ours := `
				-A -t 127.0.0.10:80 -s wrr
				-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1`
			r.becomes(soon, ours)
			r.run("ipvsadm -A -t 9.9.9.9:9 -s rr")
			r.run("ipvsadm " + test.meddle)
			foreign := "\n-A -t 9.9.9.9:9 -s rr"
			if test.meddle == "-C" {
				foreign = ""
			}
			r.becomes(soon, ours+foreign) // half a second on a machine at rest, see sys/ipvs
			wait(t, soon, "the thresholds are as they were", func() bool {
				return !strings.Contains(r.run("ipvsadm -Ln --thresholds"), " 5 ")
			})
		})
	}
	t.Run("lvs_no_repair", func(t *testing.T) {
		t.Parallel()
		r := newRig(newSite(t), true)
		r.config(globals("lvs_no_repair") + vs(" real_server 127.0.0.11 80 {\n}"))
		r.start(os.Getenv("KEEPALIVED_GO"))
		r.becomes(soon, "-A -t 127.0.0.10:80 -s wrr\n-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1")
		r.run("ipvsadm -d -t 127.0.0.10:80 -r 127.0.0.11:80")
		end := time.After(patience(2 * time.Second))
		for tick := time.Tick(100 * time.Millisecond); ; {
			select {
			case <-tick:
				r.expect("-A -t 127.0.0.10:80 -s wrr")
				continue
			case <-end:
			}
			break
		}
	})
}

// net_namespace_ipvs without a name is the system's first, wherever the daemon was started and whatever net_namespace says.
func TestDefaultNamespaceOfIPVS(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		other := newSite(r.t)
		vip := "127.0.0.98"
		if r.ours {
			vip = "127.0.0.99" // both use the first one's table at the same time
		}
		r.config("net_namespace " + other.ns + "\nnet_namespace_ipvs\n" + strings.Replace(vs(" real_server 127.0.0.11 80 {\n}"), "127.0.0.10", vip, 1))
		is := func(there bool) {
			r.t.Helper()
			wait(r.t, soon, fmt.Sprintf("the service is there: %t", there), func() bool {
				return strings.Contains(command(r.t, "ipvsadm", "-Sn"), "-A -t "+vip+":80 -s wrr") == there
			})
		}
		r.start(program)
		is(true)
		r.expect("")
		other.expect("")
		r.stop()
		is(false)
	})
}

// The checkers of a service run only while its address is here, which VRRP may have brought.
func TestHASuspend(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.router()
		r.up("127.0.0.11")
		service := strings.Replace(vs("ha_suspend", "alpha", rs("127.0.0.11")), "127.0.0.10 80", "10.7.7.9 80", 1)
		r.config(service)
		r.start(program)
		r.logged("Deactivating healthchecker for service [127.0.0.11]:tcp:80 for VS [10.7.7.9]:tcp:80")
		r.becomes(soon, "-A -t 10.7.7.9:80 -s wrr")
		r.ip("addr add 10.7.7.9/32 dev eth0")
		r.logged("Activating healthchecker for service [127.0.0.11]:tcp:80 for VS [10.7.7.9]:tcp:80")
		alive := "-A -t 10.7.7.9:80 -s wrr\n-a -t 10.7.7.9:80 -r 127.0.0.11:80 -m -w 1"
		r.becomes(soon, alive)
		r.said(soon, "RS [127.0.0.11]:tcp:80 [10.7.7.9]:tcp:80 UP", "VS [10.7.7.9]:tcp:80 UP")
		r.ip("addr del 10.7.7.9/32 dev eth0")
		r.logged("Suspending healthchecker for service [127.0.0.11]:tcp:80 for VS [10.7.7.9]:tcp:80")
		r.down("127.0.0.11")
		tick := time.Tick(100 * time.Millisecond)
		for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); <-tick { // frozen: two rounds of checks pass
			r.expect(alive)
		}
		r.silent()
		r.reload(service + vrrpInstance) // now VRRP brings the address
		r.becomes(2*soon, "-A -t 10.7.7.9:80 -s wrr")
		r.said(soon, "RS [127.0.0.11]:tcp:80 [10.7.7.9]:tcp:80 DOWN", "VS [10.7.7.9]:tcp:80 DOWN")
	}, "L-F50")
}

// A connection through NAT goes on over a reload that changes everything but its server.
func TestLongConnectionSurvivesReload(t *testing.T) {
	needVM(t)
	t.Parallel()
	for name, program := range map[string]string{"keepalived": original, "keepalived-go": os.Getenv("KEEPALIVED_GO")} {
		t.Run(name, func(t *testing.T) {
			if program == "" {
				t.Skip("no daemon to test: KEEPALIVED_GO is not set")
			}
			d, client, backends := director(t)
			backends[1].serve(":8080", "two")
			echo(backends[0], ":8080")
			r := newRig(d, program != original)
			conf := func(more string, servers ...string) string {
				return "virtual_server 10.9.9.9 80 {\n delay_loop 1\n lvs_method NAT\n protocol TCP\n" + more + strings.Join(servers, "") + "}\n"
			}
			real := func(addr, more string) string {
				return " real_server " + addr + " 8080 {\n " + more + "\n " + tcpCheck + "\n}\n"
			}
			r.config(conf("lvs_sched rr\n", real("10.2.1.2", "")))
			r.start(program)
			r.becomes(soon, "-A -t 10.9.9.9:80 -s rr\n-a -t 10.9.9.9:80 -r 10.2.1.2:8080 -m -w 1")
			var c net.Conn
			client.in(func() (err error) {
				c, err = net.DialTimeout("tcp", "10.9.9.9:80", 2*time.Second)
				return err
			})
			defer c.Close()
			says := func(word string) {
				t.Helper()
				c.SetDeadline(time.Now().Add(soon))
				if _, err := io.WriteString(c, word); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, len(word))
				if _, err := io.ReadFull(c, b); err != nil || string(b) != word {
					t.Fatalf("%q came back as %q, %v", word, b, err)
				}
			}
			says("before")
			r.reload(conf("lvs_sched wlc\npersistence_timeout 60\n", real("10.2.1.2", "weight 7"), real("10.2.2.2", "")))
			r.becomes(soon, "-A -t 10.9.9.9:80 -s wlc -p 60\n-a -t 10.9.9.9:80 -r 10.2.1.2:8080 -m -w 7\n-a -t 10.9.9.9:80 -r 10.2.2.2:8080 -m -w 1")
			says("after")
			k := r.kernel()
			counters, err := k.Counters(nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range counters {
				if n := s.Dests[to("10.2.1.2", 8080)].Active; n != 1 {
					t.Errorf("%d active connections to the server, want 1", n)
				}
			}
		})
	}
}

// echo sends back what it gets.
func echo(s *site, addr string) {
	var l net.Listener
	s.in(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	s.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
}

// needNFTables skips a test on a kernel without nftables, as user-mode Linux is:
//
//	go test -exec "$PWD/test/vm/run -backend qemu" -run TestNFTables ./test/vm
func needNFTables(t *testing.T) {
	t.Helper()
	needVM(t)
	if os.Getenv("VMRUN") != "qemu" {
		t.Skip(`needs nftables: go test -exec "$PWD/test/vm/run -backend qemu" ./test/vm`)
	}
}

// Groups are served by one mark each, which nftables gives to the packets for their addresses.
func TestNFTables(t *testing.T) {
	needNFTables(t)
	body := func(protocol string) string {
		return "virtual_server group G {\n lvs_sched rr\n lvs_method DR\n protocol " + protocol + "\n real_server 127.0.0.11 80 {\n}\n}\n"
	}
	group := func(entries ...string) string {
		return "virtual_server_group G {\n" + strings.Join(entries, "\n") + "\n}\n"
	}
	services := `
		-A -f 1000 -s rr
		-a -f 1000 -r 127.0.0.11:0 -g -w 1
		-A -f 1001 -s rr
		-a -f 1001 -r 127.0.0.11:0 -g -w 1`
	withDaemons(t, func(r *rig, program string) {
		// Neither counters nor the order of bytes in which nft shows a mark matter.
		ruleset := func() []string {
			text := r.run("nft list ruleset")
			for _, change := range [][2]string{{" counter packets 0 bytes 0", ""}, {"0xe8030000", "0x000003e8"}, {"0xe9030000", "0x000003e9"}} {
				text = strings.ReplaceAll(text, change[0], change[1])
			}
			fields := strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == ',' || c == '{' || c == '}' })
			return slices.DeleteFunc(sorted(strings.Join(fields, "\n")), func(line string) bool { return line == "counter" })
		}
		rules := func(elements string) []string {
			var lines []string
			for _, p := range []struct{ name, mark string }{{"tcp", "0x000003e8"}, {"udp", "0x000003e9"}} {
				lines = append(lines, "map "+p.name+"_map", "type ipv4_addr . inet_service : mark", "flags interval", "elements =",
					"meta mark set ip daddr . "+p.name+" dport map @"+p.name+"_map return")
				for _, e := range sorted(elements) {
					lines = append(lines, e+" : "+p.mark)
				}
			}
			lines = append(lines, "table ip keepalived_ipvs", "chain in", "type filter hook input priority filter - 1; policy accept;")
			slices.Sort(lines)
			return lines
		}
		becomes := func(want []string) {
			r.t.Helper()
			wait(r.t, 2*soon, fmt.Sprintf("the ruleset is %q", want), func() bool { return slices.Equal(ruleset(), want) })
		}
		r.config(globals("nftables_ipvs") + group("127.0.1.1 80", "127.0.1.10-12 81", "127.0.2.0/30 82") + body("TCP") + body("UDP"))
		r.start(program)
		r.becomes(2*soon, services)
		becomes(rules("127.0.1.1 . 80\n127.0.1.10-127.0.1.12 . 81\n127.0.2.0/30 . 82")) // L-N01
		r.reload(globals("nftables_ipvs") + group("127.0.1.7 80", "127.0.1.10-13 81", "127.0.2.0/30 82") + body("TCP") + body("UDP"))
		becomes(rules("127.0.1.7 . 80\n127.0.1.10-127.0.1.13 . 81\n127.0.2.0/30 . 82")) // L-N02
		r.expect(services)
		r.stop()
		becomes(nil) // L-N03
		r.expect("")
	})
}

// A client's packets to an address of the group reach the server.
func TestNFTablesTraffic(t *testing.T) { t.Run("L-N04", testNFTablesTraffic) }

func testNFTablesTraffic(t *testing.T) {
	needNFTables(t)
	for name, program := range map[string]string{"keepalived": original, "keepalived-go": os.Getenv("KEEPALIVED_GO")} {
		t.Run(name, func(t *testing.T) {
			if program == "" {
				t.Skip("no daemon to test: KEEPALIVED_GO is not set")
			}
			d, client, backends := director(t)
			backends[0].serve(":8080", "one")
			d.ip("addr add 10.9.9.10/32 dev lo")
			client.ip("route add 10.9.9.0/24 via 10.1.0.1")
			r := newRig(d, program != original)
			r.config(globals("nftables_ipvs\nnftables_ipvs_start_fwmark 77\nnftables_counters") + "virtual_server_group G {\n 10.9.9.9-10 80\n}\n" +
				"virtual_server group G {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 10.2.1.2 8080 {\n}\n}\n")
			r.start(program)
			r.becomes(2*soon, "-A -f 77 -s rr\n-a -f 77 -r 10.2.1.2:8080 -m -w 1")
			for _, vip := range []string{"10.9.9.9:80", "10.9.9.10:80"} {
				wait(t, 2*soon, "an answer from "+vip, func() bool { return client.dial(vip) == "one" })
			}
			if said := client.dial("10.9.9.9:81"); said == "one" {
				t.Error("another port is served too")
			}
		})
	}
}
