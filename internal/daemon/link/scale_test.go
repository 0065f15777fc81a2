package link

import (
	"net/netip"
	"testing"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

func farm() *model.Model {
	m := &model.Model{}
	n := 0
	for i := range 2277 {
		v := model.VirtualServer{Addr: netip.AddrFrom4([4]byte{10, 32, byte(i >> 8), byte(i)}), Port: 80, Protocol: model.TCP, Family: model.IPv4, Scheduler: "rr", Quorum: 1}
		for range 16 {
			n++
			a := netip.AddrFrom4([4]byte{10, 48 + byte(n>>16), byte(n >> 8), byte(n)})
			v.Real = append(v.Real, model.RealServer{Addr: a, Port: 8080, Weight: 1, SMTPAlert: true, Checks: []model.Check{{Kind: model.TCPCheck, Retry: 1,
				DelayLoop: time.Minute, DelayBeforeRetry: time.Second, Warmup: time.Minute, Conn: model.Connect{Dst: netip.AddrPortFrom(a, 8080), Timeout: 2 * time.Second}}}})
		}
		m.LVS.Services = append(m.LVS.Services, v)
	}
	return m
}

func BenchmarkFarm(b *testing.B) {
	m := farm()
	e, err := Encode(m)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d bytes", len(e))
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			Encode(m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			e.Decode()
		}
	})
	n, _ := e.Decode()
	b.Run("diff", func(b *testing.B) {
		for b.Loop() {
			model.Diff(m, n)
		}
	})
}
