package config

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// weight is a priority change as written: W [reverse|noreverse].
type weight struct {
	W                int
	Reverse, Forward bool
}

// weightKind takes weights within ±limit.
func weightKind(limit int) schema.Kind[weight] {
	return schema.Kind[weight]{Usage: fmt.Sprintf("<-%d-%d> [reverse]", limit, limit), Parse: func(w []source.Word) (weight, error) {
		if len(w) == 0 {
			return weight{}, schema.ErrNoWord
		}
		n, err := schema.ParseInt(w[0].Text, -limit, limit)
		if err != nil {
			return weight{}, err
		}
		v := weight{W: n}
		if len(w) > 1 {
			if w[1].Text != "reverse" {
				return v, schema.Corrected("unknown word %q after the weight", w[1].Text)
			}
			v.Reverse = true
		}
		return v, nil
	}}
}

// VRRPScript is a vrrp_script block.
type VRRPScript struct {
	Name              string
	At, End           source.Pos
	Script            opt[[]string] // program and arguments
	Interval, Timeout opt[time.Duration]
	Weight            opt[weight]
	Rise, Fall        opt[int]
	User              opt[account]
	InitFail          opt[bool]
}

var scriptSeconds = schema.Decimal(time.Second, 0, 4294*time.Second, 3)

// scriptTime is an interval of a script; 0 is corrected to 1 s.
var scriptTime = schema.One("<0.001-4294 seconds>", func(s string) (time.Duration, error) {
	d, err := scriptSeconds.Parse([]source.Word{{Text: s}})
	if d == 0 && err == nil {
		return time.Second, schema.Corrected("%q is too low - using 1", s)
	}
	return d, err
})

var count = schema.Fallback(schema.Int(1, math.MaxInt32), 1)

var vrrpScript = schema.TableOf(func() schema.Rows[VRRPScript] {
	return schema.Rows[VRRPScript]{
		schema.Line("script", commandOnly.Usage, func(s *VRRPScript, n *syntax.Node, r *source.Report) {
			switch c, err := commandOnly.Parse(n.Args); {
			case err != nil && len(n.Args) > 0:
				r.Errorf(n.At(), "script: %v - ignoring", err)
			case len(c.Args) == 0:
				r.Notef(n.At(), "script: no command given - ignoring")
			default:
				s.Script = opt[[]string]{V: c.Args, At: n.At()}
			}
		}, "The command; exit status 0 is success.").Quoted(),
		schema.Value("interval", scriptTime, time.Second, func(s *VRRPScript) *opt[time.Duration] { return &s.Interval },
			"How often it runs."),
		schema.Inherited("timeout", scriptTime, func(s *VRRPScript) *opt[time.Duration] { return &s.Timeout },
			"How long it may run; default the interval."),
		schema.Inherited("weight", weightKind(253), func(s *VRRPScript) *opt[weight] { return &s.Weight },
			"What success or failure adds to the priority; 0: failure is a fault."),
		schema.Value("rise", count, 1, func(s *VRRPScript) *opt[int] { return &s.Rise }, "Successes after which it counts as up."),
		schema.Value("fall", count, 1, func(s *VRRPScript) *opt[int] { return &s.Fall }, "Failures after which it counts as down."),
		schema.Inherited("user", userGroup, func(s *VRRPScript) *opt[account] { return &s.User }, "Who runs it."),
		schema.Flag("init_fail", true, func(s *VRRPScript) *opt[bool] { return &s.InitFail },
			"Start as failed; has no effect once the script is tracked, as in keepalived."),
	}
})

// Tracker is a tracked thing other than a script or an interface.
type Tracker struct {
	Kind    trackKind
	Name    string
	At, End source.Pos

	path                   opt[string]
	process                opt[[]string]
	weight                 opt[weight]
	init                   opt[initFile]
	quorum, quorumMax      int // quorumMax anyNumber: no limit
	paramMatch             opt[model.ParamMatch]
	fullCommand            opt[bool]
	delay, fork, terminate opt[time.Duration]
	bfd                    bfdSession
}

// anyNumber is the quorum_max of a process that may run as often as it likes.
const anyNumber = math.MaxInt

// initFile is what init_file says.
type initFile struct {
	value     int
	overwrite bool
}

type trackKind string

const (
	trackFile    trackKind = "track_file"
	trackProcess trackKind = "track_process"
	trackBFD     trackKind = "track_bfd"
)

func openTracker(kind trackKind) func(*Config, *syntax.Node, *source.Report) *Tracker {
	return func(c *Config, n *syntax.Node, r *source.Report) *Tracker {
		name, ok := blockName(n, r)
		if !ok {
			return nil
		}
		t := &Tracker{Kind: kind, Name: name, At: n.At(), End: n.End, quorum: 1, quorumMax: anyNumber}
		c.Trackers = append(c.Trackers, t)
		return t
	}
}

// blockName returns the first word after the keyword of a block; its absence ends the test, as in keepalived.
func blockName(n *syntax.Node, r *source.Report) (string, bool) {
	if len(n.Args) == 0 {
		r.Add(source.MissingWord, n.At(), "'%s' is missing a required parameter (word 2)", n.Key.Text)
		return "", false
	}
	return n.Args[0].Text, true
}

// oneName returns the name of a block that must have exactly one word.
func oneName(n *syntax.Node, r *source.Report) (string, bool) {
	if len(n.Args) != 1 {
		d := r.Errorf(n.At(), "%s must have exactly one name - ignoring the block", n.Key.Text)
		if len(n.Args) > 1 {
			d.Hint = "a name with blanks has to be quoted"
		}
		return "", false
	}
	return n.Args[0].Text, true
}

func trackRoot() schema.Rows[Config] {
	return schema.Rows[Config]{
		schema.Block("vrrp_script", "NAME ", func(c *Config, n *syntax.Node, r *source.Report) *VRRPScript {
			name, ok := blockName(n, r)
			if !ok {
				return nil
			}
			s := &VRRPScript{Name: name, At: n.At(), End: n.End}
			vrrpScript.Init(s)
			c.Scripts = append(c.Scripts, s)
			return s
		}, vrrpScript, "A health script that instances and groups can track."),
		schema.Block("vrrp_track_process", "NAME ", openTracker(trackProcess), trackProcessTable, "Processes that must run."),
		schema.Block("track_file", "NAME ", openTracker(trackFile), trackFileTable, "A file holding a number.").
			OldName("vrrp_track_file", source.Note).For(syntax.VRRP | syntax.Checkers),
		schema.Block("bfd_instance", "NAME ", openBFD, bfdTable, "A BFD session.").Pending(noBFD).For(syntax.VRRP | syntax.Checkers | syntax.BFD),
	}
}

var trackFileTable = schema.TableOf(func() schema.Rows[Tracker] {
	return schema.Rows[Tracker]{
		schema.Inherited("file", schema.Word, func(t *Tracker) *opt[string] { return &t.path }, "The file.").Lenient().FirstWins(),
		schema.Line("weight", weightKind(254).Usage, readFileWeight, "Factor of the number; 0: any number but 0 is a fault.").Lenient(),
		schema.Inherited("init_file", schema.Kind[initFile]{Usage: "[VALUE] [overwrite]", Parse: parseInitFile},
			func(t *Tracker) *opt[initFile] { return &t.init }, "Create the file with that number.").Options("overwrite"),
	}
})

var fileWeight = schema.Fallback(weightKind(254), weight{W: 1})

// readFileWeight lets the first weight count, unless that was 1, as in keepalived.
func readFileWeight(t *Tracker, n *syntax.Node, r *source.Report) {
	if t.weight.IsSet() && t.weight.V.W != 1 {
		r.Errorf(n.At(), "weight is already specified - ignoring").With("the first one counts, at", t.weight.At)
		return
	}
	v, err := fileWeight.Parse(n.Args)
	if err != nil {
		r.Errorf(n.At(), "weight: %v", err)
		if errors.Is(err, schema.ErrNoWord) {
			return
		}
	}
	t.weight = opt[weight]{V: v, At: n.At()}
}

func parseInitFile(w []source.Word) (f initFile, err error) {
	for _, x := range w {
		if x.Text == "overwrite" {
			f.overwrite = true
			continue
		}
		if x.Text == "" {
			err = schema.Corrected("the value is empty")
			continue
		}
		n, e := schema.ParseInt(x.Text, math.MinInt32, math.MaxInt32)
		switch {
		case e != nil:
			err = schema.Corrected("%w - using 0", e)
			continue
		case n < -254 || n > 254:
			err = schema.Corrected("%d is not within -254 and 254", n)
		}
		f.value = n
	}
	return f, err
}

var processDelay = schema.Seconds(time.Microsecond, 3600*time.Second)

var trackProcessTable = schema.TableOf(func() schema.Rows[Tracker] {
	return schema.Rows[Tracker]{
		schema.Inherited("process", schema.Kind[[]string]{Usage: "NAME|PATH [ARG…]", Parse: func(w []source.Word) (out []string, err error) {
			for _, x := range w {
				out = append(out, x.Text)
			}
			if len(out) == 0 {
				err = schema.ErrNoWord
			}
			return out, err
		}}, func(t *Tracker) *opt[[]string] { return &t.process }, "Name or path, and arguments.").FirstWins(),
		schema.Inherited("param_match", schema.Kind[model.ParamMatch]{Usage: "[initial|partial]", Parse: func(w []source.Word) (model.ParamMatch, error) {
			switch {
			case len(w) == 0:
				return model.ParamExact, nil
			case w[0].Text == "initial":
				return model.ParamInitial, nil
			case w[0].Text == "partial":
				return model.ParamPartial, nil
			}
			return model.ParamNone, fmt.Errorf("unknown value %q", w[0].Text)
		}}, func(t *Tracker) *opt[model.ParamMatch] { return &t.paramMatch }, "How arguments are compared."),
		schema.Line("weight", weightKind(254).Usage, func(t *Tracker, n *syntax.Node, r *source.Report) {
			if t.weight.V.W != 0 {
				r.Errorf(n.At(), "weight is already specified - ignoring").With("the first one counts, at", t.weight.At)
				return
			}
			v, err := weightKind(254).Parse(n.Args)
			if err != nil {
				r.Errorf(n.At(), "weight: %v - ignoring", err)
				return
			}
			t.weight = opt[weight]{V: v, At: n.At()}
		}, "What it adds to the priority.").Lenient(),
		schema.Line("quorum", "<1-65535>", func(t *Tracker, n *syntax.Node, r *source.Report) {
			readQuorum(t, n, &t.quorum, 1, r)
		}, "Processes needed."),
		schema.Line("quorum_max", "<0-65535>", func(t *Tracker, n *syntax.Node, r *source.Report) {
			readQuorum(t, n, &t.quorumMax, 0, r)
		}, "Most processes allowed."),
		schema.Inherited("delay", processDelay, func(t *Tracker) *opt[time.Duration] { return &t.delay }, "Both of the following."),
		schema.Inherited("terminate_delay", processDelay, func(t *Tracker) *opt[time.Duration] { return &t.terminate }, "Wait after the quorum is lost."),
		schema.Inherited("fork_delay", processDelay, func(t *Tracker) *opt[time.Duration] { return &t.fork }, "Wait after the quorum is gained."),
		schema.Flag("full_command", true, func(t *Tracker) *opt[bool] { return &t.fullCommand }, "Match the first word of the command line."),
	}
})

func readQuorum(t *Tracker, n *syntax.Node, field *int, low int, r *source.Report) {
	if len(n.Args) == 0 {
		r.Add(source.MissingWord, n.At(), "'%s' is missing a required parameter (word 2)", n.Key.Text)
		return
	}
	v, err := schema.ParseInt(n.Args[0].Text, low, 65535)
	if err != nil {
		r.Errorf(n.Args[0].At, "%s: %v - ignoring", n.Key.Text, err)
		return
	}
	old := *field
	if *field = v; t.quorumMax > 0 && t.quorum > t.quorumMax {
		r.Errorf(n.Args[0].At, "%s: the quorum would be above quorum_max - ignoring", n.Key.Text)
		*field = old
	}
}

// trackEntry is one line of a track_* block.
type trackEntry struct {
	Name   string
	Weight opt[weight] // unset: that of the tracker
}

// weight is that of the entry where the tracker has one of its own: without it that, and without noreverse its direction.
func (e *trackEntry) weight(tracker weight) weight {
	if !e.Weight.IsSet() {
		return tracker
	}
	w := e.Weight.V
	w.Reverse = w.Reverse || tracker.Reverse && !w.Forward
	return w
}

// readTrack reads NAME [weight W [reverse|noreverse]]; an unusable weight drops the entry, or falls back to the tracker's.
func readTrack(kind string, n *syntax.Node, r *source.Report) (trackEntry, bool) {
	e := trackEntry{Name: n.Key.Text}
	if len(n.Args) == 0 {
		return e, true
	}
	if n.Args[0].Text != "weight" {
		r.Errorf(n.Args[0].At, "%s %s: unknown option %q - ignoring the entry", kind, e.Name, n.Args[0].Text)
		return e, false
	}
	if len(n.Args) < 2 {
		r.Errorf(n.Args[0].At, "%s %s: weight has no value - ignoring the entry", kind, e.Name)
		return e, false
	}
	at := n.Args[1].At
	limit := 254
	if kind == string(trackBFD) {
		limit = 253
	}
	w, err := schema.ParseInt(n.Args[1].Text, -limit, limit)
	if err != nil {
		r.Errorf(at, "%s %s: weight %v - ignoring the weight", kind, e.Name, err)
		return e, !errors.Is(err, schema.ErrNoWord)
	}
	if limit == 254 && kind != string(trackFile) && kind != string(trackProcess) && (w == 254 || w == -254) {
		w -= w / 254
		r.Errorf(at, "%s %s: weight %s is reduced to %d", kind, e.Name, n.Args[1].Text, w)
	}
	e.Weight = opt[weight]{V: weight{W: w}, At: at}
	if len(n.Args) > 2 {
		switch word := n.Args[2].Text; {
		case word == "reverse":
			e.Weight.V.Reverse = true
		case word == "noreverse" && kind != "track_interface":
			e.Weight.V.Forward = true
		default:
			r.Errorf(n.Args[2].At, "%s %s: unknown word %q - ignoring it", kind, e.Name, word)
			return e, kind != string(trackFile) && kind != string(trackBFD)
		}
	}
	return e, true
}

// trackOptions are the words of an entry of a track_* block.
func trackOptions(kind string) []string {
	if kind == "track_interface" {
		return []string{"<NAME>", "weight", "reverse"}
	}
	return []string{"<NAME>", "weight", "reverse", "noreverse"}
}

// trackLists are the track_* blocks of an instance or group.
type trackLists struct {
	Interfaces, Scripts, Files, Processes, BFD []opt[trackEntry]

	Checks []*trackCheck // track_tcp, track_http, …

	names seen
}

func trackRows[T any](of func(*T) *trackLists) schema.Rows[T] {
	row := func(kind, doc string, list func(*trackLists) *[]opt[trackEntry]) *schema.Keyword[T] {
		return schema.Items(kind, "NAME [weight W [reverse]]", func(t *T, n *syntax.Node, r *source.Report) (trackEntry, bool) {
			if old, dup := of(t).names.twice(kind+" "+n.Key.Text, n.At()); dup {
				r.Errorf(n.At(), "duplicate %s %s - ignoring", kind, n.Key.Text).With("first named at", old)
				return trackEntry{}, false
			}
			return readTrack(kind, n, r)
		}, func(t *T) *[]opt[trackEntry] { return list(of(t)) }, doc).Options(trackOptions(kind)...)
	}
	return schema.Rows[T]{
		row("track_interface", "Interfaces that must be up.", func(t *trackLists) *[]opt[trackEntry] { return &t.Interfaces }),
		row("track_script", "Scripts that must succeed.", func(t *trackLists) *[]opt[trackEntry] { return &t.Scripts }),
		row("track_file", "Files that change the priority.", func(t *trackLists) *[]opt[trackEntry] { return &t.Files }),
		row("track_process", "Processes that must run.", func(t *trackLists) *[]opt[trackEntry] { return &t.Processes }),
		row("track_bfd", "BFD sessions that must be up.", func(t *trackLists) *[]opt[trackEntry] { return &t.BFD }).Pending(noBFD),
	}
}
