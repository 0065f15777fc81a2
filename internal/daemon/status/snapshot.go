// Package status renders what the daemon knows about itself into the files that operators and monitoring read.
package status

import (
	"net"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Snapshot is the state of the worker at one moment. It shares nothing that changes later.
type Snapshot struct {
	Process    model.Process
	VRRP       model.VRRP // the global settings; instances, groups and scripts are below
	LVS        model.LVS  // the global settings; services are below
	Realtime   int        // real-time priority of the worker; 0: none
	GARP       []GARP
	Instances  []Instance // in configuration order, as all lists here
	Sockets    []Socket   // in the order of their first users
	Groups     []Group
	Scripts    []Script
	Files      []File
	Processes  []Process
	Interfaces []Interface

	StaticsSet []bool // which of VRRP.Statics.Addresses the kernel has
	Services   []Service
	CheckFiles []File // of FILE_CHECKs
}

// Instance is a VRRP instance: its configuration and where it stands.
type Instance struct {
	model.Instance
	SyncGroup       string // its sync group; empty: none
	State, Want     model.State
	Effective       uint8     // effective priority
	Total           int       // the priority and all weights, not limited to 1..254
	Faults          int       // reasons for FAULT, other than of interfaces
	InterfaceFaults []string  // "i/f down", "no source IP address", …
	ScriptsInit     int       // tracked scripts without a first result
	LastTransition  time.Time // wall clock
	Deadline        time.Time // next advert of a master, end of a backup's patience; zero: none
	MasterDown      time.Duration
	Source          netip.Addr // of our adverts; zero: none yet
	LastSent        time.Time  // zero: never
	Socket          FDs
	Master          Master // the last one heard

	// VIPsSet and ExcludedSet say which of VIPs and ExcludedVIPs the kernel has; a shorter slice means that the rest is not set.
	VIPsSet, ExcludedSet []bool
	Stats                Stats
	Transitions          []Transition // the oldest first; the flight recorder's
}

// Transition is a change of state and what led to it.
type Transition struct {
	At       time.Time // wall clock
	From, To model.State
	Why      string
	Reason   string // of a fault
	Priority uint8
	Master   Master          // heard last, before the change
	Silence  time.Duration   // since its last advert
	Gaps     []time.Duration // between its last adverts
	Late     time.Duration   // the worst lateness of our own timers since the change before
}

// GARP is a limit of gratuitous announcements; one for all interfaces is listed once for each of those that it concerns.
type GARP struct {
	Namespace string // of Interfaces, as of model.Instance
	model.GARPDelay
	NextARP, NextNA time.Time // zero: nothing sent yet
}

// FDs are the descriptors of a socket; zero: none is open.
type FDs struct{ In, Out int }

// Socket receives the adverts of several instances.
type Socket struct {
	FDs
	Namespace string // as of model.Instance
	Interface string
	Family    model.Family
	Unicast   netip.Addr // local address; zero: it is for multicast
	RxBuf     int        // configured size of its receive buffer; 0: the kernel's
	Users     []string   // "NAME vrid N"
}

// linkSource says where the state of a link comes from.
func (i *Interface) linkSource() string {
	switch {
	case !i.Polled:
		return "netlink status update"
	case i.Method == model.LinkMII:
		return "support MII regs"
	case i.Method == model.LinkEthtool:
		return "support ETHTOOL GLINK interface"
	}
	return "ioctl refresh polling"
}

// Master is the router that an instance last heard; zero: none.
type Master struct {
	Addr      netip.Addr
	Priority  uint8
	AdvertInt time.Duration // 0: our own
}

// Stats are the counters of one instance since the start or the last clear.
type Stats struct {
	AdvertRcvd, AdvertSent                                                  uint64
	BecomeMaster, ReleaseMaster                                             uint64
	PacketLenErr, AdvertIntervalErr, IPTTLErr, InvalidTypeRcvd, AddrListErr uint64
	InvalidAuthType, AuthTypeMismatch, AuthFailure                          uint64
	AuthExtMissing, AuthExtMalformed, AuthExtUnknownKey, AuthExtInvalidHMAC uint64
	AuthExtStale, AuthExtReplay                                             uint64
	PriZeroRcvd, PriZeroSent                                                uint64
}

// Group is a sync group.
type Group struct {
	model.SyncGroup
	State         model.State
	Faults, Inits int // members in FAULT, and waiting for a first script result
}

// Script is a vrrp_script.
type Script struct {
	model.TrackScript
	Result int  // 0..Rise+Fall-1; good from Rise up
	Known  bool // there was a result
	Run    RunState
}

// File is a track_file.
type File struct {
	model.TrackFile
	Value int // what it holds
}

// Process is a vrrp_track_process.
type Process struct {
	model.TrackProcess
	Current                   int  // processes
	Quorum                    bool // there are enough, and not too many
	ForkTimer, TerminateTimer bool // that delay runs
}

// RunState says what the program of a script does.
type RunState uint8

const (
	Idle RunState = iota
	Running
	Terminating // SIGTERM was sent
	Killing     // SIGKILL was sent
)

// Interface is a network interface. Who tracks it is found in the instances.
type Interface struct {
	Name           string
	Namespace      string // as of model.Instance
	Index          int
	IPv4, IPv6     netip.Addr // those that instances without a configured source use; zero: none
	MAC, Broadcast net.HardwareAddr
	Flags          net.Flags
	Kind, Mode     string // of a macvlan or ipvlan: "macvlan", "private", …
	Under          string // and the interface that it sits on; empty: none
	UnderFlags     net.Flags
	Made           bool // by us
	MTU            int
	Group          uint32
	HWType         string // "ETHERNET", "LOOPBACK", …
	SeenUp         bool
	DebounceUp     time.Duration
	DebounceDown   time.Duration
	DelayedChange  bool // a change waits for its debounce time
	Polled         bool // its link is polled, by Method
	Method         model.LinkMethod
}

// Service is a virtual server with its real servers.
type Service struct {
	model.VirtualServer
	Up      bool   // has its quorum
	SorryUp bool   // the sorry server is in the kernel
	State   []Real // of VirtualServer.Real, in that order
}

// Real is the state of a real server.
type Real struct {
	Up       bool // no checker says otherwise
	InKernel bool
	Weight   int64   // effective
	Checks   []Check // state of RealServer.Checks, in that order
}

// Check is the state of a checker.
type Check struct {
	Up       bool
	HasRun   bool      // there was a first result
	Retries  uint32    // failures since the last success
	Offset   int64     // MISC_CHECK: what it adds to the weight
	LastRun  time.Time // MISC_CHECK; zero: never
	LastExit int       // MISC_CHECK
}
