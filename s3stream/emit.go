package s3stream

import "github.com/zonewise/zonewise/metadata"

const (
	// shareBytes is the size from which a batch is handed out where it lies,
	// behind a copy of its header: below it a copy is cheaper than one more
	// slice for the kernel to gather.
	shareBytes = 4 << 10
	// The emitter's own memory comes in pieces of growing size.
	minPiece, maxPiece = 4 << 10, 64 << 10

	// dataEpoch is the leader epoch of every served batch: the same for an
	// offset on every broker for ever, while the epoch in Metadata rises.
	dataEpoch metadata.LeaderEpoch = 0
)

// emitter lays batches one behind the other, with their base offsets written
// in, without changing a byte that is shared.
type emitter struct {
	out   [][]byte
	piece []byte // own memory; from `sent` on not in out yet
	sent  int
	grow  int
	bytes int // in all
}

func (e *emitter) batch(f found) {
	e.bytes += len(f.bytes)
	switch {
	case !f.shared:
		metadata.PatchBatch(f.bytes, f.base, dataEpoch)
		e.flush()
		e.out = append(e.out, f.bytes)
	case len(f.bytes) < shareBytes:
		metadata.PatchBatch(e.copy(f.bytes), f.base, dataEpoch)
	default:
		metadata.PatchBatch(e.copy(f.bytes[:metadata.BatchHeaderSize]), f.base, dataEpoch)
		e.flush()
		e.out = append(e.out, f.bytes[metadata.BatchHeaderSize:])
	}
}

// copy appends b to the emitter's own memory and returns the copy.
func (e *emitter) copy(b []byte) []byte {
	if len(b) > cap(e.piece)-len(e.piece) {
		e.flush()
		e.grow = min(max(2*e.grow, minPiece), maxPiece)
		e.piece, e.sent = make([]byte, 0, e.grow), 0
	}
	e.piece = append(e.piece, b...)
	return e.piece[len(e.piece)-len(b):]
}

func (e *emitter) flush() {
	if e.sent < len(e.piece) {
		e.out = append(e.out, e.piece[e.sent:len(e.piece):len(e.piece)])
		e.sent = len(e.piece)
	}
}

func (e *emitter) finish() [][]byte {
	e.flush()
	return e.out
}
