package watch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

var native = binary.NativeEndian

// Numbers of linux/connector.h and linux/cn_proc.h.
const (
	cnIdxProc       = 1
	cnValProc       = 1
	procMcastListen = 1
	cnHeader        = 20 // struct cn_msg
	eventHeader     = 16 // struct proc_event without its data

	procFork = 0x00000001
	procExec = 0x00000002
	procComm = 0x00000200
	procExit = 0x80000000
)

// firstRxBuf holds some thousands of events; it doubles with each overrun, up to maxRxBuf.
const (
	firstRxBuf = 1 << 20
	maxRxBuf   = 64 << 20
)

// rescanDelay is how long after events were lost /proc is read anew.
const rescanDelay = time.Second

// cmdlineLimit bounds what is read of a command line.
const cmdlineLimit = 64 << 10

// Processes counts the processes that are looked for, by the events of the kernel's process connector.
type Processes struct {
	f      *os.File
	census *track.Census
	rxBuf  int
	force  bool      // rxBuf may be above the system's limit
	rescan time.Time // events were lost: read /proc then
}

// Count returns how many processes each of the wanted has now, in their order.
func Count(wanted []model.TrackProcess) ([]int, error) {
	c := track.NewCensus(wanted)
	err := scan(c)
	return c.Counts(), err
}

// OpenProcesses listens to the kernel. It fails with ECONNREFUSED outside of the initial network namespace, the only one that the
// connector serves, and wherever the kernel has none.
//
// rxBuf is the size of the receive buffer to begin with.
func OpenProcesses(wanted []model.TrackProcess, rxBuf model.RxBuf) (*Processes, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("open process connector: %w", err)
	}
	p := &Processes{f: os.NewFile(uintptr(fd), "process connector"), census: track.NewCensus(wanted), rxBuf: firstRxBuf, force: true}
	if rxBuf.Bytes > 0 {
		p.rxBuf, p.force = rxBuf.Bytes, rxBuf.Force
	}
	p.size(fd)
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: cnIdxProc}); err == nil {
		err = unix.Sendto(fd, listenMessage(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		p.f.Close()
		return nil, fmt.Errorf("listen for process events: %w", err)
	}
	return p, nil
}

func (p *Processes) size(fd int) {
	if !p.force || unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, p.rxBuf) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, p.rxBuf)
	}
}

// listenMessage is struct nlmsghdr, struct cn_msg and the operation.
func listenMessage() []byte {
	m := make([]byte, unix.SizeofNlMsghdr+cnHeader+4)
	native.PutUint32(m, uint32(len(m)))
	native.PutUint16(m[4:], unix.NLMSG_DONE)
	native.PutUint32(m[12:], uint32(os.Getpid()))
	cn := m[unix.SizeofNlMsghdr:]
	native.PutUint32(cn, cnIdxProc)
	native.PutUint32(cn[4:], cnValProc)
	native.PutUint16(cn[16:], 4)
	native.PutUint32(cn[cnHeader:], procMcastListen)
	return m
}

// Run tells sink how many processes there are, in the order of the wanted, and again whenever a number has changed, until ctx is done;
// then it returns nil. After lost events the numbers are right again a second later.
func (p *Processes) Run(ctx context.Context, sink func(counts []int)) error {
	defer context.AfterFunc(ctx, func() { _ = p.f.SetReadDeadline(time.Unix(1, 0)) })()
	p.census.Reset()
	raw, err := p.f.SyscallConn()
	if err == nil {
		err = scan(p.census)
	}
	if err != nil {
		return fmt.Errorf("watch processes: %w", err)
	}
	told := p.census.Counts()
	sink(told)
	buf := make([]byte, 16<<10)
	for {
		_ = p.f.SetReadDeadline(p.rescan)
		if ctx.Err() != nil {
			return nil
		}
		n, err := receive(raw, buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.rescan = time.Time{}
			p.census.Reset()
			if err := scan(p.census); err != nil {
				return fmt.Errorf("watch processes: %w", err)
			}
		case errors.Is(err, unix.ENOBUFS):
			if p.rxBuf < maxRxBuf {
				p.rxBuf *= 2
				_ = raw.Control(func(fd uintptr) { p.size(int(fd)) })
			}
			if p.rescan.IsZero() {
				p.rescan = time.Now().Add(rescanDelay)
			}
		case err != nil:
			return fmt.Errorf("watch processes: %w", err)
		default:
			forEvents(buf[:n], p.take)
		}
		if counts := p.census.Counts(); !slices.Equal(counts, told) {
			told = counts
			sink(counts)
		}
	}
}

// receive returns one datagram of the kernel.
func receive(raw syscall.RawConn, buf []byte) (n int, err error) {
	e := raw.Read(func(fd uintptr) bool {
		var from unix.Sockaddr
		n, from, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
		if sa, ok := from.(*unix.SockaddrNetlink); err == nil && (!ok || sa.Pid != 0) {
			n = 0 // not the kernel's
		}
		return err != unix.EAGAIN && err != unix.EINTR
	})
	if e != nil {
		return 0, e
	}
	return n, err
}

// processEvent is one event: what happened, and to whom. Threads have an id of their own, but the group's is the process.
type processEvent struct {
	what          uint32
	pid, group    int
	child, family int // of a fork: the new thread and its process; pid and group are the parent's
}

// forEvents calls f for each event of a datagram. Nonsense ends it.
func forEvents(b []byte, f func(processEvent)) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(native.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return
		}
		if ev, ok := decodeEvent(b[unix.SizeofNlMsghdr:size]); ok {
			f(ev)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
}

func decodeEvent(b []byte) (ev processEvent, ok bool) {
	if len(b) < cnHeader+eventHeader+8 || native.Uint32(b) != cnIdxProc || native.Uint32(b[4:]) != cnValProc {
		return ev, false
	}
	b = b[cnHeader:]
	ev.what = native.Uint32(b)
	b = b[eventHeader:]
	ev.pid, ev.group = int(int32(native.Uint32(b))), int(int32(native.Uint32(b[4:])))
	switch ev.what {
	case procExec, procComm, procExit:
		return ev, true
	case procFork:
		if len(b) < 16 {
			return ev, false
		}
		ev.child, ev.family = int(int32(native.Uint32(b[8:]))), int(int32(native.Uint32(b[12:])))
		return ev, true
	}
	return ev, false
}

// take brings the census up to date. Events of threads other than the first concern no process.
func (p *Processes) take(ev processEvent) {
	switch {
	case ev.what == procFork:
		if ev.child == ev.family {
			p.census.Forked(ev.group, ev.child)
		}
	case ev.pid != ev.group:
	case ev.what == procExit:
		p.census.Ended(ev.pid)
	default:
		if cmd, ok := command(ev.pid); ok {
			p.census.Runs(ev.pid, cmd)
		}
	}
}

// scan takes all processes of /proc into a census.
func scan(c *track.Census) error {
	dir, err := os.Open("/proc")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if cmd, ok := command(pid); ok {
				c.Runs(pid, cmd)
			}
		}
	}
	return nil
}

// command reads what a process runs; false if it has ended.
func command(pid int) (cmd track.Command, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return cmd, false
	}
	if cmd.Name, ok = statName(stat); !ok {
		return cmd, false
	}
	f, err := os.Open(dir + "/cmdline")
	if err != nil {
		return cmd, false
	}
	defer f.Close()
	line := make([]byte, 0, 512)
	for len(line) < cmdlineLimit {
		line = slices.Grow(line, 512)
		n, err := f.Read(line[len(line):cap(line)])
		line = line[:len(line)+n]
		if err != nil || n == 0 {
			break
		}
	}
	if len(line) > 0 {
		for _, a := range bytes.Split(bytes.TrimSuffix(line, []byte{0}), []byte{0}) {
			cmd.Args = append(cmd.Args, string(a))
		}
	}
	return cmd, true
}

// statName takes the name from /proc/PID/stat: "PID (name) state …", where the name may hold anything. Who has ended and only waits
// to be reaped (Z, X) runs no more.
func statName(stat []byte) (string, bool) {
	from, to := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if from < 0 || to < from || len(stat) < to+3 {
		return "", false
	}
	switch stat[to+2] {
	case 'Z', 'X', 'x':
		return "", false
	}
	return string(stat[from+1 : to]), true
}

// Close ends the watch and, once its context is done, Run.
func (p *Processes) Close() error { return p.f.Close() }
