package schema

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// Kind is the syntax of a value, written once for all the keywords that take one.
type Kind[V any] struct {
	Usage string // "<1-255>"
	// Parse reads the words after the keyword. It returns ErrNoWord if a word is missing, and a value together with an error made by
	// Corrected if the value is used in spite of the error.
	Parse func([]source.Word) (V, error)
}

// ErrNoWord says that a keyword has no value.
var ErrNoWord = errors.New("no value given")

type corrected struct{ error }

// Corrected makes an error that is reported, while the value returned with it is used.
func Corrected(format string, args ...any) error { return corrected{fmt.Errorf(format, args...)} }

// IsCorrected reports whether the value that came with an error is to be used.
func IsCorrected(err error) bool {
	var c corrected
	return errors.As(err, &c)
}

// One makes a kind of a function that reads one word.
func One[V any](usage string, parse func(string) (V, error)) Kind[V] {
	return Kind[V]{Usage: usage, Parse: func(w []source.Word) (V, error) {
		if len(w) == 0 {
			var zero V
			return zero, ErrNoWord
		}
		return parse(w[0].Text)
	}}
}

// Exactly makes a kind refuse further words.
func Exactly[V any](k Kind[V]) Kind[V] {
	parse := k.Parse
	k.Parse = func(w []source.Word) (V, error) {
		v, err := parse(w)
		if err == nil && len(w) > 1 {
			err = fmt.Errorf("unexpected %q", w[1].Text)
		}
		return v, err
	}
	return k
}

// Fallback makes a kind use def in place of a bad value.
func Fallback[V any](k Kind[V], def V) Kind[V] {
	parse := k.Parse
	k.Parse = func(w []source.Word) (V, error) {
		v, err := parse(w)
		if err == nil || errors.Is(err, ErrNoWord) || IsCorrected(err) {
			return v, err
		}
		return def, Corrected("%w - using %v", err, def)
	}
	return k
}

// Int is a decimal integer within low and high.
func Int(low, high int) Kind[int] {
	return One(fmt.Sprintf("<%d-%d>", low, high), func(s string) (int, error) { return ParseInt(s, low, high) })
}

// leadingBlanks are what strtoul skips.
const leadingBlanks = " \t\n\v\f\r"

// ParseInt reads a decimal integer by keepalived's rules: leading blanks, a plus and zeros are fine, a word without anything else is 0.
func ParseInt(s string, low, high int) (int, error) {
	t := strings.TrimLeft(s, leadingBlanks)
	minus := strings.HasPrefix(t, "-")
	digits := strings.TrimPrefix(t, "-")
	if !minus {
		digits = strings.TrimPrefix(t, "+")
	}
	if digits == "" && t != "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	if minus && low >= 0 {
		return 0, fmt.Errorf("%q is negative", s)
	}
	n := 0
	for _, d := range digits {
		if n = n*10 + int(d-'0'); n > math.MaxInt64/16 {
			n = math.MaxInt64 / 16
		}
	}
	if minus {
		n = -n
	}
	if n < low || n > high {
		return 0, fmt.Errorf("%q is not within %d and %d", s, low, high)
	}
	return n, nil
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// WholeSeconds is a number of seconds without a fraction.
func WholeSeconds(low, high int) Kind[time.Duration] {
	return One(fmt.Sprintf("<%d-%d seconds>", low, high), func(s string) (time.Duration, error) {
		n, err := ParseInt(s, low, high)
		return time.Duration(n) * time.Second, err
	})
}

// Seconds is a decimal number of seconds with at most 6 places.
func Seconds(low, high time.Duration) Kind[time.Duration] { return Decimal(time.Second, low, high, 6) }

// Decimal is a decimal number of units with at most so many places; a number with more is reported, rounded and used.
func Decimal(unit, low, high time.Duration, places int) Kind[time.Duration] {
	in := func(d time.Duration) string {
		return strconv.FormatFloat(float64(d)/float64(unit), 'f', -1, 64)
	}
	name := "seconds"
	if unit == time.Millisecond {
		name = "ms"
	}
	usage := fmt.Sprintf("<%s-%s %s>", in(low), in(high), name)
	return One(usage, func(s string) (time.Duration, error) {
		t := strings.TrimPrefix(strings.TrimLeft(s, leadingBlanks), "+")
		if strings.HasPrefix(t, "-") {
			return 0, fmt.Errorf("%q is negative", s)
		}
		whole, frac, _ := strings.Cut(t, ".")
		if !onlyDigits(whole) || !onlyDigits(frac) {
			return 0, fmt.Errorf("%q is not a number", s)
		}
		tooLong := len(frac) > places
		var round time.Duration
		if tooLong {
			if frac[places] >= '5' {
				round = 1
			}
			frac = frac[:places]
		}
		step := unit
		n, err := ParseInt("0"+whole, 0, math.MaxInt64/32/int(unit))
		if err != nil {
			return 0, fmt.Errorf("%q is not within %s and %s", s, in(low), in(high))
		}
		d := time.Duration(n) * unit
		for i := range places {
			if step /= 10; i < len(frac) {
				d += time.Duration(frac[i]-'0') * step
			}
		}
		if d += round * step; d < low || d > high {
			return 0, fmt.Errorf("%q is not within %s and %s", s, in(low), in(high))
		}
		if tooLong {
			return d, Corrected("%q has more than %d decimal places - using %s", s, places, in(d))
		}
		return d, nil
	})
}

// Bool is keepalived's boolean; no word means true.
var Bool = Kind[bool]{Usage: "[true|on|yes|false|off|no]", Parse: func(w []source.Word) (bool, error) {
	if len(w) == 0 {
		return true, nil
	}
	switch w[0].Text {
	case "true", "on", "yes":
		return true, nil
	case "false", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is not a boolean", w[0].Text)
}}

// Choice is one word of a fixed set.
func Choice[V any](usage string, values map[string]V) Kind[V] {
	return One(usage, func(s string) (V, error) {
		v, ok := values[s]
		if !ok {
			return v, fmt.Errorf("unknown value %q", s)
		}
		return v, nil
	})
}

// Word is any one word.
var Word = One("TEXT", func(s string) (string, error) { return s, nil })

// ShortWord is a word of at most n bytes; a longer one is cut.
func ShortWord(n int) Kind[string] {
	return One(fmt.Sprintf("TEXT(≤%d)", n), func(s string) (string, error) {
		if len(s) > n {
			return s[:n], Corrected("%q is longer than %d bytes - using %q", s, n, s[:n])
		}
		return s, nil
	})
}

// MaxIfName is the length limit of an interface name (IFNAMSIZ - 1 of if.h).
const MaxIfName = 15

// IfName is the name of an interface; whether it exists is another question.
var IfName = One("IFNAME", func(s string) (string, error) {
	if len(s) > MaxIfName {
		return "", fmt.Errorf("interface name %q is longer than %d bytes", s, MaxIfName)
	}
	return s, nil
})

// Addr is a single address. keepalived drops whatever follows the first '-', or else the first '/', without a word; so do we, with no
// finding, because the text is legal there.
var Addr = One("IPADDR", ParseAddr)

// ParseAddr reads an address as Addr does.
func ParseAddr(s string) (netip.Addr, error) {
	t, _, cut := strings.Cut(s, "-")
	if !cut {
		t, _, _ = strings.Cut(s, "/")
	}
	a, err := netip.ParseAddr(t)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an address", s)
	}
	return a, nil
}
