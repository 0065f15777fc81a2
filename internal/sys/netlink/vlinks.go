package netlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
)

// LinkWish is which virtual interfaces are wanted, and kernel settings besides those that belong to them.
type LinkWish struct {
	Links    []model.VLink
	Settings []hostnet.Setting
	// Up, unless nil, is the links that may be set up, by index: those whose packets are filtered by now.
	Up map[string]int
}

func (w *LinkWish) up(name string, index int) bool { return w.Up == nil || w.Up[name] == index }

// LinkOutcome is what Links has done.
type LinkOutcome struct {
	Made, Taken, Removed []string         // names
	Failed               map[string]error // by name: what could not be made, although its base is there
}

// Links makes the kernel have the virtual interfaces and settings of a LinkWish, on a goroutine of its own. What it finds changed is
// put back at every Poke; what fails is tried again. Only what it has made or taken over does it remove; a setting gets back the
// value that it had, unless somebody else has changed it meanwhile.
type Links struct {
	log    *slog.Logger
	post   func(func())
	sock   *socket
	handle *netlink.Handle
	space  *netns.Space
	proc   string // where the settings are
	wake   chan struct{}

	mu   sync.Mutex
	wish LinkWish
	done []func(LinkOutcome)

	mine    map[string]bool    // links that were made or taken over
	saved   map[string]changed // settings by path
	blamed  map[string]string  // what was complained about, by link or path
	relaxed []hostnet.Setting  // reverse path filters, while a VMAC needs that of "all" to be off
}

// changed is a setting that was changed: what it was, what it is to be, and the index of the interface that it is of, 0: of none.
type changed struct {
	was, is string
	index   int
}

// settingOf returns the name of the interface that a setting is of, and the path as a function of it.
func settingOf(path string) (dev string, of func(string) string) {
	parts := strings.Split(path, "/")
	if len(parts) != 5 || parts[2] != "conf" {
		return "", nil
	}
	return parts[3], func(dev string) string {
		parts[3] = dev
		return strings.Join(parts, "/")
	}
}

// OpenLinks opens the sockets in the calling thread's network namespace, which is space. post runs a function on the loop.
func OpenLinks(log *slog.Logger, post func(func()), space *netns.Space) (*Links, error) {
	sock, err := open(0, model.RxBuf{})
	if err != nil {
		return nil, err
	}
	sock.size = dumpBuf
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		sock.close()
		return nil, fmt.Errorf("open netlink socket for links: %w", err)
	}
	return &Links{log: log, post: post, sock: sock, handle: handle, space: space, proc: "/proc/sys/", wake: make(chan struct{}, 1),
		mine: map[string]bool{}, saved: map[string]changed{}, blamed: map[string]string{}}, nil
}

// Want replaces the wish. done, which may be nil, is called on the loop when it has been carried out, with what was done since the
// last call of any done.
func (l *Links) Want(w LinkWish, done func(LinkOutcome)) {
	l.mu.Lock()
	l.wish = w
	if done != nil {
		l.done = append(l.done, done)
	}
	l.mu.Unlock()
	l.Poke()
}

// Poke has the wish compared with what the kernel has.
func (l *Links) Poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run carries wishes out until ctx is done, then returns nil.
func (l *Links) Run(ctx context.Context, sink func(LinkOutcome)) error {
	defer context.AfterFunc(ctx, l.sock.interrupt)()
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	wait := retryMin
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-retry.C:
		}
		l.mu.Lock()
		w, done := l.wish, l.done
		l.done = nil
		l.mu.Unlock()
		var out LinkOutcome
		err := l.space.Do(func() (err error) { // what is below /proc/sys/net depends on who looks
			out, err = l.pass(w)
			return err
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("make virtual interfaces: %w", err)
		}
		if wait = min(2*wait, retryMax); len(out.Failed) == 0 {
			wait = retryMin
		}
		retry.Stop()
		if len(out.Failed) > 0 {
			retry.Reset(wait)
		}
		l.post(func() {
			sink(out)
			for _, f := range done {
				f(out)
			}
		})
	}
}

// Close closes the sockets; Run must have returned.
func (l *Links) Close() error {
	l.handle.Close()
	return l.sock.close()
}

// pass makes the kernel agree with w once.
func (l *Links) pass(w LinkWish) (LinkOutcome, error) {
	out := LinkOutcome{Failed: map[string]error{}}
	h, err := l.read()
	if err != nil {
		return out, err
	}
	ops, conflicts := hostnet.PlanLinks(h, w.Links, l.mine, w.up)
	for _, name := range conflicts {
		out.Failed[name] = errors.New("another interface has that name")
	}
	settings := append(slices.Clone(w.Settings), hostnet.BaseSettings(h, w.Links)...)
	if slices.ContainsFunc(w.Links, func(v model.VLink) bool { return v.Kind == model.Macvlan && v.Family == model.IPv4 }) {
		settings = append(settings, l.relax(h)...)
	} else {
		l.relaxed = nil
	}
	l.set(h, settings)
	swept := l.sweep(h, ops)
	for n, op := range ops {
		name := op.Link.Name
		var err error
		if n >= swept {
			err = l.do(op, w.Up == nil)
		}
		switch {
		case err != nil:
			out.Failed[name] = fmt.Errorf("%s: %w", op, err)
		case op.Kind == hostnet.LinkRemove:
			out.Removed = append(out.Removed, name)
			delete(l.mine, name)
		case op.Kind == hostnet.LinkAdd:
			out.Made = append(out.Made, name)
			l.mine[name] = true
		case op.Kind == hostnet.LinkTake:
			out.Taken = append(out.Taken, name)
			l.mine[name] = true
		}
	}
	for name, err := range out.Failed {
		l.blame(name, fmt.Sprintf("Virtual interface %s: %v", name, err))
	}
	for _, v := range w.Links {
		if out.Failed[v.Name] == nil {
			delete(l.blamed, v.Name)
		}
	}
	return out, nil
}

// sweep carries out the removals that ops begin with if there are several, and returns how many these were. Each removal makes the kernel
// wait for all of its processors a few times over, so that hundreds would take longer than a daemon may take to stop. It removes a group of
// interfaces at once, so they are put into one that nobody uses.
func (l *Links) sweep(h *hostnet.Host, ops []hostnet.LinkOp) int {
	n := slices.IndexFunc(ops, func(op hostnet.LinkOp) bool { return op.Kind != hostnet.LinkRemove })
	if n < 0 {
		n = len(ops)
	}
	if n < 2 {
		return 0
	}
	group := rand.Int32N(math.MaxInt32-1) + 1
	if slices.ContainsFunc(h.Links(), func(link hostnet.Link) bool { return link.Group == uint32(group) }) {
		return 0
	}
	for _, op := range ops[:n] {
		at := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: op.Index}}
		if err := l.handle.LinkSetGroup(at, int(group)); err != nil && !errors.Is(err, unix.ENODEV) {
			return 0
		}
	}
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(uint32(group))))
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil && !errors.Is(err, unix.ENODEV) {
		return 0
	}
	return n
}

// blame logs what is wrong with something, once.
func (l *Links) blame(what, line string) {
	if l.blamed[what] != line {
		l.blamed[what] = line
		l.log.Error(line)
	}
}

func (l *Links) read() (*hostnet.Host, error) {
	for {
		var h hostnet.Host
		if err := l.sock.dump(unix.RTM_GETLINK, &h); !errors.Is(err, unix.EINTR) {
			return &h, err
		}
	}
}

// do carries op out. A new link is set up at once if up is set; otherwise that is for another pass.
func (l *Links) do(op hostnet.LinkOp, up bool) error {
	at := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: op.Index}}
	switch op.Kind {
	case hostnet.LinkRemove:
		if err := l.handle.LinkDel(at); !errors.Is(err, unix.ENODEV) {
			return err
		}
		return nil
	case hostnet.LinkMaster:
		return l.master(at, op.Master)
	case hostnet.LinkRaise:
		return l.handle.LinkSetUp(at)
	case hostnet.LinkTake:
		return l.dress(at, op, up)
	}
	if err := l.handle.LinkAdd(linkOf(op)); err != nil {
		return err
	}
	index, err := l.sock.ifIndex(op.Link.Name)
	if err != nil {
		return err
	}
	at.Index = index
	if err := l.dress(at, op, up); err != nil {
		_ = l.handle.LinkDel(at) // half made it is worse than not at all
		return err
	}
	return nil
}

func linkOf(op hostnet.LinkOp) netlink.Link {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Group = op.Link.Name, op.Base, op.Group
	if op.Link.Kind == model.IPVLAN {
		return &netlink.IPVlan{LinkAttrs: attrs, Mode: netlink.IPVLAN_MODE_L2, Flag: netlink.IPVlanFlag(op.Link.Mode)}
	}
	attrs.HardwareAddr = op.Link.MAC[:]
	return &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_PRIVATE}
}

// addrGenNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h: the kernel makes no link-local address.
const addrGenNone = 1

// dress gives a link its settings and then sets it up if it may: it must not answer for anything before.
func (l *Links) dress(at netlink.Link, op hostnet.LinkOp, up bool) error {
	if op.Link.Kind != model.Macvlan {
	} else if err := l.handle.LinkSetIP6AddrGenMode(at, addrGenNone); err != nil && op.Link.IPv6 {
		l.blame(op.Link.Name+" addrgenmode", fmt.Sprintf("Virtual interface %s: cannot keep the kernel from making an IPv6 address: %v", op.Link.Name, err))
	}
	for _, s := range hostnet.Settings(&op.Link) {
		if err := l.write(s.Path, s.Value); err != nil && !os.IsNotExist(err) { // without IPv6 there is nothing to switch off
			l.blame(s.Path, fmt.Sprintf("Virtual interface %s: %v", op.Link.Name, err))
		}
	}
	if op.Master != 0 {
		if err := l.master(at, op.Master); err != nil {
			return err
		}
	}
	if !up {
		return nil
	}
	return l.handle.LinkSetUp(at)
}

func (l *Links) master(at netlink.Link, index int) error {
	if index == 0 {
		return l.handle.LinkSetNoMaster(at)
	}
	return l.handle.LinkSetMasterByIndex(at, index)
}

func (l *Links) write(path, value string) error {
	return os.WriteFile(l.proc+path, []byte(value), 0o644)
}

func (l *Links) value(path string) (string, error) {
	b, err := os.ReadFile(l.proc + path)
	return strings.TrimSpace(string(b)), err
}

// set makes settings be what they are wanted to be, and those that are not wanted any more what they were.
func (l *Links) set(h *hostnet.Host, want []hostnet.Setting) {
	wanted := map[string]bool{}
	for _, s := range want {
		wanted[s.Path] = true
		now, err := l.value(s.Path)
		if err != nil || now == s.Value {
			continue // the interface is gone; or nothing to do, nor to undo
		}
		if err := l.write(s.Path, s.Value); err != nil {
			l.blame(s.Path, fmt.Sprintf("cannot change a kernel setting: %v", err))
			continue
		}
		l.tell(s.Path, fmt.Sprintf("NOTICE: setting sysctl %s from %s to %s", dotted(s.Path), now, s.Value))
		c, ours := l.saved[s.Path]
		if !ours {
			c.was = now
			dev, _ := settingOf(s.Path)
			link, _ := h.Link(dev)
			c.index = link.Index
		}
		c.is = s.Value
		l.saved[s.Path] = c
	}
	for path, c := range l.saved {
		if wanted[path] {
			continue
		}
		delete(l.saved, path)
		if link, ok := h.LinkAt(c.index); ok { // under whatever name
			_, of := settingOf(path)
			path = of(link.Name)
		}
		if now, err := l.value(path); err != nil || now != c.is {
			continue
		}
		if err := l.write(path, c.was); err != nil {
			l.log.Error(fmt.Sprintf("cannot restore a kernel setting: %v", err))
			continue
		}
		l.tell(path, fmt.Sprintf("NOTICE: resetting sysctl %s to %s", dotted(path), c.was))
	}
}

const allRPFilter = "net/ipv4/conf/all/rp_filter"

// tell logs the settings that concern other interfaces, as keepalived does.
func (l *Links) tell(path, line string) {
	if strings.HasSuffix(path, "/rp_filter") {
		l.log.Info(line)
	}
}

func dotted(path string) string { return strings.ReplaceAll(path, "/", ".") }

// relax returns the settings that switch the reverse path filter of all interfaces off and instead on at each: a VMAC must have none,
// while the kernel takes the stricter of "all" and the interface.
//
// Differs from keepalived: it raises not all of the interfaces.
func (l *Links) relax(h *hostnet.Host) []hostnet.Setting {
	if l.relaxed != nil {
		return l.relaxed
	}
	all, err := l.value(allRPFilter)
	if err != nil || all == "0" {
		return nil
	}
	raise := func(dev string) {
		path := "net/ipv4/conf/" + dev + "/rp_filter"
		if now, err := l.value(path); err == nil && now < all { // one digit each
			l.relaxed = append(l.relaxed, hostnet.Setting{Path: path, Value: all})
		}
	}
	raise("default")
	for _, link := range h.Links() {
		if !l.mine[link.Name] {
			raise(link.Name)
		}
	}
	l.relaxed = append(l.relaxed, hostnet.Setting{Path: allRPFilter, Value: "0"})
	return l.relaxed
}
