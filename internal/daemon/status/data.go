package status

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// WriteData writes keepalived.data: the global definitions, VRRP and the interfaces.
func WriteData(w io.Writer, s *Snapshot) error {
	p := newPage(w)
	p.global(s, inVRRP)
	p.statics(s)
	if len(s.GARP) > 0 {
		p.section(0, "Gratuitous ARP delays")
		for i := range s.GARP {
			p.garpDelay(&s.GARP[i])
		}
	}
	if len(s.Instances) > 0 {
		p.section(0, "VRRP Topology")
		for i := range s.Instances {
			p.instance(s, &s.Instances[i])
		}
	}
	if len(s.Sockets) > 0 {
		p.section(0, "VRRP Sockpool")
		for i := range s.Sockets {
			p.pool(&s.Sockets[i])
		}
	}
	if len(s.Groups) > 0 {
		p.section(0, "VRRP Sync groups")
		for i := range s.Groups {
			p.group(&s.Groups[i])
		}
	}
	if len(s.Scripts) > 0 {
		p.section(0, "VRRP Scripts")
		for i := range s.Scripts {
			p.trackScript(s, &s.Scripts[i])
		}
	}
	if len(s.Files) > 0 {
		p.section(0, "VRRP Track files")
		for i := range s.Files {
			p.trackFile(s, &s.Files[i])
		}
	}
	if len(s.Processes) > 0 {
		p.section(0, "VRRP Track processes")
		for i := range s.Processes {
			p.trackProcess(s, &s.Processes[i])
		}
	}
	p.section(0, "Interfaces")
	for i := range s.Interfaces {
		p.iface(s, &s.Interfaces[i])
	}
	if s.VRRP.FlightRecorder > 0 {
		p.section(0, "Flight recorder")
		for i := range s.Instances {
			p.transitions(&s.Instances[i])
		}
	}
	return p.close()
}

func (p page) statics(s *Snapshot) {
	o := &s.VRRP.Statics
	if len(o.Addresses) > 0 {
		p.section(0, "Static Addresses")
		for _, a := range addresses(&Instance{Instance: model.Instance{Accept: true}}, o.Addresses, s.StaticsSet) {
			p.line(5, "%s", a)
		}
	}
	if len(o.Routes) > 0 {
		p.section(0, "Static Routes")
		for i := range o.Routes {
			p.line(5, "%s", &o.Routes[i])
		}
	}
	if len(o.Rules) > 0 {
		p.section(0, "Static Rules")
		for i := range o.Rules {
			p.line(5, "%s", &o.Rules[i])
		}
	}
	if len(s.VRRP.TrackGroups) > 0 {
		p.section(0, "Static Track groups")
		for _, g := range s.VRRP.TrackGroups {
			p.line(1, "Static Track Group = %s", g.Name)
			p.line(3, "VRRP member instances :")
			for _, m := range g.Members {
				p.line(5, "%s", m)
			}
		}
	}
}

func (p page) garpDelay(g *GARP) {
	p.section(0, "GARP delay group")
	p.namespace(g.Namespace)
	p.line(1, "GARP interval = %f", g.ARPInterval.Seconds())
	p.line(1, "GARP next time %s", yearless(g.NextARP))
	p.line(1, "GNA interval = %f", g.NAInterval.Seconds())
	p.line(1, "GNA next time %s", yearless(g.NextNA))
	if len(g.Interfaces) > 0 {
		p.line(1, "Interfaces")
		for _, name := range g.Interfaces {
			p.line(2, "%s", name)
		}
	}
}

// yearless is the form of the times of GARP groups.
func yearless(t time.Time) string {
	if t.IsZero() {
		return "0.000000 (Thu Jan  1 00:00:00.000000)"
	}
	return epoch(t) + t.Local().Format(" (Mon Jan _2 15:04:05.000000)")
}

func (p page) instance(s *Snapshot, i *Instance) {
	p.line(1, "VRRP Instance = %s", i.Name)
	p.line(3, "VRRP Version = %d", i.Version)
	if i.SyncGroup != "" {
		p.line(3, "Sync group = %s", i.SyncGroup)
	}
	if i.Family == model.IPv6 {
		p.line(3, "Using Native IPv6")
	}
	p.line(3, "State = %s", i.State)
	if i.State == model.Backup {
		p.line(3, "Master router = %s", addr(i.Master.Addr))
		p.line(3, "Master priority = %d", i.Master.Priority)
		if i.Version == 3 {
			p.line(3, "Master advert interval = %s", interval(i.Version, i.masterAdvertInt()))
		}
	}
	switch { // keepalived has flags that it does not name
	case len(i.Peers) > 0:
		p.line(3, "Flags:")
		p.line(5, "Using unicast")
	case i.VLink.Exists() || i.AddrVMAC || !i.Accept || i.NoPreempt || i.SkipCheckAdvAddr || i.DontTrackPrimary || i.NoVIP:
		p.line(3, "Flags:")
	default:
		p.line(3, "Flags: none")
	}
	p.line(3, "Wantstate = %s", i.Want)
	p.line(3, "Number of config faults = %d", bit(i.ConfigFault != ""))
	p.line(3, "Number of tracker faults = %d", i.Faults)
	if len(i.InterfaceFaults) == 0 {
		p.line(3, "Flags of interface faults - (none)")
	} else {
		p.line(3, "Flags of interface faults:")
		for _, f := range i.InterfaceFaults {
			p.line(5, "%s", f)
		}
	}
	p.line(3, "Number of track scripts init = %d", i.ScriptsInit)
	p.line(3, "Last transition = %s", moment(i.LastTransition))
	if i.Deadline.IsZero() {
		p.line(3, "Read timeout = DISABLED")
	} else {
		p.line(3, "Read timeout = %s", moment(i.Deadline))
	}
	p.line(3, "Master down timer = %d usecs", i.MasterDown.Microseconds())
	p.namespace(i.NetNamespace)
	p.vlink(s, i)
	if i.DontTrackPrimary {
		p.line(3, "VRRP interface tracking disabled")
	}
	if i.SkipCheckAdvAddr {
		p.line(3, "Skip checking advert IP addresses")
	}
	if i.NoVIP {
		p.line(3, "Suppress no VIPs warning")
	}
	if i.Strict {
		p.line(3, "Enforcing strict VRRP compliance")
	}
	p.line(3, "Using src_ip = %s%s", addr(i.Source), choose(i.SourceAddr.IsValid(), " (from configuration)", ""))
	if len(i.Peers) == 0 {
		p.line(3, "Multicast address %s%s", addr(i.Group), s.ifIndex(i))
	}
	p.line(3, "Gratuitous ARP delay = %s", plain(i.GARP.MasterDelay))
	p.line(3, "Gratuitous ARP repeat = %d", i.GARP.MasterRepeat)
	p.line(3, "Gratuitous ARP refresh = %s", plain(i.GARP.MasterRefresh))
	p.line(3, "Gratuitous ARP refresh repeat = %d", i.GARP.RefreshRepeat)
	p.line(3, "Gratuitous ARP lower priority delay = %s", plain(i.GARP.LowerPrioDelay))
	p.line(3, "Gratuitous ARP lower priority repeat = %d", i.GARP.LowerPrioRepeat)
	p.line(3, "Down timer adverts = %d", i.DownTimerAdverts)
	if i.ExtraIf.Interval != 0 && len(i.ExtraInterfaces()) > 0 {
		p.line(3, "Gratuitous ARP for each secondary %s = %s", choose(i.ExtraIf.All, "i/f", "VMAC"), plain(i.ExtraIf.Interval))
	}
	p.line(3, "Send advert after receive lower priority advert = %t", !i.LowerPrioNoAdvert)
	p.line(3, "Send advert after receive higher priority advert = %t", i.HigherPrioAdvert)
	if i.Priority == 255 {
		p.line(3, "Address owner ignores received adverts = %t", i.OwnerIgnoreAdvert)
	}
	p.line(3, "Virtual Router ID = %d", i.VRID)
	p.line(3, "Priority = %d", i.Priority)
	p.line(3, "Effective priority = %d", i.Effective)
	p.line(3, "Total priority = %d", i.Total)
	if i.NoPreempt {
		p.line(3, "Highest other priority = %d", i.Master.Priority)
	}
	p.line(3, "Advert interval = %s", interval(i.Version, i.AdvertInt))
	p.line(3, "Last advert sent = %s", epoch(i.LastSent))
	p.line(3, "Accept = %s", enabled(i.Accept))
	p.line(3, "Preempt = %s", enabled(!i.NoPreempt))
	if i.PreemptDelay != 0 {
		p.line(3, "Preempt delay = %s secs", plain(i.PreemptDelay))
	}
	p.line(3, "Promote_secondaries = %s", enabled(i.PromoteSecondary))
	if h := &i.HMAC; h.On() {
		p.line(3, "Authentication extension = HMAC-SHA256")
		p.line(3, "HMAC keys = %d, active key id %d", len(h.Keys), h.Active)
		p.line(3, "HMAC mode = %s, anti-replay = %s, time window = %d secs", h.Mode, choose(h.Monotonic, "monotonic", "time"), int(h.Window.Seconds()))
	}
	if i.Version == 2 {
		switch i.AuthType {
		case model.AuthNone:
			p.line(3, "Authentication type = none")
		case model.AuthPass:
			p.line(3, "Authentication type = SIMPLE_PASSWORD")
			p.line(3, "Password = %s", i.AuthPass) // Differs from keepalived: 2.3.4 shows it.
		case model.AuthAH:
			p.line(3, "Authentication type = IPSEC_AH")
		}
	} else if i.Family == model.IPv4 {
		p.line(3, "VRRPv3 uses VRRPv2 checksum = %s", enabled(i.V3ChecksumV2))
	}
	if i.RxBufSize != 0 {
		p.line(3, "Kernel rx buffer size = %d", i.RxBufSize)
	}
	if len(i.VIPs) > 0 {
		p.line(3, "Virtual IP (%d):", len(i.VIPs))
		for _, a := range addresses(i, i.VIPs, i.VIPsSet) {
			p.line(5, "%s", a)
		}
	}
	if len(i.ExcludedVIPs) > 0 {
		p.line(3, "Virtual IP Excluded :")
		for _, a := range addresses(i, i.ExcludedVIPs, i.ExcludedSet) {
			p.line(5, "%s", a)
		}
	}
	p.unicast(i)
	if len(i.Routes) > 0 {
		p.line(3, "Virtual Routes :")
		for k := range i.Routes {
			p.line(5, "%s", &i.Routes[k])
		}
	}
	if len(i.Rules) > 0 {
		p.line(3, "Virtual Rules :")
		for k := range i.Rules {
			p.line(5, "%s", &i.Rules[k])
		}
	}
	p.socket(i.Socket)
	p.tracks("Tracked interfaces", i.TrackInterfaces)
	p.tracks("Tracked scripts", i.TrackScripts)
	p.tracksMore("Tracked files", i.TrackFiles)
	p.tracksMore("Tracked processes", i.TrackProcesses)
	p.line(3, "Using smtp notification = %s", yesNo(i.SMTPAlert))
	p.line(3, "Notify deleted = %s", choose(i.NotifyDeletedState, "Deleted", "Fault"))
	p.script(3, "Backup state transition script", i.NotifyBackup)
	p.script(3, "Master state transition script", i.NotifyMaster)
	p.script(3, "Fault state transition script", i.NotifyFault)
	p.script(3, "Stop state transition script", i.NotifyStop)
	p.script(3, "Deleted state transition script", i.NotifyDeleted)
	p.script(3, "Generic state transition script", i.Notify)
	p.script(3, "Master rx lower pri state transition script", i.NotifyLowerPrio)
	p.line(3, "Notify priority changes = %t", i.NotifyPriority)
}

// socket shows the descriptors of an instance.
func (p page) socket(fd FDs) {
	if fd == (FDs{}) {
		p.line(3, "No sockets allocated")
	} else {
		p.line(3, "fd_in %d, fd_out %d", fd.In, fd.Out)
	}
}

// pool shows a socket and who shares it.
// namespace shows the network namespace of something that is in another than the process.
func (p page) namespace(name string) {
	if name != "" {
		p.line(3, "Network namespace = %s", name)
	}
}

func (p page) pool(k *Socket) {
	p.line(1, "fd_in %d fd_out = %d", k.In, k.Out)
	p.namespace(k.Namespace)
	p.line(3, "Interface = %s", orElse(k.Interface, "(none)"))
	p.line(3, "Family = %s", k.Family)
	p.line(3, "Protocol = VRRP")
	p.line(3, "Type = %s", choose(k.Unicast.IsValid(), "Unicast", "Multicast"))
	if k.Unicast.IsValid() {
		p.line(3, "Address = %s", k.Unicast)
	}
	p.line(3, "Rx buf size = %d", k.RxBuf)
	p.line(3, "VRRP instances")
	for _, u := range k.Users {
		p.line(5, "%s", u)
	}
}

// ifIndex is shown where the group needs one: with IPv6.
func (s *Snapshot) ifIndex(i *Instance) string {
	for n := range s.Interfaces {
		if i.Family == model.IPv6 && s.Interfaces[n].Name == i.AdvertInterface() && s.Interfaces[n].Namespace == i.NetNamespace {
			return fmt.Sprintf(", ifindex %d", s.Interfaces[n].Index)
		}
	}
	return ""
}

// transitions are told in the flight recorder's own form: keepalived has none. No line of it looks like one of another section.
func (p page) transitions(i *Instance) {
	p.line(1, "Transitions of %s = %d", i.Name, len(i.Transitions))
	for _, t := range i.Transitions {
		why := t.Why
		if t.Reason != "" {
			why += ", " + t.Reason
		}
		p.line(3, "%s %v to %v (%s), priority %d", moment(t.At), t.From, t.To, why, t.Priority)
		if t.Master.Addr.IsValid() {
			p.line(5, "heard %s with priority %d, %v before", t.Master.Addr, t.Master.Priority, t.Silence.Round(time.Microsecond))
		}
		if len(t.Gaps) > 0 {
			gaps := make([]string, len(t.Gaps))
			for k, g := range t.Gaps {
				gaps[k] = g.Round(time.Microsecond).String()
			}
			p.line(5, "its adverts came after %s", strings.Join(gaps, ", "))
		}
		p.line(5, "own timers late by at most %v", t.Late.Round(time.Microsecond))
	}
}

// vlink shows the VMAC or ipvlan of an instance, and its interface.
func (p page) vlink(s *Snapshot, i *Instance) {
	l := &i.VLink
	base := orElse(i.Interface, "not configured")
	if !l.Exists() {
		if i.AddrVMAC {
			p.line(5, "Use VMAC for VIPs on other interfaces")
		}
		p.line(3, "Interface = %s", base)
		if i.VRF != "" {
			p.line(3, "VRF = %s", i.VRF)
		}
		return
	}
	up := slices.ContainsFunc(s.Interfaces, func(f Interface) bool {
		return f.Name == l.Name && f.Namespace == i.NetNamespace && f.Flags&net.FlagUp != 0
	})
	if l.Kind == model.IPVLAN {
		address := ""
		if l.Addr.IsValid() {
			address = ", i/f address = " + l.Addr.String()
		}
		p.line(3, "Use IPVLAN, i/f %s, is_up = %t%s, type %s", l.Name, up, address, [...]string{"bridge", "private", "vepa"}[min(l.Mode, 2)])
	} else {
		p.line(3, "Use VMAC, i/f name %s, is_up = %t, xmit_base = %t", l.Name, up, i.XmitBase)
	}
	if l.OwnMAC {
		p.line(5, "MAC = %s%s", l.MAC, choose(l.VRIDMAC, " (using VRID)", ""))
	}
	if i.AddrVMAC {
		p.line(5, "Use VMAC for VIPs on other interfaces")
	}
	p.line(3, "Interface = %s, %s on %s%s", l.Name, choose(l.Kind == model.Macvlan, "vmac", "ipvlan"), base, choose(i.XmitBase, ", xmit base i/f", ""))
}

func (p page) unicast(i *Instance) {
	if len(i.Peers) == 0 {
		return
	}
	ttl := i.UnicastTTL
	if ttl == 0 && i.Family == model.IPv4 {
		ttl = 255
	}
	if ttl != 0 {
		p.line(3, "Unicast TTL = %d", ttl)
	}
	p.line(3, "Check unicast src : %s", yesNo(i.CheckUnicastSrc))
	p.line(3, "Unicast Peer :")
	for _, peer := range i.Peers {
		p.line(5, "%s min_ttl %d max_ttl %d", peer.Addr, peer.MinTTL, peer.MaxTTL)
	}
	switch i.OldUnicastSum {
	case model.ChecksumOld:
		p.line(3, "Unicast checksum compatibility = config")
	case model.ChecksumNever:
		p.line(3, "Unicast checksum compatibility = never")
	default:
		p.line(3, "Unicast checksum compatibility = no")
	}
}

func (p page) tracks(title string, list []model.Track) {
	if len(list) == 0 {
		return
	}
	p.line(3, "%s :", title)
	for _, t := range list {
		p.line(5, "%s weight %s", t.Name, track(t))
	}
}

// tracksMore is tracks for the kinds that have a comma.
func (p page) tracksMore(title string, list []model.Track) {
	if len(list) == 0 {
		return
	}
	p.line(3, "%s :", title)
	for _, t := range list {
		p.line(5, "%s, weight %s", t.Name, track(t))
	}
}

// interval is in seconds in version 2, which knows no fractions.
func interval(version int, d time.Duration) string {
	if version == 2 {
		return plain(d) + " sec"
	}
	return plain(d*1000) + " milli-sec"
}

func (p page) group(g *Group) {
	p.line(1, "VRRP Sync Group = %s, %s", g.Name, g.State)
	p.line(3, "Num member fault %d, num member init %d", g.Faults, g.Inits)
	p.line(3, "VRRP member instances :")
	for _, name := range g.Members {
		p.line(5, "%s", name)
	}
	if g.TrackingWeight {
		p.line(3, "sync group tracking weight set")
	}
	p.line(3, "Using smtp notification = %s", yesNo(g.SMTPAlert))
	p.tracks("Tracked interfaces", g.TrackInterfaces)
	p.tracks("Tracked scripts", g.TrackScripts)
	p.tracksMore("Tracked files", g.TrackFiles)
	p.tracksMore("Tracked process", g.TrackProcesses)
	p.script(3, "Backup state transition script", g.NotifyBackup)
	p.script(3, "Master state transition script", g.NotifyMaster)
	p.script(3, "Fault state transition script", g.NotifyFault)
	p.script(3, "Stop state transition script", g.NotifyStop)
	p.script(3, "Generic state transition script", g.Notify)
}

// trackScript shows the weights where they are: with the instances that track the script.
func (p page) trackScript(s *Snapshot, c *Script) {
	p.line(1, "VRRP Script = %s", c.Name)
	if k := c.Check; k != nil {
		p.line(3, "Probe = %s of %s", k.Kind, endpoint(k.Conn.Dst))
	} else {
		p.line(3, "Command = %s", command(&c.Script))
	}
	p.line(3, "Interval = %s sec", secs(c.Interval))
	p.line(3, "Timeout = %s sec", choose(c.DefaultTimeout, "0", secs(c.Timeout)))
	p.line(3, "Weight = %s", track(model.Track{Weight: c.Weight, Reverse: c.Reverse}))
	p.line(3, "Rise = %d", c.Rise)
	p.line(3, "Fall = %d", c.Fall)
	p.line(3, "Result = %d", c.Result)
	p.line(3, "Insecure = no") // such ones are not run, and not listed
	p.line(3, "Init state = %s", choose(c.Known, "unknown", "INIT"))
	p.line(3, "Status = %s", choose(c.Known && c.Result >= c.Rise, "GOOD", "BAD"))
	if c.Check == nil {
		p.line(3, "Script uid:gid = %d:%d", c.Script.UID, c.Script.GID)
	}
	p.line(3, "VRRP instances :")
	p.trackedBy(s, c.Name, func(i *Instance) []model.Track { return i.TrackScripts }, func(g *Group) []model.Track { return g.TrackScripts })
	p.line(3, "State = %s", c.Run)
}

func (p page) trackFile(s *Snapshot, f *File) {
	p.line(1, "Track file = %s", f.Name)
	p.line(3, "File = %s", f.Path)
	p.line(3, "Status = %d", f.Value)
	p.line(3, "Weight = %s", track(model.Track{Weight: f.Weight, Reverse: f.Reverse}))
	p.trackedBy(s, f.Name, func(i *Instance) []model.Track { return i.TrackFiles }, func(g *Group) []model.Track { return g.TrackFiles })
}

func (p page) trackProcess(s *Snapshot, t *Process) {
	p.line(1, "VRRP Track process = %s", t.Name)
	p.line(3, "Process = %s", t.Process)
	if len(t.Args) > 0 {
		p.line(3, "Parameters = %s", strings.Join(t.Args, " "))
	}
	switch t.ParamMatch {
	case model.ParamExact:
		p.line(3, "Param match")
	case model.ParamPartial, model.ParamInitial:
		p.line(3, "Param match = %s", t.ParamMatch)
	}
	p.line(3, "Min processes = %d", t.TrackProcess.Quorum)
	if t.QuorumMax >= 0 {
		p.line(3, "Max processes = %d", t.QuorumMax)
	}
	p.line(3, "Current processes = %d", t.Current)
	p.line(3, "Have quorum = %t", t.Quorum)
	p.line(3, "Weight = %s", track(model.Track{Weight: t.Weight, Reverse: t.Reverse}))
	p.line(3, "Terminate delay = %fs", t.Terminate.Seconds())
	p.line(3, "Fork delay = %fs", t.Fork.Seconds())
	p.line(3, "Fork delay timer %srunning", choose(t.ForkTimer, "", "not "))
	p.line(3, "Terminate delay timer %srunning", choose(t.TerminateTimer, "", "not "))
	p.line(3, "Full command = %t", t.FullCommand)
	p.trackedBy(s, t.Name, func(i *Instance) []model.Track { return i.TrackProcesses }, func(g *Group) []model.Track { return g.TrackProcesses })
}

// trackedBy lists the instances that track something, by themselves or through their group.
func (p page) trackedBy(s *Snapshot, name string, own func(*Instance) []model.Track, group func(*Group) []model.Track) {
	p.line(3, "Tracking instances :")
	list := func(instance string, tracks []model.Track) {
		for _, t := range tracks {
			if t.Name == name {
				p.line(5, "%s, weight %s", instance, track(t))
			}
		}
	}
	for i := range s.Instances {
		list(s.Instances[i].Name, own(&s.Instances[i]))
	}
	for i := range s.Groups {
		for _, member := range s.Groups[i].Members {
			list(member, group(&s.Groups[i]))
		}
	}
}

func (p page) iface(s *Snapshot, i *Interface) {
	p.line(1, "Name = %s", i.Name)
	p.namespace(i.Namespace)
	p.line(3, "index = %d", i.Index)
	p.line(3, "IPv4 address = %s", addr(i.IPv4))
	p.line(3, "IPv6 address = %s", addr(i.IPv6))
	if i.Flags&net.FlagLoopback == 0 && len(i.MAC) > 0 {
		p.line(3, "MAC = %s", i.MAC)
	}
	if i.Flags&net.FlagLoopback == 0 && len(i.Broadcast) > 0 {
		p.line(3, "MAC broadcast = %s", i.Broadcast)
	}
	p.line(3, "State = %s", flags(i.Flags))
	p.line(3, "Seen up = %d", bit(i.SeenUp))
	p.line(3, "Delayed state change running = %t", i.DelayedChange)
	p.line(3, "Up debounce timer = %dus", i.DebounceUp.Microseconds())
	p.line(3, "Down debounce timer = %dus", i.DebounceDown.Microseconds())
	p.line(3, "Group = %d", i.Group)
	if i.Under != "" {
		p.line(3, "%s type %s, underlying interface = %s, state = %s", choose(i.Kind == "macvlan", "VMAC", "IPVLAN"), choose(i.Kind == "macvlan", "", "L2 ")+i.Mode, i.Under, flags(i.UnderFlags))
	}
	if i.Made {
		p.line(3, "I/f created by keepalived")
	}
	p.line(3, "MTU = %d", i.MTU)
	p.line(3, "HW Type = %s", i.HWType)
	p.line(3, "NIC %s", i.linkSource())
	if g, ok := s.garpOf(i); ok {
		p.line(3, "Gratuitous ARP interval %dms", g.ARPInterval.Milliseconds())
		p.line(3, "Gratuitous NA interval %dms", g.NAInterval.Milliseconds())
	}
	// What sysctls were before the daemon changed them, and how many of its interfaces need the change.
	for _, line := range []string{"Reset ARP config counter", "Original arp_ignore", "Original arp_filter", "Original promote_secondaries",
		"Reset promote_secondaries counter"} {
		p.line(3, "%s 0", line)
	}
	first := true
	for n := range s.Instances {
		weight, ok := tracksInterface(&s.Instances[n], i)
		if !ok {
			continue
		}
		if first {
			p.line(3, "Tracking VRRP instances :")
			first = false
		}
		p.line(5, "%s, weight %s", s.Instances[n].Name, weight)
	}
}

// garpOf is the group of an interface.
func (s *Snapshot) garpOf(f *Interface) (GARP, bool) {
	i := slices.IndexFunc(s.GARP, func(g GARP) bool { return g.Namespace == f.Namespace && slices.Contains(g.Interfaces, f.Name) })
	if i < 0 {
		return GARP{}, false
	}
	return s.GARP[i], true
}

// tracksInterface says whether the instance reacts to the interface: because it is told to, runs on it, or has an address there.
func tracksInterface(i *Instance, f *Interface) (weight string, ok bool) {
	name := f.Name
	if i.NetNamespace != f.Namespace {
		return "", false
	}
	for _, t := range i.TrackInterfaces {
		if t.Name == name {
			return track(t), true
		}
	}
	if i.Interface == name || i.VLink.Exists() && i.VLink.Name == name {
		return "0", !i.DontTrackPrimary
	}
	return "0", slices.Contains(i.Needs(), name)
}

func flags(f net.Flags) string {
	words := []string{
		choose(f&net.FlagUp != 0, "UP", "not UP"),
		choose(f&net.FlagRunning != 0, "RUNNING", "not RUNNING"),
	}
	if f&net.FlagBroadcast == 0 {
		words = append(words, "no broadcast")
	}
	if f&net.FlagLoopback != 0 {
		words = append(words, "loopback")
	}
	if f&net.FlagPointToPoint != 0 {
		words = append(words, "point to point")
	}
	if f&net.FlagMulticast == 0 {
		words = append(words, "no multicast")
	}
	return strings.Join(words, ", ")
}

func (r RunState) String() string {
	switch r {
	case Running:
		return "running"
	case Terminating:
		return "requested termination"
	case Killing:
		return "forcing termination"
	}
	return "idle"
}
