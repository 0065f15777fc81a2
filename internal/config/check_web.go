package config

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// webOptions are those of HTTP_GET and SSL_GET.
type webOptions struct {
	Protocol     opt[model.HTTPProtocol]
	VirtualHost  opt[string]
	EnableSNI    opt[bool]
	SNIName      opt[string]
	FastRecovery opt[bool]
	TLSCompliant opt[bool] // SSL_GET only
	URLs         []*url
}

// url is a url block.
type url struct {
	At, End      source.Pos
	Path         opt[string]
	Digest       opt[[]byte]
	Status       []model.StatusRange
	VirtualHost  opt[string]
	TLSCompliant opt[bool] // SSL_GET only
	Regex        opt[string]
	RegexNot     opt[bool]
	RegexOptions []string
	RegexMin     opt[int]
	RegexMax     opt[int]
	Request      request
}

func webRows() crows {
	return crows{
		schema.Inherited("nb_get_retry", schema.Int(0, math.MaxUint32), func(c *Checker) *opt[int] { return &c.Retry },
			"Old name of retry.").Deprecated("retry"),
		replaced("virtualhost", true, false, func(c *Checker) *opt[string] { return &c.Web.VirtualHost },
			"Host header of urls that have none of their own; default that of the server."),
		schema.Value("http_protocol", schema.Choice("1.0|1.0C|1.1|2", map[string]model.HTTPProtocol{
			"1.0": model.HTTP10, "1.0C": model.HTTP10C, "1.0c": model.HTTP10C, "1.1": model.HTTP11, "2": model.HTTP2,
		}), model.HTTP10, func(c *Checker) *opt[model.HTTPProtocol] { return &c.Web.Protocol },
			"Version of the request; 1.0C adds Connection: close to 1.0. 2, which keepalived does not know, is HTTP/2: over TLS, or at once without.").Lenient(),
		schema.Inherited("enable_sni", schema.Bool, func(c *Checker) *opt[bool] { return &c.Web.EnableSNI },
			"Send the virtualhost as TLS server name."),
		schema.Line("sni_name", "[NAME]", func(c *Checker, n *syntax.Node, r *source.Report) {
			name := ""
			if len(n.Args) > 0 {
				name = n.Args[0].Text
			} else if c.Web.SNIName.V != "" {
				r.Errorf(n.At(), "sni_name: the name is already specified - ignoring")
				return
			}
			c.Web.SNIName = opt[string]{V: name, At: n.At()}
		}, "TLS server name; without a name the virtualhost."),
		schema.Value("fast_recovery", schema.Bool, false, func(c *Checker) *opt[bool] { return &c.Web.FastRecovery },
			"Fetch all urls at once while the state is not known."),
	}
}

var (
	httpTable   = schema.TableOf(connecting, webRows, urlRow)
	sslGetTable = schema.TableOf(connecting, webRows, tlsRows, sslRows)
)

// urlRow is the url block of all but SSL_GET.
func urlRow() crows { return crows{urlBlock(schema.TableOf(urlRows, requestRows))} }

func sslRows() crows {
	return crows{
		schema.Value("tls_compliant", schema.Bool, false, func(c *Checker) *opt[bool] { return &c.Web.TLSCompliant },
			"Tell the server the end of the connection."),
		urlBlock(schema.TableOf(urlRows, requestRows, func() schema.Rows[url] {
			return schema.Rows[url]{
				schema.Inherited("tls_compliant", schema.Bool, func(u *url) *opt[bool] { return &u.TLSCompliant },
					"The same for this url; default that of the checker."),
			}
		})),
	}
}

func urlBlock(table *schema.Table[url]) *schema.Keyword[Checker] {
	return schema.Block("url", "", func(c *Checker, n *syntax.Node, _ *source.Report) *url {
		u := &url{At: n.At(), End: n.End}
		table.Init(u)
		c.Web.URLs = append(c.Web.URLs, u)
		return u
	}, table, "One page; all have to pass.")
}

func urlRows() schema.Rows[url] {
	return schema.Rows[url]{
		replaced("path", false, false, func(u *url) *opt[string] { return &u.Path }, "Path of the request."),
		schema.Inherited("digest", schema.One("32 hex digits", func(s string) ([]byte, error) {
			if len(s) != 32 {
				return nil, fmt.Errorf("%q has not 32 digits", s)
			}
			sum, err := hex.DecodeString(s)
			if err != nil {
				return nil, fmt.Errorf("%q is not hexadecimal", s)
			}
			return sum, nil
		}), func(u *url) *opt[[]byte] { return &u.Digest }, "MD5 of the page, as genhash prints it.").FirstWins(),
		schema.Line("status_code", "CODE[-CODE] …", readStatus, "Accepted status codes, 100 to 599; default 200-299."),
		replaced("virtualhost", true, false, func(u *url) *opt[string] { return &u.VirtualHost },
			"Host header; default that of the checker."),
		schema.Line("regex", `"PATTERN"`, readRegex, "Perl-compatible pattern that the page must match."),
		schema.Flag("regex_no_match", true, func(u *url) *opt[bool] { return &u.RegexNot }, "The page must not match."),
		schema.Line("regex_options", "WORD …", func(u *url, n *syntax.Node, _ *source.Report) {
			for _, w := range n.Args {
				u.RegexOptions = append(u.RegexOptions, w.Text)
			}
		}, "Options of the pattern.").Options(regexOptions...),
		schema.Line("regex_min_offset", "BYTES", readOffset(func(u *url) *opt[int] { return &u.RegexMin }),
			"First byte at which a match may begin."),
		schema.Line("regex_max_offset", "BYTES", readOffset(func(u *url) *opt[int] { return &u.RegexMax }),
			"Last byte at which a match may begin."),
		schema.Line("regex_stack", "START MAX", func(_ *url, n *syntax.Node, r *source.Report) {
			if len(n.Args) != 2 {
				r.Notef(n.At(), "regex_stack needs two numbers - ignoring")
			}
		}, "No effect; the stack of keepalived's pattern compiler."),
	}
}

var regexOptions = strings.Fields(`allow_empty_class alt_bsux auto_callout caseless dollar_endonly dotall dupnames extended firstline
	match_unset_backref multiline never_ucp never_utf no_auto_capture no_auto_possess no_dotstar_anchor no_start_optimize ucp ungreedy
	utf never_backslash_c alt_circumflex alt_verbnames use_offset_limit`)

func readStatus(u *url, n *syntax.Node, r *source.Report) {
	for _, w := range n.Args {
		first, last, isRange := strings.Cut(w.Text, "-")
		low, err := schema.ParseInt(first, 100, 599)
		high := low
		if err == nil && isRange {
			high, err = schema.ParseInt(last, low, 599)
		}
		if err != nil {
			r.Errorf(w.At, "status_code: %v - ignoring %q", err, w.Text)
			continue
		}
		u.Status = append(u.Status, model.StatusRange{First: low, Last: high})
	}
}

// readRegex takes the one word after the keyword, split and decoded as a script's arguments are.
func readRegex(u *url, n *syntax.Node, r *source.Report) {
	words, err := source.SplitCommand(n.Raw)
	switch {
	case err != nil:
		r.Add(source.UnmatchedQuote, n.At(), "regex: %v", err)
		return
	case len(words) != 2:
		r.Errorf(n.At(), "regex needs exactly one pattern, quoted if it has blanks - ignoring")
		return
	case u.Regex.IsSet():
		r.Errorf(n.At(), "regex is already specified - replacing the first").With("which is at", u.Regex.At)
	}
	u.Regex = opt[string]{V: words[1], At: n.At()}
}

// readOffset reads a number whose faults keepalived only logs.
func readOffset(field func(*url) *opt[int]) func(*url, *syntax.Node, *source.Report) {
	return func(u *url, n *syntax.Node, r *source.Report) {
		if len(n.Args) == 0 {
			r.Notef(n.At(), "%s: no value given - using 0", n.Key.Text)
			*field(u) = opt[int]{At: n.At()}
			return
		}
		v, err := schema.ParseInt(n.Args[0].Text, 0, math.MaxInt32)
		if err != nil {
			r.Notef(n.Args[0].At, "%s: %v - using 0", n.Key.Text, err)
		}
		*field(u) = opt[int]{V: v, At: n.At()}
	}
}
