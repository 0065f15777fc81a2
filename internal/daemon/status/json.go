package status

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// WriteJSON writes keepalived.json, in one line: version 1 is an array of instances, version 2 an object around it.
// keepalived writes no file when there are no instances; that is the caller's to decide.
func WriteJSON(w io.Writer, s *Snapshot, version int) error {
	commands := map[string]string{}
	for i := range s.Scripts {
		commands[s.Scripts[i].Name] = command(&s.Scripts[i].Script)
	}
	all := make([]jsonInstance, len(s.Instances))
	for i := range s.Instances {
		all[i] = jsonInstance{instanceData(&s.Instances[i], commands), jsonStats(s.Instances[i].Stats)}
	}
	var v any = all
	if version == 2 {
		v = struct {
			VRRP      []jsonInstance `json:"vrrp"`
			Processes []jsonProcess  `json:"track_process,omitempty"`
		}{all, jsonProcesses(s.Processes)}
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	// No number, key or escape sequence of ours contains a slash, so every one stands for itself in a string.
	_, err := io.WriteString(w, strings.ReplaceAll(text.String(), "/", `\/`))
	return err
}

type jsonInstance struct {
	Data  jsonData  `json:"data"`
	Stats jsonStats `json:"stats"`
}

// jsonData has its fields in keepalived's order, and keepalived's mixture of booleans and 0/1.
type jsonData struct {
	Name                 string      `json:"iname"`
	DontTrackPrimary     zeroOne     `json:"dont_track_primary"`
	SkipCheckAdvAddr     zeroOne     `json:"skip_check_adv_addr"`
	StrictMode           zeroOne     `json:"strict_mode"`
	VMACIfName           string      `json:"vmac_ifname"`
	IfName               string      `json:"ifp_ifname,omitempty"`
	MasterPriority       uint8       `json:"master_priority"`
	LastTransition       json.Number `json:"last_transition"`
	GARPDelay            seconds     `json:"garp_delay"`
	GARPRefresh          seconds     `json:"garp_refresh"`
	GARPRep              int         `json:"garp_rep"`
	GARPRefreshRep       int         `json:"garp_refresh_rep"`
	GARPLowerPrioDelay   seconds     `json:"garp_lower_prio_delay"`
	GARPLowerPrioRep     int         `json:"garp_lower_prio_rep"`
	LowerPrioNoAdvert    zeroOne     `json:"lower_prio_no_advert"`
	HigherPrioSendAdvert zeroOne     `json:"higher_prio_send_advert"`
	VRID                 uint8       `json:"vrid"`
	BasePriority         uint8       `json:"base_priority"`
	EffectivePriority    uint8       `json:"effective_priority"`
	VIPSet               bool        `json:"vipset"`
	PromoteSecondaries   bool        `json:"promote_secondaries"`
	AdverInt             seconds     `json:"adver_int"`
	MasterAdverInt       seconds     `json:"master_adver_int"`
	Accept               zeroOne     `json:"accept"`
	NoPreempt            bool        `json:"nopreempt"`
	PreemptDelay         int         `json:"preempt_delay"`
	State                model.State `json:"state"`
	WantState            model.State `json:"wantstate"`
	Version              int         `json:"version"`
	SMTPAlert            bool        `json:"smtp_alert"`
	NotifyDeleted        bool        `json:"notify_deleted"`
	ScriptBackup         string      `json:"script_backup,omitempty"`
	ScriptMaster         string      `json:"script_master,omitempty"`
	ScriptFault          string      `json:"script_fault,omitempty"`
	ScriptStop           string      `json:"script_stop,omitempty"`
	ScriptDeleted        string      `json:"script_deleted,omitempty"`
	Script               string      `json:"script,omitempty"`
	ScriptLowerPri       string      `json:"script_master_rx_lower_pri,omitempty"`
	VIPs                 []string    `json:"vips,omitempty"`
	ExcludedVIPs         []string    `json:"evips,omitempty"`
	Routes               []string    `json:"vroutes,omitempty"`
	Rules                []string    `json:"vrules,omitempty"`
	NetNamespace         string      `json:"net_namespace,omitempty"` // not keepalived's
	TrackInterfaces      []string    `json:"track_ifp,omitempty"`
	TrackScripts         []string    `json:"track_script,omitempty"`
	TrackProcesses       []string    `json:"track_process,omitempty"`
	AuthType             uint8       `json:"auth_type"`
	AuthData             string      `json:"auth_data,omitempty"`
}

// jsonProcess is a vrrp_track_process.
type jsonProcess struct {
	Process        string  `json:"process"`
	Parameters     string  `json:"parameters,omitempty"`
	ParamMatch     string  `json:"param_match"`
	Min            int     `json:"min_processes"`
	Max            *int    `json:"max_processes,omitempty"`
	Current        int     `json:"current_processes"`
	Quorum         bool    `json:"have_quorum"`
	Weight         int     `json:"weight"`
	Terminate      seconds `json:"terminate_delay"`
	Fork           seconds `json:"fork_delay"`
	ForkTimer      bool    `json:"fork_delay_timer_running"`
	TerminateTimer bool    `json:"terminate_delay_timer_running"`
	FullCommand    bool    `json:"full_command"`
}

func jsonProcesses(list []Process) (out []jsonProcess) {
	for i := range list {
		p := &list[i]
		j := jsonProcess{Process: p.Process, Parameters: strings.Join(p.Args, " "), ParamMatch: p.ParamMatch.String(),
			Min: p.TrackProcess.Quorum, Current: p.Current, Quorum: p.Quorum, Weight: p.Weight,
			Terminate: seconds(p.Terminate), Fork: seconds(p.Fork),
			ForkTimer: p.ForkTimer, TerminateTimer: p.TerminateTimer, FullCommand: p.FullCommand}
		if p.Reverse {
			j.Weight = -j.Weight
		}
		if p.QuorumMax >= 0 {
			j.Max = &p.QuorumMax
		}
		out = append(out, j)
	}
	return out
}

// zeroOne is a truth that keepalived writes as 0 or 1.
type zeroOne bool

func (f zeroOne) MarshalJSON() ([]byte, error) {
	if f {
		return []byte("1"), nil
	}
	return []byte("0"), nil
}

// seconds is written with as many decimals as it needs.
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', -1, 64), nil
}

type jsonStats struct {
	AdvertRcvd         uint64 `json:"advert_rcvd"`
	AdvertSent         uint64 `json:"advert_sent"`
	BecomeMaster       uint64 `json:"become_master"`
	ReleaseMaster      uint64 `json:"release_master"`
	PacketLenErr       uint64 `json:"packet_len_err"`
	AdvertIntervalErr  uint64 `json:"advert_interval_err"`
	IPTTLErr           uint64 `json:"ip_ttl_err"`
	InvalidTypeRcvd    uint64 `json:"invalid_type_rcvd"`
	AddrListErr        uint64 `json:"addr_list_err"`
	InvalidAuthType    uint64 `json:"invalid_authtype"`
	AuthTypeMismatch   uint64 `json:"authtype_mismatch"`
	AuthFailure        uint64 `json:"auth_failure"`
	AuthExtMissing     uint64 `json:"auth_ext_missing"`
	AuthExtMalformed   uint64 `json:"auth_ext_malformed"`
	AuthExtUnknownKey  uint64 `json:"auth_ext_unknown_key"`
	AuthExtInvalidHMAC uint64 `json:"auth_ext_invalid_hmac"`
	AuthExtStale       uint64 `json:"auth_ext_stale"`
	AuthExtReplay      uint64 `json:"auth_ext_replay"`
	PriZeroRcvd        uint64 `json:"pri_zero_rcvd"`
	PriZeroSent        uint64 `json:"pri_zero_sent"`
}

// instanceData needs commands to name tracked scripts by what they run, as keepalived does.
func instanceData(i *Instance, commands map[string]string) jsonData {
	d := jsonData{
		Name:                 i.Name,
		DontTrackPrimary:     zeroOne(i.DontTrackPrimary),
		SkipCheckAdvAddr:     zeroOne(i.SkipCheckAdvAddr),
		StrictMode:           zeroOne(i.Strict),
		VMACIfName:           i.VLink.Name,
		IfName:               orElse(i.VLink.Name, i.Interface),
		NetNamespace:         i.NetNamespace,
		MasterPriority:       i.Master.Priority,
		LastTransition:       json.Number(epoch(i.LastTransition)),
		GARPDelay:            seconds(i.GARP.MasterDelay),
		GARPRefresh:          seconds(i.GARP.MasterRefresh),
		GARPRep:              i.GARP.MasterRepeat,
		GARPRefreshRep:       i.GARP.RefreshRepeat,
		GARPLowerPrioDelay:   seconds(i.GARP.LowerPrioDelay),
		GARPLowerPrioRep:     i.GARP.LowerPrioRepeat,
		LowerPrioNoAdvert:    zeroOne(i.LowerPrioNoAdvert),
		HigherPrioSendAdvert: zeroOne(i.HigherPrioAdvert),
		VRID:                 i.VRID,
		BasePriority:         i.Priority,
		EffectivePriority:    i.Effective,
		VIPSet:               i.State == model.Master,
		PromoteSecondaries:   i.PromoteSecondary,
		AdverInt:             seconds(i.AdvertInt),
		MasterAdverInt:       seconds(i.masterAdvertInt()),
		Accept:               zeroOne(i.Accept),
		NoPreempt:            i.NoPreempt,
		PreemptDelay:         int(i.PreemptDelay / time.Second),
		State:                i.State,
		WantState:            i.Want,
		Version:              i.Version,
		SMTPAlert:            i.SMTPAlert,
		NotifyDeleted:        i.NotifyDeletedState,
		ScriptBackup:         command(i.NotifyBackup),
		ScriptMaster:         command(i.NotifyMaster),
		ScriptFault:          command(i.NotifyFault),
		ScriptStop:           command(i.NotifyStop),
		ScriptDeleted:        command(i.NotifyDeleted),
		Script:               command(i.Notify),
		ScriptLowerPri:       command(i.NotifyLowerPrio),
		VIPs:                 addresses(i, i.VIPs, i.VIPsSet),
		ExcludedVIPs:         addresses(i, i.ExcludedVIPs, i.ExcludedSet),
		AuthType:             uint8(i.AuthType),
	}
	for k := range i.Routes {
		d.Routes = append(d.Routes, i.Routes[k].String())
	}
	for k := range i.Rules {
		d.Rules = append(d.Rules, i.Rules[k].String())
	}
	for _, t := range i.TrackInterfaces {
		d.TrackInterfaces = append(d.TrackInterfaces, t.Name)
	}
	for _, t := range i.TrackScripts {
		d.TrackScripts = append(d.TrackScripts, commands[t.Name])
	}
	for _, t := range i.TrackProcesses {
		d.TrackProcesses = append(d.TrackProcesses, t.Name)
	}
	if i.AuthType != model.AuthNone {
		d.AuthData = i.AuthPass.String()
	}
	return d
}
