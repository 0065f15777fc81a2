package config

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// The interfaces of this machine are as the net package sees them.
func TestInterfaces(t *testing.T) {
	var got, want map[string]Interface
	for range 5 { // others may change them between one look and the other
		got, want = System{}.Interfaces(), asNetSees(t)
		if reflect.DeepEqual(got, want) {
			return
		}
	}
	t.Errorf("got %+v, want %+v", got, want)
}

func asNetSees(t *testing.T) map[string]Interface {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		t.Skipf("there are no interfaces to see: %v", err)
	}
	out := map[string]Interface{}
	for _, i := range all {
		f := Interface{Name: i.Name, Index: i.Index, MTU: i.MTU, Up: i.Flags&net.FlagUp != 0, Loopback: i.Flags&net.FlagLoopback != 0,
			Multicast: i.Flags&net.FlagMulticast != 0, Ethernet: len(i.HardwareAddr) == 6}
		addrs, _ := i.Addrs() // none if it has gone meanwhile
		for _, a := range addrs {
			f.Addrs = append(f.Addrs, netip.MustParsePrefix(a.String()))
		}
		out[i.Name] = f
	}
	return out
}

// listing is a host that counts how often it is asked for its interfaces and network namespaces.
type listing struct {
	*fakeHost
	lists, entered *int
}

func (l listing) Interfaces() map[string]Interface { *l.lists++; return l.fakeHost.interfaces }

func (l listing) Interface(string) (Interface, bool) { panic("asked for one interface") }

func (l listing) Namespace(name string) (Host, string, error) {
	*l.entered++
	_, id, err := l.fakeHost.Namespace(name)
	return l, id, err
}

// Of a thousand interfaces each costs the kernel as much as all: they are listed once for each namespace, and each is entered once.
func TestInterfacesAreListedOnce(t *testing.T) {
	var text strings.Builder
	for i := range 6 {
		fmt.Fprintf(&text, "vrrp_instance I%d {\n interface eth%d\n virtual_router_id %d\n priority 100\n virtual_ipaddress {\n 192.0.2.%d\n }\n", i, i%2, i+1, i+100)
		if i > 2 {
			text.WriteString(" net_namespace red\n")
		}
		text.WriteString("}\n")
	}
	h := listing{newFakeHost(), new(int), new(int)}
	if r := Judge(oneFile(text.String()), "k", Options{}, h); r.Refused() {
		t.Fatal(r.All())
	}
	if *h.lists != 2 || *h.entered != 2 { // that of the daemon and red
		t.Errorf("interfaces were listed %d times, namespaces entered %d times", *h.lists, *h.entered)
	}
}
