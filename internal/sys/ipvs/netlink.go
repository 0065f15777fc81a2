package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const modprobeTimeout = 10 * time.Second

// handle is the real kernel: moby/ipvs for flush and timeouts, and beside it, on a socket of the same base library, what is many
// (services and destinations go to the kernel in batches, see decisions/0003) or what it lacks.
type handle struct {
	rare *ipvs.Handle
	conn *conn
}

// Open returns the IPVS of the network namespace at the path ns, of the calling process if ns is empty.
// If the kernel has none, ip_vs is loaded; if that fails the error is [ErrUnavailable].
func Open(ns string, buf model.RxBuf) (Kernel, error) {
	family, err := loadFamily()
	if err != nil {
		return nil, err
	}
	// Opening runs modprobe once more. With the module there that does nothing but complain, if there is no modprobe.
	logrus.SetOutput(io.Discard)
	rare, err := ipvs.New(ns)
	if err != nil {
		return nil, fmt.Errorf("open IPVS socket: %w", err)
	}
	h := &handle{rare: rare}
	if h.conn, err = dial(ns, family, buf); err == nil {
		err = h.conn.do(cmdGetInfo, 0, nil, nil)
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("open IPVS: %w", err)
	}
	return h, nil
}

// loadFamily returns the number of the IPVS netlink family, which exists only once the module is loaded.
func loadFamily() (uint16, error) {
	f, err := netlink.GenlFamilyGet("IPVS")
	if errors.Is(err, unix.ENOENT) {
		ctx, cancel := context.WithTimeout(context.Background(), modprobeTimeout)
		defer cancel()
		if out, merr := exec.CommandContext(ctx, "modprobe", "ip_vs").CombinedOutput(); merr != nil {
			said, _, _ := strings.Cut(string(out), "\n")
			return 0, fmt.Errorf("%w: modprobe ip_vs: %w: %.200s", ErrUnavailable, merr, said)
		}
		f, err = netlink.GenlFamilyGet("IPVS")
	}
	if errors.Is(err, unix.ENOENT) {
		return 0, ErrUnavailable
	}
	if err != nil {
		return 0, fmt.Errorf("find IPVS netlink family: %w", err)
	}
	return f.ID, nil
}

func (h *handle) Close() {
	h.rare.Close()
	if h.conn != nil {
		h.conn.Close()
	}
}

func (h *handle) Flush() error {
	if err := h.rare.Flush(); err != nil {
		return fmt.Errorf("flush IPVS: %w", err)
	}
	return nil
}

func (h *handle) Timeouts() (Timeouts, error) {
	c, err := h.rare.GetConfig()
	if err != nil {
		return Timeouts{}, fmt.Errorf("read IPVS timeouts: %w", err)
	}
	return Timeouts{TCP: c.TimeoutTCP, TCPFin: c.TimeoutTCPFin, UDP: c.TimeoutUDP}, nil
}

func (h *handle) SetTimeouts(t Timeouts) error {
	if err := h.rare.SetConfig(&ipvs.Config{TimeoutTCP: t.TCP, TimeoutTCPFin: t.TCPFin, TimeoutUDP: t.UDP}); err != nil {
		return fmt.Errorf("set IPVS timeouts: %w", err)
	}
	return nil
}

func (h *handle) Apply(ops []lvs.Op, refused func(*Error)) error {
	for part := range slices.Chunk(ops, window) {
		first := h.conn.seq + 1
		for i := range part {
			flags := uint16(0)
			if i == len(part)-1 {
				flags = unix.NLM_F_ACK
			}
			op := &part[i]
			h.conn.add(numbers[op.Kind], flags, func(r *request) { encode(r, op) })
		}
		err := h.conn.flush(nil, func(seq uint32, errno unix.Errno) {
			if i := seq - first; int(i) < len(part) {
				refused(&Error{part[i], errno})
			}
		})
		if err != nil {
			return fmt.Errorf("change the IPVS table: %w", err)
		}
	}
	return nil
}

// numbers are the kernel's.
var numbers = [...]uint8{
	lvs.NewService: cmdNewService, lvs.SetService: cmdSetService, lvs.DelService: cmdDelService,
	lvs.NewDest: cmdNewDest, lvs.SetDest: cmdSetDest, lvs.DelDest: cmdDelDest,
}

func encode(r *request, op *lvs.Op) {
	switch op.Kind {
	case lvs.NewService, lvs.SetService:
		r.service(op.Key, &op.Service)
	case lvs.DelService:
		r.service(op.Key, nil)
	case lvs.NewDest, lvs.SetDest:
		r.service(op.Key, nil)
		r.dest(op.DestKey, &op.Dest)
	case lvs.DelDest:
		r.service(op.Key, nil)
		r.dest(op.DestKey, nil)
	}
}

func (h *handle) Table(ours func(lvs.ServiceKey) bool) (lvs.Table, error) {
	t, err := h.services(ours)
	if err != nil {
		return nil, err
	}
	for k, s := range t {
		err := h.dests(k, func() { clear(s.Dests) }, func(b []byte) error {
			d, dest, err := decodeDest(b, k.Family)
			s.Dests[d] = dest
			return err
		})
		if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
			delete(t, k) // gone meanwhile
		} else if err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (h *handle) services(ours func(lvs.ServiceKey) bool) (lvs.Table, error) {
	t := lvs.Table{}
	err := h.conn.dump(cmdGetService, nil, func() { clear(t) }, func(b []byte) error {
		k, s, err := decodeService(b)
		if err == nil && (ours == nil || ours(k)) {
			t[k] = s
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read IPVS services: %w", err)
	}
	return t, nil
}

func (h *handle) dests(k lvs.ServiceKey, begin func(), each func(b []byte) error) error {
	if err := h.conn.dump(cmdGetDest, func(r *request) { r.service(k, nil) }, begin, each); err != nil {
		return fmt.Errorf("read IPVS destinations of %s: %w", k, err)
	}
	return nil
}

func (h *handle) Counters(ours func(lvs.ServiceKey) bool) (map[lvs.ServiceKey]ServiceCounters, error) {
	t := map[lvs.ServiceKey]ServiceCounters{}
	err := h.conn.dump(cmdGetService, nil, func() { clear(t) }, func(b []byte) error {
		k, _, err := decodeService(b)
		if err != nil || ours != nil && !ours(k) {
			return err
		}
		c, err := decodeCounters(b, attrService)
		t[k] = ServiceCounters{Counters: c, Dests: map[lvs.DestKey]Counters{}}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read IPVS statistics: %w", err)
	}
	for k, s := range t {
		err := h.dests(k, func() { clear(s.Dests) }, func(b []byte) error {
			d, _, err := decodeDest(b, k.Family)
			if err != nil {
				return err
			}
			s.Dests[d], err = decodeCounters(b, attrDest)
			return err
		})
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
	return t, nil
}

func (h *handle) Daemons() (list []Daemon, err error) {
	err = h.conn.dump(cmdGetDaemon, nil, func() { list = nil }, func(b []byte) error {
		d, err := decodeDaemon(b)
		list = append(list, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read IPVS sync daemons: %w", err)
	}
	return list, nil
}

func (h *handle) StartDaemon(d Daemon) error { return h.daemon(cmdNewDaemon, d) }

func (h *handle) StopDaemon(d Daemon) error { return h.daemon(cmdDelDaemon, d) }

func (h *handle) daemon(cmd uint8, d Daemon) error {
	err := h.conn.do(cmd, 0, func(r *request) { r.daemon(d) }, nil)
	if errno, ok := err.(unix.Errno); ok { // bare: of the command, not of the connection
		return &DaemonError{Start: cmd == cmdNewDaemon, Daemon: d, Errno: errno}
	}
	return err
}

func familyNumber(f model.Family) uint16 {
	if f == model.IPv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
