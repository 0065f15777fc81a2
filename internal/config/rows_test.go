package config

import (
	"strconv"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/test/compat"
)

// TestRows uses each keyword of keepalived at and beyond the edges of what it takes, and compares the exit code and the lines of the findings
// with what keepalived 2.3.4 said, which test/compat/rows.golden has. rows.differences has what may differ, and why.
func TestRows(t *testing.T) {
	golden, known := compat.Recorded(), compat.Differences()
	probed, differ := map[string]bool{}, 0
	for _, row := range compat.Rows() {
		for _, p := range row.Probes("2.3.4") {
			want, ok := golden.Of(p)
			if !ok {
				t.Errorf("%s %q is not recorded: go test ./test/config -run RowsLive -record", p.Key(), p.Value)
				continue
			}
			probed[p.Key()] = true
			host := newFakeHost()
			for name := range host.interfaces {
				host.links_ = append(host.links_, Link{Name: name})
			}
			_, r := Load(oneFile(p.Text), "k", Options{}, host)
			diff := ourVerdict(r, "k").Differs(want)
			if diff == "" {
				continue
			}
			explained := false
			for _, d := range known {
				if d.Covers(p) {
					d.Used, explained = true, true
				}
			}
			if !explained {
				if differ++; differ <= 400 {
					t.Errorf("%s %q: %s\n%s%s", p.Key(), p.Value, diff, p.Text, printed(r))
				}
			}
		}
	}
	for _, d := range known {
		if !d.Used {
			t.Errorf("rows.differences: nothing differs by %q any more: take it off", d.Reason)
		}
	}
	if differ > 0 {
		t.Errorf("%d probes differ", differ)
	}
	if len(probed) < 900 {
		t.Errorf("only %d rows are probed", len(probed))
	}
}

// ourVerdict is what a report says of a file.
func ourVerdict(r *source.Report, file string) compat.Verdict {
	v := compat.Verdict{Exit: strconv.Itoa(r.ExitCode()), Silent: map[int]bool{}, Lines: map[int]bool{}}
	for _, d := range r.All() {
		switch {
		case !d.At.IsSet() || d.At.File != file:
		case d.Class == source.Note:
			v.Silent[d.At.Line] = true
		default:
			v.Lines[d.At.Line] = true
		}
	}
	return v
}

// TestRowDefaults compares the defaults of the tables with those of keepalived, where both say a number or a word.
func TestRowDefaults(t *testing.T) {
	want := map[string]string{}
	for _, r := range compat.Rows() {
		want[r.Block+"\t"+r.Name] = r.Default
	}
	compared := 0
	root().Walk(schema.Root, func(row schema.Row) {
		w := want[row.Block+"\t"+row.Name]
		if row.Ours || row.Default == "" || w == "" || strings.ContainsAny(w, " ;") {
			return
		}
		if compared++; w != row.Default && !(w == "off" || w == "false") {
			t.Errorf("%s %s: default %s, keepalived's is %s", row.Block, row.Name, row.Default, w)
		}
	})
	if compared < 20 {
		t.Errorf("only %d defaults are compared", compared)
	}
}
