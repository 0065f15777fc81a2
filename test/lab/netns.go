package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// nsPrefix begins the name of every namespace of a lab; the number of the process that made it follows.
const nsPrefix = "kgo"

// addNS makes a namespace and removes it when the test ends.
func (l *Lab) addNS(name string) {
	l.t.Helper()
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		l.t.Fatalf("making namespace %q: %v: %s", name, err, out)
	}
	l.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			l.t.Logf("removing namespace %q: %v: %s", name, err, out)
		}
	})
	l.in(name, func() error {
		for path, v := range map[string]string{
			// No duplicate address detection: addresses are usable at once.
			"ipv6/conf/default/accept_dad": "0", "ipv6/conf/all/accept_dad": "0",
			"ipv6/conf/default/router_solicitations": "0",
			"ipv4/conf/default/rp_filter":            "0", "ipv4/conf/all/rp_filter": "0",
		} {
			if err := os.WriteFile("/proc/sys/net/"+path, []byte(v), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// ip runs a batch of ip(8) commands in a namespace.
func (l *Lab) ip(ns, batch string) {
	l.t.Helper()
	cmd := exec.Command("ip", "-n", ns, "-batch", "-")
	cmd.Stdin = bytes.NewReader([]byte(batch))
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("in namespace %q: %v: %s\n%s", ns, err, out, batch)
	}
}

// in runs f on a thread that is in the namespace; sockets that f opens stay in it. f must not start goroutines that open more.
func (l *Lab) in(ns string, f func() error) {
	l.t.Helper()
	errs := make(chan error, 1)
	go func() { errs <- inNS(ns, f) }()
	if err := <-errs; err != nil {
		l.t.Fatalf("in namespace %q: %v", ns, err)
	}
}

// inNS puts the thread back rather than letting it end: daemons die with the thread that started them.
func inNS(ns string, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering namespace: %w", err)
	}
	ferr := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("leaving namespace: %w", err) // and the thread stays locked: it ends with the goroutine
	}
	runtime.UnlockOSThread()
	return ferr
}

var ownNS = regexp.MustCompile(`^` + nsPrefix + `(\d+)-`)

// sweep removes the namespaces of labs whose process is gone: a killed test run cannot clean up after itself.
func sweep() {
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return // none was ever made
	}
	for _, e := range entries {
		m := ownNS.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		if pid, _ := strconv.Atoi(m[1]); unix.Kill(pid, 0) == unix.ESRCH {
			exec.Command("ip", "netns", "del", e.Name()).Run()
		}
	}
}
