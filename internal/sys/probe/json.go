package probe

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// maxJSON bounds the page that json_path looks at.
const maxJSON = 1 << 20

// jsonMatches tells whether a page has what json_path asks for. The first of several names that are the same does not count, as in
// most readers of JSON.
func jsonMatches(page []byte, u *model.URL) bool {
	dec := json.NewDecoder(bytes.NewReader(page))
	dec.UseNumber()
	var v any
	if len(page) > maxJSON || dec.Decode(&v) != nil || dec.More() {
		return false
	}
	for _, step := range u.JSONPath {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[step]
			if !ok {
				return false
			}
			v = next
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(at) {
				return false
			}
			v = at[n]
		default:
			return false
		}
	}
	if !u.JSONExact {
		return v != nil && v != false
	}
	switch v := v.(type) {
	case string:
		return v == u.JSONValue
	case json.Number:
		return v.String() == u.JSONValue
	case bool:
		return strconv.FormatBool(v) == u.JSONValue
	case nil:
		return u.JSONValue == "null"
	}
	return false
}
