package lab

import (
	"encoding/binary"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Tap records the IPv4 adverts and gratuitous ARPs of a lab with Plan.Tap: of tens of thousands of frames a second, at a fiftieth of a
// processor, for it keeps of each but a Sight and wakes up a hundred times a second.
type Tap struct {
	lab   *Lab
	fd    int
	ring  []byte
	ports map[int]port
	done  chan struct{}

	mu    sync.Mutex
	seen  []Sight
	heard map[Source]time.Time // latest advert with a priority
}

// Sight is what a Tap keeps of a frame.
type Sight struct {
	At       int64 // the kernel's receive stamp, ns of the wall clock
	Source         // who sent it; VRID 0: a gratuitous ARP
	Priority uint8
	VIP      [4]byte // that the ARP is about
}

// Source is a virtual router of a node.
type Source struct {
	Node      byte // first letter of its name
	LAN, VRID uint8
}

// Time is when the frame was received.
func (s *Sight) Time() time.Time { return time.Unix(0, s.At) }

const (
	tapBlock  = 1 << 20
	tapBlocks = 32
	tapSnap   = 64 // bytes of a frame that are looked at
	tapWait   = 10 * time.Millisecond
)

func (l *Lab) tap(ports map[int]port) {
	t := &Tap{lab: l, ports: ports, done: make(chan struct{}), heard: map[Source]time.Time{}}
	l.Tap = t
	l.in(l.switchNS(), func() (err error) {
		if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return os.NewSyscallError("socket", err)
		}
		if err := t.filter(); err != nil {
			return err
		}
		for _, option := range [][2]int{{unix.PACKET_VERSION, unix.TPACKET_V3}, {unix.PACKET_IGNORE_OUTGOING, 1}} {
			if err := unix.SetsockoptInt(t.fd, unix.SOL_PACKET, option[0], option[1]); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
		err = unix.SetsockoptTpacketReq3(t.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{Block_size: tapBlock, Block_nr: tapBlocks,
			Frame_size: 2048, Frame_nr: tapBlock / 2048 * tapBlocks, Retire_blk_tov: uint32(tapWait.Milliseconds())})
		if err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		if t.ring, err = unix.Mmap(t.fd, 0, tapBlock*tapBlocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			return os.NewSyscallError("mmap", err)
		}
		return os.NewSyscallError("bind", unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})}))
	})
	stop := make(chan struct{})
	go t.run(stop)
	l.t.Cleanup(func() {
		close(stop)
		<-t.done
		unix.Munmap(t.ring)
		unix.Close(t.fd)
	})
}

// filter lets IPv4 adverts and ARP pass, and cuts them.
func (t *Tap) filter() error {
	prog, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 23, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 112, SkipTrue: 1},
		bpf.RetConstant{Val: tapSnap},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		code[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(t.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}))
}

func (t *Tap) run(stop <-chan struct{}) {
	defer close(t.done)
	tick := time.NewTicker(tapWait)
	defer tick.Stop()
	for next := 0; ; {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for {
			head := (*unix.TpacketHdrV1)(unsafe.Pointer(&t.ring[next*tapBlock+int(unsafe.Offsetof(unix.TpacketBlockDesc{}.Hdr))]))
			if head.Block_status&unix.TP_STATUS_USER == 0 {
				break
			}
			t.block(t.ring[next*tapBlock:(next+1)*tapBlock], head)
			head.Block_status = unix.TP_STATUS_KERNEL
			next = (next + 1) % tapBlocks
		}
	}
}

// block takes over what a block of the ring holds.
func (t *Tap) block(b []byte, head *unix.TpacketHdrV1) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, at := uint32(0), head.Offset_to_first_pkt; i < head.Num_pkts; i++ {
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&b[at]))
		from := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&b[at+unix.SizeofTpacket3Hdr]))
		p, known := t.ports[int(from.Ifindex)]
		frame := b[at+uint32(h.Mac):][:h.Snaplen]
		if at += h.Next_offset; !known || len(frame) < 42 {
			continue
		}
		s := Sight{At: int64(h.Sec)*1e9 + int64(h.Nsec), Source: Source{Node: p.node[0], LAN: uint8(p.lan)}}
		if ip := frame[14:]; frame[13] == 0 {
			hlen := int(ip[0]&15) * 4
			if hlen+4 > len(ip) {
				continue
			}
			if s.VRID, s.Priority = ip[hlen+1], ip[hlen+2]; s.Priority > 0 {
				t.heard[s.Source] = s.Time()
			}
		} else if s.VIP = [4]byte(ip[14:]); s.VIP != [4]byte(ip[24:]) {
			continue
		}
		t.seen = append(t.seen, s)
	}
}

// Forget drops what was seen so far.
func (t *Tap) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = nil
	clear(t.heard)
}

// Seen returns what was seen since the last Forget, in order of arrival. It is complete but for the last few milliseconds, which Settle
// waits for.
func (t *Tap) Seen() []Sight {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[:len(t.seen):len(t.seen)]
}

// Settle waits until the tap has read all that has come by now.
func (t *Tap) Settle() { time.Sleep(5 * tapWait) }

// Heard tells from how many virtual routers of a node there were adverts since the last Forget, and when the last came.
func (t *Tap) Heard(node string) (n int, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, at := range t.heard {
		if s.Node == node[0] {
			n++
			if at.After(last) {
				last = at
			}
		}
	}
	return n, last
}

// Lost tells how many frames the tap missed since it was asked last.
func (t *Tap) Lost() uint32 {
	s, err := unix.GetsockoptTpacketStatsV3(t.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		t.lab.t.Fatalf("asking for the tap's losses: %v", err)
	}
	return s.Drops
}
