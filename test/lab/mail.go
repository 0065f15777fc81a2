package lab

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
)

// MailServer takes every mail that it is sent, and notes the client's side of each dialogue.
type MailServer struct {
	// What a server wants that only talks TLS, after STARTTLS; to be set before a client comes.
	Cert     *tls.Certificate
	Password string // of any user, by AUTH PLAIN; empty: nobody has to say who he is

	tl  *Timeline
	got []*strings.Builder
}

// MailServer runs a mail server on a port of the node.
func (n *Node) MailServer(port int) *MailServer {
	n.lab.t.Helper()
	m := &MailServer{tl: &n.lab.Timeline}
	n.lab.in(n.ns, func() error {
		ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		n.lab.t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				text := &strings.Builder{}
				m.tl.mu.Lock()
				m.got = append(m.got, text)
				m.tl.mu.Unlock()
				go m.talk(n, c, text)
			}
		}()
		return nil
	})
	return m
}

func (m *MailServer) talk(n *Node, c net.Conn, text *strings.Builder) {
	defer c.Close()
	in := bufio.NewReader(c)
	reply, body, known := "220 lab", false, m.Password == ""
	readable := m.Cert != nil // still
	for {
		if reply != "" {
			if _, err := fmt.Fprint(c, reply+"\r\n"); err != nil {
				return
			}
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		m.tl.mu.Lock()
		text.WriteString(line)
		m.tl.mu.Unlock()
		cmd, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case body && line == ".\r\n":
			reply, body = "250 taken", false
		case body:
			if reply = ""; cmd == "Subject:" {
				m.tl.mark(n.Name, "mail: "+rest)
			}
		case cmd == "EHLO":
			reply = "250-lab\r\n250-STARTTLS\r\n250 AUTH PLAIN"
		case cmd == "STARTTLS":
			fmt.Fprint(c, "220 go on\r\n")
			secured := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*m.Cert}})
			c, in, reply = secured, bufio.NewReader(secured), ""
			readable = false
		case cmd == "AUTH":
			proof, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			if known = strings.HasSuffix(string(proof), "\x00"+m.Password); known {
				reply = "235 welcome"
			} else {
				reply = "535 no"
			}
		case readable && cmd != "QUIT", !known && cmd == "MAIL":
			reply = "530 not so"
		case cmd == "DATA":
			reply, body = "354 go on", true
		case cmd == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			reply = "250 ok"
		}
	}
}

// Mails are the dialogues so far that came to their end with a message, in the order of their connections.
func (m *MailServer) Mails() []string {
	m.tl.mu.Lock()
	defer m.tl.mu.Unlock()
	var out []string
	for _, b := range m.got {
		if s := b.String(); strings.HasSuffix(s, "\r\n.\r\nQUIT\r\n") {
			out = append(out, s)
		}
	}
	return out
}

// SilentServer takes connections on a port of the node and never says a word.
func (n *Node) SilentServer(port int) {
	n.lab.t.Helper()
	n.lab.in(n.ns, func() error {
		ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		n.lab.t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
			}
		}()
		return nil
	})
}
