package schema

import (
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

// Entries declares a named block of lines that are no keywords. open makes the value that the block fills, or reports and returns nil
// to skip it; read takes one line.
func Entries[T, U any](name, usage string, open func(*T, *syntax.Node, *source.Report) *U,
	read func(*U, *syntax.Node, *source.Report), doc string) *Keyword[T] {
	return &Keyword[T]{Name: name, Usage: usage + "{ … }", Doc: doc, shape: syntax.Block, sub: anyWord{},
		read: func(_ *Keyword[T], t *T, n *syntax.Node, r *source.Report) {
			if u := open(t, n, r); u != nil {
				for _, entry := range n.Body {
					read(u, entry, r)
				}
			}
		}}
}

// anyWord is the grammar of entries.
type anyWord struct{}

func (anyWord) Lookup(string) (syntax.Shape, syntax.Grammar) { return syntax.Leaf, nil }
func (anyWord) Suggest(string) string                        { return "" }
func (anyWord) Walk(string, func(Row))                       {}

// Within lets a row of one table stand in that of a block that holds what the row fills.
func Within[T, U any](row *Keyword[U], of func(*T) *U) *Keyword[T] {
	k := &Keyword[T]{Name: row.Name, Usage: row.Usage, Doc: row.Doc, shape: row.shape, sub: row.sub, words: row.words, def: row.def,
		aliases: row.aliases, mayBeEmpty: row.mayBeEmpty, first: row.first, quoted: row.quoted, notEmpty: row.notEmpty,
		pending: row.pending, ours: row.ours, instead: row.instead}
	if row.init != nil {
		k.init = func(t *T) { row.init(of(t)) }
	}
	k.read = func(_ *Keyword[T], t *T, n *syntax.Node, r *source.Report) { row.read(row, of(t), n, r) }
	if row.held != nil {
		k.held = func(t *T) (any, source.Pos) { return row.held(of(t)) }
	}
	if row.kept != nil {
		k.kept = func(t *T) []source.Pos { return row.kept(of(t)) }
	}
	return k
}
