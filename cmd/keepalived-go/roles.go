package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/daemon/engine"
	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/daemon/logging"
	"github.com/keepalived-go/keepalived-go/internal/daemon/parent"
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

// reading is the one way from a command line to a configuration, for the daemon and for the test. Enter is told the network namespace that
// it is for, before it is judged beside the host.
func (o *options) reading(enter func(netNamespace string) error) (config.Options, config.Host) {
	opt := o.config()
	opt.Random = o.random()
	opt.Enter = func(named string) error { return enter(cmp.Or(o.namespace, named)) }
	return opt, o.host()
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

// random is ${_RANDOM} of a source of numbers.
func random(r *rand.Rand) func(low, high int) int {
	return func(low, high int) int { return low + r.IntN(high-low+1) }
}

// random is ${_RANDOM}. The first that is asked for looks for the random_seed of the configuration.
func (o *options) random() func(low, high int) int {
	var seeded func(low, high int) int
	return func(low, high int) int {
		if seeded == nil {
			opt := o.config()
			seeded = opt.Random
			if seed := config.RandomSeed(config.System{}, o.configFile, opt, config.System{}); seed >= 0 {
				seeded = random(rand.New(rand.NewPCG(uint64(seed), 0)))
			}
		}
		return seeded(low, high)
	}
}

// load is the loader. It lives for one configuration, so that most of what it allocates need not be looked through again and again.
func load(o options) int {
	debug.SetGCPercent(200)
	can, err := process.Capabilities()
	if err != nil {
		fmt.Println(err)
	}
	code, elsewhere := 0, false
	opt, host := o.reading(func(netNamespace string) (err error) {
		if code, elsewhere = parent.Elsewhere(netNamespace); elsewhere {
			err = errors.New("the configuration is for another network namespace")
		}
		return err
	})
	text, m, r := config.LoadText(config.System{}, o.configFile, opt, host)
	if m != nil && o.namespace != "" {
		m.Process.NetNamespace = o.namespace
	}
	if elsewhere {
		r = r.Blank()
		if o.namespace == "" {
			text.TellMissing(can.Has, false, false, r)
		}
		r.Write(os.Stdout, false)
		return code
	}
	if _, err := os.Stat(o.configFile); err == nil {
		fmt.Printf("Opening file '%s'.\nConfiguration file %s\n", o.configFile, o.configFile)
	}
	if err == nil && m != nil {
		text.TellMissing(can.Has, !o.noVRRP, !o.noCheckers, r)
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
		if err := parent.SaveConfig(dir, filepath.Base(o.configFile), text.Save); err != nil {
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
