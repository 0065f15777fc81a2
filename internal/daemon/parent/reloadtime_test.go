package parent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseReloadTime(t *testing.T) {
	zone := time.FixedZone("there", 2*3600)
	now := time.Date(2026, 11, 21, 15, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"15:30:01":             "2026-11-21 15:30:01",
		"15:30:00":             "2026-11-22 15:30:00", // now is over
		"08:00:00":             "2026-11-22 08:00:00",
		"14:00:00Z":            "2026-11-21 16:00:00",
		"2027-01-02 03:04:05":  "2027-01-02 03:04:05",
		"27-01-02 03:04:05Z":   "2027-01-02 05:04:05",
		"2026-11-21 15:29:59":  "2026-11-21 15:29:59", // look says that it is in the past
		"25:00:00":             "",
		"2026-13-01 00:00:00":  "",
		"tomorrow":             "",
		"2026-11-22":           "",
		"15:30:01 and no more": "",
	} {
		at, _, err := parseReloadTime(text, now)
		got := ""
		if err == nil {
			got = at.Format(time.DateTime)
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestReloadTimeFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "when")
	now := time.Date(2026, 11, 21, 15, 30, 0, 0, time.Local)
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var r reloadTime
	look := func(after time.Duration, repeat, wantDue bool, want ...string) {
		t.Helper()
		due, lines := r.look(now.Add(after), file, repeat)
		if due != wantDue || strings.Join(lines, "|") != strings.Join(want, "|") {
			t.Errorf("after %v: due %v, %q; want %v, %q", after, due, lines, wantDue, want)
		}
	}
	look(0, true, false)
	write("15:30:10\nanother line\n")
	look(1*time.Second, true, false, "Scheduling reload for 2026-11-21 15:30:10")
	look(9*time.Second, true, false)
	look(10*time.Second, true, true, "Scheduling reload for 2026-11-22 15:30:10")
	look(11*time.Second, true, false)
	write("nonsense")
	look(12*time.Second, true, false, "Cancelling reload scheduled for 2026-11-22 15:30:10",
		"Reload date/time nonsense invalid - ignoring", "Invalid reload time 'nonsense' specified - ignoring")
	look(13*time.Second, true, false)
	write("2020-01-01 00:00:00")
	look(14*time.Second, true, false, "Reload time 2020-01-01 00:00:00 is in the past - ignoring", "Reload date/time is in the past - ignoring")
	write("2026-11-21 15:31:00")
	look(15*time.Second, true, false, "Scheduling reload for 2026-11-21 15:31:00")
	look(61*time.Second, true, true) // with a date: once
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	write("15:32:00")
	look(62*time.Second, false, false, "Scheduling reload for 2026-11-21 15:32:00")
	os.Remove(file)
	look(63*time.Second, false, false, "Cancelling reload scheduled for 2026-11-21 15:32:00")
	look(121*time.Second, false, false)
}
