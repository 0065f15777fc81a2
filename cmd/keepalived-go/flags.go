package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
)

const defaultConfig = "/etc/keepalived/keepalived.conf"

// options is a command line.
type options struct {
	// What to do instead of running the daemon; the first of these ends the command line.
	version, help, genhash bool
	signum                 string

	configFile string
	configID   string
	checkAll   bool
	test       bool
	reloadTest bool   // of test: the exit code says only whether a reload would take the configuration
	testLog    string // empty: standard error
	lint       bool   // of test: also tell what is accepted but regretted
	offline    bool   // of test: without this machine's interfaces, users, scripts and kernel

	noVRRP, noCheckers, noBFD, all bool
	keepVRRP                       bool
	keepIPVS                       bool
	addressMonitoring              bool
	dumpConf                       bool
	foreground, noRespawn          bool
	ignoreInterrupt                bool
	umask                          int // -1: not given
	namespace                      string
	pids                           parent.PIDFiles
	core                           bool
	corePattern                    string

	console, noSyslog bool
	detail            int
	facility          int
	logFile           string // "" none
	noMeaning         []string
}

type argument uint8

const (
	none argument = iota
	required
	optional // only as --option=value or -ovalue
)

// option is one row of a command line that fills a T; set returns a complaint, after which the option is ignored.
type option[T any] struct {
	short byte // 0: none
	long  string
	arg   argument
	value string // its name in the usage
	help  string
	set   func(o *T, value string) string
}

func flag[T any](field func(*T) *bool) func(*T, string) string {
	return func(o *T, _ string) string { *field(o) = true; return "" }
}

func text[T any](field func(*T) *string) func(*T, string) string {
	return func(o *T, v string) string { *field(o) = v; return "" }
}

// noMeaning is for options that are accepted so that command lines go on working.
func noMeaning(name string) func(*options, string) string {
	return func(o *options, _ string) string { o.noMeaning = append(o.noMeaning, name); return "" }
}

var table = []option[options]{
	{'f', "use-file", required, "FILE", "Use the specified configuration file, default " + defaultConfig, text(func(o *options) *string { return &o.configFile })},
	{'P', "vrrp", none, "", "Run without the health checkers", flag(func(o *options) *bool { return &o.noCheckers })},
	{'C', "check", none, "", "Run without VRRP", flag(func(o *options) *bool { return &o.noVRRP })},
	{'B', "no_bfd", none, "", "Run without BFD", flag(func(o *options) *bool { return &o.noBFD })},
	{0, "all", none, "", "Run all subsystems, even those without configuration", flag(func(o *options) *bool { return &o.all })},
	{'l', "log-console", none, "", "Also log to standard error", flag(func(o *options) *bool { return &o.console })},
	{'D', "log-detail", none, "", "Log more; given twice still more", func(o *options, _ string) string { o.detail++; return "" }},
	{'S', "log-facility", required, "FACILITY", "Syslog facility: 0-7, local0-local7, user or daemon (default)", setFacility},
	{'g', "log-file", optional, "FILE", "Also log to FILE, default keepalived.log in the temp directory", func(o *options, v string) string {
		if o.logFile = v; v == "" {
			o.logFile = filepath.Join(parent.TempDir(), "keepalived.log")
		}
		return ""
	}},
	{0, "flush-log-file", none, "", "Accepted: every line is flushed", func(*options, string) string { return "" }},
	{'G', "no-syslog", none, "", "Do not log to syslog", flag(func(o *options) *bool { return &o.noSyslog })},
	{'u', "umask", required, "MASK", "Umask, in C notation, default 0177", setUmask},
	{'X', "release-vips", none, "", "Accepted without effect: no signal makes an instance backup, and addresses are released whenever one becomes backup", noMeaning("--release-vips")},
	{'V', "dont-release-vrrp", none, "", "Keep VIPs, routes and rules at stop", flag(func(o *options) *bool { return &o.keepVRRP })},
	{'I', "dont-release-ipvs", none, "", "Keep the IPVS table at stop", flag(func(o *options) *bool { return &o.keepIPVS })},
	{'R', "dont-respawn", none, "", "End when the worker dies instead of restarting it", flag(func(o *options) *bool { return &o.noRespawn })},
	{'n', "dont-fork", none, "", "Stay in the foreground", flag(func(o *options) *bool { return &o.foreground })},
	{'d', "dump-conf", none, "", "Log the configuration at start and at each reload", flag(func(o *options) *bool { return &o.dumpConf })},
	{'p', "pid", required, "FILE", "Pid file of the parent", text(func(o *options) *string { return &o.pids.Parent })},
	{'r', "vrrp_pid", required, "FILE", "Pid file of VRRP", text(func(o *options) *string { return &o.pids.VRRP })},
	{'c', "checkers_pid", required, "FILE", "Pid file of the health checkers", text(func(o *options) *string { return &o.pids.Checkers })},
	{'b', "bfd_pid", required, "FILE", "Pid file of BFD", text(func(o *options) *string { return &o.pids.BFD })},
	{'T', "genhash", none, "", "Become genhash; to be the first option", flag(func(o *options) *bool { return &o.genhash })},
	{'a', "address-monitoring", none, "", "Log every address added or removed", flag(func(o *options) *bool { return &o.addressMonitoring })},
	{'x', "snmp", none, "", "Accepted without effect", noMeaning("--snmp")},
	{'A', "snmp-agent-socket", required, "ADDRESS", "Accepted without effect", noMeaning("--snmp-agent-socket")},
	{'s', "namespace", required, "NAME", "Network namespace, wins over net_namespace", text(func(o *options) *string { return &o.namespace })},
	{'m', "core-dump", none, "", "Allow core files", flag(func(o *options) *bool { return &o.core })},
	{'M', "core-dump-pattern", optional, "PATTERN", "The same, and set the kernel's pattern, default core", func(o *options, v string) string {
		if o.core, o.corePattern = true, v; v == "" {
			o.corePattern = "core"
		}
		return ""
	}},
	{'e', "all-config", none, "", "All include checks on, main file included", flag(func(o *options) *bool { return &o.checkAll })},
	{'i', "config-id", required, "ID", "Config id for @ lines, default the node name", text(func(o *options) *string { return &o.configID })},
	{0, "signum", required, "NAME", "Print the number of STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON", text(func(o *options) *string { return &o.signum })},
	{'t', "config-test", optional, "LOGFILE", "Check the configuration and exit; findings go to standard error or LOGFILE, as JSON to standard output if that is json", func(o *options, v string) string {
		o.test, o.testLog = true, v
		return ""
	}},
	{0, "check-reload", none, "", "As -t, but exit 0 whenever a reload would take the configuration, corrections included", func(o *options, _ string) string {
		o.test, o.reloadTest = true, true
		return ""
	}},
	{0, "offline", none, "", "With -t: judge the file without this machine's interfaces, users, scripts and kernel", flag(func(o *options) *bool { return &o.offline })},
	{0, "lint", none, "", "With -t: also tell what is accepted but regretted later, see docs/lint.md", flag(func(o *options) *bool { return &o.lint })},
	{0, "config-fd", required, "N", "Accepted without effect", noMeaning("--config-fd")},
	{0, "ignore-sigint", none, "", "Ignore SIGINT", flag(func(o *options) *bool { return &o.ignoreInterrupt })},
	{0, "perf", optional, "WHEN", "Accepted without effect", noMeaning("--perf")},
	{0, "debug", optional, "LETTERS", "Accepted without effect", noMeaning("--debug")},
	{0, "no-mem-check", none, "", "Accepted without effect", noMeaning("--no-mem-check")},
	{'L', "mem-check-log", none, "", "Accepted without effect", noMeaning("--mem-check-log")},
	{'O', "openssl-mem-check", none, "", "Accepted without effect", noMeaning("--openssl-mem-check")},
	{'v', "version", none, "", "Print the version", flag(func(o *options) *bool { return &o.version })},
	{'h', "help", none, "", "Print this", flag(func(o *options) *bool { return &o.help })},
}

func setFacility(o *options, v string) string {
	f, ok := logging.Facility(v)
	if !ok {
		return fmt.Sprintf("Invalid log facility '%s'", v)
	}
	o.facility = f
	return ""
}

func setUmask(o *options, v string) string {
	n, err := strconv.ParseUint(v, 0, 32)
	if err != nil || n > 0o777 || strings.ContainsAny(v, "_oObB") && !strings.HasPrefix(strings.ToLower(v), "0x") {
		return fmt.Sprintf("Invalid --umask option %s", v)
	}
	o.umask = int(n)
	return ""
}

// parse reads the command line of the daemon. Reading stops at an option that asks for something else than a daemon.
func parse(args []string, complain io.Writer) (o options, words []string, ok bool) {
	o = options{configFile: defaultConfig, umask: -1, facility: 3}
	words, ok = getopt(table, &o, args, complain, func() bool { return o.version || o.help || o.genhash || o.signum != "" })
	return o, words, ok
}

// getopt reads a command line (without the program's name) by the rules of GNU getopt_long: options and words in any order, up to a
// bare "--"; short options in clusters; long ones abbreviated as long as that is unique. Complaints about options go to complain;
// ok is false if any was unknown or lacks its value, which is known only after all have been read. Reading stops once over holds; the words
// are those not read then.
func getopt[T any](table []option[T], o *T, args []string, complain io.Writer, over func() bool) (words []string, ok bool) {
	ok = true
	unknown := func(name string) { fmt.Fprintf(complain, "Unknown option %s\n", name); ok = false }
	missing := func(name string) { fmt.Fprintf(complain, "Missing parameter for option %s\n", name); ok = false }
	set := func(row *option[T], value string) bool {
		if complaint := row.set(o, value); complaint != "" {
			fmt.Fprintln(complain, complaint)
		}
		return over()
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		next := func() (string, bool) {
			if len(args) == 0 {
				return "", false
			}
			v := args[0]
			args = args[1:]
			return v, true
		}
		switch {
		case arg == "--":
			return append(words, args...), ok
		case strings.HasPrefix(arg, "--"):
			name, value, given := strings.Cut(arg[2:], "=")
			row := long(table, name)
			if row == nil || given && row.arg == none {
				unknown(arg)
				continue
			}
			if row.arg == required {
				if !given {
					value, given = next()
				}
				if !given || value == "" {
					missing("--" + row.long)
					continue
				}
			}
			if set(row, value) {
				return args, ok
			}
		case len(arg) > 1 && arg[0] == '-':
			for cluster := arg[1:]; cluster != ""; {
				row, rest := short(table, cluster[0]), cluster[1:]
				if row == nil {
					unknown("-" + cluster[:1])
					cluster = rest
					continue
				}
				value := ""
				if row.arg != none {
					value, rest = rest, ""
				}
				if row.arg == required && value == "" {
					var given bool
					if value, given = next(); !given || value == "" {
						missing("-" + cluster[:1])
						break
					}
				}
				if set(row, value) {
					return args, ok
				}
				cluster = rest
			}
		default:
			words = append(words, arg)
		}
	}
	return words, ok
}

func short[T any](table []option[T], c byte) *option[T] {
	for i := range table {
		if table[i].short == c && c != 0 {
			return &table[i]
		}
	}
	return nil
}

// long returns the option of that name, or the only one that begins so.
func long[T any](table []option[T], name string) *option[T] {
	var found *option[T]
	for i := range table {
		row := &table[i]
		if row.long == name {
			return row
		}
		if strings.HasPrefix(row.long, name) {
			if found != nil {
				found = &option[T]{} // ambiguous, unless an exact match follows
				continue
			}
			found = row
		}
	}
	if found != nil && found.long == "" {
		return nil
	}
	return found
}

// usage writes the list of options.
func usage(w io.Writer, program string) {
	fmt.Fprintf(w, "Usage: %s [OPTION...]\n", program)
	for _, row := range table {
		name := "    --" + row.long
		if row.short != 0 {
			name = fmt.Sprintf("-%c, --%s", row.short, row.long)
		}
		switch row.arg {
		case required:
			name += "=" + row.value
		case optional:
			name += "[=" + row.value + "]"
		}
		fmt.Fprintf(w, "  %-34s %s\n", name, row.help)
	}
	fmt.Fprintf(w, "or: %s COMMAND [OPTION...]\n", program)
	for _, s := range subcommands() {
		fmt.Fprintf(w, "  %-34s %s\n", s.name+" "+s.usage, s.help)
	}
}
