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
		if got := Foresee(System{}, path, Options{}, System{}).NetNamespace; got != want {
			t.Errorf("NetNamespace of %q = %q, want %q", text, got, want)
		}
	}
}
