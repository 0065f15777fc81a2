package track

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// FileLimit is how many bytes of a file count.
const FileLimit = 127

// ErrNumber says that a file holds a number that cannot be meant.
var ErrNumber = errors.New("number out of range")

// Number reads what a file holds: a number at its beginning as strtol(3) reads it, decimal, 0x… or 0…; anything else, and nothing at
// all, is 0. A number beyond ±2³¹ is an ErrNumber.
func Number(content []byte) (int, error) {
	text := strings.TrimLeft(string(content[:min(len(content), FileLimit)]), " \t\n\v\f\r")
	digits := strings.TrimLeft(text, "+-")
	sign := text[:len(text)-len(digits)]
	if len(sign) > 1 {
		return 0, nil
	}
	base := 10
	if low := strings.ToLower(digits); len(low) > 2 && low[:2] == "0x" && isDigit(low[2], 16) {
		base, digits = 16, digits[2:]
	} else if strings.HasPrefix(digits, "0") {
		base = 8
	}
	end := 0
	for end < len(digits) && isDigit(digits[end], base) {
		end++
	}
	if end == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(digits[:end], base, 64)
	if sign == "-" {
		n = -n
	}
	if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
		return 0, ErrNumber
	}
	return int(n), nil
}

func isDigit(c byte, base int) bool {
	switch {
	case c >= '0' && c <= '9':
		return int(c-'0') < base
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return base == 16
	}
	return false
}
