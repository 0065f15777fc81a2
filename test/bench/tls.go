package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// tlsBench measures how late adverts are against their absolute schedule, alone and beside a thousand pages fetched over TLS each second. The
// checks are track_ssl of the instance, five a second each, for SSL_GET needs a kernel with IPVS; both go through the same prober and the
// same loop. The original has no such tracker, so it is measured alone only.
//
// What nobody can be blamed for on a virtual machine is measured beside it: how late a thread that does nothing but sleep wakes, at the highest real-time
// priority.
var tlsBench = command{"tls", "how late adverts are while a thousand servers are checked over TLS", runTLS}

func runTLS(out io.Writer, flags *flag.FlagSet, args []string) error {
	flags.Bool("serve", false, "be the server")
	flags.Bool("sleep", false, "be the sleeper")
	cells := flags.String("cells", "1x0.01,255x0.1", "`instances x advertisement interval` in seconds, each a row")
	checks := flags.Int("checks", 1000, "checks in a second")
	length := flags.Duration("for", 15*time.Second, "length of a measurement")
	switch {
	case slices.Contains(args, "-serve"):
		return serveTLS(out)
	case slices.Contains(args, "-sleep"):
		if err := flags.Parse(args); err != nil {
			return err
		}
		return sleepOnly(out, *length)
	}
	both, remove, err := programs(flags, args)
	if err != nil {
		return err
	}
	defer remove()
	shapes, err := parseCells(*cells)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Lateness of adverts against the rhythm that the earliest of each instance sets, in ms.\n\n")
	t := newTable(out, "instances", "advert_int", "program", "checks/s", "p50", "p99", "worst", "CPU in % of a core", "sleeper's p99", "worst")
	for _, c := range shapes {
		prompt := program{both[0].name + ", vrrp_rt_priority", both[0].path}
		for _, m := range []struct {
			program
			checks, priority int
		}{{both[0], 0, 0}, {both[0], *checks, 0}, {prompt, *checks, 10}, {both[1], 0, 0}} {
			start := time.Now()
			var row []string
			if err := lab.Run("bench", func(tt lab.T) { row = newDuo(tt, m.path, c.n).late(c.interval, *length, m.checks, m.priority) }); err != nil {
				return err
			}
			t.row(append([]string{fmt.Sprint(c.n), c.interval.String(), m.name}, row...)...)
			t.note(m.name, start)
		}
	}
	return nil
}

func (d *duo) late(interval, length time.Duration, checks, priority int) []string {
	conf := farm{n: d.n, priority: 200, interval: interval, lines: "state MASTER"}.String()
	if priority > 0 {
		conf += fmt.Sprintf("global_defs {\n  vrrp_rt_priority %d\n}\n", priority)
	}
	var served atomic.Int64
	if checks > 0 {
		d.serveTLS(&served)
		var b strings.Builder
		for i := range checks / 5 {
			fmt.Fprintf(&b, "  track_ssl T%d {\n    interval 0.2\n    timeout 1\n    weight 1\n    connect_ip %s\n    connect_port 443\n    url {\n      path /%d\n      status_code 200\n    }\n  }\n",
				i, d.Node("b").Addr(0), i)
		}
		conf = strings.Replace(conf, "  virtual_ipaddress {", b.String()+"  virtual_ipaddress {", 1)
	}
	d.a = d.Node("a").Launch(d.bin, conf, "-P", "-G")
	d.Wait(30*time.Second, "the master has all", func() bool { n, _ := d.Tap.Heard("a"); return n == d.n && d.holds("a") == d.n })
	time.Sleep(3 * time.Second)
	d.quiet()
	d.Tap.Forget()
	sleeper := d.self("a", "-sleep", "-for", length.String())
	before, begin, count := use(d.a), time.Now(), served.Load()
	floor, err := sleeper.Output()
	if err != nil {
		d.t.Fatalf("running the sleeper: %v", err)
	}
	took := time.Since(begin)
	cpu, rate := use(d.a).cpu-before.cpu, float64(served.Load()-count)/took.Seconds()
	d.Tap.Settle()
	x := lateness(d.Tap.Seen(), interval)
	return append([]string{cell(0, rate), cell(3, percentile(x, 50)), cell(3, percentile(x, 99)), cell(3, worst(x)), cell(1, 100*float64(cpu)/float64(took))},
		strings.Fields(string(floor))...)
}

// lateness is by how much, in ms, each advert came later than the rhythm of its instance that the earliest sets. One that is late by an
// interval and more begins the rhythm anew.
func lateness(seen []lab.Sight, interval time.Duration) (out []float64) {
	phases := map[lab.Source][]int64{} // times less what the rhythm asks for, since it began
	settle := func(list []int64) {
		for _, p := range list {
			out = append(out, ms(time.Duration(p-slices.Min(list))))
		}
	}
	for i := range seen {
		s := &seen[i]
		if s.VRID == 0 || s.Priority == 0 || s.Node != 'a' {
			continue
		}
		list := phases[s.Source]
		p := s.At - int64(len(list))*int64(interval)
		list = append(list, p)
		if p-list[0] >= int64(interval) {
			settle(list)
			list = []int64{s.At}
		}
		phases[s.Source] = list
	}
	for _, list := range phases {
		settle(list)
	}
	return out
}

// serveTLS starts this program as a server in node b, and counts what it has served.
func (d *duo) serveTLS(served *atomic.Int64) {
	server := d.self("b", "-serve")
	lines, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		d.t.Fatalf("starting the server: %v", err)
	}
	d.t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	ready := make(chan struct{})
	go func() {
		in := bufio.NewScanner(lines)
		for n := 0; in.Scan(); n++ {
			if n == 0 {
				close(ready)
			}
			x, _ := strconv.ParseInt(in.Text(), 10, 64)
			served.Store(x)
		}
	}()
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		d.t.Fatalf("the server did not start")
	}
}

// self is this program in another role, in a node.
func (d *duo) self(node string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		d.t.Fatalf("finding this program: %v", err)
	}
	cmd := d.Node(node).Command(self, append([]string{"tls"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// sleepOnly sleeps 10 ms at a time and writes how late it wakes, p99 and worst in ms.
func sleepOnly(out io.Writer, length time.Duration) error {
	runtime.LockOSThread()
	fifo := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 99}
	if err := unix.SchedSetAttr(0, &fifo, 0); err != nil {
		return fmt.Errorf("set real-time priority: %w", err)
	}
	const turn = 10 * time.Millisecond
	var late []float64
	var now unix.Timespec
	clock := func() time.Duration {
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
		return time.Duration(now.Nano())
	}
	begin := clock()
	for next := begin + turn; next < begin+length; next += turn {
		until := unix.NsecToTimespec(int64(next))
		// The Go scheduler is not told, so that it takes no time of its own.
		unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&until)), 0, 0, 0)
		late = append(late, ms(clock()-next))
	}
	_, err := fmt.Fprintf(out, "%s %s\n", cell(3, percentile(late, 99)), cell(3, worst(late)))
	return err
}

// listenTLS listens with a certificate of its own.
func listenTLS(addr string) (net.Listener, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	from := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, from, from, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
}

// serveTLS serves a page on port 443 and writes ten times a second how often it has.
func serveTLS(out io.Writer) error {
	l, err := listenTLS(":443")
	if err != nil {
		return err
	}
	var served atomic.Int64
	go func() {
		for range time.Tick(100 * time.Millisecond) {
			fmt.Fprintln(out, served.Load())
		}
	}()
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		io.WriteString(w, "ok")
	})}
	return s.Serve(l)
}
