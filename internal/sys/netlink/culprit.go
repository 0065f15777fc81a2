package netlink

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
)

// culprits finds out which process is behind a netlink port, as the header of a notification names the one that caused it.
type culprits struct {
	space   *netns.Space // where the ports are
	known   map[uint32]string
	scanned time.Time // when all processes were last looked through
}

const (
	maxCulprits = 64          // after so many the memory begins anew
	scanRest    = time.Second // least time between two looks through all processes
)

// name describes the process behind a port as "systemd-networkd (process 400)"; empty: the kernel itself.
//
// The first netlink socket of a process has its process id for port, others a random one: for those the owner of the socket is looked for.
// A program like ip(8) has often ended by then; its process id is still told.
func (c *culprits) name(port uint32) string {
	if port == 0 {
		return ""
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", port)); err == nil {
		return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(comm)), port)
	}
	if s, ok := c.known[port]; ok {
		return s
	}
	const maxPID = 1 << 22 // PID_MAX_LIMIT
	if port <= maxPID {
		return fmt.Sprintf("process %d, which has ended", port)
	}
	unknown := fmt.Sprintf("the owner of netlink port %d", port)
	if time.Since(c.scanned) < scanRest {
		return unknown
	}
	c.scanned = time.Now()
	s := ownerOf(port, c.space)
	if s == "" {
		return unknown
	}
	if c.known == nil || len(c.known) >= maxCulprits {
		c.known = map[uint32]string{}
	}
	c.known[port] = s
	return s
}

// ownerOf looks for the process that has the socket with a port of a network namespace open.
func ownerOf(port uint32, space *netns.Space) string {
	var inode string
	err := space.Do(func() error { inode = inodeOf(port); return nil })
	if err != nil || inode == "" {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == "socket:["+inode+"]" {
			pid := strings.Split(fd, "/")[2]
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(comm)), pid)
		}
	}
	return ""
}

// inodeOf looks a port up among the NETLINK_ROUTE sockets of the calling thread's network namespace.
func inodeOf(port uint32) string {
	f, err := os.Open("/proc/thread-self/net/netlink")
	if err != nil {
		return ""
	}
	defer f.Close()
	want := strconv.FormatUint(uint64(port), 10)
	for in := bufio.NewScanner(f); in.Scan(); {
		// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		w := strings.Fields(in.Text())
		if len(w) >= 10 && w[1] == "0" && w[2] == want {
			return w[9]
		}
	}
	return ""
}
