package loop

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// probe is a component that records what happens to it.
type probe struct {
	deadline  time.Time
	expire    func(now time.Time)
	recovered []error
}

func (p *probe) Deadline() time.Time  { return p.deadline }
func (p *probe) Expire(now time.Time) { p.expire(now) }
func (p *probe) Recover(_ time.Time, cause error) {
	p.recovered = append(p.recovered, cause)
}

func start(t *testing.T) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func run(t *testing.T, l *Loop) error {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second, errors.New("the loop did not stop"))
	defer cancel()
	return l.Run(ctx)
}

func TestPostedBeforeDue(t *testing.T) {
	l := start(t)
	var order []string
	p := &probe{deadline: time.Now().Add(-time.Second)}
	p.expire = func(time.Time) {
		order = append(order, "deadline")
		p.deadline = time.Time{}
		l.Stop(nil)
	}
	part := l.Add("p", p)
	part.Post(func(time.Time) { order = append(order, "first") })
	part.Post(func(time.Time) { order = append(order, "second") })
	if err := run(t, l); err != nil {
		t.Fatal(err)
	}
	if got := len(order); got != 3 || order[0] != "first" || order[1] != "second" || order[2] != "deadline" {
		t.Errorf("order = %v, want first, second, deadline", order)
	}
}

func TestDeadlineWakesAndIsNotEarly(t *testing.T) {
	l := start(t)
	at := time.Now().Add(20 * time.Millisecond)
	p := &probe{deadline: at}
	p.expire = func(now time.Time) {
		if now.Before(at) {
			t.Errorf("expired %s early", at.Sub(now))
		}
		p.deadline = time.Time{}
		l.Stop(nil)
	}
	l.Add("p", p)
	if err := run(t, l); err != nil {
		t.Fatal(err)
	}
}

func TestEarlierDeadlineAfterPost(t *testing.T) {
	l := start(t)
	p := &probe{deadline: time.Now().Add(time.Hour)}
	p.expire = func(time.Time) { l.Stop(nil); p.deadline = time.Time{} }
	part := l.Add("p", p)
	part.Go("shortener", func() error { return nil }, func(now time.Time, err error) {
		p.deadline = now.Add(time.Millisecond)
	})
	if err := run(t, l); err != nil {
		t.Fatal(err)
	}
}

func TestPanicIsContained(t *testing.T) {
	l := start(t)
	bad := &probe{}
	good := &probe{}
	badPart, goodPart := l.Add("bad", bad), l.Add("good", good)
	badPart.Post(func(time.Time) { panic("one") })
	goodPart.Post(func(time.Time) { l.Stop(nil) })
	if err := run(t, l); err != nil {
		t.Fatal(err)
	}
	if len(bad.recovered) != 1 || len(good.recovered) != 0 {
		t.Errorf("recovered %d and %d times, want 1 and 0", len(bad.recovered), len(good.recovered))
	}
}

func TestPanicBudget(t *testing.T) {
	l := start(t)
	bad := &probe{}
	part := l.Add("bad", bad)
	for range panicBudget {
		part.Post(func(time.Time) { panic("again") })
	}
	var broken *Broken
	if err := run(t, l); !errors.As(err, &broken) || broken.Component != "bad" {
		t.Fatalf("Run = %v, want Broken for bad", err)
	}
	if len(bad.recovered) != panicBudget-1 {
		t.Errorf("recovered %d times, want %d", len(bad.recovered), panicBudget-1)
	}
}

func TestGoroutinePanicIsReported(t *testing.T) {
	l := start(t)
	p := &probe{}
	part := l.Add("p", p)
	var got error
	part.Go("reader", func() error { panic("socket") }, func(_ time.Time, err error) {
		got = err
		l.Stop(nil)
	})
	if err := run(t, l); err != nil {
		t.Fatal(err)
	}
	if got == nil || len(p.recovered) != 0 {
		t.Errorf("died with %v, component recovered %d times; want an error and 0", got, len(p.recovered))
	}
}

func TestContextEndsRun(t *testing.T) {
	l := start(t)
	want := errors.New("told to")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(want)
	if err := l.Run(ctx); !errors.Is(err, want) {
		t.Errorf("Run = %v, want %v", err, want)
	}
}

func TestDeadlinesAgainstScan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 50
	var d Deadlines
	want := make([]time.Time, n)
	base := time.Unix(1000, 0)
	for step := range 20000 {
		id := r.IntN(n)
		at := base.Add(time.Duration(r.IntN(100)+1) * time.Second)
		if r.IntN(4) == 0 {
			at = time.Time{}
		}
		d.Set(id, at)
		want[id] = at
		var next time.Time
		for _, w := range want {
			if !w.IsZero() && (next.IsZero() || w.Before(next)) {
				next = w
			}
		}
		if got := d.Next(); !got.Equal(next) {
			t.Fatalf("step %d: Next = %v, want %v", step, got, next)
		}
		if id, ok := d.Due(next); ok != !next.IsZero() || ok && !want[id].Equal(next) {
			t.Fatalf("step %d: Due = %d, %v; want one of those due at %v", step, id, ok, next)
		}
	}
}

// Ids that are never used again, as those of checks that a reload has changed, cost nothing once they are cleared.
func TestDeadlinesOfEverNewIDs(t *testing.T) {
	var d Deadlines
	base := time.Unix(1000, 0)
	turn := func(n int) {
		d.Set(n, base)
		d.Set(n, base.Add(time.Second))
		d.Set(n-10, time.Time{})
	}
	for n := range 1000 {
		turn(n)
	}
	n := 1000
	if allocs := testing.AllocsPerRun(1000, func() { turn(n); n++ }); allocs > 0 {
		t.Errorf("%v allocations for each id", allocs)
	}
	if len(d.heap) != 10 || len(d.byID) != 10 || len(d.free) > 1 {
		t.Errorf("%d deadlines, %d ids, %d to be used again; want 10, 10, at most 1", len(d.heap), len(d.byID), len(d.free))
	}
}

// Of equal deadlines the order stays, however often they come.
func TestEqualDeadlinesKeepTheirOrder(t *testing.T) {
	const n = 100
	var d Deadlines
	at := time.Unix(1, 0)
	for _, id := range rand.Perm(n) {
		d.Set(id, at)
	}
	for range 5 {
		next := at.Add(time.Second)
		for want := range n {
			if id, ok := d.Due(at); !ok || id != want {
				t.Fatalf("due is %d, %t, want %d", id, ok, want)
			}
			d.Set(want, next)
		}
		at = next
	}
}

// pipe returns the descriptor of a pipe's end that is read from, and the other end.
func pipe(t *testing.T) (fd int, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return int(r.Fd()), w
}

// whenAsleep calls f once the loop has nothing to do; a loop that never has is ended by run.
func whenAsleep(l *Loop, f func()) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		l.mu.Lock()
		asleep := l.asleep
		l.mu.Unlock()
		if asleep {
			f()
			return
		}
	}
}

// TestWatch: what can be read is told in each pass until it is read, before what is due, and no more after Unwatch.
func TestWatch(t *testing.T) {
	l := start(t)
	fd, w := pipe(t)
	var order []string
	p := &probe{deadline: time.Now().Add(-time.Second)}
	p.expire = func(time.Time) { order = append(order, "deadline"); p.deadline = time.Time{} }
	part := l.Add("p", p)
	read := func() {
		var b [1]byte
		if _, err := unix.Read(fd, b[:]); err != nil {
			t.Error(err)
		}
	}
	times := 0
	if err := part.Watch(fd, func(time.Time) {
		order = append(order, "readable")
		switch times++; times {
		case 1: // left there
		case 2:
			read()
			go whenAsleep(l, func() { w.Write([]byte{2}) })
		case 3:
			part.Unwatch(fd) // and left there
			go whenAsleep(l, func() { l.Stop(nil) })
		}
	}); err != nil {
		t.Fatal(err)
	}
	w.Write([]byte{1})
	if err := run(t, l); err != nil {
		t.Fatal(err)
	}
	if want := []string{"readable", "deadline", "readable", "readable"}; !slices.Equal(order, want) {
		t.Errorf("order = %q, want %q", order, want)
	}
	if err := part.Watch(-1, nil); err == nil {
		t.Error("a descriptor that is none can be watched")
	}
}

// TestNoWakeIsLost has goroutines post, descriptors become readable and timers expire at once, again and again: whatever comes as the loop falls asleep
// must wake it, though its next deadline is an hour away.
func TestNoWakeIsLost(t *testing.T) {
	l := start(t)
	p := &probe{}
	part := l.Add("p", p)
	const n = 20000
	fd, w := pipe(t)
	posted, received, expired := make(chan bool, 1), make(chan bool, 1), 0
	p.deadline = time.Now()
	p.expire = func(now time.Time) {
		if expired++; expired < n {
			p.deadline = now.Add(time.Duration(expired%7) * time.Microsecond)
		} else {
			p.deadline = now.Add(time.Hour)
		}
	}
	if err := part.Watch(fd, func(time.Time) {
		var b [1]byte
		unix.Read(fd, b[:])
		received <- true
	}); err != nil {
		t.Fatal(err)
	}
	go func() {
		for range n {
			part.Post(func(time.Time) { posted <- true })
			<-posted
		}
		for range n {
			w.Write([]byte{1})
			<-received
		}
		l.Stop(nil)
	}()
	if err := run(t, l); err != nil {
		t.Fatal(err)
	}
	if expired < n {
		t.Errorf("%d of %d deadlines", expired, n)
	}
}
