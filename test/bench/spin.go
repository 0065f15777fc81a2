package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spinner is a process that takes all the processor time which nobody else wants, and counts it. A kernel that samples who runs at
// its ticks, as that of the VM does, does not see what a timer wakes: it is done before the next tick.
type spinner struct {
	cmd   *exec.Cmd
	count *atomic.Uint64
	idle  float64 // counts in a second of a machine that does nothing else
}

// startSpinner starts one in dir and finds out how fast it is when it is alone.
func startSpinner(dir string) (*spinner, error) {
	path := filepath.Join(dir, "spins")
	if err := os.WriteFile(path, binary.NativeEndian.AppendUint64(nil, 0), 0o600); err != nil {
		return nil, err
	}
	count, err := mapCounter(path)
	if err != nil {
		return nil, err
	}
	s := &spinner{cmd: exec.Command("/proc/self/exe", "spin", path), count: count}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start spinner: %w", err)
	}
	time.Sleep(time.Second)
	begin := s.read()
	time.Sleep(3 * time.Second)
	s.idle = s.rate(begin)
	return s, nil
}

func (s *spinner) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// reading is the count at an instant.
type reading struct {
	at time.Time
	n  uint64
}

func (s *spinner) read() reading { return reading{time.Now(), s.count.Load()} }

func (s *spinner) rate(since reading) float64 {
	now := s.read()
	return float64(now.n-since.n) / now.at.Sub(since.at).Seconds()
}

// busy is the processor time that others have taken since then.
func (s *spinner) busy(since reading) time.Duration {
	return time.Duration(float64(time.Since(since.at)) * (1 - s.rate(since)/s.idle))
}

// spin is the body of the spinner's process.
func spin(path string) error {
	count, err := mapCounter(path)
	if err != nil {
		return err
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("lower priority: %w", err)
	}
	for {
		for range 1000 {
			_ = count.Load()
		}
		count.Add(1)
	}
}

func mapCounter(path string) (*atomic.Uint64, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return (*atomic.Uint64)(unsafe.Pointer(&b[0])), nil
}
