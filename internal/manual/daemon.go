package manual

import "fmt"

// Daemon is keepalived-go(8).
func Daemon(options []Option, tools []Tool) string {
	p := newPage("keepalived-go", 8, "System administration")
	p.section("NAME")
	p.line(`keepalived\-go \- high availability with VRRP, load balancing with IPVS`)
	p.section("SYNOPSIS")
	p.line(".B keepalived\\-go")
	p.line(".RI [ OPTION ...]")
	for _, t := range tools {
		p.line(".br")
		p.line(".B keepalived\\-go " + escape(t.Name))
		p.line(escape(t.Usage))
	}
	p.section("DESCRIPTION")
	p.paragraphs(`
*keepalived-go* takes the place of keepalived: the same configuration, command line, packets, scripts, signals, files and log lines.

Routers that run it agree by VRRP, version 2 or 3, which of them holds a set of addresses; when that one fails another takes them over
within seconds, or less if so configured.
As a load balancer it tells the kernel's IPVS which servers there are, and checks these so that only those that work get connections.

It has one configuration file, described in *keepalived-go.conf*(5), and consists of four processes of one program: a parent with the pid
file, which takes the signals; a loader that reads the configuration and ends; a worker that does VRRP and IPVS; and a prober with few
privileges that runs the health checks.
Without *-n* it puts itself into the background, and the first process ends when the worker is ready or has failed.
`)
	p.section("OPTIONS")
	p.paragraphs(`
Long options may be abbreviated as long as they stay unique.
A value that is optional follows directly: *-tFILE* or *--config-test=FILE*.
`)
	p.options(options)
	p.section("TOOLS")
	p.paragraphs("The first word of the command line may name a tool for configurations instead. None of them needs or disturbs a running daemon.")
	for _, t := range tools {
		p.subsection(t.Name + " " + t.Usage)
		p.line(escape(sentence(t.Help)))
		p.options(t.Options)
	}
	p.section("CONFIGURATION TEST")
	p.paragraphs(`
With *-t* the configuration is read and judged, nothing else.
Each finding is a line with the file and its line; on a terminal the line of the file follows, with a mark below the place, the chain of
includes that led there, and what to write.
*--config-test=json* writes them in a form for programs, which /usr/share/doc/keepalived-go/config-test.schema.json describes.
*--offline* judges a file for another machine: interfaces, users and scripts are taken to be there.
*--lint* adds what is accepted but regretted later.

The exit code tells the worst finding:
`)
	for _, c := range []struct {
		code int
		text string
	}{
		{0, "Nothing is wrong."},
		{2, "A keyword lacks its value. The daemon does not start."},
		{4, "The file or an interface is missing."},
		{5, "Something is wrong, but can be corrected as the findings tell. The daemon starts."},
		{6, "Scripts are not secure, or an include that had to succeed failed."},
	} {
		p.item(bold(fmt.Sprint(c.code)), c.text)
	}
	p.section("EXIT STATUS")
	for _, c := range []struct {
		code int
		text string
	}{
		{0, "The daemon was stopped, or was running already."},
		{1, "It could not go on, or an option is wrong."},
		{2, "The configuration is refused."},
		{4, "A permission is missing."},
		{6, "There is no configuration that could be read."},
	} {
		p.item(bold(fmt.Sprint(c.code)), c.text)
	}
	p.section("SIGNALS")
	p.paragraphs("They may be sent to the process in any of the pid files. *--signum* prints the number that belongs to a name.")
	for _, s := range []struct{ name, tool, text string }{
		{"HUP", "RELOAD", "Read the configuration anew. What did not change goes on undisturbed; a configuration with a fatal error changes nothing."},
		{"TERM, INT", "STOP", "Tell the other routers, give the addresses up, and end."},
		{"USR1", "DATA", "Write keepalived.data: configuration and state."},
		{"USR2", "STATS", "Write keepalived.stats: the counters."},
		{"RTMIN+2 (36)", "JSON", "Write keepalived.json."},
		{"RTMAX-1 (63)", "STATS_CLEAR", "Write keepalived.stats, then set the counters to zero."},
	} {
		p.item(bold(s.name)+", "+italic(s.tool), escape(s.text))
	}
	p.section("FILES")
	for _, f := range [][2]string{
		{"/etc/keepalived/keepalived.conf", "The configuration, see *keepalived-go.conf*(5)."},
		{"/run/keepalived.pid, /run/vrrp.pid, /run/checkers.pid", "The parent, and the worker by each role it has. With *instance*, *use_pid_dir* " +
			"or *net_namespace* they are below /run/keepalived."},
		{"/tmp/keepalived.data, /tmp/keepalived.stats, /tmp/keepalived.json", "What the signals write; in *TMPDIR* if that is set."},
		{"/etc/default/keepalived, /etc/sysconfig/keepalived", "Read by the systemd unit: *DAEMON_ARGS* and *KEEPALIVED_OPTIONS* are put on the command line."},
	} {
		p.item(italic(f[0]), marked(f[1]))
	}
	p.section("NOTES")
	p.paragraphs(`
*--version* names the release of keepalived whose behaviour this is first, as programs that look for it expect.

A program named genhash, or *-T* as the first option, makes it *genhash*(1).

What differs from keepalived is listed, with reasons, in /usr/share/doc/keepalived-go/compatibility.md; migration.md says how to come from
keepalived and how to go back, operations.md what to do about what goes wrong.
`)
	p.section("SEE ALSO")
	p.line(`.BR keepalived\-go.conf (5),`)
	p.line(`.BR genhash (1),`)
	p.line(`.BR ipvsadm (8),`)
	p.line(`.BR ip\-address (8)`)
	p.line(".PP")
	p.line("RFC 3768 (VRRP version 2), RFC 9568 (version 3).")
	return p.String()
}

// Genhash is genhash(1).
func Genhash(options []Option) string {
	p := newPage("genhash", 1, "User commands")
	p.section("NAME")
	p.line(`genhash \- digest of a web page for the health checks of keepalived\-go`)
	p.section("SYNOPSIS")
	p.line(".B genhash")
	p.line(".RI [ OPTION ...]")
	p.line(`.B \-s`)
	p.line(".I ADDRESS")
	p.line(`.B \-p`)
	p.line(".I PORT")
	p.line(`.B \-u`)
	p.line(".I PATH")
	p.section("DESCRIPTION")
	p.paragraphs(`
*genhash* fetches a page as the checkers HTTP_GET and SSL_GET do, and prints the MD5 digest of its body: what the keyword *digest* of
*keepalived-go.conf*(5) takes.
`)
	p.section("OPTIONS")
	p.options(options)
	p.section("EXIT STATUS")
	p.paragraphs("0, also if there is no page, in which case a message says why; 1 if the command line is wrong.")
	p.section("EXAMPLE")
	p.line("The digest of a page that tells the health of a server:")
	p.example("    genhash -s 198.51.100.11 -p 80 -u /health")
	p.section("SEE ALSO")
	p.line(`.BR keepalived\-go (8),`)
	p.line(`.BR keepalived\-go.conf (5)`)
	return p.String()
}
