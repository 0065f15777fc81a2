package script

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// logBuffer takes log lines from any goroutine.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func openFIFO(t *testing.T, path string) (*FIFO, *logBuffer) {
	t.Helper()
	var text logBuffer
	f, err := OpenFIFO(slog.New(slog.NewTextHandler(&text, nil)), fifoModel(path))
	if err != nil {
		t.Fatal(err)
	}
	return f, &text
}

func fifoModel(path string) model.FIFO {
	return model.FIFO{Path: path, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

// reader opens the pipe as a program of the user would.
func reader(t *testing.T, path string) *bufio.Scanner {
	t.Helper()
	r, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(r)
}

func number(t *testing.T, s *bufio.Scanner) int {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("nothing to read: %v", s.Err())
	}
	var n int
	if _, err := fmt.Sscanf(s.Text(), `INSTANCE "VI_1" MASTER %d`, &n); err != nil {
		t.Fatalf("damaged line %q", s.Text())
	}
	return n
}

func line(n int) string { return fmt.Sprintf(`INSTANCE "VI_1" MASTER %d`, n) }

func TestFIFOStalledReaderLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	f, text := openFIFO(t, path)
	defer f.Close()
	s := reader(t, path)
	f.Write(line(0))
	if n := number(t, s); n != 0 {
		t.Fatalf("first line is %d", n)
	}
	const lines = maxQueued // beside those in the pipe
	for n := 1; n <= lines; n++ {
		f.Write(line(n))
	}
	for n := 1; n <= lines; n++ {
		if got := number(t, s); got != n {
			t.Fatalf("line %d is %d", n, got)
		}
	}
	f.Write(line(77)) // and it goes on as before
	if n := number(t, s); n != 77 {
		t.Errorf("got %d", n)
	}
	if text.String() != "" {
		t.Errorf("logged %s", text)
	}
}

func TestFIFOBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	f, text := openFIFO(t, path)
	defer f.Close()
	const last = 5 * maxQueued
	for n := 1; n <= last; n++ {
		f.Write(line(n))
	}
	s := reader(t, path)
	lines, previous := 0, 0
	for previous != last {
		n := number(t, s)
		if n <= previous {
			t.Fatalf("line %d after %d", n, previous)
		}
		lines, previous = lines+1, n
	}
	if lines <= maxQueued || lines == last {
		t.Errorf("%d of %d lines arrived", lines, last)
	}
	want := fmt.Sprintf("- %d lines were lost", last-lines)
	until(t, "the log says "+want, func() bool { return strings.Contains(text.String(), want) })
	if n := strings.Count(text.String(), "\n"); n != 2 {
		t.Errorf("%d log lines:\n%s", n, text)
	}
}

func TestFIFOClose(t *testing.T) {
	dir := t.TempDir()
	t.Run("removes what it created", func(t *testing.T) {
		path := filepath.Join(dir, "ours")
		f, text := openFIFO(t, path)
		f.Write("last words")
		s := reader(t, path)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if !s.Scan() || s.Text() != "last words" || s.Scan() {
			t.Errorf("read %q", s.Text())
		}
		if exists(path)() || text.String() != "" {
			t.Errorf("still there, or logged %q", text)
		}
	})
	t.Run("leaves what it found", func(t *testing.T) {
		path := filepath.Join(dir, "theirs")
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		f, _ := openFIFO(t, path)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if !exists(path)() {
			t.Error("removed")
		}
	})
	t.Run("does not wait for a reader", func(t *testing.T) {
		f, text := openFIFO(t, filepath.Join(dir, "stalled"))
		for n := range maxQueued {
			f.Write(line(n))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(text.String(), "lines were lost") {
			t.Errorf("logged %q", text)
		}
	})
}

func TestFIFOMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	defer unix.Umask(unix.Umask(0o177))
	c := fifoModel(path)
	if os.Geteuid() == 0 {
		c.UID, c.GID = 1234, 1235
	}
	f, err := OpenFIFO(slog.New(slog.DiscardHandler), c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode != unix.S_IFIFO|0o600 || st.Uid != c.UID || st.Gid != c.GID {
		t.Errorf("mode %o, owner %d:%d", st.Mode, st.Uid, st.Gid)
	}
}

func TestFIFORefuses(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	regular := filepath.Join(dir, "file")
	if err := os.WriteFile(regular, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(fifo, link); err != nil {
		t.Fatal(err)
	}
	paths := []string{regular, link, filepath.Join(dir, "no", "where")}
	if os.Geteuid() == 0 {
		foreign := filepath.Join(dir, "foreign")
		if err := unix.Mkfifo(foreign, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(foreign, 1234, 0); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, foreign)
	}
	for _, path := range paths {
		_, err := os.Lstat(path)
		before := err == nil
		if f, err := OpenFIFO(slog.New(slog.DiscardHandler), fifoModel(path)); err == nil {
			f.Close()
			t.Errorf("%s accepted", path)
		}
		if _, err := os.Lstat(path); before != (err == nil) {
			t.Errorf("%s came or went", path)
		}
	}
}
