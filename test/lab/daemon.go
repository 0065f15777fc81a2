package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Daemon is one running daemon: its parent process and whatever that started.
type Daemon struct {
	Node *Node
	Conf string // its configuration file

	cmd     *exec.Cmd
	started time.Time
	done    chan struct{} // closed when the parent has ended and its log is read
	exited  time.Time
}

// Start is Launch without checkers (-P), with detailed logging (-D). More args follow those.
func (n *Node) Start(binary, config string, args ...string) *Daemon {
	n.lab.t.Helper()
	return n.Launch(binary, config, append([]string{"-D", "-G", "-P"}, args...)...)
}

// Launch writes the configuration and starts the program in the node, in the foreground, logging there, with pid, dump and temporary files
// in the node's directory and the args.
func (n *Node) Launch(binary, config string, args ...string) *Daemon {
	n.lab.t.Helper()
	d := &Daemon{Node: n, Conf: n.File("keepalived.conf", config), done: make(chan struct{})}
	n.lab.mark(n.Name, "start "+binary)
	d.started = time.Now()

	words := slices.Concat(n.Wrapper, []string{binary}, n.Args(), []string{"-n", "-l"}, args)
	d.cmd = n.Command(words[0], words[1:]...)
	d.cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(n.Dir, "tmp"))
	// Nothing is left behind when the test is killed; and a ^C on the terminal is the test's alone.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	if err != nil {
		n.lab.t.Fatalf("starting %q: %v", binary, err)
	}
	d.cmd.Stdout, d.cmd.Stderr = w, w
	if err := d.cmd.Start(); err != nil {
		n.lab.t.Fatalf("starting %q: %v", binary, err)
	}
	w.Close()
	logged := make(chan struct{})
	go d.readLog(r, logged)
	go func() {
		d.cmd.Wait()
		d.exited = time.Now()
		// A grandchild that lives on (a script) may hold the log open: do not wait for it for ever.
		select {
		case <-logged:
		case <-time.After(200 * time.Millisecond):
		}
		close(d.done)
	}()
	n.lab.t.Cleanup(func() { d.Kill() })
	return d
}

// Args are the options that place a daemon's configuration and pid files in the node's directory.
func (n *Node) Args() []string {
	p := func(name string) string { return filepath.Join(n.Dir, name) }
	return []string{"-f", p("keepalived.conf"), "-p", p("keepalived.pid"), "-r", p("vrrp.pid"), "-c", p("checkers.pid"), "-b", p("bfd.pid")}
}

var logStamp = regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}: `)

func (d *Daemon) readLog(r *os.File, logged chan<- struct{}) {
	defer close(logged)
	defer r.Close()
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := in.Text()
		line = line[len(logStamp.FindString(line)):]
		d.Node.lab.add(Entry{At: time.Now(), Node: d.Node.Name, Line: strings.TrimRight(line, " ")})
	}
}

// Log returns the lines that the daemon logged so far, those of an earlier daemon on the same node excluded.
func (d *Daemon) Log() []Entry {
	return d.Node.lab.Entries(func(e Entry) bool {
		return e.Node == d.Node.Name && e.Line != "" && !e.At.Before(d.started)
	})
}

// WaitLog returns the first line, past or to come, that the expression matches.
func (d *Daemon) WaitLog(limit time.Duration, expr string) Entry {
	d.Node.lab.t.Helper()
	return d.WaitLogAfter(time.Time{}, limit, expr)
}

// WaitLogAfter is WaitLog for lines logged after the moment.
func (d *Daemon) WaitLogAfter(at time.Time, limit time.Duration, expr string) Entry {
	d.Node.lab.t.Helper()
	re := regexp.MustCompile(expr)
	var got Entry
	d.Node.lab.Wait(limit, fmt.Sprintf("%s logs %q", d.Node.Name, expr), func() bool {
		log := d.Log()
		i := slices.IndexFunc(log, func(e Entry) bool { return e.At.After(at) && re.MatchString(e.Line) })
		if i >= 0 {
			got = log[i]
		}
		return i >= 0
	})
	return got
}

// Logged tells whether a line matches so far.
func (d *Daemon) Logged(expr string) bool {
	re := regexp.MustCompile(expr)
	return slices.ContainsFunc(d.Log(), func(e Entry) bool { return re.MatchString(e.Line) })
}

// Started is when the program was started.
func (d *Daemon) Started() time.Time { return d.started }

// Pid is the parent's process id.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Alive tells whether the parent runs.
func (d *Daemon) Alive() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal to the parent and returns when it did.
func (d *Daemon) Signal(sig syscall.Signal) time.Time {
	d.Node.lab.t.Helper()
	d.Node.lab.mark(d.Node.Name, "signal "+sig.String())
	at := time.Now()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.Node.lab.t.Fatalf("signalling %q: %v", d.Node.Name, err)
	}
	return at
}

// WaitExit waits for the parent's end and returns its exit code, -1 if a signal ended it.
func (d *Daemon) WaitExit(limit time.Duration) int {
	d.Node.lab.t.Helper()
	d.Node.lab.Wait(limit, "end of the daemon of "+d.Node.Name, func() bool { return !d.Alive() })
	return d.cmd.ProcessState.ExitCode()
}

// Exited is when the parent ended; only valid when it has.
func (d *Daemon) Exited() time.Time { return d.exited }

// Stop asks the daemon to end and returns its exit code.
func (d *Daemon) Stop() int {
	d.Node.lab.t.Helper()
	d.Signal(syscall.SIGTERM)
	return d.WaitExit(10 * time.Second)
}

// Pids returns the process ids of the daemon, the parent first.
func (d *Daemon) Pids() []int {
	if !d.Alive() {
		return nil
	}
	out := []int{d.Pid()}
	for i := 0; i < len(out); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", out[i]))
		for _, t := range tasks {
			b, _ := os.ReadFile(t)
			for _, f := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(f); err == nil {
					out = append(out, pid)
				}
			}
		}
	}
	return out
}

// Worker is the process id in the VRRP pid file, that of the process that runs VRRP; 0 while there is none.
func (d *Daemon) Worker() int {
	pid, _ := strconv.Atoi(strings.TrimSpace(d.Node.ReadFile("vrrp.pid")))
	return pid
}

// Kill ends the whole daemon at once, as a crash of the host would, and returns when it began to. All processes are
// stopped before the first dies: a child that notices its parent's death says goodbye, and a parent restarts its child.
func (d *Daemon) Kill() time.Time {
	if !d.Alive() {
		return d.exited
	}
	d.Node.lab.mark(d.Node.Name, "kill -9")
	pids := d.Pids()
	at := time.Now()
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	for _, pid := range slices.Backward(pids) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	<-d.done
	// The children are now ours to reap (see New); until then their pid files seem to name running processes.
	for _, pid := range pids[1:] {
		syscall.Wait4(pid, nil, 0, nil)
	}
	return at
}

// Reconfigure replaces the configuration file; a SIGHUP makes the daemon read it.
func (d *Daemon) Reconfigure(config string) { d.Node.File("keepalived.conf", config) }

// Reload replaces the configuration, sends SIGHUP and returns when it did.
func (d *Daemon) Reload(config string) time.Time {
	d.Node.lab.t.Helper()
	d.Reconfigure(config)
	return d.Signal(syscall.SIGHUP)
}

// hasOpen reports whether a process of the daemon has a file open.
func (d *Daemon) hasOpen(path string) bool {
	for _, pid := range d.Pids() {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && to == path {
				return true
			}
		}
	}
	return false
}

// Dump sends a signal and returns the file of the temporary directory which the daemon writes at it.
func (d *Daemon) Dump(sig syscall.Signal, name string) string {
	d.Node.lab.t.Helper()
	path := filepath.Join("tmp", name)
	if err := os.Remove(filepath.Join(d.Node.Dir, path)); err != nil && !os.IsNotExist(err) {
		d.Node.lab.t.Fatalf("removing the old %q: %v", name, err)
	}
	d.Signal(sig)
	var got, last string
	d.Node.lab.Wait(5*time.Second, name+" written", func() bool {
		// Not all of them are renamed into place: complete is what nobody had open before it was read, and what stays the same.
		open := d.hasOpen(filepath.Join(d.Node.Dir, path))
		got, last = d.Node.ReadFile(path), got
		return got != "" && got == last && !open
	})
	return got
}

// Recorder is a shell script that appends its arguments to a file, and reads that file.
type Recorder struct {
	Path string // of the script
	node *Node
	out  string
}

// Recorder makes a script that notes its arguments and what the commands printed when it ran.
func (n *Node) Recorder(name string, commands ...string) *Recorder {
	r := &Recorder{node: n, out: name + ".out"}
	line := "$*"
	for _, c := range commands {
		line += " $(" + c + ")"
	}
	r.Path = n.File(name+".sh", "#!/bin/sh\necho \""+line+"\" >>"+filepath.Join(n.Dir, r.out)+"\n")
	return r
}

// Calls are the lines so far, in the order in which the calls ended.
func (r *Recorder) Calls() []string { return lines(r.node.ReadFile(r.out)) }

// FIFO collects the lines that a daemon writes to a FIFO.
type FIFO struct {
	Path string
	tl   *Timeline
	got  []string
}

// FIFO reads the FIFO of that name in the node's directory from the moment on when the daemon has made it.
func (n *Node) FIFO(name string) *FIFO {
	f := &FIFO{Path: filepath.Join(n.Dir, name), tl: &n.lab.Timeline}
	stop := make(chan struct{})
	n.lab.t.Cleanup(func() { close(stop) })
	go func() {
		var file *os.File
		for file == nil {
			select {
			case <-stop:
				return
			case <-time.After(poll):
			}
			if st, err := os.Stat(f.Path); err == nil && st.Mode()&os.ModeNamedPipe != 0 {
				file, _ = os.OpenFile(f.Path, os.O_RDWR|syscall.O_NONBLOCK, 0)
			}
		}
		go func() { <-stop; file.Close() }()
		in := bufio.NewScanner(file)
		for in.Scan() {
			f.tl.mu.Lock()
			f.got = append(f.got, in.Text())
			f.tl.mu.Unlock()
			f.tl.mark(n.Name, "fifo: "+in.Text())
		}
	}()
	return f
}

// Lines are the lines read so far.
func (f *FIFO) Lines() []string {
	f.tl.mu.Lock()
	defer f.tl.mu.Unlock()
	return slices.Clone(f.got)
}

func lines(s string) []string {
	s = strings.TrimSuffix(s, "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// Output runs a program in the node to its end and returns its exit code and what it printed.
func (n *Node) Output(limit time.Duration, binary string, args ...string) (int, string) {
	n.lab.t.Helper()
	cmd := n.Command(binary, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(n.Dir, "tmp"))
	if err := cmd.Start(); err != nil {
		n.lab.t.Fatalf("running %q: %v", binary, err)
	}
	timer := time.AfterFunc(limit, func() { cmd.Process.Kill() })
	cmd.Wait()
	if !timer.Stop() {
		n.lab.t.Fatalf("%q %q ran longer than %v: %s", binary, args, limit, out.String())
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// Running tells whether a process exists and has not ended.
func Running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}
