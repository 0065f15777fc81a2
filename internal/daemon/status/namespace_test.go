package status

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// What is in another network namespace says so, and an instance depends on the interface of its own namespace, not on its namesake.
func TestNamespaces(t *testing.T) {
	s := vrrpSnapshot()
	i := &s.Instances[0]
	k := slices.IndexFunc(s.Interfaces, func(f Interface) bool { return f.Name == i.Interface })
	namesake := s.Interfaces[k]
	namesake.Namespace = "red"
	i.NetNamespace = "red"
	s.Interfaces = append(s.Interfaces, namesake)
	got := render(t, WriteData, s)
	users := map[bool]bool{}
	seen := 0
	for _, b := range blocks(got) {
		inRed := slices.Contains(b, "   Network namespace = red")
		switch b[0] {
		case " VRRP Instance = " + i.Name:
			if !inRed {
				t.Errorf("the instance: %q", b)
			}
		case " Name = " + i.Interface:
			seen++
			users[inRed] = slices.ContainsFunc(b, func(line string) bool { return strings.HasPrefix(line, "     "+i.Name+", ") })
		}
	}
	if seen != 2 || !users[true] || users[false] {
		t.Errorf("of %d interfaces the instance is among the users of %v in\n%s", seen, users, got)
	}
	json := func(w io.Writer, s *Snapshot) error { return WriteJSON(w, s, 1) }
	if n := strings.Count(render(t, json, s), `"net_namespace":"red"`); n != 1 {
		t.Errorf("%d instances in it", n)
	}
}
