package lvs

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// maxRange bounds the addresses that one entry of a group stands for: an IPv4 /16. What a range holds beyond is left out.
//
// Differs from keepalived: there is no bound, and an IPv6 prefix of 64 bits goes wrong.
const maxRange = 1 << 16

// Desired returns the wish for every kernel service of ours.
func (c *Cluster) Desired() Table {
	t := make(Table, len(c.owners))
	for k := range c.owners {
		if w := c.wish(k); !w.None() {
			t[k] = w
		}
	}
	return t
}

// Delta returns the wish for those kernel services that may have changed since the last call, nil if none did. A service that
// was ours and must go is in it as none. After [New] it holds everything.
func (c *Cluster) Delta() Table {
	if len(c.dirty) == 0 {
		return nil
	}
	t := make(Table, len(c.dirty))
	for k := range c.dirty {
		t[k] = c.wish(k)
	}
	clear(c.dirty)
	return t
}

func (c *Cluster) mark(s *service) {
	for _, k := range s.keys {
		c.dirty[k] = struct{}{}
	}
}

// wish is what the kernel should hold under k. Several virtual servers may stand behind one kernel service (written twice, or
// one mark in a shared group): the attributes are the first one's, and so is a destination that several of them have.
func (c *Cluster) wish(k ServiceKey) Service {
	owners := c.installed(c.owners[k])
	if len(owners) == 0 {
		return Service{}
	}
	w := Service{Attributes: attributes(owners[0].v, k.Family), Dests: map[DestKey]Dest{}}
	for _, s := range owners {
		s.dests(k, func(d DestKey, dest Dest) {
			if _, dup := w.Dests[d]; !dup {
				w.Dests[d] = dest
			}
		})
	}
	return w
}

// dests calls put with each destination of s under k. The sorry server comes first when it is in use and last when it waits
// with weight 0, since it may be one of the real servers as well.
func (s *service) dests(k ServiceKey, put func(DestKey, Dest)) {
	if s.sorryActive {
		put(s.dest(k, s.v.Sorry, 1))
	}
	for _, r := range s.real {
		switch {
		case !s.fits(k, r.r):
		case r.alive && !s.sorryActive:
			put(s.dest(k, r.r, r.share()))
		case r.r.Inhibit:
			put(s.dest(k, r.r, 0))
		}
	}
	if sorry := s.v.Sorry; sorry != nil && !s.sorryActive && sorry.Inhibit {
		put(s.dest(k, sorry, 0))
	}
}

// fits reports whether the kernel takes r behind k: only a tunnel may lead to the other address family.
func (s *service) fits(k ServiceKey, r *model.RealServer) bool {
	return r.Method.Forward == model.TUN || model.FamilyOf(r.Addr) == k.Family
}

func (s *service) dest(k ServiceKey, r *model.RealServer, weight int64) (DestKey, Dest) {
	port := r.Port
	if s.v.Group != "" && r.Method.Forward != model.NAT {
		port = k.Port // the packet keeps its port; 0 for a mark
	}
	return DestKey{r.Addr, port}, Dest{Method: Encapsulation(r.Method), Weight: uint32(weight), Upper: r.UThreshold, Lower: r.LThreshold}
}

// attributes translates a virtual server's options (ipvs.md §2).
func attributes(v *model.VirtualServer, f model.Family) Attributes {
	a := Attributes{Scheduler: v.Scheduler, Flags: v.Flags &^ model.FlagPersistent, Netmask: math.MaxUint32}
	if f == model.IPv6 {
		a.Netmask = 128
	}
	if v.Persistence <= 0 {
		return a
	}
	a.Flags |= model.FlagPersistent
	a.Timeout = uint32(v.Persistence / time.Second)
	a.Engine = v.Engine
	switch {
	case f == model.IPv6 && v.Prefix6 != 0:
		a.Netmask = uint32(v.Prefix6)
	case f == model.IPv4 && v.Mask4.Is4():
		m := v.Mask4.As4()
		a.Netmask = binary.BigEndian.Uint32(m[:])
	}
	return a
}

// Mark is a range of addresses, both ends included, with one port whose packets get a firewall mark.
type Mark struct {
	Family      model.Family
	Protocol    model.Protocol
	First, Last netip.Addr
	Port        uint16
	Mark        uint32
}

// Marks lists what nftables has to mark, in file order; each range once, though several virtual servers may share a group.
func (c *Cluster) Marks() (out []Mark) {
	seen := map[markKey]bool{}
	for _, s := range c.services {
		k := markKey{s.v.Group, s.v.Protocol}
		mark, ok := c.marks[k]
		if !ok || !c.marked(s) || seen[k] {
			continue
		}
		seen[k] = true
		for _, e := range s.entries {
			out = append(out, Mark{model.FamilyOf(e.First), s.v.Protocol, e.First, e.Last, e.Port, mark})
		}
	}
	return out
}

// markKey is what has a mark of its own: a group with a protocol.
type markKey struct {
	group    string
	protocol model.Protocol
}

// marked reports whether nftables marks the addresses of s, so that one kernel service by mark stands for all of them.
func (c *Cluster) marked(s *service) bool {
	return c.l.NFTables.Table != "" && s.v.Group != "" &&
		!slices.ContainsFunc(s.entries, func(e model.GroupEntry) bool { return e.IsFWMark })
}

// markKeys are the kernel services of s, one for each family of its addresses. A mark is given once and never to another.
func (c *Cluster) markKeys(s *service) (out []ServiceKey) {
	k := markKey{s.v.Group, s.v.Protocol}
	mark, ok := c.marks[k]
	if !ok {
		mark = max(c.lastMark+1, c.l.NFTables.Mark)
		c.marks[k], c.lastMark = mark, mark
	}
	for _, e := range s.entries {
		key := ServiceKey{Family: model.FamilyOf(e.First), FWMark: mark}
		if !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// keys lists the kernel services that s stands for, in the order of ipvs.md §5: addresses as written, then marks.
func (c *Cluster) keys(s *service) []ServiceKey {
	v, entries := s.v, s.entries
	switch {
	case c.marked(s):
		return c.markKeys(s)
	case v.Group != "":
		return groupKeys(v, entries)
	case v.IsFWMark:
		return []ServiceKey{{Family: v.Family, FWMark: v.FWMark}}
	}
	return []ServiceKey{{Family: model.FamilyOf(v.Addr), Protocol: v.Protocol, Addr: v.Addr, Port: v.Port}}
}

func groupKeys(v *model.VirtualServer, entries []model.GroupEntry) []ServiceKey {
	var out, marks []ServiceKey
	seen := map[ServiceKey]bool{}
	add := func(to *[]ServiceKey, k ServiceKey) {
		if !seen[k] {
			seen[k] = true
			*to = append(*to, k)
		}
	}
	for _, e := range entries {
		if e.IsFWMark {
			add(&marks, ServiceKey{Family: firstFamily(e.Family, v.Family, model.IPv4), FWMark: e.FWMark})
			continue
		}
		eachAddr(e.First, e.Last, func(a netip.Addr) {
			add(&out, ServiceKey{Family: model.FamilyOf(a), Protocol: v.Protocol, Addr: a, Port: e.Port})
		})
	}
	return append(out, marks...)
}

// eachAddr calls f with the addresses from first to last, at most maxRange of them.
//
// Differs from keepalived: there only the last 16 bits of an IPv6 address are compared and counted up.
func eachAddr(first, last netip.Addr, f func(netip.Addr)) {
	for n, a := 0, first; n < maxRange && a.IsValid() && a.Compare(last) <= 0; n, a = n+1, a.Next() {
		f(a)
	}
}

func firstFamily(fs ...model.Family) model.Family {
	for _, f := range fs {
		if f != 0 {
			return f
		}
	}
	return 0
}
