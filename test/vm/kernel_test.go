package vm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs/ipvstest"
)

func (s *site) kernel() ipvs.Kernel {
	s.t.Helper()
	k, err := ipvs.Open(s.path(), model.RxBuf{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(k.Close)
	return k
}

func fill(t *testing.T, k ipvs.Kernel, table lvs.Table) {
	t.Helper()
	apply(t, k, lvs.Plan(nil, table)...)
}

func apply(t *testing.T, k ipvs.Kernel, ops ...lvs.Op) {
	t.Helper()
	if err := k.Apply(ops, func(e *ipvs.Error) { t.Errorf("%s: %v", e.Op, e) }); err != nil {
		t.Fatal(err)
	}
}

func key(p model.Protocol, a string, port uint16) lvs.ServiceKey {
	return lvs.ServiceKey{Family: model.FamilyOf(addr(a)), Protocol: p, Addr: addr(a), Port: port}
}

func mark(f model.Family, n uint32) lvs.ServiceKey { return lvs.ServiceKey{Family: f, FWMark: n} }

type dests = map[lvs.DestKey]lvs.Dest

func to(a string, port uint16) lvs.DestKey { return lvs.DestKey{Addr: addr(a), Port: port} }

func tunnel(t model.Tunnel) model.Method { return model.Method{Forward: model.TUN, Tunnel: t} }

const all = 0xffffffff

// Every attribute goes into the kernel as ipvsadm shows it, comes back equal, and can be changed in place.
func TestAttributes(t *testing.T) {
	for _, test := range []struct {
		name    string
		key     lvs.ServiceKey
		service lvs.Service
		want    string
	}{
		{"NAT", key(model.TCP, "10.0.0.1", 80), lvs.Service{Attributes: lvs.Attributes{Scheduler: "rr", Netmask: all},
			Dests: dests{to("10.0.0.2", 8080): {Weight: 3}}}, `
			-A -t 10.0.0.1:80 -s rr
			-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m -w 3`},
		{"DR", key(model.TCP, "10.0.0.1", 80), lvs.Service{Attributes: lvs.Attributes{Scheduler: "wlc", Netmask: all},
			Dests: dests{to("10.0.0.2", 80): {Method: model.Method{Forward: model.DR}}}}, `
			-A -t 10.0.0.1:80 -s wlc
			-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 0`},
		{"largest weight", key(model.TCP, "10.0.0.1", 80), lvs.Service{Attributes: lvs.Attributes{Scheduler: "rr", Netmask: all},
			Dests: dests{to("10.0.0.2", 80): {Weight: 2147483647}}}, `
			-A -t 10.0.0.1:80 -s rr
			-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 2147483647`},
		{"flags of sh", key(model.UDP, "10.0.0.9", 53), lvs.Service{Attributes: lvs.Attributes{Scheduler: "sh", Flags: 0x1c, Netmask: all}}, `
			-A -u 10.0.0.9:53 -s sh -o -b sh-fallback,sh-port`},
		{"SCTP, persistent", key(model.SCTP, "10.0.0.7", 9), lvs.Service{Attributes: lvs.Attributes{Scheduler: "rr", Flags: 1, Timeout: 360, Netmask: all}}, `
			-A --sctp-service 10.0.0.7:9 -s rr -p 360`},
		{"granularity with a hole", key(model.TCP, "10.0.0.7", 0), lvs.Service{Attributes: lvs.Attributes{Scheduler: "rr", Flags: 1, Timeout: 360, Netmask: 0xff00ff00}}, `
			-A -t 10.0.0.7:0 -s rr -p 360 -M 255.0.255.0`},
		{"IPv6 with engine", key(model.UDP, "2001:db8::1", 5060),
			lvs.Service{Attributes: lvs.Attributes{Scheduler: "mh", Flags: 0x19, Timeout: 60, Netmask: 64, Engine: "sip"}}, `
			-A -u [2001:db8::1]:5060 -s mh -p 60 -M 64 --pe sip -b mh-fallback,mh-port`},
		{"tunnels", key(model.UDP, "2001:db8::1", 5060), lvs.Service{Attributes: lvs.Attributes{Scheduler: "rr", Netmask: 128}, Dests: dests{
			to("10.0.0.2", 5060):    {Weight: 1, Method: tunnel(model.Tunnel{Type: model.GUE, Port: 6080, Flags: 1})},
			to("2001:db8::2", 5060): {Weight: 1, Method: tunnel(model.Tunnel{Type: model.GRE})},
			to("2001:db8::3", 5060): {Weight: 2, Method: tunnel(model.Tunnel{})},
			to("2001:db8::4", 5060): {Weight: 2, Method: tunnel(model.Tunnel{Type: model.GUE, Port: 1, Flags: 2})}}}, `
			-A -u [2001:db8::1]:5060 -s rr
			-a -u [2001:db8::1]:5060 -r 10.0.0.2:5060 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
			-a -u [2001:db8::1]:5060 -r [2001:db8::2]:5060 -i -w 1 --tun-type gre --tun-nocsum
			-a -u [2001:db8::1]:5060 -r [2001:db8::3]:5060 -i -w 2 --tun-type ipip
			-a -u [2001:db8::1]:5060 -r [2001:db8::4]:5060 -i -w 2 --tun-type gue --tun-port 1 --tun-remcsum`},
		{"IPv6 behind IPv4", key(model.TCP, "10.0.0.1", 80), lvs.Service{Attributes: lvs.Attributes{Scheduler: "rr", Netmask: all},
			Dests: dests{to("2001:db8::2", 80): {Weight: 1, Method: tunnel(model.Tunnel{})}}}, `
			-A -t 10.0.0.1:80 -s rr
			-a -t 10.0.0.1:80 -r [2001:db8::2]:80 -i -w 1 --tun-type ipip`},
		{"mark", mark(model.IPv4, 4294967295), lvs.Service{Attributes: lvs.Attributes{Scheduler: "wlc", Flags: 1, Timeout: 300, Netmask: 0xffffff00},
			Dests: dests{to("10.0.0.3", 0): {Weight: 1, Method: tunnel(model.Tunnel{})}}}, `
			-A -f -1 -s wlc -p 300 -M 255.255.255.0
			-a -f -1 -r 10.0.0.3:0 -i -w 1 --tun-type ipip`},
		{"mark of IPv6", mark(model.IPv6, 6), lvs.Service{Attributes: lvs.Attributes{Scheduler: "rr", Netmask: 128},
			Dests: dests{to("2001:db8::3", 0): {Weight: 1, Method: model.Method{Forward: model.DR}}}}, `
			-A -f 6 -6 -s rr
			-a -f 6 -6 -r [2001:db8::3]:0 -g -w 1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			k := s.kernel()
			want := lvs.Table{test.key: test.service}
			fill(t, k, want)
			s.expect(test.want)
			if d := cmp.Diff(sorted(test.want), ipvstest.Save(want)); d != "" {
				t.Errorf("ipvstest.Save (-want +got):\n%s", d)
			}
			agree := func() {
				t.Helper()
				have, err := k.Table(nil)
				if err != nil {
					t.Fatal(err)
				}
				if ops := lvs.Plan(have, want); len(ops) != 0 {
					t.Errorf("read back %+v, want %+v", have, want)
				}
			}
			agree()

			other := test.service
			other.Scheduler, other.Flags, other.Dests = "wrr", 0x24, maps.Clone(other.Dests)
			other.Timeout = 0
			other.Engine = ""
			for d, dest := range other.Dests {
				dest.Weight, dest.Upper, dest.Lower = 7, 500, 400
				other.Dests[d] = dest
			}
			ops := lvs.Plan(want, lvs.Table{test.key: other})
			for _, op := range ops {
				if op.Kind != lvs.SetService && op.Kind != lvs.SetDest {
					t.Errorf("%s instead of a change in place", op)
				}
			}
			apply(t, k, ops...)
			want = lvs.Table{test.key: other}
			agree()
			apply(t, k, lvs.Plan(want, nil)...)
			s.expect("")
		})
	}
}

func TestThresholds(t *testing.T) {
	s := newSite(t)
	fill(t, s.kernel(), lvs.Table{key(model.TCP, "10.0.0.1", 80): {Attributes: lvs.Attributes{Scheduler: "rr", Netmask: all},
		Dests: dests{to("10.0.0.2", 80): {Weight: 1, Upper: 100, Lower: 20}}}})
	for line := range strings.Lines(s.run("ipvsadm -Ln --thresholds")) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "->" && f[1] == "10.0.0.2:80" {
			if f[2] != "100" || f[3] != "20" {
				t.Errorf("thresholds %v, want 100 and 20", f[2:])
			}
			return
		}
	}
	t.Error("destination not listed")
}

func TestTimeouts(t *testing.T) {
	s := newSite(t)
	k := s.kernel()
	was, err := k.Timeouts()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.SetTimeouts(ipvs.Timeouts{TCP: 100 * time.Second, TCPFin: was.TCPFin, UDP: 50 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if got := s.run("ipvsadm -l --timeout"); !strings.Contains(got, "100 120 50") || was.TCPFin != 2*time.Minute {
		t.Errorf("%s, want 100, the kernel's 120 (%v) and 50", got, was.TCPFin)
	}
}

// The kernel in memory refuses what the real one refuses, with the same error.
func TestKernelInMemoryIsFaithful(t *testing.T) {
	svc, tcp6, none := key(model.TCP, "10.0.0.1", 80), key(model.TCP, "2001:db8::1", 80), key(model.TCP, "10.0.0.9", 80)
	rr, rr6 := lvs.Attributes{Scheduler: "rr", Netmask: all}, lvs.Attributes{Scheduler: "rr", Netmask: 128}
	d, d6 := to("10.0.0.2", 80), to("2001:db8::2", 80)
	tun := func(t model.Tunnel) lvs.Dest { return lvs.Dest{Method: tunnel(t)} }
	s := newSite(t)
	real, fake := s.kernel(), &ipvstest.Kernel{}
	ops := []lvs.Op{
		{Kind: lvs.NewService, Key: svc, Service: lvs.Attributes{Scheduler: "nonsense", Netmask: all}},
		{Kind: lvs.NewService, Key: svc, Service: lvs.Attributes{Scheduler: "rr", Netmask: all, Flags: 1, Timeout: 9, Engine: "nonsense"}},
		{Kind: lvs.NewService, Key: tcp6, Service: lvs.Attributes{Scheduler: "rr"}},
		{Kind: lvs.NewService, Key: tcp6, Service: lvs.Attributes{Scheduler: "rr", Netmask: 129}},
		{Kind: lvs.NewService, Key: svc, Service: rr},
		{Kind: lvs.NewService, Key: svc, Service: rr},
		{Kind: lvs.NewService, Key: tcp6, Service: rr6},
		{Kind: lvs.SetService, Key: none, Service: rr},
		{Kind: lvs.DelService, Key: none},
		{Kind: lvs.NewDest, Key: none, DestKey: d},
		{Kind: lvs.SetDest, Key: none, DestKey: d},
		{Kind: lvs.DelDest, Key: none, DestKey: d},
		{Kind: lvs.SetDest, Key: svc, DestKey: d},
		{Kind: lvs.DelDest, Key: svc, DestKey: d},
		{Kind: lvs.NewDest, Key: svc, DestKey: d, Dest: lvs.Dest{Weight: 1 << 31}},
		{Kind: lvs.NewDest, Key: svc, DestKey: d, Dest: lvs.Dest{Upper: 1, Lower: 2}},
		{Kind: lvs.NewDest, Key: svc, DestKey: d, Dest: tun(model.Tunnel{Type: model.GUE})},
		{Kind: lvs.NewDest, Key: svc, DestKey: d6, Dest: lvs.Dest{}},
		{Kind: lvs.NewDest, Key: svc, DestKey: to("224.0.0.1", 80), Dest: lvs.Dest{}},
		{Kind: lvs.NewDest, Key: svc, DestKey: to("255.255.255.255", 80), Dest: lvs.Dest{}},
		{Kind: lvs.NewDest, Key: tcp6, DestKey: to("ff02::1", 80), Dest: lvs.Dest{}},
		{Kind: lvs.NewDest, Key: svc, DestKey: d6, Dest: tun(model.Tunnel{})},
		{Kind: lvs.NewDest, Key: svc, DestKey: d, Dest: lvs.Dest{Weight: 1}},
		{Kind: lvs.NewDest, Key: svc, DestKey: d, Dest: lvs.Dest{Weight: 1}},
		{Kind: lvs.SetDest, Key: svc, DestKey: d, Dest: lvs.Dest{Upper: 1, Lower: 2}},
		{Kind: lvs.SetDest, Key: svc, DestKey: d, Dest: lvs.Dest{Weight: 9}},
		{Kind: lvs.DelDest, Key: svc, DestKey: d},
		{Kind: lvs.DelService, Key: tcp6},
	}
	// All in one batch: what is refused in the middle of one keeps nothing else back.
	refusals := func(k ipvs.Kernel) (list []string) {
		err := k.Apply(ops, func(e *ipvs.Error) {
			list = append(list, fmt.Sprintf("%s %+v %+v: %v", e.Op, e.Op.Service, e.Op.Dest, e.Errno))
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if d := cmp.Diff(refusals(real), refusals(fake)); d != "" {
		t.Errorf("refused (-kernel +in memory):\n%s", d)
	}
	if d := cmp.Diff(s.table(), fake.Save()); d != "" {
		t.Errorf("tables (-kernel +in memory):\n%s", d)
	}
}

func TestFlush(t *testing.T) {
	s := newSite(t)
	s.run("ipvsadm -A -t 9.9.9.9:9 -s rr")
	if err := s.kernel().Flush(); err != nil {
		t.Fatal(err)
	}
	s.expect("")
}

// A lane corrects what it finds of its own, by as little as possible, and leaves the rest alone.
func TestLaneAdopts(t *testing.T) {
	s := newSite(t)
	for _, line := range sorted(`
		-A -t 9.9.9.9:9 -s sh
		-a -t 9.9.9.9:9 -r 127.0.0.9:9 -m -w 9
		-A -t 10.0.0.1:80 -s wlc -p 50
		-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 4
		-a -t 10.0.0.1:80 -r 10.0.0.3:80 -m -w 1`) {
		s.run("ipvsadm " + line)
	}
	lane := ipvs.OpenLane(func() (ipvs.Kernel, error) { return ipvs.Open(s.path(), model.RxBuf{}) }, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); lane.Run(ctx) }()
	defer func() { cancel(); <-done }()
	settle := func() {
		tried := make(chan struct{})
		lane.Then(func() { close(tried) })
		<-tried
	}
	ours := key(model.TCP, "10.0.0.1", 80)
	lane.Want(lvs.Table{ours: {Attributes: lvs.Attributes{Scheduler: "rr", Netmask: all}, Dests: dests{to("10.0.0.2", 80): {Weight: 4}, to("10.0.0.4", 80): {Weight: 2}}}})
	settle()
	s.expect(`
		-A -t 9.9.9.9:9 -s sh
		-a -t 9.9.9.9:9 -r 127.0.0.9:9 -m -w 9
		-A -t 10.0.0.1:80 -s rr
		-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 4
		-a -t 10.0.0.1:80 -r 10.0.0.4:80 -m -w 2`)
	// Someone else interferes: the next change finds out.
	s.run("ipvsadm -d -t 10.0.0.1:80 -r 10.0.0.4:80")
	lane.Want(lvs.Table{ours: {Attributes: lvs.Attributes{Scheduler: "rr", Netmask: all}, Dests: dests{to("10.0.0.4", 80): {Weight: 3}}}})
	settle()
	s.expect(`
		-A -t 9.9.9.9:9 -s sh
		-a -t 9.9.9.9:9 -r 127.0.0.9:9 -m -w 9
		-A -t 10.0.0.1:80 -s rr
		-a -t 10.0.0.1:80 -r 10.0.0.4:80 -m -w 3`)
	lane.Want(lvs.Table{ours: {}})
	settle()
	s.expect(`
		-A -t 9.9.9.9:9 -s sh
		-a -t 9.9.9.9:9 -r 127.0.0.9:9 -m -w 9`)
}

// director connects a client at 10.1.0.2 and two backends at 10.2.1.2 and 10.2.2.2, each in a site of its own.
func director(t *testing.T) (d, client *site, backends [2]*site) {
	d, client = newSite(t), newSite(t)
	link := func(to *site, name, net string) {
		d.ip("link add " + name + " type veth peer name eth0 netns " + to.ns)
		d.ip("addr add " + net + ".1/24 dev " + name)
		d.ip("link set " + name + " up")
		to.ip("addr add " + net + ".2/24 dev eth0")
		to.ip("link set eth0 up")
		to.ip("route add default via " + net + ".1")
	}
	link(client, "client", "10.1.0")
	for i, name := range []string{"one", "two"} {
		backends[i] = newSite(t)
		link(backends[i], name, []string{"10.2.1", "10.2.2"}[i])
	}
	d.run("sysctl -qw net.ipv4.ip_forward=1")
	d.ip("addr add 10.9.9.9/32 dev lo")
	return d, client, backends
}

// Connections of a client reach the backends in turn through a service that we made.
func TestTraffic(t *testing.T) {
	d, client, backends := director(t)
	backends[0].serve(":8080", "one")
	backends[1].serve(":8080", "two")
	fill(t, d.kernel(), lvs.Table{key(model.TCP, "10.9.9.9", 80): {Attributes: lvs.Attributes{Scheduler: "rr", Netmask: all},
		Dests: dests{to("10.2.1.2", 8080): {Weight: 1}, to("10.2.2.2", 8080): {Weight: 1}}}})
	got := map[string]int{}
	for range 6 {
		got[client.dial("10.9.9.9:80")]++
	}
	if want := map[string]int{"one": 3, "two": 3}; !maps.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
}

// Batches of any size arrive whole, refusals and all; what others do to the table comes back.
func TestBatches(t *testing.T) {
	s := newSite(t)
	k := s.kernel()
	const n = 3000
	svc := key(model.TCP, "10.0.0.1", 80)
	ops := []lvs.Op{{Kind: lvs.NewService, Key: svc, Service: lvs.Attributes{Scheduler: "rr", Netmask: all}}}
	for i := range n {
		d := lvs.DestKey{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Port: 80}
		ops = append(ops, lvs.Op{Kind: lvs.NewDest, Key: svc, DestKey: d, Dest: lvs.Dest{Weight: 1}})
	}
	apply(t, k, ops...)
	refused := 0
	if err := k.Apply(ops, func(*ipvs.Error) { refused++ }); err != nil || refused != n+1 {
		t.Errorf("%d of %d commands refused the second time, %v", refused, n+1, err)
	}
	have, err := k.Table(nil)
	if err != nil || len(have[svc].Dests) != n {
		t.Errorf("%d destinations, %v, want %d", len(have[svc].Dests), err, n)
	}
}

func TestSyncDaemonCommands(t *testing.T) {
	s := newSite(t)
	s.ip("link add sync0 type dummy")
	s.ip("addr add 10.7.7.1/24 dev sync0")
	s.ip("link set sync0 up multicast on")
	k := s.kernel()
	for _, d := range []ipvs.Daemon{
		{State: ipvs.DaemonMaster, Interface: "sync0", ID: 42, MaxLen: 1000, Group: addr("224.0.0.99"), Port: 9000, TTL: 3},
		{State: ipvs.DaemonBackup, Interface: "sync0", ID: 43, Group: addr("ff05::81"), Port: 9001, TTL: 4},
	} {
		if err := k.StartDaemon(d); err != nil {
			t.Fatal(err)
		}
		if err := k.StartDaemon(d); !errors.Is(err, syscall.EEXIST) {
			t.Errorf("started twice: %v", err)
		}
		list, err := k.Daemons()
		if err != nil || len(list) != 1 {
			t.Fatalf("running: %v, %v", list, err)
		}
		if d.MaxLen == 0 {
			list[0].MaxLen = 0 // the kernel's own
		}
		if list[0] != d {
			t.Errorf("running %+v, want %+v", list[0], d)
		}
		want := fmt.Sprintf("%s sync daemon (mcast=sync0, syncid=%d", d.State, d.ID)
		if got := s.run("ipvsadm -l --daemon"); !strings.Contains(got, want) {
			t.Errorf("ipvsadm says %s, want %s", got, want)
		}
		if err := k.StopDaemon(d); err != nil {
			t.Error(err)
		}
		if err := k.StopDaemon(d); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("stopped twice: %v", err)
		}
	}
	if err := k.StartDaemon(ipvs.Daemon{State: ipvs.DaemonMaster, Interface: "absent"}); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("no interface: %v", err)
	}
}

// The counters are those of the traffic that there was.
func TestCounters(t *testing.T) {
	d, client, backends := director(t)
	backends[0].serve(":8080", "one")
	svc := key(model.TCP, "10.9.9.9", 80)
	k := d.kernel()
	fill(t, k, lvs.Table{svc: {Attributes: lvs.Attributes{Scheduler: "rr", Netmask: all}, Dests: dests{to("10.2.1.2", 8080): {Weight: 1}}}})
	const n = 3
	for range n {
		client.dial("10.9.9.9:80")
	}
	wait(t, soon, "the counters have counted", func() bool {
		c, err := k.Counters(nil)
		if err != nil {
			t.Fatal(err)
		}
		of := c[svc].Dests[to("10.2.1.2", 8080)]
		return c[svc].Connections == n && of.Connections == n && of.InPackets > n && of.OutBytes > 0 && of.Active+of.Inactive == n
	})
}
