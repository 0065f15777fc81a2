package nftables

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/nftables"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
)

const (
	// What the kernel refuses is tried again after retryMin, then after twice that and so on up to retryMax.
	retryMin = time.Second
	retryMax = time.Minute
	// perMessage keeps the elements of one message within the 64 KiB of a netlink attribute.
	perMessage = 500
)

// Filter carries out the newest Filter on a goroutine of its own, each time in one transaction: packets see the old rules or the new ones,
// never a part. It touches no table but its own two, of the families ip and ip6. A table of that name that it finds is from an
// earlier daemon, and is replaced.
type Filter struct {
	log   *slog.Logger
	post  func(func())
	space *netns.Space // where it filters
	wake  chan struct{}

	mu   sync.Mutex
	conf model.Filter
	want hostnet.Filter
	end  bool // the tables are to go
	done []func(error)

	// What the kernel has, as far as that is known.
	built bool
	form  form
	table string
	has   elements
	sets  map[setID]*nftables.Set
	told  string // last complaint
}

// OpenFilter returns a Filter of a network namespace that has touched nothing yet. post runs a function on the loop.
func OpenFilter(log *slog.Logger, post func(func()), space *netns.Space) *Filter {
	return &Filter{log: log, post: post, space: space, wake: make(chan struct{}, 1), has: elements{}}
}

// Want makes f what is filtered, with the settings of conf. done, which may be nil, is called on the loop when the kernel has it, or with
// why not; the Filter then goes on trying. The Filter keeps f, which must not change.
func (l *Filter) Want(conf model.Filter, f hostnet.Filter, done func(error)) {
	l.ask(conf, f, false, done)
}

// Remove takes everything away that the Filter has made.
func (l *Filter) Remove(done func(error)) { l.ask(model.Filter{}, hostnet.Filter{}, true, done) }

func (l *Filter) ask(conf model.Filter, f hostnet.Filter, end bool, done func(error)) {
	l.mu.Lock()
	l.conf, l.want, l.end = conf, f, end
	if done != nil {
		l.done = append(l.done, done)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run carries wishes out until ctx is done.
func (l *Filter) Run(ctx context.Context) error {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	wait := retryMin
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-retry.C:
		}
		l.mu.Lock()
		conf, want, end, done := l.conf, l.want, l.end, l.done
		l.done = nil
		l.mu.Unlock()
		err := l.space.Do(func() error { return l.apply(conf, &want, end) })
		if ctx.Err() != nil {
			return nil
		}
		retry.Stop()
		if err != nil {
			retry.Reset(wait)
			wait = min(2*wait, retryMax)
			// The library lists the answers to all messages of a transaction; the first says why it failed.
			if text, _, _ := strings.Cut(err.Error(), "\n"); text != l.told {
				l.told = text
				l.log.Error("nftables: " + text + " - packets are not filtered")
			}
		} else {
			wait, l.told = retryMin, ""
		}
		l.post(func() {
			for _, f := range done {
				f(err)
			}
		})
	}
}

func (l *Filter) apply(conf model.Filter, want *hostnet.Filter, end bool) error {
	if end {
		return l.remove()
	}
	if want.Empty() && !l.built {
		return nil
	}
	need, next := l.form.with(formOf(want)), elementsOf(want, conf)
	if l.built && need == l.form && conf.Table == l.table {
		if err := l.update(next); err == nil {
			l.has = next
			return nil
		}
		// Somebody has taken tables or elements away: begin anew.
	}
	if err := l.build(conf, need, next); err != nil {
		return fmt.Errorf("build table %q: %w", conf.Table, err)
	}
	l.built, l.form, l.table, l.has = true, need, conf.Table, next
	return nil
}

// build replaces both tables.
func (l *Filter) build(conf model.Filter, o form, want elements) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	sets := map[setID]*nftables.Set{}
	if l.built && l.table != conf.Table {
		l.drop(c, l.table)
	}
	l.drop(c, conf.Table)
	if o.igmp || o.vips4 {
		b := &builder{c: c, conf: conf, sets: sets, table: c.AddTable(&nftables.Table{Name: conf.Table, Family: nftables.TableFamilyIPv4})}
		if err := b.ipv4(o); err != nil {
			return err
		}
	}
	if o.vmac6 || o.vips6 {
		b := &builder{c: c, conf: conf, sets: sets, ip6: true, table: c.AddTable(&nftables.Table{Name: conf.Table, Family: nftables.TableFamilyIPv6})}
		if err := b.ipv6(o); err != nil {
			return err
		}
	}
	for id, s := range sets {
		if err := fill(c, s, want.diff(nil, id)); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return err
	}
	l.sets = sets
	return nil
}

// drop removes the tables of that name; making them first makes sure that they are there.
func (l *Filter) drop(c *nftables.Conn, name string) {
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		c.DelTable(c.AddTable(&nftables.Table{Name: name, Family: family}))
	}
}

func fill(c *nftables.Conn, s *nftables.Set, vals []nftables.SetElement) error {
	for len(vals) > 0 {
		n := min(len(vals), perMessage)
		if err := c.SetAddElements(s, vals[:n]); err != nil {
			return err
		}
		vals = vals[n:]
	}
	return nil
}

// update changes elements only.
func (l *Filter) update(want elements) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	changed := false
	for id, s := range l.sets {
		gone, fresh := l.has.diff(want, id), want.diff(l.has, id)
		changed = changed || len(gone)+len(fresh) > 0
		for len(gone) > 0 {
			n := min(len(gone), perMessage)
			if err := c.SetDeleteElements(s, gone[:n]); err != nil {
				return err
			}
			gone = gone[n:]
		}
		if err := fill(c, s, fresh); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return c.Flush()
}

func (l *Filter) remove() error {
	if !l.built {
		return nil
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	l.drop(c, l.table)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove table %q: %w", l.table, err)
	}
	l.built, l.form, l.has, l.sets = false, form{}, elements{}, nil
	return nil
}

// RemoveTables takes the tables of a daemon that died away, in the calling thread's network namespace.
func RemoveTables(name string) error {
	l := &Filter{built: true, table: name}
	return l.remove()
}
