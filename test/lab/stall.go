package lab

import (
	"bytes"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

// A busy machine does not run anybody for a while, the daemons included. So that no daemon is blamed for it, a timer of
// our own notes when it was late, and for how long anybody had to wait for a processor (/proc/pressure/cpu).
const (
	tick = 10 * time.Millisecond
	late = 30 * time.Millisecond // from here on it is worth noting
)

var stalls struct {
	start    sync.Once
	mu       sync.Mutex
	seen     []stall
	pressure []pressure
}

type stall struct{ from, to time.Time }

// pressure is for how long, until a moment, at least one thread of the machine was waiting for a processor.
type pressure struct {
	at    time.Time
	total time.Duration
}

func watchStalls() {
	stalls.start.Do(func() {
		go func() {
			ticker := time.NewTicker(tick)
			for before := time.Now(); ; before = time.Now() {
				<-ticker.C
				now := time.Now()
				stalls.mu.Lock()
				if now.Sub(before) > tick+late {
					stalls.seen = append(stalls.seen, stall{before, now})
				}
				stalls.pressure = append(stalls.pressure, pressure{now, waited()})
				stalls.mu.Unlock()
			}
		}()
	})
}

// waited reads the kernel's count; 0 if it has none.
func waited() time.Duration {
	b, _ := os.ReadFile("/proc/pressure/cpu")
	line, _, _ := bytes.Cut(b, []byte("\n"))
	_, total, _ := bytes.Cut(line, []byte("total="))
	us, _ := strconv.ParseInt(string(total), 10, 64)
	return time.Duration(us) * time.Microsecond
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

// Starved is for how long, between the two moments, somebody had to wait for a processor, or the machine stalled if that is longer: by as much a daemon may
// be late through no fault of its own.
func Starved(from, to time.Time) time.Duration {
	sum := Stalled(from, to)
	stalls.mu.Lock()
	defer stalls.mu.Unlock()
	// The counts around the two moments.
	begin := sort.Search(len(stalls.pressure), func(i int) bool { return stalls.pressure[i].at.After(from) }) - 1
	end := sort.Search(len(stalls.pressure), func(i int) bool { return !stalls.pressure[i].at.Before(to) })
	if end = min(end, len(stalls.pressure)-1); end > max(begin, 0) {
		sum = max(sum, min(stalls.pressure[end].total-stalls.pressure[max(begin, 0)].total, to.Sub(from)))
	}
	return sum
}

// Took fails the test unless from low to high passed between the two moments; for as long as the machine was starved it
// may be more, and for as long as it stalled just before, less: what began then is seen late.
func (l *Lab) Took(what string, from, to time.Time, low, high time.Duration) {
	l.t.Helper()
	got, before, starved := to.Sub(from), Stalled(from.Add(-tick), from.Add(tick)), Starved(from, to)
	if got < low-before || got > high+starved {
		l.t.Errorf("%s took %v, want %v to %v (the machine was starved for %v, and stalled for %v at the begin)", what, got, low, high, starved, before)
	}
}
