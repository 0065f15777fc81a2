package announce

import (
	"slices"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// The limit without interfaces counts for each interface of each network namespace; one with interfaces names those of the process's.
func TestNamespaces(t *testing.T) {
	at := func(namespace string) Target { t := target("10.0.0.1", "eth0"); t.Namespace = namespace; return t }
	start := time.Unix(1, 0)
	for name, c := range map[string]struct {
		delays []model.GARPDelay
		want   []string
	}{
		"for each": {[]model.GARPDelay{{ARPInterval: 10 * time.Millisecond}}, []string{"0 0 eth0 10.0.0.1", "0 1 eth0 10.0.0.1", "10 0 eth0 10.0.0.1", "10 1 eth0 10.0.0.1"}},
		"named": {[]model.GARPDelay{{Interfaces: []string{"eth0"}, ARPInterval: 10 * time.Millisecond}},
			[]string{"0 1 eth0 10.0.0.1", "0 1 eth0 10.0.0.1", "0 0 eth0 10.0.0.1", "10 0 eth0 10.0.0.1"}},
	} {
		q := New(c.delays)
		for owner, namespace := range []string{"", "red"} {
			q.Add(start, owner, []Target{at(namespace)}, 2)
		}
		if got := run(t, q, start); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
