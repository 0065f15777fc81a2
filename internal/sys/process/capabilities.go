package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Set is what a process may do beyond an ordinary one.
type Set struct {
	effective uint64
	lockLimit bool // RLIMIT_MEMLOCK is infinite
	ping      bool // net.ipv4.ping_group_range has its group
}

// Capabilities returns what this process may do, and so may those that it starts.
func Capabilities() (Set, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return Set{}, fmt.Errorf("read capabilities: %w", err)
	}
	s := Set{effective: uint64(data[0].Effective) | uint64(data[1].Effective)<<32}
	var limit unix.Rlimit
	s.lockLimit = unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil && limit.Cur == unix.RLIM_INFINITY
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ping_group_range"); err == nil {
		var low, high, gid = 1, 0, os.Getegid()
		fmt.Sscan(string(b), &low, &high)
		s.ping = low <= gid && gid <= high
	}
	return s, nil
}

// bits are the capabilities that a configuration can ask for.
var bits = map[string]int{
	"CAP_CHOWN": unix.CAP_CHOWN, "CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_KILL": unix.CAP_KILL, "CAP_SETGID": unix.CAP_SETGID, "CAP_SETUID": unix.CAP_SETUID,
	"CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_NET_RAW": unix.CAP_NET_RAW,
	"CAP_IPC_LOCK": unix.CAP_IPC_LOCK, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_SYS_NICE": unix.CAP_SYS_NICE,
}

// Has reports whether a capability (CAP_NET_ADMIN) is in the set, or what does as well as one for a purpose: ping_group_range, RLIMIT_MEMLOCK.
func (s Set) Has(name string) bool {
	switch name {
	case "ping_group_range":
		return s.ping
	case "RLIMIT_MEMLOCK":
		return s.lockLimit
	}
	bit, ok := bits[name]
	return ok && s.effective&(1<<bit) != 0
}
