package announce

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

var mac = [6]byte{0x52, 0x89, 0xbf, 0x41, 0x4e, 0x70}

func target(addr, ifName string) Target {
	return Target{Addr: netip.MustParseAddr(addr), IfIndex: int(ifName[len(ifName)-1]), IfName: ifName, MAC: mac}
}

// TestFrames compares with what keepalived 2.3.4 sent; the router flag is from RFC 4861 §4.4, the sums added up by hand.
func TestFrames(t *testing.T) {
	for _, c := range []struct {
		name   string
		target Target
		want   string
	}{
		{"gratuitous ARP", target("10.9.0.100", "eth0"),
			"ffffffffffff 5289bf414e70 0806 0001 0800 06 04 0001 5289bf414e70 0a090064 ffffffffffff 0a090064"},
		{"neighbour advertisement", target("fd09::3", "eth0"),
			"333300000001 5289bf414e70 86dd 60000000 0020 3a ff fd090000000000000000000000000003 ff020000000000000000000000000001" +
				"8800 fc4a 20000000 fd090000000000000000000000000003 0201 5289bf414e70"},
		{"of a router", func() Target { t := target("fd09::3", "eth0"); t.Router = true; return t }(),
			"333300000001 5289bf414e70 86dd 60000000 0020 3a ff fd090000000000000000000000000003 ff020000000000000000000000000001" +
				"8800 7c4a a0000000 fd090000000000000000000000000003 0201 5289bf414e70"},
	} {
		q := New(nil)
		q.Add(time.Unix(1, 0), 7, []Target{c.target}, 1)
		got := q.Due(time.Unix(1, 0), nil)
		if len(got) != 1 {
			t.Errorf("%s: %d frames, want 1", c.name, len(got))
			continue
		}
		if f := got[0]; f.Owner != 7 || f.Addr != c.target.Addr || f.IfName != "eth0" || f.IfIndex != c.target.IfIndex {
			t.Errorf("%s: frame of %+v is labelled %+v", c.name, c.target, f)
		}
		if got, want := hex.EncodeToString(got[0].Data), strings.ReplaceAll(c.want, " ", ""); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
		}
	}
}

// run drives q from start to its end by its own deadlines and returns "ms owner interface address" for each frame.
func run(t *testing.T, q *Queue, start time.Time) []string {
	t.Helper()
	var out []string
	for range 1000 {
		d := q.Deadline()
		if d.IsZero() {
			return out
		}
		frames := q.Due(d, nil)
		if len(frames) == 0 {
			t.Fatalf("nothing is due at the deadline, %s after the start", d.Sub(start))
		}
		for _, f := range frames {
			out = append(out, fmt.Sprintf("%d %d %s %s", d.Sub(start).Milliseconds(), f.Owner, f.IfName, f.Addr))
		}
	}
	t.Fatal("the queue does not run empty")
	return nil
}

func TestSchedule(t *testing.T) {
	a, b, c := target("10.0.0.1", "eth0"), target("10.0.0.2", "eth0"), target("fd00::1", "eth0")
	other := target("10.0.1.1", "eth1")
	deaf := target("10.0.0.9", "eth0")
	deaf.NoARP = true
	lo := target("10.0.0.8", "lo")
	lo.MAC = [6]byte{}
	limit := func(arp, na time.Duration, ifs ...string) model.GARPDelay {
		return model.GARPDelay{Interfaces: ifs, ARPInterval: arp, NAInterval: na}
	}
	const ms = time.Millisecond
	for _, tc := range []struct {
		name   string
		delays []model.GARPDelay
		do     func(q *Queue, now time.Time)
		want   []string
	}{
		{"without a limit the block leaves at once, repeats outside", nil,
			func(q *Queue, now time.Time) { q.Add(now, 1, []Target{a, other, c}, 2) },
			[]string{"0 1 eth0 10.0.0.1", "0 1 eth1 10.0.1.1", "0 1 eth0 fd00::1",
				"0 1 eth0 10.0.0.1", "0 1 eth1 10.0.1.1", "0 1 eth0 fd00::1"}},
		{"repeat 0 is nothing, nor what cannot be announced", nil,
			func(q *Queue, now time.Time) {
				q.Add(now, 1, []Target{a}, 0)
				q.Add(now, 1, []Target{deaf, lo}, 3)
			}, nil},
		{"a limit spreads, addresses taking turns", []model.GARPDelay{limit(200*ms, 0)},
			func(q *Queue, now time.Time) { q.Add(now, 1, []Target{a, b}, 2) },
			[]string{"0 1 eth0 10.0.0.1", "200 1 eth0 10.0.0.2", "400 1 eth0 10.0.0.1", "600 1 eth0 10.0.0.2"}},
		{"the global limit counts per interface and family", []model.GARPDelay{limit(200*ms, 50*ms)},
			func(q *Queue, now time.Time) { q.Add(now, 1, []Target{a, other, c}, 2) },
			[]string{"0 1 eth0 10.0.0.1", "0 1 eth1 10.0.1.1", "0 1 eth0 fd00::1", "50 1 eth0 fd00::1",
				"200 1 eth0 10.0.0.1", "200 1 eth1 10.0.1.1"}},
		{"a group counts its interfaces together and hides the global limit",
			[]model.GARPDelay{limit(time.Second, time.Second), limit(100*ms, 0, "eth1", "eth0")},
			func(q *Queue, now time.Time) { q.Add(now, 1, []Target{a, other, c}, 1) },
			[]string{"0 1 eth0 fd00::1", "0 1 eth0 10.0.0.1", "100 1 eth1 10.0.1.1"}},
		{"at most repeat copies of an address wait", []model.GARPDelay{limit(100*ms, 0)},
			func(q *Queue, now time.Time) {
				q.Add(now, 1, []Target{a, b}, 3)
				q.Add(now, 1, []Target{a}, 2)
				q.Add(now, 2, []Target{b}, 3)
			},
			[]string{"0 1 eth0 10.0.0.1", "100 2 eth0 10.0.0.2", "200 1 eth0 10.0.0.1", "300 2 eth0 10.0.0.2",
				"400 1 eth0 10.0.0.1", "500 2 eth0 10.0.0.2"}},
		{"the limit holds between blocks", []model.GARPDelay{limit(100*ms, 0)},
			func(q *Queue, now time.Time) {
				q.Add(now, 1, []Target{a}, 1)
				q.Due(now, nil)
				q.Add(now.Add(30*ms), 1, []Target{a}, 1)
			},
			[]string{"100 1 eth0 10.0.0.1"}},
		{"who leaves MASTER is silent, others are not", []model.GARPDelay{limit(100*ms, 0, "eth0")},
			func(q *Queue, now time.Time) {
				q.Add(now, 1, []Target{a, other}, 2)
				q.Add(now, 2, []Target{b, other}, 2)
				q.Drop(1)
			},
			[]string{"0 2 eth1 10.0.1.1", "0 2 eth1 10.0.1.1", "0 2 eth0 10.0.0.2", "100 2 eth0 10.0.0.2"}},
		{"after a stall nothing is caught up", []model.GARPDelay{limit(100*ms, 0)},
			func(q *Queue, now time.Time) {
				q.Add(now, 1, []Target{a}, 3)
				if n := len(q.Due(now.Add(time.Second), nil)); n != 1 {
					t.Errorf("after a stall %d frames are due, want 1", n)
				}
			},
			[]string{"1100 1 eth0 10.0.0.1", "1200 1 eth0 10.0.0.1"}},
		{"a reload changes the limit of what comes later", []model.GARPDelay{limit(100*ms, 0)},
			func(q *Queue, now time.Time) {
				q.Add(now, 1, []Target{a}, 2)
				q.SetDelays(nil)
				q.Add(now, 2, []Target{b}, 2)
			},
			[]string{"0 2 eth0 10.0.0.2", "0 2 eth0 10.0.0.2", "0 1 eth0 10.0.0.1", "100 1 eth0 10.0.0.1"}},
	} {
		now := time.Unix(1000, 0)
		q := New(tc.delays)
		tc.do(q, now)
		if got := run(t, q, now); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, tc.want)
		}
	}
}

func TestNotBeforeItsTime(t *testing.T) {
	now := time.Unix(1000, 0)
	q := New([]model.GARPDelay{{ARPInterval: time.Second}})
	q.Add(now, 1, []Target{target("10.0.0.1", "eth0")}, 2)
	q.Due(now, nil)
	if got := q.Due(now.Add(999*time.Millisecond), nil); len(got) != 0 {
		t.Errorf("%d frames before the interval is over, want 0", len(got))
	}
}

// The first announcement of everybody's addresses comes before anybody's second, and none is sent too often.
func TestFirst(t *testing.T) {
	q, now := New(nil), time.Unix(1, 0)
	names := func(frames []Frame) (out string) {
		for _, f := range frames {
			out += fmt.Sprint(f.Owner, " ", f.Addr, ", ")
		}
		return out
	}
	q.Add(now, 1, []Target{target("10.0.0.1", "eth0"), target("10.0.0.2", "eth0")}, 3)
	if got, want := names(q.First(now, nil)), "1 10.0.0.1, 1 10.0.0.2, "; got != want {
		t.Errorf("first of owner 1: %s, want %s", got, want)
	}
	q.Add(now, 2, []Target{target("10.0.0.3", "eth0")}, 2)
	q.Add(now, 3, []Target{target("10.0.0.4", "eth0")}, 1)
	if got, want := names(q.First(now, nil)), "2 10.0.0.3, 3 10.0.0.4, "; got != want {
		t.Errorf("first of owners 2 and 3: %s, want %s", got, want)
	}
	if d := q.Deadline(); !d.Equal(now) {
		t.Errorf("the repetitions are due at %v, want at once", d)
	}
	if got, want := names(q.Due(now, nil)), "1 10.0.0.1, 1 10.0.0.2, 1 10.0.0.1, 1 10.0.0.2, 2 10.0.0.3, "; got != want {
		t.Errorf("the rest: %s, want %s", got, want)
	}
	if got := names(q.First(now, nil)) + names(q.Due(now, nil)); got != "" || !q.Deadline().IsZero() {
		t.Errorf("after all: %s", got)
	}
}
