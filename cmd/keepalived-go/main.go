// Command keepalived-go is the daemon in all its roles: its command line, its configuration test, its parent, loader, worker and prober.
package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/lint"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
	"github.com/keepalived-go/keepalived-go/internal/sys/process"
)

// roleProber is the role of parent.RoleVariable that the worker starts; its socket is descriptor probe.FD.
const roleProber = "prober"

// The parent shapes its children on threads of their own, of which the main one cannot be one (see parent).
func init() { runtime.LockOSThread() }

func main() { os.Exit(run(os.Args)) }

func run(args []string) int {
	// Whatever else we were started with open is not for our children.
	unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	role := os.Getenv(parent.RoleVariable)
	os.Unsetenv(parent.RoleVariable)
	program := filepath.Base(args[0])
	if role == "" {
		return front(program, args)
	}
	// Having been started as /proc/self/exe the process would be called "exe" by ps and pidof.
	process.Rename(program)
	o, _, _ := parse(args[1:], io.Discard) // the first process has complained
	switch role {
	case parent.RoleDetached:
		return daemon(o, args, true)
	case parent.RoleLoader:
		return load(o)
	case parent.RoleWorker:
		runtime.UnlockOSThread()
		return worker(o, args)
	case roleProber:
		runtime.UnlockOSThread()
		return prober(o)
	}
	fmt.Fprintf(os.Stderr, "%s=%s: no such role\n", parent.RoleVariable, role)
	return parent.ExitFatal
}

// front is the process that the user started.
func front(program string, args []string) int {
	if program == "genhash" {
		return genhash(args[0], args[1:])
	}
	if s := lookup(args); s != nil {
		return s.run(args[2:])
	}
	o, words, ok := parse(args[1:], os.Stderr)
	switch {
	case o.version:
		version(os.Stderr)
		return parent.ExitOK
	case o.help:
		usage(os.Stderr, args[0])
		return parent.ExitOK
	case o.genhash:
		if !strings.HasPrefix(args[1], "-T") && !strings.HasPrefix(args[1], "--g") {
			fmt.Fprintln(os.Stderr, "Warning -- `-T` not used as first option, previous options ignored")
		}
		return genhash(args[0]+" --genhash", words)
	case o.signum != "":
		n, ok := parent.SignalNumber(o.signum)
		if !ok {
			fmt.Fprintf(os.Stderr, "Unknown sigfunc %s\n", o.signum)
			return parent.ExitFatal
		}
		fmt.Println(n)
		return parent.ExitOK
	}
	if len(words) > 0 {
		fmt.Printf("Unexpected argument(s): %s\n", strings.Join(words, " "))
	}
	if !ok {
		return parent.ExitFatal
	}
	if o.test {
		return test(o)
	}
	if o.foreground || underSystemd() {
		return daemon(o, args, false)
	}
	return parent.Detach(parent.Options{Args: args})
}

// underSystemd reports whether systemd started us and waits to be told that we are ready; it then wants us to stay its child.
func underSystemd() bool { return os.Getenv("NOTIFY_SOCKET") != "" && os.Getppid() == 1 }

func daemon(o options, args []string, detached bool) int {
	allowCore(o)
	log, err := logging.Open(o.logging())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return parent.ExitFatal
	}
	defer log.Close()
	return parent.Run(parent.Options{
		Args: args, Detached: detached, Version: keepalivedVersion, Revision: revision, Log: log,
		Flags: link.Flags{VRRP: !o.noVRRP, Checkers: !o.noCheckers, BFD: !o.noBFD, KeepVRRP: o.keepVRRP,
			KeepIPVS: o.keepIPVS, AddressMonitoring: o.addressMonitoring, IgnoreInterrupt: o.ignoreInterrupt, DumpConf: o.dumpConf},
		All: o.all, NoRespawn: o.noRespawn, PIDFiles: o.pids, Namespace: o.namespace, Umask: o.umask, NoMeaning: o.noMeaning,
	})
}

func (o options) logging() logging.Options {
	l := logging.Options{Syslog: !o.noSyslog, Facility: o.facility, File: o.logFile, Detail: o.detail}
	if o.console {
		l.Console = os.Stderr
	}
	return l
}

// test is -t.
func test(o options) int {
	out, err := o.testOutput()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return parent.ExitFatal
	}
	defer out.Close()
	r := o.judge()
	code := r.ExitCode()
	if o.reloadTest && !r.Refused() {
		code = parent.ExitOK
	}
	if o.testLog == jsonLog {
		err = r.WriteJSON(out, o.configFile, code)
	} else {
		err = r.Write(out, terminal(out))
	}
	if err != nil {
		return parent.ExitFatal
	}
	return code
}

// judge reads the configuration where it is to be used.
func (o *options) judge() *source.Report {
	debug.SetGCPercent(140) // time and memory are then about those of keepalived
	opt, host := o.reading(func(netNamespace string) error {
		if netNamespace == "" || o.offline {
			return nil
		}
		return parent.EnterNamespace(netNamespace)
	})
	if !o.lint {
		return config.Judge(config.System{}, o.configFile, opt, host)
	}
	c, m, r := config.LoadWritten(config.System{}, o.configFile, opt, host)
	if m != nil {
		lint.Check(c, m, host, r)
	}
	return r
}

// jsonLog is the name in place of a log file that asks for the findings as JSON on standard output.
//
// Differs from keepalived: it would write to a file of that name; ./json still means the file.
const jsonLog = "json"

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// testOutput returns what -t writes to. A log file is appended to, readable by its owner only, and not followed when a link.
func (o options) testOutput() (*os.File, error) {
	switch o.testLog {
	case "":
		return os.Stderr, nil
	case jsonLog:
		return os.Stdout, nil
	}
	f, err := os.OpenFile(o.testLog, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open config test log: %w", err)
	}
	return f, nil
}
