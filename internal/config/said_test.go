package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSaid compares what a terminal shows of the findings about testdata/said/*.conf: the line, the caret, what was meant, the other places.
func TestSaid(t *testing.T) {
	t.Chdir("testdata")
	files, err := filepath.Glob("said/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	host := newFakeHost()
	for name := range host.interfaces {
		host.links_ = append(host.links_, Link{Name: name})
	}
	slices.SortFunc(host.links_, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	for p, f := range map[string]File{
		"/srv": {Mode: fs.ModeDir | 0o755}, "/srv/app": {Mode: fs.ModeDir | 0o755}, "/srv/open": {Mode: fs.ModeDir | fs.ModeSetgid | 0o777, GID: 50},
		"/srv/app/open.sh": {Mode: 0o757}, "/srv/app/group.sh": {Mode: 0o775, GID: 50}, "/srv/app/theirs.sh": {Mode: 0o755, UID: 65534, GID: 50},
		"/srv/open/in.sh": {Mode: 0o755}, "/srv/app/plain.sh": {Mode: 0o644}, "/srv/app/link.sh": {Mode: fs.ModeSymlink | 0o777, UID: 1234},
	} {
		host.files[p] = f
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".conf"), func(t *testing.T) {
			_, r := Load(System{}, name, Options{}, host)
			var b strings.Builder
			if err := r.Write(&b, true); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "exit %d\n", r.ExitCode())
			golden := strings.TrimSuffix(name, ".conf") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
