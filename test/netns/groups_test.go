package netns

import (
	"net/netip"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// grouped is a configuration of a sync group of two instances on two LANs; lines are those of both.
func grouped(priority int, group string, lines ...string) string {
	i := instance{Priority: priority}
	for _, line := range lines {
		i.Lines += line + "\n"
	}
	j := i
	j.Name, j.Interface, j.VRID, j.VIPs = "VI_2", "eth1", 52, "10.2.0.100/24"
	return "vrrp_sync_group G1 {\n  group {\n    VI_1\n    VI_2\n  }\n  " + group + "\n}\n" + config(i, j)
}

func TestGroupWeights(t *testing.T) {
	second := netip.MustParseAddr("10.2.0.100")
	onLab(t, "V-G07 weighted scripts need sync_group_tracking_weight", lab.Plan{Nodes: []string{"a"}, LANs: 2}, func(t *testing.T, l *lab.Lab) {
		check, track, down := checked(l.Node("a"), "-60")
		a := l.Node("a").Start(lab.Ours(), check+grouped(150, "", track))
		a.WaitLog(soon, `\(VI_1\) ignoring tracked script check with weights due to SYNC group`)
		l.WaitHolder(soon, second, "a")
		touch(t, down)
		at := time.Now()
		l.WaitFrames(soon, 10, "advert", lab.Adverts("a"), lab.After(at))
		if f := l.Frames(lab.Adverts("a"), lab.Not(lab.Priority(150))); len(f) > 0 {
			t.Errorf("the script counts: %v", f[0])
		}
	})
	onLab(t, "V-G08 sync_group_tracking_weight", lab.Plan{LANs: 2}, func(t *testing.T, l *lab.Lab) {
		check, track, down := checked(l.Node("a"), "-60")
		backup := instance{Priority: 100}
		a := l.Node("a").Start(lab.Ours(), check+grouped(150, "sync_group_tracking_weight", track))
		l.WaitHolder(2*soon, second, "a")
		b := l.Node("b").Start(lab.Ours(), grouped(100, ""))
		b.WaitLog(soon, `\(VI_2\) Entering BACKUP STATE \(init\)`)
		touch(t, down)
		a.WaitLog(soon, `\(VI_1\) Changing effective priority from 150 to 90`)
		a.WaitLog(soon, `\(VI_2\) Changing effective priority from 150 to 90`)
		l.WaitHolder(soon+2*backup.Down(), vip, "b")
		l.WaitHolder(soon+2*backup.Down(), second, "b")
		if f := l.Frames(lab.Adverts("a"), lab.Priority(0)); len(f) > 0 {
			t.Errorf("goodbye: %v", f[0])
		}
	})
	onLab(t, "V-G09 the weight of an interface counts all the same", lab.Plan{Nodes: []string{"a"}, LANs: 3}, func(t *testing.T, l *lab.Lab) {
		a := l.Node("a").Start(lab.Ours(), grouped(150, "", "track_interface {\n  eth2 weight -20\n}"))
		a.WaitLog(soon, `\(VI_1\) ignoring eth2 tracked interface weight due to SYNC group`)
		l.WaitHolder(2*soon, second, "a")
		a.WaitLog(soon, `\(VI_1\) Entering MASTER STATE`)
		a.WaitLog(soon, `\(VI_2\) Entering MASTER STATE`)
		at := time.Now()
		l.Node("a").Unplug(2)
		a.WaitLogAfter(at, soon, `\(VI_1\) Changing effective priority from 150 to 130`)
		l.WaitFrame(soon, "advert with the weight", lab.Adverts("a"), lab.Priority(130), lab.After(at))
		if got := logged(a, at, "STATE"); len(got) > 0 {
			t.Errorf("the state changed: %q", got)
		}
	})
}
