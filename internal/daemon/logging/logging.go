// Package logging writes operators' lines to syslog, the console and files, in keepalived's form.
//
// The text of a record is the line; attributes follow it as key=value. Writing never delays the caller: lines go through a
// bounded queue, and when an output is so slow that the queue is full, lines are dropped, and how many is logged.
package logging

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Levels beside those of slog. keepalived logs nearly everything as "info"; what -D adds is logged as info too, but only then.
const (
	// LevelDetail is for lines that -D adds. Given twice, -D also adds slog.LevelDebug.
	LevelDetail = slog.Level(-2)
	// LevelAlert is for what needs somebody at once, as a script that cannot be executed.
	LevelAlert = slog.Level(12)
)

// Detail logs a line that only -D shows.
func Detail(l *slog.Logger, line string, args ...any) {
	l.Log(context.Background(), LevelDetail, line, args...)
}

// Detailed reports whether what Detail logs is shown.
func Detailed(l *slog.Logger) bool { return l.Enabled(context.Background(), LevelDetail) }

// Role is a part of the daemon that logs under an ident of its own.
type Role string

const (
	Parent   Role = ""
	VRRP     Role = "vrrp"
	Checkers Role = "healthcheckers"
	BFD      Role = "bfd"
)

// file returns the part of a log file's name that stands for the role.
func (r Role) file() string {
	if r == Checkers {
		return "check"
	}
	return string(r)
}

// Options says where lines go.
type Options struct {
	Syslog   bool      // to /dev/log
	Facility int       // syslog facility, 0..23; daemon is 3
	Console  io.Writer // -l; nil: no console
	File     string    // -g: the parent's file, from which the other roles' names are made; empty: no files
	Detail   int       // how often -D was given

	// Namespace and Instance are part of idents and file names when not empty.
	Namespace, Instance string

	socket string           // tests: instead of /dev/log
	now    func() time.Time // tests
}

// Facility returns the syslog facility that -S or --log-facility names: 0–7 and local0–local7 are the local ones.
func Facility(name string) (int, bool) {
	switch name {
	case "user":
		return 1, true
	case "daemon":
		return 3, true
	}
	if n := strings.TrimPrefix(name, "local"); len(n) == 1 && n[0] >= '0' && n[0] <= '7' {
		return 16 + int(n[0]-'0'), true
	}
	return 0, false
}

const (
	queueLines = 4096 // about 1 MiB of lines
	maxLine    = 8 << 10

	consoleTime  = time.ANSIC
	fileTime     = "Mon Jan _2 15:04:05.000000000 2006"
	closeTimeout = 2 * time.Second
	flushTimeout = 100 * time.Millisecond
)

// Log is the set of outputs that the loggers of all roles share.
type Log struct {
	opts    Options
	names   atomic.Pointer[names]
	queue   chan line
	dropped atomic.Int64
	done    chan struct{}
	closing sync.Once
	// gate keeps lines from being queued after Close; readers are callers of Handle.
	gate   sync.RWMutex
	closed bool
}

type line struct {
	at    time.Time
	level slog.Level
	role  Role
	names *names
	text  string

	flushed chan<- struct{} // not a line, but the end of those before it
}

type names struct{ namespace, instance string }

// Open starts logging. It fails if the file of -g cannot be opened; a missing syslog socket is no error, it may come later.
func Open(o Options) (*Log, error) {
	if o.socket == "" {
		o.socket = "/dev/log"
	}
	if o.now == nil {
		o.now = time.Now
	}
	l := &Log{opts: o, queue: make(chan line, queueLines), done: make(chan struct{})}
	l.names.Store(&names{o.Namespace, o.Instance})
	w := &writer{Options: o, files: map[string]*os.File{}}
	if o.Syslog {
		w.syslog = &syslog{path: o.socket, facility: o.Facility}
	}
	if o.File != "" {
		if _, err := w.file(l.names.Load().file(o.File, Parent)); err != nil {
			return nil, fmt.Errorf("open log file: %w", err)
		}
	}
	go l.run(w)
	return l, nil
}

// Role returns the logger of a role.
func (l *Log) Role(r Role) *slog.Logger { return slog.New(&handler{log: l, role: r}) }

// Rename changes the network namespace and the instance in idents and file names for all later lines: they are known only when the
// configuration has been read.
func (l *Log) Rename(namespace, instance string) { l.names.Store(&names{namespace, instance}) }

// Ident returns the syslog tag of a role: Keepalived[_role][_namespace][_instance].
func Ident(r Role, namespace, instance string) string {
	return names{namespace, instance}.join("Keepalived", string(r))
}

// Flush waits until all lines so far are written, for at most a tenth of a second: for a process that is about to make another one
// log, whose lines shall follow.
func (l *Log) Flush() {
	l.gate.RLock()
	defer l.gate.RUnlock()
	if l.closed {
		return
	}
	flushed := make(chan struct{})
	timeout := time.After(flushTimeout)
	select {
	case l.queue <- line{flushed: flushed}:
	case <-timeout:
		return
	}
	select {
	case <-flushed:
	case <-timeout:
	}
}

// Close writes what is queued, for at most two seconds, and closes the outputs. Later lines are dropped.
func (l *Log) Close() error {
	l.closing.Do(func() {
		l.gate.Lock()
		l.closed = true
		l.gate.Unlock()
		close(l.queue)
	})
	select {
	case <-l.done:
		return nil
	case <-time.After(closeTimeout):
		return fmt.Errorf("close log: an output does not take its lines")
	}
}

func (l *Log) put(level slog.Level, r Role, text string) {
	l.gate.RLock()
	defer l.gate.RUnlock()
	if l.closed {
		return
	}
	select {
	case l.queue <- line{at: l.opts.now(), level: level, role: r, names: l.names.Load(), text: text}:
	default:
		l.dropped.Add(1)
	}
}

func (l *Log) run(w *writer) {
	defer close(l.done)
	for n := range l.queue {
		if n.flushed != nil {
			close(n.flushed)
			continue
		}
		w.write(n)
		if d := l.dropped.Swap(0); d > 0 {
			n.level, n.text = slog.LevelWarn, fmt.Sprintf("%d log lines dropped: an output is too slow", d)
			w.write(n)
		}
	}
	w.close()
}

// handler turns records into lines.
type handler struct {
	log    *Log
	role   Role
	prefix string // of attribute keys, from groups
	attrs  string // already formatted
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	switch h.log.opts.Detail {
	case 0:
		return level >= slog.LevelInfo
	case 1:
		return level >= LevelDetail
	}
	return level >= slog.LevelDebug
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	if h.attrs != "" || r.NumAttrs() > 0 {
		var b strings.Builder
		b.WriteString(text)
		b.WriteString(h.attrs)
		r.Attrs(func(a slog.Attr) bool { appendAttr(&b, h.prefix, a); return true })
		text = b.String()
	}
	h.log.put(r.Level, h.role, text)
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		appendAttr(&b, h.prefix, a)
	}
	c := *h
	c.attrs = b.String()
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.prefix += name + "."
	return &c
}

func appendAttr(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, g := range v.Group() {
			appendAttr(b, prefix+a.Key+".", g)
		}
		return
	}
	s := v.String()
	if s == "" || strings.ContainsAny(s, " \"\n") {
		s = strconv.Quote(s)
	}
	fmt.Fprintf(b, " %s%s=%s", prefix, a.Key, s)
}

// writer is what the writing goroutine owns.
type writer struct {
	Options
	syslog *syslog
	files  map[string]*os.File
}

func (w *writer) write(n line) {
	for text := range strings.SplitSeq(strings.TrimRight(n.text, "\n"), "\n") {
		text = printable(text)
		if w.syslog != nil {
			w.syslog.send(n.at, severity(n.level), Ident(n.role, n.names.namespace, n.names.instance), text)
		}
		if w.Console != nil {
			io.WriteString(w.Console, n.at.Format(consoleTime)+": "+text+"\n")
		}
		if w.File != "" {
			if f, err := w.file(n.names.file(w.File, n.role)); err == nil {
				io.WriteString(f, n.at.Format(fileTime)+": "+text+"\n")
			}
		}
	}
}

// file returns the open log file of that name. Not followed when a symbolic link, since the directory may be /tmp.
func (w *writer) file(name string) (*os.File, error) {
	if f, ok := w.files[name]; ok {
		return f, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	w.files[name] = f
	return f, nil
}

func (w *writer) close() {
	if w.syslog != nil {
		w.syslog.close()
	}
	for _, f := range w.files {
		f.Close()
	}
}

// file returns the name of a role's log file: the parts go before the extension of the parent's.
func (n names) file(base string, r Role) string {
	dir, name := base[:strings.LastIndexByte(base, '/')+1], base[strings.LastIndexByte(base, '/')+1:]
	stem, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		stem, ext = name[:i], name[i:]
	}
	return dir + n.join(stem, r.file()) + ext
}

func (n names) join(parts ...string) string {
	b := new(bytes.Buffer)
	for _, p := range append(parts, n.namespace, n.instance) {
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('_')
		}
		b.WriteString(p)
	}
	return b.String()
}

// severity maps a level to a syslog severity (RFC 3164 section 4.1.1).
func severity(l slog.Level) int {
	switch {
	case l >= LevelAlert:
		return 1
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= LevelDetail:
		return 6
	}
	return 7
}

// printable bounds a line and masks control characters and broken UTF-8, so that nobody can forge lines through names or replies.
func printable(s string) string {
	if len(s) > maxLine {
		cut := maxLine
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
