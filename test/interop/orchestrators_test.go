package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/test/lab"
	"github.com/keepalived-go/keepalived-go/test/oracle"
)

// Programs that people run beside keepalived ask it questions in ways of their own (conventions.md §1). Each of these does what one of
// them does; the answers must be the same of both.
var orchestrators = []struct {
	name string
	ask  func(t *testing.T, d *lab.Daemon, program string) string
}{
	{"mehdy exporter", mehdy},
	{"gen2brain exporter", gen2brain},
	{"checkmk", checkmk},
	{"VyOS", vyos},
	{"Ansible", ansible},
	{"neutron and Octavia", neutron}, // the last: it reloads
}

func TestOrchestrators(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t)
	newest, err := oracle.Newest()
	if err != nil {
		t.Fatalf("nothing to compare with: %v", err)
	}
	answers := func(t *testing.T, program string) map[string]string {
		l := lab.New(t, lab.Plan{Nodes: []string{"a", "c"}})
		i := lab.Instance{Priority: 150}
		d := l.Node("a").Start(program, "vrrp_script chk {\n  script /usr/bin/true\n  interval 1\n}\n"+
			lab.Instance{Priority: 150, Lines: "track_script {\n  chk\n}"}.String())
		l.WaitHolder(soon+i.Down(), shared, "a")
		out := map[string]string{}
		for _, o := range orchestrators {
			out[o.name] = o.ask(t, d, program)
		}
		if code := d.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		// Pid files go with the daemon: agents take their absence for its end.
		for _, name := range []string{"keepalived.pid", "vrrp.pid"} {
			if _, err := os.Stat(filepath.Join(d.Node.Dir, name)); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", name, err)
			}
		}
		return out
	}
	var want, got map[string]string
	t.Run("live", func(t *testing.T) {
		t.Run("newest", func(t *testing.T) { t.Parallel(); want = answers(t, newest) })
		t.Run("ours", func(t *testing.T) { t.Parallel(); got = answers(t, lab.Ours()) })
	})
	for _, o := range orchestrators {
		t.Run(o.name, func(t *testing.T) {
			if want[o.name] == "" || want[o.name] != got[o.name] {
				t.Errorf("the original answers\n%s\nours\n%s", want[o.name], got[o.name])
			}
		})
	}
}

// signum asks for a number as the exporter does: what is printed must be a JSON number.
func signum(t *testing.T, program, name string) syscall.Signal {
	t.Helper()
	out, err := exec.Command(program, "--signum="+name).Output()
	if err != nil {
		t.Fatalf("--signum=%s: %v", name, err)
	}
	var n int
	if err := json.Unmarshal(out, &n); err != nil {
		t.Fatalf("--signum=%s: %v in %q", name, err, out)
	}
	return syscall.Signal(n)
}

// mehdy: the version is the second field of the first line without its first letter; JSON is asked for only if the build says that it can.
// Otherwise, and for scripts, .data and .stats are parsed, both after one signal each.
func mehdy(t *testing.T, d *lab.Daemon, program string) string {
	cmd := exec.Command(program, "-v")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	first, _, _ := strings.Cut(stderr.String(), "\n")
	fields := strings.Split(first, " ")
	if len(fields) < 2 || !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(fields[1][1:]) {
		t.Errorf("no version in %q", first)
	}
	var b strings.Builder
	fmt.Fprintln(&b, "json", strings.Contains(stderr.String(), "--enable-json"))

	for _, name := range []string{"JSON", "DATA", "STATS"} {
		fmt.Fprintln(&b, name, int(signum(t, program, name)))
	}
	var stats []struct {
		Data struct {
			IName    string   `json:"iname"`
			State    int      `json:"state"`
			WantSt   int      `json:"wantstate"`
			Intf     string   `json:"ifp_ifname"`
			GArp     int      `json:"garp_delay"`
			VRID     int      `json:"vrid"`
			VIPs     []string `json:"vips"`
			Last     float64  `json:"last_transition"`
			Priority int      `json:"effective_priority"`
		} `json:"data"`
		Stats map[string]float64 `json:"stats"`
	}
	if err := json.Unmarshal([]byte(d.Dump(signum(t, program, "JSON"), "keepalived.json")), &stats); err != nil || len(stats) != 1 {
		t.Fatalf("keepalived.json: %v", err)
	}
	s := stats[0]
	fmt.Fprintln(&b, s.Data.IName, s.Data.State, s.Data.WantSt, s.Data.Intf, s.Data.GArp, s.Data.VRID, s.Data.Priority, time.Since(time.UnixMicro(int64(s.Data.Last*1e6))) < time.Minute)
	for _, vip := range s.Data.VIPs { // "192.168.1.1 dev eth0 …": the first field and the third
		f := strings.Split(vip, " ")
		fmt.Fprintln(&b, f[0], f[2])
	}
	var keys []string
	for _, k := range []string{"advert_rcvd", "advert_sent", "become_master", "release_master", "packet_len_err", "advert_interval_err", "ip_ttl_err", "invalid_type_rcvd",
		"addr_list_err", "invalid_authtype", "authtype_mismatch", "auth_failure", "pri_zero_rcvd", "pri_zero_sent"} {
		if _, ok := s.Stats[k]; ok {
			keys = append(keys, k)
		}
	}
	fmt.Fprintln(&b, keys)

	// The text files.
	section := ""
	in := bufio.NewScanner(strings.NewReader(d.Dump(signum(t, program, "STATS"), "keepalived.stats")))
	for in.Scan() {
		line := in.Text()
		switch {
		case strings.HasPrefix(line, "VRRP Instance"):
			fmt.Fprintln(&b, strings.TrimSpace(strings.Split(line, ":")[1]))
		case strings.HasPrefix(line, "  ") && strings.HasSuffix(line, ":"):
			section = strings.TrimSpace(strings.TrimSuffix(line, ":"))
		default:
			k, v, ok := strings.Cut(strings.TrimSpace(line), ":")
			if _, err := strconv.Atoi(strings.TrimSpace(v)); !ok || err != nil {
				t.Errorf("keepalived.stats: %q", line)
			}
			if !strings.Contains(section, "Extension") { // since 2.4
				fmt.Fprintln(&b, section, k)
			}
		}
	}
	d.WaitLog(soon, `^VRRP_Script\(chk\) succeeded`)
	inside := ""
	in = bufio.NewScanner(strings.NewReader(d.Dump(signum(t, program, "DATA"), "keepalived.data")))
	for in.Scan() {
		line := in.Text()
		key, value, ok := strings.Cut(line, " = ")
		switch {
		case strings.HasPrefix(line, " VRRP Instance = "), strings.HasPrefix(line, " VRRP Script = "):
			inside = value
			fmt.Fprintln(&b, line)
		case inside == "chk" && ok && slices.Contains([]string{"Status", "State"}, strings.TrimSpace(key)):
			if value == "running" { // it may just do so
				value = "idle"
			}
			fmt.Fprintln(&b, strings.TrimSpace(key), value)
		case inside == "VI_1" && ok && slices.Contains([]string{"State", "Wantstate", "Interface", "Gratuitous ARP delay", "Virtual Router ID"}, strings.TrimSpace(key)):
			fmt.Fprintln(&b, strings.TrimSpace(key), value)
		case regexp.MustCompile(`^   Virtual IP( \(\d+\))? ?:$`).MatchString(line):
			in.Scan()
			fmt.Fprintln(&b, in.Text())
		}
	}
	return b.String()
}

// gen2brain: the first process whose first word has the base name of the program is signalled with a number known beforehand, and the file
// is read 100 ms later; here a little more, for the machine is busy.
func gen2brain(t *testing.T, d *lab.Daemon, program string) string {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(string(cmdline), "\x00")
	var v []map[string]any
	if err := json.Unmarshal([]byte(d.Dump(syscall.Signal(36), "keepalived.json")), &v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintln(filepath.Base(name) == filepath.Base(program), len(v), v[0]["data"].(map[string]any)["state"])
}

// checkmk deletes the file, asks for it, waits for its name and deletes it again.
func checkmk(t *testing.T, d *lab.Daemon, _ string) string {
	file := filepath.Join(d.Node.Dir, "tmp", "keepalived.json")
	var out strings.Builder
	for range 3 {
		os.Remove(file)
		d.Signal(syscall.Signal(36))
		var text []byte
		for end := time.Now().Add(soon); len(text) == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			text, _ = os.ReadFile(file)
		}
		var v []struct {
			Data struct {
				IName string   `json:"iname"`
				State int      `json:"state"`
				VRID  int      `json:"vrid"`
				VIPs  []string `json:"vips"`
				EVIPs []string `json:"evips"`
			}
		}
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		fmt.Fprintln(&out, v)
	}
	os.Remove(file)
	return out.String()
}

// vyos watches the directory for the file to be closed after writing, and then takes it. What the newest original does, which renames, it does
// not see: the answer of both is what is in the file, for that is what it wants.
func vyos(t *testing.T, d *lab.Daemon, program string) string {
	file := filepath.Join(d.Node.Dir, "tmp", "keepalived.json")
	os.Remove(file)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(file), unix.IN_CLOSE_WRITE); err != nil {
		t.Fatal(err)
	}
	d.Signal(syscall.Signal(36))
	seen, buf := false, make([]byte, 4096)
	for end := time.Now().Add(soon); !seen && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, err := unix.Read(fd, buf); err == nil {
			seen = bytes.Contains(buf[:n], []byte("keepalived.json\x00"))
		}
	}
	if !seen && !lab.IsKeepalived(program) {
		t.Error("the file was not closed after writing")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v []struct {
		Data map[string]any
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	os.Remove(file)
	var out []string
	for _, key := range []string{"iname", "ifp_ifname", "vrid", "state", "effective_priority", "base_priority"} {
		out = append(out, fmt.Sprint(v[0].Data[key]))
	}
	return strings.Join(out, " ")
}

// ansible takes the version by this expression, and has a file validated before it puts it in place.
func ansible(t *testing.T, d *lab.Daemon, program string) string {
	out, _ := exec.Command(program, "--version").CombinedOutput()
	version := regexp.MustCompile(`[kK]eepalived v(.*) `).FindSubmatch(out)
	if version == nil {
		t.Errorf("no version in %q", out)
	}
	good, _ := d.Node.Output(soon, program, "--config-test", "-f", d.Conf)
	bad, _ := d.Node.Output(soon, program, "--config-test", "-f", d.Node.File("bad.conf", "vrrp_instance X {\n  priorty 5\n}\n"))
	return fmt.Sprintln("config test", good, bad)
}

// neutron reads pid files that it has named, looks for their processes, and reloads by them; Octavia asks when the checkers' file was written.
func neutron(t *testing.T, d *lab.Daemon, _ string) string {
	var out []string
	for _, name := range []string{"keepalived.pid", "vrrp.pid"} {
		pid, err := strconv.Atoi(strings.TrimSpace(d.Node.ReadFile(name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		out = append(out, fmt.Sprint(name, err, strings.Contains(string(cmdline), d.Conf)))
	}
	st, err := os.Stat(filepath.Join(d.Node.Dir, "keepalived.pid"))
	if err != nil || time.Since(st.ModTime()) > time.Hour {
		t.Errorf("keepalived.pid: %v", err)
	}
	at := time.Now()
	pid, _ := strconv.Atoi(strings.TrimSpace(d.Node.ReadFile("keepalived.pid")))
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	d.WaitLogAfter(at, soon, `^Reload complete`)
	return strings.Join(out, "\n")
}
