package vrrp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// The log lines are keepalived's, letter for letter: operators and their scripts match them. Those of an instance begin with its name.
const (
	lineBackupInit  = "(%s) Entering BACKUP STATE (init)"
	lineBackup      = "(%s) Entering BACKUP STATE"
	lineMaster      = "(%s) Entering MASTER STATE"
	lineFault       = "(%s) Entering FAULT STATE"
	lineFaultStart  = "(%s) entering FAULT state"
	lineFaultLink   = "(%s): entering FAULT state (%s)"
	lineFaultSource = "(%s) entering FAULT state (no %v address for interface)"
	lineSelf        = "%s: sending gratuitous ARP for %v"

	lineTimeout        = "(%s) Receive advertisement timeout"
	lineSentZero       = "(%s) sent 0 priority"
	lineBackupZero     = "(%s) Backup received priority 0 advertisement"
	lineMasterZero     = "(%s) Master received priority 0 message"
	lineHigher         = "(%s) Master received advert from %v with higher priority %d, ours %d"
	lineHigherAddr     = "(%s) Master received advert from %v with same priority %d but higher IP address than ours"
	lineLowerElection  = "(%s) Received advert from %v with lower priority %d, ours %d, forcing new election"
	lineLower          = "(%s) Received advert from %v with lower priority %d, ours %d"
	lineDiscard        = "(%s) received lower priority (%d) advert from %v - discarding"
	lineEqual          = "(%s) WARNING - equal priority advert received from remote host with our IP address."
	lineTwoOwners      = "(%s) CONFIGURATION ERROR: local instance and %v are both configured as address owner, please resolve"
	lineStillOwner     = "(%s) %v is still advertising as address owner, please resolve - reducing our priority"
	lineMasterSet      = "(%s) master set to %v"
	lineMasterChanged  = "(%s) master changed from %v to %v"
	linePreemptStart   = "(%s) start preempt delay (%s)"
	linePreemptStop    = "(%s) stop preempt delay"
	linePriority       = "(%s) Changing effective priority from %d to %d"
	lineIntervalLearnt = "(%s) advertisement interval updated from %dms to %dms by master"
	lineIntervalOwn    = "(%s) changing advert interval from %dms to locally configured %dms"
	lineOldChecksum    = "(%s) Setting unicast VRRPv3 checksum to old version"

	lineSetFilter    = "(%s) setting firewall drop rule"
	lineRemoveFilter = "(%s) removing firewall drop rule"
	lineSetVIPs      = "(%s) setting VIPs."
	lineSetEVIPs     = "(%s) setting E-VIPs."
	lineRemoveVIPs   = "(%s) removing VIPs."
	lineRemoveEVIPs  = "(%s) removing E-VIPs."
	lineSetRoutes    = "(%s) setting Virtual Routes"
	lineSetRules     = "(%s) setting Virtual Rules"
	lineRemoveRoutes = "(%s) removing Virtual Routes"
	lineRemoveRules  = "(%s) removing Virtual Rules"
	lineGone         = "(%s) ip address %v dev %s, no longer exist"

	lineStolen  = "Netlink reflector reports IP %v removed from %s"
	lineOverrun = "VRRP thread timer expired %d.%06d seconds ago"
	lineListen  = "(%s) timer expired %s seconds late, listening for a master before taking over"

	lineGroupSync       = "VRRP_Group(%s) Syncing instances to %v state"
	lineGroupStartFault = "VRRP_Group(%s): Syncing %s to FAULT state"
)

// Lines of received adverts that fail validation; each is logged once until the state or the master changes.
const (
	lineCast         = "(%s) discarding %scast packet on %scast instance"
	lineAHReceived   = "(%s) Received AH header but auth type not AH from %v"
	lineAHMissing    = "(%s) No AH header but auth type is AH from %v"
	lineLength       = "(%s) vrrp packet from %v too %s, length %d and expect %d"
	lineTTL          = "(%s) invalid TTL/HL from %v. Received %d and expect 255"
	lineVersion      = "(%s) wrong VRRP version from %v. Received %d and expect %d"
	lineAuthType     = "(%s) Invalid auth type from %v: %d"
	lineAuthMismatch = "(%s) received a %d auth from %v, expecting %d!"
	lineICV          = "(%s) IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !"
	lineSPI          = "IPSEC AH : invalid IPSEC SPI value. %[2]d and expect %[3]d" // without the instance
	lineSequence     = "(%s) IPSEC-AH : sequence number %d already processed. Packet dropped. Local(%d)"
	lineSequenceSync = "(%s) IPSEC-AH : Syncing seq_num - Increment seq"
	lineUnsigned     = "(%s) missing authentication trailer from %v"
	lineTrailer      = "(%s) malformed authentication trailer from %v"
	lineStale        = "(%s) stale authentication trailer from %v, clock skew %d sec exceeds window %d sec"
	lineKey          = "(%s) unknown authentication key id %d from %v"
	lineHMAC         = "(%s) invalid authentication HMAC from %v"
	lineReplay       = "(%s) replayed authentication trailer from %v"
	lineSkew         = "(%s) authentication clock skew %d sec from %v approaching window %d sec"
	linePassword     = "(%s) received an invalid passwd from %v!"
	lineIntervalV2   = "(%s) advertisement interval mismatch with %v mine=%d sec rcv'd=%d sec"
	lineIntervalV3   = "(%s) advertisement interval mismatch ours = %d centi-sec rcv'd=%d centi-sec"
	lineType         = "(%s) Invalid packet type from %v. %d and expect 1"
	lineTotalLength  = "(%s) ip_tot_len mismatch against received length from %v. %d and received %d"
	lineChecksum     = "(%s) Invalid VRRPv%d checksum from %v"
	lineUnexpected   = "(%s) Expected %scast packet but received %scast packet from %v"
	lineOwner        = "(%s) Dropping packet(s) from %v since we are address owner"
	lineCount        = "(%s) expected %d VIPs but received %d"
	lineMissing      = "(%s) ip address associated with VRID %d not present in advert from %v: %v"
	lineNotPeer      = "(%s) unicast source address %v not a unicast peer"
	linePeerTTL      = "(%s) TTL/HL %d from %v not in range [%d, %d]"
)

func (m *Machine) line(detail bool, format string, args []any) Action {
	return Action{Kind: Say, M: m, Detail: detail, Line: fmt.Sprintf(format, append([]any{m.inst.Name}, args...)...)}
}

// say logs a line that begins with the name of the instance, sayDetail one that only -D shows.
func (m *Machine) say(s *step, format string, args ...any) { s.do(m.line(false, format, args)) }

func (m *Machine) sayDetail(s *step, format string, args ...any) { s.do(m.line(true, format, args)) }

func (g *Group) say(s *step, format string, args ...any) {
	s.do(Action{Kind: Say, G: g, Line: fmt.Sprintf(format, args...)})
}

func (m *Machine) sayMaster(s *step, is netip.Addr) {
	if m.masterAddr.IsValid() {
		m.sayDetail(s, lineMasterChanged, m.masterAddr, is)
	} else {
		m.sayDetail(s, lineMasterSet, is)
	}
}

// seconds prints as keepalived does, with six digits.
func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

// setting are the lines of a new master about what it sets.
func setting(i *model.Instance) []string {
	return about(i, []int{filtered(i), len(i.VIPs), len(i.ExcludedVIPs), len(i.Routes), len(i.Rules)},
		[]string{lineSetFilter, lineSetVIPs, lineSetEVIPs, lineSetRoutes, lineSetRules})
}

// Removing are the lines about what an instance gives up.
func Removing(i *model.Instance) []string {
	return about(i, []int{len(i.Rules), len(i.Routes), len(i.VIPs), len(i.ExcludedVIPs), filtered(i)},
		[]string{lineRemoveRules, lineRemoveRoutes, lineRemoveVIPs, lineRemoveEVIPs, lineRemoveFilter})
}

// filtered counts the addresses that no_accept drops the packets of.
func filtered(i *model.Instance) int {
	if i.Accept {
		return 0
	}
	return len(i.VIPs) + len(i.ExcludedVIPs)
}

func about(i *model.Instance, counts []int, lines []string) (out []string) {
	for n, line := range lines {
		if counts[n] > 0 {
			out = append(out, fmt.Sprintf(line, i.Name))
		}
	}
	return out
}
