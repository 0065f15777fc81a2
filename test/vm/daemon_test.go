package vm

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs/ipvstest"
)

// The scenarios run with the original first: that shows that they are right. Then they run with ours.
const original = "/usr/sbin/keepalived"

// rig is one daemon in a site, with real servers that come and go.
type rig struct {
	*site
	ours   bool
	dir    string
	as     []string // the program, and its words, that executes the daemon; empty: none
	daemon *exec.Cmd
	ended  chan struct{}
	log    *buffer
	fifo   *os.File
	lines  chan string
	stops  map[string]func()
	ipvs   ipvs.Kernel
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// withDaemons runs the scenario with the original and with ours at the same time, each in a site of its own. rows are the scenarios'
// numbers in the reference, if any.
func withDaemons(t *testing.T, scenario func(r *rig, program string), rows ...string) {
	needVM(t)
	t.Parallel()
	if len(rows) > 0 {
		t.Run(strings.Join(rows, " "), func(t *testing.T) { withDaemons(t, scenario) })
		return
	}
	for name, program := range map[string]string{"keepalived": original, "keepalived-go": os.Getenv("KEEPALIVED_GO")} {
		t.Run(name, func(t *testing.T) {
			if program == "" {
				t.Skip("no daemon to test: KEEPALIVED_GO is not set")
			}
			t.Parallel()
			scenario(newRig(newSite(t), program != original), program)
		})
	}
}

func newRig(s *site, ours bool) *rig {
	r := &rig{site: s, ours: ours, dir: s.t.TempDir(), log: &buffer{}, lines: make(chan string, 100), stops: map[string]func(){}}
	path := filepath.Join(r.dir, "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		s.t.Fatal(err)
	}
	var err error
	if r.fifo, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		for in := bufio.NewScanner(r.fifo); in.Scan(); {
			r.lines <- in.Text()
		}
	}()
	s.t.Cleanup(func() { r.fifo.Close() })
	return r
}

// config writes the configuration, with a FIFO for notifications.
func (r *rig) config(text string) {
	r.t.Helper()
	text = fmt.Sprintf("global_defs {\n script_user root\n lvs_notify_fifo %s/fifo\n}\n", r.dir) + text
	r.raw(text)
}

func (r *rig) raw(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.dir+"/keepalived.conf", []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// start runs program on the configuration in the foreground; the log of a failed test is shown.
func (r *rig) start(program string, args ...string) {
	r.t.Helper()
	p := func(name string) string { return filepath.Join(r.dir, name) }
	args = append([]string{program, "-n", "-l", "-D", "-f", p("keepalived.conf"),
		"-p", p("keepalived.pid"), "-r", p("vrrp.pid"), "-c", p("checkers.pid"), "-b", p("bfd.pid")}, args...)
	args = append(slices.Clone(r.as), args...)
	if r.ns != "" {
		args = append([]string{"ip", "netns", "exec", r.ns}, args...)
	}
	r.daemon = exec.Command(args[0], args[1:]...)
	r.daemon.Stdout, r.daemon.Stderr = r.log, r.log
	r.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.daemon.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.ended = make(chan struct{})
	go func() { r.daemon.Wait(); close(r.ended) }()
	r.t.Cleanup(func() {
		r.stop()
		if r.t.Failed() {
			r.t.Logf("log of %s:\n%s", program, r.log)
		}
	})
}

// stop asks the daemon to end and waits until it has.
func (r *rig) stop() {
	r.daemon.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(patience(10 * time.Second)):
		r.t.Errorf("the daemon did not end")
		syscall.Kill(-r.daemon.Process.Pid, syscall.SIGKILL)
		<-r.ended
	}
}

// reload replaces the configuration and waits until the daemon says that it is in force: a signal that follows would find the
// original's checkers within their reload, where a SIGTERM is lost.
func (r *rig) reload(text string) {
	r.t.Helper()
	r.config(text)
	done := func() int { return strings.Count(r.log.String(), "Reload complete") }
	before := done()
	r.daemon.Process.Signal(syscall.SIGHUP)
	wait(r.t, 2*soon, "the reload completes", func() bool { return done() > before })
}

// up makes real servers answer on port 80, down makes them refuse.
func (r *rig) up(addrs ...string) {
	for _, a := range addrs {
		r.stops[a] = r.serve(a+":80", "hello")
	}
}

func (r *rig) down(addrs ...string) {
	for _, a := range addrs {
		r.stops[a]()
	}
}

// becomes waits until the table is want.
func (r *rig) becomes(limit time.Duration, want string) {
	r.t.Helper()
	wanted := sorted(want)
	deadline := time.After(limit)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	if r.ipvs == nil {
		r.ipvs = r.kernel()
	}
	for {
		got, err := r.ipvs.Table(nil)
		if err != nil {
			r.t.Fatal(err)
		}
		if slices.Equal(ipvstest.Save(got), wanted) {
			r.expect(want) // says ipvsadm too
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("table after %v (-want +got):\n%s", limit, cmp.Diff(wanted, ipvstest.Save(got)))
		}
	}
}

// said waits for as many lines on the FIFO as want has and compares them.
func (r *rig) said(limit time.Duration, want ...string) {
	r.t.Helper()
	var got []string
	timeout := time.After(limit)
	for len(got) < len(want) {
		select {
		case line := <-r.lines:
			got = append(got, line)
		case <-timeout:
			r.t.Fatalf("FIFO after %v (-want +got):\n%s", limit, cmp.Diff(want, got))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		r.t.Fatalf("FIFO (-want +got):\n%s", d)
	}
}

// silent fails if the FIFO has more lines.
func (r *rig) silent() {
	r.t.Helper()
	select {
	case line := <-r.lines:
		r.t.Errorf("unexpected on the FIFO: %s", line)
	default:
	}
}

// vs is a virtual server on 127.0.0.10:80 with NAT and wrr, checked every second.
func vs(body ...string) string {
	return "virtual_server 127.0.0.10 80 {\n delay_loop 1\n lvs_sched wrr\n lvs_method NAT\n protocol TCP\n" + strings.Join(body, "\n") + "\n}\n"
}

const tcpCheck = "TCP_CHECK {\n warmup 0\n connect_timeout 1\n retry 0\n }"

// rs is a real server on port 80 with a TCP_CHECK.
func rs(addr string, more ...string) string {
	return fmt.Sprintf(" real_server %s 80 {\n %s\n %s\n }", addr, strings.Join(more, "\n "), tcpCheck)
}

// soon is time enough for a check and what follows from it, on a machine that has much else to do.
var soon = patience(15 * time.Second)

// patience stretches a time for the machine that emulates its processor.
func patience(d time.Duration) time.Duration {
	if os.Getenv("VMRUN") == "qemu" {
		return 8 * d
	}
	return d
}

func TestSorryServer(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.up("127.0.0.11", "127.0.0.12")
		r.config(vs("sorry_server 127.0.0.99 80", rs("127.0.0.11"), rs("127.0.0.12", "weight 3")))
		r.start(program)
		both := `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 3`
		r.becomes(soon, both)
		r.said(soon, "VS [127.0.0.10]:tcp:80 UP")
		r.down("127.0.0.11")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 3`)
		r.down("127.0.0.12")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.99:80 -m -w 1`)
		r.said(soon, "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 DOWN", "RS [127.0.0.12]:tcp:80 [127.0.0.10]:tcp:80 DOWN", "VS [127.0.0.10]:tcp:80 DOWN")
		r.up("127.0.0.12")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 3`)
		r.up("127.0.0.11")
		r.becomes(soon, both)
		r.said(soon, "RS [127.0.0.12]:tcp:80 [127.0.0.10]:tcp:80 UP", "VS [127.0.0.10]:tcp:80 UP", "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 UP")
		r.stop()
		r.expect("")
		r.silent()
	}, "L-A01", "L-C01", "L-C02", "L-C03", "L-A10")
}

func TestQuorum(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.up("127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14")
		r.config(vs("quorum 3", "hysteresis 1", "sorry_server 127.0.0.99 80",
			rs("127.0.0.11", "weight 2"), rs("127.0.0.12"), rs("127.0.0.13"), rs("127.0.0.14")))
		r.start(program)
		r.said(soon, "VS [127.0.0.10]:tcp:80 UP")
		r.down("127.0.0.11")
		r.said(soon, "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 DOWN")
		r.down("127.0.0.12")
		r.said(soon, "RS [127.0.0.12]:tcp:80 [127.0.0.10]:tcp:80 DOWN")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.13:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.14:80 -m -w 1`)
		r.down("127.0.0.13")
		r.said(soon, "RS [127.0.0.13]:tcp:80 [127.0.0.10]:tcp:80 DOWN", "VS [127.0.0.10]:tcp:80 DOWN")
		sorry := `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.99:80 -m -w 1`
		r.becomes(soon, sorry)
		r.up("127.0.0.13")
		r.said(soon, "RS [127.0.0.13]:tcp:80 [127.0.0.10]:tcp:80 UP")
		r.up("127.0.0.12")
		r.said(soon, "RS [127.0.0.12]:tcp:80 [127.0.0.10]:tcp:80 UP")
		r.becomes(soon, sorry)
		r.up("127.0.0.11")
		r.said(soon, "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 UP", "VS [127.0.0.10]:tcp:80 UP")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 2
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.13:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.14:80 -m -w 1`)
	}, "L-C04", "L-C05", "L-C06", "L-C07")
}

func TestInhibit(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.up("127.0.0.11")
		r.config(vs("sorry_server 127.0.0.99 80", "sorry_server_inhibit", rs("127.0.0.11", "weight 3", "inhibit_on_failure")))
		r.start(program)
		up := `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 3
			-a -t 127.0.0.10:80 -r 127.0.0.99:80 -m -w 0`
		r.becomes(soon, up)
		r.down("127.0.0.11")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 0
			-a -t 127.0.0.10:80 -r 127.0.0.99:80 -m -w 1`)
		r.up("127.0.0.11")
		r.becomes(soon, up)
	}, "L-C09", "L-C10", "L-C11")
}

func TestAlphaAndOmega(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.up("127.0.0.11")
		r.config(vs("alpha", "omega", "sorry_server 127.0.0.99 80", rs("127.0.0.11")))
		r.start(program)
		r.said(soon, "VS [127.0.0.10]:tcp:80 DOWN", "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 UP", "VS [127.0.0.10]:tcp:80 UP")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1`)
		r.stop()
		r.said(soon, "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 DOWN", "VS [127.0.0.10]:tcp:80 DOWN")
		r.expect("")
	}, "L-A06", "L-A11")
}

func TestReload(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.up("127.0.0.11", "127.0.0.12", "127.0.0.13")
		r.config(vs(rs("127.0.0.11"), rs("127.0.0.12"), rs("127.0.0.20")))
		r.start(program)
		r.said(soon, "VS [127.0.0.10]:tcp:80 UP", "RS [127.0.0.20]:tcp:80 [127.0.0.10]:tcp:80 DOWN")
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 1`)
		r.reload(vs("lvs_sched wlc", "persistence_timeout 50", rs("127.0.0.11", "weight 5"), rs("127.0.0.12", "lvs_method DR"), rs("127.0.0.20", "weight 9")))
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wlc -p 50
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 5
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -g -w 1`)
		r.reload(vs(rs("127.0.0.11", "weight 5"), rs("127.0.0.13"), rs("127.0.0.20", "inhibit_on_failure")))
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 5
			-a -t 127.0.0.10:80 -r 127.0.0.13:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.20:80 -m -w 0`)
		r.reload(strings.Replace(vs(rs("127.0.0.11"), rs("127.0.0.13")), "127.0.0.10 80", "127.0.0.10 81", 1))
		r.becomes(soon, `
			-A -t 127.0.0.10:81 -s wrr
			-a -t 127.0.0.10:81 -r 127.0.0.11:80 -m -w 1
			-a -t 127.0.0.10:81 -r 127.0.0.13:80 -m -w 1`)
		r.stop()
		r.expect("")
	}, "L-A03", "L-E02", "L-E03", "L-E04", "L-E05", "L-E06", "L-E09", "L-E11", "L-E18", "L-E20")
}

// What others put into the table stays through start, reload and stop.
func TestForeignEntries(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.run("ipvsadm -A -t 9.9.9.9:9 -s rr")
		r.config(vs(" real_server 127.0.0.11 80 {\n}"))
		r.start(program)
		both := `
			-A -t 9.9.9.9:9 -s rr
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1`
		r.becomes(soon, both)
		r.reload(vs(" real_server 127.0.0.12 80 {\n}"))
		r.becomes(soon, strings.Replace(both, "127.0.0.11", "127.0.0.12", 1))
		r.stop()
		r.expect("-A -t 9.9.9.9:9 -s rr")
	}, "L-A14")
}

func TestFlushAtStart(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.run("ipvsadm -A -t 9.9.9.9:9 -s rr")
		r.config("global_defs {\n lvs_flush\n}\n" + vs(" real_server 127.0.0.11 80 {\n}"))
		r.start(program)
		r.becomes(soon, `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1`)
	}, "L-A13")
}

// -I and lvs_flush_on_stop decide what is left.
func TestWhatIsLeft(t *testing.T) {
	const foreign, ours = "-A -t 9.9.9.9:9 -s rr\n", "-A -t 127.0.0.10:80 -s wrr\n-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1\n"
	for _, test := range []struct {
		name, global string
		args         []string
		left         string
	}{
		{"L-A18 -I", "", []string{"-I"}, foreign + ours},
		{"L-A15 lvs_flush_on_stop", "lvs_flush_on_stop", nil, ""},
		{"L-A16 lvs_flush_on_stop VS", "lvs_flush_on_stop VS", nil, foreign},
	} {
		t.Run(test.name, func(t *testing.T) {
			withDaemons(t, func(r *rig, program string) {
				r.run("ipvsadm -A -t 9.9.9.9:9 -s rr")
				r.config("global_defs {\n " + test.global + "\n}\n" + vs(" real_server 127.0.0.11 80 {\n}"))
				r.start(program, test.args...)
				r.becomes(soon, foreign+ours)
				r.stop()
				r.expect(test.left)
			})
		})
	}
}

// A worker that is killed finds its table again. Ours also corrects what was changed meanwhile.
func TestKilledWorker(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.config(vs(" real_server 127.0.0.11 80 {\n}", " real_server 127.0.0.12 80 {\n}"))
		r.start(program)
		whole := `
			-A -t 127.0.0.10:80 -s wrr
			-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1
			-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 1`
		r.becomes(soon, whole)
		r.said(soon, "VS [127.0.0.10]:tcp:80 UP")
		if r.ours {
			r.run("ipvsadm -e -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 7")
		}
		r.run("ipvsadm -d -t 127.0.0.10:80 -r 127.0.0.12:80")
		b, err := os.ReadFile(r.dir + "/checkers.pid")
		if err != nil {
			r.t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			r.t.Fatal(err)
		}
		syscall.Kill(pid, syscall.SIGKILL)
		r.said(2*soon, "VS [127.0.0.10]:tcp:80 UP")
		r.becomes(soon, whole)
	}, "L-A17")
}

func TestLVSTimeouts(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		is := func(want string) {
			r.t.Helper()
			wait(r.t, soon, "timeouts are "+want, func() bool { return strings.Contains(r.run("ipvsadm -l --timeout"), ": "+want+"\n") })
		}
		is("900 120 300")
		r.config("global_defs {\n lvs_timeouts tcp 100 udp 50\n}\n" + vs(" real_server 127.0.0.11 80 {\n}"))
		r.start(program)
		is("100 120 50")
		r.reload("global_defs {\n lvs_timeouts tcpfin 60\n}\n" + vs(" real_server 127.0.0.11 80 {\n}"))
		is("900 60 300")
		r.stop()
		is("900 120 300")
	}, "L-B16", "L-E27")
}

func TestOtherNamespace(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		other := newSite(r.t)
		r.config("net_namespace_ipvs " + other.ns + "\n" + vs(" real_server 127.0.0.11 80 {\n}"))
		r.start(program)
		r.said(soon, "VS [127.0.0.10]:tcp:80 UP")
		wait(r.t, soon, "the table is in the other namespace", func() bool {
			return slices.Equal(other.table(), []string{"-A -t 127.0.0.10:80 -s wrr", "-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1"})
		})
		r.expect("")
		r.stop()
		other.expect("")
	}, "L-G11")
}

// The exit status of a MISC_CHECK is a weight when misc_dynamic says so.
func TestDynamicWeight(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		write := func(name, text string, mode os.FileMode) {
			r.t.Helper()
			// In one step, since the check may read it at any time.
			if err := os.WriteFile(r.dir+"/new", []byte(text), mode); err != nil {
				r.t.Fatal(err)
			}
			if err := os.Rename(r.dir+"/new", r.dir+"/"+name); err != nil {
				r.t.Fatal(err)
			}
		}
		write("check", fmt.Sprintf("#!/bin/sh\nexit $(cat %s/status)\n", r.dir), 0o755)
		write("status", "0", 0o644)
		r.config(vs(fmt.Sprintf(" real_server 127.0.0.11 80 {\n weight 10\n MISC_CHECK {\n misc_path \"%s/check\"\n misc_dynamic\n warmup 0\n }\n}", r.dir)))
		r.start(program)
		for _, step := range []struct{ status, weight string }{{"0", "10"}, {"22", "20"}, {"1", ""}, {"22", "20"}, {"0", "10"}, {"2", "0"}, {"255", "253"}} {
			write("status", step.status, 0o644)
			want := "-A -t 127.0.0.10:80 -s wrr\n"
			if step.weight != "" {
				want += "-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w " + step.weight
			}
			r.becomes(soon, want)
		}
	}, "L-C14")
}

func TestGroup(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		body := "virtual_server group G {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 127.0.0.11 8080 {\n}\n}\n"
		r.config("virtual_server_group G {\n 127.0.1.1 80\n 127.0.1.10-11 81\n fwmark 5\n}\n" + body)
		r.start(program)
		r.becomes(soon, `
			-A -t 127.0.1.1:80 -s rr
			-a -t 127.0.1.1:80 -r 127.0.0.11:8080 -m -w 1
			-A -t 127.0.1.10:81 -s rr
			-a -t 127.0.1.10:81 -r 127.0.0.11:8080 -m -w 1
			-A -t 127.0.1.11:81 -s rr
			-a -t 127.0.1.11:81 -r 127.0.0.11:8080 -m -w 1
			-A -f 5 -s rr
			-a -f 5 -r 127.0.0.11:8080 -m -w 1`)
		r.said(soon, "VS [G]:0 UP")
		if !r.ours {
			return // 2.2.7 leaves the services of removed entries behind
		}
		r.reload("virtual_server_group G {\n 127.0.1.1 80\n 127.0.1.20 83\n}\n" + body)
		r.becomes(soon, `
			-A -t 127.0.1.1:80 -s rr
			-a -t 127.0.1.1:80 -r 127.0.0.11:8080 -m -w 1
			-A -t 127.0.1.20:83 -s rr
			-a -t 127.0.1.20:83 -r 127.0.0.11:8080 -m -w 1`)
		r.stop()
		r.expect("")
	}, "L-D01", "L-D03")
}

// One of each keyword that ends in the kernel's table.
func TestKeywords(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.config(`
virtual_server_group G {
  127.0.1.1 80
  127.0.1.2 90
  fwmark 5
}
virtual_server group G {
  lvs_sched rr
  lvs_method DR
  protocol TCP
  real_server 127.0.0.11 80 { }
}
virtual_server fwmark 100 {
  lvs_sched wrr
  lvs_method DR
  persistence_timeout 300
  persistence_granularity 255.255.255.0
  real_server 127.0.0.11 { }
}
virtual_server fwmark 101 {
  ip_family inet6
  lvs_sched wrr
  lvs_method TUN
  real_server 127.0.0.11 { }
}
virtual_server ::1 80 {
  lvs_sched wrr
  lvs_method TUN type gue port 6080 csum
  protocol UDP
  persistence_timeout 60
  persistence_granularity 64
  persistence_engine sip
  real_server 127.0.0.11 80 { }
  real_server ::11 80 {
    lvs_method TUN type gre
  }
}
virtual_server 127.0.0.20 53 {
  lvs_sched sh
  sh-port
  sh-fallback
  ops
  lvs_method NAT
  protocol UDP
  real_server 127.0.0.11 5353 {
    weight 2147483647
  }
  real_server 127.0.0.12 {
    weight 0
  }
}
virtual_server 127.0.0.21 80 {
  lvs_sched mh
  mh-port
  mh-fallback
  lvs_method DR
  protocol TCP
  real_server 127.0.0.11 8080 { }
}
virtual_server 127.0.0.22 {
  lvs_sched rr
  lvs_method NAT
  protocol SCTP
  real_server 127.0.0.11 9 { }
}
virtual_server 127.0.0.23 80 {
  real_server 127.0.0.11 80 { }
}
virtual_server 127.0.0.24 80 {
  lvs_sched wlc
  flag-3
  flag-1
  lvs_method NAT
  protocol TCP
  weight 7
  sorry_server 127.0.0.99 80
  real_server 127.0.0.11 80 { }
  real_server 127.0.0.11 81 { }
}
`)
		r.start(program)
		r.becomes(soon, `
			-A -t 127.0.1.1:80 -s rr
			-a -t 127.0.1.1:80 -r 127.0.0.11:80 -g -w 1
			-A -t 127.0.1.2:90 -s rr
			-a -t 127.0.1.2:90 -r 127.0.0.11:90 -g -w 1
			-A -f 5 -s rr
			-a -f 5 -r 127.0.0.11:0 -g -w 1
			-A -f 100 -s wrr -p 300 -M 255.255.255.0
			-a -f 100 -r 127.0.0.11:0 -g -w 1
			-A -f 101 -6 -s wrr
			-a -f 101 -6 -r 127.0.0.11:0 -i -w 1 --tun-type ipip
			-A -u [::1]:80 -s wrr -p 60 -M 64 --pe sip
			-a -u [::1]:80 -r 127.0.0.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
			-a -u [::1]:80 -r [::11]:80 -i -w 1 --tun-type gre --tun-nocsum
			-A -u 127.0.0.20:53 -s sh -o -b sh-fallback,sh-port
			-a -u 127.0.0.20:53 -r 127.0.0.11:5353 -m -w 2147483647
			-a -u 127.0.0.20:53 -r 127.0.0.12:53 -m -w 0
			-A -t 127.0.0.21:80 -s mh -b mh-fallback,mh-port
			-a -t 127.0.0.21:80 -r 127.0.0.11:80 -g -w 1
			-A --sctp-service 127.0.0.22:0 -s rr -p 360
			-a --sctp-service 127.0.0.22:0 -r 127.0.0.11:9 -m -w 1
			-A -u 127.0.0.23:80 -s wlc
			-a -u 127.0.0.23:80 -r 127.0.0.11:80 -m -w 1
			-A -t 127.0.0.24:80 -s wlc -b flag-1,flag-3
			-a -t 127.0.0.24:80 -r 127.0.0.11:80 -m -w 7
			-a -t 127.0.0.24:80 -r 127.0.0.11:81 -m -w 7`)
	})
}

// A client gets answers while a backend dies and returns.
func TestTrafficThroughDaemon(t *testing.T) {
	needVM(t)
	t.Parallel()
	for name, program := range map[string]string{"keepalived": original, "keepalived-go": os.Getenv("KEEPALIVED_GO")} {
		t.Run(name, func(t *testing.T) {
			if program == "" {
				t.Skip("no daemon to test: KEEPALIVED_GO is not set")
			}
			d, client, backends := director(t)
			stop := backends[0].serve(":8080", "one")
			backends[1].serve(":8080", "two")
			r := newRig(d, program != original)
			real := func(addr string) string { return " real_server " + addr + " 8080 {\n " + tcpCheck + "\n}\n" }
			r.config("virtual_server 10.9.9.9 80 {\n delay_loop 1\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n" +
				real("10.2.1.2") + real("10.2.2.2") + "}\n")
			r.start(program)
			answers := func(want ...string) {
				t.Helper()
				wait(t, soon, fmt.Sprintf("answers %v", want), func() bool {
					got := []string{client.dial("10.9.9.9:80"), client.dial("10.9.9.9:80")}
					slices.Sort(got)
					return slices.Equal(got, want)
				})
			}
			answers("one", "two")
			stop()
			answers("two", "two")
			backends[0].serve(":8080", "one")
			answers("one", "two")
		})
	}
}

// The classic default configuration: all its servers are assumed alive at first, and found dead later.
func TestClassicConfiguration(t *testing.T) {
	conf, err := os.ReadFile("testdata/classic.conf")
	if err != nil {
		t.Fatal(err)
	}
	withDaemons(t, func(r *rig, program string) {
		r.ip("link add eth0 type dummy")
		r.ip("addr add 192.168.200.5/24 dev eth0")
		r.ip("link set eth0 up")
		r.raw(string(conf))
		r.start(program)
		r.becomes(patience(2*time.Second), `
			-A -t 10.0.0.1:80 -s rr
			-a -t 10.0.0.1:80 -r 192.168.1.20:80 -m -w 1
			-a -t 10.0.0.1:80 -r 192.168.1.21:80 -m -w 1
			-a -t 10.0.0.1:80 -r 192.168.1.22:80 -m -w 1
			-a -t 10.0.0.1:80 -r 192.168.1.23:80 -m -w 1
			-A -t 10.10.10.2:1358 -s rr -p 50
			-a -t 10.10.10.2:1358 -r 192.168.200.2:1358 -m -w 1
			-a -t 10.10.10.2:1358 -r 192.168.200.3:1358 -m -w 1
			-A -t 10.10.10.3:1358 -s rr -p 50
			-a -t 10.10.10.3:1358 -r 192.168.200.4:1358 -m -w 1
			-a -t 10.10.10.3:1358 -r 192.168.200.5:1358 -m -w 1
			-A -t 192.168.200.100:443 -s rr -p 50
			-a -t 192.168.200.100:443 -r 192.168.201.100:443 -m -w 1`)
		r.becomes(patience(38*time.Second), `
			-A -t 10.0.0.1:80 -s rr
			-A -t 10.10.10.2:1358 -s rr -p 50
			-a -t 10.10.10.2:1358 -r 192.168.200.200:1358 -m -w 1
			-A -t 10.10.10.3:1358 -s rr -p 50
			-A -t 192.168.200.100:443 -s rr -p 50`)
	})
}
