package parent

import (
	"os"
	"syscall"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
)

// The real-time signals, with glibc's numbers. Users of musl, where SIGRTMIN is one higher, send 37 for JSON.
const (
	sigJSON       = syscall.Signal(36)
	sigJSONMusl   = syscall.Signal(37)
	sigStatsClear = syscall.Signal(63)
)

// SignalNumber returns the number that --signum prints for a name.
func SignalNumber(name string) (int, bool) {
	n, ok := map[string]syscall.Signal{"STOP": syscall.SIGTERM, "RELOAD": syscall.SIGHUP, "DATA": syscall.SIGUSR1,
		"STATS": syscall.SIGUSR2, "STATS_CLEAR": sigStatsClear, "JSON": sigJSON}[name]
	return int(n), ok
}

// caught are the signals that the parent handles. SIGPIPE is among them only so that a closed console does not end the daemon.
var caught = []os.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE,
	sigJSON, sigJSONMusl, sigStatsClear}

// dumps says which status file a signal asks for.
var dumps = map[os.Signal]link.What{syscall.SIGUSR1: link.Data, syscall.SIGUSR2: link.Stats, sigStatsClear: link.StatsClear,
	sigJSON: link.JSON, sigJSONMusl: link.JSON}
