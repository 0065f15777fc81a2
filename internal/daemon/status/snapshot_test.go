package status

import (
	"encoding/hex"
	"net"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

var (
	ip  = netip.MustParseAddr
	pfx = netip.MustParsePrefix
)

func root(args ...string) *model.Script { return &model.Script{Args: args} }

func at(us int64) time.Time { return time.UnixMicro(us) }

func mac(s string) net.HardwareAddr {
	a, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return a
}

var defaultGARP = model.GARP{
	MasterDelay: 5 * time.Second, MasterRepeat: 5, RefreshRepeat: 1, LowerPrioDelay: 5 * time.Second, LowerPrioRepeat: 5,
}

func settings() model.Process {
	return model.Process{RouterID: "RTR1", Umask: -1, JSONVersion: 1, AutoPriorityDelay: time.Second,
		SNMP: model.SNMP{ServiceAge: 5 * time.Second, ServerAge: 5 * time.Second}, Defaults: model.Defaults{
			SMTPAlert: "unset", SMTPAlertVRRP: "unset", SMTPAlertChecker: "unset", Interface: "eth0", ScriptSecurity: true,
			McastGroup4: ip("224.0.0.18"), McastGroup6: ip("ff02::12"), GARP: defaultGARP, DownTimerAdverts: 3, Version: 2,
		}}
}

func garp(name string, arp, na int64) GARP {
	g := GARP{GARPDelay: model.GARPDelay{Interfaces: []string{name}, ARPInterval: 10 * time.Millisecond, NAInterval: 20 * time.Millisecond}}
	if arp != 0 {
		g.NextARP = at(arp)
	}
	if na != 0 {
		g.NextNA = at(na)
	}
	return g
}

func veth(name string, index int, ip6 netip.Addr, addr string, f net.Flags) Interface {
	return Interface{Name: name, Index: index, IPv6: ip6, MAC: mac(addr), Broadcast: mac("ff:ff:ff:ff:ff:ff"), Flags: f | net.FlagUp | net.FlagBroadcast | net.FlagMulticast,
		MTU: 1500, HWType: "ETHERNET", SeenUp: f != 0}
}

// vrrpSnapshot is testdata/vrrp.conf at the moment of testdata/vrrp.oracle.*.
func vrrpSnapshot() *Snapshot {
	one := model.Instance{
		Version: 2, Family: model.IPv4, Interface: "eth0", Group: ip("224.0.0.18"), AdvertInt: time.Second, DownTimerAdverts: 3,
		GARP: defaultGARP, Accept: true,
	}
	vi1, vi2, vi3, vi6, down := one, one, one, one, one

	vi1.Name, vi1.VRID, vi1.Priority, vi1.SMTPAlert = "VI_1", 51, 150, true
	vi1.AuthType, vi1.AuthPass = model.AuthPass, model.Secret("12345")
	vi1.VIPs = []model.Address{
		{Prefix: pfx("10.1.0.100/24"), Interface: "eth0", Label: "eth0:v"},
		{Prefix: pfx("10.1.0.101/32"), Interface: "eth0"},
	}
	vi1.ExcludedVIPs = []model.Address{
		{Prefix: pfx("10.1.0.200/24"), Interface: "eth1"},
		{Prefix: pfx("2001:db8::5/64"), Interface: "eth0", NoDAD: true, PreferredLft: model.LifetimeForever},
	}
	vi1.TrackInterfaces = []model.Track{{Name: "eth1"}}
	vi1.NotifyMaster, vi1.Notify = root("/usr/bin/true", "m x"), root("/usr/bin/true", "gen")
	vi1.NotifyBackup, vi1.NotifyFault, vi1.NotifyStop = root("/usr/bin/true"), root("/usr/bin/true"), root("/usr/bin/true")
	vi1.NotifyLowerPrio, vi1.NotifyDeleted, vi1.NotifyDeletedState = root("/usr/bin/true"), root("/usr/bin/true"), true

	vi2.Name, vi2.VRID, vi2.Priority, vi2.Interface, vi2.Version = "VI_2", 52, 100, "eth1", 3
	vi2.AdvertInt, vi2.NoPreempt, vi2.GARP.MasterRefresh = 500*time.Millisecond, true, time.Minute
	vi2.VIPs = []model.Address{{Prefix: pfx("10.2.0.100/24"), Broadcast: ip("10.2.0.255"), Interface: "eth1", Scope: 253}}

	vi3.Name, vi3.VRID, vi3.Priority, vi3.SourceAddr, vi3.CheckUnicastSrc = "VI_3", 53, 110, ip("10.1.0.1"), true
	vi3.Peers = []model.Peer{{Addr: ip("10.1.0.2"), MaxTTL: 255}, {Addr: ip("10.1.0.3"), MinTTL: 3, MaxTTL: 64}}
	vi3.UnicastTTL, vi3.PreemptDelay, vi3.OldUnicastSum = 30, 3500*time.Millisecond, model.ChecksumDetect
	vi3.VIPs = []model.Address{{Prefix: pfx("10.1.0.110/24"), Interface: "eth0"}}
	vi3.TrackInterfaces = []model.Track{{Name: "eth1", Weight: 10}}
	vi3.TrackScripts = []model.Track{{Name: "chk", Weight: -20}, {Name: "bad", Weight: 3, Reverse: true}}

	vi6.Name, vi6.VRID, vi6.Priority, vi6.Version, vi6.Family = "VI_6", 54, 110, 3, model.IPv6
	vi6.Group, vi6.AdvertInt = ip("ff02::12"), 2*time.Second
	vi6.VIPs = []model.Address{
		{Prefix: pfx("fe80::5/128"), Interface: "eth0", NoDAD: true},
		{Prefix: pfx("2001:db8::1/64"), Interface: "eth0", NoDAD: true, PreferredLft: model.LifetimeForever},
	}

	down.Name, down.VRID, down.Priority, down.Interface = "DOWN", 55, 110, "eth2"
	down.VIPs = []model.Address{{Prefix: pfx("10.3.0.5/24"), Interface: "eth2"}}

	process := settings()
	process.Defaults.GARPInterval, process.Defaults.NAInterval = 10*time.Millisecond, 20*time.Millisecond
	return &Snapshot{
		Process: process,
		GARP: []GARP{
			garp("eth0", 1795265053072727, 1795265053006438), garp("eth1", 1795265053008075, 0), garp("eth2", 0, 0),
		},
		Sockets: []Socket{
			{FDs: FDs{15, 16}, Interface: "eth0", Family: model.IPv4, Users: []string{"VI_1 vrid 51"}},
			{FDs: FDs{17, 18}, Interface: "eth1", Family: model.IPv4, Users: []string{"VI_2 vrid 52"}},
			{FDs: FDs{19, 20}, Interface: "eth0", Family: model.IPv4, Unicast: ip("10.1.0.1"), Users: []string{"VI_3 vrid 53"}},
			{FDs: FDs{21, 22}, Interface: "eth0", Family: model.IPv6, Users: []string{"VI_6 vrid 54"}},
			{FDs: FDs{23, 24}, Interface: "eth2", Family: model.IPv4, Users: []string{"DOWN vrid 55"}},
		},
		Instances: []Instance{
			{
				Instance: vi1, Socket: FDs{15, 16}, SyncGroup: "G1", State: model.Master, Want: model.Master, Effective: 150, Total: 150,
				LastTransition: at(1795265052905100), Deadline: at(1795265055905993), LastSent: at(1795265054905985),
				MasterDown: 3414062 * time.Microsecond, Source: ip("10.1.0.1"),
				VIPsSet: []bool{true, true}, ExcludedSet: []bool{true, true}, Stats: Stats{AdvertSent: 3, BecomeMaster: 1},
			},
			{
				Instance: vi2, Socket: FDs{17, 18}, SyncGroup: "G1", State: model.Master, Want: model.Master, Effective: 100, Total: 100,
				LastTransition: at(1795265052905311), Deadline: at(1795265055405742), LastSent: at(1795265054905706),
				MasterDown: 1804687 * time.Microsecond, Source: ip("10.2.0.1"),
				Stats: Stats{AdvertSent: 5, BecomeMaster: 1},
			},
			{
				Instance: vi3, Socket: FDs{19, 20}, State: model.Master, Want: model.Master, Effective: 120, Total: 120,
				LastTransition: at(1795265053022849), Deadline: at(1795265056023218), LastSent: at(1795265055023182),
				MasterDown: 3531250 * time.Microsecond, Source: ip("10.1.0.1"),
				VIPsSet: []bool{true}, Stats: Stats{AdvertSent: 3, BecomeMaster: 1},
			},
			{
				Instance: vi6, Socket: FDs{21, 22}, State: model.Backup, Want: model.Backup, Effective: 110, Total: 110,
				LastTransition: at(1795265050551398), Deadline: at(1795265057692023),
				MasterDown: 7140625 * time.Microsecond, Source: ip("fe80::9c63:6eff:fe5b:4952"),
			},
			{
				Instance: down, Socket: FDs{23, 24}, State: model.Fault, Want: model.Fault, Effective: 110, Total: 110,
				LastTransition: at(1795265049468489), InterfaceFaults: []string{"i/f down"},
				MasterDown: 3570312 * time.Microsecond, Source: ip("10.3.0.1"),
			},
		},
		Groups: []Group{{
			SyncGroup: model.SyncGroup{Name: "G1", Members: []string{"VI_1", "VI_2"},
				NotifyMaster: root("/usr/bin/true", "gm"), Notify: root("/usr/bin/true")},
			State: model.Master,
		}},
		Scripts: []Script{
			{TrackScript: model.TrackScript{Name: "chk", Script: *root("/usr/bin/true", "a", "b"),
				Interval: 2 * time.Second, Timeout: 2 * time.Second, DefaultTimeout: true, Weight: -20, Rise: 2, Fall: 3}, Result: 4, Known: true},
			{TrackScript: model.TrackScript{Name: "bad", Script: *root("/usr/bin/false"),
				Interval: time.Second, Timeout: 3 * time.Second, Weight: 5, Rise: 1, Fall: 1}, Known: true},
		},
		Interfaces: []Interface{
			{Name: "lo", Index: 1, IPv4: ip("127.0.0.1"), Flags: net.FlagUp | net.FlagRunning | net.FlagLoopback,
				MAC: mac("00:00:00:00:00:00"), MTU: 65536, HWType: "LOOPBACK", SeenUp: true},
			veth("p0", 2, ip("fe80::f4b4:3ff:fedf:8013"), "f6:b4:03:df:80:13", net.FlagRunning),
			{Name: "eth0", Index: 3, IPv4: ip("10.1.0.1"), IPv6: ip("fe80::9c63:6eff:fe5b:4952"),
				MAC: mac("9e:63:6e:5b:49:52"), Broadcast: mac("ff:ff:ff:ff:ff:ff"),
				Flags: net.FlagUp | net.FlagRunning | net.FlagBroadcast | net.FlagMulticast, MTU: 1500, HWType: "ETHERNET", SeenUp: true},
			veth("p1", 4, ip("fe80::203f:d9ff:fe96:7e7f"), "22:3f:d9:96:7e:7f", net.FlagRunning),
			{Name: "eth1", Index: 5, IPv4: ip("10.2.0.1"), IPv6: ip("fe80::e0fd:21ff:fe5a:ca24"),
				MAC: mac("e2:fd:21:5a:ca:24"), Broadcast: mac("ff:ff:ff:ff:ff:ff"),
				Flags: net.FlagUp | net.FlagRunning | net.FlagBroadcast | net.FlagMulticast, MTU: 1500, HWType: "ETHERNET", SeenUp: true},
			veth("p2", 6, netip.Addr{}, "82:f5:13:30:ee:6e", 0),
			{Name: "eth2", Index: 7, IPv4: ip("10.3.0.1"), MAC: mac("4e:fe:9c:74:0c:b0"), Broadcast: mac("ff:ff:ff:ff:ff:ff"),
				Flags: net.FlagBroadcast | net.FlagMulticast, MTU: 1500, HWType: "ETHERNET"},
		},
	}
}

// checkSnapshot is testdata/check.conf at the moment of testdata/check.oracle.data.
func checkSnapshot() *Snapshot {
	digest, err := hex.DecodeString("00112233445566778899aabbccddeeff")
	if err != nil {
		panic(err)
	}
	nat, dr, tun := model.Method{Forward: model.NAT}, model.Method{Forward: model.DR}, model.Method{Forward: model.TUN}
	ok := []model.StatusRange{{First: 200, Last: 299}}
	http := model.Check{
		Kind: model.HTTPGet, Alpha: true, Retry: 4, DelayLoop: 2 * time.Second, DelayBeforeRetry: 2 * time.Second, Warmup: 3 * time.Second,
		Conn: model.Connect{Dst: netip.MustParseAddrPort("127.0.0.3:80"), Timeout: 2 * time.Second},
		HTTP: &model.HTTPOpts{Protocol: model.HTTP10, URLs: []model.URL{
			{Path: "/a", Digest: digest, Status: ok},
			{Path: "/b", Status: append(ok[:1:1], model.StatusRange{First: 304, Last: 304}), VirtualHost: "foo.bar", Regex: "^ok"},
		}},
	}
	ssl := model.Check{
		Kind: model.SSLGet, Alpha: true, Retry: 1, DelayLoop: 2 * time.Second, DelayBeforeRetry: 3 * time.Second, Warmup: 2 * time.Second,
		Conn: model.Connect{Dst: netip.MustParseAddrPort("127.0.0.3:80"), Timeout: 5 * time.Second},
		HTTP: &model.HTTPOpts{Protocol: model.HTTP10, URLs: []model.URL{{Path: "/", Status: ok}}},
	}
	tcp := model.Check{
		Kind: model.TCPCheck, Alpha: true, Retry: 1, DelayLoop: 2 * time.Second, DelayBeforeRetry: time.Second, Warmup: 2 * time.Second,
		Conn: model.Connect{Dst: netip.MustParseAddrPort("127.0.0.2:8080"), Bind: netip.MustParseAddrPort("127.0.0.1:0"), Timeout: 3 * time.Second},
	}
	misc := model.Check{
		Kind: model.MiscCheck, Alpha: true, DelayLoop: 2 * time.Second, DelayBeforeRetry: time.Second, Warmup: 2 * time.Second,
		Misc: &model.MiscOpts{Script: *root("/usr/bin/true", "x"), Timeout: 3 * time.Second, Dynamic: true},
	}
	marked := tcp
	marked.Alpha, marked.DelayLoop, marked.Warmup = false, time.Minute, time.Minute
	marked.Conn = model.Connect{Dst: netip.MustParseAddrPort("10.1.0.22:80"), Timeout: 5 * time.Second}

	s := &Snapshot{Process: settings()}
	s.Process.LVSNotifyFIFO.Path = "/run/lvs.fifo"
	s.LVS.Groups = []model.ServerGroup{{Name: "GRP", Entries: []model.GroupEntry{
		{First: ip("10.5.0.1"), Last: ip("10.5.0.1"), Port: 80},
		{First: ip("10.5.0.2"), Last: ip("10.5.0.5"), Port: 80},
		{IsFWMark: true, FWMark: 7},
	}}}
	s.Services = []Service{
		{
			VirtualServer: model.VirtualServer{
				Addr: ip("10.1.0.100"), Port: 80, Protocol: model.TCP, Family: model.IPv4, Scheduler: "wrr", Persistence: 50 * time.Second,
				Quorum: 2, Hysteresis: 1, QuorumUp: root("/usr/bin/true", "qu"), QuorumDown: root("/usr/bin/true", "qd"),
				Alpha: true, Omega: true, VirtualHost: "www.example.com",
				Sorry: &model.RealServer{Addr: ip("127.0.0.9"), Port: 81, Method: nat},
				Real: []model.RealServer{
					{Addr: ip("127.0.0.2"), Port: 80, Weight: 3, Method: nat, UThreshold: 100, LThreshold: 10, Inhibit: true, Alpha: true,
						SMTPAlert: true, NotifyUp: root("/usr/bin/true", "u"), NotifyDown: root("/usr/bin/true", "d"),
						Checks: []model.Check{tcp, misc}},
					{Addr: ip("127.0.0.3"), Port: 80, Weight: 1, Method: nat, Alpha: true, SMTPAlert: true, Checks: []model.Check{http, ssl}},
				},
			},
			SorryUp: true,
			State: []Real{
				{Weight: 3, InKernel: true, Checks: []Check{{HasRun: true}, {Up: true, HasRun: true, LastRun: at(1795265283068981)}}},
				{Weight: 1, Checks: []Check{{HasRun: true, Retries: 5}, {HasRun: true, Retries: 2}}},
			},
		},
		{
			VirtualServer: model.VirtualServer{
				FWMark: 5, IsFWMark: true, Family: model.IPv4, Scheduler: "sh", Flags: model.FlagSched1 | model.FlagSched2, Quorum: 1,
				Real: []model.RealServer{{Addr: ip("10.1.0.22"), Weight: 1, Method: dr, SMTPAlert: true, Checks: []model.Check{marked}}},
			},
			Up:    true,
			State: []Real{{Up: true, InKernel: true, Weight: 1, Checks: []Check{{Up: true, Retries: 1}}}},
		},
		{
			VirtualServer: model.VirtualServer{
				Group: "GRP", Protocol: model.UDP, Family: model.IPv4, Scheduler: "rr", Flags: model.FlagOnePacket, Quorum: 1,
				Real: []model.RealServer{{Addr: ip("10.1.0.30"), Port: 80, Weight: 1, Method: tun, SMTPAlert: true}},
			},
			Up:    true,
			State: []Real{{Up: true, InKernel: true, Weight: 1}},
		},
	}
	return s
}
