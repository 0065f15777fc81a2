package main

import (
	stdflag "flag"
	"fmt"
	"os"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/effective"
	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
)

const explainUsage = "[BLOCK/]KEYWORD... | -f FILE [-a] [-i ID] [--offline] [PATH...]"

// explain prints what keywords mean, or with -f what the settings of a configuration come to.
func explain(args []string) int {
	var o options
	file, all := "", false
	names, code, ok := words("explain", explainUsage, args, 0, 1000, func(set *stdflag.FlagSet) {
		set.StringVar(&file, "f", "", "explain the settings of `FILE`, or those that a path like vrrp_instance/VI_1/priority names")
		set.BoolVar(&all, "a", false, "with -f: also what is not set")
		judged(&o)(set)
	})
	switch {
	case !ok:
		return code
	case file != "":
		return explainFile(o, file, strings.Join(names, " "), all)
	case len(names) == 0:
		fmt.Fprintf(os.Stderr, "Usage: keepalived-go explain %s\n", explainUsage)
		return parent.ExitFatal
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
		if !known {
			code = parent.ExitFatal
			notFound(fmt.Sprintf("keyword %q", name), instead)
		}
	}
	return code
}

func notFound(what, instead string) {
	fmt.Fprintf(os.Stderr, "explain: there is no %s", what)
	if instead != "" {
		fmt.Fprintf(os.Stderr, " (did you mean %q?)", instead)
	}
	fmt.Fprintln(os.Stderr)
}

// explainFile prints the settings of a configuration, those that path names if it is not empty. Findings go to standard error. A
// configuration that a daemon would refuse is explained as it is written, and ends with the code of a configuration test.
func explainFile(o options, file, path string, unset bool) int {
	settings, m, r := effective.Explain(config.System{}, file, o.steady(), o.host())
	if path != "" {
		all := settings
		if settings = all.Find(path); len(settings) == 0 {
			last := strings.FieldsFunc(path, func(c rune) bool { return c == '/' || c == ' ' })
			instead := ""
			if len(last) > 0 {
				instead = schema.Nearest(last[len(last)-1], all.Names())
			}
			notFound(fmt.Sprintf("%q in %s", path, file), instead)
			return parent.ExitFatal
		}
	} else {
		r.Write(os.Stderr, terminal(os.Stderr))
	}
	if err := settings.Write(os.Stdout, unset); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return parent.ExitFatal
	}
	if m == nil {
		fmt.Fprintf(os.Stderr, "explain: a daemon refuses %s\n", file)
		return max(r.ExitCode(), parent.ExitFatal)
	}
	return parent.ExitOK
}
