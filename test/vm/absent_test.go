package vm

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/ipvs"
)

// Without IPVS in the kernel VRRP does its work and the log says what is missing; when IPVS comes the table is filled. This test is
// the first, as the others load the module for good.
func TestWithoutIPVS(t *testing.T) { t.Run("L-A19", testWithoutIPVS) }

func testWithoutIPVS(t *testing.T) {
	s := newSite(t)
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		t.Skip("IPVS is loaded already")
	}
	const forbid = "/etc/modprobe.d/no-ip_vs.conf"
	if err := os.WriteFile(forbid, []byte("install ip_vs /bin/false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(forbid)
	if k, err := ipvs.Open(s.path(), model.RxBuf{}); !errors.Is(err, ipvs.ErrUnavailable) {
		t.Fatalf("Open gives %v, %v, want %v", k, err, ipvs.ErrUnavailable)
	}
	program := os.Getenv("KEEPALIVED_GO")
	if program == "" {
		t.Skip("no daemon to test: KEEPALIVED_GO is not set")
	}
	s.ip("link add eth0 type veth peer name eth1")
	s.ip("addr add 10.1.0.2/24 dev eth0")
	s.ip("link set eth0 up")
	s.ip("link set eth1 up")
	t.Run("L-A20 no virtual server", func(t *testing.T) {
		idle := newRig(newSite(t), true)
		idle.router()
		idle.raw(vrrpInstance)
		idle.start(program)
		idle.logged("Startup complete")
		wait(t, soon, "the router is master", func() bool { return strings.Contains(idle.run("ip addr show eth0"), "10.7.7.9") })
		idle.stop()
		if strings.Contains(idle.log.String(), "IPVS: ") {
			t.Errorf("IPVS is spoken of:\n%s", idle.log)
		}
	})
	r := newRig(s, true)
	r.config(vs(" real_server 127.0.0.11 80 {\n}") + `
vrrp_instance V {
  interface eth0
  virtual_router_id 51
  priority 200
  advert_int 1
  virtual_ipaddress {
    10.1.0.1/24
  }
}
`)
	r.start(program)
	wait(t, 3*soon, "the router is master", func() bool { return strings.Contains(s.run("ip addr show eth0"), "10.1.0.1/24") })
	wait(t, 3*soon, "the log says what is missing", func() bool {
		return strings.Contains(r.log.String(), "IPVS: Can't initialize ipvs: the kernel has no IPVS")
	})
	if err := os.Remove(forbid); err != nil {
		t.Fatal(err)
	}
	wait(t, 12*soon, "IPVS is found", func() bool { _, err := os.Stat("/proc/net/ip_vs"); return err == nil })
	r.becomes(soon, `
		-A -t 127.0.0.10:80 -s wrr
		-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1`)
}
