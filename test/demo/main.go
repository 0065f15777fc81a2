// Demo shows in a terminal what the daemon is for: two routers share an address, a client uses it, the master dies, the
// other takes over, the first returns, and an address is added without anybody noticing.
//
//	sudo go run ./test/demo
//
// Everything is real: network namespaces for the routers and the client, packets on a switch, processes killed with
// SIGKILL. It takes about 20 seconds, removes what it made, and ends with an error if anything it shows did not happen.
package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// config is the pair of configurations that guides print; only state, priority and the addresses vary.
func config(state string, priority int, addresses ...string) string {
	return fmt.Sprintf(`vrrp_instance VI_1 {
        state %s
        interface eth0
        virtual_router_id 51
        priority %d
        advert_int 1
        authentication {
              auth_type PASS
              auth_pass 12345
        }
        virtual_ipaddress {
              %s
        }
}
`, state, priority, strings.Join(addresses, "\n              "))
}

const (
	shared = "10.100.1.20/24"
	extra  = "10.100.1.21/24"
)

var (
	vip  = netip.MustParsePrefix(shared).Addr()
	more = netip.MustParsePrefix(extra).Addr()
)

func main() {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "demo: needs root: it makes network namespaces")
		os.Exit(1)
	}
	fmt.Println("Building the daemon …")
	program, remove, err := lab.Build()
	if err == nil {
		defer remove()
		err = lab.Run("demo", func(t lab.T) { show(t, os.Stdout, program) })
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		remove()
		os.Exit(1)
	}
	fmt.Println("\nAll of it happened. The namespaces are removed.")
}

// stage prints what happens, with seconds since the start.
type stage struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func (s *stage) say(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%6.2f s  %-8s %s\n", time.Since(s.start).Seconds(), who, fmt.Sprintf(format, args...))
}

func (s *stage) title(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\n── %s\n", text)
}

var names = map[string]string{"a": "router1", "b": "router2"}

func show(t lab.T, out io.Writer, program string) {
	s := &stage{out: out, start: time.Now()}
	s.title("Two routers and a client on one switch; the routers share " + shared)
	l := lab.New(t, lab.Plan{})
	l.Node("c").IP("addr add 10.100.1.9/24 dev eth0")
	s.say("router1", "priority 255, so the usual master")
	s.say("router2", "priority 254, the backup")
	two := l.Node("b").Start(program, config("BACKUP", 254, shared))
	one := l.Node("a").Start(program, config("MASTER", 255, shared))
	l.WaitHolder(10*time.Second, vip, "a")
	s.say("router1", "MASTER, has %s", vip)
	client := watch(t, s, l)
	client.reaches("a")

	s.title("router1 dies: kill -9 of all its processes, and its cable is out")
	killed := one.Kill()
	l.Node("a").Unplug(0) // its kernel would go on answering
	s.say("router1", "killed; its last advert was %v before", round(killed.Sub(l.LastFrame(lab.Adverts("a")).At)))
	last := l.LastFrame(lab.Adverts("a"))
	first := l.WaitFrame(6*time.Second, "first advert of router2", lab.Adverts("b"), lab.After(killed))
	took := first.At.Sub(last.At)
	// Three intervals of a second and a skew time of 2/256 s.
	theory := 3*time.Second + 2*time.Second/256
	s.say("router2", "MASTER %v after router1's last advert; the protocol asks for %v", round(took), round(theory))
	if took < theory-2*time.Millisecond || took > theory+300*time.Millisecond+lab.Starved(last.At, first.At) {
		t.Fatalf("the takeover took %v", took)
	}
	client.reaches("b")

	s.title("router1 returns")
	l.Node("a").Plug(0)
	back := time.Now()
	one = l.Node("a").Start(program, config("MASTER", 255, shared))
	again := l.WaitFrame(5*time.Second, "advert of router1", lab.Adverts("a"), lab.After(back))
	s.say("router1", "MASTER again %v after its start", round(again.At.Sub(back)))
	l.WaitHolder(5*time.Second, vip, "a")
	s.say("router2", "gave the address up")
	client.reaches("a")

	s.title("router1 gets a second address by a reload (SIGHUP)")
	// The backup first: it then expects what the master is about to announce.
	two.Reload(config("BACKUP", 254, shared, extra))
	at := one.Reload(config("MASTER", 255, shared, extra))
	l.WaitHolder(3*time.Second, more, "a")
	s.say("router1", "has %s too, %v after the signal", more, round(time.Since(at)))
	adverts := l.WaitFrames(5*time.Second, 3, "adverts after the reload", lab.Adverts("a"), lab.After(at))
	gap := adverts[0].At.Sub(l.LastFrame(lab.Adverts("a"), lab.Before(at)).At)
	for i, f := range adverts[1:] {
		gap = max(gap, f.At.Sub(adverts[i].At))
	}
	s.say("router1", "still MASTER; longest time between two adverts %v", round(gap))
	if gap > 1500*time.Millisecond {
		t.Fatalf("the reload held the adverts up for %v", gap)
	}
	if f := l.Frames(lab.Adverts("b"), lab.After(at)); len(f) > 0 {
		t.Fatalf("router2 became master during the reload")
	}
	client.reaches("a")
	client.end()

	s.title("Both are asked to stop: router2 first, so that nobody takes over")
	for _, d := range []*lab.Daemon{two, one} {
		if code := d.Stop(); code != 0 {
			t.Fatalf("%s ended with code %d", names[d.Node.Name], code)
		}
		s.say(names[d.Node.Name], "ended in order")
	}
	l.WaitHolder(time.Second, vip, "")
	l.WaitHolder(time.Second, more, "")
	s.say("", "no address is left behind")
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// client connects to the shared address several times a second, and says when somebody else answers, or nobody.
type client struct {
	t    lab.T
	s    *stage
	l    *lab.Lab
	mu   sync.Mutex
	now  string
	stop chan struct{}
	done chan struct{}
}

func watch(t lab.T, s *stage, l *lab.Lab) *client {
	c := &client{t: t, s: s, l: l, stop: make(chan struct{}), done: make(chan struct{})}
	t.Cleanup(c.end)
	go func() {
		defer close(c.done)
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		var lost time.Time
		for {
			select {
			case <-c.stop:
				return
			case <-ticker.C:
			}
			asked := time.Now()
			name, err := l.Node("c").Who(vip, 250*time.Millisecond)
			if err != nil {
				name = ""
			}
			c.mu.Lock()
			before := c.now
			c.now = name
			c.mu.Unlock()
			if name == before {
				continue
			}
			switch {
			case name == "":
				lost = asked
				s.say("client", "nobody answers at %s", vip)
			case before == "" && !lost.IsZero():
				s.say("client", "%s answers at %s, after %v", names[name], vip, round(time.Since(lost)))
			default:
				s.say("client", "%s answers at %s", names[name], vip)
			}
		}
	}()
	return c
}

// reaches waits until the node answers the client.
func (c *client) reaches(node string) {
	c.l.Wait(5*time.Second, "the client is answered by "+names[node], func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now == node
	})
}

func (c *client) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	<-c.done
}
