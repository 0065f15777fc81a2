package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// tlsOptions are our keywords of checkers that talk TLS.
type tlsOptions struct {
	Verify    opt[bool]
	CA        opt[string]
	Cert, Key opt[string]
	Expiry    opt[int] // days
}

func tlsRows() crows {
	return crows{
		schema.Value("tls_verify", schema.Bool, false, func(c *Checker) *opt[bool] { return &c.TLS.Verify },
			"The server's certificate has to be valid, for the TLS server name, else the virtualhost, else the address; needs TLS 1.2.").Ours(),
		schema.Inherited("tls_ca_file", schema.Word, func(c *Checker) *opt[string] { return &c.TLS.CA },
			"Authorities (PEM) that tls_verify trusts; default those of the system.").Ours(),
		schema.Inherited("tls_cert", schema.Word, func(c *Checker) *opt[string] { return &c.TLS.Cert },
			"Client certificate (PEM) of this checker, in place of that of the SSL block.").Ours(),
		schema.Inherited("tls_key", schema.Word, func(c *Checker) *opt[string] { return &c.TLS.Key },
			"Its key; default: in the file of the certificate.").Ours(),
		schema.Inherited("tls_expiry_warning", schema.Int(1, 3650), func(c *Checker) *opt[int] { return &c.TLS.Expiry },
			"Log once a day when the server's certificate has fewer than so many days left.").Ours(),
	}
}

const day = 24 * time.Hour

func (res *resolver) tls(c *Checker) (out *model.TLSOpts) {
	t := &c.TLS
	out = &model.TLSOpts{Verify: t.Verify.V, CA: t.CA.V, Cert: t.Cert.V, Key: t.Key.V, ExpiryWarning: time.Duration(t.Expiry.V) * day}
	if t.CA.IsSet() && !t.Verify.V {
		res.r.Notef(t.CA.At, "tls_ca_file has no effect without tls_verify")
	}
	if t.Key.IsSet() && !t.Cert.IsSet() {
		res.r.Errorf(t.Key.At, "tls_key without tls_cert - ignoring")
		out.Key = ""
	}
	return out
}

// request is what our keywords change of the request for a url.
type request struct {
	Method   opt[string]
	Headers  []model.Secret // "Name: value"
	Body     opt[model.Secret]
	JSONPath opt[jsonPath]
}

type jsonPath struct {
	steps []string
	value string
	exact bool
}

// maxHeaders and maxRequestBody bound what a url block may send, in bytes.
const (
	maxHeaders     = 16 << 10
	maxRequestBody = 64 << 10
)

func requestRows() schema.Rows[url] {
	return schema.Rows[url]{
		schema.Inherited("method", schema.One("TOKEN", func(s string) (string, error) {
			if !isToken(s) {
				return "", fmt.Errorf("%q is no method", s)
			}
			return s, nil
		}), func(u *url) *opt[string] { return &u.Request.Method }, "Method of the request; default GET.").Ours(),
		schema.Line("header", `NAME "VALUE"`, readHeader, "A further header field; any number of them.").Ours(),
		schema.Line("body", `"TEXT"`, func(u *url, n *syntax.Node, r *source.Report) {
			if words, ok := quoted(n, 1, 1, r); ok {
				if len(words[0]) > maxRequestBody {
					r.Errorf(n.At(), "body of %d bytes is longer than %d - ignoring", len(words[0]), maxRequestBody)
					return
				}
				u.Request.Body = opt[model.Secret]{V: model.Secret(words[0]), At: n.At()}
			}
		}, "Body of the request, with its Content-Length.").Ours(),
		schema.Line("json_path", `"$.NAME[0]…" ["VALUE"]`, func(u *url, n *syntax.Node, r *source.Report) {
			words, ok := quoted(n, 1, 2, r)
			if !ok {
				return
			}
			steps, err := parseJSONPath(words[0])
			if err != nil {
				r.Errorf(n.At(), "json_path: %v - ignoring", err)
				return
			}
			p := jsonPath{steps: steps}
			if len(words) > 1 {
				p.value, p.exact = words[1], true
			}
			u.Request.JSONPath = opt[jsonPath]{V: p, At: n.At()}
		}, "What the page, which is JSON, has there must be VALUE; without one it must be there, and neither null nor false.").Ours(),
	}
}

// quoted reads words as they stand in quotes, with escapes decoded.
func quoted(n *syntax.Node, least, most int, r *source.Report) ([]string, bool) {
	words, err := source.SplitCommand(n.Raw)
	switch {
	case err != nil:
		r.Add(source.UnmatchedQuote, n.At(), "%s: %v", n.Key.Text, err)
		return nil, false
	case len(words) < least+1:
		missing(n, r)
		return nil, false
	case len(words) > most+1:
		r.Errorf(n.At(), "%s: unexpected %q - ignoring", n.Key.Text, words[most+1]).Hint = "a value with blanks needs quotes"
		return nil, false
	}
	return words[1:], true
}

// fixedHeaders are made of other keywords, or would change how an answer is framed.
var fixedHeaders = map[string]string{
	"host": "use virtualhost", "content-length": "it follows from body", "connection": "use http_protocol",
	"transfer-encoding": "", "te": "", "upgrade": "", "keep-alive": "", "proxy-connection": "", "accept-encoding": "nothing is decompressed",
}

func readHeader(u *url, n *syntax.Node, r *source.Report) {
	words, ok := quoted(n, 2, 2, r)
	if !ok {
		return
	}
	name, value := strings.TrimSuffix(words[0], ":"), words[1]
	hint, fixed := fixedHeaders[strings.ToLower(name)]
	size := len(name) + len(value)
	for _, h := range u.Request.Headers {
		size += len(h)
	}
	switch {
	case !isToken(name):
		r.Errorf(n.At(), "header: %q is no name - ignoring", words[0])
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
		r.Errorf(n.At(), "header %s: the value has control characters - ignoring", name)
	case fixed:
		r.Errorf(n.At(), "header: %s cannot be set - ignoring", name).Hint = hint
	case size > maxHeaders:
		r.Errorf(n.At(), "header: they are longer than %d bytes - ignoring", maxHeaders)
	default:
		u.Request.Headers = append(u.Request.Headers, model.Secret(name+": "+value))
	}
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// parseJSONPath reads $.name[0]["other name"], which is what RFC 9535 calls a singular query.
func parseJSONPath(s string) (steps []string, err error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, fmt.Errorf("%q does not begin with $", s)
	}
	for rest != "" {
		var step string
		switch {
		case strings.HasPrefix(rest, "['"), strings.HasPrefix(rest, `["`):
			end := strings.Index(rest[2:], rest[1:2]+"]")
			if end < 0 {
				return nil, fmt.Errorf("%q has a bracket that does not end", s)
			}
			step, rest = rest[2:2+end], rest[end+4:]
		case strings.HasPrefix(rest, "["):
			number, after, ok := strings.Cut(rest[1:], "]")
			if n, err := strconv.Atoi(number); !ok || err != nil || n < 0 || n > math.MaxInt32 {
				return nil, fmt.Errorf("%q is no index", rest)
			}
			step, rest = number, after
		case strings.HasPrefix(rest, "."):
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if step, rest = rest[1:1+end], rest[1+end:]; step == "" || step == "*" {
				return nil, errors.New("every . needs a name")
			}
		default:
			return nil, fmt.Errorf("%q: . or [ expected", rest)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

var grpcTable = schema.TableOf(connecting, grpcRows, tlsRows)

func grpcRows() crows {
	return crows{
		schema.Inherited("service", schema.Word, func(c *Checker) *opt[string] { return &c.GRPCService },
			"Service asked about; default the server as a whole.").Ours(),
		schema.Inherited("virtualhost", schema.Word, func(c *Checker) *opt[string] { return &c.Web.VirtualHost },
			"Name of the server in the request; default that of the server.").Lenient().Ours(),
		schema.Value("tls", schema.Bool, false, func(c *Checker) *opt[bool] { return &c.GRPCTLS }, "Talk TLS.").Ours(),
	}
}
