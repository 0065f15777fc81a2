package model

import (
	"strconv"
	"strings"
)

// String is in the form of ip(8). Exporters take the first word as the address and the one after "dev" as the interface.
func (a *Address) String() string {
	w := words{hostOf(a.Prefix)}
	if a.Peer.IsValid() {
		w[0] = a.Prefix.Addr().String()
	}
	if a.Broadcast.IsValid() {
		w = append(w, "brd", a.Broadcast.String())
	}
	w = append(w, "dev", a.Interface)
	if a.UseVMAC {
		w = append(w, "use_vmac")
	}
	w = append(w, "scope", scope(a.Scope))
	if a.Label != "" {
		w = append(w, "label", a.Label)
	}
	if a.Peer.IsValid() {
		w = append(w, "peer", a.Peer.String())
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
			w = append(w, option.word)
		}
	}
	w.tail(a.NoTrack, a.TrackGroup)
	if a.Prefix.Addr().Is6() {
		switch a.PreferredLft {
		case 0:
			w = append(w, "deprecated")
		case LifetimeForever:
			w = append(w, "preferred_lft", "forever")
		default:
			w = append(w, "preferred_lft", strconv.FormatUint(uint64(a.PreferredLft), 10))
		}
	}
	return strings.Join(w, " ")
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
