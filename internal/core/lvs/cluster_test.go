package lvs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// world is a cluster with a kernel that never refuses, and the transcript of what the cluster asked for.
type world struct {
	t *testing.T
	c *Cluster
	k Table
}

func newWorld(t *testing.T, l *model.LVS) *world { return &world{t, New(l), Table{}} }

// step compares the actions of one call and the commands that its delta leads to with want, which holds one a line.
func (w *world) step(name string, out []Action, want string) {
	w.t.Helper()
	var got []string
	for _, a := range out {
		switch a.Kind {
		case Say:
			got = append(got, "say "+a.Line)
		case Notify:
			line := "fifo " + a.Line
			if a.Script != nil {
				line += " and run " + strings.Join(a.Script.Args, " ")
			}
			got = append(got, line)
		case Alert:
			got = append(got, "mail "+a.Line+" "+a.Body)
		case Flush:
			clear(w.k)
			got = append(got, "flush")
		}
	}
	got = append(got, w.settle()...)
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if d := cmp.Diff(lines, got); d != "" {
		w.t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// settle carries the delta out and checks that it led to what is desired.
func (w *world) settle() (done []string) {
	w.t.Helper()
	delta := w.c.Delta()
	have := Table{}
	for k := range delta {
		have[k] = w.k[k]
	}
	for _, op := range Plan(have, delta) {
		done = append(done, op.String())
	}
	for k, s := range delta {
		if s.None() {
			delete(w.k, k)
		} else {
			w.k[k] = s
		}
	}
	if d := cmp.Diff(w.c.Desired(), w.k, cmpTables); d != "" {
		w.t.Fatalf("the deltas do not add up to what is desired (-desired +kernel):\n%s", d)
	}
	return done
}

var cmpTables = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// check finds the nth checker of the real server at addr in the service named vs.
func (w *world) check(vs, addr string, n int) CheckID {
	w.t.Helper()
	for _, k := range w.c.Checks() {
		if k.Service.String() == vs && k.Server.Addr.String() == addr {
			if n == 0 {
				return k.ID
			}
			n--
		}
	}
	w.t.Fatalf("no checker of %s in %s", addr, vs)
	return 0
}

const web = "[10.0.0.1]:tcp:80"

func (w *world) down(addr string, want string) {
	w.t.Helper()
	w.step(addr+" fails", w.c.Step(Event{Check: w.check(web, addr, 0), Kind: CheckDown}, nil), want)
}

func (w *world) up(addr string, want string) {
	w.t.Helper()
	w.step(addr+" succeeds", w.c.Step(Event{Check: w.check(web, addr, 0), Kind: CheckUp}, nil), want)
}

func script(arg string) *model.Script { return &model.Script{Args: []string{arg}} }

// real is a server with one TCP_CHECK, changed by fs.
func real(addr string, fs ...func(*model.RealServer)) model.RealServer {
	a := netip.MustParseAddr(addr)
	r := model.RealServer{Addr: a, Port: 80, Weight: 1, Checks: []model.Check{tcpCheck(a)},
		NotifyUp: script("RUP"), NotifyDown: script("RDOWN")}
	for _, f := range fs {
		f(&r)
	}
	return r
}

func tcpCheck(a netip.Addr) model.Check {
	return model.Check{Kind: model.TCPCheck, Conn: model.Connect{Dst: netip.AddrPortFrom(a, 80)}}
}

func weight(n int64) func(*model.RealServer) { return func(r *model.RealServer) { r.Weight = n } }
func inhibit(r *model.RealServer)            { r.Inhibit = true }
func alpha(r *model.RealServer)              { r.Checks[0].Alpha = true }
func unchecked(r *model.RealServer)          { r.Checks = nil }
func mailed(r *model.RealServer)             { r.SMTPAlert = true }
func dr(r *model.RealServer)                 { r.Method.Forward = model.DR }
func twice(r *model.RealServer) {
	r.Checks = append(r.Checks, tcpCheck(netip.MustParseAddr("127.0.0.9")))
}
func timeout(r *model.RealServer)    { r.Checks[0].Conn.Timeout++ }
func retry(r *model.RealServer)      { r.Checks[0].Retry++ }
func thresholds(r *model.RealServer) { r.UThreshold, r.LThreshold = 100, 50 }
func http(r *model.RealServer)       { r.Checks[0].Kind = model.HTTPGet }
func misc(r *model.RealServer)       { r.Checks = []model.Check{{Kind: model.MiscCheck}} }

// webService is 10.0.0.1:80 with quorum 1 and scripts.
func webService(rs ...model.RealServer) model.VirtualServer {
	return model.VirtualServer{Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Protocol: model.TCP, Family: model.IPv4,
		Scheduler: "wrr", Quorum: 1, QuorumUp: script("QUP"), QuorumDown: script("QDOWN"), Real: rs}
}

func one(v model.VirtualServer, fs ...func(*model.VirtualServer)) *model.LVS {
	for _, f := range fs {
		f(&v)
	}
	return &model.LVS{Services: []model.VirtualServer{v}}
}

func quorum(q, h uint32) func(*model.VirtualServer) {
	return func(v *model.VirtualServer) { v.Quorum, v.Hysteresis = q, h }
}

func sorry(addr string, fs ...func(*model.RealServer)) func(*model.VirtualServer) {
	r := real(addr, unchecked)
	for _, f := range fs {
		f(&r)
	}
	return func(v *model.VirtualServer) { v.Sorry = &r }
}

func omega(v *model.VirtualServer) { v.Omega = true }

func TestStart(t *testing.T) {
	flush := one(webService(real("127.0.0.11")))
	flush.Flush = true
	announced := one(webService(real("127.0.0.11")))
	announced.RSInitNotifies = true
	for _, test := range []struct {
		name string
		l    *model.LVS
		want string
	}{
		{"everything is alive until a check fails", one(webService(real("127.0.0.11"), real("127.0.0.12"))), `
			say Gained quorum 1+0=1 <= 2 for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 UP and run QUP
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w1`},
		{"alpha is silent", one(webService(real("127.0.0.11", alpha))), `
			NEW_SERVICE 10.0.0.1:tcp:80`},
		{"alpha with a sorry server", one(webService(real("127.0.0.11", alpha)), sorry("127.0.0.99")), `
			say Starting with quorum down 1-0=1 > 0 for VS [10.0.0.1]:tcp:80
			say Adding sorry server [127.0.0.99]:tcp:80 to VS [10.0.0.1]:tcp:80
			say Removing alive servers from the pool for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w1`},
		{"alpha with inhibit_on_failure", one(webService(real("127.0.0.11", alpha, inhibit, weight(3)))), `
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w0`},
		{"a server without checker is alive", one(webService(real("127.0.0.11", unchecked))), `
			say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 UP and run QUP
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1`},
		{"rs_init_notifies", announced, `
			fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
			say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 UP and run QUP
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1`},
		{"an idle sorry server with inhibit has weight 0", one(webService(real("127.0.0.11")), sorry("127.0.0.99", inhibit)), `
			say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 UP and run QUP
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w0`},
		{"weights below quorum plus hysteresis are silent", one(webService(real("127.0.0.11", weight(2))), quorum(2, 1)), `
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w2`},
		{"no weight is no quorum", one(webService(real("127.0.0.11", weight(0))), quorum(0, 0), sorry("127.0.0.99")), `
			say Starting with quorum down 0-0=0 > 0 for VS [10.0.0.1]:tcp:80
			say Adding sorry server [127.0.0.99]:tcp:80 to VS [10.0.0.1]:tcp:80
			say Removing alive servers from the pool for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w1`},
		{"lvs_flush", flush, `
			flush
			say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 UP and run QUP
			NEW_SERVICE 10.0.0.1:tcp:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.l)
			w.step("start", w.c.Start(nil), test.want)
		})
	}
}

func TestAlpha(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", alpha), real("127.0.0.12", alpha), real("127.0.0.13", alpha, http)), sorry("127.0.0.99")))
	w.c.Start(nil)
	w.settle()
	w.down("127.0.0.11", `fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN`)
	w.down("127.0.0.11", ``)
	w.down("127.0.0.13", ``) // HTTP_GET never announces a first failure
	w.up("127.0.0.12", `
		say Adding service [127.0.0.12]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
		say Removing sorry server [127.0.0.99]:tcp:80 from VS [10.0.0.1]:tcp:80
		say Adding alive servers to the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w1`)
}

func TestSorryServer(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11"), real("127.0.0.12")), sorry("127.0.0.99")))
	w.c.Start(nil)
	w.settle()
	w.up("127.0.0.11", ``) // a first success is no news
	w.down("127.0.0.11", `
		say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80`)
	w.down("127.0.0.12", `
		say Removing service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		say Lost quorum 1-0=1 > 0 for VS [10.0.0.1]:tcp:80
		say Adding sorry server [127.0.0.99]:tcp:80 to VS [10.0.0.1]:tcp:80
		say Removing alive servers from the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w1`)
	w.up("127.0.0.12", `
		say Adding service [127.0.0.12]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
		say Removing sorry server [127.0.0.99]:tcp:80 from VS [10.0.0.1]:tcp:80
		say Adding alive servers to the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w1`)
}

func TestHysteresis(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", weight(2)), real("127.0.0.12"), real("127.0.0.13"), real("127.0.0.14")),
		quorum(3, 1), sorry("127.0.0.99")))
	w.c.Start(nil)
	w.settle()
	w.c.Step(Event{Check: w.check(web, "127.0.0.11", 0), Kind: CheckDown}, nil) // 3
	w.settle()
	w.down("127.0.0.12", `
		say Removing service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80`) // 2 is not below 3-1
	w.down("127.0.0.13", `
		say Removing service [127.0.0.13]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.13]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		say Lost quorum 3-1=2 > 1 for VS [10.0.0.1]:tcp:80
		say Adding sorry server [127.0.0.99]:tcp:80 to VS [10.0.0.1]:tcp:80
		say Removing alive servers from the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.13:80
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.14:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w1`)
	for _, addr := range []string{"127.0.0.13", "127.0.0.12"} { // 3 is not yet 3+1: the sorry server stays alone
		w.up(addr, `
			say Adding service [`+addr+`]:tcp:80 to VS [10.0.0.1]:tcp:80
			fifo RS [`+addr+`]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP`)
	}
	w.up("127.0.0.11", `
		say Adding service [127.0.0.11]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		say Gained quorum 3+1=4 <= 5 for VS [10.0.0.1]:tcp:80
		say Removing sorry server [127.0.0.99]:tcp:80 from VS [10.0.0.1]:tcp:80
		say Adding alive servers to the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w2
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w1
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.13:80 w1
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.14:80 w1`)
}

func TestQuorumLostWithoutSorryServer(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11"), real("127.0.0.12")), quorum(2, 0)))
	w.c.Start(nil)
	w.settle()
	w.down("127.0.0.12", `
		say Removing service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		say Lost quorum 2-0=2 > 1 for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80`)
}

func TestInhibit(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", inhibit, weight(3))), sorry("127.0.0.99", inhibit)))
	w.c.Start(nil)
	w.settle()
	w.down("127.0.0.11", `
		say Disabling service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		say Lost quorum 1-0=1 > 0 for VS [10.0.0.1]:tcp:80
		say Enabling sorry server [127.0.0.99]:tcp:80 to VS [10.0.0.1]:tcp:80
		say Removing alive servers from the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w0
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w1`)
	w.up("127.0.0.11", `
		say Enabling service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		say Gained quorum 1+0=1 <= 3 for VS [10.0.0.1]:tcp:80
		say Disabling sorry server [127.0.0.99]:tcp:80 from VS [10.0.0.1]:tcp:80
		say Adding alive servers to the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w3
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w0`)
}

// The sorry server is one of the real servers: one kernel entry serves both.
func TestSorryServerIsRealServer(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", weight(3)), real("127.0.0.12", weight(2))), sorry("127.0.0.12")))
	w.c.Start(nil)
	w.settle()
	for _, addr := range []string{"127.0.0.12", "127.0.0.11"} {
		w.c.Step(Event{Check: w.check(web, addr, 0), Kind: CheckDown}, nil)
		w.settle()
	}
	key := DestKey{netip.MustParseAddr("127.0.0.12"), 80}
	svc := w.k[ServiceKey{Family: model.IPv4, Protocol: model.TCP, Addr: netip.MustParseAddr("10.0.0.1"), Port: 80}]
	if got := svc.Dests; len(got) != 1 || got[key].Weight != 1 {
		t.Errorf("all down: destinations %v, want 127.0.0.12 alone with weight 1", got)
	}
	w.up("127.0.0.12", `
		say Adding service [127.0.0.12]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		say Gained quorum 1+0=1 <= 2 for VS [10.0.0.1]:tcp:80
		say Removing sorry server [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
		say Adding alive servers to the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w2`)
}

func TestSeveralChecks(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", twice), real("127.0.0.12"))))
	w.c.Start(nil)
	w.settle()
	a, b := w.check(web, "127.0.0.11", 0), w.check(web, "127.0.0.11", 1)
	w.step("first fails", w.c.Step(Event{Check: a, Kind: CheckDown}, nil), `
		say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80`)
	w.step("second fails", w.c.Step(Event{Check: b, Kind: CheckDown}, nil), ``)
	w.step("first recovers", w.c.Step(Event{Check: a, Kind: CheckUp}, nil), ``)
	w.step("second recovers", w.c.Step(Event{Check: b, Kind: CheckUp}, nil), `
		say Adding service [127.0.0.11]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1`)
}

func TestMail(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", mailed)), func(v *model.VirtualServer) { v.SMTPAlert = true }))
	w.step("start", w.c.Start(nil), `
		say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP
		mail Virtualserver [10.0.0.1]:tcp:80 - UP => Starting with quorum up 1+0=1 <= 1 <=
		NEW_SERVICE 10.0.0.1:tcp:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1`)
	id := w.check(web, "127.0.0.11", 0)
	w.step("down", w.c.Step(Event{Check: id, Kind: CheckDown, Mail: "=> TCP CHECK failed on service <="}, nil), `
		say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		say Lost quorum 1-0=1 > 0 for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
		mail Virtualserver [10.0.0.1]:tcp:80 - DOWN => Lost quorum 1+0=1 <= 0 <=
		mail Realserver [127.0.0.11]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - DOWN => TCP CHECK failed on service <=
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80`)
	w.step("still down", w.c.Step(Event{Check: id, Kind: CheckDown, Mail: "=> TCP CHECK failed on service <="}, nil), ``)
}

// Each checker is mailed about, unless no_checker_emails asks for what happens to the server only.
func TestCheckerMail(t *testing.T) {
	const body = "=> TCP CHECK failed on service <="
	const mail = "\n\t\tmail Realserver [127.0.0.11]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - "
	for _, quiet := range []bool{false, true} {
		l := one(webService(real("127.0.0.11", mailed, twice), real("127.0.0.12")))
		l.NoCheckerEmails = quiet
		w := newWorld(t, l)
		w.c.Start(nil)
		w.settle()
		second, back := mail+"DOWN "+body, mail+"DOWN => again <="
		if quiet {
			second, back = "", ""
		}
		w.step("first fails", w.c.Step(Event{Check: w.check(web, "127.0.0.11", 0), Kind: CheckDown, Mail: body}, nil), `
		say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN`+mail+"DOWN "+body+`
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80`)
		w.step("second fails", w.c.Step(Event{Check: w.check(web, "127.0.0.11", 1), Kind: CheckDown, Mail: body}, nil), second)
		// The server stays down with its first checker, and that is what the subject says.
		w.step("second recovers", w.c.Step(Event{Check: w.check(web, "127.0.0.11", 1), Kind: CheckUp, Mail: "=> again <="}, nil), back)
	}
}

func TestDynamicWeight(t *testing.T) {
	t.Run("L-E25 a weight asked for outlasts reloads", testDynamicWeight)
}

func testDynamicWeight(t *testing.T) {
	l := one(webService(real("127.0.0.11", misc, weight(10))), sorry("127.0.0.99"))
	w := newWorld(t, l)
	w.c.Start(nil)
	w.settle()
	id := w.check(web, "127.0.0.11", 0)
	asks := func(n int64) []Action { return w.c.Step(Event{Check: id, Kind: CheckWeight, Weight: n}, nil) }
	w.step("exit 12", asks(10), ``)
	w.step("exit 32", asks(30), `
		say Changing weight from 10 to 30 for active service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w30`)

	w.step("reload", w.c.Reload(one(webService(real("127.0.0.11", misc, weight(20))), sorry("127.0.0.99")), nil), ``)
	w.step("exit 2", asks(0), `
		say Changing weight from 30 to 0 for active service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80
		say Lost quorum 1-0=1 > 0 for VS [10.0.0.1]:tcp:80
		say Adding sorry server [127.0.0.99]:tcp:80 to VS [10.0.0.1]:tcp:80
		say Removing alive servers from the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w1`)
	w.step("exit 0", w.c.Step(Event{Check: id, Kind: CheckWeightOff}, nil), `
		say Changing weight from 0 to 20 for active service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80
		say Gained quorum 1+0=1 <= 20 for VS [10.0.0.1]:tcp:80
		say Removing sorry server [127.0.0.99]:tcp:80 from VS [10.0.0.1]:tcp:80
		say Adding alive servers to the pool for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w20`)
	w.c.Step(Event{Check: id, Kind: CheckDown}, nil)
	w.settle()
	w.step("exit 7 while down", asks(5), `
		say Changing weight from 20 to 5 for inactive service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80`)
}

// Two dynamic checkers: 10 + (10-10) + (13-10).
func TestDynamicWeightsAdd(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", twice, weight(10)))))
	w.c.Step(Event{Check: w.check(web, "127.0.0.11", 0), Kind: CheckWeight, Weight: 10}, nil)
	w.c.Step(Event{Check: w.check(web, "127.0.0.11", 1), Kind: CheckWeight, Weight: 13}, nil)
	if got := w.c.Status()[0].Real[0].Weight; got != 13 {
		t.Errorf("effective weight %d, want 13", got)
	}
}

func TestStop(t *testing.T) {
	three := func() model.VirtualServer {
		return webService(real("127.0.0.11"), real("127.0.0.12"), real("127.0.0.13", inhibit))
	}
	with := func(l *model.LVS, how model.FlushOnStop) *model.LVS { l.FlushOnStop = how; return l }
	left := one(three())
	left.DontReleaseAtEnd = true
	for _, test := range []struct {
		name string
		l    *model.LVS
		want string
	}{
		{"quiet", one(three()), `
			say Shutting down service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
			say Shutting down service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
			say Shutting down (inhibited) service [127.0.0.13]:tcp:80 from VS [10.0.0.1]:tcp:80
			DEL_SERVICE 10.0.0.1:tcp:80`},
		{"omega", one(three(), omega), `
			say Shutting down service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			say Shutting down service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
			say Shutting down (inhibited) service [127.0.0.13]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			DEL_SERVICE 10.0.0.1:tcp:80`},
		{"lvs_flush_on_stop VS", with(one(three(), omega), model.FlushVS), `
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			DEL_SERVICE 10.0.0.1:tcp:80`},
		{"lvs_flush_on_stop", with(one(three()), model.FlushAll), `flush`},
		{"-I", left, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.l)
			w.c.Start(nil)
			for _, addr := range []string{"127.0.0.12", "127.0.0.13"} {
				w.c.Step(Event{Check: w.check(web, addr, 0), Kind: CheckDown}, nil)
			}
			w.settle()
			w.step("stop", w.c.Stop(nil), test.want)
		})
	}
}

// Whatever happens, in whatever order: the table follows from the health of the servers, quorum and hysteresis alone.
func TestInvariants(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t, randomModel(r))
		w.c.Start(nil)
		for n := range 40 {
			switch checks := w.c.Checks(); {
			case n%13 == 12:
				w.c.Reload(randomModel(r), nil)
			case len(checks) > 0:
				ev := Event{Check: checks[r.IntN(len(checks))].ID, Kind: EventKind(r.IntN(4)), Weight: r.Int64N(4)}
				w.c.Step(ev, nil)
			}
			w.settle()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
			for _, s := range w.c.Status() {
				checkService(t, s, w.k)
				if t.Failed() {
					t.Fatalf("seed %d, event %d: %s %+v", seed, n, s.Service, s)
				}
			}
		}
		w.c.Stop(nil)
		w.settle()
		if len(w.k) != 0 {
			t.Fatalf("seed %d: %v left at the end", seed, w.k)
		}
	}
}

func checkService(t *testing.T, s ServiceStatus, k Table) {
	v := s.Service
	var sum int64
	for _, r := range s.Real {
		if r.Alive {
			sum += r.Weight
		}
	}
	q, h := int64(v.Quorum), int64(v.Hysteresis)
	if s.Up && (sum == 0 || sum < q-h) || !s.Up && sum >= q+h && sum > 0 {
		t.Errorf("up is %v with weights of %d, quorum %d and hysteresis %d", s.Up, sum, q, h)
	}
	if s.SorryActive != (v.Sorry != nil && !s.Up) {
		t.Errorf("sorry server in use: %v", s.SorryActive)
	}
	got := k[ServiceKey{Family: model.IPv4, Protocol: model.TCP, Addr: v.Addr, Port: v.Port}].Dests
	want := map[DestKey]int64{}
	for _, r := range s.Real {
		key := DestKey{r.Server.Addr, r.Server.Port}
		switch {
		case r.Alive && !s.SorryActive:
			want[key] = r.Weight
		case r.Server.Inhibit:
			want[key] = 0
		}
	}
	if v.Sorry != nil {
		key := DestKey{v.Sorry.Addr, v.Sorry.Port}
		if _, also := want[key]; s.SorryActive {
			want[key] = 1
		} else if v.Sorry.Inhibit && !also {
			want[key] = 0
		}
	}
	weights := map[DestKey]int64{}
	for d, dest := range got {
		weights[d] = int64(dest.Weight)
	}
	if !maps.Equal(weights, want) {
		t.Errorf("destinations %v, want %v", weights, want)
	}
}

func randomModel(r *rand.Rand) *model.LVS {
	l := &model.LVS{}
	for n := range 1 + r.IntN(3) {
		v := webService()
		v.Port = uint16(80 + n)
		v.Quorum = uint32(r.IntN(4))
		if v.Quorum > 0 {
			v.Hysteresis = uint32(r.IntN(int(v.Quorum)))
		}
		for i := range r.IntN(4) {
			s := real(fmt.Sprintf("127.0.0.%d", 11+i), weight(r.Int64N(3)))
			s.Inhibit = r.IntN(3) == 0
			for range r.IntN(2) {
				twice(&s)
			}
			for i := range s.Checks {
				s.Checks[i].Alpha = r.IntN(3) == 0
				s.Checks[i].Conn.Mark = r.Uint32N(2)
			}
			v.Real = append(v.Real, s)
		}
		if r.IntN(2) == 0 {
			sorry(fmt.Sprintf("127.0.0.%d", 13+r.IntN(3)))(&v)
			v.Sorry.Inhibit = r.IntN(3) == 0
		}
		l.Services = append(l.Services, v)
	}
	return l
}

// The last result of every checker decides, not the order in which they came.
func TestOrderOfResultsIsIrrelevant(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := one(webService(real("127.0.0.11", twice), real("127.0.0.12", twice, alpha), real("127.0.0.13")), sorry("127.0.0.99"))
		kinds := make([]EventKind, 5)
		for i := range kinds {
			kinds[i] = EventKind(r.IntN(2))
		}
		run := func() Table {
			c := New(l)
			c.Start(nil)
			checks := c.Checks()
			for _, i := range r.Perm(len(checks)) {
				c.Step(Event{Check: checks[i].ID, Kind: kinds[i]}, nil)
			}
			return c.Desired()
		}
		if d := cmp.Diff(run(), run(), cmpTables); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}

func TestUnknownCheckIsIgnored(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11"))))
	w.c.Start(nil)
	w.settle()
	w.step("unknown", w.c.Step(Event{Check: 99, Kind: CheckDown}, nil), ``)
}
