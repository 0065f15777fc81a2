package config

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keepalived-go/keepalived-go/internal/config/source"
)

// TestJSON compares the findings on testdata/json/main.conf with the golden beside it, and with the documented schema.
func TestJSON(t *testing.T) {
	text, err := os.ReadFile("../../docs/config-test.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata/json")
	_, r := Load(System{}, "main.conf", Options{}, newFakeHost())
	var b strings.Builder
	if err := r.WriteJSON(&b, "main.conf", r.ExitCode()); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	if *update {
		if err := os.WriteFile("main.json", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("main.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if strings.Contains(got, "123456789") {
		t.Error("a password is shown")
	}
	var v any
	if err := json.Unmarshal([]byte(got), &v); err != nil {
		t.Fatal(err)
	}
	for _, p := range violations(schema, v, "$") {
		t.Error(p)
	}
}

// TestJSONVectors: whatever the vectors provoke keeps to the schema.
func TestJSONVectors(t *testing.T) {
	text, err := os.ReadFile("../../docs/config-test.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	t.Chdir("../../test/config/vectors")
	classes := map[source.Class]bool{}
	for _, v := range readVectors(t) {
		_, r := Load(System{}, v.file, v.options(), newFakeHost())
		var b strings.Builder
		if err := r.WriteJSON(&b, v.file, r.ExitCode()); err != nil {
			t.Fatal(err)
		}
		var out any
		if err := json.Unmarshal([]byte(b.String()), &out); err != nil {
			t.Fatalf("%s: %v", v.file, err)
		}
		for _, p := range violations(schema, out, v.file) {
			t.Error(p)
		}
		for _, d := range r.All() {
			classes[d.Class] = true
		}
	}
	if len(classes) < 10 {
		t.Errorf("only %d classes seen", len(classes))
	}
}

// violations checks a value by the part of JSON Schema that ours uses.
func violations(schema map[string]any, v any, path string) (out []string) {
	if choices, ok := schema["enum"].([]any); ok {
		if !slices.Contains(choices, v) {
			out = append(out, fmt.Sprintf("%s: %v is not in the enumeration", path, v))
		}
		return out
	}
	is := ""
	switch x := v.(type) {
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case float64:
		if is = "number"; x == float64(int(x)) {
			is = "integer"
		}
	case []any:
		is = "array"
		for i, e := range x {
			out = append(out, violations(schema["items"].(map[string]any), e, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case map[string]any:
		is = "object"
		properties := schema["properties"].(map[string]any)
		for k, e := range x {
			p, ok := properties[k].(map[string]any)
			if !ok {
				out = append(out, path+": unknown property "+k)
				continue
			}
			out = append(out, violations(p, e, path+"."+k)...)
		}
		for _, k := range schema["required"].([]any) {
			if _, ok := x[k.(string)]; !ok {
				out = append(out, fmt.Sprintf("%s: %v is missing", path, k))
			}
		}
	}
	if is != schema["type"] {
		out = append(out, fmt.Sprintf("%s: is of type %s, not %v", path, is, schema["type"]))
	}
	return out
}
