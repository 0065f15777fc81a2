package regex

import (
	"strings"
	"testing"
	"time"
)

// search looks for pattern in text, given in pieces of each of several sizes: what is found must not depend on them.
func search(t *testing.T, pattern, options, text string, min, max int) bool {
	t.Helper()
	verdicts := map[bool]int{}
	for _, size := range []int{1, 7, stride, len(text) + 1} {
		p, err := Compile(pattern, strings.Fields(options))
		if err != nil {
			t.Fatal(err)
		}
		s := p.Search(min, max)
		for rest := text; rest != ""; {
			n := len(rest)
			if n > size {
				n = size
			}
			s.Add([]byte(rest[:n]))
			rest = rest[n:]
		}
		found, err := s.End()
		if err != nil {
			t.Fatal(err)
		}
		verdicts[found] = size
		p.Close()
	}
	if len(verdicts) != 1 {
		t.Fatalf("%q: the verdict depends on the pieces: %v", pattern, verdicts)
	}
	_, found := verdicts[true]
	return found
}

func TestSearch(t *testing.T) {
	long := strings.Repeat("0123456789abcde\n", 4*stride/16) // longer than what is kept of it
	tests := []struct {
		name, pattern, options, text string
		min, max                     int
		want                         bool
	}{
		{"plain", "wor", "", "hello world", 0, 0, true},
		{"absent", "moon", "", "hello world", 0, 0, false},
		{"case", "WORLD", "", "hello world", 0, 0, false},
		{"caseless", "WORLD", "caseless", "hello world", 0, 0, true},
		{"unknown option", "wor", "nonsense", "hello world", 0, 0, true},
		{"L-F25 look-ahead", "hello(?! moon)", "", "hello world", 0, 0, true},
		{"back-reference", `(l)\1`, "", "hello", 0, 0, true},
		{"L-F25 recursion", `^(\((?1)*\))$`, "", "(()())", 0, 0, true},
		{"bytes", `^.$`, "", "é", 0, 0, false},
		{"characters", `^.$`, "utf", "é", 0, 0, true},
		{"a byte above 127", `\xff`, "", "a\xffb", 0, 0, true},
		{"characters among others", `é$`, "utf", "\xffé", 0, 0, true},
		{"empty text", `^$`, "", "", 0, 0, true},
		{"empty match", `x*`, "", "abc", 0, 0, true},
		{"zero byte", `a\x00b`, "", "a\x00b", 0, 0, true},
		{"begin", `^world`, "", "hello world", 0, 0, false},
		{"begin of line", `^world`, "multiline", "hello\nworld", 0, 0, true},
		{"end", `hello$`, "", "hello world", 0, 0, false},

		{"from min on", "o", "", "hello world", 4, 5, true},
		{"next one from min on", "o", "", "hello world", 5, 7, true},
		{"before min", "hello", "", "hello world", 1, 0, false},
		{"at max", "world", "", "hello world", 0, 6, true},
		{"beyond max", "world", "", "hello world", 0, 5, false},
		{"min beyond the end", "o", "", "hello", 10, 20, false},
		{"look-behind before min", `(?<=hello )world`, "", "hello world", 6, 0, true},

		{"far", "needle", "", long + "needle", 0, 0, true},
		{"far, from min on", "needle", "", long + "needle", len(long), 0, true},
		{"far, beyond max", "needle", "", long + "needle", 0, len(long) - 1, false},
		{"across strides", "needle", "", long[:stride-3] + "needle" + long, 0, 0, true},
		{"long across strides", "(?s)begin.*end", "", long + "begin" + long[:stride*3/2] + "end", 0, 0, true},
		{"no line begins between strides", `^0123X`, "", long + "0123X", 0, 0, false},
		{"line begins between strides", `^0123X`, "multiline", long + "0123X", 0, 0, true},
		{"text begins once", `\A0123`, "", "x" + long, 0, 0, false},
		{"text ends once", `e\n\z`, "", long + "x", 0, 0, false},
		{"end of a long text", `e\n\z`, "", long, 0, 0, true},
		{"look-behind across strides", `(?<=cde\n)x`, "", long + "x", 0, 0, true},
		{"character across strides", `é`, "utf", long[:stride-1] + "é" + long, 0, 0, true},
		{"word boundary between strides", `\bneedle`, "", long[:stride-1] + "xneedle" + long, 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := search(t, tt.pattern, tt.options, tt.text, tt.min, tt.max); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A match that begins far back is given up, and the window with it.
func TestWindowIsBounded(t *testing.T) {
	p, err := Compile("(?s)a.*z", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := p.Search(0, 0)
	s.Add([]byte("a"))
	for range 100 {
		s.Add(make([]byte, stride))
		if len(s.window) > longest+2*stride {
			t.Fatalf("%d bytes are kept", len(s.window))
		}
	}
	s.Add([]byte("az"))
	if found, err := s.End(); !found || err != nil {
		t.Errorf("the match after it: %v, %v", found, err)
	}
}

// A pattern that backtracks without end hits the limit.
func TestStepsAreBounded(t *testing.T) {
	p, err := Compile(`^(a+)+$`, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	begin := time.Now()
	s := p.Search(0, 0)
	s.Add([]byte(strings.Repeat("a", 100) + "b"))
	if found, err := s.End(); found || err == nil {
		t.Errorf("got %v, %v; want an error", found, err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestBadPattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"a(b": "at offset 3: missing closing parenthesis",
		"ab)": "at offset 2: unmatched closing parenthesis",
	} {
		if _, err := Compile(pattern, nil); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", pattern, err, want)
		}
	}
}

func FuzzSearch(f *testing.F) {
	f.Add("(?s)b.*e", "utf", []byte("abcde"), 1, 3, uint8(2))
	f.Add(`\bx$`, "multiline", []byte("a\r\nx"), 0, 0, uint8(1))
	f.Fuzz(func(t *testing.T, pattern, options string, text []byte, min, max int, size uint8) {
		p, err := Compile(pattern, strings.Fields(options))
		if err != nil {
			return
		}
		defer p.Close()
		s := p.Search(min&0xffff, max&0xffff)
		for len(text) > int(size) && size > 0 {
			s.Add(text[:size])
			text = text[size:]
		}
		s.Add(text)
		s.End()
	})
}
