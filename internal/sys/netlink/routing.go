package netlink

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// The library's own RouteAdd and RuleAdd lack options (ttl-propagate, pref, expires, the lock of most metrics, encap ip and ila, l3mdev)
// and cannot set many in one system call; the requests are built here, out of its parts.

// attrs is what attributes can be added to: a request, or an attribute with others inside.
type attrs interface {
	AddData(nl.NetlinkRequestData)
}

// nested lets attributes be added to an attribute.
type nested struct{ *nl.RtAttr }

func (n nested) AddData(d nl.NetlinkRequestData) { n.AddChild(d) }

func put8(to attrs, typ int, v uint8)   { to.AddData(nl.NewRtAttr(typ, []byte{v})) }
func put32(to attrs, typ int, v uint32) { to.AddData(nl.NewRtAttr(typ, nl.Uint32Attr(v))) }
func putBE16(to attrs, typ int, v uint16) {
	to.AddData(nl.NewRtAttr(typ, binary.BigEndian.AppendUint16(nil, v)))
}
func putBE64(to attrs, typ int, v uint64) {
	to.AddData(nl.NewRtAttr(typ, binary.BigEndian.AppendUint64(nil, v)))
}
func putAddr(to attrs, typ int, a netip.Addr) {
	if a.IsValid() {
		to.AddData(nl.NewRtAttr(typ, a.AsSlice()))
	}
}

func familyOf(f model.Family) uint8 {
	if f == model.IPv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// encodeRouting returns the request for op. index returns the index of an interface.
func encodeRouting(op hostnet.RoutingOp, index func(name string) (int, error), seq uint32) ([]byte, error) {
	if op.Rule != nil {
		return encodeRule(op.Rule, op.Remove, seq), nil
	}
	return encodeRoute(op.Route, op.Remove, index, seq)
}

func encodeRoute(r *model.Route, remove bool, index func(name string) (int, error), seq uint32) ([]byte, error) {
	typ, flags := unix.RTM_NEWROUTE, unix.NLM_F_CREATE
	switch {
	case remove:
		typ, flags = unix.RTM_DELROUTE, 0
	case r.Mode == model.RouteAdd:
		flags |= unix.NLM_F_EXCL
	case r.Mode == model.RouteAppend:
		flags |= unix.NLM_F_APPEND
	}
	req := &nl.NetlinkRequest{NlMsghdr: unix.NlMsghdr{Type: uint16(typ), Flags: uint16(flags) | unix.NLM_F_REQUEST | unix.NLM_F_ACK, Seq: seq}}
	msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: familyOf(r.Family), Dst_len: uint8(r.Dst.Bits()), Tos: r.TOS, Protocol: r.Protocol,
		Scope: r.Scope, Type: r.Type}}
	req.AddData(msg)
	if r.Table < 256 {
		msg.Table = uint8(r.Table)
	} else {
		put32(req, unix.RTA_TABLE, r.Table)
	}
	if r.Dst.Bits() > 0 {
		putAddr(req, unix.RTA_DST, r.Dst.Addr())
	}
	if r.From.IsValid() {
		msg.Src_len = uint8(r.From.Bits())
		putAddr(req, unix.RTA_SRC, r.From.Addr())
	}
	putAddr(req, unix.RTA_PREFSRC, r.PrefSrc)
	if r.Metric != 0 {
		put32(req, unix.RTA_PRIORITY, r.Metric)
	}
	if r.OnLink {
		msg.Flags |= unix.RTNH_F_ONLINK
	}
	if r.Dev != "" {
		i, err := index(r.Dev)
		if err != nil {
			return nil, err
		}
		put32(req, unix.RTA_OIF, uint32(i))
	}
	putHop(req, &r.NextHop)
	if len(r.Hops) > 0 {
		b, err := encodeHops(r.Hops, index)
		if err != nil {
			return nil, err
		}
		req.AddData(nl.NewRtAttr(unix.RTA_MULTIPATH, b))
	}
	if r.Metrics != nil {
		req.AddData(encodeMetrics(r.Metrics))
	}
	if r.Expires != 0 {
		put32(req, unix.RTA_EXPIRES, r.Expires)
	}
	if r.PrefSet {
		put8(req, unix.RTA_PREF, r.Pref)
	}
	switch r.TTLProp {
	case model.TTLPropagate:
		put8(req, unix.RTA_TTL_PROPAGATE, 1)
	case model.TTLUniform:
		put8(req, unix.RTA_TTL_PROPAGATE, 0)
	}
	return req.Serialize(), nil
}

// putHop adds what a next hop has besides its interface and flags.
func putHop(to attrs, h *model.NextHop) {
	putAddr(to, unix.RTA_GATEWAY, h.Via)
	if h.Realms != 0 {
		put32(to, unix.RTA_FLOW, h.Realms)
	}
	if h.Encap != nil {
		to.AddData(nl.NewRtAttr(unix.RTA_ENCAP_TYPE, nl.Uint16Attr(uint16(h.Encap.Kind))))
		to.AddData(encodeEncap(h.Encap))
	}
}

// encodeHops returns a list of struct rtnexthop (linux/rtnetlink.h).
func encodeHops(hops []model.NextHop, index func(name string) (int, error)) (out []byte, err error) {
	for k := range hops {
		h := &hops[k]
		ifIndex := 0
		if h.Dev != "" {
			if ifIndex, err = index(h.Dev); err != nil {
				return nil, err
			}
		}
		inside := nested{nl.NewRtAttr(0, nil)} // for its children alone
		putHop(inside, h)
		start := len(out)
		out = append(out, make([]byte, unix.SizeofRtNexthop)...)
		out = append(out, inside.Serialize()[unix.SizeofRtAttr:]...)
		head := out[start:]
		native.PutUint16(head, uint16(len(head)))
		if h.OnLink {
			head[2] = unix.RTNH_F_ONLINK
		}
		if h.Weight > 1 {
			head[3] = uint8(h.Weight - 1)
		}
		native.PutUint32(head[4:], uint32(ifIndex))
	}
	return out, nil
}

const rtaxLock = 1 // RTAX_LOCK

func encodeMetrics(m *model.Metrics) *nl.RtAttr {
	inside := nested{nl.NewRtAttr(unix.RTA_METRICS, nil)}
	if m.Lock != 0 {
		put32(inside, rtaxLock, m.Lock)
	}
	for n, v := range m.Value {
		switch {
		case m.Set&(1<<n) == 0:
		case n == model.MetricCongCtl:
			inside.AddData(nl.NewRtAttr(n, nl.ZeroTerminated(m.CongCtl)))
		default:
			put32(inside, n, v)
		}
	}
	return inside.RtAttr
}

// Attributes of lightweight tunnels (linux/lwtunnel.h, mpls_iptunnel.h, ila.h).
const (
	lwtID        = 1
	lwtDst       = 2
	lwtSrc       = 3
	lwtTTL       = 4
	lwtTOS       = 5
	lwtFlags     = 6
	mplsLabels   = 1
	ilaLocator   = 1
	mplsBottom   = 1 << 8
	mplsLabelPos = 12
)

// encodeEncap returns the attribute of an encapsulation.
//
// Differs from keepalived: it loses the encapsulation of a hop among several, and that of "encap ip6" with src (2.3.4).
func encodeEncap(e *model.Encap) *nl.RtAttr {
	inside := nested{nl.NewRtAttr(unix.RTA_ENCAP|unix.NLA_F_NESTED, nil)}
	switch e.Kind {
	case model.EncapIP, model.EncapIP6:
		if e.ID != 0 {
			putBE64(inside, lwtID, e.ID)
		}
		putAddr(inside, lwtDst, e.Dst)
		putAddr(inside, lwtSrc, e.Src)
		if e.TOS != 0 {
			put8(inside, lwtTOS, e.TOS)
		}
		if e.TTL != 0 {
			put8(inside, lwtTTL, e.TTL)
		}
		if e.Flags != 0 {
			putBE16(inside, lwtFlags, e.Flags)
		}
	case model.EncapMPLS:
		var stack []byte
		labels := strings.Split(e.Labels, "/")
		for i, text := range labels {
			n, _ := strconv.ParseUint(text, 10, 20)
			v := uint32(n) << mplsLabelPos
			if i == len(labels)-1 {
				v |= mplsBottom
			}
			stack = binary.BigEndian.AppendUint32(stack, v)
		}
		inside.AddData(nl.NewRtAttr(mplsLabels, stack))
	case model.EncapILA:
		putBE64(inside, ilaLocator, e.Locator)
	}
	return inside.RtAttr
}

// Attributes of rules (linux/fib_rules.h) that are not in x/sys/unix.
const (
	ruleInvert     = 0x2 // FIB_RULE_INVERT
	actToTable     = 1   // FR_ACT_TO_TBL
	fibRuleHdrSize = 12
)

// ruleHeader is struct fib_rule_hdr.
type ruleHeader [fibRuleHdrSize]byte

func (h *ruleHeader) Len() int          { return fibRuleHdrSize }
func (h *ruleHeader) Serialize() []byte { return h[:] }

func encodeRule(r *model.Rule, remove bool, seq uint32) []byte {
	typ, flags := unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL
	if remove {
		typ, flags = unix.RTM_DELRULE, 0
	}
	req := &nl.NetlinkRequest{NlMsghdr: unix.NlMsghdr{Type: uint16(typ), Flags: uint16(flags) | unix.NLM_F_REQUEST | unix.NLM_F_ACK, Seq: seq}}
	h := &ruleHeader{0: familyOf(r.Family), 3: r.TOS, 7: uint8(r.Action)}
	if r.Action == model.RuleL3MDev {
		h[7] = actToTable
	}
	if r.Not {
		native.PutUint32(h[8:], ruleInvert)
	}
	req.AddData(h)
	if r.To.Bits() > 0 {
		h[1] = uint8(r.To.Bits())
		putAddr(req, unix.FRA_DST, r.To.Addr())
	}
	if r.From.Bits() > 0 {
		h[2] = uint8(r.From.Bits())
		putAddr(req, unix.FRA_SRC, r.From.Addr())
	}
	put32(req, unix.FRA_PRIORITY, r.Priority)
	switch r.Action {
	case model.RuleTable:
		if r.Table < 256 {
			h[4] = uint8(r.Table)
		} else {
			put32(req, unix.FRA_TABLE, r.Table)
		}
		if r.SuppressPrefix >= 0 {
			put32(req, unix.FRA_SUPPRESS_PREFIXLEN, uint32(r.SuppressPrefix))
		}
		if r.SuppressGroup >= 0 {
			put32(req, unix.FRA_SUPPRESS_IFGROUP, uint32(r.SuppressGroup))
		}
	case model.RuleGoto:
		put32(req, unix.FRA_GOTO, r.Goto)
	case model.RuleL3MDev:
		put8(req, unix.FRA_L3MDEV, 1)
	}
	if r.MarkSet {
		put32(req, unix.FRA_FWMARK, r.Mark)
		if r.MaskSet {
			put32(req, unix.FRA_FWMASK, r.Mask)
		}
	}
	if r.Realms != 0 {
		put32(req, unix.FRA_FLOW, r.Realms)
	}
	if r.IIF != "" {
		req.AddData(nl.NewRtAttr(unix.FRA_IIFNAME, nl.ZeroTerminated(r.IIF)))
	}
	if r.OIF != "" {
		req.AddData(nl.NewRtAttr(unix.FRA_OIFNAME, nl.ZeroTerminated(r.OIF)))
	}
	if r.TunnelID != 0 {
		putBE64(req, unix.FRA_TUN_ID, r.TunnelID)
	}
	if r.UIDSet {
		req.AddData(nl.NewRtAttr(unix.FRA_UID_RANGE, native.AppendUint32(native.AppendUint32(nil, r.UIDs[0]), r.UIDs[1])))
	}
	if r.Protocol != 0 {
		put8(req, unix.FRA_PROTOCOL, r.Protocol)
	}
	if r.IPProto != 0 {
		put8(req, unix.FRA_IP_PROTO, r.IPProto)
	}
	ports := func(typ int, p [2]uint16) {
		if p[1] != 0 {
			req.AddData(nl.NewRtAttr(typ, native.AppendUint16(native.AppendUint16(nil, p[0]), p[1])))
		}
	}
	ports(unix.FRA_SPORT_RANGE, r.SPort)
	ports(unix.FRA_DPORT_RANGE, r.DPort)
	return req.Serialize()
}
