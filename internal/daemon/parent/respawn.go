package parent

import "time"

const (
	respawnMax   = time.Minute
	respawnReset = time.Minute
)

// respawn is the schedule of restarts: at once, then, while the worker keeps dying within a minute, after 1, 2, 4, … at most
// 60 seconds.
type respawn struct{ next time.Duration }

// delay returns how long to wait before restarting a worker that ran for so long.
func (r *respawn) delay(ran time.Duration) time.Duration {
	if ran > respawnReset {
		r.next = 0
	}
	d := r.next
	r.next = min(max(2*d, time.Second), respawnMax)
	return d
}
