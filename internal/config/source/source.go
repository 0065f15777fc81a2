// Package source turns the bytes of configuration files into logical lines of words with their positions: remarks, conditions,
// definitions, generators, includes, quotes and braces, but no keyword (language.md of keepalived's behaviour: sections 1 to 8).
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// Word is one word of a logical line, without its quotes.
type Word struct {
	Text   string
	Quoted bool
	At     Pos
}

// Kind says what a logical line is.
type Kind uint8

const (
	Text  Kind = iota
	Open       // {
	Close      // }
)

// Line is one logical line: a statement or a brace.
type Line struct {
	Kind  Kind
	Words []Word // at least one if Kind is Text
	Raw   string // the text of the statement, quotes and backslashes included, for values that are split by other rules
	At    Pos
}

// Files is the file system the configuration is read from. It is not an fs.FS, since that refuses absolute and ".." names.
type Files interface {
	Open(name string) (fs.File, error)
	// Glob returns the names matching a pattern of *, ? and [], sorted.
	Glob(pattern string) ([]string, error)
}

// Env is what a text may depend on besides its files.
type Env struct {
	ConfigID string                  // for @id lines and ${_INSTANCE}
	Getenv   func(string) string     // for ${_ENV NAME}; nil: all are empty
	Random   func(low, high int) int // for ${_RANDOM}, bounds inclusive; nil: always low
	CheckAll bool                    // -e: every include check from the start
}

// Bounds on what a configuration can make us do; keepalived has only the first.
const (
	maxLine    = 1022     // bytes of a physical line without its newline, and of an expanded line
	maxDepth   = 32       // nested includes, generators and definitions
	maxLines   = 1 << 22  // logical lines
	maxMade    = 1 << 18  // logical lines made by generators and multi-line definitions
	maxBytes   = 64 << 20 // bytes of all files together
	maxWork    = 1 << 26  // characters handled, a line counting as 64 more
	maxExpands = 4096     // substitutions in one line
)

// Load reads the configuration called name, which may be a pattern, and everything it includes.
//
// Differs from keepalived: a missing or unusable main file is always an error, not only with -e.
func Load(files Files, name string, env Env, r *Report) *Reading {
	l := &loader{files: files, env: env, report: r, defs: map[string]definition{}, out: &Reading{}, next: 1}
	if env.CheckAll {
		l.level = checkAll
	}
	names := []string{name}
	if hasMeta(name) {
		var err error
		if names, err = files.Glob(name); err != nil || len(names) == 0 {
			r.Refuse(FileNotFound, Pos{}, "Config files missing '%s'.", name)
			return l.out
		}
	}
	for _, n := range names {
		if text, problem := l.read(n); problem != "" {
			r.Refuse(FileNotFound, Pos{}, "Configuration file '%s' %s", n, problem)
		} else {
			l.file(n, text, Place{})
		}
	}
	if len(names) > 1 {
		r.Add(MultipleFiles, Pos{}, "More than one configuration file matches '%s'", name)
	}
	return l.out
}

type loader struct {
	files  Files
	env    Env
	report *Report

	defs   map[string]definition
	out    *Reading
	level  check    // include checks in force
	stack  []string // files being read, outermost first
	bytes  int
	work   int
	nested int // definitions and generators that the text comes through
	made   int // logical lines from there
	lines  int // logical lines that are not left to a Cursor
	gaveUp bool
	chars  [maxLine]char // of the line being read
	words  Cursor        // for its slab
	spare  []Word        // of lines that nothing keeps
	depth  int           // of braces
	block  string        // the keyword outside of all braces whose block this may be

	here  span   // of the file and line being read
	begin uint32 // place of that line
	last  uint32 // place of the last logical line
	next  uint32 // the first place that is nothing's yet
	moved bool   // it is beyond the end of that line
}

// char is one byte of text with the column it was read from, which survives substitution.
type char struct {
	b   byte
	lit bool // was escaped: never starts a remark
	col uint16
}

// read returns the text of a file, or what is wrong with the file.
func (l *loader) read(name string) (text string, problem string) {
	f, err := l.files.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", "does not exist"
		}
		return "", "cannot be opened: " + reason(err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return "", "cannot be examined: " + reason(err)
	case st.IsDir():
		return "", "is a directory"
	case !st.Mode().IsRegular():
		return "", "is not a regular file"
	case st.Mode()&0o111 != 0:
		return "", "is executable, so it is no configuration file"
	}
	left := int64(maxBytes - l.bytes)
	var all strings.Builder
	all.Grow(int(min(st.Size(), left)))
	if _, err = io.Copy(&all, io.LimitReader(f, left+1)); err != nil {
		return "", "cannot be read: " + reason(err)
	}
	if int64(all.Len()) > left {
		return "", fmt.Sprintf("is too long: all files together may have %d MB", maxBytes>>20)
	}
	l.bytes += all.Len()
	return all.String(), ""
}

// reason strips the operation and name that the caller already tells.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// file reads one file's lines; from is the place of the include.
func (l *loader) file(name, all string, from Place) {
	origin := &Origin{File: name, file: &file{text: all}}
	if from.IsSet() {
		origin.Via = &Via{How: "included from", At: from}
	}
	level, here, begin := l.level, l.here, l.begin
	l.stack = append(l.stack, name)
	l.moved = true
	defer func() {
		l.stack, l.level, l.here, l.begin, l.moved = l.stack[:len(l.stack)-1], level, here, begin, true
	}()

	collecting := "" // name of the multi-line definition whose body is being read
	var body definition
	finish := func() {
		if collecting != "" {
			l.defs[collecting] = body
			collecting = ""
		}
	}
	for n, offset := 1, 0; offset < len(all) && !l.gaveUp; n++ {
		if l.moved {
			l.here = span{first: l.next, offset: uint32(offset), origin: origin}
			l.report.spans = append(l.report.spans, l.here)
			l.moved = false
		}
		l.begin = l.here.first + uint32(offset) - l.here.offset
		if collecting == "" {
			if lines, end := l.plain(all[offset:]); end > 0 {
				l.leave(all[offset:offset+end], l.begin)
				n += lines - 1
				offset += end
				l.next = l.begin + uint32(end)
				continue
			}
		}
		raw, _, _ := strings.Cut(all[offset:], "\n")
		offset += len(raw) + 1
		l.next = l.begin + uint32(len(raw)) + 1
		at := Place{Origin: origin, Line: n, Col: 1}
		if len(raw) > maxLine {
			// Differs from keepalived: the line is skipped whole, its rest is not taken as a further line.
			l.report.Errorf(l.pos(at), "line is too long: at most %d bytes - ignoring it", maxLine)
			continue
		}
		if strings.IndexByte(raw, 0) >= 0 {
			l.report.Errorf(l.pos(at), "line has a NUL byte - ignoring it")
			continue
		}
		// Nothing keeps these characters: definitions have copies.
		chars := l.chars[:len(raw)]
		for i := range len(raw) {
			chars[i] = char{b: raw[i], col: uint16(i + 1)}
		}
		chars = l.stripRemarks(chars, at)
		if collecting != "" {
			rest, more := continued(chars)
			if len(chars) > 0 {
				body.lines = append(body.lines, slices.Clone(rest))
			}
			if !more {
				finish()
			}
			continue
		}
		if len(chars) == 0 {
			continue
		}
		if def, value, ok := l.definition(l.condition(chars)); ok {
			if first, more := continued(value); more {
				collecting, body = def, definition{at: at, multi: true}
				l.report.defined = append(l.report.defined, l.pos(at))
				if len(first) > 0 {
					body.lines = append(body.lines, slices.Clone(first))
				}
				continue
			}
		}
		l.line(chars, at, 0)
	}
	finish()
}

// plain returns how many lines at the begin of a text have nothing in them but words, quotes, braces and remarks, which most have, and where
// they end.
func (l *loader) plain(text string) (lines, end int) {
	for begin := 0; begin < len(text); {
		i := begin
		for i < len(text) && classes[text[i]] == isBlank {
			i++
		}
		if i < len(text) && directive(text[i:]) {
			return lines, begin
		}
		braces, words := false, false
	line:
		for ; i < len(text); i++ {
			switch classes[text[i]] {
			case inWord:
				words = true
			case isQuote:
				words = true
				if i = closing(text, i); i < 0 {
					return lines, begin
				}
			case isSpecial:
				return lines, begin
			case isBrace:
				braces = true
				next := i + 1
				for next < len(text) && classes[text[next]] == isBlank {
					next++
				}
				if directive(text[next:]) {
					return lines, begin
				}
			case isRemark:
				from := i
				if i = lineEnd(text, i); strings.HasSuffix(strings.TrimRight(text[from:i], " \t\v\f\r"), `\`) {
					return lines, begin
				}
				break line
			case isEnd:
				break line
			}
		}
		if i-begin > maxLine {
			return lines, begin
		}
		if braces || words && (l.depth == 0 || l.block == "global_defs") {
			l.followAll(text[begin:i], l.begin+uint32(begin))
		}
		lines++
		begin = min(i+1, len(text))
		end = begin
	}
	return lines, end
}

// leave adds lines that are left to a Cursor.
func (l *loader) leave(text string, first uint32) {
	l.out.parts = append(l.out.parts, part{text: text, first: first})
}

// followAll follows the lines of a text that is left to a Cursor.
func (l *loader) followAll(text string, first uint32) {
	p := part{text: text, first: first}
	c := Cursor{slab: l.spare[:0]}
	for line, ok := c.split(&p); ok; line, ok = c.split(&p) {
		l.follow(&line)
	}
	l.spare = c.slab
}

// follow keeps account of the block that the text is in, and of what is said there about includes.
func (l *loader) follow(line *Line) {
	switch line.Kind {
	case Open:
		if l.depth > 0 || l.block != "" { // else it opens nothing, and counts for nothing
			l.depth++
		}
	case Close:
		l.depth = max(l.depth-1, 0)
		if l.depth == 0 {
			l.block = ""
		}
	default:
		l.includeCheck(line.Words)
		if l.depth == 0 {
			l.block = line.Words[0].Text
		}
	}
}

// maxPlaces bounds the places, of which an expanded line takes as many as it has columns.
const maxPlaces = math.MaxUint32 - 4*maxBytes

// pos returns the Pos of a place in what is being read.
func (l *loader) pos(at Place) Pos {
	if at.Origin == l.here.origin {
		return Pos{l.begin + uint32(at.Col) - 1}
	}
	return Pos{l.make(at) + uint32(at.Col) - 1}
}

// place returns the place of column 0 for the words of a logical line that begins at a place: that in the file, unless
// there was a line there already. What several lines are made of is one place, and they are not one line.
func (l *loader) place(at Place) uint32 {
	first := l.begin
	if at.Origin != l.here.origin || first+uint32(at.Col)-1 <= l.last {
		first = l.make(at)
	}
	l.last = first + uint32(at.Col) - 1
	return first - 1
}

// make returns places for the columns of a line that something is made of.
func (l *loader) make(at Place) (first uint32) {
	if s := &l.report.spans[len(l.report.spans)-1]; s.made > 0 && s.origin == at.Origin && int(s.made) == at.Line && s.first+uint32(at.Col)-1 > l.last {
		return s.first
	}
	first = l.next
	l.report.spans = append(l.report.spans, span{first: first, made: uint32(at.Line), origin: at.Origin})
	l.moved = true
	if l.next += maxLine + 2; l.next > maxPlaces && !l.gaveUp {
		l.gaveUp = true
		l.report.Refuse(Error, Pos{first}, "the definitions make too many lines - the rest of the configuration is not read")
	}
	return first
}

// statement emits the words of a statement, if there are any.
func (l *loader) statement(words []Word, raw string) {
	if len(words) > 0 {
		l.emit(Line{Words: words, Raw: strings.TrimFunc(raw, func(r rune) bool { return r < 0x80 && blank(byte(r)) }), At: words[0].At})
	}
}

// continued cuts the backslash that continues a definition, and the blanks before it.
func continued(c []char) (rest []char, more bool) {
	if len(c) > 0 && c[len(c)-1].b == '\\' {
		return trim(c[:len(c)-1]), true
	}
	return c, false
}

// line treats one line from the condition step on; c has no remarks and no outer blanks.
func (l *loader) line(c []char, at Place, depth int) {
	if depth > maxDepth {
		l.giveUp(l.pos(at), "definitions and generators are nested too deeply")
	}
	if l.work += len(c) + 64; l.work > maxWork {
		l.giveUp(l.pos(at), "the definitions and generators make too much text")
	}
	outer := l.nested
	l.nested = depth
	defer func() { l.nested = outer }()
	c = l.condition(c)
	if len(c) == 0 || l.gaveUp {
		return
	}
	if name, value, ok := l.definition(c); ok {
		if rest, more := continued(value); more {
			value = rest
		}
		l.defs[name] = definition{lines: [][]char{slices.Clone(value)}, at: at}
		if at.Origin == l.here.origin {
			l.report.defined = append(l.report.defined, Pos{l.begin + uint32(c[0].col) - 1})
		}
		return
	}
	if l.generator(c, at, depth) {
		return
	}
	expanded, rest, def := l.expand(c, at)
	if expanded != nil {
		for i := range expanded {
			expanded[i].lit = false // remarks are looked for again
		}
		lead := c[0].b == '$'
		c = trim(l.stripRemarks(expanded, at))
		_, _, defines := l.definition(c)
		if lead && len(c) > 0 && (c[0].b == '@' || c[0].b == '~' || defines) {
			// Differs from keepalived: the newest takes a condition or generator that comes from a parameter as text.
			l.line(c, at, depth+1)
			c = nil
		}
	}
	if len(rest) > 0 {
		if len(c) > 0 {
			l.logical(c, at)
		}
		defined := Place{Origin: &Origin{File: def.at.File, Via: at.Via, file: def.at.file}, Line: def.at.Line, Col: 1}
		at.Origin = &Origin{File: at.File, file: at.file, Via: &Via{How: "expanded from a definition at", At: defined}}
		for _, b := range rest {
			l.line(b, at, depth+1)
		}
		return
	}
	if len(c) == 0 || l.include(c, at) {
		return
	}
	for i := 0; i < len(c); i++ {
		switch c[i].b {
		case '"':
			for i++; i < len(c) && c[i].b != '"'; {
				i++
			}
		case '{', '}':
			// Differs from keepalived: an include there is carried out once.
			if rest := trim(c[i+1:]); directive(text(rest[:min(len(rest), len("include"))])) {
				l.logical(c[:i+1], at)
				l.line(rest, at, depth+1)
				return
			}
		}
	}
	l.logical(c, at)
}

// directive reports whether text that follows a brace, and is a line of its own therefore, begins like a condition, generator, definition or
// include.
func directive(text string) bool {
	return text != "" && strings.IndexByte("@~$", text[0]) >= 0 || strings.HasPrefix(text, "include")
}

func (l *loader) giveUp(at Pos, text string) {
	if !l.gaveUp {
		l.gaveUp = true
		l.report.Refuse(Error, at, "%s - the rest of the configuration is not read", text)
	}
}

// condition returns what an @id or @^id line keeps, and any other line as it is. There is one condition per line: a second @ is text.
func (l *loader) condition(c []char) []char {
	if len(c) == 0 || c[0].b != '@' {
		return c
	}
	word := c[1:]
	end := slices.IndexFunc(word, func(c char) bool { return blank(c.b) })
	var rest []char
	if end >= 0 {
		word, rest = word[:end], trim(word[end:])
	}
	id, not := strings.CutPrefix(text(word), "^")
	if (id == l.env.ConfigID) == not {
		return nil
	}
	return rest
}

// stripRemarks cuts the line at a remark, resolves \# and \!, and cuts outer blanks.
func (l *loader) stripRemarks(c []char, at Place) []char {
	out := make([]char, 0, len(c))
	quoted, quote := false, 0
scan:
	for i := 0; i < len(c); i++ {
		switch b := c[i].b; {
		case b == '\\' && i+1 < len(c):
			next := c[i+1]
			i++
			if !quoted && (next.b == '#' || next.b == '!') {
				next.lit = true
				out = append(out, next)
				continue
			}
			out = append(out, c[i-1], next)
			continue
		case b == '"':
			quoted, quote = !quoted, int(c[i].col)
		case (b == '#' || b == '!') && !quoted && !c[i].lit:
			if rest := trim(c[i:]); endsInBackslash(rest) {
				out = append(out, rest[len(rest)-1])
			}
			break scan
		}
		out = append(out, c[i])
	}
	if quoted {
		at.Col = quote
		l.unmatchedQuote(at)
	}
	out = trim(out)
	if endsInBackslash(out) {
		last := out[len(out)-1]
		out = append(trim(out[:len(out)-1]), last)
	}
	return out
}

// endsInBackslash reports whether a line without outer blanks ends in a backslash that no other one stands for. It belongs to the last word,
// whatever blanks are between, and continues a definition; both even at the end of a remark.
func endsInBackslash(c []char) bool {
	n := 0
	for n < len(c) && c[len(c)-1-n].b == '\\' {
		n++
	}
	return n%2 == 1
}

func (l *loader) unmatchedQuote(at Place) {
	if l.report.Once(fmt.Sprintf("quote %s", at)) {
		l.report.Add(UnmatchedQuote, l.pos(at), `Unterminated quoted string: the closing " is missing`)
	}
}

// logical splits a line at braces and blanks.
func (l *loader) logical(c []char, at Place) {
	raw := text(c)
	words, zero := 0, uint32(0)
	word := func(i, from, to int, quoted bool) {
		if words == 0 {
			at.Col = int(c[i].col)
			zero = l.place(at)
		}
		words++
		l.words.word(Word{Text: raw[from:to], Quoted: quoted, At: Pos{zero + uint32(c[i].col)}}, words)
	}
	start := 0
	statement := func(end int) {
		n := len(l.words.slab)
		l.statement(l.words.slab[n-words:n:n], raw[start:end])
		words, start = 0, end+1
	}
	for i := 0; i < len(c); {
		switch b := c[i].b; {
		case c[i].lit && l.readTwice():
			statement(i)
			return
		case blank(b):
			i++
		case b == '{' || b == '}':
			statement(i)
			at.Col = int(c[i].col)
			l.emit(Line{Kind: braceKind(b), At: Pos{l.place(at) + uint32(at.Col)}})
			i++
		case b == '"':
			n := strings.IndexByte(raw[i+1:], '"')
			if n < 0 {
				at.Col = int(c[i].col)
				l.unmatchedQuote(at)
				statement(len(raw)) // the word is lost, but Raw shows it
				return
			}
			word(i, i+1, i+1+n, true)
			i += n + 2
		default:
			end := i
			for end < len(c) && !blank(c[end].b) && c[end].b != '{' && c[end].b != '}' && c[end].b != '"' && !(c[end].lit && l.readTwice()) {
				end++
			}
			word(i, i, end, false)
			i = end
		}
	}
	statement(len(raw))
}

// readTwice reports whether the text belongs to a block that keepalived's processes read from a copy in which \# and \! are remarks again.
func (l *loader) readTwice() bool { return l.depth > 0 && l.block != "global_defs" }

// emit adds a line that is not left to a Cursor.
func (l *loader) emit(line Line) {
	l.follow(&line)
	if l.nested > 0 {
		l.made++
	}
	if l.lines++; l.lines > maxLines || l.made > maxMade {
		l.giveUp(line.At, "the configuration has too many lines")
		return
	}
	n := len(l.out.parts)
	if n == 0 || l.out.parts[n-1].text != "" {
		l.out.parts = append(l.out.parts, part{})
		n++
	}
	l.out.parts[n-1].lines = append(l.out.parts[n-1].lines, line)
}

// dir is the directory of the file being read.
func (l *loader) dir() string { return filepath.Dir(l.stack[len(l.stack)-1]) }

func blank(b byte) bool {
	return b == ' ' || '\t' <= b && b <= '\r'
}

func trim(c []char) []char {
	for len(c) > 0 && blank(c[0].b) {
		c = c[1:]
	}
	for len(c) > 0 && blank(c[len(c)-1].b) {
		c = c[:len(c)-1]
	}
	return c
}

func text(c []char) string {
	b := make([]byte, len(c))
	for i := range c {
		b[i] = c[i].b
	}
	return string(b)
}

// charsAt makes a replacement: its characters stand at the column of what they replace.
func charsAt(s string, col uint16) []char {
	out := make([]char, len(s))
	for i := range out {
		out[i] = char{b: s[i], col: col}
	}
	return out
}
