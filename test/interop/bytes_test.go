package interop

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/keepalived-go/keepalived-go/test/lab"
)

// Under the same configuration, on hosts with the same addresses, both send the same frames in the same order.
func TestBytes(t *testing.T) {
	t.Parallel()
	long := make([]string, 20)
	for i := range long {
		long[i] = fmt.Sprintf("10.1.0.%d/24", 100+i)
	}
	long6 := []string{"fe80::100/64"}
	for i := range 20 {
		long6 = append(long6, fmt.Sprintf("fd00:1::1:%x/64", i))
	}
	second := time.Second
	const (
		ah     = "authentication {\n  auth_type AH\n  auth_pass abcdef\n}"
		pass   = "authentication {\n  auth_type PASS\n  auth_pass abcdefgh\n}"
		peers  = "unicast_src_ip 10.1.0.1\nunicast_peer {\n  10.1.0.2\n  10.1.0.3\n}"
		peers6 = "unicast_src_ip fd00:1::1\nunicast_peer {\n  fd00:1::2\n  fd00:1::3\n}"
	)
	for _, c := range []struct {
		name      string
		config    string
		announced int // how many announcements to compare
	}{
		{"printed pair, server 1", testdata(t, "pair-server1.conf"), 10},
		{"printed pair, server 2", testdata(t, "pair-server2.conf"), 10},
		{"V-C01 V-C31 v2", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 200}), 5},
		{"V-C02 v2 PASS", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 200, VIPs: "10.1.0.100/24 10.1.0.101",
			Lines: "authentication {\n  auth_type PASS\n  auth_pass abcdef\n}"}), 10},
		{"v2 2 s", lab.Config(lab.Instance{Version: 2, Interval: 2 * second, Priority: 255}), 5},
		{"V-C03 v2 AH", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 254, Lines: ah}), 5},
		{"V-C03 v2 AH, 20 addresses", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 255, VIPs: strings.Join(long, " "), Lines: ah}), 5},
		{"V-C03 v2 AH unicast", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 200, Lines: ah + "\n" + peers}), 5},
		{"V-C03 v2 AH unicast, TTL", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 200, Lines: ah + "\nunicast_ttl 64\n" + peers}), 5},
		{"V-C08 v2 PASS unicast", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 100, Lines: pass + "\n" + peers}), 5},
		{"v2, the source given", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 200, Lines: "mcast_src_ip 10.1.0.77"}), 5},
		{"V-C07 v2 IPv6", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 200, VIPs: "fe80::100/64 fd00:1::100/64"}), 10},
		{"V-C07 v2 IPv6 unicast", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 200, VIPs: "fd00:1::100/64", Lines: peers6}), 5},
		{"V-C04 v3", lab.Config(lab.Instance{Priority: 200}), 5},
		{"v3 0.3 s, owner", lab.Config(lab.Instance{Interval: 300 * time.Millisecond, Priority: 255}), 5},
		{"v3 1.5 s, lowest priority", lab.Config(lab.Instance{Interval: 1500 * time.Millisecond, Priority: 1}), 5},
		{"v3 two instances", lab.Config(lab.Instance{Priority: 255}, lab.Instance{Name: "VI_2", VRID: 255, Priority: 1, VIPs: "10.1.0.101"}), 10},
		{"v3 unicast, TTL", lab.Config(lab.Instance{Priority: 200, Lines: "unicast_ttl 64\n" + peers}), 5},
		{"v3 unicast, old checksum", lab.Config(lab.Instance{Priority: 200, Lines: "old_unicast_checksum\n" + peers}), 5},
		{"v3 unicast, never the old checksum", lab.Config(lab.Instance{Priority: 200, Lines: "old_unicast_checksum never\n" + peers}), 5},
		{"v3 other group", lab.Config("global_defs {\n  vrrp_mcast_group4 224.0.0.100\n}\n", lab.Instance{Priority: 200}), 5},
		{"V-C08 v3 unicast", lab.Config(lab.Instance{Priority: 200, Lines: "unicast_src_ip 10.1.0.1\nunicast_peer {\n  10.1.0.2\n  10.1.0.3\n}"}), 5},
		{"V-D02 v3 20 addresses and an excluded one", lab.Config(lab.Instance{Priority: 200, VIPs: strings.Join(long, " "),
			Lines: "garp_master_delay 1\nvirtual_ipaddress_excluded {\n  10.1.0.200/32\n}"}), 210},
		{"V-D04 v3 blocks", lab.Config(lab.Instance{Priority: 1, Lines: "garp_master_delay 1\ngarp_master_repeat 2\ngarp_master_refresh 1\ngarp_master_refresh_repeat 3"}), 10},
		{"V-C06 V-C32 IPv6", lab.Config(lab.Instance{Priority: 200, VIPs: "fe80::100/64 fd00:1::100/64 fd00:1::101"}), 15},
		{"IPv6, 20 addresses", lab.Config(lab.Instance{Priority: 254, VIPs: strings.Join(long6, " ")}), 21},
		{"IPv6, another group", lab.Config(lab.Instance{Priority: 255, VIPs: "fe80::100/64", Lines: "mcast_dst_ip ff02::112"}), 5},
		{"IPv6 unicast, hop limit", lab.Config(lab.Instance{Priority: 200, VIPs: "fd00:1::100/64", Lines: "unicast_ttl 70\n" + peers6}), 5},
		{"IPv6 unicast", lab.Config(lab.Instance{Priority: 200, VIPs: "fd00:1::100/64", Lines: "unicast_src_ip fd00:1::1\nunicast_peer {\n  fd00:1::2\n}"}), 10},
		{"V-H01 VMAC", lab.Config(lab.Instance{Priority: 200, VIPs: "10.1.0.100/24 10.1.0.101", Lines: "use_vmac"}), 10},
		{"V-H02 VMAC IPv6", lab.Config(lab.Instance{Priority: 200, VIPs: "fe80::100/64 fd00:1::100/64", Lines: "use_vmac"}), 10},
		{"VMAC v2 own MAC", lab.Config(lab.Instance{Version: 2, Interval: second, Priority: 200, Lines: "use_vmac vm51 02:11:22:33:44"}), 5},
		{"V-H06 VMAC vmac_xmit_base", lab.Config(lab.Instance{Priority: 200, Lines: "use_vmac\nvmac_xmit_base"}), 5},
		{"V-H13 VMAC unicast", lab.Config(lab.Instance{Priority: 200, Lines: "use_vmac\nunicast_src_ip 10.1.0.1\nunicast_peer {\n  10.1.0.2\n}"}), 5},
		{"VMAC garp_extra_if", lab.Config(lab.Instance{Priority: 200, VIPs: "10.1.0.100/24", Lines: "use_vmac\nuse_vmac_addr\n" +
			"garp_extra_if 1\ngarp_master_repeat 1\ngarp_master_delay 0\nvirtual_ipaddress_excluded {\n  fd00:1::100/64\n  fd00:1::101/64\n}"}), 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			programs := originals(t)
			programs["ours"] = lab.Ours()
			var mu sync.Mutex
			got := map[string]sent{}
			t.Run("send", func(t *testing.T) { // ends when all have sent
				for name, program := range programs {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						s := send(t, program, c.config, c.announced)
						mu.Lock()
						defer mu.Unlock()
						got[name] = s
					})
				}
			})
			for name := range programs {
				if diff := cmp.Diff(got[name], got["ours"]); diff != "" {
					t.Errorf("differs from the %s original (-original +ours):\n%s", name, diff)
				}
			}
		})
	}
}

// sent is what a lone router sends from its start to its stop, as hexadecimal lines.
type sent struct {
	Adverts       []string // the first three
	Announcements []string // as many as asked for
	Goodbye       []string
	Order         string // of the first frames, by kind
}

func send(t *testing.T, program, config string, announced int) sent {
	l := lab.New(t, lab.Plan{})
	d := l.Node("a").Start(program, config)
	var s sent
	for _, f := range l.WaitFrames(10*time.Second, 3, "advert", lab.Adverts("a")) {
		s.Adverts = append(s.Adverts, plain(f))
	}
	for _, f := range l.WaitFrames(10*time.Second, announced, "announcement", lab.Not(lab.Adverts("a"))) {
		s.Announcements = append(s.Announcements, plain(f))
	}
	for _, f := range l.WaitFrames(soon, 6, "frame") {
		s.Order += fmt.Sprint(f.Kind, " ")
	}
	d.Signal(syscall.SIGTERM)
	d.WaitExit(soon)
	for _, f := range l.Frames(lab.Adverts("a"), lab.Priority(0)) {
		if f.Src.Is4() { // the identification and so the checksum: how many adverts went before is chance
			f.Raw[18], f.Raw[19], f.Raw[24], f.Raw[25] = 0, 0, 0, 0
		}
		if f.AH != nil {
			clear(f.AH[8:])
		}
		s.Goodbye = append(s.Goodbye, plain(f))
	}
	return s
}

// plain is the frame with what the kernel chooses at random taken out: the IPv6 flow label.
func plain(f *lab.Frame) string {
	raw := append([]byte(nil), f.Raw...)
	if binary.BigEndian.Uint16(raw[12:]) == 0x86dd {
		raw[15] &= 0xf0
		raw[16], raw[17] = 0, 0
	}
	return hex.EncodeToString(raw) + " " + f.String()
}
