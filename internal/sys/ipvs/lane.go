package ipvs

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
)

const (
	minBackoff = time.Second
	maxBackoff = time.Minute
	batch      = 64 // services between two looks at newer wishes
)

// Lane keeps the kernel's table in agreement with the newest wish for each service. Services for which there never was a wish
// are not touched. What the kernel already holds at the first wish is adopted: compared and corrected, not removed.
//
// Differs from keepalived: after a crash its entries are kept as they are found, wrong weights included; a refused command is not
// repeated before the next change.
//
// All methods but Run may be called from any goroutine and return at once.
type Lane struct {
	open func() (Kernel, error)
	log  *slog.Logger
	wake chan struct{} // capacity 1

	mu   sync.Mutex
	next requests // not yet taken

	// Of Run alone:
	kernel   Kernel
	wants    lvs.Table                   // every service of ours; none: to be deleted
	has      lvs.Table                   // what the kernel holds of them, as far as known; none: nothing
	dirty    map[lvs.ServiceKey]struct{} // to be compared
	refused  map[lvs.ServiceKey]struct{} // to be compared when the back-off is over
	flush    bool
	timeouts Timeouts  // wish
	original *Timeouts // before ours were set
	current  Timeouts  // last set, if original is known
	then     []func()
	trouble  string // why the kernel was last given up, said once
	retry    *time.Timer
	waiting  bool // for retry
	backoff  time.Duration
}

type requests struct {
	wants    lvs.Table
	timeouts *Timeouts
	flush    bool
	then     []func()
}

// OpenLane returns a lane that opens the kernel with open when there is something to be done, and again, less and less often,
// while that fails. Nothing happens before Run.
func OpenLane(open func() (Kernel, error), log *slog.Logger) *Lane {
	return &Lane{open: open, log: log, wake: make(chan struct{}, 1),
		wants: lvs.Table{}, has: lvs.Table{}, dirty: map[lvs.ServiceKey]struct{}{}, refused: map[lvs.ServiceKey]struct{}{}}
}

// Want states the wish for the services in t, replacing earlier wishes for them; none means that a service must go.
func (l *Lane) Want(t lvs.Table) {
	l.request(func(r *requests) {
		if r.wants == nil {
			r.wants = lvs.Table{}
		}
		for k, s := range t {
			r.wants[k] = s
		}
	})
}

// WantTimeouts states the connection timeouts; 0 stands for the value found before the first wish.
func (l *Lane) WantTimeouts(t Timeouts) { l.request(func(r *requests) { r.timeouts = &t }) }

// Flush deletes every service in the kernel, those of others too; then what is wanted comes back.
func (l *Lane) Flush() { l.request(func(r *requests) { r.flush = true }) }

// Then calls f on the lane's goroutine when everything asked before has been tried once. f must not block.
func (l *Lane) Then(f func()) { l.request(func(r *requests) { r.then = append(r.then, f) }) }

func (l *Lane) request(f func(*requests)) {
	l.mu.Lock()
	f(&l.next)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run serves the lane until ctx ends. It leaves the table as it is, and may be called again, even after a panic.
func (l *Lane) Run(ctx context.Context) {
	l.retry = time.NewTimer(maxBackoff)
	defer l.retry.Stop()
	defer l.close()
	l.calm()
	for {
		l.take()
		l.work()
		if len(l.wake) == 0 { // else perhaps cut short by a newer wish
			for _, f := range l.then {
				f()
			}
			l.then = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-l.retry.C:
			l.waiting = false
			maps.Copy(l.dirty, l.refused)
			clear(l.refused)
		}
	}
}

// take accepts what was asked since the last time.
func (l *Lane) take() {
	l.mu.Lock()
	n := l.next
	l.next = requests{}
	l.mu.Unlock()
	for k, s := range n.wants {
		l.wants[k] = s
		l.dirty[k] = struct{}{}
		delete(l.refused, k)
	}
	if n.timeouts != nil {
		l.timeouts = *n.timeouts
	}
	l.flush = l.flush || n.flush
	l.then = append(l.then, n.then...)
}

// work does what there is to do, or arranges for a retry.
func (l *Lane) work() {
	if !l.pending() || l.kernel == nil && l.waiting {
		return
	}
	line, err := "IPVS: Can't initialize ipvs: ", l.connect()
	if err == nil {
		line, err = "IPVS: ", l.settle()
	}
	if err != nil {
		l.close()
		if line += err.Error(); l.trouble != line {
			l.trouble = line
			l.log.Error(line)
		}
		l.later()
		return
	}
	l.trouble = ""
	if len(l.refused) > 0 {
		l.later()
	} else {
		l.calm()
	}
}

func (l *Lane) pending() bool {
	if l.original == nil && l.timeouts != (Timeouts{}) || l.original != nil && l.current != l.effective() {
		return true
	}
	return l.flush || len(l.dirty) > 0
}

func (l *Lane) connect() error {
	if l.kernel != nil {
		return nil
	}
	k, err := l.open()
	if err != nil {
		return err
	}
	l.kernel = k
	clear(l.has)
	return nil
}

func (l *Lane) later() {
	if !l.waiting {
		l.waiting = true
		l.retry.Reset(l.backoff)
		l.backoff = min(2*l.backoff, maxBackoff)
	}
}

func (l *Lane) calm() {
	l.waiting = false
	l.backoff = minBackoff
	l.retry.Stop()
}

func (l *Lane) close() {
	if l.kernel != nil {
		l.kernel.Close()
		l.kernel = nil
	}
}

// settle returns an error if the kernel cannot be talked to.
func (l *Lane) settle() error {
	if l.flush {
		if err := l.kernel.Flush(); err != nil {
			return err
		}
		l.flush = false
		for k := range l.wants {
			l.has[k] = lvs.Service{}
			l.dirty[k] = struct{}{}
		}
	}
	if err := l.settleTimeouts(); err != nil {
		return err
	}
	// A service about which the kernel and we disagree is read again and tried once more at once, then after the back-off.
	if err := l.reconcile(true); err != nil {
		return err
	}
	return l.reconcile(false)
}

// keys puts the services that go before those that stay.
func (l *Lane) keys(set map[lvs.ServiceKey]struct{}) []lvs.ServiceKey {
	keys := make([]lvs.ServiceKey, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b lvs.ServiceKey) int {
		if x, y := l.wants[a].None(), l.wants[b].None(); x != y {
			if x {
				return -1
			}
			return 1
		}
		return a.Compare(b)
	})
	return keys
}

// reconcile makes the kernel agree about the dirty services, unless a newer wish cuts it short. Those about which it refuses a
// command become refused; if again is set, those of them about which our knowledge was wrong stay dirty.
func (l *Lane) reconcile(again bool) error {
	keys := l.keys(l.dirty)
	if err := l.learn(keys); err != nil {
		return err
	}
	for part := range slices.Chunk(keys, batch) {
		if len(l.wake) > 0 {
			return nil
		}
		have, want := lvs.Table{}, lvs.Table{}
		for _, k := range part {
			have[k], want[k] = l.has[k], l.wants[k]
		}
		no := map[lvs.ServiceKey]*Error{}
		for _, op := range lvs.Plan(have, want) {
			if no[op.Key] != nil {
				continue
			}
			if err := l.kernel.Apply(op); err != nil {
				var refusal *Error
				if !errors.As(err, &refusal) {
					return err
				}
				l.log.Warn(refusal.Error())
				no[op.Key] = refusal
			}
		}
		for _, k := range part {
			delete(l.has, k) // unknown, or gone
			switch {
			case no[k] != nil && again && no[k].stale():
				continue
			case no[k] != nil:
				l.refused[k] = struct{}{}
			case want[k].None():
				delete(l.wants, k)
			default:
				l.has[k] = want[k]
			}
			delete(l.dirty, k)
		}
	}
	return nil
}

// learn reads what the kernel holds of keys, as far as that is not known.
func (l *Lane) learn(keys []lvs.ServiceKey) error {
	unknown := map[lvs.ServiceKey]bool{}
	for _, k := range keys {
		if _, ok := l.has[k]; !ok {
			unknown[k] = true
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	t, err := l.kernel.Table(func(k lvs.ServiceKey) bool { return unknown[k] })
	if err != nil {
		return err
	}
	for k := range unknown {
		l.has[k] = t[k]
	}
	return nil
}

func (l *Lane) settleTimeouts() error {
	if l.original == nil {
		if l.timeouts == (Timeouts{}) {
			return nil
		}
		t, err := l.kernel.Timeouts()
		if err != nil {
			return err
		}
		l.original, l.current = &t, t
	}
	if t := l.effective(); t != l.current {
		if err := l.kernel.SetTimeouts(t); err != nil {
			return err
		}
		l.current = t
	}
	return nil
}

// effective is the wish with the originals where it says nothing.
func (l *Lane) effective() Timeouts {
	or := func(t, original time.Duration) time.Duration {
		if t == 0 {
			return original
		}
		return t
	}
	return Timeouts{or(l.timeouts.TCP, l.original.TCP), or(l.timeouts.TCPFin, l.original.TCPFin), or(l.timeouts.UDP, l.original.UDP)}
}
