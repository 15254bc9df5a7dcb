package metadata

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// A checkpoint is the state at one revision (docs/format/checkpoint.md). Only
// pages that changed since the writer's last one are in it; the others are in the
// objects of earlier checkpoints.
//
//	+--------+---------+-------+----------+------------+------+------+-----------+
//	| "ZWCP" | version | level | revision | extent     | hash | root | pages ... |
//	|        | 1       |       |          |            |      |      |           |
//	+--------+---------+-------+----------+------------+------+------+-----------+
//	index: objects it refers to, root {position, length, crc}, per page
//	       {table, page, object, position, length, crc}
//	trailer (last 24 bytes): | index position 8 | index length 4 | index crc 4 | "ZWCP" + 4 zero |
const (
	checkpointMagic       = "ZWCP"
	checkpointVersion     = 1
	checkpointHeadSize    = 32
	checkpointTrailerSize = 24
	// maxCheckpointObjects is how many objects one checkpoint may refer to;
	// beyond that the pages of the oldest are written again.
	maxCheckpointObjects = 8
	// pauseBytes take about 5 ms to encode.
	pauseBytes = 128 << 10
)

// CheckpointKey names a checkpoint.
func CheckpointKey(i Incarnation, at Revision, by SessionID) string {
	return fmt.Sprintf("%d/checkpoint/%016x-%s", i, uint64(at), by)
}

type pageID struct{ table, page int }

type pageLocation struct {
	object   string
	position int64
	length   int
	crc      uint32
	version  uint64
}

// Checkpointer writes successive checkpoints of one live state, and remembers in
// which objects unchanged pages are. One goroutine uses it.
type Checkpointer struct {
	// Pause, where not nil, is called after every pauseBytes of an Encode, so
	// that commits can proceed.
	Pause func()

	locations     map[pageID]pageLocation
	nextLocations map[pageID]pageLocation
	lineage       *byte        // of the state that the versions in locations are of
	level         FeatureLevel // at which the pages in locations were written
	lastSize      int          // of the last object; the next one is about as large
}

// Encode returns the checkpoint object of a snapshot, to be stored under key.
// Call Commit once it is stored.
func (c *Checkpointer) Encode(s *State, key string) []byte {
	// Versions of another state have no meaning here, and a page of a lower level
	// may lack what this level stores: the first checkpoint after a raise is full.
	if c.lineage != s.lineage || c.level != s.level {
		c.locations, c.lineage, c.level = nil, s.lineage, s.level
	}
	rewrite := c.objectToRewrite()
	var pages pageEncoder
	w := writer{make([]byte, 0, c.lastSize+c.lastSize/8)}
	w.raw([]byte(checkpointMagic))
	w.u16(checkpointVersion)
	w.u16(uint16(s.level))
	w.u64(uint64(s.revision))
	w.u64(uint64(s.extent))
	w.u64(s.Hash())
	var root writer
	root.writeRoot(s)
	rootHome := w.writePage(key, root.b)
	c.nextLocations = make(map[pageID]pageLocation, len(c.locations))
	rested := 0
	for table := range tableCount {
		for page := range tablePages {
			id := pageID{table, page}
			version, used := s.pageVersion(table, page)
			if !used {
				continue
			}
			if location, ok := c.locations[id]; ok && location.version == version && location.object != rewrite {
				c.nextLocations[id] = location
				continue
			}
			b, version := pages.encodePage(s, table, page)
			location := w.writePage(key, b)
			location.version = version
			c.nextLocations[id] = location
			if rested += len(b); c.Pause != nil && rested >= pauseBytes {
				rested = 0
				c.Pause()
			}
		}
	}
	w.writeCheckpointIndex(key, rootHome, c.nextLocations)
	c.lastSize = len(w.b)
	return w.b
}

// Commit makes the last encoded checkpoint the one to which the next one refers.
func (c *Checkpointer) Commit() { c.locations, c.nextLocations = c.nextLocations, nil }

// objectToRewrite returns the oldest object if there are too many.
func (c *Checkpointer) objectToRewrite() string {
	seen := map[string]bool{}
	for _, h := range c.locations {
		seen[h.object] = true
	}
	if len(seen) < maxCheckpointObjects {
		return ""
	}
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	return slices.Min(names) // names begin with the revision in a fixed width
}

func (w *writer) writePage(key string, b []byte) pageLocation {
	if cap(w.b)-len(w.b) < len(b) {
		w.b = slices.Grow(w.b, len(w.b)+len(b)) // append would grow by a quarter at a time, and copy four times as much
	}
	h := pageLocation{object: key, position: int64(len(w.b)), length: len(b), crc: crc32.Checksum(b, castagnoli)}
	w.raw(b)
	return h
}

func (w *writer) writePageLocation(h pageLocation, objects map[string]int) {
	w.uvarint(uint64(objects[h.object]))
	w.uvarint(uint64(h.position))
	w.uvarint(uint64(h.length))
	w.u32(h.crc)
}

func (w *writer) writeCheckpointIndex(key string, root pageLocation, homes map[pageID]pageLocation) {
	objects, names := map[string]int{key: 0}, []string{key}
	ids := make([]pageID, 0, len(homes))
	for id := range homes {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b pageID) int { return (a.table-b.table)*tablePages + a.page - b.page })
	for _, id := range ids {
		if o := homes[id].object; objects[o] == 0 && o != key {
			objects[o] = len(names)
			names = append(names, o)
		}
	}
	at := len(w.b)
	w.writeTextList(names)
	w.writePageLocation(root, objects)
	w.uvarint(uint64(len(ids)))
	for _, id := range ids {
		w.u8(uint8(id.table))
		w.u16(uint16(id.page))
		w.writePageLocation(homes[id], objects)
	}
	index := w.b[at:]
	crc := crc32.Checksum(index, castagnoli)
	n := len(index)
	w.u64(uint64(at))
	w.u32(uint32(n))
	w.u32(crc)
	w.raw([]byte(checkpointMagic))
	w.u32(0)
}

// CheckpointIndex is the head and the index of a checkpoint object.
type CheckpointIndex struct {
	Level    FeatureLevel
	Revision Revision
	Extent   Extent
	Hash     uint64
	Objects  []string // objects with its pages; the first is itself
	root     indexedPage
	pages    []indexedPage
}

type indexedPage struct {
	table, object int
	position      int64
	length        int
	crc           uint32
}

// Pages returns how many pages the checkpoint has, and how many bytes.
func (ix *CheckpointIndex) Pages() (n int, bytes int64) {
	for _, p := range ix.pages {
		bytes += int64(p.length)
	}
	return len(ix.pages), bytes
}

// DecodeCheckpointIndex reads head and index of a whole checkpoint object.
func DecodeCheckpointIndex(b []byte) (*CheckpointIndex, error) {
	bad := func(err error) (*CheckpointIndex, error) { return nil, fmt.Errorf("decode checkpoint: %w", err) }
	if len(b) < checkpointHeadSize+checkpointTrailerSize || string(b[:4]) != checkpointMagic ||
		string(b[len(b)-8:]) != checkpointMagic+"\x00\x00\x00\x00" {
		return bad(fmt.Errorf("%w: not a checkpoint", ErrCorrupt))
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != checkpointVersion {
		return bad(fmt.Errorf("%w %d", ErrVersion, v))
	}
	t := newReader(b, len(b)-checkpointTrailerSize)
	at, n, crc := t.Uint64(), int(t.Uint32()), t.Uint32()
	if at > uint64(len(b)-checkpointTrailerSize) || int(at)+n != len(b)-checkpointTrailerSize {
		return bad(fmt.Errorf("%w: index outside the object", ErrCorrupt))
	}
	index := b[at : int(at)+n]
	if crc32.Checksum(index, castagnoli) != crc {
		return bad(fmt.Errorf("%w: checksum of the index", ErrCorrupt))
	}
	h := newReader(b, 6)
	ix := &CheckpointIndex{Level: FeatureLevel(h.Uint16()), Revision: Revision(h.Uint64()), Extent: Extent(h.Uint64()), Hash: h.Uint64()}
	r := newReader(index, 0)
	ix.Objects = r.readTextList()
	ix.root = r.readIndexedPage(0, len(ix.Objects))
	for range r.Count(10, "pages") {
		table := int(r.Uint8())
		if page := r.Uint16(); table >= tableCount || page >= tablePages {
			r.Fail("table %d, page %d", table, page)
		}
		ix.pages = append(ix.pages, r.readIndexedPage(table, len(ix.Objects)))
	}
	if err := r.ExpectEnd(); err != nil {
		return bad(err)
	}
	return ix, nil
}

func (r *reader) readIndexedPage(table, objects int) indexedPage {
	p := indexedPage{table: table, object: int(r.Uvarint()), position: int64(r.UvarintUpTo(1<<40, "position")), length: int(r.UvarintUpTo(1<<31, "length")), crc: r.Uint32()}
	if p.object >= objects || p.object < 0 {
		r.Fail("object %d of %d", p.object, objects)
		p.object = 0
	}
	return p
}

// LoadCheckpoint reads the state of a checkpoint, and the earlier objects it
// refers to. The hash of the state as it was read must be the one in the
// checkpoint.
func LoadCheckpoint(ctx context.Context, store Store, key string) (*State, error) {
	body, err := store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint %s: %w", key, err)
	}
	ix, err := DecodeCheckpointIndex(body)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	if err := CheckLevel(ix.Level); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	s := NewState()
	s.revision, s.extent, s.level, s.topicsRevision = ix.Revision, ix.Extent, ix.Level, ix.Revision
	for i, name := range ix.Objects {
		from := body
		if i > 0 {
			if from, err = store.Get(ctx, name, 0, -1); err != nil {
				return nil, fmt.Errorf("read checkpoint %s, referred to by %s: %w", name, key, err)
			}
		}
		if err := s.loadPages(ix, i, from); err != nil {
			return nil, fmt.Errorf("checkpoint %s: %w: inspect it with `zonewise dump checkpoint %s`", name, err, name)
		}
	}
	if got := s.Hash(); got != ix.Hash {
		return nil, fmt.Errorf("checkpoint %s: %w: the state in it has hash %016x, want %016x", key, ErrCorrupt, got, ix.Hash)
	}
	return s, nil
}

func (s *State) loadPages(ix *CheckpointIndex, object int, from []byte) error {
	cut := func(p *indexedPage) ([]byte, error) {
		if p.position+int64(p.length) > int64(len(from)) {
			return nil, fmt.Errorf("%w: page outside the object", ErrCorrupt)
		}
		b := from[p.position : p.position+int64(p.length)]
		if crc32.Checksum(b, castagnoli) != p.crc {
			return nil, fmt.Errorf("%w: checksum of the page at %d", ErrCorrupt, p.position)
		}
		return b, nil
	}
	if object == 0 {
		b, err := cut(&ix.root)
		if err != nil {
			return err
		}
		r := newReader(b, 0)
		r.readRoot(s)
		if err := r.ExpectEnd(); err != nil {
			return err
		}
	}
	for i := range ix.pages {
		p := &ix.pages[i]
		if p.object != object {
			continue
		}
		b, err := cut(p)
		if err != nil {
			return err
		}
		if err := s.decodePage(p.table, b); err != nil {
			return err
		}
	}
	return nil
}

// loadCheckpoint loads the checkpoint if the replica is too far behind for the
// archives.
func (f *follower) loadCheckpoint(ctx context.Context) error {
	r, p := f.r, f.from.Checkpoint
	f.ready = f.from.ArchivedUpTo == 0
	if p == nil { // the log is applied from its beginning
		return CheckLevel(f.from.Level)
	}
	var applied Revision
	var extent Extent
	r.View(func(s *State) { applied, extent = s.revision, s.extent })
	// A broker that is only a little behind continues from its state: the archive
	// of its extent follows without a gap.
	if forced := r.reloadWanted.Load(); !forced && (applied >= p.Revision || applied > 0 && extent+maxReplayExtents > p.Extent) {
		return nil
	}
	s, err := LoadCheckpoint(ctx, r.cfg.Store, p.Object)
	if err != nil {
		return err
	}
	if s.revision != p.Revision || s.Hash() != p.Hash {
		return fmt.Errorf("checkpoint %s: %w: at revision %d with hash %016x, the pointer says %d and %016x",
			p.Object, ErrCorrupt, s.revision, s.Hash(), p.Revision, p.Hash)
	}
	r.replaceState(s)
	return nil
}

// maxReplayExtents is how many extents a follower is behind at most to catch up
// from archives instead of a checkpoint.
const maxReplayExtents = 4

// replaceState replaces the state by a newer one; the outcomes of entries between
// the two can no longer be found out.
func (r *Replica) replaceState(s *State) {
	r.overrideLimits(s)
	r.mu.Lock()
	old := r.state
	r.state, r.marks = s, nil
	r.reloadWanted.Store(false)
	r.mu.Unlock()
	r.applied.Store(int64(s.revision))
	r.waiters.resolveSkipped(s.revision, func(k EntryKey) bool {
		closed := old.sessions[k.Session] != nil && s.sessions[k.Session] == nil
		return closed || s.LaneSeq(k.Session, k.Lane) >= k.Seq
	})
	r.advanced.wakeAll()
}
