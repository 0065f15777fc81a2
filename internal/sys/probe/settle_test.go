//go:build !cgo

// With cgo a process cannot change all its threads at once; releases are built without.

package probe

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// A prober lowers itself: a check can wait, an advert cannot.
func TestSettled(t *testing.T) {
	c := spawn(t, "prober")
	dst := server(t, func(net.Conn) {})
	c.Start(1, &Spec{Kind: model.TCPCheck, Conn: model.Connect{Dst: dst, Timeout: ample}}, ample)
	receive(t, c.results, "result")
	status, err := os.ReadFile("/proc/" + strconv.Itoa(c.PID()) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "NoNewPrivs:\t1\n") {
		t.Errorf("no_new_privs is not set:\n%s", status)
	}
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(c.PID()) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		attr, err := unix.SchedGetAttr(tid, 0)
		if err != nil {
			continue // ended
		}
		if attr.Policy != unix.SCHED_NORMAL || attr.Nice != niceness {
			t.Errorf("thread %d: policy %d, nice %d", tid, attr.Policy, attr.Nice)
		}
	}
}
