package metadata

import "math"

// PartitionRange is consecutive partitions of a topic. Lists of ranges are sorted
// by topic and partition, and ranges of a topic do not touch.
type PartitionRange struct {
	Topic TopicID
	First Partition
	Count int32
}

// Ranges returns sorted partitions as ranges.
func Ranges(list []TopicPartition) (out []PartitionRange) {
	for _, tp := range list {
		if n := len(out); n > 0 && out[n-1].endsBefore(tp) {
			out[n-1].Count++
			continue
		}
		out = append(out, PartitionRange{tp.Topic, tp.Partition, 1})
	}
	return out
}

// Partitions returns the partitions of ranges, in the same order.
func Partitions(ranges []PartitionRange) (out []TopicPartition) {
	for _, r := range ranges {
		out = append(out, r.Partitions()...)
	}
	return out
}

// HeldRange is partitions that a member has owned since the same epoch: commits
// for them are accepted from that epoch on, also under an older epoch than the
// member's (KIP-1251). Lists are sorted as ranges are; two may touch where their
// epochs differ.
type HeldRange struct {
	PartitionRange
	Since int32 // the member's epoch when it was assigned them; 0 once a static member has left temporarily
}

// HeldRanges returns sorted partitions as ranges; since returns the epoch of a
// partition.
func HeldRanges(list []TopicPartition, since func(TopicPartition) int32) (out []HeldRange) {
	for _, tp := range list {
		at := since(tp)
		if n := len(out); n > 0 && out[n-1].Since == at && out[n-1].endsBefore(tp) {
			out[n-1].Count++
			continue
		}
		out = append(out, HeldRange{PartitionRange{tp.Topic, tp.Partition, 1}, at})
	}
	return out
}

// endsBefore reports whether the partition is the one after the range.
func (r PartitionRange) endsBefore(tp TopicPartition) bool {
	return r.Topic == tp.Topic && r.First+Partition(r.Count) == tp.Partition
}

// Partitions returns the partitions of a range.
func (r PartitionRange) Partitions() []TopicPartition {
	out := make([]TopicPartition, r.Count)
	for i := range out {
		out[i] = TopicPartition{r.Topic, r.First + Partition(i)}
	}
	return out
}

func (w *writer) writeRanges(list []PartitionRange) {
	w.uvarint(uint64(len(list)))
	var last *PartitionRange
	for i := range list {
		w.partitionRange(last, &list[i])
		last = &list[i]
	}
}

// partitionRange writes a range; last is the one before it, nil for none.
func (w *writer) partitionRange(last, p *PartitionRange) {
	same := last != nil && last.Topic == p.Topic
	w.flag(same)
	if !same {
		w.raw(p.Topic[:])
	}
	w.uvarint(uint64(uint32(p.First)))
	w.uvarint(uint64(uint32(p.Count)))
}

func (w *writer) heldRanges(list []HeldRange) {
	w.uvarint(uint64(len(list)))
	var last *PartitionRange
	for i := range list {
		w.partitionRange(last, &list[i].PartitionRange)
		w.uvarint(uint64(uint32(list[i].Since)))
		last = &list[i].PartitionRange
	}
}

func (r *reader) readRanges() (out []PartitionRange) {
	for range r.Count(3, "ranges") {
		next, touches := r.partitionRange(lastOf(out))
		if touches {
			r.Fail("ranges that touch")
		}
		if r.Err() != nil {
			return nil
		}
		out = append(out, next)
	}
	return out
}

func (r *reader) heldRanges() (out []HeldRange) {
	for range r.Count(4, "ranges") {
		var last *PartitionRange
		if l := lastOf(out); l != nil {
			last = &l.PartitionRange
		}
		next, touches := r.partitionRange(last)
		since := int32(r.UvarintUpTo(math.MaxInt32, "epoch"))
		if touches && since == out[len(out)-1].Since {
			r.Fail("ranges that touch")
		}
		if r.Err() != nil {
			return nil
		}
		out = append(out, HeldRange{next, since})
	}
	return out
}

func lastOf[T any](list []T) *T {
	if len(list) == 0 {
		return nil
	}
	return &list[len(list)-1]
}

// partitionRange reads a range that follows last, which may be nil, and reports
// whether it begins where that one ends.
func (r *reader) partitionRange(last *PartitionRange) (next PartitionRange, touches bool) {
	switch same := r.Flag(); {
	case !same:
		next.Topic = r.readTopicID()
	case last == nil:
		r.Fail("a range without a topic")
	default:
		next.Topic = last.Topic
	}
	next.First = Partition(r.UvarintUpTo(MaxPartitionsPerTopic-1, "partition"))
	next.Count = int32(r.UvarintUpTo(MaxPartitionsPerTopic-uint64(next.First), "partitions"))
	switch {
	case next.Count == 0:
		r.Fail("an empty range")
	case last == nil:
	case last.Topic == next.Topic:
		end := last.First + Partition(last.Count)
		if touches = next.First == end; next.First < end {
			r.Fail("ranges out of order")
		}
	case compareStrings(string(last.Topic[:]), string(next.Topic[:])) > 0:
		r.Fail("ranges out of order")
	}
	return next, touches
}
