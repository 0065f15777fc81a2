package effective

import (
	"cmp"
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

var update = flag.Bool("update", false, "write the goldens as they come out")

// file is a configuration as a file system.
type file string

func (f file) Open(name string) (fs.File, error) {
	return fstest.MapFS{"k": {Data: []byte(f), Mode: 0o644}}.Open(name)
}
func (f file) Glob(string) ([]string, error) { return nil, nil }

func host() config.Host { return &config.Offline{Node: "node"} }

// TestGoldens explains testdata/*.conf and some samples. The goldens are without what is there by default, which each new keyword adds to.
func TestGoldens(t *testing.T) {
	names, _ := filepath.Glob("testdata/*.conf")
	for _, s := range []string{"vrrp-unicast", "vrrp-scripts", "lvs-nat"} {
		names = append(names, "../../../conf/samples/"+s+".conf")
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			golden, err := filepath.Abs(filepath.Join("testdata", strings.TrimSuffix(filepath.Base(name), ".conf")+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(filepath.Dir(name))
			e, m, r := Explain(config.System{}, filepath.Base(name), config.Options{}, host())
			if m == nil {
				t.Fatalf("refused: %v", r.All())
			}
			var b strings.Builder
			if err := e.Write(&b, false); err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for line := range strings.Lines(b.String()) {
				if !strings.HasSuffix(line, " # default\n") || strings.Contains(line, " {  ") {
					got.WriteString(line)
				}
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if strings.Contains(b.String(), "s3cr3t") {
				t.Error("a secret is shown")
			}
		})
	}
}

// TestExplainedIsModel explains every configuration there is, reads the explanation as a configuration, and gets the same model: what is
// explained is what a daemon runs with.
func TestExplainedIsModel(t *testing.T) {
	read := 0
	for _, dir := range []string{"testdata", "../../../conf/samples", "../../../test/config/examples", "../../../test/config/vectors", "../lint/testdata"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.conf"))
		for _, name := range files {
			t.Run(name, func(t *testing.T) {
				t.Chdir(filepath.Dir(name))
				e, m, _ := Explain(config.System{}, filepath.Base(name), config.Options{}, host())
				if m == nil {
					return
				}
				read++
				var b strings.Builder
				e.print(&b, true, func(s string) string { return s })
				again, r := config.Load(file(b.String()), "k", config.Options{}, host())
				if again == nil {
					t.Fatalf("refused: %v\n%s", r.All(), b.String())
				}
				usual(m)
				usual(again)
				if d := model.Diff(m, again); !d.Empty() {
					t.Errorf("differs (-model +explained):\n%s", gocmp.Diff(m, again, gocmp.Comparer(func(a, b model.Secret) bool { return string(a) == string(b) }),
						gocmp.Exporter(func(reflect.Type) bool { return true })))
				}
			})
		}
	}
	if read < 100 {
		t.Errorf("only %d configurations", read)
	}
}

// TestInheritedIsTold reads the explanations back without what blocks inherit from global_defs: instances, groups and services must not
// change, since what they inherit is told in them.
func TestInheritedIsTold(t *testing.T) {
	// What does not become a value of a block: who runs scripts, what may be missing, what is looked up where.
	stays := []string{"script_user", "enable_script_security", "set_supplementary_groups", "use_symlink_paths", "dynamic_interfaces", "default_interface",
		"iproute_usr_dir", "iproute_etc_dir", "vrrp_min_garp", "include_check", "nftables", "nftables_ipvs", "vrrp_iptables"}
	inherits := 0
	for _, pattern := range []string{"testdata/*.conf", "../../../test/config/examples/*.conf", "../../../test/config/vectors/*.conf"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			t.Run(name, func(t *testing.T) {
				t.Chdir(filepath.Dir(name))
				e, m, _ := Explain(config.System{}, filepath.Base(name), config.Options{}, host())
				if m == nil {
					return
				}
				for _, s := range e {
					if s.Keyword != "global_defs" {
						continue
					}
					n := len(s.Inside)
					s.Inside = slices.DeleteFunc(s.Inside, func(s *Setting) bool { return !slices.Contains(stays, s.Keyword) })
					if len(s.Inside) < n {
						inherits++
					}
				}
				var b strings.Builder
				e.print(&b, true, func(s string) string { return s })
				again, r := config.Load(file(b.String()), "k", config.Options{}, host())
				if again == nil {
					t.Fatalf("refused: %v\n%s", r.All(), b.String())
				}
				of := func(m *model.Model) any {
					for i := range m.VRRP.Instances {
						if in := &m.VRRP.Instances[i]; len(in.Peers) > 0 {
							in.Group = netip.Addr{} // has no effect
						}
					}
					return []any{m.VRRP.Instances, m.VRRP.Groups, m.LVS.Services}
				}
				if d := gocmp.Diff(of(m), of(again), gocmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty()); d != "" {
					t.Errorf("(-model +explained):\n%s", d)
				}
			})
		}
	}
	if inherits < 20 {
		t.Errorf("only %d configurations with global settings", inherits)
	}
}

// usual makes one of two ways to say the same in a model, which differ only in how they are dumped: what is there by default may be written.
func usual(m *model.Model) {
	if m != nil {
		for i := range m.VRRP.Scripts {
			m.VRRP.Scripts[i].DefaultTimeout = false
		}
		m.VRRP.IPRouteUsr = cmp.Or(m.VRRP.IPRouteUsr, "/usr/share/iproute2")
		m.VRRP.IPRouteEtc = cmp.Or(m.VRRP.IPRouteEtc, "/etc/iproute2")
	}
}

func explained(t *testing.T, conf string) Explanation {
	t.Helper()
	e, m, r := Explain(file(conf), "k", config.Options{}, host())
	if m == nil {
		t.Fatalf("refused: %v", r.All())
	}
	return e
}

func written(t *testing.T, e Explanation) string {
	t.Helper()
	var b strings.Builder
	if err := e.Write(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const pair = `global_defs {
    vrrp_version 3
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 10
    authentication {
        auth_pass s3cr3t
    }
    virtual_ipaddress {
        192.0.2.1/24 dev eth1
    }
}
vrrp_instance VI_2 {
    interface eth0
    virtual_router_id 11
    priority 50
    virtual_ipaddress {
        192.0.2.2/24
    }
}
`

// TestFind narrows an explanation: what is found stands in its blocks, and nothing else does.
func TestFind(t *testing.T) {
	e := explained(t, pair)
	for _, c := range []struct {
		path string
		want []string // the lines, without their remarks
	}{
		{"vrrp_instance/VI_1/priority", []string{"vrrp_instance VI_1 {", "priority 100", "}"}},
		{"vrrp_instance VI_2 priority", []string{"vrrp_instance VI_2 {", "priority 50", "}"}},
		{"vrrp_instance/VI_1/nopreempt", []string{"vrrp_instance VI_1 {", "# nopreempt", "}"}},
		{"vrrp_instance/VI_1/virtual_ipaddress/192.0.2.1/24", []string{"vrrp_instance VI_1 {", "virtual_ipaddress {", "192.0.2.1/24 dev eth1", "}", "}"}},
		{"priority", []string{"vrrp_instance VI_1 {", "priority 100", "}", "vrrp_instance VI_2 {", "priority 50", "}"}},
		{"auth_pass", []string{"vrrp_instance VI_1 {", "authentication {", "# auth_pass ********", "}", "}"}},
		{"global_defs/vrrp_version", []string{"global_defs {", "vrrp_version 3", "}"}},
		{"vrrp_instance/VI_3", nil},
		{"vrrp_instance/VI_1/priorities", nil},
	} {
		var got []string
		for line := range strings.Lines(written(t, e.Find(c.path))) {
			text, _, _ := strings.Cut(strings.TrimSpace(line), "  # ")
			if text = strings.TrimSpace(text); text != "" {
				got = append(got, text)
			}
		}
		if d := gocmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.path, d)
		}
	}
	if whole := written(t, e.Find("vrrp_instance")); !strings.Contains(whole, "VI_1 {") || !strings.Contains(whole, "VI_2 {") || strings.Contains(whole, "global_defs {") {
		t.Errorf("all instances:\n%s", whole)
	}
}

// TestSecrets: no password or key is shown, neither as a value nor in a remark about one that was dropped or stands twice.
func TestSecrets(t *testing.T) {
	for _, conf := range []string{
		"vrrp_instance A {\n interface eth0\n virtual_router_id 1\n authentication {\n auth_type PASS\n auth_pass s3cr3t-1\n auth_pass \"s3cr3t-2 and more\"\n }\n" +
			"auth_hmac {\n key 1 s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t\n key 2 s3cr3t\n active_key 1\n }\n virtual_ipaddress {\n 192.0.2.1\n }\n}\n",
		"global_defs {\n smtp_server 192.0.2.25\n smtp_tls tls\n smtp_auth_user ka\n smtp_auth_password \"s3cr3t 1\"\n smtp_auth_password s3cr3t\n}\n",
		"global_defs {\n smtp_auth_password s3cr3t\n smtp_server 192.0.2.25\n}\n",
		"SSL {\n password s3cr3t\n password \"s3cr3t 2\"\n}\n",
	} {
		e, _, _ := Explain(file(conf), "k", config.Options{}, host())
		var b strings.Builder
		if err := e.Write(&b, true); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "s3cr3t") {
			t.Errorf("a secret is shown:\n%s", b.String())
		}
		if !strings.Contains(b.String(), "********") {
			t.Errorf("nothing is masked:\n%s", b.String())
		}
	}
}

// TestOurs: who wants to go back to keepalived finds what it does not know.
func TestOurs(t *testing.T) {
	e := explained(t, "global_defs {\n vrrp_stall_guard\n vrrp_strict\n}\n")
	if got := written(t, e); strings.Count(got, "not in keepalived") != 1 {
		t.Errorf("%s", got)
	}
}

// TestRefused: what a daemon refuses is explained as it is written.
func TestRefused(t *testing.T) {
	e, m, _ := Explain(file("vrrp_instance A {\n interface eth0\n priority 7\n}\n"), "k", config.Options{}, host())
	if got := written(t, e); m != nil || !strings.Contains(got, "    priority 7 ") {
		t.Errorf("%v\n%s", m, got)
	}
}

// FuzzExplain: any text is explained without control characters, and if nothing is wrong with it the explanation is the same configuration.
func FuzzExplain(f *testing.F) {
	for _, pattern := range []string{"testdata/*.conf", "../../../test/config/vectors/*.conf"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			if text, err := os.ReadFile(name); err == nil && len(text) < 4096 {
				f.Add(string(text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, m, r := Explain(file(text), "k", config.Options{}, host())
		var b strings.Builder
		if err := e.Write(&b, true); err != nil {
			t.Fatal(err)
		}
		// Control characters are not printed as they are.
		printable := !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f })
		if m != nil && r.ExitCode() == 0 && printable {
			var open strings.Builder
			e.print(&open, true, func(s string) string { return s })
			usual(m)
			again, r2 := config.Load(file(open.String()), "k", config.Options{}, host())
			if usual(again); again == nil || !model.Diff(m, again).Empty() {
				t.Fatalf("%q is explained as\n%s\n%v\n%s", text, open.String(), r2.All(), gocmp.Diff(m, again, gocmp.Exporter(func(reflect.Type) bool { return true })))
			}
		}
		for line := range strings.Lines(b.String()) {
			for i := range len(line) - 1 {
				if line[i] < ' ' || line[i] == 0x7f {
					t.Fatalf("control character in %q", line)
				}
			}
		}
		e.Find(text[:min(len(text), 40)])
	})
}
