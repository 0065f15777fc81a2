package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// takeover measures how fast a backup takes over. A master of priority 255 is killed with all its processes; the time is from its last
// advert to the first advert (and to the first gratuitous ARP) of the backup, less what the protocol asks for: three intervals and the skew
// time. Both stamps are the kernel's. Beside the original, ours should be at 1.0 or less.
var takeover = command{"takeover", "how fast a backup takes over from a killed master", runTakeover}

func runTakeover(out io.Writer, flags *flag.FlagSet, args []string) error {
	reps := flags.Int("reps", 20, "takeovers for each program and interval")
	intervals := flags.String("intervals", "1,0.1,0.01", "advertisement intervals in `seconds`")
	original := originalFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs root: it makes network namespaces")
	}
	theirs, err := original()
	if err != nil {
		return err
	}
	ours, remove, err := lab.Build()
	if err != nil {
		return err
	}
	defer remove()

	fmt.Fprintf(out, "takeover time above 3·advert_int + skew in ms, %d takeovers each\n", *reps)
	fmt.Fprintf(out, "%20s %21s %21s\n", "", "to the first advert", "to the first ARP")
	fmt.Fprintf(out, "%-10s %-9s %10s %10s %10s %10s\n", "advert_int", "program", "median", "worst", "median", "worst")
	for _, s := range strings.Split(*intervals, ",") {
		seconds, err := strconv.ParseFloat(s, 64)
		if err != nil || *reps < 1 || seconds < 0.01 || seconds > 40.95 {
			return fmt.Errorf("interval %q with %d takeovers: not 0.01 to 40.95, or none", s, *reps)
		}
		var a, b sample
		interval := time.Duration(seconds * float64(time.Second)).Round(10 * time.Millisecond)
		start := time.Now()
		if err := lab.Run("bench", func(t lab.T) { a, b = measure(t, ours, theirs, interval, *reps) }); err != nil {
			return err
		}
		row := func(name string, medianAdvert, worstAdvert, medianARP, worstARP float64) {
			fmt.Fprintf(out, "%-10v %-9s %10.3f %10.3f %10.3f %10.3f\n", interval, name, medianAdvert, worstAdvert, medianARP, worstARP)
		}
		am, aw, bm, bw := median(a.advert), slices.Max(a.advert), median(b.advert), slices.Max(b.advert)
		amARP, awARP, bmARP, bwARP := median(a.arp), slices.Max(a.arp), median(b.arp), slices.Max(b.arp)
		row("ours", am, aw, amARP, awARP)
		row("original", bm, bw, bmARP, bwARP)
		row("ratio", am/bm, aw/bw, amARP/bmARP, awARP/bwARP)
		if d := lab.Stalled(start, time.Now()); d > 0 {
			fmt.Fprintf(out, "%-10v the machine stalled for %v in all: the worst may be its fault\n", interval, d.Round(time.Millisecond))
		}
	}
	return nil
}

// sample are times above the protocol's, in ms.
type sample struct{ advert, arp []float64 }

func measure(t lab.T, ours, original string, interval time.Duration, reps int) (a, b sample) {
	one, other := newPair(t, ours, interval), newPair(t, original, interval)
	for range reps {
		one.takeover(&a)
		other.takeover(&b)
	}
	return a, b
}

// pair is two routers that run the same program.
type pair struct {
	*lab.Lab
	t              lab.T
	program        string
	master, backup lab.Instance
}

func newPair(t lab.T, program string, interval time.Duration) *pair {
	p := &pair{lab.New(t, lab.Plan{Nodes: []string{"a", "b"}}), t, program,
		lab.Instance{Priority: 255, Interval: interval}, lab.Instance{Priority: 100, Interval: interval}}
	p.Node("b").Start(program, lab.Config(p.backup))
	p.WaitFrame(5*time.Second+p.backup.Down(), "advert of the backup", lab.Adverts("b"))
	return p
}

// takeover starts the master, kills it when the backup has heard it, and adds what was measured.
func (p *pair) takeover(s *sample) {
	p.Forget()
	start := time.Now()
	master := p.Node("a").Start(p.program, lab.Config(p.master))
	// The backup has yielded when it is silent for two intervals of the master's.
	p.Wait(10*time.Second+10*p.backup.Down(), "the backup yields", func() bool {
		heard := p.Frames(lab.Adverts("a"), lab.After(start))
		return len(heard) > 3 && len(p.Frames(lab.Adverts("b"), lab.After(heard[len(heard)-3].At))) == 0
	})
	killed := master.Kill()
	last := p.LastFrame(lab.Adverts("a")).At
	first := p.WaitFrame(5*time.Second+p.backup.Down(), "advert of the backup", lab.Adverts("b"), lab.After(last))
	arp := p.WaitFrame(5*time.Second, "announcement of the backup", lab.Not(lab.Adverts("b")), lab.After(last),
		func(f *lab.Frame) bool { return f.Node == "b" })
	if first.At.Before(killed) {
		p.t.Fatalf("the backup took over from a living master")
	}
	above := func(at time.Time) float64 { return float64(at.Sub(last)-p.backup.Down()) / float64(time.Millisecond) }
	s.advert, s.arp = append(s.advert, above(first.At)), append(s.arp, above(arp.At))
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}
