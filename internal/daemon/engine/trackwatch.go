package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/core/track"
	"github.com/keepalived-go/keepalived-go/internal/model"
	"github.com/keepalived-go/keepalived-go/internal/sys/watch"
)

// initFiles makes the files that init_file asks for: once in the life of the daemon, as what they say later is the operator's.
//
// Differs from keepalived: a worker that takes the place of one that died leaves them alone.
func (v *vrrpPart) initFiles() {
	if v.flags.Respawned || v.initialised {
		return
	}
	v.initialised = true
	writeFiles(v.log, v.conf.Files)
}

func writeFiles(log *slog.Logger, files []model.TrackFile) {
	for _, f := range files {
		if !f.Init {
			continue
		}
		if err := watch.Write(f.Path, []byte(strconv.Itoa(f.InitValue)+"\n"), f.Overwrite); err != nil {
			log.Error(fmt.Sprintf("track_file %s: %v", f.Name, err))
		}
	}
}

// watchFiles watches the files of the configuration, and tells the trackers what they hold. They are read here and now: what they say
// decides the first state.
func (v *vrrpPart) watchFiles() {
	if v.files == nil {
		if len(v.conf.Files) == 0 {
			return
		}
		files, err := watch.OpenFiles()
		if err != nil {
			v.log.Error(fmt.Sprintf("track files: %v", err))
			return
		}
		v.files = files
		supervise(v.ctx, v.part, v.log, "file watch", func() error {
			return files.Run(v.ctx, func(c watch.Content) {
				v.part.Post(func(now time.Time) {
					if v.running && !v.stopping {
						v.content(c, func(f track.Fact) { v.fact(now, f) })
						v.flush(now)
					}
				})
			})
		})
	}
	paths := make([]string, len(v.conf.Files))
	for i := range v.conf.Files {
		paths[i] = v.conf.Files[i].Path
	}
	for _, c := range v.files.Set(paths) {
		v.content(c, func(f track.Fact) { v.effects = v.track.Step(f, v.effects[:0]) })
	}
}

// content tells what the trackers of a file have to know. A number that cannot be meant changes nothing.
func (v *vrrpPart) content(c watch.Content, tell func(track.Fact)) {
	n, ok := number(v.log, c)
	if !ok {
		return
	}
	for i := range v.conf.Files {
		if f := &v.conf.Files[i]; f.Path == c.Path {
			tell(track.Fact{Kind: track.File, Name: f.Name, Value: n})
		}
	}
}

// number is what a file holds; one that cannot be meant is logged.
func number(log *slog.Logger, c watch.Content) (int, bool) {
	n, err := track.Number(c.Data)
	if err != nil {
		first, _, _ := bytes.Cut(bytes.TrimSpace(c.Data), []byte("\n"))
		log.Info(fmt.Sprintf("Invalid number %s read from %s - ignoring", first, c.Path))
	}
	return n, err == nil
}

// processWatch is what is known of the tracked processes.
type processWatch struct {
	quorums []*track.Quorum // in configuration order
	stop    context.CancelFunc
}

func (p *processWatch) deadline() (next time.Time) {
	for _, q := range p.quorums {
		if d := q.Deadline(); !d.IsZero() && (next.IsZero() || d.Before(next)) {
			next = d
		}
	}
	return next
}

// startProcesses judges the processes that run at the start, and has them watched from then on.
func (v *vrrpPart) startProcesses(now time.Time) {
	v.processes.quorums = make([]*track.Quorum, len(v.conf.Processes))
	for i := range v.conf.Processes {
		v.processes.quorums[i] = track.NewQuorum(&v.conf.Processes[i])
	}
	counts := make([]int, len(v.conf.Processes))
	if v.watchProcesses() {
		var err error
		if counts, err = watch.Count(v.conf.Processes); err != nil {
			v.log.Error(err.Error())
		}
	}
	for i, q := range v.processes.quorums {
		q.Counted(now, counts[i])
		v.effects = v.track.Step(processFact(q), v.effects[:0])
	}
}

func processFact(q *track.Quorum) track.Fact {
	return track.Fact{Kind: track.Process, Name: q.Config().Name, OK: q.Have()}
}

// watchProcesses has the processes of the configuration counted. It reports whether the kernel tells of any: where it does not, there
// are none as far as the trackers know, as with keepalived.
func (v *vrrpPart) watchProcesses() bool {
	if v.processes.stop != nil {
		v.processes.stop()
		v.processes.stop = nil
	}
	if len(v.conf.Processes) == 0 {
		return false
	}
	w, err := watch.OpenProcesses(v.conf.Processes, v.conf.ProcessRxBuf)
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) {
			v.log.Info(fmt.Sprintf("Failed to set process event listen - errno %d - %s", int(errno), sentence(errno.Error())))
		} else {
			v.log.Error(err.Error())
		}
		return false
	}
	ctx, stop := context.WithCancel(v.ctx)
	v.processes.stop = stop
	context.AfterFunc(ctx, func() { _ = w.Close() })
	supervise(ctx, v.part, v.log, "process watch", func() error {
		return w.Run(ctx, func(counts []int) {
			v.part.Post(func(now time.Time) {
				if ctx.Err() == nil && !v.stopping {
					v.counted(now, counts)
				}
			})
		})
	})
	return true
}

func (v *vrrpPart) counted(now time.Time, counts []int) {
	for i, q := range v.processes.quorums {
		changed, line := q.Counted(now, counts[i])
		v.quorum(now, q, changed, line)
	}
	v.flush(now)
}

// sentence begins with a capital, as the C library's texts do.
func sentence(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

func (v *vrrpPart) quorum(now time.Time, q *track.Quorum, changed bool, line string) {
	if line != "" {
		v.log.Info(line)
	}
	if changed {
		v.fact(now, processFact(q))
	}
}

func (v *vrrpPart) expireProcesses(now time.Time) {
	for _, q := range v.processes.quorums {
		changed, line := q.Expire(now)
		v.quorum(now, q, changed, line)
	}
}

// reloadProcesses keeps what is known of the processes that are looked for as before.
func (v *vrrpPart) reloadProcesses(now time.Time) {
	old := v.processes.quorums
	next := make([]*track.Quorum, len(v.conf.Processes))
	for i := range v.conf.Processes {
		cfg := &v.conf.Processes[i]
		k := slices.IndexFunc(old, func(q *track.Quorum) bool { return q.Config().Name == cfg.Name })
		if k < 0 {
			next[i] = track.NewQuorum(cfg)
			continue
		}
		q := old[k]
		next[i] = q
		if !track.SameProcesses(q.Config(), cfg) {
			next[i] = track.NewQuorum(cfg)
			continue
		}
		changed, line := q.Reconfigure(now, cfg)
		if line != "" {
			v.log.Info(line)
		}
		if changed {
			v.effects = v.track.Step(processFact(q), v.effects[:0])
		}
	}
	same := slices.EqualFunc(old, next, func(a, b *track.Quorum) bool { return a == b })
	if v.processes.quorums = next; !same && !v.watchProcesses() {
		for _, q := range next {
			q.Counted(now, 0)
			v.effects = v.track.Step(processFact(q), v.effects[:0])
		}
	}
}
