package engine

import (
	"testing"
	"time"
)

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
