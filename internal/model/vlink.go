package model

import (
	"net"
	"net/netip"
	"slices"
	"time"
)

// VLinkKind is a kind of interface that the daemon makes.
type VLinkKind uint8

const (
	Macvlan VLinkKind = iota + 1 // use_vmac: a private macvlan with the virtual router's MAC address
	IPVLAN                       // use_ipvlan: an L2 ipvlan
)

func (k VLinkKind) String() string {
	switch k {
	case Macvlan:
		return "macvlan"
	case IPVLAN:
		return "ipvlan"
	}
	return "none"
}

// VLink is an interface that the daemon makes on top of another one and removes at its end. The zero VLink is none.
type VLink struct {
	Kind   VLinkKind
	Name   string
	Base   string // the interface it sits on, as configured
	Family Family // of the addresses that it is for
	IPv6   bool   // IPv6 works on it

	MAC     MAC  // macvlan
	OwnMAC  bool // MAC is not the virtual router's of RFC 9568 §7.3 but configured
	VRIDMAC bool // of OwnMAC the last byte is the VRID

	Mode uint16       // ipvlan: 0 bridge, 1 private, 2 vepa (IPVLAN_F_* of linux/if_link.h)
	Addr netip.Prefix // ipvlan: an address of its own; zero: none

	Group    uint32 // interface group, if HasGroup; otherwise that of the base
	HasGroup bool

	// Source: adverts leave through the link with the IPv6 link-local address of its base, or with Addr, which is set on it.
	Source bool
}

// MAC is an Ethernet address.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Exists reports whether there is a link at all.
func (v *VLink) Exists() bool { return v.Kind != 0 }

// VLinks returns all interfaces that the configuration needs made, in the order of making them; one that instances share is there once.
func (v *VRRP) VLinks() []VLink {
	var out []VLink
	add := func(l *VLink) {
		k := slices.IndexFunc(out, func(o VLink) bool { return o.Name == l.Name })
		switch {
		case !l.Exists():
		case k < 0:
			out = append(out, *l)
		default:
			out[k].IPv6 = out[k].IPv6 || l.IPv6
		}
	}
	for i := range v.Instances {
		in := &v.Instances[i]
		add(&in.VLink)
		for k := range in.AddrVLinks {
			add(&in.AddrVLinks[k])
		}
	}
	return out
}

// AdvertInterface is the interface that adverts go through, and on which the group is joined: the instance's VMAC or ipvlan, unless
// vmac_xmit_base.
func (i *Instance) AdvertInterface() string {
	if i.VLink.Exists() && !i.XmitBase {
		return i.VLink.Name
	}
	return i.Interface
}

// SourceInterface is the interface whose address adverts come from: an ipvlan has its own, a VMAC borrows that of its base.
func (i *Instance) SourceInterface() string {
	if i.VLink.Kind == IPVLAN {
		return i.VLink.Name
	}
	return i.Interface
}

// VLinkOf returns the link of the instance that is called name; nil: it is none of them.
func (i *Instance) VLinkOf(name string) *VLink {
	if i.VLink.Exists() && i.VLink.Name == name {
		return &i.VLink
	}
	for k := range i.AddrVLinks {
		if i.AddrVLinks[k].Name == name {
			return &i.AddrVLinks[k]
		}
	}
	return nil
}

// ExtraInterfaces are the interfaces for which garp_extra_if is meant: those with addresses of the instance but none of its adverts,
// in the order of the addresses.
func (i *Instance) ExtraInterfaces() (out []string) {
	for _, list := range [...][]Address{i.VIPs, i.ExcludedVIPs} {
		for k := range list {
			name := list[k].Interface
			own := name == i.Interface || name == i.VLink.Name
			if !own && (i.ExtraIf.All || i.VLinkOf(name) != nil) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// Filter says how packets are filtered for no_accept and for VMACs.
type Filter struct {
	Wanted    bool   // something needs it
	Implied   bool   // nobody asked for nftables by name
	Table     string // of families ip and ip6
	Priority  int32  // of the base chains
	IfIndex   bool   // nftables_ifindex: match interfaces by index, not by name
	Counters  bool
	LocalIGMP bool // IPv4 group reports have to be sent from the base of a VMAC; not with disable_local_igmp
}

// ExtraIf is garp_extra_if: gratuitous ARP and NA for addresses on interfaces through which no adverts go. A zero Interval: none.
type ExtraIf struct {
	Interval time.Duration
	All      bool // also on interfaces that are no VMACs
}
