package s3stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Limits of reading.
const (
	// blockBytes is the unit of the block cache, aligned in each object: small
	// enough for one partition's share of an object, large enough that the
	// other partitions' readers find theirs.
	blockBytes = 512 << 10
	// maxMergedBytes bounds one GET; past it two in parallel are faster than one.
	maxMergedBytes = 4 << 20
	// maxForwardBytes bounds what one read requests before it has used any
	// of it.
	maxForwardBytes = 16 << 20
	// minReadAhead and maxReadAhead bound what is fetched beyond a sequential
	// read, per reader.
	minReadAhead = 1 << 20
	maxReadAhead = 8 << 20
	// maxGETs bounds the store's GETs in flight: at 4 MiB each, 256 MiB.
	maxGETs = 64
	// maxAheadGETs: with more GETs in flight nothing is read ahead.
	maxAheadGETs = 16
	// MaxReadSpans bounds the spans that one read takes batches from.
	MaxReadSpans = 512
)

// missingError: the state referred to bytes that are not there. The state may
// have moved on, so the reader looks the span up again before it reports
// corruption.
type missingError struct{ object, detail string }

func (e *missingError) Error() string { return fmt.Sprintf("object %s: %s", e.object, e.detail) }

var errClosed = errors.New("store is closed")

// object identifies what blocks are cut from.
type object struct {
	name    metadata.ObjectName // zero: archive
	archive string
	size    int64 // bytes, by the state
}

func (o object) key() string {
	if o.archive != "" {
		return o.archive
	}
	return o.name.Key()
}

func (o object) blockKeyAt(at int64) blockKey {
	return blockKey{name: o.name, archive: o.archive, at: at}
}

// requestBlocks requests the blocks that hold bytes from (inclusive) to to of
// an object, unless they are in memory or in flight, merges neighbours, and
// returns the first of them. It does not wait.
func (s *Store) requestBlocks(ctx context.Context, o object, from, to int64) *block {
	var first *block
	run, g := []*block(nil), &blockFetch{}
	flush := func() {
		if len(run) > 0 {
			mine, paid := run, g
			s.launchGET(ctx, mine, func(ctx context.Context) func() { return s.fetchBlocks(ctx, o, mine, paid) })
			run, g = nil, &blockFetch{}
		}
	}
	for at := from / blockBytes * blockBytes; at < min(to, o.size); at += blockBytes {
		b, mine := s.blocks.startFetch(o.blockKeyAt(at), g)
		if first == nil {
			first = b
		}
		if !mine {
			flush()
			continue
		}
		if run = append(run, b); len(run) == maxMergedBytes/blockBytes {
			flush()
		}
	}
	flush()
	return first
}

// launchGET runs f in its own goroutine once another GET may be sent, and the
// function that f returns, which finishes the blocks, when the GET has ended.
// The GET outlives the reader that requested it, for the sake of other readers,
// but not the store.
func (s *Store) launchGET(ctx context.Context, run []*block, f func(context.Context) (finish func())) {
	fail := func(err error) {
		for _, b := range run {
			s.blocks.finishFetch(b, nil, err)
		}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		fail(errClosed)
		return
	}
	s.fetches.Add(1)
	s.mu.Unlock()
	turn := s.getLimiter.requestTurn()
	go func() {
		defer s.fetches.Done()
		select {
		case <-turn:
		case <-s.lifeCtx.Done(): // and all others end too
			fail(errClosed)
			return
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(s.lifeCtx, cancel)()
		finish := f(ctx)
		s.getLimiter.endTurn()
		finish()
	}()
}

// fetchBlocks gets neighbouring blocks with one ranged GET.
func (s *Store) fetchBlocks(ctx context.Context, o object, run []*block, g *blockFetch) (finish func()) {
	from := run[0].key.at
	want := min(int64(len(run))*blockBytes, o.size-from)
	body, err := s.config.Bucket.Get(s.withGETObserver(ctx, g), o.key(), from, want)
	g.markEnded()
	switch {
	case err == nil && int64(len(body)) == want:
	case err == nil, errors.Is(err, bucket.ErrRange):
		err = &CorruptError{o.key(), fmt.Sprintf("%d bytes where %d from %d on were written", len(body), want, from)}
	case errors.Is(err, bucket.ErrNotFound):
		err = &missingError{o.key(), "is missing from the bucket"}
	}
	if s.lifeCtx.Err() != nil && err != nil {
		err = errClosed // not the context's error, which would look like the reader's
	}
	if err != nil {
		s.reportUnused(g.takeUnclaimed())
		return func() {
			for _, b := range run {
				s.blocks.finishFetch(b, nil, err)
			}
		}
	}
	return func() {
		for i, b := range run {
			data := body[int64(i)*blockBytes : min(int64(i+1)*blockBytes, want)]
			if len(run) > 1 {
				data = bytes.Clone(data) // or an evicted block would keep its neighbours' memory
			}
			s.blocks.finishFetch(b, data, nil)
		}
	}
}

// requestInline is requestBlocks for an inline span of an archived entry, which
// the replica reads.
func (s *Store) requestInline(ctx context.Context, p *locatedSpan) *block {
	sp, ref, g := p.span, p.ref, &blockFetch{}
	b, mine := s.blocks.startFetch(blockKey{archive: ref.Object, rev: sp.Revision, at: sp.Position}, g)
	if !mine {
		return b
	}
	s.launchGET(ctx, []*block{b}, func(ctx context.Context) func() {
		data, err := s.config.Replica.ArchivedInline(s.withGETObserver(ctx, g), ref, sp.Revision, sp.Position, int64(sp.Length))
		g.markEnded()
		if err == nil && len(data) != int(sp.Length) {
			err = &CorruptError{ref.Object, fmt.Sprintf("%d bytes of revision %d where %d were written", len(data), sp.Revision, sp.Length)}
		}
		if err != nil {
			if err = archiveError(ref.Object, err); s.lifeCtx.Err() != nil {
				err = errClosed
			}
			s.reportUnused(g.takeUnclaimed())
		}
		return func() { s.blocks.finishFetch(b, data, err) }
	})
	return b
}

// archiveError translates a replica's error for a reader.
func archiveError(archive string, err error) error {
	switch {
	case errors.Is(err, bucket.ErrNotFound):
		return &missingError{archive, "is missing from the bucket"}
	case errors.Is(err, metadata.ErrCorrupt), errors.Is(err, bucket.ErrRange):
		return &CorruptError{archive, err.Error()}
	}
	return err
}

// withGETObserver counts the billable GETs made under the context it returns.
// Those that are answered when g has ended (the losing request of a hedged GET)
// are unclaimed.
func (s *Store) withGETObserver(ctx context.Context, g *blockFetch) context.Context {
	return bucket.WithObserver(ctx, func(a bucket.Attempt) {
		if a.Op == bucket.OpGet && a.Billable() && !g.countAttempt() {
			s.reportUnused(1)
		}
	})
}

// awaitBlock waits for a block, no longer than the caller's own context.
func awaitBlock(ctx context.Context, b *block) error {
	select {
	case <-b.done: // what is in memory is served although the context has ended
		return b.err
	default:
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
