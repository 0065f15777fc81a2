package sys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/announce"
	"github.com/keepalived-go/keepalived-go/internal/core/vrrp"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/rawnet"
)

var (
	group4 = netip.MustParseAddr("224.0.0.18")
	group6 = netip.MustParseAddr("ff02::12")
)

// pair is two hosts on one cable with 10.0.0.1/fd00::1 and 10.0.0.2/fd00::2 on eth0.
func pair(t *testing.T) (a, b *host) {
	a, b = newHost(t), newHost(t)
	connect(a, b, "eth0")
	a.addr("eth0", "10.0.0.1/24")
	b.addr("eth0", "10.0.0.2/24")
	a.addr("eth0", "fd00::1/64")
	b.addr("eth0", "fd00::2/64")
	return a, b
}

func (h *host) linkLocal(name string) netip.Addr {
	h.t.Helper()
	l, err := h.LinkByName(name)
	if err != nil {
		h.t.Fatal(err)
	}
	var out netip.Addr
	waitFor(h.t, "a link-local address", func() bool {
		list, err := h.AddrList(l, unix.AF_INET6)
		if err != nil && !errors.Is(err, vnl.ErrDumpInterrupted) {
			h.t.Fatal(err)
		}
		for _, a := range list {
			if ip, _ := netip.AddrFromSlice(a.IP); ip.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				out = ip
				return true
			}
		}
		return false
	})
	return out
}

func (h *host) open(s rawnet.Spec, rxBuf int) *rawnet.Conn {
	h.t.Helper()
	if s.IfName != "" {
		s.IfIndex = h.index(s.IfName)
	}
	var c *rawnet.Conn
	h.in(func() (err error) {
		c, err = rawnet.Open(s, rxBuf)
		return err
	})
	h.t.Cleanup(func() { c.Close() })
	return c
}

// advert4 is an IPv4 packet with the payload.
func advert4(src, dst netip.Addr, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[1], b[8], b[9] = 0x45, 0xc0, 255, 112
	binary.BigEndian.PutUint16(b[4:], 7)
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return append(b, payload...)
}

// payload is a VRRPv3 message's first bytes; the kernel puts the sum of IPv6 at offset 6.
func payload(n uint32) []byte {
	b := []byte{0x31, 51, 100, 1, 0, 100, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[8:], n)
	return b
}

func taken(t *testing.T, c *rawnet.Conn) []vrrp.Packet {
	t.Helper()
	packets, err := c.Take()
	if err != nil {
		t.Fatal(err)
	}
	return packets
}

// take takes until n packets have come.
func take(t *testing.T, c *rawnet.Conn, n int) []vrrp.Packet {
	t.Helper()
	var out []vrrp.Packet
	waitFor(t, "the packets", func() bool {
		for _, p := range taken(t, c) {
			p.IPHeader, p.Payload = bytes.Clone(p.IPHeader), bytes.Clone(p.Payload)
			out = append(out, p)
		}
		return len(out) >= n
	})
	return out
}

// TestTake is what "read before timers" rests on: a packet that the kernel has is seen.
func TestTake(t *testing.T) {
	a, b := pair(t)
	ip := netip.MustParseAddr
	for _, c := range []struct {
		name     string
		from, to rawnet.Spec
		src, dst netip.Addr
		hops     int
		wantTTL  int
	}{
		{"IPv4 multicast", rawnet.Spec{Family: model.IPv4, IfName: "eth0", Group: group4},
			rawnet.Spec{Family: model.IPv4, IfName: "eth0", Group: group4}, ip("10.0.0.1"), group4, 0, 255},
		{"IPv4 unicast", rawnet.Spec{Family: model.IPv4, IfName: "eth0", Source: ip("10.0.0.1")},
			rawnet.Spec{Family: model.IPv4, IfName: "eth0", Source: ip("10.0.0.2")}, ip("10.0.0.1"), ip("10.0.0.2"), 0, 255},
		{"IPv4 unicast on any interface", rawnet.Spec{Family: model.IPv4, Source: ip("10.0.0.1")},
			rawnet.Spec{Family: model.IPv4, Source: ip("10.0.0.2")}, ip("10.0.0.1"), ip("10.0.0.2"), 0, 255},
		{"IPv6 multicast", rawnet.Spec{Family: model.IPv6, IfName: "eth0", Group: group6},
			rawnet.Spec{Family: model.IPv6, IfName: "eth0", Group: group6}, a.linkLocal("eth0"), group6, 255, 255},
		{"IPv6 unicast", rawnet.Spec{Family: model.IPv6, IfName: "eth0", Source: ip("fd00::1")},
			rawnet.Spec{Family: model.IPv6, IfName: "eth0", Source: ip("fd00::2")}, ip("fd00::1"), ip("fd00::2"), 0, 64},
		{"IPv6 unicast on any interface with a hop limit", rawnet.Spec{Family: model.IPv6, Source: ip("fd00::1")},
			rawnet.Spec{Family: model.IPv6, Source: ip("fd00::2")}, ip("fd00::1"), ip("fd00::2"), 77, 77},
		{"IPv6 link-local unicast", rawnet.Spec{Family: model.IPv6, IfName: "eth0", Source: a.linkLocal("eth0")},
			rawnet.Spec{Family: model.IPv6, IfName: "eth0", Source: b.linkLocal("eth0")}, a.linkLocal("eth0"), b.linkLocal("eth0"), 0, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := a.open(c.from, 0), b.open(c.to, 0)
			pkt := payload(1)
			if c.from.Family == model.IPv4 {
				pkt = advert4(c.src, c.dst, pkt)
			}
			if err := from.Send(pkt, c.src, c.dst, c.hops); err != nil {
				t.Fatal(err)
			}
			got := take(t, to, 1)[0]
			want := vrrp.Packet{Src: c.src, Dst: c.dst, TTL: c.wantTTL, IfIndex: b.index("eth0"), Multicast: c.dst.IsMulticast()}
			body, header := got.Payload, got.IPHeader
			got.IPHeader, got.Payload = nil, nil
			if got.Src != want.Src || got.Dst != want.Dst || got.TTL != want.TTL || got.IfIndex != want.IfIndex ||
				got.Multicast != want.Multicast {
				t.Errorf("received %+v, want %+v", got, want)
			}
			if len(body) != len(payload(1)) || !bytes.Equal(body[8:], payload(1)[8:]) {
				t.Errorf("payload % x, want % x besides the sum", body, payload(1))
			}
			if c.from.Family == model.IPv4 {
				if len(header) != 20 || header[1] != 0xc0 || header[6] != 0 || binary.BigEndian.Uint16(header[4:]) != 7 {
					t.Errorf("IPv4 header % x, want TOS c0, no fragment flags and identification 7", header)
				}
			} else if body[6] == 0 && body[7] == 0 {
				t.Error("the kernel did not sum the IPv6 packet up")
			}
			if echo := taken(t, from); len(echo) != 0 {
				t.Errorf("the sender heard itself: %+v", echo)
			}
		})
	}
}

// TestOnTheWire looks at what the IPv6 receiver cannot see: the traffic class.
func TestOnTheWire(t *testing.T) {
	a, b := pair(t)
	frames := b.capture("eth0")
	c := a.open(rawnet.Spec{Family: model.IPv6, IfName: "eth0", Group: group6}, 0)
	if err := c.Send(payload(1), a.linkLocal("eth0"), group6, 255); err != nil {
		t.Fatal(err)
	}
	for {
		f := receive(t, "the advert's frame", frames)
		if binary.BigEndian.Uint16(f[12:]) != 0x86dd || f[20] != 112 {
			continue
		}
		if class := binary.BigEndian.Uint16(f[14:]) >> 4 & 0xff; class != 0xc0 || f[21] != 255 {
			t.Errorf("traffic class %#x, hop limit %d; want 0xc0, 255", class, f[21])
		}
		return
	}
}

// TestEveryPacketOnceInOrder takes while somebody sends.
func TestEveryPacketOnceInOrder(t *testing.T) {
	a, b := pair(t)
	s := rawnet.Spec{Family: model.IPv4, IfName: "eth0", Group: group4}
	from, to := a.open(s, 0), b.open(s, 1<<24)
	const n = 20000
	src := netip.MustParseAddr("10.0.0.1")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range uint32(n) {
			for from.Send(advert4(src, group4, payload(i)), src, group4, 0) == unix.EAGAIN {
			}
		}
	}()
	next := uint32(0)
	end := time.Now().Add(4 * deadline)
	for next < n && time.Now().Before(end) {
		for _, p := range taken(t, to) {
			if got := binary.BigEndian.Uint32(p.Payload[8:]); got != next {
				t.Fatalf("packet %d came where %d was due (dropped %d)", got, next, to.Dropped())
			}
			next++
		}
	}
	if next < n {
		t.Fatalf("%d of %d packets came", next, n)
	}

	receive(t, "the end of the sender", sent)

	if err := to.Close(); err != nil {
		t.Error(err)
	}
	if got := taken(t, to); got != nil {
		t.Errorf("Take after Close gives %d packets", len(got))
	}
	if err := to.Send(advert4(src, group4, payload(n)), src, group4, 0); err == nil {
		t.Error("Send after Close succeeds")
	}
}

// TestFlood: what exceeds the queue waits in the kernel; what exceeds that is counted.
func TestFlood(t *testing.T) {
	a, b := pair(t)
	s := rawnet.Spec{Family: model.IPv4, IfName: "eth0", Group: group4}
	from := a.open(s, 0)
	src := netip.MustParseAddr("10.0.0.1")
	flood := func(n uint32) {
		for i := range n {
			if err := from.Send(advert4(src, group4, payload(i)), src, group4, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	large := b.open(s, 1<<25)
	flood(5000)
	first := len(taken(t, large))
	if first < 4096 || first > 4200 {
		t.Fatalf("the first Take gave %d packets, want about 4096", first)
	}
	if rest := len(taken(t, large)); first+rest != 5000 {
		t.Errorf("the second Take gave %d of %d packets", rest, 5000-first)
	}
	large.Close()

	small := b.open(s, 8192)
	flood(1000)
	kept := len(taken(t, small))
	flood(1)
	take(t, small, 1)
	if got := small.Dropped(); got == 0 || int(got)+kept != 1000 {
		t.Errorf("%d dropped and %d kept of 1000", got, kept)
	}
}

func TestOpenErrors(t *testing.T) {
	h := newHost(t)
	h.in(func() error {
		for _, s := range []rawnet.Spec{
			{Family: model.IPv4, IfIndex: 99, IfName: "gone0", Group: group4},
			{Family: model.IPv6, IfIndex: 99, IfName: "gone0", Group: group6},
		} {
			if c, err := rawnet.Open(s, 0); err == nil {
				c.Close()
				t.Errorf("Open(%v) succeeds", s)
			} else if errno := unix.Errno(0); !asErrno(err, &errno) || errno != unix.ENODEV {
				t.Errorf("Open(%v) = %v, want ENODEV", s, err)
			}
		}
		// A source that is not there yet does not matter: the address may come later.
		c, err := rawnet.Open(rawnet.Spec{Family: model.IPv4, Source: netip.MustParseAddr("10.99.0.1")}, 0)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func TestSendDoesNotAllocate(t *testing.T) {
	a, b := pair(t)
	_ = b
	src4, src6 := netip.MustParseAddr("10.0.0.1"), a.linkLocal("eth0")
	c4 := a.open(rawnet.Spec{Family: model.IPv4, IfName: "eth0", Group: group4}, 0)
	c6 := a.open(rawnet.Spec{Family: model.IPv6, IfName: "eth0", Group: group6}, 0)
	var s *rawnet.Sender
	a.in(func() (err error) { s, err = rawnet.OpenSender(); return err })
	defer s.Close()
	index := a.index("eth0")
	pkt4, pkt6 := advert4(src4, group4, payload(1)), payload(1)
	frame := make([]byte, 60)
	for name, send := range map[string]func() error{
		"IPv4":  func() error { return c4.Send(pkt4, src4, group4, 0) },
		"IPv6":  func() error { return c6.Send(pkt6, src6, group6, 255) },
		"frame": func() error { return s.Send(index, frame) },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := send(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}); n != 0 {
			t.Errorf("sending %s allocates %v times", name, n)
		}
	}
}

// TestAnnounced sends what core/announce says and looks at it from the other end of the cable.
func TestAnnounced(t *testing.T) {
	a, b := pair(t)
	frames := b.capture("eth0")
	var s *rawnet.Sender
	a.in(func() (err error) { s, err = rawnet.OpenSender(); return err })
	defer s.Close()
	q := announce.New(nil)
	targets := []announce.Target{
		{Addr: netip.MustParseAddr("10.0.0.100"), IfIndex: a.index("eth0"), IfName: "eth0", MAC: a.mac("eth0")},
		{Addr: netip.MustParseAddr("fd00::100"), IfIndex: a.index("eth0"), IfName: "eth0", MAC: a.mac("eth0")},
	}
	now := time.Now()
	q.Add(now, 1, targets, 2)
	var want [][]byte
	for _, f := range q.Due(now, nil) {
		if err := s.Send(f.IfIndex, f.Data); err != nil {
			t.Fatal(err)
		}
		want = append(want, f.Data)
	}
	if len(want) != 4 {
		t.Fatalf("%d frames, want 4", len(want))
	}
	for len(want) > 0 {
		if bytes.Equal(receive(t, "the next announcement", frames), want[0]) {
			want = want[1:]
		}
	}
	if err := s.Send(99, make([]byte, 60)); err == nil {
		t.Error("Send on an interface that is not there succeeds")
	}
}
