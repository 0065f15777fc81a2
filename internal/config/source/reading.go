package source

import (
	"iter"
	"strings"
)

// Reading is a configuration as logical lines. Of lines that stand in a file as they are it keeps only the text, from which a Cursor makes
// them: they may be a million.
type Reading struct{ parts []part }

// part is a run of lines.
type part struct {
	text  string // of a file, with nothing in it but words, quotes, braces and remarks
	first uint32 // its place
	lines []Line // or else lines that needed more
}

// All returns all lines.
func (t *Reading) All() iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for c := t.Cursor(); ; {
			if line, ok := c.Next(); !ok || !yield(line) {
				return
			}
		}
	}
}

// Cursor returns a cursor at the begin.
func (t *Reading) Cursor() Cursor { return Cursor{parts: t.parts} }

// Cursor goes through the lines of a Reading. A copy of it goes its own way.
type Cursor struct {
	parts []part
	Mark         // where it is
	slab  []Word // where the next words go: one allocation serves many lines
}

// Mark is where a Cursor was.
type Mark struct {
	part int // index of a part
	i    int // offset or index in it
}

// Back takes the cursor to a place where it, or another one of the same reading, was.
func (c *Cursor) Back(m Mark) { c.Mark = m }

// What a byte is to the splitting of a line.
const (
	inWord byte = iota
	isBlank
	isEnd // of a line
	isRemark
	isBrace
	isQuote
	isSpecial // needs more than splitting
)

var classes = [256]byte{' ': isBlank, '\t': isBlank, '\v': isBlank, '\f': isBlank, '\r': isBlank, '\n': isEnd, '#': isRemark, '!': isRemark,
	'{': isBrace, '}': isBrace, 0: isSpecial, '"': isQuote, '\\': isSpecial, '$': isSpecial}

// Next returns the next line; false at the end.
func (c *Cursor) Next() (Line, bool) {
	for ; c.part < len(c.parts); c.part, c.i = c.part+1, 0 {
		p := &c.parts[c.part]
		if c.i < len(p.lines) {
			c.i++
			return p.lines[c.i-1], true
		}
		if line, ok := c.split(p); ok {
			return line, true
		}
	}
	return Line{}, false
}

// Peek returns the kind of the next line; false at the end.
func (c *Cursor) Peek() (Kind, bool) {
	for ; c.part < len(c.parts); c.part, c.i = c.part+1, 0 {
		p := &c.parts[c.part]
		if c.i < len(p.lines) {
			return p.lines[c.i].Kind, true
		}
		for c.i < len(p.text) {
			switch b := p.text[c.i]; classes[b] {
			case inWord, isQuote:
				return Text, true
			case isBrace:
				return braceKind(b), true
			case isRemark:
				c.i = lineEnd(p.text, c.i)
			default:
				c.i++
			}
		}
	}
	return Text, false
}

// Skip passes over the rest of a block, up to and with the brace that closes it, and returns the place of that; false if there is none.
func (c *Cursor) Skip() (end Pos, ok bool) {
	for depth := 1; c.part < len(c.parts); c.part, c.i = c.part+1, 0 {
		p := &c.parts[c.part]
		for ; c.i < len(p.lines); c.i++ {
			switch p.lines[c.i].Kind {
			case Open:
				depth++
			case Close:
				if depth--; depth == 0 {
					c.i++
					return p.lines[c.i-1].At, true
				}
			}
		}
		for c.i < len(p.text) {
			switch b := p.text[c.i]; {
			case b == '{':
				depth++
			case b == '}':
				if depth--; depth == 0 {
					c.i++
					return Pos{p.first + uint32(c.i-1)}, true
				}
			case b == '"':
				c.i = closing(p.text, c.i)
			case classes[b] == isRemark:
				c.i = lineEnd(p.text, c.i)
				continue
			}
			c.i++
		}
	}
	return Pos{}, false
}

func braceKind(b byte) Kind {
	if b == '{' {
		return Open
	}
	return Close
}

// closing is where the quote ends that begins at i; -1: not in that line, or there is something in it that needs more than splitting.
func closing(s string, i int) int {
	for i++; i < len(s); i++ {
		switch classes[s[i]] {
		case isQuote:
			return i
		case isEnd, isSpecial:
			return -1
		}
	}
	return -1
}

// lineEnd is where the line ends in which i is.
func lineEnd(s string, i int) int {
	if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(s)
}

// split returns the next line of a text.
func (c *Cursor) split(p *part) (line Line, ok bool) {
	s := p.text
	begin, end, words := -1, 0, 0
	for i := c.i; i < len(s); {
		switch classes[s[i]] {
		case inWord:
			from := i
			for i++; i < len(s) && classes[s[i]] == inWord; i++ {
			}
			if begin < 0 {
				begin = from
			}
			end = i
			words++
			c.word(Word{Text: s[from:i], At: Pos{p.first + uint32(from)}}, words)
			continue
		case isQuote:
			from := i
			i = closing(s, i)
			if begin < 0 {
				begin = from
			}
			end = i + 1
			words++
			c.word(Word{Text: s[from+1 : i], Quoted: true, At: Pos{p.first + uint32(from)}}, words)
		case isBrace:
			if begin < 0 {
				c.i = i + 1
				return Line{Kind: braceKind(s[i]), At: Pos{p.first + uint32(i)}}, true
			}
			c.i = i
			return c.statement(p, begin, end, words), true
		case isRemark:
			i = lineEnd(s, i)
			fallthrough
		case isEnd:
			if begin >= 0 {
				c.i = i
				return c.statement(p, begin, end, words), true
			}
		}
		i++
	}
	c.i = len(s)
	if begin < 0 {
		return Line{}, false
	}
	return c.statement(p, begin, end, words), true
}

func (c *Cursor) statement(p *part, begin, end, words int) Line {
	n := len(c.slab)
	return Line{Words: c.slab[n-words : n : n], Raw: p.text[begin:end], At: Pos{p.first + uint32(begin)}}
}

// word puts the nth word of a line to those before it.
func (c *Cursor) word(w Word, n int) {
	if len(c.slab) == cap(c.slab) {
		size := min(max(2*cap(c.slab), 32), 4096)
		c.slab = append(make([]Word, 0, size+n), c.slab[len(c.slab)-n+1:]...)
	}
	c.slab = append(c.slab, w)
}
