package probe

import (
	"bytes"
	"encoding/gob"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const roleVar = "PROBE_TEST_ROLE"

// TestMain makes the test binary a prober, or something that is none, when a test starts it so.
func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "":
		os.Exit(m.Run())
	case "prober":
		if err := Main(slog.New(slog.DiscardHandler), model.Scheduling{}); err != nil {
			os.Exit(1)
		}
	case "webserver":
		serveBench()
	case "broken":
		os.Exit(3)
	}
}

type fixture struct {
	*Client
	results chan Answer
	died    chan error
}

func spawn(t *testing.T, role string) *fixture {
	t.Helper()
	f := &fixture{results: make(chan Answer, 100), died: make(chan error, 100)}
	f.Client = Spawn(Options{
		Exe: "/proc/self/exe",
		Env: append(os.Environ(), roleVar+"="+role),
		Log: slog.New(slog.DiscardHandler),
		OnResults: func(batch []Answer) {
			for _, a := range batch {
				f.results <- a
			}
		},
		OnDied: func(err error) { f.died <- err },
	})
	t.Cleanup(f.Close)
	return f
}

func receive[V any](t *testing.T, c <-chan V, what string) V {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s within 10 s", what)
		panic("unreachable")
	}
}

func TestClient(t *testing.T) {
	alive := server(t, func(net.Conn) {})
	dead := netip.AddrPortFrom(alive.Addr(), unusedPort(t))
	c := spawn(t, "prober")
	want := map[uint64]bool{}
	for id := uint64(1); id <= 50; id++ {
		dst := alive
		if id%2 == 0 {
			dst = dead
		}
		want[id] = dst == alive
		c.Start(id, &Spec{Kind: model.TCPCheck, Conn: model.Connect{Dst: dst, Timeout: ample}}, ample)
	}
	for len(want) > 0 {
		a := receive(t, c.results, "result")
		ok, asked := want[a.ID]
		if !asked || a.Result.OK != ok {
			t.Errorf("result %+v, asked %v, want OK %v", a, asked, ok)
		}
		delete(want, a.ID)
	}
}

// A path need not be UTF-8.
func TestClientKeepsBytes(t *testing.T) {
	got := make(chan string, 1)
	dst := server(t, func(c net.Conn) { got <- readRequest(c) })
	c := spawn(t, "prober")
	c.Start(1, webSpec(model.HTTPGet, dst, model.URL{Path: "/\xff\x80", Digest: sum("")}), ample)
	if r := receive(t, c.results, "result"); r.Result.Reason != check.WebNoData {
		t.Errorf("got %+v", r)
	}
	if g := receive(t, got, "request"); !strings.HasPrefix(g, "GET /\xff\x80 HTTP/1.0\r\n") {
		t.Errorf("got %q", g)
	}
}

// A prober that is killed is replaced, and asked again what was open; a cancelled probe is not.
func TestClientRespawns(t *testing.T) {
	asked := make(chan net.Conn, 10)
	dst := server(t, func(c net.Conn) {
		readRequest(c)
		asked <- c
		io.Copy(io.Discard, c)
	})
	c := spawn(t, "prober")
	c.Start(1, webSpec(model.HTTPGet, dst, model.URL{Path: "/one"}), ample)
	c.Start(2, webSpec(model.HTTPGet, dst, model.URL{Path: "/two"}), ample)
	receive(t, asked, "request")
	receive(t, asked, "request")
	c.Cancel(2)
	first := c.PID()
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, c.died, "report of the death"); !strings.Contains(err.Error(), "killed") {
		t.Errorf("death told as %q", err)
	}
	conn := receive(t, asked, "request again")
	if c.PID() == first || c.PID() == 0 {
		t.Errorf("pid %d after %d", c.PID(), first)
	}
	io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\n")
	conn.Close()
	if a := receive(t, c.results, "result"); a.ID != 1 || !a.Result.OK {
		t.Errorf("got %+v", a)
	}
	select {
	case <-asked:
		t.Error("the cancelled probe was asked again")
	default:
	}
}

// A prober that owes a result and says nothing is killed; one that merely has a slow server to ask is not.
func TestClientKillsHungProber(t *testing.T) {
	asked := make(chan struct{}, 10)
	dst := server(t, func(c net.Conn) {
		readRequest(c)
		asked <- struct{}{}
		io.Copy(io.Discard, c)
	})
	c := spawn(t, "prober")
	c.Start(1, webSpec(model.HTTPGet, dst, model.URL{}), ample)
	receive(t, asked, "request")
	c.Cancel(1)
	first := c.PID()
	if err := unix.Kill(first, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.silence = 0
	c.mu.Unlock()
	c.Start(2, webSpec(model.HTTPGet, dst, model.URL{}), ample)
	c.Start(3, webSpec(model.HTTPGet, dst, model.URL{}), ample)
	c.Cancel(2)
	if err := receive(t, c.died, "report of the death"); !strings.Contains(err.Error(), "killed") {
		t.Errorf("death told as %q", err)
	}
	receive(t, asked, "request again")
	if pid := c.PID(); pid == first {
		t.Errorf("still pid %d", pid)
	}
}

// Close and the end of the worker look the same to the prober: its socket ends.
func TestProberEndsWithItsSocket(t *testing.T) {
	c := spawn(t, "prober")
	dst := server(t, func(net.Conn) {})
	c.Start(1, &Spec{Kind: model.TCPCheck, Conn: model.Connect{Dst: dst, Timeout: ample}}, ample)
	receive(t, c.results, "result")
	pid := c.PID()
	begin := time.Now()
	c.Client.Close()
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("prober %d still there: %v", pid, err)
	}
	if took := time.Since(begin); took >= endTime {
		t.Errorf("took %s: it had to be killed", took)
	}
}

func TestClientThatCannotStart(t *testing.T) {
	c := spawn(t, "broken")
	if err := receive(t, c.died, "report of the death"); !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("death told as %q", err)
	}
	receive(t, c.died, "second report") // at once
	begin := time.Now()
	receive(t, c.died, "third report")
	if waited := time.Since(begin); waited < firstBackOff/2 {
		t.Errorf("tried again after %s", waited)
	}
}

func TestServeRefusesLongMessages(t *testing.T) {
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Serve(theirs, slog.New(slog.DiscardHandler)) }()
	go gob.NewEncoder(ours).Encode(&ask{Spec: Spec{URL: model.URL{Path: strings.Repeat("x", maxAsk)}}})
	if err := receive(t, done, "end of Serve"); !errors.Is(err, errTooLong) {
		t.Errorf("got %v", err)
	}
	ours.Close()
}

func TestServeEndsAtEOF(t *testing.T) {
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Serve(theirs, slog.New(slog.DiscardHandler)) }()
	ours.Close()
	if err := receive(t, done, "end of Serve"); err != nil {
		t.Errorf("got %v", err)
	}
}

// Whatever a prober gone wrong sends, reading it ends, and takes no more than the bound.
func FuzzReceiver(f *testing.F) {
	var seed bytes.Buffer
	enc := gob.NewEncoder(&seed)
	enc.Encode(&Answer{7, check.Result{Reason: check.WebStatus, Claimed: 3}})
	enc.Encode(&Answer{8, check.Result{OK: true}})
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newReceiver(bytes.NewReader(in), maxAnswered)
		for {
			var a Answer
			if err := r.next(&a); err != nil {
				return
			}
			if len(a.Result.Reason) > maxAnswered {
				t.Fatalf("%d bytes let through", len(a.Result.Reason))
			}
		}
	})
}
