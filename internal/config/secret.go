package config

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// secret is a key or password, or where it is. Neither its errors nor its printed form have the text.
type secret struct {
	Text          model.Secret
	File          string // a path, or with InCredentials the name of a credential of the service manager
	InCredentials bool
}

// parseSecret reads TEXT, file:PATH or credential:NAME.
func parseSecret(word string) secret {
	if path, ok := strings.CutPrefix(word, "file:"); ok {
		return secret{File: path}
	} else if name, ok := strings.CutPrefix(word, "credential:"); ok {
		return secret{File: name, InCredentials: true}
	}
	return secret{Text: model.Secret(word)}
}

// exposed is the error of a secret in a file that others can read.
type exposed struct{ path string }

func (e *exposed) Error() string { return fmt.Sprintf("file %q is readable by others", e.path) }

// read returns the text of a secret, without the line's end if it is in a file. Errors go on from what the secret is.
func (res *resolver) read(s secret) (model.Secret, error) {
	if s.File == "" {
		return s.Text, nil
	}
	path := s.File
	if s.InCredentials {
		dir := res.host.CredentialsDirectory()
		if dir == "" || !filepath.IsLocal(path) {
			return nil, fmt.Errorf("credential %q does not exist", path)
		}
		path = filepath.Join(dir, path)
	}
	text, mode, err := res.host.ReadSecret(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("file %q cannot be read", path)
	case mode.Perm()&0o077 != 0 && !s.InCredentials:
		return nil, &exposed{path}
	}
	return bytes.TrimRight(text, "\r\n"), nil
}
