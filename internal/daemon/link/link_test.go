package link

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func pair(t *testing.T) (*Conn, *Conn) {
	t.Helper()
	a, f, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := fromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func sample() *model.Model {
	return &model.Model{
		Process: model.Process{RouterID: "r1", Instance: "blue", ChildWaitTime: 5 * time.Second, Umask: -1,
			StartupScript: &model.Script{Args: []string{"/bin/true"}, UID: 7, Groups: []uint32{1, 2}},
			Mail:          model.Mail{Server: netip.MustParseAddrPort("[2001:db8::1]:25"), Timeout: time.Second, To: []model.Mailbox{{Header: "a <b@c>", Addr: "b@c"}}}},
		VRRP: model.VRRP{Instances: []model.Instance{{
			Name: "VI_1", VRID: 51, Family: model.IPv4, Group: netip.MustParseAddr("224.0.0.18"), AuthPass: model.Secret("pw"),
			VIPs: []model.Address{{Prefix: netip.MustParsePrefix("10.1.0.100/24"), Interface: "eth0"}},
		}}},
	}
}

func TestRoundTrip(t *testing.T) {
	enc, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Message{
		{Kind: Load, Flags: Flags{VRRP: true, KeepIPVS: true, Namespace: "ns1", TempDir: "/tmp"}, Model: enc},
		{Kind: Load, Model: Encoded{}},
		{Kind: Reload, Flags: Flags{Checkers: true}, Model: enc},
		{Kind: Dump, Dump: StatsClear},
		{Kind: Stop}, {Kind: Ready}, {Kind: Reloaded}, {Kind: Heartbeat}, {Kind: ReloadRequested},
		{Kind: Refused, Text: "net_namespace cannot be changed"},
		{Kind: Fatal, Text: ""},
	} {
		t.Run(m.Kind.String(), func(t *testing.T) {
			a, b := pair(t)
			sent := make(chan error, 1)
			go func() { sent <- a.Send(m) }()
			got, err := b.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(m, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A model must mean the same at the other end, whatever zero values it has.
func TestModelRoundTrip(t *testing.T) {
	for name, m := range map[string]*model.Model{"zero": {}, "sample": sample()} {
		enc, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := enc.Decode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(m, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if c := model.Diff(m, got); !c.Empty() {
			t.Errorf("%s: Diff sees a change after the round trip: %+v", name, c)
		}
	}
}

func TestReceiveEOFWhenPeerGone(t *testing.T) {
	a, b := pair(t)
	b.Send(Message{Kind: Heartbeat}) // unread by a: the kernel then reports a reset to b
	a.Close()
	if _, err := b.Receive(); err != io.EOF {
		t.Errorf("Receive = %v, want io.EOF", err)
	}
}

func TestTrySendNeverWaits(t *testing.T) {
	a, b := pair(t)
	sent := 0
	for ; sent < 1<<20; sent++ {
		if err := a.TrySend(Message{Kind: Heartbeat}); errors.Is(err, ErrBusy) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if sent == 1<<20 {
		t.Fatal("a peer that never reads did not make the link busy")
	}
	for range sent {
		if m, err := b.Receive(); err != nil || m.Kind != Heartbeat {
			t.Fatalf("Receive = %v, %v", m, err)
		}
	}
	if err := a.TrySend(Message{Kind: Refused, Text: strings.Repeat("x", 1<<20)}); err != nil {
		t.Fatalf("TrySend after the peer caught up: %v", err)
	}
	if m, err := b.Receive(); err != nil || len(m.Text) != 4096-headerLen {
		t.Errorf("text of %d bytes, %v; want it cut to a page", len(m.Text), err)
	}
}

func TestReceiveRejects(t *testing.T) {
	for name, frame := range map[string]string{
		"kind zero":        "\x00\x00\x00\x00\x00",
		"kind unknown":     "\xff\x00\x00\x00\x00",
		"length too great": "\x02\xff\xff\xff\xff",
		"cut header":       "\x02\x00",
		"cut payload":      "\x07\x00\x00\x00\x05abc",
		"load without":     "\x01\x00\x00\x00\x00",
		"flags cut":        "\x01\x00\x00\x00\x04\x00\x00\x00\x09",
		"dump unknown":     "\x03\x00\x00\x00\x01\x09",
		"stop with text":   "\x04\x00\x00\x00\x01a",
	} {
		if m, err := read(strings.NewReader(frame)); err == nil || err == io.EOF {
			t.Errorf("%s: read = %v, %v; want an error", name, m, err)
		}
	}
}

// Whatever can be read is sent again as an equal message.
func FuzzRead(f *testing.F) {
	for _, m := range []Message{{Kind: Load, Flags: Flags{VRRP: true}, Model: Encoded("m")}, {Kind: Dump, Dump: JSON},
		{Kind: Refused, Text: "no"}, {Kind: Heartbeat}} {
		b, _ := m.encode()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(bytes.NewReader(b))
		if err != nil {
			return
		}
		out, err := m.encode()
		if err != nil {
			t.Fatalf("%+v cannot be sent again: %v", m, err)
		}
		again, err := read(bytes.NewReader(out))
		if err != nil {
			t.Fatalf("%+v cannot be read again: %v", m, err)
		}
		if d := cmp.Diff(m, again, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	})
}

// The parent reads and changes the head of a model without looking at the rest.
func TestHead(t *testing.T) {
	m := sample()
	enc, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	h, err := enc.Head()
	if err != nil || h.VRRP != (len(m.VRRP.Instances) > 0) || h.Checkers != (len(m.LVS.Services) > 0) || h.Process.RouterID != m.Process.RouterID {
		t.Fatalf("head %+v, %v", h, err)
	}
	h.Process.NetNamespace = "blue"
	if enc, err = enc.WithHead(h); err != nil {
		t.Fatal(err)
	}
	got, err := enc.Decode()
	if err != nil {
		t.Fatal(err)
	}
	m.Process.NetNamespace = "blue"
	if c := model.Diff(m, got); !c.Empty() {
		t.Errorf("with another head: %+v", c)
	}
	for _, cut := range []Encoded{nil, enc[:3], enc[:40], {0xff, 0xff, 0xff, 0xff, 0}} {
		if _, err := cut.Decode(); err == nil {
			t.Errorf("%d bytes are decoded", len(cut))
		}
	}
}
