package plan

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"io/fs"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/config"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

var update = flag.Bool("update", false, "write the goldens as they come out")

// text is a configuration as a file system.
type text string

func (f text) Open(name string) (fs.File, error) {
	return fstest.MapFS{"k": {Data: []byte(f), Mode: 0o644}}.Open(name)
}
func (f text) Glob(string) ([]string, error) { return nil, nil }

func load(t *testing.T, s string) *model.Model {
	t.Helper()
	m, r := config.Load(text(s), "k", config.Options{}, &config.Offline{Node: "n"})
	if m == nil || r.ExitCode() != 0 {
		t.Fatalf("exit code %d: %v", r.ExitCode(), r.All())
	}
	return m
}

// TestGoldens reads testdata/*.txt: the old configuration, the new one and the plan, between lines of dashes.
func TestGoldens(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no goldens")
	}
	const line = "-----\n"
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.Split(string(want), line)
			before, after := load(t, parts[0]), load(t, parts[1])
			var b strings.Builder
			p := Compare(before, after)
			if err := p.Write(&b); err != nil {
				t.Fatal(err)
			}
			got := parts[0] + line + parts[1] + line + b.String()
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if p.Empty() != model.Diff(before, after).Empty() {
				t.Errorf("the plan is empty: %v, what the daemon would see is empty: %v", p.Empty(), !p.Empty())
			}
			if same := Compare(before, before); !same.Empty() || same.Count()[Keep] == 0 {
				t.Errorf("a reload of the same configuration: %v", same)
			}
		})
	}
}

// TestEveryFieldIsTold changes one field of the model after the other: a plan that overlooks one would call a reload harmless.
func TestEveryFieldIsTold(t *testing.T) {
	text, err := os.ReadFile("testdata/everything.txt")
	if err != nil {
		t.Fatal(err)
	}
	old, _, _ := strings.Cut(string(text), "-----\n")
	before := load(t, old)
	after := load(t, old)
	count := 0
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Field(i); f.CanSet() && v.Type().Field(i).Name != "Seq" {
					walk(path+"."+v.Type().Field(i).Name, f)
				}
			}
			return
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				walk(path+"[]", v.Index(i))
			}
			return
		case reflect.Pointer:
			if !v.IsNil() {
				walk(path, v.Elem())
			}
			return
		}
		was := reflect.New(v.Type()).Elem()
		was.Set(v)
		switch {
		case v.CanInt():
			v.SetInt(v.Int() ^ 1)
		case v.CanUint():
			v.SetUint(v.Uint() ^ 1)
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
		case v.Kind() == reflect.String:
			v.SetString(v.String() + "x")
		default:
			t.Fatalf("%s: unexpected %v", path, v.Kind())
		}
		if count++; Compare(before, after).Empty() {
			t.Errorf("a change of %s is not told", path)
		}
		v.Set(was)
	}
	walk("", reflect.ValueOf(after).Elem())
	if count < 200 || !Compare(before, after).Empty() {
		t.Errorf("%d fields changed and changed back; differing at the end: %v", count, Compare(before, after))
	}
}

func TestKeyword(t *testing.T) {
	for field, want := range map[string]string{"GARPMasterDelay": "garp_master_delay", "RouterID": "router_id", "VRID": "virtual_router_id",
		"DelayLoop": "delay_loop", "SMTPAlert": "smtp_alert", "Priority": "priority", "UsePIDDir": "use_pid_dir"} {
		if got := keyword(field); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
}
