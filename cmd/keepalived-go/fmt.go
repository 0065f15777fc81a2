package main

import (
	"bytes"
	stdflag "flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/config/layout"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
)

const formatUsage = "[-w|-d] FILE..."

// format prints files in the canonical layout. With -d it prints what would change, and fails if anything would.
func format(args []string) int {
	var write, show bool
	files, code, ok := words("fmt", formatUsage, args, 1, 1000, func(set *stdflag.FlagSet) {
		set.BoolVar(&write, "w", false, "write the result to the file instead of standard output")
		set.BoolVar(&show, "d", false, "print what would change instead; exit code 1 if anything would")
	})
	if !ok {
		return code
	}
	code = parent.ExitOK
	for _, name := range files {
		changed, err := formatFile(name, write, show)
		if err != nil {
			fmt.Fprintf(os.Stderr, "fmt: %v\n", err)
		}
		if err != nil || changed && show {
			code = parent.ExitFatal
		}
	}
	return code
}

// maxFormat is the size of file that the parser reads at most.
const maxFormat = 64 << 20

func formatFile(name string, write, show bool) (changed bool, err error) {
	// A link is to go on leading to the file.
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return false, err
	}
	f, err := os.OpenFile(real, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return false, err
	case !st.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a regular file", name)
	case st.Size() > maxFormat:
		return false, fmt.Errorf("%s is too long", name)
	}
	was, err := io.ReadAll(f)
	if err != nil {
		return false, err
	}
	is, err := layout.Format(was)
	if err != nil {
		return false, fmt.Errorf("format %s: %w", name, err)
	}
	changed = !bytes.Equal(was, is)
	switch {
	case show && changed:
		fmt.Printf("--- %s\n+++ %s\n%s", name, name, difference(strings.SplitAfter(string(was), "\n"), strings.SplitAfter(string(is), "\n")))
	case write && changed:
		err = replace(real, is, st)
	case !show && !write:
		_, err = os.Stdout.Write(is)
	}
	return changed, err
}

// replace puts a file with the same mode and owner in the place of another, so that a daemon which reloads just then reads one of them whole.
func replace(name string, text []byte, st os.FileInfo) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	var sys unix.Stat_t
	if err := unix.Stat(name, &sys); err != nil {
		return fmt.Errorf("examine %s: %w", name, err)
	}
	if int(sys.Uid) != os.Geteuid() || int(sys.Gid) != os.Getegid() {
		if err := tmp.Chown(int(sys.Uid), int(sys.Gid)); err != nil {
			return err
		}
	}
	if err := tmp.Chmod(st.Mode().Perm()); err != nil {
		return err
	}
	if _, err := tmp.Write(text); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// difference lists what has to go and what has to come between two texts, each piece with its place in both: a unified diff without
// context. Between the lines that both have at their ends it pairs equal lines as they come, up to reach lines apart.
func difference(a, b []string) string {
	const reach = 64
	var out strings.Builder
	list := func(sign string, lines []string) {
		for _, l := range lines {
			if l != "" {
				out.WriteString(sign + strings.TrimSuffix(l, "\n") + "\n")
			}
		}
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		if i < len(a) && j < len(b) && a[i] == b[j] {
			i, j = i+1, j+1
			continue
		}
		// The nearest equal lines end the piece.
		di, dj := len(a)-i, len(b)-j
	search:
		for sum := 1; sum <= reach; sum++ {
			for x := range sum + 1 {
				if i+x < len(a) && j+sum-x < len(b) && a[i+x] == b[j+sum-x] {
					di, dj = x, sum-x
					break search
				}
			}
		}
		if !slices.ContainsFunc(append(slices.Clone(a[i:i+di]), b[j:j+dj]...), func(l string) bool { return l != "" }) {
			break // only the newline at the end
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n", i+1, di, j+1, dj)
		list("-", a[i:i+di])
		list("+", b[j:j+dj])
		i, j = i+di, j+dj
	}
	return out.String()
}
