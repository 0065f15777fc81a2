package config

import (
	"time"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
	"github.com/keepalived-go/keepalived-go/internal/config/source"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Safety is what instances have beyond keepalived; each setting has a default in global_defs.
type Safety struct {
	Lease            opt[time.Duration]
	StallGuard       opt[bool]
	ContentionRepeat opt[int]
}

// lease is the kind of vip_lease. The kernel counts lifetimes in whole seconds and removes an address up to a second late.
var lease = schema.Kind[time.Duration]{Usage: "<2-86400 seconds>", Parse: func(w []source.Word) (time.Duration, error) {
	return schema.WholeSeconds(2, 86400).Parse(w)
}}

// safetyRows are the keywords of Safety; prefix is that of their names in global_defs.
func safetyRows[T any](prefix string, of func(*T) *Safety) schema.Rows[T] {
	return schema.Rows[T]{
		schema.Inherited(prefix+"vip_lease", lease, func(t *T) *opt[time.Duration] { return &of(t).Lease },
			"Give virtual addresses this lifetime, renewed while master: the kernel removes them when the daemon was killed or hangs. Implies stall_guard.").Ours(),
		schema.Inherited(prefix+"stall_guard", schema.Bool, func(t *T) *opt[bool] { return &of(t).StallGuard },
			"After a pause of the daemon or machine listen before speaking: a master that was silent for so long that another must have "+
				"taken over becomes backup, a backup whose timer fires late waits for one more advert.").Ours(),
		schema.Inherited(prefix+"garp_contention_repeat", schema.Int(0, 1000), func(t *T) *opt[int] { return &of(t).ContentionRepeat },
			"Gratuitous ARPs for each address once a rival master has fallen silent; 0: none.").Ours(),
	}
}

// safety resolves what instances have beyond keepalived.
func (res *resolver) safety(i *Instance, out *model.Instance) {
	g := &res.c.Global.Safety
	out.Lease = pick(i.Lease, g.Lease).V
	guard := pick(i.StallGuard, g.StallGuard)
	if out.StallGuard = guard.V || out.Lease > 0; out.Lease > 0 && guard.IsSet() && !guard.V {
		res.r.Errorf(guard.At, "(%s) stall_guard cannot be off with vip_lease - ignoring", i.Name).Hint =
			"a master whose lease ran out while it was paused must not set its addresses again without listening"
	}
	out.GARP.ContentionRepeat = pick(i.ContentionRepeat, g.ContentionRepeat).V
	for _, list := range [][]model.Address{out.VIPs, out.ExcludedVIPs} {
		for k := range list {
			list[k].Lease = uint32(out.Lease / time.Second)
		}
	}
}
