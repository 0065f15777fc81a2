package vm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The kernel tells of processes in the initial network namespace only, and the UML kernel not at all:
//
//	go test -exec "$PWD/test/vm/run -backend qemu" -run TestTrackProcess ./test/vm
func TestTrackProcess(t *testing.T) {
	needVM(t)
	if os.Getenv("VMRUN") != "qemu" {
		t.Skip("the kernel has no process connector: use -backend qemu")
	}
	s := &site{t: t}
	for _, line := range []string{"link add tp0 type veth peer name tp1", "addr add 10.7.0.1/24 dev tp0", "link set tp0 up", "link set tp1 up"} {
		command(t, "ip", strings.Fields(line)...)
	}
	t.Cleanup(func() { exec.Command("ip", "link", "del", "tp0").Run() })
	for _, d := range []struct{ name, program string }{{"keepalived", original}, {"keepalived-go", os.Getenv("KEEPALIVED_GO")}} {
		t.Run(d.name, func(t *testing.T) {
			if d.program == "" {
				t.Skip("no daemon to test: KEEPALIVED_GO is not set")
			}
			trackProcess(newRig(&site{t, s.ns}, d.program != original), d.program)
		})
	}
}

func trackProcess(r *rig, program string) {
	t := r.t
	// A program of a name of its own, which ends when it is told to.
	path := filepath.Join(r.dir, "ka-tracked")
	src, err := os.ReadFile("/bin/sleep")
	if err == nil {
		err = os.WriteFile(path, src, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (end func()) {
		t.Helper()
		c := exec.Command(path, args...)
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := false
		end = func() {
			if !ended {
				ended = true
				c.Process.Kill()
				c.Wait()
			}
		}
		t.Cleanup(end)
		return end
	}
	from := 0 // of the log, what has not been waited for
	logs := func(line string) time.Time {
		t.Helper()
		deadline := time.Now().Add(patience(6 * time.Second))
		for {
			if text := r.log.String(); strings.Contains(text[from:], line) {
				from += strings.Index(text[from:], line) + len(line)
				return time.Now()
			}
			if time.Now().After(deadline) {
				t.Fatalf("the log has no further %q", line)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}

	end := run("1001")
	config := func(more string) string {
		return fmt.Sprintf(`vrrp_track_process two {
  process ka-tracked
  quorum 2
  quorum_max 2
  weight 10
}
vrrp_track_process slow {
  process %s 2002
  fork_delay 1
  terminate_delay 2
  weight 20
}
vrrp_track_process first {
  process %s 10
  param_match initial
}
vrrp_instance V {
  interface tp0
  virtual_router_id 71
  priority 100
  track_process {
    two
    slow
    first
  }
  virtual_ipaddress {
    10.7.0.100/24
  }
}
%s`, path, path, more)
	}
	r.raw(config(""))
	r.start(program, "-P")
	logs("(V) Entering BACKUP STATE (init)")

	end2 := run("2002")
	logs("Quorum gained for tracked process two")
	logs("(V) Changing effective priority from 100 to 110")
	logs("Quorum gained for tracked process slow")
	logs("(V) Changing effective priority from 110 to 130")

	// A fork counts at once, and is one too many; the delay of the other is not begun.
	end3 := run("3003")
	logs("Quorum lost for tracked process two")
	logs("(V) Changing effective priority from 130 to 120")
	end3()
	logs("Quorum gained for tracked process two")

	// Away for less than the delay.
	end2()
	logs("Quorum lost for tracked process two")
	end2 = run("2002")
	logs("Quorum gained for tracked process two")
	logs("(V) Changing effective priority from 120 to 130")

	// A reload keeps what is known, and the new one begins to count.
	before := from
	if r.ours {
		r.raw(config("vrrp_instance W {\n  interface tp0\n  virtual_router_id 72\n  track_process {\n    two\n  }\n  virtual_ipaddress {\n    10.7.0.101/24\n  }\n}\n"))
		r.daemon.Process.Signal(syscall.SIGHUP)
		// Two processes say these, in either order.
		reloaded := from
		logs("(W) Changing effective priority from 100 to 110")
		from = reloaded
		logs("Reload complete")
	}

	end2()
	at := logs("Quorum lost for tracked process two")
	lost := logs("Quorum lost for tracked process slow").Sub(at)
	if lost < 1500*time.Millisecond {
		t.Errorf("the loss was told after %v, before its delay", lost)
	}
	if strings.Count(r.log.String()[before:], "tracked process slow") != 1 {
		t.Errorf("an absence shorter than its delay was told")
	}
	logs("(V) Changing effective priority from 120 to 100")

	// The last of it is a fault.
	end()
	logs("Quorum lost for tracked process first")
	logs("(V) Entering FAULT STATE")
	run("1001")
	logs("Quorum gained for tracked process first")
	logs("(V) Entering BACKUP STATE")
}
