package metadata

import (
	"bytes"
	"cmp"
	"container/heap"
	"maps"
	"slices"
)

// retentionIndex finds the partitions with expired records without a look at the
// others: in each topic by the time of their first span, and those that grew beyond
// their size. A changed time touches nothing here, as it is compared when the index
// is read; after a changed size the holder of the retention role looks at the
// topic's partitions once.
//
// It is derived from the partitions and not part of the state: a wrong nomination
// changes nothing, as apply checks it. Apply changes the index, and a View reads it.
type retentionIndex struct {
	topics  map[TopicID]*topicRetention
	list    []*topicRetention // the same, to be visited a part at a time
	version uint64            // of the configs, from which retention was parsed
}

// topicRetention is the index of one topic.
type topicRetention struct {
	id        TopicID
	place     int // in list
	oldest    firstSpans
	oversized map[Partition]struct{} // partitions that grew beyond their size
	retention Retention
	version   uint64 // of retention; 0: not parsed
}

// firstSpan is the time of a partition's first span, now or before: an entry that is
// no longer true is replaced when it comes to the top.
type firstSpan struct {
	time      UnixMilli
	partition Partition
}

// firstSpans is a heap by time.
type firstSpans []firstSpan

// Len implements heap.Interface.
func (h firstSpans) Len() int { return len(h) }

// Less implements heap.Interface.
func (h firstSpans) Less(i, j int) bool { return h[i].time < h[j].time }

// Swap implements heap.Interface.
func (h firstSpans) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *firstSpans) Push(x any) { *h = append(*h, x.(firstSpan)) }

// Pop implements heap.Interface.
func (h *firstSpans) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// topic returns the index of a topic, which it adds if there is none.
func (x *retentionIndex) topic(id TopicID) *topicRetention {
	if t := x.topics[id]; t != nil {
		return t
	}
	t := &topicRetention{id: id, place: len(x.list)}
	if x.topics == nil {
		x.topics = map[TopicID]*topicRetention{}
	}
	x.topics[id] = t
	x.list = append(x.list, t)
	return t
}

// dropTopic removes a deleted topic.
func (x *retentionIndex) dropTopic(id TopicID) {
	t := x.topics[id]
	if t == nil {
		return
	}
	last := x.list[len(x.list)-1]
	x.list[t.place], last.place = last, t.place
	x.list = x.list[:len(x.list)-1]
	delete(x.topics, id)
}

// indexFirstSpan records that a partition's first span has changed.
func (s *State) indexFirstSpan(tp TopicPartition, p *partitionState) {
	if len(p.spans) == 0 {
		return
	}
	t := s.retention.topic(tp.Topic)
	if topic := s.topics.get(tp.Topic); topic != nil && len(t.oldest) > 2*int(topic.Partitions)+64 {
		s.rebuildOldest(t, topic.Partitions)
		return
	}
	heap.Push(&t.oldest, firstSpan{s.spanTime(&p.spans[0]), tp.Partition})
}

// rebuildOldest replaces a heap with many entries that are no longer true.
func (s *State) rebuildOldest(t *topicRetention, partitions int32) {
	t.oldest = t.oldest[:0]
	for i := range Partition(partitions) {
		if p := s.partitions.get(TopicPartition{t.id, i}); p != nil && len(p.spans) > 0 {
			t.oldest = append(t.oldest, firstSpan{s.spanTime(&p.spans[0]), i})
		}
	}
	heap.Init(&t.oldest)
}

// indexGrowth records that a partition has grown, if it is beyond its size now.
func (s *State) indexGrowth(tp TopicPartition, p *partitionState) {
	t := s.retention.topic(tp.Topic)
	if t.version != s.retention.version || t.version == 0 {
		t.retention, t.version = s.Retention(s.topics.get(tp.Topic)), s.retention.version
	}
	if t.retention.Bytes < 0 || p.live <= t.retention.Bytes {
		return
	}
	if t.oversized == nil {
		t.oversized = map[Partition]struct{}{}
	}
	t.oversized[tp.Partition] = struct{}{}
}

// refreshIndex corrects the index after retention was enforced on a partition.
// whole: nothing more of it expires now.
func (s *State) refreshIndex(tp TopicPartition, whole bool) {
	t := s.retention.topics[tp.Topic]
	if t == nil {
		return
	}
	if whole {
		delete(t.oversized, tp.Partition)
	}
	for len(t.oldest) > 0 {
		p := s.partitions.get(TopicPartition{t.id, t.oldest[0].partition})
		if p == nil || len(p.spans) == 0 {
			heap.Pop(&t.oldest)
			continue
		}
		now := s.spanTime(&p.spans[0])
		if now <= t.oldest[0].time {
			return
		}
		t.oldest[0].time = now
		heap.Fix(&t.oldest, 0)
	}
}

// rebuildRetentionIndex derives the index from the partitions, after a checkpoint
// was loaded.
func (s *State) rebuildRetentionIndex() {
	s.retention = retentionIndex{version: 1}
	s.partitions.each(func(tp TopicPartition, p *partitionState) bool {
		if len(p.spans) > 0 && s.topics.has(tp.Topic) {
			t := s.retention.topic(tp.Topic)
			t.oldest = append(t.oldest, firstSpan{s.spanTime(&p.spans[0]), tp.Partition})
			s.indexGrowth(tp, p)
		}
		return true
	})
	slices.SortFunc(s.retention.list, func(a, b *topicRetention) int { return bytes.Compare(a.id[:], b.id[:]) })
	for i, t := range s.retention.list {
		t.place = i
		slices.SortFunc(t.oldest, func(a, b firstSpan) int {
			return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.partition, b.partition))
		})
	}
}

// ExpiringTopics returns how many topics have records; ExpiredPartitions visits them
// by their number, from 0.
func (s *State) ExpiringTopics() int { return len(s.retention.list) }

// ExpiredPartitions appends to out the partitions of the n-th topic that have
// expired records, or may have, at most max in all. It looks at those only. By time,
// a partition's first span must have been committed minAge ago.
func (s *State) ExpiredPartitions(out []TopicPartition, n int, minAge UnixMilli, max int) []TopicPartition {
	if n >= len(s.retention.list) {
		return out
	}
	t := s.retention.list[n]
	topic := s.topics.get(t.id)
	if topic == nil {
		return out
	}
	r := s.Retention(topic)
	if r.Bytes >= 0 {
		for _, p := range slices.Sorted(maps.Keys(t.oversized)) { // a role's entries follow from the state, in a simulation that is run twice too
			if len(out) >= max {
				return out
			}
			if row := s.partitions.get(TopicPartition{t.id, p}); row != nil && !row.releasing && len(row.spans) > 0 && s.expired(r, row, &row.spans[0]) {
				out = append(out, TopicPartition{t.id, p})
			}
		}
	}
	if r.Time >= 0 {
		older := s.appendOlder(nil, t, s.time-r.Time, max-len(out))
		slices.SortFunc(older, func(a, b TopicPartition) int { return cmp.Compare(a.Partition, b.Partition) })
		for _, tp := range older {
			if p := s.partitions.get(tp); s.time-s.commitTimeOf(p.spans[0].Revision) >= minAge {
				out = append(out, tp)
			}
		}
	}
	return out
}

// appendOlder appends the partitions whose first span is older than a time.
func (s *State) appendOlder(out []TopicPartition, t *topicRetention, before UnixMilli, max int) []TopicPartition {
	next := []int{0} // places in the heap: children are not older than their parent
	for len(next) > 0 && len(out) < max {
		i := next[len(next)-1]
		next = next[:len(next)-1]
		if i >= len(t.oldest) || t.oldest[i].time >= before {
			continue
		}
		next = append(next, 2*i+1, 2*i+2)
		tp := TopicPartition{t.id, t.oldest[i].partition}
		if p := s.partitions.get(tp); p != nil && !p.releasing && len(p.spans) > 0 {
			out = append(out, tp)
		}
	}
	return out
}

// ExpiringTopic returns the n-th topic that has records; zero where there is none.
func (s *State) ExpiringTopic(n int) TopicID {
	if n >= len(s.retention.list) {
		return TopicID{}
	}
	return s.retention.list[n].id
}

// RetentionBytes returns a topic's retention.bytes; negative: any size.
func (s *State) RetentionBytes(id TopicID) int64 {
	topic := s.topics.get(id)
	if topic == nil {
		return -1
	}
	return s.Retention(topic).Bytes
}

// OversizedPartitions appends to out those of a topic's partitions from first on that
// are larger than its retention.bytes. It looks at up to look partitions; next is
// where to go on, 0 at the end.
func (s *State) OversizedPartitions(out []TopicPartition, id TopicID, first Partition, look int) (_ []TopicPartition, next Partition) {
	topic := s.topics.get(id)
	if topic == nil {
		return out, 0
	}
	r := s.Retention(topic)
	for ; int32(first) < topic.Partitions; first++ {
		if look--; look < 0 {
			return out, first
		}
		p := s.partitions.get(TopicPartition{id, first})
		if p != nil && !p.releasing && len(p.spans) > 0 && s.expired(r, p, &p.spans[0]) {
			out = append(out, TopicPartition{id, first})
		}
	}
	return out, 0
}
