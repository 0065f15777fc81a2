package vm

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// recording accepts connections on addr and keeps what each sends up to the end of a request.
type recording struct {
	mu  sync.Mutex
	got map[string]bool
}

func (s *site) record(addr string, answer string) *recording {
	rec := &recording{got: map[string]bool{}}
	s.talking(addr, func(c net.Conn, in *bufio.Reader) {
		var text strings.Builder
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				break
			}
			text.WriteString(line)
		}
		rec.mu.Lock()
		rec.got[text.String()] = true
		rec.mu.Unlock()
		io.WriteString(c, answer)
	})
	return rec
}

func (r *recording) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[text]
}

// What both daemons send to a web server, to the byte, and which host they name.
func TestWebRequests(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		r.ip("addr add 2001:db8::11/128 dev lo")
		v4 := r.record("127.0.0.11:80", "HTTP/1.0 200 OK\r\n\r\nhello")
		check := func(head, url string) string {
			return "HTTP_GET {\n warmup 0\n delay_loop 1\n connect_timeout 1\n" + head + "\n url {\n path /" + url + "\n }\n}"
		}
		agent := " HTTP/1.%d\r\nUser-Agent: KeepAliveClient\r\n%sHost: %s\r\n\r\n"
		want := map[string]string{
			"L-F8 1.0":                     "GET /a" + fmt.Sprintf(agent, 0, "", "127.0.0.11:80"),
			"L-F8 1.0C":                    "GET /b" + fmt.Sprintf(agent, 0, "Connection: close\r\n", "127.0.0.11:80"),
			"L-F8 1.1":                     "GET /c?d=e" + fmt.Sprintf(agent, 1, "Connection: close\r\n", "127.0.0.11:80"),
			"L-F9 host of the url":         "GET /f" + fmt.Sprintf(agent, 0, "", "url.example.org"),
			"L-F9 host of the checker":     "GET /g" + fmt.Sprintf(agent, 0, "", "checker.example.org"),
			"L-F9 host of the real server": "GET /h" + fmt.Sprintf(agent, 0, "", "rs.example.org"),
			"L-F9 host of the service":     "GET /i" + fmt.Sprintf(agent, 0, "", "vs.example.org"),
		}
		other := func(port, rs, check string) string {
			return fmt.Sprintf("virtual_server 127.0.0.10 %s {\n delay_loop 1\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n virtualhost vs.example.org\n real_server 127.0.0.11 80 {\n %s\n %s\n}\n}\n", port, rs, check)
		}
		r.config(vs("real_server 127.0.0.11 80 {", check("", "a"), check("http_protocol 1.0C", "b"), check("http_protocol 1.1", "c?d=e"), "}") +
			other("81", "virtualhost rs.example.org", check("virtualhost checker.example.org", "f\n virtualhost url.example.org")) +
			other("82", "virtualhost rs.example.org", check("virtualhost checker.example.org", "g")) +
			other("83", "virtualhost rs.example.org", check("", "h")) + other("84", "", check("", "i")))
		r.start(program)
		for name, text := range want {
			r.t.Run(name, func(t *testing.T) {
				wait(t, soon, "request "+text, func() bool { return v4.has(text) })
			})
		}
	})
}

// Exit codes of MISC_CHECK scripts and the weights that follow, and who runs them.
func TestMiscCheck(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		misc := func(n, script, more string) string {
			return fmt.Sprintf("real_server 127.0.0.%s 80 {\n weight 10\n MISC_CHECK {\n misc_path \"/bin/sh %s/%s\"\n warmup 0\n delay_loop 1\n retry 0\n misc_timeout 30\n %s\n }\n}", n, r.dir, script, more)
		}
		code := func(name string, n int) { r.put(name, fmt.Sprintf("exit %d\n", n)) }
		os.Chmod(r.dir, 0o755)
		os.Chmod(filepath.Dir(r.dir), 0o755)
		code("one", 0)
		code("two", 12)
		code("three", 15)
		r.put("who", "id -u >"+r.dir+"/out/uid\ncut -d' ' -f5 /proc/$$/stat >"+r.dir+"/out/pgid\necho $$ >"+r.dir+"/out/pid\n")
		os.Mkdir(r.dir+"/out", 0o777)
		os.Chmod(r.dir+"/out", 0o777)
		r.put("hang", "trap '' TERM\necho $$ >"+r.dir+"/out/hung\nwhile :; do sleep 1; done\n")
		r.config(vs(misc("11", "one", "misc_dynamic"),
			"real_server 127.0.0.12 80 {\n weight 10\n MISC_CHECK {\n misc_path \"/bin/sh "+r.dir+"/two\"\n warmup 0\n delay_loop 1\n misc_timeout 30\n misc_dynamic\n }\n MISC_CHECK {\n misc_path \"/bin/sh "+r.dir+"/three\"\n warmup 0\n delay_loop 1\n misc_timeout 30\n misc_dynamic\n }\n}",
			misc("13", "who", "user nobody"),
			"real_server 127.0.0.14 80 {\n MISC_CHECK {\n misc_path \""+r.dir+"/absent\"\n warmup 0\n delay_loop 1\n }\n}",
			misc("15", "hang", "misc_timeout 1")))
		r.start(program)
		table := func(first string) string {
			if first != "" {
				first = "11:" + first + " "
			}
			return weights(first + "12:13 13:10 14:1")
		}
		r.t.Run("L-F40 two dynamic checkers add up; L-F42 a checker without its script is none", func(*testing.T) { r.becomes(2*soon, table("10")) })
		r.t.Run("L-F41 a script that hangs is killed, whatever it does about SIGTERM", func(t *testing.T) {
			wait(t, soon, "log of the time-out", func() bool { return strings.Contains(r.log.String(), "/bin/sh] timed out") })
			b, err := os.ReadFile(r.dir + "/out/hung")
			pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
			if pid == 0 {
				t.Fatalf("the script did not run: %v", err)
			}
			wait(t, soon, "the end of the script", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
		})
		r.t.Run("L-F39 exit codes are weights", func(*testing.T) {
			for _, step := range []struct {
				code   int
				weight string
			}{{12, "10"}, {22, "20"}, {1, ""}, {22, "20"}, {0, "10"}, {2, "0"}, {255, "253"}} {
				code("one", step.code)
				r.becomes(2*soon, table(step.weight))
			}
		})
		r.t.Run("L-F43 the user and the process group of a script", func(t *testing.T) {
			read := func(name string) string {
				b, _ := os.ReadFile(r.dir + "/out/" + name)
				return strings.TrimSpace(string(b))
			}
			wait(t, soon, "a script of nobody in a group of its own", func() bool {
				return read("uid") == "65534" && read("pid") != "" && read("pgid") == read("pid")
			})
		})
	})
}

// Several checkers on one server, retries, and what is no fault of the server.
func TestCheckRules(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		tcp := func(more string) string {
			return "TCP_CHECK {\n warmup 0\n delay_loop 1\n connect_timeout 1\n retry 0\n" + more + "\n}"
		}
		both := r.serve("127.0.0.11:80", "x")
		other := r.serve("127.0.0.11:81", "x")
		again := r.serve("127.0.0.12:80", "x")
		r.config(vs("real_server 127.0.0.11 80 {", tcp(""), tcp("connect_port 81"), "}",
			"real_server 127.0.0.12 80 {", tcp("retry 2\n delay_before_retry 0.5\n log_all_failures"), "}",
			"real_server 127.0.0.13 80 {", tcp("bindto 192.0.2.1"), "}",
			"real_server 127.0.0.14 80 {", tcp("retry 5"), "}"))
		begin := time.Now()
		r.start(program)
		r.t.Run("L-F2 a server that is dead at the start has no retries; L-F3 an address that is not here is no fault of the server", func(*testing.T) {
			r.becomes(soon, weights("11:1 12:1 13:1"))
			r.logged("TCP_CHECK on service [127.0.0.14]:tcp:80 failed.", "TCP socket bind failed. Rescheduling.", "Checker bind failed: Cannot assign requested address")
			if took := time.Since(begin); took > 4*time.Second {
				r.t.Logf("took %v", took)
			}
		})
		r.t.Run("L-F1 retries, L-F51 each of them told", func(*testing.T) {
			again()
			r.becomes(2*soon, weights("11:1 13:1"))
			r.logged("TCP connection to [127.0.0.12]:tcp:80 failed.", "TCP_CHECK on service [127.0.0.12]:tcp:80 failed after 2 retries.")
			if n := strings.Count(r.log.String(), "TCP connection to [127.0.0.12]:tcp:80 failed.\n"); n != 3 {
				r.t.Errorf("%d failures told, want 3", n)
			}
		})
		r.t.Run("L-F48 down once and up once, with the first failure and the last recovery", func(*testing.T) {
			for len(r.lines) > 0 {
				<-r.lines
			}
			both()
			r.becomes(soon, weights("13:1"))
			other()
			r.logged("TCP_CHECK on service [127.0.0.11]:tcp:80 failed.")
			wait(r.t, soon, "both failures", func() bool {
				return strings.Count(r.log.String(), "TCP_CHECK on service [127.0.0.11]:tcp:80 failed.\n") == 2
			})
			r.serve("127.0.0.11:80", "x")
			wait(r.t, soon, "one recovery", func() bool {
				return strings.Count(r.log.String(), "TCP connection to [127.0.0.11]:tcp:80 success.\n") == 3
			})
			r.expect(weights("13:1"))
			r.serve("127.0.0.11:81", "x")
			r.becomes(soon, weights("11:1 13:1"))
			r.said(soon, "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 DOWN", "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 UP")
			r.silent()
		})
	})
}
