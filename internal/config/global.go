package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Global is the global_defs block.
type Global struct {
	RouterID    opt[string]
	MailTo      []opt[string]
	MailFrom    opt[string]
	SMTPServer  opt[smtpServer]
	HELO        opt[string]
	SMTPTimeout opt[time.Duration]
	mailSecurity
	NoEmailFaults   opt[bool]
	NoCheckerEmails opt[bool]
	DynamicIf       opt[dynamic]

	VMACPrefix, VMACAddrPrefix opt[string]
	DisableLocalIGMP           opt[bool]
	ExtraIf                    opt[model.ExtraIf]
	IPTables, NFTables, IPSets opt[[]string]
	NFTPriority                opt[int]
	NFTIfIndex                 opt[bool]
	DefaultInterface           opt[string]
	Umask                      opt[int]
	JSONVersion                opt[int]

	SMTPAlert, SMTPAlertVRRP, SMTPAlertChecker opt[bool]

	SNMPVRRP, SNMPChecker, SNMPRFC, SNMPRFCv2, SNMPRFCv3, SNMPTraps opt[bool]
	SNMPSocket                                                      opt[string]
	SNMPServiceAge, SNMPServerAge                                   opt[time.Duration]
	DBus                                                            opt[bool]
	DBusName, DBusNoInterface                                       opt[string]

	Startup, Shutdown               opt[Command]
	StartupTimeout, ShutdownTimeout opt[time.Duration]
	ScriptUsers                     []opt[account] // every script_user: each acts from its line on
	ScriptSecurity                  opt[bool]
	SupplementaryGroups             opt[bool]

	NotifyFIFO, VRRPNotifyFIFO, LVSNotifyFIFO                   opt[fifo]
	NotifyFIFOScript, VRRPNotifyFIFOScript, LVSNotifyFIFOScript opt[Command]
	FIFOStatesOnReload                                          opt[bool]
	NotifyPriority, NotifySerialize                             opt[bool]

	Sched, CheckerSched, BFDSched sched

	ProcessNames                                           opt[bool]
	ProcessName, VRRPProcess, CheckerProcess, BFDProcess   opt[string]
	SymlinkPaths                                           opt[bool]
	MaxAutoPriority                                        opt[int]
	AutoPriorityDelay                                      opt[int] // µs
	RandomSeed                                             opt[int]
	ReloadCheck, ReloadTimeFile, ReloadFile, ConfigSaveDir opt[string]
	TmpConfigDir                                           opt[string]
	ReloadRepeat, DataUseInstance                          opt[bool]
	StateDump, StatsDump, JSONDump                         opt[string]

	// VRRP
	McastGroup4, McastGroup6                       opt[netip.Addr]
	Version                                        opt[int]
	Strict                                         opt[bool]
	GARPMasterDelay, GARPMasterRefresh             opt[time.Duration]
	GARPMasterRepeat, GARPRefreshRepeat            opt[int]
	GARPLowerPrioDelay                             opt[time.Duration]
	GARPLowerPrioRepeat                            opt[int]
	MinGARP                                        opt[bool]
	GARPInterval, GNAInterval                      opt[time.Duration]
	DownTimerAdverts                               opt[int]
	LowerPrioNoAdvert, HigherPrioAdvert            opt[bool]
	CheckUnicastSrc, SkipCheckAdvAddr, OwnerIgnore opt[bool]
	V3ChecksumAsV2                                 opt[bool]
	StartupDelay, DelayAfterBoot                   opt[time.Duration]
	LogUnknownVRIDs                                opt[bool]
	FlightRecorder                                 opt[int]
	Safety
	IPRouteUsr, IPRouteEtc                   opt[string]
	CommandRxBuf, MonitorRxBuf, ProcessRxBuf buffer
	RxBufs                                   model.RxBufPolicy
	RxBufsMultiplier                         opt[int]

	// LVS
	LVSTimeouts    lvsTimeouts
	LVSFlush       opt[bool]
	LVSFlushOnStop opt[model.FlushOnStop]
	RSInitNotifies opt[bool]
	LogAllFailures opt[bool]
	SyncDaemon     opt[syncDaemon]
	NoRepair       opt[bool]

	NFTablesIPVS                 opt[string] // table
	NFTablesIPVSPriority         opt[int]
	NFTablesIPVSMark             opt[int]
	NFTablesCounters             opt[bool]
	LVSCommandBuf, LVSMonitorBuf buffer
}

// sched is the set of *_priority, *_no_swap … keywords of one role.
type sched struct {
	Nice       opt[int]
	NoSwap     opt[bool]
	RTPriority opt[int]
	CPUs       opt[[]int]
	RLimitRT   opt[time.Duration]
}

// dynamic says what dynamic_interfaces allows.
type dynamic uint8

const (
	dynamicInterfaces  dynamic = iota + 1 // they may come later
	changingInterfaces                    // and become others; they may always
)

type smtpServer struct {
	Host string
	Port int
}

// Why keywords wait for later parts.
const (
	noSNMP = "there is no SNMP agent"
	noDBus = "there is no D-Bus service"
	noBFD  = "BFD sessions are not run"
)

type grows = schema.Rows[Global]

var seconds4294 = schema.WholeSeconds(0, 4294)
var interval = schema.Seconds(time.Microsecond, 4294967295*time.Microsecond)

// groupInterval may be 0, unlike the global one.
var groupInterval = schema.Seconds(0, 4294967295*time.Microsecond)

// garpSeconds sets a bad value to 0, as vrrp_garp_master_refresh does.
var garpSeconds = schema.Fallback(schema.WholeSeconds(0, 4294967295), 0)

// repeat is a count of at least 1; 0 is corrected.
var repeat = schema.One("<1-4294967295>", func(s string) (int, error) {
	n, err := schema.ParseInt(s, 0, math.MaxUint32)
	if err == nil && n == 0 {
		return 1, schema.Corrected("%q is too low - using 1", s)
	}
	return n, err
})

var globalDefs = schema.TableOf(func() grows {
	return concat(grows{
		schema.Inherited("router_id", schema.Word, func(g *Global) *opt[string] { return &g.RouterID },
			"Name of this node in mails, SNMP and dumps; default the host name.").Lenient(),
		schema.Inherited("notification_email_from", schema.Exactly(schema.Word), func(g *Global) *opt[string] { return &g.MailFrom },
			"Sender of alert mails; default the user at the host.").Lenient(),
		schema.Line("smtp_server", "HOST|IPADDR [PORT]", readSMTPServer, "Mail server; of a name the first address counts."),
		schema.Inherited("smtp_helo_name", orEmpty(schema.Word), func(g *Global) *opt[string] { return &g.HELO },
			"Name sent to the mail server; default the host name."),
		schema.Value("smtp_connect_timeout", schema.One("<1-4294 seconds>", func(s string) (time.Duration, error) {
			n, err := schema.ParseInt(s, 0, 4294)
			if err == nil && n == 0 {
				return time.Second, schema.Corrected("%q is too low - using 1", s)
			}
			return time.Duration(n) * time.Second, err
		}), 30*time.Second, func(g *Global) *opt[time.Duration] { return &g.SMTPTimeout },
			"How long the mail server may take to connect, and for each reply."),
	}, mailSecurityRows(), grows{
		schema.WordList("notification_email", schema.Word, func(g *Global) *[]opt[string] { return &g.MailTo },
			"Recipients of alert mails.").NotEmpty(),
		schema.Inherited("smtp_alert", schema.Bool, func(g *Global) *opt[bool] { return &g.SMTPAlert },
			"Default of all smtp_alert keywords."),
		schema.Inherited("smtp_alert_vrrp", schema.Bool, func(g *Global) *opt[bool] { return &g.SMTPAlertVRRP },
			"Default of smtp_alert in VRRP blocks."),
		schema.Inherited("smtp_alert_checker", schema.Bool, func(g *Global) *opt[bool] { return &g.SMTPAlertChecker },
			"Default of smtp_alert in LVS blocks."),
		schema.Flag("no_email_faults", true, func(g *Global) *opt[bool] { return &g.NoEmailFaults }, "No mail for FAULT."),
		schema.Inherited("no_checker_emails", schema.Bool, func(g *Global) *opt[bool] { return &g.NoCheckerEmails },
			"Mail about a real server only when it comes or goes."),

		schema.Flag("process_names", true, func(g *Global) *opt[bool] { return &g.ProcessNames },
			"Give the processes names of their own: keepalived_vrrp, keepalived_ipvs, keepalived_bfd. Acts at start."),
		schema.Inherited("process_name", schema.ShortWord(15), func(g *Global) *opt[string] { return &g.ProcessName },
			"Name of the parent process. Acts at start."),
		schema.Inherited("vrrp_process_name", schema.ShortWord(15), func(g *Global) *opt[string] { return &g.VRRPProcess },
			"Name of the process that runs VRRP. Acts at start."),
		schema.Inherited("checker_process_name", schema.ShortWord(15), func(g *Global) *opt[string] { return &g.CheckerProcess },
			"Name of the process that runs the checks. Acts at start.").
			OldName("lvs_process_name", source.Note),
		schema.Inherited("bfd_process_name", schema.ShortWord(15), func(g *Global) *opt[string] { return &g.BFDProcess },
			"Name of the process that runs BFD, if it runs nothing else. Acts at start."),

		schema.Inherited("startup_script", filled(command), func(g *Global) *opt[Command] { return &g.Startup },
			"Run before anything starts.").Quoted().Lenient().FirstWins(),
		schema.Value("startup_script_timeout", schema.WholeSeconds(1, 1000), 10*time.Second,
			func(g *Global) *opt[time.Duration] { return &g.StartupTimeout }, "Limit of startup_script.").Lenient(),
		schema.Inherited("shutdown_script", filled(command), func(g *Global) *opt[Command] { return &g.Shutdown },
			"Run after everything has stopped.").Quoted().Lenient().FirstWins(),
		schema.Value("shutdown_script_timeout", schema.WholeSeconds(1, 1000), 10*time.Second,
			func(g *Global) *opt[time.Duration] { return &g.ShutdownTimeout }, "Limit of shutdown_script.").Lenient(),
		schema.Line("script_user", userGroup.Usage, readScriptUser, "Who runs the scripts after this line that name no user.").Lenient(),
		schema.Flag("enable_script_security", true, func(g *Global) *opt[bool] { return &g.ScriptSecurity },
			"Refuse scripts run as root that others could alter."),
		schema.Inherited("use_symlink_paths", schema.Bool, func(g *Global) *opt[bool] { return &g.SymlinkPaths },
			"Keep symbolic links in script paths; they always are kept."),
		schema.Value("set_supplementary_groups", schema.Bool, false, func(g *Global) *opt[bool] { return &g.SupplementaryGroups },
			"Give scripts the supplementary groups of their user."),

		schema.Inherited("max_auto_priority", schema.Kind[int]{Usage: "[<-1-99>]", Parse: func(w []source.Word) (int, error) {
			if len(w) == 0 {
				return 99, nil
			}
			return schema.ParseInt(w[0].Text, -1, 99)
		}}, func(g *Global) *opt[int] { return &g.MaxAutoPriority },
			"Highest real-time priority that the daemon gives itself after late timers; 0, -1: none."),
		schema.Value("min_auto_priority_delay", schema.Int(1, 10000000), 1000000,
			func(g *Global) *opt[int] { return &g.AutoPriorityDelay }, "Lateness in µs that raises the priority.").Lenient(),

		schema.Inherited("dynamic_interfaces", schema.Kind[dynamic]{Usage: "[allow_if_changes]", Parse: func(w []source.Word) (dynamic, error) {
			switch {
			case len(w) == 0:
				return dynamicInterfaces, nil
			case w[0].Text != "allow_if_changes":
				return dynamicInterfaces, schema.Corrected("unknown option %q", w[0].Text)
			}
			return changingInterfaces, nil
		}}, func(g *Global) *opt[dynamic] { return &g.DynamicIf },
			"Accept interfaces that do not exist yet, everywhere."),
		schema.Value("default_interface", schema.One("IFNAME", func(s string) (string, error) { return s, nil }), "eth0", func(g *Global) *opt[string] { return &g.DefaultInterface },
			"Interface of static addresses that name none.").Lenient(),
		schema.Flag("disable_local_igmp", true, func(g *Global) *opt[bool] { return &g.DisableLocalIGMP },
			"Stop IGMP reports for link-local groups, of the whole network namespace."),

		schema.Inherited("vrrp_mcast_group4", multicast(model.IPv4), func(g *Global) *opt[netip.Addr] { return &g.McastGroup4 },
			"IPv4 group of adverts; default 224.0.0.18."),
		schema.Inherited("vrrp_mcast_group6", multicast(model.IPv6), func(g *Global) *opt[netip.Addr] { return &g.McastGroup6 },
			"IPv6 group of adverts; default ff02::12."),
		schema.Value("vrrp_garp_master_delay", seconds4294, 5*time.Second, func(g *Global) *opt[time.Duration] { return &g.GARPMasterDelay },
			"Delay of the second round of gratuitous ARP; 0: none."),
		schema.Value("vrrp_garp_master_repeat", repeat, 5, func(g *Global) *opt[int] { return &g.GARPMasterRepeat },
			"Gratuitous ARPs per round."),
		schema.Value("vrrp_garp_master_refresh", garpSeconds, 0, func(g *Global) *opt[time.Duration] { return &g.GARPMasterRefresh },
			"Period of rounds while master; 0: off."),
		schema.Value("vrrp_garp_master_refresh_repeat", repeat, 1, func(g *Global) *opt[int] { return &g.GARPRefreshRepeat },
			"Gratuitous ARPs per refresh."),
		schema.Inherited("vrrp_garp_lower_prio_delay", seconds4294, func(g *Global) *opt[time.Duration] { return &g.GARPLowerPrioDelay },
			"Delay of the second round after a lower-priority advert; default vrrp_garp_master_delay."),
		schema.Inherited("vrrp_garp_lower_prio_repeat", schema.Int(0, math.MaxInt32), func(g *Global) *opt[int] { return &g.GARPLowerPrioRepeat },
			"Gratuitous ARPs per round then; default vrrp_garp_master_repeat."),
		schema.Value("vrrp_down_timer_adverts", schema.Int(1, 100), 3, func(g *Global) *opt[int] { return &g.DownTimerAdverts },
			"Missed adverts before a backup takes over."),
		schema.Inherited("vrrp_garp_interval", interval, func(g *Global) *opt[time.Duration] { return &g.GARPInterval },
			"Gap between gratuitous ARPs on one interface."),
		schema.Inherited("vrrp_gna_interval", interval, func(g *Global) *opt[time.Duration] { return &g.GNAInterval },
			"Gap between unsolicited neighbour advertisements on one interface."),
		schema.Value("vrrp_min_garp", schema.Bool, false, func(g *Global) *opt[bool] { return &g.MinGARP },
			"Send one gratuitous ARP only where nothing else is configured."),
		schema.Inherited("vrrp_garp_extra_if", extraIf(1), func(g *Global) *opt[model.ExtraIf] { return &g.ExtraIf },
			"Default of garp_extra_if.").OldName("vrrp_vmac_garp_intvl", source.Deprecated),
		schema.Value("vrrp_lower_prio_no_advert", schema.Bool, false, func(g *Global) *opt[bool] { return &g.LowerPrioNoAdvert },
			"Do not answer a lower-priority advert at once."),
		schema.Value("vrrp_higher_prio_send_advert", schema.Bool, false, func(g *Global) *opt[bool] { return &g.HigherPrioAdvert },
			"Send an advert when a higher-priority one makes us backup."),
		schema.Value("vrrp_version", schema.Int(2, 3), 2, func(g *Global) *opt[int] { return &g.Version },
			"VRRP version of IPv4 instances that name none."),
		schema.Flag("vrrp_check_unicast_src", true, func(g *Global) *opt[bool] { return &g.CheckUnicastSrc },
			"Drop unicast adverts that do not come from a peer."),
		schema.Value("vrrp_skip_check_adv_addr", schema.Bool, false, func(g *Global) *opt[bool] { return &g.SkipCheckAdvAddr },
			"Compare the address list only of a new master."),
		schema.Value("vrrp_strict", schema.Bool, false, func(g *Global) *opt[bool] { return &g.Strict },
			"Default of strict_mode."),
		schema.Value("vrrp_owner_ignore_adverts", schema.Bool, false, func(g *Global) *opt[bool] { return &g.OwnerIgnore },
			"Default of owner_ignore_adverts."),
		schema.Flag("v3_checksum_as_v2", true, func(g *Global) *opt[bool] { return &g.V3ChecksumAsV2 },
			"Leave the pseudo header out of IPv4 version 3 checksums."),
		schema.Inherited("vrrp_startup_delay", milli4294, func(g *Global) *opt[time.Duration] { return &g.StartupDelay },
			"Wait before VRRP instances start."),
		schema.Inherited("vrrp_delay_after_boot", milli4294, func(g *Global) *opt[time.Duration] { return &g.DelayAfterBoot },
			"The same, counted from the start of the host."),
		schema.Inherited("vrrp_flight_recorder", schema.Kind[int]{Usage: "[<1-1000>]", Parse: func(w []source.Word) (int, error) {
			if len(w) == 0 {
				return 16, nil
			}
			return schema.ParseInt(w[0].Text, 1, 1000)
		}}, func(g *Global) *opt[int] { return &g.FlightRecorder },
			"Keep this many of each instance's last changes of state, with what led to them, for keepalived.data; default 16.").Ours(),
		schema.Flag("log_unknown_vrids", true, func(g *Global) *opt[bool] { return &g.LogUnknownVRIDs },
			"Log adverts of routers that are not configured."),
		schema.Value("vrrp_notify_priority_changes", schema.Bool, false, func(g *Global) *opt[bool] { return &g.NotifyPriority },
			"Report priority changes to scripts and pipes."),
		schema.Line("vrrp_rx_bufs_policy", "[MTU] [ADVERT] [BYTES]", readRxBufs, "Size of VRRP receive buffers."),
		schema.Inherited("vrrp_rx_bufs_multiplier", schema.Exactly(schema.Int(1, math.MaxUint32)), func(g *Global) *opt[int] { return &g.RxBufsMultiplier },
			"Factor of that size; default 3.").Lenient(),
		schema.Inherited("vmac_prefix", schema.Word, func(g *Global) *opt[string] { return &g.VMACPrefix },
			"Name prefix of virtual MAC interfaces; default vrrp.").FirstWins(),
		schema.Inherited("vmac_addr_prefix", schema.Word, func(g *Global) *opt[string] { return &g.VMACAddrPrefix },
			"Name prefix of those of single addresses; default vmac_prefix.").FirstWins(),

		schema.Inherited("vrrp_iptables", filterNames, func(g *Global) *opt[[]string] { return &g.IPTables },
			"Filter; with nftables, for iptables is not used.").FirstWins(),
		schema.Inherited("vrrp_ipsets", setNames, func(g *Global) *opt[[]string] { return &g.IPSets },
			"Names of ipsets, which only iptables uses.").Pending("nftables has its own sets"),
		schema.Inherited("nftables", filled(filterNames), func(g *Global) *opt[[]string] { return &g.NFTables },
			"Filter, in this table; default keepalived.").FirstWins(),
		schema.Value("nftables_priority", schema.Int(math.MinInt32, math.MaxInt32), -1, func(g *Global) *opt[int] { return &g.NFTPriority },
			"Priority of the chains."),
		schema.Flag("nftables_ifindex", true, func(g *Global) *opt[bool] { return &g.NFTIfIndex }, "Match interfaces by index."),
		schema.Flag("nftables_counters", true, func(g *Global) *opt[bool] { return &g.NFTablesCounters }, "Add counters to the rules."),
		schema.Value("notify_serialize", schema.Bool, false, func(g *Global) *opt[bool] { return &g.NotifySerialize },
			"Run the notify scripts of an instance or group one at a time: states that come meanwhile wait, and only the last of them is told.").Ours(),
		schema.Inherited("notify_fifo", fifoKind, func(g *Global) *opt[fifo] { return &g.NotifyFIFO },
			"Pipe that gets all state changes.").Lenient().FirstWins(),
		schema.Inherited("notify_fifo_script", command, func(g *Global) *opt[Command] { return &g.NotifyFIFOScript },
			"Program that reads notify_fifo.").Quoted().Lenient().FirstWins(),
		schema.Inherited("vrrp_notify_fifo", fifoKind, func(g *Global) *opt[fifo] { return &g.VRRPNotifyFIFO },
			"Pipe that gets VRRP state changes.").Lenient().FirstWins(),
		schema.Inherited("vrrp_notify_fifo_script", command, func(g *Global) *opt[Command] { return &g.VRRPNotifyFIFOScript },
			"Program that reads vrrp_notify_fifo.").Quoted().Lenient().FirstWins(),
		schema.Inherited("lvs_notify_fifo", fifoKind, func(g *Global) *opt[fifo] { return &g.LVSNotifyFIFO },
			"Pipe that gets state changes of servers.").Lenient().FirstWins(),
		schema.Inherited("lvs_notify_fifo_script", command, func(g *Global) *opt[Command] { return &g.LVSNotifyFIFOScript },
			"Program that reads lvs_notify_fifo.").Quoted().Lenient().FirstWins(),
		schema.Flag("fifo_write_vrrp_states_on_reload", true, func(g *Global) *opt[bool] { return &g.FIFOStatesOnReload },
			"Write all VRRP states to the pipes after a reload."),

		schema.Inherited("snmp_socket", schema.Exactly(schema.Word), func(g *Global) *opt[string] { return &g.SNMPSocket },
			"AgentX master; default unix:/var/agentx/master.").Lenient().FirstWins().Pending(noSNMP),
		schema.Flag("enable_traps", true, func(g *Global) *opt[bool] { return &g.SNMPTraps }, "Send notifications.").Pending(noSNMP),
		schema.Flag("enable_snmp_vrrp", true, func(g *Global) *opt[bool] { return &g.SNMPVRRP }, "Serve the VRRP part of the keepalived MIB.").
			Alias("enable_snmp_keepalived").Pending(noSNMP),
		schema.Flag("enable_snmp_rfc", true, func(g *Global) *opt[bool] { return &g.SNMPRFC }, "Serve the MIBs of both RFCs.").Pending(noSNMP),
		schema.Flag("enable_snmp_rfcv2", true, func(g *Global) *opt[bool] { return &g.SNMPRFCv2 }, "Serve the MIB of RFC 2787.").Pending(noSNMP),
		schema.Flag("enable_snmp_rfcv3", true, func(g *Global) *opt[bool] { return &g.SNMPRFCv3 }, "Serve the MIB of RFC 6527.").Pending(noSNMP),
		schema.Flag("enable_snmp_checker", true, func(g *Global) *opt[bool] { return &g.SNMPChecker },
			"Serve the checker part of the keepalived MIB.").Pending(noSNMP),
		schema.Value("snmp_vs_stats_update_interval", statsAge, 5*time.Second, func(g *Global) *opt[time.Duration] { return &g.SNMPServiceAge },
			"Age limit of service statistics.").Pending(noSNMP),
		schema.Inherited("snmp_rs_stats_update_interval", statsAge, func(g *Global) *opt[time.Duration] { return &g.SNMPServerAge },
			"Age limit of server statistics; default that of services.").Pending(noSNMP),
		schema.Flag("enable_dbus", true, func(g *Global) *opt[bool] { return &g.DBus }, "Offer the D-Bus service.").Pending(noDBus),
		schema.Inherited("dbus_service_name", schema.Word, func(g *Global) *opt[string] { return &g.DBusName },
			"Name on the bus; default org.keepalived.Vrrp1.").Lenient().Pending(noDBus),
		schema.Inherited("dbus_no_interface_name", schema.Word, func(g *Global) *opt[string] { return &g.DBusNoInterface },
			"Name of what has no interface; default none.").Lenient().Pending(noDBus),

		schema.Value("umask", umaskKind, -1, func(g *Global) *opt[int] { return &g.Umask }, "Mask of files that are created."),
		schema.Inherited("random_seed", schema.Int(0, math.MaxUint32), func(g *Global) *opt[int] { return &g.RandomSeed },
			"Seed of ${_RANDOM} and of the checkers' first delays, so that they repeat."),
		schema.Inherited("reload_check_config", orEmpty(schema.Word), func(g *Global) *opt[string] { return &g.ReloadCheck },
			"Refuse to reload a configuration of which -t finds anything; the findings go to the file, default /dev/null."),
		schema.Inherited("reload_time_file", schema.Exactly(schema.Word), func(g *Global) *opt[string] { return &g.ReloadTimeFile },
			"File whose first line is the time of a reload: [[YY]YY-MM-DD ]HH:MM:SS[Z]. It is removed at that time.").Lenient(),
		schema.Flag("reload_repeat", true, func(g *Global) *opt[bool] { return &g.ReloadRepeat },
			"Keep that file, and reload every day, if it has no date."),
		schema.Inherited("reload_file", orEmpty(schema.Word), func(g *Global) *opt[string] { return &g.ReloadFile },
			"File that exists during a reload; default the pid file's name with .reload."),
		schema.Check[Global]("include_check", schema.Kind[bool]{Usage: "[[+|-]read|match|wildcard_match|brace_match]…",
			Parse: func([]source.Word) (bool, error) { return true, nil }},
			"Which include problems refuse the configuration, from this line on."),
		schema.Inherited("config_save_dir", schema.Word, func(g *Global) *opt[string] { return &g.ConfigSaveDir },
			"Directory for a copy of each configuration as it was read, and of the status before and after each reload."),
		// Differs from keepalived: there is no temporary copy.
		schema.Inherited("tmp_config_directory", schema.Word, func(g *Global) *opt[string] { return &g.TmpConfigDir },
			"Where keepalived keeps a copy of the configuration.").Lenient().FirstWins().Pending("that copy is kept in memory"),
		schema.Inherited("data_use_instance", schema.Bool, func(g *Global) *opt[bool] { return &g.DataUseInstance },
			"Put the names of network namespace and instance into the names of the state dumps."),
		schema.Value("json_version", schema.Int(1, 2), 1, func(g *Global) *opt[int] { return &g.JSONVersion }, "Layout of the JSON dump.").Lenient(),
		schema.Value("iproute_usr_dir", schema.Exactly(schema.Word), "/usr/share/iproute2", func(g *Global) *opt[string] { return &g.IPRouteUsr },
			"Directory of iproute2's own tables of names.").Lenient(),
		schema.Value("iproute_etc_dir", schema.Exactly(schema.Word), "/etc/iproute2", func(g *Global) *opt[string] { return &g.IPRouteEtc },
			"Directory of the local tables of names.").Lenient(),
		schema.Inherited("state_dump_file", filled(schema.Exactly(schema.Word)), func(g *Global) *opt[string] { return &g.StateDump },
			"File of the state dump, relative to the temp directory; a name that ends in / is a directory.").Lenient(),
		schema.Inherited("stats_dump_file", filled(schema.Exactly(schema.Word)), func(g *Global) *opt[string] { return &g.StatsDump },
			"File that the statistics are also written to, besides keepalived.stats.").Lenient(),
		schema.Inherited("json_dump_file", filled(schema.Exactly(schema.Word)), func(g *Global) *opt[string] { return &g.JSONDump },
			"File that the JSON dump is also written to, besides keepalived.json.").Lenient(),
	},
		safetyRows("vrrp_", func(g *Global) *Safety { return &g.Safety }),
		schedRows("vrrp", func(g *Global) *sched { return &g.Sched }, ""),
		schedRows("checker", func(g *Global) *sched { return &g.CheckerSched }, ""),
		schedRows("bfd", func(g *Global) *sched { return &g.BFDSched }, noBFD),
		sizedBuffers("vrrp_netlink_cmd", "Size of a receive buffer in bytes; 0: the usual one.", func(g *Global) *buffer { return &g.CommandRxBuf }),
		sizedBuffers("vrrp_netlink_monitor", "Size of a receive buffer in bytes; 0: the usual one.", func(g *Global) *buffer { return &g.MonitorRxBuf }),
		sizedBuffers("process_monitor", "Size of a receive buffer in bytes; 0: the usual one.", func(g *Global) *buffer { return &g.ProcessRxBuf }),
		lvsGlobals(),
	)
})

var milli4294 = schema.Decimal(time.Second, time.Millisecond, 4294967295*time.Microsecond, 6)
var statsAge = schema.Seconds(time.Millisecond, 30*time.Second)

// filterNames are names of tables, chains and sets.
var filterNames = schema.Kind[[]string]{Usage: "[NAME…]", Parse: func(w []source.Word) (names []string, err error) {
	for _, x := range w {
		if len(x.Text) > maxTableName {
			return nil, fmt.Errorf("name %q is longer than %d bytes", x.Text, maxTableName)
		}
		names = append(names, x.Text)
	}
	return names, nil
}}

// filled makes a kind refuse an empty word.
func filled[V any](k schema.Kind[V]) schema.Kind[V] {
	parse := k.Parse
	k.Parse = func(w []source.Word) (v V, err error) {
		if len(w) > 0 && w[0].Text == "" {
			return v, fmt.Errorf("the value is empty")
		}
		return parse(w)
	}
	return k
}

// setNames are those of ipsets: at most 30 bytes, which leaves room for what is added to them, and no two the same.
var setNames = schema.Kind[[]string]{Usage: "[SET4 [SET6 [IFSET6 [IGMP [MLD [ND]]]]]]", Parse: func(w []source.Word) (names []string, err error) {
	for _, x := range w[:min(len(w), 6)] {
		switch {
		case len(x.Text) > 30:
			return nil, fmt.Errorf("name %q is longer than 30 bytes", x.Text)
		case slices.Contains(names, x.Text):
			return nil, fmt.Errorf("name %q is given twice", x.Text)
		}
		names = append(names, x.Text)
	}
	return names, nil
}}

// maxTableName is the longest name of a table of nftables (linux/netfilter/nf_tables.h).
const maxTableName = 254

// schedRows are the keywords that say how one role is scheduled.
func schedRows(role string, of func(*Global) *sched, pending string) grows {
	rows := grows{
		schema.Inherited(role+"_priority", schema.Fallback(schema.Int(-20, 19), 0), func(g *Global) *opt[int] { return &of(g).Nice },
			"Nice level of the "+role+" part.").Lenient(),
		schema.Flag(role+"_no_swap", true, func(g *Global) *opt[bool] { return &of(g).NoSwap },
			"Keep the "+role+" part in memory."),
		schema.Inherited(role+"_rt_priority", schema.One("<1-99>", func(s string) (int, error) {
			n, err := schema.ParseInt(s, math.MinInt32, math.MaxInt32)
			if err == nil && n != min(max(n, 1), 99) {
				n = min(max(n, 1), 99)
				err = schema.Corrected("%q is not within 1 and 99 - using %d", s, n)
			}
			return n, err
		}), func(g *Global) *opt[int] { return &of(g).RTPriority }, "Real-time priority (SCHED_RR) of the "+role+" part.").Lenient(),
		schema.Inherited(role+"_cpu_affinity", schema.Kind[[]int]{Usage: "CPU…", Parse: func(w []source.Word) (cpus []int, err error) {
			if len(w) == 0 {
				return nil, schema.ErrNoWord
			}
			for _, x := range w {
				n, err := schema.ParseInt(x.Text, 0, 4095)
				if err != nil {
					return nil, err
				}
				cpus = append(cpus, n)
			}
			return cpus, nil
		}}, func(g *Global) *opt[[]int] { return &of(g).CPUs }, "Processors of the "+role+" part.").Lenient(),
		schema.Inherited(role+"_rlimit_rttime", schema.One("<1-4294967295 µs>", func(s string) (time.Duration, error) {
			n, err := schema.ParseInt(s, 1, math.MaxUint32)
			return time.Duration(max(n, 2)) * time.Microsecond, err
		}), func(g *Global) *opt[time.Duration] { return &of(g).RLimitRT }, "Limit of processor time without a wait.").
			OldName(role+"_rlimit_rtime", source.Note),
	}
	if pending != "" {
		for i := range rows {
			rows[i] = rows[i].Pending(pending)
		}
	}
	return rows
}

func multicast(f model.Family) schema.Kind[netip.Addr] {
	return schema.One("IPADDR", func(s string) (netip.Addr, error) {
		a, err := schema.ParseAddr(s)
		switch {
		case err != nil:
			return a, err
		case model.FamilyOf(a) != f:
			return a, fmt.Errorf("%q is not an %v address", s, f)
		case !a.IsMulticast():
			return a, fmt.Errorf("%q is not a multicast address", s)
		case f == model.IPv6 && !a.IsLinkLocalMulticast():
			return a, schema.Corrected("%q is not of link-local scope", s)
		}
		return a, nil
	})
}

// extraIf is the value of garp_extra_if.
func extraIf(low int) schema.Kind[model.ExtraIf] {
	return schema.Kind[model.ExtraIf]{Usage: "[all] SECS", Parse: func(w []source.Word) (e model.ExtraIf, err error) {
		given := false
		for _, x := range w {
			if x.Text == "all" {
				e.All = true
				continue
			}
			n, err := schema.ParseInt(x.Text, low, 86400)
			if err != nil {
				return e, err
			}
			e.Interval, given = time.Duration(n)*time.Second, true
		}
		if !given {
			return e, fmt.Errorf("no interval given")
		}
		return e, nil
	}}
}

// umaskKind takes C notation, or bits by name.
var umaskKind = schema.One("OCTAL | BIT[|BIT…]", func(s string) (int, error) {
	if s == "" || '0' <= s[0] && s[0] <= '9' {
		n, err := strconv.ParseUint(s, 0, 16)
		if err != nil || n > 0o777 || strings.Contains(s, "_") {
			return 0, fmt.Errorf("%q is not a mask", s)
		}
		return int(n), nil
	}
	mask := 0
	for _, name := range strings.Split(s, "|") {
		bit, ok := umaskBits[name]
		if !ok {
			return 0, fmt.Errorf("unknown bit %q", name)
		}
		mask |= bit
	}
	return mask, nil
})

var umaskBits = map[string]int{
	"IRUSR": 0o400, "IWUSR": 0o200, "IXUSR": 0o100, "IRWXU": 0o700,
	"IRGRP": 0o040, "IWGRP": 0o020, "IXGRP": 0o010, "IRWXG": 0o070,
	"IROTH": 0o004, "IWOTH": 0o002, "IXOTH": 0o001, "IRWXO": 0o007,
}

func readSMTPServer(g *Global, n *syntax.Node, r *source.Report) {
	if len(n.Args) == 0 {
		r.Add(source.MissingWord, n.At(), "'smtp_server' is missing a required parameter (word 2)")
		return
	}
	g.SMTPServer = opt[smtpServer]{} // an earlier one does not stand in for one that is wrong
	s := smtpServer{Host: n.Args[0].Text, Port: 25}
	if len(n.Args) > 1 {
		port, err := schema.ParseInt(n.Args[1].Text, 1, 65535)
		if err != nil {
			r.Errorf(n.Args[1].At, "smtp_server: port %v - no mail server is used", err)
			return
		}
		s.Port = port
	}
	g.SMTPServer = opt[smtpServer]{V: s, At: n.At()}
}

func readScriptUser(g *Global, n *syntax.Node, r *source.Report) {
	v, err := userGroup.Parse(n.Args)
	if err != nil {
		r.Errorf(n.At(), "script_user: %v", err)
		if len(n.Args) == 0 {
			return
		}
	}
	g.ScriptUsers = append(g.ScriptUsers, opt[account]{V: v, At: n.At()})
}

func readRxBufs(g *Global, n *syntax.Node, r *source.Report) {
	b := &g.RxBufs
	for _, w := range n.Args {
		switch strings.ToUpper(w.Text) {
		case "MTU":
			b.MTU = true
		case "ADVERT":
			b.Advert = true
		default:
			// A number counts in the first place only, and any other word asks for it there.
			size, err := schema.ParseInt(n.Args[0].Text, 0, math.MaxUint32)
			if err != nil {
				r.Errorf(w.At, "vrrp_rx_bufs_policy: %v, nor MTU or ADVERT alone - ignoring", err)
				return
			}
			b.Bytes = size
		}
	}
	switch {
	case len(n.Args) == 0:
		r.Errorf(n.At(), "vrrp_rx_bufs_policy: no value given - ignoring")
	case b.Bytes > 0 && (b.MTU || b.Advert):
		r.Errorf(n.At(), "vrrp_rx_bufs_policy: a size and MTU or ADVERT cannot both be given - ignoring MTU and ADVERT")
		b.MTU, b.Advert = false, false
	case b.MTU && b.Advert:
		r.Errorf(n.At(), "vrrp_rx_bufs_policy: MTU and ADVERT cannot both be given - ADVERT is ignored")
		b.Advert = false
	}
}
