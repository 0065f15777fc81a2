// Package archtest keeps the layers of docs/architecture.md: it fails on any import, call or go statement not drawn there.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/keepalived-go/keepalived-go/"

// allowed lists, for a package or a tree ("x/..."), what of ours it may import. The first match counts.
var allowed = []struct {
	from string
	to   []string
}{
	{"internal/model", nil},
	{"internal/core/...", []string{"internal/model"}},
	{"internal/config/source", nil},
	{"internal/config/syntax", []string{"internal/config/source"}},
	{"internal/config/layout", []string{"internal/config/source"}},
	{"internal/config/effective", []string{"internal/config", "internal/config/schema", "internal/config/source", "internal/config/syntax", "internal/model"}},
	{"internal/config/lint", []string{"internal/config", "internal/config/source", "internal/model"}},
	{"internal/config/schema", []string{"internal/config/source", "internal/config/syntax"}},
	{"internal/config", []string{"internal/config/...", "internal/model", "internal/sys/netns", "internal/sys/regex"}},
	{"internal/plan", []string{"internal/model"}},
	{"internal/manual", []string{"internal/config", "internal/config/schema"}},
	{"internal/sys/ipvs/ipvstest", []string{"internal/model", "internal/core/...", "internal/sys/ipvs"}}, // the fake Kernel of tests
	{"internal/sys/probe", []string{"internal/model", "internal/core/...", "internal/loop", "internal/sys/process", "internal/sys/regex"}},
	{"internal/sys/regex", nil},
	{"internal/sys/guard", nil},
	{"internal/sys/netns", nil},
	{"internal/sys/netlink", []string{"internal/model", "internal/core/...", "internal/loop", "internal/sys/netns"}},
	{"internal/sys/nftables", []string{"internal/model", "internal/core/...", "internal/loop", "internal/sys/netns"}},
	{"internal/sys/script", []string{"internal/model", "internal/core/...", "internal/loop", "internal/sys/guard"}},
	{"internal/sys/...", []string{"internal/model", "internal/core/...", "internal/loop"}},
	{"internal/loop", nil},
	{"internal/daemon/link", []string{"internal/model"}},
	{"internal/daemon/logging", nil},
	{"internal/daemon/status", []string{"internal/model"}},
	{"internal/daemon/parent", []string{"internal/model", "internal/daemon/link", "internal/daemon/logging", "internal/sys/guard", "internal/sys/process"}},
	{"internal/daemon/engine", []string{"internal/model", "internal/core/...", "internal/sys/...", "internal/loop",
		"internal/daemon/link", "internal/daemon/logging", "internal/daemon/status"}},
	{"internal/archtest", nil},
	{"cmd/keepalived-go", []string{"internal/config", "internal/config/effective", "internal/config/layout", "internal/config/lint",
		"internal/config/schema", "internal/config/source", "internal/model",
		"internal/plan", "internal/daemon/parent", "internal/daemon/engine",
		"internal/daemon/link", "internal/daemon/logging", "internal/core/check", "internal/sys/probe", "internal/sys/process"}},
}

// pure is what packages below internal/core may not use: a protocol is a value (docs/architecture.md §1).
var (
	pureImports = []string{"os", "os/exec", "os/signal", "log", "log/slog", "net", "net/http", "syscall", "math/rand", "io/fs",
		"golang.org/x/sys/unix", "github.com/vishvananda/netlink", "sync", "context"}
	pureCalls = []string{"time.Now", "time.After", "time.AfterFunc", "time.Sleep", "time.NewTimer", "time.NewTicker", "time.Tick",
		"time.Since", "time.Until"}
)

// goAllowed are the packages that may start goroutines: anywhere else one could panic unseen (§10).
var goAllowed = []string{"internal/loop", "internal/sys/probe", "internal/sys/script", "internal/daemon/parent", "internal/daemon/logging"}

func TestLayers(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, tree := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, tree), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			rel, _ := filepath.Rel(root, path)
			check(t, path, filepath.ToSlash(rel))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 10 {
		t.Fatalf("only %d files seen: the test looks in the wrong place", files)
	}
}

func check(t *testing.T, path, rel string) {
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	pkg := filepath.ToSlash(filepath.Dir(rel))
	isPure := strings.HasPrefix(pkg, "internal/core/")
	for _, imp := range file.Imports {
		name, _ := strconv.Unquote(imp.Path.Value)
		at := set.Position(imp.Pos())
		if ours, ok := strings.CutPrefix(name, module); ok && !mayImport(pkg, ours) {
			t.Errorf("%s:%d: %s must not import %s", rel, at.Line, pkg, ours)
		}
		if isPure && slices.Contains(pureImports, name) {
			t.Errorf("%s:%d: core must not import %q", rel, at.Line, name)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if isPure || !slices.Contains(goAllowed, pkg) {
				t.Errorf("%s:%d: go statement outside %v", rel, set.Position(n.Pos()).Line, goAllowed)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && isPure && slices.Contains(pureCalls, x.Name+"."+n.Sel.Name) {
				t.Errorf("%s:%d: core must not call %s.%s", rel, set.Position(n.Pos()).Line, x.Name, n.Sel.Name)
			}
		}
		return true
	})
}

func mayImport(from, to string) bool {
	for _, rule := range allowed {
		if !matches(rule.from, from) {
			continue
		}
		if from == to {
			return false
		}
		for _, pattern := range rule.to {
			if matches(pattern, to) {
				return true
			}
		}
		return false
	}
	return false
}

func matches(pattern, pkg string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(pkg, tree+"/")
	}
	return pattern == pkg
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"internal/core/vrrp", "internal/model", true},
		{"internal/plan", "internal/config", false},
		{"internal/core/vrrp", "internal/core/track", false},
		{"internal/core/vrrp", "internal/sys/rawnet", false},
		{"internal/sys/rawnet", "internal/core/vrrp", true},
		{"internal/sys/rawnet", "internal/sys/netlink", false},
		{"internal/sys/probe", "internal/sys/regex", true},
		{"internal/sys/probe", "internal/sys/regex", true},
		{"internal/daemon/engine", "internal/config", false},
		{"internal/daemon/unheard-of", "internal/model", false},
		{"cmd/keepalived-go", "internal/core/vrrp", false},
	} {
		if got := mayImport(c.from, c.to); got != c.want {
			t.Errorf("mayImport(%s, %s) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
