package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

var smtpTable = schema.TableOf(connecting, heloRow, hostRow)

func heloRow() crows {
	return crows{
		schema.Inherited("helo_name", schema.Word, func(c *Checker) *opt[string] { return &c.HELO },
			"Name told to the server.").Lenient().FirstWins(),
	}
}

func hostRow() crows {
	return crows{
		schema.Block("host", "", func(c *Checker, n *syntax.Node, r *source.Report) *Checker {
			r.Notef(n.At(), "host blocks in SMTP_CHECK are deprecated").Hint = "use several SMTP_CHECK blocks"
			host := &Checker{At: n.At(), End: n.End}
			c.Hosts = append(c.Hosts, host)
			return host
		}, schema.TableOf(connecting), "Another server to ask."),
	}
}

var dnsTable = schema.TableOf(connecting, dnsRows)

func dnsRows() crows {
	return crows{
		schema.Value("type", schema.One(strings.Join(slices.Sorted(maps.Keys(model.DNSTypes)), "|"), func(s string) (model.DNSType, error) {
			t, ok := model.DNSTypes[strings.ToUpper(s)]
			if !ok {
				return 0, fmt.Errorf("unknown type %q", s)
			}
			return t, nil
		}), model.DNSTypeSOA, func(c *Checker) *opt[model.DNSType] { return &c.DNSType }, "Type of the query; default SOA."),
		schema.Inherited("name", schema.One("NAME", dnsName), func(c *Checker) *opt[string] { return &c.DNSName },
			"Name asked for; default the root.").FirstWins(),
	}
}

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

var udpTable = schema.TableOf(connecting, udpRows)

func udpRows() crows {
	return crows{
		schema.Inherited("payload", hexString(false), func(c *Checker) *opt[hexBytes] { return &c.Payload },
			"The datagram, in hexadecimal digits.").Lenient(),
		schema.Inherited("require_reply", orEmpty(hexString(true)), func(c *Checker) *opt[hexBytes] { return &c.Reply },
			"A reply is needed, and must begin like this; x matches any digit."),
		schema.Value("min_reply_length", schema.Int(0, math.MaxUint16), 0, func(c *Checker) *opt[int] { return &c.MinReply },
			"Least length of a reply."),
		schema.Value("max_reply_length", schema.Int(0, math.MaxUint16), 255, func(c *Checker) *opt[int] { return &c.MaxReply },
			"Greatest length of a reply."),
	}
}

// hexBytes are bytes of which only the bits set in mask count.
type hexBytes struct{ bytes, mask []byte }

// maxDatagram is the longest payload of a UDP datagram over IPv4.
const maxDatagram = 65507

// hexString reads pairs of hexadecimal digits, in as many words as there are; a digit alone at the end of a word is a byte too. With
// wildcard an x stands for any digit.
func hexString(wildcard bool) schema.Kind[hexBytes] {
	return schema.Kind[hexBytes]{Usage: "HEX …", Parse: func(w []source.Word) (h hexBytes, err error) {
		if len(w) == 0 {
			return h, schema.ErrNoWord
		}
		for _, word := range w {
			for s := strings.ToLower(strings.Join(strings.Fields(word.Text), "")); s != ""; {
				pair := s[:min(2, len(s))]
				s = s[len(pair):]
				var value, mask byte
				for _, c := range []byte(pair) {
					value, mask = value<<4, mask<<4
					if digit := strings.IndexByte("0123456789abcdef", c); digit >= 0 {
						value, mask = value|byte(digit), mask|0xf
					} else if !wildcard || c != 'x' {
						return hexBytes{}, fmt.Errorf("%q is not hexadecimal", word.Text)
					}
				}
				if len(pair) == 1 {
					mask |= 0xf0 // the digit that is not there is a 0
				}
				h.bytes, h.mask = append(h.bytes, value), append(h.mask, mask)
			}
		}
		switch {
		case len(h.bytes) == 0:
			return h, errors.New("it is empty")
		case len(h.bytes) > maxDatagram:
			return hexBytes{}, fmt.Errorf("%d bytes do not fit into a datagram", len(h.bytes))
		}
		return h, nil
	}}
}

var fileTable = schema.TableOf(func() crows {
	return crows{
		schema.Inherited("track_file", schema.Word, func(c *Checker) *opt[string] { return &c.TrackFile },
			"The track_file block that names the file; it has to come earlier."),
		schema.Line("weight", "<-2147483647-2147483647> [reverse|noreverse]", func(c *Checker, n *syntax.Node, r *source.Report) {
			if len(n.Args) == 0 {
				r.Errorf(n.At(), "weight: no value given - ignoring")
				return
			}
			w, err := schema.ParseInt(n.Args[0].Text, -math.MaxInt32, math.MaxInt32)
			if err != nil {
				r.Errorf(n.Args[0].At, "weight: %v - ignoring", err)
				return
			}
			c.FileWeight = opt[weight]{V: weight{W: w}, At: n.At()}
			switch {
			case len(n.Args) == 1 || n.Args[1].Text == "noreverse":
			case n.Args[1].Text == "reverse":
				c.FileWeight.V.Reverse = true
			default:
				r.Errorf(n.Args[1].At, "weight: unknown option %q - ignoring", n.Args[1].Text)
			}
		}, "The number in the file is multiplied by this and added to the weight of the server; 0: it fails the server."),
	}
})

var bfdCheckTable = schema.TableOf(func() crows {
	return crows{
		schema.Inherited("name", schema.Exactly(schema.Word), func(c *Checker) *opt[string] { return &c.BFDName },
			"The bfd_instance; it has to come earlier.").Lenient(),
		alphaRow(),
	}
})
