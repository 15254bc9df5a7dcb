package s3stream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/zonewise/zonewise/metadata"
)

// A WAL object (docs/format/wal-object.md). Fixed-width numbers are
// big-endian; the index is made of varints.
//
//	0        4         6      7     8         16       24
//	+--------+---------+------+-----+---------+--------+---------+-- --+---------+-------+---------+
//	| "ZWWO" | version | lane | try | session | number | range 0 | ... | range n | index | trailer |
//	|        | 1       |      |     |         |        | batches |     | batches |       | 36 bytes|
//	+--------+---------+------+-----+---------+--------+---------+-- --+---------+-------+---------+
//
//	trailer: 0          8        12        16       24         28        32       36
//	+----------+--------+---------+--------+----------+---------+--------+
//	| index    | length | CRC of  | size of| CRC of   | CRC of  | "ZWWE" |
//	| position |        | index   | object | header   | 0 to 28 |        |
//	+----------+--------+---------+--------+----------+---------+--------+
//
//	index: count of ranges, then of each
//	  topic (16 bytes), partition, position, length, CRC32C (4 bytes), count of groups, then of each
//	    producer id (zig-zag), count of batches, then of each: bytes, offsets (last offset delta + 1)
const (
	walMagic       = "ZWWO"
	walEndMagic    = "ZWWE"
	walVersion     = 1
	walHeaderSize  = 24
	walTrailerSize = 36

	// SuffixBytes is what a reader of an index fetches from an object's end:
	// one GET finds trailer and index of nearly every object (8 MiB of 2 KiB
	// batches index in about 20 KiB).
	SuffixBytes = 32 << 10
	// MaxParts bounds the partitions of one object.
	MaxParts = 1 << 17
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ObjectPart is one partition's bytes of an object: whole batches in final
// order, grouped by producer by the caller.
type ObjectPart struct {
	Partition metadata.TopicPartition
	Batches   [][]byte
}

// Location is where a part lies in its object, in bytes.
type Location struct{ Position, Length int64 }

// EncodeWAL encodes the object of these parts, each partition once, and returns
// where each part is. The batches are copied. The result is decoded by the
// decoder's rules before it is returned.
func EncodeWAL(name metadata.ObjectName, parts []ObjectPart) (body []byte, at []Location, err error) {
	ranges, size, err := layoutWAL(parts)
	if err != nil {
		return nil, nil, fmt.Errorf("encode object %s: %w", name.Key(), err)
	}
	if name.Session <= 0 || name.Lane >= metadata.LaneCount {
		return nil, nil, fmt.Errorf("encode object %s: BUG: session %d, lane %d", name.Key(), name.Session, name.Lane)
	}
	body = make([]byte, 0, size)
	body = appendWALHeader(body, name)
	for i, p := range parts {
		for _, b := range p.Batches {
			body = append(body, b...)
		}
		r := &ranges[i]
		r.CRC = crc32.Checksum(body[r.Position:r.Position+r.Length], castagnoli)
		at = append(at, Location{r.Position, r.Length})
	}
	index := int64(len(body))
	body = appendWALIndex(body, ranges)
	body = appendWALTrailer(body, index)
	if int64(len(body)) > metadata.MaxObjectBytes {
		return nil, nil, fmt.Errorf("encode object %s: %d bytes, at most %d", name.Key(), len(body), metadata.MaxObjectBytes)
	}
	if _, err := decodeWAL(body); err != nil {
		return nil, nil, fmt.Errorf("encode object %s: BUG: %w", name.Key(), err)
	}
	return body, at, nil
}

// readRange is one partition's line of the index.
type walRange struct {
	Partition metadata.TopicPartition
	Location
	CRC    uint32
	Groups []walGroup
}

// walGroup is consecutive batches of one producer.
type walGroup struct {
	Producer metadata.ProducerID
	Batches  []walBatch
}

type walBatch struct {
	Bytes   int64
	Offsets int64
}

// layoutWAL checks the parts and computes the index but for its CRCs, and a
// size that the object will not exceed.
func layoutWAL(parts []ObjectPart) (ranges []walRange, size int64, err error) {
	if len(parts) == 0 || len(parts) > MaxParts {
		return nil, 0, fmt.Errorf("BUG: %d parts, want 1 to %d", len(parts), MaxParts)
	}
	ranges = make([]walRange, 0, len(parts))
	at, index := int64(walHeaderSize), int64(binary.MaxVarintLen32)
	for i, p := range parts {
		r := walRange{Partition: p.Partition, Location: Location{Position: at}}
		for n, b := range p.Batches {
			h, err := metadata.ParseBatchHeader(b)
			if err != nil {
				return nil, 0, fmt.Errorf("BUG: part %d, batch %d: %w", i, n, err)
			}
			if h.Size != len(b) || h.LastOffsetDelta < 0 {
				return nil, 0, fmt.Errorf("BUG: part %d, batch %d: %d bytes with a header that says %d, last offset delta %d",
					i, n, len(b), h.Size, h.LastOffsetDelta)
			}
			if last := len(r.Groups) - 1; last < 0 || r.Groups[last].Producer != h.Producer {
				r.Groups = append(r.Groups, walGroup{Producer: h.Producer})
			}
			g := &r.Groups[len(r.Groups)-1]
			g.Batches = append(g.Batches, walBatch{int64(len(b)), h.Offsets()})
			at += int64(len(b))
		}
		if at == r.Position {
			return nil, 0, fmt.Errorf("BUG: part %d has no batches", i)
		}
		r.Length = at - r.Position
		ranges = append(ranges, r)
		index += 16 + 4*binary.MaxVarintLen64 + 4 + int64(len(r.Groups))*2*binary.MaxVarintLen64 +
			int64(len(p.Batches))*2*binary.MaxVarintLen32
	}
	return ranges, at + index + walTrailerSize, nil
}

func appendWALHeader(b []byte, name metadata.ObjectName) []byte {
	b = append(b, walMagic...)
	b = binary.BigEndian.AppendUint16(b, walVersion)
	b = append(b, uint8(name.Lane), name.Try)
	b = binary.BigEndian.AppendUint64(b, uint64(name.Session))
	return binary.BigEndian.AppendUint64(b, name.Number)
}

func appendWALIndex(b []byte, ranges []walRange) []byte {
	b = binary.AppendUvarint(b, uint64(len(ranges)))
	for _, r := range ranges {
		b = append(b, r.Partition.Topic[:]...)
		b = binary.AppendUvarint(b, uint64(uint32(r.Partition.Partition)))
		b = binary.AppendUvarint(b, uint64(r.Position))
		b = binary.AppendUvarint(b, uint64(r.Length))
		b = binary.BigEndian.AppendUint32(b, r.CRC)
		b = binary.AppendUvarint(b, uint64(len(r.Groups)))
		for _, g := range r.Groups {
			b = binary.AppendVarint(b, int64(g.Producer))
			b = binary.AppendUvarint(b, uint64(len(g.Batches)))
			for _, x := range g.Batches {
				b = binary.AppendUvarint(b, uint64(x.Bytes))
				b = binary.AppendUvarint(b, uint64(x.Offsets))
			}
		}
	}
	return b
}

// appendWALTrailer ends an object whose index begins at index.
func appendWALTrailer(b []byte, index int64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(index))
	b = binary.BigEndian.AppendUint32(b, uint32(int64(start)-index))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[index:start], castagnoli))
	b = binary.BigEndian.AppendUint64(b, uint64(start+walTrailerSize))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[:walHeaderSize], castagnoli))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, walEndMagic...)
}

// walObject is a decoded object: everything but its batches.
type walObject struct {
	Name   metadata.ObjectName
	Index  Location
	Ranges []walRange
}

// decodeWAL reads and validates header, trailer and index, not the batches.
func decodeWAL(body []byte) (*walObject, error) {
	o := &walObject{}
	var err error
	if o.Name, err = decodeWALHeader(body); err != nil {
		return nil, err
	}
	if o.Index, err = decodeWALTrailer(body); err != nil {
		return o, err
	}
	o.Ranges, err = decodeWALIndex(body[o.Index.Position:o.Index.Position+o.Index.Length], o.Index.Position)
	return o, err
}

func decodeWALHeader(body []byte) (metadata.ObjectName, error) {
	if len(body) < walHeaderSize || string(body[:4]) != walMagic {
		return metadata.ObjectName{}, fmt.Errorf("%w: not a WAL object: it does not begin with %q", ErrCorrupt, walMagic)
	}
	if v := binary.BigEndian.Uint16(body[4:]); v != walVersion {
		return metadata.ObjectName{}, fmt.Errorf("%w: WAL object of version %d, known is %d", ErrVersion, v, walVersion)
	}
	name := metadata.ObjectName{Lane: metadata.Lane(body[6]), Try: body[7],
		Session: metadata.SessionID(binary.BigEndian.Uint64(body[8:])), Number: binary.BigEndian.Uint64(body[16:])}
	if name.Session <= 0 || name.Lane >= metadata.LaneCount {
		return name, fmt.Errorf("%w: header names session %d, lane %d", ErrCorrupt, name.Session, name.Lane)
	}
	return name, nil
}

// decodeWALTrailer returns where the index is, after all three CRCs were
// verified.
func decodeWALTrailer(body []byte) (Location, error) {
	start := len(body) - walTrailerSize
	if start < walHeaderSize {
		return Location{}, fmt.Errorf("%w: %d bytes have no room for a trailer", ErrCorrupt, len(body))
	}
	be, t := binary.BigEndian, body[start:]
	if string(t[32:]) != walEndMagic {
		return Location{}, fmt.Errorf("%w: it does not end with %q: cut off, or not a WAL object", ErrCorrupt, walEndMagic)
	}
	if got, want := crc32.Checksum(t[:28], castagnoli), be.Uint32(t[28:]); got != want {
		return Location{}, fmt.Errorf("%w: trailer has checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	if size := be.Uint64(t[16:]); size != uint64(len(body)) {
		return Location{}, fmt.Errorf("%w: %d bytes, %d were written", ErrCorrupt, len(body), size)
	}
	if got, want := crc32.Checksum(body[:walHeaderSize], castagnoli), be.Uint32(t[24:]); got != want {
		return Location{}, fmt.Errorf("%w: header has checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	at := Location{int64(min(be.Uint64(t), math.MaxInt64)), int64(be.Uint32(t[8:]))}
	if at.Position < walHeaderSize || at.Position > int64(start) || at.Length != int64(start)-at.Position {
		return Location{}, fmt.Errorf("%w: index at %d of %d bytes, trailer at %d", ErrCorrupt, at.Position, at.Length, start)
	}
	if got, want := crc32.Checksum(body[at.Position:start], castagnoli), be.Uint32(t[12:]); got != want {
		return Location{}, fmt.Errorf("%w: index has checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	return at, nil
}
