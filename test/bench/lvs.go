package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
)

// lvsBench measures checks and IPVS. It runs itself in the virtual machine of test/vm, whose kernel has IPVS and one processor: both
// programs in turn, with nothing else there but the servers that they check.
var lvsBench = command{"lvs", "checks, their effect, start and reload with many virtual servers (in a VM)", runLVS}

func runLVS(out io.Writer, flags *flag.FlagSet, args []string) error {
	b := &lvsRun{out: out}
	inside := flags.Bool("inside", false, "this is the virtual machine")
	shape := flags.String("shape", "2277x37205", "`virtual x real` servers of start and reload")
	death := flags.String("death", "10,1000,10000", "`numbers` of real servers beside the one that dies")
	flags.IntVar(&b.reps, "reps", 5, "repetitions")
	flags.IntVar(&b.seconds, "seconds", 5, "length of a measurement of processor time")
	flags.StringVar(&b.checks, "checks", "TCP_CHECK,HTTP_GET,SSL_GET", "`which` checks to measure load and calls of")
	flags.StringVar(&b.parts, "parts", "shape,load,death", "`which` to measure; calls as well, which needs strace")
	original := originalFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	theirs, err := original()
	if err != nil {
		return err
	}
	if !*inside {
		return b.enter(theirs, args)
	}
	if _, err := fmt.Sscanf(*shape, "%dx%d", &b.services, &b.servers); err != nil {
		return fmt.Errorf("shape %q: %w", *shape, err)
	}
	for _, s := range strings.Split(*death, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("numbers of servers: %w", err)
		}
		b.deaths = append(b.deaths, n)
	}
	b.programs = []lvsProgram{{"ours", os.Getenv("KEEPALIVED_GO")}, {"original", theirs}}
	return b.run()
}

type lvsProgram struct{ name, path string }

type lvsRun struct {
	out               io.Writer
	reps, seconds     int
	parts, checks     string
	services, servers int
	deaths            []int
	programs          []lvsProgram

	dir      string
	kernel   ipvs.Kernel
	accepted atomic.Int64
}

// enter runs this program in the virtual machine.
func (b *lvsRun) enter(theirs string, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	_, file, _, _ := runtime.Caller(0)
	launcher := filepath.Join(filepath.Dir(file), "../vm/run")
	words := append([]string{"-mem", "3G", "-timeout", "60m", self, "lvs", "-inside", "-original", theirs}, args...)
	vm := exec.Command(launcher, words...)
	vm.Stderr = os.Stderr
	out, err := vm.StdoutPipe()
	if err != nil {
		return err
	}
	if err := vm.Start(); err != nil {
		return err
	}
	m := meter{vm: vm.Process.Pid, cost: map[string][]float64{}, rate: map[string][]float64{}}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !m.mark(lines.Text(), b.out) {
			fmt.Fprintln(b.out, lines.Text())
		}
	}
	return vm.Wait()
}

// The real servers are at 10.48.0.0 and above, all of them this machine, and listen on 8080; the one that dies on 8081.
func (b *lvsRun) run() error {
	var err error
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	for _, line := range []string{"ip link set lo up", "ip route add local 10.48.0.0/12 dev lo", "sysctl -qw net.ipv4.ip_local_port_range=1024\t65000",
		"sysctl -qw net.ipv4.tcp_tw_reuse=1", "sysctl -qw net.core.somaxconn=65535", "sysctl -qw net.ipv4.tcp_max_syn_backlog=65535"} {
		words := strings.Fields(strings.ReplaceAll(line, "\t", "\x01"))
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "\x01", " ")
		}
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil && !strings.HasPrefix(line, "sysctl") {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	limit := syscall.Rlimit{Cur: 65536, Max: 65536}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	if b.kernel, err = ipvs.Open("", model.RxBuf{}); err != nil {
		return err
	}
	defer b.kernel.Close()
	if _, err := b.listen(":8080"); err != nil {
		return err
	}
	secure, err := listenTLS(":8443")
	if err != nil {
		return err
	}
	go b.serve(secure)
	for _, name := range strings.Split(b.parts, ",") {
		f := map[string]func() error{"shape": b.shape, "load": b.load, "calls": b.calls, "death": b.death}[name]
		if f == nil {
			return fmt.Errorf("no part %q", name)
		}
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (b *lvsRun) listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	go b.serve(l)
	return l, nil
}

// serve serves every check as it likes to be served: a request for a page gets one, anything else its end.
func (b *lvsRun) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		b.accepted.Add(1)
		go func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Second))
			line, err := bufio.NewReaderSize(c, 512).ReadString('\n')
			if err == nil && strings.HasPrefix(line, "GET ") {
				io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}()
	}
}

func vip(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 32, byte(n >> 8), byte(n)}) }
func rip(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 48 + byte(n>>16), byte(n >> 8), byte(n)})
}

func vipKey(n int) lvs.ServiceKey {
	return lvs.ServiceKey{Family: model.IPv4, Protocol: model.TCP, Addr: vip(n), Port: 80}
}

// configuration is services with servers spread over them; last is the weight of the very last one.
func shapeConfig(services, servers int, check, delay string, last int) string {
	var c strings.Builder
	c.WriteString("global_defs {\n router_id bench\n}\n")
	next := 0
	for i := range services {
		fmt.Fprintf(&c, "virtual_server %s 80 {\n delay_loop %s\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n", vip(i), delay)
		for range (servers - next) / (services - i) {
			weight := 1
			if next == servers-1 {
				weight = last
			}
			fmt.Fprintf(&c, " real_server %s 8080 {\n  weight %d\n  %s\n }\n", rip(next), weight, check)
			next++
		}
		c.WriteString("}\n")
	}
	return c.String()
}

const tcpCheck = "TCP_CHECK {\n   connect_timeout 2\n  }"
const httpGet = "HTTP_GET {\n   connect_timeout 2\n   url {\n    path /\n    status_code 200\n   }\n  }"
const sslGet = "SSL_GET {\n   connect_port 8443\n   connect_timeout 2\n   url {\n    path /\n    status_code 200\n   }\n  }"

// daemon is a program under measurement.
type daemon struct {
	b      *lvsRun
	cmd    *exec.Cmd
	begun  time.Time
	config string

	mu  sync.Mutex
	log bytes.Buffer
}

func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func (d *daemon) said(line string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Count(d.log.Bytes(), []byte(line))
}

func (b *lvsRun) start(p lvsProgram, conf string) (*daemon, error) {
	d := &daemon{b: b, config: filepath.Join(b.dir, "keepalived.conf")}
	if err := os.WriteFile(d.config, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(b.dir, name) }
	d.cmd = exec.Command(p.path, "-n", "-l", "-C", "-f", d.config, "-p", at("p"), "-r", at("v"), "-c", at("c"), "-b", at("b"))
	d.cmd.Stdout, d.cmd.Stderr = d, d
	d.begun = time.Now()
	return d, d.cmd.Start()
}

func (d *daemon) stop() (time.Duration, error) {
	begin := time.Now()
	d.cmd.Process.Signal(syscall.SIGTERM)
	d.cmd.Wait()
	took := time.Since(begin)
	return took, d.b.kernel.Flush()
}

func (d *daemon) reload(conf string) (time.Time, error) {
	err := os.WriteFile(d.config, []byte(conf), 0o600)
	now := time.Now()
	d.cmd.Process.Signal(syscall.SIGHUP)
	return now, err
}

// until polls a condition. It leaves nine tenths of the one processor to what is measured.
func until(limit time.Duration, what string, ok func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		begin := time.Now()
		if yes, err := ok(); yes || err != nil {
			return err
		}
		time.Sleep(max(10*time.Millisecond, 9*time.Since(begin)))
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %s", limit, what)
		}
	}
}

// dests waits until the destinations of a service satisfy ok.
func (b *lvsRun) dests(n int, what string, ok func(map[lvs.DestKey]lvs.Dest) bool) error {
	return until(15*time.Minute, what, func() (bool, error) {
		t, err := b.kernel.Table(func(k lvs.ServiceKey) bool { return k == vipKey(n) })
		return err == nil && ok(t[vipKey(n)].Dests), err
	})
}

// processes are the daemon and its descendants.
func (d *daemon) processes() []int { return tree(d.cmd.Process.Pid) }

// tree is a process and its descendants.
func tree(root int) (pids []int) {
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if f := stat(pid); len(f) > 1 {
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], pid)
		}
	}
	var walk func(pid int)
	walk = func(pid int) {
		pids = append(pids, pid)
		for _, c := range children[pid] {
			walk(c)
		}
	}
	walk(root)
	return pids
}

// stat are the fields of /proc/PID/stat from the state on.
func stat(pid int) []string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if i := bytes.LastIndexByte(b, ')'); i >= 0 {
		return strings.Fields(string(b[i+1:]))
	}
	return nil
}

// cpu is the processor time of all processes, those that have ended too; the kernel counts it in hundredths of a second.
func (d *daemon) cpu() time.Duration { return spent(d.processes()) }

// spent is the processor time of processes and of their children that have ended; the kernel counts it in hundredths of a second.
func spent(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		if f := stat(pid); len(f) > 14 {
			for _, field := range f[11:15] { // utime, stime and those of the children
				n, _ := strconv.Atoi(field)
				sum += time.Duration(n) * 10 * time.Millisecond
			}
		}
	}
	return sum
}

// memory is the proportional size of all processes, in KiB.
func (d *daemon) memory() int { return pss(d.processes()) }

// pss is the proportional size of processes, in KiB; on a kernel without it the resident size.
func pss(pids []int) (sum int) {
	for _, pid := range pids {
		for file, field := range map[string]string{"smaps_rollup": "Pss:", "status": "VmRSS:"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			if err != nil || file == "status" && fileExists(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) {
				continue
			}
			for line := range strings.Lines(string(b)) {
				if f := strings.Fields(line); len(f) > 1 && f[0] == field {
					n, _ := strconv.Atoi(f[1])
					sum += n
				}
			}
		}
	}
	return sum
}

func fileExists(path string) bool { _, err := os.Stat(path); return err == nil }

func mid(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// shape measures start, reloads and memory of the large configuration. Its checks come once an hour.
func (b *lvsRun) shape() error {
	fmt.Fprintf(b.out, "%d virtual and %d real servers with a TCP_CHECK each: seconds of start, of reloads (median of %d), of processor time; KiB per real server\n",
		b.services, b.servers, b.reps)
	fmt.Fprintf(b.out, "%-10s %8s %10s %10s %10s %10s %8s %8s\n", "program", "start", "unchanged", "its cpu", "1 weight", "its cpu", "stop", "memory")
	conf := func(last int) string { return shapeConfig(b.services, b.servers, tcpCheck, "3600", last) }
	for _, p := range b.programs {
		small, err := b.start(p, shapeConfig(1, 1, tcpCheck, "3600", 1))
		if err != nil {
			return err
		}
		if err := b.dests(0, "the small table", func(d map[lvs.DestKey]lvs.Dest) bool { return len(d) == 1 }); err != nil {
			return err
		}
		time.Sleep(2 * time.Second)
		base := small.memory()
		if _, err := small.stop(); err != nil {
			return err
		}
		d, err := b.start(p, conf(1))
		if err != nil {
			return err
		}
		last := lvs.DestKey{Addr: rip(b.servers - 1), Port: 8080}
		weighs := func(w uint32) func(map[lvs.DestKey]lvs.Dest) bool {
			return func(d map[lvs.DestKey]lvs.Dest) bool { return d[last].Weight == w }
		}
		if err := b.dests(b.services-1, "the table", weighs(1)); err != nil {
			return err
		}
		started := time.Since(d.begun)
		time.Sleep(5 * time.Second)
		memory := float64(d.memory()-base) / float64(b.servers)
		var same, changed []time.Duration
		var sameCPU, changedCPU time.Duration
		for i := range b.reps {
			before, used := d.said("Reload complete"), d.cpu()
			begin, err := d.reload(conf(1+i%2) + "# " + strconv.Itoa(i) + "\n") // the weight is that of the last round
			if err != nil {
				return err
			}
			if err := until(5*time.Minute, "the reload", func() (bool, error) { return d.said("Reload complete") > before, nil }); err != nil {
				return err
			}
			same = append(same, time.Since(begin))
			time.Sleep(3 * time.Second)
			sameCPU += d.cpu() - used
			used = d.cpu()
			if begin, err = d.reload(conf(2 - i%2)); err != nil {
				return err
			}
			if err := b.dests(b.services-1, "the weight", weighs(uint32(2-i%2))); err != nil {
				return err
			}
			changed = append(changed, time.Since(begin))
			time.Sleep(3 * time.Second)
			changedCPU += d.cpu() - used
		}
		end, err := d.stop()
		if err != nil {
			return err
		}
		n := time.Duration(b.reps)
		fmt.Fprintf(b.out, "%-10s %8.2f %10.2f %10.2f %10.2f %10.2f %8.2f %8.2f\n", p.name, started.Seconds(), mid(same).Seconds(),
			(sameCPU / n).Seconds(), mid(changed).Seconds(), (changedCPU / n).Seconds(), end.Seconds(), memory)
	}
	return nil
}

// load is a configuration whose servers are checked each second.
type load struct {
	name, text string
	servers    int // that the processor can do
}

var loads = []load{{"TCP_CHECK", tcpCheck, 1000}, {"HTTP_GET", httpGet, 1000}, {"SSL_GET", sslGet, 300}}

// eachLoad calls f some times for each load and program, once its checks have found their rhythm. The programs take turns, because the speed of a
// machine that others use too changes by the minute.
func (b *lvsRun) eachLoad(times int, f func(*load, lvsProgram, *daemon) error) error {
	for i := range loads {
		l := &loads[i]
		if !strings.Contains(b.checks, l.name) {
			continue
		}
		for range times {
			for _, p := range b.programs {
				d, err := b.start(p, shapeConfig(100, l.servers, l.text, "1", 1))
				if err != nil {
					return err
				}
				time.Sleep(4 * time.Second)
				if err := f(l, p, d); err != nil {
					return err
				}
				if _, err := d.stop(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// load measures the processor time of checks: the daemon's, and the server's side of the same connections.
func (b *lvsRun) load() error {
	fmt.Fprintf(b.out, "\nservers checked each second: checks in a second, processor time of 1000 of them in ms, with the server's, median of %d\n", b.reps)
	fmt.Fprintf(b.out, "%-10s %-10s %10s %10s\n", "check", "program", "checks/s", "ms/1000")
	defer tableMark(b.out)
	return b.eachLoad(b.reps, func(l *load, p lvsProgram, d *daemon) error {
		beginMark(b.out)
		begin, accepted := time.Now(), b.accepted.Load()
		time.Sleep(time.Duration(b.seconds) * time.Second)
		checks := b.accepted.Load() - accepted
		endMark(b.out, checks, fmt.Sprintf("%-10s %-10s", l.name, p.name), time.Since(begin))
		return nil
	})
}

// death measures how long a dead server is served: it is checked each second, and many others every ten.
func (b *lvsRun) death() error {
	fmt.Fprintf(b.out, "\nfrom the death of a server that is checked each second to its removal, in ms, %d times each\n", b.reps)
	fmt.Fprintf(b.out, "%-10s %-10s %10s %10s\n", "servers", "program", "median", "worst")
	for _, n := range b.deaths {
		services := min(n, 1000)
		victim := lvs.DestKey{Addr: rip(n), Port: 8081}
		conf := shapeConfig(services, n, tcpCheck, "10", 1) + fmt.Sprintf("virtual_server %s 80 {\n delay_loop 1\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n"+
			" real_server %s 8081 {\n  TCP_CHECK {\n   connect_timeout 1\n   retry 0\n   warmup 0\n  }\n }\n}\n", vip(services), victim.Addr)
		for _, p := range b.programs {
			l, err := b.listen(":8081")
			if err != nil {
				return err
			}
			d, err := b.start(p, conf)
			if err != nil {
				return err
			}
			has := func(there bool) func(map[lvs.DestKey]lvs.Dest) bool {
				return func(d map[lvs.DestKey]lvs.Dest) bool { return (len(d) == 1) == there }
			}
			var took []time.Duration
			if err := b.dests(services, "the server", has(true)); err != nil {
				return err
			}
			time.Sleep(12 * time.Second) // until all others are checked in their rhythm
			for i := range b.reps {
				time.Sleep(time.Second + time.Duration(i)*time.Second/time.Duration(b.reps)) // at different phases of the check
				begin := time.Now()
				l.Close()
				if err := b.dests(services, "the removal", has(false)); err != nil {
					return err
				}
				took = append(took, time.Since(begin))
				if l, err = b.listen(":8081"); err != nil {
					return err
				}
				if err := b.dests(services, "the return", has(true)); err != nil {
					return err
				}
			}
			l.Close()
			if _, err := d.stop(); err != nil {
				return err
			}
			fmt.Fprintf(b.out, "%-10d %-10s %10.0f %10.0f\n", n, p.name, float64(mid(took).Milliseconds()), float64(slices.Max(took).Milliseconds()))
		}
	}
	return nil
}
