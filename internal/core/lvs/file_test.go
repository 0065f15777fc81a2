package lvs

import (
	"math"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func TestFileVerdict(t *testing.T) {
	for _, tt := range []struct {
		value, weight int
		reverse       bool
		failed        bool
		offset        int64
	}{
		{5, 2, false, false, 10},
		{-3, 2, false, false, -6},
		{5, 2, true, false, -10},
		{-2000000000, 2, false, true, 0},
		{math.MinInt32, 1, false, true, 0},
		{math.MinInt32 + 1, 1, false, false, math.MinInt32 + 1},
		{math.MaxInt32, -math.MaxInt32, true, false, math.MaxInt32 * math.MaxInt32},
		{0, 0, false, false, 0},
		{1, 0, false, true, 0},
		{0, 0, true, true, 0},
		{-1, 0, true, false, 0},
	} {
		failed, offset := fileVerdict(&model.FileOpts{Weight: tt.weight, Reverse: tt.reverse}, tt.value)
		if failed != tt.failed || offset != tt.offset {
			t.Errorf("%+v: got %v %d", tt, failed, offset)
		}
	}
}

// A server that its file fails is not in the table from the start, and nothing is said about it; beside another checker both have to
// be well; a reload judges anew.
func TestHolds(t *testing.T) {
	file := func(weight int) func(*model.RealServer) {
		return func(r *model.RealServer) {
			r.Weight = 10
			r.Checks = append(r.Checks, model.Check{Kind: model.FileCheck, File: &model.FileOpts{Name: "f", Path: "/f", Weight: weight}})
		}
	}
	w := newWorld(t, one(webService(real("127.0.0.11", file(0)), real("127.0.0.12", file(2)))))
	w.c.Holds("/f", 3, nil)
	w.c.Start(nil)
	w.settle()
	w.step("0", w.c.Holds("/f", 0, nil), `
		say ([127.0.0.11]:tcp:80): tracked file f leaving FAULT state
		say Adding service [127.0.0.11]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		say Changing weight from 16 to 10 for active service [127.0.0.12]:tcp:80 of VS [10.0.0.1]:tcp:80
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w10
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w10`)
	w.step("TCP fails", w.c.Step(Event{Check: w.check(web, "127.0.0.11", 0), Kind: CheckDown}, nil), `
		say Removing service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 DOWN and run RDOWN
		DEL_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80`)
	w.step("1", w.c.Holds("/f", 1, nil), `
		say ([127.0.0.11]:tcp:80): tracked file f now FAULT state
		say Changing weight from 10 to 12 for active service [127.0.0.12]:tcp:80 of VS [10.0.0.1]:tcp:80
		SET_DEST 10.0.0.1:tcp:80 -> 127.0.0.12:80 w12`)
	w.step("TCP succeeds", w.c.Step(Event{Check: w.check(web, "127.0.0.11", 0), Kind: CheckUp}, nil), "")
	w.step("reload with a weight", w.c.Reload(one(webService(real("127.0.0.11", file(1)), real("127.0.0.12", file(2)))), nil), `
		say Adding service [127.0.0.11]:tcp:80 to VS [10.0.0.1]:tcp:80
		fifo RS [127.0.0.11]:tcp:80 [10.0.0.1]:tcp:80 UP and run RUP
		say Changing weight from 10 to 11 for active service [127.0.0.11]:tcp:80 of VS [10.0.0.1]:tcp:80
		NEW_DEST 10.0.0.1:tcp:80 -> 127.0.0.11:80 w11`)
}
