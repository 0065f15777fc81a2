package schema

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

// Value declares a keyword with one value, of which the last occurrence counts.
func Value[T, V any](name string, kind Kind[V], def V, field func(*T) *Opt[V], doc string) *Keyword[T] {
	k := &Keyword[T]{Name: name, Usage: kind.Usage, Doc: doc, shape: syntax.Leaf, def: printed(def, kind.Usage),
		held: func(t *T) (any, source.Pos) { f := field(t); return f.V, f.At },
		read: func(k *Keyword[T], t *T, n *syntax.Node, r *source.Report) {
			f := field(t)
			if k.first && f.IsSet() && (len(n.Args) > 0 || k.mayBeEmpty) {
				r.Errorf(n.At(), "%s is already specified - ignoring", n.Key.Text).With("the first one counts, at", f.At)
				return
			}
			if v, ok := parse(k, kind, n, r); ok {
				*f = Opt[V]{v, n.At()}
			}
		}}
	if !reflect.ValueOf(&def).Elem().IsZero() {
		k.init = func(t *T) { field(t).V = def }
	}
	return k
}

// printed is a default in the words of the configuration; zero values are left to the documentation, since most mean "not set".
func printed(v any, usage string) string {
	if d, ok := v.(time.Duration); ok && d != 0 {
		unit := time.Second
		if strings.HasSuffix(usage, " ms>") {
			unit = time.Millisecond
		}
		return strconv.FormatFloat(float64(d)/float64(unit), 'f', -1, 64)
	}
	switch v := reflect.ValueOf(v); {
	case v.Type() == reflect.TypeFor[int]() && v.Int() > 0:
		return strconv.FormatInt(v.Int(), 10)
	case v.Kind() == reflect.String:
		return v.String()
	}
	return ""
}

// Inherited declares a value whose default comes from elsewhere: Resolve looks whether it is set.
func Inherited[T, V any](name string, kind Kind[V], field func(*T) *Opt[V], doc string) *Keyword[T] {
	var zero V
	return Value(name, kind, zero, field, doc)
}

// Flag declares a keyword that stores v and ignores whatever follows it, even "off".
func Flag[T, V any](name string, v V, field func(*T) *Opt[V], doc string) *Keyword[T] {
	return &Keyword[T]{Name: name, Doc: doc, shape: syntax.Leaf,
		held: func(t *T) (any, source.Pos) { f := field(t); return f.V, f.At },
		read: func(_ *Keyword[T], t *T, n *syntax.Node, _ *source.Report) { *field(t) = Opt[V]{v, n.At()} }}
}

// Check declares a keyword whose value is checked and dropped.
func Check[T, V any](name string, kind Kind[V], doc string) *Keyword[T] {
	return &Keyword[T]{Name: name, Usage: kind.Usage, Doc: doc, shape: syntax.Leaf,
		read: func(k *Keyword[T], _ *T, n *syntax.Node, r *source.Report) { parse(k, kind, n, r) }}
}

// Line declares a keyword that is read by a function of its own.
func Line[T any](name, usage string, read func(*T, *syntax.Node, *source.Report), doc string) *Keyword[T] {
	return &Keyword[T]{Name: name, Usage: usage, Doc: doc, shape: syntax.Leaf,
		read: func(k *Keyword[T], t *T, n *syntax.Node, r *source.Report) {
			line := *n
			var ok bool
			if line.Args, ok = k.args(n, r); ok {
				read(t, &line, r)
			}
		}}
}

// Items declares a list block of one entry per line; read returns false for an entry that it has reported and that is dropped. The
// lists of several blocks add up.
func Items[T, V any](name, usage string, read func(*T, *syntax.Node, *source.Report) (V, bool), field func(*T) *[]Opt[V], doc string) *Keyword[T] {
	return &Keyword[T]{Name: name, Usage: "{ " + usage + " … }", Doc: doc, shape: syntax.List,
		kept: func(t *T) []source.Pos { return placesOf(*field(t)) },
		read: func(k *Keyword[T], t *T, n *syntax.Node, r *source.Report) {
			k.checkEmpty(n, r)
			f := field(t)
			*f = slices.Grow(*f, len(n.Body))
			for _, entry := range n.Body {
				if v, ok := read(t, entry, r); ok {
					*f = append(*f, Opt[V]{v, entry.At()})
				}
			}
		}}
}

// WordList declares a list block in which every word is an entry.
func WordList[T, V any](name string, kind Kind[V], field func(*T) *[]Opt[V], doc string) *Keyword[T] {
	return &Keyword[T]{Name: name, Usage: "{ " + kind.Usage + " … }", Doc: doc, shape: syntax.List,
		kept: func(t *T) []source.Pos { return placesOf(*field(t)) },
		read: func(k *Keyword[T], t *T, n *syntax.Node, r *source.Report) {
			f := field(t)
			k.checkEmpty(n, r)
			for _, entry := range n.Body {
				for _, w := range entry.Words() {
					v, err := kind.Parse([]source.Word{w})
					if err != nil {
						r.Errorf(w.At, "%s: %v", n.Key.Text, err)
					}
					if err == nil || IsCorrected(err) {
						*f = append(*f, Opt[V]{v, w.At})
					}
				}
			}
		}}
}

func placesOf[V any](list []Opt[V]) (out []source.Pos) {
	for _, o := range list {
		out = append(out, o.At)
	}
	return out
}

func (k *Keyword[T]) checkEmpty(n *syntax.Node, r *source.Report) {
	if k.notEmpty && len(n.Body) == 0 {
		r.Errorf(n.End, "%s is empty", n.Key.Text)
	}
}

// Block declares a keyword with a block of keywords. open makes the value that the block fills, or reports and returns nil to skip it;
// the defaults of the table are stored into it unless it is the one that an earlier block filled, which again reports.
func Block[T, U any](name, usage string, open func(*T, *syntax.Node, *source.Report) *U, table *Table[U], doc string) *Keyword[T] {
	return &Keyword[T]{Name: name, Usage: usage + "{ … }", Doc: doc, shape: syntax.Block, sub: table,
		read: func(_ *Keyword[T], t *T, n *syntax.Node, r *source.Report) {
			if u := open(t, n, r); u != nil {
				table.Read(u, n.Body, r)
				table.Tell(n.At(), u, r)
			} else if !n.Bare { // else processes that have nothing to do with it have not skipped it
				r.Forget(n.At(), n.End)
			}
		}}
}

// parse reads a value and reports what is wrong with it.
func parse[T, V any](k *Keyword[T], kind Kind[V], n *syntax.Node, r *source.Report) (v V, ok bool) {
	args, ok := k.args(n, r)
	if !ok {
		return v, false
	}
	v, err := kind.Parse(args)
	switch {
	case err == nil:
		return v, true
	case errors.Is(err, ErrNoWord):
		k.missing(n, r)
		return v, false
	}
	at := n.At()
	if len(args) > 0 {
		at = args[0].At
	}
	d := r.Errorf(at, "%s: %v", n.Key.Text, err)
	if IsCorrected(err) {
		return v, true
	}
	if d.Text += " - ignoring"; kind.Usage != "" {
		d.Hint = "expected " + kind.Usage
	}
	return v, false
}
