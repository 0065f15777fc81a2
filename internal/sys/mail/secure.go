package mail

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// secure goes on from the greeting to where a message may come, with what conf wants of STARTTLS (RFC 3207) and AUTH (RFC 4954). What the
// server offers without TLS counts for nothing with it.
func (s *session) secure(conf *model.Mail) error {
	offers, err := s.hello(conf)
	if err != nil {
		return err
	}
	if conf.TLS == model.StartTLS {
		if _, ok := offers["STARTTLS"]; !ok {
			return errors.New("STARTTLS is not offered")
		}
		if err := s.command("STARTTLS", 220, "STARTTLS\r\n"); err != nil {
			return err
		}
		if s.in.Buffered() > 0 {
			return errors.New("plain text after the reply to STARTTLS") // put there by whom the TLS is to keep out
		}
		if err := s.encrypt(conf); err != nil {
			return err
		}
		if offers, err = s.hello(conf); err != nil {
			return err
		}
	}
	if conf.AuthUser == "" {
		return nil
	}
	return s.authenticate(conf, strings.Fields(offers["AUTH"]))
}

// hello returns what the server offers: the words after each keyword, which is in upper case.
func (s *session) hello(conf *model.Mail) (map[string]string, error) {
	code, lines, err := s.ask("EHLO " + oneLine(conf.HELO) + "\r\n")
	if err == nil && code != 250 {
		err = &refusal{"EHLO", code}
	}
	offers := map[string]string{}
	for _, line := range lines[min(len(lines), 1):] {
		keyword, rest, _ := strings.Cut(line, " ")
		offers[strings.ToUpper(keyword)] = rest
	}
	return offers, err
}

// encrypt makes the connection TLS, with a certificate that is valid for the server.
func (s *session) encrypt(conf *model.Mail) error {
	c := &tls.Config{ServerName: conf.TLSName, MinVersion: tls.VersionTLS12}
	if conf.TLSCAFile != "" {
		pem, err := os.ReadFile(conf.TLSCAFile)
		if err != nil {
			return fmt.Errorf("load authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("load authorities: no certificate in %q", conf.TLSCAFile)
		}
	}
	if err := s.conn.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	secured := tls.Client(s.conn, c)
	if err := secured.Handshake(); err != nil {
		return err
	}
	s.conn, s.in, s.secured = secured, bufio.NewReaderSize(secured, maxReplyLine), true
	return nil
}

// The mechanisms that we know, best first: a challenge keeps the password from who reads along, but many a server that offers it cannot
// take it.
var (
	underTLS = []string{"PLAIN", "LOGIN", "CRAM-MD5"}
	inText   = []string{"CRAM-MD5", "PLAIN", "LOGIN"}
)

// authenticate proves who we are by one of the mechanisms that the server offers.
func (s *session) authenticate(conf *model.Mail, offered []string) error {
	ours := underTLS
	if !s.secured {
		if ours = inText; !conf.AuthWithoutTLS {
			return errors.New("no authentication without TLS")
		}
	}
	user, password := conf.AuthUser, string(conf.AuthPassword)
	for _, name := range ours {
		for _, o := range offered {
			if !strings.EqualFold(o, name) {
				continue
			}
			switch name {
			case "PLAIN":
				return s.exchange(smtp.PlainAuth("", user, password, conf.TLSName), conf)
			case "LOGIN":
				return s.exchange(&login{user, password}, conf)
			default:
				return s.exchange(smtp.CRAMMD5Auth(user, password), conf)
			}
		}
	}
	return fmt.Errorf("none of %s is offered to authenticate with", strings.Join(ours, ", "))
}

// maxChallenges bounds a server that is never content.
const maxChallenges = 8

// exchange runs a mechanism to its end. Its texts are in no error.
func (s *session) exchange(a smtp.Auth, conf *model.Mail) error {
	mechanism, first, err := a.Start(&smtp.ServerInfo{Name: conf.TLSName, TLS: true}) // whether it may go on without is decided already
	if err != nil {
		return err
	}
	line := "AUTH " + mechanism
	if first != nil {
		line += " " + base64.StdEncoding.EncodeToString(first)
	}
	for range maxChallenges {
		code, lines, err := s.ask(line + "\r\n")
		switch {
		case err != nil:
			return err
		case code == 235:
			return nil
		case code != 334 || len(lines) != 1:
			return &refusal{"AUTH", code}
		}
		line = "*" // ends it: the server has to refuse (RFC 4954 section 4)
		if challenge, err := base64.StdEncoding.DecodeString(lines[0]); err == nil {
			if answer, err := a.Next(challenge, true); err == nil {
				line = base64.StdEncoding.EncodeToString(answer)
			}
		}
	}
	return &refusal{"AUTH", 334}
}

// login is the mechanism LOGIN, which no RFC describes: the server asks for the name, then for the password.
type login struct{ user, password string }

func (l *login) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

func (l *login) Next(challenge []byte, _ bool) ([]byte, error) {
	switch strings.ToLower(strings.TrimRight(string(challenge), ":\x00 ")) {
	case "username", "user name":
		return []byte(l.user), nil
	case "password":
		return []byte(l.password), nil
	}
	return nil, errors.New("unknown challenge")
}
