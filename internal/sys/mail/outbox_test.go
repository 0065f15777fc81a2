package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/loop"
)

// idler is the component that an Outbox belongs to.
type idler struct{}

func (idler) Deadline() time.Time      { return time.Time{} }
func (idler) Expire(time.Time)         {}
func (idler) Recover(time.Time, error) {}

// journal is a log to be read.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), text)
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// gate is a mail server that takes connections and says nothing until it is opened.
type gate struct {
	addr  netip.AddrPort
	open  chan struct{}
	mails chan struct{} // one for each that was taken
}

func newGate(t *testing.T) *gate {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: netip.MustParseAddrPort(ln.Addr().String()), open: make(chan struct{}), mails: make(chan struct{}, 10_000)}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go g.serve(c.(*net.TCPConn))
		}
	}()
	return g
}

func (g *gate) serve(c *net.TCPConn) {
	defer c.Close()
	<-g.open
	s := &server{told: make(chan string, 1000)}
	s.talk(c, nil)
	if strings.HasSuffix(s.transcript(), "QUIT\r\n") {
		g.mails <- struct{}{}
	}
}

// run runs steps on a loop until one calls stop.
func run(t *testing.T, j *journal, steps func(o *Outbox, stop func()), idle func(o *Outbox, stop func())) {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	p := l.Add("mails", idler{})
	stop := func() { l.Stop(nil) }
	var o *Outbox
	o = NewOutbox(p, j.logger(), slog.LevelDebug, func(time.Time) { idle(o, stop) })
	p.Post(func(time.Time) { steps(o, stop) })
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the loop did not stop"))
	defer cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatalf("%v; log:\n%s", err, j.b.String())
	}
}

// A server that hangs costs the caller nothing, gets a bounded number of connections, and in the end the newest alerts.
func TestOutboxIsBounded(t *testing.T) {
	g, j := newGate(t), &journal{}
	const all, lost = maxUnderWay + maxWaiting + 7, 7
	run(t, j, func(o *Outbox, _ func()) {
		began := time.Now()
		for i := range all {
			o.Put(conf(g.addr), Message{Subject: fmt.Sprintf("number %03d.", i), Body: "=> <=", Date: began}, j.logger())
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("putting took %v", d)
		}
		if o.Idle() || len(o.sending) != maxUnderWay || len(o.waiting) != maxWaiting {
			t.Errorf("idle: %v, %d under way, %d waiting", o.Idle(), len(o.sending), len(o.waiting))
		}
		close(g.open)
	}, func(o *Outbox, stop func()) { stop() })
	for i := range all - lost {
		select {
		case <-g.mails:
		case <-time.After(patience):
			t.Fatalf("%d mails arrived, want %d", i, all-lost)
		}
	}
	for text, want := range map[string]int{"SMTP alert successfully sent": all - lost, "losing the oldest": 1, "7 SMTP alerts were lost": 1, "not sent": 0} {
		if got := j.count(text); got != want {
			t.Errorf("%q is in the log %d times, want %d", text, got, want)
		}
	}
}

// What is given up at the end is named; what the server has taken, is not.
func TestOutboxCloseTells(t *testing.T) {
	g, j := newGate(t), &journal{}
	late := serve(t, map[string]string{"QUIT": hang})
	run(t, j, func(o *Outbox, stop func()) {
		o.Put(conf(late.addr), Message{Subject: "taken", Body: "=> <="}, j.logger())
		for line := ""; line != "QUIT\r\n"; {
			select {
			case line = <-late.told:
			case <-time.After(patience):
				t.Fatal("no QUIT")
			}
		}
		for i := range maxUnderWay + 3 {
			o.Put(conf(g.addr), Message{Subject: fmt.Sprintf("number %d.", i), Body: "=> <="}, j.logger())
		}
		o.Close()
		if !o.Idle() {
			t.Error("not idle after Close")
		}
		o.Put(conf(g.addr), Message{Subject: "too late"}, j.logger())
		stop()
	}, func(*Outbox, func()) { t.Error("idle is called after Close") })
	if got := j.count("SMTP alert not sent: number"); got != maxUnderWay+3 {
		t.Errorf("%d alerts are told to be unsent, want %d:\n%s", got, maxUnderWay+3, j.b.String())
	}
	if j.count("not sent: taken")+j.count("too late") != 0 {
		t.Errorf("log:\n%s", j.b.String())
	}
}

// A failure is told with the alert that is lost by it, and does not stop the others.
func TestOutboxFailure(t *testing.T) {
	bad, good, j := serve(t, map[string]string{"RCPT": "550 no"}), serve(t, nil), &journal{}
	run(t, j, func(o *Outbox, _ func()) {
		o.Put(conf(bad.addr), Message{Subject: "first", Body: "=> <="}, j.logger())
		o.Put(conf(good.addr), Message{Subject: "second", Body: "=> <="}, j.logger())
		none := conf(good.addr)
		none.To = nil
		o.Put(none, Message{Subject: "third"}, j.logger())
	}, func(_ *Outbox, stop func()) { stop() })
	<-good.done
	if !strings.Contains(good.transcript(), "Subject: second\r\n") || j.count("SMTP alert not sent: first") != 1 || j.count("third") != 0 {
		t.Errorf("log:\n%s", j.b.String())
	}
}
