package source

import (
	"path/filepath"
	"slices"
	"strings"
)

// check is the set of include conditions that refuse the configuration.
type check uint8

const (
	checkRead     check = 1 << iota // a match is unreadable or no plain file
	checkMatch                      // a name without wildcards is missing
	checkWildcard                   // a wildcard matches nothing
	checkBrace                      // an alternative of a brace list is missing

	checkAll = checkRead | checkMatch | checkWildcard | checkBrace
)

var includeLevels = map[string]check{
	"include":  0,
	"includer": checkRead,
	"includem": checkRead | checkMatch,
	"includew": checkRead | checkMatch | checkWildcard,
	"includeb": checkRead | checkBrace,
	"includea": checkAll,
}

var checkWords = map[string]check{
	"read": checkRead, "match": checkMatch, "wildcard_match": checkWildcard, "brace_match": checkBrace,
}

// include carries out an include line; it returns false if the line is none.
func (l *loader) include(c []char, at Place) bool {
	end := slices.IndexFunc(c, func(c char) bool { return blank(c.b) })
	if end < 0 {
		return false
	}
	level, ok := includeLevels[text(c[:end])]
	if !ok {
		return false
	}
	level |= l.level
	pattern := text(trim(c[end:]))
	at.Col = int(c[0].col)
	refused := false
	complain := func(bit check, what string) {
		class, ends := Note, ""
		if level&bit != 0 {
			refused = true
			class, ends = FatalInclude, " - the configuration is refused"
		}
		l.report.Add(class, l.pos(at), "include %s: %s%s", pattern, what, ends)
	}
	if len(l.stack) >= maxDepth {
		l.report.Errorf(l.pos(at), "include %s: files include each other too deeply - ignoring", pattern)
		return true
	}
	alternatives := braceList(pattern)
	var names []string
	for _, name := range alternatives {
		if !filepath.IsAbs(name) {
			name = filepath.Join(l.dir(), name)
		}
		if !hasMeta(name) && len(alternatives) == 1 {
			names = append(names, name)
			continue
		}
		found, err := l.files.Glob(name)
		switch none := err != nil || len(found) == 0; {
		case none && !hasMeta(name):
			complain(checkBrace, name+" does not exist")
		case none && len(alternatives) > 1:
			complain(checkWildcard|checkBrace, "nothing matches "+name)
		case none && !strings.Contains(name, "{") && !l.isThere(fixedDir(name)):
			complain(checkWildcard|checkMatch, "there is no directory "+fixedDir(name))
		case none:
			complain(checkWildcard, "no file matches")
		}
		names = append(names, found...)
	}
	if refused {
		return true
	}
	for _, n := range names {
		l.includeFile(n, at, complain)
	}
	return true
}

// fixedDir is the part of a pattern before the first component with a wildcard.
func fixedDir(pattern string) string {
	if i := strings.IndexAny(pattern, "*?["); i >= 0 {
		pattern = pattern[:i]
	}
	return filepath.Dir(pattern)
}

func (l *loader) isThere(name string) bool {
	f, err := l.files.Open(name)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// includeWork is what an included file counts as, so that small files that include each other in all orders come to an end.
const includeWork = 4096

func (l *loader) includeFile(name string, at Place, complain func(check, string)) {
	if slices.Contains(l.stack, name) {
		// Differs from keepalived: it goes on until it has no file handles left.
		l.report.Errorf(l.pos(at), "include %s: the file includes itself - ignoring", name)
		return
	}
	if l.work += includeWork; l.work > maxWork {
		l.giveUp(l.pos(at), "too many files are included")
		return
	}
	text, problem := l.read(name)
	switch {
	case problem == "does not exist" && strings.Contains(name, "{"):
		complain(checkBrace, "the file "+problem)
	case problem == "does not exist":
		complain(checkMatch, "the file "+problem)
	case problem != "":
		complain(checkRead, name+" "+problem)
	default:
		l.file(name, text, at)
	}
}

// includeCheck acts on the include_check keyword of global_defs, whose place in the text matters.
func (l *loader) includeCheck(words []Word) {
	if words[0].Text != "include_check" || l.block != "global_defs" {
		return
	}
	if len(words) == 1 {
		l.level = checkAll
	}
	for i, w := range words[1:] {
		name := strings.TrimLeft(w.Text, "+-")
		bit, ok := checkWords[name]
		switch {
		case !ok || len(w.Text)-len(name) > 1:
			l.report.Errorf(w.At, "include_check: unknown word %q - ignoring it", w.Text)
		case w.Text[0] == '+':
			l.level |= bit
		case w.Text[0] == '-':
			l.level &^= bit
		case i > 0:
			l.report.Errorf(w.At, "include_check: only the first word may be without a sign - ignoring %q", w.Text)
		default:
			l.level = checkRead | bit
		}
	}
}

func hasMeta(s string) bool { return strings.ContainsAny(s, "*?[") }

// braceList expands the {a,b} of a pattern; nested lists are not, as file names do not need them.
func braceList(s string) []string {
	head, rest, open := strings.Cut(s, "{")
	list, tail, closed := strings.Cut(rest, "}")
	if !open || !closed || !strings.Contains(list, ",") {
		return []string{s}
	}
	var out []string
	tails := braceList(tail)
	for _, alt := range strings.Split(list, ",") {
		for _, t := range tails {
			if out = append(out, head+alt+t); len(out) > 1000 {
				return out
			}
		}
	}
	return out
}
