// Package oracle finds the original keepalived, as a peer to interoperate with and as the measure of right behaviour.
package oracle

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// Installed is the path of the keepalived of this system's own release.
func Installed() (string, error) {
	for _, path := range []string{"/usr/sbin/keepalived", "/usr/local/sbin/keepalived"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("keepalived is not installed: apt-get install keepalived")
}

// Newest is the path of the newest keepalived that Debian packages (testing). At first use it is fetched with the
// system's own package sources and unpacked, with its own libraries, into the user's cache directory; nothing is
// installed. The environment's KEEPALIVED_ORACLE names another program to use instead.
func Newest() (string, error) {
	if path := os.Getenv("KEEPALIVED_ORACLE"); path != "" {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("placing the oracle: %w", err)
	}
	dir := filepath.Join(cache, "keepalived-go", "oracle")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("placing the oracle: %w", err)
	}
	// Test packages run at the same time: one fetches, the others wait for it.
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("locking the oracle: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking the oracle: %w", err)
	}
	binary := filepath.Join(dir, "root/usr/sbin/keepalived")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := fetch(dir); err != nil {
		return "", fmt.Errorf("fetching the newest keepalived: %w", err)
	}
	return binary, nil
}

// wanted are the packages that a daemon needs at run time, out of all that its package depends on.
var wanted = regexp.MustCompile(`(?m)^(keepalived|lib[a-z0-9.+-]*|zlib1g)$`)

// unwanted are dependencies of the packages' configuration dialogues.
var unwanted = regexp.MustCompile(`debconf|newt|slang|debian-installer|textwrap|gconv`)

// fetch unpacks into dir/root. It works in a scratch directory beside it and renames at the end, so that a failed
// attempt leaves nothing that looks complete.
func fetch(dir string) error {
	work, err := os.MkdirTemp(dir, "fetch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, d := range []string{"lists/partial", "cache/archives/partial", "deb", "tool", "root"} {
		if err := os.MkdirAll(filepath.Join(work, d), 0o755); err != nil {
			return err
		}
	}
	codename, err := codename()
	if err != nil {
		return err
	}
	mirrors, err := output("", "apt-get", "indextargets", "--format", "$(REPO_URI)", "Codename: "+codename, "Created-By: Packages")
	if err != nil {
		return err
	}
	mirror, _, _ := strings.Cut(mirrors, "\n")
	if mirror == "" {
		return errors.New("no package source is known: apt-get update")
	}
	sources := filepath.Join(work, "sources.list")
	line := "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " + mirror + " testing main\n"
	if err := os.WriteFile(sources, []byte(line), 0o644); err != nil {
		return err
	}
	opts := []string{"-qq", "-o", "Dir::Etc::sourcelist=" + sources, "-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State::lists=" + work + "/lists", "-o", "Dir::Cache=" + work + "/cache",
		"-o", "Acquire::Languages=none", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"}
	if _, err := output("", "apt-get", append(opts, "update")...); err != nil {
		return err
	}
	depends, err := output("", "apt-cache", append(opts, "depends", "--recurse", "--no-recommends", "--no-suggests",
		"--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", "keepalived")...)
	if err != nil {
		return err
	}
	download := append(opts, "download")
	for _, name := range wanted.FindAllString(depends, -1) {
		if !unwanted.MatchString(name) {
			download = append(download, name)
		}
	}
	if _, err := output(work+"/deb", "apt-get", download...); err != nil {
		return err
	}
	if err := unpack(work+"/deb", work+"/root"); err != nil {
		return err
	}
	if _, err := output(work+"/tool", "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "patchelf"); err != nil {
		return err
	}
	if err := unpack(work+"/tool", work+"/tool"); err != nil {
		return err
	}
	// The loader and the library path are written into the program, so that scripts which it starts see nothing of
	// them. They are absolute: hence the final place.
	libs, err := filepath.Glob(work + "/root/usr/lib/*-linux-gnu/ld-linux-*.so.*")
	if err != nil || len(libs) != 1 {
		return fmt.Errorf("finding the loader: %q, %v", libs, err)
	}
	loader := filepath.Join(dir, strings.TrimPrefix(libs[0], work))
	program := work + "/root/usr/sbin/keepalived"
	if _, err := output("", work+"/tool/usr/bin/patchelf", "--set-interpreter", loader, "--force-rpath",
		"--set-rpath", filepath.Dir(loader), program); err != nil {
		return err
	}
	// The program reads its build options from beside itself.
	opt, err := os.ReadFile(work + "/root/etc/keepalived/keepalived.config-opts")
	if err != nil {
		return err
	}
	if err := os.WriteFile(work+"/root/usr/sbin/keepalived.config-opts", opt, 0o644); err != nil {
		return err
	}
	return os.Rename(work+"/root", filepath.Join(dir, "root"))
}

func unpack(from, to string) error {
	debs, err := filepath.Glob(from + "/*.deb")
	if err != nil || len(debs) == 0 {
		return fmt.Errorf("finding packages in %q: %v", from, err)
	}
	for _, deb := range debs {
		if _, err := output("", "dpkg", "-x", deb, to); err != nil {
			return err
		}
	}
	return nil
}

func codename() (string, error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(v, `"`), nil
		}
	}
	return "", errors.New("not a Debian release")
}

func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
