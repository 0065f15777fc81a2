package source

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"sync"
)

// classNames are the classes in JSON.
var classNames = [...]string{
	Note: "note", FileNotFound: "file-not-found", BadInterface: "bad-interface", Fatal: "fatal", MultipleFiles: "multiple-files",
	UnknownKeyword: "unknown-keyword", UnexpectedOpen: "unexpected-open", MissingOpen: "missing-open", UnexpectedClose: "unexpected-close",
	MissingClose: "missing-close", UnmatchedQuote: "unmatched-quote", MissingParameter: "missing-parameter", InvalidNumber: "invalid-number",
	Error: "error", Warning: "warning", Deprecated: "deprecated", Security: "security", FatalInclude: "fatal-include",
	MissingWord: "missing-word",
}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "?"
}

// consequence finds what a text says that happens instead, which the texts put last.
var consequence = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:^| - |[:,.;] )((?i:ignoring|using|leaving|removing|resetting|clearing|defaulting|keeping|rounding|` +
		`replacing|disabling|skipping|setting|reducing|truncating|going on|excess moved)\b.*|MASTER is kept|no (?:mail server|HMAC) is used|` +
		`the configuration is refused|the rest of the configuration is not read|scripts below that name no user are dropped)$`)
})

// classConsequence says it for texts that do not.
var classConsequence = map[Class]string{
	FileNotFound: "nothing is read", UnknownKeyword: "the keyword is ignored", UnexpectedClose: "the brace is ignored",
	MissingClose: "the blocks end with the file", MissingWord: "the configuration is refused",
}

// Instead says what happens in place of what was written; "" if the finding changes nothing or does not say.
func (d Diagnostic) Instead() string {
	if m := consequence().FindStringSubmatch(d.Text); m != nil {
		return m[1]
	}
	return classConsequence[d.Class]
}

type jsonReport struct {
	Version  int           `json:"version"`
	File     string        `json:"file"`
	ExitCode int           `json:"exit_code"`
	Usable   bool          `json:"usable"`
	Dropped  int           `json:"dropped"`
	Findings []jsonFinding `json:"findings"`
}

type jsonFinding struct {
	File     string     `json:"file,omitempty"`
	Line     int        `json:"line,omitempty"`
	Column   int        `json:"column,omitempty"`
	Class    string     `json:"class"`
	ExitCode int        `json:"exit_code"`
	Text     string     `json:"text"`
	Instead  string     `json:"instead,omitempty"`
	Hint     string     `json:"hint,omitempty"`
	Rule     string     `json:"rule,omitempty"`
	Source   string     `json:"source,omitempty"`
	Chain    []jsonStep `json:"chain,omitempty"`
	Also     []jsonStep `json:"also,omitempty"`
}

type jsonStep struct {
	How  string `json:"how"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// WriteJSON prints the findings of a configuration test of file that ends with exitCode, in the form of
// docs/config-test.schema.json.
func (r *Report) WriteJSON(w io.Writer, file string, exitCode int) error {
	out := jsonReport{Version: 1, File: file, ExitCode: exitCode, Usable: !r.Refused(), Dropped: r.dropped, Findings: []jsonFinding{}}
	for _, d := range r.All() {
		f := jsonFinding{Class: d.Class.String(), ExitCode: d.Class.exitCode(), Text: d.Text, Instead: d.Instead(), Hint: d.Hint, Rule: d.Rule}
		if d.At.IsSet() {
			f.File, f.Line, f.Column = d.At.File, d.At.Line, d.At.Col
			f.Source, _ = r.sourceLine(d.At)
			for v := d.At.Via; v != nil; v = v.At.Via {
				f.Chain = append(f.Chain, jsonStep{v.How, v.At.File, v.At.Line})
			}
		}
		for _, p := range d.Also {
			f.Also = append(f.Also, jsonStep{p.How, p.At.File, p.At.Line})
		}
		out.Findings = append(out.Findings, f)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("write the findings: %w", err)
	}
	return nil
}
