package hostnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func addr(prefix, ifName string) model.Address {
	return model.Address{Prefix: netip.MustParsePrefix(prefix), Interface: ifName}
}

func (o Op) String() string {
	sign := "+"
	if o.Remove {
		sign = "-"
	}
	if o.Replace {
		sign = "!"
	}
	return fmt.Sprintf("%s%s@%s%s", sign, o.Addr.Prefix, o.Addr.Interface, o.Addr.Label)
}

func TestPlan(t *testing.T) {
	labelled := addr("10.0.0.1/24", "eth0")
	labelled.Label = ":x"
	peer := addr("10.0.0.1/32", "eth0")
	peer.Peer = netip.MustParsePrefix("10.0.9.1/24")
	lease := addr("10.0.0.1/24", "eth0")
	lease.Lease = 5
	for _, c := range []struct {
		name       string
		have, want []model.Address
		ops        string
	}{
		{"nothing", nil, nil, "[]"},
		{"additions keep their order, duplicates count once", nil,
			[]model.Address{addr("10.0.0.2/24", "eth0"), addr("10.0.0.1/24", "eth0"), addr("10.0.0.2/24", "eth0")},
			"[+10.0.0.2/24@eth0 +10.0.0.1/24@eth0]"},
		{"removals keep their order and come first",
			[]model.Address{addr("10.0.0.2/24", "eth0"), addr("10.0.0.1/24", "eth0")}, []model.Address{addr("10.0.0.3/24", "eth0")},
			"[-10.0.0.2/24@eth0 -10.0.0.1/24@eth0 +10.0.0.3/24@eth0]"},
		{"what stays is made sure of", []model.Address{addr("10.0.0.1/24", "eth0")}, []model.Address{addr("10.0.0.1/24", "eth0")},
			"[+10.0.0.1/24@eth0]"},
		{"a move is added before it is removed",
			[]model.Address{addr("10.0.0.1/24", "eth0"), addr("10.0.0.9/24", "eth0")}, []model.Address{addr("10.0.0.1/24", "eth1")},
			"[-10.0.0.9/24@eth0 +10.0.0.1/24@eth1 -10.0.0.1/24@eth0]"},
		{"another IPv4 prefix length is a move", []model.Address{addr("10.0.0.1/24", "eth0")},
			[]model.Address{addr("10.0.0.1/32", "eth0")}, "[+10.0.0.1/32@eth0 -10.0.0.1/24@eth0]"},
		{"another IPv6 prefix length is not, for the kernel holds it to be the same",
			[]model.Address{addr("fd00::1/64", "eth0")}, []model.Address{addr("fd00::1/128", "eth0")},
			"[-fd00::1/64@eth0 +fd00::1/128@eth0]"},
		{"IPv6 to another interface is a move", []model.Address{addr("fd00::1/64", "eth0")},
			[]model.Address{addr("fd00::1/128", "eth1")}, "[+fd00::1/128@eth1 -fd00::1/64@eth0]"},
		{"a lease is renewed", []model.Address{lease}, []model.Address{lease}, "[!10.0.0.1/24@eth0]"},
		{"a lease begins", []model.Address{addr("10.0.0.1/24", "eth0")}, []model.Address{lease}, "[!10.0.0.1/24@eth0]"},
		{"a lease ends", []model.Address{lease}, []model.Address{addr("10.0.0.1/24", "eth0")}, "[!10.0.0.1/24@eth0]"},
		{"another label", []model.Address{addr("10.0.0.1/24", "eth0")}, []model.Address{labelled},
			"[-10.0.0.1/24@eth0 +10.0.0.1/24@eth0:x]"},
		{"a peer's prefix length counts", []model.Address{addr("10.0.0.1/24", "eth0")}, []model.Address{peer},
			"[-10.0.0.1/24@eth0 +10.0.0.1/32@eth0]"},
	} {
		if got := fmt.Sprint(Plan(c.have, c.want)); got != c.ops {
			t.Errorf("%s: %s, want %s", c.name, got, c.ops)
		}
	}
}

// kernel behaves as Linux does: IPv6 has an address once per interface, IPv4 once per interface and prefix length.
type kernel map[string]model.Address

func kernelKey(a model.Address) string {
	if a.Prefix.Addr().Is6() {
		return a.Interface + " " + a.Prefix.Addr().String()
	}
	return a.Interface + " " + a.Prefix.String()
}

func (k kernel) holds(ip netip.Addr) bool {
	for _, a := range k {
		if a.Prefix.Addr() == ip {
			return true
		}
	}
	return false
}

// TestPlanOnKernel carries random plans out, on a kernel from which some of ours was stolen, and checks what must always hold.
func TestPlanOnKernel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() []model.Address {
		seen := map[string]bool{}
		var out []model.Address
		for range r.IntN(8) {
			a := addr([]string{"10.0.0.1/24", "10.0.0.1/32", "10.0.0.2/24", "fd00::1/64", "fd00::1/128", "fd00::2/64"}[r.IntN(6)],
				[]string{"eth0", "eth1"}[r.IntN(2)])
			if r.IntN(4) == 0 && a.Prefix.Addr().Is4() {
				a.Label = ":x"
			}
			if !seen[kernelKey(a)] {
				seen[kernelKey(a)] = true
				out = append(out, a)
			}
		}
		return out
	}
	for range 5000 {
		have, want := random(), random()
		k := kernel{}
		for _, a := range have {
			if r.IntN(5) > 0 {
				k[kernelKey(a)] = a
			}
		}
		kept := map[netip.Addr]bool{} // there before and wanted after, and no replacement of the very same kernel address
		for _, w := range want {
			ip := w.Prefix.Addr()
			kept[ip] = k.holds(ip)
		}
		for _, w := range want {
			if a, ok := k[kernelKey(w)]; ok && (a.Prefix != w.Prefix || !same(a, w)) {
				kept[w.Prefix.Addr()] = false
			}
		}
		for _, op := range Plan(have, want) {
			key := kernelKey(op.Addr)
			old, there := k[key]
			switch {
			case op.Remove && there && old.Prefix == op.Addr.Prefix:
				delete(k, key)
			case !op.Remove && !there:
				k[key] = op.Addr
			}
			for ip, keep := range kept {
				if keep && !k.holds(ip) {
					t.Fatalf("have %v, want %v: %s is missing after %s", have, want, ip, op)
				}
			}
		}
		wantKernel := kernel{}
		for _, a := range want {
			wantKernel[kernelKey(a)] = a
		}
		if !reflect.DeepEqual(k, wantKernel) {
			t.Fatalf("have %v, want %v: ends with %v", have, want, k)
		}
	}
}
