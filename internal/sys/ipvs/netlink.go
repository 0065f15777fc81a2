package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	commandTimeout  = 10 * time.Second // for one answer of the kernel
	modprobeTimeout = 10 * time.Second
)

// handle is the real kernel: moby/ipvs for services, flush and timeouts, and beside it, on a socket of the same base library,
// what it lacks: destinations (family, tunnels, weights of 32 bits), reading (persistence engine) and the probe.
type handle struct {
	services *ipvs.Handle
	rest     *nl.SocketHandle
	family   uint16
}

// Open returns the IPVS of the network namespace ns, a name as ip netns has it or a path; of the calling process if ns is empty.
// If the kernel has none, ip_vs is loaded; if that fails the error is [ErrUnavailable].
func Open(ns string) (Kernel, error) {
	if ns != "" && !strings.Contains(ns, "/") {
		ns = "/run/netns/" + ns
	}
	family, err := loadFamily()
	if err != nil {
		return nil, err
	}
	// Opening runs modprobe once more. With the module there that does nothing but complain, if there is no modprobe.
	logrus.SetOutput(io.Discard)
	services, err := ipvs.New(ns)
	if err != nil {
		return nil, fmt.Errorf("open IPVS socket: %w", err)
	}
	h := &handle{services: services, family: family}
	if h.rest, err = openSocket(ns); err == nil {
		_, err = h.request(cmdGetInfo, 0)
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("open IPVS: %w", err)
	}
	return h, nil
}

// loadFamily returns the number of the IPVS netlink family, which exists only once the module is loaded.
func loadFamily() (uint16, error) {
	f, err := netlink.GenlFamilyGet("IPVS")
	if errors.Is(err, unix.ENOENT) {
		ctx, cancel := context.WithTimeout(context.Background(), modprobeTimeout)
		defer cancel()
		if out, merr := exec.CommandContext(ctx, "modprobe", "ip_vs").CombinedOutput(); merr != nil {
			said, _, _ := strings.Cut(string(out), "\n")
			return 0, fmt.Errorf("%w: modprobe ip_vs: %w: %.200s", ErrUnavailable, merr, said)
		}
		f, err = netlink.GenlFamilyGet("IPVS")
	}
	if errors.Is(err, unix.ENOENT) {
		return 0, ErrUnavailable
	}
	if err != nil {
		return 0, fmt.Errorf("find IPVS netlink family: %w", err)
	}
	return f.ID, nil
}

func openSocket(path string) (*nl.SocketHandle, error) {
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
	tv := unix.NsecToTimeval(commandTimeout.Nanoseconds())
	if err := errors.Join(s.SetSendTimeout(&tv), s.SetReceiveTimeout(&tv)); err != nil {
		s.Close()
		return nil, err
	}
	return &nl.SocketHandle{Socket: s}, nil
}

func (h *handle) Close() {
	h.services.Close()
	if h.rest != nil {
		h.rest.Close()
	}
}

// request sends a command on our own socket and returns the bodies of the answers.
func (h *handle) request(cmd uint8, flags int, attrs ...*nl.RtAttr) ([][]byte, error) {
	req := nl.NewNetlinkRequest(int(h.family), flags|unix.NLM_F_ACK)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_GENERIC: h.rest}
	req.AddData(&nl.Genlmsg{Command: cmd, Version: 1})
	for _, a := range attrs {
		req.AddData(a)
	}
	return req.Execute(unix.NETLINK_GENERIC, 0)
}

func (h *handle) Flush() error {
	if err := h.services.Flush(); err != nil {
		return fmt.Errorf("flush IPVS: %w", err)
	}
	return nil
}

func (h *handle) Timeouts() (Timeouts, error) {
	c, err := h.services.GetConfig()
	if err != nil {
		return Timeouts{}, fmt.Errorf("read IPVS timeouts: %w", err)
	}
	return Timeouts{TCP: c.TimeoutTCP, TCPFin: c.TimeoutTCPFin, UDP: c.TimeoutUDP}, nil
}

func (h *handle) SetTimeouts(t Timeouts) error {
	if err := h.services.SetConfig(&ipvs.Config{TimeoutTCP: t.TCP, TimeoutTCPFin: t.TCPFin, TimeoutUDP: t.UDP}); err != nil {
		return fmt.Errorf("set IPVS timeouts: %w", err)
	}
	return nil
}

func (h *handle) Apply(op lvs.Op) error {
	var err error
	switch op.Kind {
	case lvs.NewService:
		err = h.services.NewService(service(op.Key, op.Service))
	case lvs.SetService:
		err = h.services.UpdateService(service(op.Key, op.Service))
	case lvs.DelService:
		err = h.services.DelService(service(op.Key, op.Service))
	case lvs.NewDest:
		_, err = h.request(cmdNewDest, 0, keyAttr(op.Key), destAttr(op.DestKey, &op.Dest))
	case lvs.SetDest:
		_, err = h.request(cmdSetDest, 0, keyAttr(op.Key), destAttr(op.DestKey, &op.Dest))
	case lvs.DelDest:
		_, err = h.request(cmdDelDest, 0, keyAttr(op.Key), destAttr(op.DestKey, nil))
	}
	// These are of the socket, not answers to the command.
	for _, e := range []error{unix.EAGAIN, unix.EBADF, unix.ENOBUFS, unix.EINTR} {
		if errors.Is(err, e) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &Error{op, errno}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// service is the form of moby/ipvs.
func service(k lvs.ServiceKey, a lvs.Attributes) *ipvs.Service {
	return &ipvs.Service{
		AddressFamily: familyNumber(k.Family), Protocol: uint16(k.Protocol), Address: net.IP(k.Addr.AsSlice()), Port: k.Port,
		FWMark: k.FWMark, SchedName: a.Scheduler, Flags: a.Flags, Timeout: a.Timeout, Netmask: netmaskNumber(k.Family, a.Netmask),
		PEName: a.Engine,
	}
}

func (h *handle) Table(ours func(lvs.ServiceKey) bool) (lvs.Table, error) {
	answers, err := h.dump(cmdGetService)
	if err != nil {
		return nil, fmt.Errorf("read IPVS services: %w", err)
	}
	t := lvs.Table{}
	for _, b := range answers {
		k, s, err := decodeService(b)
		if err != nil {
			return nil, fmt.Errorf("read IPVS services: %w", err)
		}
		if ours == nil || ours(k) {
			t[k] = s
		}
	}
	for k, s := range t {
		answers, err := h.dump(cmdGetDest, keyAttr(k))
		if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
			delete(t, k) // gone meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read IPVS destinations of %s: %w", k, err)
		}
		for _, b := range answers {
			d, dest, err := decodeDest(b, k.Family)
			if err != nil {
				return nil, fmt.Errorf("read IPVS destinations of %s: %w", k, err)
			}
			s.Dests[d] = dest
		}
	}
	return t, nil
}

// dump reads a list; one that changed while it was read is read again.
func (h *handle) dump(cmd uint8, attrs ...*nl.RtAttr) (answers [][]byte, err error) {
	for range 5 {
		answers, err = h.request(cmd, unix.NLM_F_DUMP, attrs...)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	return answers, err
}

func familyNumber(f model.Family) uint16 {
	if f == model.IPv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
