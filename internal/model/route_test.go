package model

import (
	"bytes"
	"encoding/gob"
	"net/netip"
	"reflect"
	"testing"
)

func routingModel() *Model {
	m := sample()
	i := &m.VRRP.Instances[0]
	i.Routes = []Route{{Family: IPv4, Type: 1, Table: 254, Dst: netip.MustParsePrefix("10.0.0.0/8"), Protocol: KeepalivedProto,
		Hops: []NextHop{{Via: netip.MustParseAddr("10.1.0.9"), Weight: 2, Encap: &Encap{Kind: EncapIP, Dst: netip.MustParseAddr("1.2.3.4")}}, {Dev: "eth1"}}}}
	i.Routes[0].PutMetric(MetricMTU, 1400, true)
	i.Rules = []Rule{{Family: IPv4, Action: RuleTable, Table: 100, Priority: 5, SuppressPrefix: -1, SuppressGroup: -1, OIF: "eth2"}}
	m.VRRP.Statics = Objects{Addresses: []Address{{Prefix: netip.MustParsePrefix("10.5.0.1/24")}}, Routes: []Route{{Family: IPv4, Table: 254}},
		Rules: []Rule{{Family: IPv4, Priority: 7}}}
	return m
}

func TestDiffOfRouting(t *testing.T) {
	if c := Diff(routingModel(), routingModel()); !c.Empty() {
		t.Errorf("Diff of equal models = %+v", c)
	}
	vi := Set[InstanceKey]{Changed: []InstanceKey{sample().VRRP.Instances[0].Key()}}
	for name, c := range map[string]struct {
		edit func(*VRRP)
		want Changes
	}{
		"a hop's weight":         {func(v *VRRP) { v.Instances[0].Routes[0].Hops[0].Weight = 3 }, Changes{Instances: vi}},
		"a metric":               {func(v *VRRP) { v.Instances[0].Routes[0].PutMetric(MetricMTU, 1300, true) }, Changes{Instances: vi}},
		"a rule's priority":      {func(v *VRRP) { v.Instances[0].Rules[0].Priority++ }, Changes{Instances: vi}},
		"a static route":         {func(v *VRRP) { v.Statics.Routes[0].Table = 9 }, Changes{VRRPGlobal: true}},
		"no static rule":         {func(v *VRRP) { v.Statics.Rules = nil }, Changes{VRRPGlobal: true}},
		"a polled link":          {func(v *VRRP) { v.Linkbeat = []Linkbeat{{Interface: "eth0"}} }, Changes{VRRPGlobal: true}},
		"vrrp_netlink_cmd_rcv":   {func(v *VRRP) { v.CommandRxBuf.Bytes = 9 }, Changes{VRRPGlobal: true}},
		"an instance's rx_bufs":  {func(v *VRRP) { v.Instances[0].RxBuf = 9 }, Changes{Instances: vi}},
		"promote_secondaries on": {func(v *VRRP) { v.Instances[0].PromoteSecondary = true }, Changes{Instances: vi}},
	} {
		m := routingModel()
		c.edit(&m.VRRP)
		if got := Diff(routingModel(), m); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: Diff = %+v, want %+v", name, got, c.want)
		}
	}
}

func TestGobOfRouting(t *testing.T) {
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(routingModel()); err != nil {
		t.Fatal(err)
	}
	var got Model
	if err := gob.NewDecoder(&buf).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if c := Diff(routingModel(), &got); !c.Empty() {
		t.Errorf("the decoded model differs: %+v", c)
	}
}

func TestNeeds(t *testing.T) {
	m := routingModel()
	i := &m.VRRP.Instances[0]
	i.StaticInterfaces = []string{"eth9"}
	if got, want := i.Needs(), []string{"eth9", "eth1", "eth2", "eth0"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Needs() = %q, want %q", got, want)
	}
	i.Routes[0].NoTrack, i.Rules[0].NoTrack, i.VIPs[0].NoTrack = true, true, true
	if got, want := i.Needs(), []string{"eth9"}; !reflect.DeepEqual(got, want) {
		t.Errorf("without tracking Needs() = %q, want %q", got, want)
	}
}
