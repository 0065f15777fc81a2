package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/watch"
)

// initFiles makes the files of FILE_CHECKs that init_file asks for, as that of vrrpPart does: whoever comes first.
func (c *checkers) initFiles() {
	if c.flags.Respawned {
		return
	}
	files := slices.DeleteFunc(slices.Clone(c.model.LVS.Files), func(f model.TrackFile) bool {
		return c.vrrp != nil && slices.ContainsFunc(c.model.VRRP.Files, func(o model.TrackFile) bool { return o.Name == f.Name })
	})
	writeFiles(c.log, files)
}

// watchFiles watches the files of FILE_CHECKs, and tells what they hold here and now, for that decides the first state.
func (c *checkers) watchFiles(l *model.LVS, tell func(watch.Content)) {
	if c.files == nil {
		if len(l.Files) == 0 {
			return
		}
		files, err := watch.OpenFiles()
		if err != nil {
			c.log.Error(fmt.Sprintf("track files: %v", err))
			return
		}
		c.files = files
		ctx := c.ctx
		context.AfterFunc(ctx, func() { _ = files.Close() })
		supervise(ctx, c.part, c.log, "file watch of checkers", func() error {
			return files.Run(ctx, func(w watch.Content) {
				c.part.Post(func(time.Time) {
					if ctx.Err() == nil && c.running && !c.stopping {
						c.holds(w)
					}
				})
			})
		})
	}
	paths := make([]string, len(l.Files))
	for i := range l.Files {
		paths[i] = l.Files[i].Path
	}
	for _, w := range c.files.Set(paths) {
		tell(w)
	}
}

// assumes takes in what a file holds before the cluster starts.
func (c *checkers) assumes(w watch.Content) {
	if n, ok := number(c.log, w); ok {
		c.cluster.Holds(w.Path, n, nil)
	}
}

func (c *checkers) holds(w watch.Content) {
	if n, ok := number(c.log, w); ok {
		c.act(c.cluster.Holds(w.Path, n, c.out[:0]))
	}
}
