package main

import (
	stdflag "flag"
	"fmt"
	"os"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
)

// subcommand is a tool that the first word of the command line names; each has a file of its own. keepalived would complain of the word.
type subcommand struct {
	name, usage, help string
	run               func(args []string) int
}

func subcommands() []subcommand {
	return []subcommand{
		{"plan", planUsage, "Print what a reload from one configuration to another would do", plan},
		{"fmt", formatUsage, "Print a configuration file in the canonical layout; -w rewrites it, -d shows what would change", format},
		{"explain", explainUsage, "Print what keywords of the configuration mean, or with -f what the settings of a file come to and why", explain},
	}
}

// lookup returns the subcommand of a command line, nil if it asks for none.
func lookup(args []string) *subcommand {
	if len(args) < 2 {
		return nil
	}
	for _, s := range subcommands() {
		if s.name == args[1] {
			return &s
		}
	}
	return nil
}

// words reads the options of a subcommand. ok is false if it has to end with code: an option was unknown, help was asked for, or there
// are not between least and most words.
func words(name, usage string, args []string, least, most int, define func(*stdflag.FlagSet)) (rest []string, code int, ok bool) {
	set := stdflag.NewFlagSet(name, stdflag.ContinueOnError)
	set.Usage = func() {
		fmt.Fprintf(os.Stderr, "Usage: keepalived-go %s %s\n", name, usage)
		set.PrintDefaults()
	}
	define(set)
	switch err := set.Parse(args); {
	case err == stdflag.ErrHelp:
		return nil, parent.ExitOK, false
	case err != nil:
		return nil, parent.ExitFatal, false
	case set.NArg() < least || set.NArg() > most:
		set.Usage()
		return nil, parent.ExitFatal, false
	}
	return set.Args(), parent.ExitOK, true
}

// judged are the options that say how a subcommand reads a configuration.
func judged(o *options) func(*stdflag.FlagSet) {
	return func(set *stdflag.FlagSet) {
		set.StringVar(&o.configID, "i", "", "config `ID` for @ lines, default the node name")
		set.BoolVar(&o.offline, "offline", false, "judge without this machine's interfaces, users, scripts and kernel")
	}
}

// steady are options with which two readings of the same text mean the same: ${_RANDOM} is always its lower bound.
func (o options) steady() config.Options {
	c := o.config()
	c.Random = nil
	return c
}
