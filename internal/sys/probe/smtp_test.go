package probe

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// mail makes a server that says greeting, and a reply after each line it hears; an empty one closes. What it hears goes to heard.
func mail(heard *strings.Builder, greeting string, replies ...string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, greeting)
		in := bufio.NewReader(c)
		for _, r := range replies {
			line, err := in.ReadString('\n')
			if err != nil || r == "" {
				return
			}
			heard.WriteString(line)
			io.WriteString(c, r)
		}
		io.Copy(io.Discard, in)
	}
}

func TestSMTP(t *testing.T) {
	const hello, fine, bye = "220 mx ready\r\n", "250 mx\r\n", "221 bye\r\n"
	const talk = "HELO tester\r\nQUIT\r\n"
	endless := func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, "220 and so on "); err != nil {
				return
			}
		}
	}
	drip := func(c net.Conn) {
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			if _, err := io.WriteString(c, "2"); err != nil {
				return
			}
		}
	}
	tests := []struct {
		name     string
		greeting string
		replies  []string
		serve    func(net.Conn) // in place of those
		time     time.Duration
		want     string // reason; empty: success
		heard    string
	}{
		{name: "L-F31 talk", greeting: hello, replies: []string{fine, bye}, heard: talk},
		{name: "status without text", greeting: "220\r\n", replies: []string{"250\n", bye}, heard: talk},
		{name: "any answer to QUIT", greeting: hello, replies: []string{fine, "what?\r\n"}, heard: talk},
		{name: "L-F31 greeting of several lines", greeting: "220-mx\r\n220 ready\r\n", want: check.SMTPBadGreeting},
		{name: "refusing greeting", greeting: "554 no\r\n", want: check.SMTPBadGreeting},
		{name: "no number", greeting: "hi\r\n", want: check.SMTPBadGreeting},
		{name: "four digits", greeting: "2200 x\r\n", want: check.SMTPBadGreeting},
		{name: "HELO refused", greeting: hello, replies: []string{"501 who?\r\n"}, want: check.SMTPBadHELO, heard: "HELO tester\r\n"},
		{name: "close at once", serve: func(net.Conn) {}, want: check.SMTPReadFailed},
		{name: "close within a line", serve: func(c net.Conn) { io.WriteString(c, "220 mx") }, want: check.SMTPReadFailed},
		{name: "close instead of the answer to QUIT", greeting: hello, replies: []string{fine, ""}, want: check.SMTPReadFailed, heard: "HELO tester\r\n"},
		{name: "endless line", serve: endless, want: check.SMTPReadFailed},
		{name: "silence", greeting: "", time: short, want: check.SMTPReadTimeout},
		{name: "no answer to HELO", greeting: hello, time: short, want: check.SMTPReadTimeout},
		{name: "a byte now and then", serve: drip, time: short, want: check.SMTPReadTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var heard strings.Builder
			serve, done := tt.serve, make(chan struct{})
			if serve == nil {
				serve = mail(&heard, tt.greeting, tt.replies...)
			}
			s := &Spec{Kind: model.SMTPCheck, SMTP: model.SMTPOpts{HELO: "tester"}, Conn: model.Connect{Timeout: ample}}
			s.Conn.Dst = server(t, func(c net.Conn) { defer close(done); serve(c) })
			if tt.time != 0 {
				s.Conn.Timeout = tt.time
			}
			if got, want := runFor(s, time.Minute), (check.Result{OK: tt.want == "", Reason: tt.want}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if <-done; heard.String() != tt.heard {
				t.Errorf("the server heard %q, want %q", heard.String(), tt.heard)
			}
		})
	}
}

func TestSMTPNobodyThere(t *testing.T) {
	s := &Spec{Kind: model.SMTPCheck, Conn: model.Connect{Dst: closedPort(t, "tcp"), Timeout: ample}}
	if got := runFor(s, time.Minute); got != (check.Result{Reason: check.SMTPConnectFailed}) {
		t.Errorf("got %+v", got)
	}
}
