package metadata

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// LogPosition is how far a state has applied the log.
type LogPosition struct {
	Revision Revision          // of the last entry
	Digest   [sha256.Size]byte // of the log up to it
}

// LogPosition returns how far the state has applied the log.
func (s *State) LogPosition() LogPosition { return LogPosition{s.revision, s.lastDigest()} }

// replayArchives applies the archives between what is applied and the extents
// that are still keys. The start point names the newest one, and each archive
// names the one before it. Nothing is read where an entry of a later extent is
// applied already.
func (r *Replica) replayArchives(ctx context.Context, from StartPoint) error {
	var at LogPosition
	var extent Extent
	r.View(func(s *State) { at, extent = s.LogPosition(), s.extent })
	if extent > from.ArchivedUpTo {
		return nil
	}
	chain, err := ArchiveChain(ctx, r.cfg.Store, from.ArchivedObject, at)
	if err != nil {
		return err
	}
	for _, key := range chain {
		if err := r.replayArchive(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// ArchiveChain follows the predecessors of an archive, whose key is empty where
// there is none, back to the one that continues the log at a position, and
// returns the keys of those with anything after it, oldest first. A predecessor
// that is not needed is not read: it may have been deleted.
func ArchiveChain(ctx context.Context, store Store, newest string, at LogPosition) ([]string, error) {
	var keys []string
	for key := newest; key != ""; {
		ix, err := readArchiveIndex(ctx, store, ArchiveRef{Object: key, Size: unknownSize})
		if err != nil {
			return nil, err
		}
		if ix.lastRevision <= at.Revision {
			break
		}
		keys = append(keys, key)
		if ix.firstRevision <= at.Revision+1 {
			break
		}
		head, err := store.Get(ctx, key, 0, archiveHeadSize+256)
		if err != nil {
			return nil, fmt.Errorf("read archive %s: %w", key, err)
		}
		a, _, err := decodeArchiveHead(head)
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", key, err)
		}
		if a.Before == at.Digest {
			break
		}
		key = a.Predecessor
	}
	slices.Reverse(keys)
	return keys, nil
}

// replayArchive applies the entries of one archive that are not applied yet.
func (r *Replica) replayArchive(ctx context.Context, key string) error {
	body, err := r.cfg.Store.Get(ctx, key, 0, -1)
	if err != nil {
		return fmt.Errorf("read archive %s: %w", key, err)
	}
	a, err := DecodeArchive(body)
	if err != nil {
		return fmt.Errorf("archive %s: %w: inspect it with `zonewise dump archive %s`", key, err, key)
	}
	for i := range a.Entries {
		if err := r.applyEntry(&a.Entries[i], false); err != nil && !errors.Is(err, errLaneGap) {
			return err
		} else if err != nil {
			return fmt.Errorf("archive %s: %w: %w", key, ErrCorrupt, err)
		}
	}
	r.advanced.wakeAll()
	var digest [32]byte
	known := false
	r.View(func(s *State) {
		for i := range s.unarchivedExtents {
			if s.unarchivedExtents[i].extent == a.Extent {
				digest, known = s.unarchivedExtents[i].digest, true
			}
		}
	})
	if known && digest != a.Digest {
		return fmt.Errorf("archive %s: %w: its digest does not continue the applied log", key, ErrCorrupt)
	}
	return nil
}

// archiveIndexCache caches the indexes of archives from which inline bytes were
// read, at most maxArchiveIndexes of them.
type archiveIndexCache struct {
	mu    sync.Mutex
	byKey map[string]*archiveInlineIndex
	order []string
}

const maxArchiveIndexes = 64

func (x *archiveIndexCache) initCache() { x.byKey = map[string]*archiveInlineIndex{} }

func (x *archiveIndexCache) get(key string) *archiveInlineIndex {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byKey[key]
}

func (x *archiveIndexCache) put(key string, ix *archiveInlineIndex) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byKey[key] != nil {
		return
	}
	if len(x.order) == maxArchiveIndexes {
		delete(x.byKey, x.order[0])
		x.order = x.order[1:]
	}
	x.byKey[key] = ix
	x.order = append(x.order, key)
}

// ArchivedPosition returns where an entry's inline bytes are in its archive. The
// archive's index is read once and cached.
func (r *Replica) ArchivedPosition(ctx context.Context, ref ArchiveRef, rev Revision) (position, length int64, err error) {
	ix := r.archives.get(ref.Object)
	if ix == nil {
		if ix, err = readArchiveIndex(ctx, r.cfg.Store, ref); err != nil {
			return 0, 0, err
		}
		r.archives.put(ref.Object, ix)
	}
	item, ok := ix.find(rev)
	if !ok {
		return 0, 0, fmt.Errorf("archive %s: %w: no entry at revision %d: inspect it with `zonewise dump archive %s`",
			ref.Object, ErrCorrupt, rev, ref.Object)
	}
	return item.position, int64(item.length), nil
}

// ArchivedInline returns length bytes from pos of an archived entry's inline
// bytes.
func (r *Replica) ArchivedInline(ctx context.Context, ref ArchiveRef, rev Revision, pos, length int64) ([]byte, error) {
	at, have, err := r.ArchivedPosition(ctx, ref, rev)
	if err != nil {
		return nil, err
	}
	if pos < 0 || length < 0 || pos > have-length {
		return nil, fmt.Errorf("archive %s: %w: %d+%d of %d inline bytes at revision %d: inspect it with `zonewise dump archive %s`",
			ref.Object, ErrCorrupt, pos, length, have, rev, ref.Object)
	}
	b, err := r.cfg.Store.Get(ctx, ref.Object, at+pos, length)
	if err != nil {
		return nil, fmt.Errorf("read archive %s: %w", ref.Object, err)
	}
	if int64(len(b)) != length {
		return nil, fmt.Errorf("archive %s: %w: %d bytes of %d", ref.Object, ErrCorrupt, len(b), length)
	}
	return b, nil
}

// readArchiveIndex reads and checks an archive's index. Of ref it uses the name
// and the size, which may be unknownSize.
func readArchiveIndex(ctx context.Context, store Store, ref ArchiveRef) (*archiveInlineIndex, error) {
	tail := int64(32 << 10)
	for range 2 {
		b, err := store.Get(ctx, ref.Object, -tail, -1)
		if err != nil {
			return nil, fmt.Errorf("read archive %s: %w", ref.Object, err)
		}
		ix, err := decodeArchiveIndex(b, ref.Size)
		var short errShortTail
		if errors.As(err, &short) {
			tail = int64(short)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", ref.Object, err)
		}
		return ix, nil
	}
	return nil, fmt.Errorf("archive %s: %w: its index changed between two reads", ref.Object, ErrCorrupt)
}
