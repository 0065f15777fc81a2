package notify

import (
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func programs(names ...string) (out []Delivery) {
	for _, n := range names {
		out = append(out, Delivery{Script: &model.Script{Args: []string{n}}})
	}
	return out
}

func name(d *Delivery) string {
	if d == nil {
		return "-"
	}
	return d.Script.Args[0]
}

// One program at a time, those of one state in order, and of states that came meanwhile only the last.
func TestSerial(t *testing.T) {
	var s Serial
	var got []string
	add := func(object string, state bool, names ...string) {
		got = append(got, name(s.Add(object, programs(names...), state)))
	}
	done := func(object string) { got = append(got, name(s.Done(object))) }
	add("a", true, "backup", "any backup") // starts
	add("b", true, "of another")           // starts beside it
	add("a", true, "master", "any master") // waits, and the rest of backup will never run
	add("a", false, "lower")
	add("a", true, "fault", "any fault") // in place of master
	done("a")                            // an event comes before the state that follows
	done("a")
	done("a")
	done("a") // nothing waits
	done("b")
	add("a", true, "backup")
	add("a", true)
	if want := "backup of another - - - lower fault any fault - - backup -"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", strings.Join(got, " "), want)
	}
	add("a", false, "lower")
	add("a", true, "stop")
	if rest := s.Rest("a"); len(rest) != 2 || name(&rest[1]) != "stop" {
		t.Errorf("rest %v", rest)
	}
	for range 100 {
		add("flood", false, "lower")
	}
	if n := len(s.Rest("flood")); n != maxOthers {
		t.Errorf("%d wait", n)
	}
}
