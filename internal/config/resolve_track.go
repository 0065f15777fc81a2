package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/keepalived-go/keepalived-go/internal/model"
)

// tracker is a Tracker that can be used.
type tracker struct {
	*Tracker
	used      bool // an instance or group tracks it
	fileCheck bool // a FILE_CHECK is about it
}

// trackerSet is the usable trackers, in the order of the configuration; of two with the same kind and name the first counts.
type trackerSet struct {
	list  []*tracker
	first map[trackerKey]*tracker
}

type trackerKey struct {
	kind trackKind
	name string
}

func (res *resolver) trackers() (set trackerSet) {
	set.first = map[trackerKey]*tracker{}
	sessions := map[bfdKey]bool{}
	for _, t := range res.c.Trackers {
		var problem string
		var told bool
		switch {
		case t.Kind == trackFile && !t.path.IsSet():
			problem = "has no file"
		case t.Kind == trackFile:
			problem = res.fileProblem(t)
		case t.Kind == trackProcess && !t.process.IsSet():
			problem = "has no process"
		case t.Kind == trackBFD:
			problem, told = res.bfdProblem(t, sessions)
		}
		if told {
			continue
		}
		if problem != "" {
			res.r.Errorf(t.End, "%s %s %s - ignoring it", t.block(), t.Name, problem)
			continue
		}
		set.list = append(set.list, &tracker{Tracker: t})
		if k := (trackerKey{t.Kind, t.Name}); set.first[k] == nil {
			set.first[k] = set.list[len(set.list)-1]
		}
	}
	return set
}

// block is the keyword that defines the tracker.
func (t *Tracker) block() string {
	switch t.Kind {
	case trackProcess:
		return "vrrp_track_process"
	case trackBFD:
		return "bfd_instance"
	}
	return string(t.Kind)
}

// fileProblem says why a file cannot be watched. It need not exist, but its directory has to.
//
// Differs from keepalived: a file in the root directory is as good as any; it looks for a directory without a name then.
func (res *resolver) fileProblem(t *Tracker) string {
	path := filepath.Clean(t.path.V)
	dir := filepath.Dir(path)
	if _, err := res.host.RealPath(dir); err != nil || path == "/" {
		return fmt.Sprintf("is in %q, which is not accessible", dir)
	}
	if f, err := res.host.Stat(path); err == nil && f.Mode.IsDir() {
		res.r.Notef(t.path.At, "track_file %s: %s is a directory, so that its value is 0", t.Name, path)
	} else if !filepath.IsAbs(path) {
		res.r.Notef(t.path.At, "track_file %s: %s counts from the directory that the daemon runs in", t.Name, path)
	}
	return ""
}

// find returns what an entry of a track_* block names; it has to be defined above.
func (set trackerSet) find(kind trackKind, e opt[trackEntry]) *tracker {
	if t := set.first[trackerKey{kind, e.V.Name}]; t != nil && t.At.Before(e.At) {
		return t
	}
	return nil
}

// defaultWeight is the weight of an entry that has none of its own.
func (t *Tracker) defaultWeight() weight {
	if t.Kind == trackFile && !t.weight.IsSet() {
		return weight{W: 1}
	}
	return t.weight.V
}

// undefinedTracks tells what of a list nothing above it defines.
func (res *resolver) undefinedTracks(t *trackLists, scripts scriptSet, set trackerSet) {
	for _, e := range t.Scripts {
		if scripts.find(e) == nil {
			res.undefined(res.r.Errorf(e.At, "track script %s not found, ignoring...", e.V.Name), e.V.Name, res.scriptBlocks)
		}
	}
	look := func(kind trackKind, list []opt[trackEntry]) {
		for _, e := range list {
			if set.find(kind, e) == nil {
				res.undefined(res.r.Errorf(e.At, "%s %s is not defined above - ignoring it", kind, e.V.Name), e.V.Name, res.trackerBlocks(kind))
			}
		}
	}
	look(trackFile, t.Files)
	look(trackProcess, t.Processes)
	look(trackBFD, t.BFD)
}

// resolveTrack looks an entry up; nil: undefinedTracks has told.
func (res *resolver) resolveTrack(e opt[trackEntry], set trackerSet, kind trackKind) (*tracker, weight) {
	t := set.find(kind, e)
	if t == nil {
		return nil, weight{}
	}
	return t, e.V.weight(t.defaultWeight())
}

// groupTracks resolves the entries of a sync group; fit corrects their weights.
func (res *resolver) groupTracks(list []opt[trackEntry], set trackerSet, kind trackKind,
	fit func(opt[trackEntry], weight) weight) (out []model.Track) {
	for _, e := range list {
		if t, w := res.resolveTrack(e, set, kind); t != nil {
			t.used = true
			out = append(out, t.entry(fit(e, w)))
		}
	}
	return out
}

// memberTracks resolves the entries of an instance. Where the priority is not the instance's own affair (why), a file of the default
// weight becomes a fault and one of another weight is dropped; processes keep theirs. That is keepalived's way with each.
func (res *resolver) memberTracks(list []opt[trackEntry], set trackerSet, kind trackKind, inGroup func(string) bool, why string, say sayer) (out []model.Track) {
	what := strings.Replace(string(kind), "track_", "tracked ", 1)
	for _, e := range list {
		t, w := res.resolveTrack(e, set, kind)
		switch {
		case t == nil:
			continue
		case why != "" && kind == trackFile && w.W == 1:
			say(e.At, "ignoring weight from %s %s due to %s. specify weight 0", what, t.Name, why)
			w.W = 0
		case why != "" && kind == trackFile && w.W != 0:
			say(e.At, "ignoring %s %s with weight %d due to %s", what, t.Name, w.W, why)
			continue
		}
		if inGroup(string(kind) + " " + t.Name) {
			say(e.At, "%s %s is configured on VRRP instance and sync group. Remove vrrp instance config", kind, t.Name)
			continue
		}
		t.used = true
		out = append(out, t.entry(w))
	}
	return out
}

// entry limits the weight of a process to what a priority can change by; a file's is a factor.
func (t *Tracker) entry(w weight) model.Track {
	if t.Kind == trackProcess {
		w.W = max(-253, min(w.W, 253))
	}
	return model.Track{Name: t.Name, Weight: w.W, Reverse: w.Reverse}
}

// used returns the files and processes that something tracks, in the order of the configuration.
func (set trackerSet) used() (files []model.TrackFile, processes []model.TrackProcess) {
	for _, t := range set.list {
		switch {
		case !t.used:
		case t.Kind == trackFile:
			files = append(files, t.fileModel())
		case t.Kind == trackProcess:
			processes = append(processes, t.processModel())
		}
	}
	return files, processes
}

// checked returns the files that a FILE_CHECK is about.
func (set trackerSet) checked() (files []model.TrackFile) {
	for _, t := range set.list {
		if t.fileCheck {
			files = append(files, t.fileModel())
		}
	}
	return files
}

func (t *Tracker) fileModel() model.TrackFile {
	w := t.defaultWeight()
	return model.TrackFile{Name: t.Name, Path: filepath.Clean(t.path.V), Weight: w.W, Reverse: w.Reverse,
		Init: t.init.IsSet(), InitValue: t.init.V.value, Overwrite: t.init.V.overwrite}
}

func (t *Tracker) processModel() model.TrackProcess {
	p := model.TrackProcess{Name: t.Name, Process: t.process.V[0], Args: t.process.V[1:], ParamMatch: t.paramMatch.V,
		FullCommand: t.fullCommand.V, Weight: t.weight.V.W, Reverse: t.weight.V.Reverse,
		Quorum: t.quorum, QuorumMax: t.quorumMax,
		Fork: last(t.delay, t.fork), Terminate: last(t.delay, t.terminate)}
	if len(p.Args) == 0 {
		p.Args = nil
	} else if p.ParamMatch == model.ParamNone {
		p.ParamMatch = model.ParamExact
	}
	p.FullCommand = p.FullCommand || p.ParamMatch != model.ParamNone
	if p.QuorumMax == anyNumber {
		p.QuorumMax = -1
	} else {
		p.Quorum = min(p.Quorum, p.QuorumMax)
	}
	return p
}

// last is the value that was written last.
func last(a, b opt[time.Duration]) time.Duration {
	if a.IsSet() && (!b.IsSet() || b.At.Before(a.At)) {
		return a.V
	}
	return b.V
}
