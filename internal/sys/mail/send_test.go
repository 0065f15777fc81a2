package mail

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// patience is what the tests allow; a misbehaving server gets hung of it.
const (
	patience = 10 * time.Second
	hung     = 200 * time.Millisecond
)

// server is a mail server that answers as told and notes what it hears.
type server struct {
	addr netip.AddrPort
	stop chan struct{} // closed at the end of the test: who hangs may go
	done chan struct{} // closed when its one connection has ended

	told  chan string // what is heard, too
	mu    sync.Mutex
	heard []string
}

// Answers of a server other than a text.
const (
	hang    = "\x00hang"
	hangUp  = "\x00close"
	reset   = "\x00reset"
	endless = "\x00endless"
	drip    = "\x00drip"
)

// serve starts a server; replies maps a command (its first word, GREETING, BODY) to its reply if that is not as it should be.
func serve(t *testing.T, replies map[string]string) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: netip.MustParseAddrPort(ln.Addr().String()), stop: make(chan struct{}), done: make(chan struct{}),
		told: make(chan string, 100)}
	t.Cleanup(func() { ln.Close(); close(s.stop) })
	go func() {
		defer close(s.done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		s.talk(c.(*net.TCPConn), replies)
	}()
	return s
}

func (s *server) talk(c *net.TCPConn, replies map[string]string) {
	reply := func(cmd string) bool {
		text, ok := replies[cmd]
		if !ok {
			text = map[string]string{"GREETING": "220 hello", "DATA": "354 go on", "QUIT": "221 bye"}[cmd]
			if text == "" {
				text = "250 ok"
			}
		}
		switch text {
		case hang:
			<-s.stop
		case hangUp:
			return false
		case reset:
			c.SetLinger(0)
			return false
		case endless:
			for {
				if _, err := c.Write([]byte("250-" + strings.Repeat("x", 60) + "\r\n")); err != nil {
					return false
				}
			}
		case drip:
			for {
				if _, err := c.Write([]byte("2")); err != nil {
					return false
				}
			}
		}
		if !strings.HasSuffix(text, "\n") {
			text += "\r\n"
		}
		_, err := c.Write([]byte(text))
		return err == nil
	}
	in := bufio.NewReader(c)
	hear := func() string {
		line, err := in.ReadString('\n')
		if err != nil {
			return ""
		}
		s.note(line)
		return line
	}
	for ok := reply("GREETING"); ok; {
		line := hear()
		if line == "" {
			return
		}
		cmd, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		ok = reply(cmd) && cmd != "QUIT"
		if ok && cmd == "DATA" && replies["DATA"] == "" {
			for line != ".\r\n" && line != "" {
				line = hear()
			}
			ok = reply("BODY")
		}
	}
}

func (s *server) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, line)
	s.told <- line
}

func (s *server) transcript() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.heard, "")
}

func conf(to netip.AddrPort) *model.Mail {
	return &model.Mail{Server: to, HELO: "lb1.example.com", Timeout: patience,
		From: model.Mailbox{Header: "Keep Alived <ka@example.com>", Addr: "ka@example.com"},
		To: []model.Mailbox{{Header: "ops@example.com", Addr: "ops@example.com"},
			{Header: `"Net Ops, Inc." <net@example.com>`, Addr: "net@example.com"}}}
}

var alert = Message{Subject: "[RTR1] VRRP Instance VI_1 - Entering MASTER state", Body: "=> VRRP Instance is now owning VRRP VIPs <=",
	Date: time.Date(2026, 11, 20, 20, 29, 49, 0, time.UTC)}

// send returns what Send said.
func send(ctx context.Context, c *model.Mail, m Message) (lines []string, taken bool) {
	Send(ctx, c, m, func(s Stage, line string) {
		if s == Taken {
			taken = true
		}
		lines = append(lines, strings.ReplaceAll(line, fmt.Sprintf("[%s]:%d", c.Server.Addr(), c.Server.Port()), "S"))
	})
	return lines, taken
}

const upToData = "HELO lb1.example.com\r\nMAIL FROM:<ka@example.com>\r\nRCPT TO:<ops@example.com>\r\nRCPT TO:<net@example.com>\r\nDATA\r\n"

// The bytes are those that keepalived 2.3.4 sends.
const wholeDialogue = upToData +
	"Date: Fri, 20 Nov 2026 20:29:49 +0000\r\n" +
	"From: Keep Alived <ka@example.com>\r\n" +
	"Subject: [RTR1] VRRP Instance VI_1 - Entering MASTER state\r\n" +
	"X-Mailer: Keepalived\r\n" +
	"To: ops@example.com,\r\n" +
	" \"Net Ops, Inc.\" <net@example.com>\r\n" +
	"\r\n" +
	"=> VRRP Instance is now owning VRRP VIPs <=\r\n" +
	"\r\n" +
	".\r\n" +
	"QUIT\r\n"

func TestDialogue(t *testing.T) {
	s := serve(t, nil)
	lines, taken := send(t.Context(), conf(s.addr), alert)
	<-s.done
	if diff := cmp.Diff(wholeDialogue, s.transcript()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Remote SMTP server S connected.", "SMTP alert successfully sent."}, lines); diff != "" || !taken {
		t.Errorf("taken: %v, lines (-want +got)\n%s", taken, diff)
	}
}

// TestMisbehaving has a row for each way in which a server may be no good.
func TestMisbehaving(t *testing.T) {
	helo := "HELO lb1.example.com\r\n"
	mail := helo + "MAIL FROM:<ka@example.com>\r\n"
	const (
		timeout = "Timeout reading data to remote SMTP server S."
		closed  = "Remote SMTP server S has closed the connection."
		tooLong = "SMTP connection ERROR to S: reply too long."
	)
	refused := func(cmd string, code int) string {
		return fmt.Sprintf("Error processing %s cmd on SMTP server S. SMTP status code = %d", cmd, code)
	}
	for _, c := range []struct {
		name    string
		replies map[string]string
		taken   bool
		says    []string // after "connected", but for the success
		heard   string
	}{
		{"several lines", map[string]string{"GREETING": "220-hello\r\n220 there", "HELO": "250-a\r\n250-b\r\n250"}, true, nil, wholeDialogue},
		{"bare line feeds", map[string]string{"GREETING": "220 hello\n", "HELO": "250 ok\n"}, true, nil, wholeDialogue},
		{"all replies at once", map[string]string{"GREETING": "220 a\r\n250 b\r\n250 c\r\n250 d\r\n250 e\r\n354 f\r\n250 g\r\n221 h"}, true, nil, ""},

		{"busy", map[string]string{"GREETING": "554 no"}, false, []string{refused("(E)SMTP", 554)}, "QUIT\r\n"},
		{"greeting taken back", map[string]string{"GREETING": "220-hello\r\n421 no"}, false, []string{refused("(E)SMTP", 421)}, "QUIT\r\n"},
		{"no HELO", map[string]string{"HELO": "502 no"}, false, []string{refused("HELO", 502)}, helo + "QUIT\r\n"},
		{"sender refused", map[string]string{"MAIL": "550 no"}, false, []string{refused("MAIL", 550)}, mail + "QUIT\r\n"},
		{"recipient refused", map[string]string{"RCPT": "550 no"}, false, []string{refused("RCPT", 550)}, mail + "RCPT TO:<ops@example.com>\r\nQUIT\r\n"},
		{"no data", map[string]string{"DATA": "451 no"}, false, []string{refused("DATA", 451)}, upToData + "QUIT\r\n"},
		{"message refused", map[string]string{"BODY": "554 spam"}, false, []string{refused("BODY", 554)}, wholeDialogue},
		{"QUIT refused", map[string]string{"QUIT": "500 stay"}, true, []string{refused("QUIT", 500)}, wholeDialogue},

		{"no code", map[string]string{"HELO": "what?"}, false, []string{refused("HELO", 0)}, helo + "QUIT\r\n"},
		{"empty line", map[string]string{"HELO": "\r\n"}, false, []string{refused("HELO", 0)}, helo + "QUIT\r\n"},
		{"code run into the text", map[string]string{"GREETING": "2200 hello"}, false, []string{refused("(E)SMTP", 0)}, "QUIT\r\n"},

		{"closes at once", map[string]string{"GREETING": hangUp}, false, []string{closed}, ""},
		{"closes in the middle", map[string]string{"RCPT": hangUp}, false, []string{closed}, mail + "RCPT TO:<ops@example.com>\r\n"},
		{"resets", map[string]string{"MAIL": reset}, false, []string{closed}, mail},
		{"closes after the message", map[string]string{"BODY": hangUp}, false, []string{closed}, ""},
		{"closes without farewell", map[string]string{"QUIT": hangUp}, true, []string{closed}, wholeDialogue},
		{"refuses and closes", map[string]string{"HELO": "421 no", "QUIT": hangUp}, false, []string{refused("HELO", 421), closed}, helo + "QUIT\r\n"},

		{"silent from the start", map[string]string{"GREETING": hang}, false, []string{timeout}, ""},
		{"falls silent", map[string]string{"DATA": hang}, false, []string{timeout}, upToData},
		{"silent after the message", map[string]string{"BODY": hang}, false, []string{timeout}, ""},
		{"silent at the end", map[string]string{"QUIT": hang}, true, []string{timeout}, wholeDialogue},

		{"endless reply", map[string]string{"HELO": endless}, false, []string{tooLong}, helo},
		{"endless line", map[string]string{"GREETING": drip}, false, []string{tooLong}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.replies)
			cf := conf(s.addr)
			for _, r := range c.replies {
				if r == hang {
					cf.Timeout = hung
				}
			}
			began := time.Now()
			lines, taken := send(t.Context(), cf, alert)
			if d := time.Since(began); d > patience {
				t.Errorf("took %v", d)
			}
			want := []string{"Remote SMTP server S connected."}
			if c.taken {
				want = append(want, "SMTP alert successfully sent.")
			}
			if diff := cmp.Diff(append(want, c.says...), lines); diff != "" || taken != c.taken {
				t.Errorf("taken: %v, lines (-want +got)\n%s", taken, diff)
			}
			if c.heard == "" {
				return
			}
			if c.replies["DATA"] != hang && c.replies["QUIT"] != hang {
				<-s.done
			}
			if diff := cmp.Diff(c.heard, s.transcript()); diff != "" {
				t.Errorf("heard (-want +got)\n%s", diff)
			}
		})
	}
}

func TestNoConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(ln.Addr().String())
	ln.Close()
	lines, taken := send(t.Context(), conf(addr), alert)
	if diff := cmp.Diff([]string{"SMTP connection ERROR to S: connection refused."}, lines); diff != "" || taken {
		t.Errorf("refused, taken: %v (-want +got)\n%s", taken, diff)
	}

	// A full backlog answers no more SYNs.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	full := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*syscall.SockaddrInet4).Port))
	for range 3 {
		if c, err := net.DialTimeout("tcp", full.String(), hung); err == nil {
			defer c.Close()
		}
	}
	cf := conf(full)
	cf.Timeout = hung
	lines, taken = send(t.Context(), cf, alert)
	if diff := cmp.Diff([]string{"Timeout connecting SMTP server S."}, lines); diff != "" || taken {
		t.Errorf("silent, taken: %v (-want +got)\n%s", taken, diff)
	}
}

// Whoever ends the sending gets it back at once, without a line about it.
func TestEnded(t *testing.T) {
	s := serve(t, map[string]string{"MAIL": hang})
	ctx, cancel := context.WithCancel(t.Context())
	var lines []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Send(ctx, conf(s.addr), alert, func(_ Stage, line string) { lines = append(lines, line) })
	}()
	for line := ""; !strings.HasPrefix(line, "MAIL"); {
		select {
		case line = <-s.told:
		case <-time.After(patience):
			t.Fatal("the server heard nothing")
		}
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(patience / 2):
		t.Fatal("Send goes on")
	}
	if len(lines) != 1 {
		t.Errorf("said %q, want the connection only", lines)
	}
}

// No text can add a header or a command, or end the message early.
func TestInjection(t *testing.T) {
	c := conf(netip.AddrPort{})
	c.From.Header = "a\r\nBcc: x@example.com"
	got := compose(c, Message{Subject: "s\nBcc: y@example.com", Body: ".\r\n.\r\nQUIT", Date: alert.Date})
	for i, line := range strings.Split(strings.TrimSuffix(got, "\r\n.\r\n"), "\r\n") {
		if strings.HasPrefix(line, "Bcc") || line == "." || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
	if !strings.Contains(got, "\r\n\r\n..") {
		t.Errorf("the leading dot is not doubled: %q", got)
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"220 a\r\n", "220-a\r\n220 b\n", "22", "\r\n", "999\n", "25x\n", strings.Repeat("x", 2000), strings.Repeat("250-\n", 80)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, _, err := readReply(bufio.NewReaderSize(strings.NewReader(s), maxReplyLine))
		if code < 0 || code > 999 || err != nil && code != 0 {
			t.Errorf("code %d, %v", code, err)
		}
	})
}
