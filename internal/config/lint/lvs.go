package lint

import (
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// servers calls f for each real server.
func (s *subject) servers(f func(service, server)) {
	for _, v := range s.services {
		for _, r := range v.servers {
			f(v, r)
		}
	}
}

// checks calls f for each check of each real server.
func (s *subject) checks(f func(service, server, *model.Check)) {
	s.servers(func(v service, r server) {
		for i := range r.Checks {
			f(v, r, &r.Checks[i])
		}
	})
}

func serverUnchecked(s *subject) {
	s.servers(func(v service, r server) {
		if r.checkers == 0 {
			s.say(r.at, "real server %s of %s has no checker", r.Name(v.VirtualServer), v)
		}
	})
}

func checkSlow(s *subject) {
	s.checks(func(v service, r server, c *model.Check) {
		try := c.Conn.Timeout
		if c.Kind == model.MiscCheck {
			try = c.Misc.Timeout
		}
		n := min(time.Duration(c.Retry), 1000)
		if worst := try*(n+1) + c.DelayBeforeRetry*n; worst > c.DelayLoop {
			s.say(r.at, "%s of real server %s may take %v, delay_loop is %v", c.Kind, r.Name(v.VirtualServer), worst, c.DelayLoop)
		}
	})
}

func slowDetection(s *subject) {
	s.checks(func(v service, r server, c *model.Check) {
		if c.DelayLoop >= time.Minute {
			s.say(r.at, "%s of real server %s runs every %v", c.Kind, r.Name(v.VirtualServer), c.DelayLoop)
		}
	})
}

func retryWithoutDelay(s *subject) {
	s.checks(func(v service, r server, c *model.Check) {
		if c.Retry > 0 && c.DelayBeforeRetry == 0 {
			s.say(r.at, "%s of real server %s has %d retries and no delay between", c.Kind, r.Name(v.VirtualServer), c.Retry)
		}
	})
}

func tcpOfUDP(s *subject) {
	s.checks(func(v service, r server, c *model.Check) {
		if v.Protocol == model.UDP && c.Kind == model.TCPCheck && c.Conn.Dst.Port() == r.Port {
			s.say(r.at, "TCP_CHECK of the UDP server %s", r.Name(v.VirtualServer))
		}
	})
}

func checkScheme(s *subject) {
	s.checks(func(v service, r server, c *model.Check) {
		if port := c.Conn.Dst.Port(); c.Kind == model.SSLGet && port == 80 || c.Kind == model.HTTPGet && port == 443 {
			s.say(r.at, "%s of real server %s goes to port %d", c.Kind, r.Name(v.VirtualServer), port)
		}
	})
}

func weightsIgnored(s *subject) {
	for _, v := range s.services {
		differs := slices.ContainsFunc(v.Real, func(r model.RealServer) bool {
			return r.Weight != v.Real[0].Weight && r.Weight != 0 && v.Real[0].Weight != 0
		})
		if differs && (v.Scheduler == "rr" || v.Scheduler == "lc") {
			s.say(or(v.written.Scheduler.At, v.written.At), "%s: lb_algo %s takes no notice of weights", v, v.Scheduler)
		}
	}
}

func allZero(s *subject) {
	for _, v := range s.services {
		if !slices.ContainsFunc(v.Real, func(r model.RealServer) bool { return r.Weight > 0 }) {
			s.say(v.written.At, "%s: no server has a weight", v)
		}
	}
}

func sorryIsReal(s *subject) {
	for _, v := range s.services {
		if v.Sorry != nil && slices.ContainsFunc(v.Real, func(r model.RealServer) bool { return r.Addr == v.Sorry.Addr && r.Port == v.Sorry.Port }) {
			s.say(v.written.Sorry.At, "%s: the sorry server is a real server too", v)
		}
	}
}

func serverIsService(s *subject) {
	s.servers(func(v service, r server) {
		if v.Addr.IsValid() && r.Addr == v.Addr && r.Port == v.Port {
			s.say(r.at, "real server %s is the service itself", r.Name(v.VirtualServer))
		}
	})
}

func persistenceHash(s *subject) {
	for _, v := range s.services {
		if v.Persistence > 0 && slices.Contains([]string{"sh", "mh"}, v.Scheduler) {
			s.say(or(v.written.Persistence.At, v.written.At), "%s: persistence with lb_algo %s", v, v.Scheduler)
		}
	}
}

func thresholdOrder(s *subject) {
	s.servers(func(v service, r server) {
		if r.UThreshold > 0 && r.LThreshold >= r.UThreshold {
			s.say(r.at, "real server %s: uthreshold %d, lthreshold %d", r.Name(v.VirtualServer), r.UThreshold, r.LThreshold)
		}
	})
}
