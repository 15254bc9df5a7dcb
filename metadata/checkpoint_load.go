package metadata

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"
)

// maxSpanOrdinal is above every partition's number of spans, trimmed ones
// included.
const maxSpanOrdinal = 1 << 48

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
	l, err := newCheckpointLoader(ix)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	for i, o := range ix.Objects {
		from := body
		if i > 0 {
			if from, err = store.Get(ctx, o.Key, 0, -1); err != nil {
				return nil, fmt.Errorf("read checkpoint %s, referred to by %s: %w", o.Key, key, err)
			}
		}
		if err := l.loadObject(i, from); err != nil {
			return nil, fmt.Errorf("checkpoint %s: %w: inspect it with `zonewise dump checkpoint %s`", o.Key, err, o.Key)
		}
	}
	if err := l.joinSpans(); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	l.s.deriveStorage()
	if got := l.s.Hash(); got != ix.Hash {
		return nil, fmt.Errorf("checkpoint %s: %w: the state in it has hash %016x, want %016x", key, ErrCorrupt, got, ix.Hash)
	}
	return l.s, nil
}

// checkpointLoader builds the state of a checkpoint, object by object. The spans
// of a partition arrive in any order: chunks and tail are decoded into their place
// in one list, which becomes the partition's.
type checkpointLoader struct {
	s      *State
	ix     *CheckpointIndex
	chunks map[TopicPartition]*loadedChunks
}

// loadedChunks are the spans of a partition that has full chunks.
type loadedChunks struct {
	*indexedChunks
	spans   []Span // of the chunks, trimmed ones included; room for the tail
	hasTail bool   // the partition's item was read
	trimmed uint64 // how many spans are missing at the beginning of the first chunk
}

func newCheckpointLoader(ix *CheckpointIndex) (*checkpointLoader, error) {
	l := &checkpointLoader{s: NewState(), ix: ix, chunks: make(map[TopicPartition]*loadedChunks, len(ix.chunks))}
	l.s.revision, l.s.extent, l.s.level, l.s.topicsRevision = ix.Revision, ix.Extent, ix.Level, ix.Revision
	for i := range ix.chunks {
		c := &ix.chunks[i]
		if l.chunks[c.tp] != nil {
			return nil, chunkError(c.tp, c.first, "listed twice")
		}
		l.chunks[c.tp] = &loadedChunks{indexedChunks: c}
	}
	return l, nil
}

func chunkError(tp TopicPartition, chunk uint64, what string) error {
	return fmt.Errorf("%w: chunk %d of the spans of partition %s/%d: %s", ErrCorrupt, chunk, tp.Topic, tp.Partition, what)
}

// loadObject decodes the pages that are in one of the index's objects.
func (l *checkpointLoader) loadObject(object int, from []byte) error {
	if want := l.ix.Objects[object].Size; int64(len(from)) != want {
		return fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, len(from), want)
	}
	if object == l.ix.root.object {
		b, err := l.ix.root.cut(from)
		if err != nil {
			return err
		}
		r := newReader(b, 0)
		r.readRoot(l.s)
		if err := r.ExpectEnd(); err != nil {
			return err
		}
	}
	for i := range l.ix.pages {
		p := &l.ix.pages[i]
		if p.object != object {
			continue
		}
		b, err := p.cut(from)
		if err != nil {
			return err
		}
		if err := l.decodePage(p.table, b); err != nil {
			return err
		}
	}
	for i := range l.ix.chunks {
		c := &l.ix.chunks[i]
		for j := range c.pages {
			if c.pages[j].object != object {
				continue
			}
			if err := l.loadChunk(l.chunks[c.tp], j, from); err != nil {
				return fmt.Errorf("chunk %d of the spans of partition %s/%d: %w", c.first+uint64(j), c.tp.Topic, c.tp.Partition, err)
			}
		}
	}
	return nil
}

// cut returns a page's bytes from its object.
func (p *indexedPage) cut(from []byte) ([]byte, error) {
	if p.position+int64(p.length) > int64(len(from)) {
		return nil, fmt.Errorf("%w: page outside the object", ErrCorrupt)
	}
	b := from[p.position : p.position+int64(p.length)]
	if crc32.Checksum(b, castagnoli) != p.crc {
		return nil, fmt.Errorf("%w: checksum of the page at %d", ErrCorrupt, p.position)
	}
	return b, nil
}

// makeRoom makes the list of all spans, once: a state may have gigabytes of them. The
// room for more is another one for each partition, as of spanRoom.
func (c *loadedChunks) makeRoom() {
	if c.spans == nil {
		n := len(c.pages) * spanChunk
		c.spans = make([]Span, n, n+spanChunk+spanRoom(c.tp, n)/8)
	}
}

// loadChunk decodes the partition's i-th chunk. Of all but the first one, every
// span must be there.
func (l *checkpointLoader) loadChunk(c *loadedChunks, i int, from []byte) error {
	b, err := c.pages[i].cut(from)
	if err != nil {
		return err
	}
	c.makeRoom()
	r := newReader(b, 0)
	place := c.spans[i*spanChunk : (i+1)*spanChunk : (i+1)*spanChunk]
	trimmed := r.readChunk(place)
	if err := r.ExpectEnd(); err != nil {
		return err
	}
	if i == 0 {
		c.trimmed = trimmed
	} else if trimmed > 0 {
		return fmt.Errorf("%w: %d spans are missing", ErrCorrupt, trimmed)
	}
	return nil
}

// readTail reads the tail of a partition's spans, whose item says that it has
// those from p.firstSpan on to end, and checks that the index has exactly the
// full chunks before it.
func (l *checkpointLoader) readTail(r *reader, tp TopicPartition, p *partitionState, end uint64) error {
	if r.Err() != nil {
		return r.Err()
	}
	from, to := p.firstSpan/spanChunk, end/spanChunk
	tail := end - tailStart(p.firstSpan, end)
	c := l.chunks[tp]
	if from == to {
		if c != nil {
			return chunkError(tp, c.first, "the partition has no full chunk")
		}
		p.spans = r.readSpans(nil, tail)
		return nil
	}
	switch {
	case c == nil || c.first > from:
		return chunkError(tp, from, "missing")
	case c.first < from:
		return chunkError(tp, c.first, "trimmed, but listed")
	case c.first+uint64(len(c.pages)) < to:
		return chunkError(tp, c.first+uint64(len(c.pages)), "missing")
	case c.first+uint64(len(c.pages)) > to:
		return chunkError(tp, to, "not full, but listed")
	}
	c.makeRoom()
	c.spans, c.hasTail = r.readSpans(c.spans, tail), true
	return nil
}

// joinSpans gives the partitions that have full chunks their spans. Those of a
// chunk that were trimmed after it was written are left out.
func (l *checkpointLoader) joinSpans() error {
	for tp, c := range l.chunks {
		if !c.hasTail {
			return chunkError(tp, c.first, "there is no such partition")
		}
		p := l.s.partitions.get(tp)
		dead := p.firstSpan - c.first*spanChunk
		if c.trimmed > dead {
			return chunkError(tp, c.first, fmt.Sprintf("begins with span %d, and the partition with span %d", c.first*spanChunk+c.trimmed, p.firstSpan))
		}
		if err := c.checkOrder(dead); err != nil {
			return err
		}
		l.s.partitions.edit(tp, func(p *partitionState) {
			if p.spans, p.trimmedSpans = c.spans[dead:], int(dead); p.trimmedSpans > len(p.spans) {
				p.spans, p.trimmedSpans = slices.Clone(p.spans), 0
			}
			l.s.addLoadedSpans(tp, p)
		})
	}
	return nil
}

// checkOrder checks that spans go on where the ones before end: the hash of the
// state is the same in any order.
func (c *loadedChunks) checkOrder(from uint64) error {
	for i := from + 1; i < uint64(len(c.spans)); i++ {
		if begin, end := c.spans[i].First, c.spans[i-1].End(); begin < end {
			return chunkError(c.tp, c.first+i/spanChunk, fmt.Sprintf("begins at offset %d, before %d, where the one before ends", begin, end))
		}
	}
	return nil
}

// loadCheckpoint loads the checkpoint if the replica is too far behind for the
// archives, or if one of these is gone.
func (r *Replica) loadCheckpoint(ctx context.Context, p *CheckpointPointer) error {
	if p == nil {
		return nil
	}
	var applied Revision
	var extent Extent
	r.View(func(s *State) { applied, extent = s.revision, s.extent })
	// A broker that is only a little behind continues from its state: the archive
	// of its extent follows without a gap, unless it was deleted.
	near := applied > 0 && extent+maxReplayExtents > p.Extent && !r.archiveGone
	if forced := r.reloadWanted.Load(); !forced && (applied >= p.Revision || near) {
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
