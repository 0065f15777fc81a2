package engine

import (
	"slices"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
)

// Where VRRP and the checkers are two daemons (-P and -C), one of them alone runs the sync daemons, and the other does not touch them.
func TestSyncDaemonIsOfOneProcess(t *testing.T) {
	both := []ipvs.DaemonState{ipvs.DaemonMaster, ipvs.DaemonBackup}
	for _, test := range []struct {
		name           string
		instance       string
		vrrp, checkers bool
		want           []ipvs.DaemonState // nil: not ours
	}{
		{"both directions, one process", "", true, true, both},
		{"both directions, -C", "", false, true, both},
		{"both directions, -P", "", true, false, nil},
		{"with an instance, one process", "VI_1", true, true, []ipvs.DaemonState{ipvs.DaemonBackup}},
		{"with an instance, -P", "VI_1", true, false, []ipvs.DaemonState{ipvs.DaemonBackup}},
		{"with an instance, -C", "VI_1", false, true, nil},
	} {
		e := &engine{flags: link.Flags{VRRP: test.vrrp, Checkers: test.checkers},
			model: &model.Model{LVS: model.LVS{Sync: &model.SyncDaemon{Interface: "eth0", Instance: test.instance}}}}
		if test.vrrp {
			e.vrrp = &vrrpPart{engine: e}
		}
		s := &syncDaemon{engine: e}
		var got []ipvs.DaemonState
		for _, d := range s.wish() {
			got = append(got, d.State)
		}
		if s.ours() != (test.want != nil) || !slices.Equal(got, test.want) {
			t.Errorf("%s: ours %t, %v, want %v", test.name, s.ours(), got, test.want)
		}
	}
}
