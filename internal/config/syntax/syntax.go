// Package syntax turns logical lines into a tree of statements.
//
// It knows braces but no keyword. Which words are keywords, and which of them take a block, is asked of a Grammar, since keepalived
// decides so too: the brace of an unknown block is a stray brace, the body is read in the block around it, and its closing brace
// closes that one (language.md §4). Everything about braces and unknown keywords is therefore reported here, and the tree has
// only statements that the grammar knows.
package syntax

import (
	"fmt"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// Shape says what follows a keyword.
type Shape uint8

const (
	Unknown  Shape = iota // no keyword of this block
	Leaf                  // words on the same line
	Block                 // words, then a block of keywords
	List                  // a block of entries that are no keywords, one per line
	ListOnce              // a List of which a second one ends the block around it, which is then dropped
)

// Grammar is the set of keywords of one kind of block.
type Grammar interface {
	// Lookup returns the shape of a keyword, and the grammar of its block if it has one.
	Lookup(keyword string) (Shape, Grammar)
	// Suggest returns a keyword like the unknown one, or "".
	Suggest(keyword string) string
}

// Node is one statement.
type Node struct {
	Key  source.Word
	Args []source.Word
	Raw  string  // the statement as written, for values that are split by other rules
	Body []*Node // the statements of a block, or the entries of a list, whose Key is their first word
	End  source.Pos
}

// At is the place of the keyword.
func (n *Node) At() source.Pos { return n.Key.At }

// Words returns the keyword and its arguments, as an entry of a list is read.
func (n *Node) Words() []source.Word { return append([]source.Word{n.Key}, n.Args...) }

// Parts is a set of keepalived's processes. Each reads the whole configuration, but only its own blocks: the others it skips by counting
// braces. Where braces are missing, the processes therefore disagree on where a block ends.
type Parts uint8

const (
	Parent Parts = 1 << iota
	Checkers
	VRRP
	BFD

	EveryPart = Parent | Checkers | VRRP | BFD
)

// Root is the grammar of the outermost keywords.
type Root interface {
	Grammar
	// Parts are the processes that read the block of a keyword.
	Parts(keyword string) Parts
}

// Parse builds the tree of a whole configuration: what each process understands of it, in the order of the text.
func Parse(text *source.Reading, root Root, r *source.Report) []*Node {
	var all []*Node
	taken := map[source.Pos]bool{}
	told := map[finding]bool{}
	for part := Parent; part <= BFD; part <<= 1 {
		p := newParser(text, root, r)
		p.part, p.told = part, told
		nodes, _, _ := p.block(root, 0)
		if p.open > 0 {
			p.add(source.MissingClose, source.Pos{}, "There are %d missing '}'s or extra '{'s", p.open)
		}
		for _, n := range nodes {
			if !taken[n.At()] {
				taken[n.At()] = true
				all = append(all, n)
			}
		}
	}
	slices.SortFunc(all, func(a, b *Node) int { return a.At().Compare(b.At()) })
	return all
}

type parser struct {
	text   source.Cursor
	ahead  source.Line // to be taken next
	more   bool        // there is one
	open   int         // braces open, stray ones included
	report *source.Report
	part   Parts // one
	root   Root
	told   map[finding]bool // by this part and those before it
}

type finding struct {
	class source.Class
	at    source.Pos
	text  string
}

// add reports what no other part has.
func (p *parser) add(c source.Class, at source.Pos, format string, args ...any) *source.Diagnostic {
	if p.report.Full() {
		return p.report.Add(c, at, "")
	}
	f := finding{c, at, fmt.Sprintf(format, args...)}
	if p.told[f] {
		return &source.Diagnostic{}
	}
	p.told[f] = true
	return p.report.Add(c, at, "%s", f.text)
}

func newParser(text *source.Reading, root Root, r *source.Report) *parser {
	p := &parser{text: text.Cursor(), report: r, root: root}
	p.ahead, p.more = p.text.Next()
	return p
}

// next takes a line and counts its brace; false at the end.
func (p *parser) next() (line source.Line, ok bool) {
	if !p.more {
		return line, false
	}
	line = p.ahead
	p.ahead, p.more = p.text.Next()
	switch line.Kind {
	case source.Open:
		p.open++
	case source.Close:
		if p.open--; p.open < 0 {
			p.open = 0
			p.add(source.UnexpectedClose, line.At, "Unexpected '}' - there is no open '{'")
		}
	}
	return line, true
}

func (p *parser) peek(k source.Kind) bool { return p.more && p.ahead.Kind == k }

// block reads statements until the block's closing brace, or the end for the root (depth 0). It returns false for a block that has to be
// dropped.
func (p *parser) block(g Grammar, depth int) (nodes []*Node, end source.Pos, ok bool) {
	lists := map[string]*Node{}
	for line, more := p.next(); more; line, more = p.next() {
		switch line.Kind {
		case source.Open:
			p.add(source.UnexpectedOpen, line.At, "Unexpected '{' - ignoring").Hint =
				"what follows is read as part of the surrounding block"
			continue
		case source.Close:
			if depth > 0 {
				return nodes, line.At, true
			}
			p.add(source.UnknownKeyword, line.At, "Unknown keyword '}'")
			continue
		}
		n := &Node{Key: line.Words[0], Args: line.Words[1:], Raw: line.Raw, End: line.At}
		shape, sub := g.Lookup(n.Key.Text)
		if depth == 0 && shape > Leaf && p.root.Parts(n.Key.Text)&p.part == 0 {
			p.skip()
			continue
		}
		switch shape {
		case Unknown:
			d := p.add(source.UnknownKeyword, n.At(), "Unknown keyword '%s'", n.Key.Text)
			if s := g.Suggest(n.Key.Text); s != "" {
				d.Hint = fmt.Sprintf("did you mean '%s'?", s)
			}
			continue
		case Block:
			p.begin(n)
			if n.Body, n.End, ok = p.block(sub, depth+1); !ok {
				continue
			}
		case List, ListOnce:
			first := lists[n.Key.Text]
			lists[n.Key.Text] = n
			if len(n.Args) > 0 {
				p.add(source.Error, n.Args[0].At, "Unexpected '%s' between %s and its block - ignoring it", n.Args[0].Text, n.Key.Text)
			}
			if p.peek(source.Open) {
				p.next()
			} else {
				p.add(source.Note, n.At(), "'{' is missing after %s", n.Key.Text).Hint = "the following lines are taken as its entries"
			}
			n.Body, n.End = p.list(n)
			if shape == ListOnce && first != nil {
				d := p.add(source.Error, n.At(), "%s is already specified - dropping the block around it", n.Key.Text)
				d.With("first specified at", first.At()).Hint = "what follows is read as part of the block around that"
				return nil, source.Pos{}, false
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, source.Pos{}, true
}

// begin takes the opening brace of a block. Without it the block is read all the same, but the brace that closes it is one too many, and
// processes that have nothing to do with the block do not know its lines.
func (p *parser) begin(n *Node) {
	if p.peek(source.Open) {
		p.next()
	} else if p.more {
		p.add(source.MissingOpen, p.ahead.At, "'{' is missing after %s - going on as if it were there", n.Key.Text).
			With("which begins at", n.At())
	}
}

// skip passes over the block of another process.
func (p *parser) skip() {
	if !p.peek(source.Open) {
		return
	}
	p.next()
	for depth := 1; depth > 0; {
		line, more := p.next()
		if !more {
			return
		}
		switch line.Kind {
		case source.Open:
			depth++
		case source.Close:
			depth--
		}
	}
}

func (p *parser) list(of *Node) (entries []*Node, end source.Pos) {
	for line, more := p.next(); more; line, more = p.next() {
		switch line.Kind {
		case source.Open:
			p.add(source.UnexpectedOpen, line.At, "Unexpected '{' in %s - ignoring it", of.Key.Text)
		case source.Close:
			return entries, line.At
		default:
			entries = append(entries, &Node{Key: line.Words[0], Args: line.Words[1:], Raw: line.Raw, End: line.At})
		}
	}
	return entries, source.Pos{}
}
