package netns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lookInterval is how often names are looked up at least. Those that are mounts, as all of `ip netns` are, are besides looked up whenever
// the table of mounts has changed.
const lookInterval = time.Second

// lookRest is the least time between two looks, on a machine that mounts all the time.
const lookRest = 20 * time.Millisecond

// Watch tells when the namespaces of names come, go or become others.
type Watch struct {
	mu    sync.Mutex
	known map[string]ID
}

// Set replaces the names. What a new one stands for at this moment will not be told.
func (w *Watch) Set(names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.known
	w.known = make(map[string]ID, len(names))
	for _, name := range names {
		id, ok := old[name]
		if !ok {
			id, _ = Lookup(name)
		}
		w.known[name] = id
	}
}

// Run tells changed of each change until ctx is done; then it returns nil, within lookInterval.
func (w *Watch) Run(ctx context.Context, changed func(name string)) error {
	const mounts = "/proc/thread-self/mountinfo"
	fd, err := unix.Open(mounts, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("watch network namespaces: open %s: %w", mounts, err)
	}
	defer unix.Close(fd)
	for {
		for _, name := range w.look() {
			changed(name)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookRest):
		}
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, int(lookInterval/time.Millisecond))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch network namespaces: poll %s: %w", mounts, err)
		}
	}
}

// look returns the names that stand for something else than when they were last looked up.
func (w *Watch) look() (news []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, was := range w.known {
		if is, _ := Lookup(name); is != was {
			w.known[name] = is
			news = append(news, name)
		}
	}
	return news
}
