package vm

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// shows waits until the output of a command in the site matches the expression.
func (r *rig) shows(command, expr string) {
	r.t.Helper()
	re := regexp.MustCompile(expr)
	var out []byte
	for deadline := time.Now().Add(patience(10 * time.Second)); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		args := append([]string{"netns", "exec", r.ns}, strings.Fields(command)...)
		if out, _ = exec.Command("ip", args...).CombinedOutput(); re.Match(out) {
			return
		}
	}
	r.t.Fatalf("%s does not show %s:\n%s", command, expr, out)
}

// neighbour gives the site an eth0 that leads to a site of its own.
func (r *rig) neighbour() *site {
	other := newSite(r.t)
	r.ip("link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 netns " + other.ns)
	r.ip("link set eth0 up")
	r.ip("addr add 10.1.0.1/24 dev eth0")
	other.ip("link set eth0 up")
	other.ip("addr add 10.1.0.3/24 dev eth0")
	return other
}

const master = "virtual_router_id 51\n priority 200\n version 3\n advert_int 0.2\n"

// An instance on an ipvlan sends from its address; the virtual addresses stay on the interface beneath; it is removed at the end.
func TestIPVLAN(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.neighbour()
		r.config("vrrp_instance A {\n interface eth0\n " + master + " use_ipvlan iv0 10.1.0.51/24 private\n virtual_ipaddress {\n  10.1.0.100/24\n }\n}\n" +
			"vrrp_instance B {\n interface eth0\n " + strings.Replace(master, "51", "52", 1) +
			" use_ipvlan\n virtual_ipaddress {\n  fe80::100/64\n }\n}\n")
		r.start(program, "-P")
		r.shows("ip -d link show iv0", `(?s)02:00:00:00:00:01.*ipvlan .*mode l2`)
		r.shows("ip addr show iv0", `inet 10\.1\.0\.51/24 scope global iv0`)
		r.shows("ip addr show eth0", `inet 10\.1\.0\.100/24`)
		r.shows("ip -d link show vrrp.52", `ipvlan`)
		r.shows("ip addr show eth0", `inet6 fe80::100/64`)
		r.shows("cat /proc/net/igmp", `(?s)iv0\s.*120000E0`)
		r.logged(`(A): Success creating ipvlan interface iv0`, `(A) Entering MASTER STATE`, `(B) Entering MASTER STATE`)
		r.stop()
		r.shows("ip link", `^(?s:[^v]|v[^r])*$`)
	})
}

// On an interface of a VRF the VMAC is in the VRF too; an instance without interface sends from its VRF.
func TestVRF(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		if !r.ours {
			return // 2.2.7 takes no instance without interface, and leaves VMACs out of VRFs, where they are of no use
		}
		r.ip("link add red type vrf table 10")
		r.ip("link set red up")
		other := r.neighbour()
		r.ip("link set eth0 master red")
		r.config("vrrp_instance A {\n interface eth0\n " + master + " use_vmac\n virtual_ipaddress {\n  10.1.0.100/24\n }\n}\n" +
			"vrrp_instance B {\n vrf red\n " + strings.Replace(master, "51", "52", 1) +
			" unicast_src_ip 10.1.0.1\n unicast_peer {\n  10.1.0.3\n }\n virtual_ipaddress {\n  10.1.0.101/24 dev eth0\n }\n}\n")
		r.start(program, "-P")
		r.shows("ip -d link show vrrp.51", `(?s)master red.*00:00:5e:00:01:33.*macvlan mode private`)
		r.shows("ip addr show vrrp.51", `inet 10\.1\.0\.100/24`)
		r.shows("ip addr show eth0", `inet 10\.1\.0\.101/24`)
		r.logged(`(A) Entering MASTER STATE`, `(B) Entering MASTER STATE`)
		r.shows("ip neigh show dev eth0", `10\.1\.0\.3 lladdr`)
		other.run("ping -c 1 -W 5 10.1.0.100")
		r.stop()
		r.shows("ip -br link", `^(?s:[^v]|v[^r])*$`)
	})
}
