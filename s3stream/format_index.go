package s3stream

import (
	"encoding/binary"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// decodeWALIndex reads an index whose object's batches end at end. The ranges
// must follow one another from the header to the index without a hole, and
// every partition must be there once.
func decodeWALIndex(b []byte, end int64) ([]walRange, error) {
	r := indexReader{b: b}
	n := r.readCount(16+1+1+1+4+1, "ranges")
	ranges := make([]walRange, 0, n)
	seen := make(map[metadata.TopicPartition]struct{}, n)
	at := int64(walHeaderSize)
	for i := range n {
		x := r.readRange()
		if r.err == nil && (x.Position != at || x.Length <= 0) {
			r.setError("range %d at %d of %d bytes, want it at %d", i, x.Position, x.Length, at)
		}
		if _, twice := seen[x.Partition]; r.err == nil && twice {
			r.setError("partition %s/%d appears twice", x.Partition.Topic, x.Partition.Partition)
		}
		if r.err != nil {
			return ranges, r.err
		}
		seen[x.Partition] = struct{}{}
		at += x.Length
		ranges = append(ranges, x)
	}
	switch {
	case r.err != nil:
	case n == 0:
		r.setError("no ranges")
	case at != end:
		r.setError("ranges end at %d, the index begins at %d", at, end)
	case r.at != len(b):
		r.setError("%d bytes too many", len(b)-r.at)
	}
	return ranges, r.err
}

// indexReader takes fields off the front; the first fault sticks.
type indexReader struct {
	b   []byte
	at  int
	err error
}

func (r *indexReader) setError(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: index, byte %d: %s", ErrCorrupt, r.at, fmt.Sprintf(format, args...))
	}
}

func (r *indexReader) readRange() (x walRange) {
	copy(x.Partition.Topic[:], r.takeBytes(16))
	x.Partition.Partition = metadata.Partition(r.readUpTo(metadata.MaxPartitionsPerTopic, "partition"))
	x.Position = r.readUpTo(metadata.MaxObjectBytes, "position")
	x.Length = r.readUpTo(metadata.MaxObjectBytes, "length")
	if crc := r.takeBytes(4); crc != nil {
		x.CRC = binary.BigEndian.Uint32(crc)
	}
	n := r.readCount(4, "groups")
	x.Groups = make([]walGroup, 0, n)
	var bytes int64
	for range n {
		g := walGroup{Producer: metadata.ProducerID(r.readVarint())}
		m := r.readCount(2, "batches")
		g.Batches = make([]walBatch, 0, m)
		for range m {
			y := walBatch{r.readUpTo(metadata.MaxObjectBytes, "batch bytes"), r.readUpTo(1<<31, "batch offsets")}
			if r.err == nil && (y.Bytes < metadata.BatchHeaderSize || y.Offsets == 0) {
				r.setError("batch of %d bytes and %d offsets", y.Bytes, y.Offsets)
			}
			bytes += y.Bytes
			g.Batches = append(g.Batches, y)
		}
		if r.err == nil && m == 0 {
			r.setError("group without batches")
		}
		x.Groups = append(x.Groups, g)
	}
	if r.err == nil && bytes != x.Length {
		r.setError("batches of %d bytes in a range of %d", bytes, x.Length)
	}
	return x
}

func (r *indexReader) takeBytes(n int) []byte {
	if r.err == nil && n > len(r.b)-r.at {
		r.setError("want %d bytes, %d left", n, len(r.b)-r.at)
	}
	if r.err != nil {
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *indexReader) readUvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.setError("varint")
		return 0
	}
	r.at += n
	return v
}

func (r *indexReader) readVarint() int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Varint(r.b[r.at:])
	if n <= 0 {
		r.setError("varint")
		return 0
	}
	r.at += n
	return v
}

func (r *indexReader) readUpTo(max uint64, what string) int64 {
	v := r.readUvarint()
	if v > max {
		r.setError("%s %d, at most %d", what, v, max)
		return 0
	}
	return int64(v)
}

// readCount reads how many elements of at least `least` bytes follow, so that a
// damaged count cannot ask for more memory than the input has.
func (r *indexReader) readCount(least int, what string) int {
	v := r.readUvarint()
	if v > uint64(len(r.b)-r.at)/uint64(least) {
		r.setError("%d %s in %d bytes", v, what, len(r.b)-r.at)
		return 0
	}
	return int(v)
}
