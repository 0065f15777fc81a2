package config

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// readVMAC checks the words of use_vmac.
func readVMAC(i *Instance, n *syntax.Node, r *source.Report) {
	i.VMAC = opt[bool]{V: true, At: n.At()}
	named := false
	for j := 0; j < len(n.Args); j++ {
		w := n.Args[j]
		switch {
		case w.Text == "netlink_notify_msg":
		case w.Text == "name" || w.Text == "group":
			if j++; j >= len(n.Args) {
				r.Errorf(w.At, "use_vmac: %s has no value - ignoring it", w.Text)
			} else if w.Text == "name" {
				named = vmacName(n.Args[j], named, r)
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
			case i.VMACMAC.IsSet():
				r.Errorf(w.At, "use_vmac: a second MAC address - ignoring it")
			default:
				i.VMACMAC = opt[string]{V: w.Text, At: w.At}
			}
		default:
			named = vmacName(w, named, r)
		}
	}
}

func vmacName(w source.Word, already bool, r *source.Report) bool {
	switch {
	case already:
		r.Errorf(w.At, "use_vmac: a second interface name %q - ignoring it", w.Text)
	case len(w.Text) > schema.MaxIfName || strings.ContainsAny(w.Text, "/ ") || w.Text == "":
		r.Errorf(w.At, "use_vmac: %q is no interface name - ignoring it", w.Text)
		return false
	}
	return true
}

// readIPVLAN checks the words of use_ipvlan.
func readIPVLAN(i *Instance, n *syntax.Node, r *source.Report) {
	if i.IPVLAN.IsSet() {
		r.Errorf(n.At(), "use_ipvlan is already specified - ignoring")
		return
	}
	i.IPVLAN = opt[bool]{V: true, At: n.At()}
	mode, named, addressed := false, false, false
	for j := 0; j < len(n.Args); j++ {
		w := n.Args[j]
		switch {
		case w.Text == "bridge" || w.Text == "private" || w.Text == "vepa":
			if mode {
				r.Errorf(w.At, "use_ipvlan: a second mode - ignoring it")
			}
			mode = true
		case w.Text == "name" || w.Text == "group":
			if j++; j >= len(n.Args) {
				r.Errorf(w.At, "use_ipvlan: %s has no value - ignoring it", w.Text)
			}
			named = named || w.Text == "name"
		default:
			p, err := parsePrefix(w.Text)
			switch {
			case !p.IsValid() && (named || len(w.Text) > schema.MaxIfName):
				r.Errorf(w.At, "use_ipvlan: unknown word %q - ignoring it", w.Text)
			case !p.IsValid():
				named = true
			case err != nil || addressed:
				r.Errorf(w.At, "use_ipvlan: unusable address %q - ignoring it", w.Text)
			default:
				addressed = true
				if i.fits(familyOf(p), w.At, w.Text, r) && !i.Source.IsSet() {
					i.Source = opt[netip.Addr]{V: p.Addr(), At: w.At}
				}
			}
		}
	}
}

func familyOf(p netip.Prefix) model.Family { return model.FamilyOf(p.Addr()) }
