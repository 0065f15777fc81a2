package lvs

import (
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Before each reload 11 and 12 are alive, 20 is down, and everything has been checked once (scenario E of the reference tests).
func TestReload(t *testing.T) {
	type vs = model.VirtualServer
	base := func(fs ...func(*vs)) *model.LVS {
		return one(webService(real("127.0.0.11"), real("127.0.0.12"), real("127.0.0.20")), fs...)
	}
	server := func(i int, f func(*model.RealServer)) func(*vs) { return func(v *vs) { f(&v.Real[i]) } }
	add := func(r model.RealServer) func(*vs) { return func(v *vs) { v.Real = append(v.Real, r) } }
	remove := func(i int) func(*vs) { return func(v *vs) { v.Real = append(v.Real[:i:i], v.Real[i+1:]...) } }
	for _, test := range []struct {
		name     string
		old, new *model.LVS
		want     string
	}{
		{"L-E01 nothing", base(), base(), ``},
		{"L-E02 scheduler", base(), base(func(v *vs) { v.Scheduler = "wlc" }), `
			SET_SERVICE 10.0.0.1:tcp:80`},
		{"L-E03 persistence", base(), base(func(v *vs) { v.Persistence = 50e9 }), `
			SET_SERVICE 10.0.0.1:tcp:80`},
		{"L-E04 weight of a living server", base(), base(server(0, weight(5))), `
			say Changing weight from 1 to 5 for active service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80
			SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w5`},
		{"L-E05 weight of a dead server", base(), base(server(2, weight(5))), `
			say Changing weight from 1 to 5 for inactive service [127.0.0.20]:tcp:80 of VS [10.0.0.1]:tcp:80`},
		{"L-E06 method", base(), base(server(1, dr)), `
			SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w1`},
		{"L-E07 method of a dead server", base(), base(server(2, dr)), ``},
		{"L-E08 thresholds", base(), base(server(0, thresholds)), `
			SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1`},
		{"L-E09 server removed", base(), base(remove(1)), `
			say service [127.0.0.12]:tcp:80 no longer exist
			say Removing service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80`},
		{"dead server removed", base(), base(remove(2)), `
			say service [127.0.0.20]:tcp:80 no longer exist`},
		{"dead server with inhibit removed", base(server(2, inhibit)), base(remove(2)), `
			say service [127.0.0.20]:tcp:80 no longer exist
			say Removing (inhibited) service [127.0.0.20]:tcp:80 from VS [10.0.0.1]:tcp:80
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.20:80`},
		{"L-E10 quorum lost with a removed server, announced once", base(quorum(2, 0)), base(quorum(2, 0), remove(1)), `
			say service [127.0.0.12]:tcp:80 no longer exist
			say Removing service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			say Lost quorum 2-0=2 > 1 for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80`},
		{"L-E11 server added", base(), base(add(real("127.0.0.13"))), `
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.13:80 w1`},
		{"L-E12 alpha server added", base(), base(add(real("127.0.0.13", alpha))), ``},
		{"L-E13 retry of a dead server", base(), base(server(2, retry)), ``},
		{"L-E14 checker of a dead server edited", base(), base(server(2, timeout)), `
			say Adding service [127.0.0.20]:tcp:80 to VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.20]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.20:80 w1`},
		{"L-E15 checker of a dead server removed", base(), base(server(2, unchecked)), `
			say Adding service [127.0.0.20]:tcp:80 to VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.20]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.20:80 w1`},
		{"L-E16 second checker of a living server", base(), base(server(0, twice)), ``},
		{"L-E17 second, alpha, checker of a living server", base(), base(server(0, twice), server(0, func(r *model.RealServer) { r.Checks[1].Alpha = true })), ``},
		{"L-E18 address", base(), base(func(v *vs) { v.Port = 81 }), `
			say Removing Virtual Server [10.0.0.1]:tcp:80
			say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			say Removing service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			say Gained quorum 1+0=1 <= 3 for VS [10.0.0.1]:tcp:81
			fifo VS [10.0.0.1]:tcp:81 UP and run QUP
			DEL_SERVICE 10.0.0.1:tcp:80
			NEW_SERVICE 10.0.0.1:tcp:81
			NEW_DEST 10.0.0.1:tcp:81 -> 127.0.0.11:80 w1
			NEW_DEST 10.0.0.1:tcp:81 -> 127.0.0.12:80 w1
			NEW_DEST 10.0.0.1:tcp:81 -> 127.0.0.20:80 w1`},
		{"L-E19 protocol", base(), base(func(v *vs) { v.Protocol = model.UDP }), `
			say Removing Virtual Server [10.0.0.1]:tcp:80
			say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			say Removing service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			say Gained quorum 1+0=1 <= 3 for VS [10.0.0.1]:udp:80
			fifo VS [10.0.0.1]:udp:80 UP and run QUP
			DEL_SERVICE 10.0.0.1:tcp:80
			NEW_SERVICE 10.0.0.1:udp:80
			NEW_DEST 10.0.0.1:udp:80 -> 127.0.0.11:80 w1
			NEW_DEST 10.0.0.1:udp:80 -> 127.0.0.12:80 w1
			NEW_DEST 10.0.0.1:udp:80 -> 127.0.0.20:80 w1`},
		{"L-E31 the service is not in the configuration any more", base(), &model.LVS{}, `
			say Removing Virtual Server [10.0.0.1]:tcp:80
			say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			say Removing service [127.0.0.12]:tcp:80 from VS [10.0.0.1]:tcp:80
			fifo RS [127.0.0.12]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			DEL_SERVICE 10.0.0.1:tcp:80`},
		{"L-E20 inhibit on", base(), base(server(2, inhibit)), `
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.20:80 w0`},
		{"L-E20 inhibit off", base(server(2, inhibit)), base(), `
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.20:80`},
		{"L-E21 sorry server kept in use", base(quorum(3, 0), sorry("127.0.0.99")), base(quorum(3, 0), sorry("127.0.0.99")), ``},
		{"L-E22 sorry server exchanged while in use", base(quorum(3, 0), sorry("127.0.0.99")), base(quorum(3, 0), sorry("127.0.0.98")), `
			say Removing sorry server [127.0.0.99]:tcp:80 from VS [10.0.0.1]:tcp:80
			say Starting with quorum down 3-0=3 > 2 for VS [10.0.0.1]:tcp:80
			say Adding sorry server [127.0.0.98]:tcp:80 to VS [10.0.0.1]:tcp:80
			say Removing alive servers from the pool for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.98:80 w1`},
		{"L-E23 sorry server removed while in use", base(quorum(3, 0), sorry("127.0.0.99")), base(quorum(3, 0)), `
			say Removing sorry server [127.0.0.99]:tcp:80 from VS [10.0.0.1]:tcp:80
			say Adding alive servers to the pool for VS [10.0.0.1]:tcp:80
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w1`},
		{"sorry server exchanged while idle", base(sorry("127.0.0.99", inhibit)), base(sorry("127.0.0.98", inhibit)), `
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.98:80 w0`},
		{"L-E24 server added that brings quorum back", base(quorum(3, 0), sorry("127.0.0.99")), base(quorum(3, 0), sorry("127.0.0.99"), add(real("127.0.0.13"))), `
			say Gained quorum 3+0=3 <= 3 for VS [10.0.0.1]:tcp:80
			say Removing sorry server [127.0.0.99]:tcp:80 from VS [10.0.0.1]:tcp:80
			say Adding alive servers to the pool for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 UP and run QUP
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w1
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.13:80 w1`},
		{"L-E26 quorum raised", base(sorry("127.0.0.99")), base(quorum(3, 0), sorry("127.0.0.99")), `
			say Lost quorum 3-0=3 > 2 for VS [10.0.0.1]:tcp:80
			say Adding sorry server [127.0.0.99]:tcp:80 to VS [10.0.0.1]:tcp:80
			say Removing alive servers from the pool for VS [10.0.0.1]:tcp:80
			fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80
			DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80
			NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.99:80 w1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.old)
			w.c.Start(nil)
			for _, k := range w.c.Checks() {
				kind := CheckUp
				if k.Server.Addr.String() == "127.0.0.20" {
					kind = CheckDown
				}
				w.c.Step(Event{Check: k.ID, Kind: kind}, nil)
			}
			w.settle()
			w.step("reload", w.c.Reload(test.new, nil), test.want)
			w.step("reload again", w.c.Reload(test.new, nil), ``)
		})
	}
}

// A service that is down goes without saying so again.
func TestReloadRemovesDeadService(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11"))))
	w.c.Start(nil)
	w.c.Step(Event{Check: w.check(web, "127.0.0.11", 0), Kind: CheckDown}, nil)
	w.settle()
	w.step("reload", w.c.Reload(&model.LVS{}, nil), `
		say Removing Virtual Server [10.0.0.1]:tcp:80
		DEL_SERVICE 10.0.0.1:tcp:80`)
}

func TestReloadKeepsChecks(t *testing.T) {
	two := func(a, b func(*model.RealServer)) *model.LVS {
		return one(webService(real("127.0.0.11", a), real("127.0.0.12", b)))
	}
	same := func(*model.RealServer) {}
	c := New(two(same, same))
	c.Start(nil)
	before := c.Checks()
	c.Step(Event{Check: before[0].ID, Kind: CheckDown}, nil)
	c.Reload(two(retry, timeout), nil)
	after := c.Checks()
	if after[0].ID != before[0].ID || after[0].Up || !after[0].HasRun || after[0].Spec.Retry != 1 {
		t.Errorf("checker with another retry: %+v, want ID %d, down, with retry 1", after[0], before[0].ID)
	}
	if after[1].ID == before[0].ID || after[1].ID == before[1].ID || !after[1].Up || after[1].HasRun {
		t.Errorf("checker with another timeout: %+v, want a new one, up", after[1])
	}
	if out := c.Step(Event{Check: before[1].ID, Kind: CheckDown}, nil); len(out) != 0 {
		t.Errorf("a result of the checker that is gone gives %v", out)
	}
}

// An alpha checker added beside one that failed starts as failed, so that the other's success alone brings nothing up.
func TestReloadAddsAlphaBesideFailure(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11"))))
	w.c.Start(nil)
	w.c.Step(Event{Check: w.check(web, "127.0.0.11", 0), Kind: CheckDown}, nil)
	l := one(webService(real("127.0.0.11", twice)))
	l.Services[0].Real[0].Checks[1].Alpha = true
	w.c.Reload(l, nil)
	w.settle()
	w.up("127.0.0.11", ``)
	w.step("second succeeds", w.c.Step(Event{Check: w.check(web, "127.0.0.11", 1), Kind: CheckUp}, nil), `
		say Adding service [127.0.0.11]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1`)
}
