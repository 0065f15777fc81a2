package config

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// IPRouteName reads a table of iproute2: the local one, or else that of iproute2 itself, and what the directories of both add to it, the
// last of a name counting.
func (System) IPRouteName(usr, etc, table, name string) (uint32, bool) {
	files := []string{filepath.Join(etc, table)}
	if _, err := os.Stat(files[0]); err != nil {
		files[0] = filepath.Join(usr, table)
	}
	for _, dir := range []string{usr, etc} {
		more, _ := filepath.Glob(filepath.Join(dir, table+".d", "*.conf"))
		files = append(files, more...)
	}
	var number uint32
	found := false
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if n, ok := numberOf(text, name); ok {
			number, found = n, true
		}
	}
	return number, found
}

// numberOf looks a name up in lines of a number and a name; others are passed over.
func numberOf(text []byte, name string) (number uint32, found bool) {
	for in := bufio.NewScanner(bytes.NewReader(text)); in.Scan(); {
		line, _, _ := strings.Cut(in.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 || words[1] != name {
			continue
		}
		if n, err := strconv.ParseUint(words[0], 0, 32); err == nil {
			number, found = uint32(n), true
		}
	}
	return number, found
}

// VRFTable returns the routing table of a VRF.
func (s System) VRFTable(name string) (uint32, bool) {
	var l netlink.Link
	err := s.space.Do(func() (err error) { l, err = netlink.LinkByName(name); return err })
	if err != nil {
		return 0, false
	}
	vrf, ok := l.(*netlink.Vrf)
	if !ok {
		return 0, false
	}
	return vrf.Table, true
}
