package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// config writes a configuration and returns its path.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keepalived.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const instanceElsewhere = `vrrp_instance V {
    interface nosuch0
    virtual_router_id 7
    virtual_ipaddress {
        192.0.2.7/24
    }
}
`

func TestPlan(t *testing.T) {
	old := configFile(t, instanceElsewhere)
	moved := configFile(t, strings.Replace(instanceElsewhere, "192.0.2.7", "192.0.2.8", 1))
	broken := configFile(t, "vrrp_instance V {\n interface nosuch0\n}\n")
	for _, c := range []struct {
		args           []string
		stdout, stderr string // parts
		code           int
	}{
		{[]string{"--offline", old, moved}, "+ virtual_ipaddress 192.0.2.8/24 dev nosuch0", "", 0},
		{[]string{"--offline", old, old}, "0 to add, 0 to remove, 0 to change, 0 to move, 2 to keep", "", 0},
		{[]string{"--offline", old, broken}, "", "virtual router id must be set", 5},
		{[]string{old, moved}, "", "interface nosuch0 doesn't exist", 5},
		{[]string{old}, "", "Usage: keepalived-go plan", 1},
		{[]string{"--help"}, "", "Usage: keepalived-go plan", 0},
	} {
		stdout, stderr, code := program(t, "keepalived-go", append([]string{"plan"}, c.args...)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || c.stdout == "" && stdout != "" {
			t.Errorf("plan %v: exit code %d, want %d; wanted %q and %q\n%s%s", c.args, code, c.code, c.stdout, c.stderr, stdout, stderr)
		}
	}
}

func TestOfflineTest(t *testing.T) {
	f := configFile(t, instanceElsewhere)
	if _, stderr, code := program(t, "keepalived-go", "-t", "--offline", "-f", f); code != 0 || stderr != "" {
		t.Errorf("-t --offline: exit code %d\n%s", code, stderr)
	}
	if _, stderr, code := program(t, "keepalived-go", "-t", "-f", f); code != 4 && code != 5 {
		t.Errorf("-t without the interface: exit code %d\n%s", code, stderr)
	}
}

func TestJSONTest(t *testing.T) {
	type report struct {
		ExitCode int `json:"exit_code"`
		Usable   bool
		Findings []struct {
			Line  int
			Class string
		}
	}
	for _, c := range []struct {
		text   string
		code   int
		usable bool
		class  string
	}{
		{instanceElsewhere, 0, true, ""},
		{instanceElsewhere + "bogus\n", 5, true, "unknown-keyword"},
		{"vrrp_instance V {\n interface nosuch0\n}\n", 5, false, "error"},
		{"net_namespace nosuchns\n", 0, true, ""},
	} {
		stdout, stderr, code := program(t, "keepalived-go", "--config-test=json", "--offline", "-f", configFile(t, c.text))
		var r report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Errorf("%v: %q", err, stdout)
			continue
		}
		if code != c.code || r.ExitCode != code || r.Usable != c.usable || stderr != "" ||
			(len(r.Findings) > 0) != (c.class != "") || c.class != "" && r.Findings[0].Class != c.class {
			t.Errorf("%q: exit code %d, want %d: %+v %s", c.text, code, c.code, r, stderr)
		}
	}
	// A network namespace that is not there is a finding too, not a line that breaks the form.
	stdout, _, code := program(t, "keepalived-go", "-tjson", "-f", configFile(t, "net_namespace nosuchns\n"))
	var r report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 4 || len(r.Findings) != 1 || r.Findings[0].Class != "fatal" {
		t.Errorf("a missing network namespace: exit code %d, %v\n%s", code, err, stdout)
	}
}

func TestFmt(t *testing.T) {
	const ugly, neat = "global_defs {\nrouter_id  x\n}\n", "global_defs {\n    router_id x\n}\n"
	f := configFile(t, ugly)
	dir := filepath.Dir(f)
	link := filepath.Join(dir, "link")
	if err := os.Symlink("keepalived.conf", link); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		args   []string
		stdout string
		code   int
		file   string
	}{
		{[]string{f}, neat, 0, ugly},
		{[]string{"-d", f}, "--- " + f + "\n+++ " + f + "\n@@ -2,1 +2,1 @@\n-router_id  x\n+    router_id x\n", 1, ugly},
		{[]string{"-w", link}, "", 0, neat},
		{[]string{"-d", f}, "", 0, neat},
		{[]string{"-w", f}, "", 0, neat},
		{[]string{dir}, "", 1, neat},
		{[]string{filepath.Join(dir, "absent")}, "", 1, neat},
		{nil, "", 1, neat},
	} {
		stdout, stderr, code := program(t, "keepalived-go", append([]string{"fmt"}, c.args...)...)
		if stdout != c.stdout || code != c.code || read() != c.file {
			t.Errorf("fmt %v: exit code %d, want %d; %q, want %q; the file has %q\n%s", c.args, code, c.code, stdout, c.stdout, read(), stderr)
		}
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
	if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestDifference(t *testing.T) {
	lines := func(s string) []string { return strings.SplitAfter(s, "\n") }
	for _, c := range []struct{ a, b, want string }{
		{"a\nb\nc\n", "a\nb\nc\n", ""},
		{"a\nb\nc\n", "a\nc\n", "@@ -2,1 +2,0 @@\n-b\n"},
		{"a\nc\n", "a\nb\nc\nd\n", "@@ -2,0 +2,1 @@\n+b\n@@ -3,0 +4,1 @@\n+d\n"},
		{"", "a\n", "@@ -1,0 +1,1 @@\n+a\n"},
	} {
		if got := difference(lines(c.a), lines(c.b)); got != c.want {
			t.Errorf("%q %q: %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestLint(t *testing.T) {
	f := configFile(t, strings.Replace(instanceElsewhere, "virtual_router_id 7", "virtual_router_id 51", 1))
	if _, stderr, code := program(t, "keepalived-go", "-t", "--offline", "-f", f); code != 0 || stderr != "" {
		t.Errorf("without --lint: exit code %d\n%s", code, stderr)
	}
	_, stderr, code := program(t, "keepalived-go", "-t", "--offline", "--lint", "-f", f)
	if code != 0 || !strings.Contains(stderr, "Line 3) (V) virtual_router_id 51 [vrid-of-samples] (choose another number") {
		t.Errorf("--lint: exit code %d\n%s", code, stderr)
	}
	stdout, _, _ := program(t, "keepalived-go", "-tjson", "--offline", "--lint", "-f", f)
	if !strings.Contains(stdout, `"rule": "vrid-of-samples"`) {
		t.Errorf("as JSON:\n%s", stdout)
	}
}

func TestExplain(t *testing.T) {
	stdout, stderr, code := program(t, "keepalived-go", "explain", "advert_int")
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "advert_int <0.01-255 seconds>\n") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	stdout, stderr, code = program(t, "keepalived-go", "explain", "advert_in")
	if code != 1 || stdout != "" || stderr != "explain: there is no keyword \"advert_in\" (did you mean \"advert_int\"?)\n" {
		t.Errorf("a misspelt one: exit code %d\n%s%s", code, stdout, stderr)
	}

	f := configFile(t, "$P=7\nglobal_defs {\n vrrp_version 3\n}\n"+strings.Replace(instanceElsewhere, "virtual_router_id 7", "virtual_router_id $P\n    nopreempt", 1))
	for _, c := range []struct {
		args           []string
		stdout, stderr string // parts
		code           int
	}{
		{[]string{"-f", f, "--offline"}, "\n    virtual_router_id 7                             # " + f + ":7:5, expanded from $P defined at " + f + ":1\n", "", 0},
		{[]string{"-f", f, "--offline", "vrrp_instance", "V", "version"},
			"vrrp_instance V {                                   # " + f + ":5:1\n" +
				"    version 3                                       # inherited from global_defs/vrrp_version at " + f + ":3:2\n}\n", "", 0},
		{[]string{"-f", f, "--offline", "-a", "vrrp_instance/V"}, "    # preempt_delay                                 # not set\n", "", 0},
		{[]string{"-f", f, "--offline", "vrrp_instance/V/prioritty"}, "", `(did you mean "priority"?)`, 1},
		{[]string{"-f", f}, "virtual_router_id 7", "interface nosuch0 doesn't exist", 5},
		{[]string{"-f", f + ".absent", "--offline"}, "global_defs {", "a daemon refuses", 4},
		{nil, "", "Usage: keepalived-go explain", 1},
	} {
		stdout, stderr, code := program(t, "keepalived-go", append([]string{"explain"}, c.args...)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || c.stdout == "" && stdout != "" {
			t.Errorf("explain %v: exit code %d, want %d; wanted %q and %q\n%s%s", c.args, code, c.code, c.stdout, c.stderr, stdout, stderr)
		}
	}
}
