package probe

import (
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller wakes those who wait for a connection. The runtime's own takes twice as many system calls for a connection that waits once, and a
// timer for each deadline.
type poller struct {
	fd, timer int             // of epoll and timerfd
	news      syscall.RawConn // of fd

	mu    sync.Mutex
	conns map[int32]*conn // that have waited, by descriptor
	next  time.Time       // when timer expires; zero: never
}

// waiter is what the poller knows of a connection; its mutex guards all but events.
type waiter struct {
	events uint32 // those looked for, at their edge; 0: the connection has not waited yet
	came   bool   // one has, while nobody waited
	asleep bool
	end    time.Time  // of the sleep
	wake   chan error // gets one value for each sleep
}

// poll returns the poller of this process.
var poll = sync.OnceValues(func() (*poller, error) {
	p := &poller{conns: map[int32]*conn{}}
	var err error
	if p.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	if err = p.watch(unix.EPOLL_CTL_ADD, p.timer, unix.EPOLLIN); err != nil {
		return nil, err
	}
	if err = unix.SetNonblock(p.fd, true); err != nil { // without it the runtime would not poll it
		return nil, os.NewSyscallError("fcntl", err)
	}
	if p.news, err = os.NewFile(uintptr(p.fd), "epoll").SyscallConn(); err != nil {
		return nil, err
	}
	go p.run()
	return p, nil
})

// wait returns nil when one of events may have come to c, and os.ErrDeadlineExceeded at the end of its step.
func (p *poller) wait(c *conn, events uint32) error {
	end := c.step.deadline()
	w := &c.wait
	p.mu.Lock()
	if w.events&events != events {
		op := unix.EPOLL_CTL_MOD
		if w.events == 0 {
			op = unix.EPOLL_CTL_ADD
			w.wake = make(chan error, 1)
			p.conns[int32(c.fd)] = c
		}
		w.events |= events
		if err := p.watch(op, c.fd, w.events); err != nil {
			p.mu.Unlock()
			return err
		}
	}
	if w.came {
		w.came = false
		p.mu.Unlock()
		return nil
	}
	w.asleep, w.end = true, end
	if p.next.IsZero() || end.Before(p.next) {
		p.arm(end)
	}
	p.mu.Unlock()
	return <-w.wake
}

// forget is called before the descriptor of c is closed, which ends the watch unless there is a copy of it.
func (p *poller) forget(c *conn) {
	if c.wait.events == 0 {
		return
	}
	p.mu.Lock()
	delete(p.conns, int32(c.fd))
	p.mu.Unlock()
}

// run tells those who wait.
func (p *poller) run() {
	events := make([]unix.EpollEvent, 128)
	p.news.Read(func(uintptr) bool {
		for more := true; more; {
			n := p.gather(events)
			more = n == len(events)
			p.mu.Lock()
			for _, e := range events[:n] {
				if c := p.conns[e.Fd]; c != nil {
					c.wait.tell(nil)
				} else if int(e.Fd) == p.timer {
					p.expire()
				}
			}
			p.mu.Unlock()
		}
		return false
	})
}

// tell ends a sleep, with err as its result.
func (w *waiter) tell(err error) {
	if !w.asleep {
		w.came = true
		return
	}
	w.asleep = false
	w.wake <- err
}

// together is how long after others a sleep may end that could have ended before: each look is at all connections, of which thousands may end in a second.
const together = 10 * time.Millisecond

// expire ends the sleeps whose time is over.
func (p *poller) expire() {
	now := time.Now()
	p.next = time.Time{}
	for _, c := range p.conns {
		switch w := &c.wait; {
		case !w.asleep:
		case !now.Before(w.end):
			w.tell(os.ErrDeadlineExceeded)
		case p.next.IsZero() || w.end.Before(p.next):
			p.next = w.end
		}
	}
	if soonest := now.Add(together); !p.next.IsZero() && p.next.Before(soonest) {
		p.next = soonest
	}
	if !p.next.IsZero() {
		p.arm(p.next)
	}
}

func (p *poller) arm(at time.Time) {
	p.next = at
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(time.Until(at), 1)))}
	unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(p.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

func (p *poller) watch(op, fd int, events uint32) error {
	e := unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(fd)}
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// gather takes the events that are there.
func (p *poller) gather(events []unix.EpollEvent) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
