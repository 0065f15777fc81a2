package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// takeover measures how fast a backup takes over. A master is killed with all its processes; the times are from its last advert to the
// first advert, and to the first gratuitous ARP, of the backup, less what the protocol asks for: three intervals and the skew time. Both
// stamps are the kernel's. With many instances there are the first and the last of them. A trial settles if, within the patience, first
// the master has all addresses and the backup is silent, and then, after the kill, the backup has all.
var takeover = command{"takeover", "how fast a backup takes over from a killed master", runTakeover}

func runTakeover(out io.Writer, flags *flag.FlagSet, args []string) error {
	cells := flags.String("cells", "1x1,1x0.1,1x0.01,255x0.1,255x0.01", "`instances x advertisement interval` in seconds, each a row")
	reps := flags.Int("reps", 20, "takeovers of each program and row, at most")
	limit := flags.Duration("for", 50*time.Second, "no more takeovers for a row after this time, but at least one")
	patience := flags.Duration("patience", 10*time.Second, "how long a trial may take to settle")
	both, remove, err := programs(flags, args)
	if err != nil {
		return err
	}
	defer remove()
	shapes, err := parseCells(*cells)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Time above 3·advert_int + skew in ms, median / worst.\n\n")
	t := newTable(out, "instances", "advert_int", "program", "settled", "last advert", "first ARP", "last ARP")
	for _, c := range shapes {
		samples := make([]takeovers, len(both))
		start := time.Now()
		err := lab.Run("bench", func(tt lab.T) {
			var duos []*duo
			for _, p := range both {
				d := newDuo(tt, p.path, c.n)
				d.b = d.start("b", farm{n: c.n, priority: 100, interval: c.interval})
				duos = append(duos, d)
			}
			for rep := 0; rep < *reps && (rep == 0 || time.Since(start) < *limit); rep++ {
				for i, d := range duos {
					d.takeover(&samples[i], c.interval, *patience)
				}
			}
		})
		if err != nil {
			return err
		}
		for i, p := range both {
			s := &samples[i]
			t.row(fmt.Sprint(c.n), c.interval.String(), p.name, fmt.Sprintf("%d of %d", len(s.lastARP), s.tried),
				cell(2, median(s.advert), worst(s.advert)), cell(2, median(s.firstARP), worst(s.firstARP)), cell(2, median(s.lastARP), worst(s.lastARP)))
		}
		t.note(fmt.Sprintf("%d × %v", c.n, c.interval), start)
	}
	return nil
}

// shapeCell is a number of instances and their interval.
type shapeCell struct {
	n        int
	interval time.Duration
}

func parseCells(list string) (out []shapeCell, err error) {
	for _, s := range words(list) {
		var n int
		var x float64
		if _, err := fmt.Sscanf(s, "%dx%g", &n, &x); err != nil || n < 1 || n > 4*perLAN || x < 0.01 || x > 40.95 {
			return nil, fmt.Errorf("%q: not instances x seconds, 1x0.01 to %dx40.95", s, 4*perLAN)
		}
		out = append(out, shapeCell{n, seconds(x)})
	}
	return out, nil
}

// takeovers are times above the protocol's, in ms, one for each trial that settled.
type takeovers struct {
	tried                     int
	advert, firstARP, lastARP []float64
}

// takeover starts the master, kills it when the backup has yielded, and adds what was measured.
func (d *duo) takeover(s *takeovers, interval, patience time.Duration) {
	s.tried++
	d.Tap.Forget()
	d.Forget()
	backup := farm{n: d.n, priority: 100, interval: interval}
	d.a = d.start("a", farm{n: d.n, priority: 200, interval: interval})
	defer func() {
		d.a.Kill()
		for lan := range lans(d.n) {
			d.Node("a").IP(fmt.Sprintf("addr flush dev eth%d to 10.64.0.0/10", lan))
		}
	}()
	if !d.Until(patience+backup.down(), func() bool { return d.leads(interval) }) {
		return
	}
	d.quiet()
	time.Sleep(max(2*interval, 300*time.Millisecond) + rand.N(interval))
	if !d.leads(interval) {
		return
	}
	d.Tap.Settle()
	d.Tap.Forget()
	time.Sleep(max(2*interval, 300*time.Millisecond)) // every instance has its last advert recorded
	killed := d.a.Kill().UnixNano()
	d.Until(patience+backup.down(), func() bool { n, _ := d.Tap.Heard("b"); return n == d.n && d.holds("b") == d.n })
	d.Tap.Settle()

	last, advert, arp := map[lab.Source]int64{}, map[lab.Source]int64{}, map[[4]byte]int64{}
	for _, e := range d.Tap.Seen() {
		at := lab.Source{LAN: e.LAN, VRID: e.VRID}
		switch {
		case e.Node == 'a' && e.VRID > 0:
			last[at] = e.At
		case e.Node == 'b' && e.At < killed:
			return // took over from a living master
		case e.Node == 'b' && e.VRID > 0 && advert[at] == 0:
			advert[at] = e.At
		case e.Node == 'b' && e.VRID == 0 && arp[e.VIP] == 0:
			arp[e.VIP] = e.At
		}
	}
	if len(last) != d.n || len(advert) != d.n || len(arp) != d.n {
		return
	}
	var adverts, arps []float64
	for i := range d.n {
		at := lab.Source{LAN: uint8(i / perLAN), VRID: uint8(i%perLAN + 1)}
		above := func(t int64) float64 { return ms(time.Duration(t-last[at]) - backup.down()) }
		adverts, arps = append(adverts, above(advert[at])), append(arps, above(arp[farmVIP(i).As4()]))
	}
	s.advert = append(s.advert, slices.Max(adverts))
	s.firstARP, s.lastARP = append(s.firstARP, slices.Min(arps)), append(s.lastARP, slices.Max(arps))
}

// worst is not a number for an empty x.
func worst(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	return slices.Max(x)
}
