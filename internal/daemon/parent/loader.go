package parent

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	// ModelFD is where a loader finds the memfd for the encoded model, and LinkFD where a worker finds its end of the link.
	ModelFD = 3
	LinkFD  = 3

	// placedVariable is set for a loader that is in the right network namespace already, and exitElsewhere the exit code of one that
	// found out that it is not.
	placedVariable = "KEEPALIVED_GO_PLACED"
	exitElsewhere  = 100
	// loadVariable tells a loader the how manieth it is.
	loadVariable = "KEEPALIVED_GO_LOAD"

	loadTimeout = 5 * time.Minute // a configuration may name hosts, whose resolution takes long
	maxLines    = 10000           // of diagnostics
)

// loaded is what a loader found out.
type loaded struct {
	head    *link.Head // of the model; nil: the configuration cannot be used
	encoded link.Encoded
	code    int // the loader's exit code: with a model the verdict of -t
	lines   []string
	err     error // the loader did not get as far as a verdict
}

// load runs a loader in its own process, so that no parser bug, and no memory of a big configuration, stays with the daemon.
// The meaning of a configuration depends on the interfaces it is read beside, and it may itself say in which network namespace that is:
// then the first loader finds out which, and a second one reads it there.
func (p *Parent) load(ctx context.Context) loaded {
	if p.o.Namespace != "" {
		return p.loadIn(ctx, p.o.Namespace, true)
	}
	l := p.loadIn(ctx, "", false)
	if l.code == exitElsewhere && l.head != nil {
		there := p.loadIn(ctx, l.head.Process.NetNamespace, true)
		there.lines = append(l.lines, there.lines...)
		return there
	}
	return l
}

// loadIn runs one loader in a network namespace. It is placed if that is where the configuration is to be read, whatever it says.
func (p *Parent) loadIn(ctx context.Context, namespace string, placed bool) (l loaded) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	fd, err := unix.MemfdCreate("keepalived-model", unix.MFD_CLOEXEC)
	if err != nil {
		return loaded{err: fmt.Errorf("create memory file: %w", err)}
	}
	mem := os.NewFile(uintptr(fd), "model")
	defer mem.Close()
	out, in, err := os.Pipe()
	if err != nil {
		return loaded{err: fmt.Errorf("create pipe: %w", err)}
	}
	defer out.Close()

	cmd := p.role(ctx, RoleLoader)
	if placed {
		cmd.Env = append(cmd.Env, placedVariable+"=1")
	}
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", loadVariable, p.loads))
	cmd.Dir = p.dir // a relative -f means the directory that we were started in
	cmd.Stdout, cmd.Stderr = in, in
	cmd.ExtraFiles = []*os.File{mem}
	err = shape{namespace: namespace}.start(cmd)
	in.Close()
	if err != nil {
		if namespace != "" {
			l.lines = []string{fmt.Sprintf("Unable to set network namespace %s - exiting", namespace)}
		}
		l.err = fmt.Errorf("start loader: %w", err)
		return l
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if len(l.lines) < maxLines {
			l.lines = append(l.lines, lines.Text())
		}
	}
	io.Copy(io.Discard, out) // what follows a line that is too long
	err = cmd.Wait()
	l.code = cmd.ProcessState.ExitCode()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || l.code < 0 {
		l.err = fmt.Errorf("run loader: %w", err)
		return l
	}
	if l.encoded, err = readModel(mem); err != nil {
		l.err = err
		return l
	}
	if len(l.encoded) > 0 {
		h, err := l.encoded.Head()
		if err != nil {
			l.err = err
			return l
		}
		l.head = &h
	}
	return l
}

func readModel(mem *os.File) (link.Encoded, error) {
	st, err := mem.Stat()
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	if st.Size() > link.MaxPayload {
		return nil, fmt.Errorf("read model: %d bytes are more than %d", st.Size(), link.MaxPayload)
	}
	b := make([]byte, st.Size())
	if _, err := mem.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read model: %w", err)
	}
	return b, nil
}

// Elsewhere ends a loader that must read its configuration in another network namespace than the one it is in: if namespace, which
// net_namespace names, is such a one, the exit code is returned and nothing else is to be done.
func Elsewhere(namespace string) (code int, yes bool) {
	if namespace == "" || os.Getenv(placedVariable) != "" {
		return 0, false
	}
	if err := WriteModel(&model.Model{Process: model.Process{NetNamespace: namespace}}); err != nil {
		fmt.Println(err)
		return ExitFatal, true
	}
	return exitElsewhere, true
}

// WriteModel hands m to the parent. The loader calls it once, and only for a configuration that can be used.
func WriteModel(m *model.Model) error {
	b, err := link.Encode(m)
	if err != nil {
		return err
	}
	f := os.NewFile(ModelFD, "model")
	if f == nil {
		return errors.New("write model: bad descriptor")
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	return nil
}

// SaveConfig keeps a copy of a configuration in a directory, which is made if it is not there: the loader's part of config_save_dir.
func SaveConfig(dir, name string, write func(io.Writer) error) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("save configuration: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%s.%d.%s", name, os.Getppid(), cmp.Or(os.Getenv(loadVariable), "0")))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("save configuration: %w", err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("save configuration %q: %w", path, err)
	}
	return nil
}
