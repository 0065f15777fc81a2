// Package hostnet knows what the host's links and addresses are and plans what has to change.
package hostnet

import (
	"net/netip"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Link is one network interface of the kernel.
type Link struct {
	Index int
	Name  string
	Flags uint32 // IFF_* of linux/if.h
	MTU   int
	MAC   [6]byte // zero if the link has none, or one of another length
	Type  uint16  // ARPHRD_* of linux/if_arp.h
	Kind  string  // rtnetlink kind ("veth", "macvlan", "vrf"); empty for a plain device
	Group uint32  // interface group

	Master      int    // index of the bridge, VRF or bond that it belongs to; 0: none
	Parent      int    // index of the interface that it sits on; 0: none, or one of another network namespace
	Mode        uint32 // MACVLAN_MODE_*, IPVLAN_MODE_* of linux/if_link.h
	IPVLANFlags uint16 // IPVLAN_F_*
}

// The flags of a link that matter here (linux/if.h).
const (
	iffUp        = 0x1
	iffRunning   = 0x40
	iffNoARP     = 0x80
	iffMulticast = 0x1000
)

// Up reports whether the link can carry packets: administratively up and with carrier.
func (l Link) Up() bool { return l.Flags&iffUp != 0 && l.Flags&iffRunning != 0 }

// NoARP reports whether the link resolves no addresses, so that announcing one is pointless.
func (l Link) NoARP() bool { return l.Flags&iffNoARP != 0 }

// Multicast reports whether the link can multicast.
func (l Link) Multicast() bool { return l.Flags&iffMulticast != 0 }

// Addr is one address of the kernel.
type Addr struct {
	IfIndex int
	Prefix  netip.Prefix // local address and prefix length, host bits kept
	Peer    netip.Addr   // other end of a point-to-point address; zero: none
	Scope   uint8        // rtnetlink scope number
	Flags   uint32       // IFA_F_* of linux/if_addr.h
	Label   string       // IPv4
	Proto   uint8        // who set it, IFA_PROTO; 0 on kernels before 5.18
}

// The flags of an address that matter here (linux/if_addr.h).
const (
	ifaDADFailed = 0x08
	ifaTentative = 0x40
)

// Family returns the family of the address.
func (a Addr) Family() model.Family { return model.FamilyOf(a.Prefix.Addr()) }

// Usable reports whether packets can be sent from the address: duplicate address detection is over and found none.
func (a Addr) Usable() bool { return a.Flags&(ifaDADFailed|ifaTentative) == 0 }

// id is the identity of an address on its link for the kernel: IPv6 has an address once, IPv4 once per prefix length and peer.
type id struct {
	prefix netip.Prefix
	peer   netip.Addr
}

func (a Addr) id() id {
	if a.Family() == model.IPv6 {
		return id{prefix: netip.PrefixFrom(a.Prefix.Addr(), 128)}
	}
	return id{a.Prefix, a.Peer}
}

// Kind tells what an Event says.
type Kind uint8

const (
	LinkNew Kind = iota + 1 // Link is there, or changed
	LinkDel                 // Link is gone, and its addresses with it
	AddrNew                 // Addr is there, or changed
	AddrDel                 // Addr is gone
	Synced                  // what came before is the state of the kernel at one moment
)

// Event is one fact about the host.
type Event struct {
	Kind Kind
	Link Link   // of LinkNew and LinkDel
	Addr Addr   // of AddrNew and AddrDel
	By   string // who removed the address, if it can be told
	Ours bool   // we did
}

// Host is what the kernel is known to have. The zero Host is empty.
type Host struct {
	links map[int]*link
	names map[string]int
}

type link struct {
	Link
	known bool // false: an address was heard of before its link
	addrs []Addr
}

// Apply takes one fact over and reports whether it changed anything.
func (h *Host) Apply(e Event) bool {
	switch e.Kind {
	case LinkNew:
		l := h.at(e.Link.Index)
		if l.known && l.Link == e.Link {
			return false
		}
		h.forget(l)
		l.Link, l.known = e.Link, true
		h.names[l.Name] = l.Index
		return true
	case LinkDel:
		l := h.links[e.Link.Index]
		if l == nil {
			return false
		}
		h.forget(l)
		delete(h.links, l.Index)
		return l.known
	case AddrNew:
		l := h.at(e.Addr.IfIndex)
		if i := l.find(e.Addr); i >= 0 {
			changed := l.addrs[i] != e.Addr
			l.addrs[i] = e.Addr
			return changed
		}
		l.addrs = append(l.addrs, e.Addr)
		return true
	case AddrDel:
		l := h.links[e.Addr.IfIndex]
		if l == nil {
			return false
		}
		i := l.find(e.Addr)
		if i < 0 {
			return false
		}
		l.addrs = slices.Delete(l.addrs, i, i+1)
		return true
	}
	return false
}

func (h *Host) at(index int) *link {
	if h.links == nil {
		h.links, h.names = map[int]*link{}, map[string]int{}
	}
	l := h.links[index]
	if l == nil {
		l = &link{Link: Link{Index: index}}
		h.links[index] = l
	}
	return l
}

// forget drops the link's name unless another link has it by now.
func (h *Host) forget(l *link) {
	if l.known && h.names[l.Name] == l.Index {
		delete(h.names, l.Name)
	}
}

func (l *link) find(a Addr) int {
	return slices.IndexFunc(l.addrs, func(b Addr) bool { return b.id() == a.id() })
}

// Link returns the link called name.
func (h *Host) Link(name string) (Link, bool) {
	i, ok := h.names[name]
	if !ok {
		return Link{}, false
	}
	return h.links[i].Link, true
}

// LinkAt returns the link with this index.
func (h *Host) LinkAt(index int) (Link, bool) {
	l := h.links[index]
	if l == nil || !l.known {
		return Link{}, false
	}
	return l.Link, true
}

// Links returns all links by index.
func (h *Host) Links() []Link {
	var out []Link
	for _, i := range h.indexes() {
		if l := h.links[i]; l.known {
			out = append(out, l.Link)
		}
	}
	return out
}

// Addrs returns the addresses of a link in the order in which they were learnt, IPv4's first address of a dump being the primary
// one. It is the Host's own slice, valid until the next Apply.
func (h *Host) Addrs(index int) []Addr {
	if l := h.links[index]; l != nil {
		return l.addrs
	}
	return nil
}

// Source returns the address that adverts of a family leave the link with, and whether there is one: IPv4 the first address, IPv6
// the first link-local one (vrrp.md: common outer headers), never one that ours names, since virtual addresses come and go.
func (h *Host) Source(index int, f model.Family, ours func(netip.Addr) bool) (netip.Addr, bool) {
	for _, a := range h.Addrs(index) {
		ip := a.Prefix.Addr()
		if a.Family() != f || !a.Usable() || f == model.IPv6 && !ip.IsLinkLocalUnicast() || ours(ip) {
			continue
		}
		return ip, true
	}
	return netip.Addr{}, false
}

// Has reports whether the link has the address ip, usable or not.
func (h *Host) Has(index int, ip netip.Addr) bool {
	return slices.ContainsFunc(h.Addrs(index), func(a Addr) bool { return a.Prefix.Addr() == ip })
}

// Diff returns the events that turn h into now, by link index: what is gone first, then links before their addresses.
func (h *Host) Diff(now *Host) []Event {
	var out []Event
	for _, i := range h.indexes() {
		was := h.links[i]
		is := now.links[i]
		if is == nil {
			is = &link{}
		}
		for _, a := range was.addrs {
			if is.find(a) < 0 {
				out = append(out, Event{Kind: AddrDel, Addr: a})
			}
		}
		if was.known && !is.known {
			out = append(out, Event{Kind: LinkDel, Link: was.Link})
		}
	}
	for _, i := range now.indexes() {
		is := now.links[i]
		was := h.links[i]
		if was == nil {
			was = &link{}
		}
		if is.known && (!was.known || was.Link != is.Link) {
			out = append(out, Event{Kind: LinkNew, Link: is.Link})
		}
		for _, a := range is.addrs {
			if j := was.find(a); j < 0 || was.addrs[j] != a {
				out = append(out, Event{Kind: AddrNew, Addr: a})
			}
		}
	}
	return out
}

func (h *Host) indexes() []int {
	out := make([]int, 0, len(h.links))
	for i := range h.links {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}
