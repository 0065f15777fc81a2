package syntax

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// words is a grammar: keyword → its block's grammar, leaf or list.
type words map[string]any

func (w words) Lookup(k string) (Shape, Grammar) {
	switch v := w[k].(type) {
	case words:
		return Block, v
	case Shape:
		return v, nil
	}
	return Unknown, nil
}

func (w words) Suggest(string) string { return "" }

func (w words) Home(string) []string { return nil }

func (w words) Parts(k string) Parts {
	if k == "block" {
		return VRRP
	}
	return EveryPart
}

var grammar = words{
	"block": words{"own": Leaf, "leaf": Leaf, "list": List, "once": ListOnce, "inner": words{"leaf": Leaf}},
	"leaf":  Leaf,
	"list":  List,
}

type oneFile string

func (f oneFile) Open(string) (fs.File, error) { return fstest.MapFS{"f": {Data: []byte(f)}}.Open("f") }
func (oneFile) Glob(string) ([]string, error)  { return nil, nil }

func parse(text string) ([]*Node, *source.Report) {
	r := &source.Report{}
	return Parse(source.Load(oneFile(text), "k", source.Env{}, r), grammar, r), r
}

// render shows a tree on one line: block[leaf list(x y)].
func render(nodes []*Node) string {
	var out []string
	for _, n := range nodes {
		s := n.Key.Text
		for _, a := range n.Args {
			s += ":" + a.Text
		}
		if n.Body != nil {
			s += "[" + render(n.Body) + "]"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// The recovery of each row of the table in language.md §4.
func TestRecovery(t *testing.T) {
	for _, c := range []struct{ name, in, tree, findings string }{
		{"well formed", "block a {\nleaf 1\nlist { x\ny z }\ninner\n{ leaf } }\nleaf 2", "block:a[leaf:1 list[x y:z] inner[leaf]] leaf:2", ""},
		{"unknown keyword", "foo 1\nleaf", "leaf", "1 Unknown keyword 'foo'"},
		{"unknown block", "foo {\nleaf\n}\nleaf", "leaf leaf", "1 Unknown keyword 'foo' ; 1 Unexpected '{' ; 3 Unknown keyword '}'"},
		{"unknown block inside", "block {\nfoo {\nleaf 1\n}\nleaf 2\n}", "block[leaf:1] leaf:2",
			"2 Unknown keyword 'foo' ; 2 Unexpected '{' ; 6 Unknown keyword '}'"},
		{"missing brace", "block\nown 1\nonce {\n}\n}\nleaf 2", "block[own:1 once] leaf:2", "2 Unknown keyword 'own' ; 2 '{' is missing after block ; " +
			"3 Unknown keyword 'once' ; 3 Unexpected '{' ; 4 Unknown keyword '}' ; 5 Unexpected '}' ; 5 Unknown keyword '}'"},
		{"missing brace inside", "block {\ninner\nleaf 1\n}\nown 2\n}", "block[inner[leaf:1] own:2]", "3 '{' is missing after inner ; 5 Unknown keyword 'own' ; " +
			"6 Unexpected '}' ; 6 Unknown keyword '}'"},
		{"missing brace at the end", "block", "block", ""},
		{"a list twice", "block {\nonce {\nx\n}\nonce {\ny\n}\n}\nleaf", "leaf", "5 once is already specified ; 8 Unknown keyword '}'"},
		{"missing brace of a list", "block {\nlist\nx\n}\nown 1", "block[list[x] own:1]", "2 '{' is missing after list ; 5 Unknown keyword 'own'"},
		{"words before a list", "list a {\nx\n}", "list:a[x]", "1 Unexpected 'a' between list and its block"},
		{"second brace", "block { {\nleaf\n}", "block[leaf]", "1 Unexpected '{' ; 0 There are 1 missing '}'s"},
		{"surplus brace", "leaf\n}", "leaf", "2 Unexpected '}' ; 2 Unknown keyword '}'"},
		{"missing end", "block {\nleaf", "block[leaf]", "0 There are 1 missing '}'s"},
		{"block keyword at root", "inner {\n}", "", "1 Unknown keyword 'inner' ; 1 Unexpected '{' ; 2 Unknown keyword '}'"},
	} {
		nodes, r := parse(c.in)
		if got := render(nodes); got != c.tree {
			t.Errorf("%s: tree %q, want %q", c.name, got, c.tree)
		}
		var found []string
		for _, d := range r.All() {
			found = append(found, fmt.Sprintf("%d %s", d.At.Line, d.Text))
		}
		want := strings.Split(c.findings, " ; ")
		if c.findings == "" {
			want = nil
		}
		ok := len(found) == len(want)
		for i := range min(len(found), len(want)) {
			ok = ok && strings.HasPrefix(found[i], want[i])
		}
		if !ok {
			t.Errorf("%s: findings %q, want %q", c.name, found, want)
		}
	}
}

func TestEndAndRaw(t *testing.T) {
	nodes, r := parse("block \"a b\" {\n  leaf 'x\n}\n")
	if n := nodes[0]; n.Raw != `block "a b"` || r.Place(n.End).Line != 3 || n.Body[0].Raw != "leaf 'x" {
		t.Errorf("raw %q, ends at %v, body raw %q", n.Raw, r.Place(n.End), n.Body[0].Raw)
	}
}
