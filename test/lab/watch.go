package lab

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

type port struct {
	node string
	lan  int
}

// receiveBuffer holds what comes in while the test is not scheduled; lost frames would fail it for no fault of the daemon.
const receiveBuffer = 8 << 20

// capture records what enters the switch, by the index of the port.
func (l *Lab) capture(ports map[int]port) {
	var sock *os.File
	l.in(l.switchNS(), func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		sock = os.NewFile(uintptr(fd), "capture")
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})}))
	})
	l.t.Cleanup(func() { sock.Close() })
	conn, err := sock.SyscallConn()
	if err != nil {
		l.t.Fatalf("capturing: %v", err)
	}
	go func() {
		buf, oob := make([]byte, 9216), make([]byte, 128)
		for {
			var n, on int
			var from unix.Sockaddr
			var rerr error
			err := conn.Read(func(fd uintptr) bool {
				n, on, _, from, rerr = unix.Recvmsg(int(fd), buf, oob, 0)
				return rerr != unix.EAGAIN
			})
			if err != nil {
				return // closed
			}
			if rerr != nil {
				continue // a port went down
			}
			ll, ok := from.(*unix.SockaddrLinklayer)
			if !ok {
				continue
			}
			p, ok := ports[ll.Ifindex]
			if !ok {
				continue
			}
			f := &Frame{At: stamp(oob[:on]), Node: p.node, LAN: p.lan}
			if f.decode(append([]byte(nil), buf[:n]...)) {
				l.add(Entry{At: f.At, Node: f.Node, Frame: f})
			}
		}
	}()
}

// stamp takes the kernel's receive time out of the control messages.
func stamp(oob []byte) time.Time {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err == nil {
		for _, m := range msgs {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
				ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
				return time.Unix(ts.Unix())
			}
		}
	}
	return time.Now()
}

// watchAddrs records the addresses of a node, those present included, until stop or the end of the test.
func (l *Lab) watchAddrs(n *Node) (stop func()) {
	ns, err := netns.GetFromName(n.ns)
	if err != nil {
		l.t.Fatalf("opening namespace %q: %v", n.ns, err)
	}
	updates, done := make(chan netlink.AddrUpdate, 1024), make(chan struct{})
	err = netlink.AddrSubscribeWithOptions(updates, done, netlink.AddrSubscribeOptions{
		Namespace: &ns, ListExisting: true, ReceiveBufferSize: receiveBuffer, ReceiveBufferForceSize: true,
		ErrorCallback: func(err error) {
			select {
			case <-done: // closed: the error is that of ending
			default:
				l.mark(n.Name, "watching addresses: "+err.Error())
			}
		}})
	if err != nil {
		l.t.Fatalf("watching addresses of %q: %v", n.Name, err)
	}
	stop = sync.OnceFunc(func() { close(done); ns.Close() })
	l.t.Cleanup(stop)
	go func() {
		for u := range updates {
			addr, ok := netip.AddrFromSlice(u.LinkAddress.IP)
			if !ok {
				continue
			}
			ones, _ := u.LinkAddress.Mask.Size()
			a := &AddrChange{Prefix: netip.PrefixFrom(addr.Unmap(), ones), Ifindex: u.LinkIndex, Gone: !u.NewAddr}
			l.add(Entry{At: time.Now(), Node: n.Name, Addr: a})
		}
	}()
	return stop
}
