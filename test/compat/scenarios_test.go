// Package compat keeps the lists of what keepalived does and says of each whether a test shows that the daemon does it too.
package compat

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// Every row of scenarios-LIST.txt is named by a test (V-A01 of VRRP, L-A1 of LVS; in a string of a test's source or in the title
// of a transcript), or is in scenarios-LIST.missing with a reason; never both.
func TestScenarios(t *testing.T) {
	named := namedRows(t)
	for list, prefix := range map[string]string{"vrrp": "V-", "lvs": "L-"} {
		t.Run(list, func(t *testing.T) {
			rows, missing := readRows(t, "scenarios-"+list+".txt"), readRows(t, "scenarios-"+list+".missing")
			for _, row := range slices.Sorted(maps.Keys(rows)) {
				where, tested := named[prefix+row]
				_, given := missing[row]
				switch {
				case !tested && !given:
					t.Errorf("%s%s (%s) has no test: name one so, or put it into scenarios-%s.missing with a reason", prefix, row, rows[row], list)
				case tested && given:
					t.Errorf("%s%s is tested in %s: take it out of scenarios-%s.missing", prefix, row, where, list)
				}
			}
			for row := range missing {
				if _, known := rows[row]; !known {
					t.Errorf("scenarios-%s.missing: there is no row %s", list, row)
				}
			}
			for name, where := range named {
				if row, ours := strings.CutPrefix(name, prefix); ours && rows[row] == "" {
					t.Errorf("%s names %s, which is no row of scenarios-%s.txt", where, name, list)
				}
			}
			t.Logf("%d rows, %d of them without a test", len(rows), len(missing))
		})
	}
}

// readRows reads lines "ROW text"; # begins a comment.
func readRows(t *testing.T, name string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for n, line := range strings.Split(string(b), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		row, text, _ := strings.Cut(line, " ")
		if row = plain(row); text == "" || rows[row] != "" {
			t.Errorf("%s:%d: %q is there twice or has no text", name, n+1, row)
		}
		rows[row] = text
	}
	return rows
}

var name = regexp.MustCompile(`\b[VL]-[A-Z]\d+[a-z]?\b`)

// plain writes A01 as A1, so that both are the same row.
func plain(row string) string {
	return regexp.MustCompile(`([A-Z])0+(\d)`).ReplaceAllString(row, "$1$2")
}

// namedRows returns where tests name rows.
func namedRows(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	note := func(text, where string) {
		for _, n := range name.FindAllString(text, -1) {
			if n = plain(n); out[n] == "" {
				out[n] = where
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go") && path != filepath.Join(root, "test/compat/scenarios_test.go"):
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
					note(s.Value, set.Position(s.Pos()).String())
				}
				return true
			})
		case strings.Contains(path, "/testdata/") && strings.HasSuffix(path, ".txt"):
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for n, line := range strings.Split(string(b), "\n") {
				if title, ok := strings.CutPrefix(line, "=== "); ok {
					note(title, fmt.Sprintf("%s:%d", path, n+1))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("reading the tests: %v", err)
	}
	return out
}
