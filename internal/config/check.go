package config

import (
	"math"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Checker is the block of one checker of any kind: what all have in common, and the options of its kind.
type Checker struct {
	Kind    model.CheckKind
	At, End source.Pos
	Run     int // the number in the model's server of its check, or of the last that it stands for, from 1; 0: it is not run

	timing
	Alpha, LogAllFailures opt[bool]

	// All but MISC_CHECK, FILE_CHECK and BFD_CHECK.
	ConnectIP, BindTo     opt[netip.Addr]
	ConnectPort, BindPort opt[int]
	BindIf                opt[string]
	ConnectSeen           source.Pos // the last connect_ip, right or wrong
	FWMark                opt[int]

	Web  webOptions
	TLS  tlsOptions // SSL_GET, GRPC_CHECK
	Misc miscOptions

	Payload, Reply     opt[hexBytes]      // UDP_CHECK
	MinReply, MaxReply opt[int]           // UDP_CHECK
	DNSType            opt[model.DNSType] // DNS_CHECK
	DNSName            opt[string]        // DNS_CHECK
	HELO               opt[string]        // SMTP_CHECK
	Hosts              []*Checker         // SMTP_CHECK: servers asked in place of the real server, each by a checker of its own
	TrackFile          opt[string]        // FILE_CHECK
	FileWeight         opt[weight]        // FILE_CHECK
	BFDName            opt[string]        // BFD_CHECK
	GRPCService        opt[string]        // GRPC_CHECK
	GRPCTLS            opt[bool]          // GRPC_CHECK
}

const noChecker = "the checker is not run, its real server is treated as if it had none of this kind"

// checkerKind is what Resolve has to know of a kind.
type checkerKind struct {
	connects         bool // has the connection keywords
	pending          bool // not run yet
	retry            int
	delayBeforeRetry time.Duration // 0: delay_loop
}

var checkerKinds = map[model.CheckKind]checkerKind{
	model.TCPCheck:  {connects: true, retry: 1, delayBeforeRetry: time.Second},
	model.HTTPGet:   {connects: true, retry: 1, delayBeforeRetry: 3 * time.Second},
	model.SSLGet:    {connects: true, retry: 1, delayBeforeRetry: 3 * time.Second},
	model.MiscCheck: {retry: 0, delayBeforeRetry: time.Second},
	model.SMTPCheck: {connects: true, retry: 1, delayBeforeRetry: time.Second},
	model.DNSCheck:  {connects: true, retry: 3},
	model.UDPCheck:  {connects: true, retry: 1, delayBeforeRetry: time.Second},
	model.PingCheck: {connects: true, retry: 1, delayBeforeRetry: time.Second},
	model.FileCheck: {},
	model.GRPCCheck: {connects: true, retry: 1, delayBeforeRetry: time.Second},
	model.BFDCheck:  {pending: true},
}

// checkerRows are the checkers of a real server; any number of each is possible.
func checkerRows() schema.Rows[RealServer] {
	return schema.Rows[RealServer]{
		checkerRow(model.TCPCheck, tcpTable, "A connection can be made."),
		checkerRow(model.HTTPGet, httpTable, "Pages come with the right status and digest."),
		checkerRow(model.SSLGet, sslGetTable, "The same over TLS."),
		checkerRow(model.MiscCheck, miscTable, "A script says so."),
		checkerRow(model.SMTPCheck, smtpTable, "A mail server greets."),
		checkerRow(model.DNSCheck, dnsTable, "A name server answers without an error."),
		checkerRow(model.UDPCheck, udpTable, "A datagram is answered, or at least not refused."),
		checkerRow(model.PingCheck, pingTable, "ICMP echo is answered."),
		checkerRow(model.GRPCCheck, grpcTable, "A gRPC server says that it serves (grpc.health.v1).").Ours(),
		checkerRow(model.FileCheck, fileTable, "The number in a tracked file says so."),
		checkerRow(model.BFDCheck, bfdCheckTable, "A BFD session is up.").Pending(noChecker),
	}
}

func checkerRow(kind model.CheckKind, table *schema.Table[Checker], doc string) *schema.Keyword[RealServer] {
	return schema.Block(string(kind), "", func(s *RealServer, n *syntax.Node, _ *source.Report) *Checker {
		c := &Checker{Kind: kind, At: n.At(), End: n.End}
		table.Init(c)
		s.Checkers = append(s.Checkers, c)
		return c
	}, table, doc)
}

type crows = schema.Rows[Checker]

// everyChecker are the keywords of all checkers with a rhythm of their own.
func everyChecker() crows {
	return concat(timingRows(0, func(c *Checker) *timing { return &c.timing }), crows{
		alphaRow(),
		schema.Inherited("log_all_failures", schema.Bool, func(c *Checker) *opt[bool] { return &c.LogAllFailures },
			"Log every failure; default checker_log_all_failures."),
	})
}

func alphaRow() *schema.Keyword[Checker] {
	return schema.Inherited("alpha", schema.Bool, func(c *Checker) *opt[bool] { return &c.Alpha },
		"The server is down until the first success of this checker; default that of the server.")
}

// connecting are the keywords of checkers that open a connection.
func connecting() crows {
	return concat(everyChecker(), connectionRows())
}

func connectionRows() crows {
	return crows{
		schema.Inherited("connect_ip", schema.Addr, func(c *Checker) *opt[netip.Addr] { return &c.ConnectIP },
			"Address to connect to; default that of the server.").Begin(func(c *Checker, n *syntax.Node) { c.ConnectSeen = n.At() }),
		schema.Inherited("connect_port", schema.Int(1, math.MaxUint16), func(c *Checker) *opt[int] { return &c.ConnectPort },
			"Port to connect to; default that of the server."),
		schema.Inherited("bindto", schema.Addr, func(c *Checker) *opt[netip.Addr] { return &c.BindTo }, "Source address."),
		schema.Value("bind_port", schema.Int(1, math.MaxUint16), 0, func(c *Checker) *opt[int] { return &c.BindPort },
			"Source port; only together with bindto."),
		schema.Inherited("bind_if", schema.IfName, func(c *Checker) *opt[string] { return &c.BindIf },
			"Interface of the connection; link-local addresses need it."),
		connectTimeoutRow(func(c *Checker) *timing { return &c.timing }),
		schema.Value("fwmark", schema.Int(0, math.MaxUint32), 0, func(c *Checker) *opt[int] { return &c.FWMark },
			"Mark of the packets."),
	}
}

var (
	tcpTable  = schema.TableOf(connecting)
	pingTable = schema.TableOf(connecting)
)
