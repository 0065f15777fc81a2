package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/watch"
)

// linkbeats are the interfaces whose link is polled, instead of trusting the kernel's notifications.
type linkbeats struct {
	polls []model.Linkbeat
	up    map[string]bool
	used  map[string]model.LinkMethod
	stop  context.CancelFunc // nil: none is polled
}

// pollLinks begins to poll what the configuration names, with linkbeat_use_polling all interfaces that something depends on.
func (ns *namespace) pollLinks() {
	polls := slices.Clone(ns.conf.Linkbeat)
	if ns.conf.LinkbeatAll {
		names := ns.track.Links(ns.name)
		for i := range ns.conf.Instances {
			names = append(names, ns.conf.Instances[i].Interface)
		}
		for _, name := range names {
			if name != "" && !slices.ContainsFunc(polls, func(p model.Linkbeat) bool { return p.Interface == name }) {
				polls = append(polls, model.Linkbeat{Interface: name})
			}
		}
	}
	b := &ns.beats
	if reflect.DeepEqual(polls, b.polls) {
		return
	}
	if b.stop != nil {
		b.stop()
	}
	*b = linkbeats{polls: polls, up: map[string]bool{}, used: map[string]model.LinkMethod{}}
	if len(polls) == 0 {
		return
	}
	var beats *watch.Beats
	err := ns.space.Do(func() (err error) { beats, err = watch.OpenBeats(); return err })
	if err != nil {
		ns.log.Error(err.Error())
		return
	}
	registers := false
	for i := range polls {
		p := &polls[i]
		up, used, err := beats.Ask(p.Interface, p.By)
		if err != nil && !errors.Is(err, unix.ENODEV) && p.By != model.LinkAuto {
			up, used, err = beats.Ask(p.Interface, model.LinkAuto)
			if err == nil {
				ns.log.Info(fmt.Sprintf("(%s): Configured linkbeat type %s not supported, using %s", p.Interface, p.By, used))
			}
		}
		b.up[p.Interface], b.used[p.Interface] = err == nil && up, used
		registers = registers || used == model.LinkMII || used == model.LinkEthtool
	}
	if registers {
		ns.log.Info("Using MII-BMSR/ETHTOOL NIC polling thread(s)...")
	}
	ctx, stop := context.WithCancel(ns.ctx)
	b.stop = stop
	supervise(ctx, ns.part, ns.log, "link polling", func() error {
		err := beats.Run(ctx, polls, func(name string, up bool) {
			ns.part.Post(func(now time.Time) {
				if ctx.Err() == nil && ns.running {
					ns.beat(now, name, up)
				}
			})
		})
		if ctx.Err() != nil {
			beats.Close()
		}
		return err
	})
}

// beat takes over what polling saw.
func (ns *namespace) beat(now time.Time, name string, up bool) {
	ns.beats.up[name] = up
	if l, ok := ns.host.Link(name); ok {
		ns.linkState(now, l, true)
		ns.flush(now)
	}
}

// linkUp reports whether a link is up, as polling sees it if it is polled.
func (ns *namespace) linkUp(l hostnet.Link) bool {
	if up, polled := ns.beats.up[l.Name]; polled {
		return up
	}
	return l.Up()
}
