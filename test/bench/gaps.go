package main

import (
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// gaps measures the times between adverts by the kernel's receive stamps, and the processor time of the master that sends them and of
// the backup that hears them, when nothing else happens.
var gaps = command{"gaps", "the rhythm of adverts, and what it costs master and backup", runGaps}

func runGaps(out io.Writer, flags *flag.FlagSet, args []string) error {
	cells := flags.String("cells", "1x0.1,1x0.01,255x0.1,255x0.01", "`instances x advertisement interval` in seconds, each a row")
	length := flags.Duration("for", 8*time.Second, "length of a measurement")
	reps := flags.Int("reps", 1, "measurements of each program and row")
	both, remove, err := programs(flags, args)
	if err != nil {
		return err
	}
	defer remove()
	shapes, err := parseCells(*cells)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Times between adverts less the interval in ms, p50 / p99 / worst; processor time in %% of a core.\n\n")
	t := newTable(out, "instances", "advert_int", "program", "gap", "master", "backup")
	for _, c := range shapes {
		for range *reps {
			for _, p := range both {
				start := time.Now()
				var row []string
				if err := lab.Run("bench", func(tt lab.T) { row = newDuo(tt, p.path, c.n).gaps(c.interval, *length) }); err != nil {
					return err
				}
				t.row(append([]string{fmt.Sprint(c.n), c.interval.String(), p.name}, row...)...)
				t.note(p.name, start)
			}
		}
	}
	return nil
}

func (d *duo) gaps(interval, length time.Duration) []string {
	d.a = d.start("a", farm{n: d.n, priority: 200, interval: interval, lines: "state MASTER"})
	d.Wait(20*time.Second, "the master has all", func() bool { n, _ := d.Tap.Heard("a"); return n == d.n && d.holds("a") == d.n })
	d.b = d.start("b", farm{n: d.n, priority: 100, interval: interval})
	time.Sleep(time.Second)
	d.quiet()
	d.Tap.Forget()
	before, a, b := time.Now(), use(d.a), use(d.b)
	time.Sleep(length)
	share := func(d *lab.Daemon, u usage) float64 {
		return 100 * float64(use(d).cpu-u.cpu) / float64(time.Since(before))
	}
	master, backup := cell(1, share(d.a, a)), cell(1, share(d.b, b))
	d.Tap.Settle()
	seen := d.Tap.Seen()
	x := gapsOf(seen, "a", nil)
	for i := range x {
		x[i] -= ms(interval)
	}
	if n := len(gapsOf(seen, "b", nil)); n > 0 {
		backup += fmt.Sprintf(" (sent %d adverts)", n)
	}
	if lost := d.Tap.Lost(); lost > 0 {
		d.t.Fatalf("the tap lost %d frames", lost)
	}
	return []string{cell(3, percentile(x, 50), percentile(x, 99), worst(x)), master, backup}
}
