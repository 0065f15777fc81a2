// Package packages installs what make packages builds into a Debian of its own, boots it, and uses it as an operator does.
package packages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the project.
const root = "../.."

// run returns what a command prints; it fails the test if the command does.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// built returns the package that a pattern names.
func built(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "dist", pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages %s: %q, %v", pattern, found, err)
	}
	return found[0]
}

func sums(t *testing.T) map[string][32]byte {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "dist", "keepalived-go*"))
	if err != nil || len(found) != 4 {
		t.Fatalf("packages: %q, %v", found, err)
	}
	sums := map[string][32]byte{}
	for _, name := range found {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sums[filepath.Base(name)] = sha256.Sum256(b)
	}
	return sums
}

// Building twice gives the same bytes. The other tests use what it leaves in dist.
func TestReproducible(t *testing.T) {
	run(t, "make", "packages")
	first := sums(t)
	run(t, "make", "packages")
	for name, sum := range sums(t) {
		if first[name] != sum {
			t.Errorf("%s is another the second time", name)
		}
	}
}

// debian returns a Debian with systemd and keepalived, made once and kept.
func debian(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/root/.cache"
	}
	dir := filepath.Join(cache, "keepalived-go", "debian-1")
	if _, err := os.Stat(filepath.Join(dir, "usr/sbin/keepalived")); err == nil {
		return dir
	}
	fresh := dir + fmt.Sprintf(".%d", os.Getpid())
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	sources, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	if list := "/etc/apt/sources.list"; len(sources) == 0 {
		sources = []string{list}
	}
	args := append([]string{"--quiet", "--variant=minbase",
		"--include=systemd,systemd-sysv,dbus,iproute2,procps,kmod,keepalived", "bookworm", fresh}, sources...)
	run(t, "mmdebstrap", args...)
	if err := os.Rename(fresh, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDebian boots the Debian and has testdata/scenario.sh go through what an operator does, from the installation beside a keepalived
// that runs to the removal.
func TestDebian(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: no Debian of its own")
	}
	lower := debian(t)
	dir := t.TempDir()
	report := filepath.Join(dir, "report")
	for _, d := range []string{"report", "upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	machine := filepath.Join(dir, "root")
	run(t, "mount", "-t", "overlay", "overlay", "-o", fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, dir, dir), machine)
	t.Cleanup(func() { run(t, "umount", machine) })
	run(t, "cp", mustAbs(t, built(t, "keepalived-go_*_amd64.deb")), filepath.Join(report, "keepalived-go.deb"))
	run(t, "cp", mustAbs(t, built(t, "keepalived-go-compat_*.deb")), filepath.Join(report, "keepalived-go-compat.deb"))
	run(t, "cp", mustAbs(t, "testdata/scenario.sh"), report)
	unit := "[Service]\nType=oneshot\nExecStart=/bin/bash /report/scenario.sh\nStandardOutput=append:/report/out\nStandardError=append:/report/err\n" +
		"ExecStopPost=/bin/systemctl --no-block poweroff\n"
	units := filepath.Join(machine, "etc/systemd/system")
	if err := os.WriteFile(filepath.Join(units, "scenario.service"), []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "ln", "-sf", "/etc/systemd/system/scenario.service", filepath.Join(units, "multi-user.target.wants/scenario.service"))

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var console bytes.Buffer
	boot := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--capability=all",
		"--machine=keepalived-go-test", "--bind="+report+":/report", "--directory="+machine, "--boot", "--console=pipe")
	boot.Stdout, boot.Stderr = &console, &console
	boot.Cancel = func() error { return boot.Process.Signal(os.Interrupt) }
	boot.WaitDelay = 20 * time.Second
	err := boot.Run()
	out, _ := os.ReadFile(filepath.Join(report, "out"))
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if lines[len(lines)-1] != "done" {
		errs, _ := os.ReadFile(filepath.Join(report, "err"))
		t.Errorf("the scenario did not end: %v\n%s\n%s\n%s", err, out, errs, console.Bytes())
	}
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, "ok "); ok {
			t.Run(name, func(*testing.T) {})
		} else if why, bad := strings.CutPrefix(line, "not ok "); bad {
			name, why, _ := strings.Cut(why, " -- ")
			t.Run(name, func(t *testing.T) { t.Error(strings.ReplaceAll(why, "|", "\n")) })
		}
	}
}

func mustAbs(t *testing.T, name string) string {
	t.Helper()
	abs, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// The rpm has the files of the deb, with the options file in another place, and its binary runs where rpm puts it.
func TestRPM(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: nothing can be installed")
	}
	files := func(listing string) map[string]bool {
		set := map[string]bool{}
		for _, f := range strings.Fields(listing) {
			if f = strings.TrimPrefix(f, "."); strings.HasSuffix(f, "/") {
				continue // a directory
			}
			set[strings.Replace(f, "/etc/default/", "/etc/sysconfig/", 1)] = true
		}
		return set
	}
	rpm, deb := mustAbs(t, built(t, "keepalived-go-[0-9]*.rpm")), mustAbs(t, built(t, "keepalived-go_*_amd64.deb"))
	inDeb := files(run(t, "sh", "-c", "dpkg-deb --fsys-tarfile "+deb+" | tar t"))
	inRPM := files(run(t, "rpm", "-qpl", rpm))
	if !inRPM["/usr/sbin/keepalived-go"] || !inRPM["/etc/sysconfig/keepalived-go"] {
		t.Fatalf("files of the rpm: %v", inRPM)
	}
	for f := range inDeb {
		if !inRPM[f] {
			t.Errorf("%s is in the deb only", f)
		}
	}
	dir := t.TempDir()
	run(t, "rpm", "--root", dir, "--nodeps", "--noscripts", "-i", rpm, mustAbs(t, built(t, "keepalived-go-compat-*.rpm")))
	if out := run(t, filepath.Join(dir, "usr/sbin/keepalived-go"), "--version"); !strings.Contains(out, "keepalived-go") {
		t.Errorf("--version: %s", out)
	}
	if to, err := os.Readlink(filepath.Join(dir, "usr/sbin/keepalived")); err != nil || to != "keepalived-go" {
		t.Errorf("keepalived is a link to %q, %v", to, err)
	}
	run(t, "rpm", "--root", dir, "--noscripts", "-e", "keepalived-go-compat", "keepalived-go")
	if _, err := os.Stat(filepath.Join(dir, "usr/sbin/keepalived-go")); !os.IsNotExist(err) {
		t.Errorf("after the removal: %v", err)
	}
}
