package probe

import (
	"bufio"
	"encoding/gob"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/check"
)

// Messages between worker and prober: one gob stream each way.
type (
	ask struct {
		ID    uint64
		Spec  Spec
		Limit time.Duration // from its arrival
	}
	// Answer is the result of a probe.
	Answer struct {
		ID     uint64
		Result check.Result
	}
)

// Bounds of one message with its type descriptions, so that neither side can make the other one eat memory.
const (
	maxAsk      = 1 << 20
	maxAnswered = 64 << 10
)

// pipe is one end of the connection between worker and prober. Its system calls are those of transfer, which leave the scheduler's watchdog
// asleep.
type pipe struct {
	net.Conn
	raw syscall.RawConn
}

// newPipe takes over the socket f.
func newPipe(f *os.File) (*pipe, error) {
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	return &pipe{conn, raw}, err
}

func (p *pipe) Read(b []byte) (n int, err error) {
	var errno unix.Errno
	err = p.raw.Read(func(fd uintptr) bool {
		n, errno = transfer(unix.SYS_READ, int(fd), b)
		return errno != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (p *pipe) Write(b []byte) (written int, err error) {
	var errno unix.Errno
	err = p.raw.Write(func(fd uintptr) bool {
		for errno = 0; written < len(b) && errno == 0; {
			var n int
			n, errno = transfer(unix.SYS_WRITE, int(fd), b[written:])
			written += n
		}
		return errno != unix.EAGAIN
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("write", errno)
	}
	return written, err
}

// receiver decodes messages of a bounded size.
type receiver struct {
	in  bounded
	dec *gob.Decoder
	max int
}

func newReceiver(r io.Reader, max int) *receiver {
	rc := &receiver{in: bounded{r: bufio.NewReaderSize(r, 64<<10)}, max: max}
	rc.dec = gob.NewDecoder(&rc.in)
	return rc
}

func (r *receiver) next(v any) error {
	r.in.left = r.max
	return r.dec.Decode(v)
}

// more reports whether further bytes have come already, so that next will hardly wait.
func (r *receiver) more() bool { return r.in.r.Buffered() > 0 }

// bounded is a reader that fails once more than left bytes are taken. It is an io.ByteReader so that gob adds no buffer to it.
type bounded struct {
	r    *bufio.Reader
	left int
}

var errTooLong = errors.New("message too long")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (b *bounded) ReadByte() (byte, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	b.left--
	return b.r.ReadByte()
}
