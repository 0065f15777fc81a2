// Package manual writes the manual pages and the shell completions from the tables of keywords, options and tools. It is used by the
// tests that keep docs/man and packaging/completion up to date, so that it is in no binary.
package manual

import (
	"fmt"
	"strings"
)

// Option is one option of a command line.
type Option struct {
	Short    byte   // 0: none
	Long     string // without dashes; empty: none
	Value    string // name of its value; empty: it takes none
	Optional bool   // of the value
	Help     string
}

// Tool is a subcommand.
type Tool struct {
	Name, Usage, Help string
	Options           []Option
}

// edition is the date of the pages' prose. It is set by hand: that of a build would make packages differ from each other.
const edition = "2026-11-21"

// page is a manual page in the making, in the macros of man(7).
type page struct{ strings.Builder }

func newPage(name string, section int, title string) *page {
	p := &page{}
	p.line(`.\" Generated; do not edit. See internal/manual.`)
	p.line(fmt.Sprintf(`.TH %s %d %s keepalived\-go "%s"`, escape(strings.ToUpper(name)), section, edition, title))
	return p
}

func (p *page) line(s string) { p.WriteString(s + "\n") }

func (p *page) section(name string) { p.line(".SH " + name) }

func (p *page) subsection(name string) { p.line(".SS " + arg(name)) }

// paragraphs writes text whose paragraphs are separated by empty lines. In it *word* is bold and _word_ is in italics; lines that begin
// with four blanks are an example.
func (p *page) paragraphs(text string) {
	for i, para := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 && !strings.HasPrefix(para, "    ") {
			p.line(".PP")
		}
		if strings.HasPrefix(para, "    ") {
			p.example(para)
			continue
		}
		for line := range strings.Lines(para) {
			p.line(marked(strings.TrimSuffix(line, "\n")))
		}
	}
}

func (p *page) example(text string) {
	p.line(".PP")
	p.line(".nf")
	p.line(".RS 4")
	for line := range strings.Lines(text) {
		p.line(escape(strings.TrimSuffix(strings.TrimPrefix(line, "    "), "\n")))
	}
	p.line(".RE")
	p.line(".fi")
}

// item writes a tagged paragraph. Both are text of the page already.
func (p *page) item(tag, text string) {
	p.line(".TP")
	p.line(tag)
	p.line(text)
}

// options lists options.
func (p *page) options(list []Option) {
	for _, o := range list {
		p.item(o.tag(), escape(sentence(o.Help)))
	}
}

func (o Option) tag() string {
	var tags []string
	if o.Short != 0 {
		tags = append(tags, bold("-"+string(o.Short)))
	}
	if o.Long != "" {
		tags = append(tags, bold("--"+o.Long))
	}
	tag := strings.Join(tags, ", ")
	switch {
	case o.Value == "":
	case o.Long == "":
		tag += " " + italic(o.Value)
	case o.Optional:
		tag += "[=" + italic(o.Value) + "]"
	default:
		tag += "=" + italic(o.Value)
	}
	return tag
}

// sentence gives text a full stop.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func bold(s string) string   { return `\fB` + escape(s) + `\fR` }
func italic(s string) string { return `\fI` + escape(s) + `\fR` }

// escape makes text that stands for itself.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "≤", "up to ", "–", `\(en`, "µ", `\(mc`, "×", `\(mu`, "’", "'").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// marked escapes text and turns its marks into fonts.
func marked(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexAny(s, "*_")
		if i < 0 {
			break
		}
		mark := s[i : i+1]
		begins := i == 0 || strings.ContainsRune(" (\"[/|", rune(s[i-1]))
		end := strings.Index(s[i+1:], mark)
		if !begins || end <= 0 || s[i+1] == ' ' {
			b.WriteString(s[:i+1])
			s = s[i+1:]
			continue
		}
		b.WriteString(s[:i])
		word := s[i+1 : i+1+end]
		if mark == "*" {
			b.WriteString("\x01B" + word + "\x01R")
		} else {
			b.WriteString("\x01I" + word + "\x01R")
		}
		s = s[i+1+end+1:]
	}
	b.WriteString(s)
	return strings.ReplaceAll(escape(b.String()), "\x01", `\f`)
}

// arg quotes an argument of a macro.
func arg(s string) string { return `"` + strings.ReplaceAll(escape(s), `"`, `""`) + `"` }
