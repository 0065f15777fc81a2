package mail

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	user     = "alerts@example.com"
	password = "s3cr3t"
)

// secureServer is a mail server that talks TLS and asks who is there. Its fields say what is wrong with it.
type secureServer struct {
	cert       tls.Certificate
	implicit   bool     // TLS from the first byte
	noSTARTTLS bool     // it is not offered
	refuses    bool     // its reply to STARTTLS is 454
	inject     string   // sent with the reply to STARTTLS
	hangs      bool     // in the middle of the handshake
	mechanisms []string // offered under TLS
	inText     []string // and without
	refuseAuth bool
	endless    bool // challenges without end

	met   chan struct{} // closed when the client has begun with TLS, if it is to hang; or nil
	ln    net.Listener
	stop  chan struct{}
	done  chan struct{}
	heard strings.Builder // in the clear, then "TLS\n", then under TLS
	user  string          // who has authenticated
}

// start serves one connection.
func (s *secureServer) start(t *testing.T) netip.AddrPort {
	t.Helper()
	var err error
	if s.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.stop, s.done = make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(s.stop); s.ln.Close(); <-s.done })
	go func() {
		defer close(s.done)
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		s.serve(c)
	}()
	return netip.MustParseAddrPort(s.ln.Addr().String())
}

func (s *secureServer) serve(c net.Conn) {
	secured := false
	encrypt := func() bool {
		if s.hangs {
			c.Read(make([]byte, 1))
			if s.met != nil {
				close(s.met)
			}
			<-s.stop
			return false
		}
		t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
		if t.Handshake() != nil {
			return false
		}
		s.heard.WriteString("TLS\n")
		c, secured = t, true
		return true
	}
	if s.implicit && !encrypt() {
		return
	}
	in := bufio.NewReader(c)
	say := func(text string) { fmt.Fprintf(c, "%s\r\n", text) }
	hear := func() string {
		line, _ := in.ReadString('\n')
		s.heard.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		return strings.TrimRight(line, "\r\n")
	}
	say("220 hello")
	for {
		line := hear()
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "":
			return
		case "EHLO":
			offers := []string{"mail.example.com at your service", "SIZE 1000"}
			mechanisms := s.inText
			if secured {
				mechanisms = s.mechanisms
			} else if !s.noSTARTTLS {
				offers = append(offers, "STARTTLS")
			}
			if len(mechanisms) > 0 {
				offers = append(offers, "AUTH "+strings.Join(mechanisms, " "))
			}
			for i, o := range offers {
				sep := "-"
				if i == len(offers)-1 {
					sep = " "
				}
				say("250" + sep + o)
			}
		case "STARTTLS":
			if s.refuses {
				say("454 not now")
				continue
			}
			fmt.Fprint(c, "220 go on\r\n"+s.inject)
			if !encrypt() {
				return
			}
			in = bufio.NewReader(c)
		case "AUTH":
			switch who := s.auth(rest, say, hear); {
			case s.refuseAuth || who == "":
				say("535 no")
			default:
				s.user = who
				say("235 welcome")
			}
		case "DATA":
			say("354 go on")
			for hear() != "." {
			}
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// auth returns who has proved to know the password.
func (s *secureServer) auth(rest string, say func(string), hear func() string) string {
	decode := func(text string) string { b, _ := base64.StdEncoding.DecodeString(text); return string(b) }
	challenge := func(text string) string {
		say("334 " + base64.StdEncoding.EncodeToString([]byte(text)))
		return decode(hear())
	}
	for s.endless && challenge("more") != "" {
	}
	mechanism, first, _ := strings.Cut(rest, " ")
	switch mechanism {
	case "PLAIN":
		if decode(first) == "\x00"+user+"\x00"+password {
			return user
		}
	case "LOGIN":
		if challenge("Username:") == user && challenge("Password:") == password {
			return user
		}
	case "CRAM-MD5":
		const nonce = "<1896.697170952@mail.example.com>"
		mac := hmac.New(md5.New, []byte(password))
		mac.Write([]byte(nonce))
		if challenge(nonce) == user+" "+hex.EncodeToString(mac.Sum(nil)) {
			return user
		}
	}
	return ""
}

// certificate returns one for a name, and the file of the authority that signed it.
func certificate(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// TestSecure has a row for each way in which TLS and authentication can go well or wrong.
func TestSecure(t *testing.T) {
	const (
		ehlo    = "EHLO lb1.example.com\n"
		rest    = "MAIL FROM:<ka@example.com>\nRCPT TO:<ops@example.com>\nRCPT TO:<net@example.com>\nDATA\n"
		plain   = "AUTH PLAIN AGFsZXJ0c0BleGFtcGxlLmNvbQBzM2NyM3Q=\n"
		name    = "mail.example.com"
		failed  = "SMTP connection ERROR to S: "
		refused = "Error processing AUTH cmd on SMTP server S. SMTP status code = 535"
		// injected would take the mail if it were obeyed.
		injected = "250-evil\r\n250 AUTH PLAIN\r\n235 welcome\r\n"
	)
	body := strings.SplitAfter(wholeDialogue, "DATA\r\n")[1]
	message := strings.ReplaceAll(body, "\r\n", "\n")
	good, ca := certificate(t, name)
	stranger, _ := certificate(t, name)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	starttls := func(m *model.Mail) { m.TLS, m.TLSName, m.TLSCAFile = model.StartTLS, name, ca }
	implicit := func(m *model.Mail) { starttls(m); m.TLS = model.ImplicitTLS }
	authenticated := func(m *model.Mail) {
		m.AuthUser, m.AuthPassword = user, model.Secret(password)
	}
	without := func(m *model.Mail) { authenticated(m); m.AuthWithoutTLS = true }
	all := []string{"LOGIN", "CRAM-MD5", "PLAIN", "XOAUTH2"}
	type change = func(*model.Mail)
	for _, c := range []struct {
		name   string
		server secureServer
		conf   []change
		says   string // "": delivered
		heard  string // "": of no interest
		user   string
	}{
		{"STARTTLS", secureServer{cert: good}, []change{starttls}, "", ehlo + "STARTTLS\nTLS\n" + ehlo + rest + message, ""},
		{"TLS at once", secureServer{cert: good, implicit: true}, []change{implicit}, "", "TLS\n" + ehlo + rest + message, ""},
		{"authenticated", secureServer{cert: good, mechanisms: all, inText: all}, []change{starttls, authenticated}, "",
			ehlo + "STARTTLS\nTLS\n" + ehlo + plain + rest + message, user},
		{"TLS at once, authenticated", secureServer{cert: good, implicit: true, mechanisms: all}, []change{implicit, authenticated}, "",
			"TLS\n" + ehlo + plain + rest + message, user},
		{"LOGIN", secureServer{cert: good, mechanisms: []string{"login"}}, []change{starttls, authenticated}, "", "", user},
		{"CRAM-MD5", secureServer{cert: good, mechanisms: []string{"CRAM-MD5"}}, []change{starttls, authenticated}, "", "", user},
		{"a challenge where others read along", secureServer{noSTARTTLS: true, inText: all}, []change{without}, "", "", user},
		{"in the clear", secureServer{noSTARTTLS: true, inText: []string{"PLAIN"}}, []change{without}, "", ehlo + plain + rest + message, user},

		{"downgrade", secureServer{noSTARTTLS: true, inText: all}, []change{starttls, authenticated}, failed + "STARTTLS is not offered.", ehlo, ""},
		{"STARTTLS refused", secureServer{refuses: true}, []change{starttls},
			"Error processing STARTTLS cmd on SMTP server S. SMTP status code = 454", ehlo + "STARTTLS\nQUIT\n", ""},
		{"no TLS to authenticate under", secureServer{noSTARTTLS: true, inText: all}, []change{authenticated}, failed + "no authentication without TLS.", ehlo, ""},
		{"offers of before", secureServer{cert: good, inText: all}, []change{starttls, authenticated},
			failed + "none of PLAIN, LOGIN, CRAM-MD5 is offered to authenticate with.", ehlo + "STARTTLS\nTLS\n" + ehlo, ""},
		{"unknown mechanism", secureServer{cert: good, mechanisms: []string{"XOAUTH2"}}, []change{starttls, authenticated},
			failed + "none of PLAIN, LOGIN, CRAM-MD5 is offered to authenticate with.", "", ""},
		{"refused", secureServer{cert: good, mechanisms: []string{"PLAIN"}, refuseAuth: true}, []change{starttls, authenticated}, refused,
			ehlo + "STARTTLS\nTLS\n" + ehlo + plain + "QUIT\n", ""},
		{"wrong password", secureServer{cert: good, mechanisms: []string{"LOGIN"}},
			[]change{starttls, authenticated, func(m *model.Mail) { m.AuthPassword = model.Secret("no") }}, refused, "", ""},
		{"challenges without end", secureServer{noSTARTTLS: true, inText: []string{"CRAM-MD5"}, endless: true}, []change{without},
			"Error processing AUTH cmd on SMTP server S. SMTP status code = 334", "", ""},

		{"unknown authority", secureServer{cert: stranger}, []change{starttls},
			failed + `tls: failed to verify certificate: x509: certificate signed by unknown authority`, ehlo + "STARTTLS\n", ""},
		{"certificate for another", secureServer{cert: good}, []change{starttls, func(m *model.Mail) { m.TLSName = "other.example.com" }},
			failed + "tls: failed to verify certificate: x509: certificate is valid for mail.example.com, not other.example.com.", ehlo + "STARTTLS\n", ""},
		{"the system's authorities", secureServer{cert: good, implicit: true}, []change{implicit, func(m *model.Mail) { m.TLSCAFile = "" }},
			failed + "tls: failed to verify certificate: x509: certificate signed by unknown authority", "", ""},
		{"no file of authorities", secureServer{cert: good, implicit: true}, []change{implicit, func(m *model.Mail) { m.TLSCAFile = "/nonexistent" }},
			failed + "no such file or directory.", "", ""},
		{"an empty file of authorities", secureServer{cert: good, implicit: true}, []change{implicit, func(m *model.Mail) { m.TLSCAFile = empty }},
			failed + "load authorities: no certificate in " + `"` + empty + `".`, "", ""},
		{"no TLS at that port", secureServer{noSTARTTLS: true}, []change{implicit}, failed + "tls: first record does not look like a TLS handshake.", "", ""},
		{"hangs in the handshake", secureServer{cert: good, hangs: true}, []change{starttls, func(m *model.Mail) { m.Timeout = hung }},
			"Timeout reading data to remote SMTP server S.", ehlo + "STARTTLS\n", ""},
		{"hangs at once", secureServer{cert: good, hangs: true, implicit: true}, []change{implicit, func(m *model.Mail) { m.Timeout = hung }},
			"Timeout reading data to remote SMTP server S.", "", ""},
		{"replies put in before TLS", secureServer{cert: good, inject: injected, mechanisms: all}, []change{starttls, authenticated},
			failed + "plain text after the reply to STARTTLS.", ehlo + "STARTTLS\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &c.server
			cf := conf(s.start(t))
			for _, change := range c.conf {
				change(cf)
			}
			began := time.Now()
			lines, taken := send(t.Context(), cf, alert)
			if d := time.Since(began); d > patience {
				t.Errorf("took %v", d)
			}
			if !s.hangs {
				<-s.done
			} else {
				s.stop <- struct{}{}
				<-s.done
			}
			want := "SMTP alert successfully sent."
			if c.says != "" {
				want = c.says
			}
			if taken != (c.says == "") || len(lines) < 2 || !strings.HasPrefix(lines[1], want) {
				t.Errorf("taken: %v, said %q, want %q", taken, lines, want)
			}
			if all := strings.Join(lines, "\n"); strings.Contains(all, password) || strings.Contains(all, "AGFsZXJ0") {
				t.Errorf("the password is said: %s", all)
			}
			if diff := cmp.Diff(c.heard, strings.TrimRight(s.heard.String(), "\n")+"\n"); c.heard != "" && diff != "" {
				t.Errorf("heard (-want +got)\n%s", diff)
			}
			if s.user != c.user {
				t.Errorf("authenticated as %q, want %q", s.user, c.user)
			}
		})
	}
}

// Whoever ends the sending gets it back at once in the middle of a handshake too.
func TestEndedInHandshake(t *testing.T) {
	good, ca := certificate(t, "mail.example.com")
	s := &secureServer{cert: good, implicit: true, hangs: true, met: make(chan struct{})}
	cf := conf(s.start(t))
	cf.TLS, cf.TLSName, cf.TLSCAFile = model.ImplicitTLS, "mail.example.com", ca
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan []string)
	go func() {
		lines, _ := send(ctx, cf, alert)
		ended <- lines
	}()
	<-s.met
	cancel()
	select {
	case lines := <-ended:
		if len(lines) != 1 {
			t.Errorf("said %q, want the connection only", lines)
		}
	case <-time.After(patience / 2):
		t.Fatal("Send goes on")
	}
}
