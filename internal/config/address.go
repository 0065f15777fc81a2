package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Address is one entry of an address list.
type Address struct {
	model.Address
	Dev        opt[string]
	TrackGroup opt[string]
}

// addressOptions are the words of an entry besides the address.
var addressOptions = []string{"<ADDRESS>", "dev", "scope", "brd", "broadcast", "label", "peer", "home", "-nodad", "mngtmpaddr",
	"noprefixroute", "autojoin", "no_track", "preferred_lft", "<other>"}

const addressUsage = "IPADDR[/PREFIX] [dev IF] [scope SCOPE] [brd ADDR|+|-] [label TEXT] [peer ADDR] [OPTION…]"

// scopes are the names of rtnetlink's address scopes (rtnetlink.h).
var scopes = map[string]uint8{"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}

// readAddress reads an entry. An address that is no address, an option without its value, or a contradiction drops the entry; other
// mistakes drop the option (keywords.tsv, virtual_ipaddress).
func readAddress(n *syntax.Node, static bool, r *source.Report) (a Address, ok bool) {
	first := n.Key
	prefix, err := parsePrefix(first.Text)
	if err != nil && !prefix.IsValid() {
		r.Errorf(first.At, "%v - ignoring the address", err)
		return a, false
	}
	if err != nil {
		r.Errorf(first.At, "%v - using /%d", err, prefix.Bits())
	}
	a.Prefix = prefix
	v6 := prefix.Addr().Is6()
	a.NoDAD = v6
	var lifetime opt[uint32]
	for i := 0; i < len(n.Args); i++ {
		w := n.Args[i]
		value := ""
		switch w.Text {
		case "dev", "scope", "brd", "broadcast", "label", "peer", "preferred_lft", "track_group":
			if w.Text == "track_group" && !static {
				break
			}
			if i++; i >= len(n.Args) {
				r.Errorf(w.At, "%s has no value - ignoring address %s", w.Text, first.Text)
				return a, false
			}
			value = n.Args[i].Text
		}
		drop := func(format string, args ...any) (Address, bool) {
			r.Errorf(w.At, "%s - ignoring address %s", fmt.Sprintf(format, args...), first.Text)
			return a, false
		}
		switch {
		case w.Text == "dev":
			if a.Dev.IsSet() {
				return drop("a second dev")
			}
			a.Dev = opt[string]{V: value, At: n.Args[i].At}
		case w.Text == "scope":
			s, known := scopes[value]
			if !known {
				v, err := cNumber(value, 8)
				known, s = err == nil && value != "", uint8(v)
			}
			switch {
			case !known:
				r.Errorf(w.At, "unknown scope %q - ignoring it", value)
			case v6:
				r.Errorf(w.At, "scope is for IPv4 only - ignoring it")
			default:
				a.Scope = s
			}
		case w.Text == "brd" || w.Text == "broadcast":
			switch {
			case v6:
				return drop("%s is for IPv4 only", w.Text)
			case value == "+" || value == "-":
				if prefix.Bits() > 30 {
					r.Errorf(w.At, "no room for a broadcast address in /%d - ignoring %s", prefix.Bits(), w.Text)
					continue
				}
				a.Broadcast = edgeOf(prefix, value == "+")
			default:
				b, err := netip.ParseAddr(value)
				if err != nil || !b.Is4() {
					return drop("%q is not a broadcast address", value)
				}
				a.Broadcast = b
			}
			if a.Broadcast.IsUnspecified() {
				a.Broadcast = netip.Addr{} // none for the kernel
			}
		case w.Text == "label":
			if len(value) > schema.MaxIfName {
				return drop("label %q is longer than %d bytes", value, schema.MaxIfName)
			}
			if v6 {
				r.Errorf(w.At, "label is for IPv4 only - ignoring it")
				continue
			}
			a.Label = value
		case w.Text == "peer":
			p, err := netip.ParseAddr(value)
			switch {
			case strings.Contains(value, "/"):
				r.Errorf(n.Args[i].At, "a peer is one address, without a prefix length - ignoring peer")
				continue
			case err != nil || p.Zone() != "" || p.Is6() != v6:
				r.Errorf(n.Args[i].At, "%q is not an address of the same family - ignoring peer", value)
				continue
			case a.Peer.IsValid():
				r.Errorf(w.At, "a second peer - ignoring it")
				continue
			case prefix.Bits() < a.Prefix.Addr().BitLen():
				r.Errorf(w.At, "an address with a peer has no prefix length - ignoring that of %s", first.Text)
			}
			a.Peer = netip.PrefixFrom(p, p.BitLen())
		case w.Text == "preferred_lft":
			if value == "forever" {
				lifetime = opt[uint32]{V: model.LifetimeForever, At: w.At}
				continue
			}
			v, err := schema.ParseInt(value, 0, math.MaxUint32)
			if err != nil {
				r.Errorf(w.At, "preferred_lft: %v - ignoring it", err)
				continue
			}
			lifetime = opt[uint32]{V: uint32(v), At: w.At}
		case w.Text == "home":
			a.Home = true
		case w.Text == "-nodad":
			a.NoDAD = false
		case w.Text == "mngtmpaddr":
			a.MngTmpAddr = true
		case w.Text == "noprefixroute":
			a.NoPrefixRt = true
		case w.Text == "autojoin":
			a.AutoJoin = true
		case w.Text == "no_track":
			a.NoTrack = true
		case w.Text == "use_vmac" && !static:
			a.UseVMAC = true
		case w.Text == "track_group" && static:
			if a.TrackGroup.IsSet() {
				r.Errorf(w.At, "a second track_group - ignoring the rest of the entry")
				i = len(n.Args)
				continue
			}
			a.TrackGroup = opt[string]{V: value, At: n.Args[i].At}
		default:
			d := r.Errorf(w.At, "unknown option %q of address %s - ignoring it", w.Text, first.Text)
			d.Hint = "expected " + addressUsage
			if m, err := netip.ParseAddr(w.Text); err == nil && m.Is4() {
				mask := net.IPMask(m.AsSlice())
				if ones, bits := mask.Size(); bits > 0 && ones > 0 {
					d.Hint = fmt.Sprintf("write %s/%d", prefix.Addr(), ones)
				}
			}
		}
	}
	if a.Peer.IsValid() && a.Broadcast.IsValid() {
		r.Errorf(first.At, "an address with a peer has no broadcast address - ignoring it")
		a.Broadcast = netip.Addr{}
	}
	a.PreferredLft = model.LifetimeForever
	if v6 {
		if lifetime.IsSet() {
			a.PreferredLft = lifetime.V
		} else if prefix.Bits() == 128 {
			a.PreferredLft = 0
		}
	}
	return a, true
}

// parsePrefix reads ADDR[/LEN]. A bad length gives the full length together with the error, an empty one is 0.
func parsePrefix(s string) (netip.Prefix, error) {
	text, bits, has := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address", s)
	}
	if !has {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	n, err := schema.ParseInt(bits, 0, addr.BitLen())
	if err != nil {
		return netip.PrefixFrom(addr, addr.BitLen()), fmt.Errorf("prefix length of %s: %w", s, err)
	}
	return netip.PrefixFrom(addr, n), nil
}

// parseNumbers reads an IPv4 address as inet_aton does: up to four numbers in C notation, of which the last fills what is left.
func parseNumbers(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var v uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 32 - 8*i
		}
		n, err := strconv.ParseUint(part, 0, bits)
		if err != nil || strings.Contains(part, "_") {
			return netip.Addr{}, false
		}
		v = v<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
}

// edgeOf is the highest or lowest address of an IPv4 prefix.
func edgeOf(p netip.Prefix, high bool) netip.Addr {
	b := p.Masked().Addr().As4()
	if high {
		for i := p.Bits(); i < 32; i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	return netip.AddrFrom4(b)
}
