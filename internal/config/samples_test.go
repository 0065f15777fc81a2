package config

import (
	"path/filepath"
	"testing"
)

// All samples that we hand out must be clean.
func TestSamples(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../conf/*.conf", "../../conf/samples/*.conf"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 2 {
		t.Fatalf("only %d samples", len(files))
	}
	for _, f := range files {
		if m, r := Load(System{}, f, Options{}, newFakeHost()); m == nil || len(r.All()) > 0 {
			t.Errorf("%s: exit code %d\n%s", f, r.ExitCode(), printed(r))
		}
	}
}
