package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/keepalived-go/keepalived-go/internal/config/schema"
)

// Keyword is what the tables say of one name, with all blocks in which they say the same.
type Keyword struct {
	schema.Row
	Blocks []string
}

func (e *Keyword) same(r schema.Row) bool {
	a := e.Row
	a.Block = r.Block
	return a == r
}

// explainedAll lists the keywords in the order of the tables. The words inside lines have no documentation of their own.
func explainedAll() (list []*Keyword) {
	byName := map[string][]*Keyword{}
	root().Walk(schema.Root, func(r schema.Row) {
		for _, e := range byName[r.Name] {
			if e.same(r) {
				e.Blocks = append(e.Blocks, r.Block)
				return
			}
		}
		e := &Keyword{r, []string{r.Block}}
		byName[r.Name] = append(byName[r.Name], e)
		list = append(list, e)
	})
	return list
}

// Explain prints what a keyword means, in each block that has it; BLOCK/KEYWORD asks for one block. known is false if there is no such
// keyword; instead may then name one that is spelt like it.
func Explain(w io.Writer, name string) (known bool, instead string, err error) {
	block := ""
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		block, name = name[:i], name[i+1:]
	}
	var b strings.Builder
	var names []string
	for _, e := range explainedAll() {
		if !e.Option {
			names = append(names, e.Name)
		}
		if e.Name != name || block != "" && !slices.Contains(e.Blocks, block) {
			continue
		}
		if known {
			b.WriteByte('\n')
		}
		known = true
		e.write(&b)
	}
	if !known {
		return false, schema.Nearest(name, names), nil
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return true, "", fmt.Errorf("write the explanation: %w", err)
	}
	return true, "", nil
}

func (e *Keyword) write(b *strings.Builder) {
	fmt.Fprintln(b, strings.TrimSpace(e.Name+" "+e.Usage))
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(b, "    %-9s %s\n", label, text)
		}
	}
	doc := "meaning:"
	if e.Option {
		doc = "word of:"
	}
	line(doc, e.Doc)
	line("in:", strings.Join(e.Blocks, ", "))
	line("default:", e.Default)
	if e.Same != "" {
		line("same as:", e.Same)
	}
	line("instead:", e.Instead)
	if e.Ours {
		line("note:", "keepalived does not know this keyword")
	}
	if e.Pending != "" {
		line("pending:", "accepted, but has no effect yet: "+e.Pending)
	}
}

// Keywords lists all keywords but the words inside lines, by the block in which they stand first.
func Keywords() []*Keyword {
	list := slices.DeleteFunc(explainedAll(), func(e *Keyword) bool { return e.Option })
	place := map[string]int{}
	for i, e := range list {
		if _, known := place[e.Blocks[0]]; !known {
			place[e.Blocks[0]] = i
		}
	}
	slices.SortStableFunc(list, func(a, b *Keyword) int { return cmp.Compare(place[a.Blocks[0]], place[b.Blocks[0]]) })
	return list
}

// WriteKeywords prints the tables as the document docs/keywords.md.
func WriteKeywords(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Keywords\n\nWhat `keepalived-go explain KEYWORD` says, of all keywords, by the block they stand in. Keywords that several blocks " +
		"have are told where they come first, with all their blocks. Generated from the tables in internal/config; do not edit.\n")
	heading := ""
	for _, e := range Keywords() {
		if block := e.Blocks[0]; block != heading {
			heading = block
			fmt.Fprintf(&b, "\n## %s\n\n| keyword | meaning | default |\n|---|---|---|\n", heading)
		}
		meaning := e.Doc
		if e.Same != "" {
			meaning += " The same as " + e.Same + "."
		}
		if e.Instead != "" {
			meaning += " Deprecated: use " + e.Instead + "."
		}
		if e.Ours {
			meaning += " *Not in keepalived.*"
		}
		if e.Pending != "" {
			meaning += " *Pending: " + e.Pending + ".*"
		}
		if len(e.Blocks) > 1 {
			meaning += " Also in " + strings.Join(e.Blocks[1:], ", ") + "."
		}
		cell := strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
		code := strings.NewReplacer("|", `\|`)
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", code.Replace(strings.TrimSpace(e.Name+" "+e.Usage)), cell.Replace(meaning), cell.Replace(e.Default))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the keywords: %w", err)
	}
	return nil
}
