package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// programs are what is measured side by side; remove ends what was built for it.
func programs(flags *flag.FlagSet, args []string) (list []program, remove func(), err error) {
	original := originalFlag(flags)
	if err := flags.Parse(args); err != nil {
		return nil, nil, err
	}
	if os.Geteuid() != 0 {
		return nil, nil, errors.New("needs root: it makes network namespaces")
	}
	theirs, err := original()
	if err != nil {
		return nil, nil, err
	}
	ours, remove, err := lab.Build()
	if err != nil {
		return nil, nil, err
	}
	return []program{{"ours", ours}, {"original", theirs}}, remove, nil
}

type program struct{ name, path string }

// perLAN is how many virtual routers one LAN has at most.
const perLAN = 255

func lans(n int) int { return (n + perLAN - 1) / perLAN }

// farm is the configuration of n virtual routers with an address each.
type farm struct {
	n, priority int
	interval    time.Duration
	lines       string // more of each instance
	extra       bool   // the last has one address more
}

func (f farm) String() string {
	var b strings.Builder
	b.WriteString(lab.Config())
	for i := range f.n {
		vips := farmVIP(i).String() + "/32"
		if f.extra && i == f.n-1 {
			vips += " " + farmVIP(f.n).String() + "/32"
		}
		b.WriteString(lab.Instance{Name: "I" + strconv.Itoa(i), Interface: "eth" + strconv.Itoa(i/perLAN), VRID: i%perLAN + 1, Priority: f.priority,
			Interval: f.interval, VIPs: vips, Lines: f.lines}.String())
	}
	return b.String()
}

func farmVIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 64, byte(i >> 8), byte(i)}) }

// down is how long a backup waits for the next advert.
func (f farm) down() time.Duration {
	return lab.Instance{Priority: f.priority, Interval: f.interval}.Down()
}

// duo is two nodes that run a farm with the same program, b as the backup of a.
type duo struct {
	*lab.Lab
	t    lab.T
	bin  string
	n    int
	a, b *lab.Daemon
}

func newDuo(t lab.T, bin string, n int) *duo {
	return &duo{Lab: lab.New(t, lab.Plan{Nodes: []string{"a", "b"}, LANs: lans(n), Tap: true}), t: t, bin: bin, n: n}
}

func (d *duo) start(node string, f farm) *lab.Daemon {
	return d.Node(node).Launch(d.bin, f.String(), "-P", "-G")
}

// holds counts the addresses of the farm that a node has.
func (d *duo) holds(node string) (sum int) {
	for i := range d.n {
		if d.Has(node, farmVIP(i)) {
			sum++
		}
	}
	return sum
}

// leads reports whether a is the master of all and b of none: b holds no address, and its adverts ended two intervals ago.
func (d *duo) leads(interval time.Duration) bool {
	heard, _ := d.Tap.Heard("a")
	_, last := d.Tap.Heard("b")
	return heard == d.n && time.Since(last) > max(2*interval, 100*time.Millisecond) && d.holds("a") == d.n && d.holds("b") == 0
}

// quiet waits until the announcements that follow a change are over: the second block comes five seconds after it.
func (d *duo) quiet() {
	if d.n > 1 {
		time.Sleep(6500 * time.Millisecond)
	}
}

// usage is the processor time and the memory of a daemon.
type usage struct {
	cpu    time.Duration // of its processes that run, to the nanosecond
	memory int           // proportional, KiB
}

func use(d *lab.Daemon) usage {
	pids := d.Pids()
	return usage{onCPU(pids), pss(pids)}
}

// onCPU is the processor time of all threads of running processes, to the nanosecond.
func onCPU(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		for _, task := range tasks {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
			if f := strings.Fields(string(b)); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				sum += time.Duration(n)
			}
		}
	}
	return sum
}

// gapsOf are the times between adverts of each virtual router of a node, in ms.
func gapsOf(seen []lab.Sight, node string, skip func(lab.Source) bool) (out []float64) {
	last := map[lab.Source]int64{}
	for i := range seen {
		s := &seen[i]
		if s.VRID == 0 || s.Priority == 0 || s.Node != node[0] || skip != nil && skip(s.Source) {
			continue
		}
		if before, ok := last[s.Source]; ok {
			out = append(out, float64(s.At-before)/1e6)
		}
		last[s.Source] = s.At
	}
	return out
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(x []float64) float64 { return percentile(x, 50) }

// percentile is not a number for an empty x.
func percentile(x []float64, p float64) float64 {
	x = slices.Sorted(slices.Values(x))
	switch n := len(x); {
	case n == 0:
		return math.NaN()
	case p == 50:
		return (x[(n-1)/2] + x[n/2]) / 2
	default:
		return x[min(n-1, int(p/100*float64(n)))]
	}
}

// table writes rows as Markdown.
type table struct{ out io.Writer }

func newTable(out io.Writer, heads ...string) table {
	t := table{out}
	t.row(heads...)
	fmt.Fprintln(out, "|"+strings.Repeat("---|", len(heads)))
	return t
}

func (t table) row(cells ...string) { fmt.Fprintln(t.out, "| "+strings.Join(cells, " | ")+" |") }

// cell writes numbers, parted by slashes.
func cell(precision int, x ...float64) string {
	var parts []string
	for _, v := range x {
		if v != v {
			parts = append(parts, "–")
		} else {
			parts = append(parts, strconv.FormatFloat(v, 'f', precision, 64))
		}
	}
	return strings.Join(parts, " / ")
}

// words parts a list at its commas.
func words(list string) []string { return strings.Split(list, ",") }

// seconds makes an advertisement interval of a number.
func seconds(x float64) time.Duration {
	return time.Duration(x * float64(time.Second)).Round(10 * time.Millisecond)
}

// note tells what makes the figures of a time doubtful.
func (t table) note(what string, start time.Time) {
	if s := lab.Stalled(start, time.Now()); s > 0 {
		fmt.Fprintf(t.out, "<!-- %s: the machine stalled for %v in all -->\n", what, s.Round(time.Millisecond))
	}
}
