package probe

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/process"
)

// maxOpen is how many probes run at a time; more have to wait before their time begins.
const maxOpen = 8192

// Serve runs the probes that are asked for on conn until its end, which is the regular way to end a prober: it then returns nil.
func Serve(conn net.Conn, log *slog.Logger) error {
	var ended atomic.Bool
	defer ended.Store(true)
	out := &sender{buf: bufio.NewWriter(conn)}
	out.enc = gob.NewEncoder(out.buf)
	slots := make(chan struct{}, maxOpen)
	var now time.Time // when what comes together came
	for in := newReceiver(conn, maxAsk); ; {
		var a ask
		together := in.more()
		if err := in.next(&a); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if !together {
			now = time.Now()
		}
		select {
		case slots <- struct{}{}:
		default:
			slots <- struct{}{}
			now = time.Now()
		}
		end := now.Add(a.Limit)
		go func() {
			defer func() { <-slots }()
			if err := out.send(Answer{a.ID, contained(&a, end, log)}); err != nil && !ended.Load() {
				log.Error("send probe result", "err", err)
				conn.Close() // nothing that follows would arrive
			}
		}()
	}
}

// contained runs one probe and turns its panic into a result.
func contained(a *ask, end time.Time, log *slog.Logger) (r check.Result) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("panic in prober", "kind", string(a.Spec.Kind), "panic", v, "stack", string(debug.Stack()))
			r = check.Result{Unable: true, Reason: "Panic in prober of " + string(a.Spec.Kind)}
		}
	}()
	return run(&a.Spec, end)
}

// sender sends answers. Those that come while another is being sent, or at the same instant, go out with one write.
type sender struct {
	buf *bufio.Writer
	enc *gob.Encoder

	mu      sync.Mutex
	waiting []Answer
	busy    bool // somebody sends
}

func (s *sender) send(a Answer) error {
	s.mu.Lock()
	s.waiting = append(s.waiting, a)
	if s.busy {
		s.mu.Unlock()
		return nil
	}
	s.busy = true
	s.mu.Unlock()
	for {
		runtime.Gosched() // others of this instant
		s.mu.Lock()
		batch := s.waiting
		s.waiting = nil
		if len(batch) == 0 {
			s.busy = false
		}
		s.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		for i := range batch {
			if err := s.enc.Encode(&batch[i]); err != nil {
				return err
			}
		}
		if err := s.buf.Flush(); err != nil {
			return err
		}
	}
}

// The heap of a prober is collected harder from memorySoft on; at memoryHard the kernel refuses more, which ends the process.
const (
	memorySoft = 256 << 20
	memoryHard = 1 << 30
)

// Settle makes this process a prober: placed as it is told, by default at low priority, with bounded memory and with no privilege but those that bind_if, fwmark
// and low ports take. What is refused is logged and gone without.
func Settle(log *slog.Logger, place model.Scheduling) {
	debug.SetMemoryLimit(memorySoft)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: memoryHard, Max: memoryHard}); err != nil {
		log.Warn("limit memory", "err", err)
	}
	if err := process.EachThread(lower); err != nil {
		log.Warn("lower priority", "err", err)
	}
	process.Place(place, log)
	if err := dropPrivileges(); err != nil {
		log.Warn("drop privileges", "err", err)
	}
}

// niceness of the prober. The worker preempts it, and yet on a busy machine checks get their share: at idle priority three busy
// processes on one CPU stopped them (docs/decisions/0002-prober-priority.md).
const niceness = 10

// lower makes a thread yield to the worker. An inherited real-time policy goes.
func lower(tid int) error {
	return unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: niceness}, 0)
}

// dropPrivileges leaves the capabilities that checker options need, as far as they are there, and forbids to gain others.
func dropPrivileges() error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	const keep = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_BIND_SERVICE
	data[0].Effective &= keep
	data[0].Permitted &= keep
	data[0].Inheritable, data[1] = 0, unix.CapUserData{}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0); errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}
