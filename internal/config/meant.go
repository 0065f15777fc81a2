package config

import (
	"slices"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// meant completes a finding about a name that is not known: the nearest of the names that are, and another hint or "".
func meant(d *source.Diagnostic, name string, known []string, hint string) {
	lower := make([]string, len(known))
	for i, k := range known {
		lower[i] = strings.ToLower(k)
	}
	near := slices.Index(lower, schema.Nearest(name, lower))
	switch {
	case near < 0 || len(name) < 3 || known[near] == name: // of very short names almost any is near
		d.Hint = hint
	case hint == "":
		d.Hint = "did you mean " + known[near] + "?"
	default:
		d.Hint = "did you mean " + known[near] + "? (" + hint + ")"
	}
}

// definition is a named block that entries refer to.
type definition struct {
	name string
	at   source.Pos
}

// undefined completes a finding about a name that no block above it defines: where another does that is below or
// of no use, or which name is near.
func undefined(d *source.Diagnostic, name string, blocks []definition) {
	const above = "it must be defined above"
	var known []string
	for _, b := range blocks {
		if b.name == name {
			d.With("defined at", b.at).Hint = above
			if b.at.Before(d.At.Pos) {
				d.Hint = "what is defined there cannot be used"
			}
			return
		}
		known = append(known, b.name)
	}
	meant(d, name, known, above)
}

// scriptBlocks are the vrrp_script blocks.
func (res *resolver) scriptBlocks() (out []definition) {
	for _, s := range res.c.Scripts {
		out = append(out, definition{s.Name, s.At})
	}
	return out
}

// trackerBlocks are the blocks of a kind of tracker.
func (res *resolver) trackerBlocks(kind trackKind) (out []definition) {
	for _, t := range res.c.Trackers {
		if t.Kind == kind {
			out = append(out, definition{t.Name, t.At})
		}
	}
	return out
}

// instanceNames are those of the vrrp_instance blocks.
func (res *resolver) instanceNames() (names []string) {
	for _, i := range res.c.Instances {
		names = append(names, i.Name)
	}
	return names
}

// noInterface completes a finding about an interface that is not there.
func noInterface(d *source.Diagnostic, name string, host Host, hint string) {
	var known []string
	for _, l := range host.Links() {
		known = append(known, l.Name)
	}
	meant(d, name, known, hint)
}
