package notify

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// TestMails follows one story: each change, and the mail that follows from it or "".
func TestMails(t *testing.T) {
	vi := &model.Instance{Name: "VI_1", VRID: 1, SMTPAlert: true}
	other := &model.Instance{Name: "VI_2", VRID: 2, SMTPAlert: true}
	gone := &model.Instance{Name: "VI_3", VRID: 3, SMTPAlert: true, NotifyDeletedState: true}
	quiet := &model.Instance{Name: "VI_4", VRID: 4}
	g := &model.SyncGroup{Name: "G1", SMTPAlert: true}
	type step struct {
		change Change
		want   string // subject after the router, or "" for no mail
		body   string
	}
	const lost, own = "=> VRRP Instance is no longer owning VRRP VIPs <=", "=> VRRP Instance is now owning VRRP VIPs <="
	to := func(i *model.Instance, s model.State) Instance {
		return Instance{Of: i, From: model.Backup, To: s, Priority: 100}
	}
	reload := (Change)(nil)
	for _, c := range []struct {
		name     string
		noFaults bool
		steps    []step
	}{
		{"states", false, []step{
			{to(vi, model.Backup), "VRRP Instance VI_1 - Entering BACKUP state", lost},
			{to(vi, model.Master), "VRRP Instance VI_1 - Entering MASTER state", own},
			{to(vi, model.Fault), "VRRP Instance VI_1 - Entering FAULT state", lost},
			{to(vi, model.Stop), "VRRP Instance VI_1 - Stopping", "=> VRRP Instance stopping <="},
		}},
		{"V-I08 no repetition, each object for itself", false, []step{
			{to(vi, model.Backup), "VRRP Instance VI_1 - Entering BACKUP state", lost},
			{to(vi, model.Backup), "", ""},
			{to(other, model.Backup), "VRRP Instance VI_2 - Entering BACKUP state", lost},
			{Group{g, model.Backup}, "VRRP Group G1 - Entering BACKUP state", "=> All VRRP group instances are now in BACKUP state <="},
			{Group{g, model.Backup}, "", ""},
			{reload, "", ""},
			{to(vi, model.Backup), "VRRP Instance VI_1 - Entering BACKUP state", lost},
		}},
		{"no_email_faults hides the return from a fault too", true, []step{
			{to(vi, model.Backup), "VRRP Instance VI_1 - Entering BACKUP state", lost},
			{to(vi, model.Fault), "", ""},
			{to(vi, model.Backup), "", ""},
			{Group{g, model.Fault}, "", ""},
			{to(vi, model.Deleted), "", ""},
		}},
		{"groups", false, []step{
			{Group{g, model.Master}, "VRRP Group G1 - Entering MASTER state", "=> All VRRP group instances are now in MASTER state <="},
			{Group{g, model.Fault}, "VRRP Group G1 - Entering FAULT state", "=> All VRRP group instances are now in FAULT state <="},
			{Group{g, model.Stop}, "VRRP Group G1 - Stopping", "=> All VRRP group instances are now stopping <="},
		}},
		{"removed by a reload", false, []step{
			{to(vi, model.Deleted), "VRRP Instance VI_1 - Entering FAULT state", lost},
			{Instance{Of: other, From: model.Fault, To: model.Deleted}, "", ""},
			{Instance{Of: gone, From: model.Fault, To: model.Deleted}, "VRRP Instance VI_3 - Deleted", "=> VRRP Deleted at reload <="},
		}},
		{"not asked for", false, []step{
			{to(quiet, model.Master), "", ""},
			{Group{&model.SyncGroup{Name: "G2"}, model.Master}, "", ""},
		}},
		{"other changes", false, []step{
			{LowerPriority{vi, 100}, "", ""},
			{InstanceNow{vi, model.Master, 100}, "", ""},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m Mails
			p := &model.Process{RouterID: "RTR1", Mail: model.Mail{NoFaults: c.noFaults}}
			for i, s := range c.steps {
				if s.change == reload {
					m.Forget()
					continue
				}
				got, ok := m.Plan(s.change, p)
				var want Mail
				if s.want != "" {
					want = Mail{Subject: "[RTR1] " + s.want, Body: s.body}
				}
				if diff := cmp.Diff(want, got); diff != "" || ok != (s.want != "") {
					t.Errorf("step %d: told %v (-want +got)\n%s", i+1, ok, diff)
				}
			}
		})
	}
}
