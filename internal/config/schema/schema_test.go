package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

func word(s ...string) (out []source.Word) {
	for _, w := range s {
		out = append(out, source.Word{Text: w})
	}
	return out
}

// try reads words with a kind: the value, then ! if it is used in spite of an error, or the error alone.
func try[V any](k Kind[V], words ...string) string {
	v, err := k.Parse(word(words...))
	switch {
	case err == nil:
		return fmt.Sprint(v)
	case IsCorrected(err):
		return fmt.Sprint(v) + "!"
	case errors.Is(err, ErrNoWord):
		return "none"
	}
	return "error"
}

// Forms of values by language.md §9.
func TestKinds(t *testing.T) {
	vrid := Int(1, 255)
	advert := Seconds(10*time.Millisecond, 255*time.Second)
	for _, c := range []struct{ got, want string }{
		{try(vrid, "51"), "51"}, {try(vrid, "+051"), "51"}, {try(vrid, " 51"), "51"}, {try(vrid, "51 "), "error"}, {try(vrid, "51", "x"), "51"},
		{try(vrid, "0"), "error"}, {try(vrid, "256"), "error"}, {try(vrid, "-1"), "error"}, {try(vrid, "0x33"), "error"},
		{try(vrid, "5.1"), "error"}, {try(vrid, ""), "error"}, {try(vrid, "99999999999999999999"), "error"}, {try(vrid), "none"},
		{try(Int(-5, 5), "-3"), "-3"}, {try(Int(0, 9), ""), "0"}, {try(Int(-5, 5), "--3"), "error"}, {try(Int(-5, 5), "-"), "error"},
		{try(advert, "1"), "1s"}, {try(advert, ".5"), "500ms"}, {try(advert, "1."), "1s"}, {try(advert, "+1.25"), "1.25s"},
		{try(advert, "1.1234567"), "1.123457s!"}, {try(advert, "0.0000001"), "error"}, {try(advert, "255.000001"), "error"},
		{try(advert, "1e1"), "error"}, {try(advert, "1s"), "error"}, {try(advert, "-1"), "error"}, {try(advert, "."), "error"},
		{try(advert, "1.2.3"), "error"}, {try(advert, "999999999999999999999"), "error"},
		{try(Decimal(time.Millisecond, time.Millisecond, time.Hour, 3), "1.5"), "1.5ms"},
		{try(Decimal(time.Millisecond, time.Millisecond, time.Hour, 3), "10.0004"), "10ms!"},
		{try(Bool), "true"}, {try(Bool, "off"), "false"}, {try(Bool, "ON"), "error"},
		{try(Addr, "192.0.2.1"), "192.0.2.1"}, {try(Addr, "192.0.2.11-junk"), "192.0.2.11"}, {try(Addr, "::1/64"), "::1"},
		{try(Addr, "fe80::1%eth0"), "error"}, {try(Addr, "192.0.2"), "error"},
		{try(IfName, "eth0"), "eth0"}, {try(IfName, "sixteen-bytes-ok"), "error"},
		{try(ShortWord(3), "abcd"), "abc!"}, {try(Exactly(Word), "a", "b"), "error"},
		{try(Fallback(vrid, 100), "0"), "100!"}, {try(Fallback(vrid, 100)), "none"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

type thing struct {
	N     Opt[int]
	S     Opt[string]
	On    Opt[bool]
	List  []Opt[string]
	Inner *thing
}

var inner = TableOf(func() Rows[thing] {
	return Rows[thing]{Value("n", Int(1, 9), 5, func(t *thing) *Opt[int] { return &t.N }, "A number.")}
})

var things = TableOf(func() Rows[thing] {
	return Rows[thing]{
		Value("number", Int(1, 9), 3, func(t *thing) *Opt[int] { return &t.N }, "A number.").Alias("numeral"),
		Inherited("text", Word, func(t *thing) *Opt[string] { return &t.S }, "A text.").Lenient().FirstWins(),
		Flag("on", true, func(t *thing) *Opt[bool] { return &t.On }, "A flag.").OldName("onn", source.Deprecated),
		WordList("list", Word, func(t *thing) *[]Opt[string] { return &t.List }, "A list.").NotEmpty(),
		Block("block", "", func(t *thing, n *syntax.Node, r *source.Report) *thing {
			if len(n.Args) > 0 {
				return nil
			}
			t.Inner = &thing{}
			inner.Init(t.Inner)
			return t.Inner
		}, inner, "A block."),
		Check[thing]("later", Int(1, 9), "Not yet.").Pending("it is not built"),
	}
})

type oneFile string

func (f oneFile) Open(string) (fs.File, error) { return fstest.MapFS{"f": {Data: []byte(f)}}.Open("f") }
func (oneFile) Glob(string) ([]string, error)  { return nil, nil }

// read reads statements, one a line; the entries of lists are parted by semicolons.
func read(lines ...string) (*thing, string) {
	r := &source.Report{}
	t := &thing{}
	things.Init(t)
	text := strings.Join(lines, "\n")
	things.Read(t, syntax.Parse(source.Load(oneFile(strings.ReplaceAll(text, ";", "\n")), "k", source.Env{}, r), things, r), r)
	var found []string
	for _, d := range r.All() {
		found = append(found, fmt.Sprintf("%d:%d %s", d.At.Line, d.Class, d.Text))
	}
	return t, strings.Join(found, "\n")
}

func TestRows(t *testing.T) {
	v, found := read("numeral 4", "number 5", "on off", "list { a b; c }", "list { d }", "block { n 7 }")
	if found != "" || v.N.V != 5 || !v.N.IsSet() || !v.On.V || len(v.List) != 4 || v.Inner.N.V != 7 {
		t.Errorf("%+v\n%s", v, found)
	}
	v, _ = read()
	if v.N.V != 3 || v.N.IsSet() {
		t.Errorf("default: %+v", v)
	}
	for _, c := range []struct{ in, want string }{
		{"number x", `1:13 number: "x" is not a number - ignoring`},
		{"number", "1:17 'number' is missing a required parameter (word 2)"},
		{"text", "1:13 text: no value given - ignoring"},
		{"text a|text b", "2:13 text is already specified - ignoring"},
		{"onn", "1:15 onn is an old name"},
		{"list { }", "1:13 list is empty"},
		{"later 1|later 2|later x", "1:0 later has no effect yet: it is not built\n3:13 later: \"x\" is not a number - ignoring"},
	} {
		if _, found := read(strings.Split(c.in, "|")...); found != c.want {
			t.Errorf("%s: found\n%s\nwant\n%s", c.in, found, c.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	for in, want := range map[string]string{"nubmer": "number", "tex": "text", "Number": "number", "zzzzzz": "", "blocks": "block"} {
		if got := things.Suggest(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
