package oracle

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Both must be there and run: a comparison with nothing would pass silently.
func TestPrograms(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the oracle is for tests that do")
	}
	for name, find := range map[string]func() (string, error){"installed": Installed, "newest": Newest} {
		path, err := find()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out, err := exec.Command(path, "-v").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "Keepalived v") {
			t.Errorf("%s: %q -v: %v: %.80q", name, path, err, out)
		}
	}
}
