package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exposure is what systemd-analyze security may say of a unit at most: 0 is nothing, 10 is everything.
var exposure = map[string]float64{
	"keepalived-go.service":         4.0,
	"keepalived-go-forking.service": 4.0,
	"keepalived-go-nonroot.service": 2.5,
}

func TestUnits(t *testing.T) {
	units, err := filepath.Glob(filepath.Join(root, "packaging/systemd/*.service"))
	if err != nil || len(units) != len(exposure) {
		t.Fatalf("units: %q, %v", units, err)
	}
	// systemd-analyze wants the programs that a unit names to be there.
	there := t.TempDir()
	for _, unit := range units {
		t.Run(filepath.Base(unit), func(t *testing.T) {
			text, err := os.ReadFile(unit)
			if err != nil {
				t.Fatal(err)
			}
			copied := filepath.Join(there, filepath.Base(unit))
			if err := os.WriteFile(copied, []byte(strings.ReplaceAll(string(text), "/usr/sbin/keepalived-go", "/bin/true")), 0o644); err != nil {
				t.Fatal(err)
			}
			if out := run(t, "systemd-analyze", "verify", "--man=no", copied); strings.Contains(out, filepath.Base(unit)) {
				t.Errorf("verify: %s", out)
			}
			out := run(t, "systemd-analyze", "security", "--offline=true", mustAbs(t, unit))
			m := regexp.MustCompile(`Overall exposure level for .*: ([0-9.]+) `).FindStringSubmatch(out)
			if m == nil {
				t.Fatalf("security: %s", out)
			}
			if is, err := strconv.ParseFloat(m[1], 64); err != nil || is > exposure[filepath.Base(unit)] {
				t.Errorf("exposure %s, want at most %.1f", m[1], exposure[filepath.Base(unit)])
			}
		})
	}
}

// The scripts of the packages and of OpenRC are shell that every sh can read.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(root, "packaging/nfpm/*.sh"))
	if err != nil || len(scripts) < 5 {
		t.Fatalf("scripts: %q, %v", scripts, err)
	}
	for _, s := range append(scripts, filepath.Join(root, "packaging/openrc/keepalived-go")) {
		run(t, "sh", "-n", mustAbs(t, s))
	}
}

// droppedCapabilities are those that systemd-nspawn leaves a container and packaging/container/compose.yaml does not.
const droppedCapabilities = "CAP_AUDIT_CONTROL,CAP_AUDIT_WRITE,CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_DAC_READ_SEARCH,CAP_FOWNER,CAP_FSETID,CAP_IPC_OWNER," +
	"CAP_KILL,CAP_LEASE,CAP_LINUX_IMMUTABLE,CAP_MKNOD,CAP_NET_BIND_SERVICE,CAP_NET_BROADCAST,CAP_SETFCAP,CAP_SETGID,CAP_SETPCAP,CAP_SETUID," +
	"CAP_SYS_ADMIN,CAP_SYS_BOOT,CAP_SYS_CHROOT,CAP_SYS_NICE,CAP_SYS_PTRACE,CAP_SYS_RESOURCE,CAP_SYS_TTY_CONFIG"

// The image holds the static binary and nothing else, and the capabilities of compose.yaml are enough for its configurations.
func TestContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: no container")
	}
	compose, err := os.ReadFile(filepath.Join(root, "packaging/container/compose.yaml"))
	if err != nil || !strings.Contains(string(compose), "cap_drop: [ALL]\n  cap_add: [NET_ADMIN, NET_RAW]\n") {
		t.Fatalf("compose.yaml does not have the capabilities that are tried here: %v", err)
	}
	run(t, "make", "build")
	image := t.TempDir()
	ns := "kagocontainer" + strconv.Itoa(os.Getpid())
	run(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
	run(t, "ip", "-n", ns, "link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
	run(t, "ip", "-n", ns, "link", "set", "peer0", "up")
	run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
	run(t, "ip", "-n", ns, "addr", "add", "192.0.2.11/24", "dev", "eth0")
	run(t, "install", "-D", mustAbs(t, filepath.Join(root, "keepalived-go")), filepath.Join(image, "usr/sbin/keepalived-go"))
	run(t, "install", "-D", "-m", "644", mustAbs(t, filepath.Join(root, "packaging/container/a.conf")), filepath.Join(image, "etc/keepalived/keepalived.conf"))
	run(t, "install", "-D", "/dev/null", filepath.Join(image, "etc/os-release")) // for systemd-nspawn, which wants a system
	run(t, "mkdir", filepath.Join(image, "run"), filepath.Join(image, "tmp"), filepath.Join(image, "proc"), filepath.Join(image, "dev"), filepath.Join(image, "sys"))
	dockerfile, err := os.ReadFile(filepath.Join(root, "packaging/container/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	entry := regexp.MustCompile(`ENTRYPOINT \["(.*)"\]`).FindStringSubmatch(string(dockerfile))
	if entry == nil {
		t.Fatalf("no entry point in %s", dockerfile)
	}
	args := append([]string{"--quiet", "--register=no", "--keep-unit", "--directory=" + image, "--network-namespace-path=/run/netns/" + ns,
		"--capability=CAP_NET_ADMIN,CAP_NET_RAW", "--drop-capability=" + droppedCapabilities, "--no-new-privileges=yes", "--read-only",
		"--timezone=off", "--resolv-conf=off", "--console=pipe", "--kill-signal=SIGTERM", "--machine=" + ns}, strings.Split(entry[1], `", "`)...)
	var out strings.Builder
	cmd := exec.Command("systemd-nspawn", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second // the container's processes have the pipe too
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	has := func() bool { return strings.Contains(run(t, "ip", "-n", ns, "addr"), "inet 192.0.2.100/24") }
	await := func(what string, want bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); has() != want; {
			select {
			case err := <-ended:
				t.Fatalf("%s: the container ended: %v\n%s", what, err, out.String())
			case <-time.After(50 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				cmd.Process.Kill()
				<-ended
				t.Fatalf("%s: not within 20 seconds\n%s", what, out.String())
			}
		}
	}
	await("the address comes", true)
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		<-ended
		t.Fatalf("the container does not end\n%s", out.String())
	}
	if has() {
		t.Errorf("the address stays\n%s", out.String())
	}
}
