package netns

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// A mail server that hangs delays neither adverts nor takeover nor the release at the end; the daemon ends in time and names the
// alerts that nobody got.
func TestHangingMailServer(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("the original tells nobody")
	}
	l := lab.New(t, lab.Plan{})
	l.Node("c").SilentServer(2525)
	global := "global_defs {\n  router_id RTR1\n  smtp_server 10.1.0.3 2525\n  smtp_alert\n  notification_email {\n    ops@example.com\n  }\n}\n"
	// More changes at a time than there are connections.
	var many strings.Builder
	many.WriteString(lab.Config(global))
	first := lab.Instance{Priority: 150}
	many.WriteString(first.String())
	for i := range 24 {
		many.WriteString(lab.Instance{Name: fmt.Sprintf("M%d", i), VRID: 60 + i, Priority: 150, VIPs: fmt.Sprintf("10.1.0.%d/24", 110+i)}.String())
	}
	d := l.Node("a").Start(lab.Ours(), many.String())
	l.WaitHolder(soon+first.Down(), vip, "a")
	d.WaitLog(soon, `Remote SMTP server \[10\.1\.0\.3\]:2525 connected`)

	at := d.Signal(syscall.SIGTERM)
	bye := l.WaitFrame(soon, "the last advert", lab.Adverts("a"), lab.Priority(0), lab.VRID(51))
	if late := bye.At.Sub(at); late > time.Second {
		t.Errorf("the last advert came after %v", late)
	}
	l.WaitHolder(time.Second, vip, "")
	if code := d.WaitExit(6 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, s := range []string{"Entering BACKUP state", "Entering MASTER state", "Stopping"} {
		if want := fmt.Sprintf(`SMTP alert not sent: \[RTR1\] VRRP Instance VI_1 - %s`, s); !d.Logged(want) {
			t.Errorf("not in the log: %s", want)
		}
	}
}
