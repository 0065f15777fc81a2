package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// LinkbeatInterval is how often Beats looks at each interface.
const LinkbeatInterval = time.Second

// Numbers of linux/ethtool.h and linux/mii.h.
const (
	ethtoolGLink = 0xa    // ETHTOOL_GLINK
	miiBMSR      = 1      // MII_BMSR
	bmsrLink     = 0x0004 // BMSR_LSTATUS
)

// ifreq is struct ifreq, of which the union holds a pointer, or some numbers of 16 bits.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data [24]byte
}

// Beats asks the interfaces of one network namespace for their link.
type Beats struct{ fd int }

// OpenBeats opens the socket for it in the calling thread's network namespace.
func OpenBeats() (*Beats, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("poll links: %w", os.NewSyscallError("socket", err))
	}
	return &Beats{fd}, nil
}

// Close closes the socket; Run must have returned.
func (b *Beats) Close() error { return unix.Close(b.fd) }

// Ask asks an interface for its link in one way; model.LinkAuto tries all of them. used is the way that worked. The interface must be
// administratively up, too. ENODEV: there is no such interface.
func (b *Beats) Ask(name string, method model.LinkMethod) (up bool, used model.LinkMethod, err error) {
	if len(name) >= unix.IFNAMSIZ {
		return false, 0, unix.ENODEV
	}
	fd := b.fd
	flags, err := linkFlags(fd, name)
	if err != nil {
		return false, 0, err
	}
	for _, way := range []struct {
		method model.LinkMethod
		ask    func(int, string) (bool, error)
	}{
		{model.LinkMII, miiLink},
		{model.LinkEthtool, ethtoolLink},
		{model.LinkIoctl, func(int, string) (bool, error) { return flags&unix.IFF_RUNNING != 0, nil }},
	} {
		if method != model.LinkAuto && method != way.method {
			continue
		}
		if up, err = way.ask(fd, name); err == nil {
			return up && flags&unix.IFF_UP != 0, way.method, nil
		}
	}
	return false, 0, fmt.Errorf("poll link of %s: %w", name, err)
}

func ioctl(fd int, request uintptr, r *ifreq) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(r))); errno != 0 {
		return errno
	}
	return nil
}

func (r *ifreq) at(i int) *uint16 { return (*uint16)(unsafe.Pointer(&r.data[2*i])) }

func request(name string) *ifreq {
	r := &ifreq{}
	copy(r.name[:], name)
	return r
}

func linkFlags(fd int, name string) (uint16, error) {
	r := request(name)
	err := ioctl(fd, unix.SIOCGIFFLAGS, r)
	return *r.at(0), err
}

// miiLink reads the status register of the transceiver: phy_id, reg_num, val_in, val_out.
func miiLink(fd int, name string) (bool, error) {
	r := request(name)
	if err := ioctl(fd, unix.SIOCGMIIPHY, r); err != nil {
		return false, err
	}
	// A loss is latched until it is read: the second reading is the state.
	for range 2 {
		*r.at(1) = miiBMSR
		if err := ioctl(fd, unix.SIOCGMIIREG, r); err != nil {
			return false, err
		}
	}
	return *r.at(3)&bmsrLink != 0, nil
}

func ethtoolLink(fd int, name string) (bool, error) {
	value := struct{ cmd, data uint32 }{cmd: ethtoolGLink}
	r := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(r.name[:], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return false, errno
	}
	return value.data != 0, nil
}

// Run looks at the interfaces every LinkbeatInterval until ctx is done, and tells sink what it sees if that is not what it saw before;
// the first look of each is always told. An interface that is not there is down.
func (b *Beats) Run(ctx context.Context, polls []model.Linkbeat, sink func(name string, up bool)) error {
	seen := map[string]bool{}
	tick := time.NewTicker(LinkbeatInterval)
	defer tick.Stop()
	for {
		for _, p := range polls {
			up, _, err := b.Ask(p.Interface, p.By)
			if err != nil && !errors.Is(err, unix.ENODEV) {
				up, _, _ = b.Ask(p.Interface, model.LinkAuto)
			}
			if was, known := seen[p.Interface]; !known || was != up {
				seen[p.Interface] = up
				sink(p.Interface, up)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
