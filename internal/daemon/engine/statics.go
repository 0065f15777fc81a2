package engine

import (
	"context"
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
func (ns *namespace) ownStatics(o model.Objects) {
	s := &ns.statics
	if s.owned.Empty() && o.Empty() {
		return
	}
	s.owned, s.waits = o, true
	s.made++
	made := s.made
	ns.lane.Own(staticOwner, o, func(error) {
		if s.made == made {
			s.waits = false
			ns.maybeEnd(time.Now())
		}
	})
}

func (ns *namespace) reloadStatics() {
	if !reflect.DeepEqual(ns.statics.owned, ns.conf.Statics) {
		ns.ownStatics(ns.conf.Statics)
	}
}

// linkStatics sets the static entries again that name a link which has come up.
func (ns *namespace) linkStatics(name string) {
	var on model.Objects
	for _, a := range ns.statics.owned.Addresses {
		if a.Interface == name {
			on.Addresses = append(on.Addresses, a)
		}
	}
	if !on.Empty() {
		ns.lane.Recheck(on)
	}
}

// static reports whether an address is a static one that is watched.
func (ns *namespace) static(a hostnet.Addr) bool {
	_, ok := ns.staticAddress(a)
	return ok
}

func (ns *namespace) staticAddress(a hostnet.Addr) (*model.Address, bool) {
	l, _ := ns.host.LinkAt(a.IfIndex)
	for i := range ns.statics.owned.Addresses {
		if s := &ns.statics.owned.Addresses[i]; !s.NoTrack && hostnet.KeyOf(*s) == a.Key(l.Name) {
			return s, true
		}
	}
	return nil, false
}

// restoreAddress puts a static address back and reports whether it is one.
func (ns *namespace) restoreAddress(a hostnet.Addr) bool {
	s, ok := ns.staticAddress(a)
	if ok {
		ns.log.Info(fmt.Sprintf("Restoring deleted static address %s set", s))
		ns.lane.Recheck(model.Objects{Addresses: []model.Address{*s}})
	}
	return ok
}

// restoreRouting puts a static route or rule back, and returns it if it is one.
func (ns *namespace) restoreRouting(ev *hostnet.RoutingEvent) (string, bool) {
	o, ok := ns.tracked(ns.statics.owned, ev)
	if !ok {
		return "", false
	}
	ns.log.Info(fmt.Sprintf("Restoring deleted static %s", name(o)))
	if o.Rule != nil {
		ns.lane.Recheck(model.Objects{Rules: []model.Rule{*o.Rule}})
	} else {
		ns.lane.Recheck(model.Objects{Routes: []model.Route{*o.Route}})
	}
	return name(o), true
}

// watchRouting begins to watch routes and rules when the configuration has the first.
func (ns *namespace) watchRouting() {
	some := func(o model.Objects) bool { return len(o.Routes)+len(o.Rules) > 0 }
	needed := some(ns.conf.Statics)
	for i := range ns.conf.Instances {
		needed = needed || some(ns.conf.Instances[i].Objects())
	}
	if !needed || ns.routing != nil {
		return
	}
	var w *netlink.RoutingWatch
	err := ns.space.Do(func() (err error) {
		w, err = netlink.OpenRoutingWatch(ns.lane, ns.conf.MonitorRxBuf, ns.space)
		return err
	})
	if err != nil {
		ns.log.Error(fmt.Sprintf("watch the kernel's routes and rules: %v", err))
		return
	}
	ns.routing = w
	post, lane := ns.poster(), ns.lane
	ns.serve("routing watch", func(ctx context.Context) error {
		return w.Run(ctx, func(events []hostnet.RoutingEvent) { post(func() { ns.routed(time.Now(), events) }) }, lane.Refresh)
	}, w.Close)
}
