package compat

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Verdict is what a configuration test says of a probe.
type Verdict struct {
	Exit    string       // of the process; "crash"
	Silent  map[int]bool // lines of findings that change no exit code
	Lines   map[int]bool // of all others
	Nowhere int          // findings without a line
}

// Form is the verdict in the golden: the exit code, the lines counted from the keyword's own, which is =, and ?N for N findings without one.
func (v Verdict) Form(own int) string {
	var b strings.Builder
	b.WriteString(v.Exit)
	for _, l := range slices.Sorted(maps.Keys(v.Lines)) {
		if l == own {
			b.WriteString(" =")
		} else {
			fmt.Fprintf(&b, " %+d", l-own)
		}
	}
	if v.Nowhere > 0 {
		fmt.Fprintf(&b, " ?%d", v.Nowhere)
	}
	return b.String()
}

// ParseVerdict reads the form of the golden.
func ParseVerdict(s string, own int) Verdict {
	f := strings.Fields(s)
	v := Verdict{Exit: f[0], Lines: map[int]bool{}}
	for _, w := range f[1:] {
		switch n, _ := strconv.Atoi(strings.TrimPrefix(w, "?")); {
		case w == "=":
			v.Lines[own] = true
		case w[0] == '?':
			v.Nowhere = n
		default:
			v.Lines[own+n] = true
		}
	}
	return v
}

// Differs says how our verdict differs from the original's; "": not. What it tells without a line may have one here, what changes no exit
// code may be told where it is silent, and of what crashes it any finding will do.
func (v Verdict) Differs(original Verdict) string {
	switch {
	case original.Exit == "crash" && v.Exit != "0":
		return ""
	case v.Exit != original.Exit:
		return fmt.Sprintf("exit code %s, the original's is %s", v.Exit, original.Exit)
	}
	for l := range original.Lines {
		if !v.Lines[l] && !v.Silent[l] {
			return fmt.Sprintf("line %d is not named", l)
		}
	}
	more := 0
	for l := range v.Lines {
		if !original.Lines[l] {
			more++
		}
	}
	if more > original.Nowhere {
		return fmt.Sprintf("%d lines are named that the original has nothing to say about", more)
	}
	return ""
}

//go:embed rows.golden
var goldenText string

// Golden is what the original answered to the probes: by Row.Key, then by Probe.Value.
type Golden map[string]map[string]string

// Key is a row's name in the golden.
func (r Row) Key() string { return fmt.Sprintf("[%s] %s", r.Block, r.Name) }

// Recorded reads the golden.
func Recorded() Golden {
	g := Golden{}
	var row map[string]string
	for line := range strings.Lines(goldenText) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "\t") {
			row = map[string]string{}
			g[line] = row
			continue
		}
		verdict, values, _ := strings.Cut(line[1:], "\t")
		for v := range strings.SplitSeq(values, "\t") {
			if u, err := strconv.Unquote(v); err == nil && v[0] == '"' {
				v = u
			}
			row[v] = verdict
		}
	}
	return g
}

// Of is the verdict on a probe; false: it is not recorded.
func (g Golden) Of(p Probe) (Verdict, bool) {
	s, ok := g[p.Key()][p.Value]
	if !ok {
		return Verdict{}, false
	}
	return ParseVerdict(s, p.Line), true
}

// Write makes the golden's text: each row, and below it the verdicts with the values that got them.
func Write(probes []Probe, verdicts []Verdict) string {
	var b strings.Builder
	var order []string
	values := map[string][]string{}
	flush := func() {
		for _, form := range order {
			fmt.Fprintf(&b, "\t%s\t%s\n", form, strings.Join(values[form], "\t"))
		}
		order, values = nil, map[string][]string{}
	}
	for i, p := range probes {
		if i == 0 || p.Key() != probes[i-1].Key() {
			flush()
			b.WriteString(p.Key() + "\n")
		}
		form, v := verdicts[i].Form(p.Line), p.Value
		if v == "" || strings.ContainsAny(v, "\n\t\"") {
			v = strconv.Quote(v)
		}
		if values[form] == nil {
			order = append(order, form)
		}
		values[form] = append(values[form], v)
	}
	flush()
	return b.String()
}

//go:embed rows.differences
var differencesText string

// Difference is a line of rows.differences: the probes whose verdict may be another here, and why.
type Difference struct {
	pattern *regexp.Regexp
	Reason  string
	Used    bool
}

// Differences reads rows.differences: a pattern for "[BLOCK] NAME VALUE", a tab, the reason.
func Differences() (list []*Difference) {
	for line := range strings.Lines(differencesText) {
		if pattern, reason, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && !strings.HasPrefix(line, "#") {
			list = append(list, &Difference{pattern: regexp.MustCompile(pattern), Reason: reason})
		}
	}
	return list
}

// Covers reports whether the probe is one of these.
func (d *Difference) Covers(p Probe) bool { return d.pattern.MatchString(p.Key() + " " + p.Value) }
