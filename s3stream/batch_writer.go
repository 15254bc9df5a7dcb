package s3stream

import "github.com/zonewise/zonewise/metadata"

const (
	// minSharedBytes is the size from which on a batch is served from
	// shared memory, behind a copy of its header: below it a copy is
	// cheaper than one more slice for the kernel to gather.
	minSharedBytes = 4 << 10
	// Sizes of the pieces of the writer's own memory.
	minPieceBytes, maxPieceBytes = 4 << 10, 64 << 10

	// servedLeaderEpoch is the leader epoch of every served batch: it never
	// changes for an offset, on any broker, while the epoch in Metadata
	// rises.
	servedLeaderEpoch metadata.LeaderEpoch = 0
)

// batchWriter concatenates batches, with their base offsets written in, without
// changing a shared byte.
type batchWriter struct {
	out       [][]byte
	piece     []byte // own memory; from `sent` on not in out yet
	flushed   int
	pieceSize int
	bytes     int // total
}

func (e *batchWriter) addBatch(f storedBatch) {
	e.bytes += len(f.bytes)
	switch {
	case !f.shared:
		metadata.PatchBatch(f.bytes, f.base, servedLeaderEpoch)
		e.flush()
		e.out = append(e.out, f.bytes)
	case len(f.bytes) < minSharedBytes:
		metadata.PatchBatch(e.appendCopy(f.bytes), f.base, servedLeaderEpoch)
	default:
		metadata.PatchBatch(e.appendCopy(f.bytes[:metadata.BatchHeaderSize]), f.base, servedLeaderEpoch)
		e.flush()
		e.out = append(e.out, f.bytes[metadata.BatchHeaderSize:])
	}
}

// appendCopy appends b to the writer's own memory and returns the copy.
func (e *batchWriter) appendCopy(b []byte) []byte {
	if len(b) > cap(e.piece)-len(e.piece) {
		e.flush()
		e.pieceSize = min(max(2*e.pieceSize, minPieceBytes), maxPieceBytes)
		e.piece, e.flushed = make([]byte, 0, e.pieceSize), 0
	}
	e.piece = append(e.piece, b...)
	return e.piece[len(e.piece)-len(b):]
}

func (e *batchWriter) flush() {
	if e.flushed < len(e.piece) {
		e.out = append(e.out, e.piece[e.flushed:len(e.piece):len(e.piece)])
		e.flushed = len(e.piece)
	}
}

func (e *batchWriter) takeOutput() [][]byte {
	e.flush()
	return e.out
}
