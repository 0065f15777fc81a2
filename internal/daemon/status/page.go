package status

import (
	"bufio"
	"fmt"
	"io"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// page is a text dump in the making. Its first error is kept by the writer and returned by close.
type page struct{ w *bufio.Writer }

func newPage(w io.Writer) page { return page{bufio.NewWriter(w)} }

func (p page) close() error { return p.w.Flush() }

// section opens a section; blanks are what nested ones are indented by.
func (p page) section(blanks int, title string) {
	p.line(blanks, "------< %s >------", title)
}

func (p page) line(blanks int, format string, args ...any) {
	fmt.Fprintf(p.w, "%*s", blanks, "")
	fmt.Fprintf(p.w, format, args...)
	p.w.WriteByte('\n')
}

// script shows a script with its user, and nothing if there is none.
func (p page) script(blanks int, name string, s *model.Script) {
	if s != nil {
		p.line(blanks, "%s = %s, uid:gid %d:%d", name, command(s), s.UID, s.GID)
	}
}
