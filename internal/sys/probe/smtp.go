package probe

import (
	"bufio"
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
)

// smtpCheck is SMTP_CHECK: the server greets, answers HELO, and says something to QUIT. An answer of several lines is a failure at the
// greeting and at HELO (checkers.md §4).
type smtpCheck struct{}

// maxReplyLine bounds one line of a server; RFC 5321 §4.5.3.1.5 allows 512 bytes.
const maxReplyLine = 1024

func (smtpCheck) Probe(ctx context.Context, s *Spec) check.Result {
	step := startClock(ctx, s.Conn.Timeout)
	conn, err := dial(step, &s.Conn)
	if err != nil {
		return smtpDialFailed(step, err)
	}
	defer conn.Close()
	t := &smtpTalk{ctx: ctx, s: s, conn: conn, in: bufio.NewReaderSize(conn, maxReplyLine)}
	if r := t.hear(220, check.SMTPBadGreeting); !r.OK {
		return r
	}
	if r := t.say("HELO " + s.SMTP.HELO + "\r\n"); !r.OK {
		return r
	}
	if r := t.hear(250, check.SMTPBadHELO); !r.OK {
		return r
	}
	if r := t.say("QUIT\r\n"); !r.OK {
		return r
	}
	return t.hear(0, "")
}

func smtpDialFailed(step *clock, err error) check.Result {
	if r, is := unable(err); is {
		return r
	}
	switch {
	case isTimeout(err):
		return step.late(check.SMTPConnectTimeout)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EHOSTUNREACH):
		return check.Result{Reason: check.SMTPUnreachable}
	}
	return check.Result{Reason: check.SMTPConnectFailed}
}

type smtpTalk struct {
	ctx  context.Context
	s    *Spec
	conn *conn
	in   *bufio.Reader
}

func (t *smtpTalk) say(line string) check.Result {
	step := startClock(t.ctx, t.s.Conn.Timeout)
	t.conn.within(step)
	if _, err := t.conn.Write([]byte(line)); isTimeout(err) {
		return step.late(check.SMTPWriteTimeout)
	} else if err != nil {
		return check.Result{Reason: check.SMTPWriteFailed}
	}
	return check.Result{OK: true}
}

// hear reads one line, whose status has to be want unless that is 0. The whole line has connect_timeout.
//
// Differs from keepalived: there each read has it, so that a server which sends a byte now and then is never found failed.
func (t *smtpTalk) hear(want int, bad string) check.Result {
	step := startClock(t.ctx, t.s.Conn.Timeout)
	t.conn.within(step)
	line, err := t.in.ReadSlice('\n')
	switch {
	case isTimeout(err):
		return step.late(check.SMTPReadTimeout)
	case err != nil: // also a line that is too long
		return check.Result{Reason: check.SMTPReadFailed}
	case want != 0 && replyCode(line) != want:
		return check.Result{Reason: bad}
	}
	return check.Result{OK: true}
}

// replyCode is the status at the beginning of a line: three digits, then a blank or the end; else 0.
func replyCode(line []byte) int {
	if len(line) < 4 || line[3] != ' ' && line[3] != '\r' && line[3] != '\n' {
		return 0
	}
	n := 0
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}
