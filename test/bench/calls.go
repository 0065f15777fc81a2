package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// calls counts what a check costs where nothing else is to be seen: how often a daemon's processes fall asleep for it, and the system calls,
// by strace(1). These are counted apart, because a traced process is slow, and so sleeps less.
func (b *lvsRun) calls() error {
	fmt.Fprintf(b.out, "\nin one check: sleeps of all threads; system calls\n")
	return b.eachLoad(1, func(l *load, p lvsProgram, d *daemon) error {
		slept, accepted := sleeps(d.processes()), b.accepted.Load()
		time.Sleep(time.Duration(b.seconds) * time.Second)
		slept = sleeps(d.processes()) - slept
		checks := float64(b.accepted.Load() - accepted)
		counts, err := d.trace(3 * time.Duration(b.seconds) * time.Second) // the checks that are open at its beginning and end hardly count
		if err != nil {
			return err
		}
		perCheck := func(n int) float64 { return float64(n) / float64(counts["socket"]) }
		var list []string
		total := 0
		for _, name := range slices.SortedFunc(maps.Keys(counts), func(x, y string) int { return cmp.Compare(counts[y], counts[x]) }) {
			total += counts[name]
			if n := perCheck(counts[name]); n >= 0.05 {
				list = append(list, fmt.Sprintf("%s %.1f", name, n))
			}
		}
		fmt.Fprintf(b.out, "%-10s %-10s %5.1f %5.1f: %s\n", l.name, p.name, float64(slept)/checks, perCheck(total), strings.Join(list, ", "))
		return nil
	})
}

// trace counts the system calls of a daemon by name.
func (d *daemon) trace(length time.Duration) (map[string]int, error) {
	file := filepath.Join(d.b.dir, "calls")
	args := []string{"-f", "-c", "-U", "calls,name", "-o", file}
	for _, pid := range d.processes() {
		args = append(args, "-p", fmt.Sprint(pid))
	}
	strace := exec.Command("strace", args...)
	if err := strace.Start(); err != nil {
		return nil, err
	}
	time.Sleep(length)
	strace.Process.Signal(syscall.SIGINT)
	strace.Wait() // fails with the signal
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for line := range bytes.Lines(text) {
		var n int
		var name string
		if fields, _ := fmt.Sscan(string(line), &n, &name); fields == 2 && name != "total" {
			counts[name] = n
		}
	}
	if counts["socket"] == 0 {
		return nil, fmt.Errorf("strace saw no check: %s", text)
	}
	return counts, nil
}

// sleeps is how often the threads of processes have waited for something.
func sleeps(pids []int) (sum int) {
	for _, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, f := range files {
			text, _ := os.ReadFile(f)
			if _, rest, found := strings.Cut(string(text), "\nvoluntary_ctxt_switches:"); found {
				var n int
				fmt.Sscan(rest, &n)
				sum += n
			}
		}
	}
	return sum
}
