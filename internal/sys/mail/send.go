// Package mail sends alerts to a mail server.
package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Message is one alert.
type Message struct {
	Subject string
	Body    string    // one line
	Date    time.Time // of what it tells
}

// What is read of a server's reply.
const (
	maxReplyLine  = 1024 // bytes; RFC 5321 section 4.5.3.1.5 allows 512
	maxReplyLines = 64
)

// Stage is how far the sending of a message has come.
type Stage uint8

const (
	Connected Stage = iota + 1
	Taken           // the server has taken the message over
	Failed          // at whatever: the message is lost, but if it was taken before
)

// Send delivers m in keepalived's dialogue: plain SMTP, with HELO, on a connection of its own; only what conf says of TLS and
// authentication changes that (secure.go). It tells say of each stage, with a line for the log. The connection, and each command with its
// reply, may take conf.Timeout; the end of ctx ends it all.
//
// Differs from keepalived: replies may end in a bare line feed, a refused QUIT is not repeated, a reply without a code has code 0 and is
// read at most to its 64th line and each line to its 1024th byte; the line about a refused connection gives the reason.
func Send(ctx context.Context, conf *model.Mail, m Message, say func(s Stage, line string)) {
	name := fmt.Sprintf("[%s]:%d", conf.Server.Addr(), conf.Server.Port())
	dialer := net.Dialer{Timeout: conf.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", conf.Server.String())
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return
	case timedOut(err):
		say(Failed, "Timeout connecting SMTP server "+name+".")
		return
	default:
		say(Failed, fmt.Sprintf("SMTP connection ERROR to %s: %v.", name, cause(err)))
		return
	}
	s := session{conn: conn, in: bufio.NewReaderSize(conn, maxReplyLine), timeout: conf.Timeout}
	defer func() { s.conn.Close() }() // which may have become TLS
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	say(Connected, "Remote SMTP server "+name+" connected.")

	err = s.open(conf)
	if err == nil {
		err = s.deliver(conf, m, func() { say(Taken, "SMTP alert successfully sent.") })
	}
	var refused *refusal
	if errors.As(err, &refused) && refused.cmd != "QUIT" {
		say(Failed, refused.line(name))
		err = s.command("QUIT", 221, "QUIT\r\n")
	}
	switch {
	case err == nil || ctx.Err() != nil: // who ended it knows why
	case errors.As(err, &refused):
		say(Failed, refused.line(name))
	case timedOut(err):
		say(Failed, "Timeout reading data to remote SMTP server "+name+".")
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		say(Failed, "Remote SMTP server "+name+" has closed the connection.")
	default:
		say(Failed, fmt.Sprintf("SMTP connection ERROR to %s: %v.", name, cause(err)))
	}
}

// open begins the dialogue, up to where a message may come.
func (s *session) open(conf *model.Mail) error {
	if conf.TLS == model.ImplicitTLS {
		if err := s.encrypt(conf); err != nil {
			return err
		}
	}
	if err := s.command("(E)SMTP", 220, ""); err != nil {
		return err
	}
	if conf.TLS != model.NoTLS || conf.AuthUser != "" {
		return s.secure(conf)
	}
	return s.command("HELO", 250, "HELO "+oneLine(conf.HELO)+"\r\n")
}

// session is one connection.
type session struct {
	conn    net.Conn
	in      *bufio.Reader
	timeout time.Duration
	secured bool // conn is TLS
}

// refusal is a reply with another code than the one hoped for.
type refusal struct {
	cmd  string
	code int // 0: the reply has none
}

func (r *refusal) Error() string { return fmt.Sprintf("%s refused: %d", r.cmd, r.code) }

func (r *refusal) line(server string) string {
	return fmt.Sprintf("Error processing %s cmd on SMTP server %s. SMTP status code = %d", r.cmd, server, r.code)
}

func (s *session) deliver(conf *model.Mail, m Message, taken func()) error {
	if err := s.command("MAIL", 250, "MAIL FROM:<"+oneLine(conf.From.Addr)+">\r\n"); err != nil {
		return err
	}
	for _, to := range conf.To {
		if err := s.command("RCPT", 250, "RCPT TO:<"+oneLine(to.Addr)+">\r\n"); err != nil {
			return err
		}
	}
	if err := s.command("DATA", 354, "DATA\r\n"); err != nil {
		return err
	}
	if err := s.command("BODY", 250, compose(conf, m)); err != nil {
		return err
	}
	taken()
	return s.command("QUIT", 221, "QUIT\r\n")
}

// command sends text, if any, and wants a reply with the code.
func (s *session) command(name string, want int, text string) error {
	code, _, err := s.ask(text)
	if err == nil && code != want {
		err = &refusal{name, code}
	}
	return err
}

// ask sends text, if any, and returns the code of the reply, and the texts of its lines.
func (s *session) ask(text string) (code int, lines []string, err error) {
	if err := s.conn.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, nil, err
	}
	if _, err := io.WriteString(s.conn, text); err != nil {
		return 0, nil, err
	}
	return readReply(s.in)
}

var errTooLong = errors.New("reply too long")

// readReply returns the code of a reply, and the texts of its lines; the last line's code counts. 0: it has none.
func readReply(in *bufio.Reader) (code int, lines []string, err error) {
	for range maxReplyLines {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return 0, nil, errTooLong
		}
		if err != nil {
			return 0, nil, err // an unfinished line is no reply
		}
		text := strings.TrimRight(string(line), "\r\n")
		if len(text) < 3 {
			return 0, nil, nil
		}
		code, err := strconv.ParseUint(text[:3], 10, 16)
		switch {
		case err != nil || len(text) > 3 && text[3] != ' ' && text[3] != '-':
			return 0, nil, nil
		}
		lines = append(lines, strings.TrimSpace(text[min(len(text), 4):]))
		if len(text) == 3 || text[3] == ' ' {
			return int(code), lines, nil
		}
	}
	return 0, nil, errTooLong
}

// compose is the message with its end mark. Headers and their order are keepalived's, of 2.3.4 and later.
func compose(conf *model.Mail, m Message) string {
	to := make([]string, len(conf.To))
	for i, t := range conf.To {
		to[i] = oneLine(t.Header)
	}
	body := oneLine(m.Body)
	if strings.HasPrefix(body, ".") {
		body = "." + body
	}
	return "Date: " + m.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\r\n" +
		"From: " + oneLine(conf.From.Header) + "\r\n" +
		"Subject: " + oneLine(m.Subject) + "\r\n" +
		"X-Mailer: Keepalived\r\n" +
		"To: " + strings.Join(to, ",\r\n ") + "\r\n" +
		"\r\n" + body + "\r\n\r\n.\r\n"
}

// oneLine makes sure that a text stays on its line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// cause is the innermost error of a failed call, which says it best.
func cause(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}
