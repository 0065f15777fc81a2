// Package ipvs makes the kernel's IPVS table agree with a desired one.
//
// [Open] gives the kernel of one network namespace, [Lane] the goroutine that keeps it in agreement.
package ipvs

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
)

// Kernel is the IPVS of one network namespace. Its methods are called from one goroutine at a time.
type Kernel interface {
	// Table reads the services that ours accepts, with their destinations; nil accepts all.
	Table(ours func(lvs.ServiceKey) bool) (lvs.Table, error)
	// Apply carries out commands in order, those after a refused one too, and calls refused with each that the kernel refuses. An
	// error means that the connection to it is of no more use, and nothing is known of what was carried out.
	Apply(ops []lvs.Op, refused func(*Error)) error
	// Flush deletes every service, those of others too.
	Flush() error
	// Timeouts reads the timeouts of connections.
	Timeouts() (Timeouts, error)
	// SetTimeouts sets them; the kernel takes 0 as no change.
	SetTimeouts(Timeouts) error
	// Daemons lists the sync daemons that run.
	Daemons() ([]Daemon, error)
	// StartDaemon and StopDaemon answer with a *[DaemonError] if the kernel refuses. To stop a daemon its State is enough.
	StartDaemon(Daemon) error
	StopDaemon(Daemon) error
	// Counters reads the statistics of the services that ours accepts; nil accepts all.
	Counters(ours func(lvs.ServiceKey) bool) (map[lvs.ServiceKey]ServiceCounters, error)
	Close()
}

// Daemon is one sync daemon, which sends the director's connections to others or receives theirs. Zero stands for the kernel's
// default, but in ID.
type Daemon struct {
	State     DaemonState
	Interface string
	ID        uint32 // 0..255
	MaxLen    uint16 // bytes of a packet
	Group     netip.Addr
	Port      uint16
	TTL       uint8
}

// fits reports whether a daemon that the kernel runs is as wished. The kernel makes the packets of a backup larger where it likes.
func (d Daemon) fits(wish Daemon) bool {
	return d.State == wish.State && d.Interface == wish.Interface && d.ID == wish.ID &&
		(wish.MaxLen == 0 || d.MaxLen == wish.MaxLen || d.State == DaemonBackup && d.MaxLen > wish.MaxLen) && (!wish.Group.IsValid() || d.Group == wish.Group) &&
		(wish.Port == 0 || d.Port == wish.Port) && (wish.TTL == 0 || d.TTL == wish.TTL)
}

// DaemonState has the numbers of linux/ip_vs.h.
type DaemonState uint32

const (
	DaemonMaster DaemonState = 1
	DaemonBackup DaemonState = 2
)

func (s DaemonState) String() string {
	if s == DaemonMaster {
		return "master"
	}
	return "backup"
}

// Counters are statistics since the object was made; of a destination also the connections that there are now.
type Counters struct {
	Connections, InPackets, OutPackets, InBytes, OutBytes uint64
	Active, Inactive, Persistent                          uint32
}

// ServiceCounters are the statistics of a service and its destinations.
type ServiceCounters struct {
	Counters
	Dests map[lvs.DestKey]Counters
}

// DaemonError is a command about a sync daemon that the kernel refused: EEXIST it runs, ESRCH it does not, ENODEV no such interface,
// EINVAL there are destinations of the other family than their service.
type DaemonError struct {
	Start bool
	Daemon
	Errno syscall.Errno
}

// Error is keepalived's log line: IPVS cmd IP_VS_SO_SET_STARTDAEMON(1163) error: Daemon has already run(17).
func (e *DaemonError) Error() string {
	command, reason := "IP_VS_SO_SET_STOPDAEMON(1164)", strerror(e.Errno)
	if e.Start {
		command = "IP_VS_SO_SET_STARTDAEMON(1163)"
	}
	switch e.Errno {
	case syscall.EEXIST:
		reason = "Daemon has already run"
	case syscall.ESRCH:
		reason = "No daemon is running"
	case syscall.EPERM:
		reason = "Permission denied (you must be root)"
	}
	return fmt.Sprintf("IPVS cmd %s error: %s(%d)", command, reason, int(e.Errno))
}

func (e *DaemonError) Unwrap() error { return e.Errno }

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
	return strerror(e.Errno)
}

// strerror is the C library's text of an error, whose first letter is a capital.
func strerror(e syscall.Errno) string {
	text := e.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

func (e *Error) Unwrap() error { return e.Errno }

// stale reports whether the table is not what the command took it to be.
func (e *Error) stale() bool {
	dest := e.Op.Kind >= lvs.NewDest
	return e.Errno == syscall.EEXIST || e.Errno == syscall.ESRCH || e.Errno == syscall.ENOENT && dest
}
