// Package config holds the keyword tables of keepalived.conf, one file per block, and turns a configuration into a model.Model.
//
//	bytes ─source─▶ lines ─syntax─▶ statements ─Read─▶ Config ─Resolve─▶ model.Model
//
// Config still says what was written and where. Resolve applies defaults, inheritance and keepalived's corrections, and needs a Host,
// since what a configuration means depends on interfaces, users and files.
package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Options are the command line's part in what a configuration means.
type Options struct {
	ConfigID string                  // -i; empty: the host name up to its first dot
	CheckAll bool                    // -e: every include check is on
	Getenv   func(string) string     // for ${_ENV NAME}; nil: all are empty
	Random   func(low, high int) int // for ${_RANDOM}; nil: always low
}

// Load reads, checks and resolves the configuration called name. The model is nil if the report refuses it, that is if a daemon must not
// run with it; findings that do not refuse it have been corrected as the report says.
func Load(files source.Files, name string, opt Options, host Host) (*model.Model, *source.Report) {
	_, m, r := LoadWritten(files, name, opt, host)
	return m, r
}

// LoadWritten is Load that also returns the configuration as written.
func LoadWritten(files source.Files, name string, opt Options, host Host) (*Config, *model.Model, *source.Report) {
	r := &source.Report{}
	text := load(files, name, opt, host, r)
	c := Read(syntax.Parse(text, root(), r), r)
	c.text, c.report = text, r
	if r.Ended() {
		return c, nil, r
	}
	m := Resolve(c, host, r)
	if r.Refused() {
		return c, nil, r
	}
	return c, m, r
}

// Parse reads the statements of the configuration called name.
func Parse(files source.Files, name string, opt Options, host Host, r *source.Report) []*syntax.Node {
	return syntax.Parse(load(files, name, opt, host, r), root(), r)
}

func load(files source.Files, name string, opt Options, host Host, r *source.Report) *source.Reading {
	if opt.ConfigID == "" {
		opt.ConfigID = shortName(host.Hostname())
	}
	env := source.Env{ConfigID: opt.ConfigID, CheckAll: opt.CheckAll, Getenv: opt.Getenv, Random: opt.Random}
	return source.Load(files, name, env, r)
}

// Config is a configuration as written.
type Config struct {
	Global Global

	NetNamespace     opt[string]
	NetNamespaceIPVS opt[string]
	InstanceName     opt[string]
	UsePIDDir        opt[bool]
	NamespaceIPSets  opt[bool]
	ChildWaitTime    opt[time.Duration]

	Scripts      []*VRRPScript
	Trackers     []*Tracker // track_file, vrrp_track_process, bfd_instance
	Groups       []*SyncGroup
	Instances    []*Instance
	GARPGroups   []*GARPGroup
	UpDown       []opt[upDown]
	Linkbeat     []opt[linkbeat]
	LinkbeatAll  opt[bool]
	Static       []opt[Address]
	StaticRoutes []opt[*Route]
	StaticRules  []opt[*Rule]
	TrackGroup   []*TrackGroup

	LVS LVS

	needs  []need // of capabilities; set by Resolve
	names  seen   // of blocks that may not stand twice
	text   *source.Reading
	report *source.Report // of its reading
}

// Save writes the configuration as it was read: without remarks, with what was included, chosen and substituted in place. It reads back
// as the same configuration.
//
// Differs from keepalived: definitions are substituted and conditions decided.
// It is keepalived's form: "# FILE" before the first line of each file.
func (c *Config) Save(w io.Writer) error {
	out := bufio.NewWriter(w)
	depth, file := 0, ""
	for l := range c.text.All() {
		if f := c.report.Place(l.At).File; f != file {
			fmt.Fprintf(out, "# %s\n", f)
			file = f
		}
		text := l.Raw
		switch l.Kind {
		case source.Open:
			text = "{"
		case source.Close:
			text = "}"
			depth = max(depth-1, 0)
		}
		fmt.Fprintf(out, "%s%s\n", strings.Repeat("  ", depth), text)
		if l.Kind == source.Open {
			depth++
		}
	}
	return out.Flush()
}

// seen is where names were seen first.
type seen map[string]source.Pos

// twice takes note of a name. If it was there it returns where.
func (s *seen) twice(name string, at source.Pos) (source.Pos, bool) {
	if old, ok := (*s)[name]; ok {
		return old, true
	}
	if *s == nil {
		*s = seen{}
	}
	(*s)[name] = at
	return source.Pos{}, false
}

func (s seen) has(name string) bool { _, ok := s[name]; return ok }

// block takes note of the name of a block. It reports a second one of the kind and name, which is skipped, and returns false.
func (s *seen) block(kind, name string, n *syntax.Node, r *source.Report) bool {
	old, dup := s.twice(kind+" "+name, n.At())
	if dup {
		r.Errorf(n.At(), "%s %s already defined - ignoring the block", kind, name).With("first defined at", old)
	}
	return !dup
}

// opt is short for the type that most fields have.
type opt[V any] = schema.Opt[V]

// Read takes the statements of a configuration.
func Read(nodes []*syntax.Node, r *source.Report) *Config {
	c := &Config{}
	root().Init(c)
	globalDefs.Init(&c.Global)
	root().Read(c, nodes, r)
	root().Tell(source.Pos{}, c, r)
	return c
}

// Tables are all keywords, as the table of the outermost ones.
func Tables() schema.Walker { return root() }

// root is the table of the outermost keywords: the common ones, then those of each subsystem.
func root() schema.Table[Config] { return rootTable }

var rootTable = concat(rootScalars, vrrpRoot.For(syntax.VRRP), trackRoot.For(syntax.VRRP), lvsRoot.For(syntax.Checkers))

func concat[T any](tables ...schema.Table[T]) (all schema.Table[T]) {
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

var rootScalars = schema.Table[Config]{
	schema.Block("global_defs", "", func(c *Config, _ *syntax.Node, _ *source.Report) *Global { return &c.Global },
		globalDefs, "Settings of the whole daemon; several blocks add up."),
	schema.Inherited("net_namespace", schema.Word, func(c *Config) *opt[string] { return &c.NetNamespace },
		"Network namespace to run in; fixed at start.").Lenient().FirstWins(),
	schema.Inherited("net_namespace_ipvs", orEmpty(schema.Word), func(c *Config) *opt[string] { return &c.NetNamespaceIPVS },
		"Network namespace of IPVS; without a value that of process 1.").FirstWins(),
	schema.Flag("namespace_with_ipsets", true, func(c *Config) *opt[bool] { return &c.NamespaceIPSets },
		"Allow ipsets while in a namespace.").Pending("ipsets are not used"),
	schema.Inherited("instance", schema.Word, func(c *Config) *opt[string] { return &c.InstanceName },
		"Name of this daemon among several on the host, added to the names of its files and logs.").Lenient().FirstWins(),
	schema.Flag("use_pid_dir", true, func(c *Config) *opt[bool] { return &c.UsePIDDir },
		"Put pid files into a directory of their own."),
	schema.Value("child_wait_time", schema.WholeSeconds(0, 4294967295), 5*time.Second,
		func(c *Config) *opt[time.Duration] { return &c.ChildWaitTime }, "How long children get to end."),
}

// orEmpty makes a kind take a missing word for the zero value.
func orEmpty[V any](k schema.Kind[V]) schema.Kind[V] {
	parse := k.Parse
	return schema.Kind[V]{Usage: "[" + k.Usage + "]", Parse: func(w []source.Word) (V, error) {
		if len(w) == 0 {
			var zero V
			return zero, nil
		}
		return parse(w)
	}}
}

// OwnKeywords are the names of those that keepalived does not know.
func OwnKeywords() (names []string) {
	root().Walk(schema.Root, func(row schema.Row) {
		if row.Ours {
			names = append(names, row.Name)
		}
	})
	return names
}
