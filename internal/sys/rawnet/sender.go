package rawnet

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sender sends whole Ethernet frames on any interface. It is used on the loop only.
type Sender struct {
	fd  int
	hdr unix.Msghdr
	iov unix.Iovec
	to  unix.RawSockaddrLinklayer
}

// OpenSender opens the socket in the calling thread's network namespace; it receives nothing.
func OpenSender() (*Sender, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", os.NewSyscallError("socket", err))
	}
	s := &Sender{fd: fd, to: unix.RawSockaddrLinklayer{Family: unix.AF_PACKET}}
	s.hdr.Name, s.hdr.Namelen, s.hdr.Iov = (*byte)(unsafe.Pointer(&s.to)), unix.SizeofSockaddrLinklayer, &s.iov
	s.hdr.SetIovlen(1)
	return s, nil
}

// Send sends one frame, Ethernet header included, on an interface, without waiting. The error is a syscall.Errno: ENETDOWN,
// ENODEV, ENOBUFS or EAGAIN when the device's queue is full, EINVAL for less than an Ethernet header.
func (s *Sender) Send(ifIndex int, frame []byte) error {
	if len(frame) < 14 {
		return unix.EINVAL
	}
	s.to.Ifindex = int32(ifIndex)
	s.to.Protocol = binary.NativeEndian.Uint16(frame[12:]) // in network order, as it is in the frame
	s.iov.Base = unsafe.SliceData(frame)
	s.iov.SetLen(len(frame))
	return sendmsg(s.fd, &s.hdr, unix.MSG_DONTWAIT)
}

// Close closes the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }
