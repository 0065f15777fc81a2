package effective

import (
	"fmt"
	"io"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// remarkColumn is where the origin of a setting stands, if the setting is not longer.
const remarkColumn = 52

// maxRemark is how much of a remark is printed: the line is to stay within what the parser reads as one.
const maxRemark = 500

// Write prints the settings as a configuration, each with its origin as a remark; those that are not set only with all, or where they stand alone.
// Secrets are masked.
func (e Explanation) Write(w io.Writer, all bool) error {
	var b strings.Builder
	e.print(&b, all, source.MaskSecret)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the explanation: %w", err)
	}
	return nil
}

func (e Explanation) print(b *strings.Builder, all bool, mask func(string) string) {
	for _, s := range e {
		if all || !s.Unset || len(e) == 1 {
			s.write(b, "", all, mask)
		}
	}
}

func (s *Setting) write(b *strings.Builder, margin string, all bool, mask func(string) string) {
	line := strings.TrimSpace(s.Keyword + " " + s.Value)
	if line = mask(line); s.Off {
		line = "# " + line
	}
	block := s.Block && !s.Off
	if block {
		line += " {"
	}
	line = clean(margin + line)
	remark(b, line, s.Origin)
	for _, n := range s.Notes {
		remark(b, "", "  "+n)
	}
	if !block {
		return
	}
	for _, inner := range s.Inside {
		if all || !inner.Unset || len(s.Inside) == 1 {
			inner.write(b, margin+"    ", all, mask)
		}
	}
	fmt.Fprintf(b, "%s}\n", margin)
}

// remark prints a line and what is to be said of it.
func remark(b *strings.Builder, line, text string) {
	pad := max(remarkColumn-len([]rune(line)), 2)
	text = clean(text)
	if len(text) > maxRemark {
		text = text[:maxRemark] + "…"
	}
	fmt.Fprintf(b, "%s%s# %s\n", line, strings.Repeat(" ", pad), text)
}

// clean makes text one line that cannot drive a terminal. Bytes beyond ASCII stay as they are.
func clean(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}

// Find returns the settings that a path names: the keywords and names on the way, as "vrrp_instance/VI_1/advert_int" or "vrrp_instance
// VI_1 advert_int". A path that begins nowhere outermost is looked for everywhere; blocks around what is found are kept, without
// their other settings.
func (e Explanation) Find(path string) Explanation {
	want := tokens(path)
	if found := find(e, want, false); len(found) > 0 {
		return found
	}
	return find(e, want, true)
}

func tokens(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == '/' || c == ' ' || c == '\t' || c == '"' })
}

// find looks for a path in a list; with deep it may begin further inside.
func find(list []*Setting, want []string, deep bool) (out []*Setting) {
	for _, s := range list {
		have := tokens(s.Keyword + " " + s.Value)
		n := 0
		for n < len(have) && n < len(want) && have[n] == want[n] {
			n++
		}
		part := *s
		switch {
		case n == len(want):
			out = append(out, s)
		case n > 0 && n == len(have):
			if part.Inside = find(s.Inside, want[n:], false); len(part.Inside) > 0 {
				out = append(out, &part)
			}
		case deep:
			if part.Inside = find(s.Inside, want, true); len(part.Inside) > 0 {
				out = append(out, &part)
			}
		}
	}
	return out
}

// Names returns the keywords and names of all blocks and settings, for suggestions.
func (e Explanation) Names() (out []string) {
	for _, s := range e {
		out = append(out, s.Keyword)
		out = append(out, tokens(s.Value)...)
		out = append(out, Explanation(s.Inside).Names()...)
	}
	return out
}
