package vrrp

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func vips(list ...string) []model.Address {
	var out []model.Address
	for _, a := range list {
		out = append(out, model.Address{Prefix: netip.MustParsePrefix(a), Interface: "eth0"})
	}
	return out
}

// The vectors were captured from keepalived 2.4, all with priority 200. The IPv4 header checksum is the kernel's.
func TestAppendPacketVectors(t *testing.T) {
	const multicast = "45c0 0028 0001 0000 ff70 0000 0a010001 e0000012"
	peer := []model.Peer{{Addr: netip.MustParseAddr("10.1.0.2"), MaxTTL: 255}}
	key := model.HMAC{Keys: []model.HMACKey{{ID: 1, Key: model.Secret("0123456789abcdef0123456789abcdef")}}, Active: 1, Window: 5 * time.Second}
	tests := []struct {
		name string
		inst model.Instance
		dst  string
		want string
	}{
		{"v2", model.Instance{VRID: 1, Version: 2, AdvertInt: time.Second, VIPs: vips("10.1.0.101/32")}, "224.0.0.18",
			multicast + "21 01 c8 01 00 01 0c96 0a010065 0000000000000000"},
		{"v2 PASS", model.Instance{VRID: 2, Version: 2, AdvertInt: time.Second, VIPs: vips("10.1.0.102/32", "10.1.0.112/32"),
			AuthType: model.AuthPass, AuthPass: model.Secret("abcdef")}, "224.0.0.18",
			strings.Replace(multicast, "0028", "002c", 1) + "21 02 c8 02 01 01 d6f4 0a010066 0a010070 6162636465660000"},
		{"v3", model.Instance{VRID: 4, Version: 3, AdvertInt: 500 * time.Millisecond, VIPs: vips("10.1.0.104/32")}, "224.0.0.18",
			strings.Replace(multicast, "0028", "0020", 1) + "31 04 c8 01 0032 11ce 0a010068"},
		{"v3 unicast", model.Instance{VRID: 6, Version: 3, AdvertInt: time.Second, VIPs: vips("10.1.0.106/32"), Peers: peer}, "10.1.0.2",
			"45c0 0020 0001 0000 ff70 0000 0a010001 0a010002 31 06 c8 01 0064 e7a7 0a01006a"},
		{"v3 checksum as v2", model.Instance{VRID: 8, Version: 3, AdvertInt: time.Second, VIPs: vips("10.1.0.108/32"), V3ChecksumV2: true}, "224.0.0.18",
			strings.Replace(multicast, "0028", "0020", 1) + "31 08 c8 01 0064 fc24 0a01006c"},
		{"v3 IPv6, checksum by the kernel", model.Instance{Family: model.IPv6, VRID: 5, Version: 3, AdvertInt: time.Second,
			VIPs: vips("fe80::5/64", "2001:db8::5/64")}, "ff02::12",
			"31 05 c8 02 0064 0000 fe800000000000000000000000000005 20010db8000000000000000000000005"},
		{"unicast TTL", model.Instance{VRID: 1, Version: 2, AdvertInt: time.Second, VIPs: vips("10.1.0.101/32"), Peers: peer, UnicastTTL: 64}, "10.1.0.2",
			"45c0 0028 0001 0000 4070 0000 0a010001 0a010002 21 01 c8 01 00 01 0c96 0a010065 0000000000000000"},
		{"V-C03 v2 AH", model.Instance{VRID: 3, Version: 2, AdvertInt: time.Second, VIPs: vips("10.1.0.103/32"),
			AuthType: model.AuthAH, AuthPass: model.Secret("abcdef")}, "224.0.0.18",
			"45c0 0040 0001 0000 ff33 0000 0a010001 e0000012 7004 0000 0a010001 00000001 22746112a3df6aeaf9f7d5f7" +
				"21 03 c8 01 02 01 0a92 0a010067 0000000000000000"},
		{"V-C10 v3 auth_hmac", model.Instance{VRID: 11, Version: 3, AdvertInt: time.Second, VIPs: vips("10.1.0.111/32"), HMAC: key}, "224.0.0.18",
			strings.Replace(multicast, "0028", "003c", 1) + "31 0b c8 01 0064 118e 0a01006f" +
				"01 01 0000 6b00aaff bad1 0000 a9b467b8f6ca6b93cd40ab5dc3f7fca9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.inst.Family == 0 {
				tt.inst.Family = model.IPv4
			}
			m := New(&tt.inst)
			m.src = netip.MustParseAddr("10.1.0.1")
			want, err := hex.DecodeString(strings.ReplaceAll(tt.want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			m.ah.seq = 1
			got := m.AppendPacket([]byte("before"), 200, netip.MustParseAddr(tt.dst), 1, time.Unix(0x6b00aaff, 0xbad1*1e9>>16+1))
			if !bytes.Equal(got, append([]byte("before"), want...)) {
				t.Errorf("got  %x\nwant %x", got[len("before"):], want)
			}
		})
	}
}

// A peer that was recognised as old gets the old checksum: as if sent to 224.0.0.18 (RFC 1071 sum worked out by hand).
func TestOldUnicastChecksumIsAnswered(t *testing.T) {
	inst := model.Instance{Family: model.IPv4, VRID: 6, Version: 3, AdvertInt: time.Second, VIPs: vips("10.1.0.106/32"),
		Peers: []model.Peer{{Addr: netip.MustParseAddr("10.1.0.2"), MaxTTL: 255}}}
	m := New(&inst)
	m.src = netip.MustParseAddr("10.1.0.1")
	sum := func() uint16 {
		b := m.AppendPacket(nil, 200, inst.Peers[0].Addr, 1, epoch)[ipHeaderLen:]
		return uint16(b[6])<<8 | uint16(b[7])
	}
	// 0xe7a7 is the sum with 10.1.0.2; 224.0.0.18 in its place adds 0xe000+0x0012-0x0a01-0x0002 to what is complemented.
	if got := sum(); got != 0xe7a7 {
		t.Errorf("sum for a peer: %04x, want e7a7", got)
	}
	m.oldSum = true
	if got := sum(); got != 0x1198 {
		t.Errorf("sum for an old peer: %04x, want 1198", got)
	}
}

// runner is a machine in the state, hearing and sending as in its steady state.
func runner(t testing.TB, state model.State, options ...string) (*Machine, time.Time) {
	inst, err := instance("A", 1, options)
	if err != nil {
		t.Fatal(err)
	}
	m := New(inst)
	now := epoch
	Step(now, m, &Event{Kind: Source, Addr: ownAddr(inst, 1)}, nil)
	Step(now, m, &Event{Kind: Start}, nil)
	Step(now, m, &Event{Kind: Settled, Gen: m.gen}, nil)
	if state == model.Master {
		now = m.Deadline()
		Step(now, m, &Event{Kind: Timeout}, nil)
		Step(now, m, &Event{Kind: Settled, Gen: m.gen}, nil)
		m.again = time.Time{}
	}
	if m.state != state {
		t.Fatalf("state is %v, want %v", m.state, state)
	}
	return m, now
}

var steady = []struct {
	name    string
	options []string
	advert  []string
}{
	{"v2", []string{"pass=secret"}, []string{"from=10.0.0.9", "prio=200"}},
	{"v3 unicast", []string{"v=3", "peers=10.0.0.9", "check_unicast_src"}, []string{"from=10.0.0.9", "prio=200"}},
	{"v3 with another interval", []string{"v=3"}, []string{"from=10.0.0.9", "prio=200", "int=30s"}},
	{"IPv6", []string{"v6"}, []string{"from=fe80::9%eth0", "prio=200"}},
	{"v2 AH", []string{"ah=secret"}, []string{"from=10.0.0.9", "prio=200"}},
	{"v3 auth_hmac", []string{"v=3", "hmac=1:a"}, []string{"from=10.0.0.9", "prio=200"}},
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, s := range steady {
		t.Run(s.name, func(t *testing.T) {
			m, now := runner(t, model.Backup, s.options...)
			p, err := packet(m, s.advert)
			if err != nil {
				t.Fatal(err)
			}
			out := make([]Action, 0, 16)
			p.Wall = epoch
			ev := Event{Kind: Received, Packet: p}
			Step(now, m, &ev, out)
			m.ah.seq, m.trailers.heard = 0, m.trailers.heard[:0]
			Step(now, m, &ev, out) // what was complained of in the first advert of a master is so once more
			if n := testing.AllocsPerRun(100, func() {
				now = now.Add(time.Second)
				// What comes behind the checked part is as new as in a real advert.
				m.ah.seq, m.trailers.heard = 0, m.trailers.heard[:0]
				if len(Step(now, m, &ev, out)) != 0 {
					t.Fatal("the advert of the known master caused an action")
				}
			}); n != 0 {
				t.Errorf("a received advert allocates %v times", n)
			}

			m, now = runner(t, model.Master, s.options...)
			dst := m.inst.Group
			buf := make([]byte, 0, 1500)
			if n := testing.AllocsPerRun(100, func() {
				now = m.Deadline()
				sent := Step(now, m, &Event{Kind: Timeout}, out)
				if len(sent) != 1 || sent[0].Kind != Send {
					t.Fatalf("actions %v, want one Send", sent)
				}
				buf = m.AppendPacket(buf[:0], sent[0].Priority, dst, 1, now)
			}); n != 0 {
				t.Errorf("a sent advert allocates %v times", n)
			}
		})
	}
}

func BenchmarkReceive(b *testing.B) {
	m, now := runner(b, model.Backup)
	p, err := packet(m, []string{"from=10.0.0.9", "prio=200"})
	if err != nil {
		b.Fatal(err)
	}
	ev, out := Event{Kind: Received, Packet: p}, make([]Action, 0, 16)
	for b.Loop() {
		out = Step(now, m, &ev, out[:0])
	}
}

func BenchmarkSend(b *testing.B) {
	m, _ := runner(b, model.Master)
	ev, out, buf := Event{Kind: Timeout}, make([]Action, 0, 16), make([]byte, 0, 1500)
	for b.Loop() {
		out = Step(m.Deadline(), m, &ev, out[:0])
		buf = m.AppendPacket(buf[:0], out[0].Priority, m.inst.Group, 1, epoch)
	}
}

// FuzzReceive gives any bytes to routers of all kinds: no panic, and nothing but what came from a right sender is accepted.
func FuzzReceive(f *testing.F) {
	kinds := [][]string{{}, {"pass=secret"}, {"v=3"}, {"v=3", "peers=10.0.0.9"}, {"v=3", "v3_checksum_as_v2"}, {"v6"}, {"v6", "v=2"}, {"ah=secret"}, {"hmac=1:a"},
		{"v6", "hmac=1:a+2:b"}}
	for k, options := range kinds {
		m, _ := runner(f, model.Backup, options...)
		from := "from=10.0.0.9"
		if m.inst.Family == model.IPv6 {
			from = "from=fe80::9"
		}
		p, err := packet(m, []string{from, "prio=200"})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(k), slices.Clone(p.IPHeader), p.Payload, uint8(255))
	}
	f.Fuzz(func(t *testing.T, kind uint8, header, payload []byte, ttl uint8) {
		m, now := runner(t, model.Backup, kinds[int(kind)%len(kinds)]...)
		p := Packet{Src: netip.MustParseAddr("10.0.0.9"), Dst: m.inst.Group, TTL: int(ttl), IPHeader: header, Payload: payload, Multicast: true}
		if m.inst.Family == model.IPv6 {
			p.Src = netip.MustParseAddr("fe80::9")
			p.IPHeader = nil
		}
		if len(m.inst.Peers) > 0 {
			p.Dst, p.Multicast = m.src, false
		}
		for _, state := range []model.State{model.Backup, model.Master} {
			if state == model.Master {
				m, now = runner(t, model.Master, kinds[int(kind)%len(kinds)]...)
			}
			a, r := m.check(&step{now: now}, &p)
			if r == Accepted {
				if a.Interval <= 0 || a.Interval > maxIntervalV3*centisecond {
					t.Errorf("accepted an interval of %v", a.Interval)
				}
				if message := p.message(); message[1] != m.inst.VRID || int(message[0]>>4) != m.inst.Version {
					t.Errorf("accepted %x", payload)
				}
				if m.inst.AuthType == model.AuthPass && !bytes.Contains(payload, m.inst.AuthPass) {
					t.Errorf("accepted %x without the password", payload)
				}
			}
			Step(now, m, &Event{Kind: Received, Packet: p}, nil)
			if d := m.Deadline(); d.IsZero() || d.Before(now) || d.After(now.Add(200*time.Second)) {
				t.Errorf("in %v, deadline is %v away", m.state, d.Sub(now))
			}
		}
	})
}
