// Package probe asks a real server once whether it is alive, in a process of its own.
//
// Each kind of checker has a file with its Prober. Serve is the body of the prober process, which runs them on request and keeps
// no state; Spawn starts such a process for the worker and keeps it alive. When to probe, and what a result means, is decided in
// core/check.
package probe

import (
	"context"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Prober runs one kind of checker.
type Prober interface {
	// Probe asks once. It returns soon after ctx is done at the latest; it never retries.
	Probe(ctx context.Context, s *Spec) check.Result
}

// All has the prober of each kind of checker that a prober process runs. MISC_CHECK is not among them: its scripts are run by the
// worker, whose child they have to be.
var All = map[model.CheckKind]Prober{
	model.TCPCheck:  tcpCheck{},
	model.HTTPGet:   webGet{},
	model.SSLGet:    webGet{},
	model.SMTPCheck: smtpCheck{},
	model.DNSCheck:  dnsCheck{},
	model.UDPCheck:  udpCheck{},
	model.PingCheck: pingCheck{},
	model.GRPCCheck: grpcCheck{},
}

// Spec is what one probe needs to know.
type Spec struct {
	Kind     model.CheckKind
	Conn     model.Connect
	Protocol model.HTTPProtocol // HTTP_GET, SSL_GET
	URL      model.URL          // HTTP_GET, SSL_GET
	TLS      model.TLSClient    // SSL_GET, GRPC_CHECK
	SMTP     model.SMTPOpts     // SMTP_CHECK
	DNS      model.DNSOpts      // DNS_CHECK
	UDP      model.UDPOpts      // UDP_CHECK
	GRPC     model.GRPCOpts     // GRPC_CHECK
	Secure   model.TLSOpts      // SSL_GET, GRPC_CHECK
}

// NewSpec takes the part of c that a probe of its url number url needs; url is ignored by checkers without urls.
func NewSpec(c *model.Check, url int, tls model.TLSClient) *Spec {
	s := &Spec{Kind: c.Kind, Conn: c.Conn, SMTP: c.SMTP, DNS: c.DNS, UDP: either(c.UDP), GRPC: either(c.GRPC), Secure: either(c.TLS)}
	if c.Kind == model.HTTPGet || c.Kind == model.SSLGet {
		s.Protocol, s.URL = c.HTTP.Protocol, c.HTTP.URLs[url]
	}
	if c.Kind == model.SSLGet || s.GRPC.TLS {
		s.TLS = tls
	}
	return s
}

// either returns what p points at; nil: the zero value.
func either[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// starved is how late the prober may notice that a time is over before it blames itself: at low priority on a busy machine it
// may not run for seconds, which says nothing about the server.
const starved = time.Second

// run probes once, at most until end.
func run(s *Spec, end time.Time) check.Result {
	p, ok := All[s.Kind]
	if !ok {
		return check.Result{Unable: true, Reason: "No prober for " + string(s.Kind)}
	}
	return p.Probe(until{end}, s)
}

// until is a context that ends at a time, without the timer that one of the context package has: every step of a probe looks at the
// deadline itself.
type until struct{ end time.Time }

func (u until) Deadline() (time.Time, bool) { return u.end, true }
func (until) Done() <-chan struct{}         { return nil }
func (until) Value(any) any                 { return nil }
func (u until) Err() error {
	if time.Now().Before(u.end) {
		return nil
	}
	return context.DeadlineExceeded
}
