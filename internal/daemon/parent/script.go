package parent

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/guard"
)

// runScript runs the startup or the shutdown script in the daemon's network namespace and logs how it ended. A timeout of 0 means
// to wait as long as it takes; closing abort ends the wait as a timeout does.
func (p *Parent) runScript(name string, s *model.Script, timeout time.Duration, abort <-chan struct{}) {
	p.log.Info(fmt.Sprintf("Running %s script %s", name, s.Args[0]))
	cmd := exec.Command(s.Args[0], s.Args[1:]...)
	if s.Guarded {
		program, err := guard.Open(s.Args[0])
		if err != nil {
			p.log.Error(fmt.Sprintf("%s script failed: %v", name, err))
			return
		}
		defer program.Close()
		cmd.Path = program.Path()
	}
	cmd.Env = environ(append(InternalEnv, "IFS", "LD_PRELOAD", "LD_LIBRARY_PATH")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() == 0 || int(s.UID) != os.Geteuid() { // an ordinary user may only be itself
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.UID, Gid: s.GID, Groups: s.Groups}
	}
	done := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The parent-death signal belongs to the thread, so this one lives as long as the script.
		runtime.LockOSThread()
		err := shape{namespace: p.namespace}.apply()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		p.log.Error(fmt.Sprintf("%s script failed: %v", name, err))
		return
	}
	var expired <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		expired = t.C
	}
	select {
	case err := <-done:
		switch st := cmd.ProcessState.Sys().(syscall.WaitStatus); {
		case st.Signaled():
			p.log.Info(fmt.Sprintf("%s script script failed, signal %d", name, st.Signal()))
		case err != nil:
			p.log.Info(fmt.Sprintf("%s script script failed, status %d", name, st.ExitStatus()))
		default:
			p.log.Info(fmt.Sprintf("%s script script succeeded", name)) // twice "script", as keepalived writes it
		}
		return
	case <-expired:
		p.log.Info(fmt.Sprintf("%s script timed out", name))
	case <-abort:
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(time.Second):
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
}

// environ returns the environment without some variables.
func environ(without ...string) []string {
	var env []string
next:
	for _, v := range syscall.Environ() {
		for _, w := range without {
			if strings.HasPrefix(v, w+"=") {
				continue next
			}
		}
		env = append(env, v)
	}
	return env
}
