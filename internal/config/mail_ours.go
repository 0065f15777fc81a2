package config

import (
	"cmp"
	"errors"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// mailSecurity is what alerts have beyond keepalived's plain dialogue.
type mailSecurity struct {
	SMTPTLS                    opt[model.MailTLS]
	SMTPTLSName, SMTPTLSCAFile opt[string]
	SMTPUser                   opt[string]
	SMTPPassword               opt[secret]
	SMTPAuthWithoutTLS         opt[bool]
}

func mailSecurityRows() grows {
	return grows{
		schema.Inherited("smtp_tls", schema.Fallback(schema.Choice("off|starttls|tls", map[string]model.MailTLS{
			"off": model.NoTLS, "starttls": model.StartTLS, "tls": model.ImplicitTLS}), model.StartTLS), func(g *Global) *opt[model.MailTLS] { return &g.SMTPTLS },
			"Talk TLS to the mail server, after STARTTLS or at once; without it, or with a certificate that is not valid for the server, no alert is sent.").Ours(),
		schema.Inherited("smtp_tls_name", schema.Word, func(g *Global) *opt[string] { return &g.SMTPTLSName },
			"Whom the mail server's certificate has to be for; default the host of smtp_server.").Ours(),
		schema.Inherited("smtp_tls_ca_file", schema.Word, func(g *Global) *opt[string] { return &g.SMTPTLSCAFile },
			"Authorities (PEM) that may have signed it; default those of the system. Read for each alert.").Ours(),
		schema.Inherited("smtp_auth_user", schema.Word, func(g *Global) *opt[string] { return &g.SMTPUser },
			"Name to authenticate with at the mail server, by PLAIN, LOGIN or CRAM-MD5.").Ours(),
		schema.Inherited("smtp_auth_password", schema.One("TEXT|file:PATH|credential:NAME", func(s string) (secret, error) { return parseSecret(s), nil }),
			func(g *Global) *opt[secret] { return &g.SMTPPassword },
			"Its password, or a file for the owner alone that has it, or a file of systemd's LoadCredential.").Ours(),
		schema.Value("smtp_auth_without_tls", schema.Bool, false, func(g *Global) *opt[bool] { return &g.SMTPAuthWithoutTLS },
			"Authenticate without TLS too, where others can read along.").Ours(),
	}
}

// mailSecurity resolves what concerns TLS and authentication.
func (res *resolver) mailSecurity(m *model.Mail) {
	g := &res.c.Global
	if m.TLS = g.SMTPTLS.V; m.TLS != model.NoTLS {
		m.TLSName, m.TLSCAFile = cmp.Or(g.SMTPTLSName.V, g.SMTPServer.V.Host), g.SMTPTLSCAFile.V
	} else {
		if g.SMTPTLSName.IsSet() {
			res.r.Notef(g.SMTPTLSName.At, "smtp_tls_name has no effect without smtp_tls")
		}
		if g.SMTPTLSCAFile.IsSet() {
			res.r.Notef(g.SMTPTLSCAFile.At, "smtp_tls_ca_file has no effect without smtp_tls")
		}
	}
	user, password := g.SMTPUser, g.SMTPPassword
	switch {
	case !user.IsSet() && !password.IsSet():
		return
	case !user.IsSet():
		res.r.Errorf(password.At, "smtp_auth_password without smtp_auth_user - not authenticating")
		return
	case !password.IsSet():
		res.r.Errorf(user.At, "smtp_auth_user without smtp_auth_password - not authenticating")
		return
	case m.TLS == model.NoTLS && !g.SMTPAuthWithoutTLS.V:
		res.r.Errorf(user.At, "smtp_auth_user: without smtp_tls others could read the password - not authenticating").Hint =
			"write smtp_tls starttls or tls, or smtp_auth_without_tls if nobody else can"
		return
	}
	text, err := res.read(password.V)
	switch {
	case errors.As(err, new(*exposed)):
		res.r.Add(source.Security, password.At, "smtp_auth_password: the %v - not authenticating", err)
	case err != nil:
		res.r.Errorf(password.At, "smtp_auth_password: the %v - not authenticating", err)
	default:
		m.AuthUser, m.AuthPassword, m.AuthWithoutTLS = user.V, text, g.SMTPAuthWithoutTLS.V
	}
}
