package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
)

// readObjects reads what the state names as live, and checks it.
func (w *walk) readObjects(ctx context.Context) error {
	w.count.beginStage("index the spans", 0)
	spans, err := indexSpans(ctx, w.log.state)
	if err != nil {
		return err
	}
	if len(spans.unarchived) > 0 {
		w.suspectSpans(fmt.Sprintf("revision %d", spans.unarchived[0].Revision), metadata.ObjectArchive, spans.unarchived)
	}
	w.count.beginStage("read WAL objects", spans.countObjects())
	if err := w.forEach(ctx, spans.countObjects(), func(ctx context.Context, i int) error { return w.readWAL(ctx, spans, i) }); err != nil {
		return err
	}
	if err := w.readArchives(ctx); err != nil {
		return err
	}
	if err := w.readCheckpoints(ctx); err != nil {
		return err
	}
	return w.readMarkers(ctx)
}

// maxReads is how often an object is read until the stored object, and not its
// transfer, is taken to be damaged.
const maxReads = 3

// readChecked reads an object until check finds nothing wrong with it, at most
// maxReads times. It suspects the object of what check finds at last, or of being
// missing. What the listing showed to be of the wrong size is not read.
func (w *walk) readChecked(ctx context.Context, o metadata.NamedObject, check func(body []byte) string) (found *suspect, err error) {
	if known := w.suspicion(o.Key); known != "" && known != Missing {
		return nil, nil
	}
	what := ""
	for range maxReads {
		body, err := w.getObject(ctx, o.Key, 0, -1)
		if isAbsent(err) {
			found = &suspect{NamedObject: o, want: o.Size, status: Missing, what: "not in the bucket", counted: Live, probe: true}
			w.suspectObject(found)
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if what = check(body); what == "" {
			return nil, nil
		}
	}
	found = &suspect{NamedObject: o, status: Damaged, what: what, counted: Live}
	w.suspectObject(found)
	return found, nil
}

// readArchives reads every archive: it has exactly the entries that brokers applied,
// and names the one before it.
func (w *walk) readArchives(ctx context.Context) error {
	list := w.log.state.Archives()
	w.count.beginStage("read archives", len(list))
	return w.forEach(ctx, len(list), func(ctx context.Context, i int) error {
		var before *metadata.ArchiveRef
		if i > 0 && list[i-1].Extent+1 == list[i].Extent {
			before = &list[i-1]
		}
		o := metadata.NamedObject{Class: metadata.ObjectArchive, Key: list[i].Object, Size: list[i].Size}
		_, err := w.readChecked(ctx, o, func(body []byte) string { return checkArchive(body, &list[i], before) })
		return err
	})
}

// checkArchive returns what is wrong with an archive, or "".
func checkArchive(body []byte, want, before *metadata.ArchiveRef) string {
	a, err := metadata.DecodeArchive(body)
	switch {
	case err != nil:
		return err.Error()
	case a.Extent != want.Extent || uint64(len(a.Entries)) != want.Entries:
		return fmt.Sprintf("%d entries of generation %d, want %d of generation %d", len(a.Entries), a.Extent, want.Entries, want.Extent)
	case a.Digest != want.Digest:
		return fmt.Sprintf("its entries have digest %x, want %x", a.Digest[:8], want.Digest[:8])
	case before != nil && (a.Before != before.Digest || a.Predecessor != before.Object):
		return fmt.Sprintf("it continues %s with digest %x, want %s with %x", a.Predecessor, a.Before[:8], before.Object, before.Digest[:8])
	}
	return ""
}

// readMarkers reads the markers of incarnations, without which no recovery is
// possible.
func (w *walk) readMarkers(ctx context.Context) error {
	for i := metadata.Incarnation(2); i <= w.log.start.Incarnation; i++ {
		o := metadata.NamedObject{Class: metadata.ObjectIncarnation, Key: metadata.IncarnationKey(i)}
		_, err := w.readChecked(ctx, o, func(body []byte) string {
			if _, err := recovery.ParseMarker(o.Key, body); err != nil {
				return err.Error()
			}
			return ""
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readCheckpoints loads every checkpoint that is kept or that a start reads, one at a
// time: each is a whole state in memory.
func (w *walk) readCheckpoints(ctx context.Context) error {
	list := slices.Clone(w.log.state.Checkpoints())
	if p := w.log.start.Checkpoint; !w.log.keepsPointer() {
		list = append(list, metadata.CheckpointRecord{Revision: p.Revision, Hash: p.Hash,
			Objects: []metadata.CheckpointObject{{Key: p.Object, Size: w.pointerSize}}})
	}
	w.count.beginStage("load checkpoints", len(list))
	store := &checkpointStore{w: w}
	for i := range slices.Backward(list) {
		if err := w.loadCheckpoint(ctx, store, &list[i]); err != nil {
			return err
		}
		w.count.done.Add(1)
	}
	return nil
}

// loadCheckpoint loads one, unless an object of it is known to be damaged.
func (w *walk) loadCheckpoint(ctx context.Context, store *checkpointStore, c *metadata.CheckpointRecord) error {
	missing := false
	for _, o := range c.Objects {
		known := w.suspicion(o.Key)
		if missing = missing || known == Missing; known != "" && known != Missing {
			return nil
		}
	}
	var what error
	for range maxReads {
		s, err := metadata.LoadCheckpoint(ctx, store, c.Key())
		switch {
		case err == nil && s.Revision() == c.Revision && s.Hash() == c.Hash:
			return nil
		case err == nil:
			what = fmt.Errorf("a state at revision %d with hash %016x, want revision %d with hash %016x", s.Revision(), s.Hash(), c.Revision, c.Hash)
		case isAbsent(err) && missing:
			return nil
		case errors.Is(err, metadata.ErrCorrupt), errors.Is(err, metadata.ErrVersion), isAbsent(err):
			what = err
		default:
			return err
		}
		store.bodies, store.size = nil, 0
	}
	// Where an object that it refers to is gone, that one is gone from a checkpoint
	// which is kept: it makes this one useless.
	o := metadata.NamedObject{Class: metadata.ObjectCheckpoint, Key: c.Key(), Size: c.Objects[0].Size}
	w.suspectObject(&suspect{NamedObject: o, status: Damaged, what: what.Error(), counted: Live})
	return nil
}

// maxCheckpointBytes bounds what is kept of checkpoint objects, to which several
// checkpoints refer.
const maxCheckpointBytes = 256 << 20

// checkpointStore reads the objects of checkpoints through a walk, and keeps some.
type checkpointStore struct {
	w      *walk
	bodies map[string][]byte
	size   int
}

// Get implements metadata.Store.
func (s *checkpointStore) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if body := s.bodies[key]; body != nil && off == 0 && length < 0 {
		return body, nil
	}
	body, err := s.w.getObject(ctx, key, off, length)
	if err == nil && off == 0 && length < 0 && s.size+len(body) <= maxCheckpointBytes {
		if s.bodies == nil {
			s.bodies = map[string][]byte{}
		}
		s.bodies[key] = body
		s.size += len(body)
	}
	return body, err
}

// Put implements metadata.Store.
func (s *checkpointStore) Put(context.Context, string, []byte) error {
	return errors.New("BUG: verify writes nothing")
}
