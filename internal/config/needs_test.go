package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a daemon without capabilities is told of a configuration. What runs is told only to who runs it, and of other users' scripts only if
// they run. VRRP alone is in test/netns.
func TestNeeds(t *testing.T) {
	const conf = `global_defs {
    checker_priority -5
    lvs_sync_daemon eth0
    notify_fifo /run/f nobody
    enable_script_security
    max_auto_priority 20
}
net_namespace_ipvs blue
virtual_server 192.0.2.1 80 {
    protocol TCP
    quorum_up /usr/bin/true root
    real_server 192.0.2.2 80 {
        TCP_CHECK {
            fwmark 7
            bind_port 80
        }
        PING_CHECK {
        }
        notify_up /usr/bin/true nobody
    }
}
virtual_server 192.0.2.1 81 {
    protocol TCP
    real_server 192.0.2.2 81 {
        TCP_CHECK {
            bind_port 1024
        }
    }
}
vrrp_script unused {
    script /usr/bin/true
    user nobody
}
vrrp_track_process p {
    process p
}
static_ipaddress {
    192.0.2.5/32 dev eth0
}
vrrp_instance V {
    interface eth0
    virtual_router_id 1
    virtual_ipaddress {
        192.0.2.9
    }
}
vrrp_instance W {
    interface eth0
    net_namespace red
    virtual_router_id 1
    virtual_ipaddress {
        192.0.2.9
    }
}
`
	const lacks = ", which the daemon does not have: "
	vrrp := []string{
		"(k: Line 6) max_auto_priority needs CAP_SYS_NICE" + lacks + "the priority stays as it is",
		"(k: Line 34) vrrp_track_process p needs CAP_NET_ADMIN" + lacks + "processes cannot be watched",
		"(k: Line 38) static_ipaddress needs CAP_NET_ADMIN (so do 2 more)" + lacks + "addresses, routes, rules and interfaces cannot be set",
		"(k: Line 40) vrrp_instance V needs CAP_NET_RAW (so do 1 more)" + lacks + "adverts are neither sent nor received",
		"(k: Line 49) vrrp_instance W net_namespace needs CAP_SYS_ADMIN" + lacks + "the network namespace cannot be entered",
	}
	lvs := []string{
		"(k: Line 2) checker_priority needs CAP_SYS_NICE" + lacks + "the priority stays as it is",
		"(k: Line 3) lvs_sync_daemon needs CAP_NET_ADMIN" + lacks + "the sync daemons are not run",
		"(k: Line 8) net_namespace_ipvs needs CAP_SYS_ADMIN" + lacks + "the network namespace cannot be entered",
		"(k: Line 9) virtual_server needs CAP_NET_ADMIN (so do 1 more)" + lacks + "services cannot be set in IPVS",
		"(k: Line 11) script /usr/bin/true needs CAP_SETGID (so do 1 more)" + lacks + "scripts cannot have their groups, and do not run",
		"(k: Line 14) TCP_CHECK fwmark needs CAP_NET_ADMIN" + lacks + "fwmark cannot be set, and says nothing about the server",
		"(k: Line 15) TCP_CHECK bind_port needs CAP_NET_BIND_SERVICE" + lacks + "bind_port cannot be had, and says nothing about the server",
		"(k: Line 17) PING_CHECK needs CAP_NET_RAW" + lacks + "hosts cannot be pinged",
		"(k: Line 19) script /usr/bin/true needs CAP_SETUID" + lacks + "scripts cannot run as their users, and do not run",
		"(k: Line 19) script /usr/bin/true needs CAP_KILL" + lacks + "scripts of other users cannot be ended",
	}
	fifo := "(k: Line 4) notify_fifo needs CAP_CHOWN" + lacks + "the pipe cannot be given to its user, and is not used"
	pipe := "(k: Line 4) notify_fifo needs CAP_DAC_OVERRIDE" + lacks + "the pipe cannot be opened once it is its user's, as after a crash"
	told := func(has func(string) bool, vrrp, checkers bool) []string {
		c, m, r := LoadWritten(oneFile(conf), "k", Options{}, newFakeHost())
		if m == nil {
			t.Fatal(r.All())
		}
		before := r.ExitCode()
		c.TellMissing(has, vrrp, checkers, r)
		if r.ExitCode() != before {
			t.Error("the exit code is another")
		}
		var out []string
		for _, d := range r.All() {
			if strings.Contains(d.Text, lacks) {
				out = append(out, d.String())
			}
		}
		return out
	}
	none := func(string) bool { return false }
	for _, c := range []struct {
		name           string
		vrrp, checkers bool
		want           []string
	}{
		{"VRRP", true, false, append([]string{fifo, pipe}, vrrp...)},
		{"checkers", false, true, append([]string{lvs[0], lvs[1], fifo, pipe}, lvs[2:]...)},
		{"both", true, true, []string{lvs[0], lvs[1], fifo, pipe, vrrp[0], lvs[2], lvs[3], lvs[4], lvs[5], lvs[6], lvs[7], lvs[8], lvs[9], vrrp[1], vrrp[2], vrrp[3], vrrp[4]}},
	} {
		if diff := cmp.Diff(c.want, told(none, c.vrrp, c.checkers)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
	for _, line := range told(func(c string) bool { return c == PingSockets }, true, true) {
		if strings.Contains(line, "PING_CHECK") {
			t.Errorf("with ping sockets: %s", line)
		}
	}
	if all := told(func(string) bool { return true }, true, true); len(all) > 0 {
		t.Errorf("with all: %q", all)
	}

	elsewhere := func(string) error { return errors.New("elsewhere") }
	text, _, r := LoadText(oneFile("net_namespace blue\n"), "k", Options{Enter: elsewhere}, newFakeHost())
	r = r.Blank()
	if text.TellMissing(none, false, false, r); len(r.All()) != 1 || r.All()[0].String() != "(k: Line 1) net_namespace needs CAP_SYS_ADMIN"+lacks+"the network namespace cannot be entered" {
		t.Errorf("net_namespace: %v", r.All())
	}
}
