package status

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// WriteGlobal writes keepalived_parent.data: the global definitions, which the other dumps begin with.
func WriteGlobal(w io.Writer, s *Snapshot) error {
	p := newPage(w)
	p.global(s)
	p.startStop(&s.Process)
	return p.close()
}

// global shows of keepalived's global definitions those that act.
//
// Differs from keepalived: it calls the UDP timeout a TCP one.
func (p page) global(s *Snapshot) {
	g := &s.Process
	p.section(0, "Global definitions")
	p.line(1, "Network namespace = %s", orElse(g.NetNamespace, "(default)"))
	if g.NetNamespaceIPVS == model.DefaultNamespace {
		p.line(1, "Network namespace ipvs = (default)")
	} else {
		p.line(1, "Network namespace ipvs = %s", orElse(g.NetNamespaceIPVS, "(main namespace)"))
	}
	if g.Instance != "" {
		p.line(1, "Instance name = %s", g.Instance)
	}
	p.line(1, "Router ID = %s", g.RouterID)
	p.mail(&g.Mail)
	p.line(1, "Checkers log all failures = %t", s.LVS.LogAllFailures)
	p.line(1, "Dynamic interfaces = %t", g.DynamicInterface)
	if g.Mail.NoFaults {
		p.line(1, "Send emails for fault transitions = off")
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"TCP", s.LVS.TimeoutTCP}, {"TCP FIN", s.LVS.TimeoutTCPFin}, {"UDP", s.LVS.TimeoutUDP}} {
		if t.value != 0 {
			p.line(1, "LVS %s timeout = %s", t.name, secs(t.value))
		}
	}
	if d := s.LVS.Sync; d != nil {
		p.syncDaemon(d)
	}
	p.line(1, "LVS flush = %t", s.LVS.Flush)
	p.line(1, "LVS flush on stop = %s", flushOnStop(s.LVS.FlushOnStop))
	p.fifo("Global", g.NotifyFIFO)
	p.fifo("VRRP", g.VRRPNotifyFIFO)
	p.fifo("LVS", g.LVSNotifyFIFO)
	p.line(1, "FIFO write vrrp states on reload = %t", g.FIFOStatesOnReload)
	if n := s.LVS.NFTables; n.Table != "" {
		p.line(1, "ipvs nftables table name = %s", n.Table)
		p.line(1, "ipvs nftables base chain priority = %d", n.Priority)
		p.line(1, "ipvs nftables start fwmark = %d", n.Mark)
		p.line(1, "nftables %s counters", choose(n.Counters, "with", "without"))
	}
	p.scheduling("VRRP", g.VRRPSched)
	p.scheduling("Checker", g.CheckerSched)
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
	if s.VRRP.StartupDelay != 0 {
		p.line(1, "vrrp_startup_delay = %s", plain(s.VRRP.StartupDelay))
	}
	if s.VRRP.LogUnknownVRIDs {
		p.line(1, "log_unknown_vrids")
	}
	p.line(1, "json_version %d", max(g.JSONVersion, 1))
	p.line(1, "iproute usr directory %s", orElse(s.VRRP.IPRouteUsr, "/usr/share/iproute2"))
	p.line(1, "iproute etc directory %s", orElse(s.VRRP.IPRouteEtc, "/etc/iproute2"))
}

func (p page) startStop(g *model.Process) {
	if c := g.StartupScript; c != nil {
		p.line(1, "Startup script = %s, uid:gid %d:%d, timeout %s", command(c), c.UID, c.GID, secs(g.StartupScriptTimeout))
	}
	if c := g.ShutdownScript; c != nil {
		p.line(1, "Shutdown script = %s, uid:gid %d:%d, timeout %s", command(c), c.UID, c.GID, secs(g.ShutdownScriptTimeout))
	}
}

func (p page) syncDaemon(d *model.SyncDaemon) {
	if d.Instance != "" {
		p.line(1, "LVS syncd vrrp instance = %s", d.Instance)
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
	if !m.Server.IsValid() {
		return
	}
	p.line(1, "Smtp server = %s", m.Server.Addr())
	p.line(1, "Smtp server port = %d", m.Server.Port())
	p.line(1, "Smtp HELO name = %s", m.HELO)
	p.line(1, "Smtp server connection timeout = %s", plain(m.Timeout))
	p.line(1, "Email notification from = %s", m.From.Header)
	if len(m.To) > 0 {
		p.line(1, "Email notification to:")
		for _, to := range m.To {
			p.line(3, "%s", to.Header)
		}
	}
}

func (p page) fifo(name string, f model.FIFO) {
	if f.Path == "" {
		return
	}
	p.line(1, "%s notify fifo = %s, uid:gid %d:%d", name, f.Path, f.UID, f.GID)
	if c := f.Script; c != nil {
		p.line(1, "%s notify fifo script = %s '%s', uid:gid %d:%d", name, command(c), f.Path, c.UID, c.GID)
	}
}

func (p page) scheduling(name string, s model.Scheduling) {
	p.line(1, "%s process priority = %d", name, s.Nice)
	p.line(1, "%s don't swap = %t", name, s.NoSwap)
	p.line(1, "%s realtime priority = %d", name, s.RTPriority)
	if len(s.CPUs) > 0 {
		p.line(1, "%s CPU Affinity = %s", name, strings.Trim(fmt.Sprint(s.CPUs), "[]"))
	}
	if s.RLimitRT != 0 {
		p.line(1, "%s realtime limit = %d", name, s.RLimitRT.Microseconds())
	}
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
