package track

import (
	"fmt"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// lineDelayed tells of a change that waits: new and old flags of the kernel, and the delay in µs.
const lineDelayed = "%s: Adding flags change from 0x%x to 0x%x delay by %d"

// Debounce keeps changes of links back until they have lasted for the delay of interface_up_down_delays.
type Debounce struct {
	delays map[string]model.Debounce
	links  map[string]*link
	waits  int // links with a change that waits
}

// link is a link as the trackers see it, and as it is.
type link struct {
	seen, is bool   // up
	flags    uint32 // IFF_… as they are
	due      time.Time
}

// NewDebounce returns a Debounce without any link. The first that Link tells of one counts at once.
func NewDebounce(delays []model.Debounce) *Debounce {
	d := &Debounce{links: map[string]*link{}}
	d.set(delays)
	return d
}

func (d *Debounce) set(delays []model.Debounce) {
	d.delays = make(map[string]model.Debounce, len(delays))
	for _, c := range delays {
		d.delays[c.Interface] = c
	}
}

// Reconfigure takes new delays. Changes that wait go on waiting, but no longer than the new delay from now on.
func (d *Debounce) Reconfigure(now time.Time, delays []model.Debounce) {
	d.set(delays)
	for name, l := range d.links {
		if at := now.Add(d.delay(name, l.is)); !l.due.IsZero() && at.Before(l.due) {
			l.due = at
		}
	}
}

func (d *Debounce) delay(name string, up bool) time.Duration {
	if up {
		return d.delays[name].Up
	}
	return d.delays[name].Down
}

// Delays returns what is configured for an interface.
func (d *Debounce) Delays(name string) model.Debounce { return d.delays[name] }

// Waiting reports whether a change of the interface is being kept back.
func (d *Debounce) Waiting(name string) bool {
	l := d.links[name]
	return l != nil && !l.due.IsZero()
}

// Up reports whether the trackers are to take a link for up.
func (d *Debounce) Up(name string) bool {
	l := d.links[name]
	return l != nil && l.seen
}

// Link takes the state of a link. changed says that Up is another than before; line, if not empty, is to be logged in detail.
func (d *Debounce) Link(now time.Time, name string, up bool, flags uint32) (changed bool, line string) {
	l := d.links[name]
	if l == nil {
		d.links[name] = &link{seen: up, is: up, flags: flags}
		return up, ""
	}
	was := l.flags
	if l.flags = flags; l.is == up {
		return false, ""
	}
	l.is = up
	switch delay := d.delay(name, up); {
	case up == l.seen: // it has come back in time
		d.waits--
		l.due = time.Time{}
	case delay > 0:
		d.waits++
		l.due = now.Add(delay)
		return false, fmt.Sprintf(lineDelayed, name, was, flags, delay.Microseconds())
	default:
		l.seen = up
		return true, ""
	}
	return false, ""
}

// Gone forgets a link; that it is away is never delayed.
func (d *Debounce) Gone(name string) {
	if d.Waiting(name) {
		d.waits--
	}
	delete(d.links, name)
}

// Deadline is when the next change has waited long enough; zero: none waits.
func (d *Debounce) Deadline() time.Time {
	var next time.Time
	if d.waits == 0 {
		return next
	}
	for _, l := range d.links {
		if !l.due.IsZero() && (next.IsZero() || l.due.Before(next)) {
			next = l.due
		}
	}
	return next
}

// Due returns the name of one link whose change counts from now on; ok is false when there is none.
func (d *Debounce) Due(now time.Time) (name string, ok bool) {
	if d.waits == 0 {
		return "", false
	}
	for name, l := range d.links {
		if due(now, l.due) {
			d.waits--
			l.seen, l.due = l.is, time.Time{}
			return name, true
		}
	}
	return "", false
}
