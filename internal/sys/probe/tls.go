package probe

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// tlsConfig is how SSL_GET talks: with any version and cipher that there is, and with no check of the certificate or its name, as
// keepalived does. It is nil for HTTP_GET.
//
// Differs from keepalived: crypto/tls has neither SSLv3 nor finite-field DHE, refuses certificates with broken encodings, and does not tell
// an answer that ends without close_notify from another, so that nothing is logged of it.
func tlsConfig(s *Spec) (*tls.Config, error) {
	if s.Kind != model.SSLGet && !s.GRPC.TLS {
		return nil, nil
	}
	c := &tls.Config{
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       allSuites,
		ServerName:         s.URL.SNI,
		Renegotiation:      tls.RenegotiateOnceAsClient, // older servers ask for client certificates so
	}
	if s.Secure.Verify {
		pool, err := authorities(s.Secure.CA)
		if err != nil {
			return nil, err
		}
		c.MinVersion = tls.VersionTLS12
		c.VerifyConnection = func(state tls.ConnectionState) error { return verify(s, pool, &state) }
	}
	client := s.TLS
	if s.Secure.Cert != "" {
		client = model.TLSClient{Certificate: s.Secure.Cert, Key: s.Secure.Key, Password: s.TLS.Password}
	}
	if client.Certificate != "" {
		cert, err := clientCert(&client)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{*cert}
	}
	return c, nil
}

var allSuites = func() (ids []uint16) {
	for _, s := range tls.CipherSuites() {
		ids = append(ids, s.ID)
	}
	for _, s := range tls.InsecureCipherSuites() {
		ids = append(ids, s.ID)
	}
	return ids
}()

// verify checks the server's certificate against the name by which it was asked for.
func verify(s *Spec, roots *x509.CertPool, state *tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return &tls.CertificateVerificationError{Err: errors.New("no certificate")}
	}
	name := s.URL.SNI
	if name == "" {
		name = host(s)
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
	}
	o := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// expiring returns when the server's certificate ends (seconds since 1970), if that is to be told by now.
func expiring(s *Spec, state *tls.ConnectionState) int64 {
	if s.Secure.ExpiryWarning == 0 || len(state.PeerCertificates) == 0 {
		return 0
	}
	end := state.PeerCertificates[0].NotAfter
	if time.Until(end) > s.Secure.ExpiryWarning {
		return 0
	}
	return end.Unix()
}

// pools keeps the authorities read from files, until those change; nil: those of the system.
var pools struct {
	sync.Mutex
	byFile map[string]*storedPool
}

type storedPool struct {
	*x509.CertPool
	changed time.Time
}

func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("load authorities: %w", err)
	}
	pools.Lock()
	defer pools.Unlock()
	if p := pools.byFile[file]; p != nil && p.changed.Equal(info.ModTime()) {
		return p.CertPool, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load authorities: %w", err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("load authorities: %q has no certificate", file)
	}
	if pools.byFile == nil {
		pools.byFile = map[string]*storedPool{}
	}
	pools.byFile[file] = &storedPool{p, info.ModTime()}
	return p, nil
}

// certs keeps the client certificates read from files, until those change.
var certs struct {
	sync.Mutex
	byFiles map[[2]string]*storedCert
}

type storedCert struct {
	*tls.Certificate
	changed [2]time.Time // of the files
}

func clientCert(t *model.TLSClient) (*tls.Certificate, error) {
	files := [2]string{t.Certificate, t.Key}
	var changed [2]time.Time
	for i, f := range files {
		if f == "" {
			continue
		}
		info, err := os.Stat(f)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		changed[i] = info.ModTime()
	}
	certs.Lock()
	defer certs.Unlock()
	if c := certs.byFiles[files]; c != nil && c.changed == changed {
		return c.Certificate, nil
	}
	c, err := loadCert(t)
	if err != nil {
		return nil, fmt.Errorf("load client certificate: %w", err)
	}
	if certs.byFiles == nil {
		certs.byFiles = map[[2]string]*storedCert{}
	}
	certs.byFiles[files] = &storedCert{c, changed}
	return c, nil
}

func loadCert(t *model.TLSClient) (*tls.Certificate, error) {
	chain, err := os.ReadFile(t.Certificate)
	if err != nil {
		return nil, err
	}
	key := chain
	if t.Key != "" {
		if key, err = os.ReadFile(t.Key); err != nil {
			return nil, err
		}
	}
	if key, err = decrypt(key, t.Password); err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// decrypt undoes the encryption of a key in the traditional PEM form.
func decrypt(key []byte, password model.Secret) ([]byte, error) {
	var plain bytes.Buffer
	for rest := key; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return plain.Bytes(), nil
		}
		if b.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, errors.New("keys encrypted as PKCS #8 are not supported")
		}
		//lint:ignore SA1019 the form is insecure, but it is what the password keyword is for
		if x509.IsEncryptedPEMBlock(b) {
			der, err := x509.DecryptPEMBlock(b, password) //lint:ignore SA1019 as above
			if err != nil {
				return nil, err
			}
			b = &pem.Block{Type: b.Type, Bytes: der}
		}
		if err := pem.Encode(&plain, b); err != nil {
			return nil, err
		}
	}
}
