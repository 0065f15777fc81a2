// Package link carries messages between the parent and the worker over a socket pair.
//
// A frame is one byte of kind, four bytes of payload length (big endian) and the payload. Both ends are the same binary, so
// there is no version; a frame that does not make sense ends the connection.
package link

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// Kind says what a message means and which fields of it count.
type Kind byte

const (
	// From the parent.
	Load   Kind = iota + 1 // Flags, Model: the first message; start with this configuration
	Reload                 // Flags, Model: change to this configuration, all or nothing; a subsystem may have been switched on
	Dump                   // Dump: write the status file
	Stop                   // release everything and exit

	// From the worker.
	Ready           // the configuration of Load is in force
	Reloaded        // the configuration of Reload is in force
	Refused         // Text: why the configuration of Reload cannot be taken; the old one stays in force
	Heartbeat       // the loop turns; to be sent at least every HeartbeatInterval
	ReloadRequested // the worker itself was told to reload (any pid file may be signalled)
	Fatal           // Text: why the worker is about to exit; it has logged that itself

	lastKind = Fatal
)

var kindNames = [...]string{Load: "load", Reload: "reload", Dump: "dump", Stop: "stop", Ready: "ready", Reloaded: "reloaded",
	Refused: "refused", Heartbeat: "heartbeat", ReloadRequested: "reload-requested", Fatal: "fatal"}

func (k Kind) String() string {
	if k == 0 || k > lastKind {
		return fmt.Sprintf("kind %d", byte(k))
	}
	return kindNames[k]
}

// What names a status file.
type What byte

const (
	Data       What = iota + 1 // the .data files
	Stats                      // keepalived.stats
	StatsClear                 // keepalived.stats, then zero the counters
	JSON                       // keepalived.json

	lastWhat = JSON
)

// Flags are the choices of the command line that the worker acts on.
type Flags struct {
	VRRP, Checkers, BFD bool   // subsystems to run: allowed by -P -C -B and, without --all, configured at start
	KeepVRRP            bool   // -V: keep addresses, routes and rules at stop
	KeepIPVS            bool   // -I: keep the IPVS table at stop
	AddressMonitoring   bool   // -a
	IgnoreInterrupt     bool   // --ignore-sigint
	Namespace           string // the network namespace in force, from -s or net_namespace
	TempDir             string // where status files go: $TMPDIR or /tmp
	Umask               int    // in force
	DumpConf            bool   // -d: log the configuration at start and reload
	Loads               int    // how many reloads there have been: names copies in config_save_dir
	Respawned           bool   // an earlier worker died: expect what it left behind

	// Stale is what workers that died may have left, of whatever configuration they had, by network namespace.
	Stale map[string]model.Objects
	// Clean asks for nothing but that: remove what dead workers have left, with Checkers the IPVS services too, and exit.
	Clean bool
}

// Message is one message. Only the fields named at its Kind are carried.
type Message struct {
	Kind  Kind
	Model Encoded
	Flags Flags
	Dump  What
	Text  string
}

// Encoded is a model in its form for memfds and frames: four bytes of length, a Head of that length, and the rest of the model.
type Encoded []byte

// Head is what the parent has to know of a model, which may be large.
type Head struct {
	Process        model.Process
	VRRP, Checkers bool // there are instances, virtual servers
}

// Encode returns the encoded form of m.
func Encode(m *model.Model) (Encoded, error) {
	rest := *m
	rest.Process = model.Process{}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&rest); err != nil {
		return nil, fmt.Errorf("encode model: %w", err)
	}
	return joined(Head{m.Process, len(m.VRRP.Instances) > 0, len(m.LVS.Services) > 0}, b.Bytes())
}

func joined(h Head, rest []byte) (Encoded, error) {
	b := bytes.NewBuffer(make([]byte, headLen, 4096))
	if err := gob.NewEncoder(b).Encode(&h); err != nil {
		return nil, fmt.Errorf("encode head of model: %w", err)
	}
	binary.BigEndian.PutUint32(b.Bytes(), uint32(b.Len()-headLen))
	return slices.Concat(b.Bytes(), rest), nil
}

const headLen = 4

// split returns the head and where the rest begins.
func (e Encoded) split() (h Head, rest []byte, err error) {
	if len(e) < headLen || uint64(binary.BigEndian.Uint32(e)) > uint64(len(e)-headLen) {
		return h, nil, errors.New("decode head of model: it is cut off")
	}
	end := headLen + int(binary.BigEndian.Uint32(e))
	if err := gob.NewDecoder(bytes.NewReader(e[headLen:end])).Decode(&h); err != nil {
		return h, nil, fmt.Errorf("decode head of model: %w", err)
	}
	return h, e[end:], nil
}

// Head returns the head of the model.
func (e Encoded) Head() (Head, error) { h, _, err := e.split(); return h, err }

// WithHead returns the model with another head.
func (e Encoded) WithHead(h Head) (Encoded, error) {
	_, rest, err := e.split()
	if err != nil {
		return nil, err
	}
	return joined(h, rest)
}

// Decode returns the model.
func (e Encoded) Decode() (*model.Model, error) {
	h, rest, err := e.split()
	if err != nil {
		return nil, err
	}
	m := new(model.Model)
	if err := gob.NewDecoder(bytes.NewReader(rest)).Decode(m); err != nil {
		return nil, fmt.Errorf("decode model: %w", err)
	}
	m.Process = h.Process
	return m, nil
}

const (
	// MaxPayload bounds a frame, so that a damaged length cannot exhaust memory.
	MaxPayload = 256 << 20
	maxText    = 64 << 10

	// HeartbeatInterval is how often a worker says that its loop turns.
	HeartbeatInterval = time.Second

	// TidyDelay is how long after a start or reload parent and worker clear away what it left behind in memory; by then the second block of
	// announcements is over.
	TidyDelay = 10 * time.Second

	// SendTimeout is how long Send waits for a peer that does not read.
	SendTimeout = 5 * time.Second

	headerLen = 5
)

// ErrBusy is returned by TrySend when the message cannot be sent without waiting. Nothing was sent.
var ErrBusy = errors.New("link is busy")

// Conn is one end. Send and TrySend may be called from any goroutine, Receive from one at a time.
type Conn struct {
	sock  *net.UnixConn
	write sync.Mutex
}

// Pair returns a new connection: this process's end, and the file that the child inherits.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("create socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "link")
	ours, err := fromFile(os.NewFile(uintptr(fds[0]), "link"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// Inherited returns the end that this process was started with as descriptor fd. The descriptor is closed, so that no
// script can inherit it.
func Inherited(fd uintptr) (*Conn, error) { return fromFile(os.NewFile(fd, "link")) }

func fromFile(f *os.File) (*Conn, error) {
	if f == nil {
		return nil, errors.New("open link: bad descriptor")
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open link: %w", err)
	}
	sock, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("open link: not a unix socket")
	}
	return &Conn{sock: sock}, nil
}

// Close ends the connection; a waiting Receive returns an error, and the peer's returns io.EOF.
func (c *Conn) Close() error { return c.sock.Close() }

// Send sends m. It waits up to SendTimeout for a slow peer. After an error the connection is closed, because part of a frame may
// have gone.
func (c *Conn) Send(m Message) error {
	frame, err := m.encode()
	if err != nil {
		return err
	}
	c.write.Lock()
	defer c.write.Unlock()
	c.sock.SetWriteDeadline(time.Now().Add(SendTimeout))
	if _, err := c.sock.Write(frame); err != nil {
		c.sock.Close()
		return fmt.Errorf("send %v: %w", m.Kind, err)
	}
	return nil
}

// TrySend sends a message without a model, or returns ErrBusy at once: for an event loop, which must not wait for its parent.
func (c *Conn) TrySend(m Message) error {
	if m.Kind == Load || m.Kind == Reload {
		return fmt.Errorf("send %v: too long to send without waiting", m.Kind)
	}
	// A write of no more than a page is one buffer of the kernel's, so it happens as a whole or not at all.
	m.Text = m.Text[:min(len(m.Text), 4096-headerLen)]
	frame, err := m.encode()
	if err != nil {
		return err
	}
	if !c.write.TryLock() {
		return ErrBusy
	}
	defer c.write.Unlock()
	raw, err := c.sock.SyscallConn()
	if err != nil {
		return fmt.Errorf("send %v: %w", m.Kind, err)
	}
	var n int
	c.sock.SetWriteDeadline(time.Time{})
	if cerr := raw.Write(func(fd uintptr) bool {
		n, err = unix.SendmsgN(int(fd), frame, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true
	}); cerr != nil {
		err = cerr
	}
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return ErrBusy
	case err != nil:
		return fmt.Errorf("send %v: %w", m.Kind, err)
	case n != len(frame):
		c.sock.Close()
		return fmt.Errorf("send %v: %w", m.Kind, io.ErrShortWrite)
	}
	return nil
}

// Receive returns the next message; io.EOF when the peer closed the connection or died between messages.
func (c *Conn) Receive() (Message, error) { return read(c.sock) }

func read(r io.Reader) (Message, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		if errors.Is(err, syscall.ECONNRESET) {
			err = io.EOF // the peer died with unread messages
		}
		return Message{}, err
	}
	kind, size := Kind(h[0]), binary.BigEndian.Uint32(h[1:])
	if kind == 0 || kind > lastKind {
		return Message{}, fmt.Errorf("receive message: unknown %v", kind)
	}
	if size > MaxPayload {
		return Message{}, fmt.Errorf("receive %v: %d bytes are more than %d", kind, size, MaxPayload)
	}
	var payload bytes.Buffer
	if _, err := io.CopyN(&payload, r, int64(size)); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Message{}, fmt.Errorf("receive %v: %w", kind, err)
	}
	m, err := decode(kind, payload.Bytes())
	if err != nil {
		return Message{}, fmt.Errorf("receive %v: %w", kind, err)
	}
	return m, nil
}

func (m Message) encode() ([]byte, error) {
	b := make([]byte, headerLen, headerLen+len(m.Model)+len(m.Text)+64)
	switch m.Kind {
	case Load, Reload:
		var flags bytes.Buffer
		if err := gob.NewEncoder(&flags).Encode(m.Flags); err != nil {
			return nil, fmt.Errorf("encode flags: %w", err)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(flags.Len()))
		b = append(b, flags.Bytes()...)
		b = append(b, m.Model...)
	case Dump:
		b = append(b, byte(m.Dump))
	case Refused, Fatal:
		b = append(b, m.Text[:min(len(m.Text), maxText)]...)
	case Stop, Ready, Reloaded, Heartbeat, ReloadRequested:
	default:
		return nil, fmt.Errorf("send message: unknown %v", m.Kind)
	}
	if len(b)-headerLen > MaxPayload {
		return nil, fmt.Errorf("send %v: %d bytes are more than %d", m.Kind, len(b)-headerLen, MaxPayload)
	}
	b[0] = byte(m.Kind)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-headerLen))
	return b, nil
}

func decode(kind Kind, p []byte) (Message, error) {
	m := Message{Kind: kind}
	switch kind {
	case Load, Reload:
		if len(p) < 4 {
			return m, errors.New("no flags")
		}
		n := binary.BigEndian.Uint32(p)
		if p = p[4:]; uint64(n) > uint64(len(p)) {
			return m, errors.New("flags are cut off")
		}
		if err := gob.NewDecoder(bytes.NewReader(p[:n])).Decode(&m.Flags); err != nil {
			return m, fmt.Errorf("decode flags: %w", err)
		}
		m.Model = p[n:]
	case Dump:
		if len(p) != 1 || p[0] == 0 || What(p[0]) > lastWhat {
			return m, errors.New("unknown status file")
		}
		m.Dump = What(p[0])
	case Refused, Fatal:
		if len(p) > maxText {
			return m, errors.New("text is too long")
		}
		m.Text = string(p)
	default:
		if len(p) != 0 {
			return m, errors.New("unexpected payload")
		}
	}
	return m, nil
}
