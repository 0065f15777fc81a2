package netlink

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// TestEncode looks at the bytes where a kernel test cannot: what is not sent.
func TestEncode(t *testing.T) {
	if native.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the bytes below are little endian")
	}
	for _, c := range []struct {
		name string
		op   hostnet.Op
		want string
	}{
		{"IPv4 without options has neither broadcast nor lifetimes",
			hostnet.Op{Addr: model.Address{Prefix: netip.MustParsePrefix("10.0.0.1/24"), NoDAD: true}},
			"3000 0000 1400 0506 09000000 00000000  02 18 00 00 03000000  0800 0200 0a000001  0800 0100 0a000001  0500 0b00 12000000"},
		{"a lease replaces what is there",
			hostnet.Op{Replace: true, Addr: model.Address{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Lease: 5}},
			"4400 0000 1400 0505 09000000 00000000  02 18 00 00 03000000  0800 0200 0a000001  0800 0100 0a000001  0500 0b00 12000000" +
				"1400 0600 05000000 05000000 00000000 00000000"},
		{"the end of a lease",
			hostnet.Op{Replace: true, Addr: model.Address{Prefix: netip.MustParsePrefix("10.0.0.1/24")}},
			"4400 0000 1400 0505 09000000 00000000  02 18 00 00 03000000  0800 0200 0a000001  0800 0100 0a000001  0500 0b00 12000000" +
				"1400 0600 ffffffff ffffffff 00000000 00000000"},
		{"a removal says only which, label and scope not", hostnet.Op{Remove: true,
			Addr: model.Address{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Label: "x", Scope: 253, NoDAD: true,
				Peer: netip.MustParsePrefix("10.0.9.0/28")}},
			"2800 0000 1500 0500 09000000 00000000  02 1c 00 00 03000000  0800 0200 0a000001  0800 0100 0a000900"},
	} {
		if got, want := hex.EncodeToString(encode(c.op, 3, 9)), strings.ReplaceAll(c.want, " ", ""); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
		}
	}
}

func TestDecodeError(t *testing.T) {
	ack := &syscall.NetlinkMessage{Data: make([]byte, 20)}
	if e, ok := decodeError(ack); !ok {
		t.Errorf("acknowledgement decodes to %v", e)
	}
	short := &syscall.NetlinkMessage{Data: make([]byte, 19)}
	if e, ok := decodeError(short); ok || e == nil {
		t.Error("a short message acknowledges")
	}
	m := &syscall.NetlinkMessage{Header: syscall.NlMsghdr{Flags: unix.NLM_F_CAPPED | unix.NLM_F_ACK_TLVS, Seq: 5}}
	m.Data = native.AppendUint32(nil, uint32(0xffffffff-uint32(unix.EINVAL)+1))
	m.Data = append(m.Data, make([]byte, 16)...)
	native.PutUint16(m.Data[8:], unix.RTM_NEWADDR)
	m.Data = append(m.Data, 9, 0, 1, 0)
	m.Data = append(m.Data, "why?\x00\x00\x00\x00"...)
	if native.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the attribute above is little endian")
	}
	e, ok := decodeError(m)
	if ok || e.Errno != unix.EINVAL || e.Text != "why?" || e.Type != unix.RTM_NEWADDR || e.Seq != 5 {
		t.Errorf("decodeError = %+v, %v", e, ok)
	}
}

// FuzzDecode: nothing that claims to be from the kernel makes decode panic, and what it accepts makes sense.
func FuzzDecode(f *testing.F) {
	addr := encode(hostnet.Op{Addr: model.Address{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Label: "eth0:1"}}, 3, 9)
	f.Add(uint16(unix.RTM_NEWADDR), addr[16:])
	addr = encode(hostnet.Op{Addr: model.Address{Prefix: netip.MustParsePrefix("fd00::1/64"), PreferredLft: 9}}, 3, 9)
	f.Add(uint16(unix.RTM_DELADDR), addr[16:])
	f.Add(uint16(unix.RTM_NEWLINK), append(make([]byte, 16), "\x08\x00\x03\x00lo\x00\x00"...))
	f.Add(uint16(unix.NLMSG_ERROR), make([]byte, 20))
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		m := &syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: typ}, Data: data}
		decodeError(m)
		e, ok := decode(m)
		if !ok {
			return
		}
		switch e.Kind {
		case hostnet.LinkNew, hostnet.LinkDel:
			if e.Link.Index <= 0 || e.Link.Name == "" {
				t.Errorf("a link without index or name: %+v", e.Link)
			}
		case hostnet.AddrNew, hostnet.AddrDel:
			if !e.Addr.Prefix.IsValid() || e.Addr.IfIndex <= 0 {
				t.Errorf("an address without prefix or interface: %+v", e.Addr)
			}
		default:
			t.Errorf("event of kind %d", e.Kind)
		}
		var h hostnet.Host
		h.Apply(e)
	})
}
