// Package watch tells what files hold and which processes run, as the kernel reports it.
package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/track"
)

// changes are what makes a file worth reading again. IN_MODIFY is not among them: a file is truncated before it is written.
const changes = unix.IN_CLOSE_WRITE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE

// retryDelay is how long a directory that cannot be watched rests.
const retryDelay = time.Second

// Content is what a file holds: the first bytes, at most track.FileLimit of them; nothing if it is absent or no regular file.
type Content struct {
	Path string
	Data []byte
}

// Files watches files through their directories (inotify(7)). Set may be called while Run runs.
//
// Differs from keepalived: a directory that was removed and is made anew is watched again.
type Files struct {
	f *os.File

	mu   sync.Mutex
	dirs map[string]*directory
}

type directory struct {
	wd    int32 // -1: could not be watched
	files map[string]bool
}

// OpenFiles returns a watch on no file.
func OpenFiles() (*Files, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	return &Files{f: os.NewFile(uintptr(fd), "inotify"), dirs: map[string]*directory{}}, nil
}

// Set makes paths, which are absolute and clean, the files that are watched, and returns what each of them holds. Changes from then on
// are told by Run.
func (w *Files) Set(paths []string) []Content {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.dirs
	w.dirs = map[string]*directory{}
	var now []Content
	for _, p := range paths {
		name, base := filepath.Dir(p), filepath.Base(p)
		d := w.dirs[name]
		if d == nil {
			d = &directory{wd: -1, files: map[string]bool{}}
			if o := old[name]; o != nil {
				d.wd = o.wd
			} else {
				w.add(name, d)
			}
			w.dirs[name] = d
		}
		if !d.files[base] {
			d.files[base] = true
			now = append(now, read(p))
		}
	}
	for name, d := range old {
		if w.dirs[name] == nil && d.wd >= 0 {
			_, _ = w.control(func(fd int) (int, error) { return unix.InotifyRmWatch(fd, uint32(d.wd)) })
		}
	}
	return now
}

// add watches a directory; one that cannot be is tried again by Run.
func (w *Files) add(name string, d *directory) bool {
	wd, err := w.control(func(fd int) (int, error) { return unix.InotifyAddWatch(fd, name, changes|unix.IN_ONLYDIR) })
	if err != nil {
		return false
	}
	d.wd = int32(wd)
	return true
}

func (w *Files) control(f func(fd int) (int, error)) (n int, err error) {
	raw, err := w.f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(fd uintptr) { n, err = f(int(fd)) }); e != nil {
		return 0, e
	}
	return n, err
}

// Run tells sink what a file holds whenever it was written, replaced or removed, until ctx is done; then it returns nil.
func (w *Files) Run(ctx context.Context, sink func(Content)) error {
	defer context.AfterFunc(ctx, func() { _ = w.f.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, 64<<10)
	for {
		deadline := time.Time{}
		if w.missing() {
			deadline = time.Now().Add(retryDelay)
		}
		_ = w.f.SetReadDeadline(deadline)
		if ctx.Err() != nil {
			return nil
		}
		n, err := w.f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.tell(w.retry(), sink)
		case err != nil:
			return fmt.Errorf("watch files: %w", err)
		default:
			w.tell(w.touched(buf[:n]), sink)
		}
	}
}

func (w *Files) tell(paths []string, sink func(Content)) {
	for _, p := range paths {
		sink(read(p))
	}
}

// missing reports whether there is a directory to be tried again.
func (w *Files) missing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.dirs {
		if d.wd < 0 {
			return true
		}
	}
	return false
}

// retry watches the directories that have come back, and returns their files.
func (w *Files) retry() (paths []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, d := range w.dirs {
		if d.wd < 0 && w.add(name, d) {
			paths = d.append(paths, name)
		}
	}
	return paths
}

func (d *directory) append(paths []string, name string) []string {
	for base := range d.files {
		paths = append(paths, filepath.Join(name, base))
	}
	return paths
}

// touched returns the files that the events are about; all, if events were lost.
func (w *Files) touched(events []byte) (paths []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		wd, mask, size := int32(native.Uint32(events)), native.Uint32(events[4:]), int(native.Uint32(events[12:]))
		events = events[unix.SizeofInotifyEvent:]
		if size > len(events) {
			break
		}
		base := string(bytes.TrimRight(events[:size], "\x00"))
		events = events[size:]
		for name, d := range w.dirs {
			switch {
			case mask&unix.IN_Q_OVERFLOW != 0:
				paths = d.append(paths, name)
			case d.wd != wd:
			case mask&unix.IN_IGNORED != 0: // the directory is gone, and the files with it
				d.wd = -1
				paths = d.append(paths, name)
			case d.files[base]:
				if p := filepath.Join(name, base); len(paths) == 0 || paths[len(paths)-1] != p {
					paths = append(paths, p)
				}
			}
		}
	}
	return paths
}

// Close ends the watch; Run must have returned.
func (w *Files) Close() error { return w.f.Close() }

// read never blocks on what is no regular file.
func read(path string) Content {
	c := Content{Path: path}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return c
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return c
	}
	c.Data, _ = io.ReadAll(io.LimitReader(f, track.FileLimit))
	return c
}

// Write makes a file with the content; one that exists is left as it is, unless it is to be overwritten. Nothing but a regular file
// is written to.
func Write(path string, content []byte, overwrite bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if overwrite {
		flags &^= os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if !overwrite && errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create track file: %w", err)
	}
	st, err := f.Stat()
	switch {
	case err != nil:
	case !st.Mode().IsRegular():
		err = fmt.Errorf("%q is no regular file", path)
	default:
		if err = f.Truncate(0); err == nil {
			_, err = f.Write(content)
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write track file: %w", err)
	}
	return nil
}
