package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// dnsCheck is DNS_CHECK: one query over UDP that has to be answered without an error; whether there is an answer in the answer does
// not matter (checkers.md §5).
type dnsCheck struct{}

// Header of a message and its bits (RFC 1035 §4.1.1).
const (
	dnsHeader    = 12
	dnsResponse  = 0x8000
	dnsRecursion = 0x0100
	dnsRCode     = 0x000f
	dnsClassIN   = 1
)

func (dnsCheck) Probe(ctx context.Context, s *Spec) check.Result {
	step := startClock(ctx, s.Conn.Timeout)
	conn, err := dialUDP(&s.Conn, nil)
	if err != nil {
		if r, is := unable(err); is {
			return r
		}
		return check.Result{Reason: fmt.Sprintf("network unreachable for [%s]:%d", s.Conn.Dst.Addr(), s.Conn.Dst.Port())}
	}
	defer conn.Close()
	conn.SetDeadline(step.deadline())
	id := uint16(rand.Uint32())
	if _, err := conn.Write(dnsQuery(id, &s.DNS)); err != nil {
		return check.Result{Reason: "failed to write socket."}
	}
	var answer [dnsHeader]byte // the rest of a datagram is cut off
	for {
		n, err := conn.Read(answer[:])
		if isTimeout(err) {
			return step.late("read timeout from socket")
		} else if err != nil {
			return check.Result{Reason: dnsReadFailed(err)}
		}
		if rcode, ours := dnsVerdict(id, answer[:n]); ours && rcode == 0 {
			return check.Result{OK: true}
		} else if ours {
			return check.Result{Reason: fmt.Sprintf("read error occurred. (rcode = %d)", rcode)}
		}
	}
}

func dnsReadFailed(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = unix.EIO
	}
	return fmt.Sprintf("failed to read socket; errno %d (%s)", int(errno), strerror(errno))
}

// dnsQuery makes the question; the name has been checked with the configuration.
func dnsQuery(id uint16, o *model.DNSOpts) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	for _, field := range []uint16{dnsRecursion, 1, 0, 0, 0} { // flags, then one question and no records
		b = binary.BigEndian.AppendUint16(b, field)
	}
	if o.Name != "" {
		for _, label := range strings.Split(o.Name, ".") {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(o.Type))
	return binary.BigEndian.AppendUint16(b, dnsClassIN)
}

// dnsVerdict takes the response code out of an answer to query id; ours is false for anything else, which is to be ignored.
func dnsVerdict(id uint16, header []byte) (rcode int, ours bool) {
	if len(header) < dnsHeader || binary.BigEndian.Uint16(header) != id {
		return 0, false
	}
	flags := binary.BigEndian.Uint16(header[2:])
	return int(flags & dnsRCode), flags&dnsResponse != 0
}
