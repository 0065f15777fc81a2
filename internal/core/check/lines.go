package check

import (
	"fmt"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Bodies of mails about a success.
var alertUp = map[model.CheckKind]string{
	model.TCPCheck:  "=> TCP CHECK succeed on service <=",
	model.HTTPGet:   "=> CHECK succeed on service <=",
	model.SSLGet:    "=> CHECK succeed on service <=",
	model.MiscCheck: "=> MISC CHECK succeeded on service <=",
	model.SMTPCheck: "=> CHECK succeed on service <=",
	model.DNSCheck:  "=> DNS_CHECK: succeed on service <=",
	model.UDPCheck:  "=> UDP CHECK succeed on service <=",
	model.PingCheck: "=> ICMP CHECK succeed on service <=",
	model.GRPCCheck: "=> GRPC CHECK succeed on service <=",
}

func (m *Monitor) alertDown(r *Result) string {
	switch {
	case isWeb(m.spec):
		return "=> CHECK failed on service : HTTP/SSL request failed <="
	case m.spec.Kind == model.MiscCheck && r.TimedOut:
		return "=> MISC CHECK timed out on service <="
	case m.spec.Kind == model.MiscCheck:
		return "=> MISC CHECK failed on service <="
	}
	switch m.spec.Kind {
	case model.SMTPCheck:
		return fmt.Sprintf("=> CHECK failed on service : %s <=", m.smtpCause(r))
	case model.DNSCheck:
		return "=> DNS_CHECK: failed on service <="
	case model.UDPCheck:
		return "=> UDP CHECK failed on service <="
	case model.PingCheck:
		return "=> ICMP CHECK failed on service <="
	case model.GRPCCheck:
		return "=> GRPC CHECK failed on service <="
	}
	return "=> TCP CHECK failed on service <="
}

// successLine is empty for DNS_CHECK, of which keepalived tells no success.
func (m *Monitor) successLine() string {
	switch m.spec.Kind {
	case model.SMTPCheck:
		return fmt.Sprintf("Remote SMTP server %s succeed on service.", m.on.Server)
	case model.DNSCheck:
		return ""
	case model.UDPCheck:
		return fmt.Sprintf("UDP connection to %s success.", m.on.Server)
	case model.PingCheck:
		return fmt.Sprintf("ICMP connection to %s success.", m.on.Server)
	case model.GRPCCheck:
		return fmt.Sprintf("GRPC health of %s success.", m.on.Server)
	}
	switch {
	case isWeb(m.spec):
		return fmt.Sprintf("Remote Web server %s succeed on service.", m.on.Server)
	case m.spec.Kind == model.MiscCheck:
		return m.miscSubject() + " succeeded."
	}
	return fmt.Sprintf("TCP connection to %s success.", m.on.Server)
}

// failureLine is for the failure that takes the server down.
func (m *Monitor) failureLine(r *Result, first bool) string {
	n := m.spec.Retry
	switch {
	case m.spec.Kind == model.SMTPCheck:
		return m.tryLine(r)
	case m.spec.Kind == model.DNSCheck && (n == 0 || first):
		return m.tryLine(r)
	case m.spec.Kind == model.DNSCheck:
		return fmt.Sprintf("%s after %d retries", m.tryLine(r), n)
	case m.spec.Kind == model.PingCheck && n > 0 && !first:
		return fmt.Sprintf("ICMP CHECK on service %s of %s failed after %d retries.", m.on.Server, m.on.Service, n)
	case m.spec.Kind == model.MiscCheck && n == 0:
		return m.miscSubject() + miscVerb(r) + " with retry disabled" + miscEnd(r)
	case m.spec.Kind == model.MiscCheck:
		return m.miscSubject() + miscVerb(r) + " after " + retries(n) + miscEnd(r)
	case m.spec.Kind == model.GRPCCheck:
		return fmt.Sprintf("GRPC_CHECK on service %s failed: %s server.", m.on.Server, r.Reason)
	case n == 0 || first && !isWeb(m.spec):
		return fmt.Sprintf("%s on service %s failed.", m.kindWord(), m.on.Server)
	}
	// keepalived says so too for the first run of a MISC_CHECK, HTTP_GET or SSL_GET, which has no retries.
	return fmt.Sprintf("%s on service %s failed after %d retries.", m.kindWord(), m.on.Server, n)
}

// tellsEachTry reports whether log_all_failures tells the last failed probe too, beside the failure line.
func tellsEachTry(k model.CheckKind) bool {
	return k != model.MiscCheck && k != model.SMTPCheck && k != model.DNSCheck
}

// tryLine is what log_all_failures adds for each failed probe.
func (m *Monitor) tryLine(r *Result) string {
	switch m.spec.Kind {
	case model.SMTPCheck:
		return "SMTP_CHECK " + m.smtpCause(r)
	case model.DNSCheck:
		return fmt.Sprintf("DNS_CHECK (%s) %s", m.on.Server, r.Reason)
	case model.UDPCheck:
		if r.Reason == UDPMismatch {
			return fmt.Sprintf("UDP check to %s %s.", m.on.Server, r.Reason)
		}
		return fmt.Sprintf("UDP connection to %s %s.", m.on.Server, r.Reason)
	case model.PingCheck:
		if r.Reason == PingTimeout {
			return fmt.Sprintf("ICMP connection to address %s %s.", m.on.Server, r.Reason)
		}
		return fmt.Sprintf("ICMP connection to %s of %s %s.", m.on.Server, m.on.Service, r.Reason)
	}
	switch {
	case isWeb(m.spec), m.spec.Kind == model.GRPCCheck:
		return fmt.Sprintf("%s server %s.", r.Reason, m.on.Server)
	case m.spec.Kind == model.MiscCheck && m.failures <= 1:
		return m.miscSubject() + miscVerb(r) + ", will do " + retries(m.spec.Retry) + miscEnd(r)
	case m.spec.Kind == model.MiscCheck:
		return fmt.Sprintf("%s%s on retry %d/%d%s", m.miscSubject(), miscVerb(r), m.failures-1, m.spec.Retry, miscEnd(r))
	}
	return fmt.Sprintf("TCP connection to %s %s.", m.on.Server, r.Reason)
}

// smtpCause is the reason of a failed SMTP_CHECK with the address that was asked.
func (m *Monitor) smtpCause(r *Result) string {
	dst := m.spec.Conn.Dst
	if r.Reason == SMTPUnreachable {
		addr, port, _ := strings.Cut(m.on.Server, "]:") // without the protocol
		return fmt.Sprintf("%s server %s - real server %s]%s", r.Reason, dst.Addr(), addr, port[strings.LastIndexByte(port, ':'):])
	}
	return fmt.Sprintf("%s server [%s]:%d", r.Reason, dst.Addr(), dst.Port())
}

// kindWord names the checker in log lines.
func (m *Monitor) kindWord() string {
	switch m.spec.Kind {
	case model.HTTPGet:
		return "HTTP_CHECK"
	case model.SSLGet:
		return "SSL_CHECK"
	case model.PingCheck:
		return "ICMP CHECK"
	}
	return string(m.spec.Kind)
}

// unableLine follows the reason for which nothing could be probed.
func unableLine(k model.CheckKind) string {
	switch k {
	case model.HTTPGet, model.SSLGet:
		return "WEB socket bind failed. Rescheduling"
	case model.MiscCheck:
		return "MISC_CHECK could not be run. Rescheduling."
	case model.SMTPCheck, model.DNSCheck, model.PingCheck:
		return string(k) + " socket bind failed. Rescheduling."
	}
	return "TCP socket bind failed. Rescheduling."
}

func (m *Monitor) miscSubject() string {
	return fmt.Sprintf("Misc check for [%s VS %s] by [%s]", m.on.Server, m.on.Service, m.spec.Misc.Script.Args[0])
}

func miscVerb(r *Result) string {
	if r.TimedOut {
		return " timed out"
	}
	return " failed"
}

func miscEnd(r *Result) string {
	switch {
	case r.TimedOut:
		return "."
	case r.Signal != 0:
		return fmt.Sprintf(" (due to signal %d).", r.Signal)
	}
	return fmt.Sprintf(" (exited with status %d).", r.Exit)
}

func retries(n uint32) string {
	if n == 1 {
		return "1 retry"
	}
	return fmt.Sprintf("%d retries", n)
}
