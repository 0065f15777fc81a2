// Package netns enters other network namespaces, and tells when they come and go.
package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is where `ip netns` keeps the names of network namespaces.
const Dir = "/run/netns"

// nsfs is the type of the file system that namespaces are files of (NSFS_MAGIC of linux/magic.h).
const nsfs = 0x6e736673

// Path returns the file that a name stands for: one below Dir, or the name itself if it is an absolute path.
func Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(Dir, name)
}

// ID tells network namespaces apart. While one is open no other gets its ID. The zero ID is that of none.
type ID struct{ dev, ino uint64 }

// Lookup returns the ID of the namespace of a name. An error that is os.ErrNotExist: there is none of that name, or not yet, as its file is
// made before it becomes the namespace.
func Lookup(name string) (ID, error) {
	path := Path(name)
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return ID{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if fs.Type != nsfs {
		return ID{}, &os.PathError{Op: "look up network namespace", Path: path, Err: unix.ENOENT}
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return ID{uint64(st.Dev), st.Ino}, nil
}

// self is the namespace of the calling thread.
const self = "/proc/thread-self/ns/net"

// Current returns the ID of the calling thread's namespace.
func Current() (ID, error) { return Lookup(self) }

// Space is an open network namespace, which lives until Close whatever becomes of its name. The nil Space is that of the calling thread.
type Space struct {
	name string
	id   ID

	mu     sync.Mutex
	fd     int
	users  int // calls of Do under way
	closed bool
}

// Open opens the namespace of a name; errors as of Lookup. EINVAL: it is a namespace of another kind.
func Open(name string) (*Space, error) {
	path := Path(name)
	if _, err := Lookup(name); err != nil { // opening something else might wait, or have effects
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	s := &Space{name: name, fd: fd}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		s.id = ID{uint64(st.Dev), st.Ino}
		err = s.Do(func() error { return nil })
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// ID returns the namespace's ID.
func (s *Space) ID() ID { return s.id }

// Close gives the namespace up. Do fails from then on; calls under way are not disturbed.
func (s *Space) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed = true; s.users == 0 {
		unix.Close(s.fd)
	}
}

// use keeps the descriptor from being closed, and perhaps being given to another namespace, until unuse.
func (s *Space) use() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("enter network namespace %q: %w", s.name, os.ErrClosed)
	}
	s.users++
	return nil
}

func (s *Space) unuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.closed && s.users == 0 {
		unix.Close(s.fd)
	}
}

// Do calls f in the namespace: what f opens belongs to it for good, and can be used from anywhere. f must not leave its goroutine. The
// error is that of f, or says why the namespace could not be entered (CAP_SYS_ADMIN), when f was not called. Each Do costs some
// microseconds.
func (s *Space) Do(f func() error) error {
	if s == nil {
		return f()
	}
	if err := s.use(); err != nil {
		return err
	}
	defer s.unuse()
	// Threads that the runtime starts meanwhile are not copies of a locked one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := unix.Open(self, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: self, Err: err}
	}
	defer unix.Close(home)
	if err := unix.Setns(s.fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %q: %w", s.name, os.NewSyscallError("setns", err))
	}
	defer func() {
		// For want of memory alone. Going on in the wrong namespace would be worse than the delay.
		for unix.Setns(home, unix.CLONE_NEWNET) != nil {
			time.Sleep(time.Millisecond)
		}
	}()
	return f()
}
