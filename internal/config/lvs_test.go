package config

import (
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

var updateLVS = flag.Bool("update-lvs", false, "write the goldens of the LVS part as they come out")

// TestLVSGoldens reads testdata/lvs/*.conf: a configuration, a line of dashes, then the exit code of a configuration test, the findings
// and the non-zero fields of the LVS model.
func TestLVSGoldens(t *testing.T) {
	files, _ := filepath.Glob("testdata/lvs/*.conf")
	if len(files) == 0 {
		t.Fatal("no goldens")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".conf"), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, _, _ := strings.Cut(string(want), "-----\n")
			got := input + "-----\n" + verdict(input)
			if *updateLVS {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

func verdict(input string) string {
	m, r := Load(oneFile(input), "/etc/lvs.conf", Options{}, newFakeHost())
	var b strings.Builder
	fmt.Fprintf(&b, "exit %d\n", r.ExitCode())
	for _, d := range r.All() {
		b.WriteString(strings.ReplaceAll(d.String(), "/etc/lvs.conf: ", "") + "\n")
	}
	if m != nil {
		dump(&b, "", reflect.ValueOf(m.LVS))
	}
	return b.String()
}

// oneFile is a file system with one file under any name.
type oneFile string

func (f oneFile) Open(string) (fs.File, error) {
	return fstest.MapFS{"f": {Data: []byte(f)}}.Open("f")
}

func (oneFile) Glob(pattern string) ([]string, error) { return []string{pattern}, nil }

// dump prints what is not zero, one leaf a line.
func dump(b *strings.Builder, path string, v reflect.Value) {
	if v.IsZero() {
		return
	}
	leaf := func() { fmt.Fprintf(b, "%s: %v\n", path, v.Interface()) }
	switch v.Interface().(type) {
	case netip.Addr, netip.AddrPort, netip.Prefix, model.Secret, model.StatusRange:
		leaf()
		return
	case []byte:
		fmt.Fprintf(b, "%s: %x\n", path, v.Interface())
		return
	case model.Script:
		s := v.Interface().(model.Script)
		fmt.Fprintf(b, "%s: %q as %d:%d\n", path, s.Args, s.UID, s.GID)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			dump(b, strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."), v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			dump(b, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Pointer:
		dump(b, path, v.Elem())
	default:
		leaf()
	}
}

// Two rows of the list of scenarios that are about the configuration alone.
func TestCheckScenarios(t *testing.T) {
	check := func(kind, lines string) (*model.Model, int) {
		m, r := Load(oneFile("virtual_server 192.0.2.1 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n virtualhost vs\n real_server 192.0.2.2 80 {\n virtualhost rs\n "+
			kind+" {\n"+lines+"\n}\n}\n}\n"), "k", Options{}, newFakeHost())
		return m, r.ExitCode()
	}
	t.Run("L-F26 a regex that cannot be compiled is an error", func(t *testing.T) {
		if _, code := check("HTTP_GET", "url {\n path /\n regex \"a(b\"\n}"); code == 0 {
			t.Error("it passes")
		}
	})
	t.Run("L-F28 which name TLS gets", func(t *testing.T) {
		for lines, want := range map[string]string{
			"url {\n path /\n}": "",
			"enable_sni\n url {\n path /\n virtualhost u\n}":                 "u",
			"enable_sni\n virtualhost c\n url {\n path /\n}":                 "c",
			"sni_name n\n virtualhost c\n url {\n path /\n virtualhost u\n}": "n",
			"enable_sni\n url {\n path /\n}":                                 "vs",
		} {
			m, _ := check("SSL_GET", lines)
			if got := m.LVS.Services[0].Real[0].Checks[0].HTTP.URLs[0].SNI; got != want {
				t.Errorf("%q: %q, want %q", lines, got, want)
			}
		}
	})
}
