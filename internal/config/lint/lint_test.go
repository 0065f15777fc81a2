package lint

import (
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/config"
)

var update = flag.Bool("update", false, "write the goldens, and docs/lint.md, as they come out")

// text is a configuration as a file system.
type text string

func (f text) Open(name string) (fs.File, error) {
	return fstest.MapFS{"k": {Data: []byte(f), Mode: 0o644}}.Open(name)
}
func (f text) Glob(string) ([]string, error) { return nil, nil }

// host has every interface in 192.0.2.0/24, no program below /nosuch, and lets all read the configuration.
type host struct{ *config.Offline }

func (h host) Interface(name string) (config.Interface, bool) {
	i, ok := h.Offline.Interface(name)
	i.Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}
	return i, ok
}

func (h host) RealPath(path string) (string, error) {
	if strings.HasPrefix(path, "/nosuch/") {
		return "", fs.ErrNotExist
	}
	return h.Offline.RealPath(path)
}

func (h host) Stat(path string) (config.File, error) {
	if path == "k" {
		return config.File{Mode: 0o644}, nil
	}
	return h.Offline.Stat(path)
}

func (h host) LookupUser(name string) (config.User, bool) {
	if name == "keepalived_script" {
		return config.User{}, false
	}
	return h.Offline.LookupUser(name)
}

// findings are those of one rule on a configuration, which a daemon must accept.
func findings(t *testing.T, rule, conf string) string {
	t.Helper()
	h := host{&config.Offline{Node: "n"}}
	c, m, r := config.LoadWritten(text(conf), "k", config.Options{}, h)
	if m == nil {
		t.Fatalf("refused: %v", r.All())
	}
	code := r.ExitCode()
	Check(c, m, h, r)
	if r.ExitCode() != code {
		t.Errorf("lint changed the exit code from %d to %d", code, r.ExitCode())
	}
	var b strings.Builder
	for _, d := range r.All() {
		if d.Rule == rule {
			b.WriteString(strings.ReplaceAll(d.String(), "k: Line ", "Line ") + "\n")
			if !d.At.IsSet() {
				t.Errorf("no place: %s", d)
			}
		}
	}
	return b.String()
}

// TestRules reads testdata/RULE.conf: a configuration that the rule complains of, what it says, and one that it accepts.
func TestRules(t *testing.T) {
	if len(Rules) < 25 {
		t.Errorf("only %d rules", len(Rules))
	}
	seen := map[string]bool{}
	for _, rule := range Rules {
		if seen[rule.ID] {
			t.Errorf("%s stands twice", rule.ID)
		}
		seen[rule.ID] = true
		t.Run(rule.ID, func(t *testing.T) {
			name := filepath.Join("testdata", rule.ID+".conf")
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			const line = "-----\n"
			parts := strings.Split(string(want), line)
			if len(parts) != 3 {
				t.Fatalf("%s has %d parts", name, len(parts))
			}
			said := findings(t, rule.ID, parts[0])
			if said == "" {
				t.Error("the first configuration does not trigger it")
			}
			if clean := findings(t, rule.ID, parts[2]); clean != "" {
				t.Errorf("the second configuration triggers it:\n%s", clean)
			}
			got := parts[0] + line + said + line + parts[2]
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	files, _ := filepath.Glob("testdata/*.conf")
	if len(files) != len(Rules) {
		t.Errorf("%d goldens for %d rules", len(files), len(Rules))
	}
}

func TestDocument(t *testing.T) {
	var b strings.Builder
	if err := Write(&b); err != nil {
		t.Fatal(err)
	}
	const name = "../../../docs/lint.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != b.String() {
		t.Errorf("%s is not up to date, %v: run go test ./internal/config/lint -update", name, err)
	}
}

// TestEverywhere runs the rules on all configurations there are: each finding has a place, and none of them ends in a panic.
func TestEverywhere(t *testing.T) {
	t.Chdir("../../../test/config/vectors")
	judged := 0
	for _, pattern := range []string{"*.conf", "../examples/*.conf", "../../../conf/samples/*.conf"} {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			h := host{&config.Offline{Node: "n"}}
			c, m, r := config.LoadWritten(config.System{}, f, config.Options{}, h)
			if m == nil {
				continue
			}
			judged++
			Check(c, m, h, r)
			for _, d := range r.All() {
				if d.Rule != "" && (!d.At.IsSet() || d.Hint == "") {
					t.Errorf("%s: %v has no place or no fix", f, d)
				}
			}
		}
	}
	if judged < 100 {
		t.Errorf("only %d configurations", judged)
	}
}

// TestSamples: what we hand out is not regretted. In particular no sample has the number that most examples have.
func TestSamples(t *testing.T) {
	judged := 0
	for _, pattern := range []string{"../../../conf/*.conf", "../../../conf/samples/*.conf"} {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			h := &config.Offline{Node: "n"}
			c, m, r := config.LoadWritten(config.System{}, f, config.Options{}, h)
			if m == nil {
				t.Errorf("%s is refused", f)
				continue
			}
			judged++
			Check(c, m, h, r)
			for _, d := range r.All() {
				t.Errorf("%v: %s", d, d.Hint)
			}
		}
	}
	if judged < 5 {
		t.Errorf("only %d samples", judged)
	}
}
