package config

import (
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

// NetNamespace returns what net_namespace says, "" if nothing. It is asked before Load, because the interfaces that Load looks for are
// those of that namespace. Findings are left to Load.
func NetNamespace(files source.Files, name string, opt Options, host Host) string {
	r := &source.Report{}
	if opt.ConfigID == "" {
		opt.ConfigID = shortName(host.Hostname())
	}
	env := source.Env{ConfigID: opt.ConfigID, CheckAll: opt.CheckAll, Getenv: opt.Getenv, Random: opt.Random}
	return Read(syntax.Parse(source.Load(files, name, env, r), root(), r), r).NetNamespace.V
}
