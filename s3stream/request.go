package s3stream

import (
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// ReadRequest is a request for whole batches of one partition.
type ReadRequest struct {
	Partition metadata.TopicPartition
	From      metadata.Offset
	// MaxBytes bounds the answer, in bytes of batches.
	MaxBytes int
	// MinOne: at least one whole batch even beyond MaxBytes (KIP-74).
	MinOne bool
	// Until is the high watermark or the last stable offset: no batch that
	// begins there or later is returned.
	Until metadata.Offset
	// Stats, where not nil, is added to. It must not be shared by reads that
	// run at the same time.
	Stats *ReadStats
}

// ReadResult is the result of a read.
type ReadResult struct {
	// Records are whole, contiguous batches, as slices that fit
	// net.Buffers. They may begin before the requested offset. Parts of
	// them are shared with caches: do not change them.
	Records [][]byte
	// Bytes is the sum of their lengths.
	Bytes int
	// Next is the offset after the last batch, or, where there is none, the
	// requested one or the next that exists.
	Next metadata.Offset
}

// ReadStats is the cost of reads, for the meter of their caller.
type ReadStats struct {
	GETs                         uint32 // billable, whose bytes this reader was first to use
	Tail, Block, Fetched, Inline int64  // bytes of batches, by Source
}

// Source is where the bytes of a batch were.
type Source uint8

// The sources, in the order in which they are searched.
const (
	FromInline Source = iota // in an entry, in memory or archived
	FromTail                 // an object this broker wrote
	FromBlock                // block cache
	FromBucket               // fetched for this read
	Sources
)

// String returns the source's name as metrics show it.
func (s Source) String() string {
	switch s {
	case FromInline:
		return "inline"
	case FromTail:
		return "tail"
	case FromBlock:
		return "block"
	case FromBucket:
		return "bucket"
	}
	return fmt.Sprintf("source-%d", uint8(s))
}

func (r *ReadStats) addBytes(from Source, bytes int64) {
	switch from {
	case FromInline:
		r.Inline += bytes
	case FromTail:
		r.Tail += bytes
	case FromBlock:
		r.Block += bytes
	case FromBucket:
		r.Fetched += bytes
	}
}
