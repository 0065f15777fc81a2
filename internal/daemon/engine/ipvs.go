package engine

import (
	"context"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
)

// openIPVS returns how the kernel's IPVS is reached that the configuration m is for.
func openIPVS(m *model.Model) func() (ipvs.Kernel, error) {
	ns, buf := ipvsNamespace(m), m.LVS.CommandBuffer
	return func() (ipvs.Kernel, error) { return ipvs.Open(ns, buf) }
}

// ipvsNamespace is the path of the network namespace of IPVS; empty: ours.
func ipvsNamespace(m *model.Model) string {
	switch ns := m.Process.NetNamespaceIPVS; {
	case ns == model.DefaultNamespace:
		return "/proc/1/ns/net"
	case ns != "" && !strings.Contains(ns, "/"):
		return "/run/netns/" + ns
	default:
		return ns
	}
}

// syncDaemon has the kernel synchronise its connections with other directors: in both directions, or as master or backup with
// the instance that lvs_sync_daemon names.
//
// Differs from keepalived: a reload that leaves the daemon's options as they are does not touch it, one that changes them restarts
// it with all of them; an instance without addresses gives the role of the master up too.
type syncDaemon struct {
	*engine
	lane     *ipvs.Lane // nil: never needed
	end      context.CancelFunc
	released bool
}

// apply states the daemons that should run now. It may be called whenever something that matters could have changed.
func (s *syncDaemon) apply() {
	if s.lane == nil {
		if !s.ours() {
			return
		}
		log := s.Log.Role(speaker(s.flags))
		s.lane = ipvs.OpenLane(openIPVS(s.model), log)
		var ctx context.Context
		ctx, s.end = context.WithCancel(context.Background())
		supervise(ctx, s.control.part, log, "IPVS sync daemon lane", func() error { s.lane.Run(ctx); return nil })
	}
	s.lane.WantDaemons(s.wish())
}

// ours reports whether the daemons are this process's business: with an instance that of the one that runs VRRP, else that of the one
// with the checkers. Another process's must be left alone.
func (s *syncDaemon) ours() bool {
	conf := s.model.LVS.Sync
	return conf != nil && (conf.Instance == "" && s.flags.Checkers || conf.Instance != "" && s.vrrp != nil)
}

func (s *syncDaemon) wish() []ipvs.Daemon {
	conf := s.model.LVS.Sync
	if !s.ours() || s.stopping {
		return nil
	}
	daemon := func(state ipvs.DaemonState) ipvs.Daemon {
		return ipvs.Daemon{State: state, Interface: conf.Interface, ID: uint32(conf.ID), MaxLen: conf.MaxLen, Group: conf.Group,
			Port: conf.Port, TTL: conf.TTL}
	}
	switch {
	case conf.Instance == "":
		return []ipvs.Daemon{daemon(ipvs.DaemonMaster), daemon(ipvs.DaemonBackup)}
	case s.vrrp.isMaster(conf.Instance):
		return []ipvs.Daemon{daemon(ipvs.DaemonMaster)}
	}
	return []ipvs.Daemon{daemon(ipvs.DaemonBackup)}
}

// stop ends the daemons, unless IPVS is to be left as it is.
func (s *syncDaemon) stop() {
	if s.lane == nil || s.flags.KeepIPVS {
		s.released = true
		return
	}
	s.apply()
	s.lane.Then(func() {
		s.control.part.Post(func(now time.Time) {
			s.released = true
			s.maybeEnd(now)
		})
	})
}

func (s *syncDaemon) close() {
	if s.lane != nil {
		s.end()
	}
}

// isMaster reports whether the instance called name is master.
func (v *vrrpPart) isMaster(name string) bool {
	for _, r := range v.routers {
		if r.m.Instance().Name == name {
			return r.m.State() == model.Master
		}
	}
	return false
}
