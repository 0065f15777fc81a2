package netlink

import (
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

func index(name string) (int, error) {
	if i, ok := map[string]int{"eth0": 2, "eth1": 3}[name]; ok {
		return i, nil
	}
	return 0, unix.ENODEV
}

func samples() (out []hostnet.Routing) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	for _, r := range []model.Route{
		{Family: model.IPv4, Dst: prefix("10.0.0.0/8"), NextHop: model.NextHop{Via: addr("10.1.0.9"), Dev: "eth0"}},
		{Family: model.IPv4, Dst: prefix("0.0.0.0/0"), Table: 4000000000, TOS: 16, Metric: 7, PrefSrc: addr("10.1.0.1"), NextHop: model.NextHop{Dev: "eth1"}},
		{Family: model.IPv4, Dst: prefix("10.0.0.0/8"), Hops: []model.NextHop{{Via: addr("10.1.0.9"), OnLink: true}, {Dev: "eth1", Weight: 256,
			Encap: &model.Encap{Kind: model.EncapIP, ID: 5}}}},
		{Family: model.IPv6, Dst: prefix("fd00::/64"), From: prefix("fd01::/64"), Metric: 1024, Expires: 9, Pref: 3, PrefSet: true, NextHop: model.NextHop{Dev: "eth0",
			Encap: &model.Encap{Kind: model.EncapMPLS, Labels: "100/200"}}},
	} {
		r.Type, r.Protocol = 1, model.KeepalivedProto
		if r.Table == 0 {
			r.Table = 254
		}
		out = append(out, hostnet.Routing{Route: &r})
	}
	for _, r := range []model.Rule{
		{Family: model.IPv4, Action: model.RuleTable, Table: 100, Priority: 5, From: prefix("10.0.0.0/8"), To: prefix("0.0.0.0/0"), IIF: "eth0", OIF: "eth1"},
		{Family: model.IPv6, Action: model.RuleTable, Table: 4000000000, To: prefix("fd00::/64"), TOS: 8, Mark: 3, MarkSet: true},
		{Family: model.IPv4, Action: model.RuleL3MDev, Priority: 7},
		{Family: model.IPv4, Action: model.RuleProhibit, Priority: 8, Not: true},
	} {
		r.Protocol, r.SuppressPrefix, r.SuppressGroup = model.KeepalivedProto, -1, -1
		out = append(out, hostnet.Routing{Rule: &r})
	}
	return out
}

func encoded(t testing.TB, o hostnet.Routing) *syscall.NetlinkMessage {
	t.Helper()
	b, err := encodeRouting(hostnet.RoutingOp{Routing: o}, index, 9)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := syscall.ParseNetlinkMessage(b)
	if err != nil || len(msgs) != 1 {
		t.Fatalf("%v: %d messages, %v", o, len(msgs), err)
	}
	return &msgs[0]
}

// TestDecodeRouting: a message like the one that sets an object is known again as that object and as no other.
func TestDecodeRouting(t *testing.T) {
	list := samples()
	at := func(name string) int { i, _ := index(name); return i }
	for i, o := range list {
		e, ok := decodeRouting(encoded(t, o))
		if !ok || e.Gone {
			t.Errorf("%v decodes to %+v, %v", o, e, ok)
			continue
		}
		for k, other := range list {
			if e.Is(other, at) != (k == i) {
				t.Errorf("%v is taken for %v: %v", o, other, k != i)
			}
		}
	}
	r := *list[0].Route
	r.Protocol = 3
	if _, ok := decodeRouting(encoded(t, hostnet.Routing{Route: &r})); ok {
		t.Error("a route of another protocol is told")
	}
	if _, err := encodeRouting(hostnet.RoutingOp{Routing: hostnet.Routing{Route: &model.Route{Dst: r.Dst, NextHop: model.NextHop{Dev: "gone0"}}}}, index, 9); err != unix.ENODEV {
		t.Errorf("an interface that is not there gives %v", err)
	}
}

// TestProtocolFilter runs the filter as the kernel does.
func TestProtocolFilter(t *testing.T) {
	vm, err := bpf.NewVM(protocolFilter)
	if err != nil {
		t.Fatal(err)
	}
	passes := func(typ uint16, protocol byte) bool {
		b := make([]byte, 28)
		native.PutUint16(b[4:], typ)
		b[protocolAt] = protocol
		n, err := vm.Run(b)
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	for _, typ := range []uint16{unix.RTM_NEWROUTE, unix.RTM_DELROUTE} {
		if !passes(typ, 18) || passes(typ, 3) || passes(typ, 0) {
			t.Errorf("routes, type %d: ours %v, others %v", typ, passes(typ, 18), passes(typ, 3))
		}
	}
	if !passes(unix.RTM_DELRULE, 0) || !passes(unix.NLMSG_ERROR, 0) {
		t.Error("other messages do not pass")
	}
}

// FuzzDecodeRouting: nothing makes decodeRouting panic, and what it accepts makes sense.
func FuzzDecodeRouting(f *testing.F) {
	for _, o := range samples() {
		m := encoded(f, o)
		f.Add(m.Header.Type, m.Data)
	}
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		e, ok := decodeRouting(&syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: typ}, Data: data})
		if ok && !e.Rule && (!e.Dst.IsValid() || e.Dst.Addr().Is4() != (e.Family == model.IPv4)) {
			t.Errorf("a route to %v of family %v", e.Dst, e.Family)
		}
	})
}

func TestCulprit(t *testing.T) {
	var c culprits
	if got := c.name(0); got != "" {
		t.Errorf("the kernel is called %q", got)
	}
	const gone = 1<<22 - 1 // hardly any process has the greatest number
	if got := c.name(gone); got != "process 4194303, which has ended" {
		t.Errorf("an ended process is called %q", got)
	}
	if got := c.name(1<<31 + 7); got != "the owner of netlink port 2147483655" {
		t.Errorf("an unknown port is called %q", got)
	}
}
