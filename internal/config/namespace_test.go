package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNetNamespace(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"net_namespace blue\nvrrp_instance V {\n interface only_there\n}\n": "blue",
		"vrrp_instance V {\n interface only_there\n}\nnet_namespace blue\n": "blue",
	} {
		path := filepath.Join(t.TempDir(), "conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := "not told"
		Load(System{}, path, Options{Enter: func(name string) error { got = name; return nil }}, System{})
		if got != want {
			t.Errorf("NetNamespace of %q = %q, want %q", text, got, want)
		}
	}
}
