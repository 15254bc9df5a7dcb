package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// logView is the log at one moment: what it starts from, who lives, and the state.
type logView struct {
	start metadata.StartPoint
	live  map[metadata.SessionID]bool
	state *metadata.State
	// Searches for leftovers to come, by session, and of whole incarnations.
	bySession     map[metadata.SessionID]metadata.PendingSearch
	byIncarnation map[metadata.Incarnation]metadata.PendingSearch
}

// maxLogReads is how often the log is read until start point and state agree.
const maxLogReads = 5

// readLog reads the start point, the sessions and then the state. What the start
// point names is in the state, unless both have moved on between the two: then it
// reads again.
func (w *walk) readLog(ctx context.Context) (v logView, err error) {
	start, err := w.cfg.Log.Start(ctx)
	if err != nil {
		return v, fmt.Errorf("read the start point: %w", err)
	}
	for range maxLogReads {
		if v, err = w.readState(ctx, start); err != nil {
			return v, err
		}
		again, err := w.cfg.Log.Start(ctx)
		if err != nil {
			return v, fmt.Errorf("read the start point: %w", err)
		}
		same := again.ArchivedObject == start.ArchivedObject && (again.Checkpoint == nil) == (start.Checkpoint == nil) &&
			(again.Checkpoint == nil || *again.Checkpoint == *start.Checkpoint)
		if same || v.keepsPointer() && v.keepsArchived() {
			break
		}
		start = again
	}
	return v, nil
}

func (w *walk) readState(ctx context.Context, start metadata.StartPoint) (v logView, err error) {
	v = logView{start: start, live: map[metadata.SessionID]bool{}, bySession: map[metadata.SessionID]metadata.PendingSearch{},
		byIncarnation: map[metadata.Incarnation]metadata.PendingSearch{}}
	sessions, _, err := w.cfg.Log.Sessions(ctx)
	if err != nil {
		return v, fmt.Errorf("read the sessions: %w", err)
	}
	for _, s := range sessions {
		v.live[s.ID] = true
	}
	if v.state, err = w.cfg.State(ctx); err != nil {
		return v, fmt.Errorf("read the state: %w", err)
	}
	for _, s := range v.state.Sessions() {
		v.live[s.ID] = true
	}
	for _, p := range v.state.PendingSearches(w.cfg.LeftoverGrace) {
		if p.Session == 0 {
			v.byIncarnation[p.Incarnation] = p
		} else {
			v.bySession[p.Session] = p
		}
	}
	return v, nil
}

// search returns the search that will find an object which nothing names.
func (v *logView) search(key string, k metadata.ObjectKey) (metadata.PendingSearch, bool) {
	p, ok := v.bySession[k.Session]
	if !ok {
		p, ok = v.byIncarnation[k.Incarnation]
	}
	return p, ok && key > p.After
}

// keepsPointer reports whether the state keeps the checkpoint that the log points
// at, if any.
func (v *logView) keepsPointer() bool {
	p := v.start.Checkpoint
	return p == nil || slices.ContainsFunc(v.state.Checkpoints(), func(c metadata.CheckpointRecord) bool {
		return c.Revision == p.Revision && c.Key() == p.Object
	})
}

// keepsArchived reports whether the state has the archive that the log names, if
// any.
func (v *logView) keepsArchived() bool {
	return v.start.ArchivedUpTo == 0 || slices.ContainsFunc(v.state.Archives(), func(a metadata.ArchiveRef) bool {
		return a.Extent == v.start.ArchivedUpTo && a.Object == v.start.ArchivedObject
	})
}

// objectsOfLog returns what the log names beside the state: the markers of
// incarnations, and the checkpoint that it points at where the state does not keep
// it (a recovery may have lost the entry that recorded it), with all its objects.
func (w *walk) objectsOfLog(ctx context.Context, v *logView) (out []metadata.NamedObject, err error) {
	for i := metadata.Incarnation(2); i <= v.start.Incarnation; i++ {
		out = append(out, metadata.NamedObject{Class: metadata.ObjectIncarnation, Key: metadata.IncarnationKey(i)})
	}
	if !v.keepsArchived() {
		out = append(out, metadata.NamedObject{Class: metadata.ObjectArchive, Key: v.start.ArchivedObject})
	}
	if v.keepsPointer() {
		return out, nil
	}
	key := v.start.Checkpoint.Object
	own := metadata.NamedObject{Class: metadata.ObjectCheckpoint, Key: key}
	body, err := w.getObject(ctx, key, 0, -1)
	if isAbsent(err) {
		return append(out, own), nil
	}
	if err != nil {
		return nil, err
	}
	ix, err := metadata.DecodeCheckpointIndex(body)
	if err != nil {
		w.suspectObject(&suspect{NamedObject: own, status: Damaged, what: err.Error()})
		return out, nil
	}
	for _, o := range ix.Objects {
		out = append(out, metadata.NamedObject{Class: metadata.ObjectCheckpoint, Key: o.Key, Size: o.Size})
	}
	return out, nil
}
