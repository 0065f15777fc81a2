package vm

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What the options of a connection do on the wire, and when a server that answers nothing is down.
func TestConnections(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		var mu sync.Mutex
		ports := map[int]bool{}
		r.talking("127.0.0.11:80", func(c net.Conn, _ *bufio.Reader) {
			mu.Lock()
			defer mu.Unlock()
			ports[c.RemoteAddr().(*net.TCPAddr).Port] = true
		})
		r.up("127.0.0.12", "127.0.0.13")
		// What carries mark 7 gets nowhere.
		r.ip("rule add pref 100 lookup local")
		r.ip("rule add pref 50 fwmark 7 unreachable")
		r.ip("rule del pref 0")
		// Nobody answers at 192.0.2.0/24, and no one says so; at 198.51.100.0/24 there is nobody to be found.
		r.ip("link add hole type dummy")
		r.ip("addr add 192.0.2.1/24 dev hole")
		r.ip("link set hole up")
		r.ip("link add wire type veth peer name end")
		r.ip("addr add 198.51.100.1/24 dev wire")
		r.ip("link set wire up")
		r.ip("link set end up")
		check := func(kind, addr string, more ...string) string {
			return fmt.Sprintf("real_server %s 80 {\n%s {\n warmup 0\n delay_loop 1\n retry 0\n%s\n}\n}", addr, kind, strings.Join(more, "\n"))
		}
		r.config(vs(check("TCP_CHECK", "127.0.0.11", "connect_timeout 1", "bind_port 12345"),
			check("TCP_CHECK", "127.0.0.12", "connect_timeout 1", "fwmark 7"), check("TCP_CHECK", "127.0.0.13", "connect_timeout 1", "fwmark 8"),
			check("TCP_CHECK", "192.0.2.9", "connect_timeout 1"), check("UDP_CHECK", "198.51.100.9", "connect_timeout 5")))
		began := time.Now()
		r.start(program)
		r.t.Run("L-F06 a server that never answers is down after connect_timeout", func(*testing.T) {
			r.logged("TCP_CHECK on service [192.0.2.9]:tcp:80 failed.")
			if took := time.Since(began); took < 2*time.Second { // a delay_loop, and the timeout
				r.t.Errorf("after %v", took)
			}
		})
		r.t.Run("L-F36 a host that is not to be found is down", func(*testing.T) {
			r.logged("UDP_CHECK on service [198.51.100.9]:tcp:80 failed.")
		})
		r.t.Run("L-F05 packets carry the mark", func(*testing.T) { r.becomes(soon, weights("11:1 13:1")) })
		r.t.Run("L-F04 bind_port means nothing without bindto", func(*testing.T) {
			wait(r.t, soon, "some checks", func() bool { mu.Lock(); defer mu.Unlock(); return len(ports) > 1 })
			mu.Lock()
			defer mu.Unlock()
			if ports[12345] {
				r.t.Errorf("checks come from %v", ports)
			}
		})
	})
}

// PING_CHECK uses what the host lets it.
func TestPingGroupRange(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.ip("addr add 2001:db8::11/128 dev lo")
		r.ip("addr add 192.0.2.11/32 dev lo")
		const closed = "1\t0"
		setting := func() string { return strings.TrimSpace(r.run("cat /proc/sys/net/ipv4/ping_group_range")) }
		if was := setting(); was != closed {
			r.t.Fatalf("ping_group_range is %q", was)
		}
		ping := func(addr string) string {
			return fmt.Sprintf("real_server %s 80 {\n PING_CHECK {\n warmup 0\n delay_loop 1\n retry 0\n connect_timeout 1\n}\n}", addr)
		}
		r.config(vs(ping("192.0.2.11"), ping("192.0.2.12")) + "virtual_server 2001:db8::10 80 {\n delay_loop 1\n lvs_sched wrr\n lvs_method NAT\n protocol TCP\n" +
			ping("2001:db8::11") + ping("2001:db8::12") + "\n}\n")
		r.t.Run("L-F38 a configuration test leaves the setting alone", func(t *testing.T) {
			args := []string{"netns", "exec", r.ns, program, "-t", "-f", r.dir + "/keepalived.conf"}
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			if got := setting(); got != closed {
				if r.ours {
					t.Errorf("it is %q now", got)
				}
				r.in(func() error { return os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(closed), 0) })
			}
		})
		r.start(program)
		r.t.Run("L-F37 hosts that answer and that do not, of both families", func(*testing.T) {
			r.becomes(soon, `
				-A -t 127.0.0.10:80 -s wrr
				-a -t 127.0.0.10:80 -r 192.0.2.11:80 -m -w 1
				-A -t [2001:db8::10]:80 -s wrr
				-a -t [2001:db8::10]:80 -r [2001:db8::11]:80 -m -w 1`)
			r.logged("ICMP connection to [192.0.2.11]:tcp:80 success.", "ICMP CHECK on service [192.0.2.12]:tcp:80 failed.",
				"ICMP connection to [2001:db8::11]:tcp:80 success.", "ICMP CHECK on service [2001:db8::12]:tcp:80 failed.")
			r.stop()
			if got := setting(); got != closed {
				if r.ours {
					r.t.Errorf("ping_group_range is %q afterwards", got)
				} else {
					r.t.Logf("ping_group_range is %q afterwards", got)
				}
			}
		})
	})
}

// events makes a script that appends a line with its words to a file, and returns the words of a call and the lines so far.
func (r *rig) events() (script func(words string) string, lines func() []string) {
	r.put("event", "echo \"$*\" >>"+r.dir+"/events\n")
	return func(words string) string { return fmt.Sprintf("\"/bin/sh %s/event %s\"", r.dir, words) }, func() []string {
		b, _ := os.ReadFile(r.dir + "/events")
		got := strings.Fields(string(b))
		slices.Sort(got)
		return got
	}
}

func TestAlphaTwice(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		script, lines := r.events()
		r.config(vs("alpha", "real_server 127.0.0.11 80 {\n notify_down "+script("RDOWN")+"\n notify_up "+script("RUP")+"\n"+tcpCheck+
			"\nSMTP_CHECK {\n warmup 0\n connect_timeout 1\n retry 0\n}\n}"))
		r.start(program)
		wait(r.t, soon, "both failures", func() bool { return len(lines()) >= 2 })
		r.becomes(soon, "-A -t 127.0.0.10:80 -s wrr")
		if got := lines(); !slices.Equal(got, []string{"RDOWN", "RDOWN"}) {
			r.t.Errorf("told %q", got)
		}
	}, "L-F49")
}

// A server that refuses a recipient is told of once, and not tried again.
func TestMailRefused(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		var mu sync.Mutex
		dialogues := 0
		r.talking("127.0.0.1:2525", func(c net.Conn, in *bufio.Reader) {
			mu.Lock()
			dialogues++
			mu.Unlock()
			for reply := "220 vm\r\n"; ; {
				io.WriteString(c, reply)
				line, err := in.ReadString('\n')
				switch {
				case err != nil:
					return
				case strings.HasPrefix(line, "RCPT"):
					reply = "550 who?\r\n"
				case strings.HasPrefix(line, "QUIT"):
					io.WriteString(c, "221 bye\r\n")
					return
				default:
					reply = "250 ok\r\n"
				}
			}
		})
		r.up("127.0.0.11")
		r.config("global_defs {\n router_id LB1\n smtp_server 127.0.0.1 2525\n notification_email_from lb@example.com\n notification_email {\n  ops@example.com\n }\n}\n" +
			vs("smtp_alert", rs("127.0.0.11", "smtp_alert off")))
		r.start(program)
		r.logged("Error processing RCPT cmd on SMTP server [127.0.0.1]:2525. SMTP status code = 550")
		time.Sleep(3 * time.Second) // of no second try
		mu.Lock()
		defer mu.Unlock()
		if dialogues != 1 {
			r.t.Errorf("%d dialogues", dialogues)
		}
	}, "L-G03")
}

// Hundreds of services are there in a few seconds, and a reload that changes nothing changes nothing.
func TestManyServices(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		const services, servers = 500, 4
		var conf, want strings.Builder
		for v := range services {
			vip := fmt.Sprintf("10.50.%d.%d", v/250, 1+v%250)
			fmt.Fprintf(&conf, "virtual_server %s 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n", vip)
			fmt.Fprintf(&want, "-A -t %s:80 -s rr\n", vip)
			for s := range servers {
				fmt.Fprintf(&conf, "real_server 10.60.%d.%d 80 {\n}\n", s, 1+v%250)
				fmt.Fprintf(&want, "-a -t %s:80 -r 10.60.%d.%d:80 -m -w 1\n", vip, s, 1+v%250)
			}
			conf.WriteString("}\n")
		}
		r.config(conf.String())
		began := time.Now()
		r.start(program)
		r.becomes(2*soon, want.String())
		// Other tests run at the same time, so that processor time counts, in ticks of 10 ms: of the daemon and of what it waited for, which
		// is a third of a second on an idle machine.
		used := 0
		for _, name := range []string{"keepalived.pid", "checkers.pid"} {
			pid, _ := os.ReadFile(r.dir + "/" + name)
			stat, _ := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
			_, rest, _ := strings.Cut(string(stat), ") ")
			f := strings.Fields(rest)
			if len(f) < 15 {
				r.t.Fatalf("%s: %q", name, stat)
			}
			for _, field := range f[11:15] { // utime, stime, cutime, cstime
				n, _ := strconv.Atoi(field)
				used += n
			}
		}
		took := time.Duration(used) * 10 * time.Millisecond
		r.t.Logf("there after %v, with %v of processor time", time.Since(began), took)
		if took > patience(5*time.Second) {
			r.t.Errorf("it took %v", took)
		}
		r.reload(conf.String())
		r.becomes(soon, want.String())
	}, "L-G12")
}

// A service that cannot be is left out, at the start and at a reload; the rest is as configured.
func TestInvalidService(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.up("127.0.0.11", "127.0.0.12")
		bad := "virtual_server 127.0.0.999 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 127.0.0.11 80 {\n}\n}\n"
		second := strings.Replace(vs(rs("127.0.0.12")), "127.0.0.10", "127.0.0.20", 1)
		both := "-A -t 127.0.0.10:80 -s wrr\n-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1\n-A -t 127.0.0.20:80 -s wrr\n-a -t 127.0.0.20:80 -r 127.0.0.12:80 -m -w 1\n"
		r.config(vs(rs("127.0.0.11")) + second)
		r.start(program)
		r.becomes(soon, both)
		r.reload(vs(rs("127.0.0.11", "weight 5")) + bad)
		r.becomes(soon, weights("11:5"))
	}, "L-E31")
}

// Agents of OpenStack know the daemon by its pid files. Octavia's names them all, takes the age of the checkers' file for that of the
// daemon, and reloads by the parent's; neutron reads the file of VRRP, which it named after the parent's.
func TestAgentsReadPIDFiles(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.router()
		r.up("127.0.0.11")
		conf := vrrpInstance + vs(rs("127.0.0.11"))
		r.config(conf)
		r.start(program)
		r.becomes(soon, weights("11:1"))
		names := []string{"keepalived.pid", "vrrp.pid", "checkers.pid"}
		pids := map[string]int{}
		for _, name := range names {
			wait(r.t, soon, name, func() bool {
				text, _ := os.ReadFile(r.dir + "/" + name)
				pid, err := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
				pids[name] = pid
				return err == nil && pid > 0
			})
			cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pids[name])) // so neutron finds out whether it is still that daemon
			if err != nil || !strings.Contains(string(cmdline), r.dir+"/keepalived.conf") {
				r.t.Errorf("%s names %d: %q, %v", name, pids[name], cmdline, err)
			}
			if st, err := os.Stat(r.dir + "/" + name); err != nil || st.Mode().Perm() != 0o644 {
				r.t.Errorf("%s: %v, %v", name, st, err)
			}
		}
		age := func() time.Time {
			st, err := os.Stat(r.dir + "/checkers.pid")
			if err != nil {
				r.t.Fatal(err)
			}
			return st.ModTime()
		}
		began := age()
		if d := time.Since(began); d > time.Minute || d < -time.Minute {
			r.t.Errorf("checkers.pid is of %v", began)
		}
		// A reload by the file of the parent keeps the age and the processes.
		r.config(strings.Replace(conf, "real_server 127.0.0.11 80 {\n", "real_server 127.0.0.11 80 {\n weight 3\n", 1))
		if err := syscall.Kill(pids["keepalived.pid"], syscall.SIGHUP); err != nil {
			r.t.Fatal(err)
		}
		r.becomes(soon, weights("11:3"))
		for _, name := range names {
			text, _ := os.ReadFile(r.dir + "/" + name)
			if string(text) != fmt.Sprintln(pids[name]) {
				r.t.Errorf("%s says %q after a reload, before %d", name, text, pids[name])
			}
		}
		if after := age(); !after.Equal(began) {
			r.t.Errorf("checkers.pid is of %v after a reload, before of %v", after, began)
		}
		// The files go with the daemon, after everything else: who waits for that may start another one.
		r.stop()
		for _, name := range names {
			if _, err := os.Stat(r.dir + "/" + name); !os.IsNotExist(err) {
				r.t.Errorf("%s is still there: %v", name, err)
			}
		}
		r.expect("")
	})
}

// With several pages a server comes up when each has been right once, one at a tick; with fast_recovery the next page is asked for at once.
func TestSeveralPages(t *testing.T) {
	for name, fast := range map[string]string{"L-F20 a page at a tick": "", "L-F20 fast_recovery": "fast_recovery"} {
		t.Run(name, func(t *testing.T) {
			withDaemons(t, func(r *rig, program string) {
				var mu sync.Mutex
				var asked []string
				var at []time.Time
				r.talking("127.0.0.11:80", func(c net.Conn, in *bufio.Reader) {
					first := ""
					for line := ""; line != "\r\n"; {
						var err error
						if line, err = in.ReadString('\n'); err != nil {
							return
						}
						if first == "" {
							first = strings.Fields(line)[1]
						}
					}
					mu.Lock()
					asked, at = append(asked, first), append(at, time.Now())
					mu.Unlock()
					io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nhello")
				})
				url := func(path string) string { return "url {\n path " + path + "\n status_code 200\n}\n" }
				r.config(vs("alpha", "real_server 127.0.0.11 80 {\n HTTP_GET {\n warmup 0\n delay_loop 1\n connect_timeout 1\n"+fast+"\n"+url("/a")+url("/b")+url("/c")+"}\n}"))
				r.start(program)
				r.said(soon, "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 UP", "VS [127.0.0.10]:tcp:80 UP")
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(asked, []string{"/a", "/b", "/c"}) {
					r.t.Fatalf("asked for %q when it came up", asked)
				}
				if took := at[2].Sub(at[0]); fast == "" && took < 1900*time.Millisecond || fast != "" && took > patience(1900*time.Millisecond) {
					r.t.Errorf("the third page is asked for %v after the first", took)
				}
			})
		})
	}
}

// A server that ends the connection without ending TLS has answered all the same. Of that the original has a line since 2.3; we cannot.
func TestTLSCutOff(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			r.t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			r.t.Fatal(err)
		}
		conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
		r.talking("127.0.0.11:80", func(c net.Conn, _ *bufio.Reader) {
			s := tls.Server(c, conf)
			in := bufio.NewReader(s)
			for line := ""; line != "\r\n"; {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
			}
			io.WriteString(s, "HTTP/1.0 200 OK\r\n\r\nhello")
			// and the TCP connection is closed by who called
		})
		r.config(vs("alpha", "real_server 127.0.0.11 80 {\n SSL_GET {\n warmup 0\n delay_loop 1\n connect_timeout 1\n url {\n path /\n status_code 200\n}\n}\n}"))
		r.start(program)
		r.becomes(soon, weights("11:1"))
		r.logged("HTTP status code success to [127.0.0.11]:tcp:80 url(/)", "Remote Web server [127.0.0.11]:tcp:80 succeed on service.")
	}, "L-F29")
}

// What the configuration says of the checkers' process holds for all threads of that which runs the checks, and for the daemon's where there is
// no VRRP.
func TestPlaceOfCheckers(t *testing.T) {
	program := os.Getenv("KEEPALIVED_GO")
	needVM(t)
	if program == "" {
		t.Skip("no daemon to test: KEEPALIVED_GO is not set")
	}
	t.Parallel()
	r := newRig(newSite(t), true)
	r.up("127.0.0.11")
	r.config(globals("checker_rt_priority 7\nchecker_cpu_affinity 0\nchecker_no_swap\nchecker_process_name checks") + vs(rs("127.0.0.11")))
	r.start(program)
	r.becomes(soon, weights("11:1"))
	text, err := os.ReadFile(r.dir + "/checkers.pid")
	if err != nil {
		t.Fatal(err)
	}
	worker := strings.TrimSpace(string(text))
	prober := ""
	wait(t, soon, "a prober", func() bool {
		children, _ := os.ReadFile("/proc/" + worker + "/task/" + worker + "/children")
		if lists, _ := filepath.Glob("/proc/" + worker + "/task/*/children"); len(children) == 0 {
			for _, list := range lists {
				more, _ := os.ReadFile(list)
				children = append(children, more...)
			}
		}
		for _, pid := range strings.Fields(string(children)) {
			if comm, _ := os.ReadFile("/proc/" + pid + "/comm"); string(comm) == "checks\n" {
				prober = pid
			}
		}
		return prober != ""
	})
	for what, pid := range map[string]string{"worker": worker, "prober": prober} {
		wait(t, soon, "the place of the "+what, func() bool { // it takes it when it has started
			tasks, _ := filepath.Glob("/proc/" + pid + "/task/*")
			placed := 0
			for _, task := range tasks {
				stat, _ := os.ReadFile(task + "/stat")
				_, rest, _ := strings.Cut(string(stat), ") ")
				f := strings.Fields(rest)
				status, _ := os.ReadFile(task + "/status")
				if len(f) > 38 && f[37] == "7" && f[38] == "2" && strings.Contains(string(status), "\nCpus_allowed_list:\t0\n") { // fields 40 and 41: SCHED_RR
					placed++
				}
			}
			left := 0 // the thread that scripts are started from is an ordinary one
			if what == "worker" {
				left = 1
			}
			return len(tasks) > 1 && placed == len(tasks)-left
		})
		status, _ := os.ReadFile("/proc/" + pid + "/status")
		if strings.Contains(string(status), "VmLck:\t       0 kB") {
			t.Errorf("the %s has no memory locked:\n%s", what, status)
		}
	}
}

// Checkers run as another user than root with exactly the capabilities that the daemon names when it has none.
func TestCapabilitiesOfCheckers(t *testing.T) {
	program := os.Getenv("KEEPALIVED_GO")
	needVM(t)
	if program == "" {
		t.Skip("no daemon to test: KEEPALIVED_GO is not set")
	}
	t.Parallel()
	r := newRig(newSite(t), true)
	const nobody = "65534"
	for _, dir := range []string{filepath.Dir(r.dir), r.dir} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// Others may not be able to execute the daemon where it is.
	if err := exec.Command("cp", program, r.dir+"/daemon").Run(); err != nil {
		t.Fatal(err)
	}
	os.Remove(r.dir + "/fifo")
	r.up("127.0.0.11", "127.0.0.12")
	r.ip("addr add 192.0.2.13/32 dev lo")
	r.put("misc", "id -u >"+r.dir+"/ran\n")
	check := func(kind, addr string, more ...string) string {
		return fmt.Sprintf("real_server %s 80 {\n%s {\n warmup 0\n delay_loop 1\n retry 0\n%s\n}\n}", addr, kind, strings.Join(more, "\n"))
	}
	r.raw(globals("enable_script_security") + vs("alpha",
		check("TCP_CHECK", "127.0.0.11", "connect_timeout 1", "fwmark 7"),
		check("TCP_CHECK", "127.0.0.12", "connect_timeout 1", "bindto 127.0.0.1", "bind_port 81"),
		check("PING_CHECK", "192.0.2.13", "connect_timeout 1"),
		check("MISC_CHECK", "127.0.0.14", "misc_path \"/usr/bin/sh "+r.dir+"/misc\"", "user daemon")))
	needs := regexp.MustCompile(`needs (CAP_[A-Z_]+)`)
	start := func(have ...string) (named []string) {
		list := "-all"
		for _, c := range have {
			list += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
		}
		r.as = []string{"setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups", "--inh-caps", list, "--ambient-caps", list, "--bounding-set", list}
		r.log = &buffer{}
		r.start(r.dir + "/daemon")
		r.logged("Startup complete")
		for _, m := range needs.FindAllStringSubmatch(r.log.String(), -1) {
			named = append(named, m[1])
		}
		slices.Sort(named)
		return slices.Compact(named)
	}
	want := []string{"CAP_KILL", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID"}
	named := start()
	r.stop()
	if !slices.Equal(named, want) {
		t.Fatalf("it names %q, log:\n%s", named, r.log)
	}
	if more := start(named...); len(more) > 0 {
		t.Errorf("with these it names %q", more)
	}
	r.becomes(soon, `
		-A -t 127.0.0.10:80 -s wrr
		-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1
		-a -t 127.0.0.10:80 -r 127.0.0.12:80 -m -w 1
		-a -t 127.0.0.10:80 -r 127.0.0.14:80 -m -w 1
		-a -t 127.0.0.10:80 -r 192.0.2.13:80 -m -w 1`)
	if ran, _ := os.ReadFile(r.dir + "/ran"); string(ran) != "1\n" {
		t.Errorf("the script ran as %q", ran)
	}
	r.stop()
	r.expect("")
}
