package vm

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// answering serves datagrams on addr with what answer makes of them; nothing is sent for nil.
func (s *site) answering(addr string, answer func([]byte) []byte) (stop func()) {
	s.t.Helper()
	var c net.PacketConn
	s.in(func() (err error) {
		c, err = net.ListenPacket("udp", addr)
		return err
	})
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if a := answer(buf[:n]); a != nil {
				c.WriteTo(a, from)
			}
		}
	}()
	stop = func() { c.Close() }
	s.t.Cleanup(stop)
	return stop
}

// talking accepts connections on addr and has talk with each.
func (s *site) talking(addr string, talk func(c net.Conn, in *bufio.Reader)) {
	s.t.Helper()
	var l net.Listener
	s.in(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	s.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c, bufio.NewReader(c))
			}()
		}
	}()
}

// mailing is a mail server on addr that greets with what *greeting is.
func (s *site) mailing(addr string, greeting *atomic.Pointer[string]) {
	s.talking(addr, func(c net.Conn, in *bufio.Reader) {
		io.WriteString(c, *greeting.Load())
		for _, reply := range []string{"250 hello\r\n", "221 bye\r\n"} {
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
			io.WriteString(c, reply)
		}
	})
}

// pages is a web server on addr with one page.
func (s *site) pages(addr, page string) {
	s.talking(addr, func(c net.Conn, in *bufio.Reader) {
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				return
			}
		}
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n"+page)
	})
}

// logged waits until the daemon has logged each of the lines, which are ends of lines.
func (r *rig) logged(lines ...string) {
	r.t.Helper()
	for _, want := range lines {
		wait(r.t, soon, "log line "+want, func() bool { return strings.Contains(r.log.String(), want+"\n") })
	}
}

// TestCheckers has a server for each of the checkers that need one, which fails, comes back, and never is there at all.
func TestCheckers(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		check := func(kind string, more ...string) string {
			return kind + " {\n warmup 0\n delay_loop 1\n delay_before_retry 0.5\n connect_timeout 1\n retry 1\n" + strings.Join(more, "\n") + "\n}"
		}
		server := func(addr, check string) string { return fmt.Sprintf("real_server %s 80 {\n%s\n}", addr, check) }
		good, bad := "220 ready\r\n", "220-several\r\n220 lines\r\n"
		var greeting atomic.Pointer[string]
		greeting.Store(&good)
		var rcode atomic.Int32
		var stranger atomic.Bool
		r.mailing("127.0.0.11:80", &greeting)
		r.answering("127.0.0.12:53", func(q []byte) []byte {
			return append([]byte{q[0], q[1], 0x81, byte(rcode.Load())}, q[4:]...)
		})
		stopUDP := r.answering("127.0.0.13:80", func(q []byte) []byte {
			if stranger.Load() {
				return []byte{0xff, 0xff}
			}
			return q
		})
		r.ip("addr add 192.0.2.14/32 dev lo")
		r.pages("127.0.0.20:80", "hello world")
		r.pages("127.0.0.21:80", "hello moon")

		r.config(vs(server("127.0.0.11", check("SMTP_CHECK", "helo_name tester")), server("127.0.0.12", check("DNS_CHECK", "connect_port 53", "type A", "name host.example")),
			server("127.0.0.13", check("UDP_CHECK", "payload 01020304", "require_reply 01x203")), server("192.0.2.14", check("PING_CHECK")),
			server("127.0.0.15", check("SMTP_CHECK")), server("127.0.0.16", check("DNS_CHECK")), server("127.0.0.17", check("UDP_CHECK")),
			server("192.0.2.18", check("PING_CHECK")), server("192.0.2.19", check("SMTP_CHECK")),
			server("127.0.0.20", check("HTTP_GET", `url {
				path /
				regex "(?i)HELLO (?!moon)"
			}`)), server("127.0.0.21", check("HTTP_GET", `url {
				path /
				regex "(?i)HELLO (?!moon)"
			}`))))
		r.start(program)
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.13:80 -m -w 1
			-a -t 127.0.0.10:80 -r 192.0.2.14:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.20:80 -m -w 1`)
		r.logged("Remote SMTP server [127.0.0.11]:tcp:80 succeed on service.",
			"UDP connection to [127.0.0.13]:tcp:80 success.",
			"ICMP connection to [192.0.2.14]:tcp:80 success.",
			"SMTP_CHECK Could not connect to server [127.0.0.15]:80",
			"SMTP_CHECK Network unreachable for server 192.0.2.19 - real server [192.0.2.19]:80",
			"DNS_CHECK ([127.0.0.16]:tcp:80) failed to read socket; errno 111 (Connection refused)",
			"UDP_CHECK on service [127.0.0.17]:tcp:80 failed.",
			"ICMP CHECK on service [192.0.2.18]:tcp:80 failed.",
			"Remote Web server [127.0.0.20]:tcp:80 succeed on service.",
			"HTTP_CHECK on service [127.0.0.21]:tcp:80 failed after 1 retries.")

		greeting.Store(&bad)
		rcode.Store(3)
		stranger.Store(true)
		r.ip("addr del 192.0.2.14/32 dev lo")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.20:80 -m -w 1`)
		r.logged("SMTP_CHECK Bad greeting banner from server [127.0.0.11]:80",
			"DNS_CHECK ([127.0.0.12]:tcp:80) read error occurred. (rcode = 3) after 1 retries",
			"UDP_CHECK on service [127.0.0.13]:tcp:80 failed after 1 retries.",
			"ICMP CHECK on service [192.0.2.14]:tcp:80 of [127.0.0.10]:tcp:80 failed after 1 retries.")

		greeting.Store(&good)
		rcode.Store(0)
		stranger.Store(false)
		r.ip("addr add 192.0.2.14/32 dev lo")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.13:80 -m -w 1
			-a -t 127.0.0.10:80 -r 192.0.2.14:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.20:80 -m -w 1`)
		stopUDP()
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 1
			-a -t 127.0.0.10:80 -r 192.0.2.14:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.20:80 -m -w 1`)
	})
}
