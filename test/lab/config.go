package lab

import (
	"fmt"
	"strings"
	"time"
)

// Instance is a vrrp_instance to write into a configuration. The zero value, but for Priority, is VRID 51, version 3,
// 0.2 s, on eth0, with 10.1.0.100/24.
type Instance struct {
	Name      string
	Interface string
	VRID      int
	Version   int
	Interval  time.Duration
	Priority  int
	VIPs      string // parted by blanks
	Lines     string // more of it
}

// WithDefaults fills in what zero values mean.
func (i Instance) WithDefaults() Instance {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&i.Name, "VI_1")
	set(&i.Interface, "eth0")
	set(&i.VIPs, "10.1.0.100/24")
	if i.VRID == 0 {
		i.VRID = 51
	}
	if i.Version == 0 {
		i.Version = 3
	}
	if i.Interval == 0 {
		i.Interval = 200 * time.Millisecond
	}
	return i
}

func (i Instance) String() string {
	i = i.WithDefaults()
	return fmt.Sprintf("vrrp_instance %s {\n  interface %s\n  virtual_router_id %d\n  priority %d\n  version %d\n  advert_int %v\n"+
		"  virtual_ipaddress {\n    %s\n  }\n  %s\n}\n",
		i.Name, i.Interface, i.VRID, i.Priority, i.Version, i.Interval.Seconds(),
		strings.ReplaceAll(i.VIPs, " ", "\n    "), strings.ReplaceAll(i.Lines, "\n", "\n  "))
}

// Skew is the skew time (RFC 5798 section 6.1; RFC 3768 counts it in seconds whatever the interval).
func (i Instance) Skew() time.Duration {
	i = i.WithDefaults()
	unit := i.Interval
	if i.Version == 2 {
		unit = time.Second
	}
	return unit * time.Duration(256-i.Priority) / 256
}

// Down is the master down interval: three intervals and the skew time.
func (i Instance) Down() time.Duration { return 3*i.WithDefaults().Interval + i.Skew() }

// Config writes a configuration of global definitions that keep scripts quiet, and the parts.
func Config(parts ...any) string {
	return "global_defs {\n  script_user root\n  enable_script_security\n}\n" + fmt.Sprint(parts...)
}
