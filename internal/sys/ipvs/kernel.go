// Package ipvs makes the kernel's IPVS table agree with a desired one.
//
// [Open] gives the kernel of one network namespace, [Lane] the goroutine that keeps it in agreement.
package ipvs

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
)

// Kernel is the IPVS of one network namespace. Its methods are called from one goroutine at a time.
type Kernel interface {
	// Table reads the services that ours accepts, with their destinations; nil accepts all.
	Table(ours func(lvs.ServiceKey) bool) (lvs.Table, error)
	// Apply carries out one command. What the kernel refuses is an *[Error]; any other error means that the connection to it
	// is of no more use.
	Apply(lvs.Op) error
	// Flush deletes every service, those of others too.
	Flush() error
	// Timeouts reads the timeouts of connections.
	Timeouts() (Timeouts, error)
	// SetTimeouts sets them; the kernel takes 0 as no change.
	SetTimeouts(Timeouts) error
	Close()
}

// Timeouts of connections, in whole seconds.
type Timeouts struct{ TCP, TCPFin, UDP time.Duration }

// ErrUnavailable says that the kernel has no IPVS and none could be loaded.
var ErrUnavailable = errors.New("the kernel has no IPVS")

// Error is a command that the kernel refused. errors.Is compares Errno: ESRCH no such service, ENOENT no such destination (or,
// of a service command, scheduler or persistence engine), EEXIST already there.
type Error struct {
	Op    lvs.Op
	Errno syscall.Errno
}

// commands are keepalived's names of the commands, which date from the socket options of old.
var commands = [...]string{
	lvs.NewService: "IP_VS_SO_SET_ADD(1154)",
	lvs.SetService: "IP_VS_SO_SET_EDIT(1155)",
	lvs.DelService: "IP_VS_SO_SET_DEL(1156)",
	lvs.NewDest:    "IP_VS_SO_SET_ADDDEST(1159)",
	lvs.SetDest:    "IP_VS_SO_SET_EDITDEST(1161)",
	lvs.DelDest:    "IP_VS_SO_SET_DELDEST(1160)",
}

// Error is keepalived's log line: IPVS cmd IP_VS_SO_SET_ADDDEST(1159) error: Destination already exists(17) (10.0.0.1:tcp:80 -> 10.0.0.2:80).
//
// Differs from keepalived: a missing service is reported as such (3), not as a missing destination (2).
func (e *Error) Error() string {
	object := e.Op.Key.String()
	switch e.Op.Kind {
	case lvs.NewDest, lvs.SetDest, lvs.DelDest:
		object += " -> " + e.Op.DestKey.String()
	}
	return fmt.Sprintf("IPVS cmd %s error: %s(%d) (%s)", commands[e.Op.Kind], e.reason(), int(e.Errno), object)
}

func (e *Error) reason() string {
	dest := e.Op.Kind >= lvs.NewDest
	switch {
	case e.Errno == syscall.EEXIST && dest:
		return "Destination already exists"
	case e.Errno == syscall.EEXIST:
		return "Service already exists"
	case e.Errno == syscall.ENOENT && dest:
		return "No such destination"
	case e.Errno == syscall.ENOENT:
		return "Scheduler or persistence engine not found"
	case e.Errno == syscall.ESRCH:
		return "No such service"
	case e.Errno == syscall.EPERM:
		return "Permission denied (you must be root)"
	}
	return e.Errno.Error()
}

func (e *Error) Unwrap() error { return e.Errno }

// stale reports whether the table is not what the command took it to be.
func (e *Error) stale() bool {
	dest := e.Op.Kind >= lvs.NewDest
	return e.Errno == syscall.EEXIST || e.Errno == syscall.ESRCH || e.Errno == syscall.ENOENT && dest
}
