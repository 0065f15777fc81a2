package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/probe"
)

// checkGrace is how much longer than its own limit a probe may take before the prober counts as hung.
const checkGrace = 2 * time.Second

// runCheck probes in place of a script. VRRP has a prober of its own: thousands of real servers must not delay what decides who is master.
func (v *vrrpPart) runCheck(s *trackScript, c *model.TrackScript) {
	if v.prober == nil {
		v.prober = probe.Spawn(probe.Options{
			Exe: v.Exe, Args: v.ProberArgs, Env: v.ProberEnv, Log: v.log,
			OnResults: func(batch []probe.Answer) {
				v.part.Post(func(now time.Time) {
					for _, a := range batch {
						v.probed(now, a)
					}
					v.flush(now)
				})
			},
			OnDied: func(err error) { v.log.Warn(fmt.Sprintf("%v - starting another", err)) },
		})
	}
	v.lastProbe++
	s.job = v.lastProbe
	v.prober.Start(s.job, probe.NewSpec(c.Check, 0, v.engine.model.LVS.TLS), c.Timeout-checkGrace)
}

func (v *vrrpPart) probed(now time.Time, a probe.Answer) {
	i := slices.IndexFunc(v.scripts, func(s *trackScript) bool { return s.s.Config().Check != nil && s.job == a.ID })
	if i < 0 {
		return
	}
	ev := track.ScriptEvent{Kind: track.Probed, OK: a.Result.OK, Reason: a.Result.Reason}
	if a.Result.Unable {
		v.log.Info(fmt.Sprintf("VRRP_Check(%s): %s", v.scripts[i].s.Config().Name, a.Result.Reason))
		ev.Kind = track.Unable
	}
	v.stepScript(now, v.scripts[i], ev)
}
