package model

import (
	"net/netip"
	"time"
)

// VRRP is everything that concerns VRRP.
type VRRP struct {
	Instances              []Instance
	Groups                 []SyncGroup
	Scripts                []TrackScript  // only those that something tracks
	Files                  []TrackFile    // only those that something tracks
	Processes              []TrackProcess // only those that something tracks
	Statics                Objects
	TrackGroups            []TrackGroup
	IPRouteUsr, IPRouteEtc string      // iproute_usr_dir, iproute_etc_dir; only to be shown
	GARPDelay              []GARPDelay // garp_group blocks; the one without interfaces, if any, is the global vrrp_garp_interval, counted per interface

	LogUnknownVRIDs bool
	StartupDelay    time.Duration // vrrp_startup_delay
	DelayAfterBoot  time.Duration // vrrp_delay_after_boot
	FlightRecorder  int           // vrrp_flight_recorder: transitions kept of each instance; 0: off

	CommandRxBuf RxBuf // vrrp_netlink_cmd_rcv_bufs
	MonitorRxBuf RxBuf // vrrp_netlink_monitor_rcv_bufs
	ProcessRxBuf RxBuf // process_monitor_rcv_bufs

	Filter           Filter
	DisableLocalIGMP bool       // disable_local_igmp
	VMACPrefix       string     // vmac_prefix; only to be shown
	VMACAddrPrefix   string     // vmac_addr_prefix; only to be shown
	ExtraIf          ExtraIf    // vrrp_garp_extra_if; only to be shown
	Linkbeat         []Linkbeat // linkbeat_interfaces
	LinkbeatAll      bool       // linkbeat_use_polling: all others too that something depends on

	// RxBufs is vrrp_rx_bufs_policy, by which instances are given RxBuf.
	RxBufs RxBufPolicy

	// IfDebounce: interface_up_down_delays by interface name.
	IfDebounce []Debounce
}

// RxBufPolicy says how large receive buffers for adverts are made; only to be shown.
type RxBufPolicy struct {
	MTU, Advert bool
	Bytes       int
	Multiplier  int // of MTU or Advert; 0: 3
}

// TrackGroup is one track_group: instances that fail with the interfaces of static entries.
type TrackGroup struct {
	Name    string
	Members []string // instance names
}

// Linkbeat is an interface whose link is polled.
type Linkbeat struct {
	Interface string
	Namespace string // as of Instance
	By        LinkMethod
}

// LinkMethod is a way of asking an interface for its link.
type LinkMethod uint8

const (
	LinkAuto    LinkMethod = iota // whichever works, in the order below
	LinkMII                       // the transceiver's status register
	LinkEthtool                   // ETHTOOL_GLINK
	LinkIoctl                     // the interface's flags
)

func (m LinkMethod) String() string {
	return [...]string{"any", "MII", "ETHTOOL", "IOCTL"}[m]
}

// RxBuf is the size of a socket's receive buffer.
type RxBuf struct {
	Bytes int  // 0: the program's choice
	Force bool // also above the system's limit (net.core.rmem_max)
}

// Debounce delays acting on changes of an interface's link state.
type Debounce struct {
	Interface string
	Down, Up  time.Duration
}

// GARPDelay limits the rate of gratuitous ARP and NA on a set of interfaces (vrrp.md §8.3).
type GARPDelay struct {
	Interfaces  []string // empty: every interface in no other group
	ARPInterval time.Duration
	NAInterval  time.Duration
}

// InstanceKey says which instance of an old and a new configuration are the same virtual router (vrrp.md §17.2): not the name.
type InstanceKey struct {
	VRID      uint8
	Family    Family
	Interface string
	Namespace string    // in which Interface is
	VLink     VLinkKind // runs on a VMAC or an ipvlan
	AddrVMAC  bool      // use_vmac_addr
	Unicast   bool
	Source    netip.Addr // unicast only
	Group     netip.Addr // multicast only
	Peers     string     // unicast only: the sorted peers, since one VRID may serve several peer sets on one source; see Match
}

// State is a state of the VRRP machine with keepalived's numbers (JSON, D-Bus, SNMP).
type State uint8

const (
	Init    State = 0
	Backup  State = 1
	Master  State = 2
	Fault   State = 3
	Deleted State = 97
	Stop    State = 98
)

func (s State) String() string {
	switch s {
	case Init:
		return "INIT"
	case Backup:
		return "BACKUP"
	case Master:
		return "MASTER"
	case Fault:
		return "FAULT"
	case Deleted:
		return "DELETED"
	case Stop:
		return "STOP"
	}
	return "UNKNOWN"
}

// AuthType is the VRRPv2 authentication type with its number on the wire.
type AuthType uint8

const (
	AuthNone AuthType = 0
	AuthPass AuthType = 1
	AuthAH   AuthType = 2
)

// Secret is a key or password; it prints masked so that it cannot reach a log, a dump or a panic.
type Secret []byte

func (Secret) String() string   { return "********" }
func (Secret) GoString() string { return "********" }

// MarshalText masks it in JSON and logs; gob, which the loader sends the model in, has the bytes.
func (Secret) MarshalText() ([]byte, error) { return []byte("********"), nil }

// Instance is one vrrp_instance.
type Instance struct {
	Name      string
	Interface string // may be empty for unicast with a source address; the configured one, on which VLink sits
	VRF       string // vrf, of an instance without interface

	// NetNamespace is the network namespace of all that the instance has and needs of the network: a name below /run/netns, or a path;
	// empty: that of the process.
	NetNamespace string

	Family    Family
	VRID      uint8
	Version   int   // 2 or 3
	Initial   State // Master or Backup: state
	Priority  uint8 // base priority; 255: address owner
	AdvertInt time.Duration

	VLink      VLink   // use_vmac, use_ipvlan
	XmitBase   bool    // vmac_xmit_base
	AddrVMAC   bool    // use_vmac_addr
	AddrVLinks []VLink // VMACs of single addresses: use_vmac_addr, use_vmac of an address
	ExtraIf    ExtraIf // garp_extra_if

	DownTimerAdverts int // 1..100

	SourceAddr      netip.Addr // mcast_src_ip or unicast_src_ip; zero: the interface's own address
	TrackSourceAddr bool       // track_src_ip
	Group           netip.Addr // multicast destination; ignored when Peers is not empty
	Peers           []Peer     // unicast mode if not empty
	UnicastTTL      int        // 0: default (IPv4 255, IPv6 the kernel's)
	CheckUnicastSrc bool
	NoVIP           bool // no_virtual_ipaddress: an instance without addresses is meant so

	AuthType      AuthType
	AuthPass      Secret // at most 8 bytes
	HMAC          HMAC   // auth_hmac
	V3ChecksumV2  bool   // v3_checksum_as_v2
	OldUnicastSum OldChecksum

	Strict            bool
	Accept            bool
	VIPs              []Address // in configuration order, all of Family
	ExcludedVIPs      []Address // may mix families
	Routes            []Route   // virtual_routes, in configuration order
	Rules             []Rule    // virtual_rules
	PromoteSecondary  bool
	NoPreempt         bool
	PreemptDelay      time.Duration
	SkipCheckAdvAddr  bool
	LowerPrioNoAdvert bool
	HigherPrioAdvert  bool // higher_prio_send_advert
	OwnerIgnoreAdvert bool // owner_ignore_adverts
	TimerExpired      int  // timer_expired_backup: highest priority of any other node, 1..254; 0: off

	GARP GARP

	Lease      time.Duration // vip_lease: whole seconds; 0: the addresses stay until they are removed
	StallGuard bool          // stall_guard, or implied by Lease

	TrackInterfaces  []Track
	TrackScripts     []Track
	TrackFiles       []Track
	TrackProcesses   []Track
	DontTrackPrimary bool
	StaticInterfaces []string // of the static entries whose track_group has the instance; tracked with weight 0

	// ConfigFault, if not empty, says why the instance stays in FAULT for good.
	ConfigFault string

	NotifyMaster, NotifyBackup, NotifyFault, NotifyStop, NotifyDeleted, NotifyLowerPrio *Script
	Notify                                                                              *Script
	NotifyDeletedState                                                                  bool // notify_deleted: report DELETED, not FAULT
	NotifyPriority                                                                      bool
	SMTPAlert                                                                           bool

	RxBufSize int // kernel_rx_buf_size; 0: kernel default
	RxBuf     int // bytes that the instance adds to the receive buffer of its socket
}

// HMAC is auth_hmac: adverts carry a keyed trailer (keepalived 2.4.2).
type HMAC struct {
	Keys      []HMACKey // all that a received advert may have
	Active    uint8     // the one to send with; 0: no auth_hmac
	Window    time.Duration
	Monotonic bool // anti_replay monotonic: clocks need not agree
	Mode      HMACMode
}

// On reports whether auth_hmac is in use.
func (h *HMAC) On() bool { return h.Active != 0 }

// HMACKey is one key, of 32 to 64 bytes.
type HMACKey struct {
	ID  uint8 // 1..255
	Key Secret
}

// HMACMode says what adverts without a trailer mean. One with a bad trailer is always dropped.
type HMACMode uint8

const (
	HMACEnforce     HMACMode = iota // they are dropped
	HMACPermissive                  // they are accepted
	HMACReceiveOnly                 // they are accepted, and our own are such
)

func (m HMACMode) String() string {
	return [...]string{"enforce", "permissive", "receive-only"}[m]
}

// Peer is one unicast peer and the TTLs that its adverts may have.
type Peer struct {
	Addr           netip.Addr
	MinTTL, MaxTTL int // 0, 255 when not limited
}

// OldChecksum is the old_unicast_checksum mode (vrrp.md §1.4).
type OldChecksum uint8

const (
	ChecksumDetect OldChecksum = iota // the default: recognise an old peer
	ChecksumOld
	ChecksumNever
)

// GARP says how often gratuitous ARP and unsolicited NA are sent (vrrp.md §8.1). A zero repeat or delay switches that block off.
type GARP struct {
	MasterDelay      time.Duration
	MasterRepeat     int
	MasterRefresh    time.Duration
	RefreshRepeat    int
	LowerPrioDelay   time.Duration
	LowerPrioRepeat  int
	ContentionRepeat int // garp_contention_repeat: after a rival master has fallen silent
}

// Track is one entry of a track_* block.
type Track struct {
	Name    string
	Weight  int // 0: a failure is a fault
	Reverse bool
}

// TrackScript is one vrrp_script.
type TrackScript struct {
	Name              string
	Script            Script
	Check             *Check // track_tcp, track_http, …: a probe in place of the script
	Interval, Timeout time.Duration
	Rise, Fall        int
	InitFail          bool // accepted; inert, as in keepalived (vrrp.md §13.2)

	// For the state dump alone.
	Weight         int // for who tracks it without a weight of its own
	Reverse        bool
	DefaultTimeout bool // Timeout is not configured
}

// TrackFile is one track_file: a file that holds a number, which each Track of it multiplies by its weight.
type TrackFile struct {
	Name      string
	Path      string
	Weight    int // for who tracks it without a weight of its own; only to be shown
	Reverse   bool
	Init      bool // init_file: at the start the file is made with InitValue if it is absent, or in any case with Overwrite
	InitValue int
	Overwrite bool
}

// TrackProcess is one vrrp_track_process: a program of which a number of processes have to run.
type TrackProcess struct {
	Name        string
	Process     string   // the name that the kernel has for the process, at most 15 bytes; with FullCommand the first word of its command line
	Args        []string // what ParamMatch compares with
	ParamMatch  ParamMatch
	FullCommand bool
	Weight      int // for who tracks it without a weight of its own; only to be shown
	Reverse     bool
	Quorum      int           // processes needed, from 0 on
	QuorumMax   int           // most processes allowed; negative: any number
	Fork        time.Duration // fork_delay: how long there have to be enough before it counts
	Terminate   time.Duration // terminate_delay: the same for too few, or too many
}

// ParamMatch says how the arguments of a process are compared with TrackProcess.Args.
type ParamMatch uint8

const (
	ParamNone    ParamMatch = iota // not at all
	ParamExact                     // they are the same
	ParamPartial                   // they begin with those
	ParamInitial                   // they begin with those, and the last of those is the beginning of its counterpart
)

func (p ParamMatch) String() string {
	switch p {
	case ParamExact:
		return "exact"
	case ParamPartial:
		return "partial"
	case ParamInitial:
		return "initial"
	}
	return "none"
}

// Address is one virtual address.
type Address struct {
	Prefix       netip.Prefix // address and prefix length, host bits kept
	Interface    string
	Label        string     // IPv4
	Scope        uint8      // rtnetlink scope number; 0 global
	Broadcast    netip.Addr // zero: none
	Peer         netip.Prefix
	NoDAD        bool // IPv6: set unless -nodad was written
	Home         bool
	MngTmpAddr   bool
	NoPrefixRt   bool
	AutoJoin     bool
	PreferredLft uint32 // IPv6 seconds; LifetimeForever: for ever
	Lease        uint32 // vip_lease: seconds until the kernel removes it unless it is renewed; 0: never
	NoTrack      bool
	UseVMAC      bool   // written; Interface says where it led to
	TrackGroup   string // of static ones
}

// LifetimeForever is the kernel's value of an endless address lifetime.
const LifetimeForever = 0xffffffff

// SyncGroup is one vrrp_sync_group.
type SyncGroup struct {
	Name            string
	Members         []string // instance names, in configuration order
	TrackInterfaces []Track
	TrackScripts    []Track
	TrackFiles      []Track
	TrackProcesses  []Track
	TrackingWeight  bool // sync_group_tracking_weight

	NotifyMaster, NotifyBackup, NotifyFault, NotifyStop, Notify *Script
	NotifyPriority                                              bool
	SMTPAlert                                                   bool
}

// Key returns the identity of the instance over a reload.
func (i *Instance) Key() InstanceKey {
	k := InstanceKey{VRID: i.VRID, Family: i.Family, Interface: i.Interface, Namespace: i.NetNamespace, VLink: i.VLink.Kind, AddrVMAC: i.AddrVMAC,
		Unicast: len(i.Peers) > 0}
	if k.Unicast {
		k.Source = i.SourceAddr
		k.Peers = peerKey(i.Peers)
	} else {
		k.Group = i.Group
	}
	return k
}
