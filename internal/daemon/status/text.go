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
func addresses(i *Instance, list []model.Address, set []bool) []string {
	out := make([]string, len(list))
	for k := range list {
		a := list[k]
		if l := i.VLinkOf(a.Interface); l != nil {
			a.Interface += "@" + l.Base
		}
		out[k] = a.String()
		if k < len(set) && set[k] {
			out[k] += " set"
			if !i.Accept {
				out[k] += " nftable_set"
			}
		}
	}
	return out
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
