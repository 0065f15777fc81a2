package check

import (
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// noURL as the failed url means that none is known to fail.
const noURL = -1

// webState is where HTTP_GET and SSL_GET are in their list of urls: one url is fetched per tick, and all of them make one run.
type webState struct {
	url    int     // next to be fetched
	failed int     // while down: the only one that is fetched until it succeeds; else noURL
	shifts []int64 // by url: the last difference in length that was told
}

func newWebState(c *model.Check) webState {
	w := webState{failed: noURL}
	if isWeb(c) {
		w.shifts = make([]int64, len(c.HTTP.URLs))
	}
	return w
}

// webOK is the success of one url. While down the failed url only earns a new run over all urls, so that even with one url
// recovery takes two successes.
func (m *Monitor) webOK(now time.Time, out []Action) []Action {
	w := &m.web
	if !m.up {
		u := &m.spec.HTTP.URLs[w.url]
		if u.Regex != "" {
			out = m.say(out, "Regex match success to %s url(%s)", m.on.Server, u.Path)
		} else if u.Digest != nil {
			out = m.say(out, "MD5 digest success to %s url(%s)", m.on.Server, u.Path)
		} else {
			out = m.say(out, "HTTP status code success to %s url(%s)", m.on.Server, u.Path)
		}
	}
	switch {
	case w.failed != noURL:
		w.failed, w.url = noURL, 0
	case w.url+1 < len(m.spec.HTTP.URLs):
		w.url++
		m.failures = 0
	default:
		w.url = 0
		m.wait(now.Add(m.spec.DelayLoop))
		return m.succeed(out)
	}
	delay := m.spec.DelayLoop
	if m.spec.HTTP.FastRecovery && !(m.up && m.hasRun) {
		delay = 0
	}
	m.wait(now.Add(delay))
	return out
}

// webFailed notes the url which failed and returns the delay until it is fetched again; other checkers get delay back.
func (m *Monitor) webFailed(delay time.Duration) time.Duration {
	if !isWeb(m.spec) {
		return delay
	}
	m.web.failed = m.web.url
	return max(delay, m.spec.DelayBeforeRetry)
}

// expiry says once a day that the server's certificate ends soon.
func (m *Monitor) expiry(now time.Time, r *Result, out []Action) []Action {
	if r.Expires == 0 || !m.expiryTold.IsZero() && now.Sub(m.expiryTold) < 24*time.Hour {
		return out
	}
	m.expiryTold = now
	left := time.Unix(r.Expires, 0).Sub(now)
	if left < 0 {
		return m.say(out, "Certificate of %s for VS %s expired on %s", m.on.Server, m.on.Service, time.Unix(r.Expires, 0).UTC().Format(time.DateOnly))
	}
	return m.say(out, "Certificate of %s for VS %s expires in %d days", m.on.Server, m.on.Service, int(left.Hours()/24))
}

// webRemarks says what is odd about an answer, but does not fail it.
func (m *Monitor) webRemarks(r *Result, out []Action) []Action {
	w := &m.web
	if shift := r.Received - r.Claimed; shift != 0 && shift != w.shifts[w.url] {
		w.shifts[w.url] = shift
		u := &m.spec.HTTP.URLs[w.url]
		out = m.say(out, "http_check for RS %s VS %s url %s%s: content_length (%d) does not match received bytes (%d)",
			m.on.Server, m.on.Service, u.VirtualHost, u.Path, r.Claimed, r.Received)
	}
	return out
}
