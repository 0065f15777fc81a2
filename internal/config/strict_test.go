package config

import (
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// What strict mode does about each thing that the RFCs do not have: it says so, and goes on as they say or not at all.
func TestStrict(t *testing.T) {
	load := func(lines, vips string) (*model.Instance, string, bool) {
		text := "global_defs {\n  vrrp_strict\n}\nvrrp_instance A {\n  interface eth0\n  virtual_router_id 51\n  " + lines +
			"\n  virtual_ipaddress {\n    " + vips + "\n  }\n}\n"
		m, r := Load(oneFile(text), "k", Options{}, newFakeHost())
		var said strings.Builder
		for _, d := range r.All() {
			said.WriteString(d.String() + "\n")
		}
		if m == nil || r.Refused() || len(m.VRRP.Instances) == 0 {
			return nil, said.String(), true
		}
		return &m.VRRP.Instances[0], said.String(), false
	}
	const pass = "authentication {\n    auth_type PASS\n    auth_pass x\n  }"
	for _, c := range []struct {
		name, lines, vips string
		say               string // part of what is said; empty: nothing
		is                func(*model.Instance) bool
	}{
		{"V-J01 nothing forbidden", "", "192.0.2.1", "", func(i *model.Instance) bool {
			return i.Strict && !i.Accept && i.LowerPrioNoAdvert && i.GARP.LowerPrioRepeat == 0 && i.DownTimerAdverts == 3
		}},
		{"V-J01 authentication", pass, "192.0.2.1", "Strict mode does not support authentication. Ignoring.",
			func(i *model.Instance) bool { return i.AuthType == model.AuthNone && i.AuthPass == nil }},
		{"V-J01 state without the priority", "state MASTER\n  priority 100", "192.0.2.1", "State MASTER must match being address owner",
			func(i *model.Instance) bool { return i.Initial == model.Backup }},
		{"V-J01 IPv6 with version 2", "version 2", "fe80::1", "cannot use IPv6 with VRRP version 2; setting version 3",
			func(i *model.Instance) bool { return i.Version == 3 }},
		{"V-J01 the first IPv6 address", "version 3", "2001:db8::1", "the first IPv6 VIP address must be link local",
			func(i *model.Instance) bool { return len(i.VIPs) == 1 }},
		{"V-J01 preempt_delay", "preempt_delay 3", "192.0.2.1", "preempt_delay is incompatible with strict mode - resetting",
			func(i *model.Instance) bool { return i.PreemptDelay == 0 }},
		{"V-J01 down_timer_adverts", "down_timer_adverts 5", "192.0.2.1", "down_timer_adverts is incompatible with strict mode - resetting",
			func(i *model.Instance) bool { return i.DownTimerAdverts == 3 }},
		{"V-J01 garp_lower_prio_repeat", "garp_lower_prio_repeat 2", "192.0.2.1", "Strict mode requires no repeat garps. resetting",
			func(i *model.Instance) bool { return i.GARP.LowerPrioRepeat == 0 }},
		{"V-J01 lower_prio_no_advert", "lower_prio_no_advert off", "192.0.2.1", "Strict mode requires no lower priority advert. resetting",
			func(i *model.Instance) bool { return i.LowerPrioNoAdvert }},
		{"V-J01 higher_prio_send_advert", "higher_prio_send_advert on", "192.0.2.1", "strict mode requires higher_prio_send_advert to be clear. resetting",
			func(i *model.Instance) bool { return !i.HigherPrioAdvert }},
		{"V-J01 accept with version 2", "accept", "192.0.2.1", "accept mode for VRRP version 2 does not comply with RFC3768 - resetting",
			func(i *model.Instance) bool { return !i.Accept }},
		{"V-J01 an owner ignores adverts", "state MASTER\n  priority 255", "192.0.2.1", "", func(i *model.Instance) bool { return i.OwnerIgnoreAdvert && i.Accept }},
		{"V-J01 auth_hmac", "auth_hmac {\n    key 1 0123456789abcdef0123456789abcdef\n    active_key 1\n    mode permissive\n  }", "192.0.2.1",
			"strict mode allows only auth_hmac mode enforce", func(i *model.Instance) bool { return i.HMAC.On() && i.HMAC.Mode == model.HMACEnforce }},
		{"V-J02 unicast", "unicast_peer {\n    192.0.2.7\n  }", "192.0.2.1", "Unicast peers are not supported in strict mode", nil},
		{"V-J03 no address", "", "", "No VIP specified; at least one is required", nil},
		{"V-J04 an interval of no whole seconds", "advert_int 1.5", "192.0.2.1", "must be an integer. rounding to 2s",
			func(i *model.Instance) bool { return i.AdvertInt == 2*time.Second }},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, said, refused := load(c.lines, c.vips)
			if c.say == "" && said != "" || !strings.Contains(said, c.say) {
				t.Errorf("said %q, want %q", said, c.say)
			}
			if refused != (c.is == nil) {
				t.Fatalf("refused: %v", refused)
			}
			if c.is != nil && !c.is(i) {
				t.Errorf("%+v", *i)
			}
		})
	}
}
