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

// RealServer is a real_server block.
type RealServer struct {
	At, End source.Pos
	Run     int // its number in the service of the model, from 1, once that is made; 0: it is not run
	Addr    netip.AddrPort

	timing
	Weight                 opt[int]
	Method                 opt[model.Method]
	UThreshold, LThreshold opt[int]
	Inhibit, Alpha         opt[bool]
	SMTPAlert              opt[bool]
	VirtualHost, SNMPName  opt[string]
	NotifyUp, NotifyDown   opt[Command]
	SlowStart              opt[time.Duration]
	Checkers               []*Checker
}

func openRealServer(v *VirtualServer, n *syntax.Node, r *source.Report) *RealServer {
	addr, ok := readServerAddr(n, n.Args, r)
	if !ok {
		return nil
	}
	s := &RealServer{At: n.At(), End: n.End, Addr: addr}
	realServer.Init(s)
	v.Real = append(v.Real, s)
	return s
}

var realServer = schema.TableOf(func() schema.Rows[RealServer] {
	return concat(schema.Rows[RealServer]{
		schema.Inherited("weight", schema.Int(0, math.MaxInt32), func(s *RealServer) *opt[int] { return &s.Weight },
			"Share of the load; default that of the virtual server."),
		schema.Inherited("lvs_method", methodKind, func(s *RealServer) *opt[model.Method] { return &s.Method },
			"Forwarding method; default lb_kind."),
		schema.Value("uthreshold", schema.Int(0, math.MaxUint32), 0, func(s *RealServer) *opt[int] { return &s.UThreshold },
			"No new connections above this number of them; 0: no limit."),
		schema.Value("lthreshold", schema.Int(0, math.MaxUint32), 0, func(s *RealServer) *opt[int] { return &s.LThreshold },
			"New connections again below this number of them."),
		schema.Inherited("inhibit_on_failure", schema.Bool, func(s *RealServer) *opt[bool] { return &s.Inhibit },
			"A failed server gets weight 0 instead of being removed."),
		schema.Inherited("notify_up", command, func(s *RealServer) *opt[Command] { return &s.NotifyUp },
			"Run when the server comes up.").Quoted().FirstWins(),
		schema.Inherited("notify_down", command, func(s *RealServer) *opt[Command] { return &s.NotifyDown },
			"Run when the server goes down.").Quoted().FirstWins(),
		schema.Inherited("alpha", schema.Bool, func(s *RealServer) *opt[bool] { return &s.Alpha },
			"The server is down until its first successful check."),
		connectTimeoutRow(func(s *RealServer) *timing { return &s.timing }),
		schema.Inherited("smtp_alert", schema.Bool, func(s *RealServer) *opt[bool] { return &s.SMTPAlert },
			"Mails about this server; that of the service is about the quorum only."),
		replaced("virtualhost", true, false, func(s *RealServer) *opt[string] { return &s.VirtualHost }, "Host name of HTTP_GET and SSL_GET."),
		schema.Inherited("slow_start", schema.Seconds(0, time.Hour), func(s *RealServer) *opt[time.Duration] { return &s.SlowStart },
			"A server that comes up gets its weight little by little within this time.").Ours(),
		replaced("snmp_name", true, true, func(s *RealServer) *opt[string] { return &s.SNMPName }, "Name of the server in SNMP.").Pending(noSNMP),
	}, timingRows(1, func(s *RealServer) *timing { return &s.timing }), checkerRows())
})
