package metadata

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// checkpointIndexWriter writes the index of a checkpoint:
//
//	objects | root    | table pages                 | topics      | partitions with full chunks of spans
//	count   | location| count                       | count       | count
//	name,   |         | table 1, page 2, location   | topic id 16 | topic's index, partition,
//	size    |         |                             |             | first chunk, count, locations
//
// A location is | object | position | length | crc 4 |: the object's index, and the
// position as its difference from the end of the page that was listed before of
// the same object, which is 0 for nearly all pages. Numbers without a length are
// varints. The first object is the checkpoint itself, of size 0.
type checkpointIndexWriter struct {
	w       *writer
	objects []*CheckpointObject
	number  map[*CheckpointObject]int
	ends    []int64 // by object, of the page that was listed last
}

func (x *checkpointIndexWriter) location(at *pageLocation) {
	n := x.number[at.object]
	x.w.uvarint(uint64(n))
	x.w.varint(at.position - x.ends[n])
	x.w.uvarint(uint64(at.length))
	x.w.u32(at.crc)
	x.ends[n] = at.position + int64(at.length)
}

// writeIndex writes index and trailer. It returns the objects that are referred
// to.
func (e *checkpointEncoder) writeIndex(root pageLocation) []CheckpointObject {
	start := len(e.w.b)
	x := checkpointIndexWriter{w: &e.w, objects: []*CheckpointObject{e.self}, number: map[*CheckpointObject]int{e.self: 0}}
	used := 0
	e.next.each(func(at *pageLocation) {
		if _, known := x.number[at.object]; !known {
			x.number[at.object] = len(x.objects)
			x.objects = append(x.objects, at.object)
		}
	})
	for _, pages := range e.next.tables {
		for i := range pages {
			if pages[i].object != nil {
				used++
			}
		}
	}
	x.ends = make([]int64, len(x.objects))
	e.w.uvarint(uint64(len(x.objects)))
	for _, o := range x.objects {
		e.w.text(o.Key)
		e.w.uvarint(uint64(o.Size))
	}
	x.location(&root)
	e.w.uvarint(uint64(used))
	for table, pages := range e.next.tables {
		for page := range pages {
			if at := &pages[page].pageLocation; at.object != nil {
				e.w.u8(uint8(table))
				e.w.u16(uint16(page))
				x.location(at)
			}
		}
	}
	e.writeChunkIndex(&x)
	crc, n := crc32.Checksum(e.w.b[start:], castagnoli), len(e.w.b)-start
	e.w.u64(uint64(start))
	e.w.u32(uint32(n))
	e.w.u32(crc)
	e.w.raw([]byte(checkpointMagic))
	e.w.u32(0)
	e.self.Size = int64(len(e.w.b))
	references := make([]CheckpointObject, len(x.objects))
	for i, o := range x.objects {
		references[i] = *o
	}
	return references
}

func (e *checkpointEncoder) writeChunkIndex(x *checkpointIndexWriter) {
	var topics []TopicID
	number, partitions := map[TopicID]int{}, 0
	for _, list := range e.next.chunks {
		partitions += len(list)
		for i := range list {
			if _, known := number[list[i].tp.Topic]; !known {
				number[list[i].tp.Topic] = len(topics)
				topics = append(topics, list[i].tp.Topic)
			}
		}
	}
	e.w.uvarint(uint64(len(topics)))
	for _, t := range topics {
		e.w.raw(t[:])
	}
	e.w.uvarint(uint64(partitions))
	for _, list := range e.next.chunks {
		for i := range list {
			c, from := &list[i], len(e.w.b)
			e.w.uvarint(uint64(number[c.tp.Topic]))
			e.w.uvarint(uint64(uint32(c.tp.Partition)))
			e.w.uvarint(c.first)
			e.w.uvarint(uint64(len(c.pages)))
			for j := range c.pages {
				x.location(&c.pages[j])
			}
			e.rest(len(e.w.b) - from)
		}
	}
}

// CheckpointIndex is the head and the index of a checkpoint object.
type CheckpointIndex struct {
	Level    FeatureLevel
	Revision Revision
	Extent   Extent
	Hash     uint64
	Objects  []CheckpointObject // objects with its pages; the first is itself
	root     indexedPage
	pages    []indexedPage
	chunks   []indexedChunks
}

type indexedPage struct {
	table, object int
	position      int64
	length        int
	crc           uint32
}

// indexedChunks are the pages of a partition's full chunks of spans, without a
// gap.
type indexedChunks struct {
	tp    TopicPartition
	first uint64 // number of the first chunk
	pages []indexedPage
}

// Pages returns how many pages of tables the checkpoint has, and how many bytes.
func (ix *CheckpointIndex) Pages() (n int, bytes int64) { return len(ix.pages), sumLengths(ix.pages) }

// Chunks calls f for every partition that has full chunks of spans, with the
// number of the first chunk, how many there are, and their bytes.
func (ix *CheckpointIndex) Chunks(f func(tp TopicPartition, first uint64, count int, bytes int64)) {
	for i := range ix.chunks {
		c := &ix.chunks[i]
		f(c.tp, c.first, len(c.pages), sumLengths(c.pages))
	}
}

// Referenced returns how many bytes of each of the Objects are referred to.
func (ix *CheckpointIndex) Referenced() []int64 {
	bytes := make([]int64, len(ix.Objects))
	add := func(pages []indexedPage) {
		for i := range pages {
			bytes[pages[i].object] += int64(pages[i].length)
		}
	}
	add([]indexedPage{ix.root})
	add(ix.pages)
	for i := range ix.chunks {
		add(ix.chunks[i].pages)
	}
	return bytes
}

func sumLengths(pages []indexedPage) (bytes int64) {
	for i := range pages {
		bytes += int64(pages[i].length)
	}
	return bytes
}

// DecodeCheckpointIndex reads head and index of a whole checkpoint object.
// ErrVersion where another version of the format wrote it.
func DecodeCheckpointIndex(b []byte) (*CheckpointIndex, error) {
	bad := func(err error) (*CheckpointIndex, error) { return nil, fmt.Errorf("decode checkpoint: %w", err) }
	if len(b) < checkpointHeadSize+checkpointTrailerSize || string(b[:4]) != checkpointMagic ||
		string(b[len(b)-8:]) != checkpointMagic+"\x00\x00\x00\x00" {
		return bad(fmt.Errorf("%w: not a checkpoint", ErrCorrupt))
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != checkpointVersion {
		return bad(fmt.Errorf("%w %d, this build reads version %d", ErrVersion, v, checkpointVersion))
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
	r := checkpointIndexReader{reader: newReader(index, 0)}
	r.readIndex(ix, int64(len(b)))
	if err := r.ExpectEnd(); err != nil {
		return bad(err)
	}
	return ix, nil
}

// checkpointIndexReader reads what checkpointIndexWriter wrote.
type checkpointIndexReader struct {
	reader
	ends []int64 // by object, of the page that was listed last
}

func (r *checkpointIndexReader) readIndex(ix *CheckpointIndex, size int64) {
	for range r.Count(2, "objects") {
		ix.Objects = append(ix.Objects, CheckpointObject{r.Text(), int64(r.UvarintUpTo(1<<40, "size"))})
	}
	if len(ix.Objects) == 0 {
		r.Fail("no objects")
		return
	}
	ix.Objects[0].Size = size
	r.ends = make([]int64, len(ix.Objects))
	ix.root = r.readLocation()
	for range r.Count(10, "pages") {
		table := int(r.Uint8())
		if page := r.Uint16(); table >= tableCount || page >= tablePages {
			r.Fail("table %d, page %d", table, page)
		}
		p := r.readLocation()
		p.table = table
		ix.pages = append(ix.pages, p)
	}
	topics := make([]TopicID, r.Count(16, "topics"))
	for i := range topics {
		topics[i] = r.readTopicID()
	}
	for range r.Count(4, "partitions") {
		topic, c := r.Uvarint(), indexedChunks{}
		if topic >= uint64(len(topics)) {
			r.Fail("topic %d of %d", topic, len(topics))
			return
		}
		c.tp = TopicPartition{topics[topic], Partition(r.UvarintUpTo(MaxPartitionsPerTopic, "partition"))}
		c.first = r.UvarintUpTo(maxSpanOrdinal/spanChunk, "chunk")
		c.pages = make([]indexedPage, r.Count(7, "chunks"))
		for i := range c.pages {
			c.pages[i] = r.readLocation()
		}
		ix.chunks = append(ix.chunks, c)
	}
}

func (r *checkpointIndexReader) readLocation() indexedPage {
	object := r.Uvarint()
	if object >= uint64(len(r.ends)) {
		r.Fail("object %d of %d", object, len(r.ends))
		return indexedPage{}
	}
	p := indexedPage{object: int(object), position: r.ends[object] + r.Varint(), length: int(r.UvarintUpTo(1<<31, "length")), crc: r.Uint32()}
	if p.position < 0 || p.position > 1<<40 {
		r.Fail("position %d", p.position)
		return indexedPage{}
	}
	r.ends[object] = p.position + int64(p.length)
	return p
}
