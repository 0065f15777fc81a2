// Package regex looks for a Perl-compatible pattern in a stream of bytes, with bounded memory and steps.
//
// Pattern and stream are bytes, not characters, unless the option utf is given. On platforms for which the PCRE2 library has not been
// translated the regexp package of Go takes its place; patterns that it does not know are errors there.
package regex

import "unicode/utf8"

const (
	// stride is how much of a stream is collected before it is searched, so that a stream which comes byte by byte costs no more
	// than one that comes at once.
	stride = 16 << 10

	// longest is the greatest length of a match that is seen if it has not come as a whole within a stride.
	//
	// Differs from keepalived: its limit is its read buffer of 4 KiB.
	longest = 64 << 10
)

// Pattern is a compiled pattern. It is to be used by one goroutine, with one Search at a time, and to be closed.
type Pattern struct{ engine engine }

// engine is a library for regular expressions.
type engine interface {
	// match looks for the leftmost match that begins at start or later. With more, the subject is the beginning of a longer one:
	// what would match if the right bytes followed is partial. An error means that a limit was hit, or the subject is not UTF-8.
	match(subject []byte, start int, more bool) (at int, found outcome, err error)
	// lookbehind is how many bytes before the start may matter.
	lookbehind() int
	close()
}

type outcome uint8

const (
	none outcome = iota
	partial
	whole
)

// Compile reads a pattern with the words of regex_options; unknown ones are ignored, as keepalived does.
func Compile(pattern string, options []string) (*Pattern, error) {
	e, err := compile(pattern, options)
	if err != nil {
		return nil, err
	}
	return &Pattern{e}, nil
}

// Close frees the pattern.
func (p *Pattern) Close() { p.engine.close() }

// Search looks for one match in a stream. Anchors mean the beginning and the end of the stream.
type Search struct {
	p        *Pattern
	min, max int64

	window []byte // the last bytes of the stream
	base   int64  // position of window[0]
	next   int64  // position at which the search goes on
	fresh  int    // bytes at the end that have not been searched

	done, found bool
	err         error
}

// Search begins a search for a match that begins at a position from min to max, counted from 0; a max of 0 is no limit.
func (p *Pattern) Search(min, max int) *Search {
	return &Search{p: p, min: int64(min), max: int64(max), next: int64(min)}
}

// Add takes the next bytes of the stream.
func (s *Search) Add(b []byte) {
	for len(b) > 0 && !s.done {
		n := min(len(b), stride-s.fresh)
		s.window = append(s.window, b[:n]...)
		b = b[n:]
		if s.fresh += n; s.fresh >= stride {
			s.scan(true)
			s.trim()
		}
	}
}

// End tells whether the stream, which ends here, has a match.
func (s *Search) End() (bool, error) {
	if !s.done {
		s.scan(false)
		s.done, s.window = true, nil
	}
	return s.found, s.err
}

func (s *Search) scan(more bool) {
	s.fresh = 0
	subject := s.window
	if more {
		subject = wholeRunes(subject)
	}
	start := s.next - s.base
	if start > int64(len(subject)) {
		return // min has not been reached
	}
	at, found, err := s.p.engine.match(subject, int(start), more)
	switch {
	case err != nil:
		s.done, s.err = true, err
		return
	case found == none:
		s.next = s.base + int64(len(subject))
	case found == whole && !s.beyond(s.base+int64(at)):
		s.done, s.found = true, true
		return
	case found == partial && len(subject)-at < longest:
		s.next = s.base + int64(at)
	case found == partial:
		s.next = s.base + int64(len(subject)) // too long: dropped
	default:
		s.done = true
		return
	}
	s.done = s.beyond(s.next)
}

func (s *Search) beyond(position int64) bool { return s.max > 0 && position > s.max }

// trim drops what cannot matter any more. At least one byte before the place of the search stays, so that it is not taken for the
// beginning of the stream, and two for a line end of CR LF.
func (s *Search) trim() {
	if s.done {
		s.window = nil
		return
	}
	drop := min(int(min(s.next-s.base, int64(len(s.window)))), len(s.window)) - s.p.engine.lookbehind() - 2
	for drop > 0 && !utf8.RuneStart(s.window[min(drop, len(s.window)-1)]) {
		drop-- // a character that is cut would not be valid UTF-8
	}
	if drop > 0 {
		s.window = append(s.window[:0], s.window[drop:]...)
		s.base += int64(drop)
	}
}

// wholeRunes leaves out a character at the end that has not come as a whole.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if tail := b[len(b)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
