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
	s     *Store
	ctx   context.Context // of the one read it serves
	p     *place
	stats *ReadStats
	paid  *[]*get // GETs that this read is the first to use
	// waited, where not nil, is called when bytes have come (Config.Apart).
	waited func()

	held *block // the block last used
	in   int64  // where in it the bytes last used begin, if they are shared
	from Source // of the bytes last used

	pos  int64           // of the next batch, in the span
	base metadata.Offset // its base offset
}

// found is one batch where it lies.
type found struct {
	bytes  []byte
	shared bool // with caches: not to be changed
	header metadata.BatchHeader
	base   metadata.Offset
}

func (f found) end() metadata.Offset { return f.base + metadata.Offset(f.header.Offsets()) }

// walk hands batches to take, from r.pos on, until it says stop or the span
// ends. A batch at which it stops has not been consumed.
func (r *spanReader) walk(take func(found) (more bool, err error)) error {
	length := int64(r.p.span.Length)
	for r.pos < length {
		f, err := r.batch(length)
		if err != nil {
			return err
		}
		if more, err := take(f); err != nil || !more {
			return err
		}
		r.pos += int64(f.header.Size)
		r.base = f.end()
	}
	if r.base != r.p.span.End() {
		return r.corrupt("batches end at offset %d, want %d", r.base, r.p.span.End())
	}
	return nil
}

// batch reads and checks the batch at r.pos.
func (r *spanReader) batch(length int64) (found, error) {
	const toMagic = 17 // base offset, length, leader epoch, magic
	head, _, err := r.bytes(r.pos, min(toMagic, length-r.pos))
	if err != nil {
		return found{}, err
	}
	if len(head) < toMagic || head[16] != 2 {
		return found{}, r.corrupt("no batch at byte %d of the span", r.pos)
	}
	size := int64(int32(binary.BigEndian.Uint32(head[8:]))) + metadata.BatchPrefixSize
	if size < metadata.BatchHeaderSize || size > length-r.pos {
		return found{}, r.corrupt("batch of %d bytes at byte %d of a span of %d", size, r.pos, length)
	}
	f := found{base: r.base}
	if f.bytes, f.shared, err = r.bytes(r.pos, size); err != nil {
		return found{}, err
	}
	if f.header, err = metadata.ParseBatchHeader(f.bytes); err != nil {
		return found{}, r.corrupt("batch at byte %d of the span: %v", r.pos, err)
	}
	// Memory of our own was checked when it came in, a block's stretch of
	// batches when it was first read. A batch that spans blocks is checked
	// each time: it is one in many.
	if r.p.memory == nil && !(f.shared && r.held.isChecked(r.in, r.in+size)) {
		if crc := metadata.BatchCRC(f.bytes); crc != f.header.CRC {
			return found{}, r.corrupt("batch at byte %d of the span has checksum %08x, want %08x", r.pos, crc, f.header.CRC)
		}
		if f.shared {
			r.held.setChecked(r.in, r.in+size)
		}
	}
	if f.header.LastOffsetDelta < 0 || f.end() > r.p.span.End() {
		return found{}, r.corrupt("batch at byte %d of the span takes %d offsets from %d, the span ends at %d",
			r.pos, f.header.Offsets(), r.base, r.p.span.End())
	}
	return f, nil
}

// corrupt makes the error and forgets what the caches hold of the span, so
// that a second look is at the bucket.
func (r *spanReader) corrupt(format string, args ...any) error {
	p := r.p
	if p.inObject() {
		for at := p.at / blockBytes * blockBytes; at < p.at+int64(p.span.Length); at += blockBytes {
			r.drop(p.object.block(at))
		}
	} else if p.archived {
		r.drop(blockKey{archive: p.ref.Object, rev: p.span.Revision, at: p.span.Position})
	}
	return &CorruptError{p.key(), fmt.Sprintf("offsets %d to %d at %d+%d (revision %d): %s", p.span.First, p.span.End()-1,
		p.at, p.span.Length, p.span.Revision, fmt.Sprintf(format, args...))}
}

func (r *spanReader) drop(key blockKey) {
	if b, ok := r.s.blocks.lookup(key); ok {
		r.s.blocks.drop(b)
	}
}

// bytes returns n bytes from pos of the span.
func (r *spanReader) bytes(pos, n int64) (b []byte, shared bool, err error) {
	p := r.p
	if p.archived && p.memory == nil && p.err == nil && !p.inObject() && r.s.placer != nil {
		r.s.find(r.ctx, r.stats, []*place{p})
	}
	switch {
	case p.err != nil:
		return nil, false, p.err
	case p.missing:
		return nil, false, &goneError{p.key(), fmt.Sprintf("offsets %d to %d of revision %d are in no known place", p.span.First, p.span.End()-1, p.span.Revision)}
	case p.memory != nil:
		r.from = p.from
		return p.memory[pos : pos+n : pos+n], true, nil
	case !p.inObject():
		if r.held == nil {
			if err := r.hold(r.s.requestInline(r.ctx, p)); err != nil {
				return nil, false, err
			}
		}
		r.from, r.in = FromInline, pos
		return r.held.data[pos : pos+n : pos+n], true, nil
	}
	at := p.at + pos
	if at+n > p.object.size {
		return nil, false, &CorruptError{p.key(), fmt.Sprintf("offset %d lies at bytes %d to %d of %d", r.base, at, at+n, p.object.size)}
	}
	if err := r.block(at); err != nil {
		return nil, false, err
	}
	if r.in = at % blockBytes; r.in+n <= int64(len(r.held.data)) {
		return r.held.data[r.in : r.in+n : r.in+n], true, nil
	}
	b = make([]byte, 0, n)
	for int64(len(b)) < n {
		if err := r.block(at + int64(len(b))); err != nil {
			return nil, false, err
		}
		data := r.held.data[(at+int64(len(b)))%blockBytes:]
		b = append(b, data[:min(int64(len(data)), n-int64(len(b)))]...)
	}
	return b, false, nil
}

// block makes the block that holds this byte of the object the held one.
func (r *spanReader) block(at int64) error {
	start := at / blockBytes * blockBytes
	if r.held != nil && r.held.key.at == start {
		return nil
	}
	b, ok := r.s.blocks.lookup(r.p.object.block(start))
	if !ok {
		end := r.p.at + int64(r.p.span.Length)
		b = r.s.request(r.ctx, r.p.object, at, min(end, at+minReadAhead))
	}
	return r.hold(b)
}

// hold waits for a block and notes who pays for it.
func (r *spanReader) hold(b *block) error {
	pays := b.get.pays(r.stats)
	err := await(r.ctx, b)
	if r.waited != nil {
		r.waited()
	}
	if err != nil {
		if pays {
			b.get.payer.CompareAndSwap(r.stats, nil) // it left
		}
		return err
	}
	r.held, r.from = b, FromBlock
	if pays || b.get.pays(r.stats) {
		if gets := b.get.claim(); gets > 0 {
			r.stats.GETs += gets
			*r.paid = append(*r.paid, b.get)
		}
	}
	if slices.Contains(*r.paid, b.get) {
		r.from = FromBucket
	}
	return nil
}

// classify turns what came from below into the errors that callers know.
func classify(tp metadata.TopicPartition, err error) error {
	var gone *goneError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &gone):
		err = &CorruptError{gone.object, gone.detail + ", but the state refers to it"}
	case errors.Is(err, ErrCorrupt), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("read %s/%d: %w", tp.Topic, tp.Partition, err)
}
