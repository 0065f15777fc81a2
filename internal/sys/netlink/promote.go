package netlink

import (
	"bytes"
	"fmt"
	"os"
)

// PromoteSecondaries says whether the removal of the first IPv4 address of a subnet leaves the others of an interface in place
// (net.ipv4.conf.IF.promote_secondaries), and returns what held before.
func PromoteSecondaries(ifName string, on bool) (was bool, err error) {
	path := "/proc/sys/net/ipv4/conf/" + ifName + "/promote_secondaries"
	b, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("read promote_secondaries: %w", err)
	}
	if was = !bytes.Equal(bytes.TrimSpace(b), []byte("0")); was == on {
		return was, nil
	}
	value := []byte("0")
	if on {
		value = []byte("1")
	}
	if err := os.WriteFile(path, value, 0); err != nil {
		return was, fmt.Errorf("set promote_secondaries: %w", err)
	}
	return was, nil
}
