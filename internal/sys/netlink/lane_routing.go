package netlink

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// routing is the part of a Lane that has to do with routes and rules; by their IDs it is what have, dirty and failed are for addresses.
type routing struct {
	have   map[string]hostnet.Routing
	dirty  []string
	failed map[string]syscall.Errno
}

func newRouting() routing {
	return routing{have: map[string]hostnet.Routing{}, failed: map[string]syscall.Errno{}}
}

func (w *wish) want(objects model.Objects) {
	w.routing = hostnet.RoutingOf(objects)
	for _, o := range w.routing {
		w.ids = append(w.ids, o.ID())
	}
}

// inherit has what the owner's previous wish had besides looked at.
func (w *wish) inherit(old *wish) {
	wanted := make(map[string]bool, len(w.ids))
	for _, id := range w.ids {
		wanted[id] = true
	}
	for _, id := range old.ids {
		if !wanted[id] {
			w.ids = append(w.ids, id)
		}
	}
}

// adopt takes routes and rules for ours, to be removed unless somebody wishes for them.
func (r *routing) adopt(objects model.Objects) {
	for _, o := range hostnet.RoutingOf(objects) {
		id := o.ID()
		if _, ok := r.have[id]; !ok {
			r.have[id] = o
		}
		r.dirty = append(r.dirty, id)
	}
}

// removes reports whether an address of have goes, and routes with it as the kernel sees fit.
func removes(have, want []model.Address) bool {
	wanted := make(map[hostnet.Key]bool, len(want))
	for _, a := range want {
		wanted[hostnet.KeyOf(a)] = true
	}
	for _, a := range have {
		if !wanted[hostnet.KeyOf(a)] {
			return true
		}
	}
	return false
}

// takeRouting returns what is to be done about the routes and rules that are to be looked at; with all those are the ones that somebody
// wants as well. l.mu is held.
func (l *Lane) takeRouting(all bool) (before, after []hostnet.RoutingOp) {
	r := &l.routing
	if len(r.dirty) == 0 && !all {
		return nil, nil
	}
	wanted := map[string]hostnet.Routing{}
	var have, want []hostnet.Routing
	dirty := make(map[string]bool, len(r.dirty))
	for _, id := range r.dirty {
		dirty[id] = true
	}
	for _, w := range l.wishes {
		for i, o := range w.routing {
			id := w.ids[i]
			if _, dup := wanted[id]; dup {
				continue
			}
			wanted[id] = o
			if dirty[id] || all && o.Route != nil {
				want = append(want, o)
			}
		}
	}
	for _, id := range r.dirty {
		if !dirty[id] {
			continue
		}
		delete(dirty, id)
		if o, ours := r.have[id]; ours {
			have = append(have, o)
		} else if _, ok := wanted[id]; !ok {
			delete(r.failed, id)
		}
	}
	r.dirty = r.dirty[:0]
	return hostnet.PlanRouting(have, want)
}

func (l *Lane) applyRouting(ops []hostnet.RoutingOp) []error {
	errs := make([]error, len(ops))
	known := map[string]int{}
	index := func(name string) (int, error) { return l.indexOf(name, known) }
	for start := 0; start < len(ops); start += maxBatch {
		end := min(start+maxBatch, len(ops))
		l.applyBatch(errs[start:end], func(i int, seq uint32) ([]byte, error) { return encodeRouting(ops[start+i], index, seq) })
	}
	return errs
}

// settleRouting takes over the outcome of ops, logs what went wrong for the first time, and returns what did.
func (l *Lane) settleRouting(ops []hostnet.RoutingOp, errs []error) map[string]error {
	var news []int // places in ops
	wrong := map[string]error{}
	l.mu.Lock()
	r := &l.routing
	for i, op := range ops {
		id := op.ID()
		errno := errnoOf(errs[i])
		switch {
		case op.Remove && !errors.Is(errs[i], errNoAnswer): // what the kernel refuses to remove it has not got
			delete(r.have, id)
			errno = 0
		case op.Remove:
		case errno == 0:
			r.have[id] = op.Routing
		case errno == unix.EEXIST:
			// A route of ours of an earlier run, or one that an address took with it in vain; of a rule there is one for everybody.
			if op.Rule != nil || op.Route.Protocol == model.KeepalivedProto {
				r.have[id] = op.Routing
			}
			errno = 0
		case errors.Is(errs[i], errNoAnswer):
			r.have[id] = op.Routing
		}
		if errno == 0 {
			delete(r.failed, id)
			continue
		}
		wrong[id] = fmt.Errorf("%s %s: %w", verb(op.Remove), op, errs[i])
		if _, had := r.have[id]; r.failed[id] != errno && !(had && linkGone(errno)) {
			news = append(news, i)
		}
		r.failed[id] = errno
	}
	l.mu.Unlock()
	for _, i := range news {
		l.complainRouting(ops[i], errs[i])
	}
	return wrong
}

// linkGone reports whether a route that was there cannot be set again because its link is down, which is known without it.
func linkGone(errno syscall.Errno) bool {
	return errno == unix.ENETUNREACH || errno == unix.ENETDOWN || errno == unix.ENODEV
}

// complainRouting logs a refused change in keepalived's words, and says which it was.
func (l *Lane) complainRouting(op hostnet.RoutingOp, err error) {
	what, typ, number := "route", "RTM_NEWROUTE", unix.RTM_NEWROUTE
	if op.Rule != nil {
		what, typ, number = "rule", "RTM_NEWRULE", unix.RTM_NEWRULE
	}
	var e *Error
	if !errors.As(err, &e) {
		l.log.Error(fmt.Sprintf("Netlink: cannot %s %s %s: %v", verb(op.Remove), what, op, err))
		return
	}
	line := fmt.Sprintf("Netlink: error: %s(%d), type=%s(%d), seq=%d, pid=0, %s %s", capital(e.Errno.Error()), int(e.Errno), typ, number, e.Seq,
		what, op)
	if e.Text != "" {
		line += " (" + e.Text + ")"
	}
	l.log.Error(line)
}

// Recheck makes sure of objects that are wished for, as somebody may have removed them.
func (l *Lane) Recheck(objects model.Objects) {
	l.mu.Lock()
	for _, a := range objects.Addresses {
		l.dirty = append(l.dirty, hostnet.KeyOf(a))
	}
	for _, o := range hostnet.RoutingOf(objects) {
		l.routing.dirty = append(l.routing.dirty, o.ID())
	}
	l.mu.Unlock()
	l.signal()
}

// Refresh makes sure of all routes and rules that are wished for: some may have gone without a word, as IPv4 routes do when their link
// goes down.
func (l *Lane) Refresh() {
	l.mu.Lock()
	for _, w := range l.wishes {
		l.routing.dirty = append(l.routing.dirty, w.ids...)
	}
	idle := len(l.routing.dirty) == 0
	l.mu.Unlock()
	if idle {
		return
	}
	l.signal()
}
