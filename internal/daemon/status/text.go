package status

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// command is how keepalived shows a script: each word in quotes, without escapes. The "</path" test is no command to it.
func command(s *model.Script) string {
	if s == nil || len(s.Args) == 0 {
		return ""
	}
	if strings.HasPrefix(s.Args[0], "<") {
		return strings.Join(s.Args, " ")
	}
	return "'" + strings.Join(s.Args, "' '") + "'"
}

// addresses shows list, of which the kernel has those that set says; what is beyond set it has not.
func addresses(list []model.Address, set []bool) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = address(&list[i])
		if i < len(set) && set[i] {
			out[i] += " set"
		}
	}
	return out
}

// address is in the form of ip(8). Exporters take the first word as the address and the one after "dev" as the interface.
func address(a *model.Address) string {
	words := []string{prefix(a.Prefix)}
	if a.Peer.IsValid() {
		words[0] = a.Prefix.Addr().String()
	}
	if a.Broadcast.IsValid() {
		words = append(words, "brd", a.Broadcast.String())
	}
	words = append(words, "dev", a.Interface, "scope", scope(a.Scope))
	if a.Label != "" {
		words = append(words, "label", a.Label)
	}
	if a.Peer.IsValid() {
		words = append(words, "peer", a.Peer.String())
	}
	for _, option := range []struct {
		on   bool
		word string
	}{
		{a.Home, "home"},
		{a.Prefix.Addr().Is6() && !a.NoDAD, "-nodad"},
		{a.MngTmpAddr, "mngtmpaddr"},
		{a.NoPrefixRt, "noprefixroute"},
		{a.AutoJoin, "autojoin"},
	} {
		if option.on {
			words = append(words, option.word)
		}
	}
	if a.Prefix.Addr().Is6() {
		switch a.PreferredLft {
		case 0:
			words = append(words, "deprecated")
		case model.LifetimeForever:
			words = append(words, "preferred_lft", "forever")
		default:
			words = append(words, "preferred_lft", strconv.FormatUint(uint64(a.PreferredLft), 10))
		}
	}
	if a.NoTrack {
		words = append(words, "no_track")
	}
	return strings.Join(words, " ")
}

// prefix leaves out the length of a host prefix.
func prefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func scope(s uint8) string {
	switch s {
	case 0:
		return "global"
	case 200:
		return "site"
	case 253:
		return "link"
	case 254:
		return "host"
	case 255:
		return "nowhere"
	}
	return strconv.Itoa(int(s))
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return "(none)"
	}
	return a.String()
}

// epoch is t in seconds since 1970 with microseconds; the zero time is 0.
func epoch(t time.Time) string {
	if t.IsZero() {
		return "0.000000"
	}
	us := t.UnixMicro()
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
}

// moment is epoch with the local time beside it.
func moment(t time.Time) string {
	return epoch(t) + t.Local().Format(" (Mon Jan _2 15:04:05.000000 2006)")
}

// secs has no decimals if it needs none, else three.
func secs(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10)
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 3, 64)
}

// plain has as many decimals as it needs.
func plain(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// masterAdvertInt is our own interval until another one has been heard.
func (i *Instance) masterAdvertInt() time.Duration {
	if i.Master.AdvertInt != 0 {
		return i.Master.AdvertInt
	}
	return i.AdvertInt
}

func yesNo(b bool) string   { return choose(b, "yes", "no") }
func onOff(b bool) string   { return choose(b, "ON", "OFF") }
func enabled(b bool) string { return choose(b, "enabled", "disabled") }

func choose(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func track(t model.Track) string {
	return fmt.Sprintf("%d%s", t.Weight, choose(t.Reverse, " reverse", ""))
}
