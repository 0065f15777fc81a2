package config

import (
	"cmp"
	"net/netip"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// mail resolves the settings of alerts; without a server there are only the addresses, for dumps.
func (res *resolver) mail() model.Mail {
	g := &res.c.Global
	addresses := model.Mail{NoFaults: g.NoEmailFaults.V}
	if g.MailFrom.IsSet() {
		addresses.From = mailbox(g.MailFrom.V)
	}
	for _, to := range g.MailTo {
		addresses.To = append(addresses.To, mailbox(to.V))
	}
	if !g.SMTPServer.IsSet() {
		return addresses
	}
	s := g.SMTPServer.V
	addr, err := netip.ParseAddr(s.Host)
	if a, ok := parseNumbers(s.Host); err != nil && ok {
		addr = a
	} else if err != nil {
		list := res.host.LookupHost(s.Host)
		if len(list) == 0 {
			res.r.Errorf(g.SMTPServer.At, "smtp_server: host %q has no address - no mail server is used", s.Host)
			return addresses
		}
		addr = list[0]
	}
	host := res.host.Hostname()
	m := model.Mail{
		Server:   netip.AddrPortFrom(addr, uint16(s.Port)),
		HELO:     cmp.Or(g.HELO.V, host),
		Timeout:  g.SMTPTimeout.V,
		From:     mailbox(cmp.Or(g.MailFrom.V, res.host.Username()+"@"+host)),
		To:       addresses.To,
		NoFaults: g.NoEmailFaults.V,
	}
	res.mailSecurity(&m)
	return m
}

// specials are the characters that a display name may have only between quotes (RFC 5322 section 3.2.3).
const specials = `()<>[]:;@\,."`

// mailbox reads "addr" or "display name <addr>". What does not end with > is an address as a whole, as keepalived has it.
func mailbox(s string) model.Mailbox {
	m := model.Mailbox{Header: s, Addr: s}
	open := strings.LastIndexByte(s, '<')
	if open < 0 || !strings.HasSuffix(s, ">") {
		return m
	}
	m.Addr = s[open+1 : len(s)-1]
	if name := strings.TrimRight(s[:open], " \t"); strings.ContainsAny(name, specials) {
		m.Header = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" ` + s[open:]
	}
	return m
}
