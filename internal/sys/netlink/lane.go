// Package netlink reads, watches and changes the links and addresses of the host.
package netlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	// maxBatch keeps the acknowledgements of one system call within the receive buffer.
	maxBatch = 64
	// A refused change is tried again after retryMin, then after twice that and so on up to retryMax.
	retryMin = time.Second
	retryMax = time.Minute
)

// Lane makes the kernel have the addresses, routes and rules that their owners wish for, on a goroutine of its own so that the loop never
// waits. Of the wishes about one object only the newest is carried out; an object is there as long as anybody wishes for it. Routes come
// after addresses and rules after routes; they go in the opposite order.
type Lane struct {
	log  *slog.Logger
	post func(func())
	sock *socket
	wake chan struct{} // capacity 1: there is work

	mu     sync.Mutex
	held   int     // Together calls under way
	wishes []*wish // one per owner, oldest first
	wanted map[hostnet.Key]claim
	have   map[hostnet.Key]model.Address
	dirty  []hostnet.Key // to be looked at, in the order of the wishes
	failed map[hostnet.Key]syscall.Errno
	routing
}

// wish is all that one owner wants; nothing: it wants none.
type wish struct {
	owner    string
	addrs    []model.Address
	keys     []hostnet.Key // of addrs, and, until it is carried out, of what the owner's previous wish had besides
	routing  []hostnet.Routing
	ids      []string // of routing, as keys
	settled  func(error)
	open     bool // not carried out yet
	replaced bool // by a newer one of the owner
}

// claim is what all wishes say of an address.
type claim struct {
	addr *model.Address // of the newest wish
	n    int            // how often it is wished for
}

// OpenLane opens the lane's socket in the calling thread's network namespace. post runs a function on the loop. rxBuf is the size of the receive
// buffer for answers.
func OpenLane(log *slog.Logger, post func(func()), rxBuf model.RxBuf) (*Lane, error) {
	sock, err := open(0, rxBuf)
	if err != nil {
		return nil, err
	}
	return newLane(log, post, sock), nil
}

func newLane(log *slog.Logger, post func(func()), sock *socket) *Lane {
	return &Lane{log: log, post: post, sock: sock, wake: make(chan struct{}, 1), wanted: map[hostnet.Key]claim{},
		have: map[hostnet.Key]model.Address{}, failed: map[hostnet.Key]syscall.Errno{}, routing: newRouting()}
}

// Own makes objects all that owner wants. Those that it has wanted before and does not now are removed, unless another owner wants
// them; those that it wants are set, even if they were set before, as they may have been taken away since.
//
// settled is called once, on the loop, after the kernel has answered for every object: with nil if all are there ("exists" counts),
// otherwise with the first error, when the lane goes on trying on its own. It is not called if the owner has made another wish
// by then. objects must not be changed afterwards. An address that was there already without our doing is not ours and will not be removed; nor is a route of another protocol.
func (l *Lane) Own(owner string, objects model.Objects, settled func(err error)) {
	w := &wish{owner: owner, addrs: objects.Addresses, settled: settled, open: true}
	wanted := make(map[hostnet.Key]bool, len(w.addrs))
	for i := range w.addrs {
		k := hostnet.KeyOf(w.addrs[i])
		wanted[k] = true
		w.keys = append(w.keys, k)
	}
	w.want(objects)
	l.mu.Lock()
	if i := slices.IndexFunc(l.wishes, func(o *wish) bool { return o.owner == owner }); i >= 0 {
		old := l.wishes[i]
		old.replaced = true
		for _, k := range old.keys {
			if !wanted[k] {
				w.keys = append(w.keys, k)
			}
		}
		w.inherit(old)
		l.wishes = slices.Delete(l.wishes, i, i+1)
		l.unclaim(old)
	}
	l.wishes = append(l.wishes, w)
	l.claim(w)
	l.dirty = append(l.dirty, w.keys...)
	l.routing.dirty = append(l.routing.dirty, w.ids...)
	l.mu.Unlock()
	l.signal()
}

// claim enters what a wish wants; it is the newest. l.mu is held.
func (l *Lane) claim(w *wish) {
	for i := range w.addrs {
		k := hostnet.KeyOf(w.addrs[i])
		l.wanted[k] = claim{&w.addrs[i], l.wanted[k].n + 1}
	}
}

// unclaim takes back what a wish that is gone from l.wishes wanted. l.mu is held.
func (l *Lane) unclaim(w *wish) {
	for i := range w.addrs {
		k := hostnet.KeyOf(w.addrs[i])
		if l.wanted[k].n == 1 {
			delete(l.wanted, k)
		} else {
			l.wanted[k] = claim{l.newest(k), l.wanted[k].n - 1}
		}
	}
}

// newest returns what the newest wish for an address says of it.
func (l *Lane) newest(k hostnet.Key) *model.Address {
	for _, w := range slices.Backward(l.wishes) {
		for i := range slices.Backward(w.addrs) {
			if hostnet.KeyOf(w.addrs[i]) == k {
				return &w.addrs[i]
			}
		}
	}
	return nil
}

// Renew has the lifetimes of what owner wants begin anew.
func (l *Lane) Renew(owner string) {
	l.mu.Lock()
	if i := slices.IndexFunc(l.wishes, func(o *wish) bool { return o.owner == owner }); i >= 0 {
		l.dirty = append(l.dirty, l.wishes[i].keys...)
	}
	l.mu.Unlock()
	l.signal()
}

// Disown removes what owner has, in the order in which it was given; it is Own of nothing.
func (l *Lane) Disown(owner string, settled func(err error)) { l.Own(owner, model.Objects{}, settled) }

// RemoveStale removes what an earlier process may have left behind, unless it is wished for by then, when it is ours. That it
// is not there is no error.
func (l *Lane) RemoveStale(objects model.Objects) {
	l.mu.Lock()
	l.routing.adopt(objects)
	for _, a := range objects.Addresses {
		k := hostnet.KeyOf(a)
		if _, ok := l.have[k]; !ok {
			l.have[k] = a
		}
		l.dirty = append(l.dirty, k)
	}
	l.mu.Unlock()
	l.signal()
}

// Together has the wishes that f makes carried out as one: an address that moves from one owner, interface or prefix length to
// another is never missing in between.
func (l *Lane) Together(f func()) {
	l.mu.Lock()
	l.held++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.held--
		l.mu.Unlock()
		l.signal()
	}()
	f()
}

func (l *Lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run carries wishes out until ctx is done, then returns nil.
func (l *Lane) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, l.sock.interrupt)()
	retry := time.NewTimer(retryMin)
	defer retry.Stop()
	wait, armed := retryMin, true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-retry.C:
			armed = false
			l.markFailed()
		}
		have, want, done, before, after := l.take()
		if ops := hostnet.Plan(have, want); len(ops)+len(before)+len(after)+len(done) > 0 {
			early := l.applyRouting(before)
			errs := l.apply(ops)
			late := l.applyRouting(after)
			if ctx.Err() != nil {
				return nil
			}
			wrong := l.settleRouting(append(before, after...), append(early, late...))
			l.settle(ops, errs, done, wrong)
		}
		switch failing := l.failing(); {
		case !failing:
			wait = retryMin
		case !armed:
			armed = true
			retry.Reset(wait)
			wait = min(2*wait, retryMax)
		}
	}
}

func (l *Lane) markFailed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.failed {
		l.dirty = append(l.dirty, k)
	}
	for id := range l.routing.failed {
		l.routing.dirty = append(l.routing.dirty, id)
	}
}

func (l *Lane) failing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failed)+len(l.routing.failed) > 0
}

// Close closes the socket; Run must have returned.
func (l *Lane) Close() error { return l.sock.close() }

// take returns what we have and what is wanted of the addresses that are to be looked at, the wishes that are settled then, and what is to
// be done about routes and rules before and after.
func (l *Lane) take() (have, want []model.Address, done []*wish, before, after []hostnet.RoutingOp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held > 0 {
		return nil, nil, nil, nil, nil
	}
	for _, w := range l.wishes {
		if w.open {
			done = append(done, w)
		}
	}
	seen := map[hostnet.Key]bool{}
	for _, k := range l.dirty {
		if seen[k] {
			continue
		}
		seen[k] = true
		a, ours := l.have[k]
		if ours {
			have = append(have, a)
		}
		if c, ok := l.wanted[k]; ok {
			want = append(want, *c.addr)
		} else if !ours {
			delete(l.failed, k)
		}
	}
	l.dirty = l.dirty[:0]
	// What the kernel may remove along with ours is set again, whoever wants it: "exists" is a success.
	lost := map[hostnet.Subnet]bool{}
	for _, a := range have {
		if _, stays := l.wanted[hostnet.KeyOf(a)]; !stays {
			lost[hostnet.SubnetOf(a)] = true
		}
	}
	delete(lost, hostnet.Subnet{})
	if len(lost) > 0 {
		for k, c := range l.wanted {
			if !seen[k] && lost[hostnet.SubnetOf(*c.addr)] {
				want = append(want, *c.addr)
			}
		}
	}
	before, after = l.takeRouting(removes(have, want))
	return have, want, done, before, after
}

// settle takes over the outcome of ops, logs what went wrong for the first time, and posts the wishes of done that still stand. wrongIDs
// are the routes and rules that went wrong.
func (l *Lane) settle(ops []hostnet.Op, errs []error, done []*wish, wrongIDs map[string]error) {
	var news []int // places in ops
	wrong := map[hostnet.Key]error{}
	l.mu.Lock()
	for i, op := range ops {
		k := hostnet.KeyOf(op.Addr)
		errno := errnoOf(errs[i])
		switch {
		case op.Remove && (errno == 0 || errno == unix.EADDRNOTAVAIL || errno == unix.ENODEV):
			delete(l.have, k)
			errno = 0
		case op.Remove:
		case errno == 0:
			l.have[k] = op.Addr
		case errno == unix.EEXIST: // ours or somebody else's as before
			errno = 0
		case errors.Is(errs[i], errNoAnswer): // it may be there, and the retry then says "exists"
			l.have[k] = op.Addr
		}
		if errno == 0 {
			delete(l.failed, k)
			continue
		}
		wrong[k] = fmt.Errorf("%s address %s on %q: %w", verb(op.Remove), op.Addr.Prefix, k.Interface, errs[i])
		if l.failed[k] != errno {
			l.failed[k] = errno
			news = append(news, i)
		}
	}
	var posts []func()
	for _, w := range done {
		if w.replaced {
			continue
		}
		var err error
		for _, k := range w.keys {
			if err = wrong[k]; err != nil {
				break
			}
		}
		for _, id := range w.ids {
			if err == nil {
				err = wrongIDs[id]
			}
		}
		w.open = false
		w.keys, w.ids = w.keys[:len(w.addrs)], w.ids[:len(w.routing)]
		posts = append(posts, func() {
			if l.stands(w) && w.settled != nil {
				w.settled(err)
			}
		})
	}
	l.mu.Unlock()

	for _, i := range news {
		l.complain(ops[i], errs[i])
	}
	for _, f := range posts {
		l.post(f)
	}
}

// stands reports whether w is still its owner's wish, and forgets it if it is carried out and empty.
func (l *Lane) stands(w *wish) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.replaced && len(w.addrs)+len(w.routing) == 0 {
		l.wishes = slices.DeleteFunc(l.wishes, func(o *wish) bool { return o == w })
	}
	return !w.replaced
}

// errnoOf returns the kernel's reason; EIO for an error that is none.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		errno = unix.EIO
	}
	return errno
}

func verb(remove bool) string {
	if remove {
		return "remove"
	}
	return "set"
}

// complain logs a refused change in keepalived's words, and says which it was.
func (l *Lane) complain(op hostnet.Op, err error) {
	var e *Error
	if !errors.As(err, &e) {
		l.log.Error(fmt.Sprintf("Netlink: cannot %s address %s on %s: %s", verb(op.Remove), op.Addr.Prefix, op.Addr.Interface, err))
		return
	}
	name := "RTM_NEWADDR"
	if op.Remove {
		name = "RTM_DELADDR"
	}
	line := fmt.Sprintf("Netlink: error: %s(%d), type=%s(%d), seq=%d, pid=0, address %s dev %s", capital(e.Errno.Error()), int(e.Errno),
		name, e.Type, e.Seq, op.Addr.Prefix, op.Addr.Interface)
	if e.Text != "" {
		line += " (" + e.Text + ")"
	}
	l.log.Error(line)
}

// capital turns Go's text of an errno into the C library's.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// apply sends ops in order and returns an error for each that the kernel refused.
func (l *Lane) apply(ops []hostnet.Op) []error {
	errs := make([]error, len(ops))
	index := map[string]int{}
	for start := 0; start < len(ops); start += maxBatch {
		end := min(start+maxBatch, len(ops))
		l.applyBatch(errs[start:end], func(i int, seq uint32) ([]byte, error) {
			op := ops[start+i]
			ifIndex, err := l.indexOf(op.Addr.Interface, index)
			if err != nil {
				return nil, err
			}
			return encode(op, ifIndex, seq), nil
		})
	}
	return errs
}

// indexOf looks the index of an interface up once per known.
func (l *Lane) indexOf(name string, known map[string]int) (int, error) {
	i, ok := known[name]
	if !ok {
		var err error
		if i, err = l.sock.ifIndex(name); err != nil {
			return 0, err
		}
		known[name] = i
	}
	return i, nil
}

// applyBatch sends one request for each place in errs and waits for the answers. The kernel works them off in order and tells each that
// fails; only of the last it is asked to say that it is done, which spares a system call for each of the others.
func (l *Lane) applyBatch(errs []error, request func(i int, seq uint32) ([]byte, error)) {
	var req []byte
	waiting := map[uint32]int{} // sequence number → place in errs
	flags, last := 0, uint32(0) // of the latest request: where its flags are, its number
	for i := range errs {
		seq := l.sock.nextSeq()
		b, err := request(i, seq)
		if err != nil {
			errs[i] = err
			continue
		}
		waiting[seq], last = i, seq
		flags = len(req) + flagsOffset
		req = append(req, b...)
		native.PutUint16(req[flags:], native.Uint16(req[flags:])&^unix.NLM_F_ACK)
	}
	if len(waiting) == 0 {
		return
	}
	native.PutUint16(req[flags:], native.Uint16(req[flags:])|unix.NLM_F_ACK)
	err := l.sock.send(req)
	for answered := false; err == nil && !answered; {
		var msgs []syscall.NetlinkMessage
		msgs, err = l.sock.receive()
		for j := range msgs {
			seq := msgs[j].Header.Seq
			i, ok := waiting[seq]
			if !ok || msgs[j].Header.Type != unix.NLMSG_ERROR {
				continue
			}
			delete(waiting, seq)
			answered = answered || seq == last
			if e, ok := decodeError(&msgs[j]); !ok {
				errs[i] = e
			}
		}
	}
	if err == nil {
		return
	}
	for _, i := range waiting {
		errs[i] = fmt.Errorf("%w: %w", errNoAnswer, err)
	}
}

// flagsOffset is where struct nlmsghdr has its flags.
const flagsOffset = 6

// errNoAnswer means that the outcome is not known.
var errNoAnswer = errors.New("no answer from the kernel")
