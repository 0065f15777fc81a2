package probe

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// datagrams serves each datagram with the answers that answer makes of it, and returns its address.
func datagrams(t *testing.T, answer func([]byte) [][]byte) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, a := range answer(buf[:n]) {
				c.WriteTo(a, from)
			}
		}
	}()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

// closedPort is an address on which nobody listens.
func closedPort(t *testing.T, network string) netip.AddrPort {
	t.Helper()
	if network == "tcp" {
		l, err := net.Listen(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return netip.MustParseAddrPort(l.Addr().String())
	}
	c, err := net.ListenPacket(network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

func TestDNSQuery(t *testing.T) {
	got := dnsQuery(0x1234, &model.DNSOpts{Type: model.DNSTypeAAAA, Name: "www.example.org"})
	want := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x1c\x00\x01")
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if got := dnsQuery(1, &model.DNSOpts{Type: model.DNSTypeSOA})[12:]; !bytes.Equal(got, []byte{0, 0, 6, 0, 1}) {
		t.Errorf("the root as %x", got)
	}
}

func TestDNS(t *testing.T) {
	// reply makes an answer of 12 bytes and more out of a query.
	reply := func(q []byte, flags uint16, more ...byte) []byte {
		return append([]byte{q[0], q[1], byte(flags >> 8), byte(flags), 0, 1, 0, 0, 0, 0, 0, 0}, more...)
	}
	tests := []struct {
		name   string
		answer func(q []byte) [][]byte
		time   time.Duration
		want   string
	}{
		{name: "L-F33 no error, no answers", answer: func(q []byte) [][]byte { return [][]byte{reply(q, 0x8180)} }},
		{name: "truncated", answer: func(q []byte) [][]byte { return [][]byte{reply(q, 0x8380)} }},
		{name: "oversized", answer: func(q []byte) [][]byte { return [][]byte{reply(q, 0x8180, make([]byte, 60000)...)} }},
		{name: "L-F33 no such name", answer: func(q []byte) [][]byte { return [][]byte{reply(q, 0x8183)} }, want: "read error occurred. (rcode = 3)"},
		{name: "refused", answer: func(q []byte) [][]byte { return [][]byte{reply(q, 0x8185)} }, want: "read error occurred. (rcode = 5)"},
		{name: "L-F33 rubbish first", answer: func(q []byte) [][]byte {
			other := reply(q, 0x8183)
			other[0] ^= 0xff
			return [][]byte{{}, q[:11], q, other, reply(q, 0x8180)}
		}},
		{name: "rubbish only", time: short, answer: func(q []byte) [][]byte { return [][]byte{q, q[:3]} }, want: "read timeout from socket"},
		{name: "silence", time: short, answer: func([]byte) [][]byte { return nil }, want: "read timeout from socket"},
		{name: "closed port", want: "failed to read socket; errno 111 (Connection refused)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &Spec{Kind: model.DNSCheck, DNS: model.DNSOpts{Type: model.DNSTypeA, Name: "a.example"}, Conn: model.Connect{Timeout: ample}}
			if s.Conn.Dst = closedPort(t, "udp"); tt.answer != nil {
				s.Conn.Dst = datagrams(t, tt.answer)
			}
			if tt.time != 0 {
				s.Conn.Timeout = tt.time
			}
			if got, want := runFor(s, time.Minute), (check.Result{OK: tt.want == "", Reason: tt.want}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestUDP(t *testing.T) {
	says := func(b ...byte) func([]byte) [][]byte { return func([]byte) [][]byte { return [][]byte{b} } }
	silence := func([]byte) [][]byte { return nil }
	masked := func(least, most int) model.UDPOpts {
		return model.UDPOpts{NeedReply: true, Reply: []byte{1, 0x20, 3}, Mask: []byte{0xff, 0xf0, 0xff}, Least: least, Most: most}
	}
	tests := []struct {
		name   string
		answer func([]byte) [][]byte // nil: nobody listens
		opts   model.UDPOpts
		time   time.Duration
		want   string
	}{
		{name: "L-F34 silence is fine", answer: silence, time: short},
		{name: "L-F35 silence where a reply is needed", answer: silence, opts: model.UDPOpts{NeedReply: true, Most: 255}, time: short, want: check.UDPFailed},
		{name: "any reply", answer: says(9), opts: model.UDPOpts{NeedReply: true, Least: 5, Most: 255}},
		{name: "empty reply", answer: says(), opts: model.UDPOpts{NeedReply: true, Most: 255}},
		{name: "closed port", want: check.UDPFailed},
		{name: "closed port where a reply is needed", opts: masked(0, 255), want: check.UDPFailed},
		{name: "L-F34 reply within the mask", answer: says(1, 0x2f, 3), opts: masked(3, 3)},
		{name: "longer reply", answer: says(1, 0x20, 3, 4), opts: masked(0, 255)},
		{name: "shorter reply", answer: says(1), opts: masked(0, 255)},
		{name: "other reply", answer: says(1, 0x30, 3), opts: masked(0, 255), want: check.UDPMismatch},
		{name: "L-F34 too short", answer: says(1), opts: masked(2, 255), want: check.UDPMismatch},
		{name: "too long", answer: says(1, 0x20, 3, 4, 5), opts: masked(0, 4), want: check.UDPMismatch},
		{name: "far too long", answer: says(make([]byte, 60000)...), opts: masked(0, 255), want: check.UDPMismatch},
		{name: "own text", answer: func(q []byte) [][]byte {
			if string(q) == defaultPayload && len(q) == 32 {
				return [][]byte{{}}
			}
			return nil
		}, opts: model.UDPOpts{NeedReply: true, Most: 255}},
		{name: "configured text", answer: func(q []byte) [][]byte {
			if string(q) == "\x00\x01" {
				return [][]byte{{}}
			}
			return nil
		}, opts: model.UDPOpts{Payload: []byte{0, 1}, NeedReply: true, Most: 255}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &Spec{Kind: model.UDPCheck, UDP: tt.opts, Conn: model.Connect{Timeout: ample}}
			if s.Conn.Dst = closedPort(t, "udp"); tt.answer != nil {
				s.Conn.Dst = datagrams(t, tt.answer)
			}
			if tt.time != 0 {
				s.Conn.Timeout = tt.time
			}
			if got, want := runFor(s, time.Minute), (check.Result{OK: tt.want == "", Reason: tt.want}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestPing(t *testing.T) {
	for _, dst := range []string{"127.0.0.1", "::1"} {
		t.Run("L-F37 "+dst, func(t *testing.T) {
			s := &Spec{Kind: model.PingCheck, Conn: model.Connect{Dst: netip.AddrPortFrom(netip.MustParseAddr(dst), 0), Timeout: ample}}
			p, err := openPing(&s.Conn)
			if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Skip(err)
			} else if err == nil {
				p.Close()
			}
			if got := runFor(s, time.Minute); got != (check.Result{OK: true}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// What a raw socket hears belongs to others too; what a ping socket hears is not always a reply.
func TestPingReplies(t *testing.T) {
	ip := append([]byte{0x46}, make([]byte, 23)...) // a header with an option
	reply := []byte{0, 0, 0, 0, 0x12, 0x34, 0, 1}
	with := func(at int, b byte) []byte {
		r := bytes.Clone(reply)
		r[at] = b
		return r
	}
	own, raw, six := &pinger{}, &pinger{raw: true, id: 0x1234}, &pinger{ip6: true}
	for _, tt := range []struct {
		name string
		p    *pinger
		b    []byte
		want bool
	}{
		{"reply", own, reply, true},
		{"reply with its text", own, append(bytes.Clone(reply), "text"...), true},
		{"request", own, with(0, 8), false},
		{"unreachable", own, with(0, 3), false},
		{"other sequence number", own, with(7, 2), false},
		{"cut off", own, reply[:7], false},
		{"nothing", own, nil, false},
		{"IPv6", six, with(0, 129), true},
		{"IPv6 request", six, with(0, 128), false},
		{"raw", raw, append(bytes.Clone(ip), reply...), true},
		{"raw, of another process", raw, append(bytes.Clone(ip), with(4, 0x13)...), false},
		{"raw without a header", raw, reply, false},
		{"raw, cut off within the header", raw, ip[:22], false},
	} {
		if got := tt.p.answers(tt.b); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestPingRequest(t *testing.T) {
	b := (&pinger{id: 0x1234}).request()
	if len(b) != 136 || b[0] != 8 || internetChecksum(b) != 0 {
		t.Errorf("%d bytes, type %d, checksum of the whole %#x: %x", len(b), b[0], internetChecksum(b), b)
	}
}
