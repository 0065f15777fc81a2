package config

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/config/layout"
	"github.com/keepalived-go/keepalived-go/internal/model"
)

// formatted is the file system with every file in the canonical layout.
type formatted struct {
	System
	t *testing.T
}

func (f formatted) Open(name string) (fs.File, error) {
	file, err := f.System.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := file.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 != 0 {
		return file, err
	}
	text, err := io.ReadAll(file)
	file.Close()
	if err != nil {
		return nil, err
	}
	return fstest.MapFS{"f": {Data: f.format(name, text), Mode: 0o644}}.Open("f")
}

func (f formatted) format(name string, text []byte) []byte {
	out, err := layout.Format(text)
	if err != nil {
		f.t.Errorf("%s: %v", name, err)
		return text
	}
	if again, err := layout.Format(out); err != nil || !bytes.Equal(out, again) {
		f.t.Errorf("%s: formatting twice gives something else: %v\n%s", name, err, cmp.Diff(string(out), string(again)))
	}
	return out
}

// findings are the findings without their places, which may move.
func findings(t *testing.T, files interface {
	Open(string) (fs.File, error)
	Glob(string) ([]string, error)
}, name string, opt Options) (*model.Model, []string) {
	m, r := Load(files, name, opt, newFakeHost())
	var out []string
	for _, d := range r.All() {
		out = append(out, d.Class.String()+" "+d.Text)
	}
	slices.Sort(out)
	return m, out
}

// TestLayoutKeepsTheMeaning formats everything there is, includes too, and compares models and findings.
func TestLayoutKeepsTheMeaning(t *testing.T) {
	type input struct {
		dir, file string
		opt       Options
	}
	var inputs []input
	for _, pattern := range []string{"testdata/*/*.conf", "../../conf/*.conf", "../../conf/samples/*.conf", "../../test/config/examples/*.conf"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			inputs = append(inputs, input{filepath.Dir(f), filepath.Base(f), Options{}})
		}
	}
	t.Run("vectors", func(t *testing.T) {
		t.Chdir("../../test/config/vectors")
		for _, v := range readVectors(t) {
			inputs = append(inputs, input{"../../test/config/vectors", v.file, v.options()})
		}
	})
	if len(inputs) < 250 {
		t.Fatalf("only %d files", len(inputs))
	}
	for _, in := range inputs {
		t.Run(filepath.Join(in.dir, in.file), func(t *testing.T) {
			t.Chdir(in.dir)
			before, was := findings(t, System{}, in.file, in.opt)
			after, is := findings(t, formatted{t: t}, in.file, in.opt)
			if d := cmp.Diff(was, is); d != "" {
				t.Errorf("findings (-before +after):\n%s", d)
			}
			switch {
			case (before == nil) != (after == nil):
				t.Errorf("usable before: %v, after: %v", before != nil, after != nil)
			case before != nil && !model.Diff(before, after).Empty():
				t.Errorf("the model changed: %+v", model.Diff(before, after))
			}
		})
	}
}

// FuzzLayoutKeepsTheMeaning does it with any text.
func FuzzLayoutKeepsTheMeaning(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.conf", "../../test/config/vectors/*.conf", "../../test/config/examples/*.conf"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			if text, err := os.ReadFile(name); err == nil && len(text) < 4096 {
				f.Add(string(text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := layout.Format([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		before, was := findings(t, fuzzFiles{oneFile(text)}, "/k", Options{})
		after, is := findings(t, fuzzFiles{oneFile(out)}, "/k", Options{})
		if !slices.Equal(was, is) {
			t.Fatalf("findings (-before +after):\n%s\n%q\n%q", cmp.Diff(was, is), text, out)
		}
		if (before == nil) != (after == nil) || before != nil && !model.Diff(before, after).Empty() {
			t.Fatalf("the model changed\n%q\n%q", text, out)
		}
	})
}

// TestLayoutOfSamples: what we hand out is in the canonical layout.
func TestLayoutOfSamples(t *testing.T) {
	for _, pattern := range []string{"../../conf/*.conf", "../../conf/samples/*.conf"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			f, err := System{}.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(f)
			f.Close()
			if out, err := layout.Format(text); err != nil || !bytes.Equal(out, text) {
				t.Errorf("%s: %v\n%s", name, err, cmp.Diff(strings.Split(string(text), "\n"), strings.Split(string(out), "\n")))
			}
		}
	}
}
