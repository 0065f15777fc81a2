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

// watchdogAsked reports whether systemd expects to hear at every tick that our loop turns (WatchdogSec= of the unit): the parent sees to
// the worker, systemd to the parent. A shorter time than two ticks cannot be kept.
func watchdogAsked() bool {
	every, err := daemon.SdWatchdogEnabled(false)
	return err == nil && every > 0
}

func notifyAlive() { notify(daemon.SdNotifyWatchdog) }

func notifyReloading() {
	notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec() + "\nSTATUS=Reloading")
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", " ") }
