package model

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// LVS is everything that concerns IPVS and the health checkers.
type LVS struct {
	Groups   []ServerGroup
	Services []VirtualServer
	Files    []TrackFile // those that a FILE_CHECK is about
	TLS      TLSClient   // SSL block

	Flush            bool        // lvs_flush, at start only
	FlushOnStop      FlushOnStop // lvs_flush_on_stop
	RSInitNotifies   bool        // rs_init_notifies
	LogAllFailures   bool        // checker_log_all_failures
	NoCheckerEmails  bool        // no_checker_emails: mails about a real server only if it really comes or goes
	TimeoutTCP       time.Duration
	TimeoutTCPFin    time.Duration
	TimeoutUDP       time.Duration // lvs_timeouts; 0: the kernel's
	DontReleaseAtEnd bool          // -I
	NoRepair         bool          // lvs_no_repair: what others change stays

	Sync          *SyncDaemon // lvs_sync_daemon; nil: none
	NFTables      NFTables    // nftables_ipvs
	CommandBuffer RxBuf       // lvs_netlink_cmd_rcv_bufs
	MonitorBuffer RxBuf       // lvs_netlink_monitor_rcv_bufs
}

// SyncDaemon says how the kernel synchronises connections with other directors. Zero stands for the kernel's default, but in ID.
type SyncDaemon struct {
	Interface string
	Instance  string // whose state decides between sending and receiving; empty: both
	ID        uint8  // default the VRID of Instance
	MaxLen    uint16 // bytes of a packet
	Group     netip.Addr
	Port      uint16
	TTL       uint8
}

// NFTables says how groups without marks are served: their addresses get a mark in an nftables map, and the kernel's service is by mark.
type NFTables struct {
	Table    string // nftables_ipvs; empty: one kernel service for each address
	Priority int    // nftables_ipvs_priority
	Mark     uint32 // nftables_ipvs_start_fwmark: the first that is used
	Counters bool   // nftables_counters
}

// FlushOnStop says how the table is emptied at the end (ipvs.md §4).
type FlushOnStop uint8

const (
	FlushNone FlushOnStop = iota
	FlushVS               // delete the services, the kernel drops their destinations
	FlushAll              // one flush of the whole table, entries of others included
)

// TLSClient is the SSL block: what all SSL_GET checkers present to servers.
type TLSClient struct {
	Password             Secret
	CA, Certificate, Key string // file names
}

// Protocol is a transport protocol number; 0 for firewall-mark services.
type Protocol uint8

const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	case 0:
		return "none"
	}
	return "?"
}

// ServerGroup is one virtual_server_group: entries as written, in order.
type ServerGroup struct {
	Name    string
	Entries []GroupEntry
}

// GroupEntry is an inclusive range of addresses with one port, or a firewall mark.
type GroupEntry struct {
	First, Last netip.Addr
	FWMark      uint32
	Port        uint16
	IsFWMark    bool
	Family      Family // of a mark; 0: that of the virtual server
}

// ServiceKey is the identity of a virtual server over a reload (ipvs.md §1).
type ServiceKey struct {
	Group    string
	Protocol Protocol
	Addr     netip.Addr
	Port     uint16
	FWMark   uint32
	Family   Family
}

// Forward is a forwarding method with the kernel's number.
type Forward uint8

const (
	NAT Forward = 0
	TUN Forward = 2
	DR  Forward = 3
)

// Tunnel says how TUN encapsulates.
type Tunnel struct {
	Type  TunnelType
	Port  uint16 // gue only
	Flags uint16 // 0 nocsum, 1 csum, 2 remcsum
}

// TunnelType has the kernel's numbers.
type TunnelType uint8

const (
	IPIP TunnelType = 0
	GUE  TunnelType = 1
	GRE  TunnelType = 2
)

// Method is a forwarding method and, for TUN, its encapsulation.
type Method struct {
	Forward Forward
	Tunnel  Tunnel
}

// Flags of a kernel service (ip_vs.h); FlagPersistent is set from Persistence.
const (
	FlagPersistent = 0x01
	FlagOnePacket  = 0x04
	FlagSched1     = 0x08
	FlagSched2     = 0x10
	FlagSched3     = 0x20
)

// VirtualServer is one virtual_server.
type VirtualServer struct {
	Addr     netip.Addr // address service
	Port     uint16
	FWMark   uint32
	IsFWMark bool
	Group    string // group service
	Seq      int    // number among the services of the group, in file order: printed as [GROUP]:SEQ
	Protocol Protocol
	Family   Family

	Scheduler   string
	Flags       uint32
	Persistence time.Duration // 0: off
	Mask4       netip.Addr    // persistence_granularity of IPv4, which need not be contiguous; zero: 255.255.255.255
	Prefix6     int           // persistence_granularity of IPv6, 1..128; 0: 128
	Engine      string        // persistence_engine

	Quorum, Hysteresis uint32
	QuorumUp           *Script
	QuorumDown         *Script
	Alpha, Omega       bool
	HASuspend          bool
	TrackVRRP          string // name of the VRRP instance that has to be master; empty: none
	SMTPAlert          bool
	VirtualHost        string
	SNMPName           string // snmp_name

	Sorry *RealServer // sorry_server: address, port, method, inhibit
	Real  []RealServer
}

// RealServer is one real_server after inheritance, with its port already corrected for the forwarding method.
type RealServer struct {
	Addr        netip.Addr
	Port        uint16
	Weight      int64 // 0..2147483647
	Method      Method
	UThreshold  uint32
	LThreshold  uint32
	Inhibit     bool          // inhibit_on_failure
	SlowStart   time.Duration // of a server that comes up; 0: at once
	Alpha       bool
	SMTPAlert   bool
	VirtualHost string
	SNMPName    string // snmp_name
	NotifyUp    *Script
	NotifyDown  *Script
	Checks      []Check
}

// CheckKind is a checker's keyword.
type CheckKind string

const (
	TCPCheck  CheckKind = "TCP_CHECK"
	HTTPGet   CheckKind = "HTTP_GET"
	SSLGet    CheckKind = "SSL_GET"
	MiscCheck CheckKind = "MISC_CHECK"
	SMTPCheck CheckKind = "SMTP_CHECK"
	DNSCheck  CheckKind = "DNS_CHECK"
	UDPCheck  CheckKind = "UDP_CHECK"
	PingCheck CheckKind = "PING_CHECK"
	FileCheck CheckKind = "FILE_CHECK" // run by nobody: it is what the file says
	BFDCheck  CheckKind = "BFD_CHECK"  // the same of a BFD session
	GRPCCheck CheckKind = "GRPC_CHECK" // keepalived does not know it
)

// Check is one checker: when to probe, and what the probe does.
type Check struct {
	Kind             CheckKind
	Alpha            bool
	Retry            uint32
	DelayLoop        time.Duration
	DelayBeforeRetry time.Duration
	Warmup           time.Duration
	LogAllFailures   bool

	Conn Connect // all but MISC_CHECK
	SMTP SMTPOpts
	DNS  DNSOpts
	BFD  BFDOpts

	// The larger options are there in checkers of their kind only, which may be tens of thousands.
	HTTP *HTTPOpts // HTTP_GET, SSL_GET
	Misc *MiscOpts // MISC_CHECK
	UDP  *UDPOpts  // UDP_CHECK
	File *FileOpts // FILE_CHECK
	GRPC *GRPCOpts // GRPC_CHECK
	TLS  *TLSOpts  // HTTP_GET, SSL_GET, GRPC_CHECK
}

// Connect says how a checker reaches its server.
type Connect struct {
	Dst     netip.AddrPort
	Bind    netip.AddrPort // zero address: the kernel chooses
	BindIf  string
	Mark    uint32
	Timeout time.Duration
}

// HTTPOpts are the options of HTTP_GET and SSL_GET; host names and SNI are resolved per url.
type HTTPOpts struct {
	Protocol     HTTPProtocol
	FastRecovery bool
	URLs         []URL
}

// HTTPProtocol is the http_protocol keyword.
type HTTPProtocol string

const (
	HTTP10  HTTPProtocol = "1.0"
	HTTP10C HTTPProtocol = "1.0C"
	HTTP11  HTTPProtocol = "1.1"
	HTTP2   HTTPProtocol = "2" // keepalived does not know it
)

// URL is one url block.
type URL struct {
	Path        string
	VirtualHost string // Host header; empty: the connect address and port
	SNI         string // empty: none sent
	Digest      []byte // MD5 of the body; nil: not checked
	Status      []StatusRange
	TLSClose    bool // tls_compliant
	Regex       string
	RegexNot    bool
	RegexOpts   []string
	RegexMin    int
	RegexMax    int // 0: no limit

	// What keepalived does not know.
	Method    string   // empty: GET
	Headers   []Secret // "Name: value"; there may be tokens in it
	Body      Secret
	JSON      bool     // the body has to be JSON, and
	JSONPath  []string // names, and indices of arrays, to a value in it that
	JSONExact bool     // is JSONValue; otherwise it has to be there, and neither null nor false
	JSONValue string
}

// StatusRange is an inclusive range of HTTP status codes.
type StatusRange struct{ First, Last int }

// MiscOpts are the options of MISC_CHECK.
type MiscOpts struct {
	Script  Script
	Timeout time.Duration
	Dynamic bool
}

// SMTPOpts are the options of SMTP_CHECK.
type SMTPOpts struct {
	HELO string // name told to the server
}

// DNSOpts are the options of DNS_CHECK.
type DNSOpts struct {
	Type DNSType
	Name string // without the trailing dot; empty: the root
}

// DNSType is a query type with its number on the wire.
type DNSType uint16

// The query types that DNS_CHECK knows (RFC 1035 §3.2.2, RFC 3596 §2.1, RFC 4034 §2 and §3).
const (
	DNSTypeA      DNSType = 1
	DNSTypeNS     DNSType = 2
	DNSTypeCNAME  DNSType = 5
	DNSTypeSOA    DNSType = 6
	DNSTypeMX     DNSType = 15
	DNSTypeTXT    DNSType = 16
	DNSTypeAAAA   DNSType = 28
	DNSTypeRRSIG  DNSType = 46
	DNSTypeDNSKEY DNSType = 48
)

// DNSTypes are their names.
var DNSTypes = map[string]DNSType{
	"A": DNSTypeA, "NS": DNSTypeNS, "CNAME": DNSTypeCNAME, "SOA": DNSTypeSOA, "MX": DNSTypeMX, "TXT": DNSTypeTXT,
	"AAAA": DNSTypeAAAA, "RRSIG": DNSTypeRRSIG, "DNSKEY": DNSTypeDNSKEY,
}

func (t DNSType) String() string {
	for name, n := range DNSTypes {
		if n == t {
			return name
		}
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}

// UDPOpts are the options of UDP_CHECK.
type UDPOpts struct {
	Payload     []byte // nil: keepalived's text
	NeedReply   bool
	Reply, Mask []byte // what a reply has to begin with, in the bits that are set in Mask; nil: anything
	Least, Most int    // length of a reply in bytes; only looked at together with Reply
}

// FileOpts are the options of FILE_CHECK: the number in the file, times Weight, is added to the weight of the server.
type FileOpts struct {
	Name, Path string // of the track_file
	Weight     int    // ±2147483647; 0: any number but 0 fails the server
	Reverse    bool   // the other way round
}

// BFDOpts are the options of BFD_CHECK.
type BFDOpts struct {
	Name string // of the bfd_instance
}

// TLSOpts say what a checker expects of a TLS server, beyond what keepalived does.
type TLSOpts struct {
	Verify        bool   // the certificate has to be valid
	CA            string // file of the authorities; empty: those of the system
	Cert, Key     string // files of the client certificate; empty: those of TLSClient
	ExpiryWarning time.Duration
}

// GRPCOpts are the options of GRPC_CHECK.
type GRPCOpts struct {
	Service string // empty: the server as a whole
	TLS     bool
	Host    string // in :authority; empty: the connect address and port
}

// Key returns the identity of the virtual server over a reload.
func (v *VirtualServer) Key() ServiceKey {
	switch {
	case v.Group != "":
		return ServiceKey{Group: v.Group, Protocol: v.Protocol, Family: v.Family}
	case v.IsFWMark:
		return ServiceKey{FWMark: v.FWMark, Family: v.Family}
	}
	return ServiceKey{Addr: v.Addr, Port: v.Port, Protocol: v.Protocol, Family: v.Family}
}

// String is keepalived's name of the service in logs, FIFO lines and mails (ipvs.md §1).
func (v *VirtualServer) String() string {
	switch {
	case v.Group != "":
		return fmt.Sprintf("[%s]:%d", v.Group, v.Seq)
	case v.IsFWMark:
		return fmt.Sprintf("FWM %d", v.FWMark)
	}
	return fmt.Sprintf("[%s]:%s:%d", v.Addr, v.Protocol, v.Port)
}

// Name is keepalived's name of the real server within service v.
func (r *RealServer) Name(v *VirtualServer) string {
	p := v.Protocol
	if v.IsFWMark {
		p = 0
	}
	return fmt.Sprintf("[%s]:%s:%d", r.Addr, p, r.Port)
}

// SameProbe reports whether two checkers probe the same in the same way, so that over a reload what one found holds for the other.
// When and how often they probe does not matter, nor does HTTP against TLS (ipvs.md §11); a changed mail, DNS or UDP option is
// another probe.
func (c *Check) SameProbe(o *Check) bool {
	web := func(k CheckKind) bool { return k == HTTPGet || k == SSLGet }
	if c.Kind != o.Kind && !(web(c.Kind) && web(o.Kind)) {
		return false
	}
	return c.Conn == o.Conn && c.SMTP == o.SMTP && c.DNS == o.DNS && c.BFD == o.BFD &&
		same(c.Misc, o.Misc, func(a, b *MiscOpts) bool { return a.Dynamic == b.Dynamic && slices.Equal(a.Script.Args, b.Script.Args) }) &&
		same(c.File, o.File, func(a, b *FileOpts) bool { return a.Path == b.Path }) &&
		same(c.GRPC, o.GRPC, func(a, b *GRPCOpts) bool { return *a == *b }) &&
		same(c.TLS, o.TLS, func(a, b *TLSOpts) bool { return *a == *b }) &&
		same(c.UDP, o.UDP, func(a, b *UDPOpts) bool { return reflect.DeepEqual(a, b) }) &&
		same(c.HTTP, o.HTTP, func(a, b *HTTPOpts) bool {
			return (a.Protocol == HTTP2) == (b.Protocol == HTTP2) && slices.EqualFunc(a.URLs, b.URLs, func(a, b URL) bool {
				a.TLSClose, b.TLSClose = false, false
				return reflect.DeepEqual(a, b)
			})
		})
}

// same compares options, of which those that are not there are as good as zero ones.
func same[T any](a, b *T, equal func(a, b *T) bool) bool {
	var zero T
	return equal(cmp.Or(a, &zero), cmp.Or(b, &zero))
}
