package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/probe"
)

// noTimeout is the time limit where none is asked for.
const noTimeout = 100 * 365 * 24 * time.Hour

// page is the command line of genhash.
type page struct {
	server                      netip.Addr
	port                        uint16
	path, host                  string
	tls, sni, verbose, help, no bool // no: an option was wrong
	mark                        uint32
	protocol                    model.HTTPProtocol
	timeout                     time.Duration
}

var genhashTable = []option[page]{
	{'S', "use-ssl", none, "", "Use SSL connection to remote server.", flag(func(p *page) *bool { return &p.tls })},
	{'I', "use-sni", none, "", "Use SNI during SSL handshake (uses virtualhost setting; see -V).", flag(func(p *page) *bool { return &p.sni })},
	{'s', "server", required, "", "Use the specified remote server address.", func(p *page, v string) (complaint string) {
		if a, err := netip.ParseAddr(v); err == nil {
			p.server = a
			return ""
		}
		return p.wrong("server should be an IP, not %s", v)
	}},
	{'p', "port", required, "", "Use the specified remote server port.", func(p *page, v string) string {
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil || n == 0 {
			return p.wrong("invalid port number '%s'", v)
		}
		p.port = uint16(n)
		return ""
	}},
	{'u', "url", required, "", "Use the specified remote server url.", text(func(p *page) *string { return &p.path })},
	{'V', "use-virtualhost", required, "", "Use the specified virtualhost in GET query.", text(func(p *page) *string { return &p.host })},
	{'v', "verbose", none, "", "Use verbose mode output.", flag(func(p *page) *bool { return &p.verbose })},
	{'h', "help", none, "", "Display this short inlined help screen.", flag(func(p *page) *bool { return &p.help })},
	{'m', "fwmark", required, "", "Use the specified FW mark.", func(p *page, v string) string {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return p.wrong("invalid fwmark '%s'", v)
		}
		p.mark = uint32(n)
		return ""
	}},
	{'P', "protocol", required, "", "Use the specified HTTP protocol - '1.0', 1.0c', '1.1'.\n" + strings.Repeat(" ", 32) + "1.0c means 1.0 with 'Connection: close'",
		func(p *page, v string) string {
			known := map[string]model.HTTPProtocol{"1.0": model.HTTP10, "1.0c": model.HTTP10C, "1.0C": model.HTTP10C, "1.1": model.HTTP11}
			if p.protocol = known[v]; p.protocol == "" {
				return p.wrong("invalid HTTP protocol version '%s'", v)
			}
			return ""
		}},
	{'t', "timeout", required, "", "Timeout in seconds", func(p *page, v string) string {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return p.wrong("invalid timeout '%s'", v)
		}
		p.timeout = time.Duration(n) * time.Second
		return ""
	}},
}

func (p *page) wrong(format, value string) string {
	p.no = true
	return fmt.Sprintf(format, value)
}

// genhash prints the digest of a page for the digest keyword. The exit code is 0 even if there is no page.
func genhash(program string, args []string) int {
	p := page{protocol: model.HTTP10, timeout: noTimeout}
	words, ok := getopt(genhashTable, &p, args, os.Stderr, func() bool { return p.no })
	if ok && len(words) > 0 && !p.no && !p.help {
		fmt.Fprintf(os.Stderr, "Unexpected argument(s): %s\n", strings.Join(words, " "))
		ok = false
	}
	if !ok || p.no || p.help || !p.server.IsValid() || p.port == 0 || p.path == "" {
		genhashUsage(os.Stderr, program)
		return parent.ExitFatal
	}
	s := &probe.Spec{
		Kind:     model.HTTPGet,
		Conn:     model.Connect{Dst: netip.AddrPortFrom(p.server, p.port), Mark: p.mark, Timeout: p.timeout},
		Protocol: p.protocol,
		URL:      model.URL{Path: p.path, VirtualHost: p.host},
	}
	if p.tls {
		s.Kind = model.SSLGet
	}
	if p.sni {
		s.URL.SNI = p.host
	}
	var body bytes.Buffer
	copied := io.Discard
	if p.verbose {
		copied = &body
	}
	begin := time.Now()
	got, r := probe.Get(context.Background(), s, copied)
	took := time.Since(begin)
	noData := r.Reason == check.WebNoData
	switch {
	case !r.OK && !noData:
		fmt.Println(strings.TrimSpace(r.Reason))
	case p.verbose:
		showPage(os.Stdout, got, body.Bytes(), r.OK)
	case r.OK:
		fmt.Printf("%x\n", got.Digest)
	}
	if noData {
		fmt.Fprintln(os.Stderr, "no data received from remote webserver")
	}
	if p.verbose {
		fmt.Printf("\nGlobal response time for [%s] = %d usecs\n", p.path, took.Microseconds())
	}
	return parent.ExitOK
}

// showPage is the verbose output.
//
// Differs from keepalived: its heading of the body is missing if that does not come together with the header, and each read has a
// dump of its own.
func showPage(w io.Writer, p probe.Page, body []byte, complete bool) {
	heading := func(text string) {
		fmt.Fprintf(w, "-----------------------[%s]-----------------------\n", text)
	}
	if len(p.Head) > 0 {
		heading("    HTTP Header Buffer    ")
	}
	if complete {
		head := append(p.Head, "\r\n\r\n"...)
		dumpBytes(w, head)
		heading(" HTTP Header Ascii Buffer ")
		fmt.Fprintf(w, "%s\n", head)
	}
	if len(body) > 0 {
		heading("        HTML Buffer        ")
		dumpBytes(w, body)
	}
	fmt.Fprintln(w)
	heading("    HTML hash resulting    ")
	dumpBytes(w, p.Digest)
	heading(" HTML hash final resulting ")
	if complete {
		fmt.Fprintf(w, "%x\n", p.Digest)
	}
}

// dumpBytes writes 16 bytes a line, as numbers and as text.
func dumpBytes(w io.Writer, b []byte) {
	for offset := 0; offset < len(b); offset += 16 {
		fmt.Fprintf(w, "%04d  ", offset)
		chars := []byte(strings.Repeat(" ", 16))
		for i := range 16 {
			if i == 8 {
				io.WriteString(w, "- ")
			}
			if offset+i >= len(b) {
				io.WriteString(w, "   ")
				continue
			}
			c := b[offset+i]
			fmt.Fprintf(w, "%02x ", c)
			if chars[i] = c; c < 0x20 || c > 0x7e {
				chars[i] = '.'
			}
		}
		fmt.Fprintf(w, "  %s\n", chars)
	}
}

func genhashUsage(w io.Writer, program string) {
	fmt.Fprintf(w, `Usage: %s COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
`, program)
	for _, row := range genhashTable {
		fmt.Fprintf(w, "   --%-15s -%c       %s\n", row.long, row.short, row.help)
	}
}
