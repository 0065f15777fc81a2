package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// TestBothWays: reading a configuration block by block comes to the same as reading it whole.
func TestBothWays(t *testing.T) {
	passed, services := 0, 0
	for _, pattern := range []string{"testdata/*/*.conf", "../../test/config/vectors/*.conf", "../../test/config/examples/*.conf", "../../conf/*/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, name := range files {
			read, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text, _, _ := strings.Cut(string(read), "-----\n")
			// The services of a text come before what they depend on, too.
			for _, text := range []string{text, text + "\nvirtual_server 192.0.2.99 80 {\n real_server 192.0.2.98 {\n  foo\n  weight 1000000000000\n  retry\n }\n}\n"} {
				r := &source.Report{}
				lines := load(fuzzFiles{oneFile(text)}, "/k", Options{}, newFakeHost(), r)
				one := r.Clone()
				_, want := whole(lines, Options{}, newFakeHost(), r)
				_, got, ok := passing(lines, Options{}, newFakeHost(), one, true)
				if !ok {
					continue
				}
				passed++
				judged := Judge(fuzzFiles{oneFile(text)}, "/k", Options{}, newFakeHost())
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: the models differ", name)
				}
				if diff := cmp.Diff(printed(r), printed(one)); diff != "" || one.ExitCode() != r.ExitCode() || one.Refused() != r.Refused() {
					t.Errorf("%s: found (-whole +block by block)\n%s", name, diff)
				}
				if diff := cmp.Diff(printed(r), printed(judged)); diff != "" || judged.ExitCode() != r.ExitCode() || judged.Refused() != r.Refused() {
					t.Errorf("%s: judged (-loaded +judged)\n%s", name, diff)
				}
				if got != nil {
					services += len(got.LVS.Services)
				}
			}
		}
	}
	if passed < 200 || services < 50 {
		t.Errorf("%d texts with %d services, which is too few to tell", passed, services)
	}
}
