package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// fuzzFiles has one file under one name, so that includes find nothing.
type fuzzFiles struct{ oneFile }

func (f fuzzFiles) Open(name string) (fs.File, error) {
	if name != "/k" {
		return nil, fs.ErrNotExist
	}
	return f.oneFile.Open(name)
}

// FuzzRead loads any text: no panic, findings inside the file, a model unless the report refuses it, and the same if it is read whole.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.conf", "../../test/config/vectors/*.conf", "../../test/config/examples/*.conf"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	host := newFakeHost()
	f.Fuzz(func(t *testing.T, text string) {
		m, r := Load(fuzzFiles{oneFile(text)}, "/k", Options{}, host)
		if (m == nil) != r.Refused() {
			t.Fatalf("model %v, refused %v", m, r.Refused())
		}
		if m != nil && !model.Diff(m, m).Empty() {
			t.Error("the model differs from itself")
		}
		_, whole, all := LoadWritten(fuzzFiles{oneFile(text)}, "/k", Options{}, host)
		if printed(r) != printed(all) || (m == nil) != (whole == nil) || m != nil && !model.Diff(m, whole).Empty() {
			t.Fatalf("block by block\n%swhole\n%s", printed(r), printed(all))
		}
		lines := strings.Split(text, "\n")
		for _, d := range r.All() {
			if at := d.At; at.IsSet() && (at.Line > len(lines) || at.Col < 1 || at.Col > len(lines[at.Line-1])+1) {
				t.Fatalf("%v: place %v is outside the file", d, at)
			}
		}
	})
}
