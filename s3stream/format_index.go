package s3stream

import (
	"fmt"

	"github.com/zonewise/zonewise/internal/binread"
	"github.com/zonewise/zonewise/metadata"
)

// decodeWALIndex reads an index whose object's batches end at end. The ranges
// must follow one another from the header to the index without a hole, and
// every partition must be there once.
func decodeWALIndex(b []byte, end int64) ([]walRange, error) {
	r := indexReader{binread.New(b, 0, ErrCorrupt)}
	n := r.Count(16+1+1+1+4+1, "ranges")
	ranges := make([]walRange, 0, n)
	seen := make(map[metadata.TopicPartition]struct{}, n)
	at := int64(walHeaderSize)
	for i := range n {
		x := r.readRange()
		if r.Err() == nil && (x.Position != at || x.Length <= 0) {
			r.Fail("range %d at %d of %d bytes, want it at %d", i, x.Position, x.Length, at)
		}
		if _, twice := seen[x.Partition]; r.Err() == nil && twice {
			r.Fail("partition %s/%d appears twice", x.Partition.Topic, x.Partition.Partition)
		}
		if r.Err() != nil {
			return ranges, fmt.Errorf("index: %w", r.Err())
		}
		seen[x.Partition] = struct{}{}
		at += x.Length
		ranges = append(ranges, x)
	}
	if err := r.ExpectEnd(); err != nil {
		return ranges, fmt.Errorf("index: %w", err)
	}
	switch {
	case n == 0:
		return ranges, fmt.Errorf("index: %w: no ranges", ErrCorrupt)
	case at != end:
		return ranges, fmt.Errorf("index: %w: ranges end at %d, the index begins at %d", ErrCorrupt, at, end)
	}
	return ranges, nil
}

// indexReader reads the fields of an index.
type indexReader struct{ binread.Reader }

func (r *indexReader) readRange() (x walRange) {
	copy(x.Partition.Topic[:], r.Take(16))
	x.Partition.Partition = metadata.Partition(r.UvarintUpTo(metadata.MaxPartitionsPerTopic, "partition"))
	x.Position = int64(r.UvarintUpTo(metadata.MaxObjectBytes, "position"))
	x.Length = int64(r.UvarintUpTo(metadata.MaxObjectBytes, "length"))
	x.CRC = r.Uint32()
	n := r.Count(4, "groups")
	x.Groups = make([]walGroup, 0, n)
	var bytes int64
	for range n {
		g := walGroup{Producer: metadata.ProducerID(r.Varint())}
		m := r.Count(2, "batches")
		g.Batches = make([]walBatch, 0, m)
		for range m {
			y := walBatch{int64(r.UvarintUpTo(metadata.MaxObjectBytes, "batch bytes")), int64(r.UvarintUpTo(1<<31, "batch offsets"))}
			if r.Err() == nil && (y.Bytes < metadata.BatchHeaderSize || y.Offsets == 0) {
				r.Fail("batch of %d bytes and %d offsets", y.Bytes, y.Offsets)
			}
			bytes += y.Bytes
			g.Batches = append(g.Batches, y)
		}
		if r.Err() == nil && m == 0 {
			r.Fail("group without batches")
		}
		x.Groups = append(x.Groups, g)
	}
	if r.Err() == nil && bytes != x.Length {
		r.Fail("batches of %d bytes in a range of %d", bytes, x.Length)
	}
	return x
}
