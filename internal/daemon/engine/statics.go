package engine

import (
	"fmt"
	"reflect"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netlink"
)

// statics is what is known of static entries.
type statics struct {
	owned model.Objects
	waits bool // the lane has not settled
	made  int  // wishes so far
}

// staticOwner is the lane's name of them, which no router has.
const staticOwner = "static"

// ownStatics asks the lane for the static entries, or for none.
func (v *vrrpPart) ownStatics(o model.Objects) {
	s := &v.statics
	if s.owned.Empty() && o.Empty() {
		return
	}
	s.owned, s.waits = o, true
	s.made++
	made := s.made
	v.lane.Own(staticOwner, o, func(error) {
		if s.made == made {
			s.waits = false
			v.maybeEnd(time.Now())
		}
	})
}

func (v *vrrpPart) reloadStatics() {
	if !reflect.DeepEqual(v.statics.owned, v.conf.Statics) {
		v.ownStatics(v.conf.Statics)
	}
}

// linkStatics sets the static entries again that name a link which has come up.
func (v *vrrpPart) linkStatics(name string) {
	var on model.Objects
	for _, a := range v.statics.owned.Addresses {
		if a.Interface == name {
			on.Addresses = append(on.Addresses, a)
		}
	}
	if !on.Empty() {
		v.lane.Recheck(on)
	}
}

// static reports whether an address is a static one that is watched.
func (v *vrrpPart) static(a hostnet.Addr) bool {
	_, ok := v.staticAddress(a)
	return ok
}

func (v *vrrpPart) staticAddress(a hostnet.Addr) (*model.Address, bool) {
	l, _ := v.host.LinkAt(a.IfIndex)
	for i := range v.statics.owned.Addresses {
		if s := &v.statics.owned.Addresses[i]; !s.NoTrack && hostnet.KeyOf(*s) == a.Key(l.Name) {
			return s, true
		}
	}
	return nil, false
}

// restoreAddress puts a static address back and reports whether it is one.
func (v *vrrpPart) restoreAddress(a hostnet.Addr) bool {
	s, ok := v.staticAddress(a)
	if ok {
		v.log.Info(fmt.Sprintf("Restoring deleted static address %s set", s))
		v.lane.Recheck(model.Objects{Addresses: []model.Address{*s}})
	}
	return ok
}

// restoreRouting puts a static route or rule back, and returns it if it is one.
func (v *vrrpPart) restoreRouting(ev *hostnet.RoutingEvent) (string, bool) {
	o, ok := v.tracked(v.statics.owned, ev)
	if !ok {
		return "", false
	}
	v.log.Info(fmt.Sprintf("Restoring deleted static %s", name(o)))
	if o.Rule != nil {
		v.lane.Recheck(model.Objects{Rules: []model.Rule{*o.Rule}})
	} else {
		v.lane.Recheck(model.Objects{Routes: []model.Route{*o.Route}})
	}
	return name(o), true
}

// watchRouting begins to watch routes and rules when the configuration has the first.
func (v *vrrpPart) watchRouting() {
	some := func(o model.Objects) bool { return len(o.Routes)+len(o.Rules) > 0 }
	needed := some(v.conf.Statics)
	for i := range v.conf.Instances {
		needed = needed || some(v.conf.Instances[i].Objects())
	}
	if !needed || v.routing != nil {
		return
	}
	w, err := netlink.OpenRoutingWatch(v.lane, v.conf.MonitorRxBuf)
	if err != nil {
		v.log.Error(fmt.Sprintf("watch the kernel's routes and rules: %v", err))
		return
	}
	v.routing = w
	supervise(v.ctx, v.part, v.log, "routing watch", func() error {
		return w.Run(v.ctx, func(events []hostnet.RoutingEvent) {
			v.part.Post(func(now time.Time) { v.routed(now, events) })
		}, v.lane.Refresh)
	})
}
