package ipvs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
)

const (
	minBackoff = time.Second
	maxBackoff = time.Minute
	batch      = 64 // services between two looks at newer wishes

	// The kernel does not tell of changes by others, so the table is read again and again. Reading may take one part in lookShare of
	// the time, so that very large tables are looked at less often than every lookInterval.
	lookInterval = 500 * time.Millisecond
	lookShare    = 50
)

// Lane keeps the kernel's table in agreement with the newest wish for each service. Services for which there never was a wish
// are not touched. What the kernel already holds at the first wish is adopted: compared and corrected, not removed. What others
// change later is put right within a second, or later if the table is very large, see lookInterval.
//
// Differs from keepalived: after a crash its entries are kept as they are found, wrong weights included; a refused command is not
// repeated before the next change; what others delete or edit stays so; a sync daemon is stopped and started at each start.
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
	daemons  []Daemon  // wish
	running  []Daemon  // as wished when they were started
	synced   bool      // running is known
	owned    bool      // there has been a wish about daemons, so all of them are ours
	refusal  string    // of the last daemon, said once
	trust    bool      // that nobody else changes the table
	timeouts Timeouts  // wish
	original *Timeouts // before ours were set
	current  Timeouts  // last set, if original is known
	then     []func()
	trouble  string // why the kernel was last given up, said once
	retry    *time.Timer
	waiting  bool // for retry
	backoff  time.Duration
	look     *time.Timer
	pause    time.Duration // before the next look
	looking  bool          // look is set
	altered  map[lvs.ServiceKey]altered
}

type requests struct {
	wants    lvs.Table
	open     func() (Kernel, error)
	daemons  *[]Daemon
	trust    *bool
	timeouts *Timeouts
	flush    bool
	then     []func()
}

// OpenLane returns a lane that opens the kernel with open when there is something to be done, and again, less and less often,
// while that fails. Nothing happens before Run.
func OpenLane(open func() (Kernel, error), log *slog.Logger) *Lane {
	return &Lane{open: open, log: log, wake: make(chan struct{}, 1),
		wants: lvs.Table{}, has: lvs.Table{}, dirty: map[lvs.ServiceKey]struct{}{}, refused: map[lvs.ServiceKey]struct{}{},
		altered: map[lvs.ServiceKey]altered{}}
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

// WantDaemons states which sync daemons run. From the first call on any other is ours too, and is stopped.
func (l *Lane) WantDaemons(d []Daemon) { l.request(func(r *requests) { r.daemons = &d }) }

// Use says how the kernel is reached from now on. Nothing is believed of what the lane knew of another one.
func (l *Lane) Use(open func() (Kernel, error)) { l.request(func(r *requests) { r.open = open }) }

// Trust says whether others leave the table alone; else it is looked at again and again.
func (l *Lane) Trust(yes bool) { l.request(func(r *requests) { r.trust = &yes }) }

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
	l.retry, l.look = time.NewTimer(maxBackoff), time.NewTimer(lookInterval)
	defer l.retry.Stop()
	defer l.look.Stop()
	defer l.close()
	l.calm()
	l.pause = lookInterval
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
		case <-l.look.C:
			l.inspect()
		}
		l.watch()
	}
}

// altered is how somebody else left a service.
type altered struct {
	is    lvs.Service
	looks int // in a row that found it so
}

// alter has a service repaired that is not as it should be. If it always comes back the same, with a kernel perhaps that does not know
// an attribute, that is tried less and less often.
func (l *Lane) alter(k lvs.ServiceKey, is lvs.Service) {
	a := l.altered[k]
	if !a.is.Equal(is) {
		a = altered{is: is}
	}
	a.looks++
	l.altered[k] = a
	l.has[k] = is
	switch {
	case a.looks&(a.looks-1) != 0: // not a power of two
		return
	case a.looks < 4:
		l.log.Info(fmt.Sprintf("IPVS: virtual server %s was changed by others - repairing", k))
	case a.looks == 4:
		l.log.Warn(fmt.Sprintf("IPVS: virtual server %s does not stay as it is set - trying less often", k))
	}
	l.dirty[k] = struct{}{}
}

// watch arranges for the next look, if there is something to look at.
func (l *Lane) watch() {
	if l.trust || l.kernel == nil || len(l.has) == 0 && len(l.running) == 0 {
		l.look.Stop()
		l.looking = false
	} else if !l.looking {
		l.looking = true
		l.look.Reset(l.pause)
	}
}

// inspect reads what the kernel holds of ours, and makes dirty what is not as it was left.
func (l *Lane) inspect() {
	l.looking = false
	if l.trust || l.kernel == nil {
		return
	}
	begin := time.Now()
	err := l.compare()
	l.pause = max(lookInterval, (lookShare-1)*time.Since(begin))
	if err != nil {
		l.broken("IPVS: ", err)
	}
}

func (l *Lane) compare() error {
	if len(l.has) > 0 {
		t, err := l.kernel.Table(func(k lvs.ServiceKey) bool { _, ours := l.has[k]; return ours })
		if err != nil {
			return err
		}
		for k := range l.has {
			_, refused := l.refused[k]
			_, dirty := l.dirty[k]
			switch is := t[k]; {
			case refused || dirty: // known to be otherwise
			case is.Equal(l.wants[k]):
				delete(l.altered, k)
			default:
				l.alter(k, is)
			}
		}
	}
	if len(l.running) > 0 {
		list, err := l.kernel.Daemons()
		if err != nil {
			return err
		}
		if len(list) != len(l.running) {
			l.log.Info("IPVS: a sync daemon was stopped or started by others - repairing")
			l.synced = false
		}
	}
	return nil
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
	if n.open != nil {
		l.close()
		l.open = n.open
		for k := range l.wants {
			l.dirty[k] = struct{}{}
		}
	}
	if n.daemons != nil {
		l.daemons = *n.daemons
		l.owned = true
	}
	if n.trust != nil {
		l.trust = *n.trust
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
		l.broken(line, err)
		return
	}
	l.trouble = ""
	if len(l.refused) > 0 || l.daemonsPending() {
		l.later()
	} else {
		l.calm()
	}
}

// broken gives the connection to the kernel up, says why if that is news, and arranges for a retry.
func (l *Lane) broken(line string, err error) {
	l.close()
	complain(l.log, &l.trouble, line+err.Error())
	l.later()
}

// complain says what is wrong unless it is the same as before.
func complain(log *slog.Logger, before *string, line string) {
	if *before != line {
		*before = line
		log.Error(line)
	}
}

func (l *Lane) pending() bool {
	if l.daemonsPending() {
		return true
	}
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
	l.synced = false
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
	if err := l.settleDaemons(); err != nil {
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
		err := l.kernel.Apply(lvs.Plan(have, want), func(refusal *Error) {
			if no[refusal.Op.Key] == nil { // the others of the service follow from the first
				l.log.Warn(refusal.Error())
				no[refusal.Op.Key] = refusal
			}
		})
		if err != nil {
			return err
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

// daemonsPending reports whether the daemons are not as they are wanted, as far as is known.
func (l *Lane) daemonsPending() bool {
	return l.owned && !(l.synced && slices.Equal(l.running, l.daemons))
}

// settleDaemons stops what is not wanted before it starts what is. What the kernel refuses is tried again later.
func (l *Lane) settleDaemons() error {
	if !l.daemonsPending() {
		return nil
	}
	var stop []Daemon
	if l.synced {
		stop = slices.DeleteFunc(slices.Clone(l.running), func(d Daemon) bool { return slices.Contains(l.daemons, d) })
	} else {
		list, err := l.kernel.Daemons()
		if err != nil {
			return err
		}
		l.running = nil
		for _, is := range list {
			if i := slices.IndexFunc(l.daemons, is.fits); i >= 0 {
				l.running = append(l.running, l.daemons[i])
			} else {
				stop = append(stop, is)
			}
		}
	}
	for _, d := range stop {
		if err := l.kernel.StopDaemon(d); err != nil && !errors.Is(err, syscall.ESRCH) {
			return l.daemonRefused(err)
		}
	}
	l.synced = true
	l.running = slices.DeleteFunc(l.running, func(d Daemon) bool { return slices.Contains(stop, d) })
	for _, d := range l.daemons {
		if !slices.Contains(l.running, d) {
			if err := l.kernel.StartDaemon(d); err == nil {
				l.running = append(l.running, d)
			} else if err := l.daemonRefused(err); err != nil {
				return err
			} else {
				l.synced = false
			}
		}
	}
	if l.synced {
		l.running = slices.Clone(l.daemons) // in that order
		l.refusal = ""
	}
	return nil
}

// daemonRefused returns err unless it is an answer to the command.
func (l *Lane) daemonRefused(err error) error {
	var refusal *DaemonError
	if !errors.As(err, &refusal) {
		return err
	}
	complain(l.log, &l.refusal, refusal.Error())
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
