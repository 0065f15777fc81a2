package status

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	time.Local = time.UTC // as where the recordings were made
	flag.Parse()
	os.Exit(m.Run())
}

func render(t *testing.T, write func(io.Writer, *Snapshot) error, s *Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, name), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// within checks that all lines of got stand in keepalived's text too, in the same block and order, but those that we say
// otherwise on purpose.
func within(t *testing.T, got, oracle string, otherwise ...string) {
	t.Helper()
	theirs := blocks(oracle)
next:
	for _, ours := range blocks(got) {
		for i, b := range theirs {
			if b[0] == ours[0] {
				theirs = theirs[i+1:]
				subsequence(t, ours, b, otherwise)
				continue next
			}
		}
		if !slices.Contains(otherwise, ours[0]) {
			t.Errorf("keepalived has no %q here", ours[0])
		}
	}
}

func subsequence(t *testing.T, ours, theirs, otherwise []string) {
	t.Helper()
	rest := theirs
	for _, line := range ours {
		if i := slices.Index(rest, line); i >= 0 {
			rest = rest[i+1:]
		} else if !slices.Contains(otherwise, line) {
			t.Errorf("%s: keepalived does not say %q here, but %q", ours[0], line, rest[:min(2, len(rest))])
		}
	}
}

// blocks cuts a dump before each line that is hardly indented, or a heading.
func blocks(text string) [][]string {
	var out [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if len(out) == 0 || !strings.HasPrefix(line, "  ") || strings.Contains(line, "------<") {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], line)
	}
	return out
}

func TestData(t *testing.T) {
	got := render(t, WriteData, vrrpSnapshot())
	golden(t, "vrrp.data", got)
	want := read(t, "vrrp.oracle.data")
	for _, d := range [][2]string{
		{"Password = 12345", "Password = ********"},
		{" libnftnl version 1.3.1\n", ""},
		{"   Not IPv6 forwarding. Last checked 1795265052.904122 (Sat Nov 21 12:44:12 2026.904122)\n", ""},
	} {
		if !strings.Contains(want, d[0]) {
			t.Errorf("%q is no difference any more", d[0])
		}
		want = strings.ReplaceAll(want, d[0], d[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-keepalived +ours):\n%s", diff)
	}
	if strings.Contains(got, "12345") {
		t.Error("the password is shown")
	}
}

func TestCheckData(t *testing.T) {
	got := render(t, WriteCheckData, checkSnapshot())
	golden(t, "check.data", got)
	within(t, got, read(t, "check.oracle.data"),
		" Gratuitous ARP lower priority delay = 5", " Gratuitous ARP lower priority repeat = 5", // it says 4294967295 for no value of its own
		"   Last ran = 1795265283.068981 (Sat Nov 21 12:48:03.068981 2026)") // keepalived has the fraction after the year
}

func TestStats(t *testing.T) {
	want := strings.ReplaceAll(read(t, "vrrp.oracle.stats"), "  Priority Zero:\n", `  Authentication Extension Errors:
    Missing: 0
    Malformed: 0
    Unknown Key: 0
    Invalid HMAC: 0
    Stale: 0
    Replay: 0
  Priority Zero:
`)
	if diff := cmp.Diff(want, render(t, WriteStats, vrrpSnapshot())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each counter has its own line and key.
func TestCounters(t *testing.T) {
	s := &Snapshot{Instances: []Instance{{Instance: model.Instance{Name: "X"}, Stats: Stats{
		AdvertRcvd: 1, AdvertSent: 2, BecomeMaster: 3, ReleaseMaster: 4, PacketLenErr: 5, AdvertIntervalErr: 6, IPTTLErr: 7,
		InvalidTypeRcvd: 8, AddrListErr: 9, InvalidAuthType: 10, AuthTypeMismatch: 11, AuthFailure: 12, AuthExtMissing: 13,
		AuthExtMalformed: 14, AuthExtUnknownKey: 15, AuthExtInvalidHMAC: 16, AuthExtStale: 17, AuthExtReplay: 18,
		PriZeroRcvd: 19, PriZeroSent: 20,
	}}}}
	golden(t, "counters.stats", render(t, WriteStats, s))
	golden(t, "counters.json", render(t, func(w io.Writer, s *Snapshot) error { return WriteJSON(w, s, 2) }, s))
}

func TestJSON(t *testing.T) {
	want := read(t, "vrrp.oracle.json") // 2.3.4: no HMAC, clear passwords
	want = strings.ReplaceAll(want, `"pri_zero_rcvd"`, `"auth_ext_missing":0,"auth_ext_malformed":0,"auth_ext_unknown_key":0,`+
		`"auth_ext_invalid_hmac":0,"auth_ext_stale":0,"auth_ext_replay":0,"pri_zero_rcvd"`)
	want = strings.ReplaceAll(want, `"12345"`, `"********"`)
	split := func(s string) []string { return strings.Split(s, ",") }

	s := vrrpSnapshot()
	one := render(t, func(w io.Writer, s *Snapshot) error { return WriteJSON(w, s, 1) }, s)
	if diff := cmp.Diff(split(want), split(one)); diff != "" {
		t.Errorf("version 1 (-want +got):\n%s", diff)
	}
	two := render(t, func(w io.Writer, s *Snapshot) error { return WriteJSON(w, s, 2) }, s)
	if want := `{"vrrp":` + strings.TrimSuffix(one, "\n") + "}\n"; two != want {
		t.Errorf("version 2 is not version 1 within an object:\n%s", two)
	}
}

// Names come from the configuration: whatever is in them, the file is JSON and gives them back.
func TestJSONStrings(t *testing.T) {
	name := "a/b\\/\"<&>\n\u2028é"
	s := &Snapshot{Instances: []Instance{{Instance: model.Instance{Name: name}}}}
	var got []struct{ Data struct{ IName string } }
	text := render(t, func(w io.Writer, s *Snapshot) error { return WriteJSON(w, s, 1) }, s)
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if got[0].Data.IName != name {
		t.Errorf("got %q of %s", got[0].Data.IName, text)
	}
}

func TestGlobal(t *testing.T) {
	s := &Snapshot{Process: settings()}
	g := &s.Process
	g.Instance, g.NetNamespace, g.DynamicInterface, g.FIFOStatesOnReload, g.Umask, g.JSONVersion = "foo", "blue", true, true, 0o22, 2
	g.NotifyFIFO = model.FIFO{Path: "/run/g.fifo", UID: 65534, GID: 65534}
	g.VRRPNotifyFIFO = model.FIFO{Path: "/run/v.fifo", Script: &model.Script{Args: []string{"/usr/bin/cat"}, UID: 65534, GID: 65534}}
	g.StartupScript, g.StartupScriptTimeout = root("/usr/bin/true"), 10*time.Second
	g.ShutdownScript, g.ShutdownScriptTimeout = root("/usr/bin/true", "x"), 3*time.Second
	g.VRRPSched = model.Scheduling{Nice: -5, RTPriority: 10, NoSwap: true, CPUs: []int{0, 2}, RLimitRT: 10 * time.Millisecond}
	g.BFDSched = model.Scheduling{Nice: 3, NoSwap: true, RTPriority: 5}
	g.SNMP = model.SNMP{VRRP: true, RFCv3: true, Traps: true, Socket: "udp:127.0.0.1:161", ServiceAge: 3 * time.Second, ServerAge: 3500 * time.Millisecond}
	g.DBus = model.DBus{Enabled: true, Name: "org.example.vrrp", NoInterface: "none0"}
	g.Mail = model.Mail{Server: netip.MustParseAddrPort("127.0.0.1:2525"), HELO: "vm", Timeout: 30 * time.Second, NoFaults: true,
		From: model.Mailbox{Header: "root@vm"}, To: []model.Mailbox{{Header: "Net Ops <net@example.com>"}, {Header: `"Net.Ops" <net2@example.com>`}}}
	s.LVS = model.LVS{NoCheckerEmails: true, Flush: true, FlushOnStop: model.FlushVS, TimeoutTCP: 100 * time.Second, TimeoutUDP: 20 * time.Second, RSInitNotifies: true}
	s.VRRP = model.VRRP{StartupDelay: 1500 * time.Millisecond, LogUnknownVRIDs: true}
	golden(t, "global.data", render(t, WriteGlobal, s))

	s = &Snapshot{Process: settings()}
	s.Process.Mail = model.Mail{Server: netip.MustParseAddrPort("127.0.0.1:587"), HELO: "vm", Timeout: 30 * time.Second, TLS: model.StartTLS,
		TLSName: "mail.example.com", TLSCAFile: "/etc/ssl/mail.pem", AuthUser: "alerts", AuthPassword: model.Secret("s3cr3t"), From: model.Mailbox{Header: "root@vm"}}
	got := render(t, WriteGlobal, s)
	golden(t, "mail-secure.data", got[strings.Index(got, " Smtp server ="):strings.Index(got, " Email notification from")])
}

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		want string
		a    model.Address
	}{
		{"10.1.0.100/24 brd 10.1.0.255 dev eth1 scope site label eth1:1",
			model.Address{Prefix: pfx("10.1.0.100/24"), Interface: "eth1", Broadcast: ip("10.1.0.255"), Scope: 200, Label: "eth1:1"}},
		{"10.1.0.102 dev eth0 scope global peer 10.1.0.9/32",
			model.Address{Prefix: pfx("10.1.0.102/32"), Interface: "eth0", Peer: pfx("10.1.0.9/32")}},
		{"10.1.0.103/24 brd 10.1.0.255 dev eth0 scope global no_track",
			model.Address{Prefix: pfx("10.1.0.103/24"), Interface: "eth0", Broadcast: ip("10.1.0.255"), NoTrack: true}},
		{"2001:db8::3/64 dev p0 scope global -nodad preferred_lft 100",
			model.Address{Prefix: pfx("2001:db8::3/64"), Interface: "p0", PreferredLft: 100}},
		{"10.0.0.1/8 dev eth0 scope host", model.Address{Prefix: pfx("10.0.0.1/8"), Interface: "eth0", Scope: 254}},
		{"10.0.0.1/8 dev eth0 scope 7", model.Address{Prefix: pfx("10.0.0.1/8"), Interface: "eth0", Scope: 7}},
	} {
		if got := c.a.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestBackupOfAMaster(t *testing.T) {
	i := Instance{
		Instance: model.Instance{Name: "B2", Version: 3, Family: model.IPv6, AdvertInt: time.Second}, State: model.Backup,
		Master: Master{Addr: ip("fe80::1"), Priority: 195, AdvertInt: 1500 * time.Millisecond},
	}
	got := render(t, WriteData, &Snapshot{Instances: []Instance{i}})
	for _, want := range []string{
		"\n   State = BACKUP\n   Master router = fe80::1\n   Master priority = 195\n   Master advert interval = 1500 milli-sec\n",
		"\n   Advert interval = 1000 milli-sec\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keepalived.data")
	only := func(t *testing.T, want string) {
		t.Helper()
		if got, err := os.ReadFile(path); string(got) != want {
			t.Errorf("the file has %q (%v), want %q", got, err, want)
		}
		if list, err := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("left in the directory: %v (%v)", list, err)
		}
	}

	if err := WriteFile(path, 0o640, text("one")); err != nil {
		t.Fatal(err)
	}
	only(t, "one")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&^0o640 != 0 || st.Mode().Perm()&0o600 != 0o600 {
		t.Errorf("mode %v (%v)", st.Mode(), err)
	}

	broken := errors.New("cannot render")
	if err := WriteFile(path, 0o600, func(w io.Writer) error { io.WriteString(w, "half"); return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	only(t, "one")

	if err := WriteFile(filepath.Join(dir, "none", "x"), 0o600, text("")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestWriteFileReplacesLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(elsewhere, []byte("gold"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "keepalived.stats")
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, 0o600, text("new")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(elsewhere); string(got) != "gold" {
		t.Errorf("the target became %q", got)
	}
	if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() {
		t.Errorf("the link became %v (%v)", st, err)
	}
}

// A watcher of the name sees the file moved there and then closed after writing.
func TestWriteFileWakesWatchers(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "keepalived.json"), 0o600, text("[]")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for b := buf[:n]; len(b) > 0; {
		mask, length := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:]) // struct inotify_event
		if name, _, _ := strings.Cut(string(b[16:16+length]), "\x00"); name == "keepalived.json" {
			seen = append(seen, map[uint32]string{unix.IN_MOVED_TO: "moved", unix.IN_CLOSE_WRITE: "closed"}[mask])
		}
		b = b[16+length:]
	}
	if got := strings.Join(seen, " "); got != "moved closed" {
		t.Errorf("saw %q", got)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ env, want string }{
		{dir, dir}, {"", "/tmp"}, {"relative", "/tmp"}, {"/no/such/place", "/tmp"}, {file, "/tmp"},
	} {
		t.Setenv("TMPDIR", c.env)
		if got := Directory(); got != c.want {
			t.Errorf("TMPDIR=%q: %s, want %s", c.env, got, c.want)
		}
	}
}
