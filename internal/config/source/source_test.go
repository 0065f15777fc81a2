package source

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// tree is a file system of the test; names may be absolute or have "..".
type tree map[string]string

func (t tree) Open(name string) (fs.File, error) {
	text, ok := t[path.Clean(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	mode := fs.FileMode(0o644)
	if strings.HasSuffix(name, ".sh") {
		mode = 0o755
	}
	return fstest.MapFS{"f": {Data: []byte(text), Mode: mode}}.Open("f")
}

func (t tree) Glob(pattern string) (names []string, err error) {
	m := fstest.MapFS{}
	for n := range t {
		m[strings.TrimPrefix(n, "/")] = &fstest.MapFile{}
	}
	found, err := fs.Glob(m, strings.TrimPrefix(pattern, "/"))
	for _, f := range found {
		names = append(names, "/"+f)
	}
	return names, err
}

var testEnv = Env{ConfigID: "node1", Getenv: func(n string) string { return "<" + n + ">" }, Random: func(low, high int) int { return high }}

// render shows lines as: line number, then the words with | between them, quoted ones in quotes.
func render(lines *Reading, r *Report) string {
	var b strings.Builder
	for l := range lines.All() {
		at := r.Place(l.At)
		switch l.Kind {
		case Open:
			fmt.Fprintf(&b, "%d {\n", at.Line)
		case Close:
			fmt.Fprintf(&b, "%d }\n", at.Line)
		default:
			var words []string
			for _, w := range l.Words {
				if w.Quoted {
					words = append(words, `"`+w.Text+`"`)
				} else {
					words = append(words, w.Text)
				}
			}
			fmt.Fprintf(&b, "%d %s\n", at.Line, strings.Join(words, "|"))
		}
	}
	return b.String()
}

func TestLines(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"words", "a b\tc\r\n", "1 a|b|c\n"},
		{"no newline at the end", "a\nb", "1 a\n2 b\n"},
		{"remarks", "a # b\nc!d\n#e\n", "1 a\n2 c\n"},
		{"escaped remark", `a \# b \! c # d`, "1 a|#|b|!|c\n"},
		{"remark in quotes", `a "b # c" # d`, "1 a|\"b # c\"\n"},
		{"quotes end a word", `a"b c"d`, "1 a|\"b c\"|d\n"},
		{"empty word", `a ""`, "1 a|\"\"\n"},
		{"braces", "a{b}}\n{ c", "1 a\n1 {\n1 b\n1 }\n1 }\n2 {\n2 c\n"},
		{"braces in quotes", `a "{" '}'`, "1 a|\"{\"|'\n1 }\n1 '\n"},
		{"no continuation", "a b \\\nc", "1 a|b\\\n2 c\n"},
		{"backslash at the end of a remark", "a b # c \\\n# d \\\r\n# e \\\\\n", "1 a|b\\\n2 \\\n"},
		{"definition continued behind remarks", "$M= # x \\\na # y \\\n# z \\\nb\n$M", "5 a\n5 b\n"},
		{"bytes above 127", "ü “x”", "1 ü|“x”\n"},

		{"condition", "@node1 a\n@^node1 b\n@other c\n@^other d\n@node a\n@node1", "1 a\n4 d\n"},
		{"one condition a line", "@node1 @node1 a", "1 @node1|a\n"},

		{"parameter", "$A=1\na $A ${A}b $A. $A,\n", "2 a|1|1b|$A.|1,\n"},
		{"parameter late", "$B=x${A}\n$A=1\na $B\n$A=2\na $B", "3 a|x1\n5 a|x2\n"},
		{"parameter undefined", "a $X x${X}", "1 a|$X|x$\n1 {\n1 X\n1 }\n"},
		{"parameter empty", "$A=\na x${A}y", "2 a|xy\n"},
		{"no definition", "$A = 1\n$1=2", "1 $A|=|1\n2 $1=2\n"},
		{"value with a remark", "$A=1#2\na $A", "2 a|1\n"},
		{"value with a brace", "$O={\na $O b", "2 a\n2 {\n2 b\n"},
		{"value with a condition", "$C=@other b\n$D=@node1 c\n$C\n$D", "4 c\n"},
		{"value with a generator", "$G=~SEQ(I,2) b$I\n$G", "2 b1\n2 b2\n"},
		{"multi-line", "$M= \\\na \\\n@other b \\\nc\nd\n$M\nx $M\nx $M y", "5 d\n6 a\n6 c\n7 x|a\n7 c\n8 x|$M|y\n"},
		{"multi-line ends at a blank line", "$M= \\\na \\\n\nb\n$M", "4 b\n5 a\n"},
		{"built-in", "a $_INSTANCE ${_ENV HOME} \"${_HASH}${_BANG}\" ${_RANDOM} ${_RANDOM 3 7} ${_PWD}",
			"1 a|node1|<HOME>|\"#!\"|32767|7|/etc\n"},

		{"sequence", "~SEQ(I,3) a$I\n~SEQ(I,2,4) b$I\n~SEQ(I,3,-2,0) c$I\n~SEQ(I,-2) d$I\n~SEQx(I,8,2,12) e$I", "1 a1\n1 a2\n1 a3\n2 b2\n2 b3\n2 b4\n3 c3\n3 c1\n4 d-1\n4 d-2\n5 e8\n5 ea\n5 ec\n"},
		{"sequence with blanks and without a number", "~SEQ (I,2) a$I\n~SEQ(I,,2)b$I\n~SEQ( I ,1,)c$I", "1 a1\n1 a2\n2 b0\n2 b1\n2 b2\n3 c1\n3 c0\n"},
		{"definition in a definition", "$A= \\\n$B=1 \\\nx $B\n$A\ny ${B}", "4 x|1\n5 y|1\n"},
		{"definition as a value", "$A=$B=1\n$A\nx $B\ny $A", "3 x|1\n4 y|$B=1\n"},
		{"escaped remark beside a parameter", "$X=7\na\\#b c\na\\#b $X\n$Y=d\\!e\n$Y", "2 a#b|c\n3 a\n5 d\n"},
		{"sequences nest", "~SEQ(I,2) ~SEQ(J,2) a${I}.${J}", "1 a1.1\n1 a1.2\n1 a2.1\n1 a2.2\n"},
		{"sequence of parameters", "$N=2\n~SEQ(I,$N) a$I\nb$I", "2 a1\n2 a2\n3 b2\n"},
		{"list", "~LST(A,x,,z) b${A}c\n~LST({A,B},{1,2},{3}) d${A}-${B}", "1 bxc\n1 bc\n1 bzc\n2 d1-2\n2 d3-\n"},
		{"generator within a line", "a ~SEQ(I,2)", "1 a|~SEQ(I,2)\n"},

		// What follows a brace is a line of its own.
		{"condition after a brace", "a { @node1 b\n} @other c\n{@^other d", "1 a\n1 {\n1 b\n2 }\n3 {\n3 d\n"},
		{"definition after a brace", "a { $X=1\nb $X } $X=2\nb $X", "1 a\n1 {\n2 b|1\n2 }\n3 b|2\n"},
		{"generator after a brace", "a { ~SEQ(I,2) b$I }\n{~LST(J,x) c$J", "1 a\n1 {\n1 b1\n1 }\n1 b2\n1 }\n2 {\n2 cx\n"},
		{"none within quotes after a brace", "a \"{\" @node1 { \"@node1\" b", "1 a|\"{\"|@node1\n1 {\n1 \"@node1\"|b\n"},
	} {
		r := &Report{}
		lines := Load(tree{"/etc/k.conf": c.in}, "/etc/k.conf", testEnv, r)
		if got := render(lines, r); got != c.want || len(r.All()) > 0 {
			t.Errorf("%s:\n%s\ngot\n%swant\n%s%v", c.name, c.in, got, c.want, r.All())
		}
	}
}

func TestFindings(t *testing.T) {
	long := strings.Repeat("x", 1023)
	for _, c := range []struct {
		name  string
		files tree
		want  string // "file:line:col text" of each finding, abridged after the first word that differs
		exit  int
	}{
		{"unterminated quote", tree{"/k": "a\n b \"c"}, `/k:2:4 Unterminated`, ExitError},
		{"long line", tree{"/k": long + "\nok"}, `/k:1:1 line is too long`, ExitError},
		{"NUL", tree{"/k": "a\x00b"}, `/k:1:1 line has a NUL byte`, ExitError},
		{"circle", tree{"/k": "$A=${B}\n$B=${A}\nx $A"}, `/k:3:3 parameters refer to each other`, ExitError},
		{"bad generator", tree{"/k": "~SEQ(I,5,1,1) a"}, `/k:1:1 invalid ~SEQ specification: the step`, ExitError},
		{"too many values", tree{"/k": "~LST({A},{1,2}) a"}, `/k:1:1 invalid ~LST specification: more values`, ExitError},
		{"missing include", tree{"/k": "include no.conf"}, `/k:1:1 include no.conf: the file does not exist`, ExitOK},
		{"missing include, fatal", tree{"/k": " includem no.conf"}, `/k:1:2 include no.conf: the file does not exist - the configuration`, ExitSecurity},
		{"include after a brace", tree{"/k": "a {includem no.conf\n}"}, `/k:1:4 include no.conf: the file does not exist`, ExitSecurity},
		{"no match", tree{"/k": "includew a*.conf", "/": ""}, `/k:1:1 include a*.conf: no file matches`, ExitSecurity},
		{"executable include", tree{"/k": "includer a.sh", "/a.sh": ""}, `/k:1:1 include a.sh: /a.sh is executable`, ExitSecurity},
		{"include check", tree{"/k": "global_defs {\ninclude_check match\n}\ninclude no"}, `/k:4:1 include no`, ExitSecurity},
		{"include check ends with its file", tree{"/k": "include a\ninclude no", "/a": "global_defs {\ninclude_check\n}"}, `/k:2:1 include no`, ExitOK},
		{"unknown include check", tree{"/k": "global_defs {\ninclude_check readable\n}"}, `/k:2:15 include_check: unknown word`, ExitError},
		{"include of itself", tree{"/k": "include a", "/a": "x\ninclude k"}, `/a:2:1 include /k: the file includes itself`, ExitError},
		{"main file missing", tree{}, `- Configuration file '/k' does not exist`, ExitFatal},
		{"reversed bounds", tree{"/k": "a ${_RANDOM 9 3}"}, `/k:1:3 ${_RANDOM 9 3}: the bounds are reversed`, ExitError},
	} {
		r := &Report{}
		Load(c.files, "/k", testEnv, r)
		all := r.All()
		if len(all) != 1 {
			t.Errorf("%s: %d findings, want 1: %v", c.name, len(all), all)
			continue
		}
		if got := all[0].At.String() + " " + all[0].Text; !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if r.ExitCode() != c.exit {
			t.Errorf("%s: exit code %d, want %d", c.name, r.ExitCode(), c.exit)
		}
	}
}

func TestIncludeOrderAndPlaces(t *testing.T) {
	files := tree{
		"/etc/k.conf":         "a\ninclude conf.d/{b,a}*.conf\nz",
		"/etc/conf.d/a.conf":  "in a",
		"/etc/conf.d/b1.conf": "in b1\ninclude ../x",
		"/etc/conf.d/b2.conf": "in b2",
		"/etc/x":              "in x",
	}
	r := &Report{}
	var got []string
	for l := range Load(files, "/etc/k.conf", Env{}, r).All() {
		at := r.Place(l.At)
		line := fmt.Sprintf("%s %s", at, l.Raw)
		for v := at.Via; v != nil; v = v.At.Via {
			line += fmt.Sprintf(" (%s %s)", v.How, v.At)
		}
		got = append(got, line)
	}
	want := []string{
		"/etc/k.conf:1:1 a",
		"/etc/conf.d/b1.conf:1:1 in b1 (included from /etc/k.conf:2:1)",
		"/etc/x:1:1 in x (included from /etc/conf.d/b1.conf:2:1) (included from /etc/k.conf:2:1)",
		"/etc/conf.d/b2.conf:1:1 in b2 (included from /etc/k.conf:2:1)",
		"/etc/conf.d/a.conf:1:1 in a (included from /etc/k.conf:2:1)",
		"/etc/k.conf:3:1 z",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s\n%v", strings.Join(got, "\n"), strings.Join(want, "\n"), r.All())
	}
}

// The class order of a report decides its exit code, whatever the order of the findings (language.md §11).
func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		classes []Class
		want    int
	}{
		{nil, 0},
		{[]Class{Note}, 0},
		{[]Class{FileNotFound}, 4},
		{[]Class{Fatal, Note}, 4},
		{[]Class{Fatal, UnknownKeyword}, 5},
		{[]Class{Deprecated, BadInterface}, 5},
		{[]Class{Security, Error}, 6},
		{[]Class{FatalInclude, Error}, 6},
		{[]Class{MissingWord, Security}, 2},
	} {
		r := &Report{}
		for _, k := range c.classes {
			r.Add(k, Pos{}, "x")
		}
		if got := r.ExitCode(); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.classes, got, c.want)
		}
	}
}

func TestWrite(t *testing.T) {
	r := &Report{}
	Load(tree{"/k": "include a", "/a": "one\n\ttwo \"three\x1b"}, "/k", Env{}, r)
	var log, term strings.Builder
	if err := r.Write(&log, false); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(&term, true); err != nil {
		t.Fatal(err)
	}
	finding := `(/a: Line 2) Unterminated quoted string: the closing " is missing` + "\n"
	if log.String() != finding {
		t.Errorf("log form is %q", log.String())
	}
	want := finding + "      2 | \ttwo \"three.\n        | \t    ^\n        included from /k:1\n"
	if term.String() != want {
		t.Errorf("terminal form is\n%s\nwant\n%s", term.String(), want)
	}
}

func TestSplitCommand(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
	}{
		{`/bin/a b  c`, `/bin/a|b|c`},
		{`/bin/a 'b c'`, `/bin/a|b c`},
		{`a"b c"d 'e"f'`, `ab cd|e"f`},
		{`a\ b "c\"d"`, `a b|c"d`},
		{`\x41\101\n\cA\q`, "AA\n\x01q"},
		{`a ''`, `a|`},
		{`a'`, `a`},
		{`a '`, `a`},
		{"'''", ``},
		{`'a\'`, `a'`},
		{`a 'b\\`, `a|b\`},
	} {
		got, err := SplitCommand(c.in)
		if err != nil || strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, %v, want %q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{`a 'b`, `a ' `, `'a\'b`} {
		if got, err := SplitCommand(in); err == nil {
			t.Errorf("%s: %q, and the open quote is no error", in, got)
		}
	}
}

func TestRelexKeepsBackslashPairs(t *testing.T) {
	words, err := Relex(`notify "/bin/a 'b\"c'" user`, Pos{})
	if err != nil || len(words) != 3 || words[1].Text != `/bin/a 'b\"c'` || words[2].Text != "user" {
		t.Errorf("%v, %v", words, err)
	}
}

// Definitions and generators can make much out of little: reading has to end soon, and say so.
func TestBombs(t *testing.T) {
	for name, in := range map[string]string{
		"doubling definition":  bomb(),
		"nested sequences":     "~SEQ(A,1000) ~SEQ(B,1000) ~SEQ(C,1000) ~SEQ(D,1000) x",
		"four million numbers": "~SEQ(A,4000000) $X=1",
		"endless definition":   "$A= \\\n$A \\\nx\n$A",
	} {
		r := &Report{}
		lines := slices.Collect(Load(tree{"/k": in}, "/k", Env{}, r).All())
		if len(lines) > maxLines || len(r.All()) == 0 {
			t.Errorf("%s: %d lines, findings %v", name, len(lines), r.All())
		}
	}
}

func bomb() string {
	var b strings.Builder
	b.WriteString("$A0= \\\nx \\\nx\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "$A%d= \\\n$A%d \\\n$A%d\n", i, i-1, i-1)
	}
	b.WriteString("$A29\n")
	return b.String()
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"a { b \"c\" } # d\n", "$A= \\\nb \\\nc\n$A\n", "~SEQ(I,1,3) x$I\n", "~LST({A,B},{1,2}) $A\n", "@id a\n", "include k*\n",
		"include {a,k}\n", "include_check +match\n", "x \\# ${_RANDOM 1 2} ${_ENV A}\n",
	} {
		f.Add(s, "b\n$A={\n")
	}
	f.Fuzz(func(t *testing.T, main, other string) {
		r := &Report{}
		files := tree{"/k": main, "/a": other}
		last := Pos{}
		for l := range Load(files, "/k", Env{ConfigID: "id"}, r).All() {
			inside(t, files, r.Place(l.At))
			if !last.Before(l.At) {
				t.Fatalf("line %v comes after one at %v", r.Place(l.At), r.Place(last))
			}
			last = l.At
			if (l.Kind == Text) != (len(l.Words) > 0) {
				t.Fatalf("line %v has %d words", r.Place(l.At), len(l.Words))
			}
			for _, w := range l.Words {
				inside(t, files, r.Place(w.At))
			}
		}
		for _, d := range r.All() {
			if d.At.IsSet() {
				inside(t, files, d.At)
			}
		}
	})
}

func inside(t *testing.T, files tree, at Place) {
	t.Helper()
	lines := strings.Split(files[path.Clean(at.File)], "\n")
	if at.Line < 1 || at.Line > len(lines) || at.Col < 1 || at.Col > len(lines[at.Line-1])+1 {
		t.Fatalf("place %v is outside its file", at)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	for _, line := range []string{"auth_pass hunter2 \"", "  auth { auth_pass hunter2 \"", `password "hunter2`, "key 1 hunter2 \""} {
		r := &Report{}
		Load(tree{"/k": line}, "/k", Env{}, r)
		var b strings.Builder
		if err := r.Write(&b, true); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "hunter2") || !strings.Contains(b.String(), "********") {
			t.Errorf("%s: shown as\n%s", line, b.String())
		}
	}
}

func TestMaskSecret(t *testing.T) {
	for in, want := range map[string]string{
		"auth_pass x":               "auth_pass ********",
		`  auth_pass "x y"`:         "  auth_pass ********",
		"password\tx":               "password ********",
		"smtp_password x":           "smtp_password ********",
		"key 1 x":                   "key ********",
		"{ key 1 x }":               "{ key ********",
		"active_key 1":              "active_key 1",
		"monkey 1":                  "monkey 1",
		"a_key 1 and then key 1 x":  "a_key 1 and then key ********",
		"auth_pass":                 "auth_pass",
		"auth_passes x":             "auth_passes x",
		"router_id key":             "router_id key",
		"notify_master password.sh": "notify_master password.sh",
	} {
		if got := MaskSecret(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzPlain: lines that are left to a Cursor come to the same as those that are looked at byte by byte, which a condition makes them.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"a { b \"c\" } # d\n", "a\"b\"c{\"}#\" ! }", "x\"\n}}", " \"\"a \t\v b\r\n\n#\n{\n", "a !\"b\nc \"d#e\" f\"g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var slow strings.Builder
		for line := range strings.Lines(text) {
			if strings.ContainsAny(line, "$\\\x00") || strings.ContainsAny(strings.TrimLeft(line, " \t\v\f\r")+".", "@~") || len(line) > 1000 {
				t.Skip()
			}
			slow.WriteString("@id " + line)
		}
		show := func(text string) (out []string) {
			r := &Report{}
			for l := range Load(tree{"/k": text}, "/k", Env{ConfigID: "id"}, r).All() {
				s := fmt.Sprintf("%d %d %q", r.Place(l.At).Line, l.Kind, l.Raw)
				for _, w := range l.Words {
					s += fmt.Sprintf(" %q %v", w.Text, w.Quoted)
				}
				out = append(out, s)
			}
			for _, d := range r.All() {
				out = append(out, fmt.Sprintf("%d %s", d.At.Line, d.Text))
			}
			return out
		}
		if plain, other := show(text), show(slow.String()); !slices.Equal(plain, other) {
			t.Errorf("%q\nplain %q\nother %q", text, plain, other)
		}
	})
}
