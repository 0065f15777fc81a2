package netns

import (
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// A probe is tracked as a script is: weight 0 is a fault, another weight moves the priority; a reload keeps what is known.
func TestTrackProbes(t *testing.T) {
	t.Parallel()
	l := newLab(t, lab.Plan{Nodes: []string{"a"}})
	n := l.Node("a")
	n.IP("addr add 198.51.100.1/32 dev lo", "addr add 198.51.100.2/32 dev lo")
	n.MailServer(25)
	i := instance{Priority: 100, Lines: `track_ping gateway {
		connect_ip 198.51.100.1
		interval 0.2
		fall 2
	}
	track_ping {
		connect_ip 198.51.100.2
		interval 0.2
		weight -30
	}
	track_smtp {
		connect_ip 127.0.0.1
		interval 0.5
	}
	track_tcp neighbour {
		connect_ip ` + n.LinkLocal(0).String() + `
		connect_port 25
		bind_if eth0
		interval 0.5
	}
	track_tcp {
		connect_ip 127.0.0.1
		connect_port 25
		bindto 192.0.2.77
		interval 0.5
		weight -10
	}`}
	conf := config("", i)
	a := n.Start(lab.Ours(), conf)
	l.WaitHolder(soon+i.Down(), vip, "a")
	a.WaitLogAfter(time.Time{}, soon, `^VRRP_Check\(ping gateway\) succeeded$`)
	a.WaitLogAfter(time.Time{}, soon, `^VRRP_Check\(smtp 127.0.0.1:25\) succeeded$`)
	a.WaitLogAfter(time.Time{}, soon, `^VRRP_Check\(tcp 127.0.0.1:25\): Checker bind failed: Cannot assign requested address$`)

	a.WaitLogAfter(time.Time{}, soon, `^VRRP_Check\(tcp neighbour\) succeeded$`)

	at := time.Now()
	n.IP("addr del 198.51.100.2/32 dev lo")
	a.WaitLogAfter(at, soon, `^VRRP_Check\(ping 198.51.100.2\) failed \(failed\)$`)
	a.WaitLogAfter(at, soon, `^\(VI_1\) Changing effective priority from 100 to 70$`)
	l.WaitHolder(soon, vip, "a")

	at = time.Now()
	n.IP("addr del 198.51.100.1/32 dev lo")
	a.WaitLogAfter(at, soon, `^\(VI_1\) Entering FAULT STATE$`)
	l.WaitHolder(soon, vip, "")

	at = time.Now()
	n.File("keepalived.conf", conf+"\n# another\n")
	n.IP("addr add 198.51.100.1/32 dev lo")
	a.WaitLogAfter(at, soon, `^VRRP_Check\(ping gateway\) succeeded$`)
	l.WaitHolder(soon+i.Down(), vip, "a")
}
