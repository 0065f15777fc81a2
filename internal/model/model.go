// Package model is the resolved configuration: plain comparable values, without positions, that every other part runs on.
//
// A Model travels from the loader to the worker in gob form, so no field may rely on the difference between a nil and a
// pointer to a zero scalar, and nil and empty slices mean the same.
package model

import (
	"net/netip"
	"time"
)

// Model is one whole configuration after defaults, inheritance and corrections.
type Model struct {
	Process Process
	VRRP    VRRP
	LVS     LVS
}

// Process holds what concerns the daemon as a whole. Fields marked "fixed" cannot change at a reload.
type Process struct {
	RouterID         string // router_id; default the host name
	Instance         string // instance; fixed
	NetNamespace     string // net_namespace or -s; fixed
	NetNamespaceIPVS string // net_namespace_ipvs; fixed; empty: as NetNamespace; or DefaultNamespace
	UsePIDDir        bool   // use_pid_dir; fixed
	ChildWaitTime    time.Duration
	Umask            int // -1: the default 0177
	DynamicInterface bool

	NotifyFIFO, VRRPNotifyFIFO, LVSNotifyFIFO FIFO
	FIFOStatesOnReload                        bool // fifo_write_vrrp_states_on_reload

	StartupScript, ShutdownScript               *Script
	StartupScriptTimeout, ShutdownScriptTimeout time.Duration

	VRRPSched, CheckerSched Scheduling

	JSONVersion int // 1 or 2

	Mail Mail
}

// DefaultNamespace is the network namespace of the system's first process.
const DefaultNamespace = "/"

// Mail says how alerts are mailed. None are without a server and a recipient.
type Mail struct {
	Server   netip.AddrPort // smtp_server; zero: none
	HELO     string         // smtp_helo_name; default the host name
	Timeout  time.Duration  // smtp_connect_timeout: of the connection, and of each reply
	From     Mailbox        // notification_email_from
	To       []Mailbox      // notification_email
	NoFaults bool           // no_email_faults: nothing about FAULT
}

// Mailbox is a sender or recipient of mails.
type Mailbox struct {
	Header string // as it stands in the header, with a display name quoted if it must be
	Addr   string // as it stands in the envelope
}

// Scheduling is the wish of one role for its place among the machine's processes.
type Scheduling struct {
	Nice       int           // *_priority, -20..19
	RTPriority int           // *_rt_priority, 1..99; 0: none
	RLimitRT   time.Duration // *_rlimit_rttime; 0: default
	CPUs       []int         // *_cpu_affinity; empty: all
	NoSwap     bool
}

// FIFO is a named pipe that notifications are written to, and the program that reads it.
type FIFO struct {
	Path     string // empty: not used
	UID, GID uint32 // owner given to a pipe that we create
	Script   *Script
}

// Script is a program to run and who runs it; paths and users are resolved.
type Script struct {
	Args     []string // Args[0] is the absolute path
	UID, GID uint32
	Groups   []uint32 // supplementary groups
}

// Family is an address family.
type Family uint8

const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of a; an IPv4-mapped address counts as IPv6, as it is written.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}
