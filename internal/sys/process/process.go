// Package process gives a running process what its configuration says of it: a name, a place among the machine's processes, its memory.
//
// A Go program has threads, and the kernel knows these attributes per thread: each function here reaches all of them, and threads that
// are made later inherit from those.
package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Rename makes name what ps -e, pidof and pgrep know the process by. Its command line stays. An empty name changes nothing.
func Rename(name string) error {
	if name == "" {
		return nil
	}
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		return fmt.Errorf("rename process to %q: %w", name, err)
	}
	return nil
}

// Place gives the process its place. What is refused is logged and gone without.
func Place(s model.Scheduling, log *slog.Logger) {
	try := func(what string, f func(tid int) error) {
		if err := EachThread(f); err != nil {
			log.Warn("Cannot set "+what, "err", err)
		}
	}
	if s.Nice != 0 {
		try(fmt.Sprintf("priority %d", s.Nice), func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, s.Nice) })
	}
	if len(s.CPUs) > 0 {
		var set unix.CPUSet
		for _, c := range s.CPUs {
			set.Set(c)
		}
		try(fmt.Sprintf("CPU affinity %v", s.CPUs), func(tid int) error { return unix.SchedSetaffinity(tid, &set) })
	}
	if s.RTPriority != 0 {
		if err := Realtime(s.RTPriority); err != nil {
			log.Warn(err.Error())
		}
	}
	if s.NoSwap {
		if err := KeepInMemory(); err != nil {
			log.Warn(err.Error())
		}
	}
}

// Realtime schedules the process round robin at a real-time priority, 1..99.
func Realtime(priority int) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: uint32(priority)}
	if err := EachThread(func(tid int) error { return unix.SchedSetAttr(tid, &attr, 0) }); err != nil {
		return fmt.Errorf("set realtime priority %d: %w", priority, err)
	}
	return nil
}

// KeepInMemory keeps what the process has touched, and will touch, from being swapped out. Memory that a Go program has reserved but not
// touched (most of what it seems to have) is not made resident by it.
func KeepInMemory() error {
	const onFault = 4 // MCL_ONFAULT, since Linux 4.4
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | onFault); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}

// EachThread calls f for every thread of the process; threads made later inherit from those. It looks again until it meets no new one.
func EachThread(f func(tid int) error) error {
	seen := map[int]bool{}
	for again := true; again; {
		again = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || seen[tid] {
				continue
			}
			seen[tid], again = true, true
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// Setting is what a process is to make of itself once it has started.
type Setting struct {
	Name  string
	Place model.Scheduling
}

const variable = "KEEPALIVED_GO_PLACE"

// Environment is the variable that hands s to a child.
func (s Setting) Environment() string {
	b, _ := json.Marshal(s) // strings and numbers
	return variable + "=" + string(b)
}

// Handed takes from the environment what the process that started this one has handed to it.
func Handed() Setting {
	var s Setting
	_ = json.Unmarshal([]byte(os.Getenv(variable)), &s) // ours, or nothing
	os.Unsetenv(variable)
	return s
}
