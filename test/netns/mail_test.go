package netns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// A mail server that hangs delays neither adverts nor takeover nor the release at the end; the daemon ends in time and names the
// alerts that nobody got.
func TestHangingMailServer(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("the original tells nobody")
	}
	l := lab.New(t, lab.Plan{})
	l.Node("c").SilentServer(2525)
	global := "global_defs {\n  router_id RTR1\n  smtp_server 10.1.0.3 2525\n  smtp_alert\n  notification_email {\n    ops@example.com\n  }\n}\n"
	// More changes at a time than there are connections.
	var many strings.Builder
	many.WriteString(lab.Config(global))
	first := lab.Instance{Priority: 150}
	many.WriteString(first.String())
	for i := range 24 {
		many.WriteString(lab.Instance{Name: fmt.Sprintf("M%d", i), VRID: 60 + i, Priority: 150, VIPs: fmt.Sprintf("10.1.0.%d/24", 110+i)}.String())
	}
	d := l.Node("a").Start(lab.Ours(), many.String())
	l.WaitHolder(soon+first.Down(), vip, "a")
	d.WaitLog(soon, `Remote SMTP server \[10\.1\.0\.3\]:2525 connected`)

	at := d.Signal(syscall.SIGTERM)
	bye := l.WaitFrame(soon, "the last advert", lab.Adverts("a"), lab.Priority(0), lab.VRID(51))
	if late := bye.At.Sub(at); late > time.Second {
		t.Errorf("the last advert came after %v", late)
	}
	l.WaitHolder(time.Second, vip, "")
	if code := d.WaitExit(6 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, s := range []string{"Entering BACKUP state", "Entering MASTER state", "Stopping"} {
		if want := fmt.Sprintf(`SMTP alert not sent: \[RTR1\] VRRP Instance VI_1 - %s`, s); !d.Logged(want) {
			t.Errorf("not in the log: %s", want)
		}
	}
}

// With smtp_tls and smtp_auth_user alerts go to who they should, under TLS, after proof of who we are; a reload changes the password.
// Neither log nor dump has it.
func TestSecureMail(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("keepalived has neither")
	}
	l := lab.New(t, lab.Plan{})
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"mail.example.com"}, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	const right, wrong = "s3cr3t-r1ght", "s3cr3t-wr0ng"
	pass := write("password", wrong+"\n")
	server := l.Node("c").MailServer(2525)
	server.Cert, server.Password = &tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: key}, right

	conf := lab.Config("global_defs {\n  router_id RTR1\n  smtp_server 10.1.0.3 2525\n  smtp_tls starttls\n  smtp_tls_name mail.example.com\n" +
		"  smtp_tls_ca_file " + ca + "\n  smtp_auth_user alerts\n  smtp_auth_password file:" + pass + "\n  smtp_alert\n" +
		"  notification_email {\n    ops@example.com\n  }\n}\n" + lab.Instance{Priority: 150}.String())
	d := l.Node("a").Start(lab.Ours(), conf)
	d.WaitLog(soon, `Error processing AUTH cmd on SMTP server \[10\.1\.0\.3\]:2525\. SMTP status code = 535`)
	d.WaitLog(soon, `SMTP alert not sent: \[RTR1\] VRRP Instance VI_1 - Entering BACKUP state`)
	if mails := server.Mails(); len(mails) != 0 {
		t.Errorf("without the password the server took %q", mails)
	}
	write("password", right+"\n")
	d.Reload(conf)
	l.WaitHolder(soon, vip, "a")
	if dump := d.Dump(syscall.SIGUSR1, "keepalived.data"); strings.Contains(dump, "s3cr3t") || !strings.Contains(dump, " Smtp auth password = ********\n") {
		t.Errorf("the dump has\n%s", dump)
	}
	d.Signal(syscall.SIGTERM)
	d.WaitExit(6 * time.Second)
	stopping := false
	for _, m := range server.Mails() {
		stopping = stopping || strings.Contains(m, "VI_1 - Stopping") && strings.Contains(m, "STARTTLS\r\nEHLO ")
	}
	if !stopping {
		t.Errorf("the server took %q, log:\n%v", server.Mails(), d.Log())
	}
	if d.Logged("s3cr3t") {
		t.Error("a password is in the log")
	}
}
