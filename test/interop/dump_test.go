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

// In the same state the dumps say the same, line by line, but for what the table below names.
func TestDumps(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	newest, err := oracle.Newest()
	if err != nil {
		t.Fatalf("nothing to compare with: %v", err)
	}
	old, err := oracle.Installed()
	if err != nil {
		t.Fatalf("nothing to compare with: %v", err)
	}
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("the original is what is compared with")
	}
	for name, config := range dumpConfigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var theirs, older, ours map[string]string
			t.Run("live", func(t *testing.T) {
				t.Run("newest", func(t *testing.T) { t.Parallel(); theirs = dumps(t, newest, config) })
				t.Run("old", func(t *testing.T) { t.Parallel(); older = dumps(t, old, config) })
				t.Run("ours", func(t *testing.T) { t.Parallel(); ours = dumps(t, lab.Ours(), config) })
			})
			if t.Failed() {
				return
			}
			for row, file := range map[string]string{"V-I12 data": "keepalived.data", "V-I12 parent": "keepalived_parent.data", "V-I12 stats": "keepalived.stats", "V-I11 JSON": "keepalived.json"} {
				t.Run(row, func(t *testing.T) {
					if diff := cmp.Diff(lines(theirs[file], newer), lines(ours[file], nil)); diff != "" {
						t.Errorf("newest (-original +ours):\n%s", diff)
					}
					if file == "keepalived.stats" || file == "keepalived.json" { // the older .data lacks what came since
						if diff := cmp.Diff(lines(older[file], newer), lines(ours[file], nil)); diff != "" {
							t.Errorf("2.2.7 (-original +ours):\n%s", diff)
						}
					}
				})
			}
		})
	}
}

var dumpConfigs = map[string]string{
	"plain": `global_defs {
  script_user root
  enable_script_security
}
` + lab.Instance{Priority: 150}.String(),
	"no server": `global_defs {
  script_user root
  enable_script_security
  no_email_faults
  notification_email {
    ops@example.com
  }
  notification_email_from ka@example.com
}
` + strings.Replace(lab.Instance{Priority: 150}.String(), "virtual_ipaddress {", "no_virtual_ipaddress\n  virtual_ipaddress {", 1),
	"directions": `global_defs {
  script_user root
  enable_script_security
}
vrrp_script s {
  script "/usr/bin/true"
  interval 1
  weight 7 reverse
}
track_file f {
  file /tmp/f
  weight 2 reverse
}
vrrp_sync_group G {
  group {
    VI_2
    VI_3
  }
  sync_group_tracking_weight
  smtp_alert
  track_script {
    s weight 6
  }
  notify_master "/usr/bin/true gm"
}
vrrp_instance VI_1 {
  interface eth0
  virtual_router_id 51
  priority 150
  advert_int 0.2
  version 3
  track_script {
    s weight 4
  }
  track_file {
    f weight 5
  }
  virtual_ipaddress {
    10.1.0.100/24
  }
}
vrrp_instance VI_2 {
  interface eth0
  virtual_router_id 52
  priority 150
  advert_int 0.2
  version 3
  track_file {
    f weight 0 noreverse
  }
  virtual_ipaddress {
    10.1.0.101 peer 10.1.0.9
    10.1.0.102/0 brd -
  }
}
vrrp_instance VI_3 {
  interface eth0
  virtual_router_id 53
  priority 160
  advert_int 0.2
  version 3
  virtual_ipaddress {
    10.1.0.103/24
  }
}
`,
	"much": `global_defs {
  router_id RTR1
  script_user root
  enable_script_security
  use_symlink_paths
  notification_email {
    ops@example.com
    "Net Ops, Inc. <net@example.com>"
  }
  notification_email_from ka@example.com
  smtp_server 10.1.0.3 2525
  smtp_helo_name helo
  smtp_connect_timeout 7
  smtp_alert_vrrp off
  no_email_faults
  no_checker_emails
  checker_log_all_failures
  vrrp_notify_priority_changes
  fifo_write_vrrp_states_on_reload
  vrrp_mcast_group4 224.0.0.19
  vrrp_garp_master_delay 1
  vrrp_garp_master_repeat 2
  vrrp_garp_master_refresh 3
  vrrp_garp_master_refresh_repeat 4
  vrrp_garp_lower_prio_delay 6
  vrrp_garp_lower_prio_repeat 7
  vrrp_lower_prio_no_advert
  vrrp_higher_prio_send_advert
  vrrp_down_timer_adverts 4
  vrrp_version 3
  vrrp_check_unicast_src
  vrrp_skip_check_adv_addr
  vrrp_owner_ignore_adverts
  log_unknown_vrids
  vrrp_priority -5
  vrrp_cpu_affinity 1
  max_auto_priority 50
  min_auto_priority_delay 2000000
  vrrp_process_name pv
  checker_process_name pc
  bfd_process_name pb
  rs_init_notifies
  umask 077
  startup_script "/usr/bin/true a b"
  startup_script_timeout 3
  shutdown_script "/usr/bin/true c"
  shutdown_script_timeout 4
}
vrrp_script chk {
  script "/usr/bin/true a"
  interval 1
  weight 5
}
vrrp_sync_group G1 {
  group {
    VI_1
    VI_2
  }
  notify_master "/usr/bin/true gm"
}
vrrp_instance VI_1 {
  interface eth0
  virtual_router_id 51
  priority 150
  advert_int 0.2
  track_script {
    chk weight 0
  }
  virtual_ipaddress {
    10.1.0.100/24
  }
  virtual_ipaddress_excluded {
    10.1.0.200/24
  }
  notify /usr/bin/true
  notify_stop "/usr/bin/true 's t'"
}
vrrp_instance VI_2 {
  interface eth0
  virtual_router_id 52
  priority 160
  advert_int 0.2
  nopreempt
  virtual_ipaddress {
    fe80::5/64
    2001:db8::1/64
  }
  smtp_alert
}
`,
}

// dumps lets a daemon take over and returns what it writes then.
func dumps(t *testing.T, program, config string) map[string]string {
	l := lab.New(t, lab.Plan{Nodes: []string{"a", "c"}})
	d := l.Node("a").Start(program, config)
	l.WaitHolder(soon+lab.Instance{}.Down(), shared, "a")
	// Past the first block of announcements, and at rest.
	l.WaitFrames(soon, 6, "advert", lab.Adverts("a"), lab.VRID(51))
	out := map[string]string{"keepalived.data": d.Dump(syscall.SIGUSR1, "keepalived.data"), "keepalived_parent.data": d.Dump(syscall.SIGUSR1, "keepalived_parent.data"),
		"keepalived.stats": d.Dump(syscall.SIGUSR2, "keepalived.stats"), "keepalived.json": d.Dump(syscall.Signal(36), "keepalived.json")}
	d.Stop()
	return out
}

// change is what is another in the dumps of an older release.
type change struct {
	expr *regexp.Regexp
	with string
}

var (
	// chance is what differs between two runs of the same program.
	chance = []change{
		{regexp.MustCompile(`\d{9,}\.\d{6}( \([^)]*\))?`), "TIME"},
		{regexp.MustCompile(`fd_in( =)? \d+,? fd_out( =)? \d+`), "FDS"},
		{regexp.MustCompile(`("advert_sent":|Sent: )\d+`), "${1}N"},
		{regexp.MustCompile(`/tmp/[^' ,]*/`), "DIR/"},
	}
	// newer turns what 2.3.4 and 2.2.7 write into what 2.4.3 does, and keepalived-go.
	newer = []change{
		{regexp.MustCompile(` libnftnl version .*\n`), ""},
		{regexp.MustCompile(`(delay|repeat) = 4294967295\n`), "$1 = 5\n"}, // unset, in a process that is not VRRP
		{regexp.MustCompile(`   Not IPv6 forwarding. Last checked .*\n`), ""},
		{regexp.MustCompile(`  Priority Zero:\n`), "  Authentication Extension Errors:\n    Missing: 0\n    Malformed: 0\n    Unknown Key: 0\n" +
			"    Invalid HMAC: 0\n    Stale: 0\n    Replay: 0\n  Priority Zero:\n"},
		{regexp.MustCompile(`"pri_zero_rcvd"`), `"auth_ext_missing":0,"auth_ext_malformed":0,"auth_ext_unknown_key":0,"auth_ext_invalid_hmac":0,` +
			`"auth_ext_stale":0,"auth_ext_replay":0,"pri_zero_rcvd"`},
	}
)

func lines(text string, changes []change) []string {
	for _, c := range append(changes[:len(changes):len(changes)], chance...) {
		text = c.expr.ReplaceAllString(text, c.with)
	}
	text = strings.TrimSuffix(text, "\n")
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		return strings.Split(text, ",")
	}
	return strings.Split(text, "\n")
}
