package parent

import (
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// namespaceDir is where `ip netns` keeps names.
const namespaceDir = "/run/netns"

// shape is what every thread of a child must have from its start, because a running Go program cannot give it to itself: its
// network namespace and its scheduling.
type shape struct {
	namespace string // name below /run/netns; empty: ours
	sched     model.Scheduling
	log       *slog.Logger // for a scheduling that is not to be had, which is no reason not to start
}

// start starts cmd. The attributes are put on a thread that is locked to its goroutine; the child inherits them, and the thread
// ends with the goroutine, so they reach nothing else. The caller must have pinned the main goroutine to the main thread (in
// init), which cannot end.
func (s shape) start(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := s.apply(); err != nil {
			done <- err
			return
		}
		done <- cmd.Start()
	}()
	return <-done
}

// apply changes the calling thread.
func (s shape) apply() error {
	if s.namespace != "" {
		if err := EnterNamespace(s.namespace); err != nil {
			return err
		}
	}
	if s.sched.Nice != 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, s.sched.Nice); err != nil {
			s.log.Warn(fmt.Sprintf("Cannot set priority %d", s.sched.Nice), "err", err)
		}
	}
	if len(s.sched.CPUs) > 0 {
		var set unix.CPUSet
		for _, c := range s.sched.CPUs {
			set.Set(c)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			s.log.Warn(fmt.Sprintf("Cannot set CPU affinity %v", s.sched.CPUs), "err", err)
		}
	}
	if s.sched.RTPriority != 0 {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: uint32(s.sched.RTPriority)}
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			s.log.Warn(fmt.Sprintf("Cannot set realtime priority %d", s.sched.RTPriority), "err", err)
		}
	}
	return nil
}

// EnterNamespace moves the calling thread into a named network namespace.
func EnterNamespace(name string) error {
	if name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return fmt.Errorf("open network namespace %q: not a name", name)
	}
	fd, err := unix.Open(filepath.Join(namespaceDir, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network namespace %q: %w", name, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %q: %w", name, err)
	}
	return nil
}
