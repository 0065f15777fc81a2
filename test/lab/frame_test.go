package lab

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	const eth, ip6mac = "01005e000012 020000000001 ", "333300000012 020000000001 "
	for _, c := range []struct{ name, in, want string }{
		{"v2 with a password", eth + "0800 45c0002c000100 00ff70 0000 0a010001 e0000012" +
			"2102c8020101d6f4 0a010066 0a010070 6162636465660000",
			`advert v2 10.1.0.1 > 224.0.0.18 vrid 2 prio 200 int 1s [10.1.0.102 10.1.0.112] auth 1 "abcdef"`},
		{"v3", eth + "0800 45c00020000100 00ff70 0000 0a010001 e0000012 3104c801003211ce 0a010068",
			`advert v3 10.1.0.1 > 224.0.0.18 vrid 4 prio 200 int 500ms [10.1.0.104]`},
		{"v3 padded to the Ethernet minimum", eth + "0800 45c00020000100 00ff70 0000 0a010001 e0000012 3104c801003211ce 0a010068 0000000000000000",
			`advert v3 10.1.0.1 > 224.0.0.18 vrid 4 prio 200 int 500ms [10.1.0.104]`},
		{"v3 over IPv6", ip6mac + "86dd 6c00000000 1870ff fe800000000000000000000000000001 ff020000000000000000000000000012" +
			"3105c80100640000 fe800000000000000000000000000005",
			`advert v3 fe80::1 > ff02::12 vrid 5 prio 200 int 1s [fe80::5]`},
		{"gratuitous ARP", "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a010064 ffffffffffff 0a010064",
			"garp op 1 10.1.0.100 is at 02:00:00:00:00:01"},
		{"ordinary ARP", "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a010001 ffffffffffff 0a010064", ""},
		{"truncated advert", eth + "0800 45c00020000100 00ff70 0000 0a010001 e0000012 3104c801", ""},
		{"empty", "", ""},
	} {
		raw, err := hex.DecodeString(strings.ReplaceAll(c.in, " ", ""))
		if err != nil {
			t.Fatal(c.name, err)
		}
		got := ""
		if f := (&Frame{}); f.decode(raw) {
			got = f.String()
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}
