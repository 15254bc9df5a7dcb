package s3stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// maxReadTries is how often a read looks up a span that is gone or damaged
// before it fails: the state may have moved on, and a block may have been
// damaged in memory or in transit.
const maxReadTries = 3

// Read returns whole batches from the one that holds req.From on. It is empty
// without an error where there is nothing below req.Until. A read that has
// found something does not fail: the next read, which begins there, returns the
// error.
//
// What is missing from the bucket may have been deleted since the state was
// read. So it is looked up again behind a barrier: ErrTrimmed where the state no
// longer has the offset, ErrCorrupt where it still names the missing object.
// Without a barrier nobody can tell which, so that is ErrUnavailable.
//
// Errors: ErrCorrupt (stop and inspect), ErrTrimmed, ErrUnavailable (retriable),
// or the context's own.
func (s *Store) Read(ctx context.Context, req ReadRequest) (ReadResult, error) {
	ctx = bucket.WithCause(ctx, bucket.CauseFetch)
	s.runReadHook(req.Partition, req.From)
	var stats ReadStats
	defer func() { s.addReadStats(req.Stats, stats) }()
	for try := 1; ; try++ {
		res, err := s.readOnce(ctx, &req, &stats)
		if err == nil || res.Bytes > 0 {
			return res, nil
		}
		if try == maxReadTries || !shouldRetryRead(err) {
			return ReadResult{Next: req.From}, toReadError(req.Partition, err)
		}
		if err := s.config.Replica.Barrier(ctx); err != nil {
			return ReadResult{Next: req.From}, barrierError(ctx, err)
		}
	}
}

func shouldRetryRead(err error) bool {
	var gone *missingError
	return errors.As(err, &gone) || errors.Is(err, ErrCorrupt)
}

// barrierError: a barrier failed, so a newer state cannot be had now. A barrier's
// own time-out is not the reader's.
func barrierError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: wait for the newest state after missing data: %w", ErrUnavailable, err)
}

func (s *Store) addReadStats(to *ReadStats, stats ReadStats) {
	if served := s.config.Metrics.Served; served != nil {
		for from, n := range [Sources]int64{FromInline: stats.Inline, FromTail: stats.Tail, FromBlock: stats.Block, FromBucket: stats.Fetched} {
			if n > 0 {
				served(Source(from), n)
			}
		}
	}
	if to != nil {
		to.GETs += stats.GETs
		to.Inline += stats.Inline
		to.Tail += stats.Tail
		to.Block += stats.Block
		to.Fetched += stats.Fetched
	}
}

// readPass is one pass over the places of one read.
type readPass struct {
	s           *Store
	req         *ReadRequest
	stats       *ReadStats
	places      []locatedSpan
	startCursor readCursor // of the read that ended at From, if there was one
	endCursor   readCursor // of this one
	claimed     []*blockFetch
	out         batchWriter
	next        metadata.Offset
	full        bool // nothing more fits, or Until is reached
	usedBlocks  bool // some bytes came from blocks
}

func (s *Store) readOnce(ctx context.Context, req *ReadRequest, stats *ReadStats) (ReadResult, error) {
	r := &readPass{s: s, req: req, stats: stats, next: req.From}
	r.startCursor = s.cursors.get(req.Partition, req.From)
	var err error
	if r.places, err = s.locateSpans(req, int64(max(req.MaxBytes, 1))+2*maxReadAhead); err != nil {
		return ReadResult{}, err
	}
	r.requestNeeded(ctx)
	last := 0
	for ; last < len(r.places) && !r.full && err == nil; last++ {
		err = r.readSpan(ctx, &r.places[last])
	}
	if r.out.bytes > 0 {
		s.cursors.put(req.Partition, r.next, r.endCursor)
	}
	if r.out.bytes > 0 && err == nil && r.usedBlocks {
		r.readAhead(ctx, last-1)
	}
	return ReadResult{Records: r.out.takeOutput(), Bytes: r.out.bytes, Next: r.next}, err
}

// startOf is where in a place the read begins.
func (r *readPass) startOf(p *locatedSpan) (pos int64, base metadata.Offset) {
	if r.startCursor.pointsInto(p.span, r.req.From) {
		return r.startCursor.pos, r.req.From
	}
	return 0, p.span.First
}

// requestNeeded starts all GETs that the response needs, at once.
func (r *readPass) requestNeeded(ctx context.Context) {
	var needed []*locatedSpan
	left := int64(min(r.req.MaxBytes, maxForwardBytes))
	for i := range r.places {
		if left <= 0 && (i > 0 || !r.req.MinOne) {
			break
		}
		p := &r.places[i]
		pos, _ := r.startOf(p)
		needed = append(needed, p)
		left -= int64(p.span.Length) - pos
	}
	r.s.locateArchived(ctx, r.stats, needed)
	left = int64(min(r.req.MaxBytes, maxForwardBytes))
	for _, p := range needed {
		pos, _ := r.startOf(p)
		want := min(int64(p.span.Length)-pos, max(left, 1))
		r.s.prefetch(ctx, p, pos, pos+want)
		left -= want
	}
}

// readSpan reads the batches of one place.
func (r *readPass) readSpan(ctx context.Context, p *locatedSpan) error {
	sr := spanReader{s: r.s, ctx: ctx, place: p, stats: r.stats, claimed: &r.claimed, afterWait: func() { r.s.runReadHook(r.req.Partition, r.req.From) }}
	sr.pos, sr.base = r.startOf(p)
	r.usedBlocks = r.usedBlocks || p.memory == nil
	err := sr.eachBatch(func(f storedBatch) (bool, error) {
		size := int64(f.header.Size)
		switch {
		case f.endOffset() <= r.req.From:
			return true, nil
		case f.base >= r.req.Until,
			int64(r.out.bytes)+size > int64(r.req.MaxBytes) && (r.out.bytes > 0 || !r.req.MinOne):
			r.full = true
			return false, nil
		}
		r.out.addBatch(f)
		r.stats.addBytes(sr.source, size)
		r.next = f.endOffset()
		return true, nil
	})
	r.endCursor = readCursor{known: true, first: p.span.First, revision: p.span.Revision, object: p.span.Object, pos: sr.pos, window: r.readAheadWindow()}
	return err
}

// readAheadWindow is how far to read ahead: nothing at first, then more as long
// as the reader continues where it stopped.
func (r *readPass) readAheadWindow() int64 {
	switch {
	case !r.startCursor.known:
		return 0
	case r.startCursor.window == 0:
		return minReadAhead
	}
	return min(2*r.startCursor.window, maxReadAhead)
}

// readAhead fetches what a sequential reader needs next, from the place where
// it stopped, as long as few GETs are in flight.
func (r *readPass) readAhead(ctx context.Context, stopped int) {
	left, pos := r.readAheadWindow(), r.endCursor.pos
	if r.isRequested(stopped, left/2) {
		return // or every read would fetch a little, in a GET of its own
	}
	for i := stopped; i < len(r.places) && left > 0 && r.s.getLimiter.pendingGETs() < maxAheadGETs; i++ {
		p := &r.places[i]
		if p.archived && !p.inObject() && r.s.archiveLocator != nil {
			r.s.prefetchArchived(ctx, r.places[i:], left)
			return
		}
		want := min(int64(p.span.Length)-pos, left)
		if want > 0 {
			r.s.prefetch(ctx, p, pos, pos+want)
		}
		left -= want
		pos = 0
	}
}

// isRequested reports whether the byte at this distance from where the read
// stopped is in memory or in flight.
func (r *readPass) isRequested(stopped int, ahead int64) bool {
	pos := r.endCursor.pos + ahead
	for i := stopped; i < len(r.places); i++ {
		p := &r.places[i]
		if pos < int64(p.span.Length) && p.memory == nil {
			_, ok := r.s.blocks.lookup(p.object.blockKeyAt((p.position + pos) / blockBytes * blockBytes))
			return ok && p.inObject()
		}
		pos = max(0, pos-int64(p.span.Length))
	}
	return false
}
