package config

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
)

// The checkers of this file are read and checked, but not run yet.

var smtpTable = concat(connecting, ctable{
	schema.Inherited("helo_name", schema.Word, func(c *Checker) *opt[string] { return &c.HELO },
		"Name told to the server.").Lenient().FirstWins(),
	schema.Block("host", "", func(_ *Checker, n *syntax.Node, r *source.Report) *Checker {
		r.Notef(n.At(), "host blocks in SMTP_CHECK are deprecated").Hint = "use several SMTP_CHECK blocks"
		return &Checker{At: n.At(), End: n.End}
	}, connecting, "Another server to ask."),
})

var dnsTypes = strings.Fields("A NS CNAME SOA MX TXT AAAA RRSIG DNSKEY")

var dnsTable = concat(connecting, ctable{
	schema.Check[Checker]("type", schema.One(strings.Join(dnsTypes, "|"), func(s string) (string, error) {
		for _, t := range dnsTypes {
			if strings.EqualFold(t, s) {
				return t, nil
			}
		}
		return "", fmt.Errorf("unknown type %q", s)
	}), "Type of the query; default SOA."),
	schema.Inherited("name", schema.One("NAME", dnsName), func(c *Checker) *opt[string] { return &c.DNSName },
		"Name asked for; default the root.").FirstWins(),
})

// dnsName checks a name against RFC 1035 §2.3.4.
//
// Differs from keepalived: it does not look at the lengths.
func dnsName(s string) (string, error) {
	t := strings.TrimSuffix(s, ".")
	if t == "" {
		return "", nil
	}
	if len(t) > 253 {
		return "", fmt.Errorf("name of %d bytes is too long", len(t))
	}
	for _, label := range strings.Split(t, ".") {
		if label == "" {
			return "", fmt.Errorf("%q has an empty label", s)
		}
		if len(label) > 63 {
			return "", fmt.Errorf("label %q is longer than 63 bytes", label)
		}
	}
	return t, nil
}

var udpTable = concat(connecting, ctable{
	schema.Check[Checker]("payload", hexString(false), "The datagram, in hexadecimal digits.").Lenient(),
	schema.Check[Checker]("require_reply", orEmpty(hexString(true)), "A reply is needed, and must be like this; x matches any digit."),
	schema.Value("min_reply_length", schema.Int(0, math.MaxUint16), 0, func(c *Checker) *opt[int] { return &c.MinReply },
		"Least length of a reply."),
	schema.Value("max_reply_length", schema.Int(0, math.MaxUint16), 255, func(c *Checker) *opt[int] { return &c.MaxReply },
		"Greatest length of a reply."),
})

// hexString reads pairs of hexadecimal digits, in as many words as there are; a digit alone at the end of a word is a byte too.
func hexString(wildcard bool) schema.Kind[string] {
	digits := "0123456789abcdefABCDEF"
	if wildcard {
		digits += "xX"
	}
	return schema.Kind[string]{Usage: "HEX …", Parse: func(w []source.Word) (string, error) {
		if len(w) == 0 {
			return "", schema.ErrNoWord
		}
		all := ""
		for _, word := range w {
			if strings.Trim(word.Text, digits) != "" {
				return "", fmt.Errorf("%q is not hexadecimal", word.Text)
			}
			all += word.Text
		}
		if all == "" {
			return "", errors.New("it is empty")
		}
		return all, nil
	}}
}

var fileTable = ctable{
	schema.Inherited("track_file", schema.Word, func(c *Checker) *opt[string] { return &c.TrackFile },
		"The track_file block that names the file; it has to come earlier."),
	schema.Line("weight", "<-2147483647-2147483647> [reverse|noreverse]", func(_ *Checker, n *syntax.Node, r *source.Report) {
		if len(n.Args) == 0 {
			r.Errorf(n.At(), "weight: no value given - ignoring")
			return
		}
		if _, err := schema.ParseInt(n.Args[0].Text, -math.MaxInt32, math.MaxInt32); err != nil {
			r.Errorf(n.Args[0].At, "weight: %v - ignoring", err)
		} else if len(n.Args) > 1 && n.Args[1].Text != "reverse" && n.Args[1].Text != "noreverse" {
			r.Errorf(n.Args[1].At, "weight: unknown option %q - ignoring", n.Args[1].Text)
		}
	}, "The number in the file is multiplied by this and added to the weight of the server; 0: it fails the server."),
}

var bfdCheckTable = ctable{
	schema.Inherited("name", schema.Exactly(schema.Word), func(c *Checker) *opt[string] { return &c.BFDName },
		"The bfd_instance; it has to come earlier.").Lenient(),
	alphaRow,
}
