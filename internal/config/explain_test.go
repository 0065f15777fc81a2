package config

import (
	"os"
	"strings"
	"testing"
)

// TestKeywordsDocument fails when docs/keywords.md is not what the tables say; -update writes it.
func TestKeywordsDocument(t *testing.T) {
	var b strings.Builder
	if err := WriteKeywords(&b); err != nil {
		t.Fatal(err)
	}
	const name = "../../docs/keywords.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != b.String() {
		t.Errorf("%s is not up to date, %v: run go test ./internal/config -run KeywordsDocument -update", name, err)
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		name, want, instead string
	}{
		{"advert_int", "advert_int <0.01-255 seconds>\n    meaning:  Interval of adverts.\n    in:       vrrp_instance\n    default:  1\n", ""},
		{"vrrp_instance/priority", "priority <1-255>\n    meaning:  Priority in the election; 255 means that this router owns the addresses.\n" +
			"    in:       vrrp_instance\n    default:  100\n", ""},
		{"prioritty", "", "priority"},
		{"nothing_like_it", "", ""},
		{"virtual_server/priority", "", "priority"},
	} {
		var b strings.Builder
		known, instead, err := Explain(&b, c.name)
		if err != nil || known != (c.want != "") || instead != c.instead || b.String() != c.want {
			t.Errorf("%s: known %v, instead %q, %v\n%s", c.name, known, instead, err, b.String())
		}
	}
	for _, c := range []struct{ name, part string }{
		{"lvs_sched", "same as:  lb_algo"}, {"weight", "in:       virtual_server/real_server"}, {"global_tracking", "instead:  track_* in the sync group"},
		{"nocsum", "word of:"}, {"virtual_server", "in:       (root)"},
	} {
		var b strings.Builder
		if known, _, err := Explain(&b, c.name); !known || err != nil || !strings.Contains(b.String(), c.part) {
			t.Errorf("%s lacks %q:\n%s", c.name, c.part, b.String())
		}
	}
	// Every keyword is explained.
	for _, e := range explainedAll() {
		var b strings.Builder
		if known, _, _ := Explain(&b, e.Blocks[0]+"/"+e.Name); !known && !strings.Contains(e.Name, "/") {
			t.Errorf("%s of %s is not known", e.Name, e.Blocks[0])
		}
	}
}
