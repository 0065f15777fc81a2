// Package syntax turns logical lines into a tree of statements.
//
// It knows braces but no keyword. Which words are keywords, and which of them take a block, is asked of a Grammar, since keepalived
// decides so too: the brace of an unknown block is a stray brace, the body is read in the block around it, and its closing brace
// closes that one (language.md §4). Everything about braces and unknown keywords is therefore reported here, and the tree has
// only statements that the grammar knows.
package syntax

import (
	"fmt"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// Shape says what follows a keyword.
type Shape uint8

const (
	Unknown Shape = iota // no keyword of this block
	Leaf                 // words on the same line
	Block                // words, then a block of keywords
	List                 // a block of entries that are no keywords, one per line
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

// Parse builds the tree of a whole configuration.
func Parse(lines []source.Line, root Grammar, r *source.Report) []*Node {
	p := &parser{lines: lines, report: r}
	nodes, _ := p.block(root, 0)
	if p.open > 0 {
		r.Add(source.MissingClose, source.Pos{}, "There are %d missing '}'s or extra '{'s", p.open)
	}
	return nodes
}

type parser struct {
	lines  []source.Line
	i      int
	open   int // braces open, stray ones included
	report *source.Report
}

// next takes a line and counts its brace; nil at the end.
func (p *parser) next() *source.Line {
	if p.i >= len(p.lines) {
		return nil
	}
	line := &p.lines[p.i]
	p.i++
	switch line.Kind {
	case source.Open:
		p.open++
	case source.Close:
		if p.open--; p.open < 0 {
			p.open = 0
			p.report.Add(source.UnexpectedClose, line.At, "Unexpected '}' - there is no open '{'")
		}
	}
	return line
}

func (p *parser) peek(k source.Kind) bool { return p.i < len(p.lines) && p.lines[p.i].Kind == k }

// block reads statements until the block's closing brace, or the end for the root (depth 0).
func (p *parser) block(g Grammar, depth int) (nodes []*Node, end source.Pos) {
	for line := p.next(); line != nil; line = p.next() {
		switch line.Kind {
		case source.Open:
			p.report.Add(source.UnexpectedOpen, line.At, "Unexpected '{' - ignoring").Hint =
				"what follows is read as part of the surrounding block"
			continue
		case source.Close:
			if depth > 0 {
				return nodes, line.At
			}
			p.report.Add(source.UnknownKeyword, line.At, "Unknown keyword '}'")
			continue
		}
		n := &Node{Key: line.Words[0], Args: line.Words[1:], Raw: line.Raw, End: line.At}
		shape, sub := g.Lookup(n.Key.Text)
		switch shape {
		case Unknown:
			d := p.report.Add(source.UnknownKeyword, n.At(), "Unknown keyword '%s'", n.Key.Text)
			if s := g.Suggest(n.Key.Text); s != "" {
				d.Hint = fmt.Sprintf("did you mean '%s'?", s)
			}
			continue
		case Block:
			if !p.begin(n) {
				continue
			}
			n.Body, n.End = p.block(sub, depth+1)
		case List:
			if len(n.Args) > 0 {
				p.report.Errorf(n.Args[0].At, "Unexpected '%s' between %s and its block - ignoring it", n.Args[0].Text, n.Key.Text)
			}
			if p.peek(source.Open) {
				p.next()
			} else {
				p.report.Notef(n.At(), "'{' is missing after %s", n.Key.Text).Hint = "the following lines are taken as its entries"
			}
			n.Body, n.End = p.list(n)
		}
		nodes = append(nodes, n)
	}
	return nodes, source.Pos{}
}

// begin takes the opening brace of a block. Without it the following line is lost and what comes then is read in the surrounding block.
func (p *parser) begin(n *Node) bool {
	if p.peek(source.Open) {
		p.next()
		return true
	}
	at := n.At()
	if line := p.next(); line != nil {
		at = line.At
	}
	p.report.Add(source.MissingOpen, at, "'{' is missing after %s", n.Key.Text).Hint = "this line is ignored, and the block is not there"
	return false
}

func (p *parser) list(of *Node) (entries []*Node, end source.Pos) {
	for line := p.next(); line != nil; line = p.next() {
		switch line.Kind {
		case source.Open:
			p.report.Add(source.UnexpectedOpen, line.At, "Unexpected '{' in %s - ignoring it", of.Key.Text)
		case source.Close:
			return entries, line.At
		default:
			entries = append(entries, &Node{Key: line.Words[0], Args: line.Words[1:], Raw: line.Raw, End: line.At})
		}
	}
	return entries, source.Pos{}
}
