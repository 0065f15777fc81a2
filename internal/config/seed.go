package config

import (
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

// RandomSeed reads a configuration for its random_seed alone, which Options.Random needs to know before Load; -1: there is none. Findings are
// left to Load.
func RandomSeed(files source.Files, name string, opt Options, host Host) int {
	r := &source.Report{}
	nodes := slices.DeleteFunc(Parse(files, name, opt, host, r), func(n *syntax.Node) bool { return n.Key.Text != "global_defs" })
	if s := Read(nodes, r).Global.RandomSeed; s.IsSet() {
		return s.V
	}
	return -1
}
