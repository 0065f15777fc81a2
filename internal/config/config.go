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
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Options are the command line's part in what a configuration means, and what the reader wants of it.
type Options struct {
	ConfigID string                  // -i; empty: the host name up to its first dot
	CheckAll bool                    // -e: every include check is on
	Getenv   func(string) string     // for ${_ENV NAME}; nil: all are empty
	Random   func(low, high int) int // for ${_RANDOM}; nil: always low

	// Enter, if not nil, is told the net_namespace that was read before the host is asked for anything. An error refuses the configuration.
	Enter func(netNamespace string) error
}

// Load reads, checks and resolves the configuration called name. The model is nil if the report refuses it, that is if a daemon must not
// run with it; findings that do not refuse it have been corrected as the report says.
func Load(files source.Files, name string, opt Options, host Host) (*model.Model, *source.Report) {
	_, m, r := LoadText(files, name, opt, host)
	return m, r
}

// LoadText is Load that also returns what was read.
func LoadText(files source.Files, name string, opt Options, host Host) (*Text, *model.Model, *source.Report) {
	return loadText(files, name, opt, host, true)
}

// Judge is Load for those who want the findings alone, for which no virtual server need be kept.
func Judge(files source.Files, name string, opt Options, host Host) *source.Report {
	_, _, r := loadText(files, name, opt, host, false)
	return r
}

func loadText(files source.Files, name string, opt Options, host Host, keep bool) (*Text, *model.Model, *source.Report) {
	r := &source.Report{}
	lines := load(files, name, opt, host, r)
	passed := r.Clone()
	c, m, ok := passing(lines, opt, host, passed, keep)
	if ok {
		r = passed
	} else {
		c, m = whole(lines, opt, host, r)
	}
	return &Text{c, lines, r}, m, r
}

// LoadWritten is Load that also returns the configuration as written.
func LoadWritten(files source.Files, name string, opt Options, host Host) (*Config, *model.Model, *source.Report) {
	r := &source.Report{}
	c, m := whole(load(files, name, opt, host, r), opt, host, r)
	return c, m, r
}

// whole makes a model of a text by way of all statements, then all that they say.
func whole(lines *source.Reading, opt Options, host Host, r *source.Report) (*Config, *model.Model) {
	c := Read(syntax.Parse(lines, root(), r), r)
	if r.Ended() {
		return c, nil
	}
	m := enter(c, opt, host, r, slices.Values(c.LVS.Services), true)
	if r.Refused() {
		return c, nil
	}
	return c, m
}

// passing makes the same model without having all of that at once: outermost statements are read one after the other, virtual
// servers after all else, and each of these is resolved and forgotten before the next. It returns false for a text whose braces are not
// in order; neither findings nor model count then. Without keep the model is without virtual servers.
func passing(lines *source.Reading, opt Options, host Host, r *source.Report, keep bool) (c *Config, m *model.Model, ok bool) {
	c = newConfig()
	take := func(n *syntax.Node) { root().Read(c, []*syntax.Node{n}, r) }
	servers, ok := syntax.Walk(lines, root(), "virtual_server", r, take)
	if !ok {
		return nil, nil, false
	}
	services := func(yield func(*VirtualServer) bool) {
		for i := range servers.Len() {
			var n *syntax.Node
			if n, ok = servers.Read(i, r); !ok {
				return
			}
			c.LVS.Services = nil
			take(n)
			for _, v := range c.LVS.Services {
				if !yield(v) {
					return
				}
			}
		}
	}
	resolved := r.Blank() // does not count if a service ends the reading
	if !r.Ended() {
		m = enter(c, opt, host, resolved, services, keep)
	} else {
		services(func(*VirtualServer) bool { return true })
	}
	if r.Ended() {
		return c, nil, ok
	}
	if r.Merge(resolved); r.Refused() {
		m = nil
	}
	return c, m, ok
}

// enter enters the network namespace and resolves.
func enter(c *Config, opt Options, host Host, r *source.Report, services iter.Seq[*VirtualServer], keep bool) *model.Model {
	if opt.Enter != nil {
		c.needs = nil
		if c.NetNamespace.IsSet() {
			c.needs = []need{needNamespace("net_namespace", c.NetNamespace.At)}
		}
		if err := opt.Enter(c.NetNamespace.V); err != nil {
			r.Refuse(source.Fatal, source.Pos{}, "%v", err)
			return nil
		}
	}
	return resolve(c, services, keep, host, r)
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

	needs []need // of capabilities; set by Resolve
	names seen   // of blocks that may not stand twice

	// Of the instance that is being read.
	vips     map[netip.Addr]opt[string]
	excluded map[excludedVIP]source.Pos
}

// Text is a configuration as it was read.
type Text struct {
	config *Config // may be without virtual servers
	lines  *source.Reading
	report *source.Report
}

// Save writes the configuration as it was read: without remarks, with what was included, chosen and substituted in place. It reads back
// as the same configuration.
// Differs from keepalived: definitions are substituted and conditions decided.
// It is keepalived's form: "# FILE" before the first line of each file.
func (t *Text) Save(w io.Writer) error {
	out := bufio.NewWriter(w)
	depth, file := 0, ""
	for l := range t.lines.All() {
		if f := t.report.Place(l.At).File; f != file {
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
	c := newConfig()
	root().Read(c, nodes, r)
	root().Tell(source.Pos{}, c, r)
	return c
}

func newConfig() *Config {
	c := &Config{}
	root().Init(c)
	globalDefs.Init(&c.Global)
	return c
}

// Tables are all keywords, as the table of the outermost ones.
func Tables() schema.Walker { return root() }

// root is the table of the outermost keywords: the common ones, then those of each subsystem.
func root() *schema.Table[Config] { return rootTable }

var rootTable = schema.TableOf(func() schema.Rows[Config] {
	return concat(rootScalars(), vrrpRoot().For(syntax.VRRP), trackRoot().For(syntax.VRRP), lvsRoot().For(syntax.Checkers))
})

func concat[T any](parts ...schema.Rows[T]) (all schema.Rows[T]) {
	for _, rows := range parts {
		all = append(all, rows...)
	}
	return all
}

func rootScalars() schema.Rows[Config] {
	return schema.Rows[Config]{
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
