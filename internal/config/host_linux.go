package config

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
)

// System is the machine the program runs on, as Host and as source.Files. The zero System sees the network namespace that it runs in.
type System struct{ space *netns.Space }

// Open opens a file of the configuration.
func (System) Open(name string) (fs.File, error) {
	// A pipe must not make us wait for its writer before we can see what it is.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Glob returns the sorted names that match a pattern.
func (System) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

// Hostname returns the node name.
func (System) Hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// Namespace enters another network namespace, which needs CAP_SYS_ADMIN. It stays open as long as the program runs.
func (s System) Namespace(name string) (Host, string, error) {
	if name == "" {
		id, err := netns.Current()
		return s, fmt.Sprint(id), err
	}
	space, err := netns.Open(name)
	if err != nil {
		return nil, "", err
	}
	return System{space}, fmt.Sprint(space.ID()), nil
}

// Interface returns an interface of the network namespace.
func (s System) Interface(name string) (Interface, bool) {
	i, ok := s.Interfaces()[name]
	return i, ok
}

// Interfaces returns those of the network namespace by name; none if they cannot be read.
func (s System) Interfaces() map[string]Interface {
	var links []net.Interface
	var addrs map[int][]netip.Prefix
	if s.space.Do(func() (err error) {
		links, err = net.Interfaces()
		addrs = addressesOfLinks()
		return err
	}) != nil {
		return nil
	}
	out := make(map[string]Interface, len(links))
	for _, i := range links {
		out[i.Name] = Interface{
			Name: i.Name, Index: i.Index, MTU: i.MTU,
			Up: i.Flags&net.FlagUp != 0, Loopback: i.Flags&net.FlagLoopback != 0, Multicast: i.Flags&net.FlagMulticast != 0,
			Ethernet: len(i.HardwareAddr) == 6, Addrs: addrs[i.Index],
		}
	}
	return out
}

// addressesOfLinks are those of all interfaces by index, which the net package would list anew for each of them; none if they cannot be read.
func addressesOfLinks() map[int][]netip.Prefix {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETADDR, syscall.AF_UNSPEC)
	if err != nil {
		return nil
	}
	msgs, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return nil
	}
	out := map[int][]netip.Prefix{}
	for _, m := range msgs {
		if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			continue
		}
		bits, index := int(m.Data[1]), int(binary.NativeEndian.Uint32(m.Data[4:])) // struct ifaddrmsg
		var addr netip.Addr
		for _, a := range attrs {
			// The address is that of the peer if there is a local one besides.
			if t := a.Attr.Type; t == syscall.IFA_LOCAL || t == syscall.IFA_ADDRESS && !addr.IsValid() {
				addr, _ = netip.AddrFromSlice(a.Value)
			}
		}
		if p := netip.PrefixFrom(addr, bits); p.IsValid() {
			out[index] = append(out[index], p)
		}
	}
	return out
}

// Links returns the interfaces of the network namespace; none if they cannot be read.
func (s System) Links() (out []Link) {
	var links []netlink.Link
	list := func() (err error) { links, err = netlink.LinkList(); return err }
	err := s.space.Do(list)
	for range 10 { // it changed while it was read
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
		err = s.space.Do(list)
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range links {
		n := Link{Name: l.Attrs().Name}
		if m, ok := l.(*netlink.Macvlan); ok && len(m.HardwareAddr) == 6 {
			n.Macvlan, n.Private = true, m.Mode == netlink.MACVLAN_MODE_PRIVATE
			n.Base, n.MAC = names[m.ParentIndex], [6]byte(m.HardwareAddr)
		}
		out = append(out, n)
	}
	return out
}

// linkGroups are the files in which iproute2 keeps the names of interface groups.
var linkGroups = []string{"/etc/iproute2/group", "/usr/share/iproute2/group"}

// LinkGroup reads iproute2's tables.
func (System) LinkGroup(name string) (uint32, bool) {
	if n, err := strconv.ParseUint(name, 0, 31); err == nil {
		return uint32(n), true
	}
	for _, file := range linkGroups {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 2 && f[1] == name {
				if n, err := strconv.ParseUint(f[0], 0, 32); err == nil {
					return uint32(n), true
				}
			}
		}
	}
	return 0, name == "default"
}

// LookupUser finds an account by its name.
func (System) LookupUser(name string) (User, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return User{}, false
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		return User{}, false
	}
	out := User{UID: uint32(uid), GID: uint32(gid)}
	groups, _ := u.GroupIds()
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil && uint32(n) != out.GID {
			out.Groups = append(out.Groups, uint32(n))
		}
	}
	return out, true
}

// UserName finds an account by its number.
func (System) UserName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

// LookupGroup finds a group by its name.
func (System) LookupGroup(name string) (uint32, bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err == nil
}

// Self is the account of this process.
func (System) Self() User { return User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())} }

// Username is the name of this process's account, its number if it has none.
func (s System) Username() string {
	return s.UserName(uint32(os.Geteuid()))
}

// Stat describes a file, or a symbolic link itself.
func (System) Stat(path string) (File, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return File{}, err
	}
	f := File{Mode: st.Mode()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID = sys.Uid, sys.Gid
	}
	return f, nil
}

// RealPath follows all symbolic links.
func (System) RealPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(real)
}

// ReadSecret reads a regular file, or what a symbolic link leads to.
func (System) ReadSecret(path string) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxSecret {
		return nil, 0, &fs.PathError{Op: "read", Path: path, Err: fs.ErrInvalid}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	return text, st.Mode(), err
}

// CredentialsDirectory is systemd's (systemd.exec(5), LoadCredential=).
func (System) CredentialsDirectory() string { return os.Getenv("CREDENTIALS_DIRECTORY") }

// SearchPath is the program path of this process.
func (System) SearchPath() []string { return filepath.SplitList(os.Getenv("PATH")) }

// LookupHost resolves a name.
func (System) LookupHost(name string) []netip.Addr {
	texts, err := net.LookupHost(name)
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// NumCPU is the number of processors.
func (System) NumCPU() int { return runtime.NumCPU() }
