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
	"strings"

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

	list bool
	Bare bool // its opening brace is missing
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
	// Home returns the blocks that have a keyword.
	Home(keyword string) []string
}

// Parse builds the tree of a whole configuration: what each process understands of it, in the order of the text.
func Parse(text *source.Reading, root Root, r *source.Report) (all []*Node) {
	before := r.Clone()
	if _, agreed := Walk(text, root, "", r, func(n *Node) { all = append(all, n) }); agreed {
		return all
	}
	*r, all = *before, nil
	taken := map[source.Pos]bool{}
	told := map[finding]bool{}
	for part := Parent; part <= BFD; part <<= 1 {
		p := &parser{text: text.Cursor(), report: r, part: part, root: root, told: told}
		nodes, _, _ := p.block(root, 0)
		if p.open > 0 {
			d := p.add(source.MissingClose, source.Pos{}, "There are %d missing '}'s or extra '{'s", p.open)
			for _, n := range p.unclosed[:min(len(p.unclosed), 3)] {
				d.With("still open is "+n.Key.Text+" at", n.At())
			}
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

// Walk hands over the outermost statements one after the other, so that not all of them need be there at once. Blocks of the keyword later
// are passed over. If a brace is not where it has to be agreed is false: the processes may understand such a text in
// different ways, so that what was handed over and found does not count, and it is a case for Parse.
func Walk(text *source.Reading, root Root, later string, r *source.Report, take func(*Node)) (passed Passed, agreed bool) {
	p := &parser{text: text.Cursor(), report: r, part: EveryPart, root: root}
	passed.parser = p
	lists := map[string]*Node{}
	for !p.odd {
		mark := p.text.Mark
		line, more := p.next()
		switch {
		case !more || line.Kind != source.Text:
			return passed, !more && !p.odd
		case line.Words[0].Text != later:
			n, _ := p.statement(line, root, 0, lists)
			if n != nil && n.list {
				lists[n.Key.Text] = n
			}
			if n != nil && !p.odd {
				take(n)
			}
		default:
			passed.marks = append(passed.marks, mark)
			p.begin(&Node{Key: line.Words[0]})
			if _, closed := p.text.Skip(); !closed {
				p.odd = true
			}
			p.open--
		}
	}
	return passed, false
}

// Passed are the blocks that Walk passed over.
type Passed struct {
	parser *parser
	marks  []source.Mark
}

// Len is their number.
func (s *Passed) Len() int { return len(s.marks) }

// Read reads one of them, as Walk does others.
func (s *Passed) Read(i int, r *source.Report) (n *Node, agreed bool) {
	p := s.parser
	p.report = r
	p.text.Back(s.marks[i])
	line, _ := p.next()
	n, _ = p.statement(line, p.root, 0, nil)
	return n, !p.odd
}

type parser struct {
	text   source.Cursor
	open   int // braces open, stray ones included
	report *source.Report
	part   Parts // one, or EveryPart while there is no cause for them to differ
	root   Root
	told   map[finding]bool // by this part and those before it; nil: it is the only one
	odd    bool             // a brace was not where it has to be

	around   []enclosing // the blocks being read, outermost first
	unclosed []*Node     // blocks that the end left open, innermost first
}

// enclosing is a block, and the grammar that it is a statement of.
type enclosing struct {
	node    *Node
	grammar Grammar
}

type finding struct {
	class source.Class
	at    source.Pos
	text  string
}

// add reports what no other part has.
func (p *parser) add(c source.Class, at source.Pos, format string, args ...any) *source.Diagnostic {
	if p.told == nil || p.report.Full() {
		return p.report.Add(c, at, format, args...)
	}
	f := finding{c, at, fmt.Sprintf(format, args...)}
	if p.told[f] {
		return &source.Diagnostic{}
	}
	p.told[f] = true
	return p.report.Add(c, at, "%s", f.text)
}

// stray is add for what is due to a brace that is not where it has to be.
func (p *parser) stray(c source.Class, at source.Pos, format string, args ...any) *source.Diagnostic {
	p.odd = true
	return p.add(c, at, format, args...)
}

// next takes a line and counts its brace; false at the end.
func (p *parser) next() (line source.Line, ok bool) {
	line, ok = p.text.Next()
	switch {
	case !ok:
		p.odd = p.odd || p.open > 0
	case line.Kind == source.Open:
		p.open++
	case line.Kind == source.Close:
		if p.open--; p.open < 0 {
			p.open = 0
			p.stray(source.UnexpectedClose, line.At, "Unexpected '}' - there is no open '{'")
		}
	}
	return line, ok
}

func (p *parser) peek(k source.Kind) bool {
	kind, more := p.text.Peek()
	return more && kind == k
}

// block reads statements until the block's closing brace, or the end for the root (depth 0). It returns false for a block that has to be
// dropped.
func (p *parser) block(g Grammar, depth int) (nodes []*Node, end source.Pos, ok bool) {
	var lists map[string]*Node
	for line, more := p.next(); more; line, more = p.next() {
		switch line.Kind {
		case source.Open:
			p.stray(source.UnexpectedOpen, line.At, "Unexpected '{' - ignoring").Hint =
				"what follows is read as part of the surrounding block"
			continue
		case source.Close:
			if depth > 0 {
				return nodes, line.At, true
			}
			p.stray(source.UnknownKeyword, line.At, "Unknown keyword '}'")
			continue
		}
		n, drop := p.statement(line, g, depth, lists)
		switch {
		case drop:
			return nil, source.Pos{}, false
		case n == nil:
			continue
		case n.list:
			if lists == nil {
				lists = map[string]*Node{}
			}
			lists[n.Key.Text] = n
		}
		nodes = append(nodes, n)
	}
	return nodes, source.Pos{}, true
}

// statement reads a statement that begins with a line; nil: it has to be left out. The lists are those of the block so far: a second one of a
// kind may be a reason to drop the block.
func (p *parser) statement(line source.Line, g Grammar, depth int, lists map[string]*Node) (n *Node, drop bool) {
	n = &Node{Key: line.Words[0], Args: line.Words[1:], Raw: line.Raw, End: line.At}
	shape, sub := g.Lookup(n.Key.Text)
	if depth == 0 && shape > Leaf && p.root.Parts(n.Key.Text)&p.part == 0 {
		if !p.skip() {
			p.unclosed = append(p.unclosed, n)
		}
		return nil, false
	}
	switch shape {
	case Unknown:
		switch d := p.add(source.UnknownKeyword, n.At(), "Unknown keyword '%s'", n.Key.Text); {
		case d.Text == "": // it is only counted
		case strings.HasSuffix(n.Key.Text, `\`):
			d.Hint = "a backslash at the end of a line, even of a remark, is part of it, and continues nothing but a definition"
		default:
			p.unknown(d, n.Key.Text, g)
		}
		return nil, false
	case Block:
		p.begin(n)
		var ok bool
		p.around = append(p.around, enclosing{n, g})
		n.Body, n.End, ok = p.block(sub, depth+1)
		p.around = p.around[:len(p.around)-1]
		if !ok {
			return nil, false
		}
		p.ended(n)
	case List, ListOnce:
		n.list = true
		if len(n.Args) > 0 {
			p.add(source.Error, n.Args[0].At, "Unexpected '%s' between %s and its block - ignoring it", n.Args[0].Text, n.Key.Text)
		}
		if p.peek(source.Open) {
			p.next()
		} else {
			p.stray(source.Note, n.At(), "'{' is missing after %s", n.Key.Text).Hint = "the following lines are taken as its entries"
		}
		n.Body, n.End = p.list(n)
		p.ended(n)
		if first := lists[n.Key.Text]; shape == ListOnce && first != nil {
			d := p.stray(source.Error, n.At(), "%s is already specified - dropping the block around it", n.Key.Text)
			d.With("first specified at", first.At()).Hint = "what follows is read as part of the block around that"
			return nil, true
		}
	}
	return n, false
}

// unknown says what may be meant by a keyword that the block does not have: that of a block around it, of which it is not known that it goes
// on, one of another block, or one that is spelt like it.
func (p *parser) unknown(d *source.Diagnostic, keyword string, g Grammar) {
	for i, b := range slices.Backward(p.around) {
		if shape, _ := b.grammar.Lookup(keyword); shape != Unknown {
			d.With(p.around[i].node.Key.Text+" begins at", p.around[i].node.At()).Hint = fmt.Sprintf("is the '}' of %s missing above?", p.around[i].node.Key.Text)
			return
		}
	}
	home := p.root.Home(keyword)
	switch s := g.Suggest(keyword); {
	case len(home) > 0 && len(home) <= 3:
		d.Hint = "it belongs in " + strings.Join(home, " or ")
	case s != "":
		d.Hint = fmt.Sprintf("did you mean '%s'?", s)
	}
}

// ended notes a block that the end of the text leaves open.
func (p *parser) ended(n *Node) {
	if !n.End.IsSet() {
		p.unclosed = append(p.unclosed, n)
	}
}

// begin takes the opening brace of a block. Without it the block is read all the same, but the brace that closes it is one too many, and
// processes that have nothing to do with the block do not know its lines.
func (p *parser) begin(n *Node) {
	if p.peek(source.Open) {
		p.next()
		return
	}
	p.odd, n.Bare = true, true
	ahead := p.text
	if line, more := ahead.Next(); more {
		p.add(source.MissingOpen, line.At, "'{' is missing after %s - going on as if it were there", n.Key.Text).
			With("which begins at", n.At())
	}
}

// skip passes over the block of another process; false: it has no end.
func (p *parser) skip() bool {
	if !p.peek(source.Open) {
		return true
	}
	p.next()
	for depth := 1; depth > 0; {
		line, more := p.next()
		switch {
		case !more:
			return false
		case line.Kind == source.Open:
			depth++
		case line.Kind == source.Close:
			depth--
		}
	}
	return true
}

func (p *parser) list(of *Node) (entries []*Node, end source.Pos) {
	for line, more := p.next(); more; line, more = p.next() {
		switch line.Kind {
		case source.Open:
			p.stray(source.UnexpectedOpen, line.At, "Unexpected '{' in %s - ignoring it", of.Key.Text)
		case source.Close:
			return entries, line.At
		default:
			entries = append(entries, &Node{Key: line.Words[0], Args: line.Words[1:], Raw: line.Raw, End: line.At})
		}
	}
	return entries, source.Pos{}
}
