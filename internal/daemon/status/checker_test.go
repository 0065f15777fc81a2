package status

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// The lines after the connection are those of keepalived 2.3.4.
func TestCheckerOptions(t *testing.T) {
	for _, c := range []struct {
		name  string
		check model.Check
		want  string
	}{
		{"mail", model.Check{Kind: model.SMTPCheck, SMTP: model.SMTPOpts{HELO: "tester"}}, `
   Keepalive method = SMTP_CHECK
   helo = tester`},
		{"names", model.Check{Kind: model.DNSCheck, DNS: model.DNSOpts{Type: model.DNSTypeA, Name: "host.example"}}, `
   Keepalive method = DNS_CHECK
   Type = A
   Name = host.example`},
		{"datagrams", model.Check{Kind: model.UDPCheck, UDP: &model.UDPOpts{Payload: []byte{1, 2, 3, 4}, NeedReply: true,
			Reply: []byte{1, 2, 3}, Mask: []byte{0xff, 0xf, 0xff}, Least: 2, Most: 255}}, `
   Keepalive method = UDP_CHECK
   Payload len = 4
   Require reply = yes
     Min reply length = 2
     Max reply length = 255
     Reply data len = 3
     Reply data mask = yes`},
		{"our own of a url", model.Check{Kind: model.SSLGet, TLS: &model.TLSOpts{Verify: true, Cert: "/c.pem", ExpiryWarning: 48 * time.Hour},
			HTTP: &model.HTTPOpts{Protocol: model.HTTP2, URLs: []model.URL{{Path: "/", Method: "PUT", Headers: []model.Secret{model.Secret("Authorization: secret")}, Body: model.Secret("secret"),
				JSON: true, JSONPath: []string{"a", "0"}, JSONExact: true, JSONValue: "b"}}}}, `
   Keepalive method = SSL_GET, http protocol 2
   Fast recovery unset
   Certificate verified by the authorities of the system
   Client certificate = /c.pem
   Certificate expiry warning = 2 days
   Checked url = /
     Method = PUT
     Header Authorization
     Body of 6 bytes
     JSON path = ["a" "0"] is "b"
     tls_compliant unset`},
		{"gRPC", model.Check{Kind: model.GRPCCheck, GRPC: &model.GRPCOpts{Service: "a.B", TLS: true}}, `
   Keepalive method = GRPC_CHECK
   Service = a.B
   TLS set`},
		{"no datagram wanted", model.Check{Kind: model.UDPCheck, UDP: &model.UDPOpts{}}, `
   Keepalive method = UDP_CHECK
   Payload specified = no
   Require reply = no`},
		{"pattern", model.Check{Kind: model.HTTPGet, HTTP: &model.HTTPOpts{Protocol: model.HTTP10, URLs: []model.URL{
			{Path: "/", Regex: "a.b", RegexOpts: []string{"caseless", "dotall"}, RegexMin: 3, RegexMax: 9, RegexNot: true}}}}, `
   Keepalive method = HTTP_GET, http protocol 1.0
   Fast recovery unset
   Checked url = /
     tls_compliant unset
     Regex = "a.b"
     Regex no match
     Regex min offset = 3, max_offset = 9
     Regex options: caseless dotall`},
	} {
		var b strings.Builder
		s := &Snapshot{Services: []Service{{VirtualServer: model.VirtualServer{Real: []model.RealServer{{Checks: []model.Check{c.check}}}}}}}
		if err := WriteCheckData(&b, s); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(b.String(), "Timeout = 0.000000")
		if d := cmp.Diff(strings.TrimSpace(c.want), strings.TrimSpace(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}
