// Package loop runs everything that owns state on one goroutine, and supervises the goroutines that serve it.
//
// A pass reads what has arrived, takes all that was posted, in order, and then lets the due deadlines expire: what has already happened is
// always seen before a timer acts on its absence.
package loop

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Component is one part of the worker's state. All its methods run on the loop and never block.
type Component interface {
	// Deadline is when Expire wants to be called; zero: there is nothing to wait for.
	Deadline() time.Time
	// Expire is called once now is at or after Deadline. It must move Deadline forward.
	Expire(now time.Time)
	// Recover is called after a panic in the component's own code: it gives up what the component owns and rebuilds it.
	Recover(now time.Time, cause error)
}

// A component may panic this often within this time; after that Run gives up and the process is to be replaced.
const (
	panicBudget = 3
	panicWindow = time.Minute
)

// Loop is the event loop. Post, Go and Stop may be called from any goroutine, Add before Run or on the loop.
type Loop struct {
	// Late, unless nil, is told on the loop how late each deadline is met.
	Late func(late time.Duration)

	mu      sync.Mutex
	queue   []posted
	asleep  bool // whoever has news must wake it,
	roused  bool // unless somebody has since it woke last
	stopped bool
	result  error

	parts   []*Part
	sleeper *sleeper
	watched map[int]posted // by descriptor
}

type posted struct {
	part *Part
	f    func(now time.Time)
}

// Part is a component's place on a loop.
type Part struct {
	loop   *Loop
	name   string
	comp   Component
	panics []time.Time
}

// New returns a loop without components.
func New() (*Loop, error) {
	s, err := newSleeper()
	if err != nil {
		return nil, fmt.Errorf("create event loop: %w", err)
	}
	return &Loop{sleeper: s, watched: map[int]posted{}}, nil
}

// Add gives c a place on the loop; deadlines that are due together expire in the order of Add.
func (l *Loop) Add(name string, c Component) *Part {
	p := &Part{loop: l, name: name, comp: c}
	l.parts = append(l.parts, p)
	return p
}

// Post has f run on the loop, after everything that was posted before it. A panic in f is the component's.
func (p *Part) Post(f func(now time.Time)) {
	l := p.loop
	l.mu.Lock()
	l.queue = append(l.queue, posted{p, f})
	l.rouse()
	l.mu.Unlock()
}

// Watch has ready called, in each pass, while fd, which must not block, has something to read. Called before Run or on the loop.
func (p *Part) Watch(fd int, ready func(now time.Time)) error {
	if err := p.loop.sleeper.add(fd); err != nil {
		return err
	}
	p.loop.watched[fd] = posted{p, ready}
	return nil
}

// Unwatch ends Watch; it comes before fd is closed. Called on the loop.
func (p *Part) Unwatch(fd int) {
	p.loop.sleeper.remove(fd)
	delete(p.loop.watched, fd)
}

// Waiting reports whether something posted, to any part, has not been run yet. Called on the loop.
func (p *Part) Waiting() bool {
	p.loop.mu.Lock()
	defer p.loop.mu.Unlock()
	return len(p.loop.queue) > 0
}

// Go runs fn on a goroutine of its own. When fn returns or panics, died is posted with its error.
func (p *Part) Go(name string, fn func() error, died func(now time.Time, err error)) {
	go func() {
		var err error
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic in %s: %v\n%s", name, v, debug.Stack())
			}
			p.Post(func(now time.Time) { died(now, err) })
		}()
		err = fn()
	}()
}

// Stop makes Run return err after the current pass.
func (l *Loop) Stop(err error) {
	l.mu.Lock()
	if !l.stopped {
		l.stopped, l.result = true, err
	}
	l.rouse()
	l.mu.Unlock()
}

// rouse wakes the loop if it sleeps; l.mu is held, so that it cannot be closed meanwhile.
func (l *Loop) rouse() {
	if l.asleep && !l.roused {
		l.roused = true
		l.sleeper.wake()
	}
}

// Run runs passes until Stop, the end of ctx, or a component that keeps panicking; it returns the reason, nil after Stop(nil).
func (l *Loop) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { l.Stop(context.Cause(ctx)) })()
	defer l.sleeper.close()

	var batch []posted
	read := func(fd int) {
		if w, ok := l.watched[fd]; ok {
			l.call(w.part, w.f)
		}
	}
	turn := func(uintptr) (done bool) {
		for l.awake(); l.running(); {
			l.mu.Lock()
			batch, l.queue = l.queue, batch[:0]
			l.mu.Unlock()

			busy := l.sleeper.readable(read)
			for i, e := range batch {
				l.call(e.part, e.f)
				batch[i] = posted{}
			}
			if next := l.expire(); !busy && l.asleepUntil(next) {
				return false
			}
		}
		return true
	}
	for l.running() {
		l.sleeper.wait(turn)
		l.awake()
	}
	return l.result
}

// expire lets what is due expire, once per component, and returns the earliest deadline that is left.
func (l *Loop) expire() time.Time {
	var next time.Time
	now := time.Now()
	for _, p := range l.parts {
		d := p.comp.Deadline()
		if !d.IsZero() && !now.Before(d) {
			if l.Late != nil {
				l.Late(now.Sub(d))
			}
			l.call(p, p.comp.Expire)
			d, now = p.comp.Deadline(), time.Now()
		}
		if !d.IsZero() && (next.IsZero() || d.Before(next)) {
			next = d
		}
	}
	return next
}

func (l *Loop) running() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.stopped
}

// asleepUntil puts the loop to sleep until something can be read, somebody wakes it or next has come, unless there is something to do already.
func (l *Loop) asleepUntil(next time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 || l.stopped {
		return false
	}
	l.asleep = true
	l.sleeper.expire(next)
	return true
}

// awake ends the sleep. A wake that came as the timer expired must not end the next sleep too.
func (l *Loop) awake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.roused {
		l.sleeper.rest()
	}
	l.asleep, l.roused = false, false
}

// call runs f as part p and contains its panic.
func (l *Loop) call(p *Part, f func(now time.Time)) {
	now := time.Now()
	defer func() {
		if v := recover(); v != nil {
			l.panicked(p, now, fmt.Errorf("panic in %s: %v\n%s", p.name, v, debug.Stack()))
		}
	}()
	f(now)
}

func (l *Loop) panicked(p *Part, now time.Time, cause error) {
	recent := p.panics[:0]
	for _, t := range p.panics {
		if now.Sub(t) < panicWindow {
			recent = append(recent, t)
		}
	}
	p.panics = append(recent, now)
	if len(p.panics) >= panicBudget {
		l.Stop(&Broken{Component: p.name, Cause: cause})
		return
	}
	defer func() {
		if v := recover(); v != nil {
			l.Stop(&Broken{Component: p.name, Cause: fmt.Errorf("panic while recovering: %v, after %w", v, cause)})
		}
	}()
	p.comp.Recover(now, cause)
}

// Broken is Run's reason when a component panicked too often.
type Broken struct {
	Component string
	Cause     error
}

func (b *Broken) Error() string {
	return fmt.Sprintf("%s panicked %d times within %s: %v", b.Component, panicBudget, panicWindow, b.Cause)
}

func (b *Broken) Unwrap() error { return b.Cause }
