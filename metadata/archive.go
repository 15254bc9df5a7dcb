package metadata

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sort"
)

// An archive has one closed extent of the log, entry for entry
// (docs/format/archive.md). Fixed-width numbers are big-endian.
//
//	+--------+---------+------------+-----------+-----------------+-------+-----------------+
//	| "ZWAR" | version | extent     | digest    | length and name | crc 4 | ... entries ... |
//	|        | 1       | 8          | before 32 | of predecessor  |       |                 |
//	+--------+---------+------------+-----------+-----------------+-------+-----------------+
//	entry: | revision 8 | session 8 | lane 1 | seq 8 | length 4 | bytes |
//	index: | per entry: revision 8 | position of its inline bytes 8 | inline length 4 |
//	trailer (last 76 bytes):
//	+-----------------+---------+-----------+--------------+---------+-------+--------+
//	| index position 8| count 8 | digest 32 | first rev 8  | last 8  | crc 4 | "ZWAR" + 4 zero |
//	+-----------------+---------+-----------+--------------+---------+-------+--------+
//
// The first CRC covers the head, the second index and trailer up to it; entries
// carry their own, and the digest chains over all of them.
const (
	archiveMagic         = "ZWAR"
	archiveVersion       = 1
	archiveHeadSize      = 46
	archiveEntryHeadSize = 29
	archiveIndexItemSize = 20
	archiveTrailerSize   = 76
)

// Archive is a decoded archive.
type Archive struct {
	Extent      Extent
	Before      [sha256.Size]byte // the log's digest before its first entry
	Predecessor string            // key of the archive before it, or empty
	Digest      [sha256.Size]byte // chained over its entries, as computed from them
	Entries     []CommittedEntry
}

// ArchiveWriter builds an archive in memory, entry by entry.
type ArchiveWriter struct {
	w      writer
	index  []byte
	count  uint64
	first  Revision
	last   Revision
	extent Extent
	digest [sha256.Size]byte
}

// NewArchiveWriter begins the archive of an extent.
func NewArchiveWriter(g Extent, before [sha256.Size]byte, predecessor string) *ArchiveWriter {
	a := &ArchiveWriter{extent: g, digest: before}
	a.w.raw([]byte(archiveMagic))
	a.w.u16(archiveVersion)
	a.w.u64(uint64(g))
	a.w.raw(before[:])
	a.w.text(predecessor)
	a.w.u32(crc32.Checksum(a.w.b, castagnoli))
	return a
}

// Add appends the next entry, in revision order.
func (a *ArchiveWriter) Add(c CommittedEntry) error {
	if c.Extent != a.extent || c.Revision <= a.last {
		return fmt.Errorf("archive entry: revision %d of extent %d after %d of %d", c.Revision, c.Extent, a.last, a.extent)
	}
	if a.count == 0 {
		a.first = c.Revision
	}
	a.last = c.Revision
	a.count++
	a.digest = ChainDigest(a.digest, &c)
	a.w.u64(uint64(c.Revision))
	a.w.u64(uint64(c.Session))
	a.w.u8(uint8(c.Lane))
	a.w.u64(uint64(c.Seq))
	a.w.u32(uint32(len(c.Bytes)))
	at := len(a.w.b)
	a.w.raw(c.Bytes)
	inline, length := 0, 0
	if len(c.Bytes) > 0 {
		if start, err := InlineStart(c.Bytes); err == nil { // an entry that cannot be decoded is archived, too
			inline, length = at+start, len(c.Bytes)-4-start
		}
	}
	a.index = binary.BigEndian.AppendUint64(a.index, uint64(c.Revision))
	a.index = binary.BigEndian.AppendUint64(a.index, uint64(inline))
	a.index = binary.BigEndian.AppendUint32(a.index, uint32(length))
	return nil
}

// Finish returns the object.
func (a *ArchiveWriter) Finish() []byte {
	at := len(a.w.b)
	a.w.raw(a.index)
	a.w.u64(uint64(at))
	a.w.u64(a.count)
	a.w.raw(a.digest[:])
	a.w.u64(uint64(a.first))
	a.w.u64(uint64(a.last))
	a.w.u32(crc32.Checksum(a.w.b[at:], castagnoli))
	a.w.raw([]byte(archiveMagic))
	a.w.u32(0)
	return a.w.b
}

// DecodeArchive reads a whole archive and computes its digest from its entries;
// the digest in the trailer must be the same.
func DecodeArchive(b []byte) (*Archive, error) {
	ix, err := decodeArchiveIndex(b, int64(len(b)))
	if err != nil {
		return nil, err
	}
	a, at, err := decodeArchiveHead(b)
	if err != nil {
		return nil, err
	}
	r := newReader(b[:ix.position], at)
	digest := a.Before
	for i := range ix.items {
		c := CommittedEntry{Revision: Revision(r.Uint64()), Extent: a.Extent, Session: SessionID(r.Uint64()), Lane: Lane(r.Uint8()), Seq: LaneSeq(r.Uint64())}
		c.Bytes = r.Take(int(r.Uint32()))
		if r.Err() != nil {
			return nil, fmt.Errorf("decode archive: %w", r.Err())
		}
		if c.Revision != ix.items[i].revision || i > 0 && c.Revision <= a.Entries[i-1].Revision {
			return nil, fmt.Errorf("decode archive: %w: entry %d at revision %d, index says %d", ErrCorrupt, i, c.Revision, ix.items[i].revision)
		}
		digest = ChainDigest(digest, &c)
		a.Entries = append(a.Entries, c)
	}
	if err := r.ExpectEnd(); err != nil {
		return nil, fmt.Errorf("decode archive: %w", err)
	}
	a.Digest = digest
	if digest != ix.digest {
		return nil, fmt.Errorf("decode archive: %w: entries have digest %x, the trailer says %x", ErrCorrupt, digest[:8], ix.digest[:8])
	}
	return a, nil
}

func decodeArchiveHead(b []byte) (*Archive, int, error) {
	if len(b) < archiveHeadSize || string(b[:4]) != archiveMagic {
		return nil, 0, fmt.Errorf("decode archive: %w: not an archive", ErrCorrupt)
	}
	r := newReader(b, 4)
	if v := r.Uint16(); v != archiveVersion {
		return nil, 0, fmt.Errorf("decode archive: %w %d", ErrVersion, v)
	}
	a := &Archive{Extent: Extent(r.Uint64())}
	copy(a.Before[:], r.Take(sha256.Size))
	a.Predecessor = r.Text()
	if got, want := crc32.Checksum(b[:r.Position()], castagnoli), r.Uint32(); r.Err() == nil && got != want {
		r.Fail("checksum of the head")
	}
	if r.Err() != nil {
		return nil, 0, fmt.Errorf("decode archive: %w", r.Err())
	}
	return a, r.Position(), nil
}

// archiveInlineIndex is an archive's index: where each entry's inline bytes are.
type archiveInlineIndex struct {
	position      int64
	firstRevision Revision // of the first entry
	lastRevision  Revision // of the last entry
	items         []archiveInlineItem
	digest        [sha256.Size]byte
}

type archiveInlineItem struct {
	revision Revision
	position int64
	length   uint32
	crc      uint32 // of an inline object's; an archive's entries have their own
}

// unknownSize is the size of an archive of which only the name is known.
const unknownSize = -1

// decodeArchiveIndex reads index and trailer of an archive of size bytes; tail is
// the end of it.
func decodeArchiveIndex(tail []byte, size int64) (*archiveInlineIndex, error) {
	bad := func(what string) error { return fmt.Errorf("decode archive: %w: %s", ErrCorrupt, what) }
	if bytes.HasSuffix(tail, []byte(inlineMagic+"\x00\x00\x00\x00")) {
		return decodeInlineIndex(tail, size)
	}
	if len(tail) < archiveTrailerSize || !bytes.Equal(tail[len(tail)-8:], []byte(archiveMagic+"\x00\x00\x00\x00")) {
		return nil, bad("no trailer")
	}
	r := newReader(tail, len(tail)-archiveTrailerSize)
	ix := &archiveInlineIndex{position: int64(r.Uint64())}
	count := r.Uint64()
	copy(ix.digest[:], r.Take(sha256.Size))
	ix.firstRevision, ix.lastRevision = Revision(r.Uint64()), Revision(r.Uint64())
	from, err := indexPlace{ix.position, count, archiveIndexItemSize, archiveTrailerSize}.findIndex(tail, size)
	if err != nil {
		return nil, fmt.Errorf("decode archive: %w", err)
	}
	r = newReader(tail, from)
	for range count {
		ix.items = append(ix.items, archiveInlineItem{revision: Revision(r.Uint64()), position: int64(r.Uint64()), length: r.Uint32()})
	}
	return ix, r.Err()
}

// indexPlace is what a trailer says of the index before it. A trailer ends with the
// checksum of both, its magic and four zero bytes.
type indexPlace struct {
	position              int64 // of the index in the object
	count                 uint64
	itemSize, trailerSize int64
}

// findIndex returns where the index is in tail, the end of an object of size bytes,
// once its checksum is right.
func (p indexPlace) findIndex(tail []byte, size int64) (from int, err error) {
	if size == unknownSize && p.position >= 0 && p.count < 1<<32 {
		size = p.position + int64(p.count)*p.itemSize + p.trailerSize
	}
	if p.position < 0 || p.position > size-p.trailerSize || p.count != uint64(size-p.trailerSize-p.position)/uint64(p.itemSize) {
		return 0, fmt.Errorf("%w: index outside the object", ErrCorrupt)
	}
	from = len(tail) - int(size-p.position)
	if from < 0 {
		return 0, errShortTail(size - p.position)
	}
	crcAt := len(tail) - 12
	if got := crc32.Checksum(tail[from:crcAt], castagnoli); got != binary.BigEndian.Uint32(tail[crcAt:]) {
		return 0, fmt.Errorf("%w: checksum of the index", ErrCorrupt)
	}
	return from, nil
}

// errShortTail is how many bytes from the end the index begins: tail is too
// short.
type errShortTail int64

func (e errShortTail) Error() string {
	return fmt.Sprintf("index begins %d bytes before the end", int64(e))
}

// find returns where the inline bytes of an entry are.
func (ix *archiveInlineIndex) find(rev Revision) (archiveInlineItem, bool) {
	i := sort.Search(len(ix.items), func(i int) bool { return ix.items[i].revision >= rev })
	if i == len(ix.items) || ix.items[i].revision != rev {
		return archiveInlineItem{}, false
	}
	return ix.items[i], true
}

// IncarnationKey names the marker that an incarnation leaves in the bucket
// before it begins.
func IncarnationKey(i Incarnation) string { return fmt.Sprintf("incarnation/%08x", uint32(i)) }

// ArchiveKey names an archive by its writer and the number of the attempt.
func ArchiveKey(i Incarnation, g Extent, by SessionID, try int) string {
	return extentKey(i, "archive", g, by, try)
}

// extentKey names an object that begins with an extent.
func extentKey(i Incarnation, folder string, g Extent, by SessionID, try int) string {
	return fmt.Sprintf("%d/%s/%016x/%s-%d", i, folder, uint64(g), by, try)
}
