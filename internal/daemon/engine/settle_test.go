package engine

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Late timers raise the priority one step each, up to max_auto_priority, and no other timers do.
func TestAutoPriority(t *testing.T) {
	var set []int
	l := newLateness(slog.New(slog.DiscardHandler), &model.Process{MaxAutoPriority: 7, AutoPriorityDelay: time.Second}, model.Scheduling{RTPriority: 4})
	l.set = func(p int) error { set = append(set, p); return nil }
	for _, late := range []time.Duration{0, 999 * time.Millisecond, time.Second, 0, 2 * time.Second, time.Hour, time.Hour} {
		l.timer(late)
	}
	if !slices.Equal(set, []int{5, 6, 7}) {
		t.Errorf("priorities %v", set)
	}

	set = nil
	l.max, l.set = 99, func(p int) error { set = append(set, p); return errors.New("not permitted") }
	l.timer(time.Hour)
	l.timer(time.Hour)
	if !slices.Equal(set, []int{8}) {
		t.Errorf("refused, it was tried again: %v", set)
	}

	for _, off := range []int{0, -1} {
		l = newLateness(slog.New(slog.DiscardHandler), &model.Process{MaxAutoPriority: off, AutoPriorityDelay: time.Second}, model.Scheduling{})
		l.set = func(int) error { t.Error("a priority was set although there is to be none"); return nil }
		l.timer(time.Hour)
	}
}
