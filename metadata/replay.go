package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// replayArchives applies the archives between what is applied and the extents
// that are still keys. The archives are found backwards: an AcceptArchive entry
// that is still among the keys names the newest one, and each archive names the
// one before it. done is false until that entry has arrived.
func (f *follower) replayArchives(ctx context.Context, caughtUp bool) (done bool, err error) {
	name, ok, err := findArchiveKey(f.heldEntries, f.from.ArchivedUpTo)
	if err != nil {
		return false, err
	}
	if !ok {
		f.r.View(func(s *State) { name, ok = s.archiveKeyOfExtent(f.from.ArchivedUpTo) })
	}
	if !ok {
		if caughtUp {
			return false, fmt.Errorf("%w: extents up to %d are truncated, and no log entry names the archive of the last one",
				ErrCorrupt, f.from.ArchivedUpTo)
		}
		return false, nil
	}
	chain, err := f.archiveChain(ctx, name)
	if err != nil {
		return false, err
	}
	for _, key := range chain {
		if err := f.r.replayArchive(ctx, key); err != nil {
			return false, err
		}
	}
	return true, nil
}

// findArchiveKey finds the accepted archive of an extent among entries. Only the
// last AcceptArchive counts: after one that was refused comes another, for the
// object that was accepted. An entry above this program's feature level is an
// error: what it has is not known.
func findArchiveKey(list []CommittedEntry, g Extent) (key string, ok bool, err error) {
	var e Entry
	for i := range list {
		if err := DecodeEntry(list[i].Bytes, &e); errors.Is(err, ErrLevel) {
			return "", false, fmt.Errorf("entry at revision %d: %w", list[i].Revision, err)
		} else if err != nil {
			continue
		}
		for _, cmd := range e.Commands {
			if a, is := cmd.(AcceptArchive); is && a.Extent == g {
				key, ok = a.Object, true
			}
		}
	}
	return key, ok, nil
}

func (s *State) archiveKeyOfExtent(g Extent) (string, bool) {
	i, ok := slices.BinarySearchFunc(s.archives, g, func(a ArchiveRef, g Extent) int {
		switch {
		case a.Extent < g:
			return -1
		case a.Extent > g:
			return 1
		}
		return 0
	})
	if !ok {
		return "", false
	}
	return s.archives[i].Object, true
}

// archiveChain lists the archives to replay, oldest first.
func (f *follower) archiveChain(ctx context.Context, newest string) ([]string, error) {
	var applied Revision
	f.r.View(func(s *State) { applied = s.revision })
	return ArchiveChain(ctx, f.r.cfg.Store, newest, applied)
}

// ArchiveChain follows the predecessors of an archive back to the first one with
// anything after a revision, and returns their keys, oldest first.
func ArchiveChain(ctx context.Context, store Store, newest string, after Revision) ([]string, error) {
	var keys []string
	for key := newest; key != ""; {
		ix, err := readArchiveIndex(ctx, store, ArchiveRef{Object: key, Size: unknownSize})
		if err != nil {
			return nil, err
		}
		if ix.lastRevision <= after {
			break
		}
		keys = append(keys, key)
		head, err := store.Get(ctx, key, 0, archiveHeadSize+256)
		if err != nil {
			return nil, fmt.Errorf("read archive %s: %w", key, err)
		}
		a, _, err := decodeArchiveHead(head)
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", key, err)
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
