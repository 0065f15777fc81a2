package netns

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/test/lab"
)

// auth_hmac from nothing to enforce and on to another key, one router at a time: nobody becomes a second master, and no key is seen
// anywhere but in the configuration.
func TestSignedAdverts(t *testing.T) {
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("releases before 2.4 do not have it")
	}
	const old, fresh = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	onLab(t, "V-C11 introduced, enforced, and given another key", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		key := func(n *lab.Node, name, text string) string {
			path := n.File(name, text+"\n")
			if err := os.Chmod(path, 0o400); err != nil {
				t.Fatal(err)
			}
			return path
		}
		with := func(node string, priority int, lines ...string) string {
			if lines == nil {
				return config(instance{Priority: priority})
			}
			n := l.Node(node)
			text := strings.NewReplacer("OLD", "file:"+key(n, "old.key", old), "NEW", "hex:"+strings.Repeat("0f", 32)).Replace(strings.Join(lines, "\n"))
			return config(instance{Priority: priority, Lines: "auth_hmac {\n" + text + "\n}"})
		}
		a := l.Node("a").Start(lab.Ours(), with("a", 150))
		l.WaitHolder(soon+instance{Priority: 150}.Down(), vip, "a")
		b := l.Node("b").Start(lab.Ours(), with("b", 100))
		b.WaitLog(soon, `Entering BACKUP STATE \(init\)`)
		signed := func(f *lab.Frame) bool { return len(f.Payload) == 8+4+28 }
		steps := []struct {
			name  string
			lines []string
			key   byte // that a's adverts carry
		}{
			{"receive-only", []string{"key 1 OLD", "active_key 1", "mode receive-only"}, 0},
			{"permissive", []string{"key 1 OLD", "active_key 1", "mode permissive"}, 1},
			{"enforce", []string{"key 1 OLD", "active_key 1"}, 1},
			{"both keys", []string{"key 1 OLD", "key 2 NEW", "active_key 1"}, 1},
			{"the new key", []string{"key 1 OLD", "key 2 NEW", "active_key 2"}, 2},
			{"the new key alone", []string{"key 2 NEW", "active_key 2"}, 2},
		}
		for _, s := range steps {
			b.WaitLogAfter(b.Reload(with("b", 100, s.lines...)), soon, `Reload (complete|finished)`)
			l.WaitFrames(soon, 4, "advert after b's step to "+s.name, lab.Adverts("a"), lab.After(time.Now()))
			a.WaitLogAfter(a.Reload(with("a", 150, s.lines...)), soon, `Reload (complete|finished)`)
			for _, f := range l.WaitFrames(soon, 4, "advert after the step to "+s.name, lab.Adverts("a"), lab.After(time.Now())) {
				if signed(f) != (s.key != 0) || s.key != 0 && f.Payload[13] != s.key {
					t.Errorf("%s: advert %x", s.name, f.Payload)
				}
			}
		}
		noAdvert(t, l, "b", time.Time{})
		if got := l.Holders(vip); got != "a" {
			t.Errorf("holders %q", got)
		}
		// Who does not know the key is not heard.
		at := b.Reload(with("b", 100, "key 2 OLD", "active_key 2"))
		b.WaitLogAfter(at, soon, `\(VI_1\) invalid authentication HMAC from 10\.1\.0\.1`)
		l.WaitHolder(soon+instance{Priority: 100}.Down(), vip, "a b")
		a.WaitLog(soon, `\(VI_1\) invalid authentication HMAC from 10\.1\.0\.2`)
		if s := b.Dump(syscall.SIGUSR2, "keepalived.stats"); strings.Contains(s, "Invalid HMAC: 0\n") {
			t.Errorf("statistics:\n%s", s)
		}
		said := l.Timeline.String() + a.Dump(syscall.SIGUSR1, "keepalived.data") + a.Dump(syscall.Signal(36), "keepalived.json")
		for _, secret := range []string{old, strings.Repeat("0f", 32), strings.Repeat("\x0f", 32)} {
			if strings.Contains(said, secret) {
				t.Errorf("the key %q is shown", secret)
			}
		}
	})
	onLab(t, "V-C12 an advert that is sent again", lab.Plan{}, func(t *testing.T, l *lab.Lab) {
		lines := "auth_hmac {\n  key 1 " + fresh + "\n  active_key 1\n}"
		_, b := pair(t, l, instance{Priority: 150, Lines: lines}, instance{Priority: 100, Lines: lines})
		seen := l.LastFrame(lab.Adverts("a"))
		l.Node("c").Replay(0, seen.Raw)
		b.WaitLog(soon, `\(VI_1\) replayed authentication trailer from 10\.1\.0\.1`)
		noAdvert(t, l, "b", time.Time{})
	})
}

// unicast_fault_no_peer, and who is listened to in unicast mode.
func TestUnicastPeers(t *testing.T) {
	onLab(t, "no peer", lab.Plan{Nodes: []string{"a"}}, func(t *testing.T, l *lab.Lab) {
		i := instance{Priority: 150, Lines: "unicast_src_ip 10.1.0.1\nunicast_fault_no_peer"}
		a := l.Node("a").Start(lab.Ours(), config(i))
		a.WaitLog(soon, `\(VI_1\) Cannot use unicast without any peers - going to fault state`)
		l.Hold(i.Down(), "nobody holds the address", func() bool { return l.Holders(vip) == "" })
		a.Reload(config(instance{Priority: 150, Lines: "unicast_src_ip 10.1.0.1\nunicast_peer {\n  10.1.0.2\n}"}))
		l.WaitHolder(soon+i.Down(), vip, "a")
	})
	for name, c := range map[string]struct {
		lines, peer string
		packet      lab.Packet
		say         string // empty: it is listened to
	}{
		"V-C28 any sender":                   {"", "", lab.Packet{}, ""},
		"V-C28 check_unicast_src":            {"check_unicast_src", "", lab.Packet{}, `\(VI_1\) unicast source address 10\.1\.0\.3 not a unicast peer`},
		"V-C29 TTL below the peer's range":   {"", "10.1.0.3 min_ttl 60 max_ttl 64", lab.Packet{TTL: 59}, `\(VI_1\) TTL/HL 59 from 10\.1\.0\.3 not in range \[60, 64\]`},
		"V-C29 TTL above the peer's range":   {"", "10.1.0.3 min_ttl 60 max_ttl 64", lab.Packet{TTL: 255}, `\(VI_1\) TTL/HL 255 from 10\.1\.0\.3 not in range \[60, 64\]`},
		"V-C29 TTL within the peer's range":  {"", "10.1.0.3 min_ttl 60 max_ttl 64", lab.Packet{TTL: 60}, ""},
		"V-C30 multicast to unicast":         {"", "10.1.0.3", lab.Packet{}, ""},
		"V-C09 the old checksum of a peer":   {"", "10.1.0.3", lab.Packet{OldChecksum: true}, ""},
		"V-C09 never the old checksum":       {"old_unicast_checksum never", "10.1.0.3", lab.Packet{OldChecksum: true}, `\(VI_1\) Invalid VRRPv3 checksum from 10\.1\.0\.3`},
		"V-C09 the old checksum is expected": {"old_unicast_checksum", "10.1.0.3", lab.Packet{OldChecksum: true}, ""},
	} {
		onLab(t, name, lab.Plan{}, func(t *testing.T, l *lab.Lab) {
			i := instance{Priority: 150, Lines: c.lines + "\nunicast_src_ip 10.1.0.1\nunicast_peer {\n  10.1.0.2\n  " + c.peer + "\n}"}
			a := lone(t, l, i)
			p := c.packet
			p.VRID, p.Priority = 51, 200
			multicast := strings.HasPrefix(name, "V-C30")
			if !multicast {
				p.Dst = l.Node("a").Addr(0)
			}
			at := l.Node("c").Inject(0, p, l.Node("a"))
			switch {
			case c.say != "":
				a.WaitLogAfter(at, soon, c.say)
			case !multicast:
				a.WaitLogAfter(at, soon, `\(VI_1\) Master received advert from 10\.1\.0\.3 with higher priority 200, ours 150`)
				if p.OldChecksum && c.lines == "" {
					a.WaitLogAfter(at, soon, `\(VI_1\) Setting unicast VRRPv3 checksum to old version`)
				}
				l.WaitHolder(soon, vip, "")
				return
			}
			l.WaitFrames(soon, 5, "advert", lab.Adverts("a"), lab.After(at))
			if got := logged(a, at, "STATE"); len(got) > 0 {
				t.Errorf("listened to it: %q", got)
			}
		})
	}
}

// A key that cannot be read stops the instance, not the daemon.
func TestUnreadableKey(t *testing.T) {
	if lab.IsKeepalived(lab.Ours()) {
		t.Skip("releases before 2.4 do not have auth_hmac")
	}
	onLab(t, "a key that is not there", lab.Plan{Nodes: []string{"a"}}, func(t *testing.T, l *lab.Lab) {
		n := l.Node("a")
		absent := filepath.Join(n.Dir, "absent.key")
		signed := instance{Priority: 150, Lines: "auth_hmac {\n  key 1 file:" + absent + "\n  active_key 1\n}"}
		plain := instance{Priority: 150, Name: "VI_2", VRID: 52, VIPs: "10.1.0.101/24"}
		a := n.Start(lab.Ours(), config(signed, plain))
		a.WaitLog(soon, `\(VI_1\) auth_hmac: the key file .*absent\.key" cannot be read`)
		l.WaitHolder(soon+plain.Down(), other, "a")
		if l.Has("a", vip) {
			t.Error("the instance without a key runs")
		}
		if err := os.WriteFile(absent, []byte("0123456789abcdef0123456789abcdef"), 0o400); err != nil {
			t.Fatal(err)
		}
		a.Signal(syscall.SIGHUP)
		l.WaitHolder(soon+signed.Down(), vip, "a")
	})
}
