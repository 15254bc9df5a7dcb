package metadata

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// An inline object has the record bytes of entries whose archives are old: those of
// them that are still live, so that one record does not keep a whole archive
// (docs/format/inline-object.md). Fixed-width numbers are big-endian.
//
//	+--------+---------+-----------------------------------+
//	| "ZWIN" | version | ... inline bytes, per entry ...   |
//	|        | 1       |                                   |
//	+--------+---------+-----------------------------------+
//	index: | per entry: revision 8 | position 8 | length 4 | crc of the bytes 4 |
//	trailer (last 44 bytes):
//	+------------------+---------+------------------+--------+-------+----------------+
//	| index position 8 | count 8 | first revision 8 | last 8 | crc 4 | "ZWIN" + 4 zero |
//	+------------------+---------+------------------+--------+-------+----------------+
//
// The trailer's CRC covers the index and the trailer up to it.
const (
	inlineMagic         = "ZWIN"
	inlineVersion       = 1
	inlineHeadSize      = 6
	inlineIndexItemSize = 24
	inlineTrailerSize   = 44
)

// InlineKey names an inline object by the first extent whose bytes it has, its writer
// and a number.
func InlineKey(i Incarnation, first Extent, by SessionID, try int) string {
	return extentKey(i, "inline", first, by, try)
}

// InlineWriter builds an inline object in memory.
type InlineWriter struct {
	w           writer
	index       []byte
	count       uint64
	first, last Revision
}

// NewInlineWriter begins an inline object.
func NewInlineWriter() *InlineWriter {
	o := &InlineWriter{}
	o.w.raw([]byte(inlineMagic))
	o.w.u16(inlineVersion)
	return o
}

// AddInline adds the inline bytes of the entry at a revision, in revision order.
func (o *InlineWriter) AddInline(rev Revision, b []byte) error {
	if rev <= o.last {
		return fmt.Errorf("inline object: revision %d after %d", rev, o.last)
	}
	if o.count == 0 {
		o.first = rev
	}
	o.last = rev
	o.count++
	o.index = binary.BigEndian.AppendUint64(o.index, uint64(rev))
	o.index = binary.BigEndian.AppendUint64(o.index, uint64(len(o.w.b)))
	o.index = binary.BigEndian.AppendUint32(o.index, uint32(len(b)))
	o.index = binary.BigEndian.AppendUint32(o.index, crc32.Checksum(b, castagnoli))
	o.w.raw(b)
	return nil
}

// Finish returns the object.
func (o *InlineWriter) Finish() []byte {
	at := len(o.w.b)
	o.w.raw(o.index)
	o.w.u64(uint64(at))
	o.w.u64(o.count)
	o.w.u64(uint64(o.first))
	o.w.u64(uint64(o.last))
	o.w.u32(crc32.Checksum(o.w.b[at:], castagnoli))
	o.w.raw([]byte(inlineMagic))
	o.w.u32(0)
	return o.w.b
}

// decodeInlineIndex reads index and trailer of an inline object of size bytes; tail is
// the end of it. The magic was checked.
func decodeInlineIndex(tail []byte, size int64) (*archiveInlineIndex, error) {
	bad := func(what string) error { return fmt.Errorf("decode inline object: %w: %s", ErrCorrupt, what) }
	if len(tail) < inlineTrailerSize {
		return nil, bad("no trailer")
	}
	r := newReader(tail, len(tail)-inlineTrailerSize)
	ix := &archiveInlineIndex{position: int64(r.Uint64())}
	count := r.Uint64()
	r.Uint64()
	ix.lastRevision = Revision(r.Uint64())
	if ix.position < inlineHeadSize {
		return nil, bad("index outside the object")
	}
	from, err := indexPlace{ix.position, count, inlineIndexItemSize, inlineTrailerSize}.findIndex(tail, size)
	if err != nil {
		return nil, fmt.Errorf("decode inline object: %w", err)
	}
	r = newReader(tail, from)
	for range count {
		it := archiveInlineItem{Revision(r.Uint64()), int64(r.Uint64()), r.Uint32(), r.Uint32()}
		if it.position < inlineHeadSize || it.position+int64(it.length) > ix.position {
			return nil, bad(fmt.Sprintf("bytes of revision %d outside the object", it.revision))
		}
		ix.items = append(ix.items, it)
	}
	return ix, r.Err()
}

// InlineEntry is what an inline object has of one entry.
type InlineEntry struct {
	Revision Revision
	Bytes    []byte
}

// DecodeInlineObject reads a whole inline object, and checks every checksum.
func DecodeInlineObject(b []byte) ([]InlineEntry, error) {
	if len(b) < inlineHeadSize+inlineTrailerSize || string(b[:4]) != inlineMagic || string(b[len(b)-8:]) != inlineMagic+"\x00\x00\x00\x00" {
		return nil, fmt.Errorf("decode inline object: %w: not an inline object", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != inlineVersion {
		return nil, fmt.Errorf("decode inline object: %w %d", ErrVersion, v)
	}
	ix, err := decodeInlineIndex(b, int64(len(b)))
	if err != nil {
		return nil, err
	}
	var out []InlineEntry
	at := int64(inlineHeadSize)
	for _, it := range ix.items {
		body := b[it.position : it.position+int64(it.length)]
		if it.position != at || crc32.Checksum(body, castagnoli) != it.crc || len(out) > 0 && it.revision <= out[len(out)-1].Revision {
			return nil, fmt.Errorf("decode inline object: %w: bytes of revision %d", ErrCorrupt, it.revision)
		}
		at += int64(it.length)
		out = append(out, InlineEntry{it.revision, body})
	}
	if at != ix.position {
		return nil, fmt.Errorf("decode inline object: %w: %d bytes of no entry", ErrCorrupt, ix.position-at)
	}
	return out, nil
}
