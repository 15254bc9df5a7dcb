package metadata

import "slices"

// SpanBytes sums the lengths of the spans that hold offsets from from on and
// begin below until, oldest first. It stops at maxSpans of them or once the sum
// has reached enough. The sum is the most that a read of [from, until) can
// return; 0 means that there is nothing to read, although from may be below the
// high watermark: offsets can have gaps.
func (s *State) SpanBytes(tp TopicPartition, from, until Offset, maxSpans int, enough int64) (sum int64) {
	p := s.partition(tp)
	if p == nil {
		return 0
	}
	i, _ := slices.BinarySearchFunc(p.spans, from, func(sp Span, o Offset) int {
		if sp.End() <= o {
			return -1
		}
		return 1
	})
	for ; i < len(p.spans) && maxSpans > 0 && sum < enough; i, maxSpans = i+1, maxSpans-1 {
		sp := &p.spans[i]
		if sp.First >= until {
			break
		}
		sum += int64(sp.Length)
	}
	return sum
}
