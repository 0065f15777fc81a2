// Package layout rewrites a configuration file in the canonical layout: four blanks per block, one statement a line, "{" at the end of
// the line that opens a block and "}" on a line of its own, at most one empty line, one blank between words.
//
// It works on lines as they are written: remarks, order, includes, conditions, definitions and generators stay. Where the parser takes a
// physical line as a whole (a condition, a definition, a generator, an include), or where blanks may matter to a value (', \ and $), only
// the indentation and outer blanks change.
package layout

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

const (
	indent = "    "
	// maxLine is the longest line that is read, see source: a longer one must not become readable, nor the other way round.
	maxLine = 1022
)

// Format returns text in the canonical layout. It refuses, instead of returning a text that would be read differently.
func Format(text []byte) ([]byte, error) {
	f := &formatter{tight: true}
	for line := range bytes.Lines(text) {
		f.line(strings.TrimSuffix(string(line), "\n"))
	}
	f.flush()
	out := render(f.out)
	if diff := difference(text, out); diff != "" {
		return nil, fmt.Errorf("the result would be read differently: %s", diff)
	}
	return out, nil
}

type formatter struct {
	out   []printed
	depth int
	empty bool // an empty line is due
	tight bool // the last line opens a block, or there is none: no empty line follows

	body   bool // in the body of a multi-line definition
	inner  int  // blocks open in that body
	choice bool // the last line is a condition: its braces have been counted for the alternatives to it

	waiting *statement // the last statement, which the brace of the next line may join
}

type statement struct{ code, remark string }

// printed is a line of the result; without code and remark raw is printed.
type printed struct {
	depth             int
	code, remark, raw string
}

var (
	define  = pattern(`^(@\S*[ \t\v\f\r]+)?\$[A-Za-z_][A-Za-z0-9_]*=`)
	include = pattern(`^include[rmwba]?([ \t\v\f\r]|$)`)
)

// pattern is compiled at its first use, since the daemon has none.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

func isBlank(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }

// line takes one physical line.
func (f *formatter) line(raw string) {
	if len(raw) > maxLine || strings.IndexByte(raw, 0) >= 0 {
		f.flush()
		f.space()
		f.write(raw) // the parser skips it, and must go on doing so
		return
	}
	code, remark := split(raw)
	if f.body {
		f.bodyLine(code, remark, raw)
		return
	}
	choice := strings.HasPrefix(code, "@")
	defer func() { f.choice = choice }()
	switch list, ok := pieces(code); {
	case code == "" && remark == "":
		f.empty = true
		choice = f.choice
	case code == "":
		f.flush()
		f.emit(f.depth, "", remark, raw)
	case ok && !backslash(remark) && (f.depth+len(list))*len(indent)+len(code)+len(remark)+4 <= maxLine:
		for i, p := range list {
			tail := remark
			if i < len(list)-1 {
				tail = ""
			}
			f.piece(p, tail)
		}
	default:
		f.whole(code, remark, raw)
	}
}

// piece prints a statement or a brace.
func (f *formatter) piece(p, remark string) {
	switch p {
	case "{":
		f.open(remark)
	case "}":
		f.flush()
		f.empty = false
		f.depth = max(0, f.depth-1)
		f.emit(f.depth, p, remark, "")
	default:
		f.flush()
		f.space()
		f.waiting = &statement{p, remark}
	}
}

// open prints a brace: behind the statement that waits for one, unless both have a remark.
func (f *formatter) open(remark string) {
	s := f.waiting
	if s != nil && (s.remark == "" || remark == "") &&
		f.depth*len(indent)+len(s.code)+len(s.remark)+len(remark)+4 <= maxLine {
		f.waiting, f.empty = nil, false
		f.emit(f.depth, s.code+" {", s.remark+remark, "")
	} else {
		f.flush()
		f.empty = false
		f.emit(f.depth, "{", remark, "")
	}
	f.depth++
	f.tight = true
}

// whole prints a line of which only the indentation may change.
func (f *formatter) whole(code, remark, raw string) {
	f.flush()
	lead, delta := braces(code)
	if f.choice && code[0] == '@' {
		// An alternative to the line before: it stands as deep as that one, and only one of them counts.
		_, lead = braces(code)
		f.emit(max(0, f.depth-max(0, lead)), code, remark, raw)
		f.tight = delta > 0
		return
	}
	f.emit(max(0, f.depth-lead), code, remark, raw)
	if define().MatchString(code) {
		f.body, f.inner = strings.HasSuffix(code, `\`) || backslash(remark), 0
		return
	}
	f.depth = max(0, f.depth+delta)
	f.tight = delta > 0
}

// bodyLine takes a line of a multi-line definition; the first that does not end in a backslash is the last.
func (f *formatter) bodyLine(code, remark, raw string) {
	lead, delta := braces(code)
	f.emit(max(1, f.depth+1+f.inner-lead), code, remark, raw) // an empty line ends the definition, so that it stays
	f.inner = max(0, f.inner+delta)
	f.body = strings.HasSuffix(code, `\`) || backslash(remark)
	f.tight = code == "" && remark == ""
}

// flush prints the statement that waits in vain for a brace.
func (f *formatter) flush() {
	if s := f.waiting; s != nil {
		f.waiting = nil
		empty := f.empty
		f.empty = false
		f.emit(f.depth, s.code, s.remark, "")
		f.empty = empty
	}
}

// space prints the empty line that is due.
func (f *formatter) space() {
	if f.empty && !f.tight {
		f.out = append(f.out, printed{})
	}
	f.empty, f.tight = false, false
}

// emit prints a line; one that would be too long to be read stays as it was, in raw.
func (f *formatter) emit(depth int, code, remark, raw string) {
	f.space()
	f.out = append(f.out, printed{depth, code, remark, raw})
}

// write prints a line as it was.
func (f *formatter) write(raw string) { f.out = append(f.out, printed{raw: raw}) }

// render puts the remarks of neighbouring lines under each other.
func render(lines []printed) []byte {
	var out bytes.Buffer
	for len(lines) > 0 {
		n, width := 0, 0
		for n < len(lines) && lines[n].code != "" && lines[n].remark != "" && lines[n].depth == lines[0].depth {
			width = max(width, utf8.RuneCountInString(lines[n].code))
			n++
		}
		for _, l := range lines[:max(1, n)] {
			out.WriteString(l.text(width))
			out.WriteByte('\n')
		}
		lines = lines[max(1, n):]
	}
	return out.Bytes()
}

func (l printed) text(width int) string {
	if l.code+l.remark == "" {
		return l.raw
	}
	margin, gap := strings.Repeat(indent, l.depth), ""
	if l.code != "" && l.remark != "" {
		gap = strings.Repeat(" ", max(0, width-utf8.RuneCountInString(l.code))+1)
	}
	for _, gap := range []string{gap, gap[:min(1, len(gap))]} {
		if text := margin + l.code + gap + l.remark; len(text) <= maxLine {
			return text
		}
	}
	return l.raw
}

// split cuts a line at its remark and trims both, by the rules of the parser.
func split(raw string) (code, remark string) {
	quoted := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\\' && i+1 < len(raw):
			i++
		case c == '"':
			quoted = !quoted
		case (c == '#' || c == '!') && !quoted:
			return trim(raw[:i]), trim(raw[i:])
		}
	}
	return trim(raw), ""
}

// backslash reports whether a text ends in a backslash that no other one stands for: it belongs to the last word of the line, and continues
// a definition, even at the end of a remark.
func backslash(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

func trim(s string) string { return strings.TrimFunc(s, isBlank) }

// pieces cuts a line without its remark into statements, of which the words are one blank apart, and braces. It returns false for a line
// that has to stay whole.
func pieces(code string) (list []string, ok bool) {
	if code == "" || strings.ContainsAny(code, `'\$`) || strings.Count(code, `"`)%2 != 0 {
		return nil, false
	}
	var b strings.Builder
	end := func() {
		if b.Len() > 0 {
			list = append(list, b.String())
			b.Reset()
		}
	}
	gap := false
	for i := 0; i < len(code); i++ {
		c := code[i]
		switch {
		case isBlank(rune(c)):
			gap = true
			continue
		case c == '{' || c == '}':
			end()
			list = append(list, string(c))
			gap = false
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		gap = false
		if c == '"' {
			n := strings.IndexByte(code[i+1:], '"')
			b.WriteString(code[i : i+n+2])
			i += n + 1
			continue
		}
		b.WriteByte(c)
	}
	end()
	// At the begin of a line these would mean something else, or they do and take the line whole.
	for _, p := range list {
		if p[0] == '@' || p[0] == '~' || include().MatchString(p) {
			return nil, false
		}
	}
	return list, true
}

// braces counts those of a line that opens and closes blocks: how many it closes at its begin, and what it opens more than it closes.
func braces(code string) (lead, delta int) {
	quoted, begin := false, true
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == '"':
			quoted = !quoted
		case quoted || isBlank(rune(c)):
			continue
		case c == '\\':
			i++
		case c == '$' && i+1 < len(code) && code[i+1] == '{':
			if n := strings.IndexByte(code[i:], '}'); n > 0 {
				i += n
			}
		case c == '{':
			delta++
		case c == '}':
			if delta--; begin {
				lead++
				continue
			}
		}
		begin = false
	}
	return lead, delta
}

// difference compares what the parser makes of two texts, apart from places and blanks between words.
func difference(a, b []byte) string {
	if bytes.Equal(a, b) {
		return ""
	}
	was, is := meaning(a), meaning(b)
	for i := range max(len(was), len(is)) {
		switch {
		case i >= len(was):
			return fmt.Sprintf("%q is new", is[i])
		case i >= len(is):
			return fmt.Sprintf("%q is missing", was[i])
		case was[i] != is[i]:
			return fmt.Sprintf("%q became %q", was[i], is[i])
		}
	}
	return ""
}

// meaning lists the logical lines of a text and the findings on it. What it includes is not there.
func meaning(text []byte) (out []string) {
	var r source.Report
	var line []byte
	for l := range source.Load(single(text), name, source.Env{}, &r).All() {
		line = append(line[:0], '0'+byte(l.Kind))
		for _, w := range l.Words {
			line = strconv.AppendQuote(append(line, ' '), w.Text)
			if w.Quoted {
				line = append(line, '"')
			}
		}
		for field := range strings.FieldsFuncSeq(l.Raw, isBlank) {
			line = append(append(line, ' '), field...)
		}
		out = append(out, string(line))
	}
	for _, d := range r.All() {
		out = append(out, d.Class.String()+": "+d.Text)
	}
	return out
}

// name is that of the one file of single.
const name = "text"

// single is a file system with one file.
type single []byte

func (s single) Open(n string) (fs.File, error) {
	if n != name {
		return nil, &fs.PathError{Op: "open", Path: n, Err: fs.ErrNotExist}
	}
	return &file{Reader: bytes.NewReader(s)}, nil
}

func (s single) Glob(string) ([]string, error) { return nil, nil }

// file is the one file, and its own description.
type file struct{ *bytes.Reader }

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Close() error               { return nil }
func (f *file) Name() string               { return name }
func (f *file) Size() int64                { return f.Reader.Size() }
func (f *file) Mode() fs.FileMode          { return 0o600 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }
