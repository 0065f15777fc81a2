// Package announce decides when which gratuitous ARP and unsolicited neighbour advertisement is sent, and what its bytes are.
package announce

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Target is an address to announce and the interface that has it.
type Target struct {
	Addr      netip.Addr
	Namespace string // in which the interface is, as of model.Instance
	IfIndex   int
	IfName    string
	Base      string // the interface whose limit of rate counts, if not IfName: that beneath a VMAC
	MAC       [6]byte
	Router    bool // IPv6: the host forwards on the interface
	NoARP     bool // the interface resolves no addresses: nothing is sent, nor on one without a hardware address
}

// Frame is one Ethernet frame to send now. Data may be shared between frames and must not be changed.
type Frame struct {
	Owner   int
	IfIndex int
	IfName  string
	Addr    netip.Addr
	Data    []byte
}

// Queue holds the announcements that are still to be sent. It is not safe for concurrent use.
type Queue struct {
	delays []model.GARPDelay
	blocks []block // without a limit of rate: due at once, in order
	lines  []*line // one per limit
	byKey  map[lineKey]*line
	next   time.Time
}

// block is a request without a limit of rate: all frames, then all again, repeat times.
type block struct {
	at     time.Time
	frames []Frame
	repeat int
	begun  bool // all frames have been sent once
}

// lineKey names what shares a limit: the interfaces of a delay group together, or, under the group without interfaces, one
// interface; ARP and NA apart.
type lineKey struct {
	group     int // index into delays
	namespace string
	ifName    string
	family    model.Family
}

// line is what waits for its turn under one limit, in round robin order.
type line struct {
	interval time.Duration
	free     time.Time // when the next frame may leave
	waiting  []waiting
}

type waiting struct {
	Frame
	pending int
}

// New returns an empty queue that keeps to the given limits.
func New(delays []model.GARPDelay) *Queue {
	return &Queue{delays: delays, byKey: map[lineKey]*line{}}
}

// SetDelays replaces the limits, for a reload. What waits keeps its place and the limit under which it was queued.
func (q *Queue) SetDelays(delays []model.GARPDelay) {
	old := q.lines
	q.delays, q.lines, q.byKey = delays, nil, map[lineKey]*line{}
	for _, l := range old {
		if len(l.waiting) > 0 {
			q.lines = append(q.lines, l)
		}
	}
}

// Add queues one block for owner: every target in order, and that repeat times over (vrrp.md: gratuitous ARP, when).
//
// On interfaces with a limit of rate the frames are spread over time, addresses taking turns; there at most repeat copies of an
// address wait, whoever asked for them, so that a flood of requests cannot grow the queue.
func (q *Queue) Add(now time.Time, owner int, targets []Target, repeat int) {
	if repeat <= 0 {
		return
	}
	var free []Frame
	for i := range targets {
		t := &targets[i]
		if t.NoARP || t.MAC == [6]byte{} {
			continue
		}
		f := Frame{Owner: owner, IfIndex: t.IfIndex, IfName: t.IfName, Addr: t.Addr, Data: encode(t)}
		if l := q.line(t); l != nil {
			l.add(now, f, repeat)
		} else {
			free = append(free, f)
		}
	}
	if len(free) > 0 {
		q.blocks = append(q.blocks, block{at: now, frames: free, repeat: repeat})
	}
	q.schedule()
}

// key names the limit that an interface is under; ok is false if there is none. Groups name interfaces of the process's namespace.
func (q *Queue) key(namespace, ifName string, family model.Family) (key lineKey, ok bool) {
	key = lineKey{family: family, group: slices.IndexFunc(q.delays, func(d model.GARPDelay) bool {
		return namespace == "" && slices.Contains(d.Interfaces, ifName)
	})}
	if key.group < 0 {
		key.namespace, key.ifName = namespace, ifName
		key.group = slices.IndexFunc(q.delays, func(d model.GARPDelay) bool { return len(d.Interfaces) == 0 })
	}
	return key, key.group >= 0
}

// Free returns when the limit that an interface is under allows the next frame; zero: nothing has been sent under it.
func (q *Queue) Free(namespace, ifName string, family model.Family) time.Time {
	key, ok := q.key(namespace, ifName, family)
	if l := q.byKey[key]; ok && l != nil {
		return l.free
	}
	return time.Time{}
}

// line returns the limit that t is under; nil: none.
func (q *Queue) line(t *Target) *line {
	key, ok := q.key(t.Namespace, cmp.Or(t.Base, t.IfName), model.FamilyOf(t.Addr))
	if !ok {
		return nil
	}
	interval := q.delays[key.group].ARPInterval
	if key.family == model.IPv6 {
		interval = q.delays[key.group].NAInterval
	}
	if interval <= 0 {
		return nil
	}
	l := q.byKey[key]
	if l == nil {
		l = &line{interval: interval}
		q.byKey[key] = l
		q.lines = append(q.lines, l)
	}
	return l
}

func (l *line) add(now time.Time, f Frame, repeat int) {
	if l.free.Before(now) {
		l.free = now
	}
	for i := range l.waiting {
		if w := &l.waiting[i]; w.Addr == f.Addr && w.IfIndex == f.IfIndex {
			w.Frame = f
			w.pending = max(w.pending, repeat)
			return
		}
	}
	l.waiting = append(l.waiting, waiting{f, repeat})
}

// Drop forgets what owner queued: an instance that is no longer master must not claim its addresses.
func (q *Queue) Drop(owner int) {
	q.blocks = slices.DeleteFunc(q.blocks, func(b block) bool { return b.frames[0].Owner == owner })
	for _, l := range q.lines {
		l.waiting = slices.DeleteFunc(l.waiting, func(w waiting) bool { return w.Owner == owner })
	}
	q.schedule()
}

// First is Due, but of blocks it appends only those that have not begun, once; what repeats them is left to Due. When the addresses of many owners are
// set one after the other, none of them waits for the repetitions of the others.
//
// Differs from keepalived: it repeats what an instance announces before it begins with the next.
func (q *Queue) First(now time.Time, out []Frame) []Frame {
	for i := range q.blocks {
		if b := &q.blocks[i]; !b.begun && !b.at.After(now) {
			out = append(out, b.frames...)
			b.begun = true
			b.repeat--
		}
	}
	q.blocks = slices.DeleteFunc(q.blocks, func(b block) bool { return b.repeat == 0 })
	return q.limited(now, out)
}

// Due appends the frames that are to be sent now, in order, and forgets them. After a stall a limited interface does not catch
// up: what was missed moves back.
func (q *Queue) Due(now time.Time, out []Frame) []Frame {
	n := 0
	for n < len(q.blocks) && !q.blocks[n].at.After(now) {
		b := &q.blocks[n]
		for range b.repeat {
			out = append(out, b.frames...)
		}
		n++
	}
	q.blocks = slices.Delete(q.blocks, 0, n)
	return q.limited(now, out)
}

// limited appends the frames whose turn it is under a limit of rate.
func (q *Queue) limited(now time.Time, out []Frame) []Frame {
	for _, l := range q.lines {
		if len(l.waiting) > 0 && !l.free.After(now) {
			out = append(out, l.take())
			l.free = now.Add(l.interval)
		}
	}
	q.schedule()
	return out
}

// take removes one copy of the frame in front and sends its address to the back.
func (l *line) take() Frame {
	w := l.waiting[0]
	copy(l.waiting, l.waiting[1:])
	if w.pending--; w.pending > 0 {
		l.waiting[len(l.waiting)-1] = w
	} else {
		l.waiting[len(l.waiting)-1] = waiting{}
		l.waiting = l.waiting[:len(l.waiting)-1]
	}
	return w.Frame
}

// Deadline returns when Due has something to give; zero: nothing is queued.
func (q *Queue) Deadline() time.Time { return q.next }

func (q *Queue) schedule() {
	q.next = time.Time{}
	at := func(t time.Time) {
		if q.next.IsZero() || t.Before(q.next) {
			q.next = t
		}
	}
	if len(q.blocks) > 0 {
		at(q.blocks[0].at)
	}
	for _, l := range q.lines {
		if len(l.waiting) > 0 {
			at(l.free)
		}
	}
}
