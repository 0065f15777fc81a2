package main

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// instances measures what many virtual routers cost: the start of a master until each has sent its first advert and has its address, a
// reload that gives one of them an address more until that is announced, with the longest time between adverts of the others meanwhile,
// processor time and memory at rest as master and as backup, and the stop until the addresses are gone.
var instances = command{"instances", "start, reload, stop, processor time and memory with many instances", runInstances}

func runInstances(out io.Writer, flags *flag.FlagSet, args []string) error {
	list := flags.String("n", "1,255,1000", "`numbers` of instances, each a row")
	interval := flags.Float64("interval", 1, "advertisement interval in `seconds`")
	length := flags.Duration("for", 5*time.Second, "length of a measurement of processor time")
	reps := flags.Int("reps", 1, "measurements of each program and row")
	vmac := flags.Bool("vmac", false, "the instances use_vmac; the backup is left out")
	both, remove, err := programs(flags, args)
	if err != nil {
		return err
	}
	defer remove()
	fmt.Fprintf(out, "advert_int %v; times in ms, processor time at rest in %% of a core, memory (Pss of all processes) in MiB.\n\n", seconds(*interval))
	t := newTable(out, "instances", "program", "start", "its CPU", "reload", "its CPU", "gap of others", "stop", "master CPU", "memory", "backup CPU", "memory")
	for _, word := range words(*list) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 4*perLAN {
			return fmt.Errorf("%q: not a number of instances, 1 to %d", word, 4*perLAN)
		}
		for range *reps {
			for _, p := range both {
				start := time.Now()
				var row []string
				if err := lab.Run("bench", func(tt lab.T) { row = newDuo(tt, p.path, n).instances(seconds(*interval), *length, *vmac) }); err != nil {
					return err
				}
				t.row(append([]string{word, p.name}, row...)...)
				t.note(p.name, start)
			}
		}
	}
	return nil
}

func (d *duo) instances(interval, length time.Duration, vmac bool) []string {
	conf := farm{n: d.n, priority: 255, interval: interval, lines: "state MASTER"}
	if vmac {
		conf.lines += "\nuse_vmac"
	}
	d.a = d.start("a", conf)
	var up time.Time // when the last address was there
	d.Wait(3*time.Minute, "all are master", func() bool {
		if up.IsZero() && d.holds("a") == d.n {
			up = time.Now()
		}
		heard, _ := d.Tap.Heard("a")
		return heard == d.n && !up.IsZero()
	})
	d.Tap.Settle()
	for _, first := range firsts(d.Tap.Seen()) {
		if first.After(up) {
			up = first
		}
	}
	start, startCPU := up.Sub(d.a.Started()), spent(d.a.Pids()) // the process that reads the configuration has ended
	rest := func(daemon *lab.Daemon) (string, string) {
		time.Sleep(time.Until(daemon.Started().Add(12 * time.Second))) // until the announcements are over, and the garbage is cleared away
		before, begin := use(daemon), time.Now()
		time.Sleep(length)
		after := use(daemon)
		return cell(1, 100*float64(after.cpu-before.cpu)/float64(time.Since(begin))), cell(1, float64(after.memory)/1024)
	}
	masterCPU, masterMemory := rest(d.a)

	// The others' longest gap includes the beginning of the reload and what comes after it.
	conf.extra = true
	d.Tap.Forget()
	time.Sleep(interval + interval/2)
	before, hup := spent(d.a.Pids()), d.a.Reload(conf.String())
	d.Wait(time.Minute, "the reload has effect", func() bool { return d.Has("a", farmVIP(d.n)) })
	time.Sleep(3*interval + time.Second)
	reloadCPU := spent(d.a.Pids()) - before
	d.Tap.Settle()
	seen := d.Tap.Seen()
	effect := announced(seen, farmVIP(d.n)).Sub(hup)
	last := lab.Source{Node: 'a', LAN: uint8((d.n - 1) / perLAN), VRID: uint8((d.n-1)%perLAN + 1)}
	gap := worst(gapsOf(seen, "a", func(s lab.Source) bool { return s == last && d.n > 1 }))

	backupCPU, backupMemory := "", ""
	if !vmac {
		conf.priority, conf.lines = 100, ""
		d.b = d.start("b", conf)
		backupCPU, backupMemory = rest(d.b)
		d.b.Kill()
	}

	begin := time.Now()
	d.a.Signal(15)
	d.a.WaitExit(time.Minute)
	stop := d.a.Exited().Sub(begin)
	if left := d.holds("a"); left > 0 {
		d.t.Fatalf("%d addresses are left after the stop", left)
	}
	if lost := d.Tap.Lost(); lost > 0 {
		d.t.Fatalf("the tap lost %d frames", lost)
	}
	return []string{cell(0, ms(start)), cell(0, ms(startCPU)), cell(0, ms(effect)), cell(0, ms(reloadCPU)), cell(0, gap), cell(0, ms(stop)),
		masterCPU, masterMemory, backupCPU, backupMemory}
}

// firsts are the times of each virtual router's first advert.
func firsts(seen []lab.Sight) map[lab.Source]time.Time {
	out := map[lab.Source]time.Time{}
	for i := range seen {
		if _, ok := out[seen[i].Source]; !ok && seen[i].VRID > 0 {
			out[seen[i].Source] = seen[i].Time()
		}
	}
	return out
}

// announced is when an address was announced first.
func announced(seen []lab.Sight, vip netip.Addr) time.Time {
	for i := range seen {
		if seen[i].VRID == 0 && seen[i].VIP == vip.As4() {
			return seen[i].Time()
		}
	}
	return time.Time{}
}
