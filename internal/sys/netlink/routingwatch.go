package netlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
)

// RoutingWatch tells what happens to the routes and rules that have keepalived's protocol.
type RoutingWatch struct {
	notes *socket
	mine  uint32 // port of the lane
	who   culprits
}

// OpenRoutingWatch opens a socket in the calling thread's network namespace, which is space. The kernel passes on routes of keepalived's protocol only, so that
// a routing daemon's full table costs nothing. Removals by lane are not told. rxBuf as for OpenWatch.
func OpenRoutingWatch(lane *Lane, rxBuf model.RxBuf, space *netns.Space) (*RoutingWatch, error) {
	const groupIPv6Rule = 1 << (unix.RTNLGRP_IPV6_RULE - 1)
	notes, err := open(unix.RTMGRP_IPV4_ROUTE|unix.RTMGRP_IPV6_ROUTE|unix.RTMGRP_IPV4_RULE|groupIPv6Rule, orElse(rxBuf, defaultRxBuf))
	if err != nil {
		return nil, err
	}
	// Without the filter there is more to read, and nothing else.
	_ = notes.filter(protocolFilter)
	notes.size = noteBuf
	return &RoutingWatch{notes: notes, mine: lane.sock.port(), who: culprits{space: space}}, nil
}

// Places in a notification: nlmsg_type, and rtm_protocol of the message after the header.
const (
	typeAt     = 4
	protocolAt = unix.SizeofNlMsghdr + 5
)

// protocolFilter lets all rules pass, and routes of keepalived's protocol.
var protocolFilter = []bpf.Instruction{
	bpf.LoadAbsolute{Off: typeAt, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: swapped(unix.RTM_NEWROUTE), SkipTrue: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: swapped(unix.RTM_DELROUTE), SkipTrue: 2},
	bpf.LoadAbsolute{Off: protocolAt, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: model.KeepalivedProto, SkipTrue: 1},
	bpf.RetConstant{Val: 1 << 30},
	bpf.RetConstant{Val: 0},
}

// swapped is a 16-bit number in the order of the machine as a filter, which reads big-endian, sees it.
func swapped(v uint16) uint32 {
	var b [2]byte
	native.PutUint16(b[:], v)
	return uint32(b[0])<<8 | uint32(b[1])
}

// Run tells sink every change until ctx is done; then it returns nil. lost is called when notifications were lost.
func (w *RoutingWatch) Run(ctx context.Context, sink func([]hostnet.RoutingEvent), lost func()) error {
	defer context.AfterFunc(ctx, w.notes.interrupt)()
	for {
		msgs, err := w.notes.receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			lost()
			continue
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("watch routes and rules: %w", err)
		}
		var events []hostnet.RoutingEvent
		for i := range msgs {
			m := &msgs[i]
			e, ok := decodeRouting(m)
			if !ok || e.Gone && m.Header.Pid == w.mine {
				continue
			}
			if e.Gone {
				e.By = w.who.name(m.Header.Pid)
			}
			events = append(events, e)
		}
		if len(events) > 0 {
			sink(events)
		}
	}
}

// Close closes the socket; Run must have returned.
func (w *RoutingWatch) Close() error { return w.notes.close() }

// decodeRouting returns what a message says of a route or rule of keepalived's protocol; ok is false for others.
func decodeRouting(m *syscall.NetlinkMessage) (e hostnet.RoutingEvent, ok bool) {
	switch m.Header.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		e.Gone = m.Header.Type == unix.RTM_DELROUTE
		return e, decodeRoute(m.Data, &e)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		e.Gone, e.Rule = m.Header.Type == unix.RTM_DELRULE, true
		return e, decodeRule(m.Data, &e)
	}
	return e, false
}

func familyIn(b byte) (model.Family, netip.Addr, bool) {
	switch b {
	case unix.AF_INET:
		return model.IPv4, netip.IPv4Unspecified(), true
	case unix.AF_INET6:
		return model.IPv6, netip.IPv6Unspecified(), true
	}
	return 0, netip.Addr{}, false
}

// decodeRoute reads struct rtmsg and its attributes.
func decodeRoute(b []byte, e *hostnet.RoutingEvent) bool {
	if len(b) < unix.SizeofRtMsg || b[5] != model.KeepalivedProto {
		return false
	}
	family, dst, ok := familyIn(b[0])
	if !ok {
		return false
	}
	e.Family, e.TOS, e.Table, e.Type = family, b[3], uint32(b[4]), b[7]
	for typ, v := range attributes(b[unix.SizeofRtMsg:]) {
		switch {
		case typ == unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(v)
		case typ == unix.RTA_GATEWAY:
			e.Via, _ = netip.AddrFromSlice(v)
		case len(v) != 4:
		case typ == unix.RTA_TABLE:
			e.Table = native.Uint32(v)
		case typ == unix.RTA_PRIORITY:
			e.Metric = native.Uint32(v)
		case typ == unix.RTA_OIF:
			e.IfIndex = int(native.Uint32(v))
		}
	}
	e.Dst = netip.PrefixFrom(dst, int(b[1]))
	return e.Dst.IsValid() && dst.Is4() == (family == model.IPv4)
}

// decodeRule reads struct fib_rule_hdr and its attributes.
func decodeRule(b []byte, e *hostnet.RoutingEvent) bool {
	if len(b) < fibRuleHdrSize {
		return false
	}
	family, _, ok := familyIn(b[0])
	if !ok {
		return false
	}
	e.Family, e.TOS, e.Table, e.Action = family, b[3], uint32(b[4]), b[7]
	protocol := uint8(0)
	for typ, v := range attributes(b[fibRuleHdrSize:]) {
		switch typ {
		case unix.FRA_DST:
			a, _ := netip.AddrFromSlice(v)
			e.To = netip.PrefixFrom(a, int(b[1]))
		case unix.FRA_SRC:
			a, _ := netip.AddrFromSlice(v)
			e.From = netip.PrefixFrom(a, int(b[2]))
		case unix.FRA_IIFNAME:
			e.IIF = text(v)
		case unix.FRA_OIFNAME:
			e.OIF = text(v)
		case unix.FRA_PROTOCOL:
			if len(v) == 1 {
				protocol = v[0]
			}
		case unix.FRA_TABLE:
			if len(v) == 4 {
				e.Table = native.Uint32(v)
			}
		case unix.FRA_PRIORITY:
			if len(v) == 4 {
				e.Priority = native.Uint32(v)
			}
		case unix.FRA_FWMARK:
			if len(v) == 4 {
				e.Mark = native.Uint32(v)
			}
		}
	}
	return protocol == model.KeepalivedProto
}
