package parent

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
)

// reload begins a reload, or notes that one more is wanted after the one that runs.
func (p *Parent) reload() {
	switch {
	case p.stopping:
		return
	case p.reloading || !p.started || p.worker != nil && !p.worker.ready:
		p.again = true
		return
	}
	p.reloading = true
	p.loads++
	p.setMark()
	if p.process.Reload.Check {
		p.log.Info("validate conf before Reload")
	}
	p.log.Info("Reloading ...")
	notifyReloading()
	p.background(func() event { l := p.loadIn(p.ctx, p.namespace, true); return event{loaded: &l} })
}

// reloadWith goes on with what the loader found. It is a transaction: unless the worker acknowledges the new configuration, the old
// one stays in force.
//
// Differs from keepalived: there a configuration with fatal errors ends the daemon and one that cannot be read empties it.
func (p *Parent) reloadWith(l *loaded) {
	switch {
	case l.err != nil:
		p.reloadFailed(l.err.Error())
		return
	case p.process.Reload.Check && l.code != ExitOK:
		p.reloadFailed(p.findings(l))
		return
	case l.head == nil:
		p.reloadFailed("the new configuration has errors")
		return
	}
	if err := p.keepFixed(l); err != nil {
		p.reloadFailed(err.Error())
		return
	}
	if p.worker == nil { // the next one starts with it
		p.commit(l)
		return
	}
	p.o.Log.Flush()
	if err := p.worker.conn.Send(link.Message{Kind: link.Reload, Flags: p.wanted(l.head), Model: l.encoded}); err != nil {
		p.reloadFailed(err.Error())
		return
	}
	p.pending = l
}

// keepFixed restores what cannot change while the daemon runs, and says so.
func (p *Parent) keepFixed(l *loaded) error {
	is, was := &l.head.Process, &p.process
	changed := false
	for _, f := range []struct {
		keyword string
		is, was *string
	}{
		{"net_namespace", &is.NetNamespace, &was.NetNamespace},
		{"net_namespace_ipvs", &is.NetNamespaceIPVS, &was.NetNamespaceIPVS},
		{"instance", &is.Instance, &was.Instance},
	} {
		if *f.is != *f.was {
			p.log.Info(fmt.Sprintf("Cannot change %s from %q to %q at a reload - please restart keepalived", f.keyword, *f.was, *f.is))
			*f.is = *f.was
			changed = true
		}
	}
	if is.UsePIDDir != was.UsePIDDir {
		p.log.Info("Cannot change use_pid_dir at a reload - please restart keepalived")
		is.UsePIDDir = was.UsePIDDir
		changed = true
	}
	if !changed {
		return nil
	}
	encoded, err := l.encoded.WithHead(*l.head)
	if err == nil {
		l.encoded = encoded
	}
	return err
}

// commit ends a reload that succeeded.
func (p *Parent) commit(l *loaded) {
	p.adopt(l)
	if err := p.lockRoles(); err != nil {
		p.log.Error("Cannot create pid file", "err", err)
	}
	if p.worker != nil {
		p.setRoles(p.worker.pid())
	}
	p.pending, p.reloading = nil, false
	p.unmark()
	p.tidyLater()
	p.log.Info("Reload complete")
	notifyReady("Running")
	p.reloadAgain()
}

// tidyLater gives memory back that a configuration took and that is not needed to run it: nothing else allocates, so that it would stay.
func (p *Parent) tidyLater() {
	if p.tidy == nil {
		p.tidy = time.AfterFunc(link.TidyDelay, debug.FreeOSMemory)
	}
	p.tidy.Reset(link.TidyDelay)
}

// reloadFailed ends a reload that changed nothing.
func (p *Parent) reloadFailed(why string) {
	p.pending, p.reloading = nil, false
	p.unmark()
	p.log.Error("Reload failed, the configuration in force stays: " + why)
	notifyReady("Reload failed, running with the previous configuration: " + oneLine(why))
	p.reloadAgain()
}

func (p *Parent) reloadAgain() {
	if p.again {
		p.again = false
		p.reload()
	}
}

// findings: reload_check_config makes a reload as strict as -t.
//
// Differs from keepalived: without it a reload is a transaction too.
//
// It writes what a loader found fault with to the file of reload_check_config, and says so.
func (p *Parent) findings(l *loaded) string {
	path := cmp.Or(p.process.Reload.CheckLog, os.DevNull)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		_, err = f.WriteString(strings.Join(l.lines, "\n") + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		p.log.Warn("Cannot write the findings", "err", err)
	}
	return fmt.Sprintf("New config failed validation, see %s for details", path)
}

// setMark makes the file of reload_file, which exists while a reload goes on.
func (p *Parent) setMark() {
	if p.process.Reload.Mark && p.mark == "" {
		path := cmp.Or(p.process.Reload.MarkFile, strings.TrimSuffix(p.own.path, ".pid")+".reload")
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
		if err != nil {
			p.log.Warn("Cannot create the file of a reload", "err", err)
			return
		}
		f.Close()
		p.mark = path
	}
}

func (p *Parent) unmark() {
	if p.mark != "" {
		os.Remove(p.mark)
		p.mark = ""
	}
}

// lookAtClock reloads at the time in the file of reload_time_file. It is called every second.
func (p *Parent) lookAtClock(now time.Time) {
	if p.stopping || !p.complete {
		return
	}
	due, lines := p.schedule.look(now, p.process.Reload.TimeFile, p.process.Reload.Repeat)
	for _, line := range lines {
		p.log.Info(line)
	}
	if due {
		p.reload()
	}
}
