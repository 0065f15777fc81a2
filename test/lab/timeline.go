package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Entry is one thing that happened. Exactly one of Frame, Addr, Line and Mark is set.
type Entry struct {
	At    time.Time
	Node  string
	Frame *Frame
	Addr  *AddrChange
	Line  string // of a daemon's log, without its time stamp
	Mark  string // what the test did
}

// AddrChange is an address that came or went. It is stamped when the kernel's message is read.
type AddrChange struct {
	Prefix  netip.Prefix
	Ifindex int
	Gone    bool
}

// Timeline collects what happens in a lab, in order of arrival.
type Timeline struct {
	t       T
	mu      sync.Mutex
	entries []Entry
	addrs   map[string]map[netip.Addr]bool // by node: present now
	news    chan struct{}                  // closed and replaced at every entry
}

func (tl *Timeline) init(t T) {
	tl.t, tl.news, tl.addrs = t, make(chan struct{}), map[string]map[netip.Addr]bool{}
}

func (tl *Timeline) add(e Entry) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	if a := e.Addr; a != nil {
		if tl.addrs[e.Node] == nil {
			tl.addrs[e.Node] = map[netip.Addr]bool{}
		}
		tl.addrs[e.Node][a.Prefix.Addr()] = !a.Gone
	}
	tl.entries = append(tl.entries, e)
	close(tl.news)
	tl.news = make(chan struct{})
}

func (tl *Timeline) mark(node, what string) { tl.add(Entry{At: time.Now(), Node: node, Mark: what}) }

// Forget drops what happened so far, but not which addresses are present: long runs need not search it.
func (tl *Timeline) Forget() {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.entries = nil
}

// Entries returns a copy of the entries for which match is true.
func (tl *Timeline) Entries(match func(Entry) bool) []Entry {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	var out []Entry
	for _, e := range tl.entries {
		if match(e) {
			out = append(out, e)
		}
	}
	return out
}

// Has tells whether a node has the address now.
func (tl *Timeline) Has(node string, addr netip.Addr) bool {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	return tl.addrs[node][addr]
}

// Holders names the nodes that have the address now, sorted.
func (tl *Timeline) Holders(addr netip.Addr) string {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	var out []string
	for node, addrs := range tl.addrs {
		if addrs[addr] {
			out = append(out, node)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// poll bounds how late a condition is seen that nothing on the timeline announces.
const poll = 5 * time.Millisecond

// Wait returns when cond is true, and fails the test when it is not within the limit.
func (tl *Timeline) Wait(limit time.Duration, what string, cond func() bool) {
	tl.t.Helper()
	if !tl.Until(limit, cond) {
		tl.t.Fatalf("not within %v: %s", limit, what)
	}
}

// Until returns true as soon as cond is true, false when it is not within the limit.
func (tl *Timeline) Until(limit time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(limit)
	for {
		tl.mu.Lock()
		news := tl.news
		tl.mu.Unlock()
		if cond() {
			return true
		}
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		select {
		case <-news:
		case <-time.After(min(poll, left)):
		}
	}
}

// Hold fails the test if cond becomes false within the time: for what must not happen.
func (tl *Timeline) Hold(d time.Duration, what string, cond func() bool) {
	tl.t.Helper()
	if tl.Until(d, func() bool { return !cond() }) {
		tl.t.Fatalf("no longer true: %s", what)
	}
}

// Match says which frames are meant.
type Match func(*Frame) bool

// Frames returns the frames for which all of match are true.
func (tl *Timeline) Frames(match ...Match) []*Frame {
	var out []*Frame
	for _, e := range tl.Entries(func(e Entry) bool { return e.Frame != nil && all(e.Frame, match) }) {
		out = append(out, e.Frame)
	}
	return out
}

func all(f *Frame, match []Match) bool {
	for _, m := range match {
		if !m(f) {
			return false
		}
	}
	return true
}

// WaitFrame returns the first frame, past or to come, for which all of match are true.
func (tl *Timeline) WaitFrame(limit time.Duration, what string, match ...Match) *Frame {
	tl.t.Helper()
	return tl.WaitFrames(limit, 1, what, match...)[0]
}

// WaitFrames is WaitFrame for the first n of them.
func (tl *Timeline) WaitFrames(limit time.Duration, n int, what string, match ...Match) []*Frame {
	tl.t.Helper()
	var got []*Frame
	tl.Wait(limit, fmt.Sprintf("%d × %s", n, what), func() bool {
		got = tl.Frames(match...)
		return len(got) >= n
	})
	return got[:n]
}

// LastFrame returns the last frame so far for which all of match are true; there must be one.
func (tl *Timeline) LastFrame(match ...Match) *Frame {
	tl.t.Helper()
	got := tl.Frames(match...)
	if len(got) == 0 {
		tl.t.Fatalf("no such frame")
	}
	return got[len(got)-1]
}

// WaitHolder returns when exactly the named nodes (sorted, parted by blanks, "" for none) have the address.
func (tl *Timeline) WaitHolder(limit time.Duration, addr netip.Addr, nodes string) {
	tl.t.Helper()
	tl.Wait(limit, fmt.Sprintf("%s held by %q", addr, nodes), func() bool { return tl.Holders(addr) == nodes })
}

// String prints the timeline, one entry a line, with seconds since its first entry.
func (tl *Timeline) String() string {
	entries := tl.Entries(func(Entry) bool { return true })
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.At.Compare(b.At) })
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%9.4f %-2s ", e.At.Sub(entries[0].At).Seconds(), e.Node)
		switch {
		case e.Frame != nil:
			fmt.Fprintf(&b, "wire  %s\n", e.Frame)
		case e.Addr != nil && e.Addr.Gone:
			fmt.Fprintf(&b, "addr  - %s\n", e.Addr.Prefix)
		case e.Addr != nil:
			fmt.Fprintf(&b, "addr  + %s\n", e.Addr.Prefix)
		case e.Mark != "":
			fmt.Fprintf(&b, "TEST  %s\n", e.Mark)
		default:
			fmt.Fprintf(&b, "log   %s\n", e.Line)
		}
	}
	return b.String()
}
