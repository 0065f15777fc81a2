package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The virtual machine asks its host for processor times with lines that begin with this: its own kernel samples who runs at its ticks, and
// does not see what a timer wakes. The host's counts exactly, and what other processes take at the same time does not count.
const markPrefix = "\x00"

// beginMark begins a measurement.
func beginMark(out io.Writer) { fmt.Fprintln(out, markPrefix+"begin") }

// endMark ends the measurement of a number of checks by who.
func endMark(out io.Writer, checks int64, who string, took time.Duration) {
	fmt.Fprintf(out, "%send %d %d %s\n", markPrefix, checks, took.Milliseconds(), who)
}

// tableMark prints the medians of what has been measured since the last one.
func tableMark(out io.Writer) { fmt.Fprintln(out, markPrefix+"table") }

// meter is the host's side.
type meter struct {
	vm    int           // process
	begun time.Duration // its time at the last beginMark
	order []string
	cost  map[string][]float64 // processor time of 1000 checks in ms, by who
	rate  map[string][]float64 // checks in a second
}

// mark obeys a line of the virtual machine; false: it is none of these.
func (m *meter) mark(line string, out io.Writer) bool {
	line, is := strings.CutPrefix(line, markPrefix)
	kind, rest, _ := strings.Cut(line, " ")
	switch {
	case !is:
		return false
	case kind == "begin":
		m.begun = spent(tree(m.vm))
	case kind == "end":
		var checks, ms float64
		fmt.Sscan(rest, &checks, &ms)
		who := strings.SplitN(rest, " ", 3)[2]
		if m.cost[who] == nil {
			m.order = append(m.order, who)
		}
		m.cost[who] = append(m.cost[who], float64((spent(tree(m.vm))-m.begun).Milliseconds())/checks*1000)
		m.rate[who] = append(m.rate[who], checks/ms*1000)
	case kind == "table":
		for _, who := range m.order {
			slices.Sort(m.cost[who])
			slices.Sort(m.rate[who])
			n := len(m.cost[who]) / 2
			fmt.Fprintf(out, "%s %10.0f %10.0f   %.0f\n", who, m.rate[who][n], m.cost[who][n], m.cost[who])
		}
		m.order = nil
	}
	return true
}
