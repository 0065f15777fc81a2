package config

import (
	"fmt"
	"math"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/config/syntax"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// lvsGlobals are the rows of global_defs that concern IPVS and the checkers as a whole.
func lvsGlobals() grows {
	return concat(grows{
		schema.Line("lvs_timeouts", "{tcp SECS | tcpfin SECS | udp SECS}…", readLVSTimeouts, "Timeouts of IPVS connections; 0 leaves the kernel's.").
			Options("tcp", "tcpfin", "udp"),
		schema.Flag("lvs_flush", true, func(g *Global) *opt[bool] { return &g.LVSFlush }, "Empty the IPVS table at start."),
		schema.Inherited("lvs_flush_on_stop", schema.Kind[model.FlushOnStop]{Usage: "[VS]", Parse: func(w []source.Word) (model.FlushOnStop, error) {
			switch {
			case len(w) == 0:
				return model.FlushAll, nil
			case w[0].Text == "VS":
				return model.FlushVS, nil
			}
			return 0, fmt.Errorf("unknown value %q", w[0].Text)
		}}, func(g *Global) *opt[model.FlushOnStop] { return &g.LVSFlushOnStop },
			"Empty the IPVS table at the end, or delete the services only.").Alias("lvs_flush_onstop"),
		schema.Line("lvs_sync_daemon", "IFNAME [inst] VRRP_INSTANCE [id N] [maxlen N] [port N] [ttl N] [group ADDR]", readSyncDaemon,
			"Synchronise IPVS connections.").Options("inst", "id", "maxlen", "port", "ttl", "group"),
		schema.Flag("lvs_no_repair", true, func(g *Global) *opt[bool] { return &g.NoRepair },
			"Leave what others change in the services of the configuration; else it is set right within a second.").Ours(),
		schema.Inherited("nftables_ipvs", filled(tableName), func(g *Global) *opt[string] { return &g.NFTablesIPVS },
			"Serve groups without marks with nftables maps and one mark each; the table is keepalived_ipvs.").FirstWins(),
		schema.Value("nftables_ipvs_priority", schema.Int(math.MinInt32, math.MaxInt32), -1,
			func(g *Global) *opt[int] { return &g.NFTablesIPVSPriority }, "Priority of that chain."),
		schema.Value("nftables_ipvs_start_fwmark", schema.Int(1, math.MaxUint32), 1000,
			func(g *Global) *opt[int] { return &g.NFTablesIPVSMark }, "First mark used."),
		schema.Value("rs_init_notifies", schema.Bool, false, func(g *Global) *opt[bool] { return &g.RSInitNotifies },
			"Run notify scripts of real servers for their first state."),
		schema.Value("checker_log_all_failures", schema.Bool, false, func(g *Global) *opt[bool] { return &g.LogAllFailures },
			"Log each failed check."),
	},
		sizedBuffers("lvs_netlink_cmd", "Size of the receive buffer of IPVS commands, bytes; 0: the system's.",
			func(g *Global) *buffer { return &g.LVSCommandBuf }),
		sizedBuffers("lvs_netlink_monitor", "Size of the receive buffer for address changes (ha_suspend), bytes; 0: the program's.",
			func(g *Global) *buffer { return &g.LVSMonitorBuf }))
}

// buffer is a *_rcv_bufs keyword and its *_rcv_bufs_force.
type buffer struct {
	Size  opt[int]
	Force opt[bool]
}

func (b *buffer) model() model.RxBuf { return model.RxBuf{Bytes: b.Size.V, Force: b.Force.V} }

func sizedBuffers(name, doc string, of func(*Global) *buffer) grows {
	return grows{
		schema.Inherited(name+"_rcv_bufs", schema.Int(0, math.MaxUint32), func(g *Global) *opt[int] { return &of(g).Size }, doc).Lenient(),
		schema.Inherited(name+"_rcv_bufs_force", schema.Bool, func(g *Global) *opt[bool] { return &of(g).Force },
			"Size it above the system's limit."),
	}
}

// tableName is the name of an nftables table, at most 254 bytes.
var tableName = schema.Kind[string]{Usage: "[NAME]", Parse: func(w []source.Word) (string, error) {
	switch {
	case len(w) == 0:
		return "keepalived_ipvs", nil
	case len(w[0].Text) > 254:
		return "", fmt.Errorf("%.20q… is longer than 254 bytes", w[0].Text)
	}
	return w[0].Text, nil
}}

type lvsTimeouts struct{ TCP, TCPFin, UDP time.Duration }

func readLVSTimeouts(g *Global, n *syntax.Node, r *source.Report) {
	fields := map[string]*time.Duration{"tcp": &g.LVSTimeouts.TCP, "tcpfin": &g.LVSTimeouts.TCPFin, "udp": &g.LVSTimeouts.UDP}
	if len(n.Args) < 2 {
		r.Errorf(n.At(), "lvs_timeouts: an option and its value are needed - ignoring")
		return
	}
	for i := 0; i < len(n.Args); i++ {
		w := n.Args[i]
		f, ok := fields[w.Text]
		if !ok {
			r.Errorf(w.At, "lvs_timeouts: unknown option %q - ignoring it", w.Text)
			continue
		}
		if i++; i >= len(n.Args) {
			r.Errorf(w.At, "lvs_timeouts: %s has no value - ignoring it", w.Text)
			return
		}
		v, err := schema.ParseInt(n.Args[i].Text, 0, 86400*31)
		if err != nil {
			r.Errorf(n.Args[i].At, "lvs_timeouts %s: %v - ignoring it", w.Text, err)
			continue
		}
		*f = time.Duration(v) * time.Second
	}
}

// syncDaemon is the lvs_sync_daemon line; an ID that is not set is that of the instance.
type syncDaemon struct {
	model.SyncDaemon
	ID opt[int]
}

func readSyncDaemon(g *Global, n *syntax.Node, r *source.Report) {
	if g.SyncDaemon.IsSet() {
		r.Errorf(n.At(), "lvs_sync_daemon is already specified - ignoring").With("the first one counts, at", g.SyncDaemon.At)
		return
	}
	if len(n.Args) < 1 {
		r.Errorf(n.At(), "lvs_sync_daemon: an interface is needed - ignoring")
		return
	}
	if len(n.Args[0].Text) > schema.MaxIfName {
		r.Errorf(n.Args[0].At, "lvs_sync_daemon: interface name %q is too long - ignoring", n.Args[0].Text)
		return
	}
	var d syncDaemon
	d.Interface = n.Args[0].Text
	number := func(name string, value source.Word, low, high int) int {
		v, err := schema.ParseInt(value.Text, low, high)
		if err != nil {
			r.Errorf(value.At, "lvs_sync_daemon %s: %v - ignoring it", name, err)
			return 0
		}
		return v
	}
	for i := 1; i < len(n.Args); i++ {
		w := n.Args[i]
		switch w.Text {
		case "inst", "id", "maxlen", "port", "ttl", "group":
		default:
			readOldSync(&d, w, i, r)
			continue
		}
		switch i++; {
		case i < len(n.Args):
		case w.Text == "inst" && d.Instance == "":
			missing(n, r)
			return
		default:
			r.Errorf(w.At, "lvs_sync_daemon: %s has no value - ignoring it", w.Text)
			continue
		}
		value := n.Args[i]
		switch w.Text {
		case "inst":
			if d.Instance != "" {
				r.Errorf(value.At, "lvs_sync_daemon: the instance is already specified - ignoring %q", value.Text)
			} else {
				d.Instance = value.Text
			}
		case "id":
			if v, err := schema.ParseInt(value.Text, 0, 255); err != nil {
				r.Errorf(value.At, "lvs_sync_daemon id: %v - ignoring it", err)
			} else {
				d.ID = opt[int]{V: v, At: value.At}
			}
		case "maxlen":
			d.MaxLen = uint16(number("maxlen", value, 1, 65507))
		case "port":
			d.Port = uint16(number("port", value, 1, math.MaxUint16))
		case "ttl":
			d.TTL = uint8(number("ttl", value, 1, math.MaxUint8))
		case "group":
			if a, err := schema.ParseAddr(value.Text); err != nil || !a.IsMulticast() {
				r.Errorf(value.At, "lvs_sync_daemon group: %q is not a multicast address - ignoring it", value.Text)
			} else {
				d.Group = a
			}
		}
	}
	g.SyncDaemon = opt[syncDaemon]{V: d, At: n.At()}
}

// readOldSync reads a word without a keyword: the instance, and after it the id.
func readOldSync(d *syncDaemon, w source.Word, i int, r *source.Report) {
	id, err := schema.ParseInt(w.Text, 0, 255)
	switch {
	case d.Instance == "" && i == 1:
		d.Instance = w.Text
	case i == 2 && err == nil:
		r.Errorf(w.At, "lvs_sync_daemon: write 'id %s'", w.Text)
		d.ID = opt[int]{V: id, At: w.At}
	default:
		r.Errorf(w.At, "lvs_sync_daemon: unknown option %q - ignoring it", w.Text)
	}
}

// syncDaemon resolves lvs_sync_daemon, or the old lvs_sync_daemon_interface of an instance; nil: there is none.
func (res *resolver) syncDaemon(instances []model.Instance) *model.SyncDaemon {
	o := res.c.Global.SyncDaemon
	if !o.IsSet() {
		o = res.oldSyncDaemon()
	}
	if !o.IsSet() {
		return nil
	}
	d := o.V.SyncDaemon
	d.ID = uint8(o.V.ID.V)
	if d.Instance == "" {
		return &d
	}
	if !res.c.names.has("vrrp_instance " + d.Instance) {
		// keepalived finds that out when it runs, not under -t.
		res.meant(res.r.Notef(o.At, "lvs_sync_daemon: there is no vrrp_instance %s - ignoring", d.Instance), d.Instance, res.instanceNames, "")
		return nil
	}
	for i := range instances {
		if instances[i].Name == d.Instance && !o.V.ID.IsSet() {
			d.ID = instances[i].VRID
		}
	}
	return &d
}

// oldSyncDaemon is the first instance's lvs_sync_daemon_interface.
func (res *resolver) oldSyncDaemon() (o opt[syncDaemon]) {
	for _, i := range res.c.Instances {
		switch {
		case !i.SyncInterface.IsSet():
		case o.IsSet():
			res.r.Errorf(i.SyncInterface.At, "lvs_sync_daemon is already specified - ignoring").With("the first one counts, at", o.At)
		default:
			o.V.Interface, o.V.Instance, o.At = i.SyncInterface.V, i.Name, i.SyncInterface.At
		}
	}
	return o
}
