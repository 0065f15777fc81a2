package config

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
)

// TestKeywords compares the tables with the list of keepalived's keywords, in both directions. Our own keywords are marked as such and
// listed in docs/compatibility.md.
func TestKeywords(t *testing.T) {
	text, err := os.ReadFile("../../test/compat/keywords.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if !strings.HasPrefix(line, "(lexical)") {
			want[line] = true
		}
	}
	document, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	root().Walk(schema.Root, func(row schema.Row) {
		if row.Ours {
			switch {
			case want[row.Block+"\t"+row.Name]:
				t.Errorf("%s %s is keepalived's, not ours", row.Block, row.Name)
			case !row.Option && !strings.Contains(string(document), "`"+row.Name):
				t.Errorf("%s %s is ours and not in docs/compatibility.md", row.Block, row.Name)
			}
		} else {
			got[row.Block+"\t"+row.Name] = true
		}
		if row.Doc == "" {
			t.Errorf("%s %s has no documentation", row.Block, row.Name)
		}
	})
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if !got[k] {
			t.Errorf("missing in the tables: %s", k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if !want[k] {
			t.Errorf("not in keepalived's list: %s", k)
		}
	}
}

// TestTablesAreUnambiguous fails on a name that stands twice in one block: the second row would never be read.
func TestTablesAreUnambiguous(t *testing.T) {
	seen := map[string]bool{}
	root().Walk(schema.Root, func(row schema.Row) {
		k := row.Block + "\t" + row.Name
		if seen[k] {
			t.Errorf("twice: %s", k)
		}
		seen[k] = true
	})
}
