package parent

import (
	"fmt"

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
	case l.model == nil:
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
	if err := p.worker.conn.Send(link.Message{Kind: link.Reload, Flags: p.wanted(l.model), Model: l.encoded}); err != nil {
		p.reloadFailed(err.Error())
		return
	}
	p.pending = l
}

// keepFixed restores what cannot change while the daemon runs, and says so.
func (p *Parent) keepFixed(l *loaded) error {
	is, was := &l.model.Process, &p.process
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
	encoded, err := link.Encode(l.model)
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
	p.log.Info("Reload complete")
	notifyReady("Running")
	p.reloadAgain()
}

// reloadFailed ends a reload that changed nothing.
func (p *Parent) reloadFailed(why string) {
	p.pending, p.reloading = nil, false
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
