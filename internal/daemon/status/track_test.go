package status

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func tracksSnapshot() *Snapshot {
	return &Snapshot{
		Instances: []Instance{{Instance: model.Instance{Name: "A",
			TrackFiles:     []model.Track{{Name: "f1", Weight: 3, Reverse: true}},
			TrackProcesses: []model.Track{{Name: "p1", Weight: 5, Reverse: true}, {Name: "p2", Weight: 3}, {Name: "p3"}, {Name: "p4"}}}}},
		Files: []File{{TrackFile: model.TrackFile{Name: "f1", Path: "/tmp/trk/f1", Weight: 3, Reverse: true}, Value: 3}},
		Processes: []Process{
			{TrackProcess: model.TrackProcess{Name: "p1", Process: "sleep", Args: []string{"10", "a b"}, ParamMatch: model.ParamExact, FullCommand: true,
				Weight: 5, Reverse: true, Quorum: 1, QuorumMax: 3, Fork: 1500 * time.Millisecond, Terminate: 1500 * time.Millisecond}},
			{TrackProcess: model.TrackProcess{Name: "p2", Process: "nope", Args: []string{"x"}, ParamMatch: model.ParamInitial, FullCommand: true,
				Quorum: 1, QuorumMax: -1, Terminate: 2 * time.Second}},
			{TrackProcess: model.TrackProcess{Name: "p3", Process: "nope", ParamMatch: model.ParamPartial, FullCommand: true,
				Quorum: 1, QuorumMax: -1, Fork: 2 * time.Second}},
			{TrackProcess: model.TrackProcess{Name: "p4", Process: "nope", Args: []string{"x", "y"}, ParamMatch: model.ParamExact, FullCommand: true,
				Quorum: 1, QuorumMax: -1}},
		},
	}
}

// What keepalived says of files and processes, we say word for word.
func TestTrackedData(t *testing.T) {
	got := render(t, WriteData, tracksSnapshot())
	tracked := got[strings.Index(got, "   Tracked files :"):strings.Index(got, "   Using smtp")]
	trackers := got[strings.Index(got, "------< VRRP Track files"):strings.Index(got, "------< Interfaces")]
	if diff := cmp.Diff(read(t, "track.oracle.data"), tracked+trackers); diff != "" {
		t.Errorf("(-keepalived +ours):\n%s", diff)
	}
}

func TestTrackedJSON(t *testing.T) {
	var b strings.Builder
	if err := WriteJSON(&b, tracksSnapshot(), 2); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"track_process":["p1","p2","p3","p4"]`,
		`"track_process":[{"process":"sleep","parameters":"10 a b","param_match":"exact","min_processes":1,"max_processes":3,"current_processes":0,` +
			`"have_quorum":false,"weight":-5,"terminate_delay":1.5,"fork_delay":1.5,"fork_delay_timer_running":false,` +
			`"terminate_delay_timer_running":false,"full_command":true}`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, b.String())
		}
	}
}
