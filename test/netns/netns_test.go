// Package netns runs the daemon alone in real networks: what it sends, which addresses it holds, when, and how it
// answers to signals. `KEEPALIVED_GO=/usr/sbin/keepalived go test ./test/netns` runs the same scenarios with the
// original, which is how they are checked themselves.
package netns

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

type instance = lab.Instance

var config = lab.Config

var vip = netip.MustParseAddr("10.1.0.100")

// other is the address of a second instance.
var other = netip.MustParseAddr("10.1.0.101")

// soon bounds what has no protocol timer in it: starting, reading a configuration, setting an address. It is generous
// since other tests run on the same processors; what is measured has bounds of its own.
const soon = 3 * time.Second

// starting bounds the time from exec to the first state.
const starting = 500 * time.Millisecond

// slack is what a takeover may take beyond the protocol's time.
const slack = 300 * time.Millisecond

// pair starts master on a and backup on b and returns when a holds the address and b has heard it.
func pair(t *testing.T, l *lab.Lab, master, backup instance) (a, b *lab.Daemon) {
	t.Helper()
	a = l.Node("a").Start(lab.Ours(), config(master))
	l.WaitHolder(soon+master.Down(), vip, "a")
	b = l.Node("b").Start(lab.Ours(), config(backup))
	at := b.WaitLog(soon, `\(VI_1\) Entering BACKUP STATE \(init\)`).At
	l.WaitFrames(soon+2*master.WithDefaults().Interval, 2, "adverts that b hears", lab.Adverts("a"), lab.After(at))
	return a, b
}

func newLab(t *testing.T, plan lab.Plan) *lab.Lab {
	t.Helper()
	lab.NeedRoot(t)
	return lab.New(t, plan)
}

// reachedAt waits until the client's connections to addr are answered by the node.
func reachedAt(t *testing.T, l *lab.Lab, addr netip.Addr, node string) {
	t.Helper()
	l.Wait(soon, fmt.Sprintf("the client reaches %s at %s", addr, node), func() bool {
		got, _ := l.Node("c").Who(addr, 200*time.Millisecond)
		return got == node
	})
}

// noAdvert fails the test if the node sent an advert after the moment.
func noAdvert(t *testing.T, l *lab.Lab, node string, after time.Time) {
	t.Helper()
	if f := l.Frames(lab.Adverts(node), lab.After(after)); len(f) > 0 {
		t.Errorf("%s sent %d adverts, first %v", node, len(f), f[0])
	}
}
