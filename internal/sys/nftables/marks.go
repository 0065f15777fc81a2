package nftables

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/core/lvs"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

const (
	minBackoff = time.Second
	maxBackoff = time.Minute
)

// Marks gives the packets to the addresses of groups the firewall marks by which IPVS serves them: a table of its own in each address
// family, with a map from address and port to mark for each protocol (nftables_ipvs).
//
// All methods but Run may be called from any goroutine and return at once.
type Marks struct {
	namespace string
	left      string
	log       *slog.Logger
	wake      chan struct{} // capacity 1

	mu   sync.Mutex
	want wish
	then []func()

	has wish // of Run alone
}

type wish struct {
	conf  model.NFTables // no Table: nothing
	marks []lvs.Mark
}

// OpenMarks returns marks for the network namespace at a path, of the calling process if that is empty. Nothing happens before Run,
// which begins by removing the table called left, if that is not empty: it may be there of a daemon that died.
func OpenMarks(namespace, left string, log *slog.Logger) *Marks {
	return &Marks{namespace: namespace, left: left, log: log, wake: make(chan struct{}, 1)}
}

// Want states the whole of the marks; conf without a Table or an empty list ask for none.
func (m *Marks) Want(conf model.NFTables, marks []lvs.Mark) {
	if conf.Table == "" || len(marks) == 0 {
		conf, marks = model.NFTables{}, nil
	}
	m.mu.Lock()
	m.want = wish{conf, marks}
	m.mu.Unlock()
	m.rouse()
}

// Then calls f on the goroutine of Run when everything asked before has been tried once. f must not block.
func (m *Marks) Then(f func()) {
	m.mu.Lock()
	m.then = append(m.then, f)
	m.mu.Unlock()
	m.rouse()
}

func (m *Marks) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run makes the kernel agree with the newest wish until ctx ends. It leaves the tables as they are, and may be called again.
func (m *Marks) Run(ctx context.Context) {
	if m.left != "" {
		for _, f := range families {
			_ = m.transact(func(c *nftables.Conn) error { remove(c, f, m.left); return nil })
		}
		m.left = ""
	}
	backoff, trouble := minBackoff, ""
	retry := time.NewTimer(maxBackoff)
	defer retry.Stop()
	for {
		m.mu.Lock()
		want, then := m.want, m.then
		m.then = nil
		m.mu.Unlock()
		retry.Stop()
		if err := m.settle(want); err == nil {
			m.has, backoff, trouble = want, minBackoff, ""
		} else {
			if line := fmt.Sprintf("nftables: set marks for IPVS: %v", err); line != trouble {
				trouble = line
				m.log.Error(line)
			}
			retry.Reset(backoff)
			backoff = min(2*backoff, maxBackoff)
		}
		for _, f := range then {
			f()
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-retry.C:
		}
	}
}

var families = []model.Family{model.IPv4, model.IPv6}

// settle replaces the tables in one transaction, so that no packet finds half of one.
func (m *Marks) settle(want wish) error {
	if reflect.DeepEqual(m.has, want) {
		return nil
	}
	return m.transact(func(c *nftables.Conn) error {
		for _, f := range families {
			if len(m.has.of(f)) > 0 {
				remove(c, f, m.has.conf.Table)
			}
			if marks := want.of(f); len(marks) > 0 {
				remove(c, f, want.conf.Table)
				if err := build(c, f, want.conf, marks); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// of are the marks of one address family.
func (w wish) of(f model.Family) (out []lvs.Mark) {
	for _, k := range w.marks {
		if k.Family == f {
			out = append(out, k)
		}
	}
	return out
}

func (m *Marks) transact(fill func(*nftables.Conn) error) error {
	var opts []nftables.ConnOption
	if m.namespace != "" {
		fd, err := unix.Open(m.namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open network namespace %s: %w", m.namespace, err)
		}
		defer unix.Close(fd)
		opts = append(opts, nftables.WithNetNSFd(fd))
	}
	c, err := nftables.New(opts...)
	if err != nil {
		return err
	}
	if err := fill(c); err != nil {
		return err
	}
	return c.Flush()
}

// remove deletes a table, which need not be there: what is not there cannot be deleted, so it is added first.
func remove(c *nftables.Conn, f model.Family, name string) {
	c.DelTable(c.AddTable(&nftables.Table{Family: tableFamily(f), Name: name}))
}

func tableFamily(f model.Family) nftables.TableFamily {
	if f == model.IPv6 {
		return nftables.TableFamilyIPv6
	}
	return nftables.TableFamilyIPv4
}

// build adds a table with its chain, maps and rules.
func build(c *nftables.Conn, f model.Family, conf model.NFTables, marks []lvs.Mark) error {
	table := c.AddTable(&nftables.Table{Family: tableFamily(f), Name: conf.Table})
	policy := nftables.ChainPolicyAccept
	chain := c.AddChain(&nftables.Chain{Name: "in", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput,
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(conf.Priority)), Policy: &policy})
	addr := nftables.TypeIPAddr
	if f == model.IPv6 {
		addr = nftables.TypeIP6Addr
	}
	key, err := nftables.ConcatSetType(addr, nftables.TypeInetService)
	if err != nil {
		return err
	}
	for _, p := range []model.Protocol{model.TCP, model.UDP, model.SCTP} {
		var elements []nftables.SetElement
		for _, k := range marks {
			if k.Protocol == p {
				elements = append(elements, nftables.SetElement{Key: concat(k.First, k.Port), KeyEnd: concat(k.Last, lastPort(k)),
					Val: binaryutil.NativeEndian.PutUint32(k.Mark)})
			}
		}
		if len(elements) == 0 {
			continue
		}
		set := &nftables.Set{Table: table, Name: p.String() + "_map", IsMap: true, Interval: true, Concatenation: true,
			KeyType: key, DataType: nftables.TypeMark}
		if err := c.AddSet(set, nil); err != nil {
			return err
		}
		// A message to the kernel cannot be longer than 64 KiB.
		for part := range slices.Chunk(elements, 256) {
			if err := c.SetAddElements(set, part); err != nil {
				return err
			}
		}
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: rule(f, p, set, conf.Counters)})
	}
	return nil
}

// lastPort ends the range of ports of k: port 0 stands for all.
//
// Differs from keepalived: there it is the port 0 itself, which no packet has.
func lastPort(k lvs.Mark) uint16 {
	if k.Port == 0 {
		return math.MaxUint16
	}
	return k.Port
}

// concat is the key of an element: each part begins at a multiple of four bytes.
func concat(a netip.Addr, port uint16) []byte {
	return append(binary.BigEndian.AppendUint16(a.AsSlice(), port), 0, 0)
}

// rule is: meta mark set ip daddr . tcp dport map @tcp_map counter return.
func rule(f model.Family, p model.Protocol, set *nftables.Set, counter bool) []expr.Any {
	const reg, reg32 = 1, 8 // register 1 is the same as the registers 8 to 11 of four bytes each
	offset, size := uint32(16), uint32(4)
	if f == model.IPv6 {
		offset, size = 24, 16
	}
	e := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{byte(p)}},
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Payload{DestRegister: reg32 + size/4, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: reg, DestRegister: reg, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg},
	}
	if counter {
		e = append(e, &expr.Counter{})
	}
	return append(e, &expr.Verdict{Kind: expr.VerdictReturn})
}
