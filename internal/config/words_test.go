package config

import (
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// The first word that is missing ends the test, with what was found before it.
func TestMissingWordEnds(t *testing.T) {
	const service = "virtual_server 192.0.2.200 80 {\nlvs_sched rr\nlvs_method NAT\nprotocol TCP\nsorry_server 192.0.2.203 80\n"
	for _, text := range []string{
		"virtual_server {\n}\n",
		"virtual_server_group {\n}\n",
		service + "sorry_server_lvs_method\n}\n",
		service + "real_server 192.0.2.201 80 {\nHTTP_GET {\nurl {\npath\n}\n}\n}\n}\n",
		"vrrp_instance A {\nfoo\npriority\nbar\n}\n",
	} {
		_, r := Load(oneFile(text), "k", Options{}, newFakeHost())
		all := r.All()
		if r.ExitCode() != source.ExitMissing || len(all) == 0 || all[len(all)-1].Class != source.MissingWord {
			t.Errorf("%s: exit code %d\n%s", text, r.ExitCode(), printed(r))
		}
		for _, d := range all {
			if strings.Contains(d.Text, "bar") {
				t.Errorf("%s: a finding after the end: %s", text, d)
			}
		}
	}
}
