package source

import "testing"

func TestInstead(t *testing.T) {
	for _, c := range []struct {
		class      Class
		text, want string
	}{
		{Error, `priority: "300" is not within 1 and 255 - using 100`, "using 100"},
		{Error, `(V) unknown state 'x', defaulting to BACKUP`, "defaulting to BACKUP"},
		{Error, `(V) nopreempt is incompatible with priority 255. resetting nopreempt`, "resetting nopreempt"},
		{Error, `include a: the file includes itself - ignoring`, "ignoring"},
		{FatalInclude, `include a: no file matches - the configuration is refused`, "the configuration is refused"},
		{UnknownKeyword, `Unknown keyword 'x'`, "the keyword is ignored"},
		{Error, `virtual server 1.2.3.4 - using nothing twice - removing`, "using nothing twice - removing"},
		{Note, `the word ignoring alone says nothing`, ""},
		{Error, `Sync group G has only 1 virtual router(s) - this probably isn't what you want`, ""},
	} {
		if got := (Diagnostic{Class: c.class, Text: c.text}).Instead(); got != c.want {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}
