// Package schema is the form of keyword tables: one row per keyword, from which reading, ranges, defaults, documentation and the
// list of what is implemented come.
package schema

import (
	"slices"
	"strings"
	"sync"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

// Opt is a configured value and where it was written; the zero place means "a default".
type Opt[V any] struct {
	V  V
	At source.Pos
}

// IsSet reports whether the value was written in the configuration.
func (o Opt[V]) IsSet() bool { return o.At.IsSet() }

// Keyword is one row of a block's table; T is the struct that the block fills. Rows are made by the functions of this package.
type Keyword[T any] struct {
	Name, Usage, Doc string

	shape syntax.Shape
	sub   Walker   // table of the block
	words []string // option words of the line or of the entries, for the list of keywords
	init  func(*T)
	def   string // what init stores, for the list of keywords
	read  func(*Keyword[T], *T, *syntax.Node, *source.Report)
	held  func(*T) (any, source.Pos) // what the block has after it was read, and from where; nil: it is no single value
	kept  func(*T) []source.Pos      // of a list: where the entries stand that were taken
	begin func(*T, *syntax.Node)     // before read; may be nil

	aliases    []alias
	mayBeEmpty bool // a missing word is an ordinary error instead of ending the parse
	first      bool
	quoted     bool
	notEmpty   bool
	parts      syntax.Parts
	pending    string
	ours       bool
	instead    string
}

type alias struct {
	name  string
	class source.Class
}

// Alias adds another name that means the same.
func (k *Keyword[T]) Alias(names ...string) *Keyword[T] {
	for _, n := range names {
		k.aliases = append(k.aliases, alias{n, source.Note})
	}
	return k
}

// OldName adds a name that still works, but is told about with class c.
func (k *Keyword[T]) OldName(name string, c source.Class) *Keyword[T] {
	k.aliases = append(k.aliases, alias{name, c})
	return k
}

// Quoted splits the value by the rules of scripts and patterns: single quotes and backslashes count (language.md §3).
func (k *Keyword[T]) Quoted() *Keyword[T] { k.quoted = true; return k }

// Lenient makes a missing value an ordinary error after which the keyword is ignored. Without it a missing value ends the configuration
// test with exit code 2, as in keepalived.
func (k *Keyword[T]) Lenient() *Keyword[T] { k.mayBeEmpty = true; return k }

// FirstWins makes a second occurrence an error that is ignored. Without it the last occurrence counts. A second list drops the block
// around it.
func (k *Keyword[T]) FirstWins() *Keyword[T] { k.first = true; return k }

// NotEmpty makes an empty list an error.
func (k *Keyword[T]) NotEmpty() *Keyword[T] { k.notEmpty = true; return k }

// For says which of keepalived's processes read an outermost block; without it the parent does.
func (k *Keyword[T]) For(parts syntax.Parts) *Keyword[T] { k.parts = parts; return k }

// Deprecated tells, with the class of that name, what to write instead.
func (k *Keyword[T]) Deprecated(use string) *Keyword[T] { k.instead = use; return k }

// Pending marks a keyword that is read and checked but has no effect yet. It is told once per configuration.
func (k *Keyword[T]) Pending(why string) *Keyword[T] { k.pending = why; return k }

// Ours marks a keyword that keepalived does not know. Such ones change nothing unless they are written.
func (k *Keyword[T]) Ours() *Keyword[T] { k.ours = true; return k }

// Begin has f called for every occurrence before it is read, even if a list has no entries.
func (k *Keyword[T]) Begin(f func(*T, *syntax.Node)) *Keyword[T] { k.begin = f; return k }

// Options names the words that may stand inside the line or in the entries, as "dev" or, one level down, "encap ip/id".
func (k *Keyword[T]) Options(words ...string) *Keyword[T] {
	k.words = append(slices.Clone(k.words), words...)
	return k
}

// Rows are keywords of one kind of block, or some of them that several kinds have.
type Rows[T any] []*Keyword[T]

// For says it for all keywords for which it is not said yet.
func (rows Rows[T]) For(parts syntax.Parts) Rows[T] {
	for _, k := range rows {
		if k.parts == 0 {
			k.parts = parts
		}
	}
	return rows
}

// Table is the set of keywords of one kind of block. It is made at the first look: a configuration has few kinds of blocks, and most of
// the daemon's processes read none.
type Table[T any] struct {
	rows  func() Rows[T]
	index func() map[string]indexed[T]
	home  func() map[string][]string // the blocks of each keyword below
}

type indexed[T any] struct {
	*Keyword[T]
	class source.Class
}

// TableOf is the table that has these rows, part after part. Of two rows with a name the first counts.
func TableOf[T any](parts ...func() Rows[T]) *Table[T] {
	rows := sync.OnceValue(func() (all Rows[T]) {
		for _, part := range parts {
			all = append(all, part()...)
		}
		return all
	})
	t := &Table[T]{rows: rows, index: sync.OnceValue(func() map[string]indexed[T] {
		rows := rows()
		index := make(map[string]indexed[T], len(rows))
		add := func(name string, row indexed[T]) {
			if _, dup := index[name]; !dup {
				index[name] = row
			}
		}
		for _, k := range rows {
			add(k.Name, indexed[T]{k, source.Note})
			for _, a := range k.aliases {
				add(a.name, indexed[T]{k, a.class})
			}
		}
		return index
	})}
	t.home = sync.OnceValue(func() map[string][]string {
		home := map[string][]string{}
		t.Walk(Root, func(r Row) {
			block := r.Block[strings.LastIndexByte(r.Block, '/')+1:]
			if block == Root {
				block = "the outermost level"
			}
			if !r.Option && !r.Ours && !slices.Contains(home[r.Name], block) {
				home[r.Name] = append(home[r.Name], block)
			}
		})
		return home
	})
	return t
}

// Home returns the blocks that have a keyword, outermost first; those of our own are not among them.
func (t *Table[T]) Home(keyword string) []string { return t.home()[keyword] }

// Parts makes the outermost table the root of the grammar.
func (t *Table[T]) Parts(name string) syntax.Parts {
	if k := t.index()[name]; k.Keyword != nil && k.parts != 0 {
		return k.parts
	}
	return syntax.Parent
}

// Lookup makes a table the grammar of its block.
func (t *Table[T]) Lookup(name string) (syntax.Shape, syntax.Grammar) {
	k := t.index()[name].Keyword
	if k == nil {
		return syntax.Unknown, nil
	}
	if k.first && k.shape == syntax.List {
		return syntax.ListOnce, nil
	}
	return k.shape, k.sub
}

// Init stores the defaults.
func (t *Table[T]) Init(v *T) {
	for _, k := range t.rows() {
		if k.init != nil {
			k.init(v)
		}
	}
}

// Read takes the statements of one block in their order. Nodes are those that the table as a grammar let through.
func (t *Table[T]) Read(v *T, nodes []*syntax.Node, r *source.Report) {
	index := t.index()
	for _, n := range nodes {
		k := index[n.Key.Text]
		if k.Keyword == nil {
			continue
		}
		switch {
		case k.instead != "":
			r.Add(source.Deprecated, n.At(), "%s is deprecated", n.Key.Text).Hint = "use " + k.instead
		case k.class != source.Note:
			r.Add(k.class, n.At(), "%s is an old name", n.Key.Text).Hint = "use " + k.Name
		}
		if k.pending != "" && r.Once("pending "+k.Name) {
			r.Notef(n.At(), "%s has no effect yet: %s", k.Name, k.pending)
		}
		if k.begin != nil {
			k.begin(v, n)
		}
		k.Read(v, n, r)
	}
}

// Read takes one occurrence, as it is.
func (k *Keyword[T]) Read(v *T, n *syntax.Node, r *source.Report) { k.read(k, v, n, r) }

// Tell tells the report's Trace what a block that was opened at a place has after it was read.
func (t *Table[T]) Tell(block source.Pos, v *T, r *source.Report) {
	if r.Trace == nil {
		return
	}
	r.Trace(block, "", nil, source.Pos{})
	for _, k := range t.rows() {
		if k.held != nil {
			value, at := k.held(v)
			r.Trace(block, k.Name, value, at)
		}
		if k.kept != nil {
			for _, at := range k.kept(v) {
				r.Trace(block, k.Name, nil, at)
			}
		}
	}
}

// args returns the words of a value; false says that they cannot be told, which has been reported.
func (k *Keyword[T]) args(n *syntax.Node, r *source.Report) ([]source.Word, bool) {
	if !k.quoted {
		return n.Args, true
	}
	words, err := source.Relex(n.Raw, n.At())
	if err != nil {
		r.Add(source.UnmatchedQuote, n.At(), "%s: %v - ignoring", n.Key.Text, err)
		return nil, false
	}
	if len(words) == 1 && len(n.Args) > 0 { // a quote without anything in it
		return []source.Word{{At: n.Args[0].At}}, true
	}
	return words[min(1, len(words)):], true
}

// missing reports that a value is not there.
func (k *Keyword[T]) missing(n *syntax.Node, r *source.Report) {
	if k.mayBeEmpty {
		r.Errorf(n.At(), "%s: no value given - ignoring", n.Key.Text)
		return
	}
	r.Add(source.MissingWord, n.At(), "'%s' is missing a required parameter (word 2)", n.Key.Text).Hint =
		"the test ends here"
}

// Row is what the list of keywords says of one keyword.
type Row struct {
	Block   string // "(root)", "global_defs", "virtual_server/real_server"
	Name    string
	Usage   string
	Doc     string
	Pending string
	Ours    bool   // keepalived does not know it
	Default string // of a value; empty: see Doc
	Same    string // the keyword that this is another name of
	Instead string // what to write in place of a deprecated one
	Option  bool   // a word inside the line or entries of a keyword
	Shape   syntax.Shape
}

// Walker is a table of any type as the grammar and the list of its keywords.
type Walker interface {
	syntax.Grammar
	// Walk visits every keyword, its aliases and option words, and those of the blocks inside. block is the name of the table's own block.
	Walk(block string, visit func(Row))
}

// Walk is that of Walker.
func (t *Table[T]) Walk(block string, visit func(Row)) {
	for _, k := range t.rows() {
		names := []string{k.Name}
		for _, a := range k.aliases {
			names = append(names, a.name)
		}
		for _, n := range names {
			row := Row{Block: block, Name: n, Usage: k.Usage, Doc: k.Doc, Pending: k.pending, Ours: k.ours, Default: k.def, Instead: k.instead,
				Shape: k.shape}
			if n != k.Name {
				row.Same = k.Name
			}
			visit(row)
			inner := block + "/" + n
			if block == Root {
				inner = n
			}
			for _, w := range k.words {
				b := inner
				if i := strings.LastIndexByte(w, '/'); i >= 0 {
					b, w = inner+"/"+w[:i], w[i+1:]
				}
				visit(Row{Block: b, Name: w, Doc: k.Doc, Pending: k.pending, Ours: k.ours, Option: true})
			}
			if k.sub != nil {
				k.sub.Walk(inner, func(row Row) {
					row.Ours = row.Ours || k.ours // what stands in a block of ours is
					visit(row)
				})
			}
		}
	}
}

// Root is the name of the outermost block in the list of keywords.
const Root = "(root)"

// Suggest returns the keyword nearest to a misspelt one, or "".
func (t *Table[T]) Suggest(word string) string {
	var names []string
	for _, k := range t.rows() {
		names = append(names, k.Name)
	}
	return Nearest(word, names)
}

// Nearest returns the first of the names nearest to a misspelt one, or "" if none is near.
func Nearest(word string, names []string) string {
	best, least := "", max(1, min(3, len(word)/3))+1
	word = strings.ToLower(word)
	for _, name := range names {
		if d := distance(word, strings.ToLower(name), least); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, changes and swaps of neighbours between a and b; limit stands for all from it on.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var room [3][32]int
	row, prev, before := room[0][:], room[1][:], room[2][:]
	if n := len(b) + 1; n > len(row) {
		row, prev, before = make([]int, n), make([]int, n), make([]int, n)
	}
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= limit { // nor was the row before more than one below it, which is what a swap could still make of it
			return limit
		}
		row, prev, before = before, row, prev
	}
	return min(prev[len(b)], limit)
}
