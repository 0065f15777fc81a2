package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// TestFieldLive asks the original again what it says of the configurations in field.
func TestFieldLive(t *testing.T) {
	original, err := oracle.Newest()
	if err != nil {
		t.Fatal(err)
	}
	ns := namespace(t)
	files, err := filepath.Glob("field/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configurations: %v", err)
	}
	text, err := os.ReadFile("field/expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("field")
	var b strings.Builder
	b.WriteString("# What keepalived 2.3.4 says with -i lb1: the exit code, the lines of that file that it names, and ?N for N findings without a line.\n")
	for _, f := range files {
		name := filepath.Base(f)
		exit, said := verdict(t, ns, original, name, "-i", "lb1")
		fmt.Fprintf(&b, "%s\t%s\n", name, theirVerdict(fmt.Sprint(exit), indented([]byte(said)), name).Form(0))
	}
	if *record {
		if err := os.WriteFile("expected.tsv", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != string(text) {
		t.Errorf("recorded is\n%snow it says\n%s", text, b.String())
	}
}
