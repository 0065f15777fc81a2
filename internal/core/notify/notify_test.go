package notify

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func script(words ...string) *model.Script { return &model.Script{Args: words} }

var (
	bare = &model.Instance{Name: "VI_1"}
	full = &model.Instance{
		Name: "VI_1", NotifyPriority: true,
		NotifyMaster: script("/master", "now"), NotifyBackup: script("/backup"), NotifyFault: script("/fault"),
		NotifyStop: script("/stop"), NotifyLowerPrio: script("/lower"), Notify: script("/any", "word"),
	}
	deleted = func() *model.Instance {
		i := *full
		i.NotifyDeleted, i.NotifyDeletedState = script("/deleted"), true
		return &i
	}()
	group = &model.SyncGroup{
		Name: "G1", Members: []string{"VI_1"},
		NotifyMaster: script("/gmaster"), NotifyStop: script("/gstop"), Notify: script("/gany"),
	}
	web = &model.VirtualServer{
		Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Protocol: model.TCP,
		QuorumUp: script("/qup"), QuorumDown: script("/qdown", "x"),
	}
	marked = &model.VirtualServer{IsFWMark: true, FWMark: 5}
	named  = &model.VirtualServer{Group: "G", Protocol: model.UDP}
	real1  = &model.RealServer{Addr: netip.MustParseAddr("10.0.0.2"), Port: 80, NotifyUp: script("/rup"), NotifyDown: script("/rdown")}
	real6  = &model.RealServer{Addr: netip.MustParseAddr("2001:db8::2"), Port: 8080}
)

// transcript shows deliveries one a line, in order.
func transcript(list []Delivery) string {
	var lines []string
	for _, d := range list {
		switch {
		case d.Script == nil:
			lines = append(lines, []string{"", "vrrp", "lvs"}[d.Stream]+": "+d.Line)
		case d.Tracked:
			lines = append(lines, "track "+strings.Join(append(d.Script.Args, d.Extra...), " "))
		default:
			lines = append(lines, "run "+strings.Join(append(d.Script.Args, d.Extra...), " "))
		}
	}
	return strings.Join(lines, "\n")
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name   string
		change Change
		want   []string
	}{
		{"no script: the line alone", Instance{Of: bare, To: model.Backup, Priority: 150},
			[]string{`vrrp: INSTANCE "VI_1" BACKUP 150`}},
		{"master", Instance{Of: full, From: model.Backup, To: model.Master, Priority: 150},
			[]string{"run /master now", "run /any word INSTANCE VI_1 MASTER 150", `vrrp: INSTANCE "VI_1" MASTER 150`}},
		{"backup", Instance{Of: full, From: model.Master, To: model.Backup, Priority: 90},
			[]string{"run /backup", "run /any word INSTANCE VI_1 BACKUP 90", `vrrp: INSTANCE "VI_1" BACKUP 90`}},
		{"fault", Instance{Of: full, From: model.Master, To: model.Fault, Priority: 1},
			[]string{"run /fault", "run /any word INSTANCE VI_1 FAULT 1", `vrrp: INSTANCE "VI_1" FAULT 1`}},
		{"the daemon waits for what it runs at its end", Instance{Of: full, From: model.Fault, To: model.Stop, Priority: 150},
			[]string{"track /stop", "track /any word INSTANCE VI_1 STOP 150", `vrrp: INSTANCE "VI_1" STOP 150`}},

		{"removed by a reload: FAULT", Instance{Of: full, From: model.Backup, To: model.Deleted, Priority: 150},
			[]string{"run /any word INSTANCE VI_1 FAULT 150", `vrrp: INSTANCE "VI_1" FAULT 150`}},
		{"removed while in FAULT: nothing new", Instance{Of: full, From: model.Fault, To: model.Deleted}, nil},
		{"removed before its first state: nothing to take back", Instance{Of: full, From: model.Init, To: model.Deleted}, nil},
		{"notify_deleted", Instance{Of: deleted, From: model.Fault, To: model.Deleted, Priority: 150},
			[]string{"run /deleted", "run /any word INSTANCE VI_1 DELETED 150", `vrrp: INSTANCE "VI_1" DELETED 150`}},

		{"group", Group{group, model.Master},
			[]string{"run /gmaster", "run /gany GROUP G1 MASTER 0", `vrrp: GROUP "G1" MASTER 0`}},
		{"group without a script for the state", Group{group, model.Fault},
			[]string{"run /gany GROUP G1 FAULT 0", `vrrp: GROUP "G1" FAULT 0`}},
		{"group at the end: its scripts are waited for", Group{group, model.Stop},
			[]string{"track /gstop", "track /gany GROUP G1 STOP 0", `vrrp: GROUP "G1" STOP 0`}},

		{"lower priority", LowerPriority{full, 150},
			[]string{"run /lower", `vrrp: INSTANCE "VI_1" MASTER_RX_LOWER_PRI 150`}},
		{"lower priority without script", LowerPriority{bare, 150}, []string{`vrrp: INSTANCE "VI_1" MASTER_RX_LOWER_PRI 150`}},
		{"priority of a master", Priority{full, model.Master, 90}, []string{`vrrp: INSTANCE "VI_1" MASTER_PRIORITY 90`}},
		{"priority of anything else", Priority{full, model.Fault, 90}, []string{`vrrp: INSTANCE "VI_1" BACKUP_PRIORITY 90`}},
		{"priority, if not asked for", Priority{bare, model.Master, 90}, nil},

		{"after a reload", InstanceNow{full, model.Master, 150}, []string{`vrrp: INSTANCE "VI_1" MASTER 150`}},
		{"after a reload, group", GroupNow{group, model.Master}, []string{`vrrp: GROUP "G1" MASTER 0`}},

		{"real server up", RealServer{real1, web, true}, []string{"run /rup", "lvs: RS [10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80 UP"}},
		{"real server down", RealServer{real1, web, false}, []string{"run /rdown", "lvs: RS [10.0.0.2]:tcp:80 [10.0.0.1]:tcp:80 DOWN"}},
		{"real server of a mark", RealServer{real6, marked, true}, []string{"lvs: RS [2001:db8::2]:none:8080 FWM 5 UP"}},
		{"quorum gained", VirtualServer{web, true}, []string{"run /qup", "lvs: VS [10.0.0.1]:tcp:80 UP"}},
		{"quorum lost", VirtualServer{web, false}, []string{"run /qdown x", "lvs: VS [10.0.0.1]:tcp:80 DOWN"}},
		{"quorum of a group", VirtualServer{named, true}, []string{"lvs: VS [G]:0 UP"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(strings.Join(c.want, "\n"), transcript(Plan(c.change))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
