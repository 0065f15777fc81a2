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
	text  string // of a file, with nothing in it but words, braces and remarks
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

// Cursor goes through the lines of a Reading. A copy of it stays where it is.
type Cursor struct {
	parts []part // not read to their ends
	i     int    // in the first of them: offset or index
	slab  []Word // where the next words go: one allocation serves many lines
}

// What a byte is to the splitting of a line.
const (
	inWord byte = iota
	isBlank
	isEnd // of a line
	isRemark
	isBrace
	isSpecial // needs more than splitting
)

var classes = [256]byte{' ': isBlank, '\t': isBlank, '\v': isBlank, '\f': isBlank, '\r': isBlank, '\n': isEnd, '#': isRemark, '!': isRemark,
	'{': isBrace, '}': isBrace, 0: isSpecial, '\\': isSpecial, '"': isSpecial, '$': isSpecial}

// Next returns the next line; false at the end.
func (c *Cursor) Next() (Line, bool) {
	for len(c.parts) > 0 {
		p := &c.parts[0]
		if c.i < len(p.lines) {
			c.i++
			return p.lines[c.i-1], true
		}
		if line, ok := c.split(p); ok {
			return line, true
		}
		c.parts, c.i = c.parts[1:], 0
	}
	return Line{}, false
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
		case isBrace:
			if begin < 0 {
				c.i = i + 1
				kind := Open
				if s[i] == '}' {
					kind = Close
				}
				return Line{Kind: kind, At: Pos{p.first + uint32(i)}}, true
			}
			c.i = i
			return c.statement(p, begin, end, words), true
		case isRemark:
			if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(s)
			}
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
