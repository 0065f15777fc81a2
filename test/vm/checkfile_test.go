package vm

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// put writes a file as `echo` does: truncated, written, closed.
func (r *rig) put(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.dir+"/"+name, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// weights is the table of the one service with its servers at 127.0.0.N, as "11:3 12:1".
func weights(list string) string {
	text := "-A -t 127.0.0.10:80 -s wrr\n"
	for _, w := range strings.Fields(list) {
		n, weight, _ := strings.Cut(w, ":")
		text += fmt.Sprintf("-a -t 127.0.0.10:80 -r 127.0.0.%s:80 -m -w %s\n", n, weight)
	}
	return text
}

func TestFileCheck(t *testing.T) {
	withDaemons(t, func(r *rig, program string) {
		file := func(n, name, more string) string {
			return fmt.Sprintf("real_server 127.0.0.%s 80 {\n weight 10\n FILE_CHECK {\n  track_file %s\n %s\n }\n}", n, name, more)
		}
		r.put("f1", "5\n")
		r.put("f2", "1\n")
		conf := fmt.Sprintf("track_file f1 {\n file %[1]s/f1\n weight 2\n}\ntrack_file f2 {\n file %[1]s/f2\n weight 0\n}\n", r.dir) +
			vs(file("11", "f1", ""), file("12", "f2", ""), file("13", "f2", "weight 0 reverse"), file("14", "f1", "weight -3 reverse"))
		r.config(conf)
		r.start(program)
		r.t.Run("L-F46 without weight a number is a failure, reversed none is, at the start too", func(t *testing.T) {
			if r.ours {
				r.becomes(soon, weights("11:20 13:10 14:25"))
			} else {
				r.becomes(soon, weights("11:20 14:25")) // it forgets the word reverse at the start
			}
			r.said(soon, "VS [127.0.0.10]:tcp:80 UP")
			r.put("f2", "0\n")
			r.becomes(soon, weights("11:20 12:10 14:25"))
			r.put("f2", "1\n")
			r.becomes(soon, weights("11:20 13:10 14:25"))
			r.logged("([127.0.0.12]:tcp:80): tracked file f2 now FAULT state", "([127.0.0.13]:tcp:80): tracked file f2 leaving FAULT state")
		})
		r.t.Run("L-F45 the number times the weight is added", func(t *testing.T) {
			r.put("f1", "0\n")
			r.becomes(soon, weights("11:10 13:10 14:10"))
			r.logged("Changing weight from 20 to 10 for active service [127.0.0.11]:tcp:80 of VS [127.0.0.10]:tcp:80")
			r.put("f1", "-3\n")
			r.becomes(soon, weights("11:4 13:10 14:1"))
			r.put("f1", "-2000000000\n")
			r.becomes(soon, weights("13:10"))
			r.put("f1", "0x3\n")
			r.becomes(soon, weights("11:16 13:10 14:19"))
			if err := os.Remove(r.dir + "/f1"); err != nil {
				t.Fatal(err)
			}
			r.becomes(soon, weights("11:10 13:10 14:10"))
		})
		r.t.Run("L-F47 a file that is being written says nothing", func(t *testing.T) {
			r.put("f1", "5\n")
			r.becomes(soon, weights("11:20 13:10 14:25"))
			f, err := os.OpenFile(r.dir+"/f1", os.O_WRONLY|os.O_TRUNC, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{"-", "1", "00"} {
				f.WriteString(part)
				time.Sleep(200 * time.Millisecond) // that nothing happens cannot be waited for
				r.expect(weights("11:20 13:10 14:25"))
			}
			f.WriteString("0\n")
			f.Close()
			r.becomes(soon, weights("11:0 13:10 14:0"))
		})
		r.t.Run("L-E30 a reload does not make a failed server flap", func(t *testing.T) {
			for len(r.lines) > 0 {
				<-r.lines
			}
			r.reload(conf + "# changed\n")
			line := "Reload complete"
			if r.ours {
				line = "Reloading"
			}
			wait(t, soon, "the reload", func() bool { return strings.Contains(r.log.String(), line) })
			if r.ours {
				r.put("f2", "0\n")
				r.becomes(soon, weights("11:0 12:10 14:0"))
				r.said(soon, "RS [127.0.0.12]:tcp:80 [127.0.0.10]:tcp:80 UP", "RS [127.0.0.13]:tcp:80 [127.0.0.10]:tcp:80 DOWN")
				r.silent()
			}
		})
	})
}
