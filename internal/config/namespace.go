package config

import (
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

// Foreknown is what has to be known before Load.
type Foreknown struct {
	NetNamespace string // net_namespace: the interfaces that Load looks for are those of that namespace
	namespaceAt  source.Pos
	RandomSeed   int // random_seed, for Options.Random; -1: none
	report       *source.Report
}

// Foresee reads a configuration for that alone. Findings are left to Load.
func Foresee(files source.Files, name string, opt Options, host Host) Foreknown {
	r := &source.Report{}
	nodes := slices.DeleteFunc(Parse(files, name, opt, host, r), func(n *syntax.Node) bool {
		return n.Key.Text != "net_namespace" && n.Key.Text != "global_defs" // thousands of servers need not be read twice
	})
	c := Read(nodes, r)
	f := Foreknown{NetNamespace: c.NetNamespace.V, namespaceAt: c.NetNamespace.At, RandomSeed: -1, report: r.Blank()}
	if s := c.Global.RandomSeed; s.IsSet() {
		f.RandomSeed = s.V
	}
	return f
}
