package sys

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
)

// watcher runs a Watch and keeps what it tells.
type watcher struct {
	t      *testing.T
	mu     sync.Mutex
	events []hostnet.Event
	host   hostnet.Host
	stall  sync.Mutex // held by a test that plays the slow consumer
}

// watch starts a Watch and waits for its first Synced.
func (h *host) watch(rxBuf int, lanes ...*lane) *watcher {
	h.t.Helper()
	var nw *netlink.Watch
	h.in(func() (err error) {
		nw, err = netlink.OpenWatch(model.RxBuf{Bytes: rxBuf, Force: true}, nil)
		return err
	})
	for _, l := range lanes {
		nw.Own(l.Lane)
	}
	w := &watcher{t: h.t}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- nw.Run(ctx, func(events []hostnet.Event) {
			w.stall.Lock()
			defer w.stall.Unlock()
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range events {
				w.host.Apply(e)
				w.events = append(w.events, e)
			}
		})
	}()
	h.t.Cleanup(func() {
		cancel()
		if err := receive(h.t, "the end of Watch.Run", ended); err != nil {
			h.t.Errorf("Watch.Run = %v, want nil", err)
		}
		nw.Close()
	})
	w.wait("the first state", func(e []hostnet.Event, _ *hostnet.Host) bool { return count(e, hostnet.Synced) > 0 })
	return w
}

func (w *watcher) wait(what string, holds func([]hostnet.Event, *hostnet.Host) bool) {
	w.t.Helper()
	waitFor(w.t, what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return holds(w.events, &w.host)
	})
}

// waitAddr waits until the kernel's address is, or is not, known.
func (w *watcher) waitAddr(index int, addr string, there bool) {
	w.t.Helper()
	w.wait(fmt.Sprintf("%s on %d: %v", addr, index, there), func(_ []hostnet.Event, h *hostnet.Host) bool {
		return h.Has(index, netip.MustParseAddr(addr)) == there
	})
}

func (w *watcher) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = nil
}

// story returns "+address@index" and "-address@index" for the events of addresses with the prefix so far.
func (w *watcher) story(prefix string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.events {
		s := fmt.Sprintf("%s@%d", e.Addr.Prefix, e.Addr.IfIndex)
		switch {
		case !strings.HasPrefix(s, prefix):
		case e.Kind == hostnet.AddrNew:
			out = append(out, "+"+s)
		case e.Kind == hostnet.AddrDel:
			out = append(out, "-"+s)
		}
	}
	return strings.Join(out, " ")
}

func count(events []hostnet.Event, k hostnet.Kind) int {
	n := 0
	for _, e := range events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// lane is a running Lane; settled functions come back on done.
type lane struct {
	*netlink.Lane
	t   *testing.T
	log logBuffer
}

func (h *host) lane() *lane {
	h.t.Helper()
	l := &lane{t: h.t}
	h.in(func() (err error) {
		l.Lane, err = netlink.OpenLane(logTo(&l.log), func(f func()) { f() }, model.RxBuf{})
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := receive(h.t, "the end of Lane.Run", ended); err != nil {
			h.t.Errorf("Lane.Run = %v, want nil", err)
		}
		l.Close()
	})
	return l
}

// own makes a wish and waits until it is settled.
func (l *lane) own(owner string, addrs ...model.Address) error {
	l.t.Helper()
	done := make(chan error, 1)
	l.Own(owner, model.Objects{Addresses: addrs}, func(err error) { done <- err })
	return receive(l.t, "settled wish of "+owner, done)
}

func (l *lane) mustOwn(owner string, addrs ...model.Address) {
	l.t.Helper()
	if err := l.own(owner, addrs...); err != nil {
		l.t.Fatal(err)
	}
}

func vip(prefix, ifName string) model.Address {
	a := model.Address{Prefix: netip.MustParsePrefix(prefix), Interface: ifName, NoDAD: true, PreferredLft: model.LifetimeForever}
	if a.Prefix.Addr().Is6() && a.Prefix.IsSingleIP() {
		a.PreferredLft = 0
	}
	return a
}

func TestLaneManyAddresses(t *testing.T) {
	a, _ := pair(t)
	l := a.lane()
	before := len(a.addrs("eth0"))
	var addrs []model.Address
	for i := range 255 {
		addrs = append(addrs, vip(fmt.Sprintf("10.1.%d.%d/32", i/100, i%100+1), "eth0"), vip(fmt.Sprintf("fd01::%x/128", i+1), "eth0"))
	}
	start := time.Now()
	l.mustOwn("VI_1", addrs...)
	t.Logf("510 addresses in %s", time.Since(start))
	if got := len(a.addrs("eth0")) - before; got != len(addrs) {
		t.Errorf("%d addresses were set, want %d", got, len(addrs))
	}
	l.mustOwn("VI_1", addrs...)
	start = time.Now()
	l.mustOwn("VI_1")
	t.Logf("removed in %s", time.Since(start))
	if got := len(a.addrs("eth0")); got != before {
		t.Errorf("%d addresses are left, want %d", got, before)
	}
	if s := l.log.String(); s != "" {
		t.Errorf("logged %q", s)
	}
}

// TestLaneOptions reads each option back from the kernel.
func TestLaneOptions(t *testing.T) {
	a, _ := pair(t)
	l := a.lane()
	w := a.watch(0)
	with := func(a model.Address, set func(*model.Address)) model.Address { set(&a); return a }
	index := a.index("eth0")
	for _, c := range []struct {
		addr  model.Address
		check func(vnl.Addr, hostnet.Addr) bool
	}{
		{vip("10.1.0.1/32", "eth0"), func(a vnl.Addr, _ hostnet.Addr) bool {
			return a.Broadcast == nil && a.Label == "eth0" && a.Scope == 0 && a.Flags == unix.IFA_F_PERMANENT
		}},
		{vip("10.1.0.2/24", "eth0"), func(a vnl.Addr, _ hostnet.Addr) bool { return a.Broadcast == nil }},
		{with(vip("10.1.0.3/24", "eth0"), func(a *model.Address) { a.Broadcast = netip.MustParseAddr("10.1.0.255") }),
			func(a vnl.Addr, _ hostnet.Addr) bool { return a.Broadcast.String() == "10.1.0.255" }},
		{with(vip("10.1.0.4/32", "eth0"), func(a *model.Address) { a.Label = "eth0:v" }),
			func(a vnl.Addr, b hostnet.Addr) bool { return a.Label == "eth0:v" && b.Label == "eth0:v" }},
		{with(vip("10.1.0.5/32", "eth0"), func(a *model.Address) { a.Scope = unix.RT_SCOPE_LINK }),
			func(a vnl.Addr, b hostnet.Addr) bool {
				return a.Scope == unix.RT_SCOPE_LINK && b.Scope == unix.RT_SCOPE_LINK
			}},
		{with(vip("10.1.0.6/32", "eth0"), func(a *model.Address) { a.Peer = netip.MustParsePrefix("10.2.0.1/28") }),
			func(a vnl.Addr, b hostnet.Addr) bool {
				return a.Peer.String() == "10.2.0.1/28" && b.Peer.String() == "10.2.0.1" && b.Prefix.String() == "10.1.0.6/28"
			}},
		{with(vip("fd01::6/128", "eth0"), func(a *model.Address) { a.Peer = netip.MustParsePrefix("fd02::1/128") }),
			func(a vnl.Addr, b hostnet.Addr) bool {
				return a.Peer.String() == "fd02::1/128" && b.Peer.String() == "fd02::1" && b.Prefix.String() == "fd01::6/128"
			}},
		{with(vip("10.1.0.7/24", "eth0"), func(a *model.Address) { a.NoPrefixRt = true }),
			func(a vnl.Addr, _ hostnet.Addr) bool { return a.Flags&unix.IFA_F_NOPREFIXROUTE != 0 }},
		{vip("fd01::1/128", "eth0"), func(a vnl.Addr, _ hostnet.Addr) bool {
			return a.Flags&unix.IFA_F_NODAD != 0 && a.Flags&unix.IFA_F_DEPRECATED != 0 && a.PreferedLft == 0 && uint32(a.ValidLft) == 1<<32-1
		}},
		{vip("fd01::2/64", "eth0"), func(a vnl.Addr, _ hostnet.Addr) bool {
			return a.Flags == unix.IFA_F_NODAD|unix.IFA_F_PERMANENT && uint32(a.PreferedLft) == 1<<32-1
		}},
		{with(vip("fd01::3/64", "eth0"), func(a *model.Address) { a.NoDAD = false; a.PreferredLft = 600 }),
			func(a vnl.Addr, _ hostnet.Addr) bool {
				return a.Flags&unix.IFA_F_NODAD == 0 && a.PreferedLft > 590 && a.PreferedLft <= 600
			}},
		{with(vip("fd01::4/64", "eth0"), func(a *model.Address) { a.Home, a.MngTmpAddr, a.NoPrefixRt = true, true, true }),
			func(a vnl.Addr, _ hostnet.Addr) bool {
				const want = unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_NOPREFIXROUTE
				return a.Flags&want == want
			}},
		{with(vip("ff05::123/128", "eth0"), func(a *model.Address) { a.AutoJoin = true }),
			func(a vnl.Addr, _ hostnet.Addr) bool { return a.Flags&unix.IFA_F_MCAUTOJOIN != 0 }},
	} {
		if err := l.own("VI_1", c.addr); err != nil {
			t.Errorf("%+v: %v", c.addr, err)
			continue
		}
		ip := c.addr.Prefix.Addr()
		w.waitAddr(index, ip.String(), true)
		var seen hostnet.Addr
		w.mu.Lock()
		for _, k := range w.host.Addrs(index) {
			if k.Prefix.Addr() == ip {
				seen = k
			}
		}
		w.mu.Unlock()
		found := false
		for _, k := range a.addrs("eth0") {
			if k.IP.Equal(ip.AsSlice()) {
				found = true
				if !c.check(k, seen) {
					t.Errorf("%+v became %+v (flags %#x), told as %+v", c.addr, k, k.Flags, seen)
				}
			}
		}
		if !found {
			t.Errorf("%+v is not there", c.addr)
		}
		if seen.Proto != 18 {
			t.Errorf("%s has protocol %d, want 18 (Linux 5.18 and later)", ip, seen.Proto)
		}
		if k := seen.Key("eth0"); k != hostnet.KeyOf(c.addr) {
			t.Errorf("%+v has the key %v, want %v", seen, k, hostnet.KeyOf(c.addr))
		}
	}
	l.mustOwn("VI_1")
	if got := len(a.addrs("eth0")); got != 2 {
		t.Errorf("%d addresses are left, want 2", got)
	}
}

// TestLaneMoves: an address that changes its owner, interface or prefix length is never missing.
func TestLaneMoves(t *testing.T) {
	a, b := pair(t)
	connect(a, b, "eth1")
	e0, e1 := a.index("eth0"), a.index("eth1")
	l := a.lane()
	w := a.watch(0)
	x := vip("10.1.0.1/24", "eth0")
	l.mustOwn("A", vip("10.1.9.9/24", "eth0"), x)
	w.waitAddr(e0, "10.1.0.1", true)
	w.forget()

	done := make(chan error, 2)
	settled := func(err error) { done <- err }
	l.Together(func() {
		l.Disown("A", settled)
		l.Own("B", model.Objects{Addresses: []model.Address{x}}, settled)
	})
	for range 2 {
		if err := receive(t, "settled", done); err != nil {
			t.Fatal(err)
		}
	}
	w.waitAddr(e0, "10.1.9.9", false)
	if s := w.story("10.1.0.1/"); s != "" {
		t.Errorf("moved between owners, the kernel told %q", s)
	}

	w.forget()
	l.mustOwn("B", vip("10.1.0.1/24", "eth1"))
	w.waitAddr(e0, "10.1.0.1", false)
	if got, want := w.story("10.1.0.1/"), fmt.Sprintf("+10.1.0.1/24@%d -10.1.0.1/24@%d", e1, e0); got != want {
		t.Errorf("moved to another interface, the kernel told %q, want %q", got, want)
	}
	w.forget()
	l.mustOwn("B", vip("10.1.0.1/32", "eth1"))
	w.wait("the prefix of before to go", func(e []hostnet.Event, _ *hostnet.Host) bool { return count(e, hostnet.AddrDel) > 0 })
	if got, want := w.story("10.1.0.1/"), fmt.Sprintf("+10.1.0.1/32@%d -10.1.0.1/24@%d", e1, e1); got != want {
		t.Errorf("with another prefix length, the kernel told %q, want %q", got, want)
	}

	// Two owners of the same address: it goes with the last.
	l.mustOwn("C", vip("10.1.0.1/32", "eth1"))
	l.mustOwn("B")
	if _, ok := a.addrs("eth1")["10.1.0.1/32"]; !ok {
		t.Error("the address went although C wants it")
	}
	l.mustOwn("C")
	if got := a.addrs("eth1"); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// TestLaneKeepsOrder: addresses are set and removed in the order of the wish.
func TestLaneKeepsOrder(t *testing.T) {
	a, _ := pair(t)
	e0 := a.index("eth0")
	l := a.lane()
	w := a.watch(0)
	l.mustOwn("A", vip("10.1.0.3/32", "eth0"), vip("10.1.0.1/32", "eth0"), vip("10.1.0.2/32", "eth0"))
	l.mustOwn("A")
	w.waitAddr(e0, "10.1.0.2", false)
	want := strings.ReplaceAll("+10.1.0.3/32@I +10.1.0.1/32@I +10.1.0.2/32@I -10.1.0.3/32@I -10.1.0.1/32@I -10.1.0.2/32@I", "I", fmt.Sprint(e0))
	w.wait("removal of all", func(e []hostnet.Event, _ *hostnet.Host) bool { return count(e, hostnet.AddrDel) == 3 })
	if got := w.story("10.1.0."); got != want {
		t.Errorf("the kernel told %q, want %q", got, want)
	}
}

// TestLaneSubnet: an address that the kernel removes together with the first one of its subnet is set again at once if it is wanted.
func TestLaneSubnet(t *testing.T) {
	a, _ := pair(t)
	l := a.lane()
	l.mustOwn("A", vip("10.1.0.1/24", "eth0"), vip("10.1.0.2/24", "eth0"), vip("10.1.0.3/24", "eth0"))
	l.mustOwn("A", vip("10.1.0.2/24", "eth0"), vip("10.1.0.3/24", "eth0"))
	got := a.addrs("eth0")
	for _, addr := range []string{"10.1.0.2/24", "10.1.0.3/24"} {
		if _, ok := got[addr]; !ok {
			t.Errorf("%s is missing", addr)
		}
	}
	l.mustOwn("A")
	if got := len(a.addrs("eth0")); got != 2 {
		t.Errorf("%d addresses are left, want 2", got)
	}
}

func TestLaneStolenAddress(t *testing.T) {
	a, _ := pair(t)
	e0 := a.index("eth0")
	l := a.lane()
	w := a.watch(0)
	x := vip("10.1.0.1/32", "eth0")
	l.mustOwn("A", x)
	w.waitAddr(e0, "10.1.0.1", true)
	if err := a.addrChange(a.AddrDel, "eth0", "10.1.0.1/32"); err != nil {
		t.Fatal(err)
	}
	w.waitAddr(e0, "10.1.0.1", false)
	// Given up and wanted again before the lane looks: it must be there all the same.
	l.Together(func() {
		l.Disown("A", func(error) { t.Error("a wish that was replaced is settled") })
		l.Own("A", model.Objects{Addresses: []model.Address{x}}, nil)
	})
	w.waitAddr(e0, "10.1.0.1", true)
	if err := a.addrChange(a.AddrDel, "eth0", "10.1.0.1/32"); err != nil {
		t.Fatal(err)
	}
	l.mustOwn("A") // removing what is gone is no error
	if s := l.log.String(); s != "" {
		t.Errorf("logged %q", s)
	}
}

func TestLaneForeignAndStaleAddresses(t *testing.T) {
	a, _ := pair(t)
	l := a.lane()
	a.addr("eth0", "10.1.0.1/32")
	l.mustOwn("A", vip("10.1.0.1/32", "eth0")) // exists: a success, but not ours
	l.mustOwn("A")
	if _, ok := a.addrs("eth0")["10.1.0.1/32"]; !ok {
		t.Error("an address that somebody else set was removed")
	}

	a.addr("eth0", "10.1.0.2/32")
	a.addr("eth0", "fd01::2/128")
	l.mustOwn("B", vip("10.1.0.4/32", "eth0"))
	l.Together(func() {
		l.RemoveStale(model.Objects{Addresses: []model.Address{vip("10.1.0.1/32", "eth0"), vip("10.1.0.2/32", "eth0"), vip("fd01::2/128", "eth0"),
			vip("10.1.0.3/32", "eth0"), vip("10.1.0.3/32", "gone0"), vip("10.1.0.4/32", "eth0")}})
		l.Own("A", model.Objects{Addresses: []model.Address{vip("10.1.0.1/32", "eth0")}}, nil)
	})
	l.mustOwn("last")
	got := a.addrs("eth0")
	for addr, want := range map[string]bool{"10.1.0.1/32": true, "10.1.0.2/32": false, "fd01::2/128": false, "10.1.0.4/32": true} {
		if _, ok := got[addr]; ok != want {
			t.Errorf("%s is there: %v, want %v", addr, ok, want)
		}
	}
	if s := l.log.String(); s != "" {
		t.Errorf("logged %q", s)
	}
}

// TestLaneRetries: a refused address is logged once in keepalived's words and set as soon as the kernel lets it.
func TestLaneRetries(t *testing.T) {
	a, _ := pair(t)
	disable := func(v string) {
		a.in(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte(v), 0) })
	}
	disable("1")
	l := a.lane()
	w := a.watch(0)
	e0 := a.index("eth0")
	err := l.own("A", vip("10.1.0.1/32", "eth0"), vip("fd01::1/128", "eth0"), vip("10.1.0.2/32", "gone0"))
	if errno := unix.Errno(0); !asErrno(err, &errno) || errno != unix.EACCES {
		t.Errorf("settled with %v, want EACCES", err)
	}
	w.waitAddr(e0, "10.1.0.1", true)
	const text = "Netlink: error: Permission denied(13), type=RTM_NEWADDR(20), seq="
	if s := l.log.String(); strings.Count(s, text) != 1 || strings.Count(s, "gone0") != 1 {
		t.Errorf("logged %q, want once %q and once gone0", s, text)
	}
	logged := l.log.String()
	disable("0")
	w.waitAddr(e0, "fd01::1", true)
	if s := l.log.String(); s != logged {
		t.Errorf("a retry logged %q", strings.TrimPrefix(s, logged))
	}
	l.mustOwn("A")
}

func TestWatchLinks(t *testing.T) {
	a, b := newHost(t), newHost(t)
	w := a.watch(0)
	w.wait("lo", func(_ []hostnet.Event, h *hostnet.Host) bool {
		l, ok := h.Link("lo")
		return ok && l.Up() && l.MTU == 65536 && l.Type == unix.ARPHRD_LOOPBACK
	})
	connect(a, b, "eth0")
	link := func(what string, holds func(hostnet.Link, bool) bool) {
		t.Helper()
		w.wait(what, func(_ []hostnet.Event, h *hostnet.Host) bool { return holds(h.Link("eth0")) })
	}
	link("eth0 up", func(l hostnet.Link, ok bool) bool {
		return ok && l.Up() && l.Multicast() && !l.NoARP() && l.MAC == a.mac("eth0") && l.MTU == 1500 && l.Kind == "veth"
	})
	peer, err := b.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.LinkSetDown(peer); err != nil {
		t.Fatal(err)
	}
	link("eth0 without carrier", func(l hostnet.Link, ok bool) bool { return ok && !l.Up() })
	b.up("eth0")
	link("eth0 with carrier", func(l hostnet.Link, ok bool) bool { return ok && l.Up() })
	a.addr("eth0", "10.0.0.1/24")
	index := a.index("eth0")
	w.waitAddr(index, "10.0.0.1", true)
	if err := b.LinkDel(peer); err != nil {
		t.Fatal(err)
	}
	link("eth0 gone", func(_ hostnet.Link, ok bool) bool { return !ok })
	w.waitAddr(index, "10.0.0.1", false)
}

// TestWatchOverflow: a consumer that sleeps through more changes than the socket holds knows the state in the end, and what has not
// changed it is not told again.
func TestWatchOverflow(t *testing.T) {
	a, _ := pair(t)
	e0 := a.index("eth0")
	a.addr("eth0", "10.5.0.1/32")
	a.addr("eth0", "10.5.0.2/32")
	w := a.watch(1) // the kernel makes it its minimum
	w.waitAddr(e0, "10.5.0.2", true)
	w.forget()

	w.stall.Lock()
	for round := range 2 {
		for i := range 200 {
			addr := fmt.Sprintf("10.6.%d.%d/32", round, i)
			a.addr("eth0", addr)
			if i%2 == 0 {
				if err := a.addrChange(a.AddrDel, "eth0", addr); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := a.addrChange(a.AddrDel, "eth0", "10.5.0.1/32"); err != nil {
		t.Fatal(err)
	}
	w.stall.Unlock()

	want := a.addrs("eth0")
	w.wait("the whole state", func(e []hostnet.Event, h *hostnet.Host) bool {
		if count(e, hostnet.Synced) == 0 {
			return false
		}
		n := 0
		for _, a := range h.Addrs(e0) {
			if _, ok := want[a.Prefix.String()]; ok {
				n++
			} else if !a.Prefix.Addr().IsLinkLocalUnicast() {
				return false
			}
		}
		return n == len(want)
	})
	if s := w.story("10.5.0."); s != fmt.Sprintf("-10.5.0.1/32@%d", e0) {
		t.Errorf("of what was there before it told %q, want only the removal of 10.5.0.1", s)
	}
	// and it goes on telling
	a.addr("eth0", "10.7.0.1/32")
	w.waitAddr(e0, "10.7.0.1", true)
}

func TestForwarding(t *testing.T) {
	a, _ := pair(t)
	a.in(func() error {
		if netlink.Forwarding("eth0") {
			t.Error("a fresh host forwards")
		}
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/forwarding", []byte("1"), 0); err != nil {
			return err
		}
		if !netlink.Forwarding("eth0") {
			t.Error("forwarding is not seen")
		}
		if netlink.Forwarding("gone0") {
			t.Error("an interface that is not there forwards")
		}
		return nil
	})
}
