package model

import (
	"bytes"
	"encoding/gob"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

func sample() *Model {
	return &Model{
		Process: Process{RouterID: "r1", ChildWaitTime: 5 * time.Second},
		VRRP: VRRP{
			Instances: []Instance{{
				Name: "VI_1", Interface: "eth0", Family: IPv4, VRID: 51, Version: 2, Priority: 100, AdvertInt: time.Second,
				Group: netip.MustParseAddr("224.0.0.18"), AuthPass: Secret("1234"),
				VIPs:         []Address{{Prefix: netip.MustParsePrefix("10.1.0.100/24"), Interface: "eth0"}},
				NotifyMaster: &Script{Args: []string{"/bin/true"}},
			}},
			Scripts: []TrackScript{{Name: "chk", Script: Script{Args: []string{"/bin/chk"}}, Interval: time.Second}},
		},
		LVS: LVS{
			Groups: []ServerGroup{{Name: "G", Entries: []GroupEntry{{First: netip.MustParseAddr("10.0.0.1"),
				Last: netip.MustParseAddr("10.0.0.9"), Port: 80}}}},
			Services: []VirtualServer{
				{Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Protocol: TCP, Family: IPv4,
					Real: []RealServer{{Addr: netip.MustParseAddr("10.0.0.2"), Port: 80, Weight: 1}}},
				{Group: "G", Protocol: TCP, Family: IPv4},
			},
		},
	}
}

func TestDiffOfEqualIsEmpty(t *testing.T) {
	if c := Diff(sample(), sample()); !c.Empty() {
		t.Errorf("Diff of equal models = %+v", c)
	}
}

func TestDiff(t *testing.T) {
	vi := sample().VRRP.Instances[0].Key()
	vs := sample().LVS.Services[0].Key()
	group := sample().LVS.Services[1].Key()
	moved := vi
	moved.VRID = 52
	for _, c := range []struct {
		name string
		edit func(*Model)
		want Changes
	}{
		{"a changed priority", func(m *Model) { m.VRRP.Instances[0].Priority = 90 },
			Changes{Instances: Set[InstanceKey]{Changed: []InstanceKey{vi}}}},
		{"a renamed instance is the same one", func(m *Model) { m.VRRP.Instances[0].Name = "other" },
			Changes{Instances: Set[InstanceKey]{Changed: []InstanceKey{vi}}}},
		{"another VRID is another instance", func(m *Model) { m.VRRP.Instances[0].VRID = 52 },
			Changes{Instances: Set[InstanceKey]{Added: []InstanceKey{moved}, Removed: []InstanceKey{vi}}}},
		{"a real server's weight", func(m *Model) { m.LVS.Services[0].Real[0].Weight = 5 },
			Changes{VirtualServers: Set[ServiceKey]{Changed: []ServiceKey{vs}}}},
		{"a group's entry changes its service", func(m *Model) { m.LVS.Groups[0].Entries[0].Port = 81 },
			Changes{VirtualServers: Set[ServiceKey]{Changed: []ServiceKey{group}}}},
		{"a script's interval", func(m *Model) { m.VRRP.Scripts[0].Interval = time.Minute },
			Changes{TrackScripts: Set[string]{Changed: []string{"chk"}}}},
		{"router_id", func(m *Model) { m.Process.RouterID = "r2" }, Changes{Process: true}},
		{"lvs_flush", func(m *Model) { m.LVS.Flush = true }, Changes{LVSGlobal: true}},
		{"log_unknown_vrids", func(m *Model) { m.VRRP.LogUnknownVRIDs = true }, Changes{VRRPGlobal: true}},
	} {
		m := sample()
		c.edit(m)
		if got := Diff(sample(), m); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: Diff = %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestMatchByPeers(t *testing.T) {
	unicast := func(name string, peers ...string) Instance {
		i := sample().VRRP.Instances[0]
		i.Name = name
		for _, p := range peers {
			i.Peers = append(i.Peers, Peer{Addr: netip.MustParseAddr(p), MaxTTL: 255})
		}
		return i
	}
	a, b := unicast("A", "10.0.0.2"), unicast("B", "10.0.0.3")
	for _, c := range []struct {
		name     string
		old, new []Instance
		want     []int
	}{
		{"the same, in another order", []Instance{a, b}, []Instance{b, a}, []int{1, 0}},
		{"a peer more", []Instance{a}, []Instance{unicast("A", "10.0.0.2", "10.0.0.4")}, []int{0}},
		{"one of two has another peer", []Instance{a, b}, []Instance{a, unicast("B", "10.0.0.4")}, []int{0, 1}},
		{"both have: nobody can tell", []Instance{a, b}, []Instance{unicast("A", "10.0.0.4"), unicast("B", "10.0.0.5")}, []int{-1, -1}},
		{"no longer unicast", []Instance{a}, []Instance{unicast("A")}, []int{-1}},
	} {
		if got := Match(c.old, c.new); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: Match = %v, want %v", c.name, got, c.want)
		}
	}
	if got := Diff(&Model{VRRP: VRRP{Instances: []Instance{a}}},
		&Model{VRRP: VRRP{Instances: []Instance{unicast("A", "10.0.0.4")}}}).Instances; len(got.Changed) != 1 || len(got.Added)+len(got.Removed) != 0 {
		t.Errorf("another peer: Diff = %+v, want one changed", got)
	}
}

// TestGob: the loader hands the model over in gob form, and what arrives must be what was sent.
func TestGob(t *testing.T) {
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(sample()); err != nil {
		t.Fatal(err)
	}
	var got Model
	if err := gob.NewDecoder(&buf).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if c := Diff(sample(), &got); !c.Empty() {
		t.Errorf("the decoded model differs: %+v", c)
	}
}

func TestSameProbe(t *testing.T) {
	url := func(path string) Check {
		return Check{Kind: HTTPGet, HTTP: &HTTPOpts{URLs: []URL{{Path: path, Digest: []byte{1}}}}}
	}
	misc := func(args ...string) Check {
		return Check{Kind: MiscCheck, Misc: &MiscOpts{Script: Script{Args: args}}}
	}
	with := func(c Check, f func(*Check)) Check { f(&c); return c }
	for _, test := range []struct {
		name string
		a, b Check
		want bool
	}{
		{"TLS or not", url("/"), with(url("/"), func(c *Check) { c.Kind = SSLGet }), true},
		{"path", url("/"), url("/x"), false},
		{"digest", url("/"), with(url("/"), func(c *Check) { c.HTTP.URLs[0].Digest = []byte{2} }), false},
		{"number of urls", url("/"), with(url("/"), func(c *Check) { c.HTTP.URLs = append(c.HTTP.URLs, URL{}) }), false},
		{"tls_compliant", url("/"), with(url("/"), func(c *Check) { c.HTTP.URLs[0].TLSClose = true }), true},
		{"fast_recovery", url("/"), with(url("/"), func(c *Check) { c.HTTP.FastRecovery = true }), true},
		{"delay_loop", url("/"), with(url("/"), func(c *Check) { c.DelayLoop = 1 }), true},
		{"fwmark", url("/"), with(url("/"), func(c *Check) { c.Conn.Mark = 1 }), false},
		{"kind", url("/"), Check{Kind: TCPCheck}, false},
		{"misc_timeout", misc("a"), with(misc("a"), func(c *Check) { c.Misc.Timeout = 1 }), true},
		{"script", misc("a", "b"), misc("a", "c"), false},
		{"misc_dynamic", misc("a"), with(misc("a"), func(c *Check) { c.Misc.Dynamic = true }), false},
		{"HELO", Check{Kind: SMTPCheck}, Check{Kind: SMTPCheck, SMTP: SMTPOpts{HELO: "x"}}, false},
		{"DNS name", Check{Kind: DNSCheck}, Check{Kind: DNSCheck, DNS: DNSOpts{Name: "x"}}, false},
		{"UDP payload", Check{Kind: UDPCheck}, Check{Kind: UDPCheck, UDP: &UDPOpts{Payload: []byte{1}}}, false},
	} {
		if got := test.a.SameProbe(&test.b); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
