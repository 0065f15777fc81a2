package track

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// A probe in the place of a script is judged as one; what has learnt nothing counts neither way.
func TestProbed(t *testing.T) {
	s := NewScript(&model.TrackScript{Name: "tcp x", Check: &model.Check{Kind: model.TCPCheck}, Interval: time.Second, Timeout: 3 * time.Second, Rise: 2, Fall: 2})
	now := time.Unix(0, 0)
	var got []string
	step := func(ev ScriptEvent) {
		for _, a := range s.Step(now, ev, nil) {
			got = append(got, a.String())
		}
	}
	step(ScriptEvent{Kind: Begin})
	for _, ev := range []ScriptEvent{{Kind: Unable}, {Kind: Probed, OK: true}, {Kind: Probed, Reason: "timeout"}, {Kind: Unable}, {Kind: Probed, Reason: "refused"},
		{Kind: Probed, OK: true}, {Kind: Probed, OK: true}} {
		step(ev)
		now = now.Add(time.Second)
		step(ScriptEvent{Kind: Expired})
	}
	want := []string{"run", "run", "VRRP_Check(tcp x) succeeded", "fact true", "run", "run", "run",
		"VRRP_Check(tcp x) failed (refused)", "fact false", "run", "run", "VRRP_Check(tcp x) succeeded", "fact true", "run"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
