// Package lab is a small real network for tests: routers and a client in network namespaces of their own on one or
// more switched LANs, daemons started in them, and a timeline of everything seen on the wire, in the addresses and in
// the logs.
//
// Every LAN is a bridge in a switch namespace. Node k (counted from 1) of LAN i (counted from 0) has the interface
// eth<i> with the addresses 10.<i+1>.0.<k>/24 and fd00:<i+1>::<k>/64 and the hardware address 02:00:00:00:<i>:<k>;
// its switch port is named <node><i>. What a node sends is stamped by the kernel as it enters the switch, so the
// scheduling of the test does not matter.
//
//	l := lab.New(t, lab.Plan{Nodes: []string{"a", "b", "c"}})
//	d := l.Node("a").Start(binary, config)
//	advert := l.WaitFrame(5*time.Second, "first advert of a", lab.Adverts("a"))
//
// Nothing here sleeps blindly: waits are for a condition, with a deadline, and a failed one prints the timeline.
package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// T is the part of testing.TB that a lab needs; Run provides one outside of go test.
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
	TempDir() string
}

// Plan says what to build. The zero value is one LAN with the routers a and b and the client c.
type Plan struct {
	Nodes []string // names of one or two letters, default a, b, c
	LANs  int      // default 1
	Tap   bool     // frames go to Lab.Tap, not on the timeline: there are too many for that
}

// Lab is a built network. Its methods fail the test when they cannot do what they say.
type Lab struct {
	Timeline
	Tap    *Tap // nil unless planned
	t      T
	prefix string
	lans   int
	nodes  []*Node
	dir    string
	ports  map[portKey]int // index of the switch's port
}

type portKey struct {
	node string
	lan  int
}

// Node is one host of the lab.
type Node struct {
	Name string
	Dir  string // files of the daemons started here; removed with the lab

	// Wrapper is the program, and its words, that executes the daemons started here; empty: none.
	Wrapper []string

	lab   *Lab
	index int // from 1
	ns    string
}

var labs atomic.Int32

// New builds the network of plan and removes it when the test ends. The caller must be root.
func New(t T, plan Plan) *Lab {
	t.Helper()
	// Processes that lose their parent become ours: Kill can wait for them, and does not depend on how soon init reaps.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatalf("becoming a subreaper: %v", err)
	}
	watchStalls()
	if plan.Nodes == nil {
		plan.Nodes = []string{"a", "b", "c"}
	}
	if plan.LANs == 0 {
		plan.LANs = 1
	}
	l := &Lab{t: t, lans: plan.LANs, dir: t.TempDir(),
		prefix: fmt.Sprintf("%s%d-%d", nsPrefix, os.Getpid(), labs.Add(1)), ports: map[portKey]int{}}
	l.Timeline.init(t)
	t.Cleanup(func() {
		if t.Failed() && !plan.Tap {
			t.Logf("timeline:\n%s", l.Timeline.String())
		}
	})

	l.addNS(l.switchNS())
	for i, name := range plan.Nodes {
		n := &Node{Name: name, lab: l, index: i + 1, ns: l.prefix + name, Dir: filepath.Join(l.dir, name)}
		if err := os.MkdirAll(filepath.Join(n.Dir, "tmp"), 0o755); err != nil {
			t.Fatalf("making the node's directory: %v", err)
		}
		l.addNS(n.ns)
		l.nodes = append(l.nodes, n)
	}

	ports := map[int]port{}
	var sw strings.Builder
	for i := range l.lans {
		fmt.Fprintf(&sw, "link add br%d type bridge mcast_snooping 0 stp_state 0\nlink set br%d up\n", i, i)
		for _, n := range l.nodes {
			fmt.Fprintf(&sw, "link add %s type veth peer name eth%d address %s netns %s\nlink set %[1]s master br%[2]d up\n",
				n.port(i), i, n.MAC(i), n.ns)
		}
	}
	l.ip(l.switchNS(), sw.String())
	for _, n := range l.nodes {
		var b strings.Builder
		b.WriteString("link set lo up\n")
		for i := range l.lans {
			fmt.Fprintf(&b, "link set eth%d up\naddr add %s/24 brd + dev eth%[1]d\naddr add %[3]s/64 dev eth%[1]d\n", i, n.Addr(i), n.Addr6(i))
		}
		l.ip(n.ns, b.String())
	}
	l.in(l.switchNS(), func() error {
		for i := range l.lans {
			for _, n := range l.nodes {
				link, err := net.InterfaceByName(n.port(i))
				if err != nil {
					return err
				}
				ports[link.Index] = port{n.Name, i}
				l.ports[portKey{n.Name, i}] = link.Index
			}
		}
		return nil
	})
	if plan.Tap {
		l.tap(ports)
	} else {
		l.capture(ports)
	}
	for _, n := range l.nodes {
		l.watchAddrs(n)
		n.serveName()
	}
	return l
}

// Node returns the node of that name.
func (l *Lab) Node(name string) *Node {
	for _, n := range l.nodes {
		if n.Name == name {
			return n
		}
	}
	panic("lab: no node " + name)
}

func (l *Lab) switchNS() string { return l.prefix + "-sw" }

func (n *Node) port(lan int) string { return n.Name + strconv.Itoa(lan) }

// MAC is the hardware address of the node's interface eth<lan>.
func (n *Node) MAC(lan int) string { return fmt.Sprintf("02:00:00:00:%02x:%02x", lan, n.index) }

// Addr is the node's IPv4 address on a LAN.
func (n *Node) Addr(lan int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(lan + 1), 0, byte(n.index)})
}

// Addr6 is the node's global IPv6 address on a LAN.
func (n *Node) Addr6(lan int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fd00:%x::%x", lan+1, n.index))
}

// LinkLocal is the node's link-local address on a LAN, made from its hardware address.
func (n *Node) LinkLocal(lan int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fe80::ff:fe00:%x", lan<<8|n.index))
}

// Namespace is the name of the node's network namespace.
func (n *Node) Namespace() string { return n.ns }

// Reattach makes a node's interface anew that was removed, with its IPv4 address. What it sends is not recorded as the node's unless
// the switch gave the port its old index, so it asks for that.
func (l *Lab) Reattach(node string, lan int) {
	l.t.Helper()
	n := l.Node(node)
	index := l.ports[portKey{node, lan}]
	l.ip(l.switchNS(), fmt.Sprintf("link add %s index %d type veth peer name eth%d address %s netns %s\nlink set %[1]s master br%[3]d up\n",
		n.port(lan), index, lan, n.MAC(lan), n.ns))
	l.ip(n.ns, fmt.Sprintf("link set eth%d up\naddr add %s/24 brd + dev eth%[1]d\n", lan, n.Addr(lan)))
}

// Unplug takes the carrier from the node's interface, Plug gives it back.
func (n *Node) Unplug(lan int) { n.portCommand(lan, "down") }

// Plug undoes Unplug.
func (n *Node) Plug(lan int) { n.portCommand(lan, "up") }

// Isolate takes the node's port out of the LAN; the node keeps its carrier. Join undoes it.
func (n *Node) Isolate(lan int) { n.portCommand(lan, "nomaster") }

// Join undoes Isolate.
func (n *Node) Join(lan int) { n.portCommand(lan, "master br"+strconv.Itoa(lan)) }

func (n *Node) portCommand(lan int, what string) {
	n.lab.t.Helper()
	n.lab.mark(n.Name, "port of LAN "+strconv.Itoa(lan)+" "+what)
	n.lab.ip(n.lab.switchNS(), "link set "+n.port(lan)+" "+what+"\n")
}

// IP runs lines of ip(8) batch commands in the node, for example "addr add 10.1.0.100/24 dev eth0".
func (n *Node) IP(lines ...string) {
	n.lab.t.Helper()
	n.lab.ip(n.ns, strings.Join(lines, "\n")+"\n")
}

// Command returns a command that runs in the node.
func (n *Node) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.ns, name}, args...)...)
}

// File writes a file into the node's directory and returns its path. A name ending in .sh is made executable.
func (n *Node) File(name, content string) string {
	n.lab.t.Helper()
	path, mode := filepath.Join(n.Dir, name), os.FileMode(0o644)
	if strings.HasSuffix(name, ".sh") {
		mode = 0o755
	}
	// Renamed into place: nobody sees half a file, and a script in use is not "text busy".
	if err := os.WriteFile(path+".new", []byte(content), mode); err != nil {
		n.lab.t.Fatalf("writing %q: %v", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		n.lab.t.Fatalf("writing %q: %v", path, err)
	}
	return path
}

// ReadFile returns the content of a file of the node's directory, "" while there is none.
func (n *Node) ReadFile(name string) string {
	b, err := os.ReadFile(filepath.Join(n.Dir, name))
	if err != nil && !os.IsNotExist(err) {
		n.lab.t.Fatalf("reading %q: %v", name, err)
	}
	return string(b)
}

// who is where every node answers a TCP connection with its name.
const who = 7777

func (n *Node) serveName() (stop func()) {
	n.lab.in(n.ns, func() error {
		ln, err := net.Listen("tcp", fmt.Sprintf(":%d", who))
		if err != nil {
			return err
		}
		stop = func() { ln.Close() }
		n.lab.t.Cleanup(stop)
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, n.Name)
				c.Close()
			}
		}()
		return nil
	})
	return stop
}

// Who opens a TCP connection from the node to addr and returns the name of the node that answered, or why none did.
func (n *Node) Who(addr netip.Addr, timeout time.Duration) (name string, err error) {
	n.lab.in(n.ns, func() error {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", netip.AddrPortFrom(addr, who).String(), timeout); err != nil {
			return nil
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(timeout))
		b := make([]byte, 16)
		k, rerr := c.Read(b)
		name, err = string(b[:k]), rerr
		return nil
	})
	return name, err
}
