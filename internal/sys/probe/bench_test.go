package probe

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// paceBatch is how many probes begin at a time, about as many as the worker's timers bring together.
const paceBatch = 20

// serveBench is a web server in a process of its own.
func serveBench() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			var b [2048]byte
			c.Read(b[:])
			c.Write([]byte("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			c.Close()
		}()
	}
}

// BenchmarkPaced asks a prober a thousand times a second, and reports the processor time of a probe there and here.
func BenchmarkPaced(b *testing.B) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVar+"=webserver")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	line, _ := bufio.NewReader(out).ReadString('\n')
	port, err := strconv.Atoi(line[:len(line)-1])
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []model.CheckKind{model.TCPCheck, model.HTTPGet} {
		b.Run(string(kind), func(b *testing.B) {
			results := make(chan Answer, b.N)
			c := Spawn(Options{Exe: "/proc/self/exe", Env: append(os.Environ(), roleVar+"=prober"), Log: slog.New(slog.DiscardHandler),
				OnResults: func(list []Answer) {
					for _, a := range list {
						results <- a
					}
				}, OnDied: func(error) {}})
			defer c.Close()
			spec := &Spec{Kind: kind, Conn: model.Connect{Dst: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)), Timeout: 5 * time.Second},
				URL: model.URL{Path: "/", Status: []model.StatusRange{{First: 200, Last: 299}}}}
			for c.PID() == 0 {
				time.Sleep(time.Millisecond)
			}
			var was, is unix.Rusage
			unix.Getrusage(unix.RUSAGE_SELF, &was)
			before := onCPU(b, c.PID())
			for i := range b.N {
				c.Start(uint64(i), spec, 10*time.Second)
				if i%paceBatch == 0 {
					time.Sleep(paceBatch * time.Millisecond)
				}
			}
			for range b.N {
				if a := <-results; !a.Result.OK {
					b.Fatal(a.Result.Reason)
				}
			}
			unix.Getrusage(unix.RUSAGE_SELF, &is)
			b.ReportMetric(float64(onCPU(b, c.PID())-before)/float64(b.N)/1000, "prober-µs/op")
			b.ReportMetric(float64(is.Utime.Nano()+is.Stime.Nano()-was.Utime.Nano()-was.Stime.Nano())/float64(b.N)/1000, "client-µs/op")
		})
	}
}

// onCPU is the processor time of a process in ns.
func onCPU(b *testing.B, pid int) (sum int) {
	dirs, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, d := range dirs {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, d.Name()))
		if err != nil {
			b.Fatal(err)
		}
		var n int
		fmt.Sscan(string(text), &n)
		sum += n
	}
	return sum
}
