package source

import (
	"errors"
	"strings"
)

var errQuote = errors.New("the closing quote is missing")

// Relex splits the raw text of a statement by the rules of scripts: ' and " both quote, may start inside a word and join with it, and a
// backslash protects the next character. Quotes go, backslash pairs stay for a second split. All words stand at the place at. As in
// keepalived a quote need not be closed if nothing, or a protected character, is the last in it.
func Relex(raw string, at Pos) ([]Word, error) {
	texts, err := splitQuoted(raw, false)
	words := make([]Word, len(texts))
	for i, t := range texts {
		words[i] = Word{Text: t, At: at}
	}
	return words, err
}

// SplitCommand splits the command word of a script into program and arguments, decoding escapes (language.md §3).
func SplitCommand(s string) ([]string, error) { return splitQuoted(s, true) }

func splitQuoted(s string, decode bool) (words []string, err error) {
	var w piecemeal
	inWord := false
	quote := byte(0)
	open := false // a quote that plain text ends in
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			inWord, open = true, false
			if !decode {
				w.add(s[i : i+2])
				i += 2
				continue
			}
			v, n := unescape(s[i+1:])
			w.add(string([]byte{v}))
			i += 1 + n
			continue
		case quote == 0 && (c == '"' || c == '\''):
			if i+1 < len(s) { // else it is as if it were not there
				quote, inWord = c, true
			}
		case quote != 0 && c == quote:
			quote, open = 0, false
		case quote == 0 && blank(c):
			if inWord {
				words = append(words, w.take())
				inWord = false
			}
		default:
			inWord, open = true, quote != 0
			end := i + 1
			for end < len(s) && s[end] != '\\' && s[end] != '"' && s[end] != '\'' && (quote != 0 || !blank(s[end])) {
				end++
			}
			w.add(s[i:end])
			i = end
			continue
		}
		i++
	}
	if open {
		return words, errQuote
	}
	if inWord {
		words = append(words, w.take())
	}
	return words, nil
}

// piecemeal is a word that comes in pieces. If it is one alone, as nearly always, it is not copied.
type piecemeal struct {
	first string
	all   strings.Builder // from the second on
}

func (w *piecemeal) add(piece string) {
	switch {
	case w.first == "":
		w.first = piece
		return
	case w.all.Len() == 0:
		w.all.WriteString(w.first)
	}
	w.all.WriteString(piece)
}

// take returns the word and begins the next one.
func (w *piecemeal) take() string {
	word := w.first
	if w.all.Len() > 0 {
		word = w.all.String()
	}
	*w = piecemeal{}
	return word
}

// unescape decodes what follows a backslash and says how many bytes it took.
func unescape(s string) (v byte, n int) {
	simple := map[byte]byte{'a': 7, 'b': 8, 'E': 27, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11}
	if v, ok := simple[s[0]]; ok {
		return v, 1
	}
	switch {
	case s[0] == 'x':
		n = 1
		for n < len(s) && n < 3 && hexDigit(s[n]) >= 0 {
			v = v<<4 | byte(hexDigit(s[n]))
			n++
		}
		if n == 1 {
			return 'x', 1
		}
		return v, n
	case '0' <= s[0] && s[0] <= '7':
		for n < len(s) && n < 3 && '0' <= s[n] && s[n] <= '7' {
			v = v<<3 | s[n] - '0'
			n++
		}
		return v, n
	case s[0] == 'c' && len(s) > 1:
		return s[1] & 0x1f, 2
	}
	return s[0], 1
}

func hexDigit(b byte) int {
	if b < '0' {
		return -1
	}
	return strings.IndexByte("0123456789abcdef", b|0x20)
}
