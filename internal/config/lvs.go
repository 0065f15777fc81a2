package config

import (
	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// LVS is what the blocks of the LVS part say.
type LVS struct {
	Groups   []*ServerGroup
	Services []*VirtualServer
	SSL      *SSL
}

func lvsRoot() schema.Rows[Config] {
	return schema.Rows[Config]{
		schema.Entries("virtual_server_group", "NAME ", openServerGroup, func(g *ServerGroup, n *syntax.Node, r *source.Report) {
			if e, ok := groupEntry(n, r); ok {
				g.Entries = append(g.Entries, opt[model.GroupEntry]{V: e, At: n.At()})
			}
		}, "Addresses, ranges and marks served as one.").Options("<ADDRESS>", "fwmark", "inet", "inet6"),
		schema.Block("virtual_server", "IPADDR [PORT] | fwmark N | group NAME ", openVirtualServer, virtualServer, "One virtual service.").
			Options("fwmark", "group"),
		schema.Block("SSL", "", openSSL, sslTable, "What SSL_GET checkers present to servers."),
	}
}

func openServerGroup(c *Config, n *syntax.Node, r *source.Report) *ServerGroup {
	if len(n.Args) == 0 {
		missing(n, r)
		return nil
	}
	g := &ServerGroup{At: n.At(), End: n.End, Name: n.Args[0].Text, Entries: make([]opt[model.GroupEntry], 0, len(n.Body))}
	c.LVS.Groups = append(c.LVS.Groups, g)
	return g
}

// SSL is the SSL block.
type SSL struct {
	At                             source.Pos
	Password, CA, Certificate, Key opt[string]
}

func openSSL(c *Config, n *syntax.Node, r *source.Report) *SSL {
	if c.LVS.SSL != nil {
		r.Errorf(n.At(), "SSL is already specified - replacing the first").With("which is at", c.LVS.SSL.At)
	}
	c.LVS.SSL = &SSL{At: n.At()}
	return c.LVS.SSL
}

var sslTable = schema.TableOf(func() schema.Rows[SSL] {
	return schema.Rows[SSL]{
		replaced("password", true, false, func(s *SSL) *opt[string] { return &s.Password }, "Password of the private key."),
		replaced("ca", true, false, func(s *SSL) *opt[string] { return &s.CA }, "File of the certificate authorities; servers are not verified."),
		replaced("certificate", true, false, func(s *SSL) *opt[string] { return &s.Certificate }, "File of the client certificate."),
		replaced("key", true, false, func(s *SSL) *opt[string] { return &s.Key }, "File of the private key."),
	}
})
