package vm

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mailServer takes mails in the site and returns the dialogues as they end; the date is taken out.
func (r *rig) mailServer(port int) <-chan string {
	r.t.Helper()
	mails := make(chan string, 100)
	var l net.Listener
	r.in(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		return err
	})
	r.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if text := dialogue(c); strings.HasSuffix(text, "\nQUIT\r\n") {
					mails <- regexp.MustCompile(`(?m)^Date: .*$`).ReplaceAllString(text, "Date: …\r")
				}
			}()
		}
	}()
	return mails
}

func dialogue(c net.Conn) string {
	var text strings.Builder
	body := false
	fmt.Fprint(c, "220 vm\r\n")
	for in := bufio.NewReader(c); ; {
		line, err := in.ReadString('\n')
		text.WriteString(line)
		switch {
		case err != nil:
			return text.String()
		case body && line != ".\r\n":
		case line == "DATA\r\n":
			body = true
			fmt.Fprint(c, "354 go on\r\n")
		case line == "QUIT\r\n":
			fmt.Fprint(c, "221 bye\r\n")
			return text.String()
		default:
			body = false
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
}

// alerts compares the next mails, in whatever order they come.
func (r *rig) alerts(mails <-chan string, want ...string) {
	r.t.Helper()
	var all, got []string
	for _, w := range want {
		subject, body, _ := strings.Cut(w, ": ")
		all = append(all, "HELO lb.example.com\r\nMAIL FROM:<lb@example.com>\r\nRCPT TO:<ops@example.com>\r\nDATA\r\nDate: …\r\nFrom: lb@example.com\r\n"+
			"Subject: [LB1] "+subject+"\r\nX-Mailer: Keepalived\r\nTo: ops@example.com\r\n\r\n=> "+body+" <=\r\n\r\n.\r\nQUIT\r\n")
	}
	wait(r.t, soon, fmt.Sprintf("%d mails", len(want)), func() bool {
		for {
			select {
			case m := <-mails:
				got = append(got, m)
			default:
				return len(got) >= len(want)
			}
		}
	})
	slices.Sort(all)
	slices.Sort(got)
	if d := cmp.Diff(strings.Join(all, "\n"), strings.Join(got, "\n")); d != "" {
		r.t.Errorf("mails (-want +got):\n%s", d)
	}
}

func TestMails(t *testing.T) {
	const rs1, vs1 = "Realserver [127.0.0.11]:tcp:80 of virtual server [127.0.0.10]:tcp:80 - ", "Virtualserver [127.0.0.10]:tcp:80 - "
	for name, quiet := range map[string]bool{"L-G01 each checker": false, "L-G02 no_checker_emails": true} {
		t.Run(name, func(t *testing.T) {
			withDaemons(t, func(r *rig, program string) {
				mails := r.mailServer(2525)
				global := "global_defs {\n router_id LB1\n smtp_server 127.0.0.1 2525\n smtp_helo_name lb.example.com\n" +
					" notification_email_from lb@example.com\n notification_email {\n  ops@example.com\n }\n"
				if quiet {
					global += " no_checker_emails\n"
				}
				global += "}\n"
				// Two checkers: the second has its own port, so that they fail apart from each other.
				both := rs("127.0.0.11", "TCP_CHECK {\n warmup 0\n connect_timeout 1\n retry 0\n connect_port 81\n }")
				other := r.serve("127.0.0.11:81", "hello")
				r.up("127.0.0.11", "127.0.0.12")
				r.config(global + vs("smtp_alert", both, rs("127.0.0.12", "smtp_alert off")))
				r.start(program)
				r.alerts(mails, vs1+"UP: Starting with quorum up 1+0=1 <= 2")
				r.down("127.0.0.11")
				r.alerts(mails, rs1+"DOWN: TCP CHECK failed on service")
				other()
				if !quiet {
					r.alerts(mails, rs1+"DOWN: TCP CHECK failed on service")
				}
				r.down("127.0.0.12")
				r.alerts(mails, vs1+"DOWN: Lost quorum 1+0=1 <= 0")
				r.serve("127.0.0.11:81", "hello")
				if !quiet {
					r.alerts(mails, rs1+"DOWN: TCP CHECK succeed on service") // of which the subject is the server's state
				}
				r.up("127.0.0.11")
				r.alerts(mails, vs1+"UP: Gained quorum 1+0=1 <= 1", rs1+"UP: TCP CHECK succeed on service")

				// The original tells twice of a quorum that a reload loses, so it is kept.
				r.up("127.0.0.12")
				r.said(soon, "VS [127.0.0.10]:tcp:80 UP", "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 DOWN",
					"RS [127.0.0.12]:tcp:80 [127.0.0.10]:tcp:80 DOWN", "VS [127.0.0.10]:tcp:80 DOWN",
					"RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 UP", "VS [127.0.0.10]:tcp:80 UP",
					"RS [127.0.0.12]:tcp:80 [127.0.0.10]:tcp:80 UP")
				r.reload(global + vs("smtp_alert", rs("127.0.0.12", "smtp_alert off")))
				r.alerts(mails, rs1+"DOWN: Removing")
			})
		})
	}
}
