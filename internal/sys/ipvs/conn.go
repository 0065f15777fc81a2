package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	commandTimeout = 10 * time.Second // for one answer of the kernel
	// window bounds the requests on their way: even if all of them are refused, the answers fit into a receive buffer of the usual size.
	window = 128
	// readSize holds the largest piece of a dump that the kernel sends at once.
	readSize = 1 << 16
)

// conn is a generic netlink socket that carries many requests in one message to the kernel. Only the last of them asks for an
// acknowledgement; of the others only those that fail are answered.
type conn struct {
	socket *nl.NetlinkSocket
	fd     int
	family uint16
	seq    uint32
	out    request
	in     []byte
}

// dial opens a socket in the network namespace at path; of the calling thread if path is empty.
func dial(path string, family uint16, buf model.RxBuf) (*conn, error) {
	ns := netns.None()
	if path != "" {
		var err error
		if ns, err = netns.GetFromPath(path); err != nil {
			return nil, err
		}
		defer ns.Close()
	}
	s, err := nl.GetNetlinkSocketAt(ns, netns.None(), unix.NETLINK_GENERIC)
	if err != nil {
		return nil, err
	}
	c := &conn{socket: s, fd: s.GetFd(), family: family, in: make([]byte, readSize)}
	tv := unix.NsecToTimeval(commandTimeout.Nanoseconds())
	err = errors.Join(
		unix.SetNonblock(c.fd, false), // the kernel answers before it returns from the request
		unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv),
		unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1), // refusals do not repeat the request
	)
	if buf.Bytes > 0 {
		err = errors.Join(err, s.SetReceiveBufferSize(buf.Bytes, buf.Force))
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return c, nil
}

func (c *conn) Close() { c.socket.Close() }

// add appends a request to the message to be sent and returns its sequence number; fill adds its attributes.
func (c *conn) add(cmd uint8, flags uint16, fill func(*request)) uint32 {
	c.seq++
	at := len(c.out)
	c.out = append(c.out, make([]byte, unix.NLMSG_HDRLEN)...)
	c.out = append(c.out, cmd, 1, 0, 0) // genlmsghdr: version 1
	if fill != nil {
		fill(&c.out)
	}
	h := c.out[at:]
	native.PutUint32(h, uint32(len(h)))
	native.PutUint16(h[4:], c.family)
	native.PutUint16(h[6:], unix.NLM_F_REQUEST|flags)
	native.PutUint32(h[8:], c.seq)
	return c.seq
}

// flush sends what was added. The last request must have been added with NLM_F_ACK or NLM_F_DUMP; flush returns when that is
// answered. answer gets each data message, refused each request that failed. Any error means that the connection is of no more use,
// but errDumpInterrupted.
func (c *conn) flush(answer func(body []byte) error, refused func(seq uint32, errno unix.Errno)) error {
	last := c.seq
	err := unix.Sendto(c.fd, c.out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	c.out = c.out[:0]
	if err != nil {
		return fmt.Errorf("send to the kernel: %w", err)
	}
	interrupted := false
	for {
		n, from, err := unix.Recvfrom(c.fd, c.in, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive from the kernel: %w", err)
		}
		if nl, ok := from.(*unix.SockaddrNetlink); !ok || nl.Pid != 0 {
			continue // not the kernel
		}
		for b := c.in[:n]; len(b) >= unix.NLMSG_HDRLEN; {
			size := int(native.Uint32(b))
			if size < unix.NLMSG_HDRLEN || size > len(b) {
				return fmt.Errorf("netlink message of %d bytes in %d", size, len(b))
			}
			kind, flags, seq, body := native.Uint16(b[4:]), native.Uint16(b[6:]), native.Uint32(b[8:]), b[unix.NLMSG_HDRLEN:size]
			b = b[min((size+3)&^3, len(b)):]
			interrupted = interrupted || flags&unix.NLM_F_DUMP_INTR != 0
			switch kind {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				if len(body) >= 4 {
					if errno := -int32(native.Uint32(body)); errno != 0 {
						refused(seq, unix.Errno(errno))
					}
				}
				if seq != last {
					continue
				}
				if interrupted {
					return errDumpInterrupted
				}
				return nil
			case c.family:
				if answer != nil {
					if err := answer(body); err != nil {
						return err
					}
				}
			}
		}
	}
}

var errDumpInterrupted = errors.New("the list changed while it was read")

// do sends one request and waits for its end.
func (c *conn) do(cmd uint8, flags uint16, fill func(*request), answer func(body []byte) error) error {
	var no error
	c.add(cmd, flags|unix.NLM_F_ACK, fill)
	if err := c.flush(answer, func(_ uint32, errno unix.Errno) { no = errno }); err != nil {
		return err
	}
	return no
}

// dump reads a list; one that changed while it was read is read again, after begin.
func (c *conn) dump(cmd uint8, fill func(*request), begin func(), answer func(body []byte) error) (err error) {
	for range 5 {
		begin()
		var no error
		c.add(cmd, unix.NLM_F_DUMP, fill)
		err = c.flush(answer, func(_ uint32, errno unix.Errno) { no = errno })
		if err == nil {
			err = no
		}
		if !errors.Is(err, errDumpInterrupted) {
			break
		}
	}
	return err
}

// request is the bytes of netlink requests.
type request []byte

func (r *request) attr(kind uint16, value ...byte) {
	*r = native.AppendUint16(*r, uint16(4+len(value)))
	*r = native.AppendUint16(*r, kind)
	*r = append(*r, value...)
	for len(*r)%4 != 0 {
		*r = append(*r, 0)
	}
}

func (r *request) u16(kind, v uint16) {
	var b [2]byte
	native.PutUint16(b[:], v)
	r.attr(kind, b[:]...)
}
func (r *request) be16(kind, v uint16) {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	r.attr(kind, b[:]...)
}
func (r *request) u32(kind uint16, v uint32) {
	var b [4]byte
	native.PutUint32(b[:], v)
	r.attr(kind, b[:]...)
}
func (r *request) text(kind uint16, s string) { r.attr(kind, append([]byte(s), 0)...) }

// nested puts what fill adds into an attribute.
func (r *request) nested(kind uint16, fill func()) {
	at := len(*r)
	r.attr(kind)
	fill()
	native.PutUint16((*r)[at:], uint16(len(*r)-at))
}
