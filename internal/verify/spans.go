package verify

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// lostSpan is a span whose records cannot be read.
type lostSpan struct {
	tp    metadata.TopicPartition
	first metadata.Offset
	end   metadata.Offset // after the last
}

func lostOf(tp metadata.TopicPartition, sp *metadata.Span) lostSpan {
	return lostSpan{tp, sp.First, sp.End()}
}

// spanStep is how many spans of a partition are looked at between two looks at the
// context.
const spanStep = 4096

// eachSpan calls f for every span of records that readers can ask for. f does not
// keep sp.
func eachSpan(ctx context.Context, s *metadata.State, f func(tp metadata.TopicPartition, sp *metadata.Span)) error {
	var page []metadata.Span
	for _, t := range s.Topics() {
		for p := range metadata.Partition(t.Partitions) {
			tp := metadata.TopicPartition{Topic: t.ID, Partition: p}
			v, _ := s.Partition(tp)
			for from := v.LogStart; ; {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				page = s.Spans(page[:0], tp, from, spanStep)
				for i := range page {
					if !page[i].Marker() {
						f(tp, &page[i])
					}
				}
				if len(page) < spanStep {
					break
				}
				from = page[len(page)-1].End()
			}
		}
	}
	return nil
}

// spanRef finds a span of an object again. There may be millions.
type spanRef struct {
	revision  metadata.Revision
	first     metadata.Offset
	partition int32 // in objectSpans.partitions
	object    int16
}

// objectSpans is the spans of a state, by object.
type objectSpans struct {
	partitions []metadata.TopicPartition
	refs       []spanRef    // sorted by revision and object
	begins     []int        // in refs, of each object, and the end
	unarchived []placedSpan // inline, of entries that are in no archive and not in the log either
}

func indexSpans(ctx context.Context, s *metadata.State) (*objectSpans, error) {
	ix := &objectSpans{}
	inLog := metadata.Revision(math.MaxInt64) // from here on entries are in the log
	if pending := s.PendingArchives(); len(pending) > 0 {
		inLog = pending[0].First
	}
	err := eachSpan(ctx, s, func(tp metadata.TopicPartition, sp *metadata.Span) {
		if sp.Inline() {
			if _, ok := s.Archive(sp.Revision); !ok && sp.Revision < inLog {
				ix.unarchived = append(ix.unarchived, placedSpan{*sp, tp})
			}
			return
		}
		if n := len(ix.partitions); n == 0 || ix.partitions[n-1] != tp {
			ix.partitions = append(ix.partitions, tp)
		}
		ix.refs = append(ix.refs, spanRef{sp.Revision, sp.First, int32(len(ix.partitions) - 1), sp.Object})
	})
	slices.SortFunc(ix.refs, func(a, b spanRef) int {
		return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.object, b.object), cmp.Compare(a.partition, b.partition), cmp.Compare(a.first, b.first))
	})
	for i, r := range ix.refs {
		if i == 0 || r.revision != ix.refs[i-1].revision || r.object != ix.refs[i-1].object {
			ix.begins = append(ix.begins, i)
		}
	}
	ix.begins = append(ix.begins, len(ix.refs))
	return ix, err
}

func (ix *objectSpans) countObjects() int { return len(ix.begins) - 1 }

// placedSpan is a span and its partition.
type placedSpan struct {
	metadata.Span
	tp metadata.TopicPartition
}

// spansOf returns the spans of the i-th object.
func (ix *objectSpans) spansOf(s *metadata.State, i int) (out []placedSpan) {
	var one [1]metadata.Span
	for _, r := range ix.refs[ix.begins[i]:ix.begins[i+1]] {
		tp := ix.partitions[r.partition]
		for _, sp := range s.Spans(one[:0], tp, r.first, 1) {
			out = append(out, placedSpan{sp, tp})
		}
	}
	return out
}

// maxLostRanges is how many ranges a finding lists.
const maxLostRanges = 1000

// describeLost joins lost spans to ranges, without what was deleted by a newer state.
func describeLost(s *metadata.State, lost []lostSpan) (out []LostRange, leftOut int) {
	slices.SortFunc(lost, func(a, b lostSpan) int { return cmp.Or(a.tp.Compare(b.tp), cmp.Compare(a.first, b.first)) })
	out = []LostRange{}
	var at metadata.TopicPartition
	for _, l := range lost { // s is nil where there are none
		v, ok := s.Partition(l.tp)
		first := max(l.first, v.LogStart)
		if !ok || first >= l.end {
			continue
		}
		if n := len(out); n > 0 && at == l.tp && out[n-1].Last+1 == first {
			out[n-1].Last = l.end - 1
			continue
		}
		topic, _ := s.Topic(l.tp.Topic)
		out = append(out, LostRange{topic.Name, l.tp.Topic.String(), l.tp.Partition, first, l.end - 1})
		at = l.tp
	}
	if len(out) > maxLostRanges {
		leftOut, out = len(out)-maxLostRanges, out[:maxLostRanges]
	}
	return out, leftOut
}
