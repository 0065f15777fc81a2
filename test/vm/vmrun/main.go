// Command vmrun runs one command as root under a kernel of its own, on top of a throw-away copy of the host's file system, streams
// its output and returns its exit status.
//
//	vmrun [flags] [--] CMD [ARG...]
//
// The backend is "uml", user-mode-linux, which is an ordinary process (fast, one CPU), or "qemu", Debian's stock kernel under
// qemu-system-x86_64 (slow without KVM, several CPUs, every module). fetch.sh gets the kernels.
//
// The exit status is the command's; 128+N for signal N; 127 or 126 if it is not found or cannot be run; 125 if the guest failed,
// 124 after the timeout, 130 if interrupted. The command's input is /dev/null; environment and working directory carry over.
//
// The same static binary is the guest's init; see init.go.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// job is what the host tells the guest's init.
type job struct {
	Backend string
	Argv    []string
	Env     []string
	Dir     string
	RW      []string // host directories shared read-write, at their own path
	Modules []string // kernel modules to load before the command
	ModDir  string   // host path of the directory that holds modules.dep
}

type config struct {
	job
	root, mem, accel, append string
	smp                      int
	timeout                  time.Duration
	verbose                  bool
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	if os.Getpid() == 1 && os.Getenv("vmjob") != "" { // and not pid 1 of a container
		guest()
	}
	runtime.LockOSThread() // for Pdeathsig
	var c config
	wd, err := os.Getwd()
	if err != nil {
		fatal(err)
	}
	flag.StringVar(&c.Backend, "backend", "uml", "uml or qemu")
	flag.StringVar(&c.root, "root", ".", "directory that fetch.sh filled; for uml, / takes the system's own")
	flag.StringVar(&c.Dir, "C", wd, "working directory of the command")
	flag.Var((*list)(&c.RW), "rw", "host directory that the guest really writes to (repeatable)")
	flag.Var((*list)(&c.Modules), "mod", "kernel module to load first (repeatable)")
	flag.StringVar(&c.mem, "mem", "1G", "the guest's memory")
	flag.IntVar(&c.smp, "smp", 2, "the guest's CPUs (qemu)")
	flag.StringVar(&c.accel, "accel", "tcg", "tcg or kvm (qemu)")
	flag.StringVar(&c.append, "append", "", "more kernel parameters")
	flag.DurationVar(&c.timeout, "timeout", 10*time.Minute, "kill the guest after this long (status 124)")
	flag.BoolVar(&c.verbose, "v", false, "show the kernel's console on stderr")
	flag.Parse()
	c.Argv, c.Env = flag.Args(), os.Environ()
	if len(c.Argv) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	rc, err := run(&c)
	if err != nil {
		fatal(err)
	}
	os.Exit(rc)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "vmrun:", err)
	os.Exit(125)
}

func run(c *config) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	state, err := os.MkdirTemp("", "vmrun")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(state)
	var cmd *exec.Cmd
	switch c.Backend {
	case "uml":
		cmd, err = umlCmd(c, self, state)
	case "qemu":
		cmd, err = qemuCmd(c, self, state)
	default:
		err = fmt.Errorf("unknown backend %q", c.Backend)
	}
	if err != nil {
		return 0, err
	}

	// fd 1 of the VM is its kernel's console; 3, 4 and 5 are the command's
	// stdout, stderr and status.
	var console, status bytes.Buffer
	var klog io.Writer = &console
	if c.verbose {
		klog = io.MultiWriter(&console, os.Stderr)
	}
	var copies sync.WaitGroup
	var ends []*os.File
	for _, dst := range []io.Writer{klog, os.Stdout, os.Stderr, &status} {
		r, w, err := os.Pipe()
		if err != nil {
			return 0, err
		}
		ends = append(ends, w)
		copies.Go(func() { io.Copy(dst, r); r.Close() })
	}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = ends[0], ends[0], ends[1:]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	for _, w := range ends {
		w.Close()
	}
	kill := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	unhook := context.AfterFunc(ctx, kill)
	werr := cmd.Wait()
	unhook()
	kill() // helper processes that still hold our pipes
	copies.Wait()

	rc, err := strconv.Atoi(strings.TrimSpace(status.String()))
	switch {
	case err == nil:
		return rc, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		fmt.Fprintf(os.Stderr, "vmrun: killed after %v\n", c.timeout)
		return 124, nil
	case ctx.Err() != nil:
		return 130, nil
	}
	if !c.verbose {
		os.Stderr.Write(console.Bytes())
	}
	return 0, fmt.Errorf("the guest ended without a status (%v)", werr)
}

func writeJob(c *config, path string) error {
	b, err := json.Marshal(c.job)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

// only returns the one path that the pattern matches.
func only(pattern string) (string, error) {
	m, err := filepath.Glob(pattern)
	if err == nil && len(m) != 1 {
		err = fmt.Errorf("%s: %d matches, want 1 (run fetch.sh?)", pattern, len(m))
	}
	if err != nil {
		return "", err
	}
	return m[0], nil
}
