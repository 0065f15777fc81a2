package check

import (
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// FuzzMonitor feeds any stream of events and checks what must hold at all times: a started checker has a deadline or an open script,
// probes are numbered upwards and one at a time, and Up and Down alternate with the state they tell.
func FuzzMonitor(f *testing.F) {
	f.Add(uint8(0), []byte{0, 2, 1, 2, 11, 2, 1})
	f.Add(uint8(0x2d), []byte{0, 2, 1, 2, 1, 2, 11, 2, 1, 2, 1, 3, 2, 4, 2})
	f.Add(uint8(0x1b), []byte{0, 2, 21, 2, 5, 2, 31, 5, 2, 11})
	f.Fuzz(func(t *testing.T, options uint8, events []byte) {
		spec := fuzzSpec(options)
		m := New(spec, Subject{Server: "R", Service: "V", Weight: 10}, 0.5)
		now, up, run, open := epoch, m.Up(), uint32(0), false
		for _, b := range events {
			ev := Event{Kind: EventKind(b % 10 % 5), Run: m.run}
			ev.Result = Result{OK: b&1 != 0, Unable: b&64 != 0, Reason: TCPFailed, Exit: int(b) / 10, Signal: int(b & 32)}
			if b%10 == 5 { // a reload
				next := New(fuzzSpec(options^(b&0x30)), m.on, 0.5)
				if next.Adopt(now, m) {
					m, spec = next, next.spec
					run, open = m.run, m.phase == probing
				}
				continue
			}
			if d := m.Deadline(); ev.Kind == Expired && !d.IsZero() {
				now = d
			}
			for _, a := range m.Step(now, &ev, nil) {
				switch a.Kind {
				case Probe:
					if open || a.Run <= run {
						t.Fatalf("probe %d asked while %d is open %v", a.Run, run, open)
					}
					if isWeb(spec) && a.URL >= len(spec.HTTP.URLs) {
						t.Fatalf("url %d of %d", a.URL, len(spec.HTTP.URLs))
					}
					run, open = a.Run, true
				case Up, Down:
					if a.Kind == Up && up || a.Kind == Down && up == a.First {
						t.Fatalf("action %+v while up is %v", a, up)
					}
					up = a.Kind == Up
				}
			}
			if m.phase != probing {
				open = false
			}
			switch {
			case m.Up() != up:
				t.Fatalf("up is %v, told was %v", m.Up(), up)
			case m.phase == waiting && m.Deadline().IsZero(), m.phase == probing && m.Deadline().IsZero() && spec.Kind != model.MiscCheck:
				t.Fatal("no deadline")
			case m.failures > 1:
				t.Fatalf("%d failures with one retry at most", m.failures)
			case up && m.web.failed != noURL:
				t.Fatal("up with a failed url")
			}
		}
	})
}

// fuzzSpec makes a checker of eight bits: kind, alpha, retries, delay, urls, fast_recovery and misc_dynamic.
func fuzzSpec(o uint8) *model.Check {
	kinds := []model.CheckKind{model.TCPCheck, model.HTTPGet, model.SMTPCheck, model.MiscCheck}
	c := &model.Check{
		Kind: kinds[o&3], Alpha: o&4 != 0, Retry: uint32(o >> 3 & 1), LogAllFailures: true,
		DelayLoop: time.Duration(1+o>>4&3) * time.Second, DelayBeforeRetry: time.Second, Warmup: time.Second,
	}
	c.Conn.Timeout = time.Second
	if isWeb(c) {
		c.HTTP = &model.HTTPOpts{FastRecovery: o&64 != 0, URLs: []model.URL{{Path: "/a"}, {Path: "/b"}}}
	} else if c.Kind == model.MiscCheck {
		c.Conn = model.Connect{}
		c.Misc = &model.MiscOpts{Script: model.Script{Args: []string{"/x"}}, Dynamic: o&128 != 0}
	}
	return c
}
