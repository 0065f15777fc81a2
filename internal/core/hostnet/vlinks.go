package hostnet

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// LinkOpKind is a kind of LinkOp.
type LinkOpKind uint8

const (
	LinkRemove LinkOpKind = iota + 1 // remove the link Index
	LinkAdd                          // make Link on Base
	LinkTake                         // Index is to be Link: give it Link's settings
	LinkRaise                        // set Index up
	LinkMaster                       // put Index into the VRF Master, 0: take it out
)

// LinkOp is one change of the kernel's links.
type LinkOp struct {
	Kind   LinkOpKind
	Index  int // of the link; not of LinkAdd
	Base   int // LinkAdd: index of the interface that it sits on
	Master int // LinkAdd, LinkMaster: index of the VRF; 0: none
	Group  uint32
	Link   model.VLink
}

// The values of a macvlan's and an ipvlan's mode that matter here (linux/if_link.h).
const (
	macvlanPrivate = 1
	ipvlanL2       = 0
)

// Beneath returns the interface on which the kernel puts a link that is made on base: a macvlan on a macvlan sits beside it.
func (h *Host) Beneath(base Link) Link {
	if base.Kind == "macvlan" {
		if under, ok := h.LinkAt(base.Parent); ok {
			return under
		}
	}
	return base
}

// ModeName is the word of iproute2 for the mode of a macvlan or the flags of an ipvlan.
func (l Link) ModeName() string {
	if l.Kind == "ipvlan" {
		return map[uint16]string{0: "bridge", 1: "private", 2: "vepa"}[l.IPVLANFlags]
	}
	return map[uint32]string{1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}[l.Mode]
}

// Fits reports whether link is what v describes, made on base.
func (h *Host) Fits(link Link, v *model.VLink, base Link) bool {
	if link.Kind != v.Kind.String() || link.Parent != h.Beneath(base).Index {
		return false
	}
	if v.Kind == model.Macvlan {
		return link.Mode == macvlanPrivate && link.MAC == [6]byte(v.MAC)
	}
	return link.Mode == ipvlanL2 // its flags are those of all ipvlans on the base, as the last of them was made
}

// PlanLinks returns what to do so that all of want are there and up as far as their bases are there, and those of mine that are not
// wanted are gone. mine are the names of links that the daemon has made or taken over; only those are ever removed. Removals come
// first, since a base does not take the same MAC address twice.
//
// A link is set up only if up, given its name and index, allows it: what it sends has to be filtered before.
//
// conflicts are the wanted links whose name a foreign interface has.
func PlanLinks(h *Host, want []model.VLink, mine map[string]bool, up func(name string, index int) bool) (ops []LinkOp, conflicts []string) {
	wanted := map[string]bool{}
	for i := range want {
		wanted[want[i].Name] = true
	}
	var names []string
	for name, ours := range mine {
		if ours {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if l, ok := h.Link(name); ok && !wanted[name] && (l.Kind == "macvlan" || l.Kind == "ipvlan") {
			ops = append(ops, LinkOp{Kind: LinkRemove, Index: l.Index, Link: model.VLink{Name: name}})
		}
	}
	var adds []LinkOp
	for i := range want {
		v := &want[i]
		base, ok := h.Link(v.Base)
		if !ok {
			continue
		}
		master := 0
		if vrf, ok := h.LinkAt(base.Master); ok && vrf.Kind == "vrf" {
			master = vrf.Index
		}
		group := base.Group
		if v.HasGroup {
			group = v.Group
		}
		add := LinkOp{Kind: LinkAdd, Base: base.Index, Master: master, Group: group, Link: *v}
		l, exists := h.Link(v.Name)
		fits := exists && h.Fits(l, v, base)
		switch {
		case !exists:
			adds = append(adds, add)
		case !fits && !mine[v.Name]:
			conflicts = append(conflicts, v.Name)
		case !fits:
			ops = append(ops, LinkOp{Kind: LinkRemove, Index: l.Index, Link: *v})
			adds = append(adds, add)
		case !mine[v.Name]:
			adds = append(adds, LinkOp{Kind: LinkTake, Index: l.Index, Master: master, Group: group, Link: *v})
		default:
			if l.Master != master {
				adds = append(adds, LinkOp{Kind: LinkMaster, Index: l.Index, Master: master, Link: *v})
			}
			if l.Flags&iffUp == 0 && up(v.Name, l.Index) {
				adds = append(adds, LinkOp{Kind: LinkRaise, Index: l.Index, Link: *v})
			}
		}
	}
	return append(ops, adds...), conflicts
}

// Setting is one kernel setting below /proc/sys.
type Setting struct {
	Path  string // below /proc/sys, parts separated by slashes
	Value string
}

func setting4(dev, name, value string) Setting {
	return Setting{"net/ipv4/conf/" + dev + "/" + name, value}
}

// Settings are those of the link itself (vrrp.md §11): it answers ARP for its own addresses alone, and takes packets that come from
// addresses which the host has on other interfaces too.
func Settings(v *model.VLink) (out []Setting) {
	if v.Kind == model.Macvlan {
		out = append(out, setting4(v.Name, "arp_ignore", "1"))
	}
	if v.Kind == model.Macvlan && v.Family == model.IPv4 {
		out = append(out, setting4(v.Name, "accept_local", "1"), setting4(v.Name, "rp_filter", "0"), setting4(v.Name, "promote_secondaries", "1"))
	}
	if !v.IPv6 {
		out = append(out, Setting{"net/ipv6/conf/" + v.Name + "/disable_ipv6", "1"})
	}
	return out
}

// BaseSettings are those of the interfaces that VMACs sit on: a base must not answer ARP for the addresses of its VMACs.
func BaseSettings(h *Host, want []model.VLink) (out []Setting) {
	done := map[string]bool{}
	for i := range want {
		v := &want[i]
		l, ok := h.Link(v.Base)
		if !ok || v.Kind != model.Macvlan || v.Family != model.IPv4 {
			continue
		}
		if name := h.Beneath(l).Name; !done[name] {
			done[name] = true
			out = append(out, setting4(name, "arp_ignore", "1"), setting4(name, "arp_filter", "1"))
		}
	}
	return out
}

// LinkLocal returns the address that has to be set on a virtual interface for its adverts to come from: its own, or the IPv6
// link-local address that its base sends from. It makes no packets of its own accord: nobody prefers it as a source.
func LinkLocal(v *model.VLink, source netip.Addr) (model.Address, bool) {
	switch {
	case !v.Source:
		return model.Address{}, false
	case v.Addr.IsValid():
		return model.Address{Prefix: v.Addr, Interface: v.Name, NoDAD: v.Family == model.IPv6, NoTrack: true,
			PreferredLft: model.LifetimeForever}, true
	case !source.IsLinkLocalUnicast():
		return model.Address{}, false
	}
	return model.Address{Prefix: netip.PrefixFrom(source, 64), Interface: v.Name, NoDAD: true, NoTrack: true}, true
}

func (o LinkOp) String() string {
	return fmt.Sprintf("%s %s", [...]string{"", "remove", "make", "take over", "set up", "set the VRF of"}[o.Kind], o.Link.Name)
}
