package watch

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// soon is how long a test waits for what should happen at once, and for a directory to be tried again.
const soon = 10 * time.Second

// watched is a watch that runs, and what it tells.
type watched struct {
	*Files
	t    *testing.T
	told chan Content
}

func watchFiles(t *testing.T) watched {
	t.Helper()
	f, err := OpenFiles()
	if err != nil {
		t.Fatal(err)
	}
	w := watched{f, t, make(chan Content, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx, func(c Content) { w.told <- c }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		f.Close()
	})
	return w
}

// expect waits for what is told next.
func (w watched) expect(path, data string) {
	w.t.Helper()
	select {
	case c := <-w.told:
		if c.Path != path || string(c.Data) != data {
			w.t.Errorf("told that %s holds %q, want %s with %q", c.Path, c.Data, path, data)
		}
	case <-time.After(soon):
		w.t.Fatalf("nothing told of %s", path)
	}
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "1")
	w := watchFiles(t)
	first := w.Set([]string{a, b, a})
	if len(first) != 2 || string(first[0].Data) != "1" || first[1].Data != nil {
		t.Fatalf("at first: %q", first)
	}
	write(t, filepath.Join(dir, "other"), "9")
	write(t, a, "2")
	w.expect(a, "2")
	write(t, b, "3")
	w.expect(b, "3")
	if err := os.Rename(b, a); err != nil {
		t.Fatal(err)
	}
	w.expect(b, "")
	w.expect(a, "3")
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	w.expect(a, "")

	// Nothing is told while a file is being written.
	f, err := os.Create(a)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("4")
	write(t, b, "5")
	w.expect(b, "5")
	f.Close()
	w.expect(a, "4")

	// One that is dropped is not told of.
	if again := w.Set([]string{b}); len(again) != 1 || string(again[0].Data) != "5" {
		t.Errorf("what is left holds %q", again)
	}
	write(t, a, "6")
	write(t, b, "7")
	w.expect(b, "7")
}

// A directory that is made anew is watched again.
func TestDirectoryReturns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	a := filepath.Join(dir, "a")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, a, "1")
	w := watchFiles(t)
	w.Set([]string{a})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w.expect(a, "") // the file
	w.expect(a, "") // and the directory
	next := dir + ".next"
	if err := os.Mkdir(next, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(next, "a"), "2")
	if err := os.Rename(next, dir); err != nil {
		t.Fatal(err)
	}
	w.expect(a, "2")
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long")
	write(t, long, string(make([]byte, 1000)))
	if c := read(long); len(c.Data) != 127 {
		t.Errorf("%d bytes read", len(c.Data))
	}
	if c := read("/dev/zero"); c.Data != nil {
		t.Errorf("a device was read: %q", c.Data)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "a"), filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		path, data string
		overwrite  bool
		want       string
		fails      bool
	}{
		{path, "10\n", false, "10\n", false},
		{path, "20\n", false, "10\n", false},
		{path, "3\n", true, "3\n", false},
		{link, "4\n", true, "3\n", true}, // not through a link
		{dir, "5\n", true, "3\n", true},
	} {
		err := Write(step.path, []byte(step.data), step.overwrite)
		got, _ := os.ReadFile(path)
		if string(got) != step.want || (err != nil) != step.fails {
			t.Errorf("write %q to %s, overwrite %v: holds %q, %v", step.data, step.path, step.overwrite, got, err)
		}
	}
}
