package config

import (
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// vlink is what use_vmac or use_ipvlan says.
type vlink struct {
	kind  model.VLinkKind
	name  opt[string]
	mac   opt[[]byte] // 5 bytes: the VRID is the sixth
	group opt[string]
	mode  uint16
	addr  netip.Prefix
}

// ipvlanModes are the words of use_ipvlan with the IPVLAN_F_* of linux/if_link.h.
var ipvlanModes = map[string]uint16{"bridge": 0, "private": 1, "vepa": 2}

// readVMAC reads the words of use_vmac. netlink_notify_msg asks for what is always done: to listen to what the kernel says of the
// new interface.
func readVMAC(i *Instance, n *syntax.Node, r *source.Report) {
	v := vlink{kind: model.Macvlan, name: i.VMAC.V.name}
	for j := 0; j < len(n.Args); j++ {
		w := n.Args[j]
		switch {
		case w.Text == "netlink_notify_msg":
		case w.Text == "name" || w.Text == "group":
			if j++; j >= len(n.Args) {
				missing(n, r)
				return
			} else if w.Text == "name" {
				v.setName(i, "use_vmac", n.Args[j], r)
			} else {
				v.group = opt[string]{V: n.Args[j].Text, At: n.Args[j].At}
			}
		case strings.Count(w.Text, ":") >= 4:
			mac, err := hex.DecodeString(strings.ReplaceAll(w.Text, ":", ""))
			if hw, e := net.ParseMAC(w.Text); e == nil {
				mac, err = hw, nil
			}
			switch {
			case err != nil || len(mac) < 5 || len(mac) > 6:
				r.Errorf(w.At, "use_vmac: %q is not a MAC address - ignoring it", w.Text)
			case mac[0]&1 != 0:
				r.Errorf(w.At, "use_vmac: %q is a multicast MAC address - ignoring it", w.Text)
			case mac[0] == 0 && mac[1] == 0 && mac[2] == 0x5e && mac[3] == 0:
				r.Errorf(w.At, "use_vmac: %q is in the range of VRRP itself - ignoring it", w.Text)
			case v.mac.IsSet():
				r.Errorf(w.At, "use_vmac: a second MAC address - ignoring it")
			default:
				v.mac = opt[[]byte]{V: mac, At: w.At}
			}
		default:
			v.setName(i, "use_vmac", w, r)
		}
	}
	if i.IPVLAN.IsSet() {
		r.Errorf(n.At(), "use_vmac: the instance uses an ipvlan - ignoring it")
		return
	}
	i.VMAC = opt[vlink]{V: v, At: n.At()}
}

func (v *vlink) setName(i *Instance, keyword string, w source.Word, r *source.Report) {
	switch {
	case v.name.IsSet():
		r.Errorf(w.At, "%s: a second interface name %q - ignoring it", keyword, w.Text)
	case len(w.Text) > schema.MaxIfName || strings.ContainsAny(w.Text, "/ ") || slices.Contains([]string{"", ".", ".."}, w.Text):
		r.Errorf(w.At, "%s: %q is no interface name - ignoring it", keyword, w.Text)
	default:
		if old, dup := i.all.twice("virtual interface "+w.Text, w.At); dup {
			r.Errorf(w.At, "(%s) another instance uses the interface name %s - ignoring it", i.Name, w.Text).With("first used at", old)
			return
		}
		v.name = opt[string]{V: w.Text, At: w.At}
	}
}

// readIPVLAN reads the words of use_ipvlan.
func readIPVLAN(i *Instance, n *syntax.Node, r *source.Report) {
	switch {
	case i.IPVLAN.IsSet():
		r.Errorf(n.At(), "use_ipvlan is already specified - ignoring").With("the first one counts, at", i.IPVLAN.At)
		return
	case i.VMAC.IsSet():
		r.Errorf(n.At(), "use_ipvlan: the instance uses a VMAC - ignoring it")
		return
	}
	v := vlink{kind: model.IPVLAN}
	mode, addressed := false, false
	for j := 0; j < len(n.Args); j++ {
		w := n.Args[j]
		bits, isMode := ipvlanModes[w.Text]
		switch {
		case isMode && mode:
			r.Errorf(w.At, "use_ipvlan: a second mode - ignoring it")
		case isMode:
			mode, v.mode = true, bits
		case w.Text == "name" || w.Text == "group":
			if j++; j >= len(n.Args) {
				missing(n, r)
				return
			} else if w.Text == "name" {
				v.setName(i, "use_ipvlan", n.Args[j], r)
			} else {
				v.group = opt[string]{V: n.Args[j].Text, At: n.Args[j].At}
			}
		default:
			p, err := parsePrefix(w.Text)
			switch {
			case !p.IsValid() && (v.name.IsSet() || len(w.Text) > schema.MaxIfName):
				r.Errorf(w.At, "use_ipvlan: unknown word %q - ignoring it", w.Text)
			case !p.IsValid():
				v.setName(i, "use_ipvlan", w, r)
			case err != nil || addressed:
				r.Errorf(w.At, "use_ipvlan: unusable address %q - ignoring it", w.Text)
			default:
				addressed = true
				if i.fits(familyOf(p), w.At, w.Text, r) {
					v.addr = p
				}
			}
		}
	}
	i.IPVLAN = opt[vlink]{V: v, At: n.At()}
}

func familyOf(p netip.Prefix) model.Family { return model.FamilyOf(p.Addr()) }
