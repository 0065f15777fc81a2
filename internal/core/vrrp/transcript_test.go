package vrrp

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

var update = flag.Bool("update", false, "write what happened into the transcripts")

// TestTranscripts runs testdata/*.txt. A file holds cases, each of which begins with a line "=== what it shows" and a world
// of its own; a line at the margin is a command (see world.run), the indented ones below it what it caused, which a
// command that begins with - does not show.
// After a reviewed change of behaviour: go test -run Transcripts -update.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("transcripts: %v (%d files)", err, len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for i, c := range strings.SplitAfter(string(text), "\n=== ") {
				body := strings.TrimSuffix(c, "\n=== ")
				if i == 0 {
					got.WriteString(body)
				} else {
					title, _, _ := strings.Cut(body, "\n")
					t.Run(title, func(t *testing.T) {
						is := play(t, body)
						got.WriteString(is)
						if diff := cmp.Diff(body, is); diff != "" && !*update {
							t.Errorf("%s: %s (-want +got):\n%s", file, title, diff)
						}
					})
				}
				if body != c {
					got.WriteString("\n=== ")
				}
			}
		})
		if *update && got.String() != string(text) {
			if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// play runs one case and returns it with what really happened.
func play(t *testing.T, text string) string {
	w := &world{t: t, now: epoch, routers: map[string]*Machine{}, groups: map[string]*Group{}}
	var out strings.Builder
	title := true
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "  ") && !title:
			continue
		case title || strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
			out.WriteString(line)
		default:
			w.log.Reset()
			command, silent := strings.CutPrefix(line, "-")
			if err := w.run(strings.Fields(command)); err != nil {
				t.Fatalf("%q: %v", strings.TrimSpace(line), err)
			}
			if silent {
				w.log.Reset()
			}
			out.WriteString(strings.TrimRight(line, "\n") + "\n" + w.log.String())
		}
		title = false
	}
	if !strings.HasSuffix(text, "\n") {
		return strings.TrimSuffix(out.String(), "\n")
	}
	return out.String()
}

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is some routers of one node, and a clock.
type world struct {
	t       *testing.T
	now     time.Time
	routers map[string]*Machine
	order   []string
	groups  map[string]*Group
	manual  bool          // Settled only by command
	clock   time.Duration // of the wall clock, beyond now
	log     strings.Builder
}

// run executes a command:
//
//	router NAME [key=value|flag]...   group NAME MEMBER...   manual   clock D
//	start [NAME...] [until=D]   delay NAME D   wait D   sleep D   overrun NAME D   settle NAME   stale NAME   show NAME   stats NAME   sequence NAME
//	advert NAME from=ADDR prio=N [key=value]...   see packet; also ah NAME ...   total_length NAME N ...
//	faults NAME N [reason]   init NAME   total NAME N   source NAME ADDR|none   stolen NAME ADDR
//	reload NAME [key=value|flag]...   reform GROUP MEMBER...   stop NAME [keep]   remove NAME
func (w *world) run(f []string) error {
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch f[0] {
	case "manual":
		w.manual = true
		return nil
	case "router":
		inst, err := instance(f[1], len(w.order)+1, f[2:])
		if err != nil {
			return err
		}
		m := New(inst)
		w.routers[f[1]], w.order = m, append(w.order, f[1])
		Step(w.now, m, &Event{Kind: Source, Addr: ownAddr(inst, len(w.order))}, nil)
		return nil
	case "group":
		w.groups[f[1]] = NewGroup(&model.SyncGroup{Name: f[1], Members: f[2:]}, w.members(f[2:]))
		return nil
	case "reform":
		g := w.groups[f[1]]
		w.took(Reform(w.now, g, &model.SyncGroup{Name: f[1], Members: f[2:]}, w.members(f[2:]), nil))
		return nil
	case "delay": // delay NAME D: the start-up delay ends so long after the epoch
		d, err := time.ParseDuration(arg(2))
		w.step(w.routers[arg(1)], Event{Kind: Delayed, Until: epoch.Add(d)})
		return err
	case "start":
		names, until := f[1:], time.Time{}
		if n := len(names); n > 0 && strings.HasPrefix(names[n-1], "until=") {
			d, err := time.ParseDuration(names[n-1][len("until="):])
			if err != nil {
				return err
			}
			names, until = names[:n-1], w.now.Add(d)
		}
		if len(names) == 0 {
			names = w.order
		}
		for _, n := range names {
			w.step(w.routers[n], Event{Kind: Start, Until: until})
		}
		return nil
	case "clock": // is set, to so much beyond now
		d, err := time.ParseDuration(arg(1))
		w.clock = d
		return err
	case "sleep": // time passes and nothing happens
		d, err := time.ParseDuration(arg(1))
		w.now = w.now.Add(d)
		return err
	case "wait":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			return err
		}
		w.wait(d)
		return nil
	case "later": // without any timer
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			return err
		}
		w.now = w.now.Add(d)
		return nil
	}
	m := w.routers[arg(1)]
	if m == nil {
		return fmt.Errorf("no such command or router")
	}
	number := func() int { n, _ := strconv.Atoi(arg(2)); return n }
	switch f[0] {
	case "show":
		fmt.Fprintf(&w.log, "  %v want %v prio %d", m.State(), m.Want(), m.EffectivePriority())
		if d := m.Deadline(); !d.IsZero() {
			fmt.Fprintf(&w.log, " deadline in %v", d.Sub(w.now))
		}
		if m.MasterAddr().IsValid() {
			fmt.Fprintf(&w.log, " master %v prio %d every %v", m.MasterAddr(), m.MasterPriority(), m.MasterAdvInt())
		}
		w.log.WriteString("\n")
	case "keep":
		m.Keep(number())
	case "history":
		for _, t := range m.Transitions() {
			fmt.Fprintf(&w.log, "  %.6f %v -> %v (%v) prio %d, heard %v prio %d %v ago, gaps %v, late %v\n", t.At.Sub(epoch).Seconds(), t.From, t.To, t.Why,
				t.Priority, t.Peer, t.PeerPrio, t.Silence, t.Gaps, t.Late)
		}
	case "sequence":
		fmt.Fprintf(&w.log, "  %#x\n", m.ah.seq)
	case "stats":
		v := reflect.ValueOf(*m.Stats())
		for i := range v.NumField() {
			if n := v.Field(i).Uint(); n > 0 {
				fmt.Fprintf(&w.log, "  %s %d\n", v.Type().Field(i).Name, n)
			}
		}
	case "advert":
		p, err := packet(m, f[2:])
		if err != nil {
			return err
		}
		w.receive(m, p)
	case "flood": // flood NAME N D packet options: one after the other, D apart; shows what was done how often
		d, err := time.ParseDuration(f[3])
		if err != nil {
			return err
		}
		p, err := packet(m, f[4:])
		if err != nil {
			return err
		}
		for range number() {
			w.step(m, Event{Kind: Received, Packet: p})
			w.wait(d)
		}
		counts := map[string]int{}
		for line := range strings.Lines(w.log.String()) {
			counts[line[12:]]++
		}
		w.log.Reset()
		for _, what := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&w.log, "  %d × %s", counts[what], what)
		}
	case "ah", "total_length": // ah NAME packet options; total_length NAME N packet options
		rest := f[2:]
		if f[0] == "total_length" {
			rest = f[3:]
		}
		p, err := packet(m, rest)
		if err != nil {
			return err
		}
		if f[0] == "ah" {
			p.IPHeader[9] = protocolAH
		} else {
			p.IPHeader[3] = byte(number())
		}
		w.receive(m, p)
	case "overrun": // the timer is late by so much
		d, err := time.ParseDuration(arg(2))
		if err != nil {
			return err
		}
		w.now = m.deadline.Add(d)
		w.step(m, Event{Kind: Timeout})
	case "stale":
		w.step(m, Event{Kind: Settled, Gen: m.gen - 1})
	case "settle":
		w.step(m, Event{Kind: Settled, Gen: m.gen})
	case "faults":
		w.step(m, Event{Kind: Faults, Count: number(), Reason: strings.Join(f[min(3, len(f)):], " ")})
	case "init":
		w.step(m, Event{Kind: Faults, Init: true})
	case "total":
		w.step(m, Event{Kind: Priority, Total: number()})
	case "source":
		a, _ := netip.ParseAddr(arg(2))
		w.step(m, Event{Kind: Source, Addr: a})
	case "stolen":
		w.step(m, Event{Kind: Stolen, Addr: netip.MustParseAddr(arg(2))})
	case "reload":
		inst, err := instance(arg(1), slices.Index(w.order, arg(1))+1, f[2:])
		if err != nil {
			return err
		}
		w.step(m, Event{Kind: Reconfigured, Instance: inst})
	case "stop":
		w.step(m, Event{Kind: Stop, Keep: arg(2) == "keep"})
	case "remove":
		w.step(m, Event{Kind: Removed})
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

func (w *world) members(names []string) []*Machine {
	var ms []*Machine
	for _, n := range names {
		ms = append(ms, w.routers[n])
	}
	return ms
}

// wait lets time pass, from deadline to deadline.
func (w *world) wait(d time.Duration) {
	end := w.now.Add(d)
	for n := 0; ; n++ {
		if n > 1000 {
			w.t.Fatal("time stands still")
		}
		var first *Machine
		for _, n := range w.order {
			m := w.routers[n]
			if at := m.Deadline(); !at.IsZero() && !at.After(end) && (first == nil || at.Before(first.Deadline())) {
				first = m
			}
		}
		if first == nil {
			break
		}
		w.now = first.Deadline()
		w.step(first, Event{Kind: Timeout})
	}
	w.now = end
}

// receive gives the packet to m, and notes why it is dropped.
func (w *world) receive(m *Machine, p Packet) {
	p.Wall = w.now.Add(w.clock)
	probe := *m
	probe.trailers.heard = slices.Clone(m.trailers.heard)
	if _, r := probe.check(&step{now: w.now}, &p); r != Accepted {
		fmt.Fprintf(&w.log, "  dropped: %v\n", r)
	}
	w.step(m, Event{Kind: Received, Packet: p})
}

func (w *world) step(m *Machine, ev Event) { w.took(Step(w.now, m, &ev, nil)) }

// took logs the actions, and answers for the kernel.
func (w *world) took(out []Action) {
	for _, a := range out {
		fmt.Fprintf(&w.log, "  %9.6f %s\n", w.now.Sub(epoch).Seconds(), a)
	}
	for _, a := range out {
		if (a.Kind == Own || a.Kind == Disown) && !w.manual {
			w.step(a.M, Event{Kind: Settled, Gen: a.Gen})
		}
	}
}

func (a Action) String() string {
	who := "-"
	if a.M != nil {
		who = a.M.inst.Name
	} else if a.G != nil {
		who = a.G.model.Name
	}
	switch a.Kind {
	case Send:
		return fmt.Sprintf("%s send %d", who, a.Priority)
	case Own:
		return fmt.Sprintf("%s own #%d", who, a.Gen)
	case Disown:
		return fmt.Sprintf("%s disown #%d", who, a.Gen)
	case Announce:
		return fmt.Sprintf("%s announce x%d", who, a.Repeat)
	case Unannounce:
		return who + " unannounce"
	case AnnounceSelf:
		return who + " announce self"
	case Changed:
		return fmt.Sprintf("%s notify %v -> %v %d (%v)", who, a.From, a.To, a.Priority, a.Why)
	case LowerPrioSeen:
		return fmt.Sprintf("%s lower priority seen, ours %d", who, a.Priority)
	case PriorityChanged:
		return fmt.Sprintf("%s priority %d", who, a.Priority)
	case Say:
		if a.Detail {
			return who + " detail: " + a.Line
		}
		return who + " log: " + a.Line
	}
	return fmt.Sprintf("%s action %d", who, a.Kind)
}

func ownAddr(i *model.Instance, n int) netip.Addr {
	if i.SourceAddr.IsValid() {
		return i.SourceAddr
	}
	if i.Family == model.IPv6 {
		return netip.MustParseAddr(fmt.Sprintf("fe80::%d", n))
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
}

// instance is the n-th instance of a world: keepalived's defaults, priority 100 and 10.0.0.100, changed by the options.
func instance(name string, n int, options []string) (*model.Instance, error) {
	i := &model.Instance{
		Name: name, Interface: "eth0", Family: model.IPv4, VRID: 50 + uint8(n), Version: 2, Initial: model.Backup,
		Priority: 100, AdvertInt: time.Second, DownTimerAdverts: 3, Group: groupIPv4, Accept: true,
		GARP: model.GARP{MasterDelay: 5 * time.Second, MasterRepeat: 5, RefreshRepeat: 1, LowerPrioDelay: 5 * time.Second, LowerPrioRepeat: 5},
		VIPs: []model.Address{{Prefix: netip.MustParsePrefix("10.0.0.100/24"), Interface: "eth0"}},
	}
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		n, _ := strconv.Atoi(v)
		d, _ := time.ParseDuration(v)
		switch k {
		case "v":
			i.Version = n
		case "v6":
			i.Family, i.Version, i.Group = model.IPv6, 3, netip.MustParseAddr("ff02::12")
			i.VIPs = []model.Address{{Prefix: netip.MustParsePrefix("fe80::100/64"), Interface: "eth0"}}
		case "name":
			i.Name = v
		case "prio":
			i.Priority = uint8(n)
		case "state":
			i.Initial = map[string]model.State{"MASTER": model.Master, "BACKUP": model.Backup}[v]
		case "int":
			i.AdvertInt = d
		case "src":
			i.SourceAddr = netip.MustParseAddr(v)
		case "pass":
			i.AuthType, i.AuthPass = model.AuthPass, model.Secret(v)
		case "ah":
			i.AuthType, i.AuthPass = model.AuthAH, model.Secret(v)
		case "hmac": // ID:CHARACTER[+ID:CHARACTER]...; the first is for sending
			i.HMAC.Keys, i.HMAC.Window = nil, 5*time.Second
			for k := range strings.SplitSeq(v, "+") {
				id, c, _ := strings.Cut(k, ":")
				n, _ := strconv.Atoi(id)
				i.HMAC.Keys = append(i.HMAC.Keys, model.HMACKey{ID: uint8(n), Key: model.Secret(strings.Repeat(c, 32))})
			}
			i.HMAC.Active = i.HMAC.Keys[0].ID
		case "permissive":
			i.HMAC.Mode = model.HMACPermissive
		case "receive-only":
			i.HMAC.Mode = model.HMACReceiveOnly
		case "monotonic":
			i.HMAC.Monotonic = true
		case "down":
			i.DownTimerAdverts = n
		case "no_accept":
			i.Accept = false
		case "nopreempt":
			i.NoPreempt = true
		case "preempt_delay":
			i.PreemptDelay = d
		case "timer_expired":
			i.TimerExpired = n
		case "stall_guard":
			i.StallGuard = true
		case "garp_contention":
			i.GARP.ContentionRepeat = n
		case "lower_prio_no_advert":
			i.LowerPrioNoAdvert = true
		case "higher_prio_send_advert":
			i.HigherPrioAdvert = true
		case "owner_ignore_adverts":
			i.OwnerIgnoreAdvert = true
		case "skip_check_adv_addr":
			i.SkipCheckAdvAddr = true
		case "check_unicast_src":
			i.CheckUnicastSrc = true
		case "fault":
			i.ConfigFault = v
		case "garp_delay":
			i.GARP.MasterDelay = d
		case "garp_repeat":
			i.GARP.MasterRepeat = n
		case "garp_refresh":
			i.GARP.MasterRefresh = d
		case "garp_refresh_repeat":
			i.GARP.RefreshRepeat = n
		case "garp_lower_delay":
			i.GARP.LowerPrioDelay = d
		case "garp_lower_repeat":
			i.GARP.LowerPrioRepeat = n
		case "vips", "evips":
			var list []model.Address
			for a := range strings.SplitSeq(v, ",") {
				a, noTrack := strings.CutSuffix(a, "!")
				list = append(list, model.Address{Prefix: netip.MustParsePrefix(a), Interface: "eth0", NoTrack: noTrack})
			}
			if k == "vips" {
				i.VIPs = list
			} else {
				i.ExcludedVIPs = list
			}
		case "peers":
			for a := range strings.SplitSeq(v, ",") {
				a, ttl, _ := strings.Cut(a, "/")
				p := model.Peer{Addr: netip.MustParseAddr(a), MaxTTL: 255}
				if ttl != "" {
					fmt.Sscanf(ttl, "%d-%d", &p.MinTTL, &p.MaxTTL)
				}
				i.Peers = append(i.Peers, p)
			}
		case "old_checksum":
			i.OldUnicastSum = map[string]model.OldChecksum{"": model.ChecksumOld, "never": model.ChecksumNever}[v]
		case "v3_checksum_as_v2":
			i.V3ChecksumV2 = true
		default:
			return nil, fmt.Errorf("unknown option %q", o)
		}
	}
	return i, nil
}

// packet builds an advert that another router of the same virtual router sends to m. After from= and prio= come options as of
// instance, which the sender has otherwise than m, and: ttl=N, type=N, multicast, unicast, pad=N (bytes added, not counted in
// the IP header), byte@N=V (set after the checksum was made), fix@N=V (before).
func packet(m *Machine, options []string) (Packet, error) {
	sender := *m.inst
	peer := New(&sender)
	p := Packet{TTL: 255, Multicast: len(m.inst.Peers) == 0, IfIndex: 2}
	p.Dst = m.inst.Group
	if !p.Multicast {
		p.Dst = m.src
	}
	prio, wall := uint8(100), epoch
	var later []func(b []byte) []byte
	resum := false
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		n, _ := strconv.ParseInt(v, 0, 64)
		switch {
		case k == "from":
			p.Src = netip.MustParseAddr(v)
			peer.src = p.Src
		case k == "prio":
			prio = uint8(n)
		case k == "seq":
			peer.ah.seq = uint32(n)
		case k == "at": // by the sender's clock
			d, err := time.ParseDuration(v)
			if err != nil {
				return p, err
			}
			wall = epoch.Add(d)
		case k == "ttl":
			p.TTL = int(n)
		case k == "multicast":
			p.Multicast, p.Dst = true, m.inst.Group
		case k == "unicast":
			p.Multicast, p.Dst = false, m.src
		case k == "int":
			d, err := time.ParseDuration(v)
			if err != nil {
				return p, err
			}
			sender.AdvertInt = d
		case k == "pad":
			later = append(later, func(b []byte) []byte { return append(b, make([]byte, n)...) })
		case k == "cut":
			later = append(later, func(b []byte) []byte { return b[:len(b)-int(n)] })
		case strings.HasPrefix(k, "byte@"), strings.HasPrefix(k, "fix@"):
			_, at, _ := strings.Cut(k, "@")
			i, err := strconv.Atoi(at)
			if err != nil {
				return p, err
			}
			resum = resum || strings.HasPrefix(k, "fix@")
			later = append(later, func(b []byte) []byte { b[i] = byte(n); return b })
		default:
			if k == "noauth" {
				sender.AuthType = model.AuthNone
				continue
			} else if k == "unsigned" {
				sender.HMAC = model.HMAC{}
				continue
			}
			other, err := instance("", 1, []string{o})
			if err != nil {
				return p, err
			}
			switch k {
			case "vips":
				sender.VIPs = other.VIPs
			case "v":
				sender.Version = other.Version
			case "pass", "ah":
				sender.AuthType, sender.AuthPass = other.AuthType, other.AuthPass
			case "hmac":
				sender.HMAC.Keys, sender.HMAC.Active = other.HMAC.Keys, other.HMAC.Active
			case "old_checksum":
				sender.OldUnicastSum = other.OldUnicastSum
			case "v3_checksum_as_v2":
				sender.V3ChecksumV2 = true
			default:
				return p, fmt.Errorf("option %q of an advert", o)
			}
		}
	}
	peer.ah.configure(&sender)
	peer.trailers.configure(&sender)
	b := peer.AppendPacket(nil, prio, p.Dst, 1, wall)
	header := 0
	if m.inst.Family == model.IPv4 {
		header = ipHeaderLen
	}
	p.IPHeader = b[:header:header]
	b = b[header:]
	for _, f := range later {
		b = f(b)
	}
	if resum { // v2 only
		b[6], b[7] = 0, 0
		sum := checksum(0, b)
		b[6], b[7] = byte(sum>>8), byte(sum)
	}
	p.Payload = b
	return p, nil
}
