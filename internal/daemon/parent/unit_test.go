package parent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRespawnSchedule(t *testing.T) {
	const s = time.Second
	var r respawn
	for i, step := range []struct{ ran, want time.Duration }{
		{s, 0}, {s, s}, {s, 2 * s}, {s, 4 * s}, {60 * s, 8 * s}, {s, 16 * s}, {s, 32 * s}, {s, 60 * s}, {s, 60 * s},
		{61 * s, 0}, {0, s}, {0, 2 * s},
	} {
		if got := r.delay(step.ran); got != step.want {
			t.Errorf("step %d, after a run of %v: delay %v, want %v", i, step.ran, got, step.want)
		}
	}
}

func TestSignalNumber(t *testing.T) {
	for name, want := range map[string]int{"STOP": 15, "RELOAD": 1, "DATA": 10, "STATS": 12, "STATS_CLEAR": 63, "JSON": 36} {
		if got, ok := SignalNumber(name); !ok || got != want {
			t.Errorf("SignalNumber(%q) = %d, %v; want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"TDUMP", "stop", ""} {
		if got, ok := SignalNumber(name); ok {
			t.Errorf("SignalNumber(%q) = %d, want none", name, got)
		}
	}
}

func TestDefaultPIDFile(t *testing.T) {
	for _, c := range []struct {
		name, namespace, instance string
		dir                       bool
		want                      string
	}{
		{"keepalived", "", "", false, "/run/keepalived.pid"},
		{"checkers", "", "", true, "/run/keepalived/checkers.pid"},
		{"vrrp", "", "blue", false, "/run/keepalived/vrrp_blue.pid"},
		{"vrrp", "ns1", "", false, "/run/keepalived/ns1/vrrp.pid"},
		{"bfd", "ns1", "blue", true, "/run/keepalived/ns1/bfd_blue.pid"},
	} {
		if got := defaultPIDFile("/run", c.name, c.namespace, c.instance, c.dir); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

// The lines are what keepalived 2.3.4 logged for the same words.
func TestCommandLine(t *testing.T) {
	const program = "/root/.cache/keepalived-oracle/root/usr/sbin/keepalived"
	for _, c := range []struct{ args, want []string }{
		{[]string{program, "-D", "-n", "-s", "klnope", "-l", "-f", "/tmp/kl/o/k.conf"}, []string{
			"Command line: '" + program + "' '-D' '-n' '-s' 'klnope' '-l'",
			"              '-f' '/tmp/kl/o/k.conf'"}},
		{[]string{program, "-n", "-D", "-l", "-p", "/run/p2.pid", "-f", "/tmp/kl/o/k.conf"}, []string{
			"Command line: '" + program + "' '-n' '-D' '-l' '-p'",
			"              '/run/p2.pid' '-f' '/tmp/kl/o/k.conf'"}},
		{[]string{program, "-D", "-l", "-f", "/tmp/kl/o/k.conf"}, []string{
			"Command line: '" + program + "' '-D' '-l' '-f'",
			"              '/tmp/kl/o/k.conf'"}},
		{[]string{program, "-D", "-f", "/tmp/kl/o/k.conf"}, []string{
			"Command line: '" + program + "' '-D' '-f' '/tmp/kl/o/k.conf'"}},
	} {
		if got := commandLine(c.args); !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestPIDFile(t *testing.T) {
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "run.pid")
	if err := os.WriteFile(path, []byte("99999999999 stale"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := lockPIDFile(path)
	if err != nil {
		t.Fatalf("a stale file blocks: %v", err)
	}
	for _, pid := range []int{123456, 42} {
		if err := f.set(pid); err != nil {
			t.Fatal(err)
		}
	}
	if b, _ := os.ReadFile(path); string(b) != "42\n" {
		t.Errorf("file holds %q", b)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, want 0644 whatever the umask", st.Mode())
	}
	if _, err := lockPIDFile(path); !errors.Is(err, errLocked) {
		t.Errorf("second lock: %v, want errLocked", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "42\n" {
		t.Errorf("an attempt to lock changed the file to %q", b)
	}
	past := time.Unix(1_000_000_000, 0)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	if err := f.set(42); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(path); !st.ModTime().Equal(past) {
		t.Errorf("to write the same number again made the file new")
	}
	if err := f.set(0); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); len(b) != 0 {
		t.Errorf("file of no process holds %q", b)
	}
	if err := f.set(42); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "42\n" {
		t.Errorf("file holds %q", b)
	}
	f.remove()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file after remove: %v", err)
	}
	if f, err = lockPIDFile(path); err != nil {
		t.Errorf("lock after remove: %v", err)
	} else {
		f.remove()
	}
}

func TestPIDFileIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "precious")
	os.WriteFile(target, []byte("x"), 0o600)
	os.Symlink(target, filepath.Join(dir, "run.pid"))
	if _, err := lockPIDFile(filepath.Join(dir, "run.pid")); err == nil {
		t.Error("a symbolic link was followed")
	}
	if b, _ := os.ReadFile(target); string(b) != "x" {
		t.Errorf("target holds %q", b)
	}
}

func TestNamespaceNameCannotLeaveDirectory(t *testing.T) {
	for _, name := range []string{"../../proc/1/ns/net", ".."} {
		if err := EnterNamespace(name); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}
