package config

import (
	"io/fs"
	"strings"
	"testing"
)

// What makes a script unsafe to run with root's rights (language.md §11), over metadata alone.
func TestInsecurity(t *testing.T) {
	const dir, sticky, link = fs.ModeDir | 0o755, fs.ModeDir | fs.ModeSticky | 0o777, fs.ModeSymlink | 0o777
	root, nobody := User{}, User{UID: 65534, GID: 65534}
	for _, c := range []struct {
		name  string
		files map[string]File
		links map[string]string
		path  string
		user  User
		want  string // part of the reason; empty: secure
	}{
		{"fine", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: 0o755}}, nil, "/s/x", root, ""},
		{"file writable by all", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: 0o777}}, nil, "/s/x", root, "/s/x is writable by all"},
		{"file of another", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: 0o755, UID: 1000}}, nil, "/s/x", root, "/s/x is not owned by root"},
		{"writable by root's group", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: 0o775}}, nil, "/s/x", root, ""},
		{"writable by a group", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: 0o775, GID: 5}}, nil, "/s/x", root, "by its group"},
		{"directory writable by all", map[string]File{"/s": {Mode: fs.ModeDir | 0o777}, "/s/x": {Mode: 0o755}}, nil, "/s/x", root, "/s is writable"},
		{"sticky directory", map[string]File{"/s": {Mode: sticky}, "/s/x": {Mode: 0o755}}, nil, "/s/x", root, ""},
		{"directory of another", map[string]File{"/s": {Mode: sticky, UID: 5}, "/s/x": {Mode: 0o755}}, nil, "/s/x", root, "/s is not owned"},
		{"run by another user", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: 0o777}}, nil, "/s/x", nobody, ""},
		{"run by root's group", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: 0o777}}, nil, "/s/x", User{UID: 5}, "by all"},
		{"set-uid root", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: fs.ModeSetuid | 0o757}}, nil, "/s/x", nobody, "by all"},
		{"directory is a link", map[string]File{"/s": {Mode: link}, "/r": {Mode: dir}, "/r/x": {Mode: 0o755}},
			map[string]string{"/s": "/r"}, "/s/x", root, "/s is a symbolic link"},
		{"file is a link to an unsafe file", map[string]File{"/s": {Mode: dir}, "/s/x": {Mode: link}, "/r": {Mode: dir}, "/r/y": {Mode: 0o757}},
			map[string]string{"/s/x": "/r/y"}, "/s/x", root, "/r/y is writable by all"},
	} {
		h := newFakeHost()
		h.files, h.links = c.files, c.links
		h.files["/"] = File{Mode: dir}
		got := insecurity(h, c.path, c.user)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFindProgram(t *testing.T) {
	h := newFakeHost()
	h.files["/usr/bin/mine"] = File{Mode: 0o700, UID: 1000}
	h.files["/usr/bin/group"] = File{Mode: 0o710, GID: 7}
	user, member := User{UID: 1000, GID: 1000}, User{UID: 5, GID: 5, Groups: []uint32{7}}
	for _, c := range []struct {
		name string
		user User
		path string
		err  error
	}{
		{"/bin/true", user, "/bin/true", nil}, // links are kept
		{"true", user, "/usr/bin/true", nil},
		{"nothing", user, "", errNoPath},
		{"/nothing", user, "/nothing", errNoFile},
		{"/usr/bin", user, "/usr/bin", errNotFile},
		{"/etc/passwd", User{}, "/etc/passwd", errNoExec},
		{"mine", user, "/usr/bin/mine", nil},
		{"mine", member, "", errNoPath},
		{"/usr/bin/mine", User{}, "/usr/bin/mine", nil},
		{"group", member, "/usr/bin/group", nil},
		{"group", user, "", errNoPath},
	} {
		path, err := findProgram(h, c.name, c.user)
		if path != c.path || err != c.err {
			t.Errorf("%s as %d: %q, %v, want %q, %v", c.name, c.user.UID, path, err, c.path, c.err)
		}
	}
}

// The machine itself: what every Linux has.
func TestSystem(t *testing.T) {
	s := System{}
	if lo, ok := s.Interface("lo"); !ok || !lo.Loopback || lo.Index == 0 || lo.Ethernet && !lo.Loopback {
		t.Errorf("lo: %+v, %v", lo, ok)
	}
	if _, ok := s.Interface("no-such-if"); ok {
		t.Error("an interface that is not there is found")
	}
	for _, name := range []string{"root"} {
		if u, ok := s.LookupUser(name); !ok || u.UID != 0 || u.GID != 0 {
			t.Errorf("user %s: %+v, %v", name, u, ok)
		}
		if g, ok := s.LookupGroup(name); !ok || g != 0 {
			t.Errorf("group %s: %d, %v", name, g, ok)
		}
	}
	for _, name := range []string{"no-such-user", "0"} { // keepalived takes no numbers
		if _, ok := s.LookupUser(name); ok {
			t.Errorf("user %s, who is not there, is found", name)
		}
		if _, ok := s.LookupGroup(name); ok {
			t.Errorf("group %s, which is not there, is found", name)
		}
	}
	if f, err := s.Stat("/"); err != nil || !f.Mode.IsDir() || f.UID != 0 {
		t.Errorf("/: %+v, %v", f, err)
	}
	if p, err := s.RealPath("/proc/self/../self"); err != nil || strings.Contains(p, "self") {
		t.Errorf("real path %q, %v", p, err)
	}
}

// With script security whatever runs with root's rights is checked again each time it runs.
func TestGuarded(t *testing.T) {
	for config, want := range map[string]bool{
		"global_defs {\n  script_user root\n  enable_script_security\n  startup_script /usr/bin/true\n}\n":   true,
		"global_defs {\n  script_user root\n  startup_script /usr/bin/true\n}\n":                             false,
		"global_defs {\n  script_user nobody\n  enable_script_security\n  startup_script /usr/bin/true\n}\n": false,
	} {
		m, r := Load(oneFile(config), "k", Options{}, newFakeHost())
		if m == nil || m.Process.StartupScript == nil {
			t.Fatalf("%s: %v", config, r.All())
		}
		if got := m.Process.StartupScript.Guarded; got != want {
			t.Errorf("%s: guarded %v", config, got)
		}
	}
}
