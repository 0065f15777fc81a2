package parent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// errLocked means that a running process holds the pid file.
var errLocked = errors.New("locked by another process")

// pidFile is a pid file that we hold an OFD lock on, as keepalived does: a file whose writer died does not block anybody.
type pidFile struct {
	f    *os.File
	path string
	pid  int // in it; 0: none
}

// lockPIDFile creates or takes over the pid file at path; errLocked if a running process holds it. The file is empty until set.
func lockPIDFile(path string) (*pidFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("create pid directory: %w", err)
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
		if err != nil {
			return nil, fmt.Errorf("open pid file: %w", err)
		}
		lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
			f.Close()
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
				return nil, errLocked
			}
			return nil, fmt.Errorf("lock pid file %q: %w", path, err)
		}
		// A process that was just stopping may have removed the file between our open and our lock.
		have, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock pid file %q: %w", path, err)
		}
		if is, err := os.Lstat(path); err != nil || !os.SameFile(have, is) {
			f.Close()
			continue
		}
		p := &pidFile{f: f, path: path}
		if err := errors.Join(f.Chmod(0o644), p.set(0)); err != nil { // the umask must not hide it
			p.remove()
			return nil, fmt.Errorf("write pid file: %w", err)
		}
		return p, nil
	}
}

// set writes pid; 0 empties the file, so that nobody signals a process that is gone. A file that says so already is left alone: agents read it
// at any moment, and take its age for that of the process.
func (p *pidFile) set(pid int) error {
	text := []byte(strconv.Itoa(pid) + "\n")
	if pid == 0 {
		text = nil
	} else if pid == p.pid {
		return nil
	}
	p.pid = 0
	if _, err := p.f.WriteAt(text, 0); err != nil {
		return err
	}
	if err := p.f.Truncate(int64(len(text))); err != nil {
		return err
	}
	p.pid = pid
	return nil
}

// remove deletes the file and gives up the lock, in this order.
func (p *pidFile) remove() {
	os.Remove(p.path)
	p.f.Close()
}
