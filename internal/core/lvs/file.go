package lvs

import (
	"math"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// fileFault is the product of number and weight from which on down a file fails its server.
const fileFault = math.MinInt32

// fileVerdict is what a number in a tracked file means to a server (checkers.md §9): with weight 0 any number but 0 fails it, reversed 0
// does; else it adds number times weight to the weight of the server, unless that product is too low.
//
// Differs from keepalived: at the start and at a reload it leaves the word reverse out of account where the weight is 0.
func fileVerdict(o *model.FileOpts, value int) (failed bool, offset int64) {
	if o.Weight == 0 {
		return (value != 0) != o.Reverse, 0
	}
	if offset = int64(value) * int64(o.Weight); o.Reverse {
		offset = -offset
	}
	if offset <= fileFault {
		return true, 0
	}
	return false, offset
}

// File returns what a tracked file holds, 0 if nobody told.
func (c *Cluster) File(path string) int { return c.files[path] }

// Holds takes in what a tracked file holds; an absent one holds 0. Before Start, and for files that no checker is about, it is only noted.
func (c *Cluster) Holds(path string, value int, out []Action) []Action {
	if c.files == nil {
		c.files = map[string]int{}
	}
	c.files[path] = value
	for _, s := range c.services {
		for _, r := range s.real {
			for _, k := range r.checks {
				if k.spec.Kind == model.FileCheck && k.spec.File.Path == path {
					out = c.fileChanged(k, out)
				}
			}
		}
	}
	return out
}

func (c *Cluster) fileChanged(k *check, out []Action) []Action {
	s, r := k.service, k.server
	was, wasFailed := r.weight(), k.failed
	c.judgeFile(k)
	switch {
	case !c.begun:
		r.alive = !r.anyFailed()
		return out
	case k.failed == wasFailed:
		return c.reweighed(s, r, was, false, out)
	}
	verb := "leaving FAULT"
	if k.failed {
		verb = "now FAULT"
	}
	out = say(out, "(%s): tracked file %s %s state", r.name, k.spec.File.Name, verb)
	out[len(out)-1].Detail = true
	if alive := !r.anyFailed(); alive != r.alive {
		out = c.turn(s, r, alive, out)
		return c.settle(s, false, out)
	}
	return c.reweighed(s, r, was, true, out)
}

// judgeFile makes the state of a FILE_CHECK that of its file. It has no state of its own.
func (c *Cluster) judgeFile(k *check) {
	k.hasRun = true
	k.failed, k.offset = fileVerdict(k.spec.File, c.files[k.spec.File.Path])
}
