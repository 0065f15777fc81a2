package config

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seed is a text that mutants are made of.
type seed struct {
	name string
	args []string
	text string
}

// seeds are the vectors that need no special environment, the examples, the samples and the inputs of the goldens.
func seeds(t *testing.T) (list []seed) {
	t.Helper()
	add := func(name string, args []string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), "-----\n")
		list = append(list, seed{name, args, input})
	}
	expected, err := os.ReadFile("vectors/expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(expected)), "\n")[1:] {
		f := strings.Split(line, "\t")
		var args []string
		if f[4] != "-" {
			args = strings.Fields(f[4])
		}
		// What depends on random numbers is not the same twice.
		if text, _ := os.ReadFile("vectors/" + f[0]); !strings.Contains(f[4], "env:") && !strings.Contains(string(text), "_RANDOM") {
			add("vectors/"+f[0], args)
		}
	}
	for _, pattern := range []string{"examples/*.conf", "field/*.conf", "../../conf/*.conf", "../../conf/samples/*.conf", "../../internal/config/testdata/*/*.conf"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			add(f, nil)
		}
	}
	return list
}

// vocabulary is every keyword and option word.
func vocabulary(t *testing.T) (words []string) {
	t.Helper()
	text, err := os.ReadFile("../compat/keywords.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		block, name, _ := strings.Cut(line, "\t")
		if block != "(lexical)" && !strings.HasPrefix(name, "<") {
			words = append(words, name)
		}
	}
	return words
}

// values are words that stand at the edges of what values may be.
var values = strings.Fields(`0 1 2 3 -1 +1 00 01 007 0x10 0100 4 5 9 10 16 31 32 33 50 51 63 64 99 100 101 127 128 129 253 254 255 256 257 999 1000 1001 1023 1024
	4094 4095 4096 16383 16384 32767 32768 65507 65535 65536 2147483647 2147483648 4294967295 4294967296 18446744073709551615 99999999999999999999
	0.1 .5 1. 0.01 0.001 0.009 0.0000001 1.5 2.55 40.95 40.96 254.99 255.01 4294.967295 4294.967296 -0 -0.5 1e1 1s 5x 51# 1,2 1-2 1/2
	true false on off yes no TRUE On maybe master MASTER BACKUP FAULT TCP UDP SCTP tcp NAT DR TUN rr wrr mh
	192.0.2.1 192.0.2.300 192.0.2.1/24 192.0.2.1/33 192.0.2.1-5 192.0.2 0.0.0.0 255.255.255.255 224.0.0.18 10.0.0.0/8 default
	2001:db8::1 2001:db8::1/64 ::1 fe80::1 fe80::1%eth0 ff02::12 :: ::ffff:192.0.2.1 2001:db8::1/129
	eth0 eth1 lo nope0 averyverylongname0 peer0 eth0.5 dev via table scope weight port group fwmark name inet inet6 track_group
	root nobody nosuchuser /bin/true /nonexistent /etc/passwd /tmp "/bin/true "" ' " \ \\ # ! \# { } {} @node1 @^x $X ${X} ~SEQ(I,2) ~LST(A,b) a=b a,b * include`)

// mutate makes one to three random changes.
func mutate(r *rand.Rand, text string, words []string, others []string) string {
	for range 1 + r.IntN(2)*r.IntN(3) {
		text = mutateOnce(r, text, words, others)
	}
	return text
}

func mutateOnce(r *rand.Rand, text string, words []string, others []string) string {
	lines := strings.Split(text, "\n")
	i, j := r.IntN(len(lines)), r.IntN(len(lines))
	line := lines[i]
	fields := strings.Fields(line)
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	put := func(s ...string) string {
		return strings.Join(append(append(append([]string{}, lines[:i]...), s...), lines[i+1:]...), "\n")
	}
	change := func(f func(k int) []string) string {
		if len(fields) == 0 {
			return text
		}
		k := r.IntN(len(fields))
		out := append(append(append([]string{}, fields[:k]...), f(k)...), fields[k+1:]...)
		return put(indent + strings.Join(out, " "))
	}
	switch r.IntN(25) {
	case 0: // delete a line
		return put()
	case 1: // repeat it
		return put(line, line)
	case 2: // swap two
		lines[i], lines[j] = lines[j], lines[i]
		return strings.Join(lines, "\n")
	case 3: // copy one elsewhere
		return put(line, lines[j])
	case 4: // a line of another file
		return put(line, pick(others))
	case 5, 6: // another keyword
		if len(fields) == 0 {
			return put(indent + pick(words))
		}
		return put(indent + strings.Join(append([]string{pick(words)}, fields[1:]...), " "))
	case 7: // a new keyword line
		return put(line, indent+pick(words)+" "+pick(values))
	case 8, 9, 10, 11: // another value
		return change(func(k int) []string {
			if k == 0 && len(fields) > 1 {
				return []string{fields[k], pick(values)}
			}
			return []string{pick(values)}
		})
	case 12: // a word more
		return change(func(k int) []string { return []string{fields[k], pick(append([]string{pick(words)}, values...))} })
	case 13: // a word less
		return change(func(int) []string { return nil })
	case 14: // damage a word
		return change(func(k int) []string {
			const inside, after = `0123456789abcxyzABC.-/:{}"'\#!@$~_ `, `0123456789x.-/:{}"'\#!$_%`
			w := []byte(fields[k])
			n := r.IntN(len(w))
			switch r.IntN(4) {
			case 0:
				w = append(w[:n], w[n+1:]...)
			case 1:
				w[n] = inside[r.IntN(len(inside))]
			case 2:
				w = append(w[:n], append([]byte{w[n]}, w[n:]...)...)
			default:
				w = append(w, after[r.IntN(len(after))])
			}
			return []string{string(w)}
		})
	case 15: // damage the braces
		n := strings.IndexAny(line, "{}")
		switch {
		case n >= 0 && r.IntN(2) == 0:
			return put(line[:n] + line[n+1:])
		case n >= 0:
			return put(line[:n] + "\n" + line[n:n+1] + "\n" + line[n+1:])
		}
		return put(line + pick([]string{"{", "}", " {", " }", "{ }", "{}"}))
	case 16: // damage the quotes
		n := strings.IndexByte(line, '"')
		if n >= 0 && r.IntN(2) == 0 {
			return put(line[:n] + line[n+1:])
		}
		return change(func(k int) []string {
			return []string{pick([]string{`"` + fields[k], fields[k] + `"`, `"` + fields[k] + `"`, "'" + fields[k] + "'"})}
		})
	case 17: // move a line to another place
		if i == j {
			return text
		}
		rest := append(append([]string{}, lines[:i]...), lines[i+1:]...)
		j %= len(rest)
		return strings.Join(append(append(append([]string{}, rest[:j]...), line), rest[j:]...), "\n")
	case 18: // move a whole block into another
		if end := blockEnd(lines, i); end > i {
			block := append([]string{}, lines[i:end+1]...)
			rest := append(append([]string{}, lines[:i]...), lines[end+1:]...)
			j = r.IntN(len(rest) + 1)
			return strings.Join(append(append(append([]string{}, rest[:j]...), block...), rest[j:]...), "\n")
		}
		return text
	case 19: // cut the file
		return strings.Join(lines[:i], "\n")
	case 20: // repeat a whole block, there or elsewhere
		if end := blockEnd(lines, i); end > i {
			if at := end + 1; r.IntN(2) == 0 {
				j = at
			}
			j = min(j, len(lines))
			return strings.Join(append(append(append([]string{}, lines[:j]...), lines[i:end+1]...), lines[j:]...), "\n")
		}
		return text
	case 21: // swap two words of a line
		if len(fields) < 2 {
			return text
		}
		k, l := r.IntN(len(fields)), r.IntN(len(fields))
		fields[k], fields[l] = fields[l], fields[k]
		return put(indent + strings.Join(fields, " "))
	case 22: // delete a brace of the file
		n := r.IntN(1 + strings.Count(text, "{") + strings.Count(text, "}"))
		for at, c := range text {
			if c == '{' || c == '}' {
				if n--; n < 0 {
					return text[:at] + text[at+1:]
				}
			}
		}
		return text
	case 23: // join a line with the next, or break it
		if len(fields) > 1 && r.IntN(2) == 0 {
			k := 1 + r.IntN(len(fields)-1)
			return put(indent+strings.Join(fields[:k], " "), strings.Join(fields[k:], " "))
		}
		if i+1 < len(lines) {
			return strings.Join(append(append(append([]string{}, lines[:i]...), line+" "+lines[i+1]), lines[i+2:]...), "\n")
		}
		return text
	default: // a number at the edge of another kind
		return change(func(k int) []string {
			for n := range fields {
				if w := fields[(k+n)%len(fields)]; w != "" && w[0] >= '0' && w[0] <= '9' {
					fields[(k+n)%len(fields)] = pick(numbers)
					break
				}
			}
			return []string{fields[k]}
		})
	}
}

// numbers stand at the edges of what types of numbers can be.
var numbers = strings.Fields(`-1 0 1 2 7 8 15 16 31 32 33 99 100 127 128 253 254 255 256 999 1000 1023 1024 4294 4295 32767 32768 65535 65536 2147483647 2147483648
	4294967295 4294967296 0.5 .001 1.0000001 1e3 0x1f 017 08 +5 5- 5/ 5x`)

// blockEnd is the line that closes the block which line i opens, or -1.
func blockEnd(lines []string, i int) int {
	depth := 0
	for n := i; n < len(lines); n++ {
		depth += strings.Count(lines[n], "{") - strings.Count(lines[n], "}")
		if n == i && depth <= 0 {
			return -1
		}
		if depth <= 0 {
			return n
		}
	}
	return -1
}
