package config

import (
	"io/fs"
	"net/netip"
	"strings"
)

// Host is what the meaning of a configuration depends on outside its files.
type Host interface {
	Hostname() string
	// Interface returns the interface of that name; false if there is none.
	Interface(name string) (Interface, bool)
	// Links returns all interfaces, as far as it matters to making further ones.
	Links() []Link
	// Namespace returns the host as seen from a network namespace: interfaces and all that belongs to them are those in it. The name is that of a
	// file below /run/netns, or an absolute path; "" is the one that the program runs in. id tells namespaces apart, whatever they are called;
	// empty: that is not known. fs.ErrNotExist: there is none of that name.
	Namespace(name string) (h Host, id string, err error)
	// LinkGroup returns the number of an interface group by number or by its name in iproute2's tables.
	LinkGroup(name string) (uint32, bool)
	// UserName returns the name of an account, its number if it has none.
	UserName(uid uint32) string
	// LookupUser returns an account by name.
	LookupUser(name string) (User, bool)
	LookupGroup(name string) (gid uint32, ok bool)
	// Self is the account the daemon runs as, Username its name.
	Self() User
	Username() string
	// Stat describes a file; a symbolic link itself, not what it leads to.
	Stat(path string) (File, error)
	// RealPath returns the path without symbolic links.
	RealPath(path string) (string, error)
	// ReadSecret returns the content and the permissions of a file of at most maxSecret bytes.
	ReadSecret(path string) (text []byte, mode fs.FileMode, err error)
	// CredentialsDirectory is where the service manager has put the service's credentials; empty: nowhere.
	CredentialsDirectory() string
	// SearchPath is the list of directories in which a bare program name is looked for.
	SearchPath() []string
	// LookupHost returns the addresses of a host name.
	LookupHost(name string) []netip.Addr
	NumCPU() int
	// IPRouteName returns the number of a name in a table ("rt_tables") of iproute2, whose directories are usr and etc.
	IPRouteName(usr, etc, table, name string) (uint32, bool)
	// VRFTable returns the routing table of the VRF of that name; false if there is none.
	VRFTable(name string) (uint32, bool)
}

// maxSecret is far more than a key may have.
const maxSecret = 1024

// Interface is a network interface as the kernel has it.
type Interface struct {
	Name      string
	Index     int
	MTU       int
	Up        bool
	Loopback  bool
	Multicast bool
	Ethernet  bool
	Addrs     []netip.Prefix
}

// Link is an interface of the host as a place for others, or one of those.
type Link struct {
	Name    string
	Macvlan bool
	Private bool    // macvlan: its mode
	Base    string  // macvlan: the interface it sits on; empty if that is in another network namespace
	MAC     [6]byte // macvlan
}

// User is an account of the host.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups
}

// File is what the checks of scripts look at.
type File struct {
	Mode     fs.FileMode
	UID, GID uint32
}

func shortName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}
