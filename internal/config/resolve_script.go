package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// scriptFailure says why a script cannot run.
type scriptFailure uint8

const (
	scriptFine      scriptFailure = iota
	scriptNoUser                  // its user is not known
	scriptNotFound                // there is no such program
	scriptNotExec                 // its user may not run it
	scriptInsecure                // others could alter it, and enable_script_security forbids that
	scriptNotCalled               // "</file": a kind of script that is not built
)

// script resolves a notify script. As in keepalived one that cannot run is left out with a message that does not change the exit code,
// except for an insecure one, which is an error.
func (res *resolver) script(what string, c opt[Command]) *model.Script {
	if len(c.V.Args) == 0 {
		return nil
	}
	s, fail, why := res.command(c.V, account{c.V.User, c.V.Group}, c.At)
	switch {
	case fail == scriptFine:
		res.needUser(&s, c.At)
		return &s
	case fail == scriptInsecure && res.part != startScripts:
		res.r.Errorf(c.At, "Disabling %s script %s due to insecure", what, c.V.Args[0]).Hint = why
	case fail == scriptNoUser && res.part == startScripts:
		res.r.Errorf(c.At, "%s: %s - disabling", what, why)
	default:
		res.r.Notef(c.At, "%s: %s - disabling", what, why)
	}
	return nil
}

// part is a set of the parts of keepalived that have scripts, each of which judges its own.
type part uint8

const (
	startScripts part = 1 << iota // startup_script, shutdown_script
	vrrpScripts
	checkScripts
)

// command resolves a command for a user; an empty user is the default one of the place at.
func (res *resolver) command(c Command, user account, at source.Pos) (s model.Script, fail scriptFailure, why string) {
	u, ok := res.scriptUser(user, at)
	if !ok {
		return s, scriptNoUser, "its user is not known"
	}
	if strings.HasPrefix(c.Args[0], "<") {
		return s, scriptNotCalled, "commands that test a file are not supported yet"
	}
	path, err := findProgram(res.host, c.Args[0], u)
	if errors.Is(err, errNoExec) || errors.Is(err, errNotFile) {
		res.scripts |= res.part // it is there
	}
	if errors.Is(err, errNoExec) {
		return s, scriptNotExec, "script " + c.Args[0] + " " + err.Error() + ": chmod +x " + c.Args[0]
	} else if err != nil {
		return s, scriptNotFound, "script " + c.Args[0] + " " + err.Error()
	}
	s = model.Script{Args: c.Args, UID: u.UID, GID: u.GID, Groups: u.Groups}
	if path != c.Args[0] {
		s.Args = append([]string{path}, c.Args[1:]...)
		res.r.Notef(at, "WARNING - script `%s` resolved by path search to `%s`. Please specify full path.", c.Args[0], path)
	}
	s.Guarded = res.c.Global.ScriptSecurity.V && privileged(res.host, path, u)
	if flaw := res.flaw(runs{path, u.UID, u.GID}); flaw != "" {
		if res.c.Global.ScriptSecurity.V {
			return s, scriptInsecure, flaw
		}
		res.r.Notef(at, "Unsafe permissions found for script '%s': %s", path, flaw)
	}
	res.scripts |= res.part
	return s, scriptFine, ""
}

// runs is a program and who runs it.
type runs struct {
	path     string
	uid, gid uint32
}

// flaw is insecurity, asked once for each.
func (res *resolver) flaw(p runs) string {
	flaw, ok := res.flaws[p]
	if !ok {
		flaw = insecurity(res.host, p.path, User{UID: p.uid, GID: p.gid})
		res.flaws[p] = flaw
	}
	return flaw
}

// scriptUser returns who runs a script: its own user, else the last script_user above it, else, if it is not one of global_defs, the first
// below it, else keepalived_script, else the daemon's user, which enable_script_security does not allow.
func (res *resolver) scriptUser(a account, at source.Pos) (User, bool) {
	if a.User != "" {
		return res.account(a, at)
	}
	users := res.c.Global.ScriptUsers
	for _, u := range slices.Backward(users) {
		if u.At.Before(at) {
			if res.badUsers[u.At] {
				return User{}, false
			}
			return res.account(u.V, u.At)
		}
	}
	if len(users) > 0 && !res.early {
		u := users[0]
		if res.badUsers[u.At] {
			return User{}, false
		}
		return res.account(u.V, u.At)
	}
	if u, ok := res.host.LookupUser("keepalived_script"); ok {
		return res.groupsOf(u), true
	}
	if s := res.c.Global.ScriptSecurity; s.V && (!res.early || s.At.Before(at)) {
		if res.r.Once("default script user") {
			res.r.Errorf(at, "Unable to set default user keepalived_script for script - please create it or set script_user").Hint =
				"scripts in global_defs need it above them"
			if res.early && len(users) > 0 {
				res.r.Errorf(users[0].At, "script_user: a script above it has been without a user").With("which is at", at)
			}
		}
		return User{}, false
	}
	return res.host.Self(), true
}

// checkScriptUsers reports each script_user that is not known; scripts below it that name no user are then dropped.
func (res *resolver) checkScriptUsers() {
	res.badUsers = map[source.Pos]bool{}
	for _, u := range res.c.Global.ScriptUsers {
		if _, ok := res.account(u.V, u.At); !ok {
			res.badUsers[u.At] = true
			res.r.Errorf(u.At, "script_user: there is no user or group %s - scripts below that name no user are dropped", u.V)
		}
	}
}

// orPos is a place if it is one, else another.
func orPos(p, other source.Pos) source.Pos {
	if p.IsSet() {
		return p
	}
	return other
}

// account looks up USER [GROUP]; a leading colon of the group asks for the supplementary groups.
func (res *resolver) account(a account, _ source.Pos) (User, bool) {
	u, ok := res.host.LookupUser(a.User)
	if !ok {
		return User{}, false
	}
	group, all := strings.CutPrefix(a.Group, ":")
	if !all {
		u = res.groupsOf(u)
	}
	if group != "" {
		if u.GID, ok = res.host.LookupGroup(group); !ok {
			return User{}, false
		}
	}
	return u, true
}

func (res *resolver) groupsOf(u User) User {
	if !res.c.Global.SupplementaryGroups.V {
		u.Groups = nil
	}
	return u
}

// scriptSecurity reports that there are scripts, tracked or not, although nothing checks who could alter them. A part that has nothing to do,
// or whose configuration is refused because of an interface, is not judged.
func (res *resolver) scriptSecurity() {
	if res.c.Global.ScriptSecurity.V {
		return
	}
	judged := startScripts
	if len(res.c.Instances) > 0 && !res.absent {
		judged |= vrrpScripts
	}
	if res.served {
		judged |= checkScripts
	}
	if res.scripts&judged != 0 {
		res.r.Add(source.Security, source.Pos{}, "SECURITY VIOLATION - scripts are being executed but script_security not enabled.").Hint =
			"write enable_script_security in global_defs"
	}
}

var (
	errNoFile  = errors.New("cannot be accessed - No such file or directory")
	errNotFile = errors.New("is not a regular file")
	errNoExec  = errors.New("is not executable for its user")
	errNoPath  = errors.New("is not in the path")
)

// findProgram returns the path of a program that u may execute; a bare name is searched for.
//
// Differs from keepalived: symbolic links in the path are kept, as if use_symlink_paths were given, since programs that look at their own
// name (pkill, busybox) would otherwise be other programs.
func findProgram(h Host, name string, u User) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(h, name, u)
	}
	for _, dir := range h.SearchPath() {
		if path := filepath.Join(dir, name); filepath.IsAbs(path) && executable(h, path, u) == nil {
			return path, nil
		}
	}
	return "", errNoPath
}

func executable(h Host, path string, u User) error {
	real, err := h.RealPath(path)
	if err != nil {
		return errNoFile
	}
	f, err := h.Stat(real)
	switch {
	case err != nil:
		return errNoFile
	case !f.Mode.IsRegular():
		return errNotFile
	case !mayExecute(f, u):
		return errNoExec
	}
	return nil
}

// mayExecute is the kernel's check of the mode bits; root needs any execute bit.
func mayExecute(f File, u User) bool {
	m := f.Mode.Perm()
	switch {
	case u.UID == 0:
		return m&0o111 != 0
	case f.UID == u.UID:
		return m&0o100 != 0
	case f.GID == u.GID || slices.Contains(u.Groups, f.GID):
		return m&0o010 != 0
	}
	return m&0o001 != 0
}

// privileged reports whether a program runs with root's rights, by its user or by itself.
func privileged(h Host, path string, u User) bool {
	if u.UID == 0 || u.GID == 0 {
		return true
	}
	real, err := h.RealPath(path)
	if err != nil {
		return true // it will be looked at more closely
	}
	target, err := h.Stat(real)
	return err != nil || target.Mode&fs.ModeSetuid != 0 && target.UID == 0 || target.Mode&fs.ModeSetgid != 0 && target.GID == 0
}

// insecurity says how somebody other than root could alter a program that runs with root's rights, or "". It looks at each component
// of the path as written and of the path without links (language.md §11, Scripts).
func insecurity(h Host, path string, u User) string {
	real, err := h.RealPath(path)
	if err != nil {
		return "it cannot be examined"
	}
	if !privileged(h, path, u) {
		return ""
	}
	for _, p := range []string{path, real} {
		if flaw := insecurePath(h, p); flaw != "" {
			return flaw
		}
	}
	return ""
}

// unixMode has the bits that chmod takes.
func unixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for i, b := range []fs.FileMode{fs.ModeSticky, fs.ModeSetgid, fs.ModeSetuid} {
		if m&b != 0 {
			bits |= 0o1000 << i
		}
	}
	return bits
}

func insecurePath(h Host, path string) string {
	path = filepath.Clean(path)
	var parts []string
	for p := path; ; p = filepath.Dir(p) {
		parts = append(parts, p)
		if p == filepath.Dir(p) {
			break
		}
	}
	for _, p := range slices.Backward(parts) {
		f, err := h.Stat(p)
		if err != nil {
			return p + " cannot be examined"
		}
		is := func(what, mend string) string {
			return fmt.Sprintf("%s %s (owner %s, group %d, mode %04o): %s", p, what, h.UserName(f.UID), f.GID, unixMode(f.Mode), mend)
		}
		link := f.Mode&fs.ModeSymlink != 0
		switch {
		case p != path && link:
			flaw := "Wrong file type found in script path: " + p + " is a symbolic link"
			if real, err := h.RealPath(path); err == nil {
				flaw += ": write " + real
			}
			return flaw
		case p != path && !f.Mode.IsDir():
			return p + " is no directory"
		case p == path && !link && !f.Mode.IsRegular():
			return p + " is no regular file"
		case f.UID != 0 && link:
			return is("is not owned by root", "chown -h root "+p)
		case f.UID != 0:
			return is("is not owned by root", "chown root "+p)
		case link: // its own mode says nothing
		case f.Mode.IsDir() && f.Mode&fs.ModeSticky != 0:
		case f.Mode&0o002 != 0:
			return is("is writable by all", "chmod o-w "+p)
		case f.Mode&0o020 != 0 && f.GID != 0:
			return is("is writable by its group", "chmod g-w "+p)
		}
	}
	return ""
}
