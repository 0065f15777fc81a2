package probe

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// tlsConfig is how SSL_GET talks: with any version and cipher that there is, and with no check of the certificate or its name, as
// keepalived does. It is nil for HTTP_GET.
//
// Differs from keepalived: crypto/tls has neither SSLv3 nor finite-field DHE, and refuses certificates with broken encodings.
func tlsConfig(s *Spec) (*tls.Config, error) {
	if s.Kind != model.SSLGet {
		return nil, nil
	}
	c := &tls.Config{
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       allSuites,
		ServerName:         s.URL.SNI,
		Renegotiation:      tls.RenegotiateOnceAsClient, // older servers ask for client certificates so
	}
	if s.TLS.Certificate != "" {
		cert, err := clientCert(&s.TLS)
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
