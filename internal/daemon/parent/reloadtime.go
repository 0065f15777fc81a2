package parent

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// reloadTime watches the file of reload_time_file (cli.md §3). Its first line is a time: HH:MM:SS, today or tomorrow, or the same after
// YY-MM-DD or YYYY-MM-DD; a Z at the end means UTC, otherwise it is local time.
//
// Differs from keepalived: the file is looked at every second, not at each of its changes.
type reloadTime struct {
	file  string
	was   string    // its first line when last looked at
	at    time.Time // zero: no reload is scheduled
	dated bool
}

const scheduleLayout = time.DateTime

// look reports whether a reload is due, and what is to be logged. A file without a date stays if repeat is set, otherwise the file is
// removed at its time.
func (r *reloadTime) look(now time.Time, file string, repeat bool) (due bool, lines []string) {
	line := firstLine(file)
	if file != r.file || line != r.was {
		if !r.at.IsZero() {
			lines = append(lines, "Cancelling reload scheduled for "+r.at.Format(scheduleLayout))
		}
		*r = reloadTime{file: file, was: line}
		if line != "" {
			lines = append(lines, r.schedule(now)...)
		}
	}
	if r.at.IsZero() || now.Before(r.at) {
		return false, lines
	}
	switch {
	case repeat && !r.dated:
		lines = append(lines, r.schedule(now)...)
	default:
		if err := os.Remove(r.file); err != nil {
			lines = append(lines, fmt.Sprintf("Cannot remove the file of the reload time: %v", err))
		}
		*r = reloadTime{file: file} // if it is there again, it is another one
		if line := firstLine(file); line != "" {
			r.was = line // it could not be removed: once is enough
		}
	}
	return true, lines
}

func (r *reloadTime) schedule(now time.Time) []string {
	at, dated, err := parseReloadTime(r.was, now)
	r.at, r.dated = at, dated
	if err != nil {
		r.at = time.Time{}
		return []string{err.Error(), fmt.Sprintf("Invalid reload time '%s' specified - ignoring", r.was)}
	}
	if dated && !at.After(now) {
		r.at = time.Time{}
		return []string{fmt.Sprintf("Reload time %s is in the past - ignoring", at.Format(scheduleLayout)), "Reload date/time is in the past - ignoring"}
	}
	return []string{"Scheduling reload for " + at.Format(scheduleLayout)}
}

// parseReloadTime returns the moment that text means, which without a date is after now.
func parseReloadTime(text string, now time.Time) (at time.Time, dated bool, err error) {
	zone := now.Location()
	s, utc := strings.CutSuffix(strings.TrimSpace(text), "Z")
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{time.DateTime, "06-01-02 15:04:05"} {
		if at, err := time.ParseInLocation(layout, s, zone); err == nil {
			return at.In(now.Location()), true, nil
		}
	}
	clock, err := time.ParseInLocation(time.TimeOnly, s, zone)
	if err != nil {
		//lint:ignore ST1005 keepalived's line
		return at, false, fmt.Errorf("Reload date/time %s invalid - ignoring", text)
	}
	there := now.In(zone)
	at = time.Date(there.Year(), there.Month(), there.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0, zone)
	if !at.After(now) {
		at = at.AddDate(0, 0, 1)
	}
	return at.In(now.Location()), false, nil
}

// firstLine is that of the file, "" if there is none. A line is no longer than a page.
func firstLine(file string) string {
	if file == "" {
		return ""
	}
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 0, 256), 4096)
	in.Scan()
	return strings.TrimSpace(in.Text())
}
