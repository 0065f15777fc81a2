package track

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func TestMatches(t *testing.T) {
	cmd := func(name string, args ...string) Command { return Command{name, args} }
	full := func(m model.ParamMatch, args ...string) model.TrackProcess {
		return model.TrackProcess{Process: "/bin/prog", FullCommand: true, ParamMatch: m, Args: args}
	}
	for _, tt := range []struct {
		name string
		want model.TrackProcess
		cmd  Command
		ok   bool
	}{
		{"name", model.TrackProcess{Process: "prog"}, cmd("prog", "/bin/prog", "x"), true},
		{"another name", model.TrackProcess{Process: "prog"}, cmd("prog2", "prog"), false},
		{"a path is no name", model.TrackProcess{Process: "/bin/prog"}, cmd("prog", "/bin/prog"), false},
		{"kernel thread", model.TrackProcess{Process: "kworker/0:1"}, cmd("kworker/0:1"), true},
		{"command", full(model.ParamNone), cmd("other", "/bin/prog", "x"), true},
		{"another command", full(model.ParamNone), cmd("prog", "prog"), false},
		{"command of a kernel thread", full(model.ParamNone), cmd("/bin/prog"), false},
		{"exact", full(model.ParamExact, "a", "b c"), cmd("", "/bin/prog", "a", "b c"), true},
		{"exact, one more", full(model.ParamExact, "a"), cmd("", "/bin/prog", "a", "b"), false},
		{"exact, one less", full(model.ParamExact, "a", "b"), cmd("", "/bin/prog", "a"), false},
		{"exact, none", full(model.ParamExact), cmd("", "/bin/prog", "a"), false},
		{"partial", full(model.ParamPartial, "a"), cmd("", "/bin/prog", "a", "b"), true},
		{"partial, not the beginning", full(model.ParamPartial, "b"), cmd("", "/bin/prog", "a", "b"), false},
		{"partial, only the beginning of an argument", full(model.ParamPartial, "a"), cmd("", "/bin/prog", "ab"), false},
		{"partial, too few", full(model.ParamPartial, "a", "b"), cmd("", "/bin/prog", "a"), false},
		{"initial", full(model.ParamInitial, "a", "--x="), cmd("", "/bin/prog", "a", "--x=5", "c"), true},
		{"initial, only the last", full(model.ParamInitial, "a", "b"), cmd("", "/bin/prog", "aa", "b"), false},
		{"initial, too few", full(model.ParamInitial, "a", "b"), cmd("", "/bin/prog", "a"), false},
		{"initial, none", full(model.ParamInitial), cmd("", "/bin/prog", "a"), true},
	} {
		if got := matches(&tt.want, tt.cmd); got != tt.ok {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestCensus(t *testing.T) {
	c := NewCensus([]model.TrackProcess{{Process: "a"}, {Process: "b"}, {Process: "/bin/a", FullCommand: true}})
	expect := func(what string, want ...int) {
		t.Helper()
		if got := c.Counts(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	a, b := Command{"a", []string{"/bin/a"}}, Command{"b", []string{"/bin/b"}}
	c.Runs(10, a)
	expect("one process may be looked for twice", 1, 0, 1)
	c.Forked(10, 11)
	c.Forked(99, 12)
	expect("a child runs what its parent does", 2, 0, 2)
	c.Runs(11, b)
	expect("until it runs something else", 1, 1, 1)
	c.Runs(11, b)
	expect("which counts once", 1, 1, 1)
	c.Ended(10)
	c.Ended(10)
	c.Ended(12)
	expect("the end", 0, 1, 0)
	c.Reset()
	expect("anew", 0, 0, 0)
	c.Ended(11)
	expect("the end of a forgotten one", 0, 0, 0)
}

// TestQuorum plays the number of processes: "time number", "-" lets time pass. want has the judgements as "time: line", or "start".
func TestQuorum(t *testing.T) {
	const gained, lost = "Quorum gained for tracked process p", "Quorum lost for tracked process p"
	for _, tt := range []struct{ name, config, steps, want string }{
		{"the first count is silent", "quorum=1", "0 1", "0: true"},
		{"the first count is silent, also without a quorum", "quorum=1 fork=2", "0 0", "0: false"},
		{"at once", "quorum=2", "0 0, 1 1, 2 2, 3 3, 4 1", "0: false, 2: " + gained + ", 4: " + lost},
		{"none allowed", "quorum=0 max=0", "0 0, 1 1, 2 0", "0: true, 1: " + lost + ", 2: " + gained},
		{"not too many", "quorum=1 max=2", "0 1, 1 2, 2 3, 3 2", "0: true, 2: " + lost + ", 3: " + gained},
		{"delays", "quorum=1 fork=2 terminate=1", "0 0, 1 1, 2.9 -, 3 -, 4 0, 5 -", "0: false, 3: " + gained + ", 5: " + lost},
		{"back in time", "quorum=1 terminate=1", "0 1, 1 0, 1.9 1, 5 -, 6 0, 6.5 0, 7 -", "0: true, 7: " + lost},
		{"reload keeps what runs", "quorum=1", "0 1, 1 reload quorum=2, 2 2, 3 reload quorum=1", "0: true, 1: " + lost + ", 2: " + gained},
		{"reload keeps the delay", "quorum=1 terminate=3", "0 1, 1 0, 2 reload quorum=1 terminate=9, 4 -", "0: true, 4: " + lost},
		{"reload before the first count", "quorum=1", "0 reload quorum=2, 1 1", "1: false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
			configure := func(text string) *model.TrackProcess {
				p := &model.TrackProcess{Name: "p", QuorumMax: -1}
				for o := range strings.FieldsSeq(text) {
					k, v, _ := strings.Cut(o, "=")
					n, _ := strconv.Atoi(v)
					switch k {
					case "quorum":
						p.Quorum = n
					case "max":
						p.QuorumMax = n
					case "fork":
						p.Fork = time.Duration(n) * time.Second
					case "terminate":
						p.Terminate = time.Duration(n) * time.Second
					}
				}
				return p
			}
			q := NewQuorum(configure(tt.config))
			var got []string
			note := func(now time.Time, changed bool, line string) {
				if !changed {
					return
				}
				if line == "" {
					line = fmt.Sprint(q.Have())
				}
				got = append(got, fmt.Sprintf("%v: %s", now.Sub(start).Seconds(), line))
			}
			for _, text := range strings.Split(tt.steps, ", ") {
				at, what, _ := strings.Cut(text, " ")
				s, _ := strconv.ParseFloat(at, 64)
				now := start.Add(time.Duration(s * float64(time.Second)).Round(time.Millisecond))
				if d := q.Deadline(); !d.IsZero() && !d.After(now) {
					changed, line := q.Expire(d)
					note(d, changed, line)
				}
				if cfg, ok := strings.CutPrefix(what, "reload "); ok {
					changed, line := q.Reconfigure(now, configure(cfg))
					note(now, changed, line)
				} else if what != "-" {
					n, _ := strconv.Atoi(what)
					changed, line := q.Counted(now, n)
					note(now, changed, line)
				}
				if fork, terminate := q.Waiting(); (fork || terminate) != !q.Deadline().IsZero() || fork && q.Have() {
					t.Errorf("at %s: waiting %v %v, deadline %v", at, fork, terminate, q.Deadline())
				}
			}
			if g := strings.Join(got, ", "); g != tt.want {
				t.Errorf("\n got %s\nwant %s", g, tt.want)
			}
		})
	}
}
