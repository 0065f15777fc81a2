package netlink

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/hostnet"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/netns"
)

// defaultRxBuf holds some thousands of notifications, which a burst of the kernel may bring while nobody reads.
const defaultRxBuf = 1 << 20

// Watch tells what the links and addresses of the host are and how they change.
type Watch struct {
	notes *socket // notifications
	dumps *socket // answers to our questions, apart so that neither can displace the other
	known hostnet.Host
	who   culprits
	mine  uint32 // port of our lane
}

// OpenWatch opens the sockets in the calling thread's network namespace, which is space. What happens from then on will be told. rxBuf is
// the size of the receive buffer for notifications.
func OpenWatch(rxBuf model.RxBuf, space *netns.Space) (*Watch, error) {
	notes, err := open(unix.RTMGRP_LINK|unix.RTMGRP_IPV4_IFADDR|unix.RTMGRP_IPV6_IFADDR, orElse(rxBuf, defaultRxBuf))
	if err != nil {
		return nil, err
	}
	dumps, err := open(0, model.RxBuf{})
	if err != nil {
		notes.close()
		return nil, err
	}
	notes.size, dumps.size = noteBuf, dumpBuf
	return &Watch{notes: notes, dumps: dumps, who: culprits{space: space}}, nil
}

// Run tells sink first all links and addresses, ended by Synced, and then every change in the kernel's order, until ctx is done;
// then it returns nil. A message that changes nothing of an Event's content is not told.
//
// The slice belongs to sink. While sink blocks the kernel's notifications pile up; if they overflow, the state is read anew, and
// the differences to what was told before are told, ended by Synced: changes in between are lost, the outcome never.
func (w *Watch) Run(ctx context.Context, sink func([]hostnet.Event)) error {
	defer context.AfterFunc(ctx, func() { w.notes.interrupt(); w.dumps.interrupt() })()
	err := w.sync(sink)
	for err == nil {
		var msgs []syscall.NetlinkMessage
		msgs, err = w.notes.receive()
		if errors.Is(err, unix.ENOBUFS) {
			err = w.sync(sink)
			continue
		}
		var events []hostnet.Event
		for i := range msgs {
			if e, ok := decode(&msgs[i]); ok && w.known.Apply(e) {
				if port := msgs[i].Header.Pid; e.Kind == hostnet.AddrDel {
					if e.Ours = port != 0 && port == w.mine; !e.Ours {
						e.By = w.who.name(port)
					}
				}
				events = append(events, e)
			}
		}
		if len(events) > 0 {
			sink(events)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("watch links and addresses: %w", err)
}

// Own has removals by l told as ours. It must be called before Run.
func (w *Watch) Own(l *Lane) { w.mine = l.sock.port() }

// Close closes the sockets; Run must have returned.
func (w *Watch) Close() error { return errors.Join(w.notes.close(), w.dumps.close()) }

// sync reads the whole state and tells how it differs from what is known. Notifications from before are dropped, as some of them
// may be missing and the rest would then mislead; those from after the beginning of the reading are told after it, once more where
// the reading saw their effect already.
func (w *Watch) sync(sink func([]hostnet.Event)) error {
	if err := w.notes.discard(); err != nil {
		return err
	}
	var now hostnet.Host
	for {
		now = hostnet.Host{}
		err := w.dumps.dump(unix.RTM_GETLINK, &now)
		if err == nil {
			err = w.dumps.dump(unix.RTM_GETADDR, &now)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	w.dumps.buf = nil // until the next time
	events := append(w.known.Diff(&now), hostnet.Event{Kind: hostnet.Synced})
	w.known = now
	sink(events)
	return nil
}

// dump reads all objects of one kind into h. EINTR: they changed meanwhile, the reading is to be repeated.
func (s *socket) dump(typ uint16, h *hostnet.Host) error {
	seq := s.nextSeq()
	req := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg) // the longer of the two headers does for both
	native.PutUint32(req, uint32(len(req)))
	native.PutUint16(req[4:], typ)
	native.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	native.PutUint32(req[8:], seq)
	if err := s.send(req); err != nil {
		return err
	}
	var torn bool
	for {
		msgs, err := s.receive()
		if err != nil {
			return err
		}
		for i := range msgs {
			m := &msgs[i]
			if m.Header.Seq != seq {
				continue // the rest of an earlier reading that was given up
			}
			torn = torn || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				if len(m.Data) >= 4 && int32(native.Uint32(m.Data)) < 0 {
					return syscall.Errno(-int32(native.Uint32(m.Data)))
				}
				if torn {
					return unix.EINTR
				}
				return nil
			case unix.NLMSG_ERROR:
				if e, ok := decodeError(m); !ok {
					return e
				}
			default:
				if e, ok := decode(m); ok {
					h.Apply(e)
				}
			}
		}
	}
}
