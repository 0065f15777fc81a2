// Package sys tests the drivers of sockets and netlink on real kernels' networks, in anonymous network namespaces that end with the
// test.
package sys

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// deadline is how long a test waits for what the kernel does within a millisecond.
const deadline = 5 * time.Second

// host is one network namespace.
type host struct {
	*vnl.Handle
	t  *testing.T
	fd netns.NsHandle
}

// newHost makes a namespace without duplicate address detection, in which only the loopback is up.
func newHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
	h := &host{t: t}
	h.onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		for _, f := range []string{"all", "default"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+f+"/accept_dad", []byte("0"), 0); err != nil {
				return err
			}
		}
		var err error
		h.fd, err = netns.Get()
		return err
	})
	t.Cleanup(func() { h.fd.Close() })
	var err error
	if h.Handle, err = vnl.NewHandleAt(h.fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Handle.Close)
	h.up("lo")
	return h
}

// onThread runs f on a thread that is thrown away afterwards, since it may change its namespace.
func (h *host) onThread(f func() error) {
	h.t.Helper()
	errs := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		errs <- f()
	}()
	if err := <-errs; err != nil {
		h.t.Fatal(err)
	}
}

// in runs f in the host; sockets that f opens stay in it.
func (h *host) in(f func() error) {
	h.t.Helper()
	h.onThread(func() error {
		if err := netns.Set(h.fd); err != nil {
			return err
		}
		return f()
	})
}

func (h *host) up(name string) {
	h.t.Helper()
	l, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkSetUp(l)
	}
	if err != nil {
		h.t.Fatalf("set %s up: %v", name, err)
	}
}

func (h *host) index(name string) int {
	h.t.Helper()
	l, err := h.LinkByName(name)
	if err != nil {
		h.t.Fatal(err)
	}
	return l.Attrs().Index
}

func (h *host) mac(name string) [6]byte {
	h.t.Helper()
	l, err := h.LinkByName(name)
	if err != nil {
		h.t.Fatal(err)
	}
	return [6]byte(l.Attrs().HardwareAddr)
}

func (h *host) addr(name, addr string) {
	h.t.Helper()
	if err := h.addrChange(h.AddrAdd, name, addr); err != nil {
		h.t.Fatalf("add %s to %s: %v", addr, name, err)
	}
}

func (h *host) addrChange(f func(vnl.Link, *vnl.Addr) error, name, addr string) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := vnl.ParseAddr(addr)
	if err != nil {
		return err
	}
	return f(l, a)
}

// dump reads a list of the kernel's, again if it changes meanwhile: of addresses those that the kernel itself is busy with.
func (h *host) dump(what string, read func() error) {
	h.t.Helper()
	waitFor(h.t, what, func() bool {
		err := read()
		if err != nil && !errors.Is(err, vnl.ErrDumpInterrupted) {
			h.t.Fatal(err)
		}
		return err == nil
	})
}

// addrs returns the addresses of an interface as a set of prefixes, without the kernel's own link-local ones.
func (h *host) addrs(name string) map[string]vnl.Addr {
	h.t.Helper()
	l, err := h.LinkByName(name)
	if err != nil {
		h.t.Fatal(err)
	}
	var list []vnl.Addr
	h.dump("the addresses", func() (err error) { list, err = h.AddrList(l, vnl.FAMILY_ALL); return err })
	out := map[string]vnl.Addr{}
	for _, a := range list {
		if !a.IP.IsLinkLocalUnicast() {
			out[a.IPNet.String()] = a
		}
	}
	return out
}

// connect joins two hosts by an Ethernet cable; the same name on both.
func connect(a, b *host, name string) {
	a.t.Helper()
	veth := &vnl.Veth{LinkAttrs: vnl.LinkAttrs{Name: name}, PeerName: name, PeerNamespace: vnl.NsFd(b.fd)}
	if err := a.LinkAdd(veth); err != nil {
		a.t.Fatalf("connect two hosts: %v", err)
	}
	a.up(name)
	b.up(name)
}

// waitFor waits until what holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", deadline, what)
		}
	}
}

// receive waits for a value.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(deadline):
		t.Fatalf("not within %s: %s", deadline, what)
		panic("unreachable")
	}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// capture returns frames that arrive on the interface.
func (h *host) capture(name string) <-chan []byte {
	h.t.Helper()
	index := h.index(name)
	var fd int
	h.in(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	})
	f := os.NewFile(uintptr(fd), "packet")
	h.t.Cleanup(func() { f.Close() })
	out := make(chan []byte, 1000)
	go func() {
		for {
			b := make([]byte, 2048)
			n, err := f.Read(b)
			if err != nil {
				return
			}
			out <- b[:n]
		}
	}()
	return out
}

func asErrno(err error, errno *unix.Errno) bool { return errors.As(err, errno) }
