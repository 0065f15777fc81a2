package config

import (
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// maxGuesses bounds the search for what was meant, in names looked at: findings beyond it come without.
const maxGuesses = 500_000

// meant completes a finding about a name that is not known: the nearest of the names that are, and another hint or "".
func (res *resolver) meant(d *source.Diagnostic, name string, known func() []string, hint string) {
	if d.Hint = hint; res.guesses > maxGuesses || len(name) < 3 { // of very short names almost any is near
		return
	}
	names := known()
	res.guesses += len(names)
	switch near := schema.Nearest(name, names); {
	case near == "" || near == name:
	case hint == "":
		d.Hint = "did you mean " + near + "?"
	default:
		d.Hint = "did you mean " + near + "? (" + hint + ")"
	}
}

// definition is a named block that entries refer to.
type definition struct {
	name string
	at   source.Pos
}

// undefined completes a finding about a name that no block above it defines: where another does that is below or
// of no use, or which name is near.
func (res *resolver) undefined(d *source.Diagnostic, name string, blocks func() []definition) {
	const above = "it must be defined above"
	if res.guesses > maxGuesses {
		return
	}
	all := blocks()
	if i := slices.IndexFunc(all, func(b definition) bool { return b.name == name }); i >= 0 {
		d.With("defined at", all[i].at).Hint = above
		if all[i].at.Before(d.At.Pos) {
			d.Hint = "what is defined there cannot be used"
		}
		return
	}
	res.meant(d, name, func() (known []string) {
		for _, b := range all {
			known = append(known, b.name)
		}
		return known
	}, above)
}

// scriptBlocks are the vrrp_script blocks.
func (res *resolver) scriptBlocks() (out []definition) {
	for _, s := range res.c.Scripts {
		out = append(out, definition{s.Name, s.At})
	}
	return out
}

// trackerBlocks are the blocks of a kind of tracker.
func (res *resolver) trackerBlocks(kind trackKind) func() []definition {
	return func() (out []definition) {
		for _, t := range res.c.Trackers {
			if t.Kind == kind {
				out = append(out, definition{t.Name, t.At})
			}
		}
		return out
	}
}

// instanceNames are those of the vrrp_instance blocks.
func (res *resolver) instanceNames() (names []string) {
	for _, i := range res.c.Instances {
		names = append(names, i.Name)
	}
	return names
}

// noInterface completes a finding about an interface that is not there.
func (res *resolver) noInterface(d *source.Diagnostic, name string, host Host, hint string) {
	res.meant(d, name, func() (known []string) {
		for _, l := range host.Links() {
			known = append(known, l.Name)
		}
		return known
	}, hint)
}
