package config

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// places of findings, as "L4" or "inc/one.inc:L1"; the findings without a place are counted.
type places struct {
	at      map[string]bool
	nowhere int
}

var recordedPlace = regexp.MustCompile(`^(?:(-)|((?:\S+:)?L\d+)) `)

// recordedPlaces reads the messages column of expected.tsv.
func recordedPlaces(t *testing.T, messages string) (p places) {
	t.Helper()
	p.at = map[string]bool{}
	if messages == "none" {
		return p
	}
	for _, m := range strings.Split(messages, " ; ") {
		f := recordedPlace.FindStringSubmatch(m)
		switch {
		case f == nil:
			t.Errorf("%q: no place in the message %q", messages, m)
		case f[1] != "":
			p.nowhere++
		default:
			p.at[path.Base(f[2])] = true
		}
	}
	return p
}

// differences compares where we report with where keepalived does. A finding that keepalived tells without a place may have one here, and
// what changes no exit code may be told where keepalived is silent.
func differences(want places, r *source.Report, file string) (diff []string) {
	all, loud := map[string]bool{}, map[string]bool{}
	for _, d := range r.All() {
		if !d.At.IsSet() {
			continue
		}
		place := fmt.Sprintf("L%d", d.At.Line)
		if d.At.File != file {
			place = path.Base(d.At.File) + ":" + place
		}
		all[place] = true
		if d.Class != source.Note {
			loud[place] = true
		}
	}
	for _, p := range slices.Sorted(maps.Keys(want.at)) {
		if !all[p] {
			diff = append(diff, "-"+p)
		}
	}
	var extra []string
	for _, p := range slices.Sorted(maps.Keys(loud)) {
		if !want.at[p] {
			extra = append(extra, "+"+p)
		}
	}
	if len(extra) > want.nowhere {
		diff = append(diff, extra...)
	}
	return diff
}

// TestVectorLines compares the lines of our findings with those of keepalived's. lines.tsv has what differs, and why; a difference that is
// no more has to be taken off it.
func TestVectorLines(t *testing.T) {
	t.Chdir("../../test/config/vectors")
	text, err := os.ReadFile("lines.tsv")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[2] == "" {
			t.Fatalf("lines.tsv line %d: not a file, what differs and a reason", n+1)
		}
		known[f[0]] = f[1]
	}
	for _, v := range readVectors(t) {
		_, r := Load(System{}, v.file, v.options(), newFakeHost())
		d := strings.Join(differences(recordedPlaces(t, v.messages), r, v.file), " ")
		if d != known[v.file] {
			t.Errorf("%s: the lines of the findings differ by %q, expected is %q (lines.tsv)\n  theirs: %s\n%s", v.file, d, known[v.file], v.messages, printed(r))
		}
	}
}
