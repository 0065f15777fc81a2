package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// command is how keepalived shows a script: each word quoted.
func command(s *model.Script) string {
	if s == nil {
		return ""
	}
	words := make([]string, len(s.Args))
	for i, a := range s.Args {
		words[i] = "'" + a + "'"
	}
	return strings.Join(words, " ")
}

// addresses shows list, of which the first len(set) addresses are in the kernel where set says so.
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

// address is in the form of ip(8); exporters take the first word as the address and what follows "dev" as the interface.
func address(a *model.Address) string {
	var b strings.Builder
	b.WriteString(prefix(a))
	if a.Peer.IsValid() {
		fmt.Fprintf(&b, " peer %s", a.Peer)
	}
	if a.Broadcast.IsValid() {
		fmt.Fprintf(&b, " brd %s", a.Broadcast)
	}
	fmt.Fprintf(&b, " dev %s scope %s", a.Interface, scope(a.Scope))
	if a.Label != "" {
		fmt.Fprintf(&b, " label %s", a.Label)
	}
	if a.Prefix.Addr().Is6() {
		switch a.PreferredLft {
		case 0:
			b.WriteString(" deprecated")
		case model.LifetimeForever:
			b.WriteString(" preferred_lft forever")
		default:
			fmt.Fprintf(&b, " preferred_lft %d", a.PreferredLft)
		}
	}
	return b.String()
}

// prefix leaves out the length of a host prefix.
func prefix(a *model.Address) string {
	if a.Prefix.IsSingleIP() {
		return a.Prefix.Addr().String()
	}
	return a.Prefix.String()
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
	return fmt.Sprint(s)
}

// epoch is a time as seconds since 1970 with microseconds; the zero time is 0.
func epoch(t time.Time) string {
	if t.IsZero() {
		return "0.000000"
	}
	us := t.UnixMicro()
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
}

func (i *Instance) masterAdvertInt() time.Duration {
	if i.Master.AdvertInt != 0 {
		return i.Master.AdvertInt
	}
	return i.AdvertInt
}
