package hostnet

import (
	"net/netip"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Key says which of our addresses is which: two with the same key are the same address, whoever wants it.
type Key struct {
	Interface string
	Prefix    netip.Prefix // address and prefix length; of a point-to-point address the length is the peer's, as in the kernel
}

// KeyOf returns the key of a configured address.
func KeyOf(a model.Address) Key {
	if a.Peer.IsValid() {
		return Key{a.Interface, netip.PrefixFrom(a.Prefix.Addr(), a.Peer.Bits())}
	}
	return Key{a.Interface, a.Prefix}
}

// Key returns the key that a configured address must have to be the address a; name is that of the link a.IfIndex.
func (a Addr) Key(name string) Key { return Key{name, a.Prefix} }

// Op is one change of the kernel's addresses.
type Op struct {
	Remove  bool // otherwise: add
	Replace bool // of an add: if it is there, give it the lifetime
	Addr    model.Address
}

// Plan returns what to do so that the kernel has want and nothing else of have, in the order in which it has to be done.
//
// have is what we set earlier; it may be gone since, so all of want is added and "exists" is a success. Removals come before
// additions, except that of an address which only moves to another interface or prefix length: it is never missing in between.
// An address whose label, scope or peer changes is removed and added, other options are not compared (vrrp.md: reload differences).
// Of several wishes for one key the first counts. An address with a lease, or that had one, has its lifetime set each time.
func Plan(have, want []model.Address) []Op {
	type place struct {
		Interface string
		Addr      netip.Addr
	}
	wanted := make(map[Key]model.Address, len(want))
	wantedIP := make(map[netip.Addr]bool, len(want))
	wantedAt := make(map[place]bool, len(want))
	for _, a := range want {
		k := KeyOf(a)
		if _, dup := wanted[k]; !dup {
			wanted[k] = a
		}
		wantedIP[a.Prefix.Addr()] = true
		wantedAt[place{a.Interface, a.Prefix.Addr()}] = true
	}

	leased := map[Key]bool{}
	var first, last []Op
	for _, a := range have {
		if a.Lease > 0 {
			leased[KeyOf(a)] = true
		}
		ip := a.Prefix.Addr()
		w, stays := wanted[KeyOf(a)]
		switch {
		case stays && same(a, w):
		case stays, ip.Is6() && wantedAt[place{a.Interface, ip}]: // the kernel holds the new one to be the old one
			first = append(first, Op{Remove: true, Addr: a})
		case wantedIP[ip]:
			last = append(last, Op{Remove: true, Addr: a})
		default:
			first = append(first, Op{Remove: true, Addr: a})
		}
	}
	out := slices.Grow(first, len(want)+len(last))
	repeated := map[Key]bool{}
	for _, a := range want {
		k := KeyOf(a)
		if w, ok := wanted[k]; ok {
			out = append(out, Op{Addr: w, Replace: w.Lease > 0 || leased[k]})
			delete(wanted, k)
		}
	}
	out = append(out, last...)
	// Unless promote_secondaries is set, the kernel removes with the first address of a subnet all others in it.
	lost := map[Subnet]bool{}
	for _, op := range last {
		lost[SubnetOf(op.Addr)] = true
	}
	delete(lost, Subnet{})
	for _, a := range want {
		if lost[SubnetOf(a)] && !repeated[KeyOf(a)] {
			repeated[KeyOf(a)] = true
			out = append(out, Op{Addr: a})
		}
	}
	return out
}

// Subnet is what the IPv4 addresses of an interface share that come and go with the first of them.
type Subnet struct {
	Interface string
	Prefix    netip.Prefix
}

// SubnetOf returns the subnet of an IPv4 address, the zero Subnet for others.
func SubnetOf(a model.Address) Subnet {
	if k := KeyOf(a); k.Prefix.Addr().Is4() {
		return Subnet{k.Interface, k.Prefix.Masked()}
	}
	return Subnet{}
}

func same(a, b model.Address) bool {
	return a.Label == b.Label && a.Scope == b.Scope && a.Peer == b.Peer
}
