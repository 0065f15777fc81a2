package lvs

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func TestAttributes(t *testing.T) {
	for _, test := range []struct {
		name   string
		v      model.VirtualServer
		family model.Family
		want   Attributes
	}{
		{"no persistence", model.VirtualServer{Scheduler: "rr"}, model.IPv4, Attributes{Scheduler: "rr", Netmask: 0xffffffff}},
		{"no persistence, IPv6", model.VirtualServer{Scheduler: "rr"}, model.IPv6, Attributes{Scheduler: "rr", Netmask: 128}},
		{"what only persistence uses", model.VirtualServer{Scheduler: "rr", Mask4: netip.MustParseAddr("255.0.0.0"), Prefix6: 64, Engine: "sip"},
			model.IPv4, Attributes{Scheduler: "rr", Netmask: 0xffffffff}},
		{"persistence", model.VirtualServer{Scheduler: "rr", Persistence: 6 * time.Minute, Mask4: netip.MustParseAddr("255.0.255.0"), Engine: "sip"},
			model.IPv4, Attributes{Scheduler: "rr", Flags: 1, Timeout: 360, Netmask: 0xff00ff00, Engine: "sip"}},
		{"persistence, IPv6", model.VirtualServer{Scheduler: "rr", Persistence: time.Minute, Prefix6: 64},
			model.IPv6, Attributes{Scheduler: "rr", Flags: 1, Timeout: 60, Netmask: 64}},
		{"flags", model.VirtualServer{Scheduler: "sh", Flags: model.FlagOnePacket | model.FlagSched2},
			model.IPv4, Attributes{Scheduler: "sh", Flags: 0x14, Netmask: 0xffffffff}},
	} {
		if got := attributes(&test.v, test.family); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func addrEntry(first, last string, port uint16) model.GroupEntry {
	return model.GroupEntry{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last), Port: port}
}

func markEntry(mark uint32, f model.Family) model.GroupEntry {
	return model.GroupEntry{FWMark: mark, IsFWMark: true, Family: f}
}

func TestGroupKeys(t *testing.T) {
	for _, test := range []struct {
		name    string
		family  model.Family
		entries []model.GroupEntry
		want    []string
	}{
		{"addresses in order, then marks", model.IPv4,
			[]model.GroupEntry{markEntry(5, 0), addrEntry("127.0.1.10", "127.0.1.12", 81), addrEntry("127.0.1.1", "127.0.1.1", 80)},
			[]string{"127.0.1.10:tcp:81", "127.0.1.11:tcp:81", "127.0.1.12:tcp:81", "127.0.1.1:tcp:80", "Fwm 5"}},
		{"over the last octet", model.IPv4, []model.GroupEntry{addrEntry("10.0.0.254", "10.0.1.1", 80)},
			[]string{"10.0.0.254:tcp:80", "10.0.0.255:tcp:80", "10.0.1.0:tcp:80", "10.0.1.1:tcp:80"}},
		{"IPv6 over the last word", model.IPv6, []model.GroupEntry{addrEntry("2001:db8::fffe", "2001:db8::1:1", 80)},
			[]string{"2001:db8::fffe:tcp:80", "2001:db8::ffff:tcp:80", "2001:db8::1:0:tcp:80", "2001:db8::1:1:tcp:80"}},
		{"the end of the address space", model.IPv4, []model.GroupEntry{addrEntry("255.255.255.255", "255.255.255.255", 80)},
			[]string{"255.255.255.255:tcp:80"}},
		{"written twice", model.IPv4, []model.GroupEntry{addrEntry("10.0.0.1", "10.0.0.2", 80), addrEntry("10.0.0.2", "10.0.0.3", 80)},
			[]string{"10.0.0.1:tcp:80", "10.0.0.2:tcp:80", "10.0.0.3:tcp:80"}},
		{"family of a mark", 0, []model.GroupEntry{markEntry(1, 0), markEntry(1, model.IPv6)}, []string{"Fwm 1", "Fwm 1 inet6"}},
		{"mark of the service's family", model.IPv6, []model.GroupEntry{markEntry(1, 0)}, []string{"Fwm 1 inet6"}},
	} {
		v := model.VirtualServer{Group: "G", Protocol: model.TCP, Family: test.family}
		var got []string
		for _, k := range groupKeys(&v, test.entries) {
			got = append(got, k.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	huge := model.VirtualServer{Group: "G", Protocol: model.TCP}
	if n := len(groupKeys(&huge, []model.GroupEntry{addrEntry("2001:db8::", "2001:db8:ffff::", 80)})); n != maxRange {
		t.Errorf("a huge range gives %d services, want %d", n, maxRange)
	}
}

func groupService(p model.Protocol, rs ...model.RealServer) model.VirtualServer {
	v := webService(rs...)
	v.Addr, v.Port, v.Group, v.Protocol = netip.Addr{}, 0, "G", p
	return v
}

func group(entries ...model.GroupEntry) []model.ServerGroup {
	return []model.ServerGroup{{Name: "G", Entries: entries}}
}

func port(n uint16) func(*model.RealServer) { return func(r *model.RealServer) { r.Port = n } }

func TestGroupPorts(t *testing.T) {
	w := newWorld(t, &model.LVS{Groups: group(addrEntry("10.0.0.1", "10.0.0.1", 80), addrEntry("10.0.0.2", "10.0.0.2", 90), markEntry(5, 0)),
		Services: []model.VirtualServer{groupService(model.TCP, real("127.0.0.11", dr), real("127.0.0.12", port(8080)))}})
	w.step("start", w.c.Start(nil), `
		say Gained quorum 1+0=1 <= 2 for VS [G]:0
		fifo VS [G]:0 UP and run QUP
		NEW_SERVICE 10.0.0.1:tcp:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:8080 w1
		NEW_SERVICE 10.0.0.2:tcp:90
		NEW_DEST 10.0.0.2:tcp:90 -> 127.0.0.11:90 w1
		NEW_DEST 10.0.0.2:tcp:90 -> 127.0.0.12:8080 w1
		NEW_SERVICE Fwm 5
		NEW_DEST Fwm 5 -> 127.0.0.11:0 w1
		NEW_DEST Fwm 5 -> 127.0.0.12:8080 w1`)
}

// The services of a group are told apart by protocol, whatever their order; entries come and go on their own.
func TestGroupReload(t *testing.T) {
	tcp, udp := groupService(model.TCP, real("127.0.0.11")), groupService(model.UDP, real("127.0.0.11"))
	udp.Seq = 1
	w := newWorld(t, &model.LVS{Groups: group(addrEntry("10.0.0.1", "10.0.0.2", 80)), Services: []model.VirtualServer{tcp, udp}})
	w.c.Start(nil)
	w.settle()
	tcp.Seq, udp.Seq = 1, 0
	w.step("swap", w.c.Reload(&model.LVS{Groups: group(addrEntry("10.0.0.1", "10.0.0.2", 80)), Services: []model.VirtualServer{udp, tcp}}, nil), ``)
	w.step("entries", w.c.Reload(&model.LVS{Groups: group(addrEntry("10.0.0.2", "10.0.0.3", 80), markEntry(7, 0)), Services: []model.VirtualServer{udp}}, nil), `
		say VS [[10.0.0.1]:udp:80-10.0.0.2] in group G no longer exists
		say Removing Virtual Server Group [G]
		say Removing service [127.0.0.11]:tcp:80 from VS [G]:1
		fifo RS [127.0.0.11]:tcp:80 [G]:1 DOWN and run RDOWN
		fifo VS [G]:1 DOWN and run QDOWN
		say VS [[10.0.0.2]:udp:80-10.0.0.3] added into group G
		say VS [FWM 7] added into group G
		DEL_SERVICE 10.0.0.1:tcp:80
		DEL_SERVICE 10.0.0.1:udp:80
		DEL_SERVICE 10.0.0.2:tcp:80
		NEW_SERVICE 10.0.0.3:udp:80
		NEW_DEST 10.0.0.3:udp:80 -> 127.0.0.11:80 w1
		NEW_SERVICE Fwm 7
		NEW_DEST Fwm 7 -> 127.0.0.11:80 w1`)
}

// One mark behind two services of a group: the kernel has one service with the destinations of both.
func TestSharedMark(t *testing.T) {
	tcp, udp := groupService(model.TCP, real("127.0.0.11", weight(3))), groupService(model.UDP, real("127.0.0.11"), real("127.0.0.12"))
	l := &model.LVS{Groups: group(markEntry(7, 0)), Services: []model.VirtualServer{tcp, udp}}
	w := newWorld(t, l)
	w.c.Start(nil)
	want := []string{"NEW_SERVICE Fwm 7", "NEW_DEST Fwm 7 -> 127.0.0.11:80 w3", "NEW_DEST Fwm 7 -> 127.0.0.12:80 w1"}
	if got := w.settle(); !slices.Equal(got, want) {
		t.Errorf("start: %v, want %v", got, want)
	}
	w.c.Step(Event{Check: w.check("[G]:0", "127.0.0.11", 0), Kind: CheckDown}, nil)
	if got, want := w.settle(), []string{"SET_DEST Fwm 7 -> 127.0.0.11:80 w1"}; !slices.Equal(got, want) {
		t.Errorf("down in the first: %v, want %v", got, want)
	}
}

// A destination of the other family than its service needs a tunnel.
func TestMixedFamilies(t *testing.T) {
	tun := func(r *model.RealServer) { r.Method = model.Method{Forward: model.TUN} }
	w := newWorld(t, &model.LVS{Groups: group(addrEntry("10.0.0.1", "10.0.0.1", 80), addrEntry("2001:db8::1", "2001:db8::1", 80)),
		Services: []model.VirtualServer{groupService(model.TCP, real("127.0.0.11"), real("::1"), real("::2", tun))}})
	w.c.Start(nil)
	want := []string{
		"NEW_SERVICE 10.0.0.1:tcp:80", "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1", "NEW_DEST 10.0.0.1:tcp:80 -> ::2:80 w1",
		"NEW_SERVICE 2001:db8::1:tcp:80", "NEW_DEST 2001:db8::1:tcp:80 -> ::1:80 w1", "NEW_DEST 2001:db8::1:tcp:80 -> ::2:80 w1",
	}
	if d := cmp.Diff(want, w.settle()); d != "" {
		t.Error(d)
	}
}

func TestEncapsulation(t *testing.T) {
	full := model.Tunnel{Type: model.GUE, Port: 6080, Flags: 1}
	for _, test := range []struct{ in, want model.Method }{
		{model.Method{Forward: model.NAT, Tunnel: full}, model.Method{Forward: model.NAT}},
		{model.Method{Forward: model.TUN, Tunnel: full}, model.Method{Forward: model.TUN, Tunnel: full}},
		{model.Method{Forward: model.TUN, Tunnel: model.Tunnel{Type: model.GRE, Port: 1, Flags: 1}},
			model.Method{Forward: model.TUN, Tunnel: model.Tunnel{Type: model.GRE, Flags: 1}}},
		{model.Method{Forward: model.TUN, Tunnel: model.Tunnel{Type: model.IPIP, Port: 1, Flags: 1}}, model.Method{Forward: model.TUN}},
	} {
		if got := Encapsulation(test.in); got != test.want {
			t.Errorf("%+v: %+v, want %+v", test.in, got, test.want)
		}
	}
}

func TestPlan(t *testing.T) {
	key := func(a string) ServiceKey {
		return ServiceKey{Family: model.IPv4, Protocol: model.TCP, Addr: netip.MustParseAddr(a), Port: 80}
	}
	dest := func(a string) DestKey { return DestKey{netip.MustParseAddr(a), 80} }
	rr := Attributes{Scheduler: "rr"}
	have := Table{
		key("10.0.0.1"): {rr, map[DestKey]Dest{dest("127.0.0.1"): {Weight: 1}, dest("127.0.0.2"): {Weight: 1}, dest("127.0.0.3"): {Weight: 1}}},
		key("10.0.0.2"): {rr, map[DestKey]Dest{dest("127.0.0.1"): {Weight: 1}}},
		key("10.0.0.3"): {},
	}
	want := Table{
		key("10.0.0.1"): {Attributes{Scheduler: "wlc"}, map[DestKey]Dest{dest("127.0.0.0"): {Weight: 1}, dest("127.0.0.2"): {Weight: 1}, dest("127.0.0.3"): {Weight: 2}}},
		key("10.0.0.2"): {},
		key("10.0.0.3"): {rr, nil},
	}
	var got []string
	for _, op := range Plan(have, want) {
		got = append(got, op.String())
	}
	if d := cmp.Diff([]string{
		"DEL_SERVICE 10.0.0.2:tcp:80",
		"SET_SERVICE 10.0.0.1:tcp:80",
		"DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.1:80",
		"SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.3:80 w2",
		"NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.0:80 w1",
		"NEW_SERVICE 10.0.0.3:tcp:80",
	}, got); d != "" {
		t.Error(d)
	}
	if ops := Plan(want, want); len(ops) != 0 {
		t.Errorf("equal tables: %v", ops)
	}
}
