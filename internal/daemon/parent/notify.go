package parent

import (
	"fmt"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells systemd, if there is one, something (sd_notify(3)). Nobody can do anything about an error.
func notify(state string) { daemon.SdNotify(false, state) }

func notifyReady(status string) {
	notify(fmt.Sprintf("%s\nMAINPID=%d\nSTATUS=%s", daemon.SdNotifyReady, os.Getpid(), status))
}

func notifyReloading() {
	notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec() + "\nSTATUS=Reloading")
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", " ") }
