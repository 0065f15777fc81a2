package check

import "github.com/keepalived-go/keepalived-go/internal/model"

// miscState is the weight that a dynamic MISC_CHECK gives its server.
type miscState struct {
	exit   int // last status that set the weight; 0: the configured weight counts
	offset int64
}

// miscOK judges the end of a script.
func (m *Monitor) miscOK(r *Result) bool {
	if r.TimedOut || r.Signal != 0 {
		return false
	}
	return r.Exit == 0 || m.spec.Misc.Dynamic && r.Exit >= 2
}

// setExit takes the weight out of a successful exit status: 0 is the configured one, 2..255 stand for 0..253.
func (m *Monitor) setExit(exit int, out []Action) []Action {
	if !m.spec.Misc.Dynamic {
		return out
	}
	before := m.misc.offset
	m.misc.exit, m.misc.offset = exit, offset(exit, m.on.Weight)
	if m.misc.offset == before {
		return out
	}
	return append(out, Action{Kind: Weight, Offset: m.misc.offset})
}

// dropOffset is for a server found failed: it will come back with its configured weight.
func (m *Monitor) dropOffset(out []Action) []Action {
	before := m.misc.offset
	m.misc = miscState{}
	if before == 0 {
		return out
	}
	return append(out, Action{Kind: Weight, Quiet: true})
}

// adoptMisc keeps the weight that the script asked for, whatever the configured one is now.
func (m *Monitor) adoptMisc(old *Monitor) {
	if m.spec.Kind == model.MiscCheck {
		m.misc = miscState{exit: old.misc.exit, offset: offset(old.misc.exit, m.on.Weight)}
	}
}

func offset(exit int, weight int64) int64 {
	if exit == 0 {
		return 0
	}
	return int64(exit) - 2 - weight
}
