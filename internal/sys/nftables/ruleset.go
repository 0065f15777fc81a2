package nftables

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// The names are keepalived's, and the order in which things are made too: its `nft list ruleset` and ours are the same.
const (
	setVIPs       = "vips"
	setLinkLocal  = "vips_link_local"
	setParent     = "parent_link_local"
	setMap        = "vmac_map"
	setVMACs      = "vmac_set"
	setMLD        = "mld-report"
	setND         = "neighbor-discovery"
	chainIn       = "in"
	chainOut      = "out"
	chainInLocal  = "in_link_local"
	chainOutLocal = "out_link_local"
)

// form says which parts of the tables there are; one that was needed once stays.
type form struct{ igmp, vips4, vmac6, vips6, local6 bool }

func formOf(f *hostnet.Filter) (o form) {
	for _, v := range f.VMACs {
		o.igmp = o.igmp || v.IGMP
		o.vmac6 = o.vmac6 || v.IPv6
	}
	for _, v := range f.VIPs {
		switch {
		case v.Addr.Is4():
			o.vips4 = true
		default:
			o.vips6 = true
			o.local6 = o.local6 || v.Index != 0
		}
	}
	return o
}

func (o form) with(p form) form {
	return form{o.igmp || p.igmp, o.vips4 || p.vips4, o.vmac6 || p.vmac6, o.vips6 || p.vips6, o.local6 || p.local6}
}

// elements are the contents of the sets that change, by table and set, keyed by the element's key.
type elements map[setID]map[string][]byte

type setID struct {
	ip6  bool
	name string
}

func (e elements) add(id setID, key, val []byte) {
	if e[id] == nil {
		e[id] = map[string][]byte{}
	}
	e[id][string(key)] = val
}

func index(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func ifName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func elementsOf(f *hostnet.Filter, conf model.Filter) elements {
	e := elements{}
	for _, v := range f.VMACs {
		if v.IGMP {
			e.add(setID{false, setMap}, index(v.Index), index(v.Base))
		}
		if !v.IPv6 {
			continue
		}
		e.add(setID{true, setMap}, index(v.Index), index(v.Base))
		e.add(setID{true, setVMACs}, index(v.Index), nil)
		// Differs from keepalived: its element has the unspecified address, and so drops nothing.
		if v.LinkLocal.IsValid() {
			dev := ifName(v.Name)
			if conf.IfIndex {
				dev = index(v.Index)
			}
			e.add(setID{true, setParent}, append(v.LinkLocal.AsSlice(), dev...), nil)
		}
	}
	for _, v := range f.VIPs {
		switch ip := v.Addr.AsSlice(); {
		case v.Addr.Is4():
			e.add(setID{false, setVIPs}, ip, nil)
		case v.Index != 0:
			e.add(setID{true, setLinkLocal}, append(ip, index(v.Index)...), nil)
		default:
			e.add(setID{true, setVIPs}, ip, nil)
		}
	}
	return e
}

// diff returns what e has and other has not, or has otherwise.
func (e elements) diff(other elements, id setID) (out []nftables.SetElement) {
	for key, val := range e[id] {
		if o, ok := other[id][key]; !ok || string(o) != string(val) {
			out = append(out, nftables.SetElement{Key: []byte(key), Val: val})
		}
	}
	slices.SortFunc(out, func(a, b nftables.SetElement) int { return slices.Compare(a.Key, b.Key) })
	return out
}

// builder writes one family's table.
type builder struct {
	c     *nftables.Conn
	conf  model.Filter
	table *nftables.Table
	sets  map[setID]*nftables.Set
	ip6   bool
}

func (b *builder) set(s *nftables.Set, fixed ...[]byte) error {
	s.Table = b.table
	var vals []nftables.SetElement
	for _, key := range fixed {
		vals = append(vals, nftables.SetElement{Key: key})
	}
	s.Constant = len(fixed) > 0
	b.sets[setID{b.ip6, s.Name}] = s
	s.ID = uint32(len(b.sets)) // within the transaction; the library's own count is not for several goroutines
	return b.c.AddSet(s, vals)
}

func (b *builder) base(name string, hook *nftables.ChainHook) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return b.c.AddChain(&nftables.Chain{Name: name, Table: b.table, Hooknum: hook, Type: nftables.ChainTypeFilter,
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(b.conf.Priority)), Policy: &accept})
}

// rule appends a rule of matches, a counter if they are wanted, and what follows.
func (b *builder) rule(chain *nftables.Chain, matches []expr.Any, verdict ...expr.Any) {
	if b.conf.Counters {
		matches = append(matches, &expr.Counter{})
	}
	b.c.AddRule(&nftables.Rule{Table: b.table, Chain: chain, Exprs: append(matches, verdict...)})
}

func join(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

func network(offset, length, reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func equal(reg uint32, data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data}
}

func (b *builder) in(reg uint32, set string) expr.Any {
	s := b.sets[setID{b.ip6, set}]
	return &expr.Lookup{SourceRegister: reg, SetName: s.Name, SetID: s.ID}
}

var (
	drop   = &expr.Verdict{Kind: expr.VerdictDrop}
	accept = &expr.Verdict{Kind: expr.VerdictAccept}
)

func jump(chain string) expr.Any { return &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain} }

// metaOIFKind is NFT_META_OIFKIND of linux/netfilter/nf_tables.h.
const metaOIFKind = 27

// leavesMacvlan matches what is sent through a macvlan; it uses reg.
func leavesMacvlan(reg uint32) []expr.Any {
	return []expr.Any{&expr.Meta{Key: metaOIFKind, Register: reg}, equal(reg, ifName("macvlan")...)}
}

// insteadFromBase sends the packet with its destination in reg 1 from the base of the VMAC, and not from the VMAC.
func (b *builder) insteadFromBase() (match, verdict []expr.Any) {
	s := b.sets[setID{b.ip6, setMap}]
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIF, Register: 2},
			&expr.Lookup{SourceRegister: 2, DestRegister: 2, IsDestRegSet: true, SetName: s.Name, SetID: s.ID},
			&expr.Dup{RegAddr: 1, RegDev: 2, IsRegDevSet: true}},
		[]expr.Any{drop}
}

const (
	protoIGMP   = 2
	protoICMPv6 = 58
	// The types of ICMPv6 (RFC 2710, RFC 3810, RFC 4861).
	mldReport, mldReportV2        = 131, 143
	routerSolicit                 = 133
	neighborSolicit, neighborNote = 135, 136
)

// The offsets of addresses in the IP headers.
const (
	src4, dst4, len4 = 12, 16, 4
	src6, dst6, len6 = 8, 24, 16
)

func (b *builder) ipv4(o form) error {
	vmacMap := &nftables.Set{Name: setMap, IsMap: true, KeyType: nftables.TypeIFIndex, DataType: nftables.TypeIFIndex,
		KeyByteOrder: binaryutil.NativeEndian}
	if o.igmp {
		if err := b.set(vmacMap); err != nil {
			return err
		}
	}
	if o.vips4 {
		if err := b.set(&nftables.Set{Name: setVIPs, KeyType: nftables.TypeIPAddr}); err != nil {
			return err
		}
	}
	out := b.base(chainOut, nftables.ChainHookOutput)
	if o.igmp {
		match, verdict := b.insteadFromBase()
		b.rule(out, join([]expr.Any{network(9, 1, 1), equal(1, protoIGMP), network(dst4, len4, 1)}, leavesMacvlan(2), match), verdict...)
	}
	if o.vips4 {
		in := b.base(chainIn, nftables.ChainHookInput)
		b.rule(out, []expr.Any{network(src4, len4, 1), b.in(1, setVIPs)}, drop)
		b.rule(in, []expr.Any{network(dst4, len4, 1), b.in(1, setVIPs)}, drop)
	}
	return nil
}

func (b *builder) ipv6(o form) error {
	parent := nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIFName)
	oif := expr.MetaKeyOIFNAME
	if b.conf.IfIndex {
		parent, oif = nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIFIndex), expr.MetaKeyOIF
	}
	sets := []struct {
		when  bool
		set   *nftables.Set
		fixed [][]byte
	}{
		{true, &nftables.Set{Name: setParent, KeyType: parent, Concatenation: true}, nil},
		{o.vmac6, &nftables.Set{Name: setMap, IsMap: true, KeyType: nftables.TypeIFIndex, DataType: nftables.TypeIFIndex,
			KeyByteOrder: binaryutil.NativeEndian}, nil},
		{o.vmac6, &nftables.Set{Name: setVMACs, KeyType: nftables.TypeIFIndex, KeyByteOrder: binaryutil.NativeEndian}, nil},
		{o.vmac6, &nftables.Set{Name: setMLD, KeyType: nftables.TypeICMP6Type}, [][]byte{{mldReport}, {mldReportV2}}},
		{o.vips6, &nftables.Set{Name: setVIPs, KeyType: nftables.TypeIP6Addr}, nil},
		{o.vips6, &nftables.Set{Name: setND, KeyType: nftables.TypeICMP6Type}, [][]byte{{neighborSolicit}, {neighborNote}}},
		{o.local6, &nftables.Set{Name: setLinkLocal, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIFIndex)}, nil},
	}
	for _, s := range sets {
		if s.when {
			if err := b.set(s.set, s.fixed...); err != nil {
				return err
			}
		}
	}
	icmp := []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(1, protoICMPv6),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1}}
	out := b.base(chainOut, nftables.ChainHookOutput)
	b.rule(out, join(icmp, []expr.Any{equal(1, neighborNote)}, leavesMacvlan(2),
		[]expr.Any{network(src6, len6, 1), &expr.Meta{Key: oif, Register: 2}, b.in(1, setParent)}), drop)
	if o.vmac6 {
		match, verdict := b.insteadFromBase()
		b.rule(out, join(icmp, []expr.Any{b.in(1, setMLD), network(dst6, len6, 1)}, leavesMacvlan(2), match), verdict...)
		b.rule(out, join(icmp, []expr.Any{equal(1, routerSolicit)}, leavesMacvlan(2),
			[]expr.Any{&expr.Meta{Key: expr.MetaKeyOIF, Register: 2}, b.in(2, setVMACs)}), drop)
	}
	if !o.vips6 {
		return nil
	}
	in := b.base(chainIn, nftables.ChainHookInput)
	inLocal := b.c.AddChain(&nftables.Chain{Name: chainInLocal, Table: b.table})
	outLocal := b.c.AddChain(&nftables.Chain{Name: chainOutLocal, Table: b.table})
	for _, c := range []struct {
		chain *nftables.Chain
		addr  uint32
		local string
	}{{in, dst6, chainInLocal}, {out, src6, chainOutLocal}} {
		b.rule(c.chain, join(icmp, []expr.Any{b.in(1, setND)}), accept)
		mask := netip.MustParsePrefix("fe80::/10")
		b.rule(c.chain, []expr.Any{network(c.addr, len6, 1),
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: len6, Mask: append([]byte{0xff, 0xc0}, make([]byte, 14)...), Xor: make([]byte, 16)},
			equal(1, mask.Addr().AsSlice()...)}, jump(c.local))
		b.rule(c.chain, []expr.Any{network(c.addr, len6, 1), b.in(1, setVIPs)}, drop)
	}
	if o.local6 {
		b.rule(inLocal, []expr.Any{network(dst6, len6, 1), &expr.Meta{Key: expr.MetaKeyIIF, Register: 2}, b.in(1, setLinkLocal)}, drop)
		b.rule(outLocal, []expr.Any{network(src6, len6, 1), &expr.Meta{Key: expr.MetaKeyOIF, Register: 2}, b.in(1, setLinkLocal)}, drop)
	}
	return nil
}
