package s3stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// spanReader walks the batches of one place.
type spanReader struct {
	s       *Store
	ctx     context.Context // of the one read it serves
	place   *locatedSpan
	stats   *ReadStats
	claimed *[]*blockFetch // GETs that this read is the first to use
	// afterWait, where not nil, is called when bytes have come (metadata.Hooks).
	afterWait func()

	current    *block // the block last used
	posInBlock int64  // where in it the bytes last used begin, if they are shared
	source     Source // of the bytes last used

	pos  int64           // of the next batch, in the span
	base metadata.Offset // its base offset
}

// storedBatch is one batch in the memory that holds it.
type storedBatch struct {
	bytes  []byte
	shared bool // with caches: not to be changed
	header metadata.BatchHeader
	base   metadata.Offset
}

func (f storedBatch) endOffset() metadata.Offset { return f.base + metadata.Offset(f.header.Offsets()) }

// eachBatch calls take with batches, from r.pos on, until it returns false or
// the span ends. A batch at which it stops has not been consumed.
func (r *spanReader) eachBatch(take func(storedBatch) (more bool, err error)) error {
	length := int64(r.place.span.Length)
	for r.pos < length {
		f, err := r.readBatch(length)
		if err != nil {
			return err
		}
		if more, err := take(f); err != nil || !more {
			return err
		}
		r.pos += int64(f.header.Size)
		r.base = f.endOffset()
	}
	if r.base != r.place.span.End() {
		return r.corruptError("batches end at offset %d, want %d", r.base, r.place.span.End())
	}
	return nil
}

// readBatch reads and checks the batch at r.pos.
func (r *spanReader) readBatch(length int64) (storedBatch, error) {
	const toMagic = 17 // base offset, length, leader epoch, magic
	head, _, err := r.readBytes(r.pos, min(toMagic, length-r.pos))
	if err != nil {
		return storedBatch{}, err
	}
	if len(head) < toMagic || head[16] != 2 {
		return storedBatch{}, r.corruptError("no batch at byte %d of the span", r.pos)
	}
	size := int64(int32(binary.BigEndian.Uint32(head[8:]))) + metadata.BatchPrefixSize
	if size < metadata.BatchHeaderSize || size > length-r.pos {
		return storedBatch{}, r.corruptError("batch of %d bytes at byte %d of a span of %d", size, r.pos, length)
	}
	f := storedBatch{base: r.base}
	if f.bytes, f.shared, err = r.readBytes(r.pos, size); err != nil {
		return storedBatch{}, err
	}
	if f.header, err = metadata.ParseBatchHeader(f.bytes); err != nil {
		return storedBatch{}, r.corruptError("batch at byte %d of the span: %v", r.pos, err)
	}
	// Own memory was checked when it was filled, a block's range of batches
	// when it was first read. A batch that spans blocks is checked each
	// time: such batches are rare.
	if r.place.memory == nil && !(f.shared && r.current.isChecked(r.posInBlock, r.posInBlock+size)) {
		if crc := metadata.BatchCRC(f.bytes); crc != f.header.CRC {
			return storedBatch{}, r.corruptError("batch at byte %d of the span has checksum %08x, want %08x", r.pos, crc, f.header.CRC)
		}
		if f.shared {
			r.current.setChecked(r.posInBlock, r.posInBlock+size)
		}
	}
	if f.header.LastOffsetDelta < 0 || f.endOffset() > r.place.span.End() {
		return storedBatch{}, r.corruptError("batch at byte %d of the span takes %d offsets from %d, the span ends at %d",
			r.pos, f.header.Offsets(), r.base, r.place.span.End())
	}
	return f, nil
}

// corruptError makes the error and drops what the caches hold of the span, so
// that the next try reads the bucket.
func (r *spanReader) corruptError(format string, args ...any) error {
	p := r.place
	if p.inObject() {
		for at := p.position / blockBytes * blockBytes; at < p.position+int64(p.span.Length); at += blockBytes {
			r.dropBlock(p.object.blockKeyAt(at))
		}
	} else if p.archived {
		r.dropBlock(blockKey{archive: p.ref.Object, rev: p.span.Revision, at: p.span.Position})
	}
	return &CorruptError{p.key(), fmt.Sprintf("offsets %d to %d at %d+%d (revision %d): %s", p.span.First, p.span.End()-1,
		p.position, p.span.Length, p.span.Revision, fmt.Sprintf(format, args...))}
}

func (r *spanReader) dropBlock(key blockKey) {
	if b, ok := r.s.blocks.lookup(key); ok {
		r.s.blocks.dropBlock(b)
	}
}

// readBytes returns n bytes from pos of the span.
func (r *spanReader) readBytes(pos, n int64) (b []byte, shared bool, err error) {
	p := r.place
	if p.archived && p.memory == nil && p.err == nil && !p.inObject() && r.s.archiveLocator != nil {
		r.s.locateArchived(r.ctx, r.stats, []*locatedSpan{p})
	}
	switch {
	case p.err != nil:
		return nil, false, p.err
	case p.unknown:
		return nil, false, &missingError{p.key(), fmt.Sprintf("offsets %d to %d of revision %d have no known location", p.span.First, p.span.End()-1, p.span.Revision)}
	case p.memory != nil:
		r.source = p.source
		return p.memory[pos : pos+n : pos+n], true, nil
	case !p.inObject():
		if r.current == nil {
			if err := r.awaitBlock(r.s.requestInline(r.ctx, p)); err != nil {
				return nil, false, err
			}
		}
		r.source, r.posInBlock = FromInline, pos
		return r.current.data[pos : pos+n : pos+n], true, nil
	}
	at := p.position + pos
	if at+n > p.object.size {
		return nil, false, &CorruptError{p.key(), fmt.Sprintf("offset %d lies at bytes %d to %d of %d", r.base, at, at+n, p.object.size)}
	}
	if err := r.loadBlock(at); err != nil {
		return nil, false, err
	}
	if r.posInBlock = at % blockBytes; r.posInBlock+n <= int64(len(r.current.data)) {
		return r.current.data[r.posInBlock : r.posInBlock+n : r.posInBlock+n], true, nil
	}
	b = make([]byte, 0, n)
	for int64(len(b)) < n {
		if err := r.loadBlock(at + int64(len(b))); err != nil {
			return nil, false, err
		}
		data := r.current.data[(at+int64(len(b)))%blockBytes:]
		b = append(b, data[:min(int64(len(data)), n-int64(len(b)))]...)
	}
	return b, false, nil
}

// loadBlock makes the block with this byte of the object the current one.
func (r *spanReader) loadBlock(at int64) error {
	start := at / blockBytes * blockBytes
	if r.current != nil && r.current.key.at == start {
		return nil
	}
	b, ok := r.s.blocks.lookup(r.place.object.blockKeyAt(start))
	if !ok {
		end := r.place.position + int64(r.place.span.Length)
		b = r.s.requestBlocks(r.ctx, r.place.object, at, min(end, at+minReadAhead))
	}
	return r.awaitBlock(b)
}

// awaitBlock waits for a block and records which reader is charged for it.
func (r *spanReader) awaitBlock(b *block) error {
	pays := b.fetch.isPayer(r.stats)
	err := awaitBlock(r.ctx, b)
	if r.afterWait != nil {
		r.afterWait()
	}
	if err != nil {
		if pays {
			b.fetch.payer.CompareAndSwap(r.stats, nil) // it left
		}
		return err
	}
	r.current, r.source = b, FromBlock
	if pays || b.fetch.isPayer(r.stats) {
		if gets := b.fetch.takeUnclaimed(); gets > 0 {
			r.stats.GETs += gets
			*r.claimed = append(*r.claimed, b.fetch)
		}
	}
	if slices.Contains(*r.claimed, b.fetch) {
		r.source = FromBucket
	}
	return nil
}

// toReadError translates errors of lower layers into those that callers expect.
func toReadError(tp metadata.TopicPartition, err error) error {
	var gone *missingError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &gone):
		err = &CorruptError{gone.object, gone.detail + ", but the state refers to it"}
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrTrimmed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("read %s/%d: %w", tp.Topic, tp.Partition, err)
}
