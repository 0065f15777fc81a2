package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// configBench measures whole configuration tests (-t): one process for each, on the same file, in turn. CPU time is what to compare on a
// busy machine. The peak of memory is never less than this program's own, which Linux counts in.
var configBench = command{"config", "what a configuration test costs: time and memory of the process", runConfig}

// shape is one kind of file.
type shape struct {
	name  string
	write func(w io.Writer)
	slow  bool // the original needs minutes
}

// The files of the table, with n lines for the kinds that a number of lines describes.
func shapes(n int) []shape {
	return []shape{
		{"1 instance", func(w io.Writer) { vrrpFile(w, 1, 20) }, false},
		{"100 instances × 20 addresses", func(w io.Writer) { vrrpFile(w, 100, 20) }, false},
		{"1000 instances × 20 addresses", func(w io.Writer) { vrrpFile(w, 1000, 20) }, false},
		{"100 virtual servers × 10", func(w io.Writer) { lvsFile(w, 100, 10) }, false},
		{"100 virtual servers × 100", func(w io.Writer) { lvsFile(w, 100, 100) }, false},
		{"1000 virtual servers × 10", func(w io.Writer) { lvsFile(w, 1000, 10) }, false},
		{"1000 virtual servers × 100", func(w io.Writer) { lvsFile(w, 1000, 100) }, false},
		{"comments", func(w io.Writer) {
			instance(w, 0, 1, nil)
			for i := range n {
				fmt.Fprintf(w, "# comment number %d, which says nothing { at all }\n", i)
			}
		}, false},
		{"addresses", func(w io.Writer) {
			instance(w, 0, 1, func() {
				fmt.Fprintln(w, "    virtual_ipaddress_excluded {")
				for i := range n {
					fmt.Fprintf(w, "        %s/32 dev bench0\n", ip(10, 64, i))
				}
				fmt.Fprintln(w, "    }")
			})
		}, true},
		{"routes", func(w io.Writer) {
			instance(w, 0, 1, nil)
			fmt.Fprintln(w, "static_routes {")
			for i := range n {
				fmt.Fprintf(w, "    %s/32 via 192.0.2.254 dev bench0\n", ip(11, 0, i))
			}
			fmt.Fprintln(w, "}")
		}, false},
		{"real servers", func(w io.Writer) { lvsFile(w, n/95, 10) }, false},
		{"group entries", func(w io.Writer) {
			fmt.Fprintln(w, "virtual_server_group G {")
			for i := range n {
				fmt.Fprintf(w, "    %s 80\n", ip(11, 0, i))
			}
			fmt.Fprint(w, "}\nvirtual_server group G {\n    lvs_sched rr\n    lvs_method NAT\n    protocol TCP\n    real_server 10.48.0.1 80 {\n    }\n}\n")
		}, false},
		{"scripts", func(w io.Writer) {
			fmt.Fprint(w, "global_defs {\n    enable_script_security\n    script_user root\n}\n")
			instance(w, 0, 1, nil)
			for i := range n / 5 {
				fmt.Fprintf(w, "vrrp_script S%d {\n    script \"/usr/bin/true %d\"\n    interval 2\n    weight 2\n}\n", i, i)
			}
		}, false},
		{"definitions, half of them uses", func(w io.Writer) {
			instance(w, 0, 1, nil)
			for i := range n / 2 {
				fmt.Fprintf(w, "$R%d=%s/32\n", i, ip(11, 0, i))
			}
			fmt.Fprintln(w, "static_routes {")
			for i := range n / 2 {
				fmt.Fprintf(w, "    $R%d via 192.0.2.254 dev bench0\n", i)
			}
			fmt.Fprintln(w, "}")
		}, true},
		{"a mix", func(w io.Writer) {
			instance(w, 0, n/50, nil)
			for i := range n / 5 {
				fmt.Fprintf(w, "# comment number %d\n", i)
			}
			fmt.Fprintln(w, "static_routes {")
			for i := range n / 5 {
				fmt.Fprintf(w, "    %s/32 via 192.0.2.254 dev bench0\n", ip(11, 0, i))
			}
			fmt.Fprintln(w, "}")
			for i := range n / 25 {
				fmt.Fprintf(w, "vrrp_script S%d {\n    script \"/usr/bin/true %d\"\n    interval 2\n    weight 2\n}\n", i, i)
			}
			lvsFile(w, n/250, 10)
		}, false},
	}
}

func ip(a, b byte, i int) netip.Addr {
	return netip.AddrFrom4([4]byte{a, b + byte(i>>16), byte(i >> 8), byte(i)})
}

func instance(w io.Writer, i, addresses int, more func()) {
	fmt.Fprintf(w, "vrrp_instance I%d {\n    state BACKUP\n    interface bench%d\n    virtual_router_id %d\n    priority 100\n    virtual_ipaddress {\n",
		i, i/250, i%250+1)
	for v := range addresses {
		fmt.Fprintf(w, "        %s/32\n", ip(10, 128, i*addresses+v))
	}
	fmt.Fprintln(w, "    }")
	if more != nil {
		more()
	}
	fmt.Fprintln(w, "}")
}

func vrrpFile(w io.Writer, instances, addresses int) {
	for i := range instances {
		instance(w, i, addresses, nil)
	}
}

func lvsFile(w io.Writer, services, servers int) {
	for i := range services {
		fmt.Fprintf(w, "virtual_server %s 80 {\n    delay_loop 1\n    lvs_sched rr\n    lvs_method NAT\n    protocol TCP\n", ip(10, 32, i))
		for j := range servers {
			fmt.Fprintf(w, "    real_server %s 8080 {\n        weight 1\n        inhibit_on_failure\n        TCP_CHECK {\n            connect_timeout 1\n"+
				"            retry 0\n            delay_before_retry 1\n        }\n    }\n", ip(10, 48, i*servers+j))
		}
		fmt.Fprintln(w, "}")
	}
}

func runConfig(out io.Writer, flags *flag.FlagSet, args []string) error {
	reps := flags.Int("reps", 5, "tests of each file by each program")
	lines := flags.Int("lines", 100000, "lines of the large files")
	only := flags.String("only", "", "only the files whose name has this in it")
	slow := flags.Bool("slow", false, "let the original read the files, too, for which it needs minutes")
	original := originalFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes a network namespace")
	}
	theirs, err := original()
	if err != nil {
		return err
	}
	built, remove, err := lab.Build()
	if err != nil {
		return err
	}
	defer remove()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	leave, err := ownNamespace()
	if err != nil {
		return err
	}
	defer leave()

	fmt.Fprintf(out, "keepalived -t, medians of %d; time is wall clock (CPU) in ms, memory the peak in MB\n", *reps)
	fmt.Fprintf(out, "%-32s %8s %22s %22s %8s %8s\n", "file", "lines", "ours", "original", "time", "memory")
	for _, s := range shapes(*lines) {
		if !strings.Contains(s.name, *only) {
			continue
		}
		name := filepath.Join(dir, "k.conf")
		count, err := writeFile(name, s.write)
		if err != nil {
			return err
		}
		var a, b []cost
		for range *reps {
			c, err := test(built, name)
			if err != nil {
				return err
			}
			a = append(a, c)
			if s.slow && !*slow {
				continue
			}
			if c, err = test(theirs, name); err != nil {
				return err
			}
			b = append(b, c)
		}
		one := typical(a)
		fmt.Fprintf(out, "%-32s %8d %22s ", s.name, count, one)
		if len(b) == 0 {
			fmt.Fprintf(out, "%22s\n", "(-slow)")
			continue
		}
		other := typical(b)
		fmt.Fprintf(out, "%22s %8.2f %8.2f\n", other, float64(one.cpu)/float64(other.cpu), float64(one.memory)/float64(other.memory))
	}
	return nil
}

// cost is what one process took.
type cost struct {
	wall, cpu time.Duration
	memory    int64 // bytes
}

func (c cost) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("%.1f (%.1f) %d", ms(c.wall), ms(c.cpu), c.memory>>20)
}

// typical has the median of each.
func typical(all []cost) cost {
	mid := func(f func(cost) int64) int64 {
		var v []int64
		for _, c := range all {
			v = append(v, f(c))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return cost{time.Duration(mid(func(c cost) int64 { return int64(c.wall) })), time.Duration(mid(func(c cost) int64 { return int64(c.cpu) })),
		mid(func(c cost) int64 { return c.memory })}
}

// test runs one configuration test. Its verdict does not matter here, but it has to have one.
func test(binary, name string) (cost, error) {
	cmd := exec.Command(binary, "-t", "-f", name)
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() < 0 {
		return cost{}, fmt.Errorf("test %s with %s: %w", name, binary, err)
	}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), u.Maxrss << 10}, nil
}

func writeFile(name string, write func(io.Writer)) (lines int, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := &lineCounter{w: bufio.NewWriterSize(f, 1<<16)}
	write(w)
	return w.lines, w.w.Flush()
}

// lineCounter counts what goes through; bufio keeps the first error.
type lineCounter struct {
	w     *bufio.Writer
	lines int
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.lines += strings.Count(string(p), "\n")
	return c.w.Write(p)
}

// ownNamespace moves this goroutine's thread into a network namespace with the interfaces of the files; what it starts is there too.
func ownNamespace() (leave func(), err error) {
	runtime.LockOSThread()
	before, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	script := "ip link set lo up"
	for i := range 4 {
		script += fmt.Sprintf("; ip link add bench%d type veth peer name far%d; ip link set bench%d up; ip addr add 192.0.2.%d/24 dev bench%d", i, i, i, i+1, i)
	}
	if text, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make interfaces: %w: %s", err, text)
	}
	return func() {
		// If the way back is barred the thread ends with its goroutine.
		if unix.Setns(before, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		unix.Close(before)
	}, nil
}
