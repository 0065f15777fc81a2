package netlink

import (
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// HasIPv6 asks the kernel whether an interface has an IPv6 address at this moment; false for IPv4. The notification of an IPv6 address does
// not say who caused it, and may be older than our own last change.
func HasIPv6(ifIndex int, a netip.Addr) bool {
	if !a.Is6() {
		return false
	}
	text, err := os.ReadFile("/proc/thread-self/net/if_inet6")
	if err != nil {
		return false
	}
	b := a.As16()
	return hasIPv6(string(text), hex.EncodeToString(b[:]), ifIndex)
}

// hasIPv6 looks through lines of address, index, prefix length, scope, flags and name, the numbers in hexadecimal.
func hasIPv6(text, address string, ifIndex int) bool {
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) < 2 || w[0] != address {
			continue
		}
		if n, err := strconv.ParseInt(w[1], 16, 32); err == nil && int(n) == ifIndex {
			return true
		}
	}
	return false
}
