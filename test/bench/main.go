// Bench measures the daemon beside the original keepalived: in turn, in one run, on one machine.
//
//	go run ./test/bench [SUBCOMMAND [FLAG...]]
//
// Without a subcommand all run, one after the other. docs/benchmarks.md has results and how to read them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// commands are the subcommands, in a file each.
var commands = []command{takeover, gaps, instances, tlsBench, lvsBench, configBench}

// command measures one thing and writes a table of it.
type command struct {
	name, about string
	// run adds its flags to the set, parses the arguments with it, and measures.
	run func(out io.Writer, flags *flag.FlagSet, args []string) error
}

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		for i, c := range commands {
			if i > 0 {
				fmt.Println()
			}
			call(c, nil)
		}
		return
	}
	for _, c := range commands {
		if c.name == args[0] {
			call(c, args[1:])
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: bench [SUBCOMMAND [FLAG...]]")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  %-10s %s\n", c.name, c.about)
	}
	os.Exit(2)
}

func call(c command, args []string) {
	flags := flag.NewFlagSet("bench "+c.name, flag.ContinueOnError)
	switch err := c.run(os.Stdout, flags, args); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", c.name, err)
		os.Exit(1)
	}
}

// originalFlag adds the flag that chooses the keepalived to compare with; the function gives its path once the flags are parsed.
func originalFlag(flags *flag.FlagSet) func() (string, error) {
	original := flags.String("original", "newest", "the keepalived to compare with: newest, installed or a `path`")
	return func() (string, error) {
		switch *original {
		case "newest":
			return oracle.Newest()
		case "installed":
			return oracle.Installed()
		}
		return *original, nil
	}
}
