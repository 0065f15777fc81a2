package vrrp

import (
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// TestPatienceCountsFromArrival: the time that an advert waits to be read is not added to a takeover.
func TestPatienceCountsFromArrival(t *testing.T) {
	m, now := runner(t, model.Backup)
	for _, c := range []struct {
		name     string
		priority string
		at       time.Duration // of the arrival, before the Step
		want     time.Duration // of the deadline, after the Step
	}{
		{"read at once", "prio=200", 0, m.masterDown()},
		{"waited 300 ms", "prio=200", 300 * time.Millisecond, m.masterDown() - 300*time.Millisecond},
		{"stamped in the future", "prio=200", -time.Second, m.masterDown()},
		{"goodbye, waited 300 ms", "prio=0", 300 * time.Millisecond, m.skew(100) - 300*time.Millisecond},
	} {
		p, err := packet(m, []string{"from=10.0.0.9", c.priority})
		if err != nil {
			t.Fatal(err)
		}
		p.At = now.Add(-c.at)
		Step(now, m, &Event{Kind: Received, Packet: p}, nil)
		if got := m.Deadline().Sub(now); got != c.want {
			t.Errorf("%s: the deadline is in %v, want %v", c.name, got, c.want)
		}
	}
}
