package source

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Class is the severity of a finding. The order is keepalived's: the highest class seen decides the exit code of a configuration test.
type Class uint8

const (
	Note         Class = iota // told, but no reason to distrust the configuration: exit 0
	FileNotFound              // exit 4, up to Fatal
	BadInterface
	Fatal
	MultipleFiles // exit 5, up to Deprecated
	UnknownKeyword
	UnexpectedOpen
	MissingOpen
	UnexpectedClose
	MissingClose
	UnmatchedQuote
	MissingParameter
	InvalidNumber
	Error
	Warning
	Deprecated
	Security     // exit 6
	MissingWord  // exit 2: a mandatory word is missing
	FatalInclude // exit 6: an include whose failure refuses the whole configuration before more of it is looked at
)

// Exit codes of a configuration test.
const (
	ExitOK       = 0
	ExitMissing  = 2
	ExitFatal    = 4
	ExitError    = 5
	ExitSecurity = 6
)

func (c Class) exitCode() int {
	switch {
	case c == Note:
		return ExitOK
	case c <= Fatal:
		return ExitFatal
	case c <= Deprecated:
		return ExitError
	case c == MissingWord:
		return ExitMissing
	}
	return ExitSecurity
}

// Diagnostic is one finding.
type Diagnostic struct {
	Class Class
	At    Place
	Text  string
	Hint  string // what to write instead, or what happens instead; may be empty
	Rule  string // identifier of the lint rule that found it; empty: keepalived's parser would have found it too
	Also  []Via  // other places that belong to it, such as the first of two definitions
}

// With adds a place that belongs to the finding; how says in which way ("first defined at"). The zero Pos adds nothing.
func (d *Diagnostic) With(how string, at Pos) *Diagnostic {
	if at.IsSet() {
		d.Also = append(d.Also, Via{how, Place{Pos: at}})
	}
	return d
}

// String is keepalived's log form: "(file: Line N) text", or the text alone for a finding without a place.
func (d Diagnostic) String() string {
	if d.Rule != "" {
		d.Text += " [" + d.Rule + "]"
	}
	if !d.At.IsSet() {
		return d.Text
	}
	return fmt.Sprintf("(%s: Line %d) %s", d.At.File, d.At.Line, d.Text)
}

// Report collects findings. Nothing in the configuration packages stops at the first problem.
type Report struct {
	// Trace, if not nil, is told the values of every block that was opened at a place, once it has been read: that of a keyword, and where
	// it was written, which is nowhere for a default. An empty keyword begins each block. Of a list it is
	// told each entry that was taken, with no value.
	Trace func(block Pos, keyword string, value any, at Pos)

	list    []Diagnostic
	worst   Class
	refused bool
	once    map[string]bool
	spans   []span // what places come to
	defined []Pos  // of the definitions, in the order of reading
	dropped int
	spare   Diagnostic // the last one dropped, of which nothing becomes

	definitions map[string][]Pos // defined by name, once one is looked for
}

// maxDiagnostics bounds what hostile input can make us keep; the classes of the findings beyond it still count.
const maxDiagnostics = 10000

// Add records a finding and returns it, so that the caller can give a hint.
func (r *Report) Add(c Class, at Pos, format string, args ...any) *Diagnostic {
	if c == FatalInclude || c == MissingWord {
		r.refused = true
	}
	r.worst = max(r.worst, c)
	if r.Full() {
		r.dropped++
		r.spare = Diagnostic{}
		return &r.spare
	}
	if n := len(r.list); n == cap(r.list) { // they are large, so that a list which grows by a quarter leaves five times its size behind
		r.list = slices.Grow(r.list, min(max(n, 4), maxDiagnostics-n))
	}
	r.list = append(r.list, Diagnostic{Class: c, At: Place{Pos: at}, Text: fmt.Sprintf(format, args...)})
	return &r.list[len(r.list)-1]
}

// Clone returns a report with the same findings.
func (r *Report) Clone() *Report {
	c := *r
	c.list, c.once = slices.Clip(c.list), maps.Clone(c.once)
	return &c
}

// Merge adds the findings of another report on the same reading.
func (r *Report) Merge(o *Report) {
	fit := min(len(o.list), maxDiagnostics-len(r.list))
	r.list = append(r.list, o.list[:fit]...)
	r.dropped += o.dropped + len(o.list) - fit
	r.worst = max(r.worst, o.worst)
	r.refused = r.refused || o.refused
}

// Full reports whether further findings are only counted.
func (r *Report) Full() bool { return len(r.list) >= maxDiagnostics }

// Errorf records an ordinary error (exit 5).
func (r *Report) Errorf(at Pos, format string, args ...any) *Diagnostic {
	return r.Add(Error, at, format, args...)
}

// Notef records something worth knowing that does not change the exit code.
func (r *Report) Notef(at Pos, format string, args ...any) *Diagnostic {
	return r.Add(Note, at, format, args...)
}

// Refuse records a finding after which the daemon cannot run with this configuration.
func (r *Report) Refuse(c Class, at Pos, format string, args ...any) *Diagnostic {
	r.refused = true
	return r.Add(c, at, format, args...)
}

// Blank returns a report without findings on the same reading.
func (r *Report) Blank() *Report { return &Report{spans: r.spans, defined: r.defined} }

// Forget drops the findings about keywords after one place and up to another: those of a block that is skipped.
func (r *Report) Forget(after, to Pos) {
	r.list = slices.DeleteFunc(r.list, func(d Diagnostic) bool {
		return d.Class == UnknownKeyword && after.Before(d.At.Pos) && !to.Before(d.At.Pos)
	})
}

// Refused reports whether a daemon must not run with the configuration; a reload then keeps the old one.
func (r *Report) Refused() bool { return r.refused }

// Once reports whether key is asked for the first time, for notices that shall appear once per configuration.
func (r *Report) Once(key string) bool {
	if r.once[key] {
		return false
	}
	if r.once == nil {
		r.once = map[string]bool{}
	}
	r.once[key] = true
	return true
}

// Ended reports whether the reading ended before the configuration was complete: a word that must be there is missing, or an include
// failed. What depends on the whole is not judged then.
func (r *Report) Ended() bool { return r.worst >= MissingWord }

// All returns the findings in reading order, those of one statement as they were found, and those about the whole last. The first missing word
// ends the test, as in keepalived.
func (r *Report) All() []Diagnostic {
	out := slices.Clone(r.list)
	if r.worst >= MissingWord {
		end := Pos{math.MaxUint32}
		for _, d := range out {
			if d.Class == MissingWord && d.At.Pos.Before(end) {
				end = d.At.Pos
			}
		}
		out = slices.DeleteFunc(out, func(d Diagnostic) bool { return end.Before(d.At.Pos) })
	}
	for i := range out {
		d := &out[i]
		d.At, d.Also = r.Place(d.At.Pos), slices.Clone(d.Also)
		for j := range d.Also {
			d.Also[j].At = r.Place(d.Also[j].At.Pos)
		}
		d.Text, d.Hint = hide(d.Text, d.At), hide(d.Hint, d.At)
		switch odd := r.glance(d); {
		case odd == "":
		case d.Hint == "":
			d.Hint = odd
		case strings.HasSuffix(d.Hint, "?"):
			d.Hint += " (" + odd + ")"
		default:
			d.Hint += "; " + odd
		}
	}
	begin := map[Pos]uint32{} // of their statements; those about the whole are last
	for _, d := range out {
		if begin[d.At.Pos] = math.MaxUint32; d.At.IsSet() {
			begin[d.At.Pos] = d.At.statement()
		}
	}
	slices.SortStableFunc(out, func(a, b Diagnostic) int { return cmp.Compare(begin[a.At.Pos], begin[b.At.Pos]) })
	return out
}

// ExitCode is the exit code of a configuration test with these findings.
func (r *Report) ExitCode() int { return r.worst.exitCode() }

// Write prints the findings, one line each in log form. On a terminal each is followed by its source line with a mark under the
// column, the chain of includes and definitions, and the hint.
func (r *Report) Write(w io.Writer, terminal bool) error {
	b := bufio.NewWriterSize(w, 1<<16)
	for _, d := range r.All() {
		b.WriteString(d.String())
		if d.Hint != "" && !terminal {
			b.WriteString(" (" + d.Hint + ")")
		}
		for _, p := range d.Also {
			if !terminal {
				fmt.Fprintf(b, " (%s %s:%d)", p.How, p.At.File, p.At.Line)
			}
		}
		b.WriteByte('\n')
		if !terminal {
			continue
		}
		r.snippet(b, d.At)
		for _, p := range d.Also {
			fmt.Fprintf(b, "        %s %s:%d\n", p.How, p.At.File, p.At.Line)
			r.snippet(b, p.At)
		}
		if d.Hint != "" {
			fmt.Fprintf(b, "        hint: %s\n", d.Hint)
		}
	}
	if r.dropped > 0 {
		fmt.Fprintf(b, "%d more findings are not shown\n", r.dropped)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the findings: %w", err)
	}
	return nil
}

// snippet writes the line of a place with a mark under its column, and how the text came there.
func (r *Report) snippet(b io.Writer, at Place) {
	if line, ok := r.sourceLine(at); ok {
		fmt.Fprintf(b, "  %5d | %s\n        | %s^\n", at.Line, line, margin(line, at.Col))
	}
	if !at.IsSet() {
		return
	}
	for v := at.Via; v != nil; v = v.At.Via {
		fmt.Fprintf(b, "        %s %s:%d\n", v.How, v.At.File, v.At.Line)
	}
}

func (r *Report) sourceLine(at Place) (string, bool) {
	if !at.IsSet() || at.file == nil {
		return "", false
	}
	line, ok := at.file.line(at.Line)
	if !ok {
		return "", false
	}
	clean := strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f {
			return '.' // a configuration must not be able to drive the terminal
		}
		return c
	}, strings.TrimRight(MaskSecret(line), "\r"))
	return clean, true
}

// secretWords are the keywords whose values must not reach a terminal. Nothing else in this package knows keywords.
var secretWords = []string{"auth_pass", "password", "key"}

// MaskSecret hides what follows a word in a line that announces a secret: one of secretWords, or one that ends in _ and one of them.
func MaskSecret(line string) string {
	for _, w := range secretWords {
		for from := 0; from < len(line); {
			i := strings.Index(line[from:], w)
			if i < 0 {
				break
			}
			i += from
			end := i + len(w)
			begins := i == 0 || !inKeyword(line[i-1]) || line[i-1] == '_' && w != "key"
			if begins && end < len(line) && (blank(line[end]) || line[end] == '"') {
				return line[:end] + " ********"
			}
			from = end
		}
	}
	return line
}

// hide replaces in a text what MaskSecret hides of the line that it is about.
func hide(text string, at Place) string {
	if text == "" || !at.IsSet() || at.file == nil {
		return text
	}
	line, _ := at.file.line(at.Line)
	shown, hidden := strings.CutSuffix(MaskSecret(line), " ********")
	if !hidden || len(shown) > len(line) {
		return text
	}
	for _, w := range strings.Fields(line[len(shown):]) {
		if w == "{" || w == "}" { // what follows the secret
			continue
		}
		if w = strings.Trim(w, `"`); w != "" && !(w[0] == '/' && strings.HasSuffix(shown, "key")) { // the file of a key is no secret
			text = strings.ReplaceAll(text, strconv.Quote(w), `"********"`)
			text = strings.ReplaceAll(text, "'"+w+"'", "'********'")
		}
	}
	return text
}

// inKeyword reports whether a byte can be part of a keyword.
func inKeyword(c byte) bool { return c == '_' || letter(c) || digit(c) }

// margin is the blank text in front of column col, with the tabs of line so that the mark stands under its character.
func margin(line string, col int) string {
	n := min(max(col-1, 0), len(line))
	return strings.Map(func(c rune) rune {
		if c == '\t' {
			return '\t'
		}
		return ' '
	}, line[:n])
}
