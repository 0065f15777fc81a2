package main

import (
	stdflag "flag"
	"fmt"
	"os"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
)

const explainUsage = "[BLOCK/]KEYWORD..."

// explain prints what keywords mean.
func explain(args []string) int {
	names, code, ok := words("explain", explainUsage, args, 1, 1000, func(*stdflag.FlagSet) {})
	if !ok {
		return code
	}
	code = parent.ExitOK
	for i, name := range names {
		if i > 0 {
			fmt.Println()
		}
		known, instead, err := config.Explain(os.Stdout, name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return parent.ExitFatal
		}
		if known {
			continue
		}
		code = parent.ExitFatal
		fmt.Fprintf(os.Stderr, "explain: there is no keyword %q", name)
		if instead != "" {
			fmt.Fprintf(os.Stderr, " (did you mean %q?)", instead)
		}
		fmt.Fprintln(os.Stderr)
	}
	return code
}
