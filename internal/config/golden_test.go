package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

var update = flag.Bool("update", false, "write the goldens as they come out")

// TestGoldens reads testdata/PART/*.conf: a configuration, a line of dashes, then the exit code of a configuration test, the findings and
// the non-zero fields of that part of the model.
func TestGoldens(t *testing.T) {
	parts := map[string]func(*model.Model) any{
		"process": func(m *model.Model) any { return m.Process },
		"vrrp":    func(m *model.Model) any { return m.VRRP },
	}
	files, _ := filepath.Glob("testdata/*/*.conf")
	if len(files) == 0 {
		t.Fatal("no goldens")
	}
	for _, name := range files {
		part := parts[filepath.Base(filepath.Dir(name))]
		if part == nil {
			continue
		}
		t.Run(strings.TrimSuffix(strings.TrimPrefix(name, "testdata/"), ".conf"), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, _, _ := strings.Cut(string(want), "-----\n")
			got := input + "-----\n" + goldenVerdict(t, input, part)
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

func goldenVerdict(t *testing.T, input string, part func(*model.Model) any) string {
	m, r := Load(oneFile(input), "k", Options{}, newFakeHost())
	var b strings.Builder
	fmt.Fprintf(&b, "exit %d", r.ExitCode())
	if r.Refused() {
		b.WriteString(", refused")
	}
	b.WriteByte('\n')
	for _, d := range r.All() {
		b.WriteString(strings.ReplaceAll(d.String(), "(k: Line ", "(Line ") + "\n")
		if d.Class == source.Note {
			continue
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "    %s\n", d.Hint)
		}
	}
	if m != nil {
		dump(&b, "", reflect.ValueOf(part(m)))
		if !model.Diff(m, m).Empty() {
			t.Error("the model differs from itself")
		}
	}
	return b.String()
}
