package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guest is the guest's pid 1: it never returns.
func guest() {
	if err := guestRun(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func guestRun() error {
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	b, err := os.ReadFile(os.Getenv("vmjob"))
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	uml := j.Backend == "uml"
	outs := []string{"/dev/tty1", "/dev/tty2", "/dev/tty3"}
	if uml {
		err = loadModules(j.ModDir, "overlay")
	} else {
		outs = []string{"/dev/vport0p1", "/dev/vport0p2", "/dev/vport0p3"}
		err = loadModules("/modules", early...)
	}
	if err != nil {
		return err
	}
	if err := makeRoot(&j, uml); err != nil {
		return err
	}
	if err := loadModules(j.ModDir, j.Modules...); err != nil {
		return err
	}
	if err := loopback(); err != nil {
		return err
	}
	var fs []*os.File
	for _, name := range outs {
		f, err := openOut(name)
		if err != nil {
			return err
		}
		raw(f)
		fs = append(fs, f)
	}
	rc := runCommand(&j, fs[0], fs[1])
	for _, d := range j.RW {
		unix.Unmount(d, unix.MNT_DETACH)
	}
	unix.Sync()
	drain(fs[0])
	drain(fs[1])
	fmt.Fprintln(fs[2], rc)
	drain(fs[2])
	return nil
}

// makeRoot puts a throw-away layer over the host's root and moves there.
func makeRoot(j *job, uml bool) error {
	host := "/"
	if !uml {
		host = "/host"
		if err := mount("root", host, "9p", unix.MS_RDONLY, "trans=virtio,version=9p2000.L,cache=loose,msize=512000"); err != nil {
			return err
		}
	}
	const base, root = "/mnt", "/mnt/root"
	if err := mount("tmpfs", base, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, d := range []string{root, base + "/upper", base + "/work"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := mount("overlay", root, "overlay", 0, "lowerdir="+host+",upperdir="+base+"/upper,workdir="+base+"/work"); err != nil {
		return err
	}
	for _, m := range []struct{ typ, dir, data string }{
		{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"cgroup2", "/sys/fs/cgroup", ""},
		{"devtmpfs", "/dev", ""}, {"devpts", "/dev/pts", "ptmxmode=666"},
		{"tmpfs", "/dev/shm", ""}, {"tmpfs", "/run", "mode=755"},
	} {
		if err := os.MkdirAll(root+m.dir, 0o755); err != nil {
			return err
		}
		if err := mount(m.typ, root+m.dir, m.typ, 0, m.data); err != nil {
			return err
		}
	}
	for i, d := range j.RW {
		var err error
		if uml {
			err = mount("none", root+d, "hostfs", 0, d)
		} else {
			err = mount(fmt.Sprint("rw", i), root+d, "9p", 0, "trans=virtio,version=9p2000.L,cache=none,msize=512000")
		}
		if err != nil {
			return err
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	// The kernel's threads share pid 1's root, so that its own calls of
	// /sbin/modprobe end up in the new one too.
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	link := filepath.Join("/lib/modules", filepath.Base(j.ModDir))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(link); err != nil {
		return err
	}
	if err := os.Symlink(j.ModDir, link); err != nil {
		return err
	}
	return unix.Sethostname([]byte("vm"))
}

func mount(src, dst, typ string, flags uintptr, data string) error {
	if err := unix.Mount(src, dst, typ, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", src, dst, err)
	}
	return nil
}

// runCommand returns the command's exit status as a shell would give it.
func runCommand(j *job, stdout, stderr *os.File) int {
	fail := func(rc int, err error) int {
		fmt.Fprintln(stderr, "init:", err)
		return rc
	}
	os.Clearenv()
	for _, e := range j.Env {
		if k, v, ok := strings.Cut(e, "="); ok {
			os.Setenv(k, v)
		}
	}
	os.Setenv("VMRUN", j.Backend) // for tests that need to be here
	null, err := os.Open("/dev/null")
	if err != nil {
		return fail(125, err)
	}
	if err := os.Chdir(j.Dir); err != nil {
		return fail(125, err)
	}
	exe, err := exec.LookPath(j.Argv[0])
	if err != nil {
		return fail(127, err)
	}
	p, err := os.StartProcess(exe, j.Argv, &os.ProcAttr{
		Files: []*os.File{null, stdout, stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fail(126, err)
	}
	for { // reaps every orphan on the way
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err != nil && !errors.Is(err, syscall.EINTR):
			return fail(125, err)
		case err == nil && pid == p.Pid && ws.Signaled():
			return 128 + int(ws.Signal())
		case err == nil && pid == p.Pid && ws.Exited():
			return ws.ExitStatus()
		}
	}
}

// loadModules loads the named modules and what they need, from the directory
// that holds modules.dep.
func loadModules(dir string, names ...string) error {
	dep, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return err
	}
	for _, name := range names {
		for _, ko := range moduleFiles(dep, name) {
			if err := insmod(filepath.Join(dir, ko)); err != nil {
				return fmt.Errorf("insmod %s: %w", ko, err)
			}
		}
	}
	return nil
}

// moduleFiles returns the files for a module, in loading order: none when it
// is not listed, as one that is built into the kernel.
func moduleFiles(dep []byte, name string) []string {
	for line := range strings.Lines(string(dep)) {
		ko, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		base, _, _ := strings.Cut(filepath.Base(ko), ".ko")
		if strings.ReplaceAll(base, "-", "_") == name {
			files := append([]string{ko}, strings.Fields(needs)...)
			slices.Reverse(files)
			return files
		}
	}
	return nil
}

func insmod(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// loopback brings lo up.
func loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr)
}

// openOut opens a terminal or a virtio port, which may turn up a moment after
// its driver is loaded.
func openOut(name string) (f *os.File, err error) {
	for range 500 {
		f, err = os.OpenFile(name, os.O_WRONLY|unix.O_NOCTTY, 0)
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return f, err
}

// raw makes a terminal pass bytes as they are; other files are left alone.
func raw(f *os.File) {
	if t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
		t.Oflag, t.Iflag, t.Lflag = 0, 0, 0
		unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
	}
}

// drain waits until a terminal's output is out.
func drain(f *os.File) { unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) }
