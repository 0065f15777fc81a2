package script

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What others than root could have altered does not run with root's rights, however it looked when the configuration was read.
func TestAttacks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: files of several owners")
	}
	const nobody = 65534
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	yes, err := exec.LookPath("true")
	must(t, err)
	if yes, err = filepath.EvalSymlinks(yes); err != nil {
		t.Fatal(err)
	}
	write := func(t *testing.T, path, text string) {
		t.Helper()
		must(t, os.WriteFile(path, []byte(text), 0o755))
		must(t, os.Chmod(path, 0o755))
	}
	for name, c := range map[string]struct {
		attack func(t *testing.T, dir string)
		path   string // below dir; default bin/run
		refuse string // in the error; empty: it runs
	}{
		"none":                {},
		"a link of root's":    {attack: func(t *testing.T, dir string) { must(t, os.Symlink("run", dir+"/bin/link")) }, path: "bin/link"},
		"a link to elsewhere": {attack: func(t *testing.T, dir string) { must(t, os.Symlink(yes, dir+"/bin/link")) }, path: "bin/link"},
		"a sticky directory":  {attack: func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/bin", 0o777|os.ModeSticky)) }},
		"root's group may":    {attack: func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/bin", 0o775)) }},
		"swapped for a link": {attack: func(t *testing.T, dir string) {
			must(t, os.Rename(dir+"/bin", dir+"/real"))
			must(t, os.Symlink("real", dir+"/bin"))
		}, refuse: "symbolic link"},
		"somebody's link": {attack: func(t *testing.T, dir string) {
			must(t, os.Symlink("run", dir+"/bin/link"))
			must(t, os.Lchown(dir+"/bin/link", nobody, 0))
		}, path: "bin/link", refuse: "not owned by root"},
		"group-writable parent": {attack: func(t *testing.T, dir string) {
			must(t, os.Chown(dir+"/bin", 0, nobody))
			must(t, os.Chmod(dir+"/bin", 0o775))
		}, refuse: "bin is writable by its group"},
		"group-writable above":  {attack: func(t *testing.T, dir string) { must(t, os.Chown(dir, 0, nobody)); must(t, os.Chmod(dir, 0o775)) }, refuse: "is writable by its group"},
		"world-writable parent": {attack: func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/bin", 0o777)) }, refuse: "bin is writable by all"},
		"world-writable file":   {attack: func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/bin/run", 0o757)) }, refuse: "run is writable by all"},
		"somebody's file":       {attack: func(t *testing.T, dir string) { must(t, os.Chown(dir+"/bin/run", nobody, 0)) }, refuse: "run is not owned by root"},
		"a hard link": {attack: func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/own", 0o755))
			must(t, os.Chown(dir+"/own", nobody, 0))
			must(t, os.Link(dir+"/bin/run", dir+"/own/run"))
		}, path: "own/run", refuse: "own is not owned by root"},
		"a link loop": {attack: func(t *testing.T, dir string) { must(t, os.Symlink("link", dir+"/bin/link")) }, path: "bin/link", refuse: "symbolic link"},
		"a link into a trap": {attack: func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/own", 0o755))
			must(t, os.Chown(dir+"/own", nobody, 0))
			must(t, os.Link(dir+"/bin/run", dir+"/own/run"))
			must(t, os.Symlink("../own/run", dir+"/bin/link"))
		}, path: "bin/link", refuse: "own is not owned by root"},
		"a way back over a link": {attack: func(t *testing.T, dir string) {
			must(t, os.MkdirAll(dir+"/own/sub", 0o755))
			must(t, os.Chown(dir+"/own", nobody, 0))
			write(t, dir+"/own/run", "#!/bin/sh\nexit 0\n") // which bin/sub/../run is
			must(t, os.Symlink("../own/sub", dir+"/bin/sub"))
		}, path: "bin/sub/../run", refuse: "symbolic link"},
		"a way back over a directory": {attack: func(t *testing.T, dir string) { must(t, os.Mkdir(dir+"/bin/sub", 0o755)) }, path: "bin/sub/../run"},
		"a directory":                 {path: "bin", refuse: "no regular file"},
		"gone":                        {attack: func(t *testing.T, dir string) { must(t, os.Remove(dir+"/bin/run")) }, refuse: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Mkdir(dir+"/bin", 0o755))
			write(t, dir+"/bin/run", "#!/bin/sh\nexit 0\n")
			if c.attack != nil {
				c.attack(t, dir)
			}
			path := dir + "/bin/run"
			if c.path != "" {
				path = dir + "/" + c.path
			}
			r, results := openRunner(t)
			guarded := program(path)
			guarded.Guarded = true
			start(t, r, Job{ID: 1, Script: guarded})
			res := wait(t, results)
			switch {
			case c.refuse == "" && (res.Err != nil || res.Exit != 0):
				t.Errorf("it did not run: %+v", res)
			case c.refuse != "" && (res.Err == nil || !strings.Contains(res.Err.Error(), c.refuse)):
				t.Errorf("%+v, want an error with %q", res, c.refuse)
			}
		})
	}
}

// A program that is replaced between its check and its start does not run in place of the one that was checked.
func TestReplacedBetweenCheckAndRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	copied := func(name, to string) {
		t.Helper()
		from, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	copied("true", dir+"/run")
	copied("false", dir+"/evil")
	r, results := openRunner(t)
	r.checked = func() {
		if err := os.Rename(dir+"/evil", dir+"/run"); err != nil {
			t.Error(err)
		}
	}
	s := program(dir + "/run")
	s.Guarded = true
	start(t, r, Job{ID: 1, Script: s})
	if res := wait(t, results); res.Err != nil || res.Exit != 0 {
		t.Errorf("%+v: that is not the program that was checked", res)
	}
	r.checked = func() {}
	start(t, r, Job{ID: 2, Script: s})
	if res := wait(t, results); res.Exit != 1 {
		t.Errorf("%+v: it was not replaced at all", res)
	}
}

// A guarded program has the words, the name and no more descriptors than another.
func TestGuardedEnvironment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	out := dir + "/out"
	if err := os.WriteFile(dir+"/run", []byte("#!/bin/sh\n{ echo \"$0 $*\"; ls /proc/self/fd | tr '\\n' ' '; } >"+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, results := openRunner(t)
	s := program(dir+"/run", "a", "b c")
	s.Guarded = true
	start(t, r, Job{ID: 1, Script: s, Extra: []string{"INSTANCE"}})
	if res := wait(t, results); res.Err != nil || res.Exit != 0 {
		t.Fatalf("%+v", res)
	}
	got, _ := os.ReadFile(out)
	if want := dir + "/run a b c INSTANCE\n0 1 2 3 "; string(got) != want { // 3 is the directory that ls reads
		t.Errorf("got %q, want %q", got, want)
	}
}

// A script with an interpreter runs by its path. Whatever somebody else tries between the check and the start, on each part of the path, fails,
// and what runs is what was checked.
func TestScriptIsNotReplaced(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const nobody = 65534
	dir, out := t.TempDir(), t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir, filepath.Dir(out), out} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	// A sticky directory that all may write to is allowed, so it is on the path too.
	if err := os.MkdirAll(dir+"/sticky/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+"/sticky", 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	path := dir + "/sticky/bin/run"
	write(path, "#!/bin/sh\nprintf '%s' \"$0\" >"+out+"/ran\n", 0o755)
	write(out+"/evil", "#!/bin/sh\nexit 66\n", 0o755)
	evil := exec.Command("/bin/sh", "-c", `
		for p in "$1" "$1/sticky" "$1/sticky/bin" "$2"; do
			mv -f "$p" "$p.away" && echo "moved $p"
			ln -sfn "$3" "$p" && [ -L "$p" ] && echo "linked $p"
		done
		cp -f "$3" "$2" && echo "copied"
		echo 'exit 66' >>"$2" && echo "written"
		rm -f "$2" && echo "removed"
		ln "$3" "$2" && echo "hard link"
		chmod 777 "$2" && echo "mode"
		mount --bind "$3" "$2" && echo "mounted"
		true`, "sh", dir, path, out+"/evil")
	evil.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	r, results := openRunner(t)
	tried := false
	r.checked = func() {
		tried = true
		if said, err := evil.Output(); err != nil || len(said) > 0 {
			t.Errorf("it could: %s %v", said, err)
		}
	}
	s := program(path)
	s.Guarded = true
	start(t, r, Job{ID: 1, Script: s})
	res := wait(t, results)
	ran, _ := os.ReadFile(out + "/ran")
	if res.Err != nil || res.Exit != 0 || !tried || string(ran) != path {
		t.Errorf("%+v, tried %t, ran as %q", res, tried, ran)
	}
}
