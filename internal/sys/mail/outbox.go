package mail

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/loop"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	maxUnderWay = 16  // connections at a time
	maxWaiting  = 256 // alerts that wait for one
)

// Outbox sends alerts, some at a time, and never makes its caller wait. It belongs to one component of a loop, on which all its methods
// are called.
//
// Differs from keepalived: the number of connections is bounded, and an alert that was not delivered is named in the log.
type Outbox struct {
	part    *loop.Part
	log     *slog.Logger // of what concerns no alert in particular
	detail  slog.Level
	idle    func(now time.Time)
	cancel  context.CancelFunc
	ctx     context.Context
	waiting []*letter
	sending []*letter
	lost    int // alerts dropped since the queue was last empty
	closed  bool
}

// letter is a message with all that is needed to send it.
type letter struct {
	conf  *model.Mail
	msg   Message
	log   *slog.Logger
	taken atomic.Bool // by the server
}

// NewOutbox returns an Outbox of the component p. Progress is logged at level detail; idle is called on the loop whenever nothing is
// left to be sent.
func NewOutbox(p *loop.Part, log *slog.Logger, detail slog.Level, idle func(now time.Time)) *Outbox {
	o := &Outbox{part: p, log: log, detail: detail, idle: idle}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o
}

// Put sends m as conf says, which must not change any more, and logs on log what becomes of it. Without a server or a recipient it
// does nothing. If too many alerts wait, the oldest is lost.
func (o *Outbox) Put(conf *model.Mail, m Message, log *slog.Logger) {
	if !conf.Server.IsValid() || len(conf.To) == 0 || o.closed {
		return
	}
	o.waiting = append(o.waiting, &letter{conf: conf, msg: m, log: log})
	o.start()
	if len(o.waiting) > maxWaiting {
		if o.lost++; o.lost == 1 {
			o.log.Warn("too many SMTP alerts wait for the server - losing the oldest")
		}
		o.waiting = slices.Delete(o.waiting, 0, 1)
	}
}

// Idle reports whether nothing is left to be sent.
func (o *Outbox) Idle() bool { return len(o.waiting)+len(o.sending) == 0 }

// Close gives up what has not been delivered, and says so.
func (o *Outbox) Close() {
	if o.closed {
		return
	}
	o.closed = true
	o.cancel()
	o.tellLost()
	for _, l := range slices.Concat(o.sending, o.waiting) {
		l.end()
	}
	o.sending, o.waiting = nil, nil
}

func (o *Outbox) start() {
	for len(o.waiting) > 0 && len(o.sending) < maxUnderWay {
		l := o.waiting[0]
		o.waiting = o.waiting[1:]
		o.sending = append(o.sending, l)
		o.part.Go("mail", func() error { o.send(l); return nil }, func(now time.Time, err error) { o.done(now, l, err) })
	}
}

// send runs beside the loop.
func (o *Outbox) send(l *letter) {
	Send(o.ctx, l.conf, l.msg, func(s Stage, line string) {
		level := o.detail
		switch s {
		case Taken:
			l.taken.Store(true)
		case Failed:
			level = slog.LevelInfo
		}
		l.log.Log(o.ctx, level, line)
	})
}

func (o *Outbox) done(now time.Time, l *letter, err error) {
	if o.closed {
		return
	}
	o.sending = slices.DeleteFunc(o.sending, func(x *letter) bool { return x == l })
	if err != nil {
		o.log.Error(err.Error())
	}
	l.end()
	if o.start(); o.Idle() {
		o.tellLost()
		o.idle(now)
	}
}

func (o *Outbox) tellLost() {
	if o.lost > 0 {
		o.log.Warn(fmt.Sprintf("%d SMTP alerts were lost", o.lost))
		o.lost = 0
	}
}

// end tells of an alert that nobody will get.
func (l *letter) end() {
	if !l.taken.Load() {
		l.log.Warn("SMTP alert not sent: " + l.msg.Subject)
	}
}
