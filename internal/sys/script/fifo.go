package script

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// maxQueued bounds the lines that wait for the reader of a pipe, besides the 64 KiB in the pipe itself.
const maxQueued = 4096

// FIFO is a named pipe that gets one line per event.
//
// Differs from keepalived: a line that finds the pipe full waits for the reader. Only beyond 4096 waiting lines the oldest
// ones are lost, and the log says how many; so a reader that comes back always learns the last state.
type FIFO struct {
	log     *slog.Logger
	path    string
	created bool
	file    *os.File
	raw     syscall.RawConn

	mu      sync.Mutex
	queue   []string
	lost    int
	waiting bool // a goroutine waits for the pipe to have room
}

// OpenFIFO opens the pipe of c, and creates it if there is none, with mode 0644 less the umask and the owner of c. It
// refuses what is not a FIFO owned by the daemon's user or that of c. The program that reads it is started afterwards, by the
// caller, with the path as an additional last word.
func OpenFIFO(log *slog.Logger, c model.FIFO) (*FIFO, error) {
	f := &FIFO{log: log, path: c.Path}
	if err := unix.Mkfifo(c.Path, 0o644); err == nil {
		f.created = true
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create fifo %q: %w", c.Path, err)
	}
	if err := f.open(c); err != nil {
		if f.created {
			_ = os.Remove(c.Path)
		}
		return nil, fmt.Errorf("open fifo %q: %w", c.Path, err)
	}
	return f, nil
}

// open opens for reading too, so that writing never fails for want of a reader.
func (f *FIFO) open(c model.FIFO) error {
	fd, err := unix.Open(c.Path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f.file = os.NewFile(uintptr(fd), c.Path)
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		switch ours := uint32(os.Geteuid()); {
		case st.Mode&unix.S_IFMT != unix.S_IFIFO || st.Uid != ours && st.Uid != c.UID:
			err = errors.New("is not a fifo we own - not using")
		case f.created && (st.Uid != c.UID || st.Gid != c.GID):
			err = unix.Fchown(fd, int(c.UID), int(c.GID))
		}
	}
	if err == nil {
		f.raw, err = f.file.SyscallConn()
	}
	if err != nil {
		f.file.Close()
	}
	return err
}

// Write sends line and a line feed, after all lines before it. It never blocks. Up to 4096 bytes a line is one write.
func (f *FIFO) Write(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == maxQueued {
		f.queue = f.queue[1:]
		if f.lost++; f.lost == 1 {
			f.log.Warn("nobody reads fifo " + f.path + " - losing lines")
		}
	}
	f.queue = append(f.queue, line+"\n")
	if !f.waiting && !f.flush() {
		f.waiting = true
		go f.drain()
	}
}

// drain waits for the reader, until all lines are in the pipe or the pipe is closed.
func (f *FIFO) drain() {
	_ = f.raw.Write(func(uintptr) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waiting = !f.flush()
		return !f.waiting
	})
}

// flush writes what the pipe has room for, and reports whether that was all. It is called with the lock held.
func (f *FIFO) flush() bool {
	for len(f.queue) > 0 {
		line, n := f.queue[0], 0
		err := f.raw.Control(func(fd uintptr) { n, _ = unix.Write(int(fd), []byte(line)) })
		if err != nil || n <= 0 {
			return false
		}
		if f.queue[0] = line[n:]; n == len(line) {
			f.queue = f.queue[1:]
		}
	}
	if f.lost > 0 {
		f.log.Warn(fmt.Sprintf("fifo %s is read again - %d lines were lost", f.path, f.lost))
		f.lost = 0
	}
	return true
}

// Close closes the pipe, and removes it if OpenFIFO created it. What the pipe has no room for is lost.
func (f *FIFO) Close() error {
	f.mu.Lock()
	if !f.flush() {
		f.log.Warn(fmt.Sprintf("nobody reads fifo %s - %d lines were lost", f.path, len(f.queue)+f.lost))
	}
	f.queue, f.lost = nil, 0
	f.mu.Unlock()
	err := f.file.Close()
	if f.created {
		err = errors.Join(err, os.Remove(f.path))
	}
	if err != nil {
		return fmt.Errorf("close fifo: %w", err)
	}
	return nil
}
