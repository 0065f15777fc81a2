package ipvs

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// answer is the body of a generic netlink message.
func answer(fill func(*request)) []byte {
	r := make(request, 4)
	fill(&r)
	return r
}

func TestDestRoundTrip(t *testing.T) {
	k4, k6 := lvs.DestKey{Addr: netip.MustParseAddr("10.0.0.2"), Port: 8080}, lvs.DestKey{Addr: netip.MustParseAddr("2001:db8::2"), Port: 80}
	for _, test := range []struct {
		key  lvs.DestKey
		dest lvs.Dest
	}{
		{k4, lvs.Dest{Weight: 2147483647, Upper: 100000, Lower: 20}},
		{k6, lvs.Dest{Method: model.Method{Forward: model.DR}}},
		{k6, lvs.Dest{Method: model.Method{Forward: model.TUN}, Weight: 1}},
		{k4, lvs.Dest{Method: model.Method{Forward: model.TUN, Tunnel: model.Tunnel{Type: model.GUE, Port: 6080, Flags: 2}}}},
		{k4, lvs.Dest{Method: model.Method{Forward: model.TUN, Tunnel: model.Tunnel{Type: model.GRE, Flags: 1}}}},
	} {
		// The family of the service is the other one: that of the destination must be told.
		other := model.IPv6
		if test.key == k6 {
			other = model.IPv4
		}
		k, d, err := decodeDest(answer(func(r *request) { r.dest(test.key, &test.dest) }), other)
		if err != nil || k != test.key || d != test.dest {
			t.Errorf("%v %+v: read back as %v %+v, %v", test.key, test.dest, k, d, err)
		}
	}
}

// The bytes that linux/ip_vs.h asks for, on a little-endian machine.
func TestDestBytes(t *testing.T) {
	if native.Uint16([]byte{1, 0}) != 1 {
		t.Skip("big-endian machine")
	}
	k := lvs.ServiceKey{Family: model.IPv4, Protocol: model.TCP, Addr: netip.MustParseAddr("10.0.0.1"), Port: 80}
	d := lvs.DestKey{Addr: netip.MustParseAddr("10.0.0.2"), Port: 8080}
	for _, test := range []struct {
		name string
		fill func(*request)
		want string
	}{
		{"service", func(r *request) { r.service(k, nil) }, "30000100 06000100 02000000 06000200 06000000 14000300 0a000001 00000000 00000000 00000000 06000400 00500000"},
		{"mark", func(r *request) { r.service(lvs.ServiceKey{Family: model.IPv6, FWMark: 258}, nil) }, "14000100 06000100 0a000000 08000500 02010000"},
		{"deleted destination", func(r *request) { r.dest(d, nil) }, "28000200 06000b00 02000000 14000100 0a000002 00000000 00000000 00000000 06000200 1f900000"},
		{"destination", func(r *request) {
			r.dest(d, &lvs.Dest{Weight: 3, Upper: 5, Lower: 4, Method: model.Method{Forward: model.DR}})
		},
			"48000200 06000b00 02000000 14000100 0a000002 00000000 00000000 00000000 06000200 1f900000 08000300 03000000 08000400 03000000 08000500 05000000 08000600 04000000"},
	} {
		want, err := hex.DecodeString(string(slices.DeleteFunc([]byte(test.want), func(b byte) bool { return b == ' ' })))
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(test.fill)[4:]; !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", test.name, got, want)
		}
	}
}

func TestDecodeService(t *testing.T) {
	k, s, err := decodeService(answer(func(r *request) {
		r.nested(attrService, func() {
			r.u16(svcFamily, 2)
			r.u16(svcProtocol, 17)
			r.addr(svcAddr, netip.MustParseAddr("10.0.0.1"))
			r.be16(svcPort, 53)
			r.text(svcScheduler, "sh")
			r.attr(svcFlags, 0x1f, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)
			r.u32(svcTimeout, 360)
			r.attr(svcNetmask, 255, 255, 0, 0)
			r.text(svcEngine, "sip")
		})
	}))
	wantKey := lvs.ServiceKey{Family: model.IPv4, Protocol: model.UDP, Addr: netip.MustParseAddr("10.0.0.1"), Port: 53}
	want := lvs.Attributes{Scheduler: "sh", Flags: 0x1d, Timeout: 360, Netmask: 0xffff0000, Engine: "sip"}
	if err != nil || k != wantKey || s.Attributes != want {
		t.Errorf("got %v %+v, %v, want %v %+v", k, s.Attributes, err, wantKey, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(answer(func(r *request) { r.service(lvs.ServiceKey{Family: model.IPv4, FWMark: 1}, nil) }))
	f.Add(answer(func(r *request) {
		r.dest(lvs.DestKey{Addr: netip.MustParseAddr("10.0.0.2")}, &lvs.Dest{Method: model.Method{Forward: model.TUN}})
	}))
	f.Add(answer(func(r *request) {
		r.daemon(Daemon{State: DaemonMaster, Interface: "eth0", ID: 1, MaxLen: 2, Group: netip.MustParseAddr("ff02::1"), Port: 3, TTL: 4})
	}))
	f.Add([]byte("0000\x14\x00\x01\x00\x06\x00\x06\x000000\b\x00000000")) // a name without NUL
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, _, err := decodeService(b); err == nil && k.Family == 0 {
			t.Errorf("service without family from %x", b)
		}
		if k, _, err := decodeDest(b, model.IPv4); err == nil && !k.Addr.IsValid() {
			t.Errorf("destination without address from %x", b)
		}
		decodeDaemon(b)
		decodeCounters(b, attrService)
		decodeCounters(b, attrDest)
	})
}

func TestDaemonRoundTrip(t *testing.T) {
	for _, d := range []Daemon{
		{State: DaemonMaster, Interface: "eth0", ID: 255, MaxLen: 1400, Group: netip.MustParseAddr("224.0.0.99"), Port: 9000, TTL: 3},
		{State: DaemonBackup, Interface: "eth0.1234567890", Group: netip.MustParseAddr("ff05::81")},
	} {
		got, err := decodeDaemon(answer(func(r *request) { r.daemon(d) }))
		if err != nil || got != d {
			t.Errorf("%+v: read back as %+v, %v", d, got, err)
		}
	}
	if got := answer(func(r *request) { r.daemon(Daemon{State: 1, Interface: "e", Port: 258}) }); !bytes.Contains(got, native.AppendUint16([]byte{6, 0, 7, 0}, 258)) {
		t.Errorf("the port is not in host order: %x", got)
	}
}

// 64-bit statistics count where the kernel has both.
func TestCounters(t *testing.T) {
	stats := func(wide bool, n uint64) func(r *request) {
		return func(r *request) {
			for kind := range uint16(5) {
				if v := n + uint64(kind); wide {
					r.attr(kind+1, native.AppendUint64(nil, v)...)
				} else {
					r.u32(kind+1, uint32(v))
				}
			}
		}
	}
	body := func(wide bool) []byte {
		return answer(func(r *request) {
			r.nested(attrDest, func() {
				r.u32(destActive, 7)
				r.u32(destInactive, 8)
				r.u32(destPersist, 9)
				if wide {
					r.nested(destStats64, func() { stats(true, 1<<40)(r) })
				}
				r.nested(destStats, func() { stats(false, 20)(r) })
			})
		})
	}
	for wide, want := range map[bool]Counters{
		true:  {1 << 40, 1<<40 + 1, 1<<40 + 2, 1<<40 + 3, 1<<40 + 4, 7, 8, 9},
		false: {20, 21, 22, 23, 24, 7, 8, 9},
	} {
		if got, err := decodeCounters(body(wide), attrDest); err != nil || got != want {
			t.Errorf("wide %t: %+v, %v, want %+v", wide, got, err, want)
		}
	}
}
