package probe

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// FD is the file descriptor on which a prober process finds its socket.
const FD = 3

// Options say how a prober process is started and who hears from it. The functions are called from goroutines of the client, one
// at a time; they must not block.
type Options struct {
	Exe       string // program, started with Args (without argv[0]) and Env and its socket as descriptor FD
	Args, Env []string
	Log       *slog.Logger
	OnResults func([]Answer) // owns what it gets
	// OnDied tells that the prober ended or could not be started, and why. Nothing has to be done: a new one is on its way, and
	// will be asked what is open.
	OnDied func(err error)
}

// A prober that dies is replaced at once the first time, and then after these delays, which double; one that lived for
// longEnough starts the row anew.
const (
	firstBackOff = time.Second
	lastBackOff  = time.Minute
	longEnough   = time.Minute
)

// Client keeps one prober process running, and its open probes asked. Its methods may be called from any goroutine and never
// block.
type Client struct {
	o      Options
	closed chan struct{}
	gone   chan struct{} // run has returned

	closing sync.Once
	silence time.Duration // as the constant

	mu    sync.Mutex
	open  map[uint64]*ask
	queue []*ask // not yet written
	wake  chan struct{}
	heard time.Time // last result, or the start of the prober
	proc  *os.Process
}

// Spawn starts a prober and a client for it. It does not fail: what goes wrong is told to OnDied and tried again.
func Spawn(o Options) *Client {
	c := &Client{
		o:      o,
		closed: make(chan struct{}),
		gone:   make(chan struct{}),
		open:   map[uint64]*ask{},
		wake:   make(chan struct{}, 1),

		silence: silence,
	}
	go c.run()
	return c
}

// Start asks for a probe of at most limit. OnResults is called once with id, unless Cancel comes first. An id must not be used again
// while it is open.
func (c *Client) Start(id uint64, spec *Spec, limit time.Duration) {
	a := &ask{ID: id, Spec: *spec, Limit: limit}
	c.mu.Lock()
	c.open[id] = a
	c.queue = append(c.queue, a)
	c.mu.Unlock()
	c.signal()
}

// silence is for how long a prober that owes a result may say nothing at all before it is taken for hung.
const silence = 10 * time.Second

// Cancel gives up a probe whose result is late: OnResults will not tell of it. A prober that has told nothing for a while is
// killed, since it seems to hang.
func (c *Client) Cancel(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.open[id]; !ok {
		return
	}
	delete(c.open, id)
	if c.proc != nil && time.Since(c.heard) > c.silence {
		c.proc.Kill()
	}
}

// PID returns the process id of the prober, 0 while there is none.
func (c *Client) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return 0
	}
	return c.proc.Pid
}

// Close ends the prober and waits for that. No function of Options is called afterwards. Further calls do nothing.
func (c *Client) Close() {
	c.closing.Do(func() { close(c.closed) })
	<-c.gone
}

func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run keeps a prober alive. It holds on to its thread: the kernel sends the parent-death signal when the thread that made the
// child ends, not when the process does.
func (c *Client) run() {
	defer close(c.gone)
	runtime.LockOSThread()
	delay := time.Duration(0)
	for {
		began := time.Now()
		err := c.live()
		if c.isClosed() {
			return
		}
		c.o.OnDied(err)
		if time.Since(began) > longEnough {
			delay = 0
		}
		select {
		case <-time.After(delay):
		case <-c.closed:
			return
		}
		delay = min(max(2*delay, firstBackOff), lastBackOff)
	}
}

func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// live starts one prober and serves it until its end, the reason of which it returns.
func (c *Client) live() error {
	conn, theirs, err := socketPair()
	if err != nil {
		return fmt.Errorf("create prober socket: %w", err)
	}
	defer conn.Close()
	cmd := &exec.Cmd{
		Path:        c.o.Exe,
		Args:        append([]string{c.o.Exe}, c.o.Args...),
		Env:         c.o.Env,
		Stderr:      os.Stderr,
		ExtraFiles:  []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start prober: %w", err)
	}
	c.restart(cmd.Process)

	ended := make(chan struct{})
	done := make(chan error, 2)
	go func() { done <- c.write(conn, ended) }()
	go func() { done <- c.read(conn) }()
	writing := 2
	select {
	case err = <-done: // the first reason is the cause
		writing--
	case <-c.closed:
	}
	conn.Close()
	close(ended)
	c.forget()
	wait := waitOrKill(cmd)
	for ; writing > 0; writing-- {
		<-done
	}
	if wait != nil {
		return fmt.Errorf("prober ended: %w", wait)
	}
	return fmt.Errorf("prober ended: %w", err)
}

// restart makes all that is open be asked of a new prober.
func (c *Client) restart(p *os.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proc, c.heard = p, time.Now()
	c.queue = c.queue[:0]
	for _, a := range c.open {
		c.queue = append(c.queue, a)
	}
	c.signal()
}

func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proc = nil
}

// endTime is how long a prober may take to end after its socket is closed.
const endTime = 2 * time.Second

func waitOrKill(cmd *exec.Cmd) error {
	kill := time.AfterFunc(endTime, func() { cmd.Process.Kill() })
	defer kill.Stop()
	return cmd.Wait()
}

func (c *Client) write(conn net.Conn, ended <-chan struct{}) error {
	buf := bufio.NewWriter(conn)
	enc := gob.NewEncoder(buf)
	var batch []*ask
	for {
		select {
		case <-c.wake:
		case <-ended:
			return nil
		}
		c.mu.Lock()
		batch, c.queue = c.queue, batch[:0]
		c.mu.Unlock()
		for _, a := range batch {
			if err := enc.Encode(a); err != nil {
				return fmt.Errorf("send request: %w", err)
			}
		}
		if err := buf.Flush(); err != nil {
			return fmt.Errorf("send request: %w", err)
		}
	}
}

func (c *Client) read(conn net.Conn) error {
	for in := newReceiver(conn, maxAnswered); ; {
		var batch []Answer // all that has come, so that the loop wakes once for it
		for again := true; again; again = in.more() && len(batch) < maxBatch {
			var a Answer
			if err := in.next(&a); err != nil {
				return fmt.Errorf("read result: %w", err)
			}
			batch = append(batch, a)
		}
		c.mu.Lock()
		c.heard = time.Now()
		wanted := batch[:0]
		for _, a := range batch {
			if _, ok := c.open[a.ID]; ok {
				delete(c.open, a.ID)
				wanted = append(wanted, a)
			}
		}
		c.mu.Unlock()
		if len(wanted) > 0 && !c.isClosed() {
			c.o.OnResults(wanted)
		}
	}
}

// maxBatch is how many results are told at a time.
const maxBatch = 1024

// socketPair returns our end as a connection, and the child's as a file.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "prober"), os.NewFile(uintptr(fds[1]), "prober")
	conn, err := newPipe(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// Main is the body of a prober process: it serves the socket that its parent left as descriptor FD.
func Main(log *slog.Logger, place model.Scheduling) error {
	conn, err := newPipe(os.NewFile(FD, "prober"))
	if err != nil {
		return fmt.Errorf("open prober socket: %w", err)
	}
	defer conn.Close()
	Settle(log, place)
	return Serve(conn, log)
}
