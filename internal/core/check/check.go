// Package check decides when a health checker probes its real server, and what the results mean.
package check

import (
	"fmt"
	"reflect"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Subject is what a checker speaks about.
type Subject struct {
	Server  string // printed name of the real server, "[10.0.0.2]:tcp:80"
	Service string // printed name of its virtual server
	Weight  int64  // configured weight of the real server; misc_dynamic is relative to it
}

// Result is the outcome of one probe.
type Result struct {
	// OK is success. Not looked at for MISC_CHECK, whose exit status is judged by the Monitor.
	OK bool
	// Unable means that nothing was learnt about the server: no socket, bind refused, an error of our own side. Reason then is a
	// whole log line, such as "Checker bind failed: Cannot assign requested address".
	Unable bool
	// Reason of a failure: one of the constants of the checker's kind; for DNS_CHECK a line as lines.go has it.
	Reason string

	// Claimed and Received differ if an HTTP answer had another length than its Content-Length said; both in bytes.
	Claimed, Received int64

	// Expires is when the server's certificate ends, in seconds since 1970, if that is to be told (tls_expiry_warning); else 0.
	Expires int64

	// Exit, Signal and TimedOut tell how a script ended: its status 0..255, or the signal that killed it, or that it was killed
	// because its time was over.
	Exit, Signal int
	TimedOut     bool
}

// Reasons of a failed TCP_CHECK.
const (
	TCPTimeout = "timeout"
	TCPFailed  = "failed"
)

// Reasons of a failed HTTP_GET or SSL_GET, as keepalived prints them.
const (
	WebConnectTimeout = "Timeout connecting"
	WebConnectFailed  = "Connection failed"
	WebUnreachable    = "HTTP/SSL_CHECK - network unreachable"
	WebTLS            = "SSL handshake/communication error connecting to"
	WebSend           = "Cannot send get request to"
	WebTimeout        = "Timeout WEB read"
	WebHTTPTimeout    = "Timeout HTTP read"
	WebTLSTimeout     = "Timeout SSL read"
	WebReadError      = "Read error with"
	WebTLSReadError   = "SSL read error from"
	WebNoData         = "Read, no data received from "
	WebStatus         = "HTTP status code error to"
	WebDigest         = "MD5 digest error to"
	WebRegex          = "Regex match failed"

	// Of keywords that keepalived does not know.
	WebJSON        = "JSON path match failed"
	WebH2          = "HTTP/2 error from"
	WebCertificate = "Invalid certificate"
)

// Reasons of a failed SMTP_CHECK.
const (
	SMTPConnectFailed  = "Could not connect to"
	SMTPConnectTimeout = "Connection timeout to"
	SMTPUnreachable    = "Network unreachable for"
	SMTPReadTimeout    = "Read timeout from"
	SMTPReadFailed     = "Read failure from"
	SMTPWriteTimeout   = "Write timeout to"
	SMTPWriteFailed    = "Write failure to"
	SMTPBadGreeting    = "Bad greeting banner from"
	SMTPBadHELO        = "Bad HELO response from"
)

// Reasons of a failed UDP_CHECK or PING_CHECK.
const (
	UDPFailed   = "failed"
	UDPMismatch = "reply data mismatch"
	PingTimeout = "timeout"
	PingFailed  = "failed"
)

// EventKind tags an Event.
type EventKind uint8

const (
	Started   EventKind = iota // the worker is ready: the first probe follows after the warm-up
	Finished                   // probe Run ended with Result
	Expired                    // Deadline() has been reached
	Suspended                  // ha_suspend: the address of the service has gone. Before Started: it is not there yet
	Resumed                    // the address is there
	Reported                   // whatever else knows of the server says Result.OK; for BFD_CHECK, which probes nothing
)

// Event is one thing that happened to a checker.
type Event struct {
	Kind   EventKind
	Run    uint32
	Result Result
}

// ActionKind tags an Action.
type ActionKind uint8

const (
	// Probe asks for probe Run to be started. It has to be over at Deadline, if that is set; one Finished event has to follow.
	Probe ActionKind = iota
	// Cancel gives up probe Run.
	Cancel
	// Up says that this checker finds the server alive. Only sent when it found it failed before.
	Up
	// Down says that this checker finds the server failed. With First set it was failed from the beginning (alpha), and is
	// now known to be: to be announced, but no change of state.
	Down
	// Weight adds Offset to the configured weight of the server, in place of this checker's earlier offset; valid too while the
	// server is down.
	Weight
	// Say is a log line, level info.
	Say
	// Alert is a mail about the change just told by Up or Down; Line is its body.
	Alert
)

// Action is one thing to be done, in the order given.
type Action struct {
	Kind     ActionKind
	Run      uint32    // Probe, Cancel
	URL      int       // Probe of HTTP_GET and SSL_GET: index of the url
	Deadline time.Time // Probe
	First    bool      // Down
	Offset   int64     // Weight
	Quiet    bool      // Weight
	Up       bool      // Alert: which change
	Line     string    // Say, Alert
}

type phase uint8

const (
	idle    phase = iota // not started
	waiting              // for due
	probing              // a probe is out; due is when it is given up
)

// firstDelay is the time from start to the first probe, before the random share of the warm-up is added.
const firstDelay = time.Second

// Monitor is one checker. It is a value machine: it owns no timer and does no I/O.
type Monitor struct {
	spec   *model.Check
	on     Subject
	warmup time.Duration // this checker's random share

	phase     phase
	suspended bool
	run       uint32    // number of the newest probe
	began     time.Time // when it was asked for
	due       time.Time

	up       bool
	hasRun   bool
	failures uint32 // in a row, until spec.Retry

	web  webState
	misc miscState

	expiryTold time.Time // when the end of the certificate was told of last
}

// New returns a checker that has not been started. random, in [0, 1), picks its place in the warm-up interval.
func New(spec *model.Check, on Subject, random float64) *Monitor {
	m := &Monitor{
		spec:   spec,
		on:     on,
		warmup: time.Duration(random * float64(spec.Warmup)),
		up:     !spec.Alpha,
		web:    newWebState(spec),
	}
	if !retriesAlways(spec.Kind) {
		m.failures = spec.Retry // the first run gets no retries
	}
	return m
}

// retriesAlways reports whether every run gets its retries, even the first one and those while the server is down.
func retriesAlways(k model.CheckKind) bool { return k == model.SMTPCheck }

// Spec returns what the checker was made of.
func (m *Monitor) Spec() *model.Check { return m.spec }

// Up reports whether the checker takes its server for alive; true from the start unless alpha.
func (m *Monitor) Up() bool { return m.up }

// HasRun reports whether any probe gave a verdict.
func (m *Monitor) HasRun() bool { return m.hasRun }

// Offset is what the checker adds to the weight of its server at present.
func (m *Monitor) Offset() int64 { return m.misc.offset }

// Failures counts those in a row, up to the retries that are left before the server is taken for failed.
func (m *Monitor) Failures() uint32 { return m.failures }

// Began returns when the last probe was asked for; zero: never.
func (m *Monitor) Began() time.Time { return m.began }

// LastExit returns the last exit status of a MISC_CHECK.
func (m *Monitor) LastExit() int { return m.misc.exit }

// Open returns the number of the probe that is out, if one is.
func (m *Monitor) Open() (run uint32, ok bool) { return m.run, m.phase == probing }

// Deadline is when an Expired event is wanted; zero: none.
func (m *Monitor) Deadline() time.Time { return m.due }

// Adopt makes m continue where old, the checker of the configuration before a reload, has got to, and reports whether it did: the
// two must look at the same thing ([model.Check.SameProbe]). If nothing at all changed, even a probe that is out stays valid.
//
// Differs from keepalived: it restarts every checker at a reload after 1 s and the warm-up, so that reloading often starves them.
func (m *Monitor) Adopt(now time.Time, old *Monitor) bool {
	if old.phase == idle || !old.spec.SameProbe(m.spec) {
		return false
	}
	m.phase, m.suspended, m.run, m.began, m.due = old.phase, old.suspended, old.run, old.began, old.due
	m.up, m.hasRun, m.failures = old.up, old.hasRun, old.failures
	m.web, m.expiryTold = old.web, old.expiryTold
	m.adoptMisc(old)
	if !reflect.DeepEqual(old.spec, m.spec) {
		if m.phase == probing {
			m.run++ // its answer belongs to the old options
			m.wait(now)
		} else if next := now.Add(m.spec.DelayLoop); m.hasRun && m.due.After(next) {
			m.wait(next)
		}
	}
	return true
}

func isWeb(c *model.Check) bool { return c.Kind == model.HTTPGet || c.Kind == model.SSLGet }

// Step takes one event and appends what is to be done to out.
func (m *Monitor) Step(now time.Time, ev *Event, out []Action) []Action {
	switch ev.Kind {
	case Started:
		if m.phase != idle {
			break
		}
		if m.wait(now.Add(firstDelay + m.warmup)); m.spec.Kind == model.BFDCheck {
			m.wait(time.Time{})
			return m.say(out, "Activating BFD healthchecker")
		}
		verb := "Activating"
		if m.suspended {
			verb = "Deactivating"
		}
		out = m.say(out, "%s healthchecker for service %s for VS %s", verb, m.on.Server, m.on.Service)
	case Suspended:
		if m.phase != idle && !m.suspended {
			out = m.say(out, "Suspending healthchecker for service %s for VS %s", m.on.Server, m.on.Service)
		}
		m.suspended = true
	case Resumed:
		if m.phase != idle && m.suspended {
			out = m.say(out, "Activating healthchecker for service %s for VS %s", m.on.Server, m.on.Service)
		}
		m.suspended = false
	case Expired:
		if m.due.IsZero() || now.Before(m.due) {
			break
		}
		out = m.expire(now, out)
	case Reported:
		out = m.reported(ev.Result.OK, out)
	case Finished:
		if m.phase == probing && ev.Run == m.run {
			out = m.finish(now, &ev.Result, out)
		}
	}
	return out
}

func (m *Monitor) expire(now time.Time, out []Action) []Action {
	switch {
	case m.phase == probing:
		// The prober itself hangs: that says nothing about the server.
		m.wait(now.Add(m.spec.DelayLoop))
		out = append(out, Action{Kind: Cancel, Run: m.run})
		return m.say(out, "%s on service %s: no result in time. Rescheduling.", m.spec.Kind, m.on.Server)
	case m.suspended:
		m.wait(now.Add(m.spec.DelayLoop))
		return out
	}
	m.run++
	m.phase, m.began = probing, now
	deadline := time.Time{}
	m.due = time.Time{} // a script's time is kept by the script runner, and it always reports
	if m.spec.Kind != model.MiscCheck {
		deadline = now.Add(longest(m.spec))
		m.due = deadline.Add(grace)
	}
	return append(out, Action{Kind: Probe, Run: m.run, URL: m.web.url, Deadline: deadline})
}

// grace is how long after its deadline the result of a probe may come.
const grace = 10 * time.Second

// longest is the longest time that a probe may take as a whole.
//
// Differs from keepalived: HTTP_GET and SMTP_CHECK there have a time limit for each read only, so that a server which sends a byte now and then
// is never found failed.
func longest(c *model.Check) time.Duration {
	if isWeb(c) || c.Kind == model.SMTPCheck || c.Kind == model.GRPCCheck {
		return max(10*c.Conn.Timeout, time.Minute)
	}
	return c.Conn.Timeout
}

func (m *Monitor) finish(now time.Time, r *Result, out []Action) []Action {
	if r.Unable {
		m.wait(m.from(now, m.spec.DelayLoop))
		out = m.say(out, "%s", r.Reason)
		return m.say(out, "%s", unableLine(m.spec.Kind))
	}
	ok := r.OK
	if m.spec.Kind == model.MiscCheck {
		ok = m.miscOK(r)
	}
	out = m.expiry(now, r, out)
	switch {
	case isWeb(m.spec):
		out = m.webRemarks(r, out)
		if ok {
			return m.webOK(now, out)
		}
	case ok:
		m.wait(m.from(now, m.spec.DelayLoop))
		if m.spec.Kind == model.MiscCheck {
			out = m.setExit(r.Exit, out)
		}
		return m.succeed(out)
	}
	return m.fail(now, r, out)
}

// succeed is a whole successful run.
func (m *Monitor) succeed(out []Action) []Action {
	m.failures = 0
	if m.up && m.hasRun {
		return out
	}
	m.hasRun = true
	if line := m.successLine(); line != "" {
		out = m.say(out, "%s", line)
	}
	if m.up {
		return out
	}
	m.up = true
	return append(out, Action{Kind: Up}, Action{Kind: Alert, Up: true, Line: alertUp[m.spec.Kind]})
}

func (m *Monitor) fail(now time.Time, r *Result, out []Action) []Action {
	first := !m.hasRun
	down := m.hasRun && !m.up
	again := m.failures < m.spec.Retry
	switch {
	case again && (!down || retriesAlways(m.spec.Kind)):
		m.failures++
		m.wait(m.from(now, m.spec.DelayBeforeRetry))
		if m.spec.LogAllFailures {
			out = m.say(out, "%s", m.tryLine(r))
		}
		return out
	case down:
		m.failures = 0
		m.wait(m.from(now, m.webFailed(m.spec.DelayLoop)))
		return out
	}
	if m.spec.LogAllFailures && tellsEachTry(m.spec.Kind) {
		out = m.say(out, "%s", m.tryLine(r))
	}
	wasUp := m.up
	if !isWeb(m.spec) || wasUp {
		out = m.say(out, "%s", m.failureLine(r, first))
	}
	m.up, m.hasRun, m.failures = false, true, 0
	m.wait(m.from(now, m.webFailed(m.spec.DelayLoop)))
	switch {
	case wasUp:
		out = append(out, Action{Kind: Down}, Action{Kind: Alert, Line: m.alertDown(r)})
	case !isWeb(m.spec):
		out = append(out, Action{Kind: Down, First: true})
	}
	return m.dropOffset(out)
}

// from is when a delay that began with the end of a run, or with its start for scripts, is over.
func (m *Monitor) from(now time.Time, delay time.Duration) time.Time {
	if m.spec.Kind != model.MiscCheck {
		return now.Add(delay)
	}
	due, least := m.began.Add(delay), now.Add(time.Microsecond)
	if due.Before(least) {
		return least
	}
	return due
}

func (m *Monitor) wait(due time.Time) { m.phase, m.due = waiting, due }

func (m *Monitor) say(out []Action, format string, args ...any) []Action {
	return append(out, Action{Kind: Say, Line: fmt.Sprintf(format, args...)})
}
