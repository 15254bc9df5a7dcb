package s3stream

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// MaxDecompressed bounds what one batch may decompress to in a search, in
// bytes.
const MaxDecompressed = 256 << 20

// record is the part of a record that a search needs.
type record struct {
	offset    metadata.Offset
	timestamp metadata.UnixMilli
}

var errRecord = errors.New("record is truncated")

// eachRecord calls take with the records of a batch, in order, until it returns
// false.
func (s *Store) eachRecord(f storedBatch, take func(record) (more bool)) error {
	b := f.bytes[metadata.BatchHeaderSize:]
	if codec := int(f.header.Attributes & metadata.AttrCompression); codec != 0 {
		if s.config.Decompress == nil {
			return fmt.Errorf("batch at offset %d: BUG: no decompressor for codec %d", f.base, codec)
		}
		plain, err := s.config.Decompress(codec, b, MaxDecompressed)
		if err != nil {
			return fmt.Errorf("batch at offset %d: decompress codec %d: %w", f.base, codec, err)
		}
		b = plain
	}
	for i := range f.header.RecordCount {
		delta, offset, rest, err := cutRecord(b)
		if err != nil {
			return fmt.Errorf("batch at offset %d: record %d: %w", f.base, i, err)
		}
		b = rest
		r := record{f.base + metadata.Offset(offset), f.header.BaseTimestamp + metadata.UnixMilli(delta)}
		if f.header.Attributes&metadata.AttrLogAppendTime != 0 {
			r.timestamp = f.header.MaxTimestamp
		}
		if r.offset < f.base || r.offset >= f.endOffset() {
			return fmt.Errorf("batch at offset %d: record %d has offset delta %d", f.base, i, offset)
		}
		if !take(r) {
			return nil
		}
	}
	return nil
}

// cutRecord reads the timestamp and offset deltas of the record at the start
// of b and returns what follows it.
func cutRecord(b []byte) (timestamp, offset int64, rest []byte, err error) {
	length, n := binary.Varint(b)
	if n <= 0 || length < 1 || length > int64(len(b)-n) {
		return 0, 0, nil, errRecord
	}
	b, rest = b[n:n+int(length)], b[n+int(length):]
	b = b[1:] // attributes, unused
	timestamp, n = binary.Varint(b)
	if n <= 0 {
		return 0, 0, nil, errRecord
	}
	if offset, n = binary.Varint(b[n:]); n <= 0 {
		return 0, 0, nil, errRecord
	}
	return timestamp, offset, rest, nil
}
