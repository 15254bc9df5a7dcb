package s3stream

import (
	"context"
	"fmt"
	"sync"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// archiveLocator is what a Replica should implement, too: it returns where in
// its archive an archived entry's inline bytes begin, and their length. With it
// the inline spans of an archive are read as blocks like those of any object, a
// few GETs for hundreds of spans; without it each takes a GET of its own.
type archiveLocator interface {
	ArchivedPosition(ctx context.Context, ref metadata.ArchiveRef, rev metadata.Revision) (position, length int64, err error)
}

// locateArchived looks up where archived spans are in their archives, all
// archives at the same time. An error is kept with its place.
func (s *Store) locateArchived(ctx context.Context, stats *ReadStats, places []*locatedSpan) {
	if s.archiveLocator == nil {
		return
	}
	var groups [][]*locatedSpan // by archive; neighbours in time share one
	for _, p := range places {
		if p.memory != nil || !p.archived || p.err != nil || p.inObject() {
			continue
		}
		if n := len(groups); n > 0 && groups[n-1][0].ref.Object == p.ref.Object {
			groups[n-1] = append(groups[n-1], p)
		} else {
			groups = append(groups, []*locatedSpan{p})
		}
	}
	g := &blockFetch{}
	lookUp := func(group []*locatedSpan) {
		for _, p := range group {
			s.locateOneArchived(s.withGETObserver(ctx, g), p)
		}
	}
	if len(groups) == 1 {
		lookUp(groups[0])
	} else {
		var wg sync.WaitGroup
		limit := make(chan struct{}, maxAheadGETs)
		for _, group := range groups {
			limit <- struct{}{}
			wg.Go(func() { lookUp(group); <-limit })
		}
		wg.Wait()
	}
	g.markEnded()
	stats.GETs += g.takeUnclaimed()
}

func (s *Store) locateOneArchived(ctx context.Context, p *locatedSpan) {
	sp := p.span
	position, length, err := s.archiveLocator.ArchivedPosition(bucket.WithCause(ctx, bucket.CauseFetch), p.ref, sp.Revision)
	switch {
	case err != nil:
		p.err = archiveError(p.ref.Object, err)
	case sp.Position+int64(sp.Length) > length || position+length > p.ref.Size:
		p.err = &CorruptError{p.ref.Object, fmt.Sprintf("offsets %d to %d lie at %d+%d of %d inline bytes of revision %d, at %d of %d",
			sp.First, sp.End()-1, sp.Position, sp.Length, length, sp.Revision, position, p.ref.Size)}
	default:
		p.object, p.position = object{archive: p.ref.Object, size: p.ref.Size}, position+sp.Position
	}
}

// prefetchArchived reads ahead where the archives' indexes have to be read
// first; the reader does not wait for it.
func (s *Store) prefetchArchived(ctx context.Context, places []locatedSpan, window int64) {
	var ahead []locatedSpan // of our own: the reader goes on
	for i := range places {
		if window <= 0 || len(ahead) > 0 && places[i].ref.Object != ahead[0].ref.Object {
			break // one archive ahead is far enough
		}
		ahead = append(ahead, places[i])
		window -= int64(places[i].span.Length)
	}
	s.launchGET(ctx, nil, func(ctx context.Context) func() {
		var stats ReadStats
		pointers := make([]*locatedSpan, len(ahead))
		for i := range ahead {
			pointers[i] = &ahead[i]
		}
		s.locateArchived(ctx, &stats, pointers)
		s.reportUnused(stats.GETs)
		return func() {
			for _, p := range pointers {
				s.prefetch(ctx, p, 0, int64(p.span.Length))
			}
		}
	})
}
