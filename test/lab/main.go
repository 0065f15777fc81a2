package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var ours string

// Main runs the tests of a package: it builds the daemon under test once (see Build) and clears away what killed runs
// left. Without root it runs the tests all the same; those that need a lab skip themselves by NeedRoot.
func Main(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run()
	}
	sweep()
	path, remove, err := Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	ours = path
	return m.Run()
}

// Ours is the daemon under test, as built by Main.
func Ours() string { return ours }

// Build returns the program named by the environment's KEEPALIVED_GO, else builds the daemon of this module into a
// temporary directory, which remove removes.
func Build() (path string, remove func(), err error) {
	if path := os.Getenv("KEEPALIVED_GO"); path != "" {
		return path, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "keepalived-go-test")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	os.Chmod(dir, 0o755) // for daemons of other users
	path = filepath.Join(dir, "keepalived-go")
	build := exec.Command("go", "build", "-o", path, "github.com/keepalived-go/keepalived-go/cmd/keepalived-go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("building the daemon: %w\n%s", err, out)
	}
	return path, remove, nil
}

// NeedRoot skips the test when it is not run by root.
func NeedRoot(t *testing.T) {
	t.Helper()
	noteInputs()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
}

// noteInputs looks at what the result depends on besides the test's own code. The go command notices what a running
// test looks at, and does not take a cached result when it changed.
var noteInputs = sync.OnceFunc(func() {
	os.Getenv("KEEPALIVED_GO")
	os.Getenv("KEEPALIVED_ORACLE")
	for _, dir := range []string{"cmd", "internal"} {
		filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, _ fs.DirEntry, err error) error {
			os.Stat(path)
			return err
		})
	}
})

// IsKeepalived tells whether the program is the original keepalived, of which some scenarios expect less.
func IsKeepalived(binary string) bool {
	out, _ := exec.Command(binary, "-v").CombinedOutput()
	return strings.Contains(string(out), "Cassen")
}

// Run gives f a lab's T outside of go test: what f made is removed when it returns, fails, or the program is asked to
// end. The error is that of Fatalf.
func Run(name string, f func(T)) (err error) {
	sweep()
	t := &program{name: name}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer t.cleanup()
		defer func() {
			switch p := recover().(type) {
			case nil:
			case fatal:
				err = p.error
			default:
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			if err == nil && t.failed {
				err = errors.New("failed")
			}
			t.failed = err != nil
		}()
		f(t)
	}()
	select {
	case <-ended:
	case s := <-signals:
		t.cleanup()
		return fmt.Errorf("ended by signal %v", s)
	}
	return err
}

type program struct {
	name     string
	failed   bool
	mu       sync.Mutex
	cleanups []func()
}

// fatal is what Fatalf panics with.
type fatal struct{ error }

func (p *program) Helper()                           {}
func (p *program) Name() string                      { return p.name }
func (p *program) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (p *program) Errorf(format string, args ...any) { p.Logf(format, args...); p.failed = true }
func (p *program) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }
func (p *program) Failed() bool                      { return p.failed }

func (p *program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *program) TempDir() string {
	dir, err := os.MkdirTemp("", "keepalived-go-"+p.name)
	if err != nil {
		p.Fatalf("%v", err)
	}
	p.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (p *program) cleanup() {
	p.mu.Lock()
	todo := p.cleanups
	p.cleanups = nil
	p.mu.Unlock()
	for _, f := range slices.Backward(todo) {
		f()
	}
}
