package netlink

import (
	"bytes"
	"os"
)

// Forwarding reports whether the host forwards IPv6 packets that arrive on the interface, in the calling thread's network namespace;
// not if the interface is gone.
func Forwarding(ifName string) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + ifName + "/forwarding")
	return err == nil && bytes.HasPrefix(b, []byte("1"))
}
