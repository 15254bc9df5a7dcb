package broker

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

// partReadResult is what was read of one partition.
type partReadResult struct {
	records net.Buffers
	bytes   int
	aborted []metadata.AbortedTxn // for read_committed
}

const (
	// maxConcurrentReads is how many partitions of one fetch are read concurrently.
	maxConcurrentReads = 8
	// fetchRestDivisor: less than 1/fetchRestDivisor of a fetch's limit is too little
	// to read further partitions: their batches hardly fit.
	fetchRestDivisor = 8
)

// maxRecordBytes is the limit of record bytes in the response (KIP-74), except
// for a first batch that is larger.
func (f *fetch) maxRecordBytes() int64 { return min(max(int64(f.q.MaxBytes), 0), MaxFetchBytes) }

// readParts gives each partition a share of the limit, in the session's order,
// and reads them concurrently. A share is an upper bound of the read, so the
// response never exceeds the limit, whatever the spans are; the rest of a round
// is shared in the next one. If the first batch of the first partition is
// larger than its share, the response has it nevertheless, and the others share
// the rest of the limit: every request makes progress by at least one batch,
// and served partitions move to the end of the order.
func (f *fetch) readParts(ctx context.Context) {
	todo, left := f.listReadable(), f.maxRecordBytes()
	if len(todo) == 0 {
		return
	}
	if left = f.reserveMemory(ctx, f.planReads(todo, left)); left < 0 {
		return
	}
	rest := left / fetchRestDivisor
	for first := true; len(todo) > 0 && (first || left > rest); {
		f.planReads(todo, left)
		if first && f.mayExceed(todo[0]) {
			p := todo[0]
			todo = todo[1:]
			if left = f.readFirstPart(ctx, p, todo, left); left < 0 {
				return
			}
			first = p.result.bytes == 0
			continue
		}
		n := 0
		for n < len(todo) && todo[n].readLimit > 0 {
			n++
		}
		f.readConcurrently(ctx, todo[:n])
		for _, p := range todo[:n] {
			left -= int64(p.result.bytes)
			first = first && p.result.bytes == 0
		}
		todo = todo[max(n, 1):] // the first may have been trimmed since it was resolved
	}
	f.markWithheld()
	f.extraMemory.shrink(max(0, f.countRecordBytes()-f.recordMemory.size))
	f.recordMemory.shrink(f.countRecordBytes())
}

// readFirstPart reads a partition whose first batch may be larger than its
// share, and returns the bytes left for the others; negative: none may be read.
func (f *fetch) readFirstPart(ctx context.Context, p *fetchPart, others []*fetchPart, left int64) int64 {
	f.readPart(ctx, p, int(p.readLimit), false)
	if p.code != noError || p.result.bytes > 0 {
		return left - int64(p.result.bytes)
	}
	f.readOversized(ctx, p)
	switch {
	case p.result.bytes > 0:
		return f.tryReserveExtra(f.planReads(others, f.maxRecordBytes()-int64(p.result.bytes)))
	case len(others) == 0 || ctx.Err() != nil:
		return -1
	}
	return f.reserveMemory(ctx, f.planReads(others, f.maxRecordBytes())) // the read failed, and no memory is held
}

// markWithheld finds the partitions whose first batch is larger than what they
// may still return. If the whole limit is used up, Kafka does not read the
// partition's records, and responds differently.
func (f *fetch) markWithheld() {
	left := f.maxRecordBytes()
	for i := range f.parts {
		p := &f.parts[i]
		p.withheld = p.code == noError && p.readyBytes > 0 && !p.redirected && p.result.bytes == 0 && min(int64(p.maxBytes), left) > 0
		left -= int64(p.result.bytes)
	}
}

// countRecordBytes is how many record bytes were read.
func (f *fetch) countRecordBytes() (sum int64) {
	for i := range f.parts {
		sum += int64(f.parts[i].result.bytes)
	}
	return sum
}

// listReadable lists the partitions with records, in order.
func (f *fetch) listReadable() (todo []*fetchPart) {
	for i := range f.parts {
		if p := &f.parts[i]; p.code == noError && p.readyBytes > 0 && !p.redirected {
			todo = append(todo, p)
		}
	}
	return todo
}

// planReads divides bytes over the partitions, first come, first served, and
// returns how many can be used. Except for the first, a partition gets all that
// it can return or waits for the next round: a remainder smaller than its first
// batch would let others be served before it.
func (f *fetch) planReads(todo []*fetchPart, limit int64) (useful int64) {
	sum := int64(0)
	f.s.cfg.Replica.View(func(st *metadata.State) {
		full := false
		for i, p := range todo {
			if p.readLimit = 0; full {
				continue
			}
			most := int64(max(p.maxBytes, 0))
			most = min(most, st.SpanBytes(p.tp, p.offset, p.endOffset, s3stream.MaxReadSpans, most))
			useful = min(sum+most, limit)
			if full = most > limit-sum; full && i > 0 {
				continue
			}
			p.readLimit = min(most, limit-sum)
			sum += p.readLimit
		}
	})
	return useful
}

// reserveMemory acquires memory for record bytes, and returns how many the
// response may have: fewer if memory is short, but not less than an ordinary
// response, for which it waits. Negative: the client disconnected.
func (f *fetch) reserveMemory(ctx context.Context, want int64) (got int64) {
	if f.recordMemory, got = f.tryReserveLarge(want); got > 0 {
		return got
	}
	want = min(want, smallBytes)
	var err error
	if f.recordMemory, err = f.s.responses.acquire(ctx, f.r.conn, want); err != nil {
		return -1
	}
	return want
}

// tryReserveLarge acquires memory for a large response, or for a smaller one,
// if it is free now; got is 0 if it is not.
func (f *fetch) tryReserveLarge(want int64) (g grant, got int64) {
	// At most half of the rest: many large responses to clients that do not read
	// become smaller, and leave some memory for the next one.
	m := f.s.responses
	if n := min(want, m.maxPerConn, m.large.Available()/2); n > smallBytes {
		if g, ok := m.try(f.r.conn, n); ok {
			return g, n
		}
	}
	return grant{}, 0
}

// mayExceed reports whether a batch of the partition may be larger than its
// share.
func (f *fetch) mayExceed(p *fetchPart) bool { return f.firstSpanBytes(p) > p.readLimit }

// firstSpanBytes is the length in bytes of the span in which a read begins.
func (f *fetch) firstSpanBytes(p *fetchPart) (length int64) {
	f.s.cfg.Replica.View(func(st *metadata.State) { length = st.SpanBytes(p.tp, p.offset, p.endOffset, 1, 1) })
	return length
}

// readOversized reads one batch of any size. The memory for smaller responses
// is released first: a request that waits must hold nothing.
func (f *fetch) readOversized(ctx context.Context, p *fetchPart) {
	f.recordMemory.releaseAll()
	var err error
	if f.recordMemory, err = f.s.responses.acquire(ctx, f.r.conn, min(f.firstSpanBytes(p), MaxFrameBytes)); err != nil {
		return
	}
	f.readPart(ctx, p, 1, true)
	f.recordMemory.shrink(int64(p.result.bytes))
}

// tryReserveExtra acquires memory for record bytes in addition to an oversized
// batch, or for fewer, if it is free now: a request that holds memory must not
// wait.
func (f *fetch) tryReserveExtra(want int64) (got int64) {
	if f.extraMemory, got = f.tryReserveLarge(want); got > 0 {
		return got
	}
	if want = min(want, smallBytes); want <= 0 {
		return 0
	}
	var ok bool
	if f.extraMemory, ok = f.s.responses.try(f.r.conn, want); !ok {
		return 0
	}
	return want
}

func (f *fetch) readConcurrently(ctx context.Context, todo []*fetchPart) {
	if len(todo) == 1 {
		f.readPart(ctx, todo[0], int(todo[0].readLimit), false)
		return
	}
	next := make(chan *fetchPart)
	var wg sync.WaitGroup
	for range min(maxConcurrentReads, len(todo)) {
		wg.Go(func() {
			for p := range next {
				f.readPart(ctx, p, int(p.readLimit), false)
			}
		})
	}
	for _, p := range todo {
		next <- p
	}
	close(next)
	wg.Wait()
}

// readPart reads up to limit bytes of one partition, and with oneBatch one
// batch even if it is larger. Reads run concurrently: it modifies only its own
// partition.
func (f *fetch) readPart(ctx context.Context, p *fetchPart, limit int, oneBatch bool) {
	var stats s3stream.ReadStats
	out, err := f.s.cfg.Reader.Read(ctx, s3stream.ReadRequest{Partition: p.tp, From: p.offset, MaxBytes: limit,
		MinOne: oneBatch, Until: p.endOffset, Stats: &stats})
	p.gets += uint64(stats.GETs)
	if err != nil {
		if p.code = f.mapReadError(p, err); p.code == kafkaErrorCode(err) { // not deleted meanwhile
			f.s.logReadError(p.tp, err, "offset", p.offset)
		}
		return
	}
	p.result = partReadResult{records: out.Records, bytes: out.Bytes}
	if p.committedOnly && out.Bytes > 0 {
		f.s.cfg.Replica.View(func(st *metadata.State) { p.result.aborted = st.AbortedTxns(nil, p.tp, p.offset, out.Next) })
	}
}

// logReadError logs why records could not be read. What is missing or damaged
// although the state refers to it is an error, and names the object; that a newer
// state, the bucket or the log cannot be had is temporary.
func (s *Server) logReadError(tp metadata.TopicPartition, err error, args ...any) {
	args = append([]any{"topic", s.topicName(tp.Topic), "partition", tp.Partition}, args...)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, s3stream.ErrTrimmed):
	case errors.Is(err, s3stream.ErrCorrupt):
		s.cfg.Log.Error("ALARM: records cannot be read: an object is missing or damaged; clients get a retriable error", append(args, "err", err)...)
	default:
		metadata.LogFailure(s.cfg.Log, "partition read failed; clients get a retriable error", err, args...)
	}
}

// mapReadError maps a read error; the log may have been trimmed or the topic
// deleted meanwhile.
func (f *fetch) mapReadError(p *fetchPart, err error) int16 {
	gone, trimmed := false, false
	f.s.cfg.Replica.View(func(st *metadata.State) {
		h, ok := st.Partition(p.tp)
		gone, trimmed = !ok, ok && p.offset < h.LogStart
	})
	switch {
	case gone && f.r.version >= 13:
		return kerr.UnknownTopicID.Code
	case gone:
		return kerr.UnknownTopicOrPartition.Code
	case trimmed:
		return kerr.OffsetOutOfRange.Code
	}
	return kafkaErrorCode(err)
}
