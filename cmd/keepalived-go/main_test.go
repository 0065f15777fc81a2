package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The test binary is the program itself when this variable is set.
const asProgram = "KEEPALIVED_GO_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program runs the program under a name and returns what it wrote, and its exit code.
func program(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{name}, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var out, complain bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complain
	cmd.Run()
	return out.String(), complain.String(), cmd.ProcessState.ExitCode()
}

func TestSubcommands(t *testing.T) {
	for _, c := range []struct {
		name, args     string
		stdout, stderr string // prefixes; "" : nothing at all
		code           int
	}{
		{"keepalived", "-v", "", "Keepalived v2.4.3 (08/13,2026)\n", 0},
		{"keepalived", "--version extra", "", "Keepalived v2.4.3 (08/13,2026)\n", 0},
		{"keepalived", "-h", "", "Usage: keepalived [OPTION...]\n", 0},
		{"keepalived", "--signum=JSON", "36\n", "", 0},
		{"keepalived", "--signum STATS_CLEAR", "63\n", "", 0},
		{"keepalived", "--signum=TDUMP", "", "Unknown sigfunc TDUMP\n", 1},
		{"keepalived", "--nonsense", "", "Unknown option --nonsense\n", 1},
		{"keepalived", "-t/nonexistent/log", "", "open config test log: ", 1},
	} {
		stdout, stderr, code := program(t, c.name, strings.Fields(c.args)...)
		for _, s := range []struct{ stream, got, want string }{{"output", stdout, c.stdout}, {"error", stderr, c.stderr}} {
			if !strings.HasPrefix(s.got, s.want) || s.want == "" && s.got != "" {
				t.Errorf("%s %s: standard %s is %q, want %q", c.name, c.args, s.stream, s.got, s.want)
			}
		}
		if code != c.code {
			t.Errorf("%s %s: exit code %d, want %d", c.name, c.args, code, c.code)
		}
	}
}

func TestConfigTest(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const good = "virtual_server 192.0.2.1 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 192.0.2.2 80 {\n }\n}\n"
	for _, c := range []struct {
		file         string
		code, reload int
		finding      string
	}{
		{write("good.conf", good), 0, 0, ""},
		{write("unknown.conf", good+"bogus_kw\n"), 5, 0, "Line 8) Unknown keyword 'bogus_kw'"},
		{write("fatal.conf", "vrrp_instance V {\n virtual_router_id 1\n}\n"), 5, 5, "Unknown interface"},
		{filepath.Join(dir, "absent.conf"), 4, 4, "absent.conf"},
	} {
		_, stderr, code := program(t, "keepalived", "-t", "-f", c.file)
		if code != c.code || !strings.Contains(stderr, c.finding) || c.finding == "" && stderr != "" {
			t.Errorf("-t of %s: exit code %d, want %d with %q:\n%s", c.file, code, c.code, c.finding, stderr)
		}
		if _, _, code := program(t, "keepalived", "-f", c.file, "--check-reload"); code != c.reload {
			t.Errorf("--check-reload of %s: exit code %d, want %d", c.file, code, c.reload)
		}
	}

	log := filepath.Join(dir, "log")
	for range 2 {
		_, stderr, _ := program(t, "keepalived", "--config-test="+log, "-f", filepath.Join(dir, "unknown.conf"), "surplus")
		if stderr != "" {
			t.Errorf("standard error with a log file: %q", stderr)
		}
	}
	if b, _ := os.ReadFile(log); strings.Count(string(b), "bogus_kw") != 2 {
		t.Errorf("the log file is not appended to: %q", b)
	}
	os.Symlink(log, filepath.Join(dir, "link"))
	if _, _, code := program(t, "keepalived", "-t"+filepath.Join(dir, "link"), "-f", filepath.Join(dir, "good.conf")); code != 1 {
		t.Errorf("a log file that is a link: exit code %d, want 1", code)
	}
}

func TestUnitFile(t *testing.T) {
	const path = "../../packaging/systemd/keepalived-go.service"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		_, command, ok := strings.Cut(strings.TrimSpace(line), "=/usr/sbin/keepalived-go ")
		if !ok {
			continue
		}
		var complain strings.Builder
		if _, words, ok := parse(strings.Fields(strings.NewReplacer("$KEEPALIVED_OPTIONS", "-D", "$DAEMON_ARGS", "").Replace(command)),
			&complain); !ok || len(words) > 0 {
			t.Errorf("%s: %q %s", line, words, complain.String())
		}
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	// Verify wants the programs to exist.
	copied := filepath.Join(t.TempDir(), "keepalived-go.service")
	if err := os.WriteFile(copied, bytes.ReplaceAll(b, []byte("/usr/sbin/keepalived-go"), []byte("/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", copied).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
