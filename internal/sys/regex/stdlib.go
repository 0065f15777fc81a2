//go:build !(linux && (386 || amd64 || arm || arm64 || riscv64))

package regex

import (
	"fmt"
	"regexp"
)

var optionFlags = map[string]string{"caseless": "i", "multiline": "m", "dotall": "s", "ungreedy": "U", "utf": "", "no_auto_possess": "",
	"no_start_optimize": "", "no_dotstar_anchor": "", "use_offset_limit": "", "auto_callout": ""}

// goRegexp is the regexp package: no look-around, no back-references, and characters instead of bytes. It does not tell partial
// matches, so a match that crosses the end of a window is found only if the window is not yet longest.
type goRegexp struct{ *regexp.Regexp }

func compile(pattern string, options []string) (engine, error) {
	flags := ""
	for _, word := range options {
		f, ok := optionFlags[word]
		if !ok {
			return nil, fmt.Errorf("option %s is not supported on this platform", word)
		}
		flags += f
	}
	if flags != "" {
		pattern = "(?" + flags + ")" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return goRegexp{re}, nil
}

func (g goRegexp) match(subject []byte, start int, more bool) (int, outcome, error) {
	for _, m := range g.FindAllIndex(subject, -1) {
		if m[0] >= start && (!more || m[1] < len(subject)) {
			return m[0], whole, nil
		}
	}
	if more {
		return start, partial, nil
	}
	return 0, none, nil
}

func (g goRegexp) lookbehind() int { return 4 }
func (g goRegexp) close()          {}
