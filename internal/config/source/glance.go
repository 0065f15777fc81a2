package source

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// glance says what in the text at a finding looks like something that it is not: what an editor, another language or a template left there. It
// knows no keyword. "" if nothing does.
func (r *Report) glance(d *Diagnostic) string {
	at := d.At
	if !at.IsSet() || at.file == nil || d.Class == Note || d.Rule != "" {
		return ""
	}
	line, ok := at.file.line(at.Line)
	if !ok || at.Col > len(line) {
		return ""
	}
	begins := strings.TrimLeft(line[:max(at.Col-1, 0)], " \t{}") == ""
	words := strings.FieldsFunc(line[at.Col-1:], func(c rune) bool { return c < utf8.RuneSelf && blank(byte(c)) })
	if len(words) == 0 {
		return ""
	}
	if d.Class == UnexpectedOpen || d.Class == MissingWord {
		if strings.Contains(line, "{{") || strings.Contains(line, "{%") {
			return "this is a template that has not been filled in"
		}
	}
	if d.Class == UnexpectedOpen {
		return r.notDefined(line, at, d)
	}
	if !begins {
		words = words[:1]
	}
	if at.Line == 1 && at.Col == 1 && strings.HasPrefix(line, "\ufeff") {
		return "the file begins with a byte order mark, which is a part of its first word here: remove it"
	}
	for i, w := range words {
		if strings.IndexByte("#!{}", w[0]) >= 0 || i > 0 && strings.HasPrefix(w, "//") {
			break
		}
		for _, c := range w {
			switch {
			case c < utf8.RuneSelf:
			case unicode.IsSpace(c) || unicode.Is(unicode.Cf, c):
				return fmt.Sprintf("U+%04X in it is no blank here, but a letter: write a space", c)
			case strings.ContainsRune("“”„‟«»‘’", c):
				return fmt.Sprintf(`%c is a letter here: write "`, c)
			case strings.ContainsRune("–—−‐‑", c):
				return fmt.Sprintf("%c is a letter here: write a minus, -", c)
			}
		}
	}
	first := words[0]
	switch {
	case strings.HasPrefix(first, "//"), strings.HasPrefix(first, "/*"), strings.HasPrefix(first, "*/"), d.Class == UnknownKeyword && (first == "--" || first[0] == ';'):
		return "a remark begins with # or !"
	case strings.HasSuffix(first, ";") && len(first) > 1:
		return "a statement ends with its line, without ;"
	case strings.HasSuffix(first, ",") && len(first) > 1 && d.Class != UnknownKeyword:
		return "entries have a line each, without commas"
	case first[0] == '$' && begins && len(words) > 1 && words[1][0] == '=':
		return "a definition has no blank in front of ="
	case first == "=", begins && len(words) > 1 && words[1] == "=",
		d.Class == UnknownKeyword && (strings.HasSuffix(first, ":") || strings.ContainsRune(first, '=') && first[0] != '$'):
		return "a value follows its keyword after a blank, without = or :"
	case addrPort(first):
		return "an address and its port are two words"
	case strings.HasPrefix(first, "$"), strings.Contains(first, "${"), begins && len(words) == 2 && words[1][0] == '$':
		return r.notDefined(line, at, d)
	}
	return ""
}

func addrPort(s string) bool {
	_, err := netip.ParseAddrPort(s)
	return err == nil
}

// notDefined says of the first parameter at a place that it has no value there.
func (r *Report) notDefined(line string, at Place, d *Diagnostic) string {
	begin := at.Col - 1
	if d.Class == UnexpectedOpen {
		if begin--; begin < 0 || line[begin] != '$' {
			return ""
		}
	}
	n := strings.IndexByte(line[begin:], '$')
	if n < 0 {
		return ""
	}
	rest := line[begin+n:]
	name := strings.TrimPrefix(strings.TrimPrefix(rest, "$"), "{")
	end := 0
	for end < len(name) && (name[end] == '_' || letter(name[end]) || end > 0 && digit(name[end])) {
		end++
	}
	if name = name[:end]; name == "" || name[0] == '_' { // what begins so is built in
		return ""
	}
	if d.Class != UnexpectedOpen && !strings.Contains(d.Text, "$"+name) && !strings.Contains(d.Text, "${"+name) {
		return "" // it was replaced
	}
	_, length := parameter(rest)
	switch known, _ := r.definedAt(name, at.Pos); {
	case !known.IsSet():
		return "$" + name + " is not defined above, so it stands as it is written"
	case length == 0 && !strings.HasPrefix(rest, "${"):
		return fmt.Sprintf("write ${%s}: $%s needs a blank, a comma or ) behind it", name, name)
	}
	return ""
}
