package main

import (
	stdflag "flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/manual"
)

var update = stdflag.Bool("update", false, "write the manual pages and completions as they come out")

// optionsOf lists a table of options. values names the values that the table leaves without a name.
func optionsOf[T any](table []option[T], values map[string]string) (out []manual.Option) {
	for _, row := range table {
		o := manual.Option{Short: row.short, Long: row.long, Help: regexp.MustCompile(`\s+`).ReplaceAllString(row.help, " ")}
		if row.arg != none {
			if o.Value = row.value; o.Value == "" {
				o.Value = values[row.long]
			}
			o.Optional = row.arg == optional
		}
		out = append(out, o)
	}
	return out
}

var genhashValues = map[string]string{"server": "ADDRESS", "port": "PORT", "url": "PATH", "use-virtualhost": "NAME", "fwmark": "MARK",
	"protocol": "VERSION", "timeout": "SECONDS"}

// helpLine is an option in what a tool's --help prints: "  -f FILE", then the text after a tab, on the same line for short options.
var helpLine = regexp.MustCompile(`(?m)^  -([a-z-]+)(?: ([A-Z]+))?(?:\n    )?\t(.*)$`)

// toolsOf lists the subcommands, with the options that their --help tells.
func toolsOf(t *testing.T) (out []manual.Tool) {
	t.Helper()
	for _, s := range subcommands() {
		tool := manual.Tool{Name: s.name, Usage: s.usage, Help: s.help}
		_, help, code := program(t, "keepalived-go", s.name, "--help")
		if code != 0 || !strings.Contains(help, s.usage) {
			t.Errorf("%s --help: exit code %d\n%s", s.name, code, help)
		}
		for _, m := range helpLine.FindAllStringSubmatch(help, -1) {
			o := manual.Option{Long: m[1], Value: m[2], Help: m[3]}
			written := "--" + o.Long
			if len(m[1]) == 1 {
				o.Short, o.Long, written = m[1][0], "", "-"+m[1]
			}
			tool.Options = append(tool.Options, o)
			if !strings.Contains(s.usage, written) {
				t.Errorf("%s has an option %s that its usage does not tell: %s", s.name, written, s.usage)
			}
		}
		out = append(out, tool)
	}
	return out
}

// TestManual fails when docs/man and packaging/completion are not what the tables say; -update writes them.
func TestManual(t *testing.T) {
	options, tools := optionsOf(table, nil), toolsOf(t)
	for name, text := range map[string]string{
		"docs/man/keepalived-go.conf.5":           manual.Config(config.Keywords()),
		"docs/man/keepalived-go.8":                manual.Daemon(options, tools),
		"docs/man/genhash.1":                      manual.Genhash(optionsOf(genhashTable, genhashValues)),
		"packaging/completion/keepalived-go.bash": manual.Bash(options, tools),
		"packaging/completion/_keepalived-go":     manual.Zsh(options, tools),
		"packaging/completion/keepalived-go.fish": manual.Fish(options, tools),
	} {
		file := filepath.Join("../..", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if d := cmp.Diff(string(have), text); d != "" {
			t.Errorf("%s is not up to date: run go test ./cmd/keepalived-go -run Manual -update (-have +want):\n%s", name, d)
		}
	}
}

// tool skips the test if a program is not there: test/setup.sh installs it for make test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// TestManualForm: both formatters take the pages without a complaint.
func TestManualForm(t *testing.T) {
	pages, _ := filepath.Glob("../../docs/man/*.[158]")
	if len(pages) != 3 {
		t.Fatalf("pages: %v", pages)
	}
	t.Run("mandoc", func(t *testing.T) {
		out, err := exec.Command(tool(t, "mandoc"), append([]string{"-Tlint", "-Wwarning"}, pages...)...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("groff", func(t *testing.T) {
		for _, p := range pages {
			out, err := exec.Command(tool(t, "groff"), "-man", "-ww", "-z", "-Tutf8", p).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%s: %v\n%s", p, err, out)
			}
		}
	})
	t.Run("text", func(t *testing.T) {
		for page, parts := range map[string][]string{
			"keepalived-go.conf.5": {"vrrp_garp_master_delay <0-4294 seconds>", "$NAME", "@^ID REST", "~SEQ(NAME,", `notify_master "/usr/local/sbin/became 'the master'" nobody`, "Not in keepalived"},
			"keepalived-go.8":      {"-f, --use-file=FILE", "-t, --config-test[=LOGFILE]", "plan [-i ID] [--offline] OLD NEW", "RTMIN+2 (36), JSON"},
			"genhash.1":            {"-s, --server=ADDRESS", "genhash -s 198.51.100.11 -p 80 -u /health"},
		} {
			out, err := exec.Command(tool(t, "mandoc"), "-Tascii", "-Owidth=200", "../../docs/man/"+page).Output()
			if err != nil {
				t.Fatal(err)
			}
			text := regexp.MustCompile(".\b").ReplaceAllString(string(out), "")
			for _, part := range parts {
				if !strings.Contains(text, part) {
					t.Errorf("%s does not show %q", page, part)
				}
			}
		}
	})
}

// TestBashCompletion asks bash what it would offer.
func TestBashCompletion(t *testing.T) {
	bash := tool(t, "bash")
	file, err := filepath.Abs("../../packaging/completion/keepalived-go.bash")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a file.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words []string // after the program's name; the last one is completed
		want  []string
	}{
		{[]string{"pl"}, []string{"plan"}},
		{[]string{""}, []string{"plan", "fmt", "explain"}},
		{[]string{"--config-"}, []string{"--config-fd=", "--config-id=", "--config-test", "--config-test="}},
		{[]string{"-S", "local"}, []string{"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}},
		{[]string{"--signum", "=", "STATS"}, []string{"STATS", "STATS_CLEAR"}},
		{[]string{"--signum", "="}, []string{"STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR", "JSON"}},
		{[]string{"--config-test", "=", "js"}, []string{"json"}},
		{[]string{"-t", "-f", "a"}, []string{"a file.conf"}},
		{[]string{"plan", "a"}, []string{"a file.conf"}},
		{[]string{"plan", "--off"}, []string{"--offline"}},
		{[]string{"plan", "-i", "a"}, nil},
		{[]string{"explain", "-f", "a"}, []string{"a file.conf"}},
		{[]string{"fmt", "-"}, []string{"-d", "-w"}},
		{[]string{"-s", "x"}, nil},
	} {
		script := "source \"$1\"; cd \"$2\"; shift 2; COMP_WORDS=(keepalived-go \"$@\"); COMP_CWORD=$#; _keepalived_go; printf '%s\\n' \"${COMPREPLY[@]}\""
		out, err := exec.Command(bash, append([]string{"--norc", "-c", script, "bash", file, dir}, c.words...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", c.words, err, out)
		}
		got := strings.FieldsFunc(string(out), func(c rune) bool { return c == '\n' })
		slices.Sort(got)
		slices.Sort(c.want)
		if d := cmp.Diff(c.want, got, cmp.Transformer("empty", func(s []string) string { return strings.Join(s, "\n") })); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.words, d)
		}
	}
}

// TestOtherCompletions: zsh and fish take theirs, and fish, which can be asked, offers what it should.
func TestOtherCompletions(t *testing.T) {
	t.Run("zsh", func(t *testing.T) {
		if out, err := exec.Command(tool(t, "zsh"), "-n", "../../packaging/completion/_keepalived-go").CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("fish", func(t *testing.T) {
		fish := tool(t, "fish")
		file := "../../packaging/completion/keepalived-go.fish"
		if out, err := exec.Command(fish, "-n", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
		for line, want := range map[string]string{
			"keepalived-go pl":               "plan\t",
			"keepalived-go --config-t":       "--config-test\t",
			"keepalived-go --signum ST":      "STATS",
			"keepalived-go plan --off":       "--offline\t",
			"keepalived-go plan ../../conf/": "keepalived.conf",
		} {
			cmd := exec.Command(fish, "-c", "source "+file+"; complete -C "+`"`+line+`"`)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%q: %v, want %q\n%s", line, err, want, out)
			}
		}
	})
}
