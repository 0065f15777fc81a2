// Package ipvstest is an IPVS in memory, which refuses what the kernel refuses.
package ipvstest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
)

// Kernel is an [ipvs.Kernel]. Its methods may be called from any goroutine. The zero Kernel is empty.
type Kernel struct {
	// Refuse, if set, is asked before each command: a syscall.Errno is the answer, any other error breaks the connection. Set it
	// before use.
	Refuse func(lvs.Op) error

	mu       sync.Mutex
	table    lvs.Table
	timeouts *ipvs.Timeouts
	daemons  []ipvs.Daemon
	done     []string
}

var (
	schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos"}
	engines    = []string{"", "sip"}
	broadcast  = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

// Open is for [ipvs.OpenLane].
func (k *Kernel) Open() (ipvs.Kernel, error) { return k, nil }

// Done returns the commands carried out since the last call, in lvs.Op's form, and "FLUSH".
func (k *Kernel) Done() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	done := k.done
	k.done = nil
	return done
}

// Save returns the table in the form of ipvsadm -Sn, sorted.
func (k *Kernel) Save() []string {
	t, _ := k.Table(nil)
	return Save(t)
}

func (k *Kernel) Table(ours func(lvs.ServiceKey) bool) (lvs.Table, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := lvs.Table{}
	for key, s := range k.table {
		if ours == nil || ours(key) {
			s.Dests = maps.Clone(s.Dests)
			t[key] = s
		}
	}
	return t, nil
}

func (k *Kernel) Apply(ops []lvs.Op, refused func(*ipvs.Error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, op := range ops {
		errno := syscall.Errno(0)
		if k.Refuse != nil {
			if err := k.Refuse(op); err != nil && !errors.As(err, &errno) {
				return err
			}
		}
		if errno == 0 {
			errno = k.apply(op)
		}
		if errno != 0 {
			refused(&ipvs.Error{Op: op, Errno: errno})
			continue
		}
		k.done = append(k.done, op.String())
	}
	return nil
}

func (k *Kernel) apply(op lvs.Op) syscall.Errno {
	if k.table == nil {
		k.table = lvs.Table{}
	}
	s, exists := k.table[op.Key]
	if op.Kind == lvs.NewService {
		s.Dests = map[lvs.DestKey]lvs.Dest{}
	} else if !exists {
		return syscall.ESRCH
	}
	switch op.Kind {
	case lvs.NewService, lvs.SetService:
		if exists && op.Kind == lvs.NewService {
			return syscall.EEXIST
		}
		if !slices.Contains(schedulers, op.Service.Scheduler) || !slices.Contains(engines, op.Service.Engine) {
			return syscall.ENOENT
		}
		if op.Key.Family == model.IPv6 && (op.Service.Netmask < 1 || op.Service.Netmask > 128) {
			return syscall.EINVAL
		}
		s.Attributes = op.Service
		k.table[op.Key] = s
	case lvs.DelService:
		delete(k.table, op.Key)
	case lvs.NewDest, lvs.SetDest:
		if errno := checkDest(op); errno != 0 {
			return errno
		}
		_, exists := s.Dests[op.DestKey]
		switch {
		case exists && op.Kind == lvs.NewDest:
			return syscall.EEXIST
		case !exists && op.Kind == lvs.SetDest:
			return syscall.ENOENT
		}
		s.Dests[op.DestKey] = op.Dest
	case lvs.DelDest:
		if _, exists := s.Dests[op.DestKey]; !exists {
			return syscall.ENOENT
		}
		delete(s.Dests, op.DestKey)
	}
	return 0
}

func checkDest(op lvs.Op) syscall.Errno {
	a, m := op.DestKey.Addr, op.Dest.Method
	switch {
	case op.Dest.Weight > math.MaxInt32 || op.Dest.Lower > op.Dest.Upper:
		return syscall.ERANGE
	case m.Forward == model.TUN && m.Tunnel.Type == model.GUE && m.Tunnel.Port == 0,
		m.Forward != model.TUN && model.FamilyOf(a) != op.Key.Family,
		a.IsMulticast() || a == broadcast || !a.IsValid():
		return syscall.EINVAL
	}
	return 0
}

func (k *Kernel) Flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.table)
	k.done = append(k.done, "FLUSH")
	return nil
}

func (k *Kernel) Timeouts() (ipvs.Timeouts, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timeouts == nil {
		k.timeouts = &ipvs.Timeouts{TCP: 900 * time.Second, TCPFin: 120 * time.Second, UDP: 300 * time.Second}
	}
	return *k.timeouts, nil
}

func (k *Kernel) SetTimeouts(t ipvs.Timeouts) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timeouts = &t
	return nil
}

func (k *Kernel) Daemons() ([]ipvs.Daemon, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.daemons), nil
}

// StartDaemon fills in what the kernel does.
func (k *Kernel) StartDaemon(d ipvs.Daemon) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case slices.ContainsFunc(k.daemons, func(o ipvs.Daemon) bool { return o.State == d.State }):
		return &ipvs.DaemonError{Start: true, Daemon: d, Errno: syscall.EEXIST}
	case d.Interface == "absent":
		return &ipvs.DaemonError{Start: true, Daemon: d, Errno: syscall.ENODEV}
	}
	k.done = append(k.done, fmt.Sprintf("NEW_DAEMON %s %s id %d", d.State, d.Interface, d.ID))
	d.MaxLen, d.Port, d.TTL = cmp.Or(d.MaxLen, 1472), cmp.Or(d.Port, 8848), cmp.Or(d.TTL, 1)
	if !d.Group.IsValid() {
		d.Group = netip.AddrFrom4([4]byte{224, 0, 0, 81})
	}
	k.daemons = append(k.daemons, d)
	return nil
}

func (k *Kernel) StopDaemon(d ipvs.Daemon) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.daemons, func(o ipvs.Daemon) bool { return o.State == d.State })
	if i < 0 {
		return &ipvs.DaemonError{Daemon: d, Errno: syscall.ESRCH}
	}
	k.daemons = slices.Delete(k.daemons, i, i+1)
	k.done = append(k.done, "DEL_DAEMON "+d.State.String())
	return nil
}

// Counters are those of services that nobody uses.
func (k *Kernel) Counters(ours func(lvs.ServiceKey) bool) (map[lvs.ServiceKey]ipvs.ServiceCounters, error) {
	t, err := k.Table(ours)
	out := map[lvs.ServiceKey]ipvs.ServiceCounters{}
	for key, s := range t {
		c := ipvs.ServiceCounters{Dests: map[lvs.DestKey]ipvs.Counters{}}
		for d := range s.Dests {
			c.Dests[d] = ipvs.Counters{}
		}
		out[key] = c
	}
	return out, err
}

func (k *Kernel) Close() {}
