package metadata

import (
	"fmt"
	"hash/crc32"
	"slices"
)

// A checkpoint is the state at one revision (docs/format/checkpoint.md). Only
// pages that changed since the writer's last one are in it; the others are in the
// objects of earlier checkpoints. The full chunks of a partition's spans are pages
// that never change.
//
//	+--------+---------+-------+----------+------------+------+------+-----------+
//	| "ZWCP" | version | level | revision | extent     | hash | root | pages ... |
//	|        | 2       |       |          |            |      |      |           |
//	+--------+---------+-------+----------+------------+------+------+-----------+
//	index: see checkpointIndexWriter
//	trailer (last 24 bytes): | index position 8 | index length 4 | index crc 4 | "ZWCP" + 4 zero |
const (
	checkpointMagic       = "ZWCP"
	checkpointVersion     = 2
	checkpointHeadSize    = 32
	checkpointTrailerSize = 24
	// pauseBytes take about 5 ms to encode.
	pauseBytes = 128 << 10
)

// CheckpointKey names a checkpoint.
func CheckpointKey(i Incarnation, at Revision, by SessionID) string {
	return fmt.Sprintf("%d/checkpoint/%016x-%s", i, uint64(at), by)
}

// CheckpointObject is an object that a checkpoint refers to.
type CheckpointObject struct {
	Key  string
	Size int64 // bytes
}

// pageLocation is where a page is stored.
type pageLocation struct {
	object   *CheckpointObject // nil: the page is empty
	position int64
	length   uint32
	crc      uint32
}

// tablePageLocation is where a table's page of a version is stored.
type tablePageLocation struct {
	pageLocation
	version uint64
}

// chunkLocations are where the full chunks of a partition's spans are stored.
type chunkLocations struct {
	tp      TopicPartition
	created Revision // of the partition: another one of the same name has other spans
	first   uint64   // number of the first chunk
	pages   []pageLocation
}

// end returns the number after the last chunk's.
func (c *chunkLocations) end() uint64 { return c.first + uint64(len(c.pages)) }

// storedPages are where the pages of a checkpoint are stored.
type storedPages struct {
	tables [][]tablePageLocation // by table and page; nil before the first checkpoint
	chunks [][]chunkLocations    // by the partitions' page, then sorted; lists are replaced, never changed in place
}

func newStoredPages() storedPages {
	p := storedPages{make([][]tablePageLocation, tableCount), make([][]chunkLocations, tablePages)}
	for t := range p.tables {
		p.tables[t] = make([]tablePageLocation, tablePages)
	}
	return p
}

// findChunks returns the chunks of a partition, or none.
func (p *storedPages) findChunks(page int, tp TopicPartition, created Revision) *chunkLocations {
	list := p.chunks[page]
	i, found := slices.BinarySearchFunc(list, tp, func(c chunkLocations, tp TopicPartition) int { return c.tp.Compare(tp) })
	if !found || list[i].created != created {
		return &chunkLocations{}
	}
	return &list[i]
}

// each calls f for every page.
func (p *storedPages) each(f func(*pageLocation)) {
	for _, pages := range p.tables {
		for i := range pages {
			if pages[i].object != nil {
				f(&pages[i].pageLocation)
			}
		}
	}
	for _, list := range p.chunks {
		for i := range list {
			for j := range list[i].pages {
				f(&list[i].pages[j])
			}
		}
	}
}

// Checkpointer writes successive checkpoints of one live state, and remembers in
// which objects unchanged pages are. One goroutine uses it.
type Checkpointer struct {
	// Pause, where not nil, is called after every pauseBytes of an Encode, so
	// that commits can proceed.
	Pause func()

	stored     storedPages // of the last committed checkpoint
	encoded    storedPages // of the last encoded one
	references []CheckpointObject
	lineage    *byte        // of the state that the versions in stored are of
	level      FeatureLevel // at which the pages in stored were written
	lastSize   int          // of the last object; the next one is about as large
}

// Encode returns the checkpoint object of a snapshot, to be stored under key.
// Call Commit once it is stored.
func (c *Checkpointer) Encode(s *State, key string) []byte {
	// Versions of another state have no meaning here, and a page of a lower level
	// may lack what this level stores: the first checkpoint after a raise is full.
	if c.lineage != s.lineage || c.level != s.level || c.stored.tables == nil {
		c.stored, c.lineage, c.level = newStoredPages(), s.lineage, s.level
	}
	e := checkpointEncoder{s: s, pause: c.Pause, self: &CheckpointObject{Key: key}, old: &c.stored, next: newStoredPages()}
	e.w.b = make([]byte, 0, c.lastSize+c.lastSize/8)
	e.w.raw([]byte(checkpointMagic))
	e.w.u16(checkpointVersion)
	e.w.u16(uint16(s.level))
	e.w.u64(uint64(s.revision))
	e.w.u64(uint64(s.extent))
	e.w.u64(s.Hash())
	var root writer
	root.writeRoot(s)
	rootLocation := e.writePage(root.b)
	e.writeChangedPages()
	e.rewriteObjects()
	c.references = e.writeIndex(rootLocation)
	c.encoded = e.next
	c.lastSize = len(e.w.b)
	return e.w.b
}

// Commit makes the last encoded checkpoint the one to which the next one refers.
func (c *Checkpointer) Commit() { c.stored, c.encoded = c.encoded, storedPages{} }

// References returns the objects that the last encoded checkpoint refers to,
// committed or not: first its own, then earlier ones in the order of its index.
func (c *Checkpointer) References() []CheckpointObject { return slices.Clone(c.references) }

// checkpointEncoder is the work of one Encode.
type checkpointEncoder struct {
	s      *State
	pause  func()
	self   *CheckpointObject
	old    *storedPages
	next   storedPages
	w      writer
	pages  pageEncoder
	chunk  writer // of one page
	rested int    // bytes since the last pause
}

// writePage appends a page to the object.
func (e *checkpointEncoder) writePage(b []byte) pageLocation {
	if cap(e.w.b)-len(e.w.b) < len(b) {
		e.w.b = slices.Grow(e.w.b, len(e.w.b)+len(b)) // append would grow by a quarter at a time, and copy four times as much
	}
	at := pageLocation{e.self, int64(len(e.w.b)), uint32(len(b)), crc32.Checksum(b, castagnoli)}
	e.w.raw(b)
	e.rest(len(b))
	return at
}

// rest pauses once work worth pauseBytes of encoding was done.
func (e *checkpointEncoder) rest(bytes int) {
	if e.rested += bytes; e.pause != nil && e.rested >= pauseBytes {
		e.rested = 0
		e.pause()
	}
}

// writeChangedPages writes the pages that no earlier object has, and notes where
// the others are.
func (e *checkpointEncoder) writeChangedPages() {
	for table := range tableCount {
		for page := range tablePages {
			version, used := e.s.pageVersion(table, page)
			if !used {
				continue
			}
			at := e.old.tables[table][page]
			if unchanged := at.object != nil && at.version == version; unchanged {
				e.next.tables[table][page] = at
				if table == tablePartitions {
					e.next.chunks[page] = e.old.chunks[page]
				}
				continue
			}
			e.writeTablePage(table, page)
			if table == tablePartitions {
				e.writeNewChunks(page)
			}
		}
	}
}

func (e *checkpointEncoder) writeTablePage(table, page int) {
	b, version := e.pages.encodePage(e.s, table, page)
	e.next.tables[table][page] = tablePageLocation{e.writePage(b), version}
}

// writeNewChunks writes the chunks of a page's partitions that became full since
// the last checkpoint.
func (e *checkpointEncoder) writeNewChunks(page int) {
	var list []chunkLocations
	for tp, p := range e.s.partitions.pages[page].items.all() {
		if from, to := p.fullChunks(); from < to {
			list = append(list, chunkLocations{tp: tp, created: p.created, first: from, pages: make([]pageLocation, to-from)})
		}
	}
	slices.SortFunc(list, func(a, b chunkLocations) int { return a.tp.Compare(b.tp) })
	for i := range list {
		c := &list[i]
		p, old := e.s.partitions.get(c.tp), e.old.findChunks(page, c.tp, c.created)
		for j := range c.pages {
			if n := c.first + uint64(j); n >= old.first && n < old.end() {
				c.pages[j] = old.pages[n-old.first]
			} else {
				c.pages[j] = e.writeChunk(p, n)
			}
		}
	}
	e.next.chunks[page] = list
}

func (e *checkpointEncoder) writeChunk(p *partitionState, chunk uint64) pageLocation {
	e.chunk.b = e.chunk.b[:0]
	e.chunk.writeChunk(p.chunkSpans(chunk))
	return e.writePage(e.chunk.b)
}

// rewriteObjects writes the pages of those earlier objects again that are not to
// be referred to any more.
func (e *checkpointEncoder) rewriteObjects() {
	rewrite := e.objectsToRewrite()
	if len(rewrite) == 0 {
		return
	}
	for table, pages := range e.next.tables {
		for page := range pages {
			if rewrite[pages[page].object] {
				e.writeTablePage(table, page)
			}
		}
	}
	for page, list := range e.next.chunks {
		e.next.chunks[page] = e.rewriteChunks(list, rewrite)
	}
}

// objectsToRewrite applies planRewrite to the objects that are referred to.
func (e *checkpointEncoder) objectsToRewrite() map[*CheckpointObject]bool {
	var objects []*CheckpointObject
	var uses []objectUse
	number := map[*CheckpointObject]int{e.self: -1}
	e.next.each(func(at *pageLocation) {
		i, known := number[at.object]
		if !known {
			i = len(objects)
			number[at.object] = i
			objects, uses = append(objects, at.object), append(uses, objectUse{size: at.object.Size})
		}
		if i >= 0 {
			uses[i].referenced += int64(at.length)
		}
	})
	rewrite := map[*CheckpointObject]bool{}
	for _, i := range planRewrite(uses, int64(len(e.w.b))) {
		rewrite[objects[i]] = true
	}
	return rewrite
}

func (e *checkpointEncoder) rewriteChunks(list []chunkLocations, rewrite map[*CheckpointObject]bool) []chunkLocations {
	gone := func(at pageLocation) bool { return rewrite[at.object] }
	if !slices.ContainsFunc(list, func(c chunkLocations) bool { return slices.ContainsFunc(c.pages, gone) }) {
		return list
	}
	list = slices.Clone(list)
	for i := range list {
		c := &list[i]
		p := e.s.partitions.get(c.tp)
		c.pages = slices.Clone(c.pages)
		for j, at := range c.pages {
			if gone(at) {
				c.pages[j] = e.writeChunk(p, c.first+uint64(j))
			}
		}
	}
	return list
}
