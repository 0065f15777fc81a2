package config

import (
	"strings"
	"testing"
)

const awayFromHome = `global_defs {
    script_user nosuchuser nosuchgroup
    enable_script_security
    vrrp_cpu_affinity 200
    smtp_server mail.invalid
}
vrrp_script chk {
    script "/no/such/dir/check --all"
}
vrrp_instance V {
    interface nosuch0
    virtual_router_id 7
    virtual_ipaddress {
        192.0.2.7/24 dev nosuch1
    }
    track_interface {
        nosuch2
    }
    track_script {
        chk
    }
    notify "/no/such/notify"
    notify_master bare
}
`

func TestOffline(t *testing.T) {
	m, r := Load(oneFile(awayFromHome), "k", Options{}, &Offline{})
	if m == nil || r.ExitCode() != 0 {
		t.Fatalf("exit code %d, want 0\n%s", r.ExitCode(), printed(r))
	}
	v := m.VRRP.Instances[0]
	if len(m.VRRP.Scripts) != 1 || v.Notify == nil || v.NotifyMaster == nil || len(v.TrackInterfaces) != 1 || v.Notify.UID != offlineID {
		t.Errorf("left out of the model: %+v", v)
	}
	// The same text is refused where its interfaces are known not to be there.
	if m, _ := Load(oneFile(awayFromHome), "k", Options{}, newFakeHost()); m != nil {
		t.Error("accepted on a host without its interfaces")
	}
}

// What is wrong with the text itself is found offline too.
func TestOfflineStillJudges(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{strings.Replace(awayFromHome, "virtual_router_id 7", "virtual_router_id 777", 1), "is not within 1 and 255"},
		{strings.Replace(awayFromHome, "    enable_script_security\n", "", 1), "script_security not enabled"},
		{strings.Replace(awayFromHome, "nosuch0", "lo", 1), "loopback interface"},
		{strings.Replace(awayFromHome, "        chk\n", "        chk2\n", 1), "chk2 not found"},
		{strings.Replace(awayFromHome, "    interface nosuch0\n", "", 1), "(V) Unknown interface!"},
	} {
		_, r := Load(oneFile(c.text), "k", Options{}, &Offline{})
		if r.ExitCode() == 0 || !strings.Contains(printed(r), c.want) {
			t.Errorf("exit code %d, want a finding with %q:\n%s", r.ExitCode(), c.want, printed(r))
		}
	}
}

// A program below a directory does not make the directory a program, nor the other way round.
func TestOfflinePrograms(t *testing.T) {
	h := &Offline{}
	for _, p := range []string{"/a/b", "/a/c"} {
		if err := executable(h, p, User{}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if flaw := insecurity(h, p, User{}); flaw != "" {
			t.Errorf("%s: %s", p, flaw)
		}
	}
}
