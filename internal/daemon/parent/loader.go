package parent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/daemon/link"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	// ModelFD is where a loader finds the memfd for the encoded model, and LinkFD where a worker finds its end of the link.
	ModelFD = 3
	LinkFD  = 3

	loadTimeout = 5 * time.Minute // a configuration may name hosts, whose resolution takes long
	maxLines    = 10000           // of diagnostics
)

// loaded is what a loader found out.
type loaded struct {
	model   *model.Model // nil: the configuration cannot be used
	encoded link.Encoded
	code    int // the loader's exit code, when there is no model
	lines   []string
	err     error // the loader did not get as far as a verdict
}

// load runs a loader in its own process, so that no parser bug, and no memory of a big configuration, stays with the daemon.
// The meaning of a configuration depends on the interfaces it is read beside: if it asks for another network namespace than the
// one it was read in, it is read again there.
func (p *Parent) load(ctx context.Context, namespace string) loaded {
	l := p.loadIn(ctx, namespace)
	if namespace == "" && l.model != nil && l.model.Process.NetNamespace != "" {
		l = p.loadIn(ctx, l.model.Process.NetNamespace)
	}
	return l
}

func (p *Parent) loadIn(ctx context.Context, namespace string) (l loaded) {
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
	cmd.Dir = p.dir // a relative -f means the directory that we were started in
	cmd.Stdout, cmd.Stderr = in, in
	cmd.ExtraFiles = []*os.File{mem}
	err = shape{namespace: namespace}.start(cmd)
	in.Close()
	if err != nil {
		return loaded{err: fmt.Errorf("start loader: %w", err)}
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
		l.model, l.err = l.encoded.Decode()
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
