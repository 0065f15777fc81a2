package engine

import "time"

// The kernel removes a leased address (vip_lease) unless its lifetime is set anew in time. The loop itself does that: when it hangs,
// so do the renewals, whatever the goroutines beside it are still able to do.

// renewals is how often in a lease it is renewed.
const renewals = 3

// armLease has the lease of a router renewed from now on, or not any more.
func (v *vrrpPart) armLease(now time.Time, r *router, owns bool) {
	at := time.Time{}
	if lease := r.m.Instance().Lease; owns && lease > 0 {
		at = now.Add(lease / renewals)
	}
	v.leases.Set(r.slot, at)
}

// expireLeases renews what is due. It comes after the routers' own timers: one that was paused for too long has given up its addresses by then.
func (v *vrrpPart) expireLeases(now time.Time) {
	for slot, ok := v.leases.Due(now); ok; slot, ok = v.leases.Due(now) {
		r := v.slots[slot]
		if r.ns.open {
			r.ns.lane.Renew(r.owner)
		}
		v.armLease(now, r, true)
	}
}
