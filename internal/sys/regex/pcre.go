//go:build linux && (386 || amd64 || arm || arm64 || riscv64)

package regex

import (
	"fmt"
	"runtime"
	"unsafe"

	pcre "go.elara.ws/pcre/lib"
	"modernc.org/libc"
)

// Limits of one match: steps of the matcher, about a tenth of a second of work, and its memory in KiB.
const (
	maxSteps  = 1_000_000
	maxMemory = 16 << 10
)

var optionBits = map[string]uint32{
	"allow_empty_class":   pcre.DPCRE2_ALLOW_EMPTY_CLASS,
	"alt_bsux":            pcre.DPCRE2_ALT_BSUX,
	"alt_circumflex":      pcre.DPCRE2_ALT_CIRCUMFLEX,
	"alt_verbnames":       pcre.DPCRE2_ALT_VERBNAMES,
	"auto_callout":        pcre.DPCRE2_AUTO_CALLOUT,
	"caseless":            pcre.DPCRE2_CASELESS,
	"dollar_endonly":      pcre.DPCRE2_DOLLAR_ENDONLY,
	"dotall":              pcre.DPCRE2_DOTALL,
	"dupnames":            pcre.DPCRE2_DUPNAMES,
	"extended":            pcre.DPCRE2_EXTENDED,
	"firstline":           pcre.DPCRE2_FIRSTLINE,
	"match_unset_backref": pcre.DPCRE2_MATCH_UNSET_BACKREF,
	"multiline":           pcre.DPCRE2_MULTILINE,
	"never_backslash_c":   pcre.DPCRE2_NEVER_BACKSLASH_C,
	"never_ucp":           pcre.DPCRE2_NEVER_UCP,
	"never_utf":           pcre.DPCRE2_NEVER_UTF,
	"no_auto_capture":     pcre.DPCRE2_NO_AUTO_CAPTURE,
	"no_auto_possess":     pcre.DPCRE2_NO_AUTO_POSSESS,
	"no_dotstar_anchor":   pcre.DPCRE2_NO_DOTSTAR_ANCHOR,
	"no_start_optimize":   pcre.DPCRE2_NO_START_OPTIMIZE,
	"ucp":                 pcre.DPCRE2_UCP,
	"ungreedy":            pcre.DPCRE2_UNGREEDY,
	"use_offset_limit":    pcre.DPCRE2_USE_OFFSET_LIMIT,
	// Bytes that are not UTF-8 match nothing, instead of being an error.
	"utf": pcre.DPCRE2_UTF | pcre.DPCRE2_MATCH_INVALID_UTF,
}

// perl is PCRE2, translated from C: its objects are numbers, and have to be freed.
type perl struct {
	tls                 *libc.TLS
	code, context, data uintptr
	behind              int
}

func compile(pattern string, options []string) (engine, error) {
	var bits uint32
	for _, word := range options {
		bits |= optionBits[word]
	}
	p := &perl{tls: libc.NewTLS()}
	// What the library writes to has to be memory of its own.
	scratch := libc.Xmalloc(p.tls, 256)
	text := libc.Xmalloc(p.tls, pcre.Tsize_t(len(pattern)+1))
	if scratch == 0 || text == 0 {
		panic("regex: out of memory")
	}
	defer libc.Xfree(p.tls, scratch)
	defer libc.Xfree(p.tls, text)
	copy(unsafe.Slice((*byte)(at(text)), len(pattern)), pattern)

	p.code = pcre.Xpcre2_compile_8(p.tls, text, pcre.Tsize_t(len(pattern)), bits, scratch, scratch+8, 0)
	if p.code == 0 {
		number, offset := *(*int32)(at(scratch)), *(*pcre.Tsize_t)(at(scratch + 8))
		n := pcre.Xpcre2_get_error_message_8(p.tls, number, scratch, 256)
		message := string(unsafe.Slice((*byte)(at(scratch)), max(0, n)))
		p.close()
		return nil, fmt.Errorf("at offset %d: %s", offset, message)
	}
	pcre.Xpcre2_pattern_info_8(p.tls, p.code, pcre.DPCRE2_INFO_MAXLOOKBEHIND, scratch)
	p.behind = int(*(*uint32)(at(scratch))) * 4 // it counts characters
	p.context = pcre.Xpcre2_match_context_create_8(p.tls, 0)
	p.data = pcre.Xpcre2_match_data_create_from_pattern_8(p.tls, p.code, 0)
	if p.context == 0 || p.data == 0 {
		panic("regex: out of memory")
	}
	pcre.Xpcre2_set_match_limit_8(p.tls, p.context, maxSteps)
	pcre.Xpcre2_set_heap_limit_8(p.tls, p.context, maxMemory)
	return p, nil
}

// at makes a pointer to memory of the library, which the garbage collector does not know.
func at(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

func (p *perl) lookbehind() int { return p.behind }

func (p *perl) match(subject []byte, start int, more bool) (int, outcome, error) {
	var options uint32
	if more {
		options = pcre.DPCRE2_PARTIAL_HARD
	}
	var nothing [1]byte
	first := &nothing[0]
	if len(subject) > 0 {
		first = &subject[0]
	}
	var pin runtime.Pinner // the library gets the address as a number
	pin.Pin(first)
	rc := pcre.Xpcre2_match_8(p.tls, p.code, uintptr(unsafe.Pointer(first)), pcre.Tsize_t(len(subject)), pcre.Tsize_t(start), options, p.data, p.context)
	pin.Unpin()
	found := whole
	switch {
	case rc == pcre.DPCRE2_ERROR_NOMATCH:
		return 0, none, nil
	case rc == pcre.DPCRE2_ERROR_PARTIAL:
		found = partial
	case rc < 0:
		return 0, none, fmt.Errorf("match pattern: PCRE2 error %d", rc)
	}
	offsets := pcre.Xpcre2_get_ovector_pointer_8(p.tls, p.data)
	return int(*(*pcre.Tsize_t)(at(offsets))), found, nil
}

func (p *perl) close() {
	if p.data != 0 {
		pcre.Xpcre2_match_data_free_8(p.tls, p.data)
	}
	if p.context != 0 {
		pcre.Xpcre2_match_context_free_8(p.tls, p.context)
	}
	if p.code != 0 {
		pcre.Xpcre2_code_free_8(p.tls, p.code)
	}
	p.tls.Close()
}
