package track

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Lines that are logged of a tracked process, letter for letter keepalived's.
const (
	lineGained = "Quorum gained for tracked process %s"
	lineLost   = "Quorum lost for tracked process %s"
)

// Command is what a process runs.
type Command struct {
	Name string   // the kernel's name for it, at most 15 bytes
	Args []string // the command line with the program; empty for kernel threads and zombies
}

// Census counts the running processes that each vrrp_track_process looks for.
type Census struct {
	wanted []model.TrackProcess
	counts []int
	found  map[int][]int // by process id: indices into wanted
}

// NewCensus returns a census that knows of no process yet.
func NewCensus(wanted []model.TrackProcess) *Census {
	return &Census{wanted: wanted, counts: make([]int, len(wanted)), found: map[int][]int{}}
}

// Counts returns how many processes each of the wanted has, in their order. The slice is the caller's.
func (c *Census) Counts() []int { return slices.Clone(c.counts) }

// Forked takes notice of a child, which runs what its parent runs.
func (c *Census) Forked(parent, child int) { c.set(child, c.found[parent]) }

// Runs takes notice of what a process runs now.
func (c *Census) Runs(pid int, cmd Command) {
	var is []int
	for i := range c.wanted {
		if matches(&c.wanted[i], cmd) {
			is = append(is, i)
		}
	}
	c.set(pid, is)
}

// Ended takes notice of the end of a process.
func (c *Census) Ended(pid int) { c.set(pid, nil) }

// Reset forgets every process.
func (c *Census) Reset() {
	clear(c.found)
	clear(c.counts)
}

func (c *Census) set(pid int, is []int) {
	for _, i := range c.found[pid] {
		c.counts[i]--
	}
	for _, i := range is {
		c.counts[i]++
	}
	if len(is) == 0 {
		delete(c.found, pid)
	} else {
		c.found[pid] = is
	}
}

// matches compares literally (vrrp.md §13.5): a path never matches the kernel's name, nor does a name of more than 15 bytes.
func matches(w *model.TrackProcess, cmd Command) bool {
	if !w.FullCommand {
		return w.Process == cmd.Name
	}
	if len(cmd.Args) == 0 || w.Process != cmd.Args[0] {
		return false
	}
	args, n := cmd.Args[1:], len(w.Args)
	switch w.ParamMatch {
	case model.ParamExact:
		return slices.Equal(args, w.Args)
	case model.ParamPartial:
		return len(args) >= n && slices.Equal(args[:n], w.Args)
	case model.ParamInitial:
		return n == 0 || len(args) >= n && slices.Equal(args[:n-1], w.Args[:n-1]) && strings.HasPrefix(args[n-1], w.Args[n-1])
	}
	return true
}

// Quorum says whether enough processes run, and not too many, and for long enough.
type Quorum struct {
	cfg   *model.TrackProcess
	count int
	have  bool
	known bool
	due   time.Time // when have turns
}

// NewQuorum returns the judgement on a process that nothing is known of.
func NewQuorum(cfg *model.TrackProcess) *Quorum { return &Quorum{cfg: cfg} }

// Config returns the configuration.
func (q *Quorum) Config() *model.TrackProcess { return q.cfg }

// Count returns how many processes there are.
func (q *Quorum) Count() int { return q.count }

// Have reports the judgement.
func (q *Quorum) Have() bool { return q.have }

// Deadline returns when Expire is due; zero: never.
func (q *Quorum) Deadline() time.Time { return q.due }

// Waiting reports which delay runs.
func (q *Quorum) Waiting() (fork, terminate bool) {
	return !q.due.IsZero() && !q.have, !q.due.IsZero() && q.have
}

// Counted takes the number of processes. changed says that the judgement turned; line is to be logged then. The first count decides
// at once and silently.
func (q *Quorum) Counted(now time.Time, n int) (changed bool, line string) {
	q.count = n
	enough := n >= q.cfg.Quorum && (q.cfg.QuorumMax < 0 || n <= q.cfg.QuorumMax)
	if !q.known {
		q.known, q.have = true, enough
		return true, ""
	}
	if enough == q.have {
		q.due = time.Time{}
		return false, ""
	}
	delay := q.cfg.Terminate
	if enough {
		delay = q.cfg.Fork
	}
	if delay > 0 {
		if q.due.IsZero() {
			q.due = now.Add(delay)
		}
		return false, ""
	}
	return true, q.turn()
}

// Expire turns the judgement if its delay is over.
func (q *Quorum) Expire(now time.Time) (changed bool, line string) {
	if !due(now, q.due) {
		return false, ""
	}
	return true, q.turn()
}

func (q *Quorum) turn() string {
	q.have, q.due = !q.have, time.Time{}
	if q.have {
		return fmt.Sprintf(lineGained, q.cfg.Name)
	}
	return fmt.Sprintf(lineLost, q.cfg.Name)
}

// Reconfigure keeps what is known; cfg looks for the same processes (SameProcesses).
func (q *Quorum) Reconfigure(now time.Time, cfg *model.TrackProcess) (changed bool, line string) {
	if q.cfg = cfg; !q.known {
		return false, ""
	}
	return q.Counted(now, q.count)
}

// SameProcesses reports whether a and b count the same processes.
func SameProcesses(a, b *model.TrackProcess) bool {
	return a.Process == b.Process && a.FullCommand == b.FullCommand && a.ParamMatch == b.ParamMatch && slices.Equal(a.Args, b.Args)
}
