package s3stream

import (
	"context"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// spansPerLookup is how many spans a search takes from the state at a time.
const spansPerLookup = 4096

// OffsetForTime finds the first record of a partition whose timestamp is ts or
// later (ListOffsets), and its own timestamp. found is false where there is
// none. Take a barrier first: the answer may be negative.
//
// Errors are those of Read.
func (s *Store) OffsetForTime(ctx context.Context, tp metadata.TopicPartition, ts metadata.UnixMilli) (
	offset metadata.Offset, timestamp metadata.UnixMilli, found bool, err error) {
	err = s.searchPartition(ctx, tp, func(q *search) error {
		return q.eachSpan(func(sp metadata.Span) (bool, error) {
			if sp.MaxTimestamp < ts {
				return true, nil
			}
			err := q.eachRecordOf(sp, ts, func(r record) bool {
				if found = r.timestamp >= ts; found {
					offset, timestamp = r.offset, r.timestamp
				}
				return !found
			})
			return !found, err
		})
	})
	return offset, timestamp, found && err == nil, err
}

// MaxTimestamp finds the greatest timestamp of a partition and the first
// record that has it (ListOffsets with timestamp -3, KIP-734). found is false
// where the partition is empty. Take a barrier first.
func (s *Store) MaxTimestamp(ctx context.Context, tp metadata.TopicPartition) (
	offset metadata.Offset, timestamp metadata.UnixMilli, found bool, err error) {
	err = s.searchPartition(ctx, tp, func(q *search) error {
		found = false
		searchSpan := func(sp metadata.Span) error {
			from := metadata.UnixMilli(minTimestamp)
			if found {
				from = timestamp + 1
			}
			return q.eachRecordOf(sp, from, func(r record) bool {
				if !found || r.timestamp > timestamp {
					offset, timestamp, found = r.offset, r.timestamp, true
				}
				return true
			})
		}
		var best metadata.Span
		err := q.eachSpan(func(sp metadata.Span) (bool, error) {
			if sp.First < q.logStart { // its greatest may lie before the log start
				return true, searchSpan(sp)
			}
			if best.Count == 0 || sp.MaxTimestamp > best.MaxTimestamp {
				best = sp
			}
			return true, nil
		})
		if err != nil || best.Count == 0 || found && best.MaxTimestamp <= timestamp {
			return err
		}
		return searchSpan(best)
	})
	return offset, timestamp, found && err == nil, err
}

// minTimestamp is before every record's.
const minTimestamp = -1 << 62

// search is one pass over a partition's spans.
type search struct {
	s        *Store
	ctx      context.Context // of the one call it serves
	tp       metadata.TopicPartition
	logStart metadata.Offset // log start
	stats    ReadStats
	claimed  []*blockFetch
}

// searchPartition makes passes until one does not meet a span that is gone.
func (s *Store) searchPartition(ctx context.Context, tp metadata.TopicPartition, pass func(*search) error) error {
	ctx = bucket.WithCause(ctx, bucket.CauseFetch)
	for try := 1; ; try++ {
		q := &search{s: s, ctx: ctx, tp: tp}
		err := pass(q)
		s.reportUnused(q.stats.GETs) // a search is not metered by group
		if err == nil || try == maxReadTries || !shouldRetryRead(err) {
			return toReadError(tp, err)
		}
		if err := s.config.Replica.Barrier(ctx); err != nil {
			return barrierError(ctx, err)
		}
	}
}

// eachSpan calls take with the partition's spans, oldest first, until it
// returns false.
func (q *search) eachSpan(take func(metadata.Span) (more bool, err error)) error {
	var spans []metadata.Span
	for next := metadata.Offset(0); ; next = spans[len(spans)-1].End() {
		q.s.config.Replica.View(func(st *metadata.State) {
			spans = st.Spans(spans[:0], q.tp, next, spansPerLookup)
			if p, ok := st.Partition(q.tp); ok {
				q.logStart = p.LogStart
			}
		})
		for _, sp := range spans {
			if more, err := take(sp); err != nil || !more {
				return err
			}
		}
		if len(spans) < spansPerLookup {
			return nil
		}
	}
}

// eachRecordOf calls take with the records of a span from the log start on,
// except for batches whose timestamps are all before from. A marker is a
// record, as in Kafka: a search may return its offset.
func (q *search) eachRecordOf(sp metadata.Span, from metadata.UnixMilli, take func(record) (more bool)) error {
	if sp.Marker() {
		if sp.First >= q.logStart && sp.MaxTimestamp >= from {
			take(record{offset: sp.First, timestamp: sp.MaxTimestamp})
		}
		return nil
	}
	var p locatedSpan
	q.s.config.Replica.View(func(st *metadata.State) { p = locateSpan(st, q.tp, sp) })
	if err := q.s.loadFromMemory(&p); err != nil {
		return err
	}
	sr := spanReader{s: q.s, ctx: q.ctx, place: &p, stats: &q.stats, claimed: &q.claimed, base: sp.First}
	return sr.eachBatch(func(f storedBatch) (bool, error) {
		if f.header.MaxTimestamp < from || f.endOffset() <= q.logStart {
			return true, nil
		}
		more := true
		err := q.s.eachRecord(f, func(r record) bool {
			if r.offset >= q.logStart {
				more = take(r)
			}
			return more
		})
		if err != nil {
			return false, sr.corruptError("%v", err)
		}
		return more, nil
	})
}
