package loop

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sleeper is where the loop waits: for a moment, for something to read, or for somebody to wake it. The moment is a timerfd's; that and all that
// is read from are in one epoll set, whose descriptor the loop's goroutine waits for in the netpoller. A wake ends the wait as a read deadline does
// that is over.
//
// Each of these is chosen for the time until the loop runs, which is takeover time, and for what the Go scheduler does besides. A thread of its own that
// blocks in epoll_wait(2) is woken 0.02 ms sooner, but for each time it falls asleep the scheduler's watchdog looks at it 50 times and more, which costs ten
// times what sending an advert does. With a runtime timer the loop is 0.5 ms late at the median, and at p99 5 ms. A goroutine that reads a socket and wakes
// the loop has the scheduler wake a second thread, twice for each packet. A read deadline, other than a descriptor to write to, has the loop go on on
// the thread that has woken it.
type sleeper struct {
	file   *os.File
	raw    syscall.RawConn
	set    int // epoll
	timer  int
	events [64]unix.EpollEvent
}

func newSleeper() (s *sleeper, err error) {
	s = &sleeper{set: -1, timer: -1}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	if s.set, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(s.set, true); err != nil { // what the netpoller takes
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err = s.add(s.timer); err != nil {
		return nil, err
	}
	s.file = os.NewFile(uintptr(s.set), "epoll")
	s.raw, err = s.file.SyscallConn()
	return s, err
}

// wait calls turn, and again when the timer has expired or something can be read, until it returns true, or until somebody wakes it after that has
// returned false.
func (s *sleeper) wait(turn func(uintptr) bool) {
	if err := s.raw.Read(turn); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		panic("wait for epoll: " + err.Error()) // only a closed one can fail
	}
}

// expire has the timer expire at a moment, or now if that is over; zero: never.
func (s *sleeper) expire(at time.Time) {
	var spec unix.ItimerSpec
	if !at.IsZero() {
		spec.Value = unix.NsecToTimespec(int64(max(time.Until(at), 1)))
	}
	// The Go scheduler is not told of calls that do not wait: nothing else that a loop at rest does wakes the watchdog.
	if _, _, errno := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(s.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0); errno != 0 {
		panic("set timerfd: " + errno.Error()) // only a wrong argument or descriptor can fail
	}
}

// readable calls f with the descriptors that can be read from, and reports whether there are any. Those that f leaves unread it finds again.
func (s *sleeper) readable(f func(fd int)) (any bool) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.set), uintptr(unsafe.Pointer(&s.events[0])), uintptr(len(s.events)), 0, 0, 0)
	if errno != 0 && errno != unix.EINTR {
		panic("look at epoll: " + errno.Error()) // only a wrong argument or descriptor can fail
	}
	if errno != 0 {
		return true
	}
	for i := range int(n) {
		if fd := int(s.events[i].Fd); fd != s.timer {
			any = true
			f(fd)
		}
	}
	return any || int(n) == len(s.events)
}

func (s *sleeper) add(fd int) error {
	if err := unix.EpollCtl(s.set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watch descriptor %d: %w", fd, os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

func (s *sleeper) remove(fd int) {
	_ = unix.EpollCtl(s.set, unix.EPOLL_CTL_DEL, fd, nil) // only one that is not there can fail
}

// wake ends the wait, or the next one, and all after it until rest. It may be called from any goroutine.
func (s *sleeper) wake() { s.deadline(time.Unix(1, 0)) }

// rest makes waits possible again after a wake.
func (s *sleeper) rest() { s.deadline(time.Time{}) }

func (s *sleeper) deadline(t time.Time) {
	if err := s.file.SetReadDeadline(t); err != nil {
		panic("wake the loop: " + err.Error()) // only a closed file has no deadlines
	}
}

func (s *sleeper) close() {
	if s.file != nil {
		s.file.Close()
	} else if s.set >= 0 {
		unix.Close(s.set)
	}
	if s.timer >= 0 {
		unix.Close(s.timer)
	}
}
