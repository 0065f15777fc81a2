package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Instance is a vrrp_instance block.
type Instance struct {
	Name    string
	At, End source.Pos

	State     opt[model.State]
	Interface opt[string]
	// OldInterfaces are those that a later interface keyword replaced; they have to be there too.
	OldInterfaces []opt[string]
	VRID          opt[int]
	Version       opt[int]
	Priority      opt[int]
	AdvertInt     opt[time.Duration]
	Family        opt[model.Family] // set by the first keyword that has an address

	SyncInterface opt[string] // lvs_sync_daemon_interface

	Source       opt[netip.Addr] // mcast_src_ip, unicast_src_ip
	Group        opt[netip.Addr] // mcast_dst_ip
	TrackSource  opt[bool]
	Peers        []opt[model.Peer]
	Unicast      opt[string] // the keyword that marks the instance as unicast
	UnicastTTL   opt[int]
	NoPeerFault  opt[bool]
	CheckSrc     opt[bool]
	OldChecksum  opt[model.OldChecksum]
	V3ChecksumV2 opt[bool]

	AuthType opt[model.AuthType]
	AuthPass opt[string]
	HMAC     HMAC

	VIPs, Excluded []opt[Address]
	NoVIP          opt[bool]
	Routes         []opt[*Route]
	Rules          []opt[*Rule]

	Strict, Accept              opt[bool]
	NoPreempt                   opt[bool]
	PreemptDelay                opt[time.Duration]
	SkipCheckAdvAddr            opt[bool]
	LowerPrioNo, HigherPrioSend opt[bool]
	OwnerIgnore                 opt[bool]
	TimerExpired                opt[int]
	DownTimer                   opt[int]
	PromoteSecondaries          opt[bool]
	DontTrackPrimary            opt[bool]
	VMAC, IPVLAN                opt[vlink]
	VMACXmitBase, VMACAddr      opt[bool]
	VRF                         opt[string]
	NetNamespace                opt[string]
	ExtraIf                     opt[model.ExtraIf]

	GARPMasterDelay, GARPMasterRefresh, GARPLowerPrioDelay  opt[time.Duration]
	GARPMasterRepeat, GARPRefreshRepeat, GARPLowerPrioCount opt[int]

	Safety
	Track trackLists
	Scripts
	DeletedState   opt[bool]
	NotifyPriority opt[bool]
	SMTPAlert      opt[bool]
	RxBufSize      opt[int]
	Linkbeat       opt[bool]

	names    seen                       // of peers
	vips     map[netip.Addr]opt[string] // addresses and where they are to be
	excluded map[excludedVIP]source.Pos
	all      *seen // names of the whole configuration
}

// Scripts are the notify keywords; the last two are for instances only.
type Scripts struct {
	Master, Backup, Fault, Stop, Any opt[Command]
	Deleted, LowerPrio               opt[Command]
}

// SyncGroup is a vrrp_sync_group block.
type SyncGroup struct {
	Name    string
	At, End source.Pos
	Members []opt[string]
	Track   trackLists
	Scripts
	SMTPAlert      opt[bool]
	NotifyPriority opt[bool]
	TrackingWeight opt[bool]
}

// GARPGroup is a garp_group block.
type GARPGroup struct {
	At, End    source.Pos
	ARP, NA    opt[time.Duration]
	Interfaces []opt[string]
	Lists      [][2]source.Pos // where interfaces begins and ends
	Delayed    bool            // has a delay, right or wrong
}

// TrackGroup is a track_group block.
type TrackGroup struct {
	Name    string
	At, End source.Pos
	Members []opt[string]
}

// upDown is an entry of interface_up_down_delays.
type upDown struct {
	Interface string
	Down, Up  time.Duration
	bad       []fault // with the delays, judged after the interface
}

// fault is a mistake that is told later than it is read; one that is not corrected drops what it is in.
type fault struct {
	at  source.Pos
	err error
}

// linkbeat is an entry of linkbeat_interfaces.
type linkbeat struct {
	Interface string
	Methods   []source.Word
}

func vrrpRoot() schema.Rows[Config] {
	return schema.Rows[Config]{
		schema.Block("vrrp_instance", "NAME ", openInstance, vrrpInstance, "One virtual router."),
		schema.Block("vrrp_sync_group", "NAME ", func(c *Config, n *syntax.Node, r *source.Report) *SyncGroup {
			name, ok := oneName(n, r)
			if !ok {
				return nil
			}
			if !c.names.block("vrrp_sync_group", name, n, r) {
				return nil
			}
			g := &SyncGroup{Name: name, At: n.At(), End: n.End}
			c.Groups = append(c.Groups, g)
			return g
		}, syncGroup, "Instances that change state together."),
		schema.Block("garp_group", "", func(c *Config, n *syntax.Node, _ *source.Report) *GARPGroup {
			g := &GARPGroup{At: n.At(), End: n.End}
			c.GARPGroups = append(c.GARPGroups, g)
			return g
		}, garpGroup, "Rate limit of gratuitous ARP shared by interfaces."),
		schema.Block("track_group", "NAME ", func(c *Config, n *syntax.Node, r *source.Report) *TrackGroup {
			name, ok := oneName(n, r)
			if !ok {
				return nil
			}
			if !c.names.block("track_group", name, n, r) {
				return nil
			}
			g := &TrackGroup{Name: name, At: n.At(), End: n.End}
			c.TrackGroup = append(c.TrackGroup, g)
			return g
		}, trackGroup, "Instances that fail with the interfaces of static entries."),
		schema.Items("static_ipaddress", addressUsage, func(c *Config, n *syntax.Node, r *source.Report) (Address, bool) {
			return readAddress(n, true, r)
		}, func(c *Config) *[]opt[Address] { return &c.Static }, "Addresses held as long as the daemon runs.").
			Options(addressOptions...).Options("track_group"),
		schema.Items("static_routes", "ROUTE", func(_ *Config, n *syntax.Node, r *source.Report) (*Route, bool) {
			return readRoute(true, n, r)
		}, func(c *Config) *[]opt[*Route] { return &c.StaticRoutes }, "Routes held as long as the daemon runs.").
			Options(routeOptions...).Options("track_group"),
		schema.Items("static_rules", "RULE", func(_ *Config, n *syntax.Node, r *source.Report) (*Rule, bool) {
			return readRule(true, n, r)
		}, func(c *Config) *[]opt[*Rule] { return &c.StaticRules }, "Rules held as long as the daemon runs.").
			Options(ruleOptions...).Options("track_group"),
		schema.Items("interface_up_down_delays", "IFNAME DOWN [UP]", readUpDown, func(c *Config) *[]opt[upDown] { return &c.UpDown },
			"Delays of acting on changes of links.").Options("<IFNAME>"),
		schema.Items("linkbeat_interfaces", "IFNAME [MII|ETHTOOL|IOCTL]", readLinkbeat, func(c *Config) *[]opt[linkbeat] { return &c.Linkbeat },
			"Interfaces whose link is polled.").Options("<IFNAME>", "MII", "ETHTOOL", "IOCTL"),
		schema.Flag("linkbeat_use_polling", true, func(c *Config) *opt[bool] { return &c.LinkbeatAll }, "Poll the link of all interfaces that matter."),
	}
}

var trackGroup = schema.TableOf(func() schema.Rows[TrackGroup] {
	return schema.Rows[TrackGroup]{
		schema.WordList("group", schema.Word, func(g *TrackGroup) *[]opt[string] { return &g.Members }, "The instances.").NotEmpty().FirstWins(),
	}
})

func openInstance(c *Config, n *syntax.Node, r *source.Report) *Instance {
	name, ok := oneName(n, r)
	if !ok {
		return nil
	}
	if !c.names.block("vrrp_instance", name, n, r) {
		return nil
	}
	i := &Instance{Name: name, At: n.At(), End: n.End, all: &c.names}
	i.vips, i.excluded = emptied(&c.vips), emptied(&c.excluded)
	vrrpInstance.Init(i)
	c.Instances = append(c.Instances, i)
	return i
}

type irows = schema.Rows[Instance]

var vrrpInstance = schema.TableOf(func() irows {
	return concat(irows{
		schema.Line("state", "MASTER|BACKUP", readState, "State to start in; default by priority."),
		schema.Inherited("interface", schema.IfName, func(i *Instance) *opt[string] { return &i.Interface },
			"Interface of the adverts.").Begin(func(i *Instance, _ *syntax.Node) {
			if i.Interface.IsSet() {
				i.OldInterfaces = append(i.OldInterfaces, i.Interface)
			}
		}),
		schema.Inherited("vrf", schema.IfName, func(i *Instance) *opt[string] { return &i.VRF }, "VRF of a unicast instance without interface."),
		schema.Line("net_namespace", "NAME|PATH", readNamespace,
			"Network namespace of the interface, addresses, routes, rules and tracked interfaces, instead of the daemon's; scripts run in the daemon's.").Ours(),
		schema.Line("use_vmac", "[[name] IFNAME] [MAC] [netlink_notify_msg] [group GROUP]", readVMAC, "Run on an interface with the virtual MAC.").
			Options("name", "netlink_notify_msg", "group", "<MAC>"),
		schema.Flag("use_vmac_addr", true, func(i *Instance) *opt[bool] { return &i.VMACAddr },
			"Virtual MACs for addresses on other interfaces."),
		schema.Flag("vmac_xmit_base", true, func(i *Instance) *opt[bool] { return &i.VMACXmitBase },
			"Send adverts from the interface itself."),
		schema.Line("use_ipvlan", "[bridge|private|vepa] [[name] IFNAME] [group GROUP] [IPADDR]", readIPVLAN, "Run on an ipvlan.").
			Options("bridge", "private", "vepa", "name", "group", "<IPADDR>"),
		schema.Flag("dont_track_primary", true, func(i *Instance) *opt[bool] { return &i.DontTrackPrimary },
			"Ignore faults of the instance's own interface."),

		schema.Line("mcast_src_ip", "IPADDR", func(i *Instance, n *syntax.Node, r *source.Report) { readSource(i, n, r) }, "Source of adverts."),
		schema.Line("unicast_src_ip", "IPADDR", func(i *Instance, n *syntax.Node, r *source.Report) {
			readSource(i, n, r)
			i.markUnicast(n)
		}, "Source of unicast adverts."),
		schema.Line("mcast_dst_ip", "IPADDR", readGroup, "Multicast group of this instance."),
		schema.Flag("track_src_ip", true, func(i *Instance) *opt[bool] { return &i.TrackSource },
			"FAULT while the configured source address is not there."),
		schema.Items("unicast_peer", "IPADDR [min_ttl N] [max_ttl N]", readPeer, func(i *Instance) *[]opt[model.Peer] { return &i.Peers },
			"Routers to send to instead of multicasting.").Options("<IPADDR>", "min_ttl", "max_ttl").Begin((*Instance).markUnicast),
		schema.Flag("unicast_fault_no_peer", true, func(i *Instance) *opt[bool] { return &i.NoPeerFault },
			"FAULT instead of multicast when there is no peer."),
		schema.Line("check_unicast_src", "", func(i *Instance, n *syntax.Node, _ *source.Report) {
			i.CheckSrc = opt[bool]{V: true, At: n.At()}
			i.markUnicast(n)
		}, "Drop adverts that do not come from a peer."),
		schema.Line("old_unicast_checksum", "[never]", func(i *Instance, n *syntax.Node, r *source.Report) {
			v := model.ChecksumOld
			if len(n.Args) > 0 {
				if v = model.ChecksumNever; n.Args[0].Text != "never" {
					r.Errorf(n.Args[0].At, "old_unicast_checksum: unknown value %q - ignoring", n.Args[0].Text)
					return
				}
			}
			i.OldChecksum = opt[model.OldChecksum]{V: v, At: n.At()}
			i.markUnicast(n)
		}, "The version 3 checksum of keepalived up to 1.3.6."),
		schema.Inherited("unicast_ttl", schema.Int(0, 255), func(i *Instance) *opt[int] { return &i.UnicastTTL }, "TTL of unicast adverts."),
		schema.Line("native_ipv6", "", func(i *Instance, n *syntax.Node, r *source.Report) {
			if i.fits(model.IPv6, n.At(), "native_ipv6", r) && i.Version.IsSet() && i.Version.V == 2 {
				r.Errorf(n.At(), "native_ipv6: version 2 is configured - using version 3")
				i.Version = opt[int]{V: 3, At: n.At()}
			}
		}, "An IPv6 instance."),
		schema.Line("virtual_router_id", "<1-255>", func(i *Instance, n *syntax.Node, r *source.Report) {
			v, ok := number(n, 1, 255, r)
			if ok {
				i.VRID = opt[int]{V: v, At: n.At()}
			}
		}, "The virtual router's number."),
		schema.Line("version", "<2-3>", readVersion, "VRRP version."),
		schema.Value("priority", schema.Fallback(schema.Int(1, 255), 100), 100, func(i *Instance) *opt[int] { return &i.Priority },
			"Priority in the election; 255 means that this router owns the addresses."),
		schema.Value("advert_int", schema.Seconds(10*time.Millisecond, 255*time.Second), time.Second,
			func(i *Instance) *opt[time.Duration] { return &i.AdvertInt }, "Interval of adverts."),
		vipRow("virtual_ipaddress", func(i *Instance) *[]opt[Address] { return &i.VIPs }, "Addresses held while master, and told in adverts."),
		vipRow("virtual_ipaddress_excluded", func(i *Instance) *[]opt[Address] { return &i.Excluded },
			"Addresses held while master, but not told in adverts; of either family."),
		schema.Flag("no_virtual_ipaddress", true, func(i *Instance) *opt[bool] { return &i.NoVIP }, "Allow an instance without addresses."),
		schema.Flag("promote_secondaries", true, func(i *Instance) *opt[bool] { return &i.PromoteSecondaries },
			"Keep secondary addresses when the primary one goes."),
		schema.Items("virtual_routes", "ROUTE", func(_ *Instance, n *syntax.Node, r *source.Report) (*Route, bool) {
			return readRoute(false, n, r)
		}, func(i *Instance) *[]opt[*Route] { return &i.Routes }, "Routes held while master.").Options(routeOptions...),
		schema.Items("virtual_rules", "RULE", func(_ *Instance, n *syntax.Node, r *source.Report) (*Rule, bool) {
			return readRule(false, n, r)
		}, func(i *Instance) *[]opt[*Rule] { return &i.Rules }, "Rules held while master.").Options(ruleOptions...),
		schema.Flag("accept", true, func(i *Instance) *opt[bool] { return &i.Accept }, "Accept packets to the addresses."),
		schema.Flag("no_accept", false, func(i *Instance) *opt[bool] { return &i.Accept }, "Drop packets to the addresses."),
		schema.Flag("nopreempt", true, func(i *Instance) *opt[bool] { return &i.NoPreempt }, "Leave a lower-priority master alone."),
		schema.Flag("preempt", false, func(i *Instance) *opt[bool] { return &i.NoPreempt }, "Take over from a lower-priority master."),
		schema.Inherited("preempt_delay", schema.Fallback(schema.Seconds(0, 1000*time.Second), 0),
			func(i *Instance) *opt[time.Duration] { return &i.PreemptDelay }, "Wait before taking over."),
		// Differs from keepalived: "skip_check_adv_addr off" switches it off.
		schema.Inherited("skip_check_adv_addr", schema.Bool, func(i *Instance) *opt[bool] { return &i.SkipCheckAdvAddr },
			"Compare the address list only of a new master."),
		schema.Inherited("strict_mode", schema.Bool, func(i *Instance) *opt[bool] { return &i.Strict }, "Keep to the RFC; default vrrp_strict."),
		schema.Inherited("v3_checksum_as_v2", schema.Bool, func(i *Instance) *opt[bool] { return &i.V3ChecksumV2 },
			"Leave the pseudo header out of IPv4 version 3 checksums."),
		schema.Check[Instance]("debug", schema.Int(0, 4), "No effect, as in keepalived."),

		schema.Inherited("notify_master_rx_lower_pri", command, func(i *Instance) *opt[Command] { return &i.LowerPrio },
			"Run when a master hears a lower-priority advert.").Quoted().FirstWins(),
		schema.Line("notify_deleted", "[CMD [USER [GROUP]]]", readNotifyDeleted,
			"What is told when a reload removes the instance; without a command the state is DELETED, not FAULT.").Quoted(),
		schema.Inherited("smtp_alert", schema.Bool, func(i *Instance) *opt[bool] { return &i.SMTPAlert }, "Mail on changes."),
		schema.Inherited("notify_priority_changes", schema.Bool, func(i *Instance) *opt[bool] { return &i.NotifyPriority },
			"Report priority changes; default that of the group, then vrrp_notify_priority_changes."),

		schema.Inherited("garp_master_delay", seconds4294, func(i *Instance) *opt[time.Duration] { return &i.GARPMasterDelay },
			"Delay of the second round of gratuitous ARP."),
		schema.Inherited("garp_master_repeat", repeat, func(i *Instance) *opt[int] { return &i.GARPMasterRepeat }, "Gratuitous ARPs per round."),
		schema.Inherited("garp_master_refresh", garpSeconds, func(i *Instance) *opt[time.Duration] { return &i.GARPMasterRefresh },
			"Period of rounds while master."),
		schema.Inherited("garp_master_refresh_repeat", repeat, func(i *Instance) *opt[int] { return &i.GARPRefreshRepeat },
			"Gratuitous ARPs per refresh."),
		schema.Inherited("garp_lower_prio_delay", seconds4294, func(i *Instance) *opt[time.Duration] { return &i.GARPLowerPrioDelay },
			"Delay of the second round after a lower-priority advert."),
		schema.Inherited("garp_lower_prio_repeat", schema.Int(0, math.MaxInt32), func(i *Instance) *opt[int] { return &i.GARPLowerPrioCount },
			"Gratuitous ARPs per round then."),
		schema.Inherited("garp_extra_if", extraIf(0), func(i *Instance) *opt[model.ExtraIf] { return &i.ExtraIf },
			"Period of gratuitous ARP for addresses on interfaces without adverts: VMACs, with all any other too.").
			OldName("vmac_garp_intvl", source.Deprecated),
		schema.Inherited("down_timer_adverts", schema.Int(1, 100), func(i *Instance) *opt[int] { return &i.DownTimer },
			"Missed adverts before a backup takes over."),
		schema.Inherited("timer_expired_backup", schema.Kind[int]{Usage: "[<1-254>]", Parse: func(w []source.Word) (int, error) {
			if len(w) == 0 {
				return 254, nil
			}
			return schema.ParseInt(w[0].Text, 1, 254)
		}}, func(i *Instance) *opt[int] { return &i.TimerExpired }, "Become backup after a late timer, supposing a router of that priority.").
			OldName("thread_timer_expired", source.Error),
		schema.Inherited("lower_prio_no_advert", schema.Bool, func(i *Instance) *opt[bool] { return &i.LowerPrioNo },
			"Do not answer a lower-priority advert at once."),
		schema.Inherited("higher_prio_send_advert", schema.Bool, func(i *Instance) *opt[bool] { return &i.HigherPrioSend },
			"Send an advert when a higher-priority one makes us backup."),
		schema.Inherited("owner_ignore_adverts", schema.Bool, func(i *Instance) *opt[bool] { return &i.OwnerIgnore },
			"The address owner ignores adverts."),
		schema.Inherited("kernel_rx_buf_size", schema.Exactly(schema.Int(0, math.MaxUint32)), func(i *Instance) *opt[int] { return &i.RxBufSize },
			"Size of the receive buffer.").Lenient(),
		schema.Flag("linkbeat_use_polling", true, func(i *Instance) *opt[bool] { return &i.Linkbeat }, "Poll the link.").Deprecated("linkbeat_interfaces"),
		schema.Inherited("lvs_sync_daemon_interface", schema.IfName, func(i *Instance) *opt[string] { return &i.SyncInterface },
			"Interface of the IPVS sync daemon, which follows this instance.").Deprecated("lvs_sync_daemon in global_defs"),

		schema.Block("authentication", "", func(i *Instance, _ *syntax.Node, _ *source.Report) *Instance { return i }, authentication,
			"Authentication of VRRP version 2."),
		schema.Block("auth_hmac", "", func(i *Instance, _ *syntax.Node, _ *source.Report) *HMAC { return &i.HMAC }, hmacTable,
			"Keyed trailer of adverts, instead of authentication."),
	},
		safetyRows("", func(i *Instance) *Safety { return &i.Safety }),
		scriptRows(func(i *Instance) *Scripts { return &i.Scripts }),
		trackRows(func(i *Instance) *trackLists { return &i.Track }),
		trackCheckRows(func(i *Instance) *trackLists { return &i.Track }),
	)
})

var authentication = schema.TableOf(func() irows {
	return irows{
		schema.Inherited("auth_type", schema.Choice("PASS|AH", map[string]model.AuthType{"PASS": model.AuthPass, "AH": model.AuthAH}),
			func(i *Instance) *opt[model.AuthType] { return &i.AuthType }, "Method."),
		schema.Inherited("auth_pass", schema.One("TEXT(≤8)", func(s string) (string, error) {
			if len(s) > 8 {
				return s[:8], schema.Corrected("Truncating auth_pass to 8 characters")
			}
			return s, nil
		}), func(i *Instance) *opt[string] { return &i.AuthPass }, "Password."),
	}
})

// scriptRows are the notify keywords that instances and groups share.
func scriptRows[T any](of func(*T) *Scripts) schema.Rows[T] {
	row := func(name, doc string, field func(*Scripts) *opt[Command]) *schema.Keyword[T] {
		return schema.Inherited(name, command, func(t *T) *opt[Command] { return field(of(t)) }, doc).Quoted().FirstWins()
	}
	return schema.Rows[T]{
		row("notify_master", "Run on the change to master.", func(s *Scripts) *opt[Command] { return &s.Master }),
		row("notify_backup", "Run on the change to backup.", func(s *Scripts) *opt[Command] { return &s.Backup }),
		row("notify_fault", "Run on the change to fault.", func(s *Scripts) *opt[Command] { return &s.Fault }),
		row("notify_stop", "Run when the daemon stops.", func(s *Scripts) *opt[Command] { return &s.Stop }),
		row("notify", "Run for all changes, with what changed as arguments.", func(s *Scripts) *opt[Command] { return &s.Any }),
	}
}

var syncGroup = schema.TableOf(func() schema.Rows[SyncGroup] {
	return concat(schema.Rows[SyncGroup]{
		schema.WordList("group", schema.Word, func(g *SyncGroup) *[]opt[string] { return &g.Members }, "The instances.").NotEmpty().FirstWins(),
		schema.Inherited("smtp_alert", schema.Bool, func(g *SyncGroup) *opt[bool] { return &g.SMTPAlert }, "Mail on changes."),
		schema.Inherited("notify_priority_changes", schema.Bool, func(g *SyncGroup) *opt[bool] { return &g.NotifyPriority },
			"Report priority changes of the members."),
		schema.Flag("sync_group_tracking_weight", true, func(g *SyncGroup) *opt[bool] { return &g.TrackingWeight },
			"Allow trackers with weights."),
		schema.Flag("global_tracking", true, func(g *SyncGroup) *opt[bool] { return &g.TrackingWeight },
			"As sync_group_tracking_weight.").Deprecated("track_* in the sync group"),
	},
		scriptRows(func(g *SyncGroup) *Scripts { return &g.Scripts }),
		trackRows(func(g *SyncGroup) *trackLists { return &g.Track }),
		trackCheckRows(func(g *SyncGroup) *trackLists { return &g.Track }),
	)
})

var garpGroup = schema.TableOf(func() schema.Rows[GARPGroup] {
	return schema.Rows[GARPGroup]{
		schema.Inherited("garp_interval", groupInterval, func(g *GARPGroup) *opt[time.Duration] { return &g.ARP }, "Gap between gratuitous ARPs.").
			Begin(func(g *GARPGroup, _ *syntax.Node) { g.Delayed = true }),
		schema.Inherited("gna_interval", groupInterval, func(g *GARPGroup) *opt[time.Duration] { return &g.NA },
			"Gap between unsolicited neighbour advertisements.").Begin(func(g *GARPGroup, _ *syntax.Node) { g.Delayed = true }),
		schema.Line("interface", "IFNAME", func(g *GARPGroup, n *syntax.Node, r *source.Report) {
			if len(n.Args) == 0 {
				r.Add(source.MissingWord, n.At(), "'interface' is missing a required parameter (word 2)")
				return
			}
			g.Interfaces = append(g.Interfaces, opt[string]{V: n.Args[0].Text, At: n.Args[0].At})
		}, "A member."),
		schema.WordList("interfaces", schema.IfName, func(g *GARPGroup) *[]opt[string] { return &g.Interfaces }, "The members.").NotEmpty().
			Begin(func(g *GARPGroup, n *syntax.Node) { g.Lists = append(g.Lists, [2]source.Pos{n.At(), n.End}) }),
	}
})

func (i *Instance) markUnicast(n *syntax.Node) {
	if !i.Unicast.IsSet() {
		i.Unicast = opt[string]{V: n.Key.Text, At: n.At()}
	}
}

// fits fixes the family of the instance by the first address, and reports an address of another.
func (i *Instance) fits(f model.Family, at source.Pos, what string, r *source.Report) bool {
	if !i.Family.IsSet() {
		i.Family = opt[model.Family]{V: f, At: at}
		return true
	}
	if i.Family.V != f {
		r.Errorf(at, "(%s): address family must match VRRP instance [%s] - ignoring", i.Name, what).Hint = fmt.Sprintf("%s is of %v", i.Name, i.Family.V)
		return false
	}
	return true
}

// number reads the one number of a keyword.
func number(n *syntax.Node, low, high int, r *source.Report) (int, bool) {
	if len(n.Args) == 0 {
		r.Add(source.MissingWord, n.At(), "'%s' is missing a required parameter (word 2)", n.Key.Text)
		return 0, false
	}
	v, err := schema.ParseInt(n.Args[0].Text, low, high)
	if err != nil {
		r.Errorf(n.Args[0].At, "%s: %v - ignoring", n.Key.Text, err).Hint = fmt.Sprintf("expected <%d-%d>", low, high)
		return 0, false
	}
	return v, true
}

func readState(i *Instance, n *syntax.Node, r *source.Report) {
	if len(n.Args) == 0 {
		r.Add(source.MissingWord, n.At(), "'state' is missing a required parameter (word 2)")
		return
	}
	v := model.Backup
	switch w := n.Args[0]; w.Text {
	case "MASTER":
		v = model.Master
	case "BACKUP":
		if i.State.V == model.Master {
			r.Errorf(w.At, "(%s) state BACKUP after state MASTER - MASTER is kept", i.Name)
			return
		}
	default:
		r.Errorf(w.At, "(%s) unknown state '%s', defaulting to BACKUP", i.Name, w.Text).Hint = "expected MASTER or BACKUP"
	}
	if i.State.V != model.Master {
		i.State = opt[model.State]{V: v, At: n.At()}
	}
}

func readVersion(i *Instance, n *syntax.Node, r *source.Report) {
	v, ok := number(n, 2, 3, r)
	switch {
	case !ok:
	case i.Version.IsSet() && i.Version.V != v:
		r.Errorf(n.At(), "(%s) version %d conflicts with version %d above - ignoring", i.Name, v, i.Version.V)
	case v == 2 && i.Family.V == model.IPv6:
		r.Errorf(n.At(), "(%s) version 2 is for IPv4, but the instance has IPv6 addresses - ignoring", i.Name)
	default:
		i.Version = opt[int]{V: v, At: n.At()}
	}
}

func readSource(i *Instance, n *syntax.Node, r *source.Report) {
	if a, ok := i.address(n, r); ok {
		i.Source = opt[netip.Addr]{V: a, At: n.At()}
	}
}

func readGroup(i *Instance, n *syntax.Node, r *source.Report) {
	a, ok := i.address(n, r)
	if !ok {
		return
	}
	if !a.IsMulticast() || a.Is6() && !a.IsLinkLocalMulticast() {
		r.Errorf(n.At(), "(%s) %s is not a usable multicast address - ignoring", i.Name, a)
		return
	}
	i.Group = opt[netip.Addr]{V: a, At: n.At()}
}

// address reads the address of a keyword that must be of the instance's family.
func (i *Instance) address(n *syntax.Node, r *source.Report) (netip.Addr, bool) {
	if len(n.Args) == 0 {
		r.Add(source.MissingWord, n.At(), "'%s' is missing a required parameter (word 2)", n.Key.Text)
		return netip.Addr{}, false
	}
	a, err := schema.ParseAddr(n.Args[0].Text)
	if err != nil {
		r.Errorf(n.Args[0].At, "%s: %v - ignoring", n.Key.Text, err)
		return a, false
	}
	return a, i.fits(model.FamilyOf(a), n.Args[0].At, a.String(), r)
}

func readPeer(i *Instance, n *syntax.Node, r *source.Report) (p model.Peer, ok bool) {
	a, err := schema.ParseAddr(n.Key.Text)
	if err != nil {
		r.Errorf(n.At(), "unicast_peer: %v - ignoring", err)
		return p, false
	}
	if !i.fits(model.FamilyOf(a), n.At(), a.String(), r) {
		return p, false
	}
	if old, dup := i.names.twice("peer "+a.String(), n.At()); dup {
		r.Errorf(n.At(), "(%s) %s - duplicate unicast_peer", i.Name, a).With("first named at", old)
		return p, false
	}
	p = model.Peer{Addr: a, MaxTTL: 255}
	for j := 0; j < len(n.Args); j += 2 {
		w := n.Args[j]
		field := &p.MinTTL
		switch w.Text {
		case "min_ttl":
		case "max_ttl":
			field = &p.MaxTTL
		default:
			r.Errorf(w.At, "unicast peer %s: unknown option %q - ignoring the rest", a, w.Text)
			return p, true
		}
		if j+1 >= len(n.Args) {
			r.Errorf(w.At, "unicast peer %s: %s has no value", a, w.Text)
			return p, true
		}
		v, err := schema.ParseInt(n.Args[j+1].Text, 0, 255)
		if err != nil {
			r.Errorf(n.Args[j+1].At, "unicast peer %s: %s %v - ignoring it", a, w.Text, err)
			continue
		}
		*field = v
	}
	if p.MinTTL > p.MaxTTL {
		r.Errorf(n.At(), "unicast peer %s: min_ttl %d is above max_ttl %d", a, p.MinTTL, p.MaxTTL)
	}
	return p, true
}

func vipRow(name string, list func(*Instance) *[]opt[Address], doc string) *schema.Keyword[Instance] {
	excluded := name != "virtual_ipaddress"
	return schema.Items(name, addressUsage, func(i *Instance, n *syntax.Node, r *source.Report) (Address, bool) {
		a, ok := readAddress(n, false, r)
		family := model.FamilyOf(a.Prefix.Addr())
		if !ok || !excluded && i.Family.V != family && !i.fits(family, n.At(), a.Prefix.Addr().String(), r) {
			return a, false
		}
		if old, dup := i.hasAlready(a, n.At(), excluded); dup {
			r.Errorf(n.At(), "(%s) %s is already an address of this instance - ignoring", i.Name, a.Prefix.Addr()).With("first named at", old)
			return a, false
		}
		return a, true
	}, list, doc).Options(addressOptions...).Options("use_vmac")
}

// emptied is the map of the instance before, for the next one, unless it is a large one, which takes long to clear.
func emptied[K comparable, V any](m *map[K]V) map[K]V {
	if *m == nil || len(*m) > 1000 {
		*m = map[K]V{}
	}
	clear(*m)
	return *m
}

// hasAlready takes note of an address and reports whether, and since where, the instance has it. An excluded one may stand on another
// interface again.
func (i *Instance) hasAlready(a Address, at source.Pos, excluded bool) (source.Pos, bool) {
	addr := a.Prefix.Addr()
	first, dup := i.vips[addr]
	if !excluded {
		if dup {
			return first.At, true
		}
		i.vips[addr] = opt[string]{V: a.Dev.V, At: at}
		return at, false
	}
	on := excludedVIP{addr, a.Dev.V}
	if old, dup := i.excluded[on]; dup {
		return old, true
	}
	if dup && first.V == a.Dev.V {
		return first.At, true
	}
	i.excluded[on] = at
	return at, false
}

// excludedVIP is an excluded address on an interface.
type excludedVIP struct {
	addr netip.Addr
	dev  string
}

func readNotifyDeleted(i *Instance, n *syntax.Node, r *source.Report) {
	if i.Deleted.IsSet() || i.DeletedState.IsSet() {
		r.Errorf(n.At(), "notify_deleted is already specified - ignoring").With("the first one counts, at", i.DeletedState.At)
		return
	}
	// With a command or without, the state that is told is DELETED.
	i.DeletedState = opt[bool]{V: true, At: n.At()}
	if len(n.Args) > 0 {
		c, err := command.Parse(n.Args)
		if err != nil {
			r.Errorf(n.At(), "notify_deleted: %v - ignoring the command", err)
			return
		}
		i.Deleted = opt[Command]{V: c, At: n.At()}
	}
}

var errNoDelay = errors.New("one or two delays are needed")

// readUpDown keeps an entry with unusable delays, marked so: its interface is looked at first.
func readUpDown(_ *Config, n *syntax.Node, _ *source.Report) (upDown, bool) {
	d := upDown{Interface: n.Key.Text}
	delay := schema.Seconds(0, 255*time.Second)
	for j, f := range []*time.Duration{&d.Down, &d.Up}[:min(len(n.Args), 2)] {
		v, err := delay.Parse(n.Args[j : j+1])
		if *f = v; err != nil {
			d.bad = append(d.bad, fault{n.Args[j].At, err})
		}
	}
	if len(n.Args) < 1 || len(n.Args) > 2 {
		d.bad = append(d.bad, fault{n.At(), errNoDelay})
	}
	return d, true
}

func readLinkbeat(_ *Config, n *syntax.Node, _ *source.Report) (linkbeat, bool) {
	return linkbeat{n.Key.Text, n.Args}, true
}
