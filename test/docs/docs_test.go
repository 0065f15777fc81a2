// Package docs holds the hand-written documents to the truth: the log lines they quote are the program's, its options exist, and the
// commands that a bare machine has work beside a live daemon.
package docs

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// boxes returns the lines of all boxes of a kind in a document.
func boxes(t *testing.T, name, kind string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```"+kind
		case inside && line != "":
			lines = append(lines, line)
		}
	}
	return lines
}

// verb is a verb of fmt.
var verb = regexp.MustCompile(`%[-+# 0]*[0-9*]*(?:\.[0-9*]*)?[a-zA-Z]`)

// messages are the string literals of the program that may be lines of the log, as expressions that match what becomes of them. One that
// ends in a blank is a beginning.
func messages(t *testing.T) (out []*regexp.Regexp) {
	t.Helper()
	for _, tree := range []string{"../../internal", "../../cmd"} {
		err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					return true
				}
				if fixed := verb.ReplaceAllString(s, ""); len(strings.ReplaceAll(fixed, " ", "")) < 7 || strings.Contains(s, "\n") {
					return true
				}
				var b strings.Builder
				for i, part := range verb.Split(s, -1) {
					if i > 0 {
						b.WriteString(".*")
					}
					b.WriteString(regexp.QuoteMeta(part))
				}
				if strings.HasSuffix(s, " ") || strings.HasSuffix(s, ": '") {
					b.WriteString(".*")
				}
				out = append(out, regexp.MustCompile("^(?:"+b.String()+")$"))
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 500 {
		t.Fatalf("only %d messages: the test looks in the wrong place", len(out))
	}
	return out
}

// hint is what a finding says in addition, in parentheses at the end.
var hint = regexp.MustCompile(` \([^()]*\)$`)

// TestLogLines: whoever searches the log for a line of these documents must be able to find it.
func TestLogLines(t *testing.T) {
	known := messages(t)
	count := 0
	check := func(doc, line string) {
		count++
		for _, m := range known {
			if m.MatchString(line) || m.MatchString(hint.ReplaceAllString(line, "")) {
				return
			}
		}
		t.Errorf("%s: the program has no line like %q", doc, line)
	}
	for _, line := range boxes(t, "operations.md", "log") {
		check("operations.md", line)
	}
	// The rows of the table of what stops a start begin with a line.
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		check("operations.md", m[1])
	}
	if count < 40 {
		t.Errorf("only %d lines", count)
	}
	for _, m := range known {
		if m.MatchString("(VI_1) Entering THE THIRD STATE") {
			t.Errorf("%v matches what the program does not say", m)
		}
	}
}

// alone are the programs that every machine has and that work in a namespace without systemd, IPVS or a firewall.
var alone = map[string]bool{"kill": true, "grep": true, "cat": true, "ip": true, "keepalived-go": true, "env": true, "namei": true}

// TestCommands runs the commands of the documents beside a live daemon, in namespaces of its own in which the paths are the usual ones.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a master")
	}
	lab.NeedRoot(t)
	if _, err := os.Stat("/etc/keepalived"); err != nil {
		t.Skip("there is no /etc/keepalived to put a file system over")
	}
	conf, err := filepath.Abs("testdata/keepalived.conf")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString(`set -e
cd /
mount -t tmpfs none /etc/keepalived
cp ` + conf + ` /etc/keepalived/keepalived.conf
cp /etc/keepalived/keepalived.conf /etc/keepalived/keepalived.conf.old
mount -t tmpfs none /run
mkdir /run/bin
cp ` + lab.Ours() + ` /run/bin/keepalived-go
mount -t tmpfs none /tmp
cp /etc/keepalived/keepalived.conf /tmp/other.conf
unset TMPDIR
PATH=/run/bin:$PATH
ip link set lo up
ip link add eth0 type veth peer name eth1
ip address add 192.0.2.10/24 dev eth0
ip link set eth0 up
ip link set eth1 up
keepalived-go -n -l -G -D >/run/log 2>&1 &
try() {
	n=0
	until out=$(eval "$1" 2>&1); do
		n=$((n + 1))
		if [ $n = 50 ]; then
			echo "FAILED: $1: $out"
			cat /run/log
			exit 1
		fi
		sleep 0.1
	done
	echo "ran: $1"
}
try 'grep -q "Entering MASTER STATE" /run/log'
`)
	ran := 0
	for _, doc := range []string{"operations.md", "migration.md"} {
		for _, line := range boxes(t, doc, "sh") {
			line, _, _ = strings.Cut(line, "   #")
			first, _, _ := strings.Cut(line, " ")
			if !alone[first] {
				continue
			}
			if strings.Contains(line, "'") && strings.Contains(line, `"`) {
				t.Fatalf("%s: this test cannot quote %s", doc, line)
			}
			ran++
			quoted := "'" + strings.ReplaceAll(line, "'", `'\''`) + "'"
			script.WriteString("try " + quoted + "\n")
		}
	}
	script.WriteString("kill $(cat /run/keepalived.pid)\nwait\nif grep -n 'panic' /run/log; then cat /run/log; fi\necho done\n")
	if ran < 30 {
		t.Errorf("only %d commands", ran)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script.String())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "done\n") || strings.Contains(string(out), "FAILED") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestJSONExample: the example of the findings for programs is what comes out.
func TestJSONExample(t *testing.T) {
	lab.NeedRoot(t)
	var want, got map[string]any
	if err := json.Unmarshal([]byte(strings.Join(boxes(t, "migration.md", "json"), "\n")), &want); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "keepalived.conf")
	text := "\n\n\nvrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 40\n    priorty 150\n    virtual_ipaddress {\n        192.0.2.100/24\n    }\n}\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(lab.Ours(), "--config-test=json", "--offline", "-f", conf).Output()
	out = bytes.ReplaceAll(out, []byte(conf), []byte("/etc/keepalived/keepalived.conf"))
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-document +program):\n%s", d)
	}
}

// TestLinks: what a document points to is there, sections of documents too.
func TestLinks(t *testing.T) {
	for _, doc := range []string{"operations.md", "migration.md"} {
		text, err := os.ReadFile(filepath.Join("../../docs", doc))
		if err != nil {
			t.Fatal(err)
		}
		sections := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
			anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
			sections["#"+strings.ReplaceAll(anchor, " ", "-")] = true
		}
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(text), -1) {
			target := m[1]
			_, err := os.Stat(filepath.Join("../../docs", target))
			if !sections[target] && err != nil && !strings.HasPrefix(target, "https://") {
				t.Errorf("%s: there is no %s", doc, target)
			}
		}
	}
}

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
