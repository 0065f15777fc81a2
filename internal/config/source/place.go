package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a configuration, kept in four bytes since there are millions of them. The Report of the reading tells what it comes to.
// Places of one reading are in the order of reading, over all files. The zero Pos is no place: it stands for a default or for a
// finding about the whole.
type Pos struct{ n uint32 }

// IsSet reports whether p is a place.
func (p Pos) IsSet() bool { return p.n > 0 }

// Before reports whether p was read before q.
func (p Pos) Before(q Pos) bool { return p.n < q.n }

// Compare is negative if p was read before q.
func (p Pos) Compare(q Pos) int { return cmp.Compare(p.n, q.n) }

// Place is what a Pos comes to. That of the zero Pos has no Origin.
type Place struct {
	*Origin
	Line int // physical line, from 1; 0: no place
	Col  int // byte in that line, from 1
	Pos  Pos
}

// Origin is what the places of one reading of a file have in common.
type Origin struct {
	File string
	Via  *Via // how the text came there; nil: it is written there

	file *file
}

// Via is one step of the chain by which text reached the parser.
type Via struct {
	How string // "included from", "expanded from $NAME defined at"
	At  Place
}

// IsSet reports whether p is a place.
func (p Place) IsSet() bool { return p.Line > 0 }

// statement is about where the statement begins that p is in: behind the brace in front of it, if there is one in its line.
func (p Place) statement() uint32 {
	begin := p.Pos.n - uint32(p.Col)
	if p.Origin != nil && p.file != nil {
		line, _ := p.file.line(p.Line)
		begin += uint32(strings.LastIndexAny(line[:min(p.Col-1, len(line))], "{}") + 1)
	}
	return begin
}

func (p Place) String() string {
	if !p.IsSet() {
		return "-"
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// span is a range of places, up to that of the next span: text of a file from an offset on, or what was made of one line of it.
type span struct {
	first  uint32
	offset uint32 // in the file
	made   uint32 // the line of a span of what was made, whose places are the columns of that line; 0: text as it stands in the file
	origin *Origin
}

// file is the text of a file, for the places in it.
type file struct {
	text   string
	starts []uint32 // of its lines; nil: not looked for yet
}

// line returns a line of the file, from 1, without its newline.
func (f *file) line(n int) (string, bool) {
	f.index()
	if n < 1 || n > len(f.starts) {
		return "", false
	}
	line, _, _ := strings.Cut(f.text[f.starts[n-1]:], "\n")
	return line, true
}

func (f *file) index() {
	if f.starts != nil {
		return
	}
	f.starts = append(make([]uint32, 0, strings.Count(f.text, "\n")+1), 0)
	for at := 0; ; {
		i := strings.IndexByte(f.text[at:], '\n')
		if i < 0 {
			return
		}
		at += i + 1
		f.starts = append(f.starts, uint32(at))
	}
}

// Place returns what p comes to, with the definitions and includes that its text came through.
func (r *Report) Place(p Pos) Place {
	at := r.written(p)
	chain := []*Via{}
	for _, name := range r.references(at) {
		for range maxDepth {
			d, value := r.definedAt(name, p)
			if !d.IsSet() {
				break
			}
			chain = append(chain, &Via{How: "expanded from $" + name + " defined at", At: d})
			if name = reference(value); name == "" {
				break
			}
		}
	}
	if len(chain) == 0 {
		return at
	}
	last := at.Via
	for _, v := range slices.Backward(chain) {
		v.At.Origin = &Origin{File: v.At.File, Via: last, file: v.At.file}
		last = v
	}
	at.Origin = &Origin{File: at.File, Via: last, file: at.file}
	return at
}

// written returns where p was written.
func (r *Report) written(p Pos) Place {
	if !p.IsSet() {
		return Place{}
	}
	i, found := slices.BinarySearchFunc(r.spans, p.n, func(s span, n uint32) int { return cmp.Compare(s.first, n) })
	if !found {
		i--
	}
	if i < 0 {
		return Place{}
	}
	s := &r.spans[i]
	if s.made > 0 {
		return Place{s.origin, int(s.made), int(p.n-s.first) + 1, p}
	}
	f := s.origin.file
	f.index()
	offset := s.offset + p.n - s.first
	line, found := slices.BinarySearch(f.starts, offset)
	if found {
		line++
	}
	return Place{s.origin, line, int(offset-f.starts[line-1]) + 1, p}
}

// references are the names of the parameters in the word at a place, or in its whole statement if that begins there.
func (r *Report) references(at Place) (names []string) {
	if len(r.defined) == 0 || !at.IsSet() || at.file == nil {
		return nil
	}
	line, _ := at.file.line(at.Line)
	begin := min(max(at.Col-1, 0), len(line))
	whole := strings.TrimLeft(line[:begin], " \t{}") == ""
	for i := begin; i < len(line); i++ {
		switch c := line[i]; {
		case c == '$':
			if name, n := parameter(line[i:]); n > 0 {
				names = append(names, name)
				i += n - 1
			}
		case c == '#' || c == '!' || c == '{' || c == '}' || blank(c) && !whole:
			return names
		}
	}
	return names
}

// parameter reads the $NAME or ${NAME} that a text begins with, and its length; 0: there is none.
func parameter(s string) (name string, length int) {
	braced := strings.HasPrefix(s, "${")
	begin := 1
	if braced {
		begin++
	}
	end := begin
	for end < len(s) && (s[end] == '_' || letter(s[end]) || end > begin && digit(s[end])) {
		end++
	}
	switch {
	case end == begin:
	case braced && end < len(s) && s[end] == '}':
		return s[begin:end], end + 1
	case !braced && (end == len(s) || blank(s[end]) || s[end] == ',' || s[end] == ')'):
		return s[begin:end], end
	}
	return "", 0
}

// reference is the name of the parameter that a text is; "" if it is something else.
func reference(s string) string {
	if name, n := parameter(s); n == len(s) && n > 0 {
		return name
	}
	return ""
}

// definedAt returns where a parameter was defined in one line for its use at p, and the text it got. Only the places of definitions are
// kept; their names are read again when the first is asked for.
func (r *Report) definedAt(name string, p Pos) (at Place, value string) {
	text := func(d Pos) string {
		at := r.written(d)
		line, _ := at.file.line(at.Line)
		return line[min(at.Col-1, len(line)):]
	}
	if r.definitions == nil {
		r.definitions = map[string][]Pos{}
		for _, d := range r.defined {
			if _, name, ok := strings.Cut(text(d), "$"); ok {
				name, _, _ = strings.Cut(name, "=")
				r.definitions[name] = append(r.definitions[name], d)
			}
		}
	}
	list := r.definitions[name]
	n, _ := slices.BinarySearchFunc(list, p, Pos.Compare)
	if n == 0 {
		return Place{}, ""
	}
	_, value, _ = strings.Cut(text(list[n-1]), "=")
	if value = strings.TrimSpace(value); strings.HasSuffix(value, `\`) {
		return Place{}, "" // the Origin of its lines tells
	}
	return r.written(list[n-1]), value
}
