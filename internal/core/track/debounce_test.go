package track

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// TestDebounce plays changes of eth0, whose delays are 1.5 s down and 0.5 s up. A step is "time event"; what the trackers come to
// know, and what is logged, is in want as "time: …".
func TestDebounce(t *testing.T) {
	const down, up = "eth0: Adding flags change from 0x11043 to 0x1002 delay by 1500000", "eth0: Adding flags change from 0x1002 to 0x11043 delay by 500000"
	for _, tt := range []struct{ name, steps, want string }{
		{"the first state counts at once", "0 down, 1 up, 1.6 -", "1: " + up + ", 1.5: up"},
		{"long enough", "0 up, 1 down, 3 -, 4 up, 5 -", "0: up, 1: " + down + ", 2.5: down, 4: " + up + ", 4.5: up"},
		{"a flap is not seen", "0 up, 1 down, 2.4 up, 9 -", "0: up, 1: " + down},
		{"the delay begins anew after a flap", "0 up, 1 down, 2 up, 2.1 down, 3.5 -, 4 -", "0: up, 1: " + down + ", 2.1: " + down + ", 3.6: down"},
		{"other changes do not prolong it", "0 up, 1 down, 2 down, 3 -", "0: up, 1: " + down + ", 2.5: down"},
		{"a link that vanishes is not waited for", "0 up, 1 down, 1.2 gone, 9 -, 10 up", "0: up, 1: " + down + ", 1.2: gone, 10: up"},
		{"without delays", "0 up, 0.5 delays=0, 1 down, 2 up", "0: up, 1: down, 2: up"},
		{"shorter delays in a reload count from then", "0 up, 1 down, 1.1 delays=0.2, 3 -", "0: up, 1: " + down + ", 1.3: down"},
		{"longer delays in a reload do not prolong what waits", "0 up, 1 down, 1.1 delays=9, 3 -", "0: up, 1: " + down + ", 2.5: down"},
		{"no delays in a reload: at once", "0 up, 1 down, 1.1 delays=0, 1.1 -", "0: up, 1: " + down + ", 1.1: down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
			d := NewDebounce([]model.Debounce{{Interface: "eth0", Down: 1500 * time.Millisecond, Up: 500 * time.Millisecond}})
			var got []string
			note := func(now time.Time, what string) {
				got = append(got, fmt.Sprintf("%v: %s", now.Sub(start).Seconds(), what))
			}
			state := func() string { return map[bool]string{true: "up", false: "down"}[d.Up("eth0")] }
			for _, text := range strings.Split(tt.steps, ", ") {
				f := strings.Fields(text)
				at, _ := strconv.ParseFloat(f[0], 64)
				now := start.Add(time.Duration(at * float64(time.Second)).Round(time.Millisecond))
				expire := func() {
					for next := d.Deadline(); !next.IsZero() && !next.After(now); next = d.Deadline() {
						if name, ok := d.Due(next); ok && name == "eth0" {
							note(next, state())
						} else {
							t.Fatalf("at its deadline nothing is due")
						}
					}
				}
				expire()
				what, v, _ := strings.Cut(f[1], "=")
				switch what {
				case "up", "down":
					flags := map[string]uint32{"up": 0x11043, "down": 0x1002}[what]
					changed, line := d.Link(now, "eth0", what == "up", flags)
					if changed {
						note(now, state())
					}
					if line != "" {
						note(now, line)
					}
				case "gone":
					d.Gone("eth0")
					note(now, "gone")
				case "delays":
					s, _ := strconv.ParseFloat(v, 64)
					delay := time.Duration(s * float64(time.Second))
					d.Reconfigure(now, []model.Debounce{{Interface: "eth0", Down: delay, Up: delay}})
				}
				if d.Waiting("eth0") != !d.Deadline().IsZero() {
					t.Errorf("at %v: waiting %v, deadline %v", at, d.Waiting("eth0"), d.Deadline())
				}
				if what == "-" {
					expire()
				}
			}
			if g := strings.Join(got, ", "); g != tt.want {
				t.Errorf("\n got %s\nwant %s", g, tt.want)
			}
		})
	}
}
