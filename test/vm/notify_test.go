package vm

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// write makes a file in the rig's directory, in one step.
func (r *rig) write(name, text string, mode os.FileMode) string {
	r.t.Helper()
	path := r.dir + "/" + name
	if err := os.WriteFile(path+".new", []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *rig) read(name string) string {
	b, _ := os.ReadFile(r.dir + "/" + name)
	return string(b)
}

// A daemon goes on whatever is the matter with its FIFOs.
func TestFIFOs(t *testing.T) {
	const served = "-A -t 127.0.0.10:80 -s wrr\n-a -t 127.0.0.10:80 -r 127.0.0.11:80 -m -w 1"
	t.Run("L-G04 nobody reads", func(t *testing.T) {
		withDaemons(t, func(r *rig, program string) {
			r.up("127.0.0.11")
			r.raw(fmt.Sprintf("global_defs {\n script_user root\n lvs_notify_fifo %s/unread\n}\n", r.dir) + vs("sorry_server 127.0.0.99 80", rs("127.0.0.11")))
			r.start(program)
			for range 3 {
				r.becomes(soon, served)
				r.down("127.0.0.11")
				r.becomes(soon, strings.ReplaceAll(served, "127.0.0.11", "127.0.0.99"))
				r.up("127.0.0.11")
			}
			r.becomes(soon, served)
			r.stop()
			r.expect("")
		})
	})
	t.Run("L-G05 two of them", func(t *testing.T) {
		withDaemons(t, func(r *rig, program string) {
			r.up("127.0.0.11")
			r.config(globals("notify_fifo "+r.dir+"/all") + vs(rs("127.0.0.11")))
			r.start(program)
			r.said(soon, "VS [127.0.0.10]:tcp:80 UP")
			all, err := os.OpenFile(r.dir+"/all", os.O_RDWR, 0)
			if err != nil {
				r.t.Fatal(err)
			}
			defer all.Close()
			r.down("127.0.0.11")
			want := []string{"RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 DOWN", "VS [127.0.0.10]:tcp:80 DOWN"}
			r.said(soon, want...)
			all.SetReadDeadline(time.Now().Add(soon))
			in := bufio.NewScanner(all)
			for in.Scan() && in.Text() == "VS [127.0.0.10]:tcp:80 UP" { // from before it was opened here
			}
			for i := 0; ; {
				if got := strings.Trim(in.Text(), "\x00"); got != want[i] {
					r.t.Errorf("notify_fifo says %q, want %q", got, want[i])
				}
				if i++; i == len(want) || !in.Scan() {
					break
				}
			}
		})
	})
	t.Run("L-G06 not a FIFO", func(t *testing.T) {
		withDaemons(t, func(r *rig, program string) {
			r.write("file", "precious", 0o600)
			if err := os.Symlink(r.dir+"/fifo", r.dir+"/link"); err != nil {
				r.t.Fatal(err)
			}
			r.raw(fmt.Sprintf("global_defs {\n script_user root\n lvs_notify_fifo %s/file\n notify_fifo %s/link\n}\n", r.dir, r.dir) + vs(" real_server 127.0.0.11 80 {\n}"))
			r.start(program)
			r.becomes(soon, served)
			r.stop()
			if got := r.read("file"); got != "precious" && r.ours { // 2.2.7 writes into it
				r.t.Errorf("the file now holds %q", got)
			}
		})
	})
	t.Run("L-G07 its script", func(t *testing.T) {
		withDaemons(t, func(r *rig, program string) {
			script := r.write("script", "#!/bin/sh\nfor last; do :; done\necho started $last >>"+r.dir+"/started\nexec cat $last >/dev/null\n", 0o755)
			r.raw(fmt.Sprintf("global_defs {\n script_user root\n lvs_notify_fifo %s/own\n lvs_notify_fifo_script \"%s word\"\n}\n", r.dir, script) + vs(" real_server 127.0.0.11 80 {\n}"))
			r.start(program)
			want := "started " + r.dir + "/own\n"
			wait(t, soon, "the script is started", func() bool { return r.read("started") == want })
			r.becomes(soon, served)
			r.stop()
			if got := r.read("started"); got != want {
				r.t.Errorf("started %q", got)
			}
		})
	})
	t.Run("L-E28 unchanged over a reload", func(t *testing.T) {
		withDaemons(t, func(r *rig, program string) {
			r.up("127.0.0.11")
			r.config(vs(rs("127.0.0.11")))
			r.start(program)
			r.said(soon, "VS [127.0.0.10]:tcp:80 UP")
			r.reload(vs(rs("127.0.0.11"), "omega"))
			r.logged("Reload complete")
			r.down("127.0.0.11")
			r.said(soon, "RS [127.0.0.11]:tcp:80 [127.0.0.10]:tcp:80 DOWN", "VS [127.0.0.10]:tcp:80 DOWN")
		})
	})
}

// A script that tells of a change goes on over a reload, and ends with the daemon.
func TestNotifyScript(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		script := r.write("script", "#!/bin/sh\necho $$ >"+r.dir+"/pid\nsleep 60 &\nwait\n", 0o755)
		service := vs("quorum_up "+script, " real_server 127.0.0.11 80 {\n}")
		r.config(service)
		r.start(program)
		wait(t, soon, "the script runs", func() bool { return r.read("pid") != "" })
		pid := strings.TrimSpace(r.read("pid"))
		runs := func() bool { _, err := os.Stat("/proc/" + pid); return err == nil }
		r.reload(service + "# another\n")
		r.logged("Reload complete")
		if !runs() {
			r.t.Error("the reload ended the script")
		}
		r.stop()
		wait(t, soon, "the script ends with the daemon", func() bool { return !runs() })
	}, "L-G08")
}

// Reloading more often than the checks come does not keep them from coming; the original's never come.
func TestReloadsStarveNoChecks(t *testing.T) {
	needVM(t)
	if os.Getenv("KEEPALIVED_GO") == "" {
		t.Skip("no daemon to test: KEEPALIVED_GO is not set")
	}
	t.Parallel()
	t.Run("L-E29", func(t *testing.T) {
		r := newRig(newSite(t), true)
		r.config(vs(rs("127.0.0.20")))
		r.start(os.Getenv("KEEPALIVED_GO"))
		r.said(soon, "VS [127.0.0.10]:tcp:80 UP")
		tick := time.Tick(400 * time.Millisecond)
		for end := time.Now().Add(2 * soon); time.Now().Before(end); <-tick {
			r.reload(vs(rs("127.0.0.20")))
			select {
			case line := <-r.lines:
				if want := "RS [127.0.0.20]:tcp:80 [127.0.0.10]:tcp:80 DOWN"; line != want {
					t.Errorf("%q, want %q", line, want)
				}
				return
			default:
			}
		}
		t.Error("never checked")
	})
}
