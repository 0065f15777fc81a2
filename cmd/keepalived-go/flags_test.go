package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
)

func TestParse(t *testing.T) {
	t.Setenv("TMPDIR", "")
	for _, c := range []struct {
		args     string
		want     func(*options)
		words    string
		complain string
		bad      bool
	}{
		{args: "", want: func(*options) {}},
		// what orchestrators start
		{args: "-P -f conf -p pid -r pid-vrrp -D", want: func(o *options) {
			o.noCheckers, o.configFile, o.pids, o.detail = true, "conf", parent.PIDFiles{Parent: "pid", VRRP: "pid-vrrp"}, 1
		}},
		{args: "-f c --dont-fork --vrrp --log-detail --log-console", want: func(o *options) {
			o.configFile, o.foreground, o.noCheckers, o.detail, o.console = "c", true, true, 1, true
		}},
		{args: "--config-test -f FILE", want: func(o *options) { o.test, o.configFile = true, "FILE" }},
		// short options
		{args: "-nlDDfx", want: func(o *options) { o.foreground, o.console, o.detail, o.configFile = true, true, 2, "x" }},
		{args: "-tlog -f a -f b", want: func(o *options) { o.test, o.testLog, o.configFile = true, "log", "b" }},
		{args: "-t log", want: func(o *options) { o.test = true }, words: "log"},
		{args: "-g -S 3 -u 022", want: func(o *options) { o.logFile, o.facility, o.umask = "/tmp/keepalived.log", 19, 0o22 }},
		{args: "-g/x -B -C -G -X -V -I -R -d -a -e -i id", want: func(o *options) {
			o.logFile, o.noBFD, o.noVRRP, o.noSyslog = "/x", true, true, true
			o.keepVRRP, o.keepIPVS, o.noRespawn, o.addressMonitoring, o.checkAll, o.configID = true, true, true, true, true, "id"
			o.dumpConf = true
			o.noMeaning = []string{"--release-vips"}
		}},
		{args: "-c c -b b -s ns -m", want: func(o *options) {
			o.pids.Checkers, o.pids.BFD, o.namespace, o.core = "c", "b", "ns", true
		}},
		{args: "-M", want: func(o *options) { o.core, o.corePattern = true, "core" }},
		// long options
		{args: "--use-f=a --log-con", want: func(o *options) { o.configFile, o.console = "a", true }},
		{args: "--vrrp --check --all --ignore-s", want: func(o *options) { o.noCheckers, o.noVRRP, o.all, o.ignoreInterrupt = true, true, true, true }},
		{args: "--pid x --umask=0x1f", want: func(o *options) { o.pids.Parent, o.umask = "x", 31 }},
		{args: "--config-test=log --flush-log-file", want: func(o *options) { o.test, o.testLog = true, "log" }},
		{args: "-x --perf --debug=vc", want: func(o *options) { o.noMeaning = []string{"--snmp", "--perf", "--debug"} }},
		// words
		{args: "a -n b -- -l c", want: func(o *options) { o.foreground = true }, words: "a b -l c"},
		{args: "- -n", want: func(o *options) { o.foreground = true }, words: "-"},
		// what stops the reading
		{args: "-n -v --bogus", words: "--bogus", want: func(o *options) { o.foreground, o.version = true, true }},
		{args: "--signum JSON --bogus", words: "--bogus", want: func(o *options) { o.signum = "JSON" }},
		{args: "-T -s 1.2.3.4", words: "-s 1.2.3.4", want: func(o *options) { o.genhash = true }},
		// complaints; the texts are keepalived's
		{args: "--bogus -nZl", want: func(o *options) { o.foreground, o.console = true, true }, bad: true,
			complain: "Unknown option --bogus\nUnknown option -Z\n"},
		{args: "--v", want: func(*options) {}, bad: true, complain: "Unknown option --v\n"},
		{args: "--vrrp=3", want: func(*options) {}, bad: true, complain: "Unknown option --vrrp=3\n"},
		{args: "--pid=", want: func(*options) {}, bad: true, complain: "Missing parameter for option --pid\n"},
		{args: "-n --pid", want: func(o *options) { o.foreground = true }, bad: true, complain: "Missing parameter for option --pid\n"},
		{args: "-nf", want: func(o *options) { o.foreground = true }, bad: true, complain: "Missing parameter for option -f\n"},
		{args: "-S mail -n", want: func(o *options) { o.foreground = true }, complain: "Invalid log facility 'mail'\n"},
		{args: "-u 9999 -u 0o17", want: func(*options) {}, complain: "Invalid --umask option 9999\nInvalid --umask option 0o17\n"},
		{args: "-u 01000 -u 1_0 -u -1", want: func(*options) {},
			complain: "Invalid --umask option 01000\nInvalid --umask option 1_0\nInvalid --umask option -1\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			want := options{configFile: defaultConfig, umask: -1, facility: 3}
			c.want(&want)
			var complain strings.Builder
			got, words, ok := parse(strings.Fields(c.args), &complain)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(options{})); d != "" {
				t.Error(d)
			}
			if !slices.Equal(words, strings.Fields(c.words)) {
				t.Errorf("words %q, want %q", words, c.words)
			}
			if complain.String() != c.complain || ok == c.bad {
				t.Errorf("complaints %q, ok %v; want %q, %v", complain.String(), ok, c.complain, !c.bad)
			}
		})
	}
}

// Every option of keepalived 2.4.3 is there, with its short form and its value, and ours: check-reload, offline and lint.
func TestTable(t *testing.T) {
	const want = `f,use-file: P,vrrp C,check B,no_bfd ,all l,log-console D,log-detail S,log-facility: g,log-file? ,flush-log-file
G,no-syslog u,umask: X,release-vips V,dont-release-vrrp I,dont-release-ipvs R,dont-respawn n,dont-fork d,dump-conf p,pid: r,vrrp_pid:
c,checkers_pid: b,bfd_pid: T,genhash a,address-monitoring x,snmp A,snmp-agent-socket: s,namespace: m,core-dump M,core-dump-pattern?
e,all-config i,config-id: ,signum: t,config-test? ,check-reload ,offline ,lint ,config-fd: ,ignore-sigint ,perf? ,debug? ,no-mem-check L,mem-check-log
O,openssl-mem-check v,version h,help`
	var got []string
	for _, row := range table {
		name := "," + row.long + []string{"", ":", "?"}[row.arg]
		if row.short != 0 {
			name = string(row.short) + name
		}
		got = append(got, name)
	}
	if d := cmp.Diff(strings.Fields(want), got); d != "" {
		t.Error(d)
	}
}

// Every option changes what is done, or is named at the start as one without effect; its help says which.
func TestEveryOptionActs(t *testing.T) {
	plain := options{configFile: defaultConfig, umask: -1, facility: 3}
	for _, row := range table {
		arg := "--" + row.long
		if row.arg == required {
			arg += "=" + map[string]string{"umask": "022", "log-facility": "local3"}[row.long]
			if strings.HasSuffix(arg, "=") {
				arg += "x"
			}
		}
		o, _, ok := parse([]string{arg}, io.Discard)
		acts := !cmp.Equal(plain, o, cmp.AllowUnexported(options{}))
		if !ok || acts == (row.long == "flush-log-file") { // which every line is anyway
			t.Errorf("%s: read %v, acts %v", arg, ok, acts)
		}
		if without := strings.Contains(row.help, "without effect"); without != slices.Equal(o.noMeaning, []string{"--" + row.long}) {
			t.Errorf("%s: its help says %q, at the start it is named among %q", arg, row.help, o.noMeaning)
		}
	}
}

// The expressions are those of the Ansible role and of two Prometheus exporters.
func TestVersionText(t *testing.T) {
	var b strings.Builder
	version(&b)
	first, _, _ := strings.Cut(b.String(), "\n")
	if first != "Keepalived v2.4.3 (08/13,2026)" {
		t.Errorf("first line %q", first)
	}
	if fields := strings.Fields(first); fields[1][1:] != "2.4.3" {
		t.Errorf("second word %q", fields[1])
	}
	if _, after, ok := strings.Cut(b.String(), "configure options: "); !ok || !strings.Contains(strings.SplitN(after, "\n", 2)[0], "--enable-json") {
		t.Errorf("no --enable-json among the configure options:\n%s", b.String())
	}
}
