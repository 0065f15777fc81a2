package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// fakeHost is the environment that the vectors were recorded in, and more interfaces for the examples.
type fakeHost struct {
	links_     []Link
	interfaces map[string]Interface
	users      map[string]User
	files      map[string]File // a symbolic link's target is in links
	links      map[string]string
	hosts      map[string][]netip.Addr
	secrets    map[string]string
	namespaces map[string]*fakeHost
}

func newFakeHost() *fakeHost {
	h := &fakeHost{
		interfaces: map[string]Interface{"lo": {Name: "lo", Index: 1, MTU: 65536, Up: true, Loopback: true}},
		users:      map[string]User{"root": {}, "nobody": {UID: 65534, GID: 65534}},
		files:      map[string]File{},
		links:      map[string]string{"/bin": "/usr/bin"},
		hosts:      map[string][]netip.Addr{"localhost": {netip.MustParseAddr("127.0.0.1")}},
	}
	for i, name := range []string{"eth0", "eth1", "peer0", "peer1", "ens33", "ens192", "ethX"} {
		h.interfaces[name] = Interface{Name: name, Index: i + 2, MTU: 1500, Up: true, Multicast: true, Ethernet: true,
			Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")}}
	}
	for _, d := range []string{".", "/", "/usr", "/usr/bin", "/usr/sbin", "/etc", "/etc/keepalived", "/home", "/home/user"} {
		h.files[d] = File{Mode: fs.ModeDir | 0o755}
	}
	h.files["/tmp"] = File{Mode: fs.ModeDir | fs.ModeSticky | 0o777}
	h.files["/bin"] = File{Mode: fs.ModeSymlink | 0o777}
	for _, p := range []string{"/usr/bin/true", "/usr/bin/sh", "/usr/bin/env", "/usr/bin/pkill", "/usr/bin/pgrep", "/usr/bin/killall"} {
		h.files[p] = File{Mode: 0o755}
	}
	const key = "0123456789abcdef0123456789abcdef"
	h.secrets = map[string]string{"/etc/key": key + "\n", "/etc/key-open": key, "/etc/key-short": "short",
		"/etc/keepalived/mail.password":   "of conf/samples/mail.conf",
		"/run/credentials/k.service/vrrp": "hex:" + key + key + "\n"}
	for p := range h.secrets {
		h.files[p] = File{Mode: 0o400}
	}
	h.files["/etc/key-open"] = File{Mode: 0o440}
	for _, d := range []string{"/run", "/run/credentials", "/run/credentials/k.service"} {
		h.files[d] = File{Mode: fs.ModeDir | 0o755}
	}
	h.files["/etc/passwd"] = File{Mode: 0o644}
	red, blue := *h, *h
	red.interfaces = map[string]Interface{"eth0": {Name: "eth0", Index: 2, MTU: 1400, Up: true, Multicast: true, Ethernet: true}}
	blue.interfaces = map[string]Interface{"lan": {Name: "lan", Index: 2, MTU: 1500, Up: true, Multicast: true, Ethernet: true}}
	h.namespaces = map[string]*fakeHost{"": h, "home": h, "red": &red, "/proc/7/ns/net": &red, "blue": &blue}
	return h
}

func (h *fakeHost) Hostname() string { return "node1" }

func (h *fakeHost) Interface(name string) (Interface, bool) {
	i, ok := h.interfaces[name]
	return i, ok
}

func (h *fakeHost) LookupUser(name string) (User, bool) {
	u, ok := h.users[name]
	return u, ok
}

func (h *fakeHost) UserName(uid uint32) string {
	for name, u := range h.users {
		if u.UID == uid {
			return name
		}
	}
	return strconv.Itoa(int(uid))
}

func (h *fakeHost) LookupGroup(name string) (uint32, bool) {
	u, ok := h.users[name]
	return u.GID, ok
}

func (h *fakeHost) IPRouteName(_, _, table, name string) (uint32, bool) {
	n, ok := map[string]uint32{"rt_tables/blue": 77, "rt_protos/bird": 12, "rt_dsfield/AF11": 0x28, "rt_realms/cosmos": 0, "rt_realms/home": 3,
		"rt_scopes/near": 9, "group/lan": 6}[table+"/"+name]
	return n, ok
}

func (h *fakeHost) VRFTable(name string) (uint32, bool) { return 1007, name == "peer1" }

func (h *fakeHost) Self() User       { return User{} }
func (h *fakeHost) Username() string { return "root" }

func (h *fakeHost) Stat(p string) (File, error) {
	// Directories on the way may be links, the last part is not followed.
	dir, err := h.RealPath(path.Dir(p))
	if err != nil {
		return File{}, err
	}
	f, ok := h.files[path.Join(dir, path.Base(p))]
	if !ok {
		return File{}, fs.ErrNotExist
	}
	return f, nil
}

func (h *fakeHost) RealPath(p string) (string, error) {
	for link, target := range h.links {
		if rest, ok := strings.CutPrefix(p, link); ok && (rest == "" || rest[0] == '/') {
			p = target + rest
		}
	}
	if _, ok := h.files[p]; !ok {
		return "", fs.ErrNotExist
	}
	return p, nil
}

func (h *fakeHost) ReadSecret(p string) ([]byte, fs.FileMode, error) {
	f, err := h.Stat(p)
	if err != nil {
		return nil, 0, err
	}
	return []byte(h.secrets[p]), f.Mode, nil
}

func (h *fakeHost) CredentialsDirectory() string { return "/run/credentials/k.service" }

func (h *fakeHost) SearchPath() []string { return []string{"/usr/sbin", "/usr/bin"} }

func (h *fakeHost) LookupHost(name string) []netip.Addr { return h.hosts[name] }

func (h *fakeHost) NumCPU() int { return 4 }

func (h *fakeHost) Namespace(name string) (Host, string, error) {
	of, ok := h.namespaces[name]
	if !ok {
		return nil, "", fs.ErrNotExist
	}
	return of, fmt.Sprintf("%p", of), nil
}

func (h *fakeHost) Links() []Link { return h.links_ }

func (h *fakeHost) LinkGroup(name string) (uint32, bool) {
	n, err := strconv.ParseUint(name, 0, 31)
	return uint32(n), err == nil
}
