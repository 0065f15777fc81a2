package ipvstest

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Save returns t in the form of ipvsadm -Sn (1.31), sorted. Like that it leaves thresholds out, and prints marks
// from 2^31 as negative.
func Save(t lvs.Table) []string {
	var out []string
	for k, s := range t {
		name := serviceName(k)
		out = append(out, "-A "+name+saveAttributes(k, s.Attributes))
		for d, dest := range s.Dests {
			out = append(out, fmt.Sprintf("-a %s -r %s%s", name, addrPort(d.Addr, d.Port), saveDest(dest)))
		}
	}
	slices.Sort(out)
	return out
}

func serviceName(k lvs.ServiceKey) string {
	option := map[model.Protocol]string{model.TCP: "-t", model.UDP: "-u", model.SCTP: "--sctp-service"}[k.Protocol]
	switch {
	case !k.Addr.IsValid() && k.Family == model.IPv6:
		return fmt.Sprintf("-f %d -6", int32(k.FWMark))
	case !k.Addr.IsValid():
		return fmt.Sprintf("-f %d", int32(k.FWMark))
	}
	return option + " " + addrPort(k.Addr, k.Port)
}

func addrPort(a netip.Addr, port uint16) string {
	if a.Is4() {
		return fmt.Sprintf("%s:%d", a, port)
	}
	return fmt.Sprintf("[%s]:%d", a, port)
}

func saveAttributes(k lvs.ServiceKey, a lvs.Attributes) string {
	b := " -s " + a.Scheduler
	if a.Flags&model.FlagPersistent != 0 {
		b += fmt.Sprintf(" -p %d", a.Timeout)
		switch {
		case k.Family == model.IPv6 && a.Netmask != 128:
			b += fmt.Sprintf(" -M %d", a.Netmask)
		case k.Family == model.IPv4 && a.Netmask != math.MaxUint32:
			b += " -M " + netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a.Netmask))).String()
		}
		if a.Engine != "" {
			b += " --pe " + a.Engine
		}
	}
	if a.Flags&model.FlagOnePacket != 0 {
		b += " -o"
	}
	names := []string{"flag-1", "flag-2", "flag-3"}
	if a.Scheduler == "sh" || a.Scheduler == "mh" {
		names = []string{a.Scheduler + "-fallback", a.Scheduler + "-port", "flag-3"}
	}
	var flags []string
	for i, name := range names {
		if a.Flags&(model.FlagSched1<<i) != 0 {
			flags = append(flags, name)
		}
	}
	if len(flags) > 0 {
		b += " -b " + strings.Join(flags, ",")
	}
	return b
}

func saveDest(d lvs.Dest) string {
	option := map[model.Forward]string{model.NAT: "-m", model.TUN: "-i", model.DR: "-g"}[d.Method.Forward]
	b := fmt.Sprintf(" %s -w %d", option, d.Weight)
	if d.Method.Forward != model.TUN {
		return b
	}
	t := d.Method.Tunnel
	b += " --tun-type " + [...]string{"ipip", "gue", "gre"}[t.Type]
	if t.Type == model.GUE {
		b += fmt.Sprintf(" --tun-port %d", t.Port)
	}
	if t.Type != model.IPIP {
		b += [...]string{" --tun-nocsum", " --tun-csum", " --tun-remcsum"}[t.Flags]
	}
	return b
}
