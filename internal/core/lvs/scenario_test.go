package lvs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// The scenarios of the reference's list, sections A to E, by their numbers there. What a step leads to is written short:
//
//	"RDOWN 11 QDOWN | RS 11 DOWN, VS DOWN | DEL 11, NEW 99 w1"
//
// are the scripts that run, the lines of the FIFO, and the kernel's commands. Further words after a bar must be in the log.

// scenario is a world in the making: before each step the last one's outcome has been compared.
type scenario struct{ *world }

func begin(t *testing.T, l *model.LVS, want string) scenario {
	t.Helper()
	s := scenario{newWorld(t, l)}
	s.is("start", s.c.Start(nil), want)
	return s
}

func (s scenario) down(addr, want string) {
	s.t.Helper()
	s.is(addr+" down", s.c.Step(Event{Check: s.only(addr), Kind: CheckDown}, nil), want)
}

func (s scenario) up(addr, want string) {
	s.t.Helper()
	s.is(addr+" up", s.c.Step(Event{Check: s.only(addr), Kind: CheckUp}, nil), want)
}

func (s scenario) stop(want string) { s.t.Helper(); s.is("stop", s.c.Stop(nil), want) }

// only is the checker of the only real server whose address ends so.
func (s scenario) only(last string) CheckID {
	s.t.Helper()
	for _, k := range s.c.Checks() {
		if strings.HasSuffix(k.Server.Addr.String(), "."+last) {
			return k.ID
		}
	}
	s.t.Fatalf("no checker of %s", last)
	return 0
}

func (s scenario) is(step string, out []Action, want string) {
	s.t.Helper()
	last := func(a netip.Addr) string { b := a.As16(); return fmt.Sprint(b[15]) }
	var events, lines, log []string
	for _, a := range out {
		switch a.Kind {
		case Say:
			log = append(log, a.Line)
		case Flush:
			clear(s.k)
			events = append(events, "FLUSH")
		case Notify:
			state := a.Line[strings.LastIndexByte(a.Line, ' ')+1:]
			line, event := "VS "+state, ""
			if a.Script != nil {
				event = a.Script.Args[0]
			}
			if a.Server != nil {
				line, event = fmt.Sprintf("RS %s %s", last(a.Server.Addr), state), event+" "+last(a.Server.Addr)
			}
			lines = append(lines, line)
			if a.Script != nil {
				events = append(events, event)
			}
		}
	}
	var ops []string
	for _, op := range s.settle() {
		words := strings.Fields(op)
		kind, rest := words[0], strings.Join(words[1:], " ")
		switch kind {
		case "NEW_SERVICE", "SET_SERVICE", "DEL_SERVICE":
			kind = strings.TrimSuffix(kind, "_SERVICE") + " SVC"
			if rest == "10.0.0.1:tcp:80" {
				rest = ""
			}
		default:
			kind = strings.TrimSuffix(kind, "_DEST")
			svc, dest, _ := strings.Cut(rest, " -> ")
			addr, tail, _ := strings.Cut(dest, ":80")
			rest = addr[strings.LastIndexByte(addr, '.')+1:] + tail
			if svc != "10.0.0.1:tcp:80" {
				rest = svc + " " + rest
			}
		}
		ops = append(ops, strings.TrimSpace(kind+" "+rest))
	}
	parts := strings.Split(want, "|")
	got := []string{strings.Join(events, " "), strings.Join(lines, ", "), strings.Join(ops, ", ")}
	for i := range got {
		expected := ""
		if i < len(parts) {
			expected = strings.TrimSpace(parts[i])
		}
		if d := cmp.Diff(expected, got[i]); d != "" {
			s.t.Errorf("%s, %s (-want +got):\n%s", step, [...]string{"scripts", "FIFO", "commands"}[i], d)
		}
	}
	for _, words := range parts[min(3, len(parts)):] {
		if !strings.Contains(strings.Join(log, "\n"), strings.TrimSpace(words)) {
			s.t.Errorf("%s: the log lacks %q: %q", step, strings.TrimSpace(words), log)
		}
	}
}

func rs(last string, fs ...func(*model.RealServer)) model.RealServer {
	return real("127.0.0."+last, fs...)
}

var sorry99 = sorry("127.0.0.99")

func global(l *model.LVS, f func(*model.LVS)) *model.LVS { f(l); return l }

// Start, stop, crash.
func TestScenariosA(t *testing.T) {
	both := func() *model.LVS { return one(webService(rs("11"), rs("12"))) }
	const started = "QUP | VS UP | NEW SVC, NEW 11 w1, NEW 12 w1"
	for name, f := range map[string]func(t *testing.T){
		"L-A01 start":                        func(t *testing.T) { begin(t, both(), started+" | Gained quorum 1+0=1 <= 2 for VS [10.0.0.1]:tcp:80") },
		"L-A02 the first success is no news": func(t *testing.T) { s := begin(t, both(), started); s.up("11", ""); s.up("12", "") },
		"L-A03 a dead server is found": func(t *testing.T) {
			s := begin(t, both(), started)
			s.down("12", "RDOWN 12 | RS 12 DOWN | DEL 12 | Removing service [127.0.0.12]:tcp:80")
		},
		"L-A04 alpha": func(t *testing.T) {
			s := begin(t, one(webService(rs("11", alpha))), "||NEW SVC")
			s.up("11", "RUP 11 QUP | RS 11 UP, VS UP | NEW 11 w1")
		},
		"L-A05 alpha, dead": func(t *testing.T) {
			s := begin(t, one(webService(rs("20", alpha))), "||NEW SVC")
			s.down("20", "RDOWN 20 | RS 20 DOWN")
		},
		"L-A06 alpha with a sorry server": func(t *testing.T) {
			s := begin(t, one(webService(rs("11", alpha)), sorry99), "QDOWN | VS DOWN | NEW SVC, NEW 99 w1 | Starting with quorum down 1-0=1 > 0")
			s.up("11", "RUP 11 QUP | RS 11 UP, VS UP | DEL 99, NEW 11 w1")
		},
		"L-A07 alpha and inhibit, dead": func(t *testing.T) {
			s := begin(t, one(webService(rs("11", alpha, inhibit, weight(3)))), "||NEW SVC, NEW 11 w0")
			s.down("11", "RDOWN 11 | RS 11 DOWN")
		},
		"L-A08 no checker": func(t *testing.T) { begin(t, one(webService(rs("11", unchecked))), "QUP | VS UP | NEW SVC, NEW 11 w1") },
		"L-A09 rs_init_notifies": func(t *testing.T) {
			begin(t, global(one(webService(rs("11"))), func(l *model.LVS) { l.RSInitNotifies = true }), "RUP 11 QUP | RS 11 UP, VS UP | NEW SVC, NEW 11 w1")
		},
		"L-A10 stop": func(t *testing.T) {
			begin(t, both(), started).stop("||DEL SVC | Shutting down service [127.0.0.11]:tcp:80 from VS [10.0.0.1]:tcp:80 | Shutting down service [127.0.0.12]")
		},
		"L-A11 stop with omega": func(t *testing.T) {
			begin(t, one(webService(rs("11"), rs("12")), omega), started).stop("RDOWN 11 RDOWN 12 QDOWN | RS 11 DOWN, RS 12 DOWN, VS DOWN | DEL SVC")
		},
		"L-A12 stop with omega, quorum lost": func(t *testing.T) {
			s := begin(t, one(webService(rs("11")), omega), "QUP | VS UP | NEW SVC, NEW 11 w1")
			s.down("11", "RDOWN 11 QDOWN | RS 11 DOWN, VS DOWN | DEL 11")
			s.stop("QDOWN | VS DOWN | DEL SVC")
		},
		"L-A13 lvs_flush": func(t *testing.T) { begin(t, global(both(), func(l *model.LVS) { l.Flush = true }), "FLUSH "+started) },
		"L-A15 lvs_flush_on_stop": func(t *testing.T) {
			begin(t, global(both(), func(l *model.LVS) { l.FlushOnStop = model.FlushAll }), started).stop("FLUSH")
		},
		"L-A16 lvs_flush_on_stop VS": func(t *testing.T) {
			begin(t, global(one(webService(rs("11"), rs("12")), omega), func(l *model.LVS) { l.FlushOnStop = model.FlushVS }), started).stop("QDOWN | VS DOWN | DEL SVC")
		},
		"L-A18 -I": func(t *testing.T) {
			begin(t, global(both(), func(l *model.LVS) { l.DontReleaseAtEnd = true }), started).stop("")
		},
	} {
		t.Run(name, f)
	}
}

// Quorum and sorry server.
func TestScenariosC(t *testing.T) {
	pair := func() *model.LVS { return one(webService(rs("11"), rs("12")), sorry99) }
	started := func(t *testing.T) scenario { return begin(t, pair(), "QUP | VS UP | NEW SVC, NEW 11 w1, NEW 12 w1") }
	t.Run("L-C01 L-C02 L-C03 the sorry server stands in", func(t *testing.T) {
		s := started(t)
		s.down("11", "RDOWN 11 | RS 11 DOWN | DEL 11")
		s.down("12", "RDOWN 12 QDOWN | RS 12 DOWN, VS DOWN | DEL 12, NEW 99 w1 | Lost quorum 1-0=1 > 0 | Adding sorry server | Removing alive servers from the pool for VS")
		s.up("12", "RUP 12 QUP | RS 12 UP, VS UP | DEL 99, NEW 12 w1")
	})
	t.Run("L-C04 L-C05 L-C06 L-C07 hysteresis", func(t *testing.T) {
		s := begin(t, one(webService(rs("11", weight(2)), rs("12"), rs("13"), rs("14")), quorum(3, 1), sorry99),
			"QUP | VS UP | NEW SVC, NEW 11 w2, NEW 12 w1, NEW 13 w1, NEW 14 w1")
		s.down("11", "RDOWN 11 | RS 11 DOWN | DEL 11")
		s.down("12", "RDOWN 12 | RS 12 DOWN | DEL 12")
		s.down("13", "RDOWN 13 QDOWN | RS 13 DOWN, VS DOWN | DEL 13, DEL 14, NEW 99 w1 | Lost quorum 3-1=2 > 1")
		s.up("13", "RUP 13 | RS 13 UP | | Adding service [127.0.0.13]")
		s.up("12", "RUP 12 | RS 12 UP | | Adding service [127.0.0.12]")
		s.up("11", "RUP 11 QUP | RS 11 UP, VS UP | DEL 99, NEW 11 w2, NEW 12 w1, NEW 13 w1, NEW 14 w1 | Gained quorum 3+1=4 <= 5")
	})
	t.Run("L-C08 below quorum without a sorry server", func(t *testing.T) {
		s := begin(t, one(webService(rs("11"), rs("12")), quorum(2, 0)), "QUP | VS UP | NEW SVC, NEW 11 w1, NEW 12 w1")
		s.down("12", "RDOWN 12 QDOWN | RS 12 DOWN, VS DOWN | DEL 12")
	})
	t.Run("L-C09 sorry_server_inhibit", func(t *testing.T) {
		s := begin(t, one(webService(rs("11")), sorry("127.0.0.99", inhibit)), "QUP | VS UP | NEW SVC, NEW 11 w1, NEW 99 w0")
		s.down("11", "RDOWN 11 QDOWN | RS 11 DOWN, VS DOWN | DEL 11, SET 99 w1 | Enabling sorry server")
		s.up("11", "RUP 11 QUP | RS 11 UP, VS UP | SET 99 w0, NEW 11 w1 | Disabling sorry server")
	})
	t.Run("L-C10 inhibit_on_failure", func(t *testing.T) {
		s := begin(t, one(webService(rs("11", weight(3), inhibit), rs("12"))), "QUP | VS UP | NEW SVC, NEW 11 w3, NEW 12 w1")
		s.down("11", "RDOWN 11 | RS 11 DOWN | SET 11 w0 | Disabling service [127.0.0.11]:tcp:80 of VS")
		s.up("11", "RUP 11 | RS 11 UP | SET 11 w3 | Enabling service [127.0.0.11]:tcp:80 of VS")
	})
	t.Run("L-C11 both inhibited", func(t *testing.T) {
		s := begin(t, one(webService(rs("11", weight(3), inhibit)), sorry("127.0.0.99", inhibit)), "QUP | VS UP | NEW SVC, NEW 11 w3, NEW 99 w0")
		s.down("11", "RDOWN 11 QDOWN | RS 11 DOWN, VS DOWN | SET 11 w0, SET 99 w1")
	})
	t.Run("L-C12 L-C13 the sorry server is a real server", func(t *testing.T) {
		s := begin(t, one(webService(rs("11", weight(3)), rs("12", weight(2))), sorry("127.0.0.12")), "QUP | VS UP | NEW SVC, NEW 11 w3, NEW 12 w2")
		s.down("12", "RDOWN 12 | RS 12 DOWN | DEL 12")
		s.down("11", "RDOWN 11 QDOWN | RS 11 DOWN, VS DOWN | DEL 11, NEW 12 w1")
		s.up("12", "RUP 12 QUP | RS 12 UP, VS UP | SET 12 w2")
	})
	t.Run("L-C14 a weight of 0", func(t *testing.T) {
		s := begin(t, one(webService(rs("11", misc, weight(10))), sorry99), "QUP | VS UP | NEW SVC, NEW 11 w10")
		s.is("exit 2", s.c.Step(Event{Check: s.only("11"), Kind: CheckWeight, Weight: 0}, nil), "QDOWN | VS DOWN | DEL 11, NEW 99 w1")
		if !s.c.Status()[0].Real[0].Alive {
			t.Error("the server is not alive")
		}
	})
	t.Run("L-C15 names of a mark", func(t *testing.T) {
		v := webService(rs("11"))
		v.Addr, v.Port, v.Protocol, v.FWMark, v.IsFWMark = netip.Addr{}, 0, 0, 100, true
		v.Real[0].Port = 0
		w := newWorld(t, one(v))
		w.c.Start(nil)
		for _, kind := range []EventKind{CheckDown, CheckUp} {
			out := w.c.Step(Event{Check: w.c.Checks()[0].ID, Kind: kind}, nil)
			want := "RS [127.0.0.11]:none:0 FWM 100 " + map[EventKind]string{CheckDown: "DOWN", CheckUp: "UP"}[kind]
			if !slices.ContainsFunc(out, func(a Action) bool { return a.Kind == Notify && a.Line == want }) {
				t.Errorf("no line %q in %+v", want, out)
			}
		}
	})
}

// Groups.
func TestScenariosD(t *testing.T) {
	entries := group(addrEntry("127.0.1.1", "127.0.1.1", 80), addrEntry("127.0.1.10", "127.0.1.12", 81), addrEntry("127.0.2.0", "127.0.2.3", 82), markEntry(5, 0))
	conf := func(groups []model.ServerGroup, services ...model.VirtualServer) *model.LVS {
		for i := range services {
			services[i].Seq = i
		}
		return &model.LVS{Groups: groups, Services: services}
	}
	tcp := func() model.VirtualServer { return groupService(model.TCP, rs("11", port(8080))) }
	udp := func() model.VirtualServer { return groupService(model.UDP, rs("11", port(8080))) }
	names := []string{"Fwm 5", "127.0.1.1:tcp:80", "127.0.1.10:tcp:81", "127.0.1.11:tcp:81", "127.0.1.12:tcp:81",
		"127.0.2.0:tcp:82", "127.0.2.1:tcp:82", "127.0.2.2:tcp:82", "127.0.2.3:tcp:82"}
	each := func(t *testing.T, got []string, want ...string) {
		t.Helper()
		if d := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	t.Run("L-D01 L-D02 a service for each address and mark", func(t *testing.T) {
		w := newWorld(t, conf(entries, tcp()))
		w.c.Start(nil)
		var made, gone []string
		for _, n := range names {
			made = append(made, "NEW_SERVICE "+n, "NEW_DEST "+n+" -> 127.0.0.11:8080 w1")
			gone = append(gone, "DEL_DEST "+n+" -> 127.0.0.11:8080")
		}
		each(t, w.settle(), made...)
		w.c.Step(Event{Check: w.c.Checks()[0].ID, Kind: CheckDown}, nil)
		each(t, w.settle(), gone...)
	})
	t.Run("L-D03 other entries", func(t *testing.T) {
		w := newWorld(t, conf(entries, tcp()))
		w.c.Start(nil)
		w.settle()
		w.c.Reload(conf(group(addrEntry("127.0.1.10", "127.0.1.11", 81), addrEntry("127.0.2.0", "127.0.2.3", 82), markEntry(6, 0),
			addrEntry("127.0.1.20", "127.0.1.20", 83)), tcp()), nil)
		each(t, w.settle(), "DEL_SERVICE 127.0.1.1:tcp:80", "DEL_SERVICE 127.0.1.12:tcp:81", "DEL_SERVICE Fwm 5",
			"NEW_SERVICE 127.0.1.20:tcp:83", "NEW_DEST 127.0.1.20:tcp:83 -> 127.0.0.11:8080 w1", "NEW_SERVICE Fwm 6", "NEW_DEST Fwm 6 -> 127.0.0.11:8080 w1")
	})
	t.Run("L-D04 ports with DR", func(t *testing.T) {
		w := newWorld(t, conf(group(addrEntry("127.0.1.1", "127.0.1.1", 80), addrEntry("127.0.1.2", "127.0.1.2", 90)), groupService(model.TCP, rs("11", dr))))
		w.c.Start(nil)
		each(t, w.settle(), "NEW_SERVICE 127.0.1.1:tcp:80", "NEW_DEST 127.0.1.1:tcp:80 -> 127.0.0.11:80 w1",
			"NEW_SERVICE 127.0.1.2:tcp:90", "NEW_DEST 127.0.1.2:tcp:90 -> 127.0.0.11:90 w1")
	})
	single := group(addrEntry("127.0.1.1", "127.0.1.1", 80))
	both := []string{"NEW_SERVICE 127.0.1.1:tcp:80", "NEW_DEST 127.0.1.1:tcp:80 -> 127.0.0.11:8080 w1",
		"NEW_SERVICE 127.0.1.1:udp:80", "NEW_DEST 127.0.1.1:udp:80 -> 127.0.0.11:8080 w1"}
	t.Run("L-D05 two protocols", func(t *testing.T) {
		w := newWorld(t, conf(single, tcp(), udp()))
		var lines []string
		for _, a := range w.c.Start(nil) {
			if a.Kind == Notify {
				lines = append(lines, a.Line)
			}
		}
		each(t, lines, "VS [G]:0 UP", "VS [G]:1 UP")
		each(t, w.settle(), both...)
		w.c.Stop(nil)
		each(t, w.settle(), "DEL_SERVICE 127.0.1.1:tcp:80", "DEL_SERVICE 127.0.1.1:udp:80")
	})
	for _, test := range []struct {
		name     string
		old, new []model.VirtualServer
		want     []string
	}{
		{"L-D06 a protocol less", []model.VirtualServer{tcp(), udp()}, []model.VirtualServer{tcp()}, []string{"DEL_SERVICE 127.0.1.1:udp:80"}},
		{"L-D07 another protocol", []model.VirtualServer{tcp()}, []model.VirtualServer{udp()}, append([]string{"DEL_SERVICE 127.0.1.1:tcp:80"}, both[2:]...)},
		{"L-D08 another order", []model.VirtualServer{tcp(), udp()}, []model.VirtualServer{udp(), tcp()}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, conf(single, test.old...))
			w.c.Start(nil)
			w.settle()
			w.c.Reload(conf(single, test.new...), nil)
			each(t, w.settle(), test.want...)
		})
	}
	t.Run("L-D09 a range of IPv6 over the last word", func(t *testing.T) {
		v := groupService(model.TCP, real("fd00::11"))
		v.Family = model.IPv6
		w := newWorld(t, conf(group(addrEntry("2001:db8::fffe", "2001:db8::1:1", 80)), v))
		w.c.Start(nil)
		if w.settle(); len(w.k) != 4 {
			t.Errorf("%d services, want 4: %v", len(w.k), w.k)
		}
	})
	t.Run("L-D10 both families", func(t *testing.T) {
		tun := func(r *model.RealServer) { r.Method.Forward = model.TUN }
		v := groupService(model.TCP, rs("11", tun))
		v.Family = 0
		w := newWorld(t, conf(group(addrEntry("127.0.1.1", "127.0.1.1", 80), addrEntry("fd00::1", "fd00::1", 80), markEntry(5, model.IPv6)), v))
		w.c.Start(nil)
		each(t, w.settle(), "NEW_SERVICE 127.0.1.1:tcp:80", "NEW_DEST 127.0.1.1:tcp:80 -> 127.0.0.11:80 w1",
			"NEW_SERVICE fd00::1:tcp:80", "NEW_DEST fd00::1:tcp:80 -> 127.0.0.11:80 w1", "NEW_SERVICE Fwm 5 inet6", "NEW_DEST Fwm 5 inet6 -> 127.0.0.11:0 w1")
	})
	nft := model.NFTables{Table: "keepalived_ipvs", Mark: 1000}
	t.Run("L-N01 L-N02 L-N03 marks by nftables", func(t *testing.T) {
		marked := func(groups []model.ServerGroup, services ...model.VirtualServer) *model.LVS {
			l := conf(groups, services...)
			l.NFTables = nft
			return l
		}
		plain := func(first netip.Addr) []model.ServerGroup {
			return group(model.GroupEntry{First: first, Last: first, Port: 80}, addrEntry("127.0.2.0", "127.0.2.3", 82))
		}
		a, b := netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("127.0.1.7")
		w := newWorld(t, marked(plain(a), groupService(model.TCP, rs("11", dr)), groupService(model.UDP, rs("11", dr))))
		w.c.Start(nil)
		each(t, w.settle(), "NEW_SERVICE Fwm 1000", "NEW_DEST Fwm 1000 -> 127.0.0.11:0 w1", "NEW_SERVICE Fwm 1001", "NEW_DEST Fwm 1001 -> 127.0.0.11:0 w1")
		marks := func() (out []string) {
			for _, m := range w.c.Marks() {
				out = append(out, fmt.Sprintf("%s %s-%s:%d %d", m.Protocol, m.First, m.Last, m.Port, m.Mark))
			}
			return out
		}
		each(t, marks(), "tcp 127.0.1.1-127.0.1.1:80 1000", "tcp 127.0.2.0-127.0.2.3:82 1000", "udp 127.0.1.1-127.0.1.1:80 1001", "udp 127.0.2.0-127.0.2.3:82 1001")
		w.c.Reload(marked(plain(b), groupService(model.TCP, rs("11", dr)), groupService(model.UDP, rs("11", dr))), nil)
		each(t, w.settle())
		each(t, marks(), "tcp 127.0.1.7-127.0.1.7:80 1000", "tcp 127.0.2.0-127.0.2.3:82 1000", "udp 127.0.1.7-127.0.1.7:80 1001", "udp 127.0.2.0-127.0.2.3:82 1001")
		// A mark is not given twice, even after its service is gone.
		w.c.Reload(marked(plain(b), groupService(model.UDP, rs("11", dr))), nil)
		each(t, w.settle(), "DEL_SERVICE Fwm 1000")
		w.c.Reload(marked(plain(b), groupService(model.SCTP, rs("11", dr)), groupService(model.UDP, rs("11", dr))), nil)
		each(t, w.settle(), "NEW_SERVICE Fwm 1002", "NEW_DEST Fwm 1002 -> 127.0.0.11:0 w1")
		w.c.Stop(nil)
		each(t, w.settle(), "DEL_SERVICE Fwm 1001", "DEL_SERVICE Fwm 1002")
		each(t, marks())
	})
	t.Run("a group with a mark has no other by nftables", func(t *testing.T) {
		l := conf(group(addrEntry("127.0.1.1", "127.0.1.1", 80), markEntry(5, 0)), tcp())
		l.NFTables = nft
		w := newWorld(t, l)
		w.c.Start(nil)
		each(t, w.settle(), "NEW_SERVICE 127.0.1.1:tcp:80", "NEW_DEST 127.0.1.1:tcp:80 -> 127.0.0.11:8080 w1", "NEW_SERVICE Fwm 5", "NEW_DEST Fwm 5 -> 127.0.0.11:8080 w1")
		each(t, nil, func() (out []string) {
			for range w.c.Marks() {
				out = append(out, "a mark")
			}
			return out
		}()...)
	})
}
