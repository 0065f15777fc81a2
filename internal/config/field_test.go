package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/test/compat"
)

// TestField judges configurations in the styles that are found in the field, and compares with what keepalived 2.3.4 said of them.
func TestField(t *testing.T) {
	t.Chdir("../../test/config/field")
	text, err := os.ReadFile("expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]compat.Verdict{}
	for line := range strings.Lines(string(text)) {
		if name, form, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			recorded[name] = compat.ParseVerdict(form, 0)
		}
	}
	files, err := filepath.Glob("*.conf")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d configurations, %v", len(files), err)
	}
	for _, name := range files {
		want, ok := recorded[name]
		if !ok {
			t.Errorf("%s has no recorded verdict: go test ./test/config -run FieldLive -record", name)
			continue
		}
		host := newFakeHost()
		for i := range host.interfaces {
			host.links_ = append(host.links_, Link{Name: i})
		}
		_, r := Load(System{}, name, Options{ConfigID: "lb1"}, host)
		if diff := ourVerdict(r, name).Differs(want); diff != "" {
			t.Errorf("%s: %s\n%s", name, diff, printed(r))
		}
		checkPlaces(t, r)
	}
}
