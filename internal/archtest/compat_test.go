package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDifferencesAreListed: whoever marks a difference from keepalived lists it too.
func TestDifferencesAreListed(t *testing.T) {
	page, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	marked := 0
	for _, tree := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join("../..", tree), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(src, []byte("Differs from keepalived:")) {
				return err
			}
			marked++
			name := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
			if !bytes.Contains(page, []byte("`"+name+"`")) {
				t.Errorf("%s marks a difference from keepalived that docs/compatibility.md does not list", name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if marked == 0 {
		t.Error("no marks found: the test looks in the wrong place")
	}
}
