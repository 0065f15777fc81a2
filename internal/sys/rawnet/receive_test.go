package rawnet

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// fake makes the reader's first message what the kernel would have written.
func fake(f model.Family, data, control []byte) *reader {
	r := newReader(f)
	r.msgs[0].len = uint32(len(data)) // may be more than fits: MSG_TRUNC
	copy(r.buf[0][:], data)
	n := copy(r.control[0][:], control)
	r.msgs[0].hdr.SetControllen(n)
	return r
}

func TestPacketIPv4(t *testing.T) {
	hdr := []byte{0x46, 0xc0, 0, 0, 0, 1, 0, 0, 254, 112, 0, 0, 10, 0, 0, 1, 224, 0, 0, 18, 1, 1, 1, 0} // one word of options
	for _, c := range []struct {
		name string
		data []byte
		body []byte // nil: no packet
	}{
		{"with options", append(bytes.Clone(hdr), 0x31, 51), []byte{0x31, 51}},
		{"without payload", hdr, []byte{}},
		{"shorter than its header", hdr[:22], nil},
		{"shorter than any header", hdr[:19], nil},
		{"header length below the minimum", append([]byte{0x44}, hdr[1:]...), nil},
		{"empty", nil, nil},
	} {
		var q queue
		fake(model.IPv4, c.data, nil).packet(0, Spec{Family: model.IPv4, IfIndex: 4}, time.Now(), time.Now(), &q)
		if c.body == nil {
			if len(q.packets) != 0 {
				t.Errorf("%s: accepted as %+v", c.name, q.packets[0])
			}
			continue
		}
		if len(q.packets) != 1 {
			t.Errorf("%s: refused", c.name)
			continue
		}
		p := q.packets[0]
		if p.Src != netip.MustParseAddr("10.0.0.1") || p.Dst != netip.MustParseAddr("224.0.0.18") || p.TTL != 254 || !p.Multicast ||
			p.IfIndex != 4 || !bytes.Equal(p.IPHeader, hdr) || !bytes.Equal(p.Payload, c.body) {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
}

// TestArrival: the kernel's stamp counts, but neither a stamp from the future nor one from before the last look at the socket.
func TestArrival(t *testing.T) {
	hdr := []byte{0x45, 0xc0, 0, 0, 0, 1, 0, 0, 254, 112, 0, 0, 10, 0, 0, 1, 224, 0, 0, 18}
	now := time.Now()
	empty := now.Add(-time.Second)
	for _, c := range []struct {
		name  string
		stamp time.Duration // from now
		want  time.Time
	}{
		{"stamped", -300 * time.Millisecond, now.Add(-300 * time.Millisecond)},
		{"the clock was set back meanwhile", time.Hour, now},
		{"the clock was set forward meanwhile", -time.Hour, empty},
	} {
		ts := unix.NsecToTimespec(now.Add(c.stamp).UnixNano())
		oob := make([]byte, unix.CmsgSpace(16))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS
		h.SetLen(unix.CmsgLen(16))
		*(*unix.Timespec)(unsafe.Pointer(&oob[unix.CmsgLen(0)])) = ts
		var q queue
		fake(model.IPv4, hdr, oob).packet(0, Spec{Family: model.IPv4}, now, empty, &q)
		if got := q.packets[0].At; !got.Equal(c.want) {
			t.Errorf("%s: At is %v from what it should be", c.name, got.Sub(c.want))
		}
	}
	var q queue
	fake(model.IPv4, hdr, nil).packet(0, Spec{Family: model.IPv4}, now, empty, &q)
	if got := q.packets[0].At; !got.Equal(now) {
		t.Errorf("without a stamp: At is %v from now", got.Sub(now))
	}
}

// TestQueueGrows: packets stay what they were when the bytes behind them have to move.
func TestQueueGrows(t *testing.T) {
	var q queue
	var kept [][]byte
	for i := range 1000 {
		kept = append(kept, q.keep(bytes.Repeat([]byte{byte(i)}, i%300)))
	}
	for i, b := range kept {
		if !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, i%300)) {
			t.Fatalf("packet %d is % x", i, b)
		}
		if cap(b) != len(b) {
			t.Fatalf("packet %d could be appended into the next", i)
		}
	}
}

// FuzzPacket: neither a packet nor its ancillary data makes the reader panic or read beyond it.
func FuzzPacket(f *testing.F) {
	oob := setSendControl(newSendControl(), netip.MustParseAddr("fe80::1"), 3, 255)
	f.Add([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 255, 112, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x31}, []byte{})
	f.Add([]byte{0x31, 1}, oob)
	f.Add(make([]byte, maxPacket+1), oob[:unix.CmsgLen(0)])
	f.Fuzz(func(t *testing.T, data, control []byte) {
		for _, family := range []model.Family{model.IPv4, model.IPv6} {
			var q queue
			fake(family, data, control).packet(0, Spec{Family: family}, time.Now(), time.Now(), &q)
			for _, p := range q.packets {
				if n := len(p.IPHeader) + len(p.Payload); n != min(len(data), maxPacket) {
					t.Errorf("%d of %d bytes", n, len(data))
				}
			}
		}
	})
}
