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
	NotifySerialize                           bool // notify_serialize: one script of an instance or group at a time

	StartupScript, ShutdownScript               *Script
	StartupScriptTimeout, ShutdownScriptTimeout time.Duration

	VRRPSched, CheckerSched, BFDSched Scheduling

	MaxAutoPriority   int           // max_auto_priority: the real-time priority is raised up to this when timers are late; <= 0: never
	AutoPriorityDelay time.Duration // min_auto_priority_delay: how late

	Names         Names // process_name and the like; they act at start
	Reload        Reload
	Dump          Dump
	ConfigSaveDir string // config_save_dir; empty: none
	RandomSeed    int    // random_seed, -1: none

	JSONVersion int // 1 or 2

	SNMP SNMP
	DBus DBus

	Mail Mail

	Defaults Defaults
}

// Sched is the place of the worker: that of VRRP if it runs VRRP, else that of the checkers.
func (p *Process) Sched(vrrp bool) Scheduling {
	if vrrp {
		return p.VRRPSched
	}
	return p.CheckerSched
}

// Names are those of processes, at most 15 bytes each; empty: the program's.
type Names struct{ Parent, VRRP, Checker, BFD string }

// Reload says what may cause a reload, and what comes with one.
type Reload struct {
	Check    bool   // reload_check_config: refuse what -t would not give 0
	CheckLog string // where the findings go; empty: nowhere
	TimeFile string // reload_time_file; empty: none
	Repeat   bool   // reload_repeat
	Mark     bool   // reload_file: there is a file while a reload is going on
	MarkFile string // its path; empty: beside the pid file
}

// SNMP says what an SNMP agent serves; there is none yet.
type SNMP struct {
	VRRP, RFCv2, RFCv3, Checker bool   // enable_snmp_vrrp, enable_snmp_rfc…, enable_snmp_checker
	Traps                       bool   // enable_traps
	Socket                      string // snmp_socket; empty: AgentX's own
	// snmp_vs_stats_update_interval and snmp_rs_…: how old statistics may be
	ServiceAge, ServerAge time.Duration
}

// DBus says what is offered on the bus; nothing is yet.
type DBus struct {
	Enabled     bool   // enable_dbus
	Name        string // dbus_service_name; empty: org.keepalived.Vrrp1
	NoInterface string // dbus_no_interface_name; empty: none
}

// Dump says where status files go besides the usual places.
type Dump struct {
	UseInstance bool   // data_use_instance: names of .data files tell namespace and instance
	State       string // state_dump_file, instead of keepalived.data; empty: as usual
	Stats, JSON string // stats_dump_file and json_dump_file: additional places; empty: none
}

// Defaults are what global_defs say that acts through other settings, which have inherited it. They are kept for the state dump alone.
type Defaults struct {
	SMTPAlert, SMTPAlertVRRP, SMTPAlertChecker string // "on", "off", "unset"

	SymlinkPaths, AllowIfChanges, ScriptSecurity bool
	Interface                                    string // default_interface
	ScriptUID, ScriptGID                         uint32 // of scripts after the last script_user

	V3ChecksumAsV2, NotifyPriority      bool
	McastGroup4, McastGroup6            netip.Addr
	GARP                                GARP
	GARPInterval, NAInterval            time.Duration
	DownTimerAdverts, Version           int
	LowerPrioNoAdvert, HigherPrioAdvert bool
	CheckUnicastSrc, SkipCheckAdvAddr   bool
	Strict, OwnerIgnoreAdverts          bool
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

	TLS            MailTLS // smtp_tls
	TLSName        string  // smtp_tls_name: whom the server's certificate must be for; default the host of smtp_server; empty without TLS
	TLSCAFile      string  // smtp_tls_ca_file: authorities (PEM); empty: those of the system
	AuthUser       string  // smtp_auth_user; empty: no authentication
	AuthPassword   Secret  // smtp_auth_password
	AuthWithoutTLS bool    // smtp_auth_without_tls: authenticate even if others can read along
}

// MailTLS is when the connection to a mail server becomes TLS.
type MailTLS uint8

const (
	NoTLS       MailTLS = iota
	StartTLS            // after the STARTTLS command (RFC 3207), without which no mail is sent
	ImplicitTLS         // at once (RFC 8314)
)

func (t MailTLS) String() string { return [...]string{"off", "starttls", "tls"}[t] }

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
	Guarded  bool     // enable_script_security: run it only if none but root could have altered it
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
