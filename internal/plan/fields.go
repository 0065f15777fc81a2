package plan

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// keywords names the fields whose keyword does not follow from their name.
var keywords = map[string]string{
	"Initial": "state", "VRID": "virtual_router_id", "SourceAddr": "source address", "TrackSourceAddr": "track_src_ip",
	"Group": "group", "V3ChecksumV2": "v3_checksum_as_v2", "OldUnicastSum": "old_unicast_checksum", "Strict": "strict_mode",
	"PromoteSecondary": "promote_secondaries", "NoPreempt": "nopreempt", "OwnerIgnoreAdvert": "owner_ignore_adverts",
	"TimerExpired": "timer_expired_backup", "NotifyPriority": "notify_priority_changes", "NotifyDeletedState": "notify_deleted",
	"NotifyLowerPrio": "notify_master_rx_lower_pri", "RxBufSize": "kernel_rx_buf_size", "HigherPrioAdvert": "higher_prio_send_advert",
	"TrackingWeight": "sync_group_tracking_weight", "Args": "script", "InitFail": "init_fail", "ConfigFault": "permanent fault",
	"Scheduler": "lb_algo", "Method": "lb_kind", "Persistence": "persistence_timeout", "Mask4": "persistence_granularity",
	"Prefix6": "persistence_granularity", "Engine": "persistence_engine", "Inhibit": "inhibit_on_failure", "HASuspend": "ha_suspend",
	"VirtualHost": "virtualhost", "Flush": "lvs_flush", "FlushOnStop": "lvs_flush_on_stop", "VRRPSched": "vrrp",
	"CheckerSched": "checker", "RTPriority": "rt_priority", "RLimitRT": "rlimit_rttime", "CPUs": "cpu_affinity", "Nice": "priority",
	"DynamicInterface": "dynamic_interfaces", "FIFOStatesOnReload": "fifo_write_vrrp_states_on_reload", "JSONVersion": "json_version",
	"LogUnknownVRIDs": "log_unknown_vrids", "StartupDelay": "vrrp_startup_delay", "DelayAfterBoot": "vrrp_delay_after_boot",
	"IfDebounce": "interface_up_down_delays", "GARPDelay": "garp_group", "LogAllFailures": "log_all_failures",
	"RxBuf": "receive buffer", "CommandRxBuf": "vrrp_netlink_cmd_rcv_bufs", "MonitorRxBuf": "vrrp_netlink_monitor_rcv_bufs",
	"ProcessRxBuf": "process_monitor_rcv_bufs", "RxBufs": "vrrp_rx_bufs", "Linkbeat": "linkbeat_interfaces", "LinkbeatAll": "linkbeat_use_polling",
	"IPRouteUsr": "iproute_usr_dir", "IPRouteEtc": "iproute_etc_dir", "TrackGroups": "track_group", "StaticInterfaces": "interfaces of static entries",
	"Mail": "smtp", "TLSCAFile": "tls_ca_file", "HELO": "helo_name", "UThreshold": "uthreshold", "LThreshold": "lthreshold", "NetNamespaceIPVS": "net_namespace_ipvs",
}

// fixed are the process settings that a reload leaves as they are.
var fixed = []string{"instance", "net_namespace", "net_namespace_ipvs", "use_pid_dir"}

// fields lists what differs between two values of the same struct type, by keyword; a value that is no struct is all identity.
func fields(prefix string, old, new reflect.Value, without []string) (out []string) {
	if old.Kind() != reflect.Struct {
		return nil
	}
	for i := range old.NumField() {
		name := old.Type().Field(i).Name
		if slices.Contains(without, name) {
			continue
		}
		o, n := old.Field(i), new.Field(i)
		if same(o, n) {
			continue
		}
		key := prefix + keyword(name)
		switch {
		case o.Type() == reflect.TypeFor[model.Secret]():
			out = append(out, key+": changed (secret)")
		case o.Kind() == reflect.Struct && !isValue(o.Type()):
			nested := key + "_"
			switch name {
			case "Conn", "HTTP", "Misc":
				nested = ""
			}
			out = append(out, fields(nested, o, n, nil)...)
		default:
			line := fmt.Sprintf("%s: %s -> %s", key, value(o), value(n))
			if old.Type() == reflect.TypeFor[model.Process]() && slices.Contains(fixed, key) {
				line += " (only a restart does this)"
			}
			out = append(out, line)
		}
	}
	return out
}

// same compares as model.Diff does, but that nil and empty mean the same.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// isValue reports whether a struct is printed as one value.
func isValue(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[model.Script](),
		reflect.TypeFor[model.Method](), reflect.TypeFor[model.FIFO]():
		return true
	}
	return false
}

// keyword is the name of a field in the words of the configuration: GARPMasterDelay is garp_master_delay.
func keyword(field string) string {
	if k, ok := keywords[field]; ok {
		return k
	}
	r := []rune(field)
	var b strings.Builder
	for i, c := range r {
		if unicode.IsUpper(c) && i > 0 && (unicode.IsLower(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// value prints one setting; what is not set is "none".
func value(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return strconv.FormatFloat(x.Seconds(), 'f', -1, 64) + " s"
	case bool:
		if x {
			return "on"
		}
		return "off"
	case string:
		if x == "" {
			return "none"
		}
		return strconv.Quote(x)
	case []byte:
		if x == nil {
			return "none"
		}
		return fmt.Sprintf("%x", x)
	case model.Script:
		words := make([]string, len(x.Args))
		for i, a := range x.Args {
			if words[i] = a; a == "" || strings.ContainsAny(a, " \t\"'\\\n") {
				words[i] = strconv.Quote(a)
			}
		}
		return fmt.Sprintf("%s (user %d:%d)", strings.Join(words, " "), x.UID, x.GID)
	case model.Method:
		name := map[model.Forward]string{model.NAT: "NAT", model.TUN: "TUN", model.DR: "DR"}[x.Forward]
		if x.Tunnel != (model.Tunnel{}) {
			name += fmt.Sprintf(" type %d port %d flags %d", x.Tunnel.Type, x.Tunnel.Port, x.Tunnel.Flags)
		}
		return name
	case model.AuthType:
		return map[model.AuthType]string{model.AuthNone: "none", model.AuthPass: "PASS", model.AuthAH: "AH"}[x]
	case model.Secret:
		return x.String()
	case model.FIFO:
		if x.Path == "" {
			return "none"
		}
		return fmt.Sprintf("%q (owner %d:%d)", x.Path, x.UID, x.GID)
	}
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return "none"
	case v.Kind() == reflect.Pointer:
		return value(v.Elem())
	case v.Kind() == reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = value(v.Index(i))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case v.Kind() == reflect.Struct && v.IsZero():
		return "none"
	case v.Kind() == reflect.Struct && !isValue(v.Type()):
		var parts []string
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() {
				parts = append(parts, keyword(v.Type().Field(i).Name)+" "+value(f))
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}
