package ipvs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs/ipvstest"
)

func key(addr string) lvs.ServiceKey {
	return lvs.ServiceKey{Family: model.IPv4, Protocol: model.TCP, Addr: netip.MustParseAddr(addr), Port: 80}
}

func destKey(addr string) lvs.DestKey { return lvs.DestKey{Addr: netip.MustParseAddr(addr), Port: 80} }

// svc is a service with destinations of weight 1.
func svc(scheduler string, dests ...string) lvs.Service {
	s := lvs.Service{Attributes: lvs.Attributes{Scheduler: scheduler, Netmask: 0xffffffff}, Dests: map[lvs.DestKey]lvs.Dest{}}
	for _, d := range dests {
		s.Dests[destKey(d)] = lvs.Dest{Weight: 1}
	}
	return s
}

// fill puts a table into the kernel, as somebody else would.
func fill(t *testing.T, k ipvs.Kernel, table lvs.Table) {
	t.Helper()
	apply(t, k, lvs.Plan(nil, table)...)
}

func apply(t *testing.T, k ipvs.Kernel, ops ...lvs.Op) {
	t.Helper()
	if err := k.Apply(ops, func(e *ipvs.Error) { t.Fatal(e) }); err != nil {
		t.Fatal(err)
	}
}

// bench is a lane that runs on a kernel in memory, inside a synctest bubble.
type bench struct {
	*ipvs.Lane
	t      *testing.T
	kernel *ipvstest.Kernel
	log    bytes.Buffer
}

func run(t *testing.T, f func(b *bench)) {
	k := &ipvstest.Kernel{}
	runOn(t, k, k.Open, f)
}

func runOn(t *testing.T, k *ipvstest.Kernel, open func() (ipvs.Kernel, error), f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, kernel: k}
		plain := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		b.Lane = ipvs.OpenLane(open, slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{ReplaceAttr: plain})))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.Run(ctx) }()
		f(b)
		cancel()
		<-done
	})
}

// expect waits until the lane rests and compares the commands since the last time.
func (b *bench) expect(want ...string) {
	b.t.Helper()
	synctest.Wait()
	if d := cmp.Diff(want, b.kernel.Done()); d != "" {
		b.t.Errorf("commands (-want +got):\n%s", d)
	}
}

func (b *bench) expectLog(want ...string) {
	b.t.Helper()
	got := strings.Split(strings.TrimSpace(b.log.String()), "\n")
	if !slices.EqualFunc(got, want, strings.Contains) {
		b.t.Errorf("log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	b.log.Reset()
}

func TestLaneAppliesOnlyChanges(t *testing.T) {
	run(t, func(b *bench) {
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.1"), key("10.0.0.2"): svc("rr")})
		b.expect("NEW_SERVICE 10.0.0.1:tcp:80", "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.1:80 w1", "NEW_SERVICE 10.0.0.2:tcp:80")
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.1")})
		b.expect()
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.2"), key("10.0.0.2"): {}})
		b.expect("DEL_SERVICE 10.0.0.2:tcp:80", "DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.1:80", "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.2:80 w1")
	})
}

func TestLaneAdopts(t *testing.T) {
	run(t, func(b *bench) {
		foreign := svc("sh", "127.0.0.9")
		fill(t, b.kernel, lvs.Table{key("9.9.9.9"): foreign, key("10.0.0.1"): svc("wlc", "127.0.0.1", "127.0.0.8")})
		b.kernel.Done()
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.1", "127.0.0.2")})
		b.expect("SET_SERVICE 10.0.0.1:tcp:80", "DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.8:80", "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.2:80 w1")
		b.Want(lvs.Table{key("10.0.0.1"): {}})
		b.expect("DEL_SERVICE 10.0.0.1:tcp:80")
		if got, want := b.kernel.Save(), ipvstest.Save(lvs.Table{key("9.9.9.9"): foreign}); !slices.Equal(got, want) {
			t.Errorf("left: %v, want %v", got, want)
		}
	})
}

// Somebody else changes our services: what the kernel says then is read again and set right at once.
func TestLaneReadsAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		meddle lvs.Op
		want   lvs.Service
		done   []string
		log    string
	}{
		{"destination deleted", lvs.Op{Kind: lvs.DelDest, Key: key("10.0.0.1"), DestKey: destKey("127.0.0.1")}, svc("rr", "127.0.0.2"),
			[]string{"NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.2:80 w1"},
			"IPVS cmd IP_VS_SO_SET_DELDEST(1160) error: No such destination(2) (10.0.0.1:tcp:80 -> 127.0.0.1:80)"},
		{"destination added", lvs.Op{Kind: lvs.NewDest, Key: key("10.0.0.1"), DestKey: destKey("127.0.0.2"), Dest: lvs.Dest{Weight: 7}}, svc("rr", "127.0.0.1", "127.0.0.2"),
			[]string{"SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.2:80 w1"},
			"IPVS cmd IP_VS_SO_SET_ADDDEST(1159) error: Destination already exists(17) (10.0.0.1:tcp:80 -> 127.0.0.2:80)"},
		{"service deleted", lvs.Op{Kind: lvs.DelService, Key: key("10.0.0.1")}, svc("rr", "127.0.0.2"),
			[]string{"NEW_SERVICE 10.0.0.1:tcp:80", "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.2:80 w1"},
			"IPVS cmd IP_VS_SO_SET_DELDEST(1160) error: No such service(3) (10.0.0.1:tcp:80 -> 127.0.0.1:80)"},
		{"service deleted, and no longer wanted", lvs.Op{Kind: lvs.DelService, Key: key("10.0.0.1")}, lvs.Service{},
			nil, "IPVS cmd IP_VS_SO_SET_DEL(1156) error: No such service(3) (10.0.0.1:tcp:80)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.Want(lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.1")})
				synctest.Wait()
				apply(t, b.kernel, test.meddle)
				b.kernel.Done()
				b.Want(lvs.Table{key("10.0.0.1"): test.want})
				b.expect(test.done...)
				b.expectLog(test.log)
				want := lvs.Table{}
				if !test.want.None() {
					want[key("10.0.0.1")] = test.want
				}
				if got := b.kernel.Save(); !slices.Equal(got, ipvstest.Save(want)) {
					t.Errorf("table: %v, want %v", got, ipvstest.Save(want))
				}
			})
		})
	}
}

// What the kernel refuses is tried again with a growing pause; the other services do not wait for it.
func TestLaneBacksOff(t *testing.T) {
	run(t, func(b *bench) {
		refusals := 0
		b.kernel.Refuse = func(op lvs.Op) error {
			if op.Service.Scheduler == "twos" && refusals < 3 {
				refusals++
				return syscall.ENOENT
			}
			return nil
		}
		b.Want(lvs.Table{key("10.0.0.1"): svc("twos"), key("10.0.0.2"): svc("rr")})
		b.expect("NEW_SERVICE 10.0.0.2:tcp:80")
		b.expectLog("IPVS cmd IP_VS_SO_SET_ADD(1154) error: Scheduler or persistence engine not found(2) (10.0.0.1:tcp:80)")
		b.Want(lvs.Table{key("10.0.0.2"): svc("wlc")}) // no reason to try the other
		b.expect("SET_SERVICE 10.0.0.2:tcp:80")
		time.Sleep(1*time.Second + 2*time.Second)
		b.expect()
		if refusals != 3 {
			t.Errorf("%d attempts after 3 s, want 3", refusals)
		}
		time.Sleep(4 * time.Second)
		b.expect("NEW_SERVICE 10.0.0.1:tcp:80")
	})
}

// Without IPVS the lane says so once, tries again, and Then does not wait for it.
func TestLaneWithoutIPVS(t *testing.T) {
	k := &ipvstest.Kernel{}
	missing, attempts := true, 0
	open := func() (ipvs.Kernel, error) {
		attempts++
		if missing {
			return nil, ipvs.ErrUnavailable
		}
		return k, nil
	}
	runOn(t, k, open, func(b *bench) {
		b.expect()
		if attempts != 0 {
			t.Error("IPVS opened without a wish")
		}
		told := false
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr")})
		b.Then(func() { told = true })
		b.expect()
		if !told {
			t.Error("Then was not called")
		}
		b.Want(lvs.Table{key("10.0.0.2"): svc("rr")})
		time.Sleep(3 * time.Second)
		b.expect()
		if attempts != 3 {
			t.Errorf("%d attempts in 3 s, want 3", attempts)
		}
		b.expectLog("IPVS: Can't initialize ipvs: the kernel has no IPVS")
		missing = false
		time.Sleep(4 * time.Second)
		b.expect("NEW_SERVICE 10.0.0.1:tcp:80", "NEW_SERVICE 10.0.0.2:tcp:80")
	})
}

// A broken connection to the kernel is opened anew, and nothing is believed of what was known.
func TestLaneReconnects(t *testing.T) {
	run(t, func(b *bench) {
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.1")})
		b.expect("NEW_SERVICE 10.0.0.1:tcp:80", "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.1:80 w1")
		broken := true
		b.kernel.Refuse = func(lvs.Op) error {
			if broken {
				return errors.New("socket is gone")
			}
			return nil
		}
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.2")})
		b.expect()
		b.expectLog("IPVS: socket is gone")
		broken = false
		fill(t, b.kernel, lvs.Table{key("9.9.9.9"): svc("rr")})
		b.kernel.Done()
		time.Sleep(time.Second)
		b.expect("DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.1:80", "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.2:80 w1")
	})
}

func TestLaneFlush(t *testing.T) {
	run(t, func(b *bench) {
		fill(t, b.kernel, lvs.Table{key("9.9.9.9"): svc("rr")})
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr")})
		synctest.Wait()
		b.kernel.Done()
		b.Flush()
		b.expect("FLUSH", "NEW_SERVICE 10.0.0.1:tcp:80")
		b.Flush()
		b.Want(lvs.Table{key("10.0.0.1"): {}})
		synctest.Wait()
		if got := b.kernel.Save(); len(got) != 0 {
			t.Errorf("left: %v", got)
		}
	})
}

func TestLaneTimeouts(t *testing.T) {
	run(t, func(b *bench) {
		expect := func(tcp, fin, udp time.Duration) {
			t.Helper()
			synctest.Wait()
			got, _ := b.kernel.Timeouts()
			if want := (ipvs.Timeouts{TCP: tcp * time.Second, TCPFin: fin * time.Second, UDP: udp * time.Second}); got != want {
				t.Errorf("timeouts %v, want %v", got, want)
			}
		}
		expect(900, 120, 300)
		b.WantTimeouts(ipvs.Timeouts{TCP: 100 * time.Second, UDP: 50 * time.Second})
		expect(100, 120, 50)
		b.WantTimeouts(ipvs.Timeouts{TCPFin: 60 * time.Second})
		expect(900, 60, 300)
		b.WantTimeouts(ipvs.Timeouts{})
		expect(900, 120, 300)
	})
}

// A wish that comes while an older one is being carried out cuts that short, however many services it has.
func TestLaneTakesNewerWish(t *testing.T) {
	run(t, func(b *bench) {
		many, none := lvs.Table{}, lvs.Table{}
		for i := range 1000 {
			k := key(fmt.Sprintf("10.0.%d.%d", i/250, i%250+1))
			many[k], none[k] = svc("rr"), lvs.Service{}
		}
		made := 0
		b.kernel.Refuse = func(op lvs.Op) error {
			if made++; made == 10 {
				b.Want(none)
			}
			return nil
		}
		told := 0
		b.Want(many)
		b.Then(func() { told = len(b.kernel.Save()) + 1 })
		synctest.Wait()
		if left := b.kernel.Save(); len(left) != 0 || made > 300 || told != 1 {
			t.Errorf("%d services left after %d commands, Then saw %d, want none, few and none", len(left), made, told-1)
		}
	})
}

// A lane that panicked is run again and goes on, with nothing believed of what it knew.
func TestLaneRunsAgainAfterPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &ipvstest.Kernel{}
		panics := true
		k.Refuse = func(op lvs.Op) error {
			if panics && op.Kind == lvs.NewDest {
				panics = false
				panic("a bug")
			}
			return nil
		}
		lane := ipvs.OpenLane(k.Open, slog.New(slog.DiscardHandler))
		want := lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.1")}
		lane.Want(want)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			lane.Run(t.Context())
		}()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); lane.Run(ctx) }()
		synctest.Wait()
		if got := k.Save(); !slices.Equal(got, ipvstest.Save(want)) {
			t.Errorf("table: %v, want %v", got, ipvstest.Save(want))
		}
		cancel()
		<-done
	})
}

// What others change comes back within a second, and only that; what is not ours stays as they like it.
func TestLaneRepairs(t *testing.T) {
	for _, test := range []struct {
		name   string
		meddle lvs.Op
		done   []string
	}{
		{"destination deleted", lvs.Op{Kind: lvs.DelDest, Key: key("10.0.0.1"), DestKey: destKey("127.0.0.1")},
			[]string{"NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.1:80 w1"}},
		{"destination edited", lvs.Op{Kind: lvs.SetDest, Key: key("10.0.0.1"), DestKey: destKey("127.0.0.1"), Dest: lvs.Dest{Weight: 7}},
			[]string{"SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.1:80 w1"}},
		{"destination added", lvs.Op{Kind: lvs.NewDest, Key: key("10.0.0.1"), DestKey: destKey("127.0.0.3")},
			[]string{"DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.3:80"}},
		{"service deleted", lvs.Op{Kind: lvs.DelService, Key: key("10.0.0.1")},
			[]string{"NEW_SERVICE 10.0.0.1:tcp:80", "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.1:80 w1"}},
		{"service edited", lvs.Op{Kind: lvs.SetService, Key: key("10.0.0.1"), Service: lvs.Attributes{Scheduler: "sh", Netmask: 0xffffffff}},
			[]string{"SET_SERVICE 10.0.0.1:tcp:80"}},
		{"foreign service deleted", lvs.Op{Kind: lvs.DelService, Key: key("9.9.9.9")}, nil},
	} {
		for _, trust := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, trusted %t", test.name, trust), func(t *testing.T) {
				run(t, func(b *bench) {
					fill(t, b.kernel, lvs.Table{key("9.9.9.9"): svc("rr")})
					b.Trust(trust)
					b.Want(lvs.Table{key("10.0.0.1"): svc("rr", "127.0.0.1"), key("10.0.0.2"): svc("rr")})
					synctest.Wait()
					apply(t, b.kernel, test.meddle)
					b.kernel.Done()
					time.Sleep(999 * time.Millisecond)
					if trust {
						test.done = nil
					}
					b.expect(test.done...)
					time.Sleep(time.Minute)
					b.expect()
				})
			})
		}
	}
}

// forgetful is a kernel that does not know an attribute.
type forgetful struct{ *ipvstest.Kernel }

func (k forgetful) Table(ours func(lvs.ServiceKey) bool) (lvs.Table, error) {
	t, err := k.Kernel.Table(ours)
	for _, s := range t {
		for d, dest := range s.Dests {
			dest.Method = model.Method{}
			s.Dests[d] = dest
		}
	}
	return t, err
}

// A service that never reads back as it was set is not set twice a second for ever.
func TestLaneRepairsLessOften(t *testing.T) {
	k := forgetful{&ipvstest.Kernel{}}
	runOn(t, k.Kernel, func() (ipvs.Kernel, error) { return k, nil }, func(b *bench) {
		s := svc("rr", "127.0.0.1")
		s.Dests[destKey("127.0.0.1")] = lvs.Dest{Method: model.Method{Forward: model.TUN}}
		b.Want(lvs.Table{key("10.0.0.1"): s})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(b.kernel.Done()); n > 10 {
			t.Errorf("%d commands in a minute", n)
		}
		b.expectLog("changed by others", "changed by others", "does not stay as it is set")
	})
}

func TestLaneSyncDaemons(t *testing.T) {
	master, backup := ipvs.Daemon{State: ipvs.DaemonMaster, Interface: "eth0", ID: 7}, ipvs.Daemon{State: ipvs.DaemonBackup, Interface: "eth0", ID: 7}
	run(t, func(b *bench) {
		if err := b.kernel.StartDaemon(ipvs.Daemon{State: ipvs.DaemonMaster, Interface: "eth0", ID: 7}); err != nil {
			t.Fatal(err)
		}
		b.kernel.Done()
		b.Want(lvs.Table{key("10.0.0.1"): svc("rr")})
		b.expect("NEW_SERVICE 10.0.0.1:tcp:80") // without a wish they are not ours
		b.WantDaemons([]ipvs.Daemon{master, backup})
		b.expect("NEW_DAEMON backup eth0 id 7") // that of the master fits
		b.WantDaemons([]ipvs.Daemon{master, backup})
		b.expect()
		short := master
		short.MaxLen = 500
		b.WantDaemons([]ipvs.Daemon{short, backup})
		b.expect("DEL_DAEMON master", "NEW_DAEMON master eth0 id 7")
		b.WantDaemons([]ipvs.Daemon{backup})
		b.expect("DEL_DAEMON master")
		if err := b.kernel.StopDaemon(backup); err != nil {
			t.Fatal(err)
		}
		b.kernel.Done()
		time.Sleep(time.Second)
		b.expect("NEW_DAEMON backup eth0 id 7") // somebody else had stopped it
		b.expectLog("was stopped or started by others")
		absent := backup
		absent.Interface = "absent"
		b.WantDaemons([]ipvs.Daemon{absent})
		b.expect("DEL_DAEMON backup")
		time.Sleep(10 * time.Second)
		b.expect()
		b.expectLog("IPVS cmd IP_VS_SO_SET_STARTDAEMON(1163) error: No such device(19)")
		b.WantDaemons([]ipvs.Daemon{backup})
		b.expect("NEW_DAEMON backup eth0 id 7")
		b.WantDaemons(nil)
		b.expect("DEL_DAEMON backup")
	})
}
