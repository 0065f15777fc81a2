package ipvs

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

func header(attrs ...[]byte) []byte {
	return append(make([]byte, nl.SizeofGenlmsg), bytes.Join(attrs, nil)...)
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
		k, d, err := decodeDest(header(destAttr(test.key, &test.dest).Serialize()), other)
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
		attr *nl.RtAttr
		want string
	}{
		{"service", keyAttr(k), "30000100 06000100 02000000 06000200 06000000 14000300 0a000001 00000000 00000000 00000000 06000400 00500000"},
		{"mark", keyAttr(lvs.ServiceKey{Family: model.IPv6, FWMark: 258}), "14000100 06000100 0a000000 08000500 02010000"},
		{"deleted destination", destAttr(d, nil), "28000200 06000b00 02000000 14000100 0a000002 00000000 00000000 00000000 06000200 1f900000"},
		{"destination", destAttr(d, &lvs.Dest{Weight: 3, Upper: 5, Lower: 4, Method: model.Method{Forward: model.DR}}),
			"48000200 06000b00 02000000 14000100 0a000002 00000000 00000000 00000000 06000200 1f900000 08000300 03000000 08000400 03000000 08000500 05000000 08000600 04000000"},
	} {
		want, err := hex.DecodeString(string(slices.DeleteFunc([]byte(test.want), func(b byte) bool { return b == ' ' })))
		if err != nil {
			t.Fatal(err)
		}
		if got := test.attr.Serialize(); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", test.name, got, want)
		}
	}
}

func TestDecodeService(t *testing.T) {
	a := nl.NewRtAttr(attrService, nil)
	a.AddRtAttr(svcFamily, nl.Uint16Attr(2))
	a.AddRtAttr(svcProtocol, nl.Uint16Attr(17))
	a.AddRtAttr(svcAddr, rawAddr(netip.MustParseAddr("10.0.0.1")))
	a.AddRtAttr(svcPort, []byte{0, 53})
	a.AddRtAttr(svcScheduler, nl.ZeroTerminated("sh"))
	a.AddRtAttr(svcFlags, []byte{0x1f, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	a.AddRtAttr(svcTimeout, nl.Uint32Attr(360))
	a.AddRtAttr(svcNetmask, []byte{255, 255, 0, 0})
	a.AddRtAttr(svcEngine, nl.ZeroTerminated("sip"))
	k, s, err := decodeService(header(a.Serialize()))
	wantKey := lvs.ServiceKey{Family: model.IPv4, Protocol: model.UDP, Addr: netip.MustParseAddr("10.0.0.1"), Port: 53}
	want := lvs.Attributes{Scheduler: "sh", Flags: 0x1d, Timeout: 360, Netmask: 0xffff0000, Engine: "sip"}
	if err != nil || k != wantKey || s.Attributes != want {
		t.Errorf("got %v %+v, %v, want %v %+v", k, s.Attributes, err, wantKey, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(header(keyAttr(lvs.ServiceKey{Family: model.IPv4, FWMark: 1}).Serialize()))
	f.Add(header(destAttr(lvs.DestKey{Addr: netip.MustParseAddr("10.0.0.2")}, &lvs.Dest{Method: model.Method{Forward: model.TUN}}).Serialize()))
	f.Add([]byte("0000\x14\x00\x01\x00\x06\x00\x06\x000000\b\x00000000")) // a name without NUL
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, _, err := decodeService(b); err == nil && k.Family == 0 {
			t.Errorf("service without family from %x", b)
		}
		if k, _, err := decodeDest(b, model.IPv4); err == nil && !k.Addr.IsValid() {
			t.Errorf("destination without address from %x", b)
		}
	})
}
