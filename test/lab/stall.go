package lab

import (
	"sync"
	"time"
)

// A busy machine does not run anybody for a while, the daemons included. So that no daemon is blamed for it, a timer of
// our own notes when it was late.
const (
	tick = 10 * time.Millisecond
	late = 30 * time.Millisecond // from here on it is worth noting
)

var stalls struct {
	start sync.Once
	mu    sync.Mutex
	seen  []stall
}

type stall struct{ from, to time.Time }

func watchStalls() {
	stalls.start.Do(func() {
		go func() {
			ticker := time.NewTicker(tick)
			for before := time.Now(); ; before = time.Now() {
				<-ticker.C
				if now := time.Now(); now.Sub(before) > tick+late {
					stalls.mu.Lock()
					stalls.seen = append(stalls.seen, stall{before, now})
					stalls.mu.Unlock()
				}
			}
		}()
	})
}

// Stalled is for how long, between the two moments, the machine did not run even a timer of the test.
func Stalled(from, to time.Time) time.Duration {
	stalls.mu.Lock()
	defer stalls.mu.Unlock()
	var sum time.Duration
	for _, s := range stalls.seen {
		if s.to.After(from) && s.from.Before(to) {
			sum += s.to.Sub(s.from)
		}
	}
	return sum
}

// Took fails the test unless from low to high passed between the two moments; for as long as the machine stalled it
// may be more, and for as long as it stalled just before, less: what began then is seen late.
func (l *Lab) Took(what string, from, to time.Time, low, high time.Duration) {
	l.t.Helper()
	got, before, stalled := to.Sub(from), Stalled(from.Add(-tick), from.Add(tick)), Stalled(from, to)
	if got < low-before || got > high+stalled {
		l.t.Errorf("%s took %v, want %v to %v (the machine stalled for %v, and for %v at the begin)", what, got, low, high, stalled, before)
	}
}
