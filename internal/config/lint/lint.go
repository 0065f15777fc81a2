// Package lint finds what keepalived accepts but operators regret. Each rule is one row of the table Rules.
package lint

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Rule is one kind of regret.
type Rule struct {
	ID     string // kebab-case; never reused
	Reason string // a sentence
	Fix    string // what to write, given as the hint of each finding
	check  func(*subject)
}

// Check adds the findings of all rules, as notes, to the report of a configuration that a daemon accepts.
func Check(c *config.Config, m *model.Model, host config.Host, r *source.Report) {
	s := &subject{config: c, model: m, host: config.Remember(host), report: r}
	s.pair()
	for i := range Rules {
		s.rule = &Rules[i]
		s.rule.check(s)
	}
}

// Write prints the table of rules as the document docs/lint.md.
func Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Lint rules\n\n`keepalived-go -t --lint` adds these findings as notes, which do not change the exit code. " +
		"Generated from internal/config/lint; do not edit.\n\n| rule | what is regretted | what to do |\n|---|---|---|\n")
	for _, r := range Rules {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.ID, cell(r.Reason), cell(r.Fix))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	return nil
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// subject is what the rules look at: what was written beside what it came to.
type subject struct {
	rule   *Rule
	config *config.Config
	model  *model.Model
	host   config.Host
	report *source.Report

	instances []instance
	services  []service
}

type instance struct {
	*model.Instance
	written *config.Instance
}

type service struct {
	*model.VirtualServer
	written *config.VirtualServer
	servers []server
}

type server struct {
	*model.RealServer
	at       source.Pos
	checkers int // written, those included that are not run yet
}

func (s *subject) say(at source.Pos, format string, args ...any) {
	d := s.report.Notef(at, format, args...)
	d.Rule, d.Hint = s.rule.ID, s.rule.Fix
}

// pair finds what was written for each thing that runs.
func (s *subject) pair() {
	for i := range s.model.VRRP.Instances {
		in := &s.model.VRRP.Instances[i]
		for _, w := range s.config.Instances {
			if w.Name == in.Name {
				s.instances = append(s.instances, instance{in, w})
				break
			}
		}
	}
	for _, w := range s.config.LVS.Services {
		if w.Run == 0 {
			continue
		}
		v := service{VirtualServer: &s.model.LVS.Services[w.Run-1], written: w}
		for _, r := range w.Real {
			if r.Run > 0 {
				v.servers = append(v.servers, server{RealServer: &v.Real[r.Run-1], at: r.At, checkers: len(r.Checkers)})
			}
		}
		s.services = append(s.services, v)
	}
}

// vipAt is the place of an address of an instance.
func (i instance) vipAt(a netip.Prefix) source.Pos {
	for _, v := range append(i.written.VIPs[:len(i.written.VIPs):len(i.written.VIPs)], i.written.Excluded...) {
		if v.V.Prefix == a {
			return v.At
		}
	}
	return i.written.At
}

// trackAt is the place of an entry of a track_* block.
func (i instance) trackAt(name string) source.Pos {
	for _, t := range i.written.Track.Interfaces {
		if t.V.Name == name {
			return t.At
		}
	}
	for _, t := range i.written.Track.Scripts {
		if t.V.Name == name {
			return t.At
		}
	}
	return i.written.At
}

// tracks are all trackers of the instance.
func (i instance) tracks() []model.Track {
	return append(i.TrackInterfaces[:len(i.TrackInterfaces):len(i.TrackInterfaces)], i.TrackScripts...)
}

// or is the first place that is one.
func or(places ...source.Pos) source.Pos {
	for _, p := range places {
		if p.IsSet() {
			return p
		}
	}
	return source.Pos{}
}
