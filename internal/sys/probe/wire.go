package probe

import (
	"bufio"
	"encoding/gob"
	"errors"
	"io"
	"time"

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
