package hostnet

import (
	"net/netip"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Filter is everything that has to be filtered. The zero Filter is nothing. Wanted parts stay once they were wanted, so that the
// tables keep their form while addresses come and go.
type Filter struct {
	VMACs []FilteredVMAC // without repetitions, in any order
	VIPs  []FilteredVIP
}

// FilteredVMAC is a VMAC whose own traffic has to leave otherwise: group reports come from its base, so that a switch does not learn
// the virtual MAC from a backup; it asks for no routers, and does not claim the link-local address of its base.
type FilteredVMAC struct {
	Name        string
	Index, Base int        // interface indexes
	IGMP        bool       // of IPv4
	IPv6        bool       // IPv6 works on it
	LinkLocal   netip.Addr // what its base has and it shows others; zero: none
}

// FilteredVIP is an address that must not be reached (no_accept). Index is that of its interface, which counts for link-local ones.
type FilteredVIP struct {
	Addr  netip.Addr
	Index int // 0 unless link-local
}

// DropVIPs returns what to filter of an instance's addresses; index gives the index of an interface by name.
func DropVIPs(addrs []model.Address, index func(string) int) (out []FilteredVIP) {
	for _, a := range addrs {
		v := FilteredVIP{Addr: a.Prefix.Addr()}
		if v.Addr.Is6() && v.Addr.IsLinkLocalUnicast() {
			if v.Index = index(a.Interface); v.Index == 0 {
				continue // there is no such interface, and so no such address
			}
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// Empty reports whether there is nothing to filter.
func (f *Filter) Empty() bool { return len(f.VMACs)+len(f.VIPs) == 0 }
