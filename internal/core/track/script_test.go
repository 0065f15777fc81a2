package track

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func (a ScriptAction) String() string {
	switch a.Kind {
	case Run:
		return "run"
	case Kill:
		if a.Hard {
			return "KILL"
		}
		return "TERM"
	case Report:
		return fmt.Sprintf("fact %v", a.Fact.OK)
	case Say:
		return a.Line
	}
	return "?"
}

// TestScript plays scripts of 1 s interval. A step is "time event": exit=N and signal=N end the run, "reload key=value..." changes
// the configuration, "-" lets time pass. Everything that happens up to that time and at it is in want, as "time: action".
func TestScript(t *testing.T) {
	tests := []struct {
		name   string
		config string
		steps  string
		want   string
	}{
		{"runs at a fixed rate, whatever a run takes", "", "0 begin, 0.3 exit=0, 1.9 exit=0, 2.1 exit=0, 3 -",
			"0: run, 0.3: VRRP_Script(chk) succeeded, 0.3: fact true, 1: run, 2: run, 3: run"},
		{"the first result decides alone: good", "rise=3 fall=3", "0 begin, 0.1 exit=0",
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true"},
		{"the first result decides alone: bad", "rise=3 fall=3", "0 begin, 0.1 exit=1",
			"0: run, 0.1: Script `chk` now returning 1, 0.1: VRRP_Script(chk) failed (exited with status 1), 0.1: fact false"},
		{"fall", "fall=3", "0 begin, 0.1 exit=0, 1.1 exit=1, 2.1 exit=1, 3.1 exit=2",
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true, 1: run, 1.1: Script `chk` now returning 1, 2: run, 3: run, " +
				"3.1: Script `chk` now returning 2, 3.1: VRRP_Script(chk) failed (exited with status 2), 3.1: fact false"},
		{"a good result between failures is not enough to forget them", "fall=3", "0 begin, 0.1 exit=0, 1.1 exit=1, 2.1 exit=0, 3.1 exit=1, 4.1 exit=1",
			// the counter went back to its top with the good result, so that two failures do not tip it
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true, 1: run, 1.1: Script `chk` now returning 1, 2: run, " +
				"2.1: Script `chk` now returning 0, 3: run, 3.1: Script `chk` now returning 1, 4: run"},
		{"rise", "rise=2", "0 begin, 0.1 exit=1, 1.1 exit=0, 2.1 exit=1, 3.1 exit=0, 4.1 exit=0",
			"0: run, 0.1: Script `chk` now returning 1, 0.1: VRRP_Script(chk) failed (exited with status 1), 0.1: fact false, 1: run, " +
				"1.1: Script `chk` now returning 0, 2: run, 2.1: Script `chk` now returning 1, 3: run, 3.1: Script `chk` now returning 0, " +
				"4: run, 4.1: VRRP_Script(chk) succeeded, 4.1: fact true"},
		{"a failure forgets all good results", "rise=2", "0 begin, 0.1 exit=0, 1.1 exit=1, 2.1 exit=0, 3.1 exit=0",
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true, 1: run, 1.1: Script `chk` now returning 1, " +
				"1.1: VRRP_Script(chk) failed (exited with status 1), 1.1: fact false, 2: run, 2.1: Script `chk` now returning 0, 3: run, " +
				"3.1: VRRP_Script(chk) succeeded, 3.1: fact true"},
		{"death by a signal is a failure", "", "0 begin, 0.1 signal=9",
			"0: run, 0.1: VRRP_Script(chk) failed (due to signal 9), 0.1: fact false"},
		{"what cannot be started has failed", "", "0 begin, 0 unstarted, 1 -",
			"0: run, 0: VRRP_Script(chk) failed (could not be run), 0: fact false, 1: run"},
		{"a hanging script runs every second interval and is killed by TERM, then KILL", "timeout=1s fall=2", "0 begin, 0.1 exit=0, 2.1 signal=15, 4.5 -, 6 signal=9, 7 -",
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true, 1: run, " +
				"2: Track script chk is already running, expect idle - skipping run, 2: TERM, 3: run, " +
				"4: Track script chk is already running, expect idle - skipping run, 4: TERM, 4: VRRP_Script(chk) timed_out, 4: fact false, " +
				"5: Track script chk is already running, expect idle - skipping run, " +
				"6: Track script chk is already running, expect idle - skipping run, 6: KILL, 7: run"},
		{"the end of a run that timed out counts once", "timeout=0.5s fall=2", "0 begin, 0.1 exit=0, 1.6 exit=0, 2.1 exit=0",
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true, 1: run, 1.5: TERM, 2: run"},
		{"reload keeps judgement and schedule", "", "0 begin, 0.1 exit=0, 0.5 reload rise=3 fall=1, 1.1 exit=1",
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true, 0.5: VRRP_Script(chk) considered successful on reload, 1: run, " +
				"1.1: Script `chk` now returning 1, 1.1: VRRP_Script(chk) failed (exited with status 1), 1.1: fact false"},
		{"reload keeps a bad judgement", "rise=2", "0 begin, 0.1 exit=1, 0.5 reload rise=1, 1.1 exit=0",
			"0: run, 0.1: Script `chk` now returning 1, 0.1: VRRP_Script(chk) failed (exited with status 1), 0.1: fact false, " +
				"0.5: VRRP_Script(chk) considered unsuccessful on reload, 1: run, 1.1: Script `chk` now returning 0, 1.1: VRRP_Script(chk) succeeded, 1.1: fact true"},
		{"reload with a shorter interval", "interval=60s timeout=60s", "0 begin, 0.1 exit=0, 5 reload interval=1s, 6 -",
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true, 5: VRRP_Script(chk) considered successful on reload, 6: run"},
		{"reload with another command runs that at once", "", "0 begin, 0.1 exit=0, 0.5 reload command=/other, 0.6 exit=1",
			"0: run, 0.1: VRRP_Script(chk) succeeded, 0.1: fact true, 0.5: run, 0.6: Script `chk` now returning 1, " +
				"0.6: VRRP_Script(chk) failed (exited with status 1), 0.6: fact false"},
		{"reload with another command ends the run of the old, whose result is nothing", "", "0 begin, 0.5 reload command=/other, 0.6 exit=7, 0.7 exit=0",
			"0: run, 0.5: TERM, 0.6: run, 0.7: VRRP_Script(chk) succeeded, 0.7: fact true"},
		{"end terminates the run", "", "0 begin, 0.5 end, 2.5 -, 3 signal=9, 9 -", "0: run, 0.5: TERM, 2.5: KILL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := model.TrackScript{Name: "chk", Script: model.Script{Args: []string{"/chk"}}, Interval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1}
			configure := func(text string) {
				for o := range strings.FieldsSeq(text) {
					k, v, _ := strings.Cut(o, "=")
					switch k {
					case "rise":
						cfg.Rise, _ = strconv.Atoi(v)
					case "fall":
						cfg.Fall, _ = strconv.Atoi(v)
					case "interval":
						cfg.Interval, _ = time.ParseDuration(v)
					case "timeout":
						cfg.Timeout, _ = time.ParseDuration(v)
					case "command":
						cfg.Script.Args = []string{v}
					default:
						t.Fatalf("option %q", o)
					}
				}
			}
			configure(tt.config)
			start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
			first := cfg
			s := NewScript(&first)
			var got []string
			step := func(now time.Time, ev ScriptEvent) {
				for _, a := range s.Step(now, ev, nil) {
					got = append(got, fmt.Sprintf("%v: %v", now.Sub(start).Seconds(), a))
				}
			}
			for _, text := range strings.Split(tt.steps, ", ") {
				f := strings.Fields(text)
				at, err := strconv.ParseFloat(f[0], 64)
				if err != nil {
					t.Fatal(err)
				}
				now := start.Add(time.Duration(at * float64(time.Second)).Round(time.Millisecond))
				for d := s.Deadline(); !d.IsZero() && !d.After(now); d = s.Deadline() {
					step(d, ScriptEvent{Kind: Expired})
				}
				what, v, _ := strings.Cut(f[1], "=")
				n, _ := strconv.Atoi(v)
				switch what {
				case "begin":
					step(now, ScriptEvent{Kind: Begin})
				case "exit":
					step(now, ScriptEvent{Kind: Exited, Status: n})
				case "signal":
					step(now, ScriptEvent{Kind: Exited, Signal: n})
				case "unstarted":
					step(now, ScriptEvent{Kind: Unstarted})
				case "end":
					step(now, ScriptEvent{Kind: End})
				case "reload":
					configure(strings.Join(f[2:], " "))
					next := cfg
					step(now, ScriptEvent{Kind: Reloaded, Script: &next})
				case "-":
				default:
					t.Fatalf("step %q", text)
				}
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("\ngot  %s\nwant %s", got, tt.want)
			}
		})
	}
}
