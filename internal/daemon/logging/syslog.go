package logging

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

const (
	syslogTimeout = time.Second      // for a syslog daemon that does not read
	syslogRetry   = 10 * time.Second // between attempts to connect to one that is not there
)

// syslog writes RFC 3164 messages, as the C library does, to the local daemon, and connects again when that restarts.
type syslog struct {
	path     string
	facility int

	conn   net.Conn
	stream bool // messages end with NUL
	retry  time.Time
}

func (s *syslog) send(at time.Time, severity int, ident, text string) {
	msg := format(at, s.facility<<3|severity, ident, os.Getpid(), text)
	// Twice, because the first write to a daemon that was restarted only finds out about that.
	for range 2 {
		if !s.connect() {
			return
		}
		b := []byte(msg)
		if s.stream {
			b = append(b, 0)
		}
		s.conn.SetWriteDeadline(time.Now().Add(syslogTimeout))
		if _, err := s.conn.Write(b); err == nil {
			return
		}
		s.close()
	}
	s.retry = time.Now().Add(syslogRetry)
}

func (s *syslog) connect() bool {
	if s.conn != nil {
		return true
	}
	if time.Now().Before(s.retry) {
		return false
	}
	for _, network := range []string{"unixgram", "unix"} {
		if c, err := net.DialTimeout(network, s.path, syslogTimeout); err == nil {
			s.conn, s.stream = c, network == "unix"
			return true
		}
	}
	s.retry = time.Now().Add(syslogRetry)
	return false
}

func (s *syslog) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// format returns the message as written to a local socket: without a host name (RFC 3164 section 4.1).
func format(at time.Time, priority int, ident string, pid int, text string) string {
	return fmt.Sprintf("<%d>%s %s[%s]: %s", priority, at.Format(time.Stamp), ident, strconv.Itoa(pid), text)
}
