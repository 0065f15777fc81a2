package engine

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// soon is how long a test waits for what should happen at once.
const soon = 10 * time.Second

// output collects the log.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) count(s string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Count(o.b.String(), s)
}

// bench is a worker in a network namespace of its own, with the test as its parent.
type bench struct {
	t      *testing.T
	log    *output
	parent *link.Conn
	engine chan *engine
	code   chan int
	told   chan link.Kind
}

var vip = netip.MustParsePrefix("10.9.0.100/24")

// owner is a configuration that is MASTER at once.
func owner() *model.Model {
	return &model.Model{VRRP: model.VRRP{Instances: []model.Instance{{
		Name: "VI_1", Interface: "v0", Family: model.IPv4, VRID: 51, Version: 2, Initial: model.Master, Priority: 255,
		AdvertInt: time.Second, DownTimerAdverts: 3, Group: netip.MustParseAddr("224.0.0.18"), Accept: true,
		VIPs: []model.Address{{Prefix: vip, Interface: "v0"}},
		GARP: model.GARP{MasterRepeat: 1, RefreshRepeat: 1},
	}}}}
}

func start(t *testing.T, m *model.Model) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes a network namespace")
	}
	parent, theirs, err := link.Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(theirs.Fd()))
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := link.Inherited(uintptr(fd))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, log: &output{}, parent: parent, engine: make(chan *engine, 1), code: make(chan int, 1), told: make(chan link.Kind, 1024)}
	log, err := logging.Open(logging.Options{Console: b.log, Detail: 1})
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := link.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Send(link.Message{Kind: link.Load, Model: encoded, Flags: link.Flags{VRRP: true, TempDir: t.TempDir()}}); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			m, err := parent.Receive()
			if err != nil {
				close(b.told)
				return
			}
			if m.Kind != link.Heartbeat {
				b.told <- m.Kind
			}
		}
	}()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		if err := inNamespace(); err != nil {
			failed <- err
			return
		}
		code := run(context.Background(), Options{Link: ours, Log: log}, func(e *engine) { b.engine <- e })
		log.Close() // until then some of it may be on its way
		b.code <- code
	}()
	t.Cleanup(func() { parent.Close() })
	select {
	case err := <-failed:
		t.Fatal(err)
	case k := <-b.told:
		if k != link.Ready {
			t.Fatalf("the worker said %v, want ready", k)
		}
	case <-time.After(soon):
		t.Fatal("the worker is not ready")
	}
	return b
}

// inNamespace gives the calling thread a network namespace with an interface v0 that is up and has an address.
func inNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	veth := &vnl.Veth{LinkAttrs: vnl.LinkAttrs{Name: "v0"}, PeerName: "v1"}
	if err := vnl.LinkAdd(veth); err != nil {
		return err
	}
	for _, name := range []string{"v1", "v0"} {
		l, err := vnl.LinkByName(name)
		if err != nil {
			return err
		}
		if err := vnl.LinkSetUp(l); err != nil {
			return err
		}
		if name == "v0" {
			a := &vnl.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 9, 0, 1).To4(), Mask: net.CIDRMask(24, 32)}}
			if err := vnl.AddrAdd(l, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// until waits for a condition that is looked at on the loop.
func (b *bench) until(e *engine, what string, cond func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(soon); ; {
		ok := make(chan bool, 1)
		e.control.part.Post(func(time.Time) { ok <- cond() })
		if <-ok {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not within %s: %s\n%s", soon, what, b.log.b.String())
		}
		runtime.Gosched()
	}
}

func (b *bench) master(e *engine) func() bool {
	return func() bool {
		v := e.vrrp
		if len(v.routers) != 1 || v.routers[0].m.State() != model.Master || v.routers[0].waits {
			return false
		}
		l, ok := v.home.host.Link("v0")
		return ok && v.home.host.Has(l.Index, vip.Addr())
	}
}

// TestPanicOfAComponent: VRRP lets go of its addresses and begins anew; the others go on; a component that keeps on panicking ends
// the worker, with a code that has it replaced.
func TestPanicOfAComponent(t *testing.T) {
	b := start(t, owner())
	e := <-b.engine
	b.until(e, "MASTER with its address", b.master(e))
	before := make(chan any, 1)
	e.control.part.Post(func(time.Time) { before <- e.vrrp.routers[0] })
	old := <-before

	e.vrrp.part.Post(func(time.Time) { panic("on purpose") })
	b.until(e, "a new router", func() bool { return len(e.vrrp.routers) == 1 && e.vrrp.routers[0] != old })
	b.until(e, "MASTER again with its address", b.master(e))
	logged := func() int { return b.log.count("panic in vrrp: on purpose") }
	b.until(e, "the panic logged", func() bool { return logged() > 0 })
	if n := logged(); n != 1 {
		t.Errorf("the panic is logged %d times, want once", n)
	}

	for range 2 {
		e.vrrp.part.Post(func(time.Time) { panic("on purpose") })
	}
	select {
	case code := <-b.code:
		if code != exitSoftware {
			t.Errorf("exit code %d, want %d", code, exitSoftware)
		}
	case <-time.After(soon):
		t.Fatal("a worker whose VRRP keeps on panicking does not end")
	}
}

// TestParentDies: the worker lets go of everything and ends well.
func TestParentDies(t *testing.T) {
	b := start(t, owner())
	e := <-b.engine
	b.until(e, "MASTER with its address", b.master(e))
	b.parent.Close()
	select {
	case code := <-b.code:
		if code != exitOK {
			t.Errorf("exit code %d, want %d", code, exitOK)
		}
	case <-time.After(soon):
		t.Fatal("the worker goes on without a parent")
	}
	for _, line := range []string{"(VI_1) sent 0 priority", "(VI_1) removing VIPs."} {
		if b.log.count(line) == 0 {
			t.Errorf("%q is not logged:\n%s", line, b.log.b.String())
		}
	}
}

// TestEmptyReload: a reload that changes nothing does nothing, and is answered.
func TestEmptyReload(t *testing.T) {
	b := start(t, owner())
	e := <-b.engine
	b.until(e, "MASTER with its address", b.master(e))
	var sent, deadline = make(chan uint64, 1), make(chan time.Time, 1)
	look := func(time.Time) {
		sent <- e.vrrp.routers[0].m.Stats().AdvertSent
		deadline <- e.vrrp.routers[0].m.Deadline()
	}
	e.control.part.Post(look)
	was, due := <-sent, <-deadline
	encoded, err := link.Encode(owner())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.parent.Send(link.Message{Kind: link.Reload, Model: encoded, Flags: link.Flags{VRRP: true}}); err != nil {
		t.Fatal(err)
	}
	select {
	case k := <-b.told:
		if k != link.Reloaded {
			t.Fatalf("the worker said %v, want reloaded", k)
		}
	case <-time.After(soon):
		t.Fatal("no answer to the reload")
	}
	e.control.part.Post(look)
	is, next := <-sent, <-deadline
	// The regular advert may have come meanwhile; more may not, and its moment may not have moved.
	if extra := is - was; extra > 1 || next.Sub(due) != time.Duration(extra)*time.Second {
		t.Errorf("%d adverts sent over the reload, the next one moved by %v", extra, next.Sub(due))
	}
}
