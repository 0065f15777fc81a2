package check

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func TestReported(t *testing.T) {
	for _, tt := range []struct {
		name  string
		alpha bool
		says  []bool
		want  []string
	}{
		{"up from the start", false, []bool{true, true}, []string{"say BFD check of [b] RS(R) is UP"}},
		{"down at first, then up", false, []bool{false, false, true}, []string{"say BFD check of [b] RS(R) is DOWN", "down",
			"mail => BFD CHECK b failed on service <=", "say BFD check of [b] RS(R) is UP", "up", "mail => BFD CHECK b succeeded on service <="}},
		{"alpha that stays down", true, []bool{false}, []string{"say BFD check of [b] RS(R) is DOWN", "down at first"}},
		{"alpha that comes up", true, []bool{true}, []string{"say BFD check of [b] RS(R) is UP", "up", "mail => BFD CHECK b succeeded on service <="}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := New(&model.Check{Kind: model.BFDCheck, Alpha: tt.alpha, BFD: model.BFDOpts{Name: "b"}}, Subject{Server: "R", Service: "V"}, 0)
			m.Step(time.Unix(0, 0), &Event{Kind: Started}, nil)
			if !m.Deadline().IsZero() {
				t.Error("it has a deadline, and nothing to do then")
			}
			var got []string
			for _, up := range tt.says {
				for _, a := range m.Step(time.Unix(0, 0), &Event{Kind: Reported, Result: Result{OK: up}}, nil) {
					switch {
					case a.Kind == Say:
						got = append(got, "say "+a.Line)
					case a.Kind == Alert:
						got = append(got, "mail "+a.Line)
					case a.Kind == Down && a.First:
						got = append(got, "down at first")
					case a.Kind == Down:
						got = append(got, "down")
					case a.Kind == Up:
						got = append(got, "up")
					}
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
