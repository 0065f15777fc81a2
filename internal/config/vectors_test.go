package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// vector is one line of test/config/vectors/expected.tsv: what keepalived's configuration test did with a file.
type vector struct {
	file     string
	args     []string
	exit     string // of the newest keepalived
	messages string // its findings
	note     string
}

func readVectors(t *testing.T) (list []vector) {
	t.Helper()
	text, err := os.ReadFile("expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) < 7 {
			t.Fatalf("expected.tsv line %d has %d fields", n+2, len(f))
		}
		v := vector{file: f[0], exit: f[1], messages: f[2], note: f[3]}
		if f[5] != "=" {
			v.exit = f[5]
		}
		if f[6] != "=" {
			v.messages = f[6]
		}
		if v.exit == "crash" {
			v.exit = "5" // keepalived crashes; we diagnose the line
		}
		if f[4] != "-" {
			v.args = strings.Fields(f[4])
		}
		list = append(list, v)
	}
	return list
}

func (v vector) options() Options {
	opt := Options{Random: func(low, _ int) int { return low }}
	for i, a := range v.args {
		switch {
		case a == "-i":
			opt.ConfigID = v.args[i+1]
		case a == "-e":
			opt.CheckAll = true
		case strings.HasPrefix(a, "env:"):
			name, value, _ := strings.Cut(a[4:], "=")
			opt.Getenv = func(n string) string {
				if n == name {
					return value
				}
				return ""
			}
		}
	}
	return opt
}

// TestVectors compares our exit codes with keepalived's. The files that misses.txt lists are known to differ; one that no longer does has
// to be taken off the list.
func TestVectors(t *testing.T) {
	t.Chdir("../../test/config/vectors")
	text, err := os.ReadFile("misses.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		if name, _, _ := strings.Cut(line, " "); name != "" && name[0] != '#' {
			known[name] = true
		}
	}
	for _, v := range readVectors(t) {
		m, r := Load(System{}, v.file, v.options(), newFakeHost())
		got := strconv.Itoa(r.ExitCode())
		switch miss := got != v.exit; {
		case miss && !known[v.file]:
			t.Errorf("%s: exit code %s, want %s (%s)\n%s", v.file, got, v.exit, v.note, printed(r))
		case !miss && known[v.file]:
			t.Errorf("%s: exit code %s as wanted: take it off misses.txt", v.file, got)
		}
		if m != nil && !model.Diff(m, m).Empty() {
			t.Errorf("%s: the model differs from itself", v.file)
		}
		checkPlaces(t, r)
	}
}

// TestExamples compares our exit codes with those recorded from keepalived 2.2.7 and 2.3.4 in a namespace with the interfaces named.
func TestExamples(t *testing.T) {
	t.Chdir("../../test/config/examples")
	text, err := os.ReadFile("expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		name, exit, _ := strings.Cut(line, "\t")
		recorded[name] = true
		_, r := Load(System{}, name, Options{}, newFakeHost())
		if got := strconv.Itoa(r.ExitCode()); got != exit {
			t.Errorf("%s: exit code %s, want %s\n%s", name, got, exit, printed(r))
		}
	}
	files, err := filepath.Glob("*.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !recorded[f] {
			t.Errorf("%s has no recorded verdict", f)
		}
	}
}

// checkPlaces fails on a finding that points outside its file.
func checkPlaces(t *testing.T, r *source.Report) {
	t.Helper()
	for _, d := range r.All() {
		if !d.At.IsSet() {
			continue
		}
		text, err := os.ReadFile(d.At.File)
		if err != nil {
			t.Errorf("%v: %v", d, err)
			continue
		}
		lines := strings.Split(string(text), "\n")
		if d.At.Line > len(lines) || d.At.Col < 1 || d.At.Col > len(lines[d.At.Line-1])+1 {
			t.Errorf("%v: place %v is outside the file", d, d.At)
		}
	}
}

func printed(r *source.Report) string {
	var b strings.Builder
	for _, d := range r.All() {
		fmt.Fprintf(&b, "    [%d] %s\n", d.Class, d)
	}
	return b.String()
}
