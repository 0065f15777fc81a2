package track

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		content string
		want    int
		bad     bool
	}{
		{"", 0, false}, {"\n", 0, false}, {"abc", 0, false}, {"-", 0, false}, {"--5", 0, false},
		{"10\n", 10, false}, {" \t-20 rest", -20, false}, {"+7", 7, false}, {"5x", 5, false}, {"1 5", 1, false},
		{"0x10", 16, false}, {"-0XfFg", -255, false}, {"0x", 0, false}, {"0xg", 0, false}, {"010", 8, false}, {"08", 0, false}, {"0", 0, false},
		{"2147483647", 2147483647, false}, {"-2147483648", -2147483648, false},
		{"2147483648", 0, true}, {"-2147483649", 0, true}, {"99999999999999999999999", 0, true},
		{strings.Repeat(" ", 126) + "12", 1, false}, // only what is within the limit counts
	} {
		got, err := Number([]byte(tt.content))
		if got != tt.want || errors.Is(err, ErrNumber) != tt.bad {
			t.Errorf("%q: %d, %v; want %d", tt.content, got, err, tt.want)
		}
	}
}

// FuzzNumber: what is printed in a base that the file form knows is read back, whatever follows it.
func FuzzNumber(f *testing.F) {
	f.Add(int32(-254), "\n")
	f.Add(int32(77), "x1")
	f.Fuzz(func(t *testing.T, n int32, rest string) {
		_, _ = Number([]byte(rest))
		for _, text := range []string{strconv.Itoa(int(n)), "  " + strconv.Itoa(int(n))} {
			if rest != "" && strings.ContainsAny(rest[:1], "0123456789") {
				continue
			}
			if got, err := Number([]byte(text + rest)); err != nil || got != int(n) {
				if n != 0 || !strings.HasPrefix(strings.ToLower(rest), "x") { // 0x… is another number
					t.Errorf("%q: %d, %v", text+rest, got, err)
				}
			}
		}
	})
}
