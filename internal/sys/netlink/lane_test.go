package netlink

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// idle is a lane that nobody runs.
func idle() *Lane {
	return newLane(slog.New(slog.DiscardHandler), func(func()) {}, nil)
}

func addresses(list ...string) (out model.Objects) {
	for _, s := range list {
		out.Addresses = append(out.Addresses, model.Address{Interface: "eth0", Prefix: netip.MustParsePrefix(s)})
	}
	return out
}

// TestWanted: an address is wanted for as long as anybody wants it, as the newest wish has it.
func TestWanted(t *testing.T) {
	l := idle()
	labelled := addresses("10.0.0.1/32", "10.0.0.2/32")
	labelled.Addresses[0].Label = "b"
	check := func(after string, want ...string) {
		t.Helper()
		_, got, _, _, _ := l.take()
		if len(got) != len(want) {
			t.Fatalf("after %s %d addresses are wanted, want %q", after, len(got), want)
		}
		for i, a := range got {
			if s := fmt.Sprint(a.Prefix.Addr(), a.Label); s != want[i] {
				t.Errorf("after %s address %d is %q, want %q", after, i, s, want[i])
			}
		}
		for _, a := range got { // as settle does when the kernel has it
			l.have[hostnet.KeyOf(a)] = a
		}
	}
	l.Own("a", addresses("10.0.0.1/32", "10.0.0.3/32"), nil)
	check("a", "10.0.0.1", "10.0.0.3")
	l.Own("b", labelled, nil)
	check("b", "10.0.0.1b", "10.0.0.2")
	l.Own("a", addresses("10.0.0.1/32", "10.0.0.1/32"), nil)
	check("a twice, without the third", "10.0.0.1")
	l.Own("a", model.Objects{}, nil)
	check("a no more", "10.0.0.1b")
	l.Own("b", model.Objects{}, nil)
	check("b no more")
	if len(l.wanted) > 0 {
		t.Errorf("%d claims are left", len(l.wanted))
	}
}

// BenchmarkWish is one owner's wish beside those of a thousand others with twenty addresses each.
func BenchmarkWish(b *testing.B) {
	l := idle()
	for i := range 1000 {
		var list []string
		for j := range 20 {
			list = append(list, fmt.Sprintf("10.%d.%d.%d/32", i/250, i%250, j))
		}
		l.Own(fmt.Sprint(i), addresses(list...), nil)
	}
	l.take()
	one := addresses("10.99.0.1/32")
	b.ReportAllocs()
	for b.Loop() {
		l.Own("one", one, nil)
		l.take()
	}
}
