package sys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
)

// pathOf is a name of a host's namespace.
func pathOf(h *host) string { return fmt.Sprintf("/proc/self/fd/%d", h.fd) }

func TestSpace(t *testing.T) {
	a, b := pair(t)
	home, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	var spaces []*netns.Space
	for _, h := range []*host{a, b} {
		s, err := netns.Open(pathOf(h))
		if err != nil {
			t.Fatal(err)
		}
		spaces = append(spaces, s)
	}
	if spaces[0].ID() == spaces[1].ID() || spaces[0].ID() == home {
		t.Fatalf("IDs %v, %v, %v", home, spaces[0].ID(), spaces[1].ID())
	}
	// Whatever runs meanwhile is in the namespace that it asked for.
	var wg sync.WaitGroup
	for k := range 64 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				s, want := (*netns.Space)(nil), home
				if k%3 > 0 {
					s, want = spaces[k%3-1], spaces[k%3-1].ID()
				}
				var is netns.ID
				err := s.Do(func() (err error) {
					if _, err = net.InterfaceByName("lo"); err == nil { // a system call that may wait
						is, err = netns.Current()
					}
					return err
				})
				if err != nil || is != want {
					t.Errorf("in %v: %v, want %v", is, err, want)
				}
			}
		}()
	}
	wg.Wait()
	if is, err := netns.Current(); is != home {
		t.Errorf("afterwards in %v, want %v (%v)", is, home, err)
	}
	failed := errors.New("failed")
	if err := spaces[0].Do(func() error { return failed }); err != failed {
		t.Errorf("Do = %v", err)
	}
	err = spaces[0].Do(func() error {
		spaces[0].Close() // not before we are done
		return spaces[1].Do(func() error { return nil })
	})
	if err != nil {
		t.Errorf("closed meanwhile: %v", err)
	}
	if err := spaces[0].Do(func() error { return nil }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	spaces[1].Close()
}

// What a name stands for is told when it changes, however that comes about; a file that is no namespace, or one of another kind, is none.
func TestNamespaceNames(t *testing.T) {
	a, b := pair(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "n")
	if _, err := netns.Open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	w := &netns.Watch{}
	w.Set([]string{name})
	told := make(chan string, 16)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, func(name string) { told <- name }) }()
	defer func() {
		cancel()
		if err := receive(t, "the end of Watch.Run", ended); err != nil {
			t.Error(err)
		}
	}()
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := netns.Open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an ordinary file: %v", err)
	}
	if _, err := netns.Open("/proc/self/ns/uts"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a namespace of another kind: %v", err)
	}
	mount := func(h *host) {
		t.Helper()
		if err := unix.Mount(pathOf(h), name, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	unmount := func() { unix.Unmount(name, unix.MNT_DETACH) }
	t.Cleanup(unmount)
	mount(a)
	receive(t, "the namespace that came", told)
	was, err := netns.Lookup(name)
	if err != nil {
		t.Error(err)
	}
	unmount()
	receive(t, "the namespace that went", told)
	mount(b)
	receive(t, "another namespace", told)
	if is, err := netns.Lookup(name); err != nil || is == was {
		t.Errorf("%v, %v", is, err)
	}
}
