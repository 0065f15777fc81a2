// Package lvs decides what the kernel's IPVS table should hold: virtual servers and the health of their real servers in,
// desired table, notifications and log lines out.
//
// [Cluster] is the machine; [Plan] compares two tables. Behaviour follows keepalived 2.4 unless a comment says otherwise.
package lvs

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// ServiceKey is what the kernel knows a service by: family, protocol, address and port, or family and firewall mark.
type ServiceKey struct {
	Family   model.Family
	Protocol model.Protocol // 0 for a mark
	Addr     netip.Addr     // zero for a mark
	Port     uint16
	FWMark   uint32
}

// String is ipvsadm's way of naming the service in keepalived's error lines: 10.0.0.1:tcp:80, Fwm 5, Fwm 5 inet6.
func (k ServiceKey) String() string {
	switch {
	case !k.Addr.IsValid() && k.Family == model.IPv6:
		return fmt.Sprintf("Fwm %d inet6", k.FWMark)
	case !k.Addr.IsValid():
		return fmt.Sprintf("Fwm %d", k.FWMark)
	}
	return fmt.Sprintf("%s:%s:%d", k.Addr, k.Protocol, k.Port)
}

// Compare orders keys: by family, mark, address, protocol and port.
func (k ServiceKey) Compare(o ServiceKey) int {
	return cmp.Or(cmp.Compare(k.Family, o.Family), cmp.Compare(k.FWMark, o.FWMark), k.Addr.Compare(o.Addr),
		cmp.Compare(k.Protocol, o.Protocol), cmp.Compare(k.Port, o.Port))
}

// Attributes are the properties of a kernel service besides its key and destinations.
type Attributes struct {
	Scheduler string
	Flags     uint32 // model.Flag*
	Timeout   uint32 // of persistence, seconds; 0 without
	Netmask   uint32 // of persistence: IPv4 the mask with the first octet on top, IPv6 the prefix length 1..128
	Engine    string // persistence engine
}

// DestKey is what the kernel knows a destination of a service by.
type DestKey struct {
	Addr netip.Addr
	Port uint16
}

// String is the destination in keepalived's error lines: 10.0.0.2:80.
func (k DestKey) String() string { return fmt.Sprintf("%s:%d", k.Addr, k.Port) }

// Compare orders keys: by address and port.
func (k DestKey) Compare(o DestKey) int {
	return cmp.Or(k.Addr.Compare(o.Addr), cmp.Compare(k.Port, o.Port))
}

// Dest is the properties of a destination besides its key.
type Dest struct {
	Method       model.Method // in the form of [Encapsulation]
	Weight       uint32       // 0..2147483647
	Upper, Lower uint32       // connection thresholds
}

// Encapsulation returns m without what its forwarding method ignores, so that equal behaviour compares equal.
func Encapsulation(m model.Method) model.Method {
	switch {
	case m.Forward != model.TUN:
		m.Tunnel = model.Tunnel{}
	case m.Tunnel.Type == model.IPIP:
		m.Tunnel = model.Tunnel{Type: model.IPIP}
	case m.Tunnel.Type != model.GUE:
		m.Tunnel.Port = 0
	}
	return m
}

// Service is one kernel service with its destinations. The kernel cannot hold a service without a scheduler,
// so the zero Service stands for "none".
type Service struct {
	Attributes
	Dests map[DestKey]Dest
}

// None reports whether s stands for the absence of a service.
func (s Service) None() bool { return s.Scheduler == "" }

// Equal reports whether the kernel would not tell s from o.
func (s Service) Equal(o Service) bool {
	return s.Attributes == o.Attributes && maps.Equal(s.Dests, o.Dests)
}

// Table is a set of kernel services. Whoever got one may read it, and nobody writes it any more.
type Table map[ServiceKey]Service

// OpKind is an IPVS command.
type OpKind uint8

const (
	NewService OpKind = iota
	SetService
	DelService
	NewDest
	SetDest
	DelDest
)

var opNames = [...]string{"NEW_SERVICE", "SET_SERVICE", "DEL_SERVICE", "NEW_DEST", "SET_DEST", "DEL_DEST"}

func (k OpKind) String() string { return opNames[k] }

// Op is one change of the kernel's table.
type Op struct {
	Kind    OpKind
	Key     ServiceKey
	Service Attributes // NewService, SetService
	DestKey DestKey    // NewDest, SetDest, DelDest
	Dest    Dest       // NewDest, SetDest
}

// String is the command and its object, and the weight where one is set.
func (o Op) String() string {
	switch o.Kind {
	case NewDest, SetDest:
		return fmt.Sprintf("%s %s -> %s w%d", o.Kind, o.Key, o.DestKey, o.Dest.Weight)
	case DelDest:
		return fmt.Sprintf("%s %s -> %s", o.Kind, o.Key, o.DestKey)
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Key)
}

// Plan returns the commands that turn have into want; none if they are equal. Every service of have must be ours: what want
// lacks, or has as none, is deleted. Services go before others come; within a service destinations go, change and come in this
// order, so that a sorry server and the servers it stands in for are never both in use.
func Plan(have, want Table) []Op {
	var ops []Op
	for _, k := range slices.SortedFunc(maps.Keys(have), ServiceKey.Compare) {
		if !have[k].None() && want[k].None() {
			ops = append(ops, Op{Kind: DelService, Key: k}) // the kernel drops its destinations
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(want), ServiceKey.Compare) {
		if !want[k].None() {
			ops = planService(ops, k, have[k], want[k])
		}
	}
	return ops
}

func planService(ops []Op, k ServiceKey, have, want Service) []Op {
	switch {
	case have.None():
		ops = append(ops, Op{Kind: NewService, Key: k, Service: want.Attributes})
	case have.Attributes != want.Attributes:
		ops = append(ops, Op{Kind: SetService, Key: k, Service: want.Attributes})
	}
	gone := len(ops)
	for d := range have.Dests {
		if _, ok := want.Dests[d]; !ok {
			ops = append(ops, Op{Kind: DelDest, Key: k, DestKey: d})
		}
	}
	sortOps(ops[gone:])
	changed := func(kind OpKind) {
		at := len(ops)
		for d, dest := range want.Dests {
			if had, ok := have.Dests[d]; ok && had != dest && kind == SetDest || !ok && kind == NewDest {
				ops = append(ops, Op{Kind: kind, Key: k, DestKey: d, Dest: dest})
			}
		}
		sortOps(ops[at:])
	}
	changed(SetDest)
	changed(NewDest)
	return ops
}

func sortOps(ops []Op) {
	slices.SortFunc(ops, func(a, b Op) int { return a.DestKey.Compare(b.DestKey) })
}
