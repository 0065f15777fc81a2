package main

import (
	"fmt"
	"os"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
	"github.com/keepalived-go/keepalived-go/internal/model"
	reload "github.com/keepalived-go/keepalived-go/internal/plan"
)

const planUsage = "[-i ID] [--offline] OLD NEW"

// plan prints what a reload from the first configuration to the second would do. Findings go to standard error; a configuration that a
// daemon would refuse ends it with the code of a configuration test.
func plan(args []string) int {
	var o options
	files, code, ok := words("plan", planUsage, args, 2, 2, judged(&o))
	if !ok {
		return code
	}
	var models [2]*model.Model
	for i, name := range files {
		m, r := config.Load(config.System{}, name, o.steady(), o.host())
		r.Write(os.Stderr, terminal(os.Stderr))
		if m == nil {
			fmt.Fprintf(os.Stderr, "plan: a daemon refuses %s\n", name)
			return max(r.ExitCode(), parent.ExitFatal)
		}
		models[i] = m
	}
	if err := reload.Compare(models[0], models[1]).Write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return parent.ExitFatal
	}
	return parent.ExitOK
}
