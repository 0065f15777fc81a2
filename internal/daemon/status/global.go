package status

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// process says whose dump the global definitions are in; each of keepalived's processes knows a little more or less.
type process uint8

const (
	inParent process = iota
	inVRRP
	inChecker
)

// WriteGlobal writes keepalived_parent.data: the global definitions, which the other dumps begin with.
func WriteGlobal(w io.Writer, s *Snapshot) error {
	p := newPage(w)
	p.global(s, inParent)
	return p.close()
}

// global shows the global definitions, line by line as keepalived 2.3.4 does; its version of libnftnl is left out.
//
// Differs from keepalived: it calls the UDP timeout a TCP one.
func (p page) global(s *Snapshot, of process) {
	parent := of == inParent
	g, d := &s.Process, &s.Process.Defaults
	p.section(0, "Global definitions")
	p.optional("Config save dir = %s", g.ConfigSaveDir)
	p.line(1, "Network namespace = %s", orElse(g.NetNamespace, "(default)"))
	if g.NetNamespaceIPVS == model.DefaultNamespace {
		p.line(1, "Network namespace ipvs = (default)")
	} else {
		p.line(1, "Network namespace ipvs = %s", orElse(g.NetNamespaceIPVS, "(main namespace)"))
	}
	p.optional("Instance name = %s", g.Instance)
	p.optional("Parent process name = %s", g.Names.Parent)
	p.optional("VRRP process name = %s", g.Names.VRRP)
	p.optional("LVS process name = %s", g.Names.Checker)
	p.optional("BFD process name = %s", g.Names.BFD)
	p.line(1, "%s symlinks in script paths", choose(d.SymlinkPaths, "Keep", "Replace"))
	p.line(1, "Router ID = %s", g.RouterID)
	p.mail(&g.Mail)
	p.line(1, "Default smtp_alert = %s", d.SMTPAlert)
	p.line(1, "Default smtp_alert_vrrp = %s", d.SMTPAlertVRRP)
	p.line(1, "Default smtp_alert_checker = %s", d.SMTPAlertChecker)
	p.line(1, "Checkers log all failures = %t", s.LVS.LogAllFailures)
	p.reload(&g.Reload)
	p.line(1, "keep script symlinks = %t", d.SymlinkPaths)
	if g.Dump.UseInstance {
		p.line(1, "Use instance name in data dumps")
	}
	if parent {
		p.startStop(g)
	}
	p.line(1, "Dynamic interfaces = %t", g.DynamicInterface)
	if g.DynamicInterface {
		p.line(1, "Allow interface changes = %t", d.AllowIfChanges)
	}
	if g.Mail.NoFaults {
		p.line(1, "Send emails for fault transitions = off")
	}
	if of == inVRRP {
		p.line(1, "Default interface = %s", d.Interface)
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"TCP", s.LVS.TimeoutTCP}, {"TCP FIN", s.LVS.TimeoutTCPFin}, {"UDP", s.LVS.TimeoutUDP}} {
		if t.value != 0 {
			p.line(1, "LVS %s timeout = %s", t.name, secs(t.value))
		}
	}
	p.line(1, "Disable local IGMP = %s", yesNo(s.VRRP.DisableLocalIGMP))
	p.line(1, "Use VRRPv2 checksum for VRRPv3 IPv4 = %s", yesNo(d.V3ChecksumAsV2))
	if d := s.LVS.Sync; d != nil {
		p.syncDaemon(d)
	}
	p.line(1, "LVS flush = %t", s.LVS.Flush)
	p.line(1, "LVS flush on stop = %s", flushOnStop(s.LVS.FlushOnStop))
	p.fifo("Global", g.NotifyFIFO, parent)
	p.fifo("VRRP", g.VRRPNotifyFIFO, parent)
	p.fifo("LVS", g.LVSNotifyFIFO, parent)
	p.line(1, "FIFO write vrrp states on reload = %t", g.FIFOStatesOnReload)
	p.line(1, "VRRP notify priority changes = %t", d.NotifyPriority)
	p.vrrpDefaults(d, &s.VRRP)
	p.vlinks(&s.VRRP)
	if n := s.LVS.NFTables; n.Table != "" {
		p.line(1, "ipvs nftables table name = %s", n.Table)
		p.line(1, "ipvs nftables base chain priority = %d", n.Priority)
		p.line(1, "ipvs nftables start fwmark = %d", n.Mark)
	}
	p.line(1, "nftables %s counters", choose(s.LVS.NFTables.Counters || s.VRRP.Filter.Counters, "with", "without"))
	p.line(1, "VRRP check unicast_src = %t", d.CheckUnicastSrc)
	p.line(1, "VRRP skip check advert addresses = %t", d.SkipCheckAdvAddr)
	p.line(1, "VRRP strict mode = %t", d.Strict)
	p.line(1, "Max auto priority = %d", g.MaxAutoPriority)
	p.line(1, "Min auto priority delay = %d usecs", g.AutoPriorityDelay.Microseconds())
	p.scheduling("VRRP", g.VRRPSched)
	p.scheduling("Checker", g.CheckerSched)
	p.scheduling("BFD", g.BFDSched)
	p.snmp(&g.SNMP)
	p.line(1, "DBus %s", enabled(g.DBus.Enabled))
	p.line(1, "DBus service name = %s", g.DBus.Name)
	p.line(1, "DBus no interface name = %s", orElse(g.DBus.NoInterface, "none"))
	p.line(1, "Script security %s", enabled(d.ScriptSecurity))
	p.line(1, "Default script uid:gid %d:%d", d.ScriptUID, d.ScriptGID)
	p.buffer("vrrp_netlink_cmd_rcv_bufs", s.VRRP.CommandRxBuf)
	p.buffer("vrrp_netlink_monitor_rcv_bufs", s.VRRP.MonitorRxBuf)
	p.buffer("process_monitor_rcv_bufs", s.VRRP.ProcessRxBuf)
	p.buffer("lvs_netlink_cmd_rcv_bufs", s.LVS.CommandBuffer)
	p.buffer("lvs_netlink_monitor_rcv_bufs", s.LVS.MonitorBuffer)
	if s.LVS.NoRepair {
		p.line(1, "lvs_no_repair")
	}
	p.line(1, "rs_init_notifies = %d", bit(s.LVS.RSInitNotifies))
	p.line(1, "no_checker_emails = %d", bit(s.LVS.NoCheckerEmails))
	switch r := s.VRRP.RxBufs; {
	case r.MTU:
		p.line(1, "rx_bufs_policy = MTU")
	case r.Advert:
		p.line(1, "rx_bufs_policy = ADVERT")
	case r.Bytes != 0:
		p.line(1, "rx_bufs_size = %d", r.Bytes)
	}
	p.line(1, "rx_bufs_multiples = %d", cmp.Or(s.VRRP.RxBufs.Multiplier, 3))
	if g.Umask >= 0 {
		p.line(1, "umask = 0%o", g.Umask)
	} else {
		p.line(1, "umask = 0177")
	}
	if s.Realtime != 0 && !parent {
		p.line(1, "current realtime priority = %d", s.Realtime)
		if g.VRRPSched.RLimitRT != 0 {
			p.line(1, "current realtime time limit = %d", g.VRRPSched.RLimitRT.Microseconds())
		}
	}
	if s.VRRP.StartupDelay != 0 {
		p.line(1, "vrrp_startup_delay = %s", plain(s.VRRP.StartupDelay))
	}
	if s.VRRP.LogUnknownVRIDs {
		p.line(1, "log_unknown_vrids")
	}
	if d.OwnerIgnoreAdverts {
		p.line(1, "vrrp_owner_ignore_adverts")
	}
	p.line(1, "json_version %d", max(g.JSONVersion, 1))
	p.line(1, "iproute usr directory %s", orElse(s.VRRP.IPRouteUsr, "/usr/share/iproute2"))
	p.line(1, "iproute etc directory %s", orElse(s.VRRP.IPRouteEtc, "/etc/iproute2"))
	p.optional("state dump file %s", g.Dump.State)
	p.optional("stats dump file %s", g.Dump.Stats)
	p.optional("json dump file %s", g.Dump.JSON)
}

// vlinks shows how virtual interfaces are called and filtered.
func (p page) vlinks(v *model.VRRP) {
	if v.VMACPrefix != "" {
		p.line(1, "VMAC prefix = %s", v.VMACPrefix)
	}
	if v.VMACAddrPrefix != "" {
		p.line(1, "VMAC address prefix = %s", v.VMACAddrPrefix)
	}
	if f := &v.Filter; f.Wanted {
		p.line(1, "nftables table name = %s", f.Table)
		p.line(1, "nftables base chain priority = %d", f.Priority)
		p.line(1, "nftables %sforce use ifindex for link local IPv6", choose(f.IfIndex, "", "don't "))
	}
}

func (p page) snmp(s *model.SNMP) {
	p.line(1, "SNMP vrrp %s", enabled(s.VRRP))
	p.line(1, "SNMP checker %s", enabled(s.Checker))
	p.line(1, "SNMP RFCv2 %s", enabled(s.RFCv2))
	p.line(1, "SNMP RFCv3 %s", enabled(s.RFCv3))
	p.line(1, "SNMP traps %s", enabled(s.Traps))
	p.line(1, "SNMP socket = %s", orElse(s.Socket, "default (unix:/var/agentx/master)"))
	p.line(1, "SNMP VS stats update interval = %.6f", s.ServiceAge.Seconds())
	p.line(1, "SNMP RS stats update interval = %.6f", s.ServerAge.Seconds())
}

// optional shows a text that is configured.
func (p page) optional(format, value string) {
	if value != "" {
		p.line(1, format, value)
	}
}

func (p page) reload(r *model.Reload) {
	switch {
	case !r.Check:
		p.line(1, "No test config before reload")
	default:
		p.line(1, "Test config before reload, log to %s", orElse(r.CheckLog, "/dev/null"))
	}
	if r.TimeFile != "" {
		p.line(1, "Reload time file = %s%s", r.TimeFile, choose(r.Repeat, " (repeat)", ""))
	}
	if r.Mark {
		p.line(1, "Reload_file = %s", orElse(r.MarkFile, "(default)"))
	}
}

// vrrpDefaults shows what instances inherit.
func (p page) vrrpDefaults(d *model.Defaults, v *model.VRRP) {
	p.line(1, "VRRP IPv4 mcast group = %s", addr(d.McastGroup4))
	p.line(1, "VRRP IPv6 mcast group = %s", addr(d.McastGroup6))
	p.line(1, "Gratuitous ARP delay = %s", plain(d.GARP.MasterDelay))
	p.line(1, "Gratuitous ARP repeat = %d", d.GARP.MasterRepeat)
	p.line(1, "Gratuitous ARP refresh timer = %s", plain(d.GARP.MasterRefresh))
	p.line(1, "Gratuitous ARP refresh repeat = %d", d.GARP.RefreshRepeat)
	p.line(1, "Gratuitous ARP lower priority delay = %s", plain(d.GARP.LowerPrioDelay))
	p.line(1, "Gratuitous ARP lower priority repeat = %d", d.GARP.LowerPrioRepeat)
	p.line(1, "Num adverts before down = %d", d.DownTimerAdverts)
	p.line(1, "Gratuitous ARP for each secondary %s = %ss", choose(v.ExtraIf.All, "i/f", "VMAC"), plain(v.ExtraIf.Interval))
	p.line(1, "Send advert after receive lower priority advert = %t", !d.LowerPrioNoAdvert)
	p.line(1, "Send advert after receive higher priority advert = %t", d.HigherPrioAdvert)
	p.line(1, "Gratuitous ARP interval = %f", d.GARPInterval.Seconds())
	p.line(1, "Gratuitous NA interval = %f", d.NAInterval.Seconds())
	p.line(1, "VRRP default protocol version = %d", d.Version)
}

// startStop is without a comma in the second line, as keepalived has it.
func (p page) startStop(g *model.Process) {
	if c := g.StartupScript; c != nil {
		p.line(1, "Startup script = %s, uid:gid %d:%d, timeout %s", command(c), c.UID, c.GID, secs(g.StartupScriptTimeout))
	}
	if c := g.ShutdownScript; c != nil {
		p.line(1, "Shutdown script = %s, uid:gid %d:%d timeout %s", command(c), c.UID, c.GID, secs(g.ShutdownScriptTimeout))
	}
}

func (p page) syncDaemon(d *model.SyncDaemon) {
	if d.Instance != "" {
		p.line(1, "LVS syncd vrrp name = %s", d.Instance)
	}
	p.line(1, "LVS syncd interface = %s", d.Interface)
	p.line(1, "LVS syncd syncid = %d", d.ID)
	if d.MaxLen != 0 {
		p.line(1, "LVS syncd maxlen = %d", d.MaxLen)
	}
	if d.Group.IsValid() {
		p.line(1, "LVS mcast group %s", d.Group)
	}
	if d.Port != 0 {
		p.line(1, "LVS syncd mcast port = %d", d.Port)
	}
	if d.TTL != 0 {
		p.line(1, "LVS syncd mcast ttl = %d", d.TTL)
	}
}

func (p page) buffer(name string, b model.RxBuf) {
	p.line(1, "%s = %d", name, b.Bytes)
	p.line(1, "%s_force = %d", name, bit(b.Force))
}

func (p page) mail(m *model.Mail) {
	if m.Server.IsValid() {
		p.mailServer(m)
	}
	if m.From.Header != "" {
		p.line(1, "Email notification from = %s", m.From.Header)
	}
	if len(m.To) > 0 {
		p.line(1, "Email notification to:")
		for _, to := range m.To {
			p.line(3, "%s", to.Header)
		}
	}
}

func (p page) mailServer(m *model.Mail) {
	p.line(1, "Smtp server = %s", m.Server.Addr())
	p.line(1, "Smtp server port = %d", m.Server.Port())
	p.line(1, "Smtp HELO name = %s", m.HELO)
	p.line(1, "Smtp server connection timeout = %s", plain(m.Timeout))
	if m.TLS != model.NoTLS {
		p.line(1, "Smtp TLS = %s", m.TLS)
		p.line(1, "Smtp TLS name = %s", m.TLSName)
		if m.TLSCAFile != "" {
			p.line(1, "Smtp TLS CA file = %s", m.TLSCAFile)
		}
	}
	if m.AuthUser != "" {
		p.line(1, "Smtp auth user = %s", m.AuthUser)
		p.line(1, "Smtp auth password = %s", m.AuthPassword)
		p.line(1, "Smtp auth without TLS = %t", m.AuthWithoutTLS)
	}
}

func (p page) fifo(name string, f model.FIFO, parent bool) {
	if f.Path == "" {
		return
	}
	p.line(1, "%s notify fifo = %s, uid:gid %d:%d", name, f.Path, f.UID, f.GID)
	if c := f.Script; c != nil {
		p.line(1, "%s notify fifo script = %s%s, uid:gid %d:%d", name, command(c), choose(parent, "", " '"+f.Path+"'"), c.UID, c.GID)
	}
}

func (p page) scheduling(name string, s model.Scheduling) {
	p.line(1, "%s process priority = %d", name, s.Nice)
	p.line(1, "%s don't swap = %t", name, s.NoSwap)
	p.line(1, "%s realtime priority = %d", name, s.RTPriority)
	if len(s.CPUs) > 0 {
		p.line(1, "%s CPU Affinity = %s ", name, strings.Trim(fmt.Sprint(s.CPUs), "[]"))
	}
	limit := s.RLimitRT
	if limit == 0 {
		limit = 10 * time.Millisecond // keepalived's default, which does not act here
	}
	p.line(1, "%s realtime limit = %d", name, limit.Microseconds())
}

func flushOnStop(f model.FlushOnStop) string {
	switch f {
	case model.FlushVS:
		return "VS"
	case model.FlushAll:
		return "full"
	}
	return "disabled"
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
