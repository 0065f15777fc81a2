package engine

import (
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/script"
)

// trackScript is one vrrp_script that runs.
type trackScript struct {
	s    *track.Script
	slot int
	job  uint64 // of the current run
	gone bool   // a reload removed it; its last run may still end
}

func (v *vrrpPart) addScript(now time.Time, cfg *model.TrackScript) {
	s := &trackScript{s: track.NewScript(cfg)}
	used := func(n int) bool {
		return slices.ContainsFunc(v.scripts, func(o *trackScript) bool { return o.slot == n })
	}
	for used(s.slot) {
		s.slot++
	}
	v.scripts = append(v.scripts, s)
	v.stepScript(now, s, track.ScriptEvent{Kind: track.Begin})
}

func (v *vrrpPart) stepScript(now time.Time, s *trackScript, ev track.ScriptEvent) {
	for _, a := range s.s.Step(now, ev, nil) {
		switch a.Kind {
		case track.Run:
			v.runScript(s)
		case track.Kill:
			sig := sigTerm
			if a.Hard {
				sig = sigKill
			}
			if s.s.Config().Check != nil {
				v.prober.Cancel(s.job)
			} else {
				v.engine.scripts.runner.Kill(s.job, sig)
			}
		case track.Say:
			v.log.Info(a.Line)
		case track.Report:
			if !s.gone {
				v.fact(now, a.Fact)
			}
		}
	}
	v.scriptDue.Set(s.slot, s.s.Deadline())
}

func (v *vrrpPart) runScript(s *trackScript) {
	if c := s.s.Config(); c.Check != nil {
		v.runCheck(s, c)
		return
	}
	s.job = v.engine.scripts.run(v.part, script.Job{Script: s.s.Config().Script}, func(now time.Time, r script.Result) {
		ev := track.ScriptEvent{Kind: track.Exited, Status: r.Exit, Signal: int(r.Signal)}
		if r.Err != nil {
			ev = track.ScriptEvent{Kind: track.Unstarted}
		}
		if !s.gone {
			v.stepScript(now, s, ev)
			v.flush(now)
		}
	})
}

func (v *vrrpPart) scriptDeadline() time.Time { return v.scriptDue.Next() }

// perPass is how many checks or scripts are begun before the loop looks at what else is due: a thousand at once must not hold an advert up.
const perPass = 16

func (v *vrrpPart) expireScripts(now time.Time) {
	if _, ok := v.scriptDue.Due(now); ok && v.engine.scripts.resultsDue() {
		return
	}
	for range perPass {
		slot, ok := v.scriptDue.Due(now)
		if !ok {
			return
		}
		i := slices.IndexFunc(v.scripts, func(s *trackScript) bool { return s.slot == slot })
		if i < 0 {
			v.scriptDue.Set(slot, time.Time{})
			continue
		}
		v.stepScript(now, v.scripts[i], track.ScriptEvent{Kind: track.Expired})
	}
}

// reloadScripts lets scripts that are kept go on, by name.
func (v *vrrpPart) reloadScripts(now time.Time, next *model.VRRP) {
	old := v.scripts
	v.scripts = nil
	var fresh []*model.TrackScript
	for i := range next.Scripts {
		cfg := &next.Scripts[i]
		n := slices.IndexFunc(old, func(s *trackScript) bool { return s.s.Config().Name == cfg.Name })
		if n < 0 {
			fresh = append(fresh, cfg)
			continue
		}
		s := old[n]
		old = slices.Delete(old, n, n+1)
		v.scripts = append(v.scripts, s)
		v.stepScript(now, s, track.ScriptEvent{Kind: track.Reloaded, Script: cfg})
	}
	for _, s := range old {
		v.stepScript(now, s, track.ScriptEvent{Kind: track.End})
		s.gone = true
		if s.s.Config().Check == nil {
			v.engine.scripts.runner.Kill(s.job, sigTerm)
		}
		v.scriptDue.Set(s.slot, time.Time{})
	}
	for _, cfg := range fresh {
		v.addScript(now, cfg)
	}
}
