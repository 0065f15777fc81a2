package watch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// message is a datagram of the connector with one event.
func message(what uint32, data ...uint32) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+cnHeader+eventHeader+4*len(data))
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], unix.NLMSG_DONE)
	cn := b[unix.SizeofNlMsghdr:]
	native.PutUint32(cn, cnIdxProc)
	native.PutUint32(cn[4:], cnValProc)
	native.PutUint16(cn[16:], uint16(len(b)-unix.SizeofNlMsghdr-cnHeader))
	native.PutUint32(cn[cnHeader:], what)
	for i, d := range data {
		native.PutUint32(cn[cnHeader+eventHeader+4*i:], d)
	}
	return b
}

func TestEvents(t *testing.T) {
	var got []processEvent
	take := func(b []byte) []processEvent {
		got = nil
		forEvents(b, func(e processEvent) { got = append(got, e) })
		return got
	}
	fork := message(procFork, 1, 2, 3, 4)
	want := processEvent{what: procFork, pid: 1, group: 2, child: 3, family: 4}
	exit := message(procExit, 7, 8, 0, 17)
	for _, tt := range []struct {
		name string
		b    []byte
		want []processEvent
	}{
		{"fork", fork, []processEvent{want}},
		{"exit", exit, []processEvent{{what: procExit, pid: 7, group: 8}}},
		{"exec", message(procExec, 7, 7), []processEvent{{what: procExec, pid: 7, group: 7}}},
		{"name", message(procComm, 7, 9, 0, 0, 0, 0), []processEvent{{what: procComm, pid: 7, group: 9}}},
		{"several", append(slices.Clone(fork), exit...), []processEvent{want, {what: procExit, pid: 7, group: 8}}},
		{"another kind", message(0x80, 1, 1), nil},
		{"acknowledgement", message(0, 0), nil},
		{"cut fork", message(procFork, 1, 2, 3), nil},
		{"cut", fork[:len(fork)-1], nil},
		{"nothing", nil, nil},
	} {
		if !slices.Equal(take(tt.b), tt.want) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	other := message(procExit, 7, 7, 0, 17)
	native.PutUint32(other[unix.SizeofNlMsghdr:], 5)
	if len(take(other)) != 0 {
		t.Error("a message of another connector was taken")
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(message(procFork, 1, 2, 3, 4))
	f.Add(append(message(procExit, 7, 8, 0, 17), message(procExec, 1, 1)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		forEvents(b, func(processEvent) { n++ })
		if n > len(b)/(unix.SizeofNlMsghdr+cnHeader+eventHeader+8) {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
	})
}

func TestStatName(t *testing.T) {
	for _, tt := range []struct {
		stat, want string
		ok         bool
	}{
		{"1 (init) S 0 1", "init", true},
		{"2 (a) b (c) R 0", "a) b (c", true},
		{"3 (gone) Z 0", "", false},
		{"4 (gone) X 0", "", false},
		{"5 (cut", "", false},
		{"5 (cut)", "", false},
		{"", "", false},
	} {
		if got, ok := statName([]byte(tt.stat)); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %q, %v", tt.stat, got, ok)
		}
	}
}

// The test's own process is found by its name, by its command and by its arguments, and once each.
func TestCount(t *testing.T) {
	exe, _ := os.Executable()
	name := filepath.Base(exe)
	got, err := Count([]model.TrackProcess{
		{Process: name[:min(len(name), 15)]},
		{Process: os.Args[0], FullCommand: true, ParamMatch: model.ParamExact, Args: os.Args[1:]},
		{Process: os.Args[0], FullCommand: true, ParamMatch: model.ParamExact, Args: []string{"no such argument"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got[0] < 1 || got[1] < 1 || got[2] != 0 {
		t.Errorf("counts %v", got)
	}
}
