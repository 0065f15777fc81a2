package rawnet

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Sender sends whole Ethernet frames on any interface. It is used on the loop only.
type Sender struct {
	fd int
	to unix.SockaddrLinklayer
}

// OpenSender opens the socket in the calling thread's network namespace; it receives nothing.
func OpenSender() (*Sender, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", os.NewSyscallError("socket", err))
	}
	return &Sender{fd: fd}, nil
}

// Send sends one frame, Ethernet header included, on an interface, without waiting. The error is a syscall.Errno: ENETDOWN,
// ENODEV, ENOBUFS or EAGAIN when the device's queue is full, EINVAL for less than an Ethernet header.
func (s *Sender) Send(ifIndex int, frame []byte) error {
	if len(frame) < 14 {
		return unix.EINVAL
	}
	s.to.Ifindex = ifIndex
	s.to.Protocol = binary.NativeEndian.Uint16(frame[12:]) // in network order, as it is in the frame
	return retry(func() error { return unix.Sendto(s.fd, frame, unix.MSG_DONTWAIT, &s.to) })
}

// Close closes the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }
