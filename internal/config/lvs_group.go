package config

import (
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// ServerGroup is a virtual_server_group block.
type ServerGroup struct {
	At, End source.Pos
	Name    string
	Entries []opt[model.GroupEntry]
}

// maxRange bounds the services that one entry stands for. Differs from keepalived: it has no bound.
const maxRange = 1 << 16

// groupEntry reads one line of a group: an address, a range of them, or a mark.
func groupEntry(n *syntax.Node, r *source.Report) (e model.GroupEntry, ok bool) {
	if n.Key.Text == "fwmark" {
		return groupMark(n, r)
	}
	var err error
	if e.First, e.Last, err = addrRange(n.Key.Text); err != nil {
		r.Errorf(n.At(), "virtual_server_group: %v - ignoring", err)
		return e, false
	}
	if len(n.Args) == 0 || n.Args[0].Text != "" && strings.Trim(n.Args[0].Text, "0") == "" {
		return e, true
	}
	port, err := schema.ParseInt(n.Args[0].Text, 1, math.MaxUint16)
	if err != nil {
		r.Errorf(n.Args[0].At, "virtual_server_group: port: %v - ignoring", err)
		return e, false
	}
	e.Port = uint16(port)
	return e, true
}

func groupMark(n *syntax.Node, r *source.Report) (e model.GroupEntry, ok bool) {
	if len(n.Args) == 0 {
		missing(n, r)
		return e, false
	}
	mark, err := schema.ParseInt(n.Args[0].Text, 0, math.MaxUint32)
	if err != nil {
		r.Errorf(n.Args[0].At, "fwmark: %v - ignoring", err)
		return e, false
	}
	e.FWMark, e.IsFWMark = uint32(mark), true
	if len(n.Args) > 1 {
		switch n.Args[1].Text {
		case "inet":
			e.Family = model.IPv4
		case "inet6":
			e.Family = model.IPv6
		default:
			r.Errorf(n.Args[1].At, "fwmark: unknown family %q - ignoring", n.Args[1].Text)
			return e, false
		}
	}
	return e, true
}

// addrRange reads A, A-LAST with the last octet or last hexadecimal group, A-B, or A/BITS with all its addresses.
//
// Differs from keepalived: it counts IPv6 ranges in the last 16 bits only, so that shorter prefixes come out wrong.
func addrRange(s string) (first, last netip.Addr, err error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return first, last, fmt.Errorf("%q is not an address with a prefix length", s)
		}
		if p.Masked() != p {
			return first, last, fmt.Errorf("%q has host bits set", s)
		}
		return bounded(p.Addr(), lastOf(p), s)
	}
	a, end, isRange := strings.Cut(s, "-")
	if first, err = netip.ParseAddr(a); err != nil || first.Zone() != "" {
		return first, last, fmt.Errorf("%q is not an address", a)
	}
	if !isRange {
		return first, first, nil
	}
	if strings.ContainsAny(end, ".:") {
		if last, err = netip.ParseAddr(end); err != nil || last.Zone() != "" || last.Is4() != first.Is4() {
			return first, last, fmt.Errorf("%q is not the end of a range from %s", end, first)
		}
		return bounded(first, last, s)
	}
	if last, err = withLast(first, end); err != nil {
		return first, last, err
	}
	return bounded(first, last, s)
}

// withLast replaces the last octet, or the last group of an IPv6 address.
func withLast(a netip.Addr, end string) (netip.Addr, error) {
	if a.Is4() {
		n, err := schema.ParseInt(end, 0, 255)
		b := a.As4()
		b[3] = byte(n)
		if err != nil || end == "" {
			return a, fmt.Errorf("%q is not a last octet", end)
		}
		return netip.AddrFrom4(b), nil
	}
	n := 0
	if _, err := fmt.Sscanf(end, "%x", &n); err != nil || len(end) > 4 || strings.Trim(end, "0123456789abcdefABCDEF") != "" {
		return a, fmt.Errorf("%q is not a last group of an address", end)
	}
	b := a.As16()
	b[14], b[15] = byte(n>>8), byte(n)
	return netip.AddrFrom16(b), nil
}

func bounded(first, last netip.Addr, s string) (netip.Addr, netip.Addr, error) {
	if last.Less(first) {
		return first, last, fmt.Errorf("the range %q ends before it begins", s)
	}
	f, l := first.As16(), last.As16()
	size := 0
	for i := range f {
		if size = size<<8 + int(l[i]) - int(f[i]); size >= maxRange {
			return first, last, fmt.Errorf("the range %q has more than %d addresses", s, maxRange)
		}
	}
	return first, last, nil
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	from := p.Bits()
	if p.Addr().Is4() {
		from += 96
	}
	for i := from; i < 128; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	last := netip.AddrFrom16(b)
	if p.Addr().Is4() {
		return last.Unmap()
	}
	return last
}
