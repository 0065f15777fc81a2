package config

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	ours "github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

var (
	mutants   = flag.Int("mutants", 9, "how many mutants of each text TestMutants compares")
	firstSeed = flag.Uint64("seed", 1, "the seed of the mutants")
	keep      = flag.String("keep", "", "a `directory` for the mutants that differ")
	byLine    = flag.Bool("lines", false, "compare the lines of the findings as well, which changes no verdict")
	only      = flag.String("only", "", "compare only mutants of the seeds that `contain` this")
)

// difference is a line of differences.tsv: mutants that this text is found in may differ thus.
type difference struct {
	pattern *regexp.Regexp
	exits   string // "5/0": ours, the original's; * is any; "?5/0" if it need not occur with the default seed
	reason  string
	used    bool
}

func knownDifferences(t *testing.T) (list []*difference) {
	t.Helper()
	text, err := os.ReadFile("differences.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[2] == "" {
			t.Fatalf("differences.tsv line %d: not a pattern, exit codes and a reason", n+1)
		}
		exits, rare := strings.CutPrefix(f[1], "?")
		list = append(list, &difference{pattern: regexp.MustCompile("(?m)" + f[0]), exits: exits, reason: f[2], used: rare})
	}
	return list
}

func (d *difference) covers(text, our, their string) bool {
	a, b, _ := strings.Cut(d.exits, "/")
	return (a == "*" || a == our) && (b == "*" || b == their) && d.pattern.MatchString(text)
}

// TestMutants makes configurations of the vectors, examples and goldens by random changes and compares the exit code of our configuration
// test with the original's. differences.tsv has what may differ, and why.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand runs of the original")
	}
	t.Parallel()
	original, err := oracle.Newest()
	if err != nil {
		t.Fatal(err)
	}
	ns := namespace(t)
	known := append(knownDifferences(t), &difference{
		pattern: regexp.MustCompile(`(?m)^\s*(` + strings.Join(ours.OwnKeywords(), "|") + `)\b`),
		exits:   "*/5", reason: "a keyword of ours", used: true,
	})
	all, words := seeds(t), vocabulary(t)
	var lines []string // of the vectors
	for _, s := range all {
		if strings.HasPrefix(s.name, "vectors/") {
			lines = append(lines, strings.Split(s.text, "\n")...)
		}
	}
	var chosen []seed
	for _, s := range all {
		if strings.Contains(s.name, *only) {
			chosen = append(chosen, s)
		}
	}

	// Those of a text do not depend on which others there are.
	type job struct {
		seed
		n uint64
	}
	jobs := make(chan job)
	var mu sync.Mutex
	var wg sync.WaitGroup
	failed := 0
	for range 2 {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "inc"), os.DirFS("vectors/inc")); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := enter(ns); err != nil {
				t.Errorf("entering %s: %v", ns, err)
				for range jobs {
				}
				return
			}
			for s := range jobs {
				h := fnv.New64a()
				h.Write([]byte(s.name))
				text := mutate(rand.New(rand.NewPCG(*firstSeed, h.Sum64()+s.n)), s.text, words, lines)
				if *byLine && !strings.HasSuffix(text, "\n") {
					text += "\n" // its parent's lines are one too low else
				}
				our, report := judge(dir, text, s.args)
				their, said := asks(original, dir, s.args)
				mu.Lock()
				switch {
				// What crashes the original is ours to diagnose.
				case our != their && (our == "0" || their != "crash" && their != "hang") && !slices.ContainsFunc(known, func(d *difference) bool {
					hit := d.covers(text, our, their)
					d.used = d.used || hit
					return hit
				}):
					failed++
					name := save(s.name, text)
					t.Errorf("mutant %d of %s: exit code %s, the original's is %s%s\nours:\n%stheirs:\n%s", s.n, s.name, our, their, name, report, said)
				case *byLine && our == their && our != "0" && !slices.ContainsFunc(known, func(d *difference) bool { return d.covers(text, our, their) }):
					if d := linesDiffer(report, said); d != "" {
						t.Logf("mutant %d of %s: lines %s%s\nours:\n%stheirs:\n%s", s.n, s.name, d, save(s.name, text), report, said)
					}
				}
				mu.Unlock()
			}
		})
	}
	for _, s := range chosen {
		for n := range *mutants {
			jobs <- job{s, uint64(n)}
		}
	}
	close(jobs)
	wg.Wait()
	if *mutants >= 9 && *firstSeed == 1 && *only == "" {
		for _, d := range known {
			if !d.used {
				t.Errorf("differences.tsv: nothing differs by %q any more: take it off", d.pattern)
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d mutants differ", failed, *mutants*len(chosen))
	}
}

// save keeps a mutant for a look at it.
func save(seed, text string) string {
	if *keep == "" {
		return ""
	}
	h := fnv.New32a()
	h.Write([]byte(text))
	name := filepath.Join(*keep, fmt.Sprintf("%s-%08x.conf", strings.TrimSuffix(filepath.Base(seed), ".conf"), h.Sum32()))
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return " " + err.Error()
	}
	return " (" + name + ")"
}

// enter moves the calling goroutine's thread into a network namespace for good.
func enter(ns string) error {
	runtime.LockOSThread()
	fd, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// mutantFiles are the files of the machine below dir, which is the directory to start from.
type mutantFiles struct {
	dir string
}

func (f mutantFiles) Open(name string) (fs.File, error) { return ours.System{}.Open(f.path(name)) }

func (f mutantFiles) Glob(pattern string) ([]string, error) {
	names, err := ours.System{}.Glob(f.path(pattern))
	for i := range names {
		if rel, err := filepath.Rel(f.dir, names[i]); err == nil && !filepath.IsAbs(pattern) {
			names[i] = rel
		}
	}
	return names, err
}

func (f mutantFiles) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.dir, name)
}

// judge writes the mutant and tests it as our daemon does.
func judge(dir, text string, args []string) (exit, said string) {
	if err := os.WriteFile(filepath.Join(dir, "m.conf"), []byte(text), 0o644); err != nil {
		return "?", err.Error()
	}
	var opt ours.Options
	for i, a := range args {
		switch a {
		case "-i":
			opt.ConfigID = args[i+1]
		case "-e":
			opt.CheckAll = true
		}
	}
	_, r := ours.Load(mutantFiles{dir}, "m.conf", opt, ours.System{})
	var b strings.Builder
	for _, d := range r.All() {
		mark := ""
		if d.Class == source.Note {
			mark = "note: "
		}
		fmt.Fprintf(&b, "    %s%s\n", mark, d)
	}
	return strconv.Itoa(r.ExitCode()), b.String()
}

// asks lets the original test the mutant.
func asks(original, dir string, args []string) (exit, said string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, original, append([]string{"-t", "-f", "m.conf"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var e *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "hang", string(out)
	case err == nil:
		return "0", indented(out)
	case errors.As(err, &e) && e.ExitCode() >= 0:
		return strconv.Itoa(e.ExitCode()), indented(out)
	case errors.As(err, &e):
		return "crash", indented(out)
	}
	return "?", err.Error()
}

func indented(out []byte) string {
	var b strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if !seen[line] {
			fmt.Fprintf(&b, "    %s\n", strings.TrimSpace(line))
		}
		seen[line] = true
	}
	return b.String()
}

var findingLine = regexp.MustCompile(`^    (note: )?(?:\((?:(\S+): )?Line (\d+)\))?`)

// linesDiffer compares the places of two lists of findings: a place of theirs that we do not name, and one of ours that they do not while
// they say nothing without a place.
func linesDiffer(a, b string) string {
	read := func(s string) (all, loud map[string]bool, nowhere int) {
		all, loud = map[string]bool{}, map[string]bool{}
		for line := range strings.Lines(s) {
			f := findingLine.FindStringSubmatch(line)
			switch {
			case f == nil:
			case f[3] == "":
				nowhere++
			default:
				file := f[2]
				if file == "m.conf" {
					file = ""
				}
				p := filepath.Base(file) + ":" + f[3]
				all[p] = true
				if f[1] == "" {
					loud[p] = true
				}
			}
		}
		return all, loud, nowhere
	}
	allOurs, loudOurs, _ := read(a)
	theirs, _, nowhere := read(b)
	var diff, extra []string
	for _, p := range slices.Sorted(maps.Keys(theirs)) {
		if !allOurs[p] {
			diff = append(diff, "-"+p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(loudOurs)) {
		if !theirs[p] {
			extra = append(extra, "+"+p)
		}
	}
	if len(extra) > nowhere {
		diff = append(diff, extra...)
	}
	return strings.Join(diff, " ")
}
