package lab

import (
	"fmt"
	"net/netip"
	"os/exec"
)

// Inner is a network namespace beside that of a node, which has the node's interface of one LAN as its eth0, addresses and all. On the
// timeline it has a name of its own, but what it sends is the node's, on that LAN.
type Inner struct {
	*Node
	of   *Node
	lan  int
	stop []func() // what keeps the namespace alive
}

// Inner makes a namespace of one or two letters.
func (n *Node) Inner(name string, lan int) *Inner {
	n.lab.t.Helper()
	i := &Inner{of: n, lan: lan, Node: &Node{Name: name, Dir: n.Dir, lab: n.lab, index: n.index, ns: n.lab.prefix + name}}
	i.Appear()
	i.Attach()
	return i
}

// Appear makes the namespace, which has nothing in it yet.
func (i *Inner) Appear() {
	i.lab.t.Helper()
	i.lab.mark(i.Name, "namespace made")
	i.lab.addNS(i.ns)
}

// Attach gives the namespace its interface.
func (i *Inner) Attach() {
	l, n := i.lab, i.of
	l.t.Helper()
	if exec.Command("ip", "-n", n.ns, "link", "show", fmt.Sprintf("eth%d", i.lan)).Run() == nil {
		l.ip(n.ns, fmt.Sprintf("link set eth%d netns %s name eth0\n", i.lan, i.ns))
	} else { // it went with the last one
		l.ip(l.switchNS(), fmt.Sprintf("link add %s index %d type veth peer name eth0 address %s netns %s\nlink set %[1]s master br%[5]d up\n",
			n.port(i.lan), l.ports[portKey{n.Name, i.lan}], n.MAC(i.lan), i.ns, i.lan))
	}
	l.ip(i.ns, fmt.Sprintf("link set lo up\nlink set eth0 up\naddr add %s/24 brd + dev eth0\naddr add %s/64 dev eth0\n", n.Addr(i.lan), n.Addr6(i.lan)))
	i.stop = []func(){l.watchAddrs(i.Node), i.serveName()}
}

// Unname removes the name of the namespace, which lives on.
func (i *Inner) Unname() {
	i.lab.t.Helper()
	i.lab.mark(i.Name, "namespace unnamed")
	if out, err := exec.Command("ip", "netns", "del", i.ns).CombinedOutput(); err != nil {
		i.lab.t.Fatalf("removing namespace %q: %v: %s", i.ns, err, out)
	}
}

// Release lets a namespace without a name go, as far as it is for the lab.
func (i *Inner) Release() {
	for _, f := range i.stop {
		f()
	}
	i.lab.mu.Lock()
	defer i.lab.mu.Unlock()
	i.lab.addrs[i.Name] = map[netip.Addr]bool{}
}

// Freed reports whether the namespace is gone for good: with it goes its end of the link to the switch, and the other with that.
func (i *Inner) Freed() bool {
	return exec.Command("ip", "-n", i.lab.switchNS(), "link", "show", i.of.port(i.lan)).Run() != nil
}
