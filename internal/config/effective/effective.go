// Package effective tells what every setting of a configuration comes to and where it comes from, for explain -f.
//
// Values are taken from the model where it has them, so that what is told is what a daemon runs with; from what the tables read
// otherwise. What is printed is a configuration again: a setting that is off, or that was dropped, is a remark there.
package effective

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Setting is one keyword of a block, a line of a list, or a block.
type Setting struct {
	Keyword string     // of a line of a list: its first word
	Value   string     // the words after it
	Off     bool       // not in effect: not written, or dropped
	Unset   bool       // Off because it is not written
	Origin  string     // "k:3:5", "default", "inherited from global_defs/vrrp_version at k:2:5", …
	Notes   []string   // what was found there, what has no effect yet
	Block   bool       // Inside is its body, even if that is empty
	Inside  []*Setting // of a block or a list
}

// Explanation is all of a configuration.
type Explanation []*Setting

// Explain reads a configuration as config.Load does. One that the report refuses is explained as it is written.
func Explain(files source.Files, name string, opt config.Options, host config.Host) (Explanation, *model.Model, *source.Report) {
	e := &explainer{rows: map[string][]schema.Row{}, held: map[source.Pos]map[string]held{}, found: map[source.Pos][]source.Diagnostic{},
		kept: map[source.Pos]bool{}, bodies: map[source.Pos][]*syntax.Node{}, outcomes: map[source.Pos]outcome{},
		groups: map[string]*config.SyncGroup{}}
	config.Tables().Walk(schema.Root, func(r schema.Row) {
		if !r.Option {
			e.rows[r.Block] = append(e.rows[r.Block], r)
		}
	})
	r := &source.Report{Trace: func(block source.Pos, keyword string, value any, at source.Pos) {
		if e.held[block] == nil {
			e.held[block] = map[string]held{}
		}
		if value == nil {
			e.kept[at] = true
			return
		}
		e.held[block][keyword] = held{value, at}
	}}
	e.report = r
	nodes := config.Parse(files, name, opt, host, r)
	e.c = config.Read(nodes, r)
	m := config.Resolve(e.c, host, r)
	if r.Refused() {
		m = nil
	}
	if e.m = m; m != nil {
		e.pairAll()
	}
	for _, d := range r.All() {
		if d.At.IsSet() && !strings.Contains(d.Text, "has no effect yet") {
			e.found[d.At.Pos] = append(e.found[d.At.Pos], d)
		}
	}
	return e.whole(nodes), m, r
}

// held is what a block has of a keyword after it was read.
type held struct {
	value any
	at    source.Pos
}

type explainer struct {
	rows   map[string][]schema.Row        // by block
	held   map[source.Pos]map[string]held // by the place of the block, and keyword
	found  map[source.Pos][]source.Diagnostic
	report *source.Report
	c      *config.Config
	m      *model.Model // nil: refused

	kept   map[source.Pos]bool           // the entries of lists that were taken
	bodies map[source.Pos][]*syntax.Node // of the outermost blocks

	outcomes map[source.Pos]outcome       // by the place of the block
	groups   map[string]*config.SyncGroup // by the name of a member
}

// scope is a block that is being explained.
type scope struct {
	block string         // its path in the tables: "virtual_server/real_server"
	key   string         // its keyword
	at    source.Pos     // of the one of these blocks that was read last; the zero place for the outermost
	nodes []*syntax.Node // its statements
	outer *scope
	outcome
}

// whole explains the outermost block: its own values, then global_defs as one block, then the others in their order.
func (e *explainer) whole(nodes []*syntax.Node) (out Explanation) {
	root := &scope{block: schema.Root, nodes: nodes}
	for _, n := range nodes {
		e.bodies[n.At()] = n.Body
	}
	global := &scope{block: "global_defs", key: "global_defs", outer: root}
	places := []string{}
	for _, n := range nodes {
		if n.Key.Text == global.key {
			global.at = n.At()
			global.nodes = append(global.nodes, n.Body...)
			places = append(places, e.place(n.At()))
		}
	}
	if e.m != nil {
		global.value = valuesOf(globalFields, e.m)
	}
	out = append(out, e.leaves(root)...)
	g := &Setting{Keyword: global.key, Block: true, Inside: e.settings(global), Origin: "default"}
	if len(places) > 0 {
		g.Origin = strings.Join(places, ", ")
	}
	out = append(out, g)
	for _, n := range nodes {
		row, ok := e.row(schema.Root, n.Key.Text)
		if ok && row.Shape != syntax.Leaf && row.Name != global.key {
			out = append(out, e.body(global, row, n))
		}
	}
	return out
}

// settings explains all keywords of a block: those with a value in the order of the tables, then its lists and blocks in theirs.
func (e *explainer) settings(s *scope) []*Setting {
	out := e.leaves(s)
	for _, n := range s.nodes {
		if row, ok := e.row(s.block, n.Key.Text); ok && row.Shape != syntax.Leaf {
			out = append(out, e.body(s, row, n))
		}
	}
	return out
}

func (e *explainer) leaves(s *scope) (out []*Setting) {
	for _, row := range e.rows[s.block] {
		if row.Shape == syntax.Leaf && row.Same == "" {
			out = append(out, e.leaf(s, row)...)
		}
	}
	return out
}

// row returns the row of a keyword; an alias has that of what it is another name of.
func (e *explainer) row(block, keyword string) (schema.Row, bool) {
	for _, r := range e.rows[block] {
		if r.Name == keyword {
			if r.Same != "" {
				return e.row(block, r.Same)
			}
			return r, true
		}
	}
	return schema.Row{}, false
}

// written returns the statement of a keyword that counts in a block, and the others of it; nil if there is none, or none that was taken.
func (e *explainer) written(s *scope, keyword string) (counts *syntax.Node, others []*syntax.Node) {
	h, traced := e.held[s.at][keyword]
	for _, n := range s.nodes {
		if row, ok := e.row(s.block, n.Key.Text); !ok || row.Name != keyword {
			continue
		}
		switch {
		case traced && n.At() != h.at:
			others = append(others, n)
		default:
			if counts != nil && !traced {
				others = append(others, counts)
			}
			counts = n
		}
	}
	return counts, others
}

// leaf explains a keyword that has a value. A line that may stand several times with an effect each time gives several settings.
func (e *explainer) leaf(s *scope, row schema.Row) []*Setting {
	n, others := e.written(s, row.Name)
	h, traced := e.held[s.at][row.Name]
	v, known := s.value.of(row.Name)
	set := &Setting{Keyword: row.Name}
	out := []*Setting{set}
	switch {
	case n != nil:
		was := words(n)
		set.Value, set.Origin, set.Notes = was, e.place(n.At()), e.notes(n, row)
		now := printed(h.value)
		if _, timed := h.value.(time.Duration); timed && !strings.Contains(row.Usage, "seconds") {
			now = "" // of another unit
		}
		switch {
		case known && v.verbatim:
			set.Off = v.off
			set.Notes = append(set.Notes, v.notes...)
		case known:
			set.Value, set.Off = v.text, v.off
			set.Notes = append(set.Notes, v.notes...)
			if was != "" && !same(was, v.text) && !v.off {
				set.Origin = "corrected from " + masked(row.Name, was) + " at " + e.place(n.At())
			}
		case traced && now != "" && len(n.Args) > 0 && !same(n.Args[0].Text, now) && len(e.notesOn(n)) > 0:
			set.Value, set.Origin = now, "corrected from "+masked(row.Name, was)+" at "+e.place(n.At())
		}
		if set.Off {
			set.Value, set.Origin = was, "dropped, "+e.place(n.At())
		}
		if !traced && !known {
			for i, o := range others { // lines that add up, or of which each is a correction of those before
				earlier := &Setting{Keyword: row.Name, Value: words(o), Origin: e.place(o.At()), Notes: e.notes(o, row)}
				out = append(out[:i], earlier, set)
			}
			return out
		}
	case known && v.off:
		set.Off, set.Unset, set.Origin = true, true, "not set"
	case known:
		set.Value, set.Notes, set.Origin = v.text, v.notes, e.inherited(s, v)
	case row.Default != "":
		set.Value, set.Origin = row.Default, "default"
	default:
		set.Off, set.Unset, set.Origin = true, true, "not set"
	}
	for _, o := range others {
		why := strings.Join(e.notes(o, row), "; ")
		if why == "" {
			why = "does not count"
		}
		set.Notes = append(set.Notes, fmt.Sprintf("%s at %s: %s", masked(row.Name, words(o)), e.place(o.At()), why))
	}
	return out
}

// inherited tells where a value comes from that its own block does not have.
func (e *explainer) inherited(s *scope, v value) string {
	if v.origin != "" {
		return v.origin
	}
	for _, from := range v.from {
		key, keyword, _ := strings.Cut(from, "/")
		for o := s; o != nil; o = o.outer {
			if o.key != key && (o != s || key != ".") {
				continue
			}
			n, _ := e.written(o, keyword)
			if n == nil {
				continue
			}
			origin := "inherited from " + strings.TrimPrefix(from, "./") + " at " + e.place(n.At())
			if was := words(n); !v.verbatim && !same(was, v.text) {
				origin = "corrected from " + masked(keyword, was) + ", " + origin
			}
			return origin
		}
	}
	return "default"
}

// body explains a block or a list.
func (e *explainer) body(outer *scope, row schema.Row, n *syntax.Node) *Setting {
	set := &Setting{Keyword: row.Name, Value: words(n), Origin: e.place(n.At()), Block: true, Notes: e.notes(n, row)}
	if row.Shape == syntax.List {
		set.Value = ""
		in, known := outer.tracked[row.Name]
		for _, entry := range n.Body {
			line := e.entry(entry)
			taken := slices.ContainsFunc(entry.Words(), func(w source.Word) bool { return e.kept[w.At] })
			if !taken || known && !slices.Contains(in, entry.Key.Text) {
				line.Off, line.Origin = true, "dropped, "+line.Origin
			}
			set.Inside = append(set.Inside, line)
		}
		return set
	}
	set.Notes = append(set.Notes, e.notesAt(n.End)...)
	path := row.Name
	if outer.block != schema.Root && outer.block != "global_defs" {
		path = outer.block + "/" + row.Name
	}
	if len(e.rows[path]) == 0 {
		for _, entry := range n.Body {
			set.Inside = append(set.Inside, e.entry(entry))
		}
		return set
	}
	if e.held[n.At()] == nil {
		set.Off = true
		return set
	}
	s := &scope{block: path, key: row.Name, at: n.At(), nodes: n.Body, outer: outer}
	set.Off = e.pair(s, n)
	if !set.Off {
		set.Inside = e.settings(s)
	}
	return set
}

func (e *explainer) entry(n *syntax.Node) *Setting {
	return &Setting{Keyword: quoted(n.Key.Text), Value: words(n), Origin: e.place(n.At()), Notes: e.notesOn(n)}
}

func (e *explainer) notes(n *syntax.Node, row schema.Row) []string {
	out := e.notesOn(n)
	if row.Pending != "" {
		out = append(out, "no effect yet: "+row.Pending)
	}
	if row.Ours {
		out = append(out, "not in keepalived")
	}
	return out
}

// notesOn are the findings on a statement, which are on its words.
func (e *explainer) notesOn(n *syntax.Node) (out []string) {
	last := source.Pos{}
	for _, w := range n.Words() {
		if w.At != last { // what a definition became is all at one place
			out = append(out, e.notesAt(w.At)...)
		}
		last = w.At
	}
	return out
}

func (e *explainer) notesAt(at source.Pos) (out []string) {
	for _, d := range e.found[at] {
		out = append(out, d.Text)
	}
	return out
}

// place is where something is written, and how it came there.
func (e *explainer) place(pos source.Pos) string {
	at := e.report.Place(pos)
	s := at.String()
	for v := at.Via; v != nil; v = v.At.Via {
		s += fmt.Sprintf(", %s %s:%d", v.How, v.At.File, v.At.Line)
	}
	return s
}

// words are those after the keyword of a statement, as they were written.
func words(n *syntax.Node) string {
	raw := strings.TrimSpace(n.Raw)
	if rest, ok := strings.CutPrefix(raw, n.Key.Text); ok {
		if !strings.ContainsAny(rest, `"'\`) {
			return strings.Join(strings.Fields(rest), " ")
		}
		return strings.TrimSpace(rest)
	}
	var out []string
	for _, w := range n.Args {
		out = append(out, quoted(w.Text))
	}
	return strings.Join(out, " ")
}

// quoted is a word in a form that is read as this word.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " \t!#{}") {
		return `"` + s + `"`
	}
	return s
}

// printed is a value of the usual types as it would be written, "" for others.
func printed(v any) string {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v)
	case string:
		return v
	case time.Duration:
		return seconds(v)
	}
	return ""
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// same reports whether two values mean the same: numbers and booleans may be written in several ways.
func same(a, b string) bool {
	if a == b || strings.Trim(a, `"`) == strings.Trim(b, `"`) {
		return true
	}
	x, errA := strconv.ParseFloat(strings.TrimSpace(a), 64)
	y, errB := strconv.ParseFloat(strings.TrimSpace(b), 64)
	if errA == nil && errB == nil {
		return x == y
	}
	truth := map[string]string{"": "on", "true": "on", "yes": "on", "false": "off", "no": "off"}
	norm := func(s string) string {
		if t, ok := truth[s]; ok {
			return t
		}
		return s
	}
	return norm(a) == norm(b)
}

// masked is the value of a keyword as it may be shown.
func masked(keyword, value string) string {
	return strings.TrimPrefix(source.MaskSecret(keyword+" "+value), keyword+" ")
}
