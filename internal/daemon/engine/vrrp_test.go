package engine

import (
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// The start-up delay counts from the daemon's start, vrrp_delay_after_boot from the machine's; the later end is it.
func TestDelayEnd(t *testing.T) {
	boot := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	began := boot.Add(20 * time.Second)
	now := began.Add(5 * time.Second)
	for name, c := range map[string]struct {
		startup, afterBoot time.Duration
		want               time.Time
	}{
		"none":                                {0, 0, time.Time{}},
		"V-A16 of the start":                  {10 * time.Second, 0, began.Add(10 * time.Second)},
		"of the start, over":                  {5 * time.Second, 0, time.Time{}},
		"V-A16 after boot":                    {0, time.Minute, boot.Add(time.Minute)},
		"after boot, over":                    {0, 25 * time.Second, time.Time{}},
		"both, after boot is later":           {10 * time.Second, time.Minute, boot.Add(time.Minute)},
		"both, the start's is later":          {time.Minute, 30 * time.Second, began.Add(time.Minute)},
		"both, that after boot is over":       {10 * time.Second, 2 * time.Second, began.Add(10 * time.Second)},
		"both, the start's is over, not both": {time.Second, 30 * time.Second, boot.Add(30 * time.Second)},
	} {
		if got := delayEnd(&model.VRRP{StartupDelay: c.startup, DelayAfterBoot: c.afterBoot}, began, boot, now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A flood leaves a burst of lines and then a few a second; how many were left out is told once; and it is forgotten.
func TestAllowance(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var l allowance
	taken, refused, told := 0, 0, 0
	for range 10_000 { // of 10 s
		ok, left := l.take(now)
		if ok {
			taken++
		} else {
			refused++
		}
		told += left
		now = now.Add(time.Millisecond)
	}
	if want := linesBurst + 10*linesPerSec; taken < want-1 || taken > want+1 {
		t.Errorf("%d lines, want %d", taken, want)
	}
	now = now.Add(time.Hour)
	_, left := l.take(now)
	if told += left; told != refused {
		t.Errorf("%d lines were left out, %d were told of", refused, told)
	}
	for range linesBurst - 1 {
		if ok, _ := l.take(now); !ok {
			t.Fatal("the burst is less than it was")
		}
	}
	if ok, _ := l.take(now); ok {
		t.Error("the burst is more than it was")
	}
}
