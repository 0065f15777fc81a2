// Package vrrp is the VRRP protocol as values: the codec, the machine of one virtual router, and the sync group around machines.
//
// Step takes the instant and an event and returns what has to be done, in the order in which it has to be done. Nothing in
// here reads a clock, holds a timer, opens a socket or writes a log. RFC 3768 (v2), RFC 9568 (v3), and keepalived 2.4's
// behaviour where the RFCs leave it open or keepalived departs from them.
package vrrp

import (
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// EventKind says what happened.
type EventKind uint8

const (
	// Start begins the protocol. What is known by then (Faults, Priority, Source) must have been told before. With Until the
	// router waits as BACKUP: adverts are ignored and the timers count from that instant. In a sync group nothing happens
	// until the last member has started.
	Start EventKind = iota + 1
	// Received is a datagram for this virtual router: Packet.
	Received
	// Timeout says that Deadline has come; one that comes early does nothing.
	Timeout
	// Faults is the newest count of the tracked things that are down, with the Reason of the first, and Init while a script of
	// weight 0 has never finished.
	Faults
	// Priority is the newest Total: base priority and all weights, not clamped.
	Priority
	// Source is the address that our adverts come from: Addr; the zero Addr, when there is none, is a fault.
	Source
	// Settled says that the kernel is as the Own or Disown with this Gen asked. It is expected once for each of them that
	// is not overtaken by a newer one, at once if there is nothing to do.
	Settled
	// Stolen says that somebody else removed the virtual address Addr; the zero Addr: a route or rule that is tracked.
	Stolen
	// Delayed changes the end of the start-up delay to Until; it does nothing once that is over.
	Delayed
	// Reconfigured replaces the configuration by Instance, whose Key is that of the old one.
	Reconfigured
	// Stop ends the protocol: priority 0, addresses released; with Keep neither.
	Stop
	// Removed ends it because a reload dropped the instance.
	Removed
)

// Event is something that happened to one machine. Fields that the kind does not name are ignored.
type Event struct {
	Kind     EventKind
	Packet   Packet          // Received
	Until    time.Time       // Start, Delayed; zero: now
	Count    int             // Faults
	Reason   string          // Faults: for the log, e.g. "interface eth0 down"
	Init     bool            // Faults
	Total    int             // Priority
	Addr     netip.Addr      // Source, Stolen
	Gen      uint32          // Settled
	Instance *model.Instance // Reconfigured
	Keep     bool            // Stop
}

// ActionKind says what is to be done.
type ActionKind uint8

const (
	// Send is one advert of Priority to the group, or to every peer.
	Send ActionKind = iota + 1
	// Own asks for all addresses, routes and rules of M.Instance() and nothing else of this router; answered by Settled{Gen}.
	Own
	// Disown asks for none of them, leftovers of earlier runs included; answered by Settled{Gen}.
	Disown
	// Announce sends gratuitous ARP or unsolicited NA for all addresses, Repeat times.
	Announce
	// Unannounce drops what is still queued of Announce.
	Unannounce
	// AnnounceSelf sends one gratuitous ARP or NA for our own source address.
	AnnounceSelf
	// Changed is a new state, of M or else of the group G: notify scripts, FIFO, mail, traps.
	Changed
	// LowerPrioSeen tells that a master heard a lower advert: notify_master_rx_lower_pri.
	LowerPrioSeen
	// PriorityChanged tells the new effective Priority.
	PriorityChanged
	// Say is a log line; Detail ones are only for -D. All of them have keepalived's level info.
	Say
)

// Action is one thing to do. Actions of one Step are in the order of their doing, across all members of a sync group.
type Action struct {
	Kind     ActionKind
	M        *Machine // the machine concerned; nil if it is a group
	G        *Group   // the group concerned, of Changed and Say
	Priority uint8    // Send, LowerPrioSeen, PriorityChanged, Changed (0 for a group)
	Gen      uint32   // Own, Disown
	Repeat   int      // Announce
	From, To model.State
	Why      Why
	Detail   bool
	Line     string
}

// Why is the reason of a change of state.
type Why uint8

const (
	WhyStart     Why = iota + 1 // first state after Start
	WhyTimeout                  // the master fell silent, or said goodbye
	WhyOutranked                // an advert outranked ours
	WhyFault                    // a fault came up
	WhyRecovered                // the last fault went
	WhyStolen                   // a virtual address, route or rule was removed by somebody else
	WhyOverrun                  // we were too late with our own advert (timer_expired_backup)
	WhyGroup                    // another member of the sync group changed
	WhyStop                     // Stop
	WhyRemoved                  // Removed
)

var whyNames = [...]string{"", "start", "timeout", "outranked", "fault", "recovered", "stolen", "overrun", "group", "stop", "removed"}

func (w Why) String() string { return whyNames[w] }

// Stats counts per virtual router, over reloads. Names and rules are keepalived's (its .stats file), but PriZeroSent counts
// every advert of priority 0.
//
// Differs from keepalived: it counts some of them only; and AdvertIntervalErr, which it never counts.
type Stats struct {
	AdvertRcvd, AdvertSent      uint64
	BecomeMaster, ReleaseMaster uint64
	PacketLenErr                uint64
	AdvertIntervalErr           uint64
	IPTTLErr                    uint64
	InvalidTypeRcvd             uint64
	AddrListErr                 uint64
	InvalidAuthType             uint64
	AuthTypeMismatch            uint64
	AuthFailure                 uint64
	PriZeroRcvd, PriZeroSent    uint64
	VersionErr, ChecksumErr     uint64 // SNMP only

	AuthExtMissing, AuthExtMalformed, AuthExtUnknownKey, AuthExtInvalidHMAC, AuthExtStale, AuthExtReplay uint64 // auth_hmac
}

// step is one Step under way.
type step struct {
	now time.Time
	out []Action
}

func (s *step) do(a Action) { s.out = append(s.out, a) }
