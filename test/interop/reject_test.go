package interop

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/keepalived-go/keepalived-go/test/lab"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// injected are adverts that a master gets from a stranger on its LAN.
type injected struct {
	name   string
	packet lab.Packet
}

var (
	shared   = netip.MustParseAddr("10.1.0.100")
	other    = netip.MustParseAddr("10.1.0.222")
	other101 = netip.MustParseAddr("10.1.0.101")
)

// common are right or wrong whatever the version; v names it.
func common(v uint8, base lab.Packet) []injected {
	with := func(change func(*lab.Packet)) lab.Packet {
		p := base
		p.VRID, p.Priority, p.Version = 51, 200, v
		change(&p)
		return p
	}
	return []injected{
		{"V-B22 lower priority", with(func(p *lab.Packet) { p.Priority = 50 })},
		{"higher priority", with(func(p *lab.Packet) {})},
		{"same priority, higher address", with(func(p *lab.Packet) { p.Priority = 150 })},
		{"V-C25 priority 0", with(func(p *lab.Packet) { p.Priority = 0 })},
		{"V-C13 TTL 254", with(func(p *lab.Packet) { p.TTL = 254 })},
		{"V-C14 other version", with(func(p *lab.Packet) { p.Version = 5 - v })},
		{"version 1", with(func(p *lab.Packet) { p.Version = 1 })},
		{"V-C20 type 2", with(func(p *lab.Packet) { p.Type = 2 })},
		{"V-C19 bad checksum", with(func(p *lab.Packet) { p.Checksum = 1 })},
		{"V-C21 4 bytes too many", with(func(p *lab.Packet) { p.Extra = make([]byte, 4) })},
		{"V-C21 4 bytes too few", with(func(p *lab.Packet) { p.Cut = 4 })},
		{"8 bytes too few", with(func(p *lab.Packet) { p.Cut = 8 })},
		{"V-C22 other address", with(func(p *lab.Packet) { p.VIPs = []netip.Addr{other} })},
		{"V-C22 one address more", with(func(p *lab.Packet) { p.VIPs = []netip.Addr{shared, other} })},
		{"255 addresses stated", with(func(p *lab.Packet) { p.Count = 255 })},
		{"V-C23 unknown VRID", with(func(p *lab.Packet) { p.VRID = 9 })},
		{"to our own address", with(func(p *lab.Packet) { p.Dst = netip.MustParseAddr("10.1.0.1") })},
	}
}

// Every kind of wrong advert meets the same answer as from the newest original: the same counters, the same decision
// whether to yield, and a line that begins alike.
func TestWrongAdverts(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	newest, err := oracle.Newest()
	if err != nil {
		t.Fatalf("nothing to compare with: %v", err)
	}
	if ours := lab.Ours(); lab.IsKeepalived(ours) && ours != newest {
		t.Skip("an older original words its complaints otherwise")
	}
	second := time.Second
	with := func(p lab.Packet, change func(*lab.Packet)) lab.Packet {
		p.VRID, p.Priority = 51, 200
		change(&p)
		return p
	}
	v2 := lab.Packet{Version: 2}
	ah := func(seq uint32, change func(*lab.Packet)) lab.Packet {
		p := with(v2, func(p *lab.Packet) { p.AuthType, p.AHKey, p.Sequence = 2, "secret", seq })
		change(&p)
		return p
	}
	for _, c := range []struct {
		name  string
		mine  lab.Instance
		cases []injected
	}{
		{"v3", lab.Instance{Priority: 150}, append(common(3, lab.Packet{}),
			injected{"V-C04 checksum without pseudo header", with(lab.Packet{}, func(p *lab.Packet) { p.NoPseudo = true })},
			injected{"V-C17 other interval", with(lab.Packet{}, func(p *lab.Packet) { p.Priority, p.Interval = 50, 100 })})},
		{"v2", lab.Instance{Version: 2, Interval: second, Priority: 150}, append(common(2, lab.Packet{}),
			injected{"V-C16 other interval", with(v2, func(p *lab.Packet) { p.Interval = 2 })},
			injected{"V-C15 a password though none is set", with(v2, func(p *lab.Packet) { p.AuthType, p.Auth = 1, "secret" })},
			injected{"V-C15 unknown kind of authentication", with(v2, func(p *lab.Packet) { p.AuthType = 9 })})},
		{"v2 PASS", lab.Instance{Version: 2, Interval: second, Priority: 150, Lines: "authentication {\n  auth_type PASS\n  auth_pass secret\n}"},
			[]injected{
				{"right password", with(v2, func(p *lab.Packet) { p.AuthType, p.Auth = 1, "secret" })},
				{"V-C02 wrong password", with(v2, func(p *lab.Packet) { p.AuthType, p.Auth = 1, "other" })},
				{"longer password", with(v2, func(p *lab.Packet) { p.AuthType, p.Auth = 1, "secrets" })},
				{"no password", with(v2, func(*lab.Packet) {})},
				{"unknown kind of authentication", with(v2, func(p *lab.Packet) { p.AuthType = 9 })},
				{"an authentication header", with(v2, func(p *lab.Packet) { p.AuthType, p.AHKey, p.Sequence = 2, "secret", 100 })},
			}},
		{"V-C03 v2 AH", lab.Instance{Version: 2, Interval: second, Priority: 150, Lines: "authentication {\n  auth_type AH\n  auth_pass secret\n}"},
			[]injected{
				{"right key", ah(1000, func(p *lab.Packet) {})},
				{"lower router", ah(1<<20, func(p *lab.Packet) { p.Priority = 50 })},
				{"replayed", ah(1<<19, func(p *lab.Packet) {})},
				{"priority 0", ah(1<<21, func(p *lab.Packet) { p.Priority = 0 })},
				{"wrong key", ah(1<<22, func(p *lab.Packet) { p.AHKey = "other" })},
				{"wrong SPI", ah(1<<22, func(p *lab.Packet) { p.SPI = other })},
				{"other interval", ah(1<<22, func(p *lab.Packet) { p.Interval = 2 })},
				{"no authentication header", with(v2, func(p *lab.Packet) { p.AuthType = 2 })},
				{"says that it has no authentication", ah(1<<23, func(p *lab.Packet) { p.AuthType = 0 })},
				{"8 bytes too few", ah(1<<24, func(p *lab.Packet) { p.Cut = 8 })},
				{"4 bytes too many", ah(1<<25, func(p *lab.Packet) { p.Extra = make([]byte, 4) })},
				{"unknown VRID", ah(1<<26, func(p *lab.Packet) { p.VRID = 9 })},
				{"TTL 254", ah(1<<27, func(p *lab.Packet) { p.TTL = 254 })},
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var want, got map[string]answer
			t.Run("both", func(t *testing.T) {
				t.Run("newest", func(t *testing.T) { t.Parallel(); want = answers(t, newest, c.mine, c.cases) })
				t.Run("ours", func(t *testing.T) { t.Parallel(); got = answers(t, lab.Ours(), c.mine, c.cases) })
			})
			for _, i := range c.cases {
				if diff := cmp.Diff(want[i.name], got[i.name]); diff != "" {
					t.Errorf("%s (-original +ours):\n%s", i.name, diff)
				}
			}
		})
	}
}

// answer is how a master took an advert.
type answer struct {
	Counters string   // of the statistics, what changed
	Lines    []string // that it logged, without those of the transition
	Next     string   // auth_type AH: the number of its next advert, if that goes on from the injected one's
}

var counter = regexp.MustCompile(`(?m)^ *([A-Za-z ]+): (\d+)$`)

// counters are those of the statistics by name; a name that comes twice is numbered.
func counters(d *lab.Daemon) (names []string, values map[string]int) {
	values = map[string]int{}
	for _, m := range counter.FindAllStringSubmatch(d.Dump(syscall.SIGUSR2, "keepalived.stats"), -1) {
		name := m[1]
		for i := 2; ; i++ {
			if _, twice := values[name]; !twice {
				break
			}
			name = fmt.Sprint(m[1], " ", i)
		}
		n, _ := strconv.Atoi(m[2])
		names, values[name] = append(names, name), n
	}
	return names, values
}

var transition = regexp.MustCompile(`Entering|setting|removing|Sending|Receive advertisement timeout|Printing|gratuitous`)

func answers(t *testing.T, program string, mine lab.Instance, cases []injected) map[string]answer {
	l := lab.New(t, lab.Plan{})
	d := l.Node("a").Start(program, lab.Config(mine))
	out := map[string]answer{}
	for _, c := range cases {
		l.WaitHolder(soon+mine.Down(), shared, "a")
		_, before := counters(d)
		at := l.Node("c").Inject(0, c.packet, l.Node("a"))
		// Whatever it answers, it does so by its next advert; having yielded, when its master down interval has passed.
		l.WaitFrame(soon+mine.Down(), "advert after "+c.name, lab.Adverts("a"), lab.After(at.Add(20*time.Millisecond)))
		next := l.WaitFrame(soon, "advert after "+c.name, lab.Adverts("a"), lab.After(at))
		names, after := counters(d)
		var a answer
		if next.AH != nil && next.Sequence()-c.packet.Sequence < 10 {
			a.Next = fmt.Sprint(next.Sequence())
		}
		for _, name := range names {
			diff := after[name] - before[name]
			switch {
			case diff == 0:
			case name == "Sent": // how many it sent meanwhile is chance
			case name == "Advertisement Interval": // the original never counts it: a documented difference
			default:
				a.Counters += fmt.Sprintf("%s +%d ", name, diff)
			}
		}
		for _, e := range d.Log() {
			if e.At.After(at) && (strings.HasPrefix(e.Line, "(VI_1)") || strings.HasPrefix(e.Line, "IPSEC")) && !transition.MatchString(e.Line) {
				a.Lines = append(a.Lines, e.Line)
			}
		}
		out[c.name] = a
	}
	return out
}
