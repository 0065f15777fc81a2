// Package config compares the verdicts of configuration tests with those of the original keepalived, on the same files in the same
// network namespace. The recorded verdicts beside the files are checked without root by internal/config.
package config

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keepalived-go/keepalived-go/test/lab"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// interfaces are those that the examples and vectors name.
var interfaces = []string{"eth0", "eth1", "peer0", "peer1", "ens33", "ens192", "ethX"}

func TestExamplesLive(t *testing.T) {
	ns := namespace(t)
	originals := map[string]string{}
	for name, find := range map[string]func() (string, error){"installed": oracle.Installed, "newest": oracle.Newest} {
		path, err := find()
		if err != nil {
			t.Fatalf("nothing to compare with: %v", err)
		}
		originals[name] = path
	}
	files, err := filepath.Glob("examples/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, f := range files {
		got, said := verdict(t, ns, lab.Ours(), f)
		for name, original := range originals {
			if want, says := verdict(t, ns, original, f); got != want {
				t.Errorf("%s: exit code %d, the %s keepalived gives %d\nours:\n%s\ntheirs:\n%s", f, got, name, want, said, says)
			}
		}
	}
}

var namespaces atomic.Int32

// namespace makes a network namespace with the interfaces.
func namespace(t *testing.T) string {
	t.Helper()
	lab.NeedRoot(t)
	ns := fmt.Sprintf("kgocfg%d-%d", os.Getpid(), namespaces.Add(1))
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	ip("netns", "add", ns)
	t.Cleanup(func() { ip("netns", "del", ns) })
	ip("-n", ns, "link", "set", "lo", "up")
	for i, name := range interfaces {
		ip("-n", ns, "link", "add", name, "type", "veth", "peer", "name", fmt.Sprintf("far%d", i))
		ip("-n", ns, "link", "set", name, "up")
		ip("-n", ns, "addr", "add", fmt.Sprintf("192.0.2.%d/24", 10+i), "dev", name)
	}
	return ns
}

// verdict runs a configuration test.
func verdict(t *testing.T, ns, binary, file string, args ...string) (exit int, said string) {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"netns", "exec", ns, binary, "-t", "-f", file}, args...)...).CombinedOutput()
	if e, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatalf("running %s: %v", binary, err)
	} else if failed {
		return e.ExitCode(), string(out)
	}
	return 0, string(out)
}
