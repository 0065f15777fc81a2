package check

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

var update = flag.Bool("update", false, "write the transcripts as they come out")

// scenario is the row of the list of scenarios that a transcript plays.
var scenario = map[string]string{
	"tcp": "L-F1", "tcp-dead-at-start": "L-F2", "tcp-unable": "L-F3", "warmup": "L-F7", "web-fast-recovery": "L-F20", "web-urls": "L-F21",
	"web-one-url": "L-F22", "smtp": "L-F32", "misc": "L-F44",
}

// TestTranscripts replays testdata/*.txt. A line at the margin is an input, the indented lines after it are what comes out:
//
//	check KIND [key=value]…       a new checker (the defaults are those of newPlayer); reload … makes a second one adopt its state
//	[+delay] event [argument]     tick goes to the deadline; ok, fail, unable, exit, signal, timeout answer the newest probe
func TestTranscripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no transcripts")
	}
	for _, name := range files {
		base := strings.TrimSuffix(filepath.Base(name), ".txt")
		t.Run(strings.TrimSpace(scenario[base]+" "+base), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type player struct {
	t   *testing.T
	now time.Time
	m   *Monitor
	out strings.Builder
}

func play(t *testing.T, script string) string {
	p := &player{t: t, now: epoch}
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		p.out.WriteString(line + "\n")
		if line != "" && line[0] != '#' {
			p.input(strings.Fields(line))
		}
	}
	return p.out.String()
}

func (p *player) input(words []string) {
	if d, ok := strings.CutPrefix(words[0], "+"); ok {
		p.now = p.now.Add(p.duration(d))
		words = words[1:]
	}
	rest := strings.Join(words[1:], " ")
	ev := Event{Kind: Finished, Run: 0}
	if p.m != nil {
		ev.Run = p.m.run
	}
	switch words[0] {
	case "check":
		p.m = p.monitor(words[1:])
		return
	case "reload":
		old := p.m
		p.m = p.monitor(words[1:])
		fmt.Fprintf(&p.out, "  adopted %v, up %v, offset %d\n", p.m.Adopt(p.now, old), p.m.Up(), p.m.Offset())
		p.next()
		return
	case "start":
		ev = Event{Kind: Started}
	case "suspend":
		ev = Event{Kind: Suspended}
	case "resume":
		ev = Event{Kind: Resumed}
	case "tick":
		if p.m.Deadline().IsZero() {
			p.t.Fatal("tick without a deadline")
		}
		p.now = p.m.Deadline()
		ev = Event{Kind: Expired}
	case "ok":
		ev.Result.OK = true
		if rest != "" {
			fmt.Sscanf(rest, "%d of %d", &ev.Result.Received, &ev.Result.Claimed)
		}
	case "stale":
		ev.Run--
		ev.Result.OK = true
	case "fail":
		ev.Result.Reason = rest
	case "unable":
		ev.Result.Unable, ev.Result.Reason = true, rest
	case "exit":
		ev.Result.Exit = p.number(rest)
	case "signal":
		ev.Result.Signal = p.number(rest)
	case "timeout":
		ev.Result.TimedOut, ev.Result.Signal = true, 15
	default:
		p.t.Fatalf("unknown input %q", words)
	}
	for _, a := range p.m.Step(p.now, &ev, nil) {
		p.out.WriteString("  " + p.show(a) + "\n")
	}
	p.next()
}

func (p *player) next() {
	if d := p.m.Deadline(); !d.IsZero() {
		fmt.Fprintf(&p.out, "  next %s\n", d.Sub(epoch))
	}
}

func (p *player) show(a Action) string {
	switch a.Kind {
	case Probe:
		s := fmt.Sprintf("probe %d", a.Run)
		if isWeb(p.m.spec) {
			s += " " + p.m.spec.HTTP.URLs[a.URL].Path
		}
		if !a.Deadline.IsZero() {
			s += fmt.Sprintf(" until %s", a.Deadline.Sub(epoch))
		}
		return s
	case Cancel:
		return fmt.Sprintf("cancel %d", a.Run)
	case Up:
		return "up"
	case Down:
		if a.First {
			return "down (first)"
		}
		return "down"
	case Weight:
		if a.Quiet {
			return fmt.Sprintf("weight %+d (quiet)", a.Offset)
		}
		return fmt.Sprintf("weight %+d", a.Offset)
	case Say:
		return "say " + a.Line
	case Alert:
		return fmt.Sprintf("alert up=%v %s", a.Up, a.Line)
	}
	return fmt.Sprintf("unknown action %d", a.Kind)
}

// monitor makes a checker of 10 s, with retries after 1 s, a timeout of 2 s and no warm-up.
func (p *player) monitor(words []string) *Monitor {
	spec := &model.Check{
		Kind:             model.CheckKind(words[0]),
		DelayLoop:        10 * time.Second,
		DelayBeforeRetry: time.Second,
		Conn:             model.Connect{Dst: netip.MustParseAddrPort("10.0.0.2:80"), Timeout: 2 * time.Second},
	}
	if spec.Kind == model.MiscCheck {
		spec.Conn = model.Connect{}
		spec.Misc = &model.MiscOpts{Script: model.Script{Args: []string{"/bin/probe", "-x"}}}
	}
	if isWeb(spec) {
		spec.HTTP = &model.HTTPOpts{}
	}
	random := 0.0
	on := Subject{Server: "[10.0.0.2]:tcp:80", Service: "[10.0.0.1]:tcp:80", Weight: 10}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "alpha":
			spec.Alpha = true
		case "name":
			spec.DNS.Name = value
		case "log_all":
			spec.LogAllFailures = true
		case "dynamic":
			spec.Misc.Dynamic = true
		case "fast":
			spec.HTTP.FastRecovery = true
		case "retry":
			spec.Retry = uint32(p.number(value))
		case "weight":
			on.Weight = int64(p.number(value))
		case "delay":
			spec.DelayLoop = p.duration(value)
		case "retry_delay":
			spec.DelayBeforeRetry = p.duration(value)
		case "timeout":
			spec.Conn.Timeout = p.duration(value)
		case "warmup":
			spec.Warmup = p.duration(value)
		case "random":
			random, _ = strconv.ParseFloat(value, 64)
		case "url":
			u := model.URL{Path: value}
			if path, ok := strings.CutSuffix(value, ",digest"); ok {
				u = model.URL{Path: path, Digest: make([]byte, 16)}
			}
			if path, ok := strings.CutSuffix(value, ",regex"); ok {
				u = model.URL{Path: path, Regex: "x"}
			}
			spec.HTTP.URLs = append(spec.HTTP.URLs, u)
		default:
			p.t.Fatalf("unknown option %q", w)
		}
	}
	return New(spec, on, random)
}

func (p *player) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *player) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}
