package logging

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 11, 7, 20, 28, 59, 0, time.Local)

func open(t *testing.T, o Options) *Log {
	t.Helper()
	o.now = func() time.Time { return at }
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestConsole(t *testing.T) {
	var out bytes.Buffer
	l := open(t, Options{Console: &out})
	v := l.Role(VRRP)
	v.Info("(VI_1) Entering MASTER STATE")
	v.Warn("cannot send", "err", errors.New("network is down"), slog.Group("dst", "if", "eth0"))
	v.With("vrid", 51).WithGroup("g").Info("x", "k", "")
	v.Info("two\nlines\n")
	v.Info("forged\r\x1b[1m" + string([]byte{0xff}) + "\tü")
	l.Close()
	const want = `Sat Nov  7 20:28:59 2026: (VI_1) Entering MASTER STATE
Sat Nov  7 20:28:59 2026: cannot send err="network is down" dst.if=eth0
Sat Nov  7 20:28:59 2026: x vrid=51 g.k=""
Sat Nov  7 20:28:59 2026: two
Sat Nov  7 20:28:59 2026: lines
Sat Nov  7 20:28:59 2026: forged??[1m?	ü
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, Options{File: path})
	for range 100 {
		l.Role(Parent).Info("line")
	}
	l.Flush()
	if b, _ := os.ReadFile(path); strings.Count(string(b), "\n") != 100 {
		t.Errorf("%d lines after Flush, want 100", strings.Count(string(b), "\n"))
	}
	l.Close()
	l.Flush()
}

func TestDetail(t *testing.T) {
	for detail, want := range []string{"I", "DI", "dDI"} {
		var out bytes.Buffer
		l := open(t, Options{Console: &out, Detail: detail})
		r := l.Role(VRRP)
		r.Debug("d")
		Detail(r, "D")
		r.Info("I")
		l.Close()
		var got string
		for line := range strings.Lines(out.String()) {
			got += line[len(line)-2 : len(line)-1]
		}
		if got != want {
			t.Errorf("-D given %d times shows %q, want %q", detail, got, want)
		}
	}
}

// Idents and the form of the messages are what keepalived 2.3.4 sends for "instance blue".
func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	pc := listen(t, path)
	l := open(t, Options{Syslog: true, Facility: 3, socket: path})
	l.Role(Parent).Info("Starting")
	l.Rename("", "blue")
	l.Role(Parent).Info("started")
	l.Role(VRRP).Log(t.Context(), LevelAlert, "alert")
	l.Role(Checkers).Warn("warning")
	l.Role(BFD).Error("error")
	l.Rename("ns1", "blue")
	l.Role(VRRP).Info("in a namespace")
	for _, want := range []string{
		"<30>Nov  7 20:28:59 Keepalived[PID]: Starting",
		"<30>Nov  7 20:28:59 Keepalived_blue[PID]: started",
		"<25>Nov  7 20:28:59 Keepalived_vrrp_blue[PID]: alert",
		"<28>Nov  7 20:28:59 Keepalived_healthcheckers_blue[PID]: warning",
		"<27>Nov  7 20:28:59 Keepalived_bfd_blue[PID]: error",
		"<30>Nov  7 20:28:59 Keepalived_vrrp_ns1_blue[PID]: in a namespace",
	} {
		if got := receive(t, pc); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSyslogReconnects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	pc := listen(t, path)
	l := open(t, Options{Syslog: true, Facility: 16, socket: path})
	l.Role(Parent).Info("one")
	if got := receive(t, pc); !strings.HasSuffix(got, ": one") || !strings.HasPrefix(got, "<134>") {
		t.Errorf("got %q", got)
	}
	pc.Close()
	os.Remove(path)
	pc = listen(t, path)
	l.Role(Parent).Info("two")
	if got := receive(t, pc); !strings.HasSuffix(got, ": two") {
		t.Errorf("after a restart of the daemon: got %q", got)
	}
}

func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 65536)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(b[:n]), fmt.Sprintf("[%d]", os.Getpid()), "[PID]", 1)
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{File: filepath.Join(dir, "keepalived.log")})
	l.Role(Parent).Info("a")
	l.Rename("", "blue")
	l.Role(Parent).Info("b")
	l.Role(VRRP).Info("c")
	l.Role(Checkers).Info("d")
	l.Role(BFD).Info("e")
	l.Close()
	for name, want := range map[string]string{"keepalived.log": "a", "keepalived_blue.log": "b", "keepalived_vrrp_blue.log": "c",
		"keepalived_check_blue.log": "d", "keepalived_bfd_blue.log": "e"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(b) != "Sat Nov  7 20:28:59.000000000 2026: "+want+"\n" {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
}

func TestFileIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "precious")
	os.WriteFile(target, []byte("x"), 0o600)
	os.Symlink(target, filepath.Join(dir, "keepalived.log"))
	if _, err := Open(Options{File: filepath.Join(dir, "keepalived.log")}); err == nil {
		t.Error("a symbolic link was followed")
	}
}

type stuck struct{ release chan struct{} }

func (s stuck) Write(b []byte) (int, error) { <-s.release; return len(b), nil }

// A terminal that is stopped (^S) must not stop the daemon.
func TestSlowOutputDoesNotDelay(t *testing.T) {
	s := stuck{make(chan struct{})}
	l := open(t, Options{Console: s})
	r := l.Role(VRRP)
	for range queueLines + 100 {
		r.Info("line")
	}
	if n := l.dropped.Load(); n < 99 || n > 100 {
		t.Errorf("%d lines dropped, want 99 or 100", n)
	}
	close(s.release)
	l.Close()
	r.Info("after Close")
}

func TestFacility(t *testing.T) {
	for name, want := range map[string]int{"0": 16, "7": 23, "local3": 19, "user": 1, "daemon": 3} {
		if got, ok := Facility(name); !ok || got != want {
			t.Errorf("Facility(%q) = %d, %v; want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "8", "-1", "+1", "07", "local8", "mail", "local"} {
		if got, ok := Facility(name); ok {
			t.Errorf("Facility(%q) = %d, want none", name, got)
		}
	}
}

func TestLongLineIsCut(t *testing.T) {
	got := printable(strings.Repeat("ü", maxLine))
	if len(got) > maxLine+3 || !strings.HasSuffix(got, "ü...") {
		t.Errorf("%d bytes ending in %q", len(got), got[len(got)-8:])
	}
}
