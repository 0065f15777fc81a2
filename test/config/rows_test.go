package config

import (
	"flag"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/keepalived-go/keepalived-go/test/compat"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

var (
	record  = flag.Bool("record", false, "write what the original answers to all probes into test/compat/rows.golden")
	allRows = flag.Bool("rows", false, "ask the original again about all probes, not only some of them")
)

// rowsVersion is that of oracle.Newest: it is not asked about what came later.
const rowsVersion = "2.3.4"

// TestRowsLive asks the original again what it says of the uses of each keyword at and beyond the edges of what that takes. What it said is
// in test/compat/rows.golden, with which internal/config compares what we say.
func TestRowsLive(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of runs of the original")
	}
	t.Parallel()
	original, err := oracle.Newest()
	if err != nil {
		t.Fatal(err)
	}
	var probes []compat.Probe
	for _, r := range compat.Rows() {
		for _, p := range r.Probes(rowsVersion) {
			h := fnv.New32a()
			h.Write([]byte(p.Key() + p.Value))
			if *record || *allRows || h.Sum32()%40 == 0 {
				probes = append(probes, p)
			}
		}
	}
	verdicts, said := make([]compat.Verdict, len(probes)), make([]string, len(probes))
	ns := namespace(t)
	next := make(chan int)
	var wg sync.WaitGroup
	for range 2 {
		dir := t.TempDir()
		wg.Go(func() {
			if err := enter(ns); err != nil {
				t.Errorf("entering %s: %v", ns, err)
				for range next {
				}
				return
			}
			for i := range next {
				if err := os.WriteFile(dir+"/m.conf", []byte(probes[i].Text), 0o644); err != nil {
					t.Error(err)
					continue
				}
				var exit string
				exit, said[i] = asks(original, dir, nil)
				verdicts[i] = theirVerdict(exit, said[i], "m.conf")
			}
		})
	}
	for i := range probes {
		next <- i
	}
	close(next)
	wg.Wait()
	if *record {
		if err := os.WriteFile("../compat/rows.golden", []byte(compat.Write(probes, verdicts)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	golden := compat.Recorded()
	for i, p := range probes {
		if v, ok := golden.Of(p); !ok {
			t.Errorf("%s %q is not recorded: go test ./test/config -run RowsLive -record", p.Key(), p.Value)
		} else if v.Exit != "crash" && (verdicts[i].Differs(v) != "" || v.Differs(verdicts[i]) != "") {
			t.Errorf("%s %q: the original's verdict is not as recorded\n%s\n%s", p.Key(), p.Value, p.Text, said[i])
		}
	}
}

// theirVerdict reads what the original says of a file.
func theirVerdict(exit, said, file string) compat.Verdict {
	v := compat.Verdict{Exit: exit, Lines: map[int]bool{}}
	for line := range strings.Lines(said) {
		f := findingLine.FindStringSubmatch(line)
		switch {
		case f != nil && f[3] != "" && f[2] != "" && f[2] != file:
		case f != nil && f[3] != "":
			n, _ := strconv.Atoi(f[3])
			v.Lines[n] = true
		case strings.TrimSpace(line) != "":
			v.Nowhere++
		}
	}
	return v
}
