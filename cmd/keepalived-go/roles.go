package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/lint"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/daemon/engine"
	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/probe"
	"github.com/keepalived-go/keepalived-go/internal/sys/process"
)

func worker(o options, args []string) int {
	conn, err := link.Inherited(parent.LinkFD)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return parent.ExitFatal
	}
	log, err := logging.Open(o.logging())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return parent.ExitFatal
	}
	defer log.Close()
	return engine.Run(context.Background(), engine.Options{Link: conn, Log: log, Exe: "/proc/self/exe", ProberArgs: args[1:],
		ProberEnv: append(os.Environ(), parent.RoleVariable+"="+roleProber), HideEnv: parent.InternalEnv})
}

func prober(o options) int {
	log, err := logging.Open(o.logging())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return parent.ExitFatal
	}
	defer log.Close()
	handed := process.Handed()
	if err := process.Rename(handed.Name); err != nil {
		log.Role(logging.Checkers).Warn(err.Error())
	}
	if err := probe.Main(log.Role(logging.Checkers), handed.Place); err != nil {
		log.Role(logging.Checkers).Error(err.Error())
		return parent.ExitFatal
	}
	return parent.ExitOK
}

// read is the one way from a command line to a model, for the daemon and for the test.
func (o *options) read() (*config.Config, *model.Model, *source.Report) {
	host := o.host()
	opt := o.config()
	if seed := o.foreseen().RandomSeed; seed >= 0 {
		opt.Random = random(rand.New(rand.NewPCG(uint64(seed), 0)))
	}
	c, m, r := config.LoadWritten(config.System{}, o.configFile, opt, host)
	if o.test && o.lint && m != nil {
		lint.Check(c, m, host, r)
	}
	if m != nil && o.namespace != "" {
		m.Process.NetNamespace = o.namespace
	}
	return c, m, r
}

// host is what the configuration is judged beside.
func (o options) host() config.Host {
	if o.offline {
		return &config.Offline{Node: config.System{}.Hostname()}
	}
	return config.System{}
}

func (o options) config() config.Options {
	return config.Options{ConfigID: o.configID, CheckAll: o.checkAll, Getenv: os.Getenv, Random: random(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))}
}

// random is ${_RANDOM}.
func random(r *rand.Rand) func(low, high int) int {
	return func(low, high int) int { return low + r.IntN(high-low+1) }
}

// foreseen is what must be known of the configuration before it is read.
func (o *options) foreseen() config.Foreknown {
	if o.foreknown == nil {
		f := config.Foresee(config.System{}, o.configFile, o.config(), config.System{})
		o.foreknown = &f
	}
	return *o.foreknown
}

// netNamespace is the network namespace that the configuration is for.
func (o *options) netNamespace() string {
	if o.namespace != "" {
		return o.namespace
	}
	return o.foreseen().NetNamespace
}

// load is the loader. It lives for one configuration, so that most of what it allocates need not be looked through again and again.
func load(o options) int {
	debug.SetGCPercent(400)
	can, err := process.Capabilities()
	if err != nil {
		fmt.Println(err)
	}
	if code, yes := parent.Elsewhere(o.netNamespace); yes {
		if f := o.foreseen(); o.namespace == "" {
			f.Missing(can.Has).Write(os.Stdout, false)
		}
		return code
	}
	if _, err := os.Stat(o.configFile); err == nil {
		fmt.Printf("Opening file '%s'.\nConfiguration file %s\n", o.configFile, o.configFile)
	}
	c, m, r := o.read()
	if err == nil && m != nil {
		c.TellMissing(can.Has, !o.noVRRP, !o.noCheckers, r)
	}
	r.Write(os.Stdout, false)
	if m == nil {
		for _, d := range r.All() {
			if d.Class == source.FileNotFound || d.Class == source.FatalInclude {
				return parent.ExitNoConfig
			}
		}
		return parent.ExitConfig
	}
	if dir := m.Process.ConfigSaveDir; dir != "" {
		if err := parent.SaveConfig(dir, filepath.Base(o.configFile), c.Save); err != nil {
			fmt.Println(err)
		}
	}
	if err := parent.WriteModel(m); err != nil {
		fmt.Println(err)
		return parent.ExitFatal
	}
	return r.ExitCode() // the verdict of -t, for reload_check_config
}

// allowCore is -m and -M.
func allowCore(o options) {
	if !o.core {
		return
	}
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unlimited); err != nil {
		fmt.Fprintf(os.Stderr, "allow core files: %v\n", err)
	}
	if o.corePattern != "" {
		if err := os.WriteFile("/proc/sys/kernel/core_pattern", []byte(o.corePattern), 0); err != nil {
			fmt.Fprintf(os.Stderr, "set core pattern: %v\n", err)
		}
	}
}
