package interop

import (
	"fmt"
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

// Through the same events both send the same mails, to the byte, and log the same of them.
func TestMails(t *testing.T) {
	t.Run("V-I07 mails", func(t *testing.T) {
		t.Parallel()
		lab.NeedRoot(t)
		newest, err := oracle.Newest()
		if err != nil {
			t.Fatalf("nothing to compare with: %v", err)
		}
		if ours := lab.Ours(); lab.IsKeepalived(ours) && ours != newest {
			t.Skip("an older original writes other headers")
		}
		for name, extra := range map[string]string{
			"all":             "smtp_helo_name lb1.example.com",
			"no_email_faults": "no_email_faults\n  notification_email_from \"Load.Balancer <lb@example.com>\"",
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var want, got mailed
				t.Run("live", func(t *testing.T) {
					t.Run("newest", func(t *testing.T) { t.Parallel(); want = mails(t, newest, extra) })
					t.Run("ours", func(t *testing.T) { t.Parallel(); got = mails(t, lab.Ours(), extra) })
				})
				if t.Failed() {
					return
				}
				if diff := cmp.Diff(text(want.dialogues), text(got.dialogues)); diff != "" {
					t.Errorf("dialogues (-original +ours):\n%s", diff)
				}
				if diff := cmp.Diff(text(want.log), text(got.log)); diff != "" {
					t.Errorf("log (-original +ours):\n%s", diff)
				}
				// The original's about its end hardly ever arrive.
				if !lab.IsKeepalived(lab.Ours()) {
					for _, s := range []string{"Instance VI_1 - Stopping", "Instance VI_2 - Stopping", "Group G1 - Stopping"} {
						if !slices.ContainsFunc(got.farewells, func(m string) bool { return strings.Contains(m, s) }) {
							t.Errorf("no mail %q", s)
						}
					}
				}
			})
		}
	})
}

type mailed struct {
	dialogues, farewells []string // by object, in the order of each one's changes
	log                  []string // kinds of lines
}

var (
	mailDate    = regexp.MustCompile(`(?m)^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r$`)
	mailSubject = regexp.MustCompile(`(?m)^Subject: \[\S+\] VRRP (\w+ \w+) - `)
)

func mails(t *testing.T, program, extra string) mailed {
	l := lab.New(t, lab.Plan{LANs: 2})
	n := l.Node("a")
	server := l.Node("c").MailServer(2525)
	config := func(instances ...any) string {
		return "global_defs {\n  script_user root\n  enable_script_security\n  router_id RTR1\n  smtp_server 10.2.0.3 2525\n  smtp_alert\n" +
			"  notification_email {\n    ops@example.com \"Net Ops, Inc. <net@example.com>\"\n  }\n  " + extra + "\n}\n" +
			"vrrp_sync_group G1 {\n  group {\n    VI_1\n    VI_2\n  }\n}\n" + fmt.Sprint(instances...)
	}
	one := lab.Instance{Priority: 150}
	two := lab.Instance{Name: "VI_2", VRID: 52, Priority: 150, VIPs: "10.1.0.101/24"}
	quiet := lab.Instance{Name: "VI_3", VRID: 53, Priority: 150, VIPs: "10.1.0.102/24", Lines: "smtp_alert off"}
	gone := lab.Instance{Name: "VI_4", VRID: 54, Priority: 150, VIPs: "10.1.0.103/24", Lines: "notify_deleted"}
	lost := lab.Instance{Name: "VI_5", VRID: 55, Priority: 150, VIPs: "10.1.0.104/24"}
	d := n.Start(program, config(one, two, quiet, gone, lost))
	wait := func(count int, what string) {
		t.Helper()
		re := regexp.MustCompile(what)
		l.Wait(soon+one.Down(), fmt.Sprintf("%d mails %q", count, what), func() bool {
			k := 0
			for _, m := range server.Mails() {
				if re.MatchString(m) {
					k++
				}
			}
			return k >= count
		})
	}
	wait(5, "Entering MASTER")
	n.Unplug(0)
	l.WaitHolder(soon, shared, "")
	d.WaitLog(soon, `\(VI_5\) Entering FAULT STATE`)
	n.Plug(0)
	wait(10, "Entering MASTER")
	l.WaitHolder(soon, other101, "a")

	at := d.Reload(config(one, two, quiet))
	wait(1, "VI_4 - Deleted")
	if !strings.Contains(extra, "no_email_faults") {
		wait(2, "VI_5 - Entering FAULT")
	}
	l.WaitFrames(soon, 4, "advert", lab.Adverts("a"), lab.After(at))
	d.Signal(syscall.SIGTERM)
	d.WaitExit(10 * time.Second)

	var out mailed
	for _, m := range server.Mails() {
		if !mailDate.MatchString(m) {
			t.Errorf("no date: %q", m)
		}
		m = mailDate.ReplaceAllString(m, "Date: …\r")
		if strings.Contains(m, " - Stopping") {
			out.farewells = append(out.farewells, m)
			continue
		}
		out.dialogues = append(out.dialogues, strings.ReplaceAll(m, "\r", "␍"))
	}
	slices.SortStableFunc(out.dialogues, func(a, b string) int { return strings.Compare(object(t, a), object(t, b)) })
	for _, e := range d.Log() {
		if strings.Contains(e.Line, "SMTP") {
			out.log = append(out.log, e.Line)
		}
	}
	slices.Sort(out.log)
	out.log = slices.Compact(out.log)
	return out
}

func object(t *testing.T, dialogue string) string {
	m := mailSubject.FindStringSubmatch(dialogue)
	if m == nil {
		t.Fatalf("no subject: %q", dialogue)
	}
	return m[1]
}
