package interop

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/keepalived-go/keepalived-go/test/lab"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// A router that lives through a day's events logs the same lines, in the same order, as the newest original: people
// have scripts that match them.
func TestLogLines(t *testing.T) {
	t.Run("V-I14 log lines", func(t *testing.T) {
		t.Parallel()
		lab.NeedRoot(t)
		newest, err := oracle.Newest()
		if err != nil {
			t.Fatalf("nothing to compare with: %v", err)
		}
		if ours := lab.Ours(); lab.IsKeepalived(ours) && ours != newest {
			t.Skip("an older original words its lines otherwise")
		}
		var want, got story
		t.Run("live", func(t *testing.T) {
			t.Run("newest", func(t *testing.T) { t.Parallel(); want = live(t, newest) })
			t.Run("ours", func(t *testing.T) { t.Parallel(); got = live(t, lab.Ours()) })
		})
		if t.Failed() {
			return
		}
		// As texts, of which cmp shows whole lines.
		for _, d := range []string{cmp.Diff(text(want.Instance), text(got.Instance)), cmp.Diff(text(want.Process), text(got.Process))} {
			if d != "" {
				t.Errorf("(-original +ours):\n%s", d)
			}
		}
	})
}

// story is a log in two parts.
type story struct {
	Instance []string // lines about instances, addresses and links, in order
	Process  []string // which other lines there were, sorted
}

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }

var (
	// aside are lines whose text or number is the build's, the machine's or chance's.
	aside    = regexp.MustCompile(`^Starting Keepalived|^Reload already in progress|^Processing queued reload|^Running on|^Command line|^ |^NOTICE|^CPU usage|^Stopped|^Child process| was removed by |^$`) // who removed an address only we tell
	variable = regexp.MustCompile(`/\S*/|\d{3,}`)
	handles  = regexp.MustCompile(`fd\([^)]*\) `)
	// Assigned addresses are not among these: the original lists them anew at every reload.
	about = regexp.MustCompile(`^\(VI_1\)|^VRRP_|^Netlink reports|^Sending|^Script|^Interface `)
)

func live(t *testing.T, program string) story {
	l := lab.New(t, lab.Plan{})
	n := l.Node("a")
	down := n.Dir + "/down"
	check := "vrrp_script check {\n  script " + n.File("check.sh", "#!/bin/sh\ntest ! -e "+down+"\n") +
		"\n  interval 1\n  rise 1\n  fall 1\n  weight -60\n}\n"
	i := lab.Instance{Priority: 150, Lines: "garp_master_delay 0\ntrack_script {\n  check\n}"}
	more := i
	more.VIPs = "10.1.0.100/24 10.1.0.101/24"
	d := n.Start(program, lab.Config(check, i))
	l.WaitHolder(soon+i.Down(), shared, "a")

	n.Unplug(0)
	l.WaitHolder(soon, shared, "")
	n.Plug(0)
	l.WaitHolder(soon+i.Down(), shared, "a")

	n.File("down", "")
	d.WaitLog(soon, "priority from 150 to 90")
	n.Command("rm", down).Run()
	d.WaitLog(soon, "priority from 90 to 150")

	d.Reload(lab.Config(check, more))
	l.WaitHolder(soon, other101, "a")
	reloaded := d.Reload(lab.Config(check, i))
	l.WaitHolder(soon, other101, "")
	// The original opens its sockets anew: what comes before its next regular advert may be lost.
	l.WaitFrames(soon, 4, "advert", lab.Adverts("a"), lab.After(reloaded))

	at := l.Node("c").Inject(0, lab.Packet{VRID: 51, Priority: 200}, n)
	l.WaitHolder(soon, shared, "")
	l.WaitHolder(soon+i.Down(), shared, "a")
	d.WaitLogAfter(at, soon, "Sending gratuitous ARP")
	l.Node("c").Inject(0, lab.Packet{VRID: 51, Priority: 50}, n)
	d.WaitLogAfter(at, soon, "forcing new election")
	l.Node("c").Inject(0, lab.Packet{VRID: 51}, n)
	d.WaitLogAfter(at, soon, "priority 0")

	deleted := time.Now()
	n.IP("addr del 10.1.0.100/24 dev eth0")
	d.WaitLogAfter(deleted, soon, "Sending gratuitous ARP")
	d.Signal(syscall.SIGUSR2)
	d.WaitLog(soon, "Printing VRRP stats")
	d.Stop()

	var s story
	for _, e := range d.Log() {
		line := variable.ReplaceAllString(handles.ReplaceAllString(e.Line, ""), "…")
		switch {
		case aside.MatchString(e.Line):
		case about.MatchString(e.Line):
			s.Instance = append(s.Instance, line)
		default:
			s.Process = append(s.Process, line)
		}
	}
	slices.Sort(s.Process)
	s.Process = slices.Compact(s.Process)
	return s
}
