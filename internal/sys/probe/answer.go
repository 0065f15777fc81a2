package probe

import (
	"bytes"
	"crypto/md5"
	"hash"
	"io"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/regex"
)

// answer takes in what a web server sends, in constant memory.
type answer struct {
	head     []byte        // status line and header fields
	ended    bool          // head is complete
	sum      hash.Hash     // nil: no digest is asked for
	claimed  int64         // Content-Length; -1: none
	received int64         // bytes of the body
	regex    *regex.Search // nil: none
	text     []byte        // for json_path: the body, until it is too long
	keep     bool          // text is wanted
	copy     io.Writer     // nil: none; gets what is digested
}

// newAnswer expects an answer in whose body pattern, unless nil, is looked for.
func newAnswer(u *model.URL, pattern *regex.Pattern) *answer {
	a := &answer{claimed: -1}
	if len(u.Digest) > 0 {
		a.sum = md5.New()
	}
	if a.keep = u.JSON; pattern != nil {
		a.regex = pattern.Search(u.RegexMin, u.RegexMax)
	}
	return a
}

// take takes the next bytes; false: the blank line after the header does not come in time.
func (a *answer) take(p []byte) bool {
	if a.ended {
		a.body(p)
		return true
	}
	a.head = append(a.head, p...)
	head, body, found := bytes.Cut(a.head[:min(len(a.head), maxHeader)], []byte("\r\n\r\n"))
	if !found {
		return len(a.head) < maxHeader
	}
	rest := a.head[len(head)+len(body)+4:]
	a.head, a.ended = head, true
	a.claimed = contentLength(head)
	a.body(body)
	a.body(rest)
	return true
}

// begin takes a head that has been read elsewhere; there is no length to compare with.
func (a *answer) begin(head string) { a.head, a.ended = []byte(head), true }

// body adds to the digest, but not beyond the Content-Length.
func (a *answer) body(p []byte) {
	counted := p
	if a.claimed >= 0 {
		counted = p[:min(int64(len(p)), max(0, a.claimed-a.received))]
	}
	if a.sum != nil {
		a.sum.Write(counted)
	}
	if a.copy != nil {
		a.copy.Write(counted)
	}
	if a.regex != nil {
		a.regex.Add(p)
	}
	if a.keep && len(a.text) <= maxJSON {
		a.text = append(a.text, p[:min(len(p), maxJSON+1-len(a.text))]...)
	}
	a.received += int64(len(p))
}

// judge is the verdict on a complete answer.
func (a *answer) judge(u *model.URL) check.Result {
	if !a.ended {
		return check.Result{Reason: check.WebNoData}
	}
	r := check.Result{}
	if a.claimed >= 0 {
		r.Claimed, r.Received = a.claimed, a.received
	}
	switch {
	case !inRanges(status(a.head), u.Status):
		r.Reason = check.WebStatus
	case len(u.Digest) > 0 && !bytes.Equal(a.sum.Sum(nil), u.Digest):
		r.Reason = check.WebDigest
	case !a.matches(u):
		r.Reason = check.WebRegex
	case u.JSON && !jsonMatches(a.text, u):
		r.Reason = check.WebJSON
	default:
		r.OK = true
	}
	return r
}

// matches is the verdict of the pattern on the body.
//
// Differs from keepalived: there the header counts as part of the body if both come in one segment. A match that takes too many
// steps fails the url, also with regex_no_match.
func (a *answer) matches(u *model.URL) bool {
	if a.regex == nil {
		return true
	}
	found, err := a.regex.End()
	return err == nil && found != u.RegexNot
}

// status is the number after the first blank, if it has exactly three digits and a blank follows; else 0. So a status line
// without a blank after its number is a failure, as it is for keepalived.
func status(head []byte) int {
	_, s, _ := bytes.Cut(head, []byte(" "))
	if len(s) < 4 || s[3] != ' ' {
		return 0
	}
	n := 0
	for _, c := range s[:3] {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func inRanges(n int, ranges []model.StatusRange) bool {
	for _, r := range ranges {
		if r.First <= n && n <= r.Last {
			return true
		}
	}
	return false
}

// contentLength is the number after the first "Content-Length:", spelt so, or -1.
//
// Differs from keepalived: it finds the words in the body too, as far as that came together with the header.
func contentLength(head []byte) int64 {
	_, s, found := bytes.Cut(head, []byte("Content-Length:"))
	if !found {
		return -1
	}
	s = bytes.TrimLeft(s, " \t")
	n, digits := int64(0), 0
	for _, c := range s {
		if c < '0' || c > '9' || n > 1<<56 {
			break
		}
		n = n*10 + int64(c-'0')
		digits++
	}
	if digits == 0 {
		return -1
	}
	return n
}
