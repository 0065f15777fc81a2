// Package netns runs the daemon alone in real networks: what it sends, which addresses it holds, when, and how it
// answers to signals. `KEEPALIVED_GO=/usr/sbin/keepalived go test ./test/netns` runs the same scenarios with the
// original, which is how they are checked themselves.
package netns

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// instance is a vrrp_instance. The zero value is VRID 51, version 3, 0.2 s, on eth0, with 10.1.0.100/24.
type instance struct {
	Name      string
	Interface string
	VRID      int
	Version   int
	Interval  time.Duration
	Priority  int
	VIPs      string
	Lines     string // more of it
}

// withDefaults fills in what the zero value means.
func (i instance) withDefaults() instance {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&i.Name, "VI_1")
	set(&i.Interface, "eth0")
	set(&i.VIPs, "10.1.0.100/24")
	if i.VRID == 0 {
		i.VRID = 51
	}
	if i.Version == 0 {
		i.Version = 3
	}
	if i.Interval == 0 {
		i.Interval = 200 * time.Millisecond
	}
	return i
}

func (i instance) String() string {
	i = i.withDefaults()
	return fmt.Sprintf("vrrp_instance %s {\n  interface %s\n  virtual_router_id %d\n  priority %d\n  version %d\n  advert_int %v\n"+
		"  virtual_ipaddress {\n    %s\n  }\n  %s\n}\n",
		i.Name, i.Interface, i.VRID, i.Priority, i.Version, i.Interval.Seconds(),
		strings.ReplaceAll(i.VIPs, " ", "\n    "), strings.ReplaceAll(i.Lines, "\n", "\n  "))
}

// skew and down are the skew time and the master down interval (RFC 5798 section 6.1; RFC 3768 section 6.1 counts the skew in seconds).
func (i instance) skew() time.Duration {
	i = i.withDefaults()
	unit := i.Interval
	if i.Version == 2 {
		unit = time.Second
	}
	return unit * time.Duration(256-i.Priority) / 256
}

func (i instance) down() time.Duration { return 3*i.withDefaults().Interval + i.skew() }

const global = "global_defs {\n  script_user root\n  enable_script_security\n}\n"

func config(parts ...any) string { return global + fmt.Sprint(parts...) }

var vip = netip.MustParseAddr("10.1.0.100")

// soon bounds what has no protocol timer in it: starting, reading a configuration, setting an address. It is generous
// since other tests run on the same processors; what is measured has bounds of its own.
const soon = 3 * time.Second

// slack is what a takeover may take beyond the protocol's time.
const slack = 300 * time.Millisecond

// pair starts master on a and backup on b and returns when a holds the address and b has heard it.
func pair(t *testing.T, l *lab.Lab, master, backup instance) (a, b *lab.Daemon) {
	t.Helper()
	a = l.Node("a").Start(lab.Ours(), config(master))
	l.WaitHolder(soon+master.down(), vip, "a")
	b = l.Node("b").Start(lab.Ours(), config(backup))
	at := b.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE \(init\)`).At
	l.WaitFrames(soon+2*master.withDefaults().Interval, 2, "adverts that b hears", lab.Adverts("a"), lab.After(at))
	return a, b
}

func newLab(t *testing.T, plan lab.Plan) *lab.Lab {
	t.Helper()
	lab.NeedRoot(t)
	return lab.New(t, plan)
}

// between fails the test unless low <= got <= high.
func between(t *testing.T, what string, got, low, high time.Duration) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s took %v, want %v to %v", what, got, low, high)
	}
}

// last returns the last of frames.
func last(frames []*lab.Frame) *lab.Frame { return frames[len(frames)-1] }

// reachedAt waits until the client's connections to addr are answered by the node.
func reachedAt(t *testing.T, l *lab.Lab, addr netip.Addr, node string) {
	t.Helper()
	var got string
	var err error
	l.Wait(soon, fmt.Sprintf("the client reaches %s at %s", addr, node), func() bool {
		got, err = l.Node("c").Who(addr, 200*time.Millisecond)
		return got == node
	})
	_ = err
}

// noAdvert fails the test if the node sent an advert after the moment.
func noAdvert(t *testing.T, l *lab.Lab, node string, after time.Time) {
	t.Helper()
	if f := l.Frames(lab.Adverts(node), lab.After(after)); len(f) > 0 {
		t.Errorf("%s sent %d adverts, first %v", node, len(f), f[0])
	}
}
