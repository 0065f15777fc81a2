package source

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// definition is a parameter: its text as written, expanded only where it is used.
type definition struct {
	lines [][]char // one, or the body of a multi-line definition
	multi bool
	at    Place
}

func identifier(c []char) (name string, rest []char) {
	n := 0
	for n < len(c) && (c[n].b == '_' || letter(c[n].b) || n > 0 && digit(c[n].b)) {
		n++
	}
	return text(c[:n]), c[n:]
}

func letter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
func digit(b byte) bool  { return '0' <= b && b <= '9' }

// definition recognises $NAME=value; no blank may stand before the equals sign.
func (l *loader) definition(c []char) (name string, value []char, ok bool) {
	if len(c) == 0 || c[0].b != '$' {
		return "", nil, false
	}
	name, rest := identifier(c[1:])
	if name == "" || len(rest) == 0 || rest[0].b != '=' {
		return "", nil, false
	}
	return name, trim(rest[1:]), true
}

// expand replaces the parameters of a line, recursively. It returns nil if there was none to replace. If the line ends in a multi-line
// parameter, line ends in the first line of its body and rest has the others.
func (l *loader) expand(c []char, at Place) (line []char, rest [][]char, def definition) {
	changed := false
	for i, count := 0, 0; i < len(c); {
		if c[i].b != '$' {
			i++
			continue
		}
		value, end, d, ok := l.reference(c, i, at)
		if !ok || len(c)-(end-i)+len(value) > maxLine {
			i++ // what would make the line too long stays as written
			continue
		}
		count++
		l.work += len(c) + len(value)
		if count > maxExpands || l.work > maxWork {
			at.Col = int(c[i].col)
			if l.work > maxWork {
				l.giveUp(l.pos(at), "the definitions expand to too much text")
			} else {
				l.report.Errorf(l.pos(at), "parameters refer to each other in a circle - leaving them as written")
			}
			break
		}
		col := c[i].col
		next := make([]char, 0, len(c)-(end-i)+len(value))
		next = append(next, c[:i]...)
		next = append(next, value...)
		c = append(next, c[end:]...)
		changed = true
		if d.multi {
			def = d
			for _, body := range d.lines[min(1, len(d.lines)):] {
				rest = append(rest, charsAt(text(body), col))
			}
		}
	}
	if !changed {
		return nil, nil, definition{}
	}
	return c, rest, def
}

// reference reads the $NAME or ${NAME} at i and returns its value and where it ends.
func (l *loader) reference(c []char, i int, at Place) (value []char, end int, d definition, ok bool) {
	col := c[i].col
	at.Col = int(col)
	braced := i+1 < len(c) && c[i+1].b == '{'
	begin := i + 1
	if braced {
		begin++
	}
	name, after := identifier(c[begin:])
	end = begin + len(name)
	if name == "" {
		return nil, 0, d, false
	}
	args, hasArgs := "", false
	if braced {
		n := slices.IndexFunc(after, func(c char) bool { return c.b == '}' })
		if n < 0 {
			return nil, 0, d, false
		}
		if n > 0 {
			if !blank(after[0].b) {
				return nil, 0, d, false
			}
			args, hasArgs = text(after[1:n]), true
		}
		end += n + 1
	} else if len(after) > 0 && !blank(after[0].b) && after[0].b != ',' && after[0].b != ')' {
		return nil, 0, d, false
	}
	if d, ok = l.defs[name]; ok && !hasArgs {
		if d.multi && len(trim(c[end:])) > 0 {
			return nil, 0, d, false // a multi-line parameter is only replaced at the end of the line
		}
		if len(d.lines) > 0 {
			value = slices.Clone(d.lines[0])
			for j := range value {
				value[j].col = col
			}
		}
		return value, end, d, true
	}
	s, ok := l.builtin(name, args, hasArgs, at)
	return charsAt(s, col), end, definition{}, ok
}

// builtin returns the value of a predefined parameter.
func (l *loader) builtin(name, args string, hasArgs bool, at Place) (string, bool) {
	switch name {
	case "_RANDOM":
		return l.random(args, hasArgs, at)
	case "_ENV":
		// A line is looked at again after each replacement, so that the report must not repeat.
		if v := strings.TrimSpace(args); v != "" {
			if l.env.Getenv == nil {
				return "", true
			}
			return clean(l.env.Getenv(v)), true
		}
		l.complain(at, "${_ENV} needs the name of a variable - leaving it as written")
		return "", false
	}
	if hasArgs {
		return "", false
	}
	switch name {
	case "_PWD":
		return l.dir(), true
	case "_INSTANCE":
		return l.env.ConfigID, true
	case "_HASH":
		return "#", true
	case "_BANG":
		return "!", true
	}
	return "", false
}

// clean keeps a value from outside on its line.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == 0 {
			return ' '
		}
		return c
	}, s)
}

func (l *loader) complain(at Place, msg string) {
	if l.report.Once(fmt.Sprintf("%d %s %s", l.begin, at, msg)) {
		l.report.Errorf(l.pos(at), "%s", msg)
	}
}

func (l *loader) random(args string, hasArgs bool, at Place) (string, bool) {
	bounds := [2]int{0, 32767}
	if hasArgs {
		words := strings.Split(args, " ")
		if len(words) > 2 {
			l.complain(at, "${_RANDOM} takes at most two numbers - leaving it as written")
			return "", false
		}
		for i, w := range words {
			n, err := strconv.ParseUint(w, 10, 31)
			if err != nil {
				l.complain(at, fmt.Sprintf("${_RANDOM %s}: %q is not a number - leaving it as written", args, w))
				return "", false
			}
			bounds[i] = int(n)
		}
		if bounds[0] > bounds[1] {
			l.complain(at, fmt.Sprintf("${_RANDOM %s}: the bounds are reversed - using %d", args, bounds[0]))
			bounds[1] = bounds[0]
		}
	}
	if l.env.Random == nil {
		return strconv.Itoa(bounds[0]), true
	}
	return strconv.Itoa(l.env.Random(bounds[0], bounds[1])), true
}

// generator carries out a ~SEQ or ~LST line; it returns false if the line is none.
func (l *loader) generator(c []char, at Place, depth int) bool {
	if c[0].b != '~' {
		return false
	}
	name, rest := identifier(c[1:])
	if name != "SEQ" && name != "SEQx" && name != "LST" {
		return false
	}
	at.Col = int(c[0].col)
	reject := func(why string) bool {
		l.report.Errorf(l.pos(at), "invalid ~%s specification: %s - ignoring the line", name, why)
		return true
	}
	rest = trim(rest)
	end := slices.IndexFunc(rest, func(c char) bool { return c.b == ')' })
	if len(rest) == 0 || rest[0].b != '(' || end < 0 {
		return reject("it needs (…) after the name")
	}
	header := rest[1:end]
	if x, more, _ := l.expand(header, at); x != nil && len(more) == 0 {
		header = x
	}
	var rounds iter.Seq[round]
	var why string
	if name == "LST" {
		rounds, why = list(text(header))
	} else {
		rounds, why = sequence(text(header), name == "SEQx")
	}
	if why != "" {
		return reject(why)
	}
	body := trim(rest[end+1:])
	for set := range rounds {
		for i, v := range set.names {
			l.defs[v] = definition{lines: [][]char{charsAt(set.values[i], c[0].col)}, at: at}
		}
		if l.gaveUp {
			return true
		}
		l.line(slices.Clone(body), at, depth+1)
	}
	return true
}

// round is one repetition of a generator: what its variables are set to.
type round struct{ names, values []string }

// sequence returns the rounds of VAR,[START,[STEP,]]END.
func sequence(header string, hex bool) (rounds iter.Seq[round], why string) {
	parts := strings.Split(header, ",")
	name := strings.TrimSpace(parts[0])
	if !isName(name) {
		return nil, "the first part must be the name of a variable"
	}
	var n []int64
	for _, p := range parts[1:] {
		v, err := strconv.ParseInt(cmp.Or(strings.TrimSpace(p), "0"), 0, 32)
		if err != nil || strings.ContainsRune(p, '_') {
			return nil, fmt.Sprintf("%q is not a number", strings.TrimSpace(p))
		}
		n = append(n, v)
	}
	var start, step, end int64
	switch len(n) {
	case 1:
		start, step, end = 1, 1, n[0]
		if end < 1 {
			step = -1
		}
		if end < 0 {
			start = -1
		}
	case 2:
		start, step, end = n[0], 1, n[1]
		if end < start {
			step = -1
		}
	case 3:
		start, step, end = n[0], n[1], n[2]
	default:
		return nil, "it needs one to three numbers"
	}
	switch {
	case step == 0 || (end-start)*step < 0:
		return nil, "the step does not lead to the end"
	case hex && (start < 0 || end < 0):
		return nil, "hexadecimal numbers cannot be negative"
	case (end-start)/step >= maxLines:
		return nil, fmt.Sprintf("more than %d numbers", maxLines)
	}
	base := 10
	if hex {
		base = 16
	}
	names := []string{name}
	return func(yield func(round) bool) { // one after the other, since they may be millions
		for v := start; (end-v)*step >= 0; v += step {
			if !yield(round{names, []string{strconv.FormatInt(v, base)}}) {
				return
			}
		}
	}, ""
}

// list returns the rounds of VAR,v1,v2… or {A,B},{a1,b1},{a2,b2}….
func list(header string) (all iter.Seq[round], why string) {
	var rounds []round
	if strings.ContainsRune(header, '"') {
		return nil, "a value cannot be quoted"
	}
	groups, ok := split(header)
	if !ok {
		return nil, "its braces do not match"
	}
	if len(groups) < 2 {
		return nil, "it has no values"
	}
	names := groups[0]
	for _, n := range names {
		if !isName(n) {
			return nil, fmt.Sprintf("%q is not the name of a variable", n)
		}
	}
	for _, values := range groups[1:] {
		if len(values) > len(names) {
			return nil, "more values than variables"
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < 0x80 && blank(byte(c)) }) {
				return nil, "a value cannot have blanks"
			}
		}
		for len(values) < len(names) {
			values = append(values, "")
		}
		rounds = append(rounds, round{names, values})
	}
	return slices.Values(rounds), ""
}

// split cuts at commas outside braces; a part in braces is cut at its commas.
func split(s string) (groups [][]string, ok bool) {
	for {
		s = strings.TrimSpace(s)
		var part string
		if inner, braced := strings.CutPrefix(s, "{"); braced {
			var found bool
			if part, s, found = strings.Cut(inner, "}"); !found {
				return nil, false
			}
			values := strings.Split(part, ",")
			for i := range values {
				values[i] = strings.TrimSpace(values[i])
			}
			groups = append(groups, values)
			s = strings.TrimSpace(s)
			if s == "" {
				return groups, true
			}
			if s, found = strings.CutPrefix(s, ","); !found {
				return nil, false
			}
			continue
		}
		part, rest, more := strings.Cut(s, ",")
		groups = append(groups, []string{strings.TrimSpace(part)})
		if !more {
			return groups, true
		}
		s = rest
	}
}

func isName(s string) bool {
	name, rest := identifier(charsAt(s, 0))
	return name != "" && len(rest) == 0
}
