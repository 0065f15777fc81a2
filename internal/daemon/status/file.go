package status

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Directory is where the files go: $TMPDIR if that is the absolute name of a directory, else /tmp.
func Directory() string {
	if dir := os.Getenv("TMPDIR"); filepath.IsAbs(dir) {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir
		}
	}
	return "/tmp"
}

// WriteFile replaces the file at path by what render writes, with mode less the umask. A reader finds the old file or the
// whole new one, and who watches the name sees it closed after writing, as if it had been written in place. A symbolic link
// at path is replaced, not followed.
//
// Differs from keepalived: it does so for the JSON alone, without the close, and writes the other files in place.
func WriteFile(path string, mode os.FileMode, render func(io.Writer) error) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text())
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return fmt.Errorf("write status file: %w", err)
	}
	w := bufio.NewWriter(f)
	err = render(w)
	if err == nil {
		err = w.Flush()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("write status file %q: %w", path, err)
	}
	// A rename alone is no "closed after writing". Whoever may write the directory may have put something else here by now.
	if f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err == nil {
		f.Close()
	}
	return nil
}
