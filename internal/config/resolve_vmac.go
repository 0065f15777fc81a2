package config

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// defaultVMACPrefix begins the names of virtual interfaces.
const defaultVMACPrefix = "vrrp"

// defaultTable is the nftables table of keepalived.
const defaultTable = "keepalived"

// vlinks gives names to the interfaces that have to be made.
type vlinks struct {
	taken map[string]bool // names of the configuration
	made  map[vlinkKey]string
}

// vlinkKey is what a base takes only once, so that instances share the link.
type vlinkKey struct {
	base string
	mac  model.MAC
}

// vlinkNames collects the names that instances ask for, so that no other link gets one of them. It refuses those of interfaces that
// are something else.
func (res *resolver) vlinkNames() {
	for _, n := range res.nets {
		n.vlinks = vlinks{taken: map[string]bool{}, made: map[vlinkKey]string{}}
	}
	for _, i := range res.c.Instances {
		res.in(i.NetNamespace.V)
		for _, v := range []*opt[vlink]{&i.VMAC, &i.IPVLAN} {
			name := v.V.name
			switch {
			case !name.IsSet():
			case res.net.vlinks.taken[name.V]:
				res.r.Errorf(name.At, "(%s) the interface name %s is used by another instance; ignoring vmac if_name", i.Name, name.V)
				v.V.name = opt[string]{}
			case v.V.kind == model.Macvlan && res.foreign(name.V):
				res.r.Errorf(name.At, "(%s) interface %s already exists and is not a private macvlan; ignoring vmac if_name", i.Name, name.V)
				v.V.name = opt[string]{}
			default:
				res.net.vlinks.taken[name.V] = true
			}
		}
	}
}

// foreign reports whether there is an interface of that name which cannot be a VMAC.
func (res *resolver) foreign(name string) bool {
	return slices.ContainsFunc(res.net.Links(), func(l Link) bool { return l.Name == name && !l.Private })
}

// nameVLink gives a link its name: the configured one, that of the same VMAC of another instance, that which a link of its kind on the
// host has already, or else the first free one.
func (res *resolver) nameVLink(configured, prefix string, i *model.Instance, v *model.VLink) {
	vl, key := &res.net.vlinks, vlinkKey{v.Base, v.MAC}
	shared := vl.made[key]
	switch {
	case configured != "":
		v.Name = configured
	case v.Kind == model.Macvlan && shared != "":
		v.Name = shared
	default:
		v.Name = res.vlinkName(prefix, i, v)
	}
	vl.taken[v.Name] = true
	if v.Kind == model.Macvlan {
		vl.made[key] = v.Name
	}
}

func (res *resolver) vlinkName(prefix string, i *model.Instance, v *model.VLink) string {
	vl := &res.net.vlinks
	base := v.Base
	for _, m := range res.net.Links() { // the kernel puts a macvlan on a macvlan beside it
		if m.Name == base && m.Macvlan {
			base = m.Base
		}
	}
	for _, m := range res.net.Links() {
		if v.Kind == model.Macvlan && m.Private && m.Base == base && m.MAC == [6]byte(v.MAC) && !vl.taken[m.Name] {
			return m.Name
		}
	}
	for n := 0; ; n++ {
		mark := ""
		switch {
		case n == 1 && v.Family == model.IPv6:
			mark = "6"
		case n > 0 && v.Family == model.IPv6:
			if mark = strconv.Itoa(n - 1); n > 6 { // 6 is not used twice
				mark = strconv.Itoa(n)
			}
		case n > 0:
			mark = strconv.Itoa(n)
		}
		name := fmt.Sprintf("%s%s.%d", prefix, mark, i.VRID)
		if len(name) > schema.MaxIfName {
			name = name[len(name)-schema.MaxIfName:] // the end tells them apart
		}
		exists := slices.ContainsFunc(res.net.Links(), func(l Link) bool { return l.Name == name })
		if (!exists || v.Kind == model.IPVLAN && n == 0) && !vl.taken[name] {
			return name
		}
	}
}

// vlink settles the instance's own VMAC or ipvlan.
func (res *resolver) vlink(i *Instance, out *model.Instance, say sayer) {
	w := i.VMAC
	if !w.IsSet() {
		w = i.IPVLAN
	}
	if out.AddrVMAC = i.VMACAddr.V; !w.IsSet() {
		if i.VMACXmitBase.V {
			say(i.VMACXmitBase.At, "vmac_xmit_base is only valid with a vmac")
		}
		return
	}
	keyword := "use_" + map[model.VLinkKind]string{model.Macvlan: "vmac", model.IPVLAN: "ipvlan"}[w.V.kind]
	iface, here := res.net.found[i.Interface.V]
	switch {
	case out.Interface == "":
		say(w.At, "%s needs an interface - ignoring it", keyword)
		return
	case here && !iface.Ethernet:
		say(w.At, "%s needs an Ethernet interface - going to fault state", keyword)
		out.ConfigFault = "virtual MAC on an interface that is not Ethernet"
		return
	}
	v := model.VLink{Kind: w.V.kind, Base: out.Interface, Family: out.Family, Mode: w.V.mode, Addr: w.V.addr, IPv6: out.Family == model.IPv6}
	if w.V.kind == model.Macvlan {
		res.vmac(i, out, &v, say)
	} else if !v.Addr.IsValid() && out.Family == model.IPv4 {
		say(w.At, "IPv4 ipvlan requires a source ip address to be configured. setting instance to fault state")
		out.ConfigFault = "use_ipvlan without an address"
		return
	}
	if v.Addr.IsValid() && !out.SourceAddr.IsValid() {
		out.SourceAddr = v.Addr.Addr()
	}
	if g := w.V.group; g.IsSet() {
		if v.Group, v.HasGroup = res.host.LinkGroup(g.V); !v.HasGroup {
			say(g.At, "%s: unknown interface group %q - ignoring it", keyword, g.V)
		}
	}
	for _, a := range i.Excluded {
		v.IPv6 = v.IPv6 || model.FamilyOf(a.V.Prefix.Addr()) == model.IPv6
	}
	switch out.XmitBase = i.VMACXmitBase.V; {
	case v.Kind != model.Macvlan && out.XmitBase:
		say(i.VMACXmitBase.At, "vmac_xmit_base is only valid with a vmac")
		out.XmitBase = false
	case out.Strict && out.XmitBase:
		say(i.VMACXmitBase.At, "xmit_base is incompatible with strict mode - resetting")
		out.XmitBase = false
	case v.Kind == model.Macvlan && len(out.Peers) > 0 && !out.XmitBase:
		out.XmitBase = true
	}
	v.Source = v.Addr.IsValid() || v.Kind == model.Macvlan && out.Family == model.IPv6 && !out.XmitBase
	res.nameVLink(w.V.name.V, res.vmacPrefix(), out, &v)
	out.VLink = v
}

func (res *resolver) vmacPrefix() string {
	return orDefault(res.c.Global.VMACPrefix.V, defaultVMACPrefix)
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// vmac settles the MAC address of a VMAC: that of RFC 9568 §7.3, or a configured one.
func (res *resolver) vmac(i *Instance, out *model.Instance, v *model.VLink, say sayer) {
	v.MAC = model.MAC{0, 0, 0x5e, 0, 1, out.VRID}
	if v.Family == model.IPv6 {
		v.MAC[4] = 2
	}
	mac := i.VMAC.V.mac
	switch {
	case !mac.IsSet():
	case out.Strict:
		say(mac.At, "strict mode does not allow an explicit MAC address - ignoring it")
	default:
		copy(v.MAC[:], mac.V)
		if v.OwnMAC, v.VRIDMAC = true, len(mac.V) < len(v.MAC); v.VRIDMAC {
			v.MAC[5] = out.VRID
		}
	}
}

// placeOn returns the interface that an address of the instance goes to: dev itself, the instance's own link, or a VMAC made for it.
func (res *resolver) placeOn(i *Instance, out *model.Instance, a *opt[Address], dev string, say sayer) string {
	family := model.FamilyOf(a.V.Prefix.Addr())
	own := out.VLink.Kind == model.Macvlan && dev == out.Interface && family == out.VLink.Family // addresses stay beneath an ipvlan
	switch {
	case a.V.UseVMAC && (own || out.AddrVMAC):
		say(a.At, "use_vmac of address %s is what the instance does already - ignoring it", a.V.Prefix)
		a.V.UseVMAC = false
	}
	switch {
	case own:
		return out.VLink.Name
	case a.V.UseVMAC, out.AddrVMAC && (dev != out.Interface || out.VLink.Kind == model.Macvlan):
	default:
		return dev
	}
	if f, ok := res.net.found[dev]; ok && !f.Ethernet {
		say(a.At, "a VMAC needs an Ethernet interface - address %s stays on %s", a.V.Prefix, dev)
		return dev
	}
	for k := range out.AddrVLinks {
		if l := &out.AddrVLinks[k]; l.Base == dev && l.Family == family {
			return l.Name
		}
	}
	v := model.VLink{Kind: model.Macvlan, Base: dev, Family: family, IPv6: family == model.IPv6, Source: family == model.IPv6}
	res.vmac(i, out, &v, func(source.Pos, string, ...any) {})
	res.nameVLink("", orDefault(res.c.Global.VMACAddrPrefix.V, res.vmacPrefix()), out, &v)
	out.AddrVLinks = append(out.AddrVLinks, v)
	return v.Name
}

// vrf settles the VRF of an instance that has no interface.
func (res *resolver) vrf(i *Instance, out *model.Instance, say sayer) {
	if !i.VRF.IsSet() {
		return
	}
	f, here := res.iface(i.VRF.V, i.VRF.At)
	switch {
	case out.Interface != "":
		say(i.VRF.At, "vrf is only for an instance without interface - ignoring it")
	case here && f.Loopback:
		say(i.VRF.At, "vrf: %s is no VRF - ignoring it", f.Name)
	default:
		out.VRF = i.VRF.V
	}
}

// filter settles what is filtered with what.
func (res *resolver) filter(v *model.VRRP) {
	g := &res.c.Global
	if g.IPTables.IsSet() {
		res.r.Errorf(g.IPTables.At, "iptables not supported, using nftables instead. Please replace 'vrrp_iptables and 'vrrp_ipsets' with 'nftables' config option")
	}
	v.DisableLocalIGMP = g.DisableLocalIGMP.V
	v.VMACPrefix, v.VMACAddrPrefix, v.ExtraIf = g.VMACPrefix.V, g.VMACAddrPrefix.V, g.ExtraIf.V
	for k := range v.Instances {
		v.Filter.Wanted = v.Filter.Wanted || v.Instances[k].Filtered()
	}
	if !v.Filter.Wanted {
		return
	}
	v.Filter.Table = defaultTable
	if len(g.NFTables.V) > 0 {
		v.Filter.Table = g.NFTables.V[0]
	}
	v.Filter.Implied = !g.NFTables.IsSet() && !g.IPTables.IsSet()
	v.Filter.Priority, v.Filter.IfIndex, v.Filter.Counters = int32(g.NFTPriority.V), g.NFTIfIndex.V, g.NFTablesCounters.V
	v.Filter.LocalIGMP = !g.DisableLocalIGMP.V
}

// inheritDelays gives virtual interfaces the debounce delays of their bases, on which their state depends.
func inheritDelays(v *model.VRRP) {
	for _, d := range v.IfDebounce {
		for _, l := range v.In("").VLinks() {
			if l.Base == d.Interface {
				d.Interface = l.Name
				v.IfDebounce = append(v.IfDebounce, d)
				d.Interface = l.Base
			}
		}
	}
}
