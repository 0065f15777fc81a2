package parent

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const readyFD = 3

// Detach starts the daemon in a session of its own and waits until it runs with its pid files written, or has failed. It returns
// the exit code of the process that the user started. Until then the daemon may write to the terminal.
func Detach(o Options) int {
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintf(os.Stderr, "create pipe: %v\n", err)
		return ExitFatal
	}
	cmd := exec.Command(cmp.Or(o.Executable, "/proc/self/exe"))
	cmd.Args = o.Args
	cmd.Env = append(environ(RoleVariable), RoleVariable+"="+RoleDetached)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		fmt.Fprintf(os.Stderr, "start daemon: %v\n", err)
		return ExitFatal
	}
	if n, _ := r.Read(make([]byte, 1)); n == 1 {
		return ExitOK
	}
	var exit *exec.ExitError
	switch err := cmd.Wait(); {
	case err == nil:
		return ExitOK // another daemon is already running
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	}
	return ExitFatal
}

// release lets the process in Detach go, once, and leaves the terminal and the directory that the daemon was started in.
func (p *Parent) release() {
	if p.released {
		return
	}
	p.released = true
	if !p.o.Detached {
		return
	}
	os.Chdir("/")
	if null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		for fd := range 3 {
			unix.Dup3(null, fd, 0)
		}
		unix.Close(null)
	}
	p.o.Log.Flush()
	ready := os.NewFile(readyFD, "ready") // last, since who waits for it may look at the rest
	ready.Write([]byte{1})
	ready.Close()
}
