package lvs

import "github.com/keepalived-go/keepalived-go/internal/model"

// CheckID names one checker for as long as it exists; a reload keeps it for a checker that is carried over.
type CheckID uint32

// Check is one checker to run.
type Check struct {
	ID      CheckID
	Service *model.VirtualServer
	Server  *model.RealServer
	Spec    *model.Check
	Up      bool  // what is believed now, or assumed if it has not run
	HasRun  bool  // a result has been seen
	Offset  int64 // FILE_CHECK: what it adds to the weight of the server
}

// EventKind says what a checker found.
type EventKind uint8

const (
	CheckUp        EventKind = iota
	CheckDown                // after the retries
	CheckWeight              // the check asks for Event.Weight instead of the configured one (misc_dynamic: exit status - 2)
	CheckWeightOff           // the check no longer asks for a weight (misc_dynamic: exit status 0)
)

// Event is a result of a checker. It may repeat what is known.
type Event struct {
	Check  CheckID
	Kind   EventKind
	Weight int64
	Quiet  bool   // CheckWeight, CheckWeightOff: it follows from a change that is logged anyway
	Mail   string // body of the mail if this is a change, "=> TCP CHECK failed on service <="; empty: no mail
}

// ActionKind says what an Action asks for.
type ActionKind uint8

const (
	Say    ActionKind = iota // log Line at level info
	Notify                   // run Script if any, then write Line to the FIFOs
	Alert                    // send a mail with the subject "[ROUTER_ID] " + Line and Body
	Flush                    // empty the kernel's whole table, entries of others included
)

// Action is something to be done, in the order given. The kernel table is not among them but Flush: see [Cluster.Delta].
type Action struct {
	Kind    ActionKind
	Line    string // without line end
	Body    string
	Detail  bool // Say: only for those who log in detail
	Script  *model.Script
	Service *model.VirtualServer // Notify, Alert: whose state changed
	Server  *model.RealServer    // Notify, Alert: nil if it is the service's
	Up      bool                 // Notify, Alert: to what
}
