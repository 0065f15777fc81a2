package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// keepalivedVersion is the release of keepalived that we behave as, in the form that tools parse: they take what is between "v" and
// the last blank.
const keepalivedVersion = "v2.4.3 (08/13,2026)"

// revision is ours; set by the linker.
var revision = "unknown"

// version writes what -v prints. Tools look for --enable-json in the configure options before they ask for JSON.
func version(w io.Writer) {
	var u unix.Utsname
	unix.Uname(&u)
	fmt.Fprintf(w, `Keepalived %s

keepalived-go %s, a new implementation of keepalived in Go, Apache License 2.0

Built with %s for %s/%s
Running on %s %s %s
Distro: %s

configure options: --enable-json --enable-log-file --with-init=systemd

Config options:  LVS VRRP VRRP_AUTH JSON OLD_CHKSUM_COMPAT FILE_LOGGING LOG_FILE_APPEND INIT=systemd SYSTEMD_NOTIFY
`, keepalivedVersion, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), distro())
}

// distro returns PRETTY_NAME of os-release(5).
func distro() string {
	b, _ := os.ReadFile("/etc/os-release")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(v, "\"\n")
		}
	}
	return "unknown"
}
