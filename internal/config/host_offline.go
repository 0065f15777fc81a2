package config

import (
	"bytes"
	"io/fs"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// Offline is a Host of which nothing is known: it answers yes whenever existence is asked for, so that a configuration can be judged away
// from the machine it is for. Interfaces are up, of Ethernet, with an MTU of 1500 and no addresses; accounts are ordinary ones with no
// supplementary groups; programs exist, belong to root and are writable by root alone. What needs the real thing is not found.
type Offline struct {
	Node string // the target's host name, for @id lines without -i

	programs map[string]bool // asked for by RealPath: false for the directories above them
}

// Hostname returns Node.
func (o *Offline) Hostname() string { return o.Node }

// Username returns root, as whom the daemon is expected to run.
func (*Offline) Username() string { return "root" }

// Interface returns an interface of any name; lo is the loopback.
func (o *Offline) Interface(name string) (Interface, bool) {
	if name == "lo" {
		return Interface{Name: name, Index: 1, MTU: 65536, Up: true, Loopback: true}, true
	}
	return Interface{Name: name, Index: 2, MTU: 1500, Up: true, Multicast: true, Ethernet: true}, true
}

// IPRouteName takes every name for known.
func (*Offline) IPRouteName(_, _, _, _ string) (uint32, bool) { return 1, true }

// VRFTable takes every name for a VRF.
func (*Offline) VRFTable(string) (uint32, bool) { return 1, true }

// Links returns none.
func (*Offline) Links() []Link { return nil }

// Namespace returns the same host for any name.
func (o *Offline) Namespace(string) (Host, string, error) { return o, "", nil }

// LinkGroup returns a group of any name.
func (*Offline) LinkGroup(name string) (uint32, bool) {
	n, err := strconv.ParseUint(name, 0, 32)
	return uint32(n), err == nil || !strings.ContainsAny(name, " /")
}

// offlineID is the number of every account but root.
const offlineID = 1000

// LookupUser returns an account of any name.
func (o *Offline) LookupUser(name string) (User, bool) {
	if name == "root" {
		return User{}, true
	}
	return User{UID: offlineID, GID: offlineID}, true
}

// UserName returns root or a number.
func (*Offline) UserName(uid uint32) string {
	if uid == 0 {
		return "root"
	}
	return strconv.FormatUint(uint64(uid), 10)
}

// LookupGroup returns a group of any name.
func (o *Offline) LookupGroup(name string) (uint32, bool) {
	u, ok := o.LookupUser(name)
	return u.GID, ok
}

// Self is root.
func (o *Offline) Self() User { return User{} }

// Stat takes a path that RealPath was asked for as a program, those above it as directories, and any other as a file for root alone.
func (o *Offline) Stat(p string) (File, error) {
	switch program, known := o.programs[path.Clean(p)]; {
	case program:
		return File{Mode: 0o755}, nil
	case known:
		return File{Mode: fs.ModeDir | 0o755}, nil
	}
	return File{Mode: 0o600}, nil
}

// RealPath returns an absolute path as it is.
func (o *Offline) RealPath(p string) (string, error) {
	p = path.Clean("/" + p)
	if o.programs == nil {
		o.programs = map[string]bool{}
	}
	o.programs[p] = true
	for dir := path.Dir(p); ; dir = path.Dir(dir) {
		if _, known := o.programs[dir]; !known {
			o.programs[dir] = false
		}
		if dir == "/" {
			return p, nil
		}
	}
}

// ReadSecret returns the same key for any path.
func (*Offline) ReadSecret(string) ([]byte, fs.FileMode, error) {
	return bytes.Repeat([]byte{'0'}, 32), 0o600, nil
}

// CredentialsDirectory is systemd's.
func (*Offline) CredentialsDirectory() string { return "/run/credentials/keepalived.service" }

// SearchPath has the one directory in which every bare program name is found.
func (o *Offline) SearchPath() []string { return []string{"/usr/bin"} }

// LookupHost returns one address for any name.
func (o *Offline) LookupHost(string) []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("192.0.2.1")}
}

// NumCPU is more than any configuration names.
func (o *Offline) NumCPU() int { return 1 << 20 }
