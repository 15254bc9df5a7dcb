package metadata

// Spans in a checkpoint. A partition's spans are numbered from 0 on, trimmed ones
// included, and spanChunk consecutive ones make a chunk. Once a chunk is full, it
// never changes: it is a page of its own, which later checkpoints refer to until
// the whole chunk is trimmed. The spans after the last full chunk, the tail, are
// in the partition's item.
//
//	  firstSpan             tailStart        endSpan
//	      v                     v               v
//	+-----------+-----------+---+---------------+
//	| chunk k   | chunk k+1 |   | tail, 0 to 255|
//	+-----------+-----------+---+---------------+
const spanChunk = 256

// minSpanBytes is the length of the shortest encoded span.
const minSpanBytes = 7

// endSpan returns the ordinal after the partition's last span.
func (p *partitionState) endSpan() uint64 { return p.firstSpan + uint64(len(p.spans)) }

// tailStart returns the ordinal at which the tail of the spans from first to end
// begins.
func tailStart(first, end uint64) uint64 { return max(first, end/spanChunk*spanChunk) }

// fullChunks returns the numbers of the partition's full chunks: from the first
// one of which a span is left to before the other.
func (p *partitionState) fullChunks() (from, to uint64) {
	return p.firstSpan / spanChunk, p.endSpan() / spanChunk
}

// chunkSpans returns the spans of a full chunk that are left, and how many were
// trimmed before them.
func (p *partitionState) chunkSpans(chunk uint64) (spans []Span, trimmed uint64) {
	from := max(chunk*spanChunk, p.firstSpan)
	return p.spans[from-p.firstSpan : (chunk+1)*spanChunk-p.firstSpan], from - chunk*spanChunk
}

// writeChunk writes a chunk's page: how many spans are left out because they were
// trimmed before it was written, and the others.
func (w *writer) writeChunk(spans []Span, trimmed uint64) {
	w.uvarint(trimmed)
	w.writeSpans(spans)
}

// readChunk reads a chunk's page into a list of spanChunk spans, and returns how
// many at its beginning are left out.
func (r *reader) readChunk(out []Span) (trimmed uint64) {
	trimmed = r.UvarintUpTo(spanChunk-1, "trimmed spans")
	r.readSpans(out[trimmed:trimmed], spanChunk-trimmed)
	return trimmed
}

// writeSpans writes spans, each as its difference from the one before.
func (w *writer) writeSpans(spans []Span) {
	var before Span
	for i := range spans {
		sp := &spans[i]
		w.varint(int64(sp.First - before.End()))
		w.uvarint(uint64(sp.Count))
		w.uvarint(uint64(sp.Length))
		w.uvarint(encodeSpanObject(sp.Object))
		w.varint(int64(sp.Revision - before.Revision))
		w.uvarint(uint64(sp.Position))
		w.varint(int64(sp.MaxTimestamp - before.MaxTimestamp))
		if sp.Marker() {
			w.u16(uint16(sp.Epoch))
		}
		before = *sp
	}
}

// readSpans appends n spans to out.
func (r *reader) readSpans(out []Span, n uint64) []Span {
	if n > uint64(r.Remaining())/minSpanBytes {
		r.Fail("%d spans in %d bytes", n, r.Remaining())
		return out
	}
	var before Span
	for range n {
		sp := Span{First: before.End() + Offset(r.Varint()), Count: uint32(r.UvarintUpTo(1<<32-1, "offsets")), Length: uint32(r.UvarintUpTo(1<<32-1, "length")),
			Object: decodeSpanObject(r.UvarintUpTo(MaxEntryObjects+3, "object")), Revision: before.Revision + Revision(r.Varint()),
			Position: int64(r.Uvarint()), MaxTimestamp: before.MaxTimestamp + UnixMilli(r.Varint())}
		if sp.Marker() {
			sp.Epoch = ProducerEpoch(r.Uint16())
		}
		out = append(out, sp)
		before = sp
	}
	return out
}
