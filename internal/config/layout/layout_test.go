package layout

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens as they come out")

// TestGoldens formats testdata/*.in and compares with *.out.
func TestGoldens(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.in")
	if len(files) == 0 {
		t.Fatal("no goldens")
	}
	for _, name := range files {
		in, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Format(in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden := strings.TrimSuffix(name, ".in") + ".out"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"\n\n a\n\n\n\nb\n\n", "a\n\nb\n"},
		{"a{b}c", "a {\n    b\n}\nc\n"},
		{"a\n\n{ b }", "a {\n    b\n}\n"},
		{"a # x\n{\n}", "a { # x\n}\n"},
		{"a # x\n{ # y\n}", "a # x\n{ # y\n}\n"},
		{"a {\n\n  # x\n\n}\n", "a {\n    # x\n}\n"},
		{"a  \"b  c\"\t\"d\"e\r\n", "a \"b  c\" \"d\"e\n"},
		{"a  'b  c'", "a  'b  c'\n"},
		{`a  b\ c`, "a  b\\ c\n"},
		{`a  "b # c" # d  e `, "a \"b # c\" # d  e\n"},
		{"a {\n@x  b  {\n@^x  c  {\nd\n}\n}", "a {\n    @x  b  {\n    @^x  c  {\n        d\n    }\n}\n"},
		{"a { @x b }", "a { @x b }\n"},             // at the begin of a line it would be a condition
		{"a { include  b }", "a { include  b }\n"}, // and this would be an include
		{"includea{b", "includea{b\n"},             // with a blank before the brace too
		{"include  b  c", "include  b  c\n"},
		{"a $B\n{\n}", "a $B\n{\n}\n"}, // a multi-line definition counts only at the end of a line
		{"$A=\\\n  b {\\\nc  d\\\n\n\n}", "$A=\\\n    b {\\\n        c  d\\\n\n}\n"},
		{"  " + long, "  " + long + "\n"}, // too long for the parser: it must stay so
		{long, long + "\n"},
		{"a {\n" + long[:1020] + "\n}", "a {\n" + long[:1020] + "\n}\n"}, // would become too long
		{"a\x00 {\nb", "a\x00 {\nb\n"},
		{"a # x\nbcd  # y\n\ne # z", "a   # x\nbcd # y\n\ne # z\n"},
		{"}\n a", "}\na\n"},
		{"a \"b", "a \"b\n"},
	} {
		got, err := Format([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%.60q: %.90q, want %.90q, %v", c.in, got, c.want, err)
		}
	}
}

// FuzzFormat: no text is refused, which would mean that its meaning would have changed, and twice is as once.
func FuzzFormat(f *testing.F) {
	files, _ := filepath.Glob("../../../test/config/vectors/*.conf")
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil && len(text) < 4096 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := Format(text)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := Format(once); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v\nonce  %q\ntwice %q", err, once, twice)
		}
	})
}
