package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

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
	if err := probe.Main(log.Role(logging.Checkers)); err != nil {
		log.Role(logging.Checkers).Error(err.Error())
		return parent.ExitFatal
	}
	return parent.ExitOK
}

// read is the one way from a command line to a model, for the daemon and for the test.
func (o options) read() (*model.Model, *source.Report) {
	host := o.host()
	c, m, r := config.LoadWritten(config.System{}, o.configFile, o.config(), host)
	if o.test && o.lint && m != nil {
		lint.Check(c, m, host, r)
	}
	if m != nil && o.namespace != "" {
		m.Process.NetNamespace = o.namespace
	}
	return m, r
}

// host is what the configuration is judged beside.
func (o options) host() config.Host {
	if o.offline {
		return &config.Offline{Node: config.System{}.Hostname()}
	}
	return config.System{}
}

func (o options) config() config.Options {
	random := func(low, high int) int { return low + rand.IntN(high-low+1) }
	return config.Options{ConfigID: o.configID, CheckAll: o.checkAll, Getenv: os.Getenv, Random: random}
}

// netNamespace is the network namespace that the configuration is for.
func (o options) netNamespace() string {
	if o.namespace != "" {
		return o.namespace
	}
	return config.NetNamespace(config.System{}, o.configFile, o.config(), config.System{})
}

// load is the loader.
func load(o options) int {
	if code, yes := parent.Elsewhere(o.netNamespace()); yes {
		return code
	}
	if _, err := os.Stat(o.configFile); err == nil {
		fmt.Printf("Opening file '%s'.\nConfiguration file %s\n", o.configFile, o.configFile)
	}
	m, r := o.read()
	r.Write(os.Stdout, false)
	if m == nil {
		for _, d := range r.All() {
			if d.Class == source.FileNotFound || d.Class == source.FatalInclude {
				return parent.ExitNoConfig
			}
		}
		return parent.ExitConfig
	}
	if err := parent.WriteModel(m); err != nil {
		fmt.Println(err)
		return parent.ExitFatal
	}
	return parent.ExitOK
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
