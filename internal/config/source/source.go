// Package source turns the bytes of configuration files into logical lines of words with their positions: remarks, conditions,
// definitions, generators, includes, quotes and braces, but no keyword (language.md of keepalived's behaviour: sections 1 to 8).
package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
func Load(files Files, name string, env Env, r *Report) []Line {
	l := &loader{files: files, env: env, report: r, defs: map[string]definition{}}
	if env.CheckAll {
		l.level = checkAll
	}
	names := []string{name}
	if hasMeta(name) {
		var err error
		if names, err = files.Glob(name); err != nil || len(names) == 0 {
			r.Refuse(FileNotFound, Pos{}, "Config files missing '%s'.", name)
			return nil
		}
	}
	for _, n := range names {
		if text, problem := l.read(n); problem != "" {
			r.Refuse(FileNotFound, Pos{}, "Configuration file '%s' %s", n, problem)
		} else {
			l.file(n, text, Pos{})
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
	out    []Line
	seq    int
	level  check    // include checks in force
	stack  []string // files being read, outermost first
	bytes  int
	work   int
	nested int // definitions and generators that the text comes through
	made   int // logical lines from there
	gaveUp bool
	chars  [maxLine]char // of the line being read
	slab   []Word        // where the next words go: one allocation serves many lines
	depth  int           // of braces
	block  string        // the keyword outside of all braces whose block this may be
}

// char is one byte of text with the column it was read from, which survives substitution.
type char struct {
	b   byte
	lit bool // was escaped: never starts a remark
	col uint16
}

// read returns the text of a file, or what is wrong with the file.
func (l *loader) read(name string) (text []byte, problem string) {
	f, err := l.files.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, "does not exist"
		}
		return nil, "cannot be opened: " + reason(err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, "cannot be examined: " + reason(err)
	case st.IsDir():
		return nil, "is a directory"
	case !st.Mode().IsRegular():
		return nil, "is not a regular file"
	case st.Mode()&0o111 != 0:
		return nil, "is executable, so it is no configuration file"
	}
	left := int64(maxBytes - l.bytes)
	text, err = io.ReadAll(io.LimitReader(f, left+1))
	if err != nil {
		return nil, "cannot be read: " + reason(err)
	}
	if int64(len(text)) > left {
		return nil, fmt.Sprintf("is too long: all files together may have %d MB", maxBytes>>20)
	}
	l.bytes += len(text)
	return text, ""
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
func (l *loader) file(name string, text []byte, from Pos) {
	if l.report.files == nil {
		l.report.files = map[string][]byte{}
	}
	l.report.files[name] = text
	origin := &Origin{File: name}
	if from.IsSet() {
		origin.Via = &Via{How: "included from", At: from}
	}
	level := l.level
	l.stack = append(l.stack, name)
	defer func() { l.stack, l.level = l.stack[:len(l.stack)-1], level }()

	l.out = slices.Grow(l.out, min(bytes.Count(text, []byte{'\n'}), maxLines))
	collecting := "" // name of the multi-line definition whose body is being read
	var body definition
	finish := func() {
		if collecting != "" {
			l.defs[collecting] = body
			collecting = ""
		}
	}
	all := string(text)
	l.out = slices.Grow(l.out, strings.Count(all, "\n")+strings.Count(all, "{")+strings.Count(all, "}"))
	for n := 1; len(all) > 0 && !l.gaveUp; n++ {
		var raw string
		raw, all, _ = strings.Cut(all, "\n")
		l.seq++
		at := Pos{Origin: origin, Line: n, Col: 1, Seq: l.seq}
		if len(raw) > maxLine {
			// Differs from keepalived: the line is skipped whole, its rest is not taken as a further line.
			l.report.Errorf(at, "line is too long: at most %d bytes - ignoring it", maxLine)
			continue
		}
		if collecting == "" && l.plain(raw, at) {
			continue
		}
		if strings.IndexByte(raw, 0) >= 0 {
			l.report.Errorf(at, "line has a NUL byte - ignoring it")
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

// special are the bytes that need more than splitting; at the begin of a line there are further ones.
var special = [256]bool{0: true, '\\': true, '"': true, '$': true}

// plain treats a line of words and braces without anything special, which most are, and returns false for others.
func (l *loader) plain(raw string, at Pos) bool {
	begin, end := 0, len(raw)
	for begin < end && blank(raw[begin]) {
		begin++
	}
	if begin == end {
		return true
	}
	if raw[begin] == '@' || raw[begin] == '~' || strings.HasPrefix(raw[begin:], "include") {
		return false
	}
	for i := begin; i < end; i++ {
		if special[raw[i]] {
			return false
		}
		if raw[i] == '#' || raw[i] == '!' {
			end = i
		}
	}
	var words []Word
	start := 0
	place := func(i int) Pos { at.Col = i + 1; return at }
	for i := begin; i < end; {
		switch b := raw[i]; {
		case blank(b):
			i++
		case b == '{' || b == '}':
			if l.statement(words, raw[start:i]); l.gaveUp {
				return true
			}
			words, start = nil, i+1
			l.brace(b, place(i))
			i++
		default:
			from := i
			for i < end && !blank(raw[i]) && raw[i] != '{' && raw[i] != '}' {
				i++
			}
			words = l.word(words, Word{Text: raw[from:i], At: place(from)})
		}
	}
	l.statement(words, raw[start:end])
	return true
}

// word appends to the words of a line.
func (l *loader) word(words []Word, w Word) []Word {
	if len(l.slab) == cap(l.slab) {
		size := min(max(2*cap(l.slab), 32), 8192)
		l.slab = append(make([]Word, 0, size+len(words)), words...)
	}
	l.slab = append(l.slab, w)
	n := len(words) + 1
	return l.slab[len(l.slab)-n : len(l.slab) : len(l.slab)]
}

// statement emits the words of a statement, if there are any.
func (l *loader) statement(words []Word, raw string) {
	if len(words) == 0 {
		return
	}
	l.emit(Line{Words: words, Raw: strings.TrimFunc(raw, func(r rune) bool { return r < 0x80 && blank(byte(r)) }), At: words[0].At})
	l.includeCheck(words)
	if l.depth == 0 {
		l.block = words[0].Text
	}
}

// brace emits a brace.
func (l *loader) brace(b byte, at Pos) {
	kind := Open
	if b == '}' {
		kind = Close
	}
	l.nest(kind)
	l.emit(Line{Kind: kind, At: at})
}

// continued cuts the backslash that continues a definition, and the blanks before it.
func continued(c []char) (rest []char, more bool) {
	if len(c) > 0 && c[len(c)-1].b == '\\' {
		return trim(c[:len(c)-1]), true
	}
	return c, false
}

// line treats one line from the condition step on; c has no remarks and no outer blanks.
func (l *loader) line(c []char, at Pos, depth int) {
	if depth > maxDepth {
		l.giveUp(at, "definitions and generators are nested too deeply")
	}
	if l.work += len(c) + 64; l.work > maxWork {
		l.giveUp(at, "the definitions and generators make too much text")
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
		return
	}
	if l.generator(c, at, depth) {
		return
	}
	expanded, rest, def := l.expand(c, at)
	if expanded != nil {
		lead := c[0].b == '$'
		c = trim(l.stripRemarks(expanded, at))
		if lead && len(c) > 0 && (c[0].b == '@' || c[0].b == '~') {
			// Differs from keepalived: the newest takes a condition or generator that comes from a parameter as text.
			l.line(c, at, depth+1)
			c = nil
		}
	}
	if len(rest) > 0 {
		if len(c) > 0 {
			l.logical(c, at)
		}
		defined := Pos{Origin: &Origin{File: def.at.File, Via: at.Via}, Line: def.at.Line, Col: 1}
		at.Origin = &Origin{File: at.File, Via: &Via{How: "expanded from a definition at", At: defined}}
		for _, b := range rest {
			l.line(b, at, depth+1)
		}
		return
	}
	if len(c) > 0 && !l.include(c, at) {
		l.logical(c, at)
	}
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
func (l *loader) stripRemarks(c []char, at Pos) []char {
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
			break scan
		}
		out = append(out, c[i])
	}
	if quoted {
		at.Col = quote
		l.unmatchedQuote(at)
	}
	return trim(out)
}

func (l *loader) unmatchedQuote(at Pos) {
	if l.report.Once(fmt.Sprintf("quote %s", at)) {
		l.report.Add(UnmatchedQuote, at, `Unterminated quoted string: the closing " is missing`)
	}
}

// logical splits a line at braces and blanks.
func (l *loader) logical(c []char, at Pos) {
	place := func(i int) Pos { at.Col = int(c[i].col); return at }
	raw := text(c)
	var words []Word
	start := 0
	for i := 0; i < len(c); {
		switch b := c[i].b; {
		case c[i].lit && l.readTwice():
			l.statement(words, raw[start:i])
			return
		case blank(b):
			i++
		case b == '{' || b == '}':
			l.statement(words, raw[start:i])
			words, start = nil, i+1
			l.brace(b, place(i))
			i++
		case b == '"':
			n := strings.IndexByte(raw[i+1:], '"')
			if n < 0 {
				l.unmatchedQuote(place(i))
				l.statement(words, raw[start:]) // the word is lost, but Raw shows it
				return
			}
			words = l.word(words, Word{Text: raw[i+1 : i+1+n], Quoted: true, At: place(i)})
			i += n + 2
		default:
			end := i
			for end < len(c) && !blank(c[end].b) && c[end].b != '{' && c[end].b != '}' && c[end].b != '"' && !(c[end].lit && l.readTwice()) {
				end++
			}
			words = l.word(words, Word{Text: raw[i:end], At: place(i)})
			i = end
		}
	}
	l.statement(words, raw[start:])
}

// nest follows the braces.
func (l *loader) nest(kind Kind) {
	if kind == Open {
		l.depth++
		return
	}
	if l.depth > 0 {
		l.depth--
	}
	if l.depth == 0 {
		l.block = ""
	}
}

// readTwice reports whether the text belongs to a block that keepalived's processes read from a copy in which \# and \! are remarks again.
func (l *loader) readTwice() bool { return l.depth > 0 && l.block != "global_defs" }

func (l *loader) emit(line Line) {
	if l.nested > 0 {
		l.made++
	}
	if len(l.out) >= maxLines || l.made > maxMade {
		l.giveUp(line.At, "the configuration has too many lines")
		return
	}
	// Several logical lines may come from one physical line: their order is their own.
	l.seq++
	line.At.Seq = l.seq
	for i := range line.Words {
		line.Words[i].At.Seq = l.seq
	}
	l.out = append(l.out, line)
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
