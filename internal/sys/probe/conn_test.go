package probe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// dialled is a connection to a server that does as serve, with a first step of d.
func dialled(t *testing.T, d time.Duration, serve func(net.Conn)) *conn {
	t.Helper()
	step := startClock(context.Background(), d)
	c, err := dial(step, &model.Connect{Dst: server(t, serve)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// endsAfter fails unless f is ended by its deadline after d, and hardly later.
func endsAfter(t *testing.T, d time.Duration, f func() error) {
	t.Helper()
	begin := time.Now()
	err := f()
	if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took < d || took > d+ample {
		t.Errorf("ended after %v by %v, want %v", took, err, d)
	}
}

// A step ends at its time, whether the server says nothing, does not listen, or never pauses.
func TestStepEnds(t *testing.T) {
	read := func(c *conn) error {
		for b := make([]byte, 16); ; { // so small that a flood never makes it wait
			if _, err := c.Read(b); err != nil {
				return err
			}
		}
	}
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		do    func(*conn) error
	}{
		{"silence", silent, read},
		{"flood", func(c net.Conn) { flood(c, make([]byte, 64<<10)) }, read},
		{"deafness", func(net.Conn) { <-t.Context().Done() }, func(c *conn) error {
			_, err := c.Write(make([]byte, 64<<20))
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := dialled(t, ample, tt.serve)
			c.within(startClock(context.Background(), short))
			endsAfter(t, short, func() error { return tt.do(c) })
			if tt.name == "silence" { // the next step has its own time, and the shorter limit of the whole counts
				ctx, cancel := context.WithTimeout(context.Background(), 2*short)
				defer cancel()
				c.within(startClock(ctx, time.Hour))
				endsAfter(t, short, func() error { return read(c) })
			}
		})
	}
	t.Run("many, the last first", func(t *testing.T) {
		t.Parallel()
		done := make(chan int)
		const n = 5
		for i := range n {
			c := dialled(t, ample, silent)
			d := time.Duration(n-i) * short
			c.within(startClock(context.Background(), d))
			go func() {
				endsAfter(t, d, func() error { return read(c) })
				done <- i
			}()
		}
		for want := n - 1; want >= 0; want-- {
			if got := <-done; got != want {
				t.Errorf("connection %d ended before %d", got, want)
			}
		}
	})
}

// What comes in pieces is waited for piece by piece; a large write goes on when there is room again. The poller keeps nothing of a
// connection that is closed.
func TestConnWaits(t *testing.T) {
	const pieces = 5
	large := bytes.Repeat([]byte("x"), 16<<20)
	c := dialled(t, ample, func(c net.Conn) {
		for range pieces {
			time.Sleep(10 * time.Millisecond)
			io.WriteString(c, "piece")
		}
		n, _ := io.Copy(io.Discard, io.LimitReader(c, int64(len(large))))
		if n == int64(len(large)) {
			io.WriteString(c, "thanks")
		}
	})
	b := make([]byte, 5*pieces)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "piecepiecepiecepiecepiece" {
		t.Fatalf("got %q, %v", b, err)
	}
	if n, err := c.Write(large); err != nil || n != len(large) {
		t.Fatalf("wrote %d: %v", n, err)
	}
	if b, err := io.ReadAll(c); err != nil || string(b) != "thanks" {
		t.Fatalf("got %q, %v", b, err)
	}
	fd := int32(c.fd)
	known := func() bool {
		c.poll.mu.Lock()
		defer c.poll.mu.Unlock()
		return c.poll.conns[fd] == c
	}
	if !known() {
		t.Error("the poller does not know who has waited")
	}
	if c.Close(); known() {
		t.Error("the poller knows a closed connection")
	}
	if err := c.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

// What comes between a vain attempt and the wait for it is not missed.
func TestWaitSeesWhatCame(t *testing.T) {
	send := make(chan bool)
	c := dialled(t, ample, func(c net.Conn) {
		<-send
		io.WriteString(c, "x")
		<-t.Context().Done()
	})
	c.within(startClock(context.Background(), short))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	close(send)
	for came, end := false, time.Now().Add(ample); !came; time.Sleep(time.Millisecond) {
		c.poll.mu.Lock()
		came = c.wait.came
		c.poll.mu.Unlock()
		if time.Now().After(end) {
			t.Fatal("the poller has no news")
		}
	}
	c.within(startClock(context.Background(), short))
	if err := c.poll.wait(c, unix.EPOLLIN); err != nil {
		t.Error(err)
	}
}

// A shared connection can be read, written and closed at the same time.
func TestConnShared(t *testing.T) {
	c := dialled(t, ample, func(c net.Conn) { io.Copy(c, c) })
	c.SetDeadline(time.Now().Add(short))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) { // now the poller knows it
		t.Fatal(err)
	}
	if err := c.shareOut(); err != nil {
		t.Fatal(err)
	}
	c.within(startClock(context.Background(), ample))
	heard, read := make(chan bool), make(chan error)
	go func() {
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Errorf("got %q, %v", b, err)
		}
		close(heard)
		_, err := c.Read(b)
		read <- err
	}()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	<-heard
	c.Close()
	if err := <-read; err == nil {
		t.Error("read from a closed connection")
	}
}
