package lvs

import (
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func slow(d time.Duration) func(*model.RealServer) {
	return func(r *model.RealServer) { r.SlowStart, r.Weight = d, 10 }
}

func TestSlowStart(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", slow(4*time.Second)), real("127.0.0.12"))))
	at := time.Unix(1000, 0)
	w.c.Start(nil)
	w.c.Ramp(at, nil)
	w.settle()
	if !w.c.RampDeadline().IsZero() {
		t.Error("a server that is there from the start has its whole weight")
	}
	id := w.check(web, "127.0.0.11", 0)
	w.down("127.0.0.11", `
		say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80`)
	w.step("up", w.c.Ramp(at, w.c.Step(Event{Check: id, Kind: CheckUp}, nil)), `
		say Adding service [127.0.0.11]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w2`)
	if d := w.c.RampDeadline(); d != at.Add(time.Second) {
		t.Errorf("next step at %v", d)
	}
	w.step("too early", w.c.Ramp(at.Add(999*time.Millisecond), nil), "")
	w.step("first step", w.c.Ramp(at.Add(time.Second), nil), `SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w5`)
	w.step("a reload goes on", w.c.Ramp(at.Add(time.Second), w.c.Reload(one(webService(real("127.0.0.11", slow(4*time.Second)), real("127.0.0.12"))), nil)), "")
	w.step("late: two steps at once, and the end", w.c.Ramp(at.Add(9*time.Second), nil), `
		say Service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80 has its whole weight 10
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w10`)
	if !w.c.RampDeadline().IsZero() {
		t.Error("it goes on")
	}
	// One that fails on its way up begins anew.
	w.c.Step(Event{Check: id, Kind: CheckDown}, nil)
	w.c.Ramp(at, w.c.Step(Event{Check: id, Kind: CheckUp}, nil))
	w.c.Ramp(at.Add(2*time.Second), nil)
	w.settle()
	w.c.Step(Event{Check: id, Kind: CheckDown}, nil)
	w.settle()
	w.c.Ramp(at, w.c.Step(Event{Check: id, Kind: CheckUp}, nil))
	if got := w.settle(); len(got) != 1 || got[0] != "NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w2" {
		t.Errorf("second start: %v", got)
	}
	// A reload without it gives the whole weight.
	w.step("reload without", w.c.Reload(one(webService(real("127.0.0.11", slow(0)), real("127.0.0.12"))), nil), `
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w10`)
}

// A long start takes no more than slowSteps changes of the kernel's table.
func TestSlowStartIsBounded(t *testing.T) {
	w := newWorld(t, one(webService(real("127.0.0.11", slow(time.Hour), func(r *model.RealServer) { r.Weight = 1000000 }))))
	w.c.Start(nil)
	w.settle()
	id, now := w.check(web, "127.0.0.11", 0), time.Unix(1000, 0)
	w.c.Step(Event{Check: id, Kind: CheckDown}, nil)
	w.settle()
	w.c.Ramp(now, w.c.Step(Event{Check: id, Kind: CheckUp}, nil))
	ops := len(w.settle())
	for d := w.c.RampDeadline(); !d.IsZero(); d = w.c.RampDeadline() {
		w.c.Ramp(d, nil)
		ops += len(w.settle())
		now = d
	}
	if took := now.Sub(time.Unix(1000, 0)); ops > slowSteps || took > time.Hour || took < 50*time.Minute {
		t.Errorf("%d operations in %v", ops, took)
	}
}

func TestTrackVRRP(t *testing.T) {
	tracking := func(v *model.VirtualServer) { v.TrackVRRP = "VI" }
	w := newWorld(t, one(webService(real("127.0.0.11")), tracking))
	w.step("start as backup", w.c.Start(nil), `
		say Gained quorum 1+0=1 <= 1 for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 UP and run QUP`)
	w.step("another instance", w.c.Follow("other", true, nil), "")
	w.step("master", w.c.Follow("VI", true, nil), `
		say Installing VS [10.0.0.1]:tcp:80, VI is MASTER
		NEW_SERVICE 10.0.0.1:tcp:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w1`)
	w.step("master still", w.c.Follow("VI", true, nil), "")
	w.step("backup", w.c.Follow("VI", false, nil), `
		say Withdrawing VS [10.0.0.1]:tcp:80, VI is not MASTER
		DEL_SERVICE 10.0.0.1:tcp:80`)
	w.down("127.0.0.11", `
		say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		say Lost quorum 1-0=1 > 0 for VS [10.0.0.1]:tcp:80
		fifo VS [10.0.0.1]:tcp:80 DOWN and run QDOWN`)
	w.step("master with what was found meanwhile", w.c.Follow("VI", true, nil), `
		say Installing VS [10.0.0.1]:tcp:80, VI is MASTER
		NEW_SERVICE 10.0.0.1:tcp:80`)
	w.step("reload without it", w.c.Reload(one(webService(real("127.0.0.11"))), nil), "")
	w.step("backup, which does not matter now", w.c.Follow("VI", false, nil), "")
}
